//! The counters of every input and output: where each message went, and for each lost one why.
//!
//! At every quiet point (nothing in flight) they balance, exact to the message:
//!
//! ```text
//! input:   received = routed + unmatched + rejected
//! output:  enqueued = written + dropped + queued
//! ```
//!
//! `queued` is counted on its own and never derived, so that the second line can be checked.
//! Writers add once for each batch, with relaxed atomics; a reader sees a sum that was true a moment
//! ago.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::message::Flag;

/// Why an input refused what it received.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Rejection {
    /// The sender is not on the `-a` list.
    Acl,
    /// A stream broke the framing rules (RFC 6587), and its connection was closed.
    Frame,
    /// Nothing is left after stripping trailing LF, CR and NUL.
    Empty,
}

impl Rejection {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All of them, with the names that the statistics use.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::Acl, "acl"),
        (Self::Frame, "frame"),
        (Self::Empty, "empty"),
    ];
}

/// Why an output dropped a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Loss {
    /// Its queue was full, or the memory budget was spent.
    Full,
    /// The disk, quota or file size limit was reached for too long, or a record is longer than its memory buffer.
    NoSpace,
    /// The device or the file system failed.
    Io,
    /// A terminal or a peer did not take it in time.
    Timeout,
    /// A FIFO had no room for the whole record.
    FifoFull,
    /// The name of the remote host could not be resolved.
    Unresolved,
    /// The daemon had to stop before it could be written.
    Shutdown,
    /// The disk has less free space than `keep_free` asks for, and others are more urgent.
    Policy,
    /// The queue was nearly full, and the process that sent it had sent more than its share.
    Share,
    /// It came from the host that the forward leads to.
    Loop,
}

impl Loss {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All of them, with the names that the statistics use.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::Full, "full"),
        (Self::NoSpace, "nospace"),
        (Self::Io, "io"),
        (Self::Timeout, "timeout"),
        (Self::FifoFull, "fifo_full"),
        (Self::Unresolved, "unresolved"),
        (Self::Shutdown, "shutdown"),
        (Self::Policy, "policy"),
        (Self::Share, "share"),
        (Self::Loop, "loop"),
    ];

    /// What the operator reads.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Full => "queue full",
            Self::NoSpace => "no space left",
            Self::Io => "input/output error",
            Self::Timeout => "not taken in time",
            Self::FifoFull => "FIFO full",
            Self::Unresolved => "host name not found",
            Self::Shutdown => "not written before the end",
            Self::Policy => "little space left (keep_free)",
            Self::Share => "queue nearly full, and more than the sender's share",
            Self::Loop => "came from there",
        }
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        if count != 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one input has seen.
#[derive(Debug, Default)]
pub struct InputCounters {
    /// Datagrams or frames that were received.
    pub received: Counter,
    /// Messages that at least one rule took.
    pub routed: Counter,
    /// Messages that no rule wanted.
    pub unmatched: Counter,
    /// Messages cut at the size limit (they count as routed or unmatched too).
    pub truncated: Counter,
    /// Messages that were odd in some way, by [`Flag`]; they count elsewhere too.
    noted: [Counter; Flag::COUNT],
    /// Messages of `kern` that did not come from the kernel, and became `user`.
    pub kern_remapped: Counter,
    /// Connections that were closed within a frame because there was no memory for it. What had come of
    /// the frame counts as a message.
    pub crowded_out: Counter,
    /// Connections that were closed at once since there were too many: in all, of this host, or of one address.
    pub connections_refused: Counter,
    /// Datagrams that the kernel dropped before we could read them; not in `received`.
    pub kernel_dropped: Counter,
    rejected: [Counter; Rejection::COUNT],
}

impl InputCounters {
    /// The counter of one reason.
    pub fn rejected(&self, why: Rejection) -> &Counter {
        &self.rejected[why as usize]
    }

    /// The counter of one oddity.
    pub fn noted(&self, flag: Flag) -> &Counter {
        &self.noted[flag as usize]
    }

    /// All that was refused, whatever the reason.
    pub fn rejected_in_all(&self) -> u64 {
        self.rejected.iter().map(Counter::get).sum()
    }

    /// Whether `received = routed + unmatched + rejected`; true at every quiet point.
    pub fn balance(&self) -> bool {
        self.received.get() == self.routed.get() + self.unmatched.get() + self.rejected_in_all()
    }
}

/// What one output was given, and what became of it.
#[derive(Debug, Default)]
pub struct OutputCounters {
    /// Records handed to this output.
    pub enqueued: Counter,
    /// Records that the destination took. A folded repeat counts as written.
    pub written: Counter,
    /// Octets that the destination took, those of our own lines included.
    pub octets: Counter,
    /// Lines that a crash or a full disk had cut off, and that were ended before the next one.
    pub torn_tails: Counter,
    /// Lines that were written again, since a failed sync may have lost them. Not in `written`.
    pub rewritten: Counter,
    /// Records that went to the spool, since the output was behind; they count elsewhere too.
    pub spooled: Counter,
    dropped: [Counter; Loss::COUNT],
    queued: AtomicU64,
    in_spool: AtomicU64,
}

impl OutputCounters {
    /// The counter of one reason.
    pub fn dropped(&self, why: Loss) -> &Counter {
        &self.dropped[why as usize]
    }

    /// All that was dropped, whatever the reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().map(Counter::get).sum()
    }

    /// Records that wait, in the queue or in the hands of the worker.
    pub fn queued(&self) -> u64 {
        self.queued.load(Relaxed)
    }

    /// Records in the spool; they count as queued.
    pub fn in_spool(&self) -> u64 {
        self.in_spool.load(Relaxed)
    }

    /// Notes how many records are in the spool.
    pub fn set_in_spool(&self, records: u64) {
        self.in_spool.store(records, Relaxed);
    }

    /// Notes that `records` joined the queue.
    pub fn enqueue(&self, records: u64) {
        self.queued.fetch_add(records, Relaxed);
        self.enqueued.add(records);
    }

    /// Notes that `records` of `octets` in all left the queue for their destination.
    pub fn write(&self, records: u64, octets: u64) {
        self.written.add(records);
        self.octets.add(octets);
        self.queued.fetch_sub(records, Relaxed);
    }

    /// Notes that `records` left the queue and are lost.
    pub fn lose(&self, records: u64, why: Loss) {
        self.dropped(why).add(records);
        self.queued.fetch_sub(records, Relaxed);
    }

    /// Whether `enqueued = written + dropped + queued`; true at every quiet point.
    pub fn balance(&self) -> bool {
        self.enqueued.get() == self.written.get() + self.dropped_in_all() + self.queued()
    }
}
