//! The compressor: one thread of the lowest priority that turns `log.1` into `log.1.gz`.
//!
//! ```text
//! .log.1.gz.tmp   written, fdatasync, read back -> renamed log.1.gz -> fsync -> log.1 unlinked -> fsync
//! ```
//!
//! The file is known by its descriptor; its name is taken under the lock of its [`Series`] when the
//! result is put in place, so that rotations go on meanwhile and never wait for it. Members of one MiB
//! make one gzip file: a stop is heeded between two, and the next start begins anew.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compression, Crc, bufread::MultiGzDecoder, write::GzEncoder};
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::sys::statvfs::fstatvfs;

use super::place::Ownership;
use super::rotate::{Aged, Form, Series};

/// So much goes into one gzip member.
const MEMBER: u64 = 1024 * 1024;

/// So many logs may wait; one more is compressed after its next rotation.
const QUEUE: usize = 1024;

/// The compressor, as workers see it. Its thread starts with the first job.
#[derive(Debug, Default)]
pub struct Compressor {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Series>>,
    thread: Option<JoinHandle<()>>,
    stopping: bool,
}

impl Compressor {
    /// Has every plain file of the series but the newest compressed, some time.
    pub fn enqueue(self: &Arc<Self>, series: &Arc<Series>) {
        let mut state = self.lock();
        let known = |waiting: &Arc<Series>| Arc::ptr_eq(waiting, series);
        if state.stopping || state.waiting.len() >= QUEUE || state.waiting.iter().any(known) {
            return;
        }
        state.waiting.push_back(Arc::clone(series));
        if state.thread.is_none() {
            let compressor = Arc::clone(self);
            let builder = std::thread::Builder::new().name("compress".into());
            match builder.spawn(move || compressor.run()) {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => tracing::warn!("cannot start compressing: {error}; files stay plain"),
            }
        }
        self.arrived.notify_one();
    }

    /// Ends the thread after the member in hand; the next start compresses what is left.
    pub fn stop(&self) {
        let thread = {
            let mut state = self.lock();
            state.stopping = true;
            state.waiting.clear();
            state.thread.take()
        };
        self.arrived.notify_all();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the compressor had failed; the files it left are plain");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        crate::sys::set_nice(19);
        while let Some(series) = self.next() {
            if let Err(error) = self.compress(&series) {
                let path = series.path();
                let path = path.display();
                tracing::warn!("cannot compress rotated files of {path}: {error}; they stay plain");
            }
        }
    }

    fn next(&self) -> Option<Arc<Series>> {
        let mut state = self.lock();
        while !state.stopping {
            if let Some(series) = state.waiting.pop_front() {
                return Some(series);
            }
            let woken = self.arrived.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn compress(&self, series: &Series) -> io::Result<()> {
        settle(series, || self.lock().stopping)?;
        while let Some((aged, raw)) = oldest_plain(series)? {
            if !self.compress_one(series, aged, &raw)? {
                break;
            }
        }
        Ok(())
    }

    /// Compresses one file; `false` if it must wait, because there is no room or we are stopping.
    fn compress_one(&self, series: &Series, aged: Aged, raw: &File) -> io::Result<bool> {
        let place = series.place();
        let size = raw.metadata()?.size();
        let room = fstatvfs(place.as_fd())?;
        if room.blocks_available().saturating_mul(room.fragment_size()) < size {
            let name = series.name_of(aged);
            let (directory, name) = (place.directory().display(), name.display());
            tracing::warn!("no room to compress {directory}/{name}: {size} octets; it stays plain");
            return Ok(false);
        }
        let temporary = temporary(place.name(), aged);
        place.unlink(&temporary)?;
        let like = Ownership::of(&fstat(raw)?);
        let packed: File = match place.create(&temporary, &like) {
            Ok(packed) => packed.into(),
            Err(refusal) => return Err(io::Error::other(refusal)),
        };
        let done = self.pack(raw, &packed).and_then(|sum| match sum {
            Some(sum) => {
                let written = place.open(&temporary, OFlag::O_RDONLY);
                let written = File::from(written.map_err(io::Error::other)?);
                let read_back = MultiGzDecoder::new(BufReader::new(written));
                let Some(found) = checksum(read_back, || self.lock().stopping)? else {
                    return Ok(false);
                };
                if found == sum {
                    install(series, raw, sum, &temporary).map(|()| true)
                } else {
                    Err(io::Error::other(
                        "what was read back is not what was written",
                    ))
                }
            }
            None => Ok(false),
        });
        // Gone already if it was put in place; otherwise of no use.
        place.unlink(&temporary)?;
        done
    }

    fn pack(&self, raw: &File, mut packed: &File) -> io::Result<Option<Sum>> {
        let mut crc = Crc::new();
        let mut length = 0;
        let mut member = Vec::new();
        loop {
            member.clear();
            raw.take(MEMBER).read_to_end(&mut member)?;
            if member.is_empty() && length > 0 {
                break;
            }
            crc.update(&member);
            length += member.len() as u64;
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(&member)?;
            packed.write_all(&encoder.finish()?)?;
            if member.is_empty() {
                break;
            }
            if self.lock().stopping {
                return Ok(None);
            }
        }
        packed.sync_data()?;
        Ok(Some(Sum {
            length,
            crc: crc.sum(),
        }))
    }
}

/// Length and CRC-32 of some octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sum {
    length: u64,
    crc: u32,
}

/// Reads to the end; `None` if `stop` says to leave it.
fn checksum(mut reader: impl Read, stop: impl Fn() -> bool) -> io::Result<Option<Sum>> {
    let mut crc = Crc::new();
    let mut length = 0;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        if stop() {
            return Ok(None);
        }
        let count = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        crc.update(&chunk[..count]);
        length += count as u64;
    }
    Ok(Some(Sum {
        length,
        crc: crc.sum(),
    }))
}

/// Gives the result the name that the raw file has by now, and removes that.
fn install(series: &Series, raw: &File, sum: Sum, temporary: &OsStr) -> io::Result<()> {
    let _names = series.lock();
    if raw.metadata()?.size() != sum.length {
        return Err(io::Error::other("somebody still writes to it"));
    }
    let place = series.place();
    for aged in series
        .list()?
        .into_iter()
        .filter(|aged| aged.form == Form::Plain)
    {
        let name = series.name_of(aged);
        let found = place.open(&name, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
        if found.is_ok_and(|found| is_same(raw, &found.into())) {
            let form = Form::Gzip;
            place.rename(temporary, &series.name_of(Aged { form, ..aged }))?;
            place.sync()?;
            place.unlink(&name)?;
            place.sync()?;
            return Ok(());
        }
    }
    // It grew too old meanwhile and is gone; so is the need for the result.
    Ok(())
}

/// Where a crash left both forms of a file: keeps the compressed one if it is whole, else the raw one.
fn settle(series: &Series, stop: impl Fn() -> bool) -> io::Result<()> {
    let both = |form| {
        let list = series.list()?;
        let of = move |aged: &Aged| aged.form == form;
        Ok::<Vec<_>, io::Error>(
            list.into_iter()
                .filter(of)
                .map(|aged| aged.number)
                .collect(),
        )
    };
    let packed = both(Form::Gzip)?;
    for number in both(Form::Plain)? {
        if !packed.contains(&number) {
            continue;
        }
        let names = [Form::Plain, Form::Gzip].map(|form| series.name_of(Aged { number, form }));
        let place = series.place();
        let open = |name: &OsString| place.open(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
        let (Ok(raw), Ok(gz)) = (open(&names[0]), open(&names[1])) else {
            continue;
        };
        let (raw, gz) = (File::from(raw), File::from(gz));
        let Some(whole) = checksum(&raw, &stop)? else {
            return Ok(());
        };
        let same = match checksum(MultiGzDecoder::new(BufReader::new(&gz)), &stop) {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => found == whole,
            Err(_) => false,
        };
        let (loser, name) = if same {
            (raw, &names[0])
        } else {
            (gz, &names[1])
        };
        let _names = series.lock();
        if open(name).is_ok_and(|now| is_same(&loser, &now.into())) {
            place.unlink(name)?;
            place.sync()?;
        }
    }
    Ok(())
}

fn is_same(one: &File, other: &File) -> bool {
    let inode = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
    matches!((inode(one), inode(other)), (Ok(one), Ok(other)) if one == other)
}

fn oldest_plain(series: &Series) -> io::Result<Option<(Aged, File)>> {
    let _names = series.lock();
    for aged in series.list()?.into_iter().rev() {
        if aged.number == 0 || aged.form == Form::Gzip {
            continue;
        }
        let name = series.name_of(aged);
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let Ok(raw) = series.place().open(&name, flags).map(File::from) else {
            continue;
        };
        if raw.metadata()?.is_file() {
            return Ok(Some((aged, raw)));
        }
    }
    Ok(None)
}

fn temporary(log: &OsStr, aged: Aged) -> OsString {
    let number = aged.number.to_string();
    let parts = [
        &b"."[..],
        log.as_bytes(),
        b".",
        number.as_bytes(),
        b".gz.tmp",
    ];
    OsString::from_vec(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;
    use std::fs;
    use std::path::Path;

    fn series(dir: &Path) -> Arc<Series> {
        Series::at(Place::resolve(&dir.join("log")).expect("a place")).expect("a directory")
    }

    fn text(octets: usize) -> Vec<u8> {
        (0_u32..)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .take(octets)
            .collect()
    }

    fn unpacked(path: &Path) -> Vec<u8> {
        let mut all = Vec::new();
        let file = BufReader::new(File::open(path).expect("a file"));
        MultiGzDecoder::new(file)
            .read_to_end(&mut all)
            .expect("gzip");
        all
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name().display().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn s9_every_plain_file_but_the_newest_is_compressed() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = text(2_500_000);
        for (name, octets) in [
            ("log", &text[..]),
            ("log.0", &text),
            ("log.1", &text),
            ("log.2", b""),
        ] {
            fs::write(dir.path().join(name), octets).expect("a file");
        }
        Compressor::default()
            .compress(&series(dir.path()))
            .expect("compressed");
        assert_eq!(names(dir.path()), ["log", "log.0", "log.1.gz", "log.2.gz"]);
        assert_eq!(unpacked(&dir.path().join("log.1.gz")), text);
        assert_eq!(unpacked(&dir.path().join("log.2.gz")), b"");
    }

    #[test]
    fn s9_the_result_takes_the_name_that_the_file_has_by_then() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("log.1"), "one").expect("a file");
        let series = series(dir.path());
        let (aged, raw) = oldest_plain(&series).expect("a list").expect("log.1");
        fs::rename(dir.path().join("log.1"), dir.path().join("log.2")).expect("shifted");
        fs::write(dir.path().join("log.1"), "two").expect("a file");
        let done = Compressor::default().compress_one(&series, aged, &raw);
        assert!(done.expect("compressed"));
        assert_eq!(names(dir.path()), ["log.1", "log.2.gz"]);
    }

    #[test]
    fn s9_of_both_forms_the_whole_one_stays() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(b"one").expect("memory");
        let whole = encoder.finish().expect("memory");
        for gz in [&whole[..], &whole[..whole.len() - 3], b""] {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("log.1"), "one").expect("a file");
            fs::write(dir.path().join("log.1.gz"), gz).expect("a file");
            Compressor::default()
                .compress(&series(dir.path()))
                .expect("compressed");
            assert_eq!(names(dir.path()), ["log.1.gz"], "{}", gz.escape_ascii());
            assert_eq!(unpacked(&dir.path().join("log.1.gz")), b"one");
        }
    }

    #[test]
    fn a_stop_leaves_the_plain_file_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("log.1"), text(10)).expect("a file");
        let compressor = Compressor::default();
        compressor.stop();
        compressor
            .compress(&series(dir.path()))
            .expect("nothing done");
        assert_eq!(names(dir.path()), ["log.1"]);
    }
}
