//! A TCP stream to a remote: frames that are kept until the peer's kernel has acknowledged them.
//!
//! ```text
//! pending   [frame][frame][fra|me][frame]      lengths  7 7 7 7
//!            acked^  unacked   ^sent           what is acked is forgotten from the front
//! ```
//!
//! After a break all of `pending` is sent again, frame by frame from the first, on a new connection, so
//! no frame is glued to the half of another. The send buffer bounds it: about half a MiB.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};

use super::Failure;
use super::target::Target;
use crate::block::Block;
use crate::message::{Message, Sender};
use crate::sys::unacked_octets;

/// How frames are told apart (RFC 6587 3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Counted,
    Lines,
}

/// How long a send may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    /// Up to [`STALL`].
    Patiently,
    /// No time: somebody waits for the worker, or it would not see an order that comes meanwhile.
    AtOnce,
}

/// The most that one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that takes nothing for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// One send gives up after this long, so that the worker can look at its orders.
const STALL: Duration = Duration::from_secs(1);

/// Asked of the kernel, which doubles it. Bounds what is kept, and may be sent twice.
const SEND_BUFFER: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Stream {
    framing: Framing,
    connection: Option<TcpStream>,
    pending: BytesMut,
    lengths: VecDeque<usize>,
    /// How many octets of `pending` this connection was given.
    sent: usize,
    progress: Instant,
    /// How long one address may take to answer.
    patience: Duration,
}

impl Stream {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            connection: None,
            pending: BytesMut::new(),
            lengths: VecDeque::new(),
            sent: 0,
            progress: Instant::now(),
            patience: CONNECT_TIMEOUT,
        }
    }

    /// Sends the records from `from` on; returns how many were taken.
    pub(super) fn send(
        &mut self,
        target: &Target,
        block: &Block,
        from: usize,
    ) -> (usize, Result<(), Failure>) {
        self.notice_break();
        if let Err(failure) = self.flush(target, How::Patiently) {
            return (0, Err(failure));
        }
        let mut pushed = 0;
        while let Some(entry) = block.get(from + pushed) {
            self.push(entry.octets);
            pushed += 1;
        }
        self.progress = Instant::now();
        let result = self.flush_connected(How::Patiently);
        let given_back = match &result {
            Ok(()) => 0,
            Err(_) => self.give_back_unsent(pushed),
        };
        self.forget_acked();
        (pushed - given_back, result)
    }

    /// Sends what is pending, as much as goes at once, on a new connection if there is none.
    pub(super) fn settle(&mut self, target: &Target) -> Result<(), Failure> {
        self.flush(target, How::AtOnce)
    }

    fn flush(&mut self, target: &Target, how: How) -> Result<(), Failure> {
        self.notice_break();
        if self.connection.is_none() {
            self.connection = Some(connect(target, self.patience)?);
            self.sent = 0;
            self.progress = Instant::now();
        }
        self.flush_connected(how)
    }

    /// How many records are not known to have reached the peer's kernel.
    pub(super) fn unsettled(&mut self) -> usize {
        self.forget_acked();
        self.lengths.len()
    }

    /// Waits for the last acknowledgement until `deadline`, then disconnects.
    pub(super) fn close(&mut self, target: &Target, deadline: Instant) -> usize {
        while self.unsettled() > 0 && Instant::now() < deadline {
            self.patience = deadline
                .saturating_duration_since(Instant::now())
                .clamp(Duration::from_millis(1), CONNECT_TIMEOUT);
            if self.settle(target).is_err() && self.connection.is_none() {
                break;
            }
            self.wait(deadline);
        }
        let left = self.unsettled();
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.shutdown(Shutdown::Write)
        {
            tracing::debug!("{target} was gone before it was closed: {error}");
        }
        left
    }

    /// Takes the frames that are not acknowledged out of it again, as records.
    pub(super) fn take_back(&mut self) -> Block {
        let mut block = Block::default();
        let pending = std::mem::take(&mut self.pending);
        let mut start = 0;
        for length in std::mem::take(&mut self.lengths) {
            let frame = pending.get(start..start + length).unwrap_or_default();
            start += length;
            let record = match self.framing {
                Framing::Counted => {
                    let header = frame.iter().position(|octet| *octet == b' ');
                    &frame[header.map_or(0, |at| at + 1)..]
                }
                Framing::Lines => frame.strip_suffix(b"\n").unwrap_or(frame),
            };
            // What is forwarded begins with its PRI.
            let pri = Message::parse(record, Sender::Remote).pri();
            block.push(pri, |out| {
                out.extend_from_slice(record);
                0
            });
        }
        self.sent = 0;
        block
    }

    /// Waits for an acknowledgement. There is no event for it but a broken connection.
    fn wait(&self, deadline: Instant) {
        let Some(connection) = &self.connection else {
            return;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = u8::try_from(left.as_millis()).unwrap_or(u8::MAX).min(10);
        let mut fds = [PollFd::new(connection.as_fd(), PollFlags::empty())];
        if let Err(errno) = poll(&mut fds, PollTimeout::from(millis)) {
            tracing::debug!("poll was interrupted: {errno}");
        }
    }

    fn push(&mut self, record: &[u8]) {
        let before = self.pending.len();
        match self.framing {
            Framing::Counted => {
                let mut digits = itoa::Buffer::new();
                self.pending
                    .extend_from_slice(digits.format(record.len()).as_bytes());
                self.pending.extend_from_slice(b" ");
                self.pending.extend_from_slice(record);
            }
            Framing::Lines => {
                let start = self.pending.len();
                self.pending.extend_from_slice(record);
                // An LF or NUL inside would let a sender forge a second message.
                for octet in &mut self.pending[start..] {
                    if matches!(*octet, b'\n' | b'\0') {
                        *octet = b' ';
                    }
                }
                self.pending.extend_from_slice(b"\n");
            }
        }
        self.lengths.push_back(self.pending.len() - before);
    }

    /// Takes back those of the last `pushed` frames that were not even begun; returns how many.
    fn give_back_unsent(&mut self, pushed: usize) -> usize {
        let mut given_back = 0;
        while given_back < pushed
            && let Some(&length) = self.lengths.back()
            && self.pending.len() - length >= self.sent
        {
            self.pending.truncate(self.pending.len() - length);
            self.lengths.pop_back();
            given_back += 1;
        }
        given_back
    }

    fn flush_connected(&mut self, how: How) -> Result<(), Failure> {
        let flags = match how {
            How::Patiently => MsgFlags::MSG_NOSIGNAL,
            How::AtOnce => MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
        };
        while self.sent < self.pending.len() {
            let Some(connection) = &self.connection else {
                return Err(Failure::Send(Errno::ENOTCONN.into()));
            };
            match send(connection.as_raw_fd(), &self.pending[self.sent..], flags) {
                Ok(octets) => {
                    self.sent += octets;
                    self.progress = Instant::now();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let since = self.progress.elapsed();
                    if since >= DEAD_AFTER {
                        return Err(self.broken(Errno::ETIMEDOUT));
                    }
                    if how == How::AtOnce && since < STALL {
                        return Ok(());
                    }
                    return Err(Failure::Stalled);
                }
                Err(errno) => return Err(self.broken(errno)),
            }
        }
        Ok(())
    }

    fn broken(&mut self, errno: Errno) -> Failure {
        self.disconnect();
        Failure::Send(errno.into())
    }

    /// Drops the connection. `sent` stays, for [`Stream::give_back_unsent`], until there is a new one.
    fn disconnect(&mut self) {
        self.forget_acked();
        self.connection = None;
    }

    /// Forgets the frames that the peer's kernel has acknowledged whole.
    fn forget_acked(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        // A kernel that cannot tell is taken to have delivered nothing: rather twice than never.
        let unacked = unacked_octets(connection.as_fd()).unwrap_or(self.sent);
        let mut acked = self.sent.saturating_sub(unacked);
        while let Some(&length) = self.lengths.front()
            && length <= acked
        {
            self.pending.advance(length);
            self.lengths.pop_front();
            self.sent -= length;
            acked -= length;
        }
    }

    /// Disconnects if the peer has closed. What a peer says is read and ignored: syslog has no answers.
    fn notice_break(&mut self) {
        let mut ignored = [0; 512];
        // Bounded: a peer that talks without end must not keep us here.
        for _ in 0..16 {
            let Some(connection) = &self.connection else {
                return;
            };
            match recv(connection.as_raw_fd(), &mut ignored, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.disconnect(),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.disconnect(),
            }
        }
    }
}

/// Connects to the first address that answers.
fn connect(target: &Target, patience: Duration) -> Result<TcpStream, Failure> {
    let mut last = io::Error::other("it has no address");
    for address in target.addresses()? {
        let connected = TcpStream::connect_timeout(&address, patience).and_then(|connection| {
            prepare(&connection)?;
            Ok(connection)
        });
        match connected {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(Failure::Connect(last))
}

fn prepare(connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.set_write_timeout(Some(STALL))?;
    setsockopt(connection, sockopt::SndBuf, &SEND_BUFFER)?;
    setsockopt(connection, sockopt::KeepAlive, &true)?;
    setsockopt(connection, sockopt::TcpKeepIdle, &30)?;
    setsockopt(connection, sockopt::TcpKeepInterval, &10)?;
    setsockopt(connection, sockopt::TcpKeepCount, &3)?;
    // tcp(7): in milliseconds; unacknowledged for so long is broken, also while the peer's window is zero.
    setsockopt(connection, sockopt::TcpUserTimeout, &30_000)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::sys::socket::getsockopt;

    use super::*;

    #[test]
    fn s11_a_peer_that_is_gone_without_a_word_is_noticed_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let connection = TcpStream::connect(address).expect("it listens");
        prepare(&connection).expect("a socket");
        let idle = getsockopt(&connection, sockopt::TcpKeepIdle).expect("known");
        let interval = getsockopt(&connection, sockopt::TcpKeepInterval).expect("known");
        let count = getsockopt(&connection, sockopt::TcpKeepCount).expect("known");
        let timeout = getsockopt(&connection, sockopt::TcpUserTimeout).expect("known");
        assert!(getsockopt(&connection, sockopt::KeepAlive).expect("known"));
        assert_eq!((idle, idle + interval * count), (30, 60), "seconds");
        assert_eq!(timeout, 30_000, "milliseconds");
        assert!(connection.nodelay().expect("known"));
        assert_eq!(connection.write_timeout().expect("known"), Some(STALL));
    }
}
