//! What a worker does although nothing comes, and when: a sync, a count of repeats, a line about a gap.

use std::time::{Duration, Instant};

use super::Worker;
use super::own::GAP_PAUSE;
use crate::config::Sync;
use crate::output::Stop;
use crate::output::repeat::Repeats;

/// `sync=second`: how long a record may stay off the disk.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// `sync=durable`: how long the first record waits for others, so that one sync is for all of them.
const GROUP_WITHIN: Duration = Duration::from_millis(5);

/// `sync=durable`: so many octets wait for no others.
const GROUP_OCTETS: usize = 256 * 1024;

/// How long a remote may take to acknowledge before a quiet forward looks again.
pub(super) const SETTLE_AFTER: Duration = Duration::from_secs(1);

impl Worker {
    /// When it has to wake up although nothing came.
    pub(super) fn alarm(&self) -> Option<Instant> {
        let repeats = self.repeats.as_ref().and_then(Repeats::due);
        let gap = self.gap_due();
        let look = self.sink.look_at();
        let losses = self.losses_due();
        let all = [self.sync_due(), repeats, gap, losses, self.settle_at, look];
        all.into_iter().flatten().min()
    }

    /// When the disk must have what was written.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        let within = match self.sync {
            Sync::Durable => GROUP_WITHIN,
            Sync::Second | Sync::None => SYNC_WITHIN,
        };
        self.unsynced_since.map(|since| since + within)
    }

    /// When the readers are to be told of a gap although no record comes.
    fn gap_due(&self) -> Option<Instant> {
        let is_untold = self.orders.has_gap() && self.complaint.is_none() && self.can_tell_gaps();
        let from = is_untold.then_some(self.gap_from?)?;
        Some(from + GAP_PAUSE)
    }

    /// When to say that nothing is lost any more.
    fn losses_due(&self) -> Option<Instant> {
        let is_well = self.complaint.is_none() && !self.sink.is_shedding();
        is_well.then(|| self.orders.losses_over_at()).flatten()
    }

    /// Does all that is due.
    pub(super) fn on_time(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.repeats.as_ref().and_then(Repeats::due)) {
            self.tell_repeats();
        }
        if due(self.gap_due()) {
            self.tell_gap(true);
        }
        if due(self.losses_due()) {
            self.orders.recovered();
        }
        let is_enough = self.sync == Sync::Durable
            && self.unsynced_since.is_some()
            && (self.retained.is_filling() || self.retained.octets() >= GROUP_OCTETS);
        if is_enough || due(self.sync_due()) {
            self.sync_now();
        }
        if due(self.sink.look_at()) {
            self.sink.on_time();
        }
        if due(self.settle_at) {
            self.settle_at = None;
            let after = match self.sink.settle() {
                Some(Stop::Retry(trouble)) => {
                    self.complain(&trouble);
                    trouble.after
                }
                Some(Stop::Drop(_) | Stop::Unsynced(_)) | None => SETTLE_AFTER,
            };
            self.settle_after(after);
        }
    }

    /// Looks again later whether all that was sent has arrived.
    pub(super) fn settle_after(&mut self, pause: Duration) {
        if self.settle_at.is_none() && self.sink.unsettled() > 0 {
            self.settle_at = Some(Instant::now() + pause);
        }
    }
}
