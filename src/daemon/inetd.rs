//! A start by inetd(8), which has bound the socket and passes it as standard input.
//!
//! ```text
//! syslog  dgram  udp  wait  root  /usr/sbin/syslogd  syslogd -i
//! ```
//!
//! inetd waits for our end before it looks at the socket again. So we stay in the foreground, and do not end when
//! nothing comes: the next message would pay for a start.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::stat::fstat;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::StartError;
use super::inherited::Passed;
use crate::cli::Arguments;
use crate::config::{self, ListenAddress};

/// Takes the socket over, if the command line says that inetd has passed one.
///
/// inetd passes it as standard output and error, too: what we write there would be sent to somebody, so that it
/// goes to `/dev/null` from now on.
///
/// # Errors
/// If standard input is no socket that messages arrive at.
pub(super) fn take(arguments: &mut Arguments) -> Result<Option<Passed>, StartError> {
    if !arguments.inetd {
        return Ok(None);
    }
    let refused = |why: String| {
        StartError::Usage(format!(
            "--inetd: standard input cannot be received on: {why}; \
             inetd passes a socket that is bound, with \"wait\" and not \"nowait\""
        ))
    };
    let stdin = io::stdin();
    let passed = copy(&stdin)
        .map_err(|error| error.to_string())
        .and_then(|socket| Passed::new(socket, ""))
        .map_err(refused)?;
    if config::listen_addresses(&passed.bound.to_string()) != Ok(vec![passed.bound.clone()]) {
        return Err(refused(format!("{} is no name for us", passed.bound)));
    }
    leave(&passed.socket).map_err(StartError::Runtime)?;
    serve(arguments, &passed.bound);
    Ok(Some(passed))
}

/// Has the arguments ask for the address of such a socket, and for no unix socket that they do not name: that
/// is inetd's.
pub(super) fn serve(arguments: &mut Arguments, bound: &ListenAddress) {
    arguments.listen.push(bound.to_string());
    if !arguments.are_sockets_named {
        arguments.sockets.clear();
    }
}

fn copy(stdin: &impl AsFd) -> io::Result<OwnedFd> {
    stdin.as_fd().try_clone_to_owned()
}

/// Puts `/dev/null` wherever `socket` is a standard descriptor.
fn leave(socket: &OwnedFd) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let same = |other: &dyn AsFd| {
        let file = |stat: nix::sys::stat::FileStat| (stat.st_dev, stat.st_ino);
        matches!((fstat(socket), fstat(other.as_fd())), (Ok(one), Ok(two)) if file(one) == file(two))
    };
    if same(&io::stdout()) {
        dup2_stdout(&null)?;
    }
    if same(&io::stderr()) {
        dup2_stderr(&null)?;
    }
    dup2_stdin(&null)?;
    Ok(())
}
