//! The part of a queue that is on a disk, while its output is behind (reliability S3).
//!
//! ```text
//!             oldest                                            newest
//! worker ◄── [ on the disk: spool::Queue ]◄── spooler ── [ in memory ] ◄── shards
//! ```
//!
//! When more than half of its share of the memory is queued the [spooler](crate::route::spooler) takes the oldest
//! blocks to the disk, until a quarter is left. The worker reads them back before it takes one from memory, so that
//! the order stays. Nobody else waits for that disk. Changes overtake what is on it.
//!
//! What was read back is acknowledged when the output is sure of it; a crash before that has it written again.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::{Change, Inbox, Order, Orders, Shared, State};
use crate::block::Block;
use crate::counters::Loss;
use crate::format::rfc3339_stamp;
use crate::report::counted;
use crate::route::spooler::{Bell, Spooler};
use crate::spool::{Queue, Refusal};

/// So many blocks of one output are spooled before it is the next one's turn.
const IN_A_ROW: usize = 16;

/// An output that is behind again and again is mentioned no more often than this.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the spooler asks of an inbox.
pub(in crate::route) trait Spooled: Send + Sync + std::fmt::Debug {
    /// Takes some blocks to the disk.
    fn spool_some(&self) -> More;
}

/// Whether there is more to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::route) enum More {
    /// No.
    No,
    /// At once.
    Yes,
    /// There is no room.
    WhenThereIsRoom,
    /// The disk fails.
    WhenItWorks,
}

/// The disk, which is used without the lock of the inbox.
#[derive(Debug)]
pub(super) struct Disk {
    queue: Mutex<Queue>,
    bell: Arc<Bell>,
    inbox: Weak<Shared>,
}

impl Disk {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn complain(&self, queue: &Queue, refusal: &Refusal) {
        self.bell.complain(queue.spool().path(), refusal);
    }
}

/// What the inbox knows of its part on the disk.
#[derive(Debug)]
pub(super) struct Middle {
    pub(super) disk: Arc<Disk>,
    /// What is asked of the worker while there are messages.
    changes: VecDeque<Change>,
    /// How many messages are to be read back.
    pub(super) on_disk: u64,
    /// How many are on their way there.
    in_flight: u64,
    pub(super) stage: Stage,
    /// Whether the spooler knows that it is wanted.
    is_asked: bool,
    /// Whether what the worker leaves is handed over to another process.
    pub(super) is_handed_over: bool,
    /// How many messages were taken from memory since the last from the disk.
    pub(super) since_read: u64,
    episode: Episode,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The worker opens it when it begins: another one may have it until then.
    New,
    /// Whoever needs it first opens it.
    Free,
    /// It is known what was there before.
    Open,
    /// The worker ends.
    Left,
}

/// What is said about it.
#[derive(Debug, Default)]
struct Episode {
    spooled: u64,
    since: Option<(SystemTime, SystemTime)>,
    told: Option<Instant>,
    is_told: bool,
}

/// What is the next for the worker.
#[derive(Debug)]
pub(super) enum Front {
    /// The first in memory.
    Memory,
    /// What was asked meanwhile.
    Change(Change),
    /// A block on the disk.
    Disk(Arc<Disk>),
    /// A block that is on its way there.
    Moving,
    /// Nothing: the end has come, and the rest stays where it is.
    Over,
}

impl Middle {
    /// Whether a block is on its way to the disk.
    pub(super) fn is_moving(&self) -> bool {
        self.in_flight > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_open() && self.on_disk == 0 && self.in_flight == 0
    }

    fn is_open(&self) -> bool {
        match self.stage {
            Stage::New | Stage::Free => false,
            Stage::Open | Stage::Left => true,
        }
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.is_handed_over
    }

    fn ask(&mut self) {
        if !std::mem::replace(&mut self.is_asked, true) {
            let inbox: Weak<dyn Spooled> = self.disk.inbox.clone();
            self.disk.bell.ring(inbox);
        }
    }
}

impl State {
    /// To be called when something was queued.
    pub(super) fn ask_for_the_spool(&mut self) {
        if let Some(middle) = &mut self.middle
            && self.memory.octets() > self.memory.share() / 2
        {
            middle.ask();
        }
    }

    /// Where the worker has to look.
    pub(super) fn front(&mut self) -> Front {
        let Some(middle) = &mut self.middle else {
            return Front::Memory;
        };
        if let Some(change) = middle.changes.pop_front() {
            return Front::Change(change);
        }
        let is_late = self.stop_by.is_some_and(|by| by <= Instant::now());
        if is_late || self.kept.as_ref().is_some_and(|kept| !kept.is_empty()) {
            return Front::Over;
        }
        if middle.on_disk > 0 || !middle.is_open() {
            return Front::Disk(Arc::clone(&middle.disk));
        }
        if middle.in_flight > 0 {
            return Front::Moving;
        }
        Front::Memory
    }

    /// A block was taken from memory.
    pub(super) fn note_taken(&mut self, records: u64) {
        if let Some(middle) = &mut self.middle {
            middle.since_read = middle.since_read.saturating_add(records);
        }
    }

    /// Queues a change where it belongs.
    pub(super) fn queue_change(&mut self, change: Change) {
        match &mut self.middle {
            Some(middle) if !middle.is_empty() => middle.changes.push_back(change),
            Some(_) | None => self.orders.push_back(Order::Change(change)),
        }
    }

    /// Takes the first change out.
    pub(super) fn overtaking_change(&mut self) -> Option<Change> {
        let middle = self.middle.as_mut();
        if let Some(change) = middle.and_then(|middle| middle.changes.pop_front()) {
            return Some(change);
        }
        let change = |order: &Order| matches!(order, Order::Change(_));
        let found = self.orders.iter().position(change)?;
        match self.orders.remove(found) {
            Some(Order::Change(change)) => Some(change),
            Some(Order::Write(_)) | None => None,
        }
    }

    /// How many messages are on the disk, or on their way there.
    pub(super) fn spooled(&self) -> u64 {
        let middle = self.middle.as_ref();
        middle.map_or(0, |middle| middle.on_disk + middle.in_flight)
    }

    /// What the worker cannot write is handed over to another process, or not after all.
    pub(super) fn hand_over(&mut self, is_so: bool) {
        if let Some(middle) = &mut self.middle {
            middle.is_handed_over = is_so;
        }
    }
}

impl Inbox {
    /// Has a part of this queue on the disk when its output is behind. Messages that are there from before come
    /// first. `is_new` if its worker is still to begin, and may have to wait for another one that uses that part.
    pub fn attach(&self, spooler: &Spooler, name: &str, is_new: bool) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.middle.is_some() {
            return;
        }
        state.middle = Some(Box::new(Middle {
            disk: Arc::new(Disk {
                queue: Mutex::new(Queue::new(Arc::clone(spooler.spool()), name)),
                bell: Arc::clone(spooler.bell()),
                inbox: Arc::downgrade(shared),
            }),
            changes: VecDeque::new(),
            on_disk: 0,
            in_flight: 0,
            stage: if is_new { Stage::New } else { Stage::Free },
            is_asked: false,
            is_handed_over: false,
            since_read: 0,
            episode: Episode::default(),
        }));
        state.ask_for_the_spool();
        // A worker that is idle looks what is there from before.
        shared.call(&mut state);
    }
}

impl Spooled for Shared {
    fn spool_some(&self) -> More {
        for _ in 0..IN_A_ROW {
            let Some((disk, block, is_apart)) = self.take_for_disk() else {
                return More::No;
            };
            let mut queue = disk.queue();
            let found = self.find(&mut queue);
            let parted = found.and_then(|()| {
                if is_apart {
                    queue.acknowledge(0)
                } else {
                    Ok(())
                }
            });
            let appended = parted.and_then(|()| queue.append(&block));
            match &appended {
                Ok(()) => disk.bell.works(queue.spool().path()),
                Err(refusal) => disk.complain(&queue, refusal),
            }
            let spool = Arc::clone(queue.spool());
            drop(queue);
            match appended {
                Ok(()) => self.was_spooled(block, spool.path()),
                Err(refusal) => {
                    self.was_not_spooled(block);
                    return match refusal {
                        Refusal::Full => More::WhenThereIsRoom,
                        Refusal::System(_)
                        | Refusal::Link
                        | Refusal::Kind(_)
                        | Refusal::Foreign
                        | Refusal::Open
                        | Refusal::HardLinks(_)
                        | Refusal::Replaced
                        | Refusal::InUse => More::WhenItWorks,
                    };
                }
            }
        }
        More::Yes
    }
}

impl Shared {
    /// Finds out, the first time, what is there from before.
    fn find(&self, queue: &mut Queue) -> Result<(), Refusal> {
        let found = queue.open();
        let mut state = self.lock();
        let Some(middle) = &mut state.middle else {
            return Ok(());
        };
        if !middle.is_open() {
            middle.stage = Stage::Open;
        }
        let found = found?;
        middle.on_disk += found;
        self.counters.enqueue(found);
        self.counters.set_in_spool(middle.on_disk);
        drop(state);
        if found > 0 {
            tracing::info!(
                "spool {}: {} for {} from before",
                queue.spool().path().display(),
                counted(found, "message"),
                self.losses.name()
            );
        }
        Ok(())
    }

    /// Takes the oldest block out of the memory, unless there is enough room. It counts as queued, and its memory as
    /// taken.
    ///
    /// Tells, too, whether others were taken from memory behind the last that was read from the disk. The disk has to
    /// forget those then, also if they may not have arrived: of what the worker has in its hands only the newest may
    /// be on the disk, or at its end nobody knows what is.
    fn take_for_disk(&self) -> Option<(Arc<Disk>, Block, bool)> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let middle = state.middle.as_mut()?;
        let is_ready = matches!(middle.stage, Stage::Free | Stage::Open);
        if !is_ready || state.memory.octets() <= state.memory.share() / 4 {
            middle.is_asked = false;
            return None;
        }
        while let Some(order) = state.orders.pop_front() {
            match order {
                Order::Change(change) => middle.changes.push_back(change),
                Order::Write(block) => {
                    let is_apart = middle.is_empty() && middle.since_read > 0;
                    middle.in_flight = block.len() as u64;
                    return Some((Arc::clone(&middle.disk), block, is_apart));
                }
            }
        }
        middle.is_asked = false;
        None
    }

    fn was_spooled(&self, mut block: Block, path: &Path) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(middle) = &mut state.middle else {
            return;
        };
        middle.in_flight = 0;
        middle.on_disk += block.len() as u64;
        self.counters.spooled.add(block.len() as u64);
        self.counters.set_in_spool(middle.on_disk);
        let is_first = middle.episode.began(block.len() as u64);
        state.memory.shrink(block.memory());
        block.clear();
        state.keep_spare(block);
        self.made_room(state);
        self.moved(state);
        drop(guard);
        if is_first {
            let name = self.losses.name();
            let path = path.display();
            tracing::warn!("{name} is behind: its messages go to the spool {path}");
        }
    }

    fn was_not_spooled(&self, block: Block) {
        let mut state = self.lock();
        if let Some(middle) = &mut state.middle {
            middle.in_flight = 0;
        }
        state.orders.push_front(Order::Write(block));
        self.moved(&mut state);
    }

    /// Whoever waits for a block that was on its way looks again.
    fn moved(&self, state: &mut State) {
        if state.is_idle {
            self.call(state);
        } else {
            self.announce(state);
        }
    }
}

impl Episode {
    /// Notes messages that were spooled; tells whether to say that it has begun.
    fn began(&mut self, spooled: u64) -> bool {
        let now = SystemTime::now();
        self.spooled += spooled;
        if let Some((_, last)) = &mut self.since {
            *last = now;
            return false;
        }
        self.since = Some((now, now));
        self.is_told = self.told.is_none_or(|told| told.elapsed() >= INTERVAL);
        if self.is_told {
            self.told = Some(Instant::now());
        }
        self.is_told
    }

    /// It is over: what to say, if it was said that it began.
    fn ended(&mut self) -> Option<String> {
        let (from, to) = self.since.take()?;
        let spooled = std::mem::take(&mut self.spooled);
        let (from, to) = (rfc3339_stamp(from), rfc3339_stamp(to));
        let said = format!(
            "{} went by the spool between {} and {}",
            counted(spooled, "message"),
            from.trim_end(),
            to.trim_end()
        );
        self.is_told.then_some(said)
    }
}

impl Orders {
    /// Reads a block back from the disk; `None` if it has to be looked again.
    pub(super) fn read_back(&self, disk: &Disk) -> Option<Block> {
        let shared = &self.0;
        let mut queue = disk.queue();
        if let Err(refusal) = shared.find(&mut queue) {
            disk.complain(&queue, &refusal);
            return None;
        }
        let taken = queue.read();
        drop(queue);
        let mut state = shared.lock();
        let middle = state.middle.as_mut()?;
        // What should be there and is not is lost, too.
        let lost = taken.as_ref().map_or(middle.on_disk, |taken| taken.lost);
        let taken = taken.unwrap_or_default();
        let read = taken.block.as_ref().map_or(0, |block| block.len() as u64);
        middle.on_disk = (middle.on_disk + taken.surplus).saturating_sub(lost + read);
        middle.since_read = 0;
        shared.counters.enqueue(taken.surplus);
        shared.counters.set_in_spool(middle.on_disk);
        drop(state);
        shared.reads_back.store(true, Relaxed);
        self.lose(lost, Loss::Io);
        taken.block
    }

    /// Whether [`Orders::settle`] has something to do.
    pub fn reads_back(&self) -> bool {
        self.0.reads_back.load(Relaxed)
    }

    /// What was taken is written for good, but for the last `outstanding` messages.
    pub fn settle(&self, outstanding: u64) {
        let mut state = self.0.lock();
        // What was kept is not written, and whether it was read from the disk is sorted out at the end.
        if state.kept.as_ref().is_some_and(|kept| !kept.is_empty()) {
            return;
        }
        let Some(middle) = &mut state.middle else {
            return;
        };
        let disk = Arc::clone(&middle.disk);
        let outstanding = outstanding.saturating_sub(middle.since_read);
        let is_over = middle.is_empty() && outstanding == 0;
        let said = if middle.is_empty() {
            middle.episode.ended()
        } else {
            None
        };
        drop(state);
        if is_over {
            self.0.reads_back.store(false, Relaxed);
        }
        let mut queue = disk.queue();
        if let Err(refusal) = queue.acknowledge(outstanding) {
            disk.complain(&queue, &refusal);
        }
        drop(queue);
        if let Some(said) = said {
            tracing::info!("{} has caught up: {said}", self.0.losses.name());
        }
    }
}

#[cfg(test)]
mod tests;
