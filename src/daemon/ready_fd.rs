//! `--ready-fd`: a line into a pipe of the supervisor's when messages are received, and its end.
//!
//! s6 (`notification-fd`) waits for a line feed, dinit (`ready-notification`) for anything.

use std::fs::File;
use std::io::Write as _;

use super::StartError;
use crate::cli::Arguments;
use crate::report::reason;
use crate::sys::inherited;

/// The descriptor that somebody waits at, if the command line names one.
#[derive(Debug)]
pub(super) struct ReadyFd(Option<File>);

impl ReadyFd {
    /// Takes it over. To be called once, before anything is opened: its number could be another's later.
    ///
    /// # Errors
    /// If nobody left it open.
    pub(super) fn take(arguments: &Arguments) -> Result<Self, StartError> {
        let Some(number) = arguments.ready_fd else {
            return Ok(Self(None));
        };
        let descriptor = inherited(number).map_err(|error| {
            StartError::Usage(format!(
                "--ready-fd={number}: {}; name the descriptor that the supervisor leaves open",
                reason(&error)
            ))
        })?;
        Ok(Self(Some(descriptor.into())))
    }

    /// Messages are received now. A supervisor that has gone away is no reason to stop.
    pub(super) fn notify(self) {
        if let Some(mut pipe) = self.0
            && let Err(error) = pipe.write_all(b"\n")
        {
            tracing::warn!("cannot write to the descriptor of --ready-fd: {error}");
        }
    }
}
