//! The pid file: where scripts find us, and what keeps a second instance away.
//!
//! ```text
//! /run/syslogd.pid   "4711" LF, mode 0644, locked with flock(2) as long as we run
//! /run/syslog.pid    -> syslogd.pid, for scripts written for other daemons
//! ```
//!
//! The lock counts and not the number: a file that a crash left behind is simply taken over.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::errno::Errno;

use crate::report::reason;
use nix::fcntl::{Flock, FlockArg};

/// Our pid file; it disappears with this value.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: Flock<File>,
    alias: Option<PathBuf>,
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another instance holds it.
    #[error("another syslogd is running{}: it holds {path}", pid_clause(*.pid))]
    Held {
        /// The file.
        path: String,
        /// The number in it, if there is one.
        pid: Option<u32>,
    },
    /// It is a link, a directory, a FIFO or the like.
    #[error("{path} is not a plain file: remove it, or name another with -P")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// The kernel refused.
    #[error("cannot write the pid file {path}: {}", reason(.source))]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

fn pid_clause(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

impl PidFile {
    /// Locks the file and writes our process id into it; to be called by the process that stays.
    ///
    /// # Errors
    /// If another process holds it, or it cannot be written; it is as it was then.
    pub fn claim(path: &Path) -> Result<Self, PidFileError> {
        let shown = path.display().to_string();
        let failed = |source| PidFileError::Io {
            path: shown.clone(),
            source,
        };
        let mut file = loop {
            let file = open(path).map_err(|source| {
                let odd = [libc::ELOOP, libc::EISDIR, libc::ENXIO].map(Some);
                if odd.contains(&source.raw_os_error()) {
                    PidFileError::NotAFile {
                        path: shown.clone(),
                    }
                } else {
                    failed(source)
                }
            })?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(PidFileError::NotAFile { path: shown });
            }
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((file, Errno::EWOULDBLOCK)) => {
                    return Err(PidFileError::Held {
                        path: shown,
                        pid: number_in(file),
                    });
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            // The holder before us may have removed it between our open and our lock.
            if is_at(&file, path) {
                break file;
            }
        };
        let pid = std::process::id();
        file.set_permissions(Permissions::from_mode(0o644))
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{pid}"))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            alias: None,
        })
    }

    /// Goes on with a pid file that another program of this process has locked and written.
    ///
    /// # Errors
    /// If it is not locked by us, or not there any more.
    pub fn resume(path: &Path, file: OwnedFd) -> io::Result<Self> {
        let file = Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            alias: None,
        })
    }

    /// A copy of its descriptor, which shares the lock.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// Makes `alias`, in the same directory, a link to the pid file, unless something else is there.
    ///
    /// # Errors
    /// If the link cannot be made; the pid file itself stands.
    pub fn link(&mut self, alias: &Path) -> io::Result<()> {
        let Some(name) = self.path.file_name() else {
            return Ok(());
        };
        match symlink(name, alias) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Left behind by a crash: ours again. Anything else is not ours to touch.
                if !std::fs::read_link(alias).is_ok_and(|target| target.as_os_str() == name) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
        self.alias = Some(alias.to_owned());
        Ok(())
    }

    /// Sets its time of change to now: how scripts see that a reload is done.
    ///
    /// # Errors
    /// If the kernel refuses; nothing has changed then.
    pub fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }
}

impl Drop for PidFile {
    /// Removes the file and its link if they are still ours.
    fn drop(&mut self) {
        if !is_at(&self.file, &self.path) {
            return;
        }
        if let Some(alias) = &self.alias
            && std::fs::read_link(alias)
                .is_ok_and(|target| Some(target.as_os_str()) == self.path.file_name())
            && let Err(error) = std::fs::remove_file(alias)
        {
            tracing::warn!("cannot remove {}: {}", alias.display(), reason(&error));
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {}", self.path.display(), reason(&error));
        }
    }
}

/// The process that holds the pid file, by the number in it; `None` if nobody does.
///
/// # Errors
/// If the file cannot be read, or holds no number.
pub fn holder(path: &Path) -> io::Result<Option<u32>> {
    let told = |error: &io::Error| format!("cannot read {}: {}", path.display(), reason(error));
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| io::Error::other(told(&error)))?,
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err((file, _)) => number_in(file)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("{} holds no process id", path.display()))),
    }
}

/// The path of a file beside the pid file: its name, a dot, and `what`.
pub fn beside(pid_file: &Path, what: &str) -> PathBuf {
    let mut path = pid_file.as_os_str().to_owned();
    path.push(".");
    path.push(what);
    path.into()
}

/// Locks a file beside the pid file until the lock goes; the file stays, empty.
///
/// # Errors
/// `WouldBlock` if somebody else has the lock, or as open(2).
pub fn lock_beside(pid_file: &Path, what: &str) -> io::Result<Flock<File>> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(beside(pid_file, what))?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    locked.map_err(|(_, errno)| errno.into())
}

/// Writes a file beside the pid file, in one piece; returns where.
///
/// # Errors
/// If the directory does not let us write.
pub fn write_beside(pid_file: &Path, what: &str, text: &str) -> io::Result<PathBuf> {
    let path = beside(pid_file, what);
    let temporary = beside(&path, "tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // create_new follows no link that somebody else put there.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&temporary, &path)?;
    Ok(path)
}

/// The name that inetutils, FreeBSD and OpenBSD use, beside the default pid file.
pub const ALIAS: &str = "/run/syslog.pid";

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// Whether the open file is the one that the path names.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        (Ok(_) | Err(_), _) => false,
    }
}

fn number_in(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn it_holds_our_pid_for_everyone_to_read_and_goes_away_with_us() {
        let directory = directory();
        let path = directory.path().join("syslogd.pid");
        fs::write(&path, "99999999 left by a crash\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let pid_file = PidFile::claim(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        drop(pid_file);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_instance_is_refused_with_the_pid_of_the_first() {
        let directory = directory();
        let path = directory.path().join("syslogd.pid");
        let first = PidFile::claim(&path).unwrap();
        let refused = PidFile::claim(&path).expect_err("it is locked").to_string();
        let pid = std::process::id();
        let path = path.display();
        let want = format!("another syslogd is running (pid {pid}): it holds {path}");
        assert_eq!(refused, want);
        drop(first);
    }

    #[test]
    fn links_directories_and_fifos_are_refused() {
        let directory = directory();
        let target = directory.path().join("target");
        fs::write(&target, "precious").unwrap();
        let link = directory.path().join("link");
        symlink(&target, &link).unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [link.as_path(), directory.path(), fifo.as_path()] {
            let refused = PidFile::claim(path).expect_err("not a plain file");
            let not_a_file = matches!(refused, PidFileError::NotAFile { .. });
            assert!(not_a_file, "{}: {refused}", path.display());
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn an_impossible_path_is_told_in_the_words_of_the_kernel() {
        let refused = PidFile::claim(Path::new("/nonexistent/x.pid")).expect_err("no directory");
        let want = "cannot write the pid file /nonexistent/x.pid: No such file or directory";
        assert_eq!(refused.to_string(), want);
    }

    #[test]
    fn a_file_that_took_our_place_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("syslogd.pid");
        let pid_file = PidFile::claim(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(pid_file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn the_other_name_is_a_link_and_only_our_own_is_removed() {
        let directory = directory();
        let alias = directory.path().join("syslog.pid");
        let mut pid_file = PidFile::claim(&directory.path().join("syslogd.pid")).unwrap();
        pid_file.link(&alias).unwrap();
        assert_eq!(fs::read_link(&alias).unwrap(), Path::new("syslogd.pid"));
        drop(pid_file);
        assert!(fs::symlink_metadata(&alias).is_err());

        fs::write(&alias, "1\n").unwrap();
        let mut pid_file = PidFile::claim(&directory.path().join("syslogd.pid")).unwrap();
        pid_file.link(&alias).unwrap();
        drop(pid_file);
        assert_eq!(fs::read_to_string(&alias).unwrap(), "1\n");
    }

    #[test]
    fn a_reload_touches_it() {
        let directory = directory();
        let path = directory.path().join("syslogd.pid");
        let pid_file = PidFile::claim(&path).unwrap();
        pid_file.file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        pid_file.touch().unwrap();
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
    }
}
