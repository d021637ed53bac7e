//! Waiting for what the daemon does.

#[path = "../../wait/mod.rs"]
mod event;

pub(crate) use event::{DEADLINE, within};

/// Waits until `is_so`; fails with `what` otherwise.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = within(DEADLINE, || is_so().then_some(()));
    assert!(so.is_some(), "waited in vain for {what}");
}
