//! Sockets in the file system: `/dev/log` and the like.
//!
//! A socket is bound under a temporary name beside its own and renamed into place, so that the path is
//! never absent: a program that logs in that moment would fail.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};

/// The mode of a socket where everybody may log.
pub const FOR_EVERYBODY: u32 = 0o666;

/// A socket's place in the file system, so that only our own is ever removed.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// The place of the socket that lies at `path`; `None` if none does.
    pub fn at(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        metadata.file_type().is_socket().then(|| Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// The place of a socket of this path, device and inode.
    pub fn of(path: PathBuf, device: u64, inode: u64) -> Self {
        Self {
            path,
            device,
            inode,
        }
    }

    /// Its path, device and inode.
    pub fn parts(&self) -> (&Path, u64, u64) {
        (&self.path, self.device, self.inode)
    }

    /// Whether the socket is still there.
    pub fn is_kept(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode))
    }

    /// Unlinks the socket, if what lies there is still the one that we put there.
    pub fn remove(&self) {
        if self.is_kept()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// What kind of socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// One datagram is one message.
    Datagram,
    /// A stream, framed like TCP.
    Stream,
}

impl Kind {
    fn socket(self) -> nix::Result<OwnedFd> {
        let kind = match self {
            Self::Datagram => SockType::Datagram,
            Self::Stream => SockType::Stream,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Unix, kind, flags, None)
    }
}

/// Binds a socket at `path` with this mode; a socket that nobody listens on any more is replaced.
///
/// # Errors
/// If somebody still listens there, if something that is no socket lies there, or if the directory does
/// not let us.
pub fn open(path: &Path, kind: Kind, mode: u32) -> io::Result<(OwnedFd, Place)> {
    refuse_if_taken(path, kind)?;
    let socket = kind.socket()?;
    let temporary = temporary_name(path)?;
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    bind(socket.as_raw_fd(), &UnixAddr::new(&temporary)?)?;
    let placed = place(&socket, &temporary, path, kind, mode);
    if placed.is_err() {
        // The first error is the one that counts.
        _ = fs::remove_file(&temporary);
    }
    placed.map(|place| (socket, place))
}

fn place(
    socket: &OwnedFd,
    temporary: &Path,
    path: &Path,
    kind: Kind,
    mode: u32,
) -> io::Result<Place> {
    fs::set_permissions(temporary, fs::Permissions::from_mode(mode))?;
    if kind == Kind::Stream {
        listen(socket, Backlog::new(1024)?)?;
    }
    let metadata = fs::symlink_metadata(temporary)?;
    fs::rename(temporary, path)?;
    Ok(Place {
        path: path.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// The name beside `path` under which its socket is made.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("not the path of a socket"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn refuse_if_taken(path: &Path, kind: Kind) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if metadata.is_symlink() {
        return Err(io::Error::other(
            "it is a symbolic link, and whose socket it names is not known: remove it if that logger is gone, or name another",
        ));
    }
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other("something that is no socket lies there"));
    }
    // Only a socket without a listener refuses; of another kind or with a full queue it is in use.
    match connect(kind.socket()?.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(nix::errno::Errno::ECONNREFUSED) => Ok(()),
        Ok(()) | Err(_) => Err(io::Error::other(
            "another process listens there: stop it first, or name another",
        )),
    }
}
