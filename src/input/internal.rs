//! What we say ourselves: reports as `syslog.*` messages, and "-- MARK --".
//!
//! They enter the pipeline here and never by way of `/dev/log`, which could be the very thing that is
//! stuck.

use std::sync::Arc;

use super::peer::PeerNames;
use super::shard::{Live, Peer, Shard, Tally};
use crate::counters::InputCounters;
use crate::pri::{Facility, Pri, Severity};
use crate::route::{Class, MARK};

/// The way in for our own messages; cheap to clone.
#[derive(Clone, Debug)]
pub struct Internal {
    live: Live,
    names: PeerNames,
    counters: Arc<InputCounters>,
}

impl Internal {
    /// Speaks through the table in force.
    pub fn new(live: Live, names: PeerNames, counters: Arc<InputCounters>) -> Self {
        Self {
            live,
            names,
            counters,
        }
    }

    /// Logs one sentence as `syslog.<severity>`. Never waits for an output.
    pub fn say(&self, severity: Severity, text: &str) {
        self.enter(Pri::of(Facility::Syslog, severity), text, Class::Message);
    }

    /// Logs the sign of life that `-m` asks for, to the rules that take `mark`.
    pub fn mark(&self) {
        self.enter(MARK, "-- MARK --", Class::Mark);
    }

    fn enter(&self, pri: Pri, text: &str, class: Class) {
        let line = format!("<{}>syslogd[{}]: {text}", pri.value(), std::process::id());
        // Rare enough for blocks of its own, which leave no table behind that somebody waits for.
        let mut shard = Shard::new(Arc::clone(&self.live), &self.names);
        let mut tally = Tally::default();
        shard.deliver(line.as_bytes(), 0, Peer::Local, class, &mut tally);
        tally.count(&self.counters);
        shard.hand_over_by_force();
    }
}
