//! The inbox of an output: a bounded queue of whole blocks, with orders in between.
//!
//! ```text
//! shard ─ offer(block) ─┐                          ┌─► next() ─ worker ─► recycle(block) ─┐
//! shard ─ offer(block) ─┼─► [Write][Write][Rotate] ┘                                      │
//!       ◄───────────────┴──────────────── empty blocks for reuse ◄────────────────────────┘
//! ```
//!
//! Bounded by its share of the memory budget. When it is full the caller decides: wait ([`room`]), or make
//! room by dropping the least urgent records ([`Inbox::force`]). Every drop is counted and told
//! ([`super::loss`]). Before that its oldest part goes to a disk, if there is a spool ([`spooling`]). The queue closes
//! when the last `Inbox` is gone; the worker then drains it and ends. A worker can be asked to end before ([`leaving`]).

mod leaving;
mod orders;
mod room;
pub(super) mod spooling;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use self::leaving::Stopper;
pub use self::orders::{Next, Orders, Pause};
use self::room::InVain;
use self::spooling::Middle;
use super::loss::LossLog;
use crate::block::Block;
use crate::budget::{Budget, Held};
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

/// What the sender of a message may ask of an output for which memory is tight.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Claim {
    /// To take it: he is within his share.
    #[default]
    Rightful,
    /// To take it unless somebody has waited for that output in vain: he is beyond his share, and will be
    /// made to wait.
    Patient,
    /// Nothing: he is beyond his share, and there is no time left to wait.
    Spent,
}

/// How many empty blocks are kept for reuse.
const SPARE_BLOCKS: usize = 4;

/// A block that grew beyond this is not kept: a batch of long messages makes such a one.
const SPARE_MEMORY: usize = 8 * Block::FULL;

#[derive(Debug)]
struct State {
    orders: VecDeque<Order>,
    /// What the queued blocks take.
    memory: Held,
    /// What [`State::may_keep`] said last.
    may_keep: usize,
    /// Who has waited in vain since the worker took something last.
    in_vain: InVain,
    /// How many blocks the worker has taken: while that does not change, the output stands still.
    taken: u64,
    /// How long a stream waits while the worker takes nothing and knows of no trouble.
    patience: Duration,
    /// Whether the worker waits for something to do, and how many wait for room: a call that wakes nobody has
    /// its price, too.
    is_idle: bool,
    waiting: u32,
    /// How many threads wait for something to arrive.
    listening: u32,
    /// Whom to tell instead, if no thread waits.
    waker: Option<Waker>,
    spare: Vec<Block>,
    /// What the spare blocks take.
    spare_memory: Held,
    /// Why the worker cannot write at present: what is shed meanwhile is lost for that reason.
    trouble: Option<Loss>,
    closed: bool,
    ending_told: bool,
    stop_by: Option<Instant>,
    /// What the worker could not write by then, if somebody else is to write it.
    kept: Option<VecDeque<Block>>,
    /// What of the queue is on a disk, if there is a spool.
    middle: Option<Box<Middle>>,
}

impl State {
    /// Whether a block of so many octets has no place in this queue's share of the memory.
    fn is_full(&self, octets: usize) -> bool {
        self.memory.octets() > 0
            && !self.fits_behind(octets)
            && self.memory.octets() + octets.max(Block::ROOM) > self.memory.share()
    }

    /// How much memory the queue may have before something must go: its share, or what it had of a greater one.
    /// Where others have taken that since, it keeps what it has, and gets no more.
    fn may_keep(&mut self) -> usize {
        let had = self.may_keep.min(self.memory.octets());
        self.may_keep = self.memory.share().max(had);
        self.may_keep
    }

    /// What the last block takes that is queued: it is accepted even where it is more than there may be.
    fn last_memory(&self) -> usize {
        match self.orders.back() {
            Some(Order::Write(last)) => last.memory(),
            Some(Order::Change(_)) | None => 0,
        }
    }

    /// Whether so many octets fit into the last block that is queued.
    fn fits_behind(&self, octets: usize) -> bool {
        match self.orders.back() {
            Some(Order::Write(last)) => last.octets().len() + octets <= Block::FULL,
            Some(Order::Change(_)) | None => false,
        }
    }

    /// Keeps an emptied block for reuse, if there are few.
    fn keep_spare(&mut self, block: Block) {
        let few = self.spare.len() < SPARE_BLOCKS && block.memory() <= SPARE_MEMORY;
        let budget = self.memory.budget();
        if few && !self.memory.is_tight() && budget.may_spare(block.memory()) {
            self.spare_memory.grow(block.memory());
            self.spare.push(block);
        }
    }

    /// How many records are queued in memory.
    fn queued_records(&self) -> u64 {
        let records = |order: &Order| match order {
            Order::Write(block) => block.len() as u64,
            Order::Change(_) => 0,
        };
        self.orders.iter().map(records).sum()
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
    ///
    /// Memory comes back in whole blocks: what is left of one moves up into the room that the block before it
    /// has, until nothing is left. A copy of just what is left would leave holes in the heap that no whole block
    /// fits into.
    fn shed(&mut self, severity: Severity, room: usize) -> u64 {
        let mut places = self.orders.iter_mut().enumerate();
        let found = places.find_map(|(place, order)| match order {
            Order::Write(block) if block.holds(severity) => Some((place, std::mem::take(block))),
            Order::Write(_) | Order::Change(_) => None,
        });
        let Some((place, mut block)) = found else {
            return 0;
        };
        let mut before = block.memory();
        let shed = block.shed(severity, room) as u64;
        let mut after = 0;
        let previous = place
            .checked_sub(1)
            .and_then(|place| self.orders.get_mut(place));
        if let Some(Order::Write(previous)) = previous {
            before += previous.memory();
            previous.top_up(&mut block);
            after += previous.memory();
        }
        if block.is_empty() {
            self.orders.remove(place);
        } else {
            after += block.memory();
            self.orders[place] = Order::Write(block);
        }
        self.memory
            .set((self.memory.octets() + after).saturating_sub(before));
        shed
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
    room_for_tasks: Notify,
    /// As in the state, for a look without the lock: whether memory is tight for it, and whether somebody
    /// has waited in vain.
    is_tight: AtomicBool,
    was_in_vain: AtomicBool,
    /// Whether the worker has blocks from the disk that are not acknowledged.
    reads_back: AtomicBool,
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
        let mut state = self.0.lock();
        state.closed = true;
        self.0.call(&mut state);
    }
}

/// A queue that takes its share of `memory` (one block is always accepted) for the output called `name`.
pub fn inbox(
    name: String,
    memory: impl Into<Budget>,
    counters: Arc<OutputCounters>,
) -> (Inbox, Orders) {
    let memory = memory.into();
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            orders: VecDeque::new(),
            memory: memory.holder(),
            may_keep: 0,
            in_vain: InVain::Nobody,
            taken: 0,
            patience: Inbox::SHORT_PATIENCE,
            is_idle: false,
            waiting: 0,
            listening: 0,
            waker: None,
            spare: Vec::new(),
            spare_memory: memory.spare_holder(),
            trouble: None,
            closed: false,
            ending_told: false,
            stop_by: None,
            kept: None,
            middle: None,
        }),
        arrived: Condvar::new(),
        room: Condvar::new(),
        room_for_tasks: Notify::new(),
        is_tight: AtomicBool::new(false),
        was_in_vain: AtomicBool::new(false),
        reads_back: AtomicBool::new(false),
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
        if state.is_full(block.octets().len()) {
            return Err(Full);
        }
        state.may_keep();
        shared.accept(&mut state, block);
        Ok(())
    }

    /// Hands a block over whatever it takes: the least urgent records, those of the block among them, the
    /// oldest first, are dropped and counted until what is left fits.
    pub fn force(&self, block: &mut Block) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let why = state.trouble.unwrap_or(Loss::Full);
        let most = state.may_keep();
        shared.accept(&mut state, block);
        let mut dropped = 0;
        loop {
            let limit = most.max(state.last_memory());
            let surplus = state.memory.octets().saturating_sub(limit);
            match state.least_urgent() {
                Some(severity) if surplus > 0 => dropped += state.shed(severity, surplus),
                Some(_) | None => break,
            }
        }
        drop(state);
        shared.counters.lose(dropped, why);
        shared.losses.note(dropped, why);
    }

    /// Whether most of the memory that it may take is taken.
    pub fn is_tight(&self) -> bool {
        self.0.0.is_tight.load(Relaxed)
    }

    /// Whether a message is to be [refused](Self::refuse) because of whoever sent it.
    pub fn refuses(&self, claim: Claim) -> bool {
        match claim {
            Claim::Rightful => false,
            Claim::Patient => self.is_tight() && self.0.0.was_in_vain.load(Relaxed),
            Claim::Spent => self.is_tight(),
        }
    }

    /// Counts records that were meant for it and were never made. While the output is in trouble no share
    /// would be small enough, and what is beyond one is lost for that trouble.
    pub fn refuse(&self, records: u64, why: Loss) {
        if records == 0 {
            return;
        }
        let shared = &self.0.0;
        let mut why = why;
        if why == Loss::Share {
            why = shared.lock().trouble.unwrap_or(why);
        }
        shared.counters.enqueue(records);
        shared.counters.lose(records, why);
        shared.losses.note(records, why);
    }

    /// Asks for a change behind the messages that are queued already.
    pub fn order(&self, change: Change) {
        let mut state = self.0.0.lock();
        state.queue_change(change);
        self.0.0.call(&mut state);
    }

    /// From now on it matters whether something comes: see [`Self::was_quiet`].
    pub fn watch(&self) {
        let come = self.0.0.counters.enqueued.get();
        self.0.0.watched.store(come, Relaxed);
    }

    /// Whether nothing came since [`Self::watch`].
    pub fn was_quiet(&self) -> bool {
        self.0.0.counters.enqueued.get() == self.0.0.watched.load(Relaxed)
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

/// There was no room in the inbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl Shared {
    /// Something left the queue.
    fn made_room(&self, state: &mut State) {
        self.is_tight.store(state.memory.is_tight(), Relaxed);
        state.taken += 1;
        state.in_vain = InVain::Nobody;
        self.was_in_vain.store(false, Relaxed);
        if state.waiting > 0 {
            self.room.notify_all();
        }
        self.room_for_tasks.notify_waiters();
    }

    /// Tells the worker that there is something to do.
    fn call(&self, state: &mut State) {
        state.is_idle = false;
        self.announce(state);
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    /// Wakes the threads that wait for something to arrive.
    fn announce(&self, state: &State) {
        if state.listening > 0 {
            self.arrived.notify_all();
        }
    }

    /// Waits until something arrives, or for so long; may return before.
    fn listen<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        patience: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.listening += 1;
        let mut state = match patience {
            None => self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.arrived.wait_timeout(state, patience);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.listening -= 1;
        state
    }

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
                let grown = last.memory().saturating_sub(before);
                state.memory.grow(grown);
            }
            Some(_) | None => {
                let empty = state.spare.pop().unwrap_or_else(|| block.successor());
                state.spare_memory.shrink(empty.memory());
                state.memory.grow(block.memory());
                self.is_tight.store(state.memory.is_tight(), Relaxed);
                state
                    .orders
                    .push_back(Order::Write(std::mem::replace(block, empty)));
                state.ask_for_the_spool();
                if state.is_idle {
                    self.call(state);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
