//! Waiting for what other processes do: always for an event, always with a deadline.

use std::time::{Duration, Instant};

use nix::poll::poll;

/// How long anything may take. Much longer than needed: a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Milliseconds between two looks at what has no event of its own.
const LOOK: u16 = 2;

/// The first `Some` of `look`, or `None` when the deadline has passed.
pub(crate) fn within<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        // A signal only makes us look earlier.
        _ = poll(&mut [], LOOK);
    }
}
