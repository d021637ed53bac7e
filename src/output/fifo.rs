//! A named pipe.
//!
//! Opened for reading and writing, so that neither the opening hangs nor a missing reader is an error
//! (reliability 0.4). The limit: what a reader that never comes back would have had is lost when the
//! daemon ends.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};

use super::pipe::{Obstacle, Pipe};
use super::place::{Place, Refusal, kind, kind_name};
use super::{Stop, Trouble, Written};
use crate::block::Block;
use crate::counters::Loss;

/// How often a FIFO that is not there is looked for.
const RETRY: Duration = Duration::from_secs(5);

/// One named pipe.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    pipe: Option<Pipe>,
}

impl Fifo {
    /// Names a FIFO; the first write opens it.
    pub fn new(path: PathBuf) -> Self {
        Self { path, pipe: None }
    }

    /// Has the next write open it again.
    pub fn reopen(&mut self) {
        let inode = |stat: nix::sys::stat::FileStat| (stat.st_dev, stat.st_ino);
        let open = self.pipe.as_ref().and_then(|pipe| fstat(pipe.end()).ok());
        let there = nix::sys::stat::stat(&self.path).ok();
        if open.map(inode) != there.map(inode) {
            self.pipe = None;
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
        let Err(obstacle) = self.open()?.write(block, next) else {
            return Ok(());
        };
        Err(match obstacle {
            Obstacle::Full => Stop::Drop(Loss::FifoFull),
            Obstacle::Broken(errno) => {
                self.pipe = None;
                let path = self.path.display();
                retry(format!("cannot write {path}: {}", errno.desc()))
            }
        })
    }

    fn open(&mut self) -> Result<&mut Pipe, Stop> {
        let pipe = if let Some(pipe) = self.pipe.take() {
            pipe
        } else {
            let path = self.path.display();
            let opened = open(&self.path);
            Pipe::new(opened.map_err(|why| retry(format!("cannot open FIFO {path}: {why}")))?)
        };
        Ok(self.pipe.insert(pipe))
    }
}

fn retry(sentence: String) -> Stop {
    Stop::Retry(Trouble {
        after: RETRY,
        loss: Loss::Io,
        sentence,
    })
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
        let pipe = pipe.end().try_clone().expect("a descriptor");
        let mut reader: std::fs::File = pipe.into();
        let end = reader.read_to_end(&mut all);
        assert!(end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        all
    }

    #[test]
    fn v32_without_a_reader_whole_records_are_taken_until_it_is_full() {
        for length in [10, 100, 3000, 4096, 4097, 9000, 66_000, 262_300] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("fifo");
            nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
            let mut fifo = Fifo::new(path);
            let block = block(&vec![line(length); 70_000 / length + 5]);
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
            let Some(Stop::Retry(Trouble {
                sentence, after, ..
            })) = written.stopped
            else {
                panic!("{name}: {:?}", written.stopped);
            };
            assert!(sentence.contains(want), "{sentence}");
            assert_eq!(after, RETRY);
        }
    }
}
