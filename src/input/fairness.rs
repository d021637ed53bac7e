//! Fairness among the processes of this host while an output is behind (reliability S3, V31).
//!
//! ```text
//! queue of an output   ───── over ¾ of its memory ───── under ½ ─────
//! SO_PASSCRED          off │ on: 1000 messages, then 100/s    │ off
//! ```
//!
//! An output that is slower than one process writes would lose the messages of all. So while memory is tight
//! for an output, each process has a bucket of [`BURST`] messages that fills with [`RATE`] a second. What
//! goes beyond is not for that output, and counted there; the others get it. One sentence a minute says
//! whose it was. Who sent a datagram costs 108 ns to know (measured), so the kernel is asked only then.
//!
//! The limits: datagrams that were queued before the kernel was asked, and processes that are not of our
//! PID namespace, have no PID and share one bucket; so do those beyond [`MOST_PROCESSES`], and those that
//! send descriptors along to hide who they are. A process that starts others to send for it gets as many
//! buckets.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    ControlMessageOwned, MultiHeaders, RecvMsg, SockaddrStorage, setsockopt, sockopt::PassCred,
};

use crate::budget::Budget;

/// Messages that a process may send at once.
const BURST: u32 = 1000;

/// Messages that a process may send in a second, all the time.
const RATE: u32 = 100;

/// More processes than this share one bucket.
const MOST_PROCESSES: usize = 1024;

/// The least time between two sentences.
const PAUSE: Duration = Duration::from_secs(60);

/// The processes that send to one socket, while an output is behind.
#[derive(Debug)]
pub struct Fairness {
    /// What the operator knows the socket by.
    name: String,
    memory: Budget,
    is_on: bool,
    buckets: HashMap<Who, Bucket, foldhash::fast::RandomState>,
    told: Option<Instant>,
}

/// Whose bucket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Who {
    Process { pid: i32, uid: u32 },
    Others,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of messages.
    level: u64,
    filled: Instant,
    /// Messages beyond its share that nobody was told about.
    untold: u64,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self {
            level: u64::from(BURST) * 1000,
            filled: now,
            untold: 0,
        }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_millis();
        let more = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if more > 0 {
            self.filled = now;
            let level = self.level.saturating_add(more.saturating_mul(RATE.into()));
            self.level = level.min(u64::from(BURST) * 1000);
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let left = self.level.checked_sub(1000);
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

impl Fairness {
    /// For the socket called `name`; off until `memory` is tight for an output.
    pub fn new(name: String, memory: Budget) -> Self {
        Self {
            name,
            memory,
            is_on: false,
            buckets: HashMap::default(),
            told: None,
        }
    }

    /// Before a batch: looks at the memory, and has the kernel say who sends while it is tight. Returns the
    /// headers to receive with if they must be other ones now.
    pub(super) fn headers(
        &mut self,
        socket: impl AsFd,
        batch: usize,
    ) -> Option<MultiHeaders<SockaddrStorage>> {
        let was_on = self.is_on;
        if self.memory.is_tight_for_one() {
            self.is_on = was_on || setsockopt(&socket, PassCred, &true).is_ok();
        } else if was_on {
            // If it stays on, the kernel has no room to tell, and nothing else changes.
            _ = setsockopt(&socket, PassCred, &false).is_ok();
            self.is_on = false;
            self.buckets.retain(|_, bucket| bucket.untold > 0);
        }
        // The kernel shortens the room for control messages to what it used, and nix leaves it so.
        let control = self
            .is_on
            .then(|| nix::cmsg_space!(nix::sys::socket::UnixCredentials));
        (self.is_on || was_on).then(|| MultiHeaders::preallocate(batch, control))
    }

    /// Whether the sender of this datagram has sent more than his share.
    pub(super) fn limits(
        &mut self,
        datagram: &RecvMsg<'_, '_, SockaddrStorage>,
        now: Instant,
    ) -> bool {
        if !self.is_on || self.allows(sender(datagram), now) {
            return false;
        }
        if let Some(sentence) = self.tell(now) {
            tracing::warn!("{sentence}");
        }
        true
    }

    fn allows(&mut self, who: Who, now: Instant) -> bool {
        let who = self.place(who, now);
        let bucket = self.buckets.entry(who);
        let bucket = bucket.or_insert_with(|| Bucket::full(now));
        let allowed = bucket.take(now);
        bucket.untold += u64::from(!allowed);
        allowed
    }

    /// Whose bucket it is: its own as long as there is room for one more.
    fn place(&mut self, who: Who, now: Instant) -> Who {
        if self.buckets.len() < MOST_PROCESSES || self.buckets.contains_key(&who) {
            return who;
        }
        // A full bucket says nothing that a new one would not.
        self.buckets.retain(|_, bucket| {
            bucket.fill(now);
            bucket.untold > 0 || bucket.level < u64::from(BURST) * 1000
        });
        if self.buckets.len() < MOST_PROCESSES {
            who
        } else {
            Who::Others
        }
    }

    /// What the operator reads, at most once a minute.
    fn tell(&mut self, now: Instant) -> Option<String> {
        if self.told.is_some_and(|told| now < told + PAUSE) {
            return None;
        }
        let limited = self
            .buckets
            .iter_mut()
            .filter(|(_, bucket)| bucket.untold > 0);
        let (mut messages, mut processes, mut most) = (0, 0, (0, Who::Others));
        for (who, bucket) in limited {
            let untold = std::mem::take(&mut bucket.untold);
            messages += untold;
            processes += 1;
            if untold > most.0 {
                most = (untold, *who);
            }
        }
        self.told = Some(now);
        let plural = |count| if count == 1 { "" } else { "s" };
        Some(format!(
            "an output is behind, so each process on {} is sure of {RATE} messages a second there; {messages} message{} of {processes} process{} came beyond that, most from {}: what the output does not get of them is counted",
            self.name,
            plural(messages),
            if processes == 1 { "" } else { "es" },
            describe(most.1),
        ))
    }
}

fn sender(datagram: &RecvMsg<'_, '_, SockaddrStorage>) -> Who {
    // An error means that something was left out, such as descriptors that came along.
    let first = datagram.cmsgs().ok().and_then(|mut all| all.next());
    match first {
        Some(ControlMessageOwned::ScmCredentials(who)) if who.pid() != 0 => Who::Process {
            pid: who.pid(),
            uid: who.uid(),
        },
        Some(_) | None => Who::Others,
    }
}

fn describe(who: Who) -> String {
    match who {
        Who::Process { pid, uid } => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            let name = name.map_or_else(
                |_| "ended".to_owned(),
                |name| name.trim_end().escape_default().to_string(),
            );
            format!("process {pid} ({name}) of uid {uid}")
        }
        Who::Others => "processes that cannot be told apart".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fairness() -> Fairness {
        Fairness::new("/dev/log".to_owned(), Budget::new(100))
    }

    fn process(pid: i32) -> Who {
        Who::Process { pid, uid: 7 }
    }

    #[test]
    fn v31_each_process_has_a_bucket_of_its_own() {
        let mut fairness = fairness();
        let start = Instant::now();
        let count = |fairness: &mut Fairness, pid, now| {
            let taken = (0..5000).filter(|_| fairness.allows(process(pid), now));
            u32::try_from(taken.count()).expect("five thousand")
        };
        assert_eq!(count(&mut fairness, 1, start), BURST);
        assert_eq!(count(&mut fairness, 1, start), 0);
        assert_eq!(count(&mut fairness, 2, start), BURST);
        let second = Duration::from_secs(1);
        assert_eq!(count(&mut fairness, 1, start + second), RATE);
        assert_eq!(count(&mut fairness, 1, start + 60 * second), BURST);
        // Many small steps are as good as a long one.
        for step in 1..=1000 {
            let now = start + 60 * second + Duration::from_millis(10 * step);
            assert!(fairness.allows(process(1), now), "{step}");
            assert!(!fairness.allows(process(1), now), "{step}");
        }
    }

    #[test]
    fn v31_the_table_of_processes_is_bounded() {
        let mut fairness = fairness();
        let now = Instant::now();
        for pid in 0..100_000 {
            fairness.allows(process(pid), now);
        }
        assert_eq!(fairness.buckets.len(), MOST_PROCESSES + 1);
        assert!(!fairness.allows(process(100_001), now), "they share one");
        // Those that have been quiet make room.
        let later = now + Duration::from_secs(1);
        assert!(fairness.allows(process(100_001), later));
        assert_eq!(fairness.buckets.len(), 2);
    }

    #[test]
    fn v31_one_sentence_a_minute_says_who() {
        let mut fairness = fairness();
        let now = Instant::now();
        for _ in 0..BURST + 3 {
            fairness.allows(process(-5), now);
            fairness.allows(process(-6), now);
        }
        fairness.allows(process(-6), now);
        assert_eq!(
            fairness.tell(now).as_deref(),
            Some(
                "an output is behind, so each process on /dev/log is sure of 100 messages a second there; 7 messages of 2 processes came beyond that, most from process -6 (ended) of uid 7: what the output does not get of them is counted"
            )
        );
        fairness.allows(process(-5), now);
        assert_eq!(fairness.tell(now + PAUSE / 2), None);
        assert!(
            fairness
                .tell(now + PAUSE)
                .is_some_and(|told| told.contains(" 1 message of 1 process "))
        );
    }
}
