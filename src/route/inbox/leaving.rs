//! The end of a worker whose queue may have a part on a disk: what it could not write stays there.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::spooling::Stage;
use super::{Order, Orders, State};
use crate::block::Block;
use crate::counters::Loss;
use crate::report::counted;
use crate::spool::Outstanding;

/// A worker whose time is over waits for so long until the last block of those who send has come.
const LAST_SENDERS: Duration = Duration::from_secs(2);

/// How often it is looked whether a block has arrived on the disk, beyond that.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Orders {
    /// The worker ends: what it has in its hands, [kept](Orders::keep) already, and what is queued goes to the disk,
    /// so far as there is one and it takes it. What is handed over to another process stays in memory if nothing is
    /// on the disk. The rest is lost.
    ///
    /// `sent` messages of what is kept count as written already; `is_folded` if a record of it may stand for several.
    pub fn leave(&self, sent: u64, is_folded: bool) {
        let shared = &self.0;
        let mut state = shared.lock();
        let patience = Instant::now() + LAST_SENDERS;
        loop {
            let Some(middle) = &state.middle else {
                return;
            };
            let is_moving = middle.is_moving();
            let left = patience.saturating_duration_since(Instant::now());
            if !is_moving && (state.closed || left.is_zero()) {
                break;
            }
            let left = left.max(LOOK_AGAIN);
            let waited = shared.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let waiting = state.queued_records();
        let State {
            middle: Some(middle),
            orders,
            kept,
            ..
        } = &mut *state
        else {
            return;
        };
        middle.stage = Stage::Left;
        let write = |order| match order {
            Order::Write(block) => Some(block),
            Order::Change(_) => None,
        };
        let queued: Vec<Block> = orders.drain(..).filter_map(write).collect();
        let held: Vec<Block> = kept.take().into_iter().flatten().collect();
        let held: Vec<Block> = held.into_iter().filter(|block| !block.is_empty()).collect();
        let is_handed_over = middle.is_handed_over;
        let in_hands = shared
            .counters
            .queued()
            .saturating_sub(waiting + middle.on_disk);
        let outstanding = Outstanding {
            messages: in_hands + sent,
            since_read: middle.since_read,
            is_folded,
        };
        let (disk, is_empty) = (Arc::clone(&middle.disk), middle.is_empty());
        drop(state);
        let mut queue = disk.queue();
        if is_handed_over && is_empty {
            let acknowledged = queue.acknowledge(0);
            if let Err(refusal) = acknowledged {
                disk.complain(&queue, &refusal);
            }
            drop(queue);
            shared.lock().kept = Some(held.into_iter().chain(queued).collect());
            return;
        }
        let (held, queued) = queue.leave(held, queued, outstanding);
        let path = queue.spool().path().display().to_string();
        drop(queue);
        let records = |blocks: &[Block]| blocks.iter().map(|block| block.len() as u64).sum::<u64>();
        let of_held = match records(&held) {
            1.. if is_folded => in_hands,
            records => records.min(in_hands),
        };
        let lost = of_held + records(&queued);
        if is_handed_over {
            shared.lock().kept = Some(held.into_iter().chain(queued).collect());
        } else {
            self.lose(lost, Loss::Shutdown);
        }
        let kept = shared.counters.queued();
        let kept = if is_handed_over {
            kept.saturating_sub(lost)
        } else {
            kept
        };
        shared.counters.set_in_spool(kept);
        if kept > 0 {
            let name = shared.losses.name();
            tracing::info!(
                "{} for {name} stay in the spool {path}",
                counted(kept, "message")
            );
        }
    }
}
