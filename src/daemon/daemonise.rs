//! Going to the background: the process that was started waits until the daemon works, then ends.
//!
//! ```text
//! started ──fork──► leader ──fork──► daemon            parent 1 (or the nearest subreaper), no terminal
//!    │                 │ setsid, ends   │
//!    └─ waits ◄────────┴─ status, text ─┘  a pipe: one octet, then why if it is not 0
//! ```
//!
//! So a script that starts us knows from the exit status whether messages are received. Standard
//! error stays open until then, for warnings about the configuration.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};

use crate::report;
use crate::sys::{Fork, fork};

/// Which process we are after [`daemonise`].
#[derive(Debug)]
pub enum Side {
    /// The one that was started: the daemon works, or has told why not. To end with this status.
    Started(ExitCode),
    /// The daemon.
    Daemon(Ready),
}

/// The daemon's promise to tell whoever started it how the start went.
///
/// Dropped without a word, it tells that the daemon ended before it was ready.
#[derive(Debug)]
#[must_use = "somebody waits for the word"]
pub struct Ready(Option<File>);

impl Ready {
    /// For a process in the foreground: nobody waits.
    pub fn nobody_waits() -> Self {
        Self(None)
    }

    /// Sockets are bound, the configuration is loaded, the pid file is written: lets the one who
    /// started us go, and leaves standard error.
    ///
    /// # Errors
    /// If /dev/null cannot be opened. The start counts as failed unless this returns `Ok`.
    pub fn notify(self) -> io::Result<()> {
        let Some(mut pipe) = self.0 else {
            return Ok(());
        };
        dup2_stderr(null()?)?;
        // Whoever started us may be gone; the daemon is none the worse.
        match pipe.write_all(&[0]) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The start failed: the one who started us prints the reason, and ends with this status.
    ///
    /// What the daemon itself prints after this goes nowhere, so that the reason is read once.
    /// In the foreground this does nothing.
    pub fn fail(self, status: u8, reason: &str) {
        let Some(mut pipe) = self.0 else {
            return;
        };
        let told = pipe.write_all(&[&[status.max(1)], reason.as_bytes()].concat());
        if told.is_ok()
            && let Ok(null) = null()
            && dup2_stderr(null).is_err()
        {
            report::complain("cannot leave standard error");
        }
    }
}

/// Goes to the background; returns twice, once in each process.
///
/// To be called before any thread exists. The daemon has its own session without a terminal, the
/// working directory `/`, umask 022, and /dev/null as standard input and output.
///
/// # Errors
/// If the kernel refuses; nobody has become a daemon then.
pub fn daemonise() -> io::Result<Side> {
    // No child inherits the pipe by exec(2), or the wait would never end.
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    if let Fork::Parent(leader) = fork()? {
        drop(writer);
        waitpid(leader, None)?;
        return Ok(Side::Started(wait(File::from(reader))));
    }
    drop(reader);
    let ready = Ready(Some(File::from(writer)));
    match become_daemon() {
        Ok(Fork::Child) => Ok(Side::Daemon(ready)),
        // The leader of the session; the daemon keeps its own copy of the pipe.
        Ok(Fork::Parent(_)) => Ok(Side::Started(ExitCode::SUCCESS)),
        Err(error) => {
            ready.fail(EX_OSERR, &format!("cannot become a daemon: {error}"));
            Ok(Side::Started(ExitCode::FAILURE))
        }
    }
}

fn become_daemon() -> io::Result<Fork> {
    setsid()?;
    // A process that leads no session cannot get a terminal by opening one, such as /dev/console.
    let forked = fork()?;
    if forked == Fork::Child {
        chdir("/")?;
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        let null = null()?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
    }
    Ok(forked)
}

/// Waits for the word of the daemon, prints the reason if it failed; returns how to end.
fn wait(mut pipe: File) -> ExitCode {
    let mut word = Vec::new();
    if let Err(error) = pipe.read_to_end(&mut word) {
        report::complain(&format!("cannot hear the daemon: {error}"));
        return ExitCode::FAILURE;
    }
    match word.split_first() {
        Some((0, _)) => ExitCode::SUCCESS,
        Some((status, reason)) => {
            report::complain(&String::from_utf8_lossy(reason));
            ExitCode::from(*status)
        }
        None => {
            report::complain("the daemon ended before it was ready");
            ExitCode::FAILURE
        }
    }
}

fn null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

// sysexits(3)
const EX_OSERR: u8 = 71;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends_with(words: &[u8]) -> String {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        File::from(writer).write_all(words).expect("room in a pipe");
        format!("{:?}", wait(File::from(reader)))
    }

    #[test]
    fn the_one_who_started_ends_as_the_daemon_says() {
        for (words, want) in [
            (&b"\0"[..], ExitCode::SUCCESS),
            (b"\x4ecannot read /etc/syslog.conf", ExitCode::from(78)),
            (b"", ExitCode::FAILURE), // it died
        ] {
            assert_eq!(
                ends_with(words),
                format!("{want:?}"),
                "{}",
                words.escape_ascii()
            );
        }
    }

    #[test]
    fn in_the_foreground_nobody_is_told() {
        Ready::nobody_waits().notify().expect("nothing to do");
        Ready::nobody_waits().fail(1, "not printed");
    }
}
