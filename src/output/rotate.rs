//! The rotated files of one log: `log`, `log.0`, `log.1.gz`, `log.2.gz`, …, the newest first.
//!
//! ```text
//! log.2.gz -> log.3.gz     the oldest first, never over another file (RENAME_NOREPLACE);
//! log.1.gz -> log.2.gz     what would be past COUNT is unlinked before
//! log.0    -> log.1        from here on due for compression
//! log      -> log.0        plain, so that `tail -F` can finish it
//! .log.new -> log          made with the mode and owner of the file it replaces
//! ```
//!
//! Wherever a crash stops this, every record is in exactly one file and only a number may be missing;
//! [`Series::recover`] closes such holes. The limit: file names, not contents; those of a log called
//! `log` must not be outputs themselves.

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstat, fstatat};

use super::place::{Ownership, Place, Refusal};

/// One log and its rotated files. The worker and the compressor share it.
#[derive(Debug)]
pub struct Series {
    place: Place,
    /// The directory, by device and inode.
    directory: (u64, u64),
    names: Mutex<()>,
    notifying: AtomicBool,
}

/// Whether a rotated file is compressed, and how.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Form {
    /// `log.1`
    Plain,
    /// `log.1.gz`
    Gzip,
    /// `log.1.zst`
    Zstd,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Zstd];

    /// What stands behind the number.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// A rotated file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Aged {
    /// Its number; 0 is the newest.
    pub number: u32,
    /// Whether and how it is compressed.
    pub form: Form,
}

/// What of the rotated files is kept; what is older than a file that is not, neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// So many octets in all.
    pub octets: Option<u64>,
    /// What was last written then or later, in seconds since 1970.
    pub written_since: Option<i64>,
}

/// A rotation that stopped half way.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unfinished {
    /// Whether the open file was renamed already: it is then to be written on, under its new name.
    pub set_aside: bool,
    /// What went wrong.
    pub why: Refusal,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Unlink(OsString),
    Rename(OsString, OsString),
    Create,
    Install,
    SyncDirectory,
}

impl Series {
    /// The series of the log at this place: one for all who name the same entry of the same directory,
    /// so that its lock holds for all of them.
    ///
    /// # Errors
    /// As fstat(2) of the directory.
    pub fn at(place: Place) -> nix::Result<Arc<Self>> {
        static KNOWN: Mutex<Vec<Weak<Series>>> = Mutex::new(Vec::new());
        let stat = fstat(place.as_fd())?;
        let directory = (stat.st_dev, stat.st_ino);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|series| series.strong_count() > 0);
        let same = |series: &Arc<Self>| {
            series.directory == directory && series.place.name() == place.name()
        };
        if let Some(series) = known.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(series);
        }
        let (names, notifying) = (Mutex::new(()), AtomicBool::new(false));
        let series = Arc::new(Self {
            place,
            directory,
            names,
            notifying,
        });
        known.push(Arc::downgrade(&series));
        Ok(series)
    }

    /// The log's own path.
    pub fn path(&self) -> PathBuf {
        self.place.directory().join(self.place.name())
    }

    /// Where the log is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// While this is held no file of the series changes its name.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a rotated file.
    pub fn name_of(&self, aged: Aged) -> OsString {
        name_of(self.place.name(), aged)
    }

    /// The rotated files that are there, the newest first: `log.0` and those that follow on it.
    ///
    /// A crash may leave a hole of one number. What lies beyond a wider one, such as `log.2024`, was made
    /// by somebody else: it is left alone.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> nix::Result<Vec<Aged>> {
        let mut aged: Vec<_> = self
            .entries()?
            .iter()
            .filter_map(|entry| self.parse(entry))
            .collect();
        aged.sort_unstable();
        let mut next = 0;
        let follows_on = |file: &&Aged| {
            let follows_on = file.number <= next + 1;
            next = file.number + 1;
            follows_on
        };
        Ok(aged.iter().take_while(follows_on).copied().collect())
    }

    /// Removes the new file that a crash left unused and closes holes, but for a missing `log.0`. What the
    /// compressor left is its own to go on with.
    ///
    /// # Errors
    /// As readdir(3) and renameat2(2); whatever was not done is harmless and done next time.
    pub fn recover(&self) -> nix::Result<()> {
        let _names = self.lock();
        self.place.unlink(&self.temporary())?;
        let mut numbers: Vec<_> = self.list()?.into_iter().filter(|a| a.number > 0).collect();
        numbers.sort_unstable();
        let (mut before, mut number) = (0, 0);
        for aged in numbers {
            number += u32::from(aged.number != before);
            before = aged.number;
            if aged.number != number {
                let closed = Aged { number, ..aged };
                self.place
                    .rename(&self.name_of(aged), &self.name_of(closed))?;
            }
        }
        Ok(())
    }

    /// Moves every file one up, and puts a new, empty file in the place of `open`, which is the log.
    ///
    /// # Errors
    /// The steps up to the one that failed are done, and none is undone: no record is lost by that.
    pub fn rotate(&self, open: BorrowedFd<'_>, count: u32) -> Result<OwnedFd, Unfinished> {
        let _names = self.lock();
        let early = |errno: Errno| Unfinished {
            set_aside: false,
            why: Refusal::System(errno),
        };
        let like = Ownership::of(&fstat(open).map_err(early)?);
        let aged = self.list().map_err(early)?;
        let mut created = None;
        let mut set_aside = false;
        for step in plan(self.place.name(), &aged, count) {
            self.perform(&step, &like, &mut created)
                .map_err(|why| Unfinished { set_aside, why })?;
            set_aside |= matches!(&step, Step::Rename(from, _) if from == self.place.name());
        }
        created.ok_or(Unfinished {
            set_aside,
            why: Refusal::System(Errno::ENOENT),
        })
    }

    /// Removes the oldest rotated files, the oldest first, until what is left may be kept.
    ///
    /// # Errors
    /// As readdir(3) and unlinkat(2); nothing but the oldest files is gone then.
    pub fn prune(&self, keep: Keep) -> nix::Result<()> {
        if keep.octets.is_none() && keep.written_since.is_none() {
            return Ok(());
        }
        let _names = self.lock();
        let mut files = Vec::new();
        for aged in self.list()? {
            let name = self.name_of(aged);
            let stat = fstatat(self.place.as_fd(), &*name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            files.push((
                name,
                u64::try_from(stat.st_size).unwrap_or(0),
                stat.st_mtime,
            ));
        }
        let mut octets = 0_u64;
        let fits = |(_, size, _): &&(OsString, u64, i64)| {
            octets = octets.saturating_add(*size);
            keep.octets.is_none_or(|most| octets <= most)
        };
        let fitting = files.iter().take_while(fits).count();
        let is_old = |(_, _, written): &&(OsString, u64, i64)| {
            keep.written_since.is_some_and(|since| *written < since)
        };
        let old = files.iter().rev().take_while(is_old).count();
        for (name, _, _) in files.iter().skip(fitting.min(files.len() - old)).rev() {
            self.place.unlink(name)?;
        }
        Ok(())
    }

    fn perform(
        &self,
        step: &Step,
        like: &Ownership,
        created: &mut Option<OwnedFd>,
    ) -> Result<(), Refusal> {
        let temporary = self.temporary();
        match step {
            Step::Unlink(name) => self.place.unlink(name)?,
            Step::Rename(from, to) => self.place.rename(from, to)?,
            Step::Create => {
                self.place.unlink(&temporary)?;
                *created = Some(self.place.create(&temporary, like)?);
            }
            Step::Install => {
                if let Err(error) = self.place.rename(&temporary, self.place.name()) {
                    self.place.unlink(&temporary)?;
                    return Err(error.into());
                }
            }
            Step::SyncDirectory => self.place.sync()?,
        }
        Ok(())
    }

    fn temporary(&self) -> OsString {
        let parts = [&b"."[..], self.place.name().as_bytes(), b".new"];
        OsString::from_vec(parts.concat())
    }

    fn entries(&self) -> nix::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = Dir::openat(self.place.as_fd(), ".", flags, Mode::empty())?;
        dir.into_iter()
            .map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()))
            .collect()
    }

    fn parse(&self, entry: &OsStr) -> Option<Aged> {
        let rest = entry
            .as_bytes()
            .strip_prefix(self.place.name().as_bytes())?;
        let rest = rest.strip_prefix(b".")?;
        let is_of = |form: &Form| rest.ends_with(form.suffix().as_bytes());
        let form = Form::ALL.into_iter().rev().find(is_of)?;
        let digits = rest.strip_suffix(form.suffix().as_bytes())?;
        // "01" is somebody else's: we would not find it again under its number.
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let aged = Aged { number, form };
        (self.name_of(aged) == entry).then_some(aged)
    }

    /// Starts each program with the path of the log; it is waited for elsewhere.
    pub fn notify(self: &Arc<Self>, programs: &Arc<[PathBuf]>) {
        if programs.is_empty() {
            return;
        }
        let path = self.path();
        if self.notifying.swap(true, Relaxed) {
            let path = path.display();
            tracing::warn!(
                "{path} was rotated again before its notify programs ended; not started"
            );
            return;
        }
        let (series, programs) = (Arc::clone(self), Arc::clone(programs));
        let body = move || {
            for program in programs.iter() {
                run(program, &series);
            }
            series.notifying.store(false, Relaxed);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("notify".into())
            .spawn(body)
        {
            self.notifying.store(false, Relaxed);
            let path = path.display();
            tracing::warn!("cannot start the notify programs of {path}: {error}");
        }
    }
}

fn run(program: &PathBuf, series: &Series) {
    let status = Command::new(program)
        .arg(series.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let program = program.display();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!("notify program {program} failed: {status}"),
        Err(error) => tracing::warn!("cannot start notify program {program}: {error}"),
    }
}

fn name_of(log: &OsStr, aged: Aged) -> OsString {
    let mut name = log.to_owned();
    name.push(format!(".{}{}", aged.number, aged.form.suffix()));
    name
}

/// The steps of a rotation, given the files that are there, the newest first.
fn plan(log: &OsStr, aged: &[Aged], count: u32) -> Vec<Step> {
    let mut free = 0;
    while aged.iter().any(|file| file.number == free) {
        free += 1;
    }
    let keep = count.saturating_sub(1);
    let surplus = |file: &Aged| file.number >= count || (free >= count && file.number == keep);
    let newest = Aged {
        number: 0,
        form: Form::Plain,
    };
    let mut steps = Vec::new();
    for file in aged.iter().rev().filter(|file| surplus(file)) {
        steps.push(Step::Unlink(name_of(log, *file)));
    }
    // Only up to the first hole: it takes what comes from below.
    for file in aged.iter().rev() {
        if file.number < free && !surplus(file) {
            let number = file.number + 1;
            let to = Aged { number, ..*file };
            steps.push(Step::Rename(name_of(log, *file), name_of(log, to)));
        }
    }
    steps.push(Step::Rename(log.to_owned(), name_of(log, newest)));
    steps.push(Step::Create);
    steps.push(Step::Install);
    if count == 0 {
        steps.push(Step::Unlink(name_of(log, newest)));
    }
    steps.push(Step::SyncDirectory);
    steps
}

#[cfg(test)]
mod tests;
