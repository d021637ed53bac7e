//! Our own reports, on their way into the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use super::StartError;
use crate::input::internal::Internal;
use crate::report::Report;

/// The thread that takes our own reports into the log.
pub(super) struct Speaker {
    internal: Internal,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Receiver<Report>>,
}

impl Speaker {
    /// Begins, with everything that is said from here on.
    ///
    /// # Errors
    /// If there are no threads left.
    pub(super) fn start(internal: Internal, reports: Receiver<Report>) -> Result<Self, StartError> {
        let ending = Arc::new(AtomicBool::new(false));
        let (until, speaks) = (Arc::clone(&ending), internal.clone());
        let speak = move || {
            while let Ok(report) = reports.recv() {
                speaks.say(report.severity, &report.text);
                if until.load(Ordering::Acquire) {
                    break;
                }
            }
            reports
        };
        let thread = thread::Builder::new()
            .name("reports".into())
            .spawn(speak)
            .map_err(StartError::Runtime)?;
        Ok(Self {
            internal,
            ending,
            thread,
        })
    }

    /// Says `last_words`, which must make a report, and everything that was said before; returns the end at
    /// which what is said later arrives.
    pub(super) fn stop(self, last_words: impl FnOnce()) -> Option<Receiver<Report>> {
        self.ending.store(true, Ordering::Release);
        last_words();
        let reports = self.thread.join().ok()?;
        for report in reports.try_iter() {
            self.internal.say(report.severity, &report.text);
        }
        Some(reports)
    }
}
