//! The worker's end of an inbox: what is next, waiting for it, and what became of it.

use std::sync::{Arc, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Instant;

use super::spooling::Front;
use super::{Change, Order, Shared, State};
use crate::block::Block;
use crate::counters::{Loss, OutputCounters};
use crate::route::loss::Gap;

/// The receiving end, owned by the output's worker.
#[derive(Debug)]
pub struct Orders(pub(super) Arc<Shared>);

/// What [`Orders::next`] found.
#[derive(Debug)]
pub enum Next {
    /// Something to do.
    Order(Order),
    /// Nothing came until the given time.
    Late,
    /// Every sender is gone and the queue is empty.
    Closed,
}

/// What ended a pause of the worker.
#[derive(Debug)]
pub enum Pause {
    /// The time.
    Over,
    /// A change; it overtook the messages.
    Ordered(Change),
    /// The output was asked to stop, or its last sender went. Told once.
    Ending,
}

impl Orders {
    /// What is there without waiting for anybody but the disk of the spool.
    fn take<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<Next, MutexGuard<'a, State>> {
        loop {
            let order = match state.front() {
                Front::Memory => state.orders.pop_front(),
                Front::Change(change) => Some(Order::Change(change)),
                Front::Moving => return Err(state),
                Front::Over => return Ok(Next::Closed),
                Front::Disk(disk) => {
                    drop(state);
                    if let Some(block) = self.read_back(&disk) {
                        return Ok(Next::Order(Order::Write(block)));
                    }
                    state = self.0.lock();
                    continue;
                }
            };
            let Some(order) = order else {
                return if state.closed {
                    Ok(Next::Closed)
                } else {
                    Err(state)
                };
            };
            if let Order::Write(block) = &order {
                state.memory.shrink(block.memory());
                state.note_taken(block.len() as u64);
                self.0.made_room(&mut state);
            }
            return Ok(Next::Order(order));
        }
    }

    /// The next order; waits for it until `until`, or without limit if `None`.
    ///
    /// Once [`Stopper::stop_by`](super::Stopper::stop_by) was called it never waits longer than that deadline.
    pub fn next(&self, until: Option<Instant>) -> Next {
        let shared = &self.0;
        let mut state = shared.lock();
        loop {
            state = match self.take(state) {
                Ok(next) => return next,
                Err(state) => state,
            };
            let until = [until, state.stop_by].into_iter().flatten().min();
            state.is_idle = true;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Next::Late;
            }
            state = shared.listen(state, left);
            state.is_idle = false;
        }
    }

    /// As [`next`](Self::next), without waiting: from then on `waker` is told whenever there may be something.
    pub fn poll(&self, until: Option<Instant>, waker: &Waker) -> Poll<Next> {
        let mut state = match self.take(self.0.lock()) {
            Ok(next) => return Poll::Ready(next),
            Err(state) => state,
        };
        let until = [until, state.stop_by].into_iter().flatten().min();
        if until.is_some_and(|until| until <= Instant::now()) {
            return Poll::Ready(Next::Late);
        }
        if !state
            .waker
            .as_ref()
            .is_some_and(|last| last.will_wake(waker))
        {
            state.waker = Some(waker.clone());
        }
        state.is_idle = true;
        Poll::Pending
    }

    /// Whether something is queued right now.
    pub fn is_empty(&self) -> bool {
        let state = self.0.lock();
        state.orders.is_empty() && state.spooled() == 0
    }

    /// Sleeps until `until` or the stop deadline, but obeys: returns the first change that is asked for.
    ///
    /// Messages stay queued. Also returns when the end begins, but that only once.
    pub fn pause_unless_ordered(&self, until: Instant) -> Pause {
        let mut state = self.0.lock();
        loop {
            if let Some(change) = state.overtaking_change() {
                return Pause::Ordered(change);
            }
            if !state.ending_told && (state.closed || state.stop_by.is_some()) {
                state.ending_told = true;
                return Pause::Ending;
            }
            let until = state.stop_by.map_or(until, |by| by.min(until));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Pause::Over;
            }
            state = self.0.listen(state, Some(left));
        }
    }

    /// Gives an emptied block back for reuse.
    pub fn recycle(&self, mut block: Block) {
        block.clear();
        self.0.lock().keep_spare(block);
    }

    /// The counters of this output.
    pub fn counters(&self) -> &OutputCounters {
        &self.0.counters
    }

    /// Notes why nothing can be written at present, or that it can.
    pub fn set_trouble(&self, why: Option<Loss>) {
        self.0.lock().trouble = why;
        // Whoever waits may have less patience now.
        self.0.room_for_tasks.notify_waiters();
    }

    /// Counts `records` as lost, and tells the operator once in a while.
    pub fn lose(&self, records: u64, why: Loss) {
        self.0.counters.lose(records, why);
        self.0.losses.note(records, why);
    }

    /// Counts as lost the records that were taken from the queue and never accounted for.
    pub fn lose_what_is_out(&self) {
        let state = self.0.lock();
        let waiting = state.queued_records() + state.spooled();
        // Under the lock, so that nothing is queued in between.
        self.lose(self.0.counters.queued().saturating_sub(waiting), Loss::Io);
    }

    /// Whether readers of the output were not told of all that it lost.
    pub fn has_gap(&self) -> bool {
        self.0.losses.has_gap()
    }

    /// What its readers were not told yet.
    pub fn take_gap(&self) -> Option<Gap> {
        self.0.losses.take_gap()
    }

    /// The gap that was taken could not be told.
    pub fn put_back(&self, gap: &Gap) {
        self.0.losses.put_back(gap);
    }

    /// How many octets of memory all queues may take together.
    pub fn limit(&self) -> usize {
        self.0.lock().memory.budget().limit()
    }

    /// When losses are over, if there are no more until then.
    pub fn losses_over_at(&self) -> Option<Instant> {
        self.0.losses.over_at()
    }

    /// Tells the operator what was lost since the last word about it, once that is over.
    pub fn recovered(&self) {
        self.0.losses.recovered();
    }
}
