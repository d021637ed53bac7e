//! Lines of our own in an output: how often the last message came again, and what is missing.

use std::time::{Duration, Instant};

use super::Worker;
use crate::block::Block;
use crate::counters::Loss;
use crate::output::{Stop, Written, gap};

/// The lines that tell of gaps come no more often.
pub(super) const GAP_PAUSE: Duration = Duration::from_secs(1);

/// A line that told of a gap was not taken: it is tried with records after this long.
const GAP_RETRY: Duration = Duration::from_millis(100);

impl Worker {
    /// Whether readers are told at all, and may be now.
    pub(super) fn can_tell_gaps(&self) -> bool {
        self.sink.tells_gaps() && !self.sink.is_shedding()
    }

    /// Writes how often the last message came again; what cannot be written now is told later.
    pub(super) fn tell_repeats(&mut self) {
        let now = Instant::now();
        let Some((block, count)) = self.repeats.as_mut().and_then(|repeats| repeats.flush(now))
        else {
            return;
        };
        let (was_written, stopped) = self.write_own(block, count);
        let dropped = match stopped {
            Some(Stop::Drop(why)) if !was_written => Some(why),
            Some(_) | None => None,
        };
        match (dropped, &mut self.repeats) {
            (Some(why), _) => self.orders.lose(count, why),
            (None, Some(repeats)) if !was_written => repeats.put_back(count),
            (None, _) => {}
        }
    }

    /// Tells it for the last time: now, or behind what is kept for another process.
    pub(super) fn tell_last_repeats(&mut self) {
        if !self.orders.has_kept() {
            self.tell_repeats();
        }
        let Some(repeats) = &mut self.repeats else {
            return;
        };
        if self.orders.is_suspending() {
            if let Some((block, _)) = repeats.flush(Instant::now()) {
                self.orders.keep(block);
            }
            return;
        }
        let untold = repeats.forget();
        self.orders.lose(untold, Loss::Shutdown);
    }

    /// Writes how many messages are missing here, if readers were not told yet. Not more often than
    /// [`GAP_PAUSE`], or at the end.
    pub(super) fn tell_gap(&mut self, paced: bool) {
        if !self.orders.has_gap() || !self.can_tell_gaps() {
            return;
        }
        let now = Instant::now();
        if paced && self.gap_from.is_some_and(|from| now < from) {
            return;
        }
        let Some(gap) = self.orders.take_gap() else {
            return;
        };
        let (was_written, _) = self.write_own(gap::line(&gap, self.layout), 0);
        self.gap_from = Some(now + if was_written { GAP_PAUSE } else { GAP_RETRY });
        if !was_written {
            self.orders.put_back(&gap);
        }
    }

    /// Writes one line of ours that stands for so many records; tells whether it was taken.
    fn write_own(&mut self, block: Block, records: u64) -> (bool, Option<Stop>) {
        let Written {
            records: taken,
            stopped,
        } = self.sink.write(&block, 0);
        if taken > 0 {
            self.note_written(records, block.octets().len());
            if self.unsynced_since.is_some() {
                self.retained.keep(block);
            }
        } else {
            self.sink.give_up();
        }
        match stopped {
            Some(Stop::Retry(ref trouble)) => self.complain(trouble),
            Some(Stop::Unsynced(error)) => {
                self.write_again(&error);
                return (taken > 0, None);
            }
            Some(Stop::Drop(_)) | None => {}
        }
        (taken > 0, stopped)
    }
}
