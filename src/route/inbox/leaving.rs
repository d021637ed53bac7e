//! The end of a worker: asked for by a [`Stopper`], and what it could not write by then.
//!
//! Another process may want that, or the disk that a part of the queue is on ([`super::spooling`]). What nobody wants
//! is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::spooling::Stage;
use super::{Order, Orders, Shared, State};
use crate::block::Block;
use crate::counters::Loss;
use crate::report::counted;
use crate::spool::Outstanding;

/// A worker whose time is over waits for so long until the last block of those who send has come.
const LAST_SENDERS: Duration = Duration::from_secs(2);

/// How often it is looked whether a block has arrived on the disk, beyond that.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Hurries a worker, whether its inbox is still open or not.
#[derive(Clone, Debug)]
pub struct Stopper(pub(super) Arc<Shared>);

impl Stopper {
    /// Tells the worker to be done by then: what it cannot write until then is dropped and counted.
    pub fn stop_by(&self, deadline: Instant) {
        let mut state = self.0.lock();
        state.stop_by = Some(deadline);
        self.0.call(&mut state);
    }

    /// As [`Stopper::stop_by`], but what the worker cannot write until then is kept: see
    /// [`Stopper::take_kept`].
    pub fn suspend_by(&self, deadline: Instant) {
        let mut state = self.0.lock();
        state.kept.get_or_insert_default();
        state.hand_over(true);
        drop(state);
        self.stop_by(deadline);
    }

    /// Takes back [`Stopper::suspend_by`]: the worker goes on.
    pub fn go_on(&self) {
        let mut state = self.0.lock();
        (state.stop_by, state.ending_told) = (None, false);
        state.hand_over(false);
        let kept = state.kept.take().into_iter().flatten();
        for block in kept.rev() {
            state.memory.grow(block.memory());
            state.orders.push_front(Order::Write(block));
        }
        self.0.call(&mut state);
    }

    /// What a worker that was suspended and has ended could not write, in order: what it kept, and what has
    /// come since.
    pub fn take_kept(&self) -> Vec<Block> {
        let mut state = self.0.lock();
        let kept = state.kept.take().into_iter().flatten();
        let queued = std::mem::take(&mut state.orders);
        let queued = queued.into_iter().filter_map(|order| match order {
            Order::Write(block) => Some(block),
            Order::Change(_) => None,
        });
        let blocks: Vec<Block> = kept.chain(queued).collect();
        state.memory.set(0);
        blocks
    }

    /// Whether the worker tries in vain to write what is queued.
    pub fn is_in_trouble(&self) -> bool {
        let is_so = self.0.lock().trouble.is_some();
        is_so && self.0.counters.queued() > 0
    }
}

impl Orders {
    /// When this output must be done, if it was asked to stop.
    pub fn stop_by(&self) -> Option<Instant> {
        self.0.lock().stop_by
    }

    /// Whether what cannot be written by the deadline is kept, for another process or on a disk.
    pub fn is_suspending(&self) -> bool {
        let state = self.0.lock();
        state.kept.is_some() || state.middle.is_some()
    }

    /// Whether it is kept for another process, which waits.
    pub fn is_handed_over(&self) -> bool {
        let state = self.0.lock();
        state.kept.is_some()
            && state
                .middle
                .as_ref()
                .is_none_or(|middle| middle.is_handed_over())
    }

    /// Whether some of it was kept already.
    pub fn has_kept(&self) -> bool {
        let state = self.0.lock();
        state.kept.as_ref().is_some_and(|kept| !kept.is_empty())
    }

    /// Keeps these records for another process or the disk, behind those that were kept before; false if there is
    /// neither, so that they are lost.
    pub fn keep(&self, block: Block) -> bool {
        let mut state = self.0.lock();
        if state.middle.is_some() {
            state.kept.get_or_insert_default();
        }
        match &mut state.kept {
            Some(kept) => {
                kept.push_back(block);
                true
            }
            None => false,
        }
    }

    /// As [`Orders::keep`], but before the others: these were taken first.
    pub fn keep_first(&self, block: Block) {
        let mut state = self.0.lock();
        if state.middle.is_some() && !block.is_empty() {
            state.kept.get_or_insert_default();
        }
        if let Some(kept) = &mut state.kept {
            kept.push_front(block);
        }
    }

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
            state = shared.listen(state, Some(left));
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
