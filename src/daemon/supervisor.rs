//! Whether a supervisor waits for us: then `-n`, which elsewhere means the foreground, means it here too.
//!
//! sysklogd and the BSDs read `-n` as "no DNS"; busybox, inetutils, sysklogd 1.5 and rsyslog as "do not
//! detach". A supervisor that gave it would take the end of our first process for the end of the log.

use std::env;
use std::io::{self, IsTerminal};

use nix::unistd::getppid;

use crate::cli::Arguments;

/// The sentence about the rule that keeps us in the foreground, if one does.
pub(super) fn keeps_us(arguments: &Arguments) -> Option<String> {
    if !arguments.may_stay || arguments.foreground || io::stdin().is_terminal() {
        return None;
    }
    let sign = sign(
        env::var_os("NOTIFY_SOCKET").is_some(),
        env::var_os("LISTEN_PID").is_some(),
        getppid().as_raw(),
    )?;
    Some(format!(
        "staying in the foreground: -n was given, and {sign}"
    ))
}

fn sign(notify_socket: bool, listen_pid: bool, parent: libc::pid_t) -> Option<&'static str> {
    if notify_socket {
        Some("NOTIFY_SOCKET is set")
    } else if listen_pid {
        Some("LISTEN_PID is set")
    } else if parent == 1 {
        Some("the parent is process 1")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_shows_by_its_environment_or_by_being_process_1() {
        for (notify_socket, listen_pid, parent, want) in [
            (true, true, 1, Some("NOTIFY_SOCKET is set")),
            (false, true, 2, Some("LISTEN_PID is set")),
            (false, false, 1, Some("the parent is process 1")),
            (false, false, 2, None),
        ] {
            assert_eq!(sign(notify_socket, listen_pid, parent), want);
        }
    }
}
