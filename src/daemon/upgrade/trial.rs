//! A program that is run to see whether it can go on for us.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::ask::ends_by;
use crate::sys;

/// How a program is tried.
#[derive(Clone, Debug)]
pub(super) struct Trial<'a> {
    /// What is tried, for sentences.
    pub(super) title: &'a str,
    /// Its command line, its name first.
    pub(super) arguments: &'a [OsString],
    /// A variable of its environment.
    pub(super) word: (&'a str, String),
    /// How long it may take.
    pub(super) patience: Duration,
}

impl Trial<'_> {
    /// Runs the program at `path` until it ends; returns what it wrote to its standard output. One that takes too
    /// long is killed.
    ///
    /// # Errors
    /// The rest of a sentence whose subject is the program.
    pub(super) fn run(&self, path: &Path, directory: &Path) -> Result<String, String> {
        let failed = |error: io::Error| format!("cannot be run: {error}");
        let paper = || memfd_create("syslogd check", MFdFlags::MFD_CLOEXEC).map(File::from);
        let (mut said, mut complained) = paper()
            .and_then(|said| Ok((said, paper()?)))
            .map_err(|error| failed(error.into()))?;
        let copy = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
        let (name, words) = match self.arguments.split_first() {
            Some((name, words)) => (name.clone(), words),
            None => (OsString::new(), &[][..]),
        };
        let mut child = Command::new(path)
            .arg0(name)
            .args(words)
            .current_dir(directory)
            .env(self.word.0, &self.word.1)
            .stdin(Stdio::null())
            .stdout(copy(&said)?)
            .stderr(copy(&complained)?)
            .spawn()
            .map_err(failed)?;
        let deadline = Instant::now() + self.patience;
        let has_ended = sys::process_end(child.id()).and_then(|end| ends_by(&end, deadline));
        if !matches!(has_ended, Ok(true)) {
            // Both fail only if it has just ended by itself.
            _ = child.kill();
            _ = child.wait();
            let late = || format!("did not end in {:?}", self.patience);
            return Err(has_ended.err().map_or_else(late, failed));
        }
        let status = child.wait().map_err(failed)?;
        let complaint = text_of(&mut complained);
        if !status.success() {
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.unwrap_or("it said nothing");
            return Err(format!("ended with {status}: {last}"));
        }
        Ok(text_of(&mut said))
    }
}

fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}
