//! While a worker cannot write: it says so once, waits, and tries again until the end.

use std::time::{Duration, Instant};

use super::{DRAIN, Worker};
use crate::output::Trouble;
use crate::report::counted;
use crate::route::inbox::Pause;

/// Towards the end it is tried more often.
const LAST_RETRIES: Duration = Duration::from_millis(500);

impl Worker {
    /// Whether the deadline has passed, so that nothing is written any more.
    pub(super) fn is_over(&mut self) -> bool {
        let deadline = self.orders.stop_by().into_iter().chain(self.ending).min();
        deadline.is_some_and(|by| by <= Instant::now())
    }

    /// Waits before the next try; returns at once when asked to open again, and when the end begins.
    pub(super) fn wait(&mut self, after: Duration) {
        let mut after = after;
        if self.ending.is_some() || self.orders.stop_by().is_some() {
            after = after.min(LAST_RETRIES);
        }
        let until = Instant::now() + after;
        match self.orders.pause_unless_ordered(until) {
            Pause::Over => {}
            Pause::Ordered(change) => self.carry_out(change),
            Pause::Ending => {
                let now = Instant::now();
                let by = self.orders.stop_by().unwrap_or(now + DRAIN);
                let last = now.checked_add(self.sink.last_patience());
                self.ending = Some(last.map_or(by, |last| last.min(by)));
            }
        }
    }

    /// Says once what is the matter; meanwhile what is shed is lost for that reason.
    pub(super) fn complain(&mut self, trouble: &Trouble) {
        let sentence = &trouble.sentence;
        self.orders.set_trouble(Some(trouble.loss));
        if self.complaint.as_ref() != Some(sentence) {
            let held = counted(self.orders.counters().queued(), "message");
            let next = wait_of(trouble.after);
            tracing::warn!("{sentence}; {held} held, next try in {next}");
            self.complaint = Some(sentence.clone());
        }
    }

    /// It can be written again.
    pub(super) fn settle_complaint(&mut self) {
        if self.complaint.take().is_some() {
            self.orders.set_trouble(None);
            tracing::info!("writing to {} again", self.name);
        }
    }
}

/// A time to wait as the operator reads it: `250 ms`, `30 s`.
fn wait_of(time: Duration) -> String {
    match time.as_millis() {
        millis @ ..1000 => format!("{millis} ms"),
        _ => format!("{} s", time.as_secs()),
    }
}
