//! A shard: one thread's share of the work from octets to open blocks.
//!
//! ```text
//! octets ─► strip ─► Message::parse ─► admitted PRI ─► route ─► format ─► open blocks ─► inboxes
//! ```
//!
//! Everything here runs to completion on the thread that received the octets: no hand-over, lock,
//! allocation or clock read for a message. One clock read and one look at the live table are made for
//! each receive batch ([`Shard::begin`]).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::acl::{AccessList, Carrier};
use super::peer::{PeerHandle, PeerNames};
use crate::counters::{InputCounters, Rejection};
use crate::format::Received;
use crate::message::{self, Flag, Message, Sender};
use crate::pri::Facility;
use crate::route::filter::Scene;
use crate::route::inbox::{Claim, Inbox};
use crate::route::lanes::{Fate, LATEST, Lanes, Which};
use crate::route::workshop::{Visit, Workshop};
use crate::route::{Class, KernelProgram, Policy, RoutingTable};

/// The routing table in force; a reload stores another one.
pub type Live = Arc<ArcSwap<RoutingTable>>;

/// So many octets are written by the thread that received them, if it would sleep otherwise. Of more it is worth
/// waking another thread, on another processor.
const LITTLE: usize = 8 * 1024;

/// And to so many outputs: where a message each goes to many files, more come while they are written.
const FEW: usize = 4;

/// Who sent a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// A process of this host.
    Local,
    /// Somebody on the network.
    Remote(SocketAddr),
    /// The kernel of this host.
    Kernel,
}

impl Peer {
    /// The address of somebody on the network.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Remote(address) => Some(address.ip()),
            Self::Local | Self::Kernel => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("a local process"),
            Self::Remote(address) => address.fmt(f),
            Self::Kernel => f.write_str("the kernel"),
        }
    }
}

/// What a batch added to the counters of its input, added to them in one go.
#[derive(Debug, Default)]
pub struct Tally {
    received: u64,
    routed: u64,
    unmatched: u64,
    truncated: u64,
    empty: u64,
    kern_remapped: u64,
    /// Whether any of `noted` is not zero: hardly ever.
    odd: bool,
    noted: [u64; Flag::COUNT],
}

impl Tally {
    fn message(&mut self, message: &Message<'_>, fate: Fate) {
        self.received += 1;
        match fate {
            Fate::Routed => self.routed += 1,
            Fate::Unmatched => self.unmatched += 1,
        }
        self.truncated += u64::from(message.cut() > 0);
        let flags = message.flags();
        if !flags.is_empty() {
            self.odd = true;
            for flag in flags.iter() {
                self.noted[flag as usize] += 1;
            }
        }
    }

    /// Adds the batch to the counters and begins anew.
    pub fn count(&mut self, counters: &InputCounters) {
        counters.received.add(self.received);
        counters.routed.add(self.routed);
        counters.unmatched.add(self.unmatched);
        counters.truncated.add(self.truncated);
        counters.rejected(Rejection::Empty).add(self.empty);
        counters.kern_remapped.add(self.kern_remapped);
        if self.odd {
            for (flag, count) in Flag::ALL.into_iter().zip(self.noted) {
                counters.noted(flag).add(count);
            }
        }
        *self = Self::default();
    }
}

/// One thread's open blocks, and what it needs to fill them.
#[derive(Debug)]
pub struct Shard {
    live: Live,
    lanes: Lanes,
    policy: Arc<Policy>,
    received: Received,
    /// When the oldest open record came, as far as known.
    opened: Option<Received>,
    names: PeerHandle,
    begun: Instant,
    source: Source,
    patience: Patience,
    /// What the sender of the next message may ask of outputs that are behind.
    claim: Claim,
    /// Whether somebody in this batch was beyond his share.
    somebody_is_beyond: bool,
}

/// The text of the last peer's address, for `:source` filters.
#[derive(Debug, Default)]
struct Source {
    address: Option<IpAddr>,
    text: Vec<u8>,
}

impl Source {
    fn text(&mut self, address: IpAddr) -> &[u8] {
        if self.address != Some(address) {
            self.address = Some(address);
            self.text.clear();
            self.text
                .extend_from_slice(address.to_canonical().to_string().as_bytes());
        }
        &self.text
    }
}

impl Shard {
    /// A shard that follows `live` and names remote peers with `names`.
    pub fn new(live: Live, names: &PeerNames) -> Self {
        let lanes = Lanes::new(live.load_full());
        let received = Received::now();
        let (names, begun) = (names.handle(), Instant::now());
        let (source, patience) = (Source::default(), Patience::new());
        Self {
            live,
            policy: Arc::clone(lanes.table().policy()),
            lanes,
            received,
            opened: None,
            names,
            begun,
            source,
            patience,
            claim: Claim::Rightful,
            somebody_is_beyond: false,
        }
    }

    /// Begins a batch: reads the clock, and goes over to a new table if there is one.
    pub fn begin(&mut self) {
        self.begin_with(Received::now());
    }

    /// As [`Shard::begin`], for messages that came at `received` and have waited since.
    pub(super) fn begin_with(&mut self, received: Received) {
        self.received = received;
        self.begun = Instant::now();
        self.follow();
    }

    /// Goes over to a new table if there is one.
    pub(super) fn follow(&mut self) {
        let table = self.live.load();
        if !Arc::ptr_eq(&table, self.lanes.table()) {
            // What the old table routed goes where it was routed to.
            self.hand_over_by_force();
            self.policy = Arc::clone(table.policy());
            self.lanes.follow(Arc::clone(&table));
        }
    }

    /// The longest message that is kept whole, in octets.
    pub(super) fn max_message(&self) -> usize {
        self.policy.max_message
    }

    /// When the batch began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Says whether the sender of the messages to come has sent more than his share.
    pub(super) fn limit(&mut self, beyond: bool) {
        self.somebody_is_beyond |= beyond;
        self.claim = match (beyond, self.patience.left.is_zero()) {
            (false, _) => Claim::Rightful,
            (true, false) => Claim::Patient,
            (true, true) => Claim::Spent,
        };
    }

    /// Whether the `-a` list lets this peer through.
    pub fn admits(&mut self, list: &AccessList, peer: SocketAddr, carrier: Carrier) -> bool {
        let name = list
            .needs_names()
            .then(|| self.names.full_name(peer.ip(), self.begun));
        list.allows(peer, carrier, name.flatten())
    }

    /// Takes one datagram or frame through to the open blocks.
    ///
    /// `cut` is how many octets reception cut off its end.
    pub fn take(&mut self, octets: &[u8], cut: u32, peer: Peer, tally: &mut Tally) {
        let octets = message::trim(octets);
        if octets.is_empty() {
            tally.received += 1;
            tally.empty += 1;
            return;
        }
        self.deliver(octets, cut, peer, Class::Message, tally);
    }

    /// Routes and formats one message.
    pub fn deliver(
        &mut self,
        octets: &[u8],
        cut: u32,
        peer: Peer,
        class: Class,
        tally: &mut Tally,
    ) {
        let Self {
            lanes,
            policy,
            names,
            source,
            received,
            begun,
            opened,
            claim,
            ..
        } = self;
        let own_name = &policy.hostname[..];
        let sender = match peer {
            Peer::Local | Peer::Kernel => Sender::Local { hostname: own_name },
            Peer::Remote(_) => Sender::Remote,
        };
        let message = Message::parse(octets, sender).with_cut(cut);
        let pri = policy.admitted(message.pri(), peer == Peer::Kernel);
        tally.kern_remapped += u64::from(pri != message.pri());
        let message = message.with_pri(pri);
        let (peer_name, source) = match peer {
            Peer::Local | Peer::Kernel => (own_name, own_name),
            Peer::Remote(address) => {
                let name = names.name(address.ip(), *begun);
                (name, source.text(address.ip()))
            }
        };
        let claimed = if policy.hostname_from_message {
            message.hostname()
        } else {
            None
        };
        let has_tag = peer == Peer::Kernel
            && pri.facility() == Facility::Kern
            && policy.kernel_program == KernelProgram::Tag;
        let scene = Scene {
            hostname: claimed.unwrap_or(peer_name),
            source,
            own_name,
            program: has_tag.then(|| tag(message.msg())).flatten(),
        };
        let fate = lanes.deliver(&message, scene, peer.ip(), class, *received, *claim);
        if fate == Fate::Routed && opened.is_none() {
            *opened = Some(*received);
        }
        tally.message(&message, fate);
        if lanes.take_filled() {
            // What has no room now stays open; whoever received it waits for room after the batch.
            _ = self.hand_over(Which::Full);
        }
    }

    /// After a batch of datagrams: hands over what is full, or everything once it is late.
    ///
    /// Blocks for a bounded time where an output is behind, then drops the least urgent.
    pub fn after_datagrams(&mut self) {
        if std::mem::take(&mut self.somebody_is_beyond) {
            self.wait_for_those_behind();
        }
        if self.is_late() {
            self.before_sleep();
        } else if self.lanes.has_full() {
            self.hand_over_patiently(Which::Full);
        }
    }

    /// Before the thread sleeps: hands over everything, as [`Self::after_datagrams`] does.
    pub fn before_sleep(&mut self) {
        self.hand_over_patiently(Which::All);
        self.opened = None;
    }

    /// As [`Self::before_sleep`]; but if there is little to hand over, the caller has come to the workshop, where he
    /// is to [help](Visit::help) then.
    pub(super) fn before_sleep_or_help<'a>(
        &mut self,
        workshop: &'a dyn Workshop,
    ) -> Option<Visit<'a>> {
        if self.lanes.holds_at_most(FEW, LITTLE)
            && let Some(visit) = Visit::to(workshop)
        {
            self.lanes.hand_over(Which::All, |_, _| false);
            if self.lanes.is_clean() {
                self.opened = None;
                return Some(visit);
            }
        }
        self.before_sleep();
        None
    }

    /// Somebody has sent more than his share: he, and all others meanwhile, wait for the outputs that are
    /// behind, as long as there is patience left.
    fn wait_for_those_behind(&mut self) {
        let mut turn = Patience::FOR_ONE;
        for lane in self.lanes.table().lanes() {
            if lane.inbox.is_tight() {
                let wait = |patience| lane.inbox.wait_while_tight(patience);
                self.patience.spend(&mut turn, wait);
            }
        }
    }

    fn hand_over_patiently(&mut self, which: Which) {
        let Self {
            lanes, patience, ..
        } = self;
        let mut turn = Patience::AT_ONCE;
        lanes.hand_over(which, |inbox, block| {
            patience.spend(&mut turn, |patience| {
                inbox.wait_for_room(block.octets().len(), patience);
            });
            inbox.force(block);
            true
        });
    }

    /// Hands over everything at once; where there is no room, the least urgent records are dropped.
    pub fn hand_over_by_force(&mut self) {
        self.lanes.hand_over(Which::All, |inbox, block| {
            inbox.force(block);
            true
        });
        self.opened = None;
    }

    /// Hands over what can be without waiting: the full blocks, or all. Tells which inbox has no room,
    /// and for how many octets, so that a stream can wait for it and its sender with it. An output that
    /// is stalled makes nobody wait: its least urgent records are dropped.
    pub fn hand_over(&mut self, which: Which) -> Option<(Inbox, usize)> {
        let which = if self.is_late() { Which::All } else { which };
        let mut refused = None;
        self.lanes.hand_over(which, |inbox, block| {
            if inbox.is_stalled() {
                inbox.force(block);
                return true;
            }
            refused = Some((inbox.clone(), block.octets().len()));
            false
        });
        if self.lanes.is_clean() {
            self.opened = None;
        }
        refused
    }

    fn is_late(&self) -> bool {
        self.opened
            .is_some_and(|opened| self.received.since(opened) >= LATEST)
    }
}

/// The tag that a text of the kernel begins with: `ipfw` of `ipfw: 100 Deny`.
fn tag(text: &[u8]) -> Option<&[u8]> {
    let ends = |octet: &u8| !octet.is_ascii_alphanumeric() && !b"_-/".contains(octet);
    let (name, rest) = text.split_at_checked(text.iter().position(ends)?)?;
    (!name.is_empty() && rest.starts_with(b": ")).then_some(name)
}

/// How long datagram senders may be kept waiting: 100 ms at a time, a second in a minute
/// (reliability S3).
#[derive(Debug)]
struct Patience {
    left: Duration,
    since: Instant,
}

impl Patience {
    const AT_ONCE: Duration = Duration::from_millis(100);
    /// For one who is beyond his share: all others wait with him.
    const FOR_ONE: Duration = Duration::from_millis(5);
    const IN_A_MINUTE: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self {
            left: Self::IN_A_MINUTE,
            since: Instant::now(),
        }
    }

    /// Waits as `wait` does, all in all no longer than what is left of `turn`.
    fn spend(&mut self, turn: &mut Duration, wait: impl FnOnce(Duration)) {
        let began = Instant::now();
        if began - self.since >= Duration::from_secs(60) {
            *self = Self::new();
        }
        let patience = self.left.min(*turn);
        if !patience.is_zero() {
            wait(patience);
            let spent = began.elapsed();
            self.left = self.left.saturating_sub(spent);
            *turn = turn.saturating_sub(spent);
        }
    }
}
