//! The drain thread of a datagram socket: it does nothing but receive, route and format.
//!
//! The kernel queues some ten datagrams for all senders of `/dev/log` together (measured, at
//! `net.unix.max_dgram_qlen` 10), and each further one blocks a program that wants to log. So every
//! datagram socket has a thread of its own, and nothing on it waits for DNS, a disk or a peer.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrLike, recvmmsg};

use super::shard::{Peer, Shard, Tally};
use crate::message;
use crate::counters::InputCounters;

/// Datagrams for each system call. More only cost cache (measured).
pub(super) const BATCH: usize = 32;

/// The longest message that is kept whole, in octets.
pub const MAX_MESSAGE: usize = 8192;

/// How a thread that waits in poll(2) is told something.
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
        Ok(Arc::new(Self { event, stopping: AtomicBool::new(false) }))
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

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps until `socket` is readable or somebody rings.
    pub(super) fn wait(&self, socket: BorrowedFd<'_>) {
        let interest = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [interest(socket), interest(self.event.as_fd())];
        // EINTR and the like: the caller looks at the socket in any case.
        _ = poll(&mut fds, PollTimeout::NONE);
        _ = self.event.read();
    }
}

/// What the kernel says about one datagram, apart from its octets.
pub(super) trait Arrival<S> {
    /// Who sent it; `None` if it must be refused, which was counted then.
    fn peer(&mut self, address: Option<S>) -> Option<Peer>;

    /// Looks at the control messages of the last datagram of a batch.
    fn dropped(&mut self, counter: u32);
}
