//! Asking for an upgrade and answering: `--upgrade`, and the file in which it hears what became of it.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::{StartError, pid_file};
use crate::cli::Arguments;
use crate::sys;

/// Leaves word for whoever waits in [`ask`].
pub(in crate::daemon) fn answer(pid_file: &Path, outcome: Result<(), &str>) {
    let text = match outcome {
        Ok(()) => format!("done\nsyslogd-rs {}\n", env!("CARGO_PKG_VERSION")),
        Err(why) => format!("refused\n{why}\n"),
    };
    if let Err(error) = pid_file::write_beside(pid_file, ANSWER, &text) {
        let path = pid_file.display();
        tracing::warn!("cannot write {path}.{ANSWER}: {error}");
    }
}

/// `--upgrade`: asks the daemon of the pid file to go over, and waits for its answer.
///
/// # Errors
/// The sentence why it did not.
pub(in crate::daemon) fn ask(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let path = &arguments.pid_file;
    let failed = |why: String| StartError::Upgrade(why);
    let pid = pid_file::holder(path).map_err(|error| failed(error.to_string()))?;
    let Some(pid) = pid else {
        let path = path.display();
        return Err(failed(format!("no syslogd runs: nobody holds {path}")));
    };
    if !sys::catches(pid, libc::SIGRTMIN()) {
        return Err(failed(format!(
            "process {pid} does not know --upgrade: stop it and start this one"
        )));
    }
    // There is one answer, so that there can be one who waits for it.
    let _alone = pid_file::lock_beside(path, LOCK).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            return failed("another --upgrade is at work".to_owned());
        }
        failed(format!("cannot lock {}.{LOCK}: {error}", path.display()))
    })?;
    let answer = pid_file::beside(path, ANSWER);
    match fs::remove_file(&answer) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let answer = answer.display();
            return Err(failed(format!("cannot remove {answer}: {error}")));
        }
        Ok(()) | Err(_) => {}
    }
    sys::send_signal(pid, libc::SIGRTMIN())
        .map_err(|error| failed(format!("cannot send SIGRTMIN to process {pid}: {error}")))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let end = sys::process_end(pid).map_err(|error| failed(format!("process {pid}: {error}")))?;
    let mut has_ended = false;
    while Instant::now() < deadline {
        if let Ok(text) = fs::read_to_string(&answer) {
            // It has done its service.
            _ = fs::remove_file(&answer);
            let (outcome, rest) = text.split_once('\n').unwrap_or((&text, ""));
            if outcome == "done" {
                return Ok(ExitCode::SUCCESS);
            }
            return Err(failed(format!(
                "refused, and nothing has changed: {}",
                rest.trim_end()
            )));
        }
        if has_ended {
            return Err(failed(format!("process {pid} has ended; its log says why")));
        }
        let next_look = Instant::now() + LOOK_AGAIN;
        has_ended = ends_by(&end, next_look).map_err(StartError::Runtime)?;
    }
    let seconds = ANSWER_WITHIN.as_secs();
    Err(failed(format!(
        "process {pid} did not answer in {seconds} s"
    )))
}

/// Whether the process of this descriptor ends by then.
pub(super) fn ends_by(end: &OwnedFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What the name of the answer's file ends in, behind that of the pid file.
const ANSWER: &str = "upgrade";

/// What the lock of those who ask is called, behind the path of the pid file.
const LOCK: &str = "upgrade.lock";

const ANSWER_WITHIN: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
