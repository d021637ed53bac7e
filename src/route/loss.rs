//! What is said about losses: one line when they begin, one a minute while they last, and one with the
//! exact count when they end.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counters::Loss;
use crate::report::counted;

/// How often an ongoing loss is mentioned.
const INTERVAL: Duration = Duration::from_secs(60);

/// The losses of one output, as far as the operator was told.
#[derive(Debug)]
pub(super) struct LossLog {
    name: String,
    state: Mutex<Option<Losing>>,
}

#[derive(Debug)]
struct Losing {
    since: Instant,
    why: Loss,
    in_all: u64,
    untold: u64,
    told: Instant,
}

impl LossLog {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            state: Mutex::new(None),
        }
    }

    /// Notes `count` lost messages.
    pub(super) fn note(&self, count: u64, why: Loss) {
        if count == 0 {
            return;
        }
        let now = Instant::now();
        let name = &self.name;
        let reason = why.sentence();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(losing) = state.as_mut() else {
            let dropped = counted(count, "message");
            tracing::warn!("dropped {dropped} for {name}: {reason}; more are counted");
            *state = Some(Losing {
                since: now,
                why,
                in_all: count,
                untold: 0,
                told: now,
            });
            return;
        };
        losing.why = why;
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

    /// The output works again: says how much was lost in all, if anything was.
    pub(super) fn recovered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(losing) = state.take()
            && losing.untold > 0
        {
            tracing::warn!(
                "dropped {} for {} in {} s: {}; writing again",
                counted(losing.in_all, "message"),
                self.name,
                losing.since.elapsed().as_secs(),
                losing.why.sentence(),
            );
        }
    }
}
