//! System calls that no safe crate wraps: the only file with `unsafe`.
#![expect(
    unsafe_code,
    reason = "each call states why it is sound; the rest of the crate has none"
)]

use std::io;

use nix::unistd::{ForkResult, Pid};

/// Which of the two processes is running after [`fork`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fork {
    /// The old one, and the id of the new one.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Splits the process in two.
///
/// # Errors
/// If the process has other threads, whose locks the child would hold for ever, or if the kernel
/// refuses. Nothing has happened then.
pub fn fork() -> io::Result<Fork> {
    if threads() > 1 {
        return Err(io::Error::other("other threads are running"));
    }
    // SAFETY: the child of a process with one thread may do whatever its parent may. We have just
    // counted one, and only that one could start another. Without /proc the count is not known;
    // the one caller, `daemonise`, then answers for it: it runs before anything starts a thread.
    let forked = unsafe { nix::unistd::fork() }?;
    Ok(match forked {
        ForkResult::Parent { child } => Fork::Parent(child),
        ForkResult::Child => Fork::Child,
    })
}

/// How many threads this process has; 1 if /proc is not mounted.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test harness runs each test on a thread of its own.
        if threads() > 1 {
            let refused = fork().expect_err("locks of other threads would stay held");
            assert_eq!(refused.to_string(), "other threads are running");
        }
    }
}
