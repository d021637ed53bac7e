//! The worker: one thread for each output, from its inbox to its sink.
//!
//! ```text
//! next order ──► fold repeats ──► write ──► account ──► sync
//!                                   │ Retry: hold, tell once, wait, again
//!                                   └ Drop: count, go on
//! ```
//!
//! While it waits it obeys every order that is no message, and producers shed what does not fit. Its
//! I/O errors never leave it. The limit: a write(2) that hangs in the kernel hangs this output alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::repeat::{Folded, Folding, Repeats, Style};
use super::{Sink, Stop, Written};
use crate::block::Block;
use crate::config::{OutputSettings, Sync};
use crate::counters::Loss;
use crate::report::counted;
use crate::route::inbox::{Change, Next, Order, Orders, Pause};

/// An output that no rule names any longer may try for so long to write what it holds.
const DRAIN: Duration = Duration::from_secs(30);

/// Towards the end it is tried more often.
const LAST_RETRIES: Duration = Duration::from_millis(500);

/// At a hand-over to another process, a remote may take so long to acknowledge what it was sent; after
/// that it is sent again.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(300);

/// `sync=second`: how long a record may stay off the disk.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// How long a remote may take to acknowledge before a quiet forward looks again.
const SETTLE_AFTER: Duration = Duration::from_secs(1);

/// One output at work.
#[derive(Debug)]
pub struct Worker {
    name: String,
    sink: Sink,
    orders: Orders,
    sync: Sync,
    repeats: Option<Repeats>,
    unsynced_since: Option<Instant>,
    complaint: Option<String>,
    ending: Option<Instant>,
    settle_at: Option<Instant>,
}

impl Worker {
    /// Puts the parts together; [`run`](Self::run) does the work.
    pub fn new(name: String, sink: Sink, orders: Orders, sync: Sync, folding: Folding) -> Self {
        let repeats = match folding {
            Folding::Off => None,
            Folding::On(style) => Some(Repeats::new(style, Instant::now())),
        };
        Self {
            name,
            sink,
            orders,
            sync,
            repeats,
            unsynced_since: None,
            complaint: None,
            ending: None,
            settle_at: None,
        }
    }

    /// Works until the inbox is closed or its stop deadline has passed, then writes what it can.
    pub fn run(mut self) {
        self.sink.prepare();
        // What was in hand at a fault of ours is lost and counted; the output goes on.
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            if let Some(repeats) = &mut self.repeats {
                repeats.forget();
            }
            self.orders.lose_what_is_out();
        }
    }

    fn work(&mut self) {
        loop {
            match self.orders.next(self.alarm()) {
                Next::Order(Order::Write(block)) => self.take(block),
                Next::Order(Order::Change(change)) => self.obey(change),
                Next::Late => {
                    self.on_time();
                    if self.orders.stop_by().is_some_and(|by| by <= Instant::now()) {
                        break;
                    }
                }
                Next::Closed => break,
            }
        }
        self.tell_last_repeats();
        self.sync_now();
        if self.orders.is_suspending() {
            self.sink.close(Instant::now() + HAND_OVER_WITHIN);
            self.orders.keep_first(self.sink.take_back());
            return;
        }
        let deadline = self.orders.stop_by().or(self.ending);
        let unsure = self
            .sink
            .close(deadline.unwrap_or_else(|| Instant::now() + DRAIN));
        if unsure > 0 {
            let unsure = match unsure {
                1 => "message".to_owned(),
                unsure => format!("{unsure} messages"),
            };
            tracing::warn!("{}: the last {unsure} may not have arrived", self.name);
        }
    }

    /// When it has to wake up although nothing came.
    fn alarm(&self) -> Option<Instant> {
        let sync = self.unsynced_since.map(|since| since + SYNC_WITHIN);
        let repeats = self.repeats.as_ref().and_then(Repeats::due);
        [sync, repeats, self.settle_at, self.sink.look_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.repeats.as_ref().and_then(Repeats::due)) {
            self.tell_repeats();
        }
        if due(self.unsynced_since.map(|since| since + SYNC_WITHIN)) {
            self.sync_now();
        }
        if due(self.sink.look_at()) {
            self.sink.on_time();
        }
        if due(self.settle_at) {
            self.settle_at = None;
            let after = match self.sink.settle() {
                Some(Stop::Retry {
                    after,
                    sentence,
                    loss,
                }) => {
                    self.complain(&sentence, after, loss);
                    after
                }
                Some(Stop::Drop(_)) | None => SETTLE_AFTER,
            };
            self.settle_after(after);
        }
    }

    /// Looks again later whether all that was sent has arrived.
    fn settle_after(&mut self, pause: Duration) {
        if self.settle_at.is_none() && self.sink.is_unsettled() {
            self.settle_at = Some(Instant::now() + pause);
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
        if let Some(repeats) = &mut self.repeats {
            repeats.restyle(Style::of(settings.layout));
        }
        self.sink.update(settings);
    }

    fn take(&mut self, block: Block) {
        let folded = match &mut self.repeats {
            None => Folded {
                block,
                ..Folded::default()
            },
            Some(repeats) => repeats.fold(block, Instant::now()),
        };
        self.write(&folded);
        self.orders.recycle(folded.block);
        self.settle_after(SETTLE_AFTER);
        self.on_time();
    }

    /// Writes all records, however long it takes, unless the end comes first.
    fn write(&mut self, folded: &Folded) {
        let block = &folded.block;
        let mut next = 0;
        let mut dropped = false;
        while next < block.len() {
            if self.is_over() {
                if !self.orders.keep(block.rest(next)) {
                    self.orders
                        .lose(folded.inputs(next, block.len()), Loss::Shutdown);
                }
                return;
            }
            let Written { records, stopped } = self.sink.write(block, next);
            let to = next + records;
            if records > 0 {
                let octets = block.start_of(to) - block.start_of(next);
                let records = folded.inputs(next, to);
                self.orders.counters().write(records, octets as u64);
                if self.sync != Sync::None {
                    self.unsynced_since.get_or_insert_with(Instant::now);
                }
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
                Some(Stop::Retry {
                    after,
                    sentence,
                    loss,
                }) => {
                    self.complain(&sentence, after, loss);
                    if self.sync == Sync::Second {
                        // The wait may be longer than that second.
                        self.sync_now();
                    }
                    self.wait(after);
                }
            }
        }
        if !dropped && self.orders.is_empty() {
            self.orders.recovered();
        }
        if self.sync == Sync::Durable {
            self.sync_durably(block);
        }
    }

    /// Whether the deadline has passed, so that nothing is written any more.
    fn is_over(&mut self) -> bool {
        let deadline = self.orders.stop_by().into_iter().chain(self.ending).min();
        deadline.is_some_and(|by| by <= Instant::now())
    }

    /// Waits before the next try; returns at once when asked to open again, and when the end begins.
    fn wait(&mut self, after: Duration) {
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

    fn complain(&mut self, sentence: &str, after: Duration, loss: Loss) {
        self.orders.set_trouble(Some(loss));
        if self.complaint.as_deref() != Some(sentence) {
            let held = counted(self.orders.counters().queued(), "message");
            let next = after.as_secs().max(1);
            tracing::warn!("{sentence}; {held} held, next try in {next} s");
            self.complaint = Some(sentence.to_owned());
        }
    }

    fn settle_complaint(&mut self) {
        if self.complaint.take().is_some() {
            self.orders.set_trouble(None);
            tracing::info!("writing to {} again", self.name);
        }
    }

    /// Writes how often the last message came again; what cannot be written now is told later.
    fn tell_repeats(&mut self) {
        let now = Instant::now();
        let Some(repeats) = &mut self.repeats else {
            return;
        };
        let Some((block, count)) = repeats.flush(now) else {
            return;
        };
        let Written { records, stopped } = self.sink.write(&block, 0);
        match stopped {
            _ if records > 0 => {
                self.orders
                    .counters()
                    .write(count, block.octets().len() as u64);
                if self.sync != Sync::None {
                    self.unsynced_since.get_or_insert(now);
                }
            }
            Some(Stop::Drop(loss)) => self.orders.lose(count, loss),
            Some(Stop::Retry {
                after,
                sentence,
                loss,
            }) => {
                repeats.put_back(count);
                self.complain(&sentence, after, loss);
            }
            None => repeats.put_back(count),
        }
    }

    /// Tells it for the last time: now, or behind what is kept for another process.
    fn tell_last_repeats(&mut self) {
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

    /// Nothing else is taken before these records are on the disk, here or in a file beside.
    fn sync_durably(&mut self, block: &Block) {
        if self.unsynced_since.take().is_none() {
            return;
        }
        let Err(error) = self.sink.sync() else { return };
        let name = &self.name;
        match self.sink.salvage(block) {
            Some(Ok(path)) => {
                let path = path.display();
                tracing::error!("cannot sync {name}: {error}; its last records are in {path} too");
            }
            Some(Err(second)) => tracing::error!(
                "cannot sync {name}: {error}, nor save its last records beside: {second}"
            ),
            None => {}
        }
    }

    fn sync_now(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Err(error) = self.sink.sync()
        {
            let name = &self.name;
            tracing::error!("cannot sync {name}: {error}; what was written last may be lost");
        }
    }
}

#[cfg(test)]
mod tests;
