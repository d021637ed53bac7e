//! A directory of the spool, by descriptor, and what may lie in it.
//!
//! It is ours alone, unlike those of logs: a symbolic link, a file with two names, and whatever belongs to
//! somebody else is refused (reliability S6), and so is a directory that was put in its place (F37).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, geteuid, unlinkat};

/// Why a directory or a file is not used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The system said no.
    #[error("{}", .0.desc())]
    System(#[from] Errno),
    /// It is a symbolic link.
    #[error("it is a symbolic link")]
    Link,
    /// It is something else than it must be.
    #[error("it is no {0}")]
    Kind(&'static str),
    /// It belongs to somebody else.
    #[error("it belongs to another user")]
    Foreign,
    /// Others can write to it.
    #[error("others can write to it: chmod 700")]
    Open,
    /// A file has a second name.
    #[error("it has {0} hard links")]
    HardLinks(u64),
    /// Another directory, or nothing, is in its place.
    #[error("it was replaced while it was in use: restart syslogd, or put it back")]
    Replaced,
    /// Another program has it.
    #[error("another syslogd uses it")]
    InUse,
    /// All that it may hold is in use.
    #[error("it is full")]
    Full,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        let number = error.raw_os_error();
        Self::System(number.map_or(Errno::EIO, Errno::from_raw))
    }
}

/// A directory that was looked at.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens the directory at `path`, or makes it.
    pub(super) fn at(path: &Path) -> Result<Self, Refusal> {
        make(AT_FDCWD, path)?;
        open(AT_FDCWD, path)
    }

    /// Opens the directory at `path`; `None` if there is none.
    pub(super) fn existing(path: &Path) -> Result<Option<Self>, Refusal> {
        match open(AT_FDCWD, path) {
            Err(Refusal::System(Errno::ENOENT)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Opens the directory `name` in this one; `None` if there is none.
    pub(super) fn child(&self, name: &str) -> Result<Option<Self>, Refusal> {
        match open(&self.0, Path::new(name)) {
            Err(Refusal::System(Errno::ENOENT)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Opens the directory `name` in this one, or makes it.
    pub(super) fn make_child(&self, name: &str) -> Result<Self, Refusal> {
        make(&self.0, Path::new(name))?;
        open(&self.0, Path::new(name))
    }

    /// Whether it is the one that is at `path`.
    pub(super) fn is_at(&self, path: &Path) -> Result<(), Refusal> {
        self.is_same(fstatat(AT_FDCWD, path, AtFlags::AT_SYMLINK_NOFOLLOW))
    }

    /// Whether it is the one that is called `name` in `parent`.
    pub(super) fn is_in(&self, parent: &Self, name: &str) -> Result<(), Refusal> {
        self.is_same(fstatat(&parent.0, name, AtFlags::AT_SYMLINK_NOFOLLOW))
    }

    fn is_same(&self, there: nix::Result<FileStat>) -> Result<(), Refusal> {
        let own = fstat(&self.0)?;
        match there {
            Ok(there) if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino) => Ok(()),
            Ok(there) if kind(&there) == SFlag::S_IFLNK => Err(Refusal::Link),
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Refusal::Replaced),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a file that is there; `None` if it is not.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, Refusal> {
        // Without O_NONBLOCK a FIFO would have us wait.
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = match openat(&self.0, name, flags | OFlag::O_NOCTTY, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(Refusal::Link),
            Err(Errno::EISDIR | Errno::ENXIO) => return Err(Refusal::Kind("regular file")),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&file)?;
        if kind(&stat) != SFlag::S_IFREG {
            return Err(Refusal::Kind("regular file"));
        }
        if !is_ours(&stat) {
            return Err(Refusal::Foreign);
        }
        if stat.st_nlink != 1 {
            return Err(Refusal::HardLinks(stat.st_nlink));
        }
        Ok(Some(file.into()))
    }

    /// Makes a file that is not there yet, for us alone.
    pub(super) fn create(&self, name: &str) -> Result<File, Refusal> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Mode::from_bits_truncate(0o600);
        Ok(openat(&self.0, name, flags, private)?.into())
    }

    /// Renames a file to `to`, never over another; false if that name is taken.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<bool, Refusal> {
        let how = RenameFlags::RENAME_NOREPLACE;
        match renameat2(&self.0, from, &self.0, to, how) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) -> Result<(), Refusal> {
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes creations and removals last.
    pub(super) fn sync(&self) -> Result<(), Refusal> {
        Ok(fsync(&self.0)?)
    }

    /// The names in it, and how long what they name is if it is a regular file.
    pub(super) fn entries(&self) -> Result<Vec<(String, Option<u64>)>, Refusal> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut listing = Dir::openat(&self.0, ".", flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in listing.iter() {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            // Names of ours are ASCII, and others mean nothing to us.
            let Some(name) = name.to_str().filter(|name| ![".", ".."].contains(name)) else {
                continue;
            };
            let stat = fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let octets = u64::try_from(stat.st_size).ok();
            let octets = octets.filter(|_| kind(&stat) == SFlag::S_IFREG);
            entries.push((name.to_owned(), octets));
        }
        entries.sort();
        Ok(entries)
    }
}

fn make(parent: impl std::os::fd::AsFd, name: &Path) -> Result<(), Refusal> {
    match mkdirat(parent, name, Mode::from_bits_truncate(0o700)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn open(parent: impl std::os::fd::AsFd, name: &Path) -> Result<Directory, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = match openat(&parent, name, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            let stat = fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            return Err(if kind(&stat) == SFlag::S_IFLNK {
                Refusal::Link
            } else {
                Refusal::Kind("directory")
            });
        }
        Err(errno) => return Err(errno.into()),
    };
    let stat = fstat(&directory)?;
    if !is_ours(&stat) {
        return Err(Refusal::Foreign);
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Refusal::Open);
    }
    Ok(Directory(directory))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// What root made is ours, too: it may have started us before we became another user.
fn is_ours(stat: &FileStat) -> bool {
    stat.st_uid == 0 || stat.st_uid == geteuid().as_raw()
}
