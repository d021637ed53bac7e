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
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri, Severity};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn block(lines: &[&str]) -> Block {
        let mut block = Block::default();
        for line in lines {
            block.push(Pri::of(Facility::User, Severity::Debug), |octets| {
                octets.extend_from_slice(line.as_bytes());
                0
            });
        }
        block
    }

    fn text(ring: &Ring) -> String {
        String::from_utf8(ring.since(Position::default()).octets).expect("UTF-8")
    }

    #[test]
    fn the_oldest_records_go_whole_and_are_counted() {
        let rings = Rings::default();
        let ring = rings.open("debug", 8);
        let mut memory = Memory::new(Arc::clone(&ring));
        for (lines, want, overwritten) in [
            (&["a\n", "bb\n"][..], "a\nbb\n", 0),
            (&["ccc\n"], "bb\nccc\n", 1),
            (&["d\n", "eeeee\n"], "d\neeeee\n", 3),
            (&["1234567\n"], "1234567\n", 5),
            (&["\n"], "\n", 6),
        ] {
            let written = memory.write(&block(lines), 0);
            assert_eq!(written.records, lines.len());
            assert_eq!(text(&ring), want, "after {lines:?}");
            assert_eq!(ring.usage().overwritten, overwritten, "after {lines:?}");
            assert_eq!(ring.usage().overflowed, overwritten > 0, "after {lines:?}");
        }
    }

    #[test]
    fn a_record_that_is_longer_than_the_ring_is_dropped_and_nothing_else_is() {
        let ring = Rings::default().open("debug", 4);
        let mut memory = Memory::new(Arc::clone(&ring));
        let long = block(&["a\n", "12345\n", "b\n"]);
        let written = memory.write(&long, 0);
        assert_eq!(written.records, 1);
        assert!(matches!(written.stopped, Some(Stop::Drop(Loss::NoSpace))));
        assert_eq!(memory.write(&long, 2).records, 1);
        assert_eq!(text(&ring), "a\nb\n");
    }

    #[test]
    fn a_reader_who_comes_back_gets_what_is_new_and_hears_what_it_missed() {
        let ring = Rings::default().open("debug", 6);
        let mut memory = Memory::new(Arc::clone(&ring));
        memory.write(&block(&["a\n", "b\n"]), 0);
        let found = ring.since(ring.oldest());
        assert_eq!((found.octets, found.missed), (b"a\nb\n".to_vec(), 0));
        memory.write(&block(&["c\n"]), 0);
        let found = ring.since(found.next);
        assert_eq!((found.octets, found.missed), (b"c\n".to_vec(), 0));
        memory.write(&block(&["d\n", "e\n", "f\n", "g\n"]), 0);
        let found = ring.since(found.next);
        assert_eq!((found.octets, found.missed), (b"e\nf\ng\n".to_vec(), 1));
        assert_eq!(ring.since(found.next).octets, b"");
        ring.clear();
        memory.write(&block(&["h\n"]), 0);
        let found = ring.since(found.next);
        assert_eq!((found.octets, found.missed), (b"h\n".to_vec(), 0));
    }

    #[test]
    fn a_ring_keeps_what_it_holds_while_an_output_has_it_and_no_longer() {
        let rings = Rings::default();
        let mut memory = Memory::new(rings.open("debug", 8));
        memory.write(&block(&["a\n", "b\n", "c\n"]), 0);
        let again = rings.open("debug", 4);
        assert_eq!(text(&again), "b\nc\n");
        memory.resize(8);
        memory.write(&block(&["d\n", "e\n"]), 0);
        assert_eq!(text(&again), "b\nc\nd\ne\n");
        drop((memory, again));
        assert!(rings.find("debug").is_none());
        assert_eq!(text(&rings.open("debug", 4)), "");
    }

    /// What may happen to a ring.
    #[derive(Clone, Debug)]
    enum Step {
        Write(Vec<String>),
        Resize(usize),
        Take(Vec<String>),
        Read,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => vec("[a-z]{0,9}\n", 1..5).prop_map(Step::Write),
            1 => (10..40_usize).prop_map(Step::Resize),
            1 => vec("[a-z]{0,9}\n", 0..5).prop_map(Step::Take),
            2 => Just(Step::Read),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_of_lines_would(steps in vec(step(), 0..60)) {
            let ring = Rings::default().open("debug", 20);
            let mut memory = Memory::new(Arc::clone(&ring));
            let (mut list, mut capacity) = (VecDeque::<String>::new(), 20);
            let (mut written, mut overwritten) = (0, 0);
            let (mut position, mut seen) = (Position::default(), 0_u64);
            for step in steps {
                match step {
                    Step::Write(lines) => {
                        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
                        prop_assert_eq!(memory.write(&block(&texts), 0).records, lines.len());
                        written += lines.len() as u64;
                        list.extend(lines);
                    }
                    Step::Resize(octets) => {
                        memory.resize(octets);
                        capacity = octets;
                    }
                    Step::Take(meanwhile) => {
                        let found = ring.since(ring.oldest());
                        let all: String = list.iter().map(String::as_str).collect();
                        prop_assert_eq!(&found.octets, all.as_bytes());
                        let taken = written;
                        let texts: Vec<&str> = meanwhile.iter().map(String::as_str).collect();
                        memory.write(&block(&texts), 0);
                        written += meanwhile.len() as u64;
                        list.extend(meanwhile);
                        while list.iter().map(String::len).sum::<usize>() > capacity {
                            list.pop_front();
                            overwritten += 1;
                        }
                        ring.forget(&found);
                        let later = usize::try_from(written - taken).expect("few");
                        while list.len() > later {
                            list.pop_front();
                        }
                    }
                    Step::Read => {
                        let found = ring.since(position);
                        let oldest = written - list.len() as u64;
                        let known = usize::try_from(seen.saturating_sub(oldest)).expect("few");
                        let new = list.iter().skip(known);
                        let new: String = new.map(String::as_str).collect();
                        prop_assert_eq!(found.octets, new.into_bytes());
                        prop_assert_eq!(found.missed, oldest.saturating_sub(seen));
                        (position, seen) = (found.next, written);
                    }
                }
                while list.iter().map(String::len).sum::<usize>() > capacity {
                    list.pop_front();
                    overwritten += 1;
                }
                let usage = ring.usage();
                prop_assert_eq!(usage.octets, list.iter().map(String::len).sum::<usize>());
                prop_assert_eq!(usage.lines, list.len() as u64);
                prop_assert_eq!(usage.overwritten, overwritten);
            }
        }
    }

    #[test]
    fn another_ring_goes_on_with_the_content_even_if_it_is_smaller() {
        let rings = Rings::default();
        let ring = rings.open("debug", 12);
        Memory::new(Arc::clone(&ring)).write(&block(&["gone\n", "1234567\n", "b\n", "c\n"]), 0);
        for (capacity, want, overwritten) in
            [(12, "1234567\nb\nc\n", 1), (5, "b\nc\n", 2), (2, "c\n", 3)]
        {
            let next = Rings::default().open("debug", capacity);
            next.go_on(&ring.content());
            assert_eq!(text(&next), want, "{capacity}");
            assert_eq!(next.usage().overwritten, overwritten, "{capacity}");
            assert!(next.usage().overflowed, "{capacity}");
        }
    }

    #[test]
    fn clearing_forgets_the_overflow_and_not_the_count() {
        let ring = Rings::default().open("debug", 2);
        Memory::new(Arc::clone(&ring)).write(&block(&["a\n", "b\n"]), 0);
        ring.clear();
        let usage = ring.usage();
        assert_eq!((usage.octets, usage.lines), (0, 0));
        assert_eq!((usage.overwritten, usage.overflowed), (1, false));
    }
}
