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
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

use crate::block::Block;
use crate::budget::{Budget, Held};
use crate::format::Received;

/// What a chunk takes of the memory: one allocation, as large as that of a block, so that each fits where the other
/// was.
const ROOM: usize = Block::ROOM;

/// What a datagram takes beside its octets, at most: its length, what was cut, who sent it.
const HEAD: usize = size_of::<usize>() + 4 + 1 + 26;

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

/// Some datagrams that came at one time, one after the other:
///
/// ```text
/// length (usize) | cut (u32) | sender: SAME, NOBODY, V4 address port, V6 address port flow scope | octets
/// ```
///
/// A burst touches memory that nobody has used yet, and each page of that costs a fault: there is nothing in it but
/// what is needed.
#[derive(Debug)]
struct Chunk {
    /// When they came.
    received: Received,
    octets: Vec<u8>,
    /// Who sent the last one that was added.
    last: Option<SocketAddr>,
    /// How many octets were taken out, and who sent the last of those.
    taken: usize,
    from: Option<SocketAddr>,
}

/// The same as of the one before, nobody before the first.
const SAME: u8 = 0;
const NOBODY: u8 = 1;
const V4: u8 = 4;
const V6: u8 = 6;

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
        self.memory.octets() + chunks * ROOM <= self.memory.share() / 2
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
            let has_room = chunk.octets.len() + HEAD + octets.len() <= ROOM;
            has_room && received.since(chunk.received) < TOGETHER
        };
        if !self.chunks.back().is_some_and(fits) {
            let mut chunk = self.spare.pop().unwrap_or_else(|| Chunk::new(received));
            chunk.renew(received);
            self.memory.grow(ROOM);
            self.chunks.push_back(chunk);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.push(from, octets, cut);
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
        self.memory.shrink(ROOM);
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
            last: None,
            taken: 0,
            from: None,
        }
    }

    /// Empty, for other datagrams that came then.
    fn renew(&mut self, received: Received) {
        self.octets.clear();
        (self.received, self.taken) = (received, 0);
        (self.last, self.from) = (None, None);
    }

    fn is_read(&self) -> bool {
        self.taken == self.octets.len()
    }

    fn push(&mut self, from: Option<SocketAddr>, octets: &[u8], cut: u32) {
        let out = &mut self.octets;
        out.extend_from_slice(&octets.len().to_ne_bytes());
        out.extend_from_slice(&cut.to_ne_bytes());
        match from {
            same if same == self.last => out.push(SAME),
            None => out.push(NOBODY),
            Some(SocketAddr::V4(v4)) => {
                out.push(V4);
                out.extend_from_slice(&v4.ip().octets());
                out.extend_from_slice(&v4.port().to_ne_bytes());
            }
            Some(SocketAddr::V6(v6)) => {
                out.push(V6);
                out.extend_from_slice(&v6.ip().octets());
                out.extend_from_slice(&v6.port().to_ne_bytes());
                out.extend_from_slice(&v6.flowinfo().to_ne_bytes());
                out.extend_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        self.last = from;
        out.extend_from_slice(octets);
    }

    fn next(&mut self) -> Option<Waited<'_>> {
        let mut rest = self.octets.get(self.taken..)?;
        let length = usize::from_ne_bytes(*part(&mut rest)?);
        let cut = u32::from_ne_bytes(*part(&mut rest)?);
        let [sender] = *part(&mut rest)?;
        match sender {
            V4 => {
                let address = Ipv4Addr::from(*part(&mut rest)?);
                let port = u16::from_ne_bytes(*part(&mut rest)?);
                self.from = Some(SocketAddrV4::new(address, port).into());
            }
            V6 => {
                let address = Ipv6Addr::from(*part::<16>(&mut rest)?);
                let port = u16::from_ne_bytes(*part(&mut rest)?);
                let flow = u32::from_ne_bytes(*part(&mut rest)?);
                let scope = u32::from_ne_bytes(*part(&mut rest)?);
                self.from = Some(SocketAddrV6::new(address, port, flow, scope).into());
            }
            SAME => {}
            _ => self.from = None,
        }
        let (octets, rest) = rest.split_at_checked(length)?;
        self.taken = self.octets.len() - rest.len();
        let from = self.from;
        Some(Waited { from, octets, cut })
    }
}

/// The next octets, as many as a number or an address has.
fn part<'a, const COUNT: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; COUNT]> {
    let (part, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(part)
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
        // Of each kind some in a row, and some by turns.
        let from = |number: usize| {
            let port = u16::try_from(number / 7 % 60_000).expect("it fits");
            let v6 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            match number % 4096 / 500 % 4 {
                0 => Some(SocketAddr::from(([192, 0, 2, 1], port))),
                1 => Some(SocketAddrV6::new(v6, port, 5, 3).into()),
                2 => (!number.is_multiple_of(3)).then(|| SocketAddr::from(([192, 0, 2, 2], 514))),
                _ => None,
            }
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
                assert_eq!((waited.from, waited.octets), (from(read), &text(read)[..]));
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
                octets += length + 13;
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
