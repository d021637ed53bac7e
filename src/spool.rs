//! The spool: messages on a disk, in order, for outputs that are behind (reliability S3, S10).
//!
//! ```text
//! /var/spool/syslogd/          ours alone, 0700
//!   lock                       held while we run
//!   var-log-messages-1f0c…/    an output, by its name and a hash of it
//!     name                     its name, whole
//!     0000000100000000.seg     segments of 4 MiB at most, named after their first message
//!     cursor                   how far they were delivered
//!     *.unreadable             what could not be read: never removed by us
//! ```
//!
//! A [`Queue`] is one output's. Appended is what a crash of ours may not lose: nothing is synced but what a removal
//! depends on. Nothing here is fatal: what cannot be is a [`Refusal`], and what cannot be read is set aside, named
//! and counted.

mod cursor;
mod directory;
mod leaving;
mod queue;
mod reading;
mod recovery;
pub mod segment;
mod unused;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

pub use cursor::{Cursor, Found};
pub use directory::Refusal;
pub use leaving::Outstanding;
pub use queue::Queue;
pub use reading::Taken;
pub use unused::{Unused, unused};

use directory::Directory;

/// Keeps others out of the directory.
const LOCK: &str = "lock";

/// Has the name of an output.
const NAME: &str = "name";

/// How much of such a file is read.
const LONGEST_NAME: u64 = 64 * 1024;

/// What the names of segments end in.
const SEGMENT: &str = ".seg";

/// The directory, and what it may hold.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    directory: Directory,
    limit: AtomicU64,
    used: AtomicU64,
    /// Whether there was no room when it was asked for last.
    is_full: AtomicBool,
    _lock: Flock<File>,
}

impl Spool {
    /// How much it may hold unless the configuration says, in octets.
    pub const DEFAULT: u64 = 256 << 20;

    /// Opens the directory at `path`, or makes it, and locks it; it may hold `limit` octets of segments.
    ///
    /// # Errors
    /// If it is not a directory of ours alone, or another process has it.
    pub fn open(path: &Path, limit: u64) -> Result<Self, Refusal> {
        let directory = Directory::at(path)?;
        let lock = match directory.open(LOCK)? {
            Some(lock) => lock,
            None => directory.create(LOCK)?,
        };
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            if errno == Errno::EWOULDBLOCK {
                Refusal::InUse
            } else {
                Refusal::System(errno)
            }
        })?;
        let spool = Self {
            path: path.to_owned(),
            directory,
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            _lock: lock,
        };
        let mut used = 0;
        for (_, output) in outputs(&spool.directory)? {
            for (name, octets) in output.entries()? {
                if name.contains(SEGMENT) {
                    used += octets.unwrap_or(0);
                }
            }
        }
        spool.used.store(used, Relaxed);
        Ok(spool)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How much it may hold, in octets.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Another limit (a reload). What is over it stays.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Relaxed);
    }

    /// A segment that is longer gets no more records, so that room is freed bit by bit.
    fn longest_segment(&self) -> u64 {
        const LONGEST: u64 = 4 << 20;
        const AT_LEAST: u64 = 16;
        (self.limit() / AT_LEAST).min(LONGEST)
    }

    /// The octets of all segments, those included that could not be read.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Takes so many octets of what it may hold; false if they are not there. Once they are not, there must be room for
    /// a segment: what fits into the last gap would have senders believe that there is hope.
    fn reserve(&self, octets: u64) -> bool {
        let limit = self.limit();
        let wanted = if self.is_full.load(Relaxed) {
            octets.max(self.longest_segment())
        } else {
            octets
        };
        let more = |used: u64| {
            let fits = used.checked_add(wanted).is_some_and(|used| used <= limit);
            fits.then_some(used + octets)
        };
        let is_reserved = self.used.fetch_update(Relaxed, Relaxed, more).is_ok();
        self.is_full.store(!is_reserved, Relaxed);
        is_reserved
    }

    fn release(&self, octets: u64) {
        let fewer = |used: u64| Some(used.saturating_sub(octets));
        // It always has an answer.
        _ = self.used.fetch_update(Relaxed, Relaxed, fewer).is_ok();
    }
}

/// The directories of outputs, and their names.
fn outputs(spool: &Directory) -> Result<Vec<(String, Directory)>, Refusal> {
    let mut outputs = Vec::new();
    for (name, octets) in spool.entries()? {
        if octets.is_some() {
            continue;
        }
        // What is not ours is refused, and told, when an output wants it.
        if let Ok(Some(output)) = spool.child(&name) {
            outputs.push((name, output));
        }
    }
    Ok(outputs)
}

/// The name of the output that a directory is of.
fn name_in(directory: &Directory) -> Option<String> {
    let file = directory.open(NAME).ok()??;
    let mut name = String::new();
    file.take(LONGEST_NAME).read_to_string(&mut name).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// What the directory of an output is called: what can be read of its name, and a hash of all of it.
fn directory_name(output: &str) -> String {
    /// FNV-1a with 64 bits.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    /// Of a name that is to fit into 255 octets.
    const LONGEST: usize = 40;
    let hash = output.bytes().fold(OFFSET, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(PRIME)
    });
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let readable: String = output.chars().take(LONGEST).map(plain).collect();
    format!("{}-{hash:016x}", readable.trim_matches('-'))
}

#[cfg(test)]
mod tests;
