//! The worker of an output, from its inbox to its sink: on a thread of its own, or turn by turn on those that
//! files share ([`super::hands`]).
//!
//! ```text
//! next order ──► fold repeats ──► write ──► account ──► keep ──► sync ──► let go
//!                                   │ Retry: hold, tell once, wait, again    │ failed: write again,
//!                                   └ Drop: count, go on                     └ to a new file
//! ```
//!
//! While it waits it obeys every order that is no message, and producers shed what does not fit. Its
//! I/O errors never leave it. The limit: a write(2) that hangs in the kernel hangs this output alone.

mod due;
mod own;
mod rewrite;
mod trouble;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use self::due::SETTLE_AFTER;
use super::repeat::{Folded, Folding, Repeats, Style};
use super::retained::Retained;
use super::{Sink, Stop, Written};
use crate::block::Block;
use crate::config::{OutputSettings, Sync};
use crate::counters::Loss;
use crate::format::Layout;
use crate::route::inbox::{Change, Next, Order, Orders};

/// An output that no rule names any longer may try for so long to write what it holds.
const DRAIN: Duration = Duration::from_secs(30);

/// At a hand-over to another process, a remote may take so long to acknowledge what it was sent; after
/// that it is sent again.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(300);

/// What the disk may not have yet takes the whole memory budget divided by this, beside the queue.
const RETAINED: usize = 64;

/// Orders for each turn, so that other outputs have theirs.
const TURN: usize = 4;

/// How a turn ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// There is more to do.
    Again,
    /// There is nothing to do until then, or until the waker is told.
    Sleep(Option<Instant>),
    /// The output has ended.
    Over,
}

/// One output at work.
#[derive(Debug)]
pub struct Worker {
    name: String,
    sink: Sink,
    orders: Orders,
    sync: Sync,
    layout: Layout,
    repeats: Option<Repeats>,
    retained: Retained,
    unsynced_since: Option<Instant>,
    complaint: Option<String>,
    /// When the readers may be told of a gap again.
    gap_from: Option<Instant>,
    torn_tails: u64,
    ending: Option<Instant>,
    settle_at: Option<Instant>,
}

impl Worker {
    /// Puts the parts together; [`run`](Self::run) does the work.
    pub fn new(
        name: String,
        sink: Sink,
        orders: Orders,
        settings: &OutputSettings,
        folding: Folding,
    ) -> Self {
        let repeats = match folding {
            Folding::Off => None,
            Folding::On(style) => Some(Repeats::new(style, Instant::now())),
        };
        Self {
            name,
            sink,
            sync: settings.sync,
            layout: settings.layout.unwrap_or(Layout::Traditional),
            repeats,
            retained: Retained::new(orders.limit() / RETAINED),
            orders,
            unsynced_since: None,
            complaint: None,
            gap_from: None,
            torn_tails: 0,
            ending: None,
            settle_at: None,
        }
    }

    /// Works until the inbox is closed or its stop deadline has passed, then writes what it can.
    pub fn run(mut self) {
        self.begin();
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            self.mend();
        }
    }

    /// Before anything else: makes ready what shall be there before its first message.
    pub(super) fn begin(&mut self) {
        self.sink.prepare();
    }

    /// After a fault of ours: what was in hand is lost and counted; the output goes on.
    pub(super) fn mend(&mut self) {
        if let Some(repeats) = &mut self.repeats {
            repeats.forget();
        }
        self.sink.give_up();
        self.orders.lose_what_is_out();
    }

    fn work(&mut self) {
        while {
            self.settle_spool();
            let next = self.orders.next(self.alarm());
            self.follow(next)
        } {}
        self.finish();
    }

    /// As [`run`](Self::run), but instead of waiting for something to do it returns; `waker` is told when
    /// something comes. It waits all the same while what it has in hand cannot be written.
    pub(super) fn turn(&mut self, waker: &Waker) -> Turn {
        for _ in 0..TURN {
            self.settle_spool();
            let stop_by = self.orders.stop_by();
            let alarm = self.alarm().into_iter().chain(stop_by).min();
            match self.orders.poll(alarm, waker) {
                Poll::Pending => return Turn::Sleep(alarm),
                Poll::Ready(next) => {
                    if !self.follow(next) {
                        self.finish();
                        return Turn::Over;
                    }
                }
            }
        }
        Turn::Again
    }

    /// Whether the next turn will wait for the disk, as far as is known.
    pub(super) fn is_about_to_sync(&self) -> bool {
        let now = Instant::now();
        let is_due = self.sync_due().is_some_and(|due| due <= now);
        is_due || self.unsynced_since.is_some() && self.orders.stop_by().is_some()
    }

    /// Whether the next turn will wait for nothing, as far as is known without a look at the inbox: whoever asks may
    /// hold a lock that those wait for who hold that of the inbox.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        let is_at_peace = self.complaint.is_none() && self.ending.is_none();
        is_at_peace && self.sync_due().is_none_or(|due| due > now)
    }

    /// Does what comes next; false if that was all.
    fn follow(&mut self, next: Next) -> bool {
        match next {
            Next::Order(Order::Write(block)) => self.take(block),
            Next::Order(Order::Change(change)) => self.obey(change),
            Next::Late => {
                self.on_time();
                // A sync takes its time, and something may have come meanwhile.
                let stop_by = self.orders.stop_by();
                return stop_by.is_none_or(|by| by > Instant::now()) || !self.orders.is_empty();
            }
            Next::Closed => return false,
        }
        true
    }

    /// Says the last words, and lets go of the sink.
    fn finish(&mut self) {
        self.tell_last_repeats();
        self.tell_gap(false);
        self.sync_now();
        let deadline = self.orders.stop_by().or(self.ending);
        let mut deadline = deadline.unwrap_or_else(|| Instant::now() + DRAIN);
        if self.orders.is_handed_over() {
            deadline = Instant::now() + HAND_OVER_WITHIN;
        }
        let unsure = self.sink.close(deadline);
        if self.orders.is_suspending() {
            let unsure = self.sink.take_back();
            let sent = unsure.len() as u64;
            self.orders.keep_first(unsure);
            self.orders.leave(sent, self.repeats.is_some());
            return;
        }
        if unsure > 0 {
            let unsure = match unsure {
                1 => "message".to_owned(),
                unsure => format!("{unsure} messages"),
            };
            tracing::warn!("{}: the last {unsure} may not have arrived", self.name);
        }
    }

    /// Lets the spool forget what was read from it, was written, and will not be written again.
    fn settle_spool(&mut self) {
        if self.orders.reads_back() && self.unsynced_since.is_none() {
            let repeats = self.repeats.as_ref().map_or(0, Repeats::pending);
            self.orders.settle(self.sink.unsettled() as u64 + repeats);
        }
    }

    /// Does what is asked between two messages; the count of repeats comes first.
    fn obey(&mut self, change: Change) {
        match change {
            Change::Update(_) => {}
            Change::Reopen | Change::Rotate => self.tell_repeats(),
        }
        self.carry_out(change);
    }

    /// Does what is asked. While records wait it is all: the count of repeats comes after them.
    fn carry_out(&mut self, change: Change) {
        match change {
            Change::Update(settings) => self.update(settings),
            Change::Reopen => self.sink.reopen(),
            Change::Rotate => self.sink.rotate(),
        }
    }

    fn update(&mut self, settings: OutputSettings) {
        self.sync = settings.sync;
        self.layout = settings.layout.unwrap_or(Layout::Traditional);
        if let Some(repeats) = &mut self.repeats {
            repeats.restyle(Style::of(settings.layout));
        }
        self.sink.update(settings);
    }

    fn take(&mut self, mut block: Block) {
        let shed = self.sink.shed(&mut block);
        self.orders.lose(shed as u64, Loss::Policy);
        let folded = match &mut self.repeats {
            None => Folded {
                block,
                ..Folded::default()
            },
            Some(repeats) => repeats.fold(block, Instant::now()),
        };
        let kept = self.write(&folded);
        if self.unsynced_since.is_none() {
            self.orders.recycle(folded.block);
        } else if kept == 0 {
            let free = self.retained.keep(folded.block);
            if let Some(free) = free {
                self.orders.recycle(free);
            }
        } else {
            let last = folded.block.len();
            self.retain(&folded.block, kept..last);
            self.orders.recycle(folded.block);
        }
        if self.complaint.is_none() {
            self.tell_gap(true);
        }
        self.settle_after(SETTLE_AFTER);
        self.on_time();
    }

    /// Writes all records, however long it takes, unless the end comes first. Returns how many of them are
    /// retained already.
    fn write(&mut self, folded: &Folded) -> usize {
        let block = &folded.block;
        let (mut next, mut kept) = (0, 0);
        let mut dropped = false;
        while next < block.len() {
            if self.is_over() {
                if !self.orders.keep(block.rest(next)) {
                    self.orders
                        .lose(folded.inputs(next, block.len()), Loss::Shutdown);
                }
                self.sink.give_up();
                self.retain(block, kept..next);
                return block.len();
            }
            if self.orders.has_gap() && self.complaint.is_none() {
                self.retain(block, kept..next);
                kept = next;
                self.tell_gap(true);
            }
            let Written { records, stopped } = self.sink.write(block, next);
            let to = next + records;
            if records > 0 {
                let octets = block.start_of(to) - block.start_of(next);
                self.note_written(folded.inputs(next, to), octets);
                self.settle_complaint();
            }
            next = to;
            match stopped {
                None => {}
                Some(Stop::Drop(why)) => {
                    let mut lost = folded.inputs(next, next + 1);
                    if next + 1 == block.len()
                        && let Some(repeats) = &mut self.repeats
                    {
                        lost += repeats.forget();
                    }
                    self.orders.lose(lost, why);
                    dropped = true;
                    next += 1;
                }
                Some(Stop::Unsynced(error)) => {
                    self.retain(block, kept..next);
                    kept = next;
                    self.write_again(&error);
                }
                Some(Stop::Retry(trouble)) => {
                    self.complain(&trouble);
                    if self.sync_due().is_some_and(|due| due <= Instant::now()) {
                        self.retain(block, kept..next);
                        kept = next;
                        self.sync_now();
                    }
                    self.wait(trouble.after);
                }
            }
        }
        // While messages are given up, our own sentence about it would be the next of them, for ever.
        if !dropped && self.orders.is_empty() && !self.sink.is_shedding() {
            self.orders.recovered();
        }
        kept
    }

    /// Counts what the sink took.
    fn note_written(&mut self, records: u64, octets: usize) {
        let counters = self.orders.counters();
        counters.write(records, octets as u64);
        let torn_tails = self.sink.torn_tails();
        counters.torn_tails.add(torn_tails - self.torn_tails);
        self.torn_tails = torn_tails;
        if self.sync != Sync::None && self.unsynced_since.is_none() && self.sink.has_disk() {
            self.unsynced_since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
