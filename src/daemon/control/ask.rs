//! The one who asks: `syslogd --ask read debug`, and syslogc(8).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, poll};

use super::super::StartError;
use super::take::TAKEN;
use crate::report::reason;

/// The first line of an answer is not longer.
const LONGEST_HEAD: u64 = 4096;

/// How long the daemon may take to forget what was taken, in milliseconds.
const CLOSED_WITHIN: u16 = 10_000;

/// From sysexits(3).
const EX_UNAVAILABLE: u8 = 69;
const EX_IOERR: u8 = 74;
const EX_PROTOCOL: u8 = 76;

/// Sends a request to the daemon that listens at `socket`, and prints the answer as it comes.
///
/// # Errors
/// What the daemon says against it, or that no daemon answers.
pub(in crate::daemon) fn ask(socket: &Path, words: &[String]) -> Result<ExitCode, StartError> {
    let refused = |status, sentence: String| StartError::Asked { status, sentence };
    let shown = socket.display();
    let unreachable = |error: io::Error| {
        let reason = reason(&error);
        let help = "is it what a running syslogd has for --control?";
        refused(
            EX_UNAVAILABLE,
            format!("cannot ask {shown}: {reason}; {help}"),
        )
    };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    let takes = words.first().is_some_and(|verb| verb == "take");
    let confirm = if takes { " confirm" } else { "" };
    let sent = stream.write_all(format!("{}{confirm}\n", words.join(" ")).as_bytes());
    let mut answer = BufReader::new(&stream);
    let mut head = String::new();
    let received = answer.by_ref().take(LONGEST_HEAD).read_line(&mut head);
    match received {
        // One who is refused may not have been listened to: the answer counts.
        Ok(count) if count > 0 => {}
        received => received.and(sent).map_err(unreachable)?,
    }
    let head = head.trim_end();
    let (status, sentence) = head.split_once(' ').unwrap_or((head, ""));
    let Ok(status) = status.parse::<u8>() else {
        let sentence = format!("{shown} is no control socket of a syslogd");
        return Err(refused(EX_PROTOCOL, sentence));
    };
    if !sentence.is_empty() {
        return Err(refused(status, sentence.to_owned()));
    }
    match print(answer) {
        // Whoever closed stdout has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let reason = reason(&error);
            Err(refused(
                EX_IOERR,
                format!("cannot print all of the answer: {reason}"),
            ))
        }
        // What was printed is forgotten only now: whoever is killed before has taken nothing.
        Ok(()) if takes => match (&stream).write_all(TAKEN) {
            Ok(()) => {
                until_closed(&stream);
                Ok(ExitCode::from(status))
            }
            Err(error) => Err(refused(
                EX_IOERR,
                format!("the daemon keeps what it has shown: {}", reason(&error)),
            )),
        },
        Ok(()) | Err(_) => Ok(ExitCode::from(status)),
    }
}

/// Waits until the daemon has done what it was told: whoever asks next must not find what was taken.
fn until_closed(stream: &UnixStream) {
    let mut closed = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    // A daemon that does not come to it has the word, and will.
    if let Err(errno) = poll(&mut closed, CLOSED_WITHIN) {
        tracing::debug!("poll was interrupted: {errno}");
    }
}

/// Prints each piece at once: of a buffer that is followed the next may be long in coming.
fn print(mut answer: impl BufRead) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    loop {
        let octets = answer.fill_buf()?;
        if octets.is_empty() {
            return Ok(());
        }
        stdout.write_all(octets)?;
        stdout.flush()?;
        let count = octets.len();
        answer.consume(count);
    }
}
