//! Octets out: one file for each kind of destination, and one worker for each output.

pub mod compress;
pub mod fifo;
pub mod file;
pub mod forward;
pub mod repeat;
pub mod rotate;
pub mod terminal;
pub mod users;
pub mod worker;

use std::time::Duration;

use crate::counters::Loss;

/// How far a sink came with a block.
#[derive(Debug)]
pub struct Written {
    /// Records that it took whole, from the first that it was offered.
    pub records: usize,
    /// Why it stopped before the end of the block, if it did.
    pub stopped: Option<Stop>,
}

/// Why a sink stopped at a record.
#[derive(Debug)]
pub enum Stop {
    /// Not now: offer the same record again after a while.
    Retry {
        /// How long to wait.
        after: Duration,
        /// What the record counts as if it must be given up.
        loss: Loss,
        /// What the operator reads: where and what, lower case, no full stop.
        sentence: String,
    },
    /// This record is lost; go on with the next.
    Drop(Loss),
}
