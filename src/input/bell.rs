//! How a thread that waits in poll(2) is told something.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Wakes an input's thread: for a new routing table, or to end.
#[derive(Debug)]
pub struct Bell {
    event: EventFd,
    call: AtomicU8,
}

/// What an input's thread is called to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Call {
    /// Go on.
    None = 0,
    /// Take what the kernel has queued already, and end.
    Stop = 1,
    /// End between two batches; what the kernel has queued is for whoever gets the socket.
    Suspend = 2,
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
            call: AtomicU8::new(Call::None as u8),
        }))
    }

    /// Wakes the thread, so that it sees a new table.
    pub fn ring(&self) {
        // Fails only if it was rung 2⁶⁴ times unheard: it is ringing then.
        _ = self.event.write(1);
    }

    /// Asks the thread to take what the kernel has queued already, and to end.
    pub fn stop(&self) {
        self.call.store(Call::Stop as u8, Ordering::Release);
        self.ring();
    }

    /// Asks the thread to end between two batches, and to leave the rest to whoever gets its socket.
    pub fn suspend(&self) {
        self.call.store(Call::Suspend as u8, Ordering::Release);
        self.ring();
    }

    /// What the thread is called to do.
    pub(super) fn call(&self) -> Call {
        match self.call.load(Ordering::Acquire) {
            1 => Call::Stop,
            2 => Call::Suspend,
            _ => Call::None,
        }
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
