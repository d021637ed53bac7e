//! A named pipe: whole records or none, and never a wait for its reader.
//!
//! Opened for reading and writing, so that neither the opening hangs nor a missing reader is an error
//! (reliability 0.4). Up to `PIPE_BUF` octets are written whole or not at all; a longer record is
//! written only if there is surely room. The limit: what a reader that never comes back would have had
//! is lost when the daemon ends.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;

use super::place::{Place, Refusal, kind, kind_name};
use super::{Stop, Written};
use crate::block::Block;
use crate::counters::Loss;

/// So many octets are written at once or not at all (`PIPE_BUF` of Linux, and its page).
const ATOMIC: usize = 4096;

/// How often a FIFO that is not there is looked for.
const RETRY: Duration = Duration::from_secs(5);

/// One named pipe.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    pipe: Option<OwnedFd>,
    /// What another writer left us no room for, in the middle of a record: it goes first.
    rest: Vec<u8>,
}

impl Fifo {
    /// Names a FIFO; the first write opens it.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            pipe: None,
            rest: Vec::new(),
        }
    }

    /// Has the next write open it again.
    pub fn reopen(&mut self) {
        let inode = |stat: nix::sys::stat::FileStat| (stat.st_dev, stat.st_ino);
        let open = self.pipe.as_ref().and_then(|pipe| fstat(pipe).ok());
        let there = nix::sys::stat::stat(&self.path).ok();
        if open.map(inode) != there.map(inode) {
            self.pipe = None;
            self.rest.clear();
        }
    }

    /// Writes the records from number `from` on; stops at one that does not fit.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let mut next = from;
        let stopped = self.write_from(block, &mut next).err();
        let records = next - from;
        Written { records, stopped }
    }

    fn write_from(&mut self, block: &Block, next: &mut usize) -> Result<(), Stop> {
        while *next < block.len() {
            self.finish_rest()?;
            let start = block.start_of(*next);
            let ends = block.records()[*next..].iter();
            let fits = ends.take_while(|record| record.end as usize - start <= ATOMIC);
            let several = fits.count();
            // If several do not fit, the first may.
            for count in [several.max(1), 1] {
                let octets = &block.octets()[start..block.start_of(*next + count)];
                if self.write_whole(octets)? {
                    *next += count;
                    break;
                }
                if count == 1 {
                    return Err(Stop::Drop(Loss::FifoFull));
                }
            }
        }
        Ok(())
    }

    /// Whether there was room.
    fn write_whole(&mut self, octets: &[u8]) -> Result<bool, Stop> {
        if octets.len() > ATOMIC && !has_room(self.open()?, octets.len()) {
            return Ok(false);
        }
        match self.write_once(octets)? {
            0 => Ok(false),
            count => {
                self.rest.extend_from_slice(&octets[count..]);
                Ok(true)
            }
        }
    }

    fn finish_rest(&mut self) -> Result<(), Stop> {
        while !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let count = self.write_once(&rest)?;
            self.rest.extend_from_slice(&rest[count..]);
            if count == 0 {
                return Err(Stop::Drop(Loss::FifoFull));
            }
        }
        Ok(())
    }

    fn write_once(&mut self, octets: &[u8]) -> Result<usize, Stop> {
        loop {
            match write(self.open()?, octets) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(0),
                Err(errno) => {
                    self.pipe = None;
                    let path = self.path.display();
                    return Err(retry(format!("cannot write {path}: {}", errno.desc())));
                }
            }
        }
    }

    fn open(&mut self) -> Result<&OwnedFd, Stop> {
        if self.pipe.is_none() {
            let path = self.path.display();
            let opened = open(&self.path);
            let pipe = opened.map_err(|why| retry(format!("cannot open FIFO {path}: {why}")))?;
            self.pipe = Some(pipe);
        }
        Ok(self.pipe.as_ref().expect("it was opened just now"))
    }
}

fn retry(sentence: String) -> Stop {
    Stop::Retry {
        after: RETRY,
        loss: Loss::Io,
        sentence,
    }
}

fn open(path: &std::path::Path) -> Result<OwnedFd, Refusal> {
    let place = Place::resolve(path)?;
    let pipe = place.open(place.name(), OFlag::O_RDWR | OFlag::O_NONBLOCK)?;
    let stat = fstat(&pipe)?;
    if kind(&stat) == SFlag::S_IFIFO {
        Ok(pipe)
    } else {
        Err(Refusal::Kind(kind_name(&stat)))
    }
}

/// Whether so many octets fit for certain. A pipe holds pages, and two neighbours hold more than one page
/// together, so that it uses at most twice the pages that its octets need, and one.
fn has_room(pipe: &OwnedFd, octets: usize) -> bool {
    let capacity = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok();
    let capacity = capacity.and_then(|size| usize::try_from(size).ok());
    let (Some(capacity), Some(unread)) = (capacity, crate::sys::unread_octets(pipe.as_fd())) else {
        return false;
    };
    let used = match unread {
        0 => 0,
        unread => 2 * unread.div_ceil(ATOMIC) + 1,
    };
    octets.div_ceil(ATOMIC) + used <= capacity / ATOMIC
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri, Severity};
    use nix::sys::stat::Mode;
    use std::io::Read;

    fn block(lines: &[Vec<u8>]) -> Block {
        let mut block = Block::default();
        for line in lines {
            block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
                octets.extend_from_slice(line);
                0
            });
        }
        block
    }

    fn line(octets: usize) -> Vec<u8> {
        let mut line = vec![b'x'; octets - 1];
        line.push(b'\n');
        line
    }

    /// All that is in the pipe now.
    fn drain(fifo: &Fifo) -> Vec<u8> {
        let mut all = Vec::new();
        let pipe = fifo.pipe.as_ref().expect("it is open");
        let pipe = pipe.try_clone().expect("a descriptor");
        let mut reader: std::fs::File = pipe.into();
        let end = reader.read_to_end(&mut all);
        assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        all
    }

    #[test]
    fn v32_without_a_reader_whole_records_are_taken_until_it_is_full() {
        for length in [10, 100, 3000, 4096, 4097, 9000] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("fifo");
            nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
            let mut fifo = Fifo::new(path);
            let block = block(&vec![line(length); 70_000 / length + 1]);
            let written = fifo.write(&block, 0);
            assert!(
                matches!(written.stopped, Some(Stop::Drop(Loss::FifoFull))),
                "{length}: {written:?}"
            );
            assert!(written.records > 0, "{length}");
            let got = drain(&fifo);
            assert_eq!(
                got,
                block.octets()[..block.start_of(written.records)],
                "{length}"
            );
            assert!(fifo.write(&block, written.records).records > 0, "{length}");
        }
    }

    #[test]
    fn only_a_fifo_will_do() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("regular"), "").expect("a file");
        for (name, want) in [
            ("absent", "No such file or directory"),
            ("regular", "it is a regular file"),
        ] {
            let written = Fifo::new(dir.path().join(name)).write(&block(&[line(5)]), 0);
            let Some(Stop::Retry {
                sentence, after, ..
            }) = written.stopped
            else {
                panic!("{name}: {:?}", written.stopped);
            };
            assert!(sentence.contains(want), "{sentence}");
            assert_eq!(after, RETRY);
        }
    }
}
