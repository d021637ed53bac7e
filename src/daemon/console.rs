//! The kernel's own messages on the console: off while they are in the log, as sysklogd does, unless `-l`.
//!
//! ```text
//! /proc/sys/kernel/printk    7 4 1 7       the first number is the console's level, the third its least
//!                            1 4 1 7       while we run; only emergencies are printed
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// A console that was quietened, and how loud it was before.
#[derive(Debug)]
pub(super) struct Console {
    path: PathBuf,
    before: u8,
    least: u8,
}

impl Console {
    /// Turns the console down. `None` if it is quiet already, or if we may not: then it stays as it is.
    pub(super) fn quieten() -> Option<Self> {
        Self::quieten_at(Path::new("/proc/sys/kernel/printk"))
    }

    fn quieten_at(path: &Path) -> Option<Self> {
        let (before, least) = levels(path)?;
        if before <= least {
            return None;
        }
        if let Err(error) = fs::write(path, format!("{least}\n")) {
            tracing::debug!("cannot turn down the console: {}: {error}", path.display());
            return None;
        }
        let path = path.to_owned();
        Some(Self {
            path,
            before,
            least,
        })
    }

    /// Makes it as loud as it was, unless somebody else has changed it since.
    pub(super) fn restore(self) {
        let Self {
            path,
            before,
            least,
        } = self;
        if levels(&path).is_some_and(|(now, _)| now == least)
            && let Err(error) = fs::write(&path, format!("{before}\n"))
        {
            tracing::warn!(
                "cannot turn up the console again: {}: {error}",
                path.display()
            );
        }
    }
}

/// The console's level, and the least that it may have.
fn levels(path: &Path) -> Option<(u8, u8)> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_ascii_whitespace();
    let now = numbers.next()?.parse().ok()?;
    let least = numbers.nth(1)?.parse().ok()?;
    Some((now, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_turned_down_to_its_least_and_up_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("printk");
        let now = || fs::read_to_string(&path).expect("it is there");
        // The kernel takes the first number alone, and shows all four.
        fs::write(&path, "7\t4\t1\t7\n").expect("it can be written");
        let console = Console::quieten_at(&path).expect("it was loud");
        assert_eq!(now(), "1\n");
        fs::write(&path, "1\t4\t1\t7\n").expect("it can be written");
        console.restore();
        assert_eq!(now(), "7\n");
    }

    #[test]
    fn a_console_that_somebody_else_changed_stays_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("printk");
        fs::write(&path, "7\t4\t1\t7\n").expect("it can be written");
        let console = Console::quieten_at(&path).expect("it was loud");
        fs::write(&path, "3\t4\t1\t7\n").expect("it can be written");
        console.restore();
        let now = fs::read_to_string(&path).expect("it is there");
        assert_eq!(now, "3\t4\t1\t7\n");
    }

    #[test]
    fn a_quiet_console_or_none_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("printk");
        assert!(Console::quieten_at(&path).is_none());
        fs::write(&path, "1\t4\t1\t7\n").expect("it can be written");
        assert!(Console::quieten_at(&path).is_none());
    }
}
