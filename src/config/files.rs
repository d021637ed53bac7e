//! The files of a configuration: found by pattern, read, and only trusted if nobody else can write them.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::report::reason;

/// Where the files are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Files<'a> {
    Disk,
    /// Names and texts, for tests and fuzzing.
    Memory(&'a [(&'a str, &'a str)]),
}

/// Why a file of the configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {}", path.display(), reason(.error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{} is not trusted: {reason}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}

/// What an include names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// These, in order; none is fine for a pattern or a directory.
    Files(Vec<PathBuf>),
    /// A path without wildcards that is not there.
    Missing,
    /// Not a pattern.
    Invalid(String),
}

impl Files<'_> {
    /// The files that an include names: sorted, hidden ones left out; of a directory its `*.conf`.
    pub(super) fn expand(self, pattern: &Path) -> Found {
        let text = pattern.to_string_lossy();
        if self.is_directory(pattern) {
            return self.matching(&format!(
                "{}/*.conf",
                Pattern::escape(text.trim_end_matches('/'))
            ));
        }
        if text.contains(['*', '?', '[']) {
            return self.matching(&text);
        }
        if self.is_there(pattern) {
            Found::Files(vec![pattern.to_owned()])
        } else {
            Found::Missing
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is too large, or could have been written by somebody else.
    pub(super) fn read(self, path: &Path) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Disk => read_trusted(path),
            Self::Memory(files) => {
                let found = files.iter().find(|(name, _)| Path::new(name) == path);
                let missing = || unreadable(path, io::ErrorKind::NotFound.into());
                found
                    .map(|(_, text)| text.as_bytes().to_vec())
                    .ok_or_else(missing)
            }
        }
    }

    /// One name for each file, whatever path leads to it.
    pub(super) fn canonical(self, path: &Path) -> PathBuf {
        match self {
            Self::Disk => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            Self::Memory(_) => path.to_owned(),
        }
    }

    fn is_directory(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_dir(),
            Self::Memory(files) => files.iter().any(|(name, _)| {
                let inside = Path::new(name).strip_prefix(path);
                inside.is_ok_and(|rest| !rest.as_os_str().is_empty())
            }),
        }
    }

    fn is_there(self, path: &Path) -> bool {
        match self {
            Self::Disk => path.symlink_metadata().is_ok(),
            Self::Memory(files) => files.iter().any(|(name, _)| Path::new(name) == path),
        }
    }

    fn matching(self, pattern: &str) -> Found {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut found: Vec<PathBuf> = match self {
            Self::Disk => match glob::glob_with(pattern, options) {
                Ok(paths) => match paths.collect::<Result<Vec<PathBuf>, _>>() {
                    Ok(paths) => paths.into_iter().filter(|path| !path.is_dir()).collect(),
                    Err(error) => return Found::Invalid(error.to_string()),
                },
                Err(error) => return Found::Invalid(error.to_string()),
            },
            Self::Memory(files) => match Pattern::new(pattern) {
                Ok(pattern) => {
                    let names = files.iter().map(|(name, _)| *name);
                    names
                        .filter(|name| pattern.matches_with(name, options))
                        .map(PathBuf::from)
                        .collect()
                }
                Err(error) => return Found::Invalid(error.to_string()),
            },
        };
        found.sort();
        Found::Files(found)
    }
}

/// Far more than any configuration, and little enough for a span.
const LARGEST: u64 = 16 << 20;

fn read_trusted(path: &Path) -> Result<Vec<u8>, LoadError> {
    // Neither a FIFO without a writer nor /proc/kmsg may hold us.
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let mut file = options
        .open(path)
        .map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if let Some(reason) = distrust(&metadata) {
        return Err(LoadError::Untrusted {
            path: path.to_owned(),
            reason,
        });
    }
    let mut octets = Vec::new();
    let limited = file.by_ref().take(LARGEST + 1).read_to_end(&mut octets);
    limited.map_err(|error| unreadable(path, error))?;
    if octets.len() as u64 > LARGEST {
        return Err(unreadable(path, io::ErrorKind::FileTooLarge.into()));
    }
    Ok(octets)
}

/// Why a file could be somebody else's words, or none at all. `/dev/null` is an empty configuration.
fn distrust(metadata: &Metadata) -> Option<String> {
    let ours = nix::unistd::geteuid().as_raw();
    if metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3) {
        None
    } else if !metadata.is_file() {
        Some("it is not a regular file".to_owned())
    } else if metadata.mode() & 0o002 != 0 {
        Some("everybody can write it; run chmod o-w".to_owned())
    } else if metadata.uid() != 0 && metadata.uid() != ours {
        Some(format!(
            "it belongs to user {}; run chown root",
            metadata.uid()
        ))
    } else {
        None
    }
}

fn unreadable(path: &Path, error: io::Error) -> LoadError {
    LoadError::Unreadable {
        path: path.to_owned(),
        error,
    }
}
