//! Datagrams that were received and not looked at yet: a burst is taken from the kernel first, and read later.
//!
//! ```text
//! kernel's receive buffer ──copy──► [chunk][chunk][chunk] ──► parse, route, format
//!    ends, and then drops            at most half of what is left of the memory budget
//! ```
//!
//! To receive a datagram costs two thirds of what it costs to receive and read it, so a burst that would
//! overrun the kernel's buffer is taken faster than it could be read. Only what the network sends waits here:
//! the senders of a unix socket wait themselves, and lose nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::block::Block;
use crate::budget::{Budget, Held};
use crate::format::Received;

/// What a chunk takes for octets: as much as a block, so that each fits where the other was.
const ROOM: usize = Block::ROOM;

/// Datagrams that a chunk holds, however short.
const MOST: usize = 512;

/// What a chunk may take of the memory.
const MEMORY: usize = ROOM + MOST * size_of::<Datagram>();

/// The datagrams of a chunk bear one time of reception, so they came within this time.
const TOGETHER: Duration = Duration::from_millis(1);

/// Empty chunks that are kept for the next burst.
const SPARE: usize = 4;

/// The datagrams of one socket that wait, in order.
#[derive(Debug)]
pub struct Backlog {
    chunks: VecDeque<Chunk>,
    spare: Vec<Chunk>,
    memory: Held,
}

/// Some datagrams that came at one time.
#[derive(Debug)]
struct Chunk {
    /// When they came.
    received: Received,
    octets: Vec<u8>,
    datagrams: Vec<Datagram>,
    /// How many of them, and of their octets, were taken out.
    taken: usize,
    begin: usize,
}

#[derive(Clone, Copy, Debug)]
struct Datagram {
    from: Option<SocketAddr>,
    end: usize,
    cut: u32,
}

/// One that waited.
#[derive(Debug)]
pub(super) struct Waited<'a> {
    /// Who sent it.
    pub from: Option<SocketAddr>,
    /// Its octets, within the limit of a message.
    pub octets: &'a [u8],
    /// How many octets reception cut off its end.
    pub cut: u32,
}

impl Backlog {
    /// An empty one that takes its memory from `budget`.
    pub fn new(budget: &Budget) -> Self {
        Self {
            chunks: VecDeque::new(),
            spare: Vec::new(),
            memory: budget.holder(),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a batch of so many octets may be added: half of what the others leave of the budget is for all
    /// that waits.
    pub(super) fn has_room(&self, octets: usize) -> bool {
        // Two neighbours among the chunks of a batch hold more than there is room for in one.
        let chunks = 2 * (octets / ROOM) + 2;
        self.memory.octets() + chunks * MEMORY <= self.memory.share() / 2
    }

    /// Adds a datagram that came now, at `received`.
    pub(super) fn push(
        &mut self,
        received: Received,
        from: Option<SocketAddr>,
        octets: &[u8],
        cut: u32,
    ) {
        let fits = |chunk: &Chunk| {
            let has_room =
                chunk.octets.len() + octets.len() <= ROOM && chunk.datagrams.len() < MOST;
            has_room && received.since(chunk.received) < TOGETHER
        };
        if !self.chunks.back().is_some_and(fits) {
            let mut chunk = self.spare.pop().unwrap_or_else(|| Chunk::new(received));
            chunk.renew(received);
            self.memory.grow(MEMORY);
            self.chunks.push_back(chunk);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.octets.extend_from_slice(octets);
            let end = chunk.octets.len();
            chunk.datagrams.push(Datagram { from, end, cut });
        }
    }

    /// Begins with those that have waited longest, and tells when they came; `None` if nothing waits.
    pub(super) fn begin_oldest(&mut self) -> Option<Received> {
        while self.chunks.front().is_some_and(Chunk::is_read) {
            self.drop_oldest();
        }
        self.chunks.front().map(|chunk| chunk.received)
    }

    /// The next of those that came together. Whatever becomes of it, it does not come again.
    pub(super) fn next(&mut self) -> Option<Waited<'_>> {
        if self.chunks.front()?.is_read() {
            self.drop_oldest();
            return None;
        }
        self.chunks.front_mut()?.next()
    }

    fn drop_oldest(&mut self) {
        let Some(chunk) = self.chunks.pop_front() else {
            return;
        };
        self.memory.shrink(MEMORY);
        if self.spare.len() < SPARE {
            self.spare.push(chunk);
        }
    }
}

impl Chunk {
    fn new(received: Received) -> Self {
        Self {
            received,
            octets: Vec::with_capacity(ROOM),
            datagrams: Vec::with_capacity(MOST),
            taken: 0,
            begin: 0,
        }
    }

    /// Empty, for other datagrams that came then.
    fn renew(&mut self, received: Received) {
        self.octets.clear();
        self.datagrams.clear();
        (self.received, self.taken, self.begin) = (received, 0, 0);
    }

    fn is_read(&self) -> bool {
        self.taken == self.datagrams.len()
    }

    fn next(&mut self) -> Option<Waited<'_>> {
        let datagram = *self.datagrams.get(self.taken)?;
        self.taken += 1;
        let begin = std::mem::replace(&mut self.begin, datagram.end);
        Some(Waited {
            from: datagram.from,
            octets: self.octets.get(begin..datagram.end).unwrap_or_default(),
            cut: datagram.cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u32) -> Received {
        Received {
            seconds: 1_700_000_000 + i64::from(millis / 1000),
            micros: millis % 1000 * 1000,
        }
    }

    fn text(number: usize) -> Vec<u8> {
        format!("{number} {}", "x".repeat(number % 700)).into_bytes()
    }

    #[test]
    fn what_came_first_is_read_first_and_with_the_time_when_it_came() {
        let budget = Budget::new(8 << 20);
        let mut backlog = Backlog::new(&budget);
        let from = |number: usize| {
            let port = u16::try_from(number % 60_000).expect("it fits");
            Some(SocketAddr::from(([192, 0, 2, 1], port)))
        };
        let (mut sent, mut read) = (0, 0);
        for round in 0..50 {
            // More than come out in this round, then fewer; sometimes the clock goes back.
            let time = at(if round == 20 { 3 } else { round * 7 });
            for _ in 0..(50 - round) * 40 {
                backlog.push(time, from(sent), &text(sent), u32::from(sent == 5));
                sent += 1;
            }
            let Some(received) = backlog.begin_oldest() else {
                continue;
            };
            assert!(at(round * 7).since(received) < Duration::from_secs(1));
            while let Some(waited) = backlog.next() {
                assert_eq!(waited.octets, text(read));
                assert_eq!(waited.from, from(read));
                assert_eq!(waited.cut, u32::from(read == 5));
                read += 1;
            }
        }
        while backlog.begin_oldest().is_some() {
            while let Some(waited) = backlog.next() {
                assert_eq!(waited.octets, text(read));
                read += 1;
            }
        }
        assert_eq!(read, sent);
        assert!(backlog.is_empty());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn it_takes_half_of_what_others_leave_and_gives_it_back() {
        for length in [0, 1, 200, 8192, 65_536] {
            let budget = Budget::new(8 << 20);
            let mut other = budget.holder();
            other.grow(4 << 20);
            let mut backlog = Backlog::new(&budget);
            let datagram = vec![b'x'; length];
            let mut octets = 0;
            while backlog.has_room(length) {
                backlog.push(at(0), None, &datagram, 0);
                octets += length + size_of::<Datagram>();
            }
            assert!(octets > 1 << 18, "{length}: only {octets}");
            assert!(octets <= 2 << 20, "{length}: {octets}");
            assert!(budget.used() <= 6 << 20);
            // One that stopped in the middle goes on behind it.
            assert!(backlog.begin_oldest().is_some() && backlog.next().is_some());
            assert!(backlog.begin_oldest().is_some());
            while backlog.next().is_some() {}
            assert!(backlog.has_room(length));
            drop(backlog);
            assert_eq!(budget.used(), 4 << 20);
        }
    }
}
