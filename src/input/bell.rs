//! How a thread that waits in poll(2) is told something.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Wakes an input's thread: for a new routing table, or to end.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
    stopping: AtomicBool,
}

impl Bell {
    /// A bell that nobody has rung.
    ///
    /// # Errors
    /// If there are no file descriptors left.
    pub fn new() -> io::Result<Arc<Self>> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Arc::new(Self {
            event,
            stopping: AtomicBool::new(false),
        }))
    }

    /// Wakes the thread, so that it sees a new table.
    pub fn ring(&self) {
        // Fails only if it was rung 2⁶⁴ times unheard: it is ringing then.
        _ = self.event.write(1);
    }

    /// Asks the thread to take what the kernel has queued already, and to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether the thread was asked to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps until `source` is readable or somebody rings.
    pub(super) fn wait(&self, source: BorrowedFd<'_>) {
        let interest = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [interest(source), interest(self.event.as_fd())];
        // EINTR and the like: the caller looks at its source in any case.
        _ = poll(&mut fds, PollTimeout::NONE);
        if fds[1].any() == Some(true) {
            _ = self.event.read();
        }
    }
}
