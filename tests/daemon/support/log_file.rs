//! A file that the daemon writes.

use std::path::{Path, PathBuf};

use super::{DEADLINE, within};

/// A file that the daemon writes, perhaps not yet there.
pub(crate) struct LogFile(PathBuf);

impl LogFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Its octets now; none if it is not there.
    pub(crate) fn octets(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap_or_default()
    }

    /// Its whole lines now.
    pub(crate) fn lines(&self) -> Vec<String> {
        let octets = self.octets();
        let whole = octets
            .iter()
            .rposition(|octet| *octet == b'\n')
            .map_or(0, |end| end + 1);
        let text = String::from_utf8(octets[..whole].to_vec()).expect("log files are UTF-8");
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    /// Waits for a line that holds `text`, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let found = within(DEADLINE, || {
            self.lines().into_iter().find(|line| line.contains(text))
        });
        found.unwrap_or_else(|| unwritten(self, text))
    }

    /// Waits for `count` lines at least, and returns all.
    #[track_caller]
    pub(crate) fn wait_for_lines(&self, count: usize) -> Vec<String> {
        let enough = within(DEADLINE, || {
            let ends = memchr::memchr_iter(b'\n', &self.octets()).count();
            (ends >= count).then_some(())
        });
        enough.unwrap_or_else(|| unwritten(self, &format!("{count} lines")));
        self.lines()
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "it fails a test")]
fn unwritten(file: &LogFile, what: &str) -> ! {
    let lines = file.lines();
    let last = &lines[lines.len().saturating_sub(20)..];
    panic!(
        "waited in vain for {what:?} in {} ({} lines): {last:#?}",
        file.0.display(),
        lines.len()
    );
}
