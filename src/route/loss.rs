//! What is said about losses.
//!
//! ```text
//! to our own log          one line when they begin, one a minute while they last, one when they end
//! in the output itself    a line where they are missing, as soon as it takes lines again ([`Gap`])
//! ```
//!
//! Either counts each lost message once. What came from where a forward leads is missing there to nobody, and
//! each line about it would be the next such message for the other side: it is told when it begins, and then
//! each time when it is twice as much.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::counters::Loss;
use crate::format::rfc3339_stamp;
use crate::report::counted;

/// How often an ongoing loss is mentioned.
const INTERVAL: Duration = Duration::from_secs(60);

/// A loss is over when nothing was lost for so long: an output that takes every other block would have us
/// begin and end with each of them.
const QUIET: Duration = Duration::from_secs(1);

/// Messages that an output lost, and when: what its readers are told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    lost: [u64; Loss::COUNT],
    /// When the first was dropped.
    first: SystemTime,
    /// When the last was dropped.
    last: SystemTime,
}

impl Gap {
    /// `count` messages, dropped at one moment.
    pub fn new(count: u64, why: Loss, at: SystemTime) -> Self {
        let mut lost = [0; Loss::COUNT];
        lost[why as usize] = count;
        Self {
            lost,
            first: at,
            last: at,
        }
    }

    /// How many are missing.
    pub fn count(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Both as one.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (own, others) in self.lost.iter_mut().zip(other.lost) {
            *own += others;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self
    }
}

impl fmt::Display for Gap {
    /// `dropped 12 messages here between … and …: no space left`; several causes have a number each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (rfc3339_stamp(self.first), rfc3339_stamp(self.last));
        let (from, to) = (from.trim_end(), to.trim_end());
        let count = self.count();
        write!(
            f,
            "dropped {} here between {from} and {to}: ",
            counted(count, "message")
        )?;
        let mut before = "";
        for (why, _) in Loss::ALL {
            match self.lost[why as usize] {
                0 => continue,
                lost if lost == count => f.write_str(why.sentence())?,
                lost => write!(f, "{before}{} ({lost})", why.sentence())?,
            }
            before = ", ";
        }
        Ok(())
    }
}

/// The losses of one output, as far as the operator and its readers were told.
#[derive(Debug)]
pub(super) struct LossLog {
    name: String,
    state: Mutex<State>,
    /// Whether there is a gap to tell, and whether losses go on: asked for each block.
    has_gap: AtomicBool,
    is_losing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    losing: Option<Losing>,
    gap: Option<Gap>,
    returns: Returns,
}

/// Messages that came from where the output leads.
#[derive(Debug, Default)]
struct Returns {
    in_all: u64,
    told: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Losing {
    since: Instant,
    why: Loss,
    in_all: u64,
    untold: u64,
    told: Instant,
    last: Instant,
}

impl LossLog {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            state: Mutex::default(),
            has_gap: AtomicBool::new(false),
            is_losing: AtomicBool::new(false),
        }
    }

    /// What the output is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes `count` lost messages.
    pub(super) fn note(&self, count: u64, why: Loss) {
        if count == 0 {
            return;
        }
        if why == Loss::Loop {
            self.note_returns(count);
            return;
        }
        // What the end of the daemon loses nobody can be told here.
        if why != Loss::Shutdown {
            self.put_back(&Gap::new(count, why, SystemTime::now()));
        }
        let now = Instant::now();
        let name = &self.name;
        let reason = why.sentence();
        let losing = &mut self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .losing;
        let Some(losing) = losing else {
            let dropped = counted(count, "message");
            tracing::warn!("dropped {dropped} for {name}: {reason}; more are counted");
            *losing = Some(Losing {
                since: now,
                why,
                in_all: count,
                untold: 0,
                told: now,
                last: now,
            });
            self.is_losing.store(true, Relaxed);
            return;
        };
        losing.why = why;
        losing.last = now;
        losing.in_all += count;
        losing.untold += count;
        if now - losing.told >= INTERVAL {
            tracing::warn!(
                "dropped {} for {name}: {reason}",
                counted(losing.untold, "more message")
            );
            losing.untold = 0;
            losing.told = now;
        }
    }

    /// Notes messages that came from where the output leads.
    fn note_returns(&self, count: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let returns = &mut state.returns;
        returns.in_all += count;
        let in_all = returns.in_all;
        let is_news = returns
            .told
            .is_none_or(|(told, at)| in_all >= told.saturating_mul(2) && at.elapsed() >= INTERVAL);
        if is_news {
            returns.told = Some((in_all, Instant::now()));
            drop(state);
            let (name, dropped) = (&self.name, counted(in_all, "message"));
            let why = Loss::Loop.sentence();
            tracing::warn!(
                "dropped {dropped} for {name}: {why}; more are counted, and --forward-back sends them"
            );
        }
    }

    /// Whether the readers of the output have to be told something.
    pub(super) fn has_gap(&self) -> bool {
        self.has_gap.load(Relaxed)
    }

    /// What the readers were not told yet; who takes it tells them.
    pub(super) fn take_gap(&self) -> Option<Gap> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_gap.store(false, Relaxed);
        state.gap.take()
    }

    /// It could not be told after all.
    pub(super) fn put_back(&self, gap: &Gap) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.gap = Some(match state.gap.take() {
            Some(before) => before.and(gap),
            None => gap.clone(),
        });
        self.has_gap.store(true, Relaxed);
    }

    /// When losses are over, if there are no more until then.
    pub(super) fn over_at(&self) -> Option<Instant> {
        if !self.is_losing.load(Relaxed) {
            return None;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.losing.as_ref().map(|losing| losing.last + QUIET)
    }

    /// The output works: says how much was lost in all, if that is [over](Self::over_at).
    pub(super) fn recovered(&self) {
        if self.over_at().is_none_or(|over| Instant::now() < over) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_losing.store(false, Relaxed);
        if let Some(losing) = state.losing.take()
            && losing.untold > 0
        {
            let seconds = (losing.last - losing.since).as_secs();
            tracing::warn!(
                "dropped {} for {} in {}: {}; writing again",
                counted(losing.in_all, "message"),
                self.name,
                match seconds {
                    0 => "less than 1 s".to_owned(),
                    _ => format!("{seconds} s"),
                },
                losing.why.sentence(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_a_gap_is_told_once_with_its_causes_and_its_time() {
        let log = LossLog::new("x".to_owned());
        log.note(3, Loss::NoSpace);
        log.note(1, Loss::Shutdown);
        assert!(log.has_gap());
        let gap = log.take_gap().expect("there is one");
        assert_eq!((gap.count(), log.take_gap()), (3, None));
        assert!(!log.has_gap());
        let text = gap.to_string();
        assert!(
            text.starts_with("dropped 3 messages here between "),
            "{text}"
        );
        assert!(text.ends_with(": no space left"), "{text}");
        log.put_back(&gap);
        log.note(4, Loss::Full);
        let gap = log.take_gap().expect("both").to_string();
        assert!(gap.starts_with("dropped 7 messages here between "), "{gap}");
        assert!(
            gap.ends_with(": queue full (4), no space left (3)"),
            "{gap}"
        );
    }

    #[test]
    fn f45_what_came_from_there_is_missing_there_to_nobody() {
        let log = LossLog::new("x".to_owned());
        for _ in 0..3 {
            log.note(5, Loss::Loop);
        }
        assert!(!log.has_gap(), "the line would be the next that goes round");
        assert_eq!(log.over_at(), None, "and so would that of its end");
        let returns = &log.state.lock().expect("nobody panicked").returns;
        assert_eq!(returns.in_all, 15);
        assert_eq!(returns.told.map(|(told, _)| told), Some(5), "told once");
    }

    #[test]
    fn an_output_that_takes_every_other_block_has_one_loss_and_not_many() {
        let log = LossLog::new("x".to_owned());
        assert_eq!(log.over_at(), None);
        log.note(1, Loss::FifoFull);
        let over = log.over_at().expect("it has begun");
        log.recovered();
        assert_eq!(log.over_at(), Some(over), "it is not over at once");
        log.note(1, Loss::FifoFull);
        assert!(log.over_at() > Some(over), "another one puts it off");
    }
}
