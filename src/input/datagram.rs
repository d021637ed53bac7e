//! The drain thread of a datagram socket: it does nothing but receive, route and format.
//!
//! The kernel queues some ten datagrams for all senders of `/dev/log` together (measured, at
//! `net.unix.max_dgram_qlen` 10), and each further one blocks a program that wants to log. So every
//! datagram socket has a thread of its own, and nothing on it waits for DNS, a disk or a peer. Where it has received
//! little and would sleep, it may write that itself, and is relieved if it is held up there ([`super::relief`]).

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};

use super::acl::{AccessList, Carrier};
use super::backlog::Backlog;
use super::bell::{Bell, Call};
use super::denials::Denials;
use super::fairness::Fairness;
use super::limited;
use super::relief;
use super::shard::{Peer, Shard, Tally};
use crate::counters::{InputCounters, Rejection};
use crate::format::Received;
use crate::report::Seldom;
use crate::route::workshop::{Visit, Workshop};
use crate::sys::dropped_datagrams;

/// Datagrams for each system call. More only cost cache (measured).
const BATCH: usize = 32;

/// After so many full batches in a row the kernel's queue is deep, and the network's datagrams are taken from it
/// before they are read.
const DEEP: u32 = 8;

/// While the queue never empties, what the kernel dropped is asked for once in so many batches.
const LOOK: u32 = 64;

/// After so many octets of a batch what is full is handed over: of long messages a whole batch would make blocks
/// of megabytes.
const MUCH: usize = 256 * 1024;

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
    /// Whether the kernel keeps what comes during the few milliseconds after which its thread is relieved.
    pub may_help: bool,
}

/// How some work of a drain ended.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// Its thread may help now: everything was handed over.
    Help(Visit<'a>),
    /// The bell said stop, and everything was handed over.
    Over,
}

/// What a thread receives with.
#[derive(Debug)]
pub(super) struct Gear {
    slots: Slots,
    headers: MultiHeaders<SockaddrStorage>,
    /// Whether all was received and handed over, so that it is time to sleep.
    is_idle: bool,
}

impl Gear {
    pub(super) fn new(drain: &Drain) -> Self {
        Self {
            slots: Slots::new(drain.shard.max_message()),
            headers: MultiHeaders::preallocate(BATCH, None),
            is_idle: false,
        }
    }
}

/// Whose datagrams arrive at a socket.
#[derive(Debug)]
pub enum Origin {
    /// Those of processes of this host.
    Local(Fairness),
    /// Those of anybody whom the gate lets through.
    Network(Network),
}

/// What there is to know of a socket to the network.
#[derive(Debug)]
pub struct Network {
    /// The `-a` list in force.
    pub gate: Arc<AccessList>,
    /// Those whom it did not let through.
    pub denials: Denials,
    /// What the kernel dropped.
    pub overflow: Overflow,
    /// What was received and not read yet.
    pub backlog: Backlog,
}

impl Drain {
    /// Begins to receive on a thread of its own, which helps in the `workshop` before it sleeps. What is returned gets,
    /// once the bell has said stop, the kernel's count of what it dropped on this socket, for whoever reads it next.
    ///
    /// # Errors
    /// If the system has no room for another thread.
    pub fn start(self, workshop: Arc<dyn Workshop>) -> io::Result<Receiver<u32>> {
        relief::start(self, workshop)
    }

    /// Receives until the bell says stop, or until the thread may help.
    pub(super) fn work<'a>(&mut self, gear: &mut Gear, workshop: &'a dyn Workshop) -> Step<'a> {
        let Gear {
            slots,
            headers,
            is_idle,
        } = gear;
        let mut batches = 0_u32;
        let mut full = 0_u32;
        let mut tally = Tally::default();
        let mut last_call = None;
        loop {
            if std::mem::take(is_idle) {
                self.look_for_drops();
                self.bell.wait(self.socket.as_fd());
                self.shard.begin();
            } else {
                if let Origin::Local(fairness) = &mut self.origin
                    && let Some(other) = fairness.headers(&self.socket, BATCH)
                {
                    *headers = other;
                }
                // A limit is in force for what is sent after the reload that brought it.
                self.shard.follow();
                if slots.most != self.shard.max_message() {
                    *slots = Slots::new(self.shard.max_message());
                }
                match self.receive(slots, headers, &mut tally, full >= DEEP) {
                    Ok(count) => {
                        full = if count == BATCH {
                            full.saturating_add(1)
                        } else {
                            0
                        };
                        batches = batches.wrapping_add(1);
                        if batches.is_multiple_of(LOOK) {
                            self.look_for_drops();
                        }
                    }
                    Err(Errno::EAGAIN) => {
                        full = 0;
                        if !self.read_oldest(&mut tally) {
                            if last_call.is_some() {
                                self.shard.before_sleep();
                                self.look_for_drops();
                                return Step::Over;
                            }
                            *is_idle = true;
                            if let Some(visit) = self.before_sleep(workshop) {
                                return Step::Help(visit);
                            }
                        }
                    }
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        // ECONNREFUSED and the like belong to one datagram; the socket goes on.
                        tracing::debug!("receiving: {error}");
                    }
                }
            }
            match self.bell.call() {
                Call::None => {}
                Call::Stop => _ = last_call.get_or_insert_with(|| Instant::now() + LAST_CALL),
                Call::Suspend => {
                    self.read_all(&mut tally);
                    return Step::Over;
                }
            }
            if last_call.is_some_and(|end| Instant::now() >= end) {
                self.read_all(&mut tally);
                self.look_for_drops();
                return Step::Over;
            }
        }
    }

    /// Hands everything over; the thread may help then, if it was little.
    fn before_sleep<'a>(&mut self, workshop: &'a dyn Workshop) -> Option<Visit<'a>> {
        if self.may_help {
            return self.shard.before_sleep_or_help(workshop);
        }
        self.shard.before_sleep();
        None
    }

    /// After a fault of ours: what can be saved is handed over.
    pub(super) fn hand_over_by_force(&mut self) {
        self.shard.hand_over_by_force();
    }

    /// Closes the socket; returns the kernel's count of what it dropped there, as far as it was counted.
    pub(super) fn close(self) -> u32 {
        match self.origin {
            Origin::Local(_) => 0,
            Origin::Network(network) => network.overflow.seen,
        }
    }

    fn look_for_drops(&mut self) {
        if let Origin::Network(network) = &mut self.origin {
            network.overflow.look(self.socket.as_fd(), &self.counters);
        }
    }

    /// Takes a batch from the kernel, and tells how many datagrams it was. They are read at once, unless the
    /// kernel's queue is `deep`, or others wait already.
    fn receive(
        &mut self,
        slots: &mut Slots,
        headers: &mut MultiHeaders<SockaddrStorage>,
        tally: &mut Tally,
        deep: bool,
    ) -> nix::Result<usize> {
        let (most, a_batch) = (slots.most, BATCH * slots.most);
        while self.is_backlog_full(a_batch) && self.read_oldest(tally) {}
        let Self {
            socket,
            shard,
            counters,
            origin,
            ..
        } = self;
        let mut slices = slots.slices();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let datagrams = recvmmsg(socket.as_raw_fd(), headers, &mut slices, flags, None)?;
        let mut count = 0;
        if let Origin::Network(Network { backlog, .. }) = origin
            && (!backlog.is_empty() || deep && backlog.has_room(a_batch))
        {
            let received = Received::now();
            for datagram in datagrams {
                let octets = datagram.iovs().next().unwrap_or_default();
                let (octets, cut) = limited(octets, datagram.bytes, most);
                backlog.push(received, sender(&datagram), octets, cut);
                count += 1;
            }
            return Ok(count);
        }
        shard.begin();
        let mut taken = 0;
        for datagram in datagrams {
            let octets = datagram.iovs().next().unwrap_or_default();
            let limited = limited(octets, datagram.bytes, most);
            taken += octets.len();
            if taken > MUCH {
                taken = octets.len();
                shard.after_datagrams();
            }
            let peer = match origin {
                Origin::Local(fairness) => {
                    shard.limit(fairness.limits(&datagram, shard.begun()));
                    Some(Peer::Local)
                }
                Origin::Network(Network { gate, denials, .. }) => {
                    admit(gate, denials, sender(&datagram), shard)
                }
            };
            take(shard, peer, limited, counters, tally);
            count += 1;
        }
        tally.count(counters);
        shard.after_datagrams();
        Ok(count)
    }

    fn is_backlog_full(&self, octets: usize) -> bool {
        match &self.origin {
            Origin::Local(_) => false,
            Origin::Network(network) => !network.backlog.has_room(octets),
        }
    }

    /// Reads some of what has waited longest; tells whether anything waited.
    fn read_oldest(&mut self, tally: &mut Tally) -> bool {
        let Self {
            shard,
            counters,
            origin: Origin::Network(network),
            ..
        } = self
        else {
            return false;
        };
        let Network {
            gate,
            denials,
            backlog,
            ..
        } = network;
        let Some(received) = backlog.begin_oldest() else {
            return false;
        };
        shard.begin_with(received);
        while let Some(waited) = backlog.next() {
            let peer = admit(gate, denials, waited.from, shard);
            take(shard, peer, (waited.octets, waited.cut), counters, tally);
        }
        tally.count(counters);
        shard.after_datagrams();
        true
    }

    /// Reads all that waits, and hands everything over.
    fn read_all(&mut self, tally: &mut Tally) {
        while self.read_oldest(tally) {}
        self.shard.before_sleep();
    }
}

/// Where a batch is received. Memory that no datagram came to is not touched, and takes none of the machine.
#[derive(Debug)]
struct Slots {
    octets: Vec<u8>,
    /// The longest message that is kept whole.
    most: usize,
}

impl Slots {
    /// For messages of at most so many octets.
    fn new(most: usize) -> Self {
        Self {
            octets: vec![0; BATCH * Self::length(most)],
            most,
        }
    }

    /// Room for one datagram: enough to see whether the limit falls into a character, and whether only a line
    /// feed is past it.
    fn length(most: usize) -> usize {
        most + 4
    }

    fn slices(&mut self) -> [[IoSliceMut<'_>; 1]; BATCH] {
        let mut slots = self.octets.chunks_exact_mut(Self::length(self.most));
        array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())])
    }
}

/// One datagram, `cut` octets shorter than it was, of a peer unless he was refused.
fn take(
    shard: &mut Shard,
    peer: Option<Peer>,
    (octets, cut): (&[u8], u32),
    counters: &InputCounters,
    tally: &mut Tally,
) {
    let Some(peer) = peer else {
        counters.received.add(1);
        counters.rejected(Rejection::Acl).add(1);
        return;
    };
    shard.take(octets, cut, peer, tally);
}

/// Who sent this datagram from the network, or `None` if it must be refused.
fn admit(
    gate: &AccessList,
    denials: &mut Denials,
    address: Option<SocketAddr>,
    shard: &mut Shard,
) -> Option<Peer> {
    let address = address?;
    if shard.admits(gate, address, Carrier::Udp) {
        return Some(Peer::Remote(address));
    }
    if let Some(sentence) = denials.note(address, Instant::now()) {
        tracing::warn!("{sentence}");
    }
    None
}

/// The address that a datagram bears.
fn sender(datagram: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<SocketAddr> {
    let address = datagram.address.as_ref()?;
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
