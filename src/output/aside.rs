//! A file that failed to reach the disk, and its way out of the way.
//!
//! ```text
//! log, whose sync failed  ─► log.unsynced-0       kept for whoever wants to look
//! its successor likewise  ─► removed              all that is in it is written again
//! ```
//!
//! Pages that the kernel could not write are clean for the next fdatasync(2), which then succeeds and
//! proves nothing (reliability 0.6): the inode is given up. The limit: where we may not rename, we go on
//! with it; the lines are written again all the same, and these pages are new.

use std::ffi::OsString;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;

use super::place::{Place, Refusal};

/// So many files are set aside before somebody has to look.
const MOST: u32 = 1000;

/// A file that is written no more.
#[derive(Clone, Copy, Debug)]
pub struct Condemned {
    inode: (u64, u64),
    /// Nothing is in it that is not written again.
    is_spare: bool,
}

impl Condemned {
    /// The file with this device and inode.
    pub fn new(inode: (u64, u64), is_spare: bool) -> Self {
        Self { inode, is_spare }
    }

    /// Makes sure that it is not at `path` any more, and says where it went.
    ///
    /// # Errors
    /// As renameat2(2) and unlinkat(2), but not if we may not: then it stays.
    pub fn set_aside(&self, path: &Path) -> Result<(), Refusal> {
        let place = Place::resolve(path)?;
        match fstatat(place.as_fd(), place.name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == self.inode => {}
            // Somebody else has moved it.
            Ok(_) | Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let moved = if self.is_spare {
            place.unlink(place.name()).map(|()| None)
        } else {
            rename(&place).map(Some)
        };
        let (path, why) = (path.display(), "its sync failed");
        match moved {
            Ok(Some(name)) => {
                let to = place.directory().join(name);
                let to = to.display();
                tracing::warn!("what was {path} is {to} from now on: {why}");
            }
            Ok(None) => {}
            Err(errno @ (Errno::EACCES | Errno::EPERM)) => {
                let errno = errno.desc();
                tracing::warn!("{path} is written on although {why}: cannot rename it: {errno}");
            }
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

fn rename(place: &Place) -> nix::Result<OsString> {
    for number in 0..MOST {
        let mut name = place.name().to_owned();
        name.push(format!(".unsynced-{number}"));
        match place.rename(place.name(), &name) {
            Err(Errno::EEXIST) => {}
            renamed => return renamed.map(|()| name),
        }
    }
    Err(Errno::EEXIST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    fn inode(path: &Path) -> (u64, u64) {
        let meta = fs::metadata(path).expect("a file");
        (meta.dev(), meta.ino())
    }

    #[test]
    fn s7_a_file_set_aside_replaces_no_other_and_an_empty_shell_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        for number in 0..2 {
            fs::write(&path, format!("{number}")).expect("a file");
            let condemned = Condemned::new(inode(&path), false);
            condemned.set_aside(&path).expect("set aside");
            condemned.set_aside(&path).expect("done already");
            let aside = dir.path().join(format!("log.unsynced-{number}"));
            assert_eq!(fs::read_to_string(aside).ok(), Some(number.to_string()));
        }
        fs::write(&path, "a successor").expect("a file");
        let other = Condemned::new((0, 0), true);
        other.set_aside(&path).expect("not that file");
        assert!(path.exists());
        let spare = Condemned::new(inode(&path), true);
        spare.set_aside(&path).expect("removed");
        assert!(!path.exists());
    }
}
