//! The file that is open, and how a path becomes one (reliability S6).

use std::ffi::OsString;
use std::fs::File as Descriptor;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::{Group, User};

use super::File;
use crate::output::place::{Ownership, Place, Refusal, is_trusted, kind, kind_name};
use crate::output::rotate::Series;
use crate::sys::extent;

/// The file that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Descriptor,
    pub(super) regular: bool,
    pub(super) inode: (u64, u64),
    pub(super) checked: Instant,
    /// The path names no file, since the new one could not be made: this one is all we have.
    pub(super) adrift: bool,
    pub(super) standing: Standing,
    /// Where it is among its rotated files, if it is rotated.
    pub(super) series: Option<Arc<Series>>,
    pub(super) rotate_after: Option<Instant>,
}

/// What is known of a file on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It was there before, or was synced with its name.
    Named,
    /// It is new: the directory on the disk may not have its name.
    New,
    /// It is new and holds only what is retained to be written again: worth nothing if its sync fails.
    Spare,
}

impl File {
    pub(super) fn open_path(&self) -> Result<Open, Refusal> {
        if let Some(standard) = standard_stream(&self.path) {
            let stat = fstat(&standard)?;
            return Ok(Open::new(standard, &stat, None));
        }
        let place = Place::resolve(&self.path)?;
        let (file, stat, is_new) = self.open_in(&place)?;
        let regular = kind(&stat) == SFlag::S_IFREG;
        if !regular && kind(&stat) != SFlag::S_IFCHR {
            return Err(Refusal::Kind(kind_name(&stat)));
        }
        if regular && stat.st_nlink > 1 {
            return Err(Refusal::HardLinks(stat.st_nlink));
        }
        if place.is_shared() && !is_trusted(&stat) {
            return Err(Refusal::Foreign);
        }
        // It was for the opening only: a FIFO would have hung.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        let is_rotated = regular && self.settings.rotation.is_some();
        let series = is_rotated.then(|| Series::at(place)).transpose()?;
        let mut open = Open::new(file, &stat, series);
        if is_new {
            open.standing = Standing::New;
        }
        Ok(open)
    }

    /// Opens or creates it; tells whether it is new.
    fn open_in(&self, place: &Place) -> Result<(OwnedFd, FileStat, bool), Refusal> {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK;
        let name = place.name();
        let (file, is_new) = match place.open(name, flags) {
            Err(Refusal::System(Errno::ENOENT)) => match place.create(name, &self.ownership()) {
                // Somebody was faster: then it is an existing file.
                Err(Refusal::System(Errno::EEXIST)) => (place.open(name, flags)?, false),
                created => (created?, true),
            },
            // What a FIFO without a reader and a socket answer, which are refused whoever reads.
            Err(Refusal::System(Errno::ENXIO)) => return Err(place.refusal(name, Errno::ENXIO)),
            opened => (opened?, false),
        };
        let stat = fstat(&file)?;
        Ok((file, stat, is_new))
    }

    /// Whom a new file shall belong to: readable for group `adm`, where that exists (S6).
    fn ownership(&self) -> Ownership {
        let path = self.path.display();
        let owner = self.settings.owner.as_deref().and_then(|name| {
            let user = User::from_name(name).ok().flatten();
            if user.is_none() {
                tracing::warn!("{path}: no user is called {name:?}; the new file is our own");
            }
            user.map(|user| user.uid)
        });
        let named = self.settings.group.as_deref();
        let group = Group::from_name(named.unwrap_or("adm")).ok().flatten();
        if let (Some(name), None) = (named, &group) {
            tracing::warn!("{path}: no group is called {name:?}; the new file is of our own");
        }
        Ownership {
            mode: self.settings.mode.unwrap_or(0o640),
            owner,
            group: group.map(|group| group.gid),
        }
    }
}

impl Open {
    pub(super) fn new(file: OwnedFd, stat: &FileStat, series: Option<Arc<Series>>) -> Self {
        Self {
            file: file.into(),
            regular: kind(stat) == SFlag::S_IFREG,
            inode: (stat.st_dev, stat.st_ino),
            checked: Instant::now(),
            adrift: false,
            standing: Standing::Named,
            series,
            rotate_after: None,
        }
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        let same = |meta: std::fs::Metadata| (meta.dev(), meta.ino()) == self.inode;
        standard_stream(path).is_some() || std::fs::metadata(path).is_ok_and(same)
    }

    pub(super) fn size(&self) -> Option<u64> {
        let extent = extent(self.file.as_fd()).filter(|_| self.regular);
        extent.map(|extent| extent.size)
    }

    /// When it was last written, in seconds since 1970.
    pub(super) fn last_write(&self) -> i64 {
        self.file.metadata().map_or(0, |meta| meta.mtime())
    }

    /// The last octet; `None` if there is none, or it may not be read.
    pub(super) fn last_octet(&self) -> Option<u8> {
        use std::os::fd::AsRawFd;
        let at = self.size()?.checked_sub(1)?;
        let readable = Descriptor::open(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()?;
        let mut last = [0];
        readable.read_exact_at(&mut last, at).ok()?;
        Some(last[0])
    }
}

pub(super) fn open_regular(file: OwnedFd, series: Option<Arc<Series>>) -> Option<Open> {
    let stat = fstat(&file).ok()?;
    Some(Open::new(file, &stat, series))
}

/// `/dev/stdout` and `/dev/stderr` are what we were given, whatever that is: a socket cannot be opened.
fn standard_stream(path: &Path) -> Option<OwnedFd> {
    let path: OsString = path.into();
    match path.to_str()? {
        "/dev/stdout" => io::stdout().as_fd().try_clone_to_owned().ok(),
        "/dev/stderr" => io::stderr().as_fd().try_clone_to_owned().ok(),
        _ => None,
    }
}
