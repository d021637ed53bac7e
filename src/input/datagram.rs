//! The drain thread of a datagram socket: it does nothing but receive, route and format.
//!
//! The kernel queues some ten datagrams for all senders of `/dev/log` together (measured, at
//! `net.unix.max_dgram_qlen` 10), and each further one blocks a program that wants to log. So every
//! datagram socket has a thread of its own, and nothing on it waits for DNS, a disk or a peer.

use std::array;
use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};

use super::acl::{AccessList, Carrier};
use super::bell::{Bell, Call};
use super::denials::Denials;
use super::fairness::Fairness;
use super::shard::{Peer, Shard, Tally};
use super::{MAX_MESSAGE, limited};
use crate::counters::{InputCounters, Rejection};
use crate::report::Seldom;
use crate::sys::{dropped_datagrams, set_nice};

/// Datagrams for each system call. More only cost cache (measured).
const BATCH: usize = 32;

/// While the queue never empties, what the kernel dropped is asked for once in so many batches.
const LOOK: u32 = 64;

/// What a drain thread does cannot wait, and what all others do can: the kernel's buffers end, and ours are
/// larger. As nice(1).
const URGENT: i32 = -10;

/// Room for one datagram: enough to see whether the message limit falls into a character, and whether
/// only a line feed is past it.
const SLOT: usize = MAX_MESSAGE + 4;

/// At the end, what the kernel has queued is taken for this long at most.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What a drain thread works with.
#[derive(Debug)]
pub struct Drain {
    /// The bound socket.
    pub socket: OwnedFd,
    /// The thread's open blocks.
    pub shard: Shard,
    /// What this input has seen.
    pub counters: Arc<InputCounters>,
    /// How the thread is told something.
    pub bell: Arc<Bell>,
    /// Whose datagrams arrive here.
    pub origin: Origin,
}

/// Whose datagrams arrive at a socket.
#[derive(Debug)]
pub enum Origin {
    /// Those of processes of this host.
    Local(Fairness),
    /// Those of anybody whom the gate lets through.
    Network {
        /// The `-a` list in force.
        gate: Arc<AccessList>,
        /// Those whom it did not let through.
        denials: Denials,
        /// What the kernel dropped.
        overflow: Overflow,
    },
}

impl Drain {
    /// Receives until the bell says stop, whatever happens: a socket that nobody reads hangs its senders.
    ///
    /// Returns the kernel's count of what it dropped on this socket, for whoever reads it next.
    pub fn run(mut self) -> u32 {
        set_nice(URGENT);
        while catch_unwind(AssertUnwindSafe(|| self.drain())).is_err() {
            self.shard.hand_over_by_force();
        }
        match self.origin {
            Origin::Local(_) => 0,
            Origin::Network { overflow, .. } => overflow.seen,
        }
    }

    fn drain(&mut self) {
        let mut buffer = vec![0; BATCH * SLOT];
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        let mut batches = 0_u32;
        let mut tally = Tally::default();
        let mut last_call = None;
        loop {
            if let Origin::Local(fairness) = &mut self.origin
                && let Some(other) = fairness.headers(&self.socket, BATCH)
            {
                headers = other;
            }
            match self.receive(&mut buffer, &mut headers, &mut tally) {
                Ok(()) => {
                    self.shard.after_datagrams();
                    batches = batches.wrapping_add(1);
                    if batches.is_multiple_of(LOOK) {
                        self.look_for_drops();
                    }
                }
                Err(Errno::EAGAIN) => {
                    self.shard.before_sleep();
                    self.look_for_drops();
                    if last_call.is_some() {
                        return;
                    }
                    self.bell.wait(self.socket.as_fd());
                    self.shard.begin();
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    // ECONNREFUSED and the like belong to one datagram; the socket goes on.
                    tracing::debug!("receiving: {error}");
                }
            }
            match self.bell.call() {
                Call::None => {}
                Call::Stop => _ = last_call.get_or_insert_with(|| Instant::now() + LAST_CALL),
                Call::Suspend => {
                    self.shard.before_sleep();
                    return;
                }
            }
            if last_call.is_some_and(|end| Instant::now() >= end) {
                self.shard.before_sleep();
                self.look_for_drops();
                return;
            }
        }
    }

    fn look_for_drops(&mut self) {
        if let Origin::Network { overflow, .. } = &mut self.origin {
            overflow.look(self.socket.as_fd(), &self.counters);
        }
    }

    fn receive(
        &mut self,
        buffer: &mut [u8],
        headers: &mut MultiHeaders<SockaddrStorage>,
        tally: &mut Tally,
    ) -> nix::Result<()> {
        let Self {
            socket,
            shard,
            counters,
            origin,
            ..
        } = self;
        let mut slots = buffer.chunks_exact_mut(SLOT);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let datagrams = recvmmsg(socket.as_raw_fd(), headers, &mut slices, flags, None)?;
        shard.begin();
        for datagram in datagrams {
            let octets = datagram.iovs().next().unwrap_or_default();
            let (octets, cut) = limited(octets, datagram.bytes);
            let Some(peer) = origin.admit(&datagram, shard) else {
                counters.received.add(1);
                counters.rejected(Rejection::Acl).add(1);
                continue;
            };
            shard.take(octets, cut, peer, tally);
        }
        tally.count(counters);
        Ok(())
    }
}

impl Origin {
    /// Who sent this datagram, or `None` if it must be refused.
    fn admit(
        &mut self,
        datagram: &RecvMsg<'_, '_, SockaddrStorage>,
        shard: &mut Shard,
    ) -> Option<Peer> {
        let (gate, denials) = match self {
            Self::Local(fairness) => {
                shard.limit(fairness.limits(datagram, shard.begun()));
                return Some(Peer::Local);
            }
            Self::Network { gate, denials, .. } => (gate, denials),
        };
        let address = datagram.address.as_ref().and_then(socket_address)?;
        if shard.admits(gate, address, Carrier::Udp) {
            return Some(Peer::Remote(address));
        }
        if let Some(sentence) = denials.note(address, Instant::now()) {
            tracing::warn!("{sentence}");
        }
        None
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
    })
}

/// What the kernel dropped because the receive buffer was full.
#[derive(Debug)]
pub struct Overflow {
    name: String,
    /// The kernel's own count, which wraps.
    seen: u32,
    complaint: Seldom,
}

impl Overflow {
    /// For the socket called `name`, whose drops up to the kernel's count `seen` are known.
    pub fn new(name: String, seen: u32) -> Self {
        Self {
            name,
            seen,
            complaint: Seldom::default(),
        }
    }

    /// For a socket that others had before us, and of whose drops they left no word. Some are in their counters, and
    /// nobody knows how many; so those are told here, and in no counter a second time.
    pub fn after_others(name: String, socket: &impl AsFd) -> Self {
        let before = dropped_datagrams(socket.as_fd()).unwrap_or(0);
        if before > 0 {
            tracing::warn!(
                "kernel dropped {before} datagrams on {name} before this start; kernel_dropped counts from here"
            );
        }
        Self::new(name, before)
    }

    /// Asks the kernel, counts, and says so.
    fn look(&mut self, socket: BorrowedFd<'_>, counters: &InputCounters) {
        let dropped = dropped_datagrams(socket).unwrap_or(self.seen);
        if dropped == self.seen {
            return;
        }
        let fresh = dropped.wrapping_sub(self.seen);
        self.seen = dropped;
        counters.kernel_dropped.add(fresh.into());
        self.complaint.warn(|| {
            format!(
                "kernel dropped {} datagrams on {} so far: receive buffer full; raise net.core.rmem_max",
                counters.kernel_dropped.get(),
                self.name,
            )
        });
    }
}
