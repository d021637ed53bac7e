//! A program that is run to see whether it can go on for us.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::ask::ends_by;
use crate::sys;

/// What a program may say, in octets; more is an error where it writes.
const PAPER: u64 = 1 << 20;

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
    /// long is killed, and so are those that it has started in its process group: they have our sockets.
    ///
    /// # Errors
    /// The rest of a sentence whose subject is the program.
    pub(super) fn run(&self, path: &Path, directory: &Path) -> Result<String, String> {
        let failed = |error: io::Error| format!("cannot be run: {error}");
        let (mut said, mut complained) = paper()
            .and_then(|said| Ok((said, paper()?)))
            .map_err(failed)?;
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
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let deadline = Instant::now() + self.patience;
        let has_ended = sys::process_end(child.id()).and_then(|end| ends_by(&end, deadline));
        // Before anybody waits for it, so that the number is still its own. Fails only if none is left.
        if let Ok(group) = i32::try_from(child.id()) {
            _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        if !matches!(has_ended, Ok(true)) {
            _ = child.wait();
            let late = || format!("did not end in {:?}", self.patience);
            return Err(has_ended.err().map_or_else(late, failed));
        }
        let status = child.wait().map_err(failed)?;
        let complaint = text_of(&mut complained);
        if !status.success() {
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.unwrap_or("it said nothing");
            let last: String = last.chars().take(LAST_WORDS).map(shown).collect();
            return Err(format!("ended with {status}: {last}"));
        }
        Ok(text_of(&mut said))
    }
}

/// As much of its last line as a sentence has room for.
const LAST_WORDS: usize = 300;

/// A control character would be the terminal's.
fn shown(character: char) -> char {
    if character.is_control() {
        '?'
    } else {
        character
    }
}

/// Where a program writes: it ends at [`PAPER`] octets, so that no program fills the memory.
fn paper() -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let paper = File::from(memfd_create("syslogd check", flags)?);
    paper.set_len(PAPER)?;
    fcntl(&paper, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW))?;
    Ok(paper)
}

/// What was written, by whoever shares this descriptor's place in the file.
fn text_of(paper: &mut File) -> String {
    let mut text = Vec::new();
    let read = paper.stream_position().and_then(|end| {
        paper.rewind()?;
        paper.take(end).read_to_end(&mut text)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(script: &str, patience: Duration) -> Result<String, String> {
        let arguments = ["sh", "-c", script].map(OsString::from);
        let trial = Trial {
            title: "test",
            arguments: &arguments,
            word: ("SYSLOGD_TEST", "1".to_owned()),
            patience,
        };
        trial.run(Path::new("/bin/sh"), Path::new("/"))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn what_it_says_is_bounded_and_its_last_words_cannot_harm_a_terminal() {
        assert_eq!(tried("echo yes; echo more", LONG), Ok("yes\nmore\n".into()));
        let said = tried("head -c 3000000 /dev/zero; :", LONG).expect("it ends well");
        assert!(u64::try_from(said.len()).is_ok_and(|length| length <= PAPER));
        let why = tried("printf 'a\\033[2Jb' >&2; exit 3", LONG).expect_err("it fails");
        assert!(why.ends_with("exit status: 3: a?[2Jb"), "{why}");
    }

    #[test]
    fn whom_it_started_ends_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        for (end, patience) in [
            ("exit 0", LONG),
            ("exit 1", LONG),
            ("wait", Duration::from_secs(2)),
        ] {
            let note = directory.path().join("pid");
            let script = format!("sleep 600 & echo $! >{}; {end}", note.display());
            let tried = tried(&script, patience);
            assert_eq!(tried.is_ok(), end == "exit 0", "{tried:?}");
            let number = std::fs::read_to_string(&note).expect("it is written");
            let number = number.trim().parse().expect("a number");
            // There is none to wait for if it has ended already.
            if let Ok(process) = sys::process_end(number) {
                assert!(ends_by(&process, Instant::now() + LONG).expect("poll(2)"));
            }
        }
    }
}
