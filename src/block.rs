//! Formatted records on their way to one output: what crosses from an input to a worker.
//!
//! ```text
//! octets   Nov 22 11:00:00 host a: one LF Nov 22 11:00:00 host b: two LF …
//! records  {end: 28, pri, body: 16}       {end: 56, pri, body: 16}
//! ```
//!
//! A block is filled by one lane, handed over whole when it is full or its owner is about to sleep,
//! and comes back empty for reuse. It holds up to [`Block::FULL`] octets, or one larger record.

mod encoded;

use std::ops::Range;

use bytes::BytesMut;

use crate::pri::{Pri, Severity};

/// Where one record lies in its block, and what a worker may want to know without parsing it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record {
    /// One past its last octet, the line feed.
    pub end: u32,
    /// How long its timestamp is: repeats are told by what follows it.
    pub body: u32,
    /// Its PRI, so that the least urgent can be shed first.
    pub pri: Pri,
}

/// One record seen through its block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry<'a> {
    /// The whole line with its line feed, or the whole datagram.
    pub octets: &'a [u8],
    /// What follows the timestamp, line feed included.
    pub body: &'a [u8],
    /// Its PRI.
    pub pri: Pri,
}

/// Formatted records of one lane.
#[derive(Debug, Default)]
pub struct Block {
    octets: BytesMut,
    /// What it takes at its first record.
    first: usize,
    records: Vec<Record>,
    /// How many records there are of each severity, so that shedding finds them without a search.
    severities: [u32; Severity::COUNT],
}

impl Block {
    /// A block with this many octets is handed over before the next record is added.
    pub const FULL: usize = 64 * 1024;

    /// What it grows to: room for the record that makes it full, nearly always.
    pub const ROOM: usize = Self::FULL + 12 * 1024;

    /// What it begins with: of a thousand outputs most get little at a time. Doubled it comes to [`Self::ROOM`].
    const LEAST: usize = Self::ROOM / 16;

    /// It grows when less than this is left: room for most records.
    const MARGIN: usize = 512;

    /// An empty one that follows this one: it takes at once what it will need. Under load all blocks are of one
    /// size then, and none leaves a hole that no other fits into.
    #[must_use]
    pub fn successor(&self) -> Self {
        let is_busy = self.octets.len() > Self::FULL / 2;
        Self {
            first: if is_busy { Self::ROOM } else { 0 },
            ..Self::default()
        }
    }

    /// All the octets of all the records, in order.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Where the records lie, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether it is time to hand it over.
    pub fn is_full(&self) -> bool {
        self.octets.len() >= Self::FULL
    }

    /// Where record `index` begins.
    pub fn start_of(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.records[before].end as usize,
        }
    }

    /// Record number `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<Entry<'_>> {
        let record = self.records.get(index)?;
        let octets = &self.octets[self.start_of(index)..record.end as usize];
        Some(Entry {
            octets,
            body: &octets[record.body as usize..],
            pri: record.pri,
        })
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.records.len()).filter_map(|index| self.get(index))
    }

    /// Adds one record, which `write` appends to the octets; it returns how long the timestamp was.
    pub fn push(&mut self, pri: Pri, write: impl FnOnce(&mut BytesMut) -> usize) {
        self.make_room();
        let body = write(&mut self.octets);
        self.close(pri, body);
    }

    fn make_room(&mut self) {
        let (length, capacity) = (self.octets.len(), self.octets.capacity());
        if capacity < Self::ROOM && capacity - length < Self::MARGIN {
            let wanted = (capacity * 2).max(self.first);
            let wanted = wanted.clamp(Self::LEAST, Self::ROOM);
            self.octets.reserve(wanted - length);
        }
    }

    /// Adds a copy of the last record of another block, which has the same format.
    pub fn push_copy_of_last(&mut self, other: &Self) {
        if let Some(record) = other.records.last() {
            let start = other.start_of(other.records.len() - 1);
            self.make_room();
            self.octets
                .extend_from_slice(&other.octets[start..record.end as usize]);
            self.close(record.pri, record.body as usize);
        }
    }

    /// Adds copies of all records of another block, which has the same destination.
    pub fn append(&mut self, other: &Self) {
        let start = self.records.last().map_or(0, |record| record.end);
        self.make_room();
        self.octets.extend_from_slice(&other.octets);
        let moved = other.records.iter().map(|record| Record {
            end: record.end + start,
            ..*record
        });
        self.records.extend(moved);
        for (own, others) in self.severities.iter_mut().zip(other.severities) {
            *own += others;
        }
    }

    /// A copy of the records from number `from` on.
    #[must_use]
    pub fn rest(&self, from: usize) -> Self {
        self.part(from..self.len())
    }

    /// A copy of these records, as far as there are so many.
    #[must_use]
    pub fn part(&self, which: Range<usize>) -> Self {
        let mut part = Self::default();
        let records = self.records.iter().enumerate().take(which.end);
        for (index, record) in records.skip(which.start) {
            let octets = &self.octets[self.start_of(index)..record.end as usize];
            part.octets.extend_from_slice(octets);
            part.close(record.pri, record.body as usize);
        }
        part
    }

    fn close(&mut self, pri: Pri, body: usize) {
        let end = u32::try_from(self.octets.len()).expect("a block ends at 64 KiB or one record");
        let body = u32::try_from(body).expect("a timestamp is shorter than its block");
        self.records.push(Record { end, body, pri });
        self.severities[pri.severity() as usize] += 1;
    }

    /// How much memory it takes, in octets.
    pub fn memory(&self) -> usize {
        self.octets.capacity() + self.records.capacity() * size_of::<Record>()
    }

    /// Forgets all records but keeps the memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.records.clear();
        self.severities = [0; Severity::COUNT];
    }

    /// The least urgent severity in it.
    pub fn least_urgent(&self) -> Option<Severity> {
        Severity::ALL
            .into_iter()
            .rev()
            .find(|severity| self.holds(*severity))
    }

    /// Whether some record has this severity.
    pub fn holds(&self, severity: Severity) -> bool {
        self.severities[severity as usize] > 0
    }

    /// Removes the records that are not wanted; returns how many that were.
    pub fn retain(&mut self, wanted: impl Fn(Pri) -> bool) -> usize {
        if self.records.iter().all(|record| wanted(record.pri)) {
            return 0;
        }
        let mut kept = Self::default();
        for entry in self.iter().filter(|entry| wanted(entry.pri)) {
            kept.octets.extend_from_slice(entry.octets);
            kept.close(entry.pri, entry.octets.len() - entry.body.len());
        }
        let before = std::mem::replace(self, kept).len();
        before - self.len()
    }

    /// Removes records of this severity, the oldest first, until at least `room` octets are gone or none
    /// is left; returns how many records that were.
    pub fn shed(&mut self, severity: Severity, room: usize) -> usize {
        let (mut start, mut gone, mut stay) = (0, 0, 0);
        let mut kept = Self::default();
        let goes = |gone: usize, record: &Record| gone < room && record.pri.severity() == severity;
        for record in &self.records {
            if goes(gone, record) {
                gone += record.end as usize - start;
            } else {
                stay += 1;
            }
            start = record.end as usize;
        }
        // No more than what stays: this is to give memory back.
        kept.octets.reserve(self.octets.len() - gone);
        kept.records.reserve_exact(stay);
        (start, gone) = (0, 0);
        for record in &self.records {
            let octets = &self.octets[start..record.end as usize];
            if goes(gone, record) {
                gone += octets.len();
            } else {
                kept.octets.extend_from_slice(octets);
                kept.close(record.pri, record.body as usize);
            }
            start = record.end as usize;
        }
        let before = std::mem::replace(self, kept).len();
        before - self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::Facility;

    fn block(lines: &[(&str, Severity)]) -> Block {
        let mut block = Block::default();
        for (line, severity) in lines {
            block.push(Pri::of(Facility::User, *severity), |octets| {
                octets.extend_from_slice(line.as_bytes());
                2
            });
        }
        block
    }

    #[test]
    fn records_keep_their_bounds_and_their_body() {
        let block = block(&[("t one\n", Severity::Error), ("t two\n", Severity::Debug)]);
        let got: Vec<_> = block
            .iter()
            .map(|entry| (entry.octets, entry.body))
            .collect();
        assert_eq!(
            got,
            [(&b"t one\n"[..], &b"one\n"[..]), (b"t two\n", b"two\n")]
        );
        let mut copy = Block::default();
        copy.push_copy_of_last(&block);
        assert_eq!(copy.get(0), block.get(1));
    }

    #[test]
    fn a_block_takes_little_memory_for_little_and_one_allocation_more_for_twice_as_much() {
        let mut block = block(&[("t one\n", Severity::Error)]);
        assert!(block.memory() < 8 * 1024, "{}", block.memory());
        let mut grown = 0;
        while !block.is_full() {
            let before = block.octets.capacity();
            block.push(Pri::of(Facility::User, Severity::Debug), |octets| {
                octets.extend_from_slice(&[b'x'; 200]);
                0
            });
            grown += u32::from(block.octets.capacity() != before);
        }
        assert_eq!((block.octets.capacity(), grown), (Block::ROOM, 4));
    }

    #[test]
    fn shedding_takes_one_severity_and_leaves_the_others_whole() {
        let lines = [
            ("t a\n", Severity::Error),
            ("t bb\n", Severity::Debug),
            ("t ccc\n", Severity::Warning),
            ("t d\n", Severity::Debug),
        ];
        let mut block = block(&lines);
        assert_eq!(block.least_urgent(), Some(Severity::Debug));
        assert_eq!(block.shed(Severity::Debug, 1), 1, "no more than needed");
        assert_eq!(block.octets(), b"t a\nt ccc\nt d\n");
        assert_eq!(block.shed(Severity::Debug, 100), 1);
        assert_eq!(block.octets(), b"t a\nt ccc\n");
        assert_eq!(block.get(1).map(|entry| entry.body), Some(&b"ccc\n"[..]));
        assert_eq!(block.shed(Severity::Debug, 100), 0);
        let mut longer = Block::default();
        longer.append(&block);
        longer.append(&block);
        assert_eq!(longer.octets(), b"t a\nt ccc\nt a\nt ccc\n");
        assert_eq!(longer.get(3).map(|entry| entry.body), Some(&b"ccc\n"[..]));
        assert_eq!(longer.least_urgent(), Some(Severity::Warning));
    }
}
