//! Memory buffers: the last records of an output, for whoever asks by name (OpenBSD's `:SIZE:NAME`).
//!
//! ```text
//!  worker ──► │ newest … record record oldest │ ──► overwritten, and counted
//!                     └── copied for a reader
//! ```
//!
//! A record is one line that ends in LF and holds no other, so that the ring needs no index. A ring lives as
//! long as its output, thus through a reload, and an upgrade hands over what it holds. The limit: that is gone
//! when the daemon is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::{Stop, Written};
use crate::block::Block;
use crate::counters::Loss;

/// The rings of all outputs, by name. A ring that no output holds any more is not among them.
#[derive(Clone, Debug, Default)]
pub struct Rings(Arc<Mutex<BTreeMap<String, Weak<Ring>>>>);

impl Rings {
    /// The ring of this name for `capacity` octets; if it is there, it keeps what it holds.
    pub fn open(&self, name: &str, capacity: usize) -> Arc<Ring> {
        let mut rings = self.lock();
        rings.retain(|_, ring| ring.strong_count() > 0);
        if let Some(ring) = rings.get(name).and_then(Weak::upgrade) {
            ring.resize(capacity);
            return ring;
        }
        let ring = Arc::new(Ring::new(capacity));
        rings.insert(name.to_owned(), Arc::downgrade(&ring));
        ring
    }

    /// The ring of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Ring>> {
        self.lock().get(name).and_then(Weak::upgrade)
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<(String, Arc<Ring>)> {
        let rings = self.lock();
        let living = rings
            .iter()
            .filter_map(|(name, ring)| Some((name.clone(), ring.upgrade()?)));
        living.collect()
    }

    /// Lets those that are there go on with what another process held.
    pub fn go_on(&self, contents: &[(String, Content)]) {
        for (name, content) in contents {
            if let Some(ring) = self.find(name) {
                ring.go_on(content);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Ring>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output that fills a ring.
#[derive(Debug)]
pub struct Memory(Arc<Ring>);

impl Memory {
    /// Fills this ring.
    pub fn new(ring: Arc<Ring>) -> Self {
        Self(ring)
    }

    /// Takes the records from number `from` on; stops at one that is longer than the whole ring.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let mut state = self.0.lock();
        let mut next = from;
        let mut stopped = None;
        while let Some(entry) = block.get(next) {
            if !state.push(entry.octets) {
                stopped = Some(Stop::Drop(Loss::NoSpace));
                break;
            }
            next += 1;
        }
        let newest = state.newest();
        drop(state);
        self.0.grown.send_replace(newest);
        Written {
            records: next - from,
            stopped,
        }
    }

    /// Makes it larger, or smaller, at the cost of the oldest records.
    pub fn resize(&self, capacity: usize) {
        self.0.resize(capacity);
    }
}

/// A position between two records: how many octets and lines were ever written before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Position {
    octet: u64,
    line: u64,
}

/// What a reader finds behind a position.
#[derive(Debug, Eq, PartialEq)]
pub struct Found {
    /// Whole records.
    pub octets: Vec<u8>,
    /// How many records between the position and these are gone.
    pub missed: u64,
    /// Behind the last of them.
    pub next: Position,
    /// How many lines were overwritten until then.
    pub overwritten: u64,
}

/// All of a ring, for another process to go on with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// Whole records, the oldest first.
    pub octets: Vec<u8>,
    /// How many lines were overwritten.
    pub overwritten: u64,
    /// Whether some were since it was cleared the last time.
    pub overflowed: bool,
}

/// What a ring holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// For how many octets there is room.
    pub capacity: usize,
    /// How many there are.
    pub octets: usize,
    /// In how many lines.
    pub lines: u64,
    /// How many lines were overwritten since the start.
    pub overwritten: u64,
    /// Whether some were since it was cleared the last time.
    pub overflowed: bool,
}

/// One memory buffer. Nobody holds its lock for longer than a copy of it takes.
#[derive(Debug)]
pub struct Ring {
    state: Mutex<State>,
    /// Told what the newest position is.
    grown: watch::Sender<Position>,
}

impl Ring {
    fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                octets: VecDeque::with_capacity(capacity),
                capacity,
                oldest: Position::default(),
                lines: 0,
                overwritten: 0,
                overflowed: false,
            }),
            grown: watch::Sender::default(),
        }
    }

    /// The position before all that is in it.
    pub fn oldest(&self) -> Position {
        self.lock().oldest
    }

    /// A copy of what is behind `position`.
    pub fn since(&self, position: Position) -> Found {
        self.lock().since(position)
    }

    /// Empties it, and forgets that it overflowed.
    pub fn clear(&self) {
        self.forget(&self.since(self.oldest()));
    }

    /// Forgets what a reader has found, but nothing that came later; and that it overflowed, unless it did
    /// meanwhile.
    pub fn forget(&self, found: &Found) {
        let mut state = self.lock();
        let octets = found.next.octet.saturating_sub(state.oldest.octet);
        let octets = usize::try_from(octets)
            .map_or(state.octets.len(), |octets| octets.min(state.octets.len()));
        let lines = found.next.line.saturating_sub(state.oldest.line);
        state.octets.drain(..octets);
        state.oldest.octet += octets as u64;
        state.oldest.line += lines;
        state.lines = state.lines.saturating_sub(lines);
        state.overflowed &= state.overwritten != found.overwritten;
    }

    /// A copy of everything.
    pub fn content(&self) -> Content {
        let state = self.lock();
        Content {
            octets: state.since(state.oldest).octets,
            overwritten: state.overwritten,
            overflowed: state.overflowed,
        }
    }

    /// Begins with this, unless something was written to it already.
    pub fn go_on(&self, content: &Content) {
        let mut state = self.lock();
        if state.newest() != Position::default() {
            return;
        }
        state.overwritten = content.overwritten;
        state.overflowed = content.overflowed;
        for record in content.octets.split_inclusive(|octet| *octet == b'\n') {
            // One that is longer than the whole ring by now is overwritten, too.
            if !state.push(record) {
                state.overwritten += 1;
                state.overflowed = true;
            }
        }
        let newest = state.newest();
        drop(state);
        self.grown.send_replace(newest);
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        let state = self.lock();
        Usage {
            capacity: state.capacity,
            octets: state.octets.len(),
            lines: state.lines,
            overwritten: state.overwritten,
            overflowed: state.overflowed,
        }
    }

    /// Changes whenever something is written; ends when the ring does.
    pub fn growth(&self) -> watch::Receiver<Position> {
        self.grown.subscribe()
    }

    fn resize(&self, capacity: usize) {
        let mut state = self.lock();
        state.capacity = capacity;
        state.make_room(0);
        state.octets.shrink_to(capacity);
        let room = capacity.saturating_sub(state.octets.len());
        state.octets.reserve_exact(room);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct State {
    /// Whole records, the oldest first.
    octets: VecDeque<u8>,
    capacity: usize,
    /// Where `octets` begins.
    oldest: Position,
    /// In `octets`.
    lines: u64,
    overwritten: u64,
    overflowed: bool,
}

impl State {
    fn newest(&self) -> Position {
        Position {
            octet: self.oldest.octet + self.octets.len() as u64,
            line: self.oldest.line + self.lines,
        }
    }

    /// Adds a record; false if it has no room although all others go.
    fn push(&mut self, record: &[u8]) -> bool {
        if record.len() > self.capacity {
            return false;
        }
        self.make_room(record.len());
        self.octets.extend(record);
        self.lines += 1;
        true
    }

    /// Forgets the oldest records until so many octets more fit.
    fn make_room(&mut self, wanted: usize) {
        while !self.octets.is_empty() && self.octets.len() + wanted > self.capacity {
            let length = self.oldest_length();
            self.octets.drain(..length);
            self.oldest.octet += length as u64;
            self.oldest.line += 1;
            self.lines = self.lines.saturating_sub(1);
            self.overwritten += 1;
            self.overflowed = true;
        }
    }

    /// How long the oldest record is, its line feed included.
    fn oldest_length(&self) -> usize {
        let (first, second) = self.octets.as_slices();
        let in_second = || memchr::memchr(b'\n', second).map(|at| first.len() + at);
        let end = memchr::memchr(b'\n', first).or_else(in_second);
        end.map_or(self.octets.len(), |end| end + 1)
    }

    fn since(&self, position: Position) -> Found {
        let known = position.octet.saturating_sub(self.oldest.octet);
        let known = usize::try_from(known).map_or(self.octets.len(), |known| known);
        let (first, second) = self.octets.as_slices();
        let after = |slice: &'_ [u8], at: usize| slice.get(at..).unwrap_or_default().to_vec();
        let mut octets = after(first, known);
        octets.extend(after(second, known.saturating_sub(first.len())));
        Found {
            octets,
            missed: self.oldest.line.saturating_sub(position.line),
            next: self.newest(),
            overwritten: self.overwritten,
        }
    }
}

#[cfg(test)]
mod tests;
