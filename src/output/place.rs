//! A path after its checks: the directory by descriptor, and a last name that is no symbolic link.
//!
//! A log is written by root into directories that others may share, so nobody else must be able to
//! choose where the octets go (reliability V25). A link is followed only if root or our user owns it
//! and nobody else can write to its directory; a directory that everyone can write to must be sticky
//! and belong to root or us. The limit: directories above the last are trusted as they are.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, open, openat, readlinkat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, geteuid, linkat, unlinkat};

/// Why a path is not written to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The system said no.
    #[error("{}", .0.desc())]
    System(#[from] Errno),
    /// Everyone can write to the directory, and it is not sticky or not ours.
    #[error("everyone can write to {}", .0.display())]
    Directory(PathBuf),
    /// Somebody else could have made the link.
    #[error("it is a symbolic link that others could have made")]
    Link,
    /// More than one name leads to the file.
    #[error("it has {0} hard links")]
    HardLinks(u64),
    /// Somebody else made the file in a directory that everyone can write to.
    #[error("it belongs to another user, in a directory that everyone can write to")]
    Foreign,
    /// Neither a regular file nor a device, or no FIFO where one is wanted.
    #[error("it is {0}")]
    Kind(&'static str),
}

/// A directory and a name in it.
#[derive(Debug)]
pub struct Place {
    directory: OwnedFd,
    path: PathBuf,
    name: OsString,
    shared: bool,
}

/// So many links are followed, one after the other.
const LINKS: usize = 8;

impl Place {
    /// Follows the links that can be trusted, and opens the directory.
    ///
    /// # Errors
    /// Says why nothing below this path is to be opened; nothing was created.
    pub fn resolve(path: &Path) -> Result<Self, Refusal> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let Some(name) = path.file_name().map(OsStr::to_owned) else {
                return Err(Refusal::Kind("a directory"));
            };
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
                Some(_) | None => PathBuf::from("."),
            };
            let directory = open_directory(&parent)?;
            let stat = fstat(&directory)?;
            let shared = stat.st_mode & 0o002 != 0;
            if shared && !(stat.st_mode & 0o1000 != 0 && is_trusted(&stat)) {
                return Err(Refusal::Directory(parent));
            }
            let entry = fstatat(&directory, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
            let link = match entry {
                Ok(entry) if kind(&entry) == SFlag::S_IFLNK => entry,
                Ok(_) | Err(_) => {
                    return Ok(Self {
                        directory,
                        path: parent,
                        name,
                        shared,
                    });
                }
            };
            if !is_trusted(&link) || !is_trusted(&stat) || stat.st_mode & 0o022 != 0 {
                return Err(Refusal::Link);
            }
            path = parent.join(readlinkat(&directory, name.as_os_str())?);
        }
        Err(Refusal::System(Errno::ELOOP))
    }

    /// The last name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The directory as the operator knows it.
    pub fn directory(&self) -> &Path {
        &self.path
    }

    /// The directory's descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Whether everyone can create files here.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Opens an entry of the directory, never through a link.
    ///
    /// # Errors
    /// As openat(2); a link is [`Refusal::Link`].
    pub fn open(&self, name: &OsStr, flags: OFlag) -> Result<OwnedFd, Refusal> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        openat(&self.directory, name, flags, Mode::empty()).map_err(|errno| {
            if errno == Errno::ELOOP {
                Refusal::Link
            } else {
                Refusal::System(errno)
            }
        })
    }

    /// Why an entry that could not be opened as a file is refused: it is of another kind, or else the error.
    pub fn refusal(&self, name: &OsStr, errno: Errno) -> Refusal {
        match fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(entry) if matches!(kind(&entry), SFlag::S_IFIFO | SFlag::S_IFSOCK) => {
                Refusal::Kind(kind_name(&entry))
            }
            Ok(_) | Err(_) => Refusal::System(errno),
        }
    }

    /// Creates an entry that nobody had, with exactly this mode, whatever the umask is.
    ///
    /// # Errors
    /// As openat(2), `EEXIST` included. Ownership is given as far as we may.
    pub fn create(&self, name: &OsStr, like: &Ownership) -> Result<OwnedFd, Refusal> {
        let flags = OFlag::O_CREAT
            | OFlag::O_EXCL
            | OFlag::O_NOFOLLOW
            | OFlag::O_RDWR
            | OFlag::O_APPEND
            | OFlag::O_CLOEXEC
            | OFlag::O_NOCTTY;
        let private = Mode::from_bits_truncate(0o600);
        let file = openat(&self.directory, name, flags, private)?;
        // Without CAP_CHOWN a foreign owner or group is refused; the file is then our own.
        if fchown(&file, like.owner, like.group).is_err() && like.owner.is_some() {
            fchown(&file, None, like.group).ok();
        }
        fchmod(&file, Mode::from_bits_truncate(like.mode & 0o7777))?;
        Ok(file)
    }

    /// Renames an entry, never over another.
    ///
    /// # Errors
    /// As renameat2(2), `EEXIST` if the new name is taken.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        let dir = &self.directory;
        match renameat2(dir, from, dir, to, RenameFlags::RENAME_NOREPLACE) {
            // The file system does not know the flag; link(2) does not replace either.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                linkat(dir, from, dir, to, AtFlags::empty())?;
                unlinkat(dir, from, UnlinkatFlags::NoRemoveDir)
            }
            other => other,
        }
    }

    /// Removes an entry; one that is not there is not an error.
    ///
    /// # Errors
    /// As unlinkat(2).
    pub fn unlink(&self, name: &OsStr) -> nix::Result<()> {
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes renames and creations last.
    ///
    /// # Errors
    /// As fsync(2).
    pub fn sync(&self) -> nix::Result<()> {
        match fsync(&self.directory) {
            // Not readable for us (O_PATH), or a file system that cannot: nothing can be done.
            Ok(()) | Err(Errno::EBADF | Errno::EINVAL) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whom a new file belongs to, and who may read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ownership {
    /// Permission bits.
    pub mode: u32,
    /// `None`: our own.
    pub owner: Option<Uid>,
    /// `None`: our own.
    pub group: Option<Gid>,
}

impl Ownership {
    /// The same as an existing file.
    pub fn of(stat: &FileStat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            owner: Some(Uid::from_raw(stat.st_uid)),
            group: Some(Gid::from_raw(stat.st_gid)),
        }
    }
}

/// The type bits of a file.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// What the operator calls this kind of file.
pub fn kind_name(stat: &FileStat) -> &'static str {
    [
        (SFlag::S_IFREG, "a regular file"),
        (SFlag::S_IFDIR, "a directory"),
        (SFlag::S_IFIFO, "a FIFO (write |/path)"),
        (SFlag::S_IFCHR, "a character device"),
        (SFlag::S_IFBLK, "a block device"),
        (SFlag::S_IFSOCK, "a socket"),
        (SFlag::S_IFLNK, "a symbolic link"),
    ]
    .into_iter()
    .find_map(|(flag, name)| (kind(stat) == flag).then_some(name))
    .unwrap_or("no file")
}

/// Whether root or our own user owns it.
pub fn is_trusted(stat: &FileStat) -> bool {
    stat.st_uid == 0 || stat.st_uid == geteuid().as_raw()
}

fn open_directory(path: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match open(path, flags | OFlag::O_RDONLY, Mode::empty()) {
        Err(Errno::EACCES) => open(path, flags | OFlag::O_PATH, Mode::empty()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn s6_links_are_followed_only_where_nobody_else_could_have_made_them() {
        for (mode, want) in [
            (0o755, None),
            (0o775, Some(Refusal::Link)),
            (0o1777, Some(Refusal::Link)),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            symlink("elsewhere", dir.path().join("log")).expect("a link");
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("chmod");
            let got = Place::resolve(&dir.path().join("log"));
            assert_eq!(got.as_ref().err(), want.as_ref(), "{mode:o}");
            if let Ok(place) = got {
                assert_eq!(place.name(), "elsewhere");
            }
        }
    }

    #[test]
    fn s6_a_directory_of_everyone_must_be_sticky() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("chmod");
        let got = Place::resolve(&dir.path().join("log"));
        assert!(matches!(got, Err(Refusal::Directory(_))), "{got:?}");
    }

    #[test]
    fn links_in_a_circle_end() {
        let dir = tempfile::tempdir().expect("a directory");
        symlink("log", dir.path().join("log")).expect("a link");
        let got = Place::resolve(&dir.path().join("log"));
        assert_eq!(got.err(), Some(Refusal::System(Errno::ELOOP)));
    }

    #[test]
    fn a_rename_never_replaces() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), name).expect("a file");
        }
        let place = Place::resolve(&dir.path().join("a")).expect("a place");
        assert_eq!(place.rename("a".as_ref(), "b".as_ref()), Err(Errno::EEXIST));
        assert_eq!(fs::read(dir.path().join("b")).expect("b"), b"b");
    }
}
