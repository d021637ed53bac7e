//! The compressor: one thread of the lowest priority that turns `log.1` into `log.1.gz`.
//!
//! ```text
//! .log.gz.tmp   written, fsync, read back -> renamed log.1.gz -> fsync -> log.1 unlinked -> fsync
//! ```
//!
//! The file is known by its descriptor; its name is taken under the lock of its [`Series`] when the
//! result is put in place, so that rotations go on meanwhile and never wait for it. A stop is heeded
//! between two members, and a crash costs one: the next start goes on behind the last that is whole.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use flate2::Crc;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use nix::sys::statvfs::fstatvfs;

use super::codec::{Codec, MEMBER, next_member, unpacked};
use super::place::{Ownership, Place, is_trusted};
use super::rotate::{Aged, Form, Series};
use crate::config::Compression;

/// So many octets are read at a time.
const CHUNK: usize = 64 * 1024;

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
    waiting: VecDeque<(Arc<Series>, Compression)>,
    thread: Option<JoinHandle<()>>,
    stopping: bool,
}

impl Compressor {
    /// Has every plain file of the series but the newest compressed, some time, and what a crash left
    /// tidied up.
    pub fn enqueue(self: &Arc<Self>, series: &Arc<Series>, compression: Compression) {
        let mut state = self.lock();
        let mut waiting = state.waiting.iter_mut();
        if let Some((_, known)) = waiting.find(|(waiting, _)| Arc::ptr_eq(waiting, series)) {
            *known = compression;
            return;
        }
        if state.stopping || state.waiting.len() >= QUEUE {
            return;
        }
        state.waiting.push_back((Arc::clone(series), compression));
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

    /// Ends the thread after the member in hand; the next start goes on behind it.
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
        while let Some((series, compression)) = self.next() {
            if let Err(error) = self.compress(&series, compression) {
                let path = series.path();
                let path = path.display();
                tracing::warn!("cannot compress rotated files of {path}: {error}; they stay plain");
            }
        }
    }

    fn next(&self) -> Option<(Arc<Series>, Compression)> {
        let mut state = self.lock();
        while !state.stopping {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            let woken = self.arrived.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn compress(&self, series: &Series, compression: Compression) -> io::Result<()> {
        let stopping = || self.lock().stopping;
        settle(series, stopping)?;
        if let Some(codec) = Codec::of(compression) {
            while let Some((aged, raw)) = oldest_plain(series)? {
                if stopping() || !self.compress_one(series, aged, &raw, codec)? {
                    break;
                }
            }
        }
        if !stopping() {
            for form in [Form::Gzip, Form::Zstd] {
                series.place().unlink(&temporary(series.place(), form))?;
            }
        }
        Ok(())
    }

    /// Compresses one file; `false` if it must wait, because there is no room or we are stopping.
    fn compress_one(
        &self,
        series: &Series,
        aged: Aged,
        raw: &File,
        codec: Codec,
    ) -> io::Result<bool> {
        let place = series.place();
        let size = raw.metadata()?.size();
        let room = fstatvfs(place.as_fd())?;
        if room.blocks_available().saturating_mul(room.fragment_size()) < size {
            let name = series.name_of(aged);
            let (directory, name) = (place.directory().display(), name.display());
            tracing::warn!("no room to compress {directory}/{name}: {size} octets; it stays plain");
            return Ok(false);
        }
        let form = codec.form();
        let temporary = temporary(place, form);
        let (packed, begun) = resume(place, &temporary, form, raw)?;
        let done = self.pack(raw, &packed, codec, begun).and_then(|sum| {
            let Some(sum) = sum else { return Ok(None) };
            let written = File::from(
                place
                    .open(&temporary, OFlag::O_RDONLY)
                    .map_err(io::Error::other)?,
            );
            match checksum(unpacked(form, &written)?, || self.lock().stopping)? {
                None => Ok(None),
                Some(found) if found == sum => Ok(Some(sum)),
                Some(_) => Err(io::Error::other(
                    "what was read back is not what was written",
                )),
            }
        });
        match done {
            // What is whole is used by the next start.
            Ok(None) => Ok(false),
            Ok(Some(sum)) => {
                let installed = install(series, raw, sum, &temporary, form);
                // Gone already if it was put in place; otherwise of no use.
                place.unlink(&temporary)?;
                installed.map(|()| true)
            }
            Err(error) => {
                place.unlink(&temporary)?;
                Err(error)
            }
        }
    }

    /// Compresses what is behind the members that were `begun`, up to the end or a stop (`None`).
    fn pack(
        &self,
        raw: &File,
        mut packed: &File,
        codec: Codec,
        begun: (Crc, u64),
    ) -> io::Result<Option<Sum>> {
        let (mut crc, mut length) = begun;
        let mut member = Vec::new();
        loop {
            if self.lock().stopping {
                return Ok(None);
            }
            member.clear();
            raw.take(MEMBER).read_to_end(&mut member)?;
            if member.is_empty() && length > 0 {
                break;
            }
            crc.update(&member);
            length += member.len() as u64;
            packed.write_all(&codec.pack(&member)?)?;
            if member.is_empty() {
                break;
            }
        }
        // The age of a file is that of its last record.
        packed.set_modified(raw.metadata()?.modified()?)?;
        packed.sync_all()?;
        Ok(Some(Sum {
            length,
            crc: crc.sum(),
        }))
    }
}

/// The file that the result grows in, with what an earlier try left of whole members that say the same as
/// `raw`; their check sum and length. Both files are then to be gone on with where they stand.
fn resume(
    place: &Place,
    temporary: &OsStr,
    form: Form,
    mut raw: &File,
) -> io::Result<(File, (Crc, u64))> {
    let like = Ownership::of(&fstat(raw)?);
    let mut crc = Crc::new();
    let mut length = 0;
    let Some(packed) = earlier(place, temporary, &like) else {
        place.unlink(temporary)?;
        let packed = place.create(temporary, &like).map_err(io::Error::other)?;
        return Ok((packed.into(), (crc, 0)));
    };
    let mut reader = BufReader::new(&packed);
    let mut whole = 0;
    // A member that is broken is where the crash was.
    while let Ok(member) = next_member(form, &mut reader) {
        let mut same = Vec::new();
        raw.take(member.len() as u64).read_to_end(&mut same)?;
        if member.is_empty() || member != same {
            break;
        }
        crc.update(&member);
        length += member.len() as u64;
        whole = reader.stream_position()?;
    }
    packed.set_len(whole)?;
    raw.seek(SeekFrom::Start(length))?;
    Ok((packed, (crc, length)))
}

/// The temporary file, if it is ours alone and has the owner and mode that the result shall have.
fn earlier(place: &Place, temporary: &OsStr, like: &Ownership) -> Option<File> {
    let flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NONBLOCK;
    let packed = File::from(place.open(temporary, flags).ok()?);
    let stat = fstat(&packed).ok()?;
    let own = packed.metadata().ok()?.is_file() && is_trusted(&stat) && stat.st_nlink == 1;
    (own && Ownership::of(&stat) == *like).then_some(packed)
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
    let mut chunk = vec![0; CHUNK];
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
fn install(series: &Series, raw: &File, sum: Sum, temporary: &OsStr, form: Form) -> io::Result<()> {
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

/// Where a crash left a file both plain and compressed: removes the one that says nothing of its own. If both
/// do, both stay.
fn settle(series: &Series, stop: impl Fn() -> bool) -> io::Result<()> {
    let list = series.list()?;
    let of_number = |number| list.iter().filter(move |aged| aged.number == number);
    for aged in list.iter().filter(|aged| aged.form != Form::Plain) {
        let Some(raw) = of_number(aged.number).find(|aged| aged.form == Form::Plain) else {
            continue;
        };
        let names = [raw, aged].map(|aged| series.name_of(*aged));
        let place = series.place();
        let open = |name: &OsString| place.open(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
        let (Ok(raw), Ok(packed)) = (open(&names[0]), open(&names[1])) else {
            continue;
        };
        let (raw, packed) = (File::from(raw), File::from(packed));
        let loser = match unpacked(aged.form, &packed) {
            Ok(reader) => weigh(&raw, reader, &stop)?,
            Err(_) => Some(Loser::Packed),
        };
        let (loser, name) = match loser {
            None => return Ok(()),
            Some(Loser::Raw) => (raw, &names[0]),
            Some(Loser::Packed) => (packed, &names[1]),
            Some(Loser::Neither) => {
                let [raw, packed] = names.map(|name| name.display().to_string());
                let directory = place.directory().display();
                tracing::warn!("{raw} and {packed} in {directory} differ; both are left alone");
                continue;
            }
        };
        let _names = series.lock();
        if open(name).is_ok_and(|now| is_same(&loser, &now.into())) {
            place.unlink(name)?;
            place.sync()?;
        }
    }
    Ok(())
}

/// Which of two forms of a file says nothing of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Loser {
    /// The plain one: the archive is whole and has every octet of it. A power cut may have taken its end, or
    /// have left NULs where something was, if it was never synced; an archive always is.
    Raw,
    /// The archive: it is broken, or the beginning of the plain one.
    Packed,
    /// Each has something.
    Neither,
}

/// Compares both forms to their ends; `None` if `stop` says to leave it.
///
/// # Errors
/// If one cannot be read. An archive that is broken has nothing to say.
fn weigh(raw: &File, unpacked: impl Read, stop: impl Fn() -> bool) -> io::Result<Option<Loser>> {
    let mut raw = BufReader::with_capacity(CHUNK, raw);
    let mut packed = BufReader::with_capacity(CHUNK, unpacked);
    let (mut is_within, mut is_beginning) = (true, true);
    loop {
        if stop() {
            return Ok(None);
        }
        let (one, other) = match (raw.fill_buf(), packed.fill_buf()) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            (Err(error), _) => return Err(error),
            // What the disk refuses today may be whole.
            (_, Err(error)) if error.raw_os_error().is_some() => return Err(error),
            (_, Err(_)) => return Ok(Some(Loser::Packed)),
        };
        let (of_raw, of_packed) = match (one.len(), other.len()) {
            (0, 0) => break,
            (0, rest) => {
                is_beginning = false;
                (0, rest)
            }
            (rest, 0) => {
                is_within = false;
                (rest, 0)
            }
            (one, other) => (one.min(other), one.min(other)),
        };
        for (one, other) in one.iter().zip(other) {
            is_within &= one == other || *one == 0;
            is_beginning &= one == other;
        }
        raw.consume(of_raw);
        packed.consume(of_packed);
    }
    Ok(Some(match (is_within, is_beginning) {
        (true, _) => Loser::Raw,
        (false, true) => Loser::Packed,
        (false, false) => Loser::Neither,
    }))
}

fn is_same(one: &File, other: &File) -> bool {
    let inode = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
    matches!((inode(one), inode(other)), (Ok(one), Ok(other)) if one == other)
}

fn oldest_plain(series: &Series) -> io::Result<Option<(Aged, File)>> {
    let _names = series.lock();
    let list = series.list()?;
    for aged in list.iter().rev().copied() {
        // A second form of it would not find a name.
        let forms = list.iter().filter(|other| other.number == aged.number);
        if aged.number == 0 || aged.form != Form::Plain || forms.count() > 1 {
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

/// One for each log and form: files are compressed one after the other.
fn temporary(place: &Place, form: Form) -> OsString {
    let suffix = form.suffix().as_bytes();
    OsString::from_vec([&b"."[..], place.name().as_bytes(), suffix, b".tmp"].concat())
}

#[cfg(test)]
mod tests;
