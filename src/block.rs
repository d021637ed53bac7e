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
    pub const ROOM: usize = Self::FULL + 12 * 1024 - Self::HEAD;

    /// What it begins with: of a thousand outputs most get little at a time. Doubled it comes to [`Self::ROOM`].
    const LEAST: usize = (Self::ROOM + Self::HEAD) / 16 - Self::HEAD;

    /// What an allocator takes beside what it gives (glibc, 64 bits): sizes are doubled with it, so that two blocks
    /// fit where one of twice the size was. Without it the second would be eight octets too large.
    const HEAD: usize = 8;

    /// It grows when less than this is left: room for most records.
    const MARGIN: usize = 512;

    /// The same for one that is full and has to go on: room for the longest ordinary record.
    const LONG_MARGIN: usize = 9 * 1024;

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
        let margin = if length < Self::FULL {
            Self::MARGIN
        } else {
            Self::LONG_MARGIN
        };
        if capacity - length < margin && (capacity < Self::ROOM || length >= Self::FULL) {
            self.grow(length + 1);
        }
    }

    /// Takes the next size, from which `least` octets fit.
    fn grow(&mut self, least: usize) {
        let (length, capacity) = (self.octets.len(), self.octets.capacity());
        let mut wanted = Self::LEAST.max(self.first);
        while wanted <= capacity || wanted < least {
            wanted = (wanted + Self::HEAD) * 2 - Self::HEAD;
        }
        self.octets.reserve(wanted - length);
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
        let length = self.octets.len() + other.octets.len();
        if length > self.octets.capacity() {
            self.grow(length);
        }
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
        let end = offset(self.octets.len());
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
        self.remove(|record, _| !wanted(record.pri))
    }

    /// Removes records of this severity, the oldest first, until at least `room` octets are gone or none
    /// is left; returns how many records that were. It keeps its memory: see [`Self::top_up`].
    pub fn shed(&mut self, severity: Severity, room: usize) -> usize {
        let mut gone = 0;
        self.remove(|record, octets| {
            let goes = gone < room && record.pri.severity() == severity;
            gone += if goes { octets } else { 0 };
            goes
        })
    }

    /// Removes each record of which `goes` says so, told how many octets it has; returns how many that were.
    fn remove(&mut self, mut goes: impl FnMut(&Record, usize) -> bool) -> usize {
        let Self {
            octets,
            records,
            severities,
            ..
        } = self;
        let before = records.len();
        let (mut start, mut kept) = (0, 0);
        records.retain_mut(|record| {
            let from = std::mem::replace(&mut start, record.end);
            let length = (start - from) as usize;
            if goes(record, length) {
                severities[record.pri.severity() as usize] -= 1;
                return false;
            }
            if from > kept {
                octets.copy_within(from as usize..start as usize, kept as usize);
            }
            kept += start - from;
            record.end = kept;
            true
        });
        octets.truncate(kept as usize);
        before - records.len()
    }

    /// Moves the oldest records of the block behind this one to its end, as many as fit into the memory that it
    /// has for octets.
    pub fn top_up(&mut self, behind: &mut Self) {
        let room = self.octets.capacity() - self.octets.len();
        let end = offset(self.octets.len());
        let fit = |record: &Record| record.end as usize <= room;
        let count = behind.records.partition_point(fit);
        if count == 0 {
            return;
        }
        let length = behind.start_of(count);
        self.octets.extend_from_slice(&behind.octets[..length]);
        for record in behind.records.drain(..count) {
            let severity = record.pri.severity() as usize;
            self.severities[severity] += 1;
            behind.severities[severity] -= 1;
            let end = end + record.end;
            self.records.push(Record { end, ..record });
        }
        let left = behind.octets.len() - length;
        behind.octets.copy_within(length.., 0);
        behind.octets.truncate(left);
        let gone = offset(length);
        for record in &mut behind.records {
            record.end -= gone;
        }
    }
}

fn offset(octets: usize) -> u32 {
    u32::try_from(octets).expect("a block ends at 64 KiB or one record")
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

    #[test]
    fn two_blocks_fit_where_one_of_twice_the_size_was() {
        // As glibc rounds, with what it needs itself.
        let chunk = |octets: usize| (octets + Block::HEAD).next_multiple_of(16);
        let mut block = Block::default();
        let mut sizes = Vec::new();
        while sizes.len() < 7 {
            block.push(Pri::of(Facility::User, Severity::Debug), |octets| {
                octets.extend_from_slice(&[b'x'; 300]);
                0
            });
            let size = chunk(block.octets.capacity());
            if sizes.last() != Some(&size) {
                sizes.push(size);
            }
        }
        assert_eq!(sizes[4], chunk(Block::ROOM));
        for pair in sizes.windows(2) {
            assert_eq!(pair[0] * 2, pair[1], "{sizes:?}");
        }
    }

    #[test]
    fn what_moves_up_to_the_block_before_keeps_its_order_and_needs_no_memory() {
        use proptest::prelude::*;
        let severity = prop::sample::select(&Severity::ALL[..]);
        let records = prop::collection::vec((severity, 1..9000_usize), 0..20);
        proptest!(|(first in records.clone(), second in records, shed in 0..8_usize, room in 0..100_000_usize)| {
            let mut number = 0_u32;
            let mut made = |records: Vec<(Severity, usize)>| {
                let mut block = Block::default();
                for (severity, length) in records {
                    number += 1;
                    block.push(Pri::of(Facility::User, severity), |octets| {
                        octets.extend_from_slice(&number.to_ne_bytes().repeat(length.div_ceil(4)));
                        3
                    });
                }
                block
            };
            let (mut first, mut second) = (made(first), made(second));
            let owned = |block: &Block| -> Vec<(Vec<u8>, Vec<u8>, Pri)> {
                let records = block.iter();
                records.map(|entry| (entry.octets.to_vec(), entry.body.to_vec(), entry.pri)).collect()
            };
            let mut gone = 0;
            let severity = Severity::ALL[shed];
            let mut want = owned(&first);
            want.retain(|(octets, _, pri)| {
                let goes = gone < room && pri.severity() == severity;
                gone += if goes { octets.len() } else { 0 };
                !goes
            });
            let before = owned(&first).len();
            prop_assert_eq!(first.shed(severity, room), before - want.len());
            prop_assert_eq!(owned(&first), want.clone());
            want.extend(owned(&second));
            let capacity = first.octets.capacity();
            first.top_up(&mut second);
            prop_assert_eq!(first.octets.capacity(), capacity);
            let left = second.get(0).map(|entry| entry.octets.len());
            prop_assert!(left.is_none_or(|left| first.octets.len() + left > capacity));
            let mut got = owned(&first);
            got.extend(owned(&second));
            prop_assert_eq!(got, want);
            for block in [&first, &second] {
                let mut severities = [0; Severity::COUNT];
                for entry in block.iter() {
                    severities[entry.pri.severity() as usize] += 1;
                }
                prop_assert_eq!(block.severities, severities);
            }
        });
    }
}
