//! The inbox of an output: a bounded queue of whole blocks, with orders in between.
//!
//! ```text
//! shard ─ offer(block) ─┐                          ┌─► next() ─ worker ─► recycle(block) ─┐
//! shard ─ offer(block) ─┼─► [Write][Write][Rotate] ┘                                      │
//!       ◄───────────────┴──────────────── empty blocks for reuse ◄────────────────────────┘
//! ```
//!
//! Bounded by memory. When it is full the caller decides: wait a little ([`Inbox::wait_for_room`],
//! [`Inbox::room`]), or make room by dropping the least urgent records ([`Inbox::force`]). Every drop is
//! counted and told ([`super::loss`]). The queue closes when the last `Inbox` is gone; the worker then
//! drains it and ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::loss::{Gap, LossLog};
use crate::block::Block;
use crate::config::OutputSettings;
use crate::counters::{Loss, OutputCounters};
use crate::pri::Severity;

/// What a worker is asked to do.
#[derive(Debug)]
pub enum Order {
    /// Write these records.
    Write(Block),
    /// Do or be something else, in order with the messages.
    Change(Change),
}

/// What a worker is asked that is no message.
#[derive(Debug)]
pub enum Change {
    /// Behave like this from now on (a reload changed the settings).
    Update(OutputSettings),
    /// Open the destination again if it is not the one that is open (SIGHUP).
    Reopen,
    /// Rotate now (SIGUSR2).
    Rotate,
}

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

/// How many empty blocks are kept for reuse.
const SPARE_BLOCKS: usize = 4;

/// A block that grew beyond this is not kept.
const SPARE_MEMORY: usize = 2 * Block::FULL;

#[derive(Debug)]
struct State {
    orders: VecDeque<Order>,
    /// What the queued blocks take, in octets.
    memory: usize,
    /// Somebody has waited in vain, and the worker has taken nothing since: nobody waits again.
    stalled: bool,
    spare: Vec<Block>,
    /// Why the worker cannot write at present: what is shed meanwhile is lost for that reason.
    trouble: Option<Loss>,
    closed: bool,
    ending_told: bool,
    stop_by: Option<Instant>,
    /// What the worker could not write by then, if somebody else is to write it.
    kept: Option<VecDeque<Block>>,
}

impl State {
    /// Whether a block of so many octets has no place in a queue that may take `limit` of memory.
    fn is_full(&self, octets: usize, limit: usize) -> bool {
        self.memory > 0
            && !self.fits_behind(octets)
            && self.memory + octets.max(Block::ROOM) > limit
    }

    /// Whether so many octets fit into the last block that is queued.
    fn fits_behind(&self, octets: usize) -> bool {
        match self.orders.back() {
            Some(Order::Write(last)) => last.octets().len() + octets <= Block::FULL,
            Some(Order::Change(_)) | None => false,
        }
    }

    fn least_urgent(&self) -> Option<Severity> {
        let blocks = self.orders.iter().filter_map(|order| match order {
            Order::Write(block) => block.least_urgent(),
            Order::Change(_) => None,
        });
        blocks.max()
    }

    /// Drops the oldest records of this severity from the oldest block that has some, until `room` octets
    /// are gone or none is left in it; tells how many records.
    fn shed(&mut self, severity: Severity, room: usize) -> u64 {
        for order in &mut self.orders {
            if let Order::Write(block) = order
                && block.holds(severity)
            {
                let before = block.memory();
                let shed = block.shed(severity, room) as u64;
                self.memory = (self.memory + block.memory()).saturating_sub(before);
                return shed;
            }
        }
        0
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
    room_for_tasks: Notify,
    limit: usize,
    counters: Arc<OutputCounters>,
    /// How many records had come when [`Inbox::watch`] was called.
    watched: AtomicU64,
    losses: LossLog,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not stop the log; the queue is valid between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending end; cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Sending>);

#[derive(Debug)]
struct Sending(Arc<Shared>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.arrived.notify_all();
    }
}

/// The receiving end, owned by the output's worker.
#[derive(Debug)]
pub struct Orders(Arc<Shared>);

/// A queue that takes at most `limit` octets of memory (one block is always accepted) for the output called `name`.
pub fn inbox(name: String, limit: usize, counters: Arc<OutputCounters>) -> (Inbox, Orders) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            orders: VecDeque::new(),
            memory: 0,
            stalled: false,
            spare: Vec::new(),
            trouble: None,
            closed: false,
            ending_told: false,
            stop_by: None,
            kept: None,
        }),
        arrived: Condvar::new(),
        room: Condvar::new(),
        room_for_tasks: Notify::new(),
        limit,
        losses: LossLog::new(name),
        watched: AtomicU64::new(counters.enqueued.get()),
        counters,
    });
    (
        Inbox(Arc::new(Sending(Arc::clone(&shared)))),
        Orders(shared),
    )
}

impl Inbox {
    /// Hands a block over and leaves an empty one in its place. Never blocks.
    ///
    /// # Errors
    /// `Full` if there is no room; the block is untouched.
    pub fn offer(&self, block: &mut Block) -> Result<(), Full> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.is_full(block.octets().len(), shared.limit) {
            return Err(Full);
        }
        shared.accept(&mut state, block);
        Ok(())
    }

    /// Hands a block over whatever it takes: the least urgent records, queued or in the block, the
    /// oldest first, are dropped and counted until it fits.
    pub fn force(&self, block: &mut Block) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let mut dropped = 0;
        let why = state.trouble.unwrap_or(Loss::Full);
        while state.is_full(block.octets().len(), shared.limit) {
            let Some(severity) = state.least_urgent().max(block.least_urgent()) else {
                break;
            };
            let wanted = state.memory + block.octets().len().max(Block::ROOM);
            let room = wanted.saturating_sub(shared.limit);
            let mut shed = state.shed(severity, room);
            if shed == 0 {
                shed = block.shed(severity, room) as u64;
                shared.counters.enqueue(shed);
            }
            shared.counters.lose(shed, why);
            dropped += shed;
        }
        if block.is_empty() {
            block.clear();
        } else {
            shared.accept(&mut state, block);
        }
        drop(state);
        shared.losses.note(dropped, why);
    }

    /// Asks for a change behind the messages that are queued already.
    pub fn order(&self, change: Change) {
        self.0.0.lock().orders.push_back(Order::Change(change));
        self.0.0.arrived.notify_one();
    }

    /// Blocks until there is room for `octets`, or `patience` is over, or it is known to be in vain;
    /// tells whether there is.
    pub fn wait_for_room(&self, octets: usize, patience: Duration) -> bool {
        let shared = &self.0.0;
        let full = |state: &mut State| state.is_full(octets, shared.limit) && !state.stalled;
        let waited = shared
            .room
            .wait_timeout_while(shared.lock(), patience, full);
        let (mut state, over) = waited.unwrap_or_else(PoisonError::into_inner);
        state.stalled |= over.timed_out();
        !state.is_full(octets, shared.limit)
    }

    /// Whether somebody waited in vain, and nothing was taken since.
    pub fn is_stalled(&self) -> bool {
        self.0.0.lock().stalled
    }

    /// Notes that somebody waited in vain.
    pub fn stall(&self) {
        self.0.0.lock().stalled = true;
    }

    /// Waits without blocking the thread until there is room for `octets`.
    pub async fn room(&self, octets: usize) {
        let shared = &self.0.0;
        loop {
            let made = shared.room_for_tasks.notified();
            tokio::pin!(made);
            // Enlisted before the look, so that room made in between is not missed.
            made.as_mut().enable();
            {
                if !shared.lock().is_full(octets, shared.limit) {
                    return;
                }
            }
            made.await;
        }
    }

    /// From now on it matters whether something comes: see [`Self::was_quiet`].
    pub fn watch(&self) {
        let come = self.0.0.counters.enqueued.get();
        self.0.0.watched.store(come, Ordering::Relaxed);
    }

    /// Whether nothing came since [`Self::watch`].
    pub fn was_quiet(&self) -> bool {
        self.0.0.counters.enqueued.get() == self.0.0.watched.load(Ordering::Relaxed)
    }

    /// A way to hurry the worker that does not keep the queue open.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.0.0))
    }

    /// The counters of this output.
    pub fn counters(&self) -> &OutputCounters {
        &self.0.0.counters
    }

    /// Whether both lead to one queue.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.0, &other.0.0)
    }
}

/// Hurries a worker, whether its inbox is still open or not.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Tells the worker to be done by then: what it cannot write until then is dropped and counted.
    pub fn stop_by(&self, deadline: Instant) {
        self.0.lock().stop_by = Some(deadline);
        self.0.arrived.notify_all();
    }

    /// As [`Stopper::stop_by`], but what the worker cannot write until then is kept: see
    /// [`Stopper::take_kept`].
    pub fn suspend_by(&self, deadline: Instant) {
        self.0.lock().kept.get_or_insert_default();
        self.stop_by(deadline);
    }

    /// Takes back [`Stopper::suspend_by`]: the worker goes on.
    pub fn go_on(&self) {
        let mut state = self.0.lock();
        (state.stop_by, state.ending_told) = (None, false);
        let kept = state.kept.take().into_iter().flatten();
        for block in kept.rev() {
            state.memory += block.memory();
            state.orders.push_front(Order::Write(block));
        }
        drop(state);
        self.0.arrived.notify_all();
    }

    /// What a worker that was suspended and has ended could not write, in order.
    pub fn take_kept(&self) -> Vec<Block> {
        let kept = self.0.lock().kept.take();
        kept.into_iter().flatten().collect()
    }

    /// Whether the worker tries in vain to write what is queued.
    pub fn is_in_trouble(&self) -> bool {
        let is_so = self.0.lock().trouble.is_some();
        is_so && self.0.counters.queued() > 0
    }
}

/// There was no room in the inbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl Shared {
    fn accept(&self, state: &mut State, block: &mut Block) {
        if block.is_empty() {
            return;
        }
        self.counters.enqueue(block.len() as u64);
        let fits_behind = state.fits_behind(block.octets().len());
        match state.orders.back_mut() {
            // Behind a slow output small blocks grow together: fewer writes, and no memory for the rest
            // of each.
            Some(Order::Write(last)) if fits_behind => {
                let before = last.memory();
                last.append(block);
                block.clear();
                state.memory = (state.memory + last.memory()).saturating_sub(before);
            }
            Some(_) | None => {
                let empty = state.spare.pop().unwrap_or_default();
                state.memory += block.memory();
                state
                    .orders
                    .push_back(Order::Write(std::mem::replace(block, empty)));
                self.arrived.notify_one();
            }
        }
    }
}

impl Orders {
    /// The next order; waits for it until `until`, or without limit if `None`.
    ///
    /// Once [`Stopper::stop_by`] was called it never waits longer than that deadline.
    pub fn next(&self, until: Option<Instant>) -> Next {
        let shared = &self.0;
        let mut state = shared.lock();
        loop {
            if let Some(order) = state.orders.pop_front() {
                if let Order::Write(block) = &order {
                    state.memory = state.memory.saturating_sub(block.memory());
                    state.stalled = false;
                    shared.room.notify_all();
                    shared.room_for_tasks.notify_waiters();
                }
                return Next::Order(order);
            }
            if state.closed {
                return Next::Closed;
            }
            let until = [until, state.stop_by].into_iter().flatten().min();
            state = match until {
                None => shared
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Next::Late;
                    }
                    let waited = shared.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Whether something is queued right now.
    pub fn is_empty(&self) -> bool {
        self.0.lock().orders.is_empty()
    }

    /// Sleeps until `until` or the stop deadline, but obeys: returns the first change that is asked for.
    ///
    /// Messages stay queued. Also returns when the end begins, but that only once.
    pub fn pause_unless_ordered(&self, until: Instant) -> Pause {
        let mut state = self.0.lock();
        loop {
            let change = |order: &Order| matches!(order, Order::Change(_));
            let found = state.orders.iter().position(change);
            if let Some(Order::Change(change)) = found.and_then(|at| state.orders.remove(at)) {
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
            let waited = self.0.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When this output must be done, if it was asked to stop.
    pub fn stop_by(&self) -> Option<Instant> {
        self.0.lock().stop_by
    }

    /// Whether what cannot be written by the deadline is kept for another process.
    pub fn is_suspending(&self) -> bool {
        self.0.lock().kept.is_some()
    }

    /// Whether some of it was kept already.
    pub fn has_kept(&self) -> bool {
        let state = self.0.lock();
        state.kept.as_ref().is_some_and(|kept| !kept.is_empty())
    }

    /// Keeps these records for another process, behind those that were kept before; false if there is
    /// none, so that they are lost.
    pub fn keep(&self, block: Block) -> bool {
        match &mut self.0.lock().kept {
            Some(kept) => {
                kept.push_back(block);
                true
            }
            None => false,
        }
    }

    /// As [`Orders::keep`], but before the others: these were taken first.
    pub fn keep_first(&self, block: Block) {
        if let Some(kept) = &mut self.0.lock().kept {
            kept.push_front(block);
        }
    }

    /// Gives an emptied block back for reuse.
    pub fn recycle(&self, mut block: Block) {
        block.clear();
        let mut state = self.0.lock();
        if state.spare.len() < SPARE_BLOCKS && block.memory() <= SPARE_MEMORY {
            state.spare.push(block);
        }
    }

    /// The counters of this output.
    pub fn counters(&self) -> &OutputCounters {
        &self.0.counters
    }

    /// Notes why nothing can be written at present, or that it can.
    pub fn set_trouble(&self, why: Option<Loss>) {
        self.0.lock().trouble = why;
    }

    /// Counts `records` as lost, and tells the operator once in a while.
    pub fn lose(&self, records: u64, why: Loss) {
        self.0.counters.lose(records, why);
        self.0.losses.note(records, why);
    }

    /// Counts as lost the records that were taken from the queue and never accounted for.
    pub fn lose_what_is_out(&self) {
        let state = self.0.lock();
        let waiting = state.orders.iter().map(|order| match order {
            Order::Write(block) => block.len() as u64,
            Order::Change(_) => 0,
        });
        // Under the lock, so that nothing is queued in between.
        self.lose(
            self.0.counters.queued().saturating_sub(waiting.sum()),
            Loss::Io,
        );
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

    /// How many octets of memory the queue takes at most.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Tells the operator what was lost since the last word about it, now that writing works again.
    pub fn recovered(&self) {
        self.0.losses.recovered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri};

    const KIB: usize = 1024;

    /// A block with one record of so many octets, filled with `mark`.
    fn block(severity: Severity, mark: u8, octets: usize) -> Block {
        let mut block = Block::default();
        block.push(Pri::of(Facility::User, severity), |out| {
            out.extend_from_slice(&vec![mark; octets]);
            0
        });
        block
    }

    fn queue(limit: usize) -> (Inbox, Orders) {
        inbox("test".into(), limit, Arc::default())
    }

    /// The marks of the queued records.
    fn drain(orders: &Orders) -> Vec<u8> {
        let mut marks = Vec::new();
        while let Next::Order(Order::Write(block)) = orders.next(Some(Instant::now())) {
            marks.extend(block.iter().map(|entry| entry.octets[0]));
        }
        marks
    }

    #[test]
    fn a_full_inbox_refuses_and_leaves_the_block_as_it_was() {
        let (inbox, _orders) = queue(1);
        assert_eq!(
            inbox.offer(&mut block(Severity::Notice, b'a', 40 * KIB)),
            Ok(())
        );
        let mut second = block(Severity::Notice, b'b', 40 * KIB);
        assert_eq!(inbox.offer(&mut second), Err(Full));
        assert_eq!(second.octets().len(), 40 * KIB);
        assert_eq!(inbox.counters().enqueued.get(), 1);
    }

    #[test]
    fn small_blocks_grow_together_while_they_wait() {
        let (inbox, orders) = queue(1);
        for mark in b"abc" {
            assert_eq!(inbox.offer(&mut block(Severity::Notice, *mark, 10)), Ok(()));
        }
        assert!(matches!(orders.next(None), Next::Order(Order::Write(block)) if block.len() == 3));
    }

    #[test]
    fn the_least_urgent_go_first_and_of_those_the_oldest_and_no_more_than_needed() {
        let (inbox, orders) = queue(300 * KIB);
        let mut queued = Vec::new();
        for (severity, mark) in [
            (Severity::Error, b'e'),
            (Severity::Debug, b'd'),
            (Severity::Notice, b'n'),
        ]
        .into_iter()
        .cycle()
        {
            match inbox.offer(&mut block(severity, mark, 10 * KIB)) {
                Ok(()) => queued.push(mark),
                Err(Full) => break,
            }
        }
        for _ in 0..3 {
            inbox.force(&mut block(Severity::Emergency, b'x', 40 * KIB));
        }
        queued.extend([b'x'; 3]);
        let dropped = inbox.counters().dropped(Loss::Full).get();
        assert!(
            (3..=24).contains(&dropped),
            "{dropped} records of 10 KiB for 3 of 40 KiB"
        );
        let got = drain(&orders);
        let mut left = dropped;
        for mark in b"dn" {
            // The oldest of the least urgent are those that are missing.
            queued.retain(|other| {
                let goes = other == mark && left > 0;
                left -= u64::from(goes);
                !goes
            });
        }
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(&queued)
        );
        inbox.counters().write(got.len() as u64, 0);
        assert!(inbox.counters().balance());
        assert_eq!(inbox.counters().queued(), 0);
    }

    #[test]
    fn nobody_waits_twice_in_vain() {
        let (inbox, orders) = queue(1);
        let fill = || block(Severity::Notice, b'a', 60 * KIB);
        assert_eq!(inbox.offer(&mut fill()), Ok(()));
        assert!(!inbox.wait_for_room(60 * KIB, Duration::from_millis(1)));
        assert!(inbox.is_stalled());
        // Would take an hour if it waited.
        assert!(!inbox.wait_for_room(60 * KIB, Duration::from_secs(3600)));
        assert_eq!(drain(&orders), b"a");
        assert!(!inbox.is_stalled());
        assert!(inbox.wait_for_room(60 * KIB, Duration::from_secs(3600)));
    }

    #[test]
    fn orders_keep_their_place_among_the_messages() {
        let (inbox, orders) = queue(100);
        inbox.force(&mut block(Severity::Notice, b'a', 1));
        inbox.order(Change::Rotate);
        inbox.force(&mut block(Severity::Notice, b'b', 1));
        drop(inbox);
        assert!(matches!(orders.next(None), Next::Order(Order::Write(_))));
        assert!(matches!(
            orders.next(None),
            Next::Order(Order::Change(Change::Rotate))
        ));
        assert!(matches!(orders.next(None), Next::Order(Order::Write(_))));
        assert!(matches!(orders.next(None), Next::Closed));
    }
}
