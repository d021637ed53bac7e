//! A log file: appended to in whole records, opened with care, rotated between records.
//!
//! ```text
//! write ──► still the same inode? (once a second) ──► room before the size limit? ──► write(2)
//!               └─ no: reopen                             └─ no, or a new day: rotate
//! ```
//!
//! A file whose sync failed is set aside, and never written again ([`super::aside`]).
//!
//! Devices such as `/dev/null` and `/dev/stdout` are files too, but never rotated (reliability S6).
//! Whether the file was removed is asked at every write, whether the path leads elsewhere once a second.
//! The limit: what is written at the very moment of a removal goes with the file.

mod due;
mod open;

use std::fs::File as Descriptor;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::write;

use self::open::{Open, Standing, open_regular};
use super::aside::Condemned;
use super::compress::Compressor;
use super::place::{Place, Refusal};
use super::rotate::Series;
use super::schedule::Schedule;
use super::space::Space;
use super::{Stop, Trouble, Written};
use crate::block::Block;
use crate::config::{OutputSettings, Sync};
use crate::counters::Loss;
use crate::sys::extent;

/// How long a reopened or moved path may go unnoticed.
const CHECK: Duration = Duration::from_secs(1);

/// A file that cannot be written is tried this often while records wait: one call, so that it works again
/// within a second of the cure.
const RETRY: Duration = Duration::from_millis(250);

/// After a rotation failed the file grows on for so long.
const ROTATION_RETRY: Duration = Duration::from_secs(30);

/// One file that messages are appended to.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    settings: OutputSettings,
    compressor: Arc<Compressor>,
    schedule: Schedule,
    open: Option<Open>,
    torn: Option<Torn>,
    torn_tails: u64,
    /// A sync failed, and the worker was not told yet.
    unsure: Option<io::Error>,
    condemned: Option<Condemned>,
    space: Space,
}

/// A record of which only the beginning was written.
#[derive(Clone, Copy, Debug)]
struct Torn {
    written: usize,
    size: u64,
}

impl File {
    /// Names a file. It is opened by the first write, so that this cannot fail.
    pub fn new(path: PathBuf, settings: OutputSettings, compressor: Arc<Compressor>) -> Self {
        Self {
            path,
            settings,
            compressor,
            schedule: Schedule::default(),
            open: None,
            torn: None,
            torn_tails: 0,
            unsure: None,
            condemned: None,
            space: Space::default(),
        }
    }

    /// Takes new settings; they hold from the next record, `mode` and the like from the next new file.
    pub fn update(&mut self, settings: OutputSettings) {
        let changed = settings.rotation != self.settings.rotation;
        self.settings = settings;
        if let Some(open) = &mut self.open {
            if changed {
                self.schedule
                    .open(self.settings.rotation, open.last_write());
            }
            // A file that is rotated from now on needs its directory.
            if self.settings.rotation.is_some()
                && open.regular
                && open.series.is_none()
                && open.is_at(&self.path)
            {
                let place = Place::resolve(&self.path).ok();
                open.series = place.and_then(|place| Series::at(place).ok());
            }
        }
    }

    /// How often a line feed had to be added, since the last line of the file had none.
    pub fn torn_tails(&self) -> u64 {
        self.torn_tails
    }

    /// Has the path looked at by the next write, however recently it was.
    pub fn reopen(&mut self) {
        if let Some(open) = &self.open
            && !open.is_at(&self.path)
        {
            self.close();
        }
    }

    /// Opens the file, if it is not, without writing to it; one of an earlier period is rotated.
    ///
    /// # Errors
    /// As a write that was refused.
    pub fn prepare(&mut self) -> Result<(), Stop> {
        let size = self.ready()?;
        if self.is_due(size) {
            self.rotate_open();
        }
        Ok(())
    }

    /// Rotates now, whatever the size is; an empty file stays.
    pub fn rotate(&mut self) {
        let size = self.open.as_ref().and_then(Open::size);
        if self.settings.rotation.is_some() && size.is_some_and(|size| size > 0) {
            self.rotate_open();
        }
    }

    /// Waits until what was written is on the disk, and the name of a new file too.
    ///
    /// # Errors
    /// As fdatasync(2); pages may be lost then, and a second try would not tell: to be followed by
    /// [`condemn`](Self::condemn). Also if an earlier sync, before a rotation or a reopening, had failed.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(error) = self.unsure.take() {
            return Err(error);
        }
        let Some(open) = self.open.as_mut().filter(|open| open.regular) else {
            return Ok(());
        };
        sync_data(&open.file)?;
        if open.standing != Standing::Named {
            match &open.series {
                Some(series) => series.place().sync()?,
                None => Place::resolve(&self.path)
                    .map_err(io::Error::other)?
                    .sync()?,
            }
        }
        open.standing = Standing::Named;
        Ok(())
    }

    /// A sync has failed: what is open is never synced or written again (reliability 0.6). The next write
    /// sets it aside as `log.unsynced-0` and so on, and begins a new file.
    pub fn condemn(&mut self) {
        (self.torn, self.unsure) = (None, None);
        if let Some(open) = self.open.take()
            && open.regular
        {
            self.condemned = Some(Condemned::new(open.inode, open.standing == Standing::Spare));
        }
    }

    /// Whether what is open is a file on a disk.
    pub fn is_regular(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.regular)
    }

    /// The record of which only a part was written is not offered again.
    pub fn give_up(&mut self) {
        if let Some(torn) = &mut self.torn {
            // No file has this size, so that its line is ended before the next one.
            torn.size = u64::MAX;
        }
    }

    /// Takes the records out that there is no room for (`keep_free`); returns how many.
    pub fn shed(&mut self, block: &mut Block) -> usize {
        let (Some(keep_free), Some(open)) = (self.settings.keep_free, &self.open) else {
            self.space = Space::default();
            return 0;
        };
        if !open.regular {
            return 0;
        }
        let series = open.series.as_deref();
        self.space
            .shed(keep_free, &open.file, series, &self.path, block)
    }

    /// Whether some records have no room at present.
    pub fn is_shedding(&self) -> bool {
        self.space.is_shedding()
    }

    /// Writes the records from number `from` on, as many as it can.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let mut next = from;
        while next < block.len() {
            let before = next;
            let stopped = match self.ready() {
                Ok(size) => self.write_some(block, &mut next, size),
                Err(stop) => Some(stop),
            };
            if stopped.is_some() || next == before {
                let records = next - from;
                return Written { records, stopped };
            }
        }
        Written {
            records: next - from,
            stopped: None,
        }
    }

    /// One write(2) of the records that fit before the next rotation.
    fn write_some(&mut self, block: &Block, next: &mut usize, size: u64) -> Option<Stop> {
        let start = block.start_of(*next);
        let mut last = block.len();
        if let Some(rotation) = self.settings.rotation
            && self.may_rotate()
        {
            let room = match rotation.size {
                _ if self.is_due(size) => 0,
                None => u64::MAX,
                Some(limit) => limit.saturating_sub(size),
            };
            let ends = block.records()[*next..].iter();
            let fits = |end: usize| (end - start) as u64 <= room;
            let fitting = ends.take_while(|record| fits(record.end as usize)).count();
            match (fitting, size, self.torn) {
                (0, 0, _) | (0, _, Some(_)) => last = *next + 1,
                (0, _, None) => {
                    self.rotate_open();
                    // The next round sees the new file, or that rotation is put off.
                    return match self.ready() {
                        Ok(size) => self.write_some(block, next, size),
                        Err(stop) => Some(stop),
                    };
                }
                (fitting, _, _) => last = *next + fitting,
            }
        }
        let mut begin = start + self.resume(size);
        let end = block.start_of(last);
        while begin < end {
            let Some(open) = &self.open else {
                return None;
            };
            match write(&open.file, &block.octets()[begin..end]) {
                Ok(0) => return Some(self.fail(Errno::EIO)),
                Ok(count) => begin += count,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    while *next < last && block.start_of(*next + 1) <= begin {
                        *next += 1;
                    }
                    let written = begin - block.start_of(*next);
                    let size = open.size();
                    self.torn = size
                        .filter(|_| written > 0)
                        .map(|size| Torn { written, size });
                    return Some(self.fail(errno));
                }
            }
        }
        self.torn = None;
        *next = last;
        None
    }

    /// How much of the record is in the file already. Only if nobody touched the file since: else the
    /// torn line is ended, and the record written whole.
    fn resume(&mut self, size: u64) -> usize {
        match self.torn.take() {
            None => 0,
            Some(torn) if torn.size == size => {
                self.torn = Some(torn);
                torn.written
            }
            Some(_) => {
                self.end_line();
                0
            }
        }
    }

    /// Writes a line feed if the last line has none.
    fn end_line(&mut self) {
        let Some(open) = &self.open else { return };
        if open.last_octet().is_some_and(|last| last != b'\n') {
            // If this fails, the record that follows meets the same error, and that is reported.
            if write(&open.file, b"\n") == Ok(1) {
                self.torn_tails += 1;
                let path = self.path.display();
                tracing::info!("the last line of {path} had been cut off; it was ended");
            }
        }
    }

    /// The file, opened anew if need be; returns its size.
    fn ready(&mut self) -> Result<u64, Stop> {
        let mut size = None;
        if let Some(open) = &mut self.open {
            let extent = extent(open.file.as_fd()).filter(|_| open.regular);
            size = extent.map(|extent| extent.size);
            let is_removed = extent.is_some_and(|extent| extent.links == 0);
            if is_removed || open.checked.elapsed() >= CHECK {
                open.checked = Instant::now();
                if !open.is_at(&self.path) {
                    if open.adrift {
                        self.replace_adrift();
                    } else {
                        self.close();
                    }
                    size = self.open.as_ref().and_then(Open::size);
                }
            }
        }
        if let Some(error) = self.unsure.take() {
            return Err(Stop::Unsynced(error));
        }
        if self.open.is_none() {
            match self.open_anew() {
                Ok(open) => {
                    self.schedule
                        .open(self.settings.rotation, open.last_write());
                    self.open = Some(open);
                    self.condemned = None;
                    self.recover();
                    self.end_line();
                }
                Err(refusal) => {
                    let verb = if matches!(refusal, Refusal::System(_)) {
                        "cannot open"
                    } else {
                        "refused to open"
                    };
                    let path = self.path.display();
                    let loss = match refusal {
                        // No inode is left for it, or no block for its directory.
                        Refusal::System(Errno::ENOSPC | Errno::EDQUOT) => Loss::NoSpace,
                        Refusal::System(_)
                        | Refusal::Directory(_)
                        | Refusal::Link
                        | Refusal::HardLinks(_)
                        | Refusal::Foreign
                        | Refusal::Kind(_) => Loss::Io,
                    };
                    return Err(later(format!("{verb} {path}: {refusal}"), loss));
                }
            }
            size = self.open.as_ref().and_then(Open::size);
        }
        Ok(size.unwrap_or(0))
    }

    /// Opens the path, but never a file whose sync failed: that is moved out of the way.
    fn open_anew(&self) -> Result<Open, Refusal> {
        if let Some(condemned) = &self.condemned {
            condemned.set_aside(&self.path)?;
        }
        let mut open = self.open_path()?;
        if open.standing == Standing::New && self.condemned.is_some() {
            open.standing = Standing::Spare;
        }
        Ok(open)
    }

    fn replace_adrift(&mut self) {
        if let Ok(open) = self.open_path() {
            self.torn = None;
            self.open = Some(open);
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.torn = None;
            if self.settings.sync != Sync::None
                && open.regular
                && let Err(error) = sync_data(&open.file)
            {
                self.unsure = Some(error);
                self.condemned = Some(Condemned::new(open.inode, open.standing == Standing::Spare));
            }
        }
    }

    fn fail(&mut self, errno: Errno) -> Stop {
        let sentence = format!("cannot write {}: {}", self.path.display(), errno.desc());
        if matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) {
            return later(sentence, Loss::NoSpace);
        }
        self.close();
        later(sentence, Loss::Io)
    }

    fn rotate_open(&mut self) {
        let (Some(open), Some(rotation)) = (&mut self.open, self.settings.rotation) else {
            return;
        };
        let Some(series) = open.series.clone() else {
            return;
        };
        let path = self.path.display();
        if self.settings.sync != Sync::None
            && let Err(error) = sync_data(&open.file)
        {
            // Set aside instead, and its last lines written again.
            self.condemn();
            self.unsure = Some(error);
            return;
        }
        match series.rotate(open.file.as_fd(), rotation.count) {
            Ok(file) => {
                self.torn = None;
                self.schedule.settle();
                self.open = open_regular(file, Some(Arc::clone(&series)));
                let compression = self.settings.compression.unwrap_or_default();
                self.compressor.enqueue(&series, compression);
                series.notify(&self.settings.notify);
                self.prune();
            }
            Err(unfinished) => {
                let next = ROTATION_RETRY.as_secs();
                tracing::warn!(
                    "cannot rotate {path}: {unfinished}; it grows on, next try in {next} s"
                );
                open.rotate_after = Some(Instant::now() + ROTATION_RETRY);
                open.adrift = unfinished.set_aside;
            }
        }
    }

    /// Tidies up what a crash left of a rotation.
    fn recover(&mut self) {
        if let (
            Some(_),
            Some(Open {
                series: Some(series),
                ..
            }),
        ) = (self.settings.rotation, &self.open)
        {
            if let Err(errno) = series.recover() {
                let (path, why) = (self.path.display(), errno.desc());
                tracing::warn!("cannot tidy the rotated files of {path}: {why}");
            }
            let compression = self.settings.compression.unwrap_or_default();
            self.compressor.enqueue(series, compression);
            self.prune();
        }
    }
}

/// fdatasync(2); a file system that has no such thing is content with what it has.
fn sync_data(file: &Descriptor) -> io::Result<()> {
    match file.sync_data() {
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
        synced => synced,
    }
}

fn later(sentence: String, loss: Loss) -> Stop {
    Stop::Retry(Trouble {
        after: RETRY,
        loss,
        sentence,
    })
}

#[cfg(test)]
mod tests;
