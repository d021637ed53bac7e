//! One connection: reads, cuts frames, and keeps nothing but the beginning of the next one.

use std::cell::{RefCell, RefMut};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::limited;
use super::shard::{Peer, Shard, Tally};
use super::stream::{Closing, Hub, Seat, Suspended};
use super::unfinished::Ticket;
use crate::config::ListenAddress;
use crate::counters::{InputCounters, Rejection};
use crate::frame::{FrameError, Framer, Last, Step};
use crate::report::Seldom;
use crate::route::lanes::Which;

/// Octets for each read(2), behind the unfinished frame of the connection.
const READ: usize = 64 * 1024;

/// An unfinished frame longer than this stays where it is, and what is read is copied to its end: whoever sends
/// a long one in small pieces would have it copied for each of them.
const LONG: usize = 10 * 1024;

/// How long a frame may take from its first octet to its last, without the time in which we do not read
/// (reliability S4).
const FRAME_DEADLINE: Duration = Duration::from_secs(60);

/// After so many reads in a row it is the turn of other connections.
const TURN: u32 = 8;

/// A connected socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.readable().await,
            Self::Unix(socket) => socket.readable().await,
        }
    }

    /// The number of its descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Tcp(socket) => socket.as_raw_fd(),
            Self::Unix(socket) => socket.as_raw_fd(),
        }
    }

    /// Leaves the runtime.
    fn into_descriptor(self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(socket) => socket.into_std()?.into(),
            Self::Unix(socket) => socket.into_std()?.into(),
        })
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(buffer),
            Self::Unix(socket) => socket.try_read(buffer),
        }
    }
}

/// Why a connection ends.
enum End {
    /// The peer closed it, or it broke.
    Closed,
    /// Its octets cannot be cut into frames.
    Broken(FrameError),
    /// A frame took too long.
    Stalled,
    /// Another process goes on with it.
    Suspended,
    /// There was no memory for its unfinished frame any longer.
    CrowdedOut,
}

/// What the connections of one listener share.
pub(super) struct Listening {
    pub(super) address: Rc<ListenAddress>,
    pub(super) name: Rc<str>,
    pub(super) counters: Arc<InputCounters>,
    /// A peer that breaks one connection after the other must not fill the log with that.
    pub(super) complaint: Rc<RefCell<Seldom>>,
}

pub(super) struct Connection {
    hub: Rc<Hub>,
    socket: Socket,
    peer: Peer,
    listener: Listening,
    framer: Framer,
    /// The unfinished frame.
    rest: Vec<u8>,
    /// When that frame began.
    began: Option<Instant>,
    /// What is kept of a frame over the limit, while the remainder is skipped.
    head: Vec<u8>,
    /// The memory that `rest` and `head` take.
    ticket: Ticket,
    _seat: Seat,
}

impl Connection {
    pub(super) fn new(hub: Rc<Hub>, socket: Socket, peer: Peer, listener: Listening) -> Self {
        let seat = Seat::take(&hub, peer);
        let ticket = Ticket::new(&hub.unfinished);
        let framer = Framer::new(hub.shard.borrow().max_message());
        Self {
            hub,
            socket,
            peer,
            listener,
            framer,
            rest: Vec::new(),
            began: None,
            head: Vec::new(),
            ticket,
            _seat: seat,
        }
    }

    /// Goes on with a connection that [`Connection::suspend`] left.
    pub(super) fn resume(
        hub: Rc<Hub>,
        socket: Socket,
        suspended: Suspended,
        listener: Listening,
    ) -> Self {
        let Suspended {
            peer,
            framer,
            rest,
            head,
            age,
            ..
        } = suspended;
        let peer = peer.map_or(Peer::Local, Peer::Remote);
        let mut connection = Self::new(hub, socket, peer, listener);
        connection
            .ticket
            .hold(rest.capacity() + head.capacity(), true);
        let limit = connection.hub.shard.borrow().max_message();
        connection.framer = framer;
        connection.framer.set_limit(limit);
        connection.rest = rest;
        connection.head = head;
        connection.began = age.and_then(|age| Instant::now().checked_sub(age));
        connection
    }

    /// Leaves it between two reads, for another process to go on with.
    fn suspend(self) -> io::Result<Suspended> {
        Ok(Suspended {
            socket: self.socket.into_descriptor()?,
            listener: (*self.listener.address).clone(),
            peer: match self.peer {
                Peer::Remote(address) => Some(address),
                Peer::Local | Peer::Kernel => None,
            },
            framer: self.framer,
            rest: self.rest,
            head: self.head,
            age: self.began.map(|began| began.elapsed()),
        })
    }

    /// Reads until the peer closes, breaks the rules, or we are asked to stop.
    pub(super) async fn run(mut self) {
        let end = self.read().await;
        let mut tally = Tally::default();
        match end {
            End::Closed => {}
            End::Suspended => {
                let hub = Rc::clone(&self.hub);
                match self.suspend() {
                    Ok(suspended) => hub.suspended.borrow_mut().push(suspended),
                    Err(error) => tracing::error!("a connection cannot be handed over: {error}"),
                }
                hub.delivered.notify_one();
                return;
            }
            End::Stalled => self.complain(|| {
                let seconds = FRAME_DEADLINE.as_secs();
                format!("a frame was not finished in {seconds} s")
            }),
            End::CrowdedOut => {
                // There may be thousands of them, and only so much room in a block.
                self.hub.hand_over(Which::Full).await;
                self.listener.counters.crowded_out.add(1);
                self.complain(|| {
                    "no memory for its unfinished frame, the oldest of all; see memory".to_owned()
                });
            }
            End::Broken(error) => {
                self.listener.counters.received.add(1);
                self.listener.counters.rejected(Rejection::Frame).add(1);
                self.rest.clear();
                self.complain(|| error.to_string());
            }
        }
        self.take_last(&mut tally);
        tally.count(&self.listener.counters);
        self.hub.delivered.notify_one();
    }

    fn complain(&self, reason: impl FnOnce() -> String) {
        let (name, peer) = (&self.listener.name, self.peer);
        let mut complaint = self.listener.complaint.borrow_mut();
        complaint.warn(|| format!("{name}: closed the connection of {peer}: {}", reason()));
    }

    async fn read(&mut self) -> End {
        let mut stopping = self.hub.stopping.subscribe();
        let mut in_a_row = 0;
        loop {
            let closing = *stopping.borrow();
            let last_round = closing == Closing::Stop;
            if closing == Closing::Suspend {
                return End::Suspended;
            }
            if !last_round {
                let deadline = self.began.map(|began| began + FRAME_DEADLINE);
                let stopped = stopping.wait_for(|closing| *closing != Closing::No);
                tokio::select! {
                    biased;
                    () = self.ticket.crowded_out() => return End::CrowdedOut,
                    () = until(deadline) => return End::Stalled,
                    ready = self.socket.readable() => if ready.is_err() { return End::Closed },
                    _ = stopped => continue,
                }
                // Back-pressure: while an output has no room, or those who must go have not gone, the
                // octets stay with the sender.
                let from = self.began.map(|_| Instant::now());
                tokio::select! {
                    () = self.hub.hand_over(Which::Full) => {}
                    _ = stopping.wait_for(|closing| *closing == Closing::Suspend) => continue,
                }
                tokio::select! {
                    biased;
                    () = self.ticket.crowded_out() => return End::CrowdedOut,
                    () = self.hub.unfinished.room() => {}
                }
                if let (Some(began), Some(from)) = (&mut self.began, from) {
                    *began += from.elapsed();
                }
            }
            match self.read_once() {
                ControlFlow::Break(end) => return end,
                ControlFlow::Continue(Read::Something) => {
                    self.hub.delivered.notify_one();
                    in_a_row += 1;
                }
                ControlFlow::Continue(Read::Nothing) if last_round => return End::Closed,
                ControlFlow::Continue(Read::Nothing) => in_a_row = 0,
            }
            if last_round && self.hub.is_over() {
                return End::Closed;
            }
            // There may be no end of what a sender has for us, and the runtime lets him go on.
            if last_round || in_a_row == TURN {
                in_a_row = 0;
                yield_now().await;
            }
        }
    }

    fn read_once(&mut self) -> ControlFlow<End, Read> {
        let hub = Rc::clone(&self.hub);
        let mut buffer = hub.buffer.borrow_mut();
        let length = match self.fill(&mut buffer) {
            Ok(0) => return ControlFlow::Break(End::Closed),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return ControlFlow::Continue(Read::Nothing);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return ControlFlow::Continue(Read::Something);
            }
            Err(error) => {
                tracing::debug!(
                    "{}: connection of {}: {error}",
                    self.listener.name,
                    self.peer
                );
                return ControlFlow::Break(End::Closed);
            }
        };
        let mut long = Vec::new();
        let unread = if self.is_long() {
            long = std::mem::take(&mut self.rest);
            let room = self.framer.most_unread().saturating_sub(long.len());
            long.reserve_exact(room.max(length));
            long.extend_from_slice(&buffer[..length]);
            &long[..]
        } else {
            &buffer[..self.rest.len() + length]
        };
        let mut tally = Tally::default();
        let cut = self.cut(unread, &mut tally);
        tally.count(&self.listener.counters);
        match cut {
            Ok(Cut {
                consumed,
                has_ended,
            }) => {
                let unfinished = &unread[consumed..];
                let is_within = !unfinished.is_empty() || self.framer.is_skipping();
                if unfinished.is_empty() {
                    // Ten thousand idle connections must not hold ten thousand buffers.
                    self.rest = Vec::new();
                } else if consumed == 0 && !long.is_empty() {
                    self.rest = long;
                } else {
                    self.rest.clear();
                    self.rest.reserve_exact(unfinished.len());
                    self.rest.extend_from_slice(unfinished);
                }
                let held = self.rest.capacity() + self.head.capacity();
                self.ticket.hold(held, has_ended);
                let before = self.began.filter(|_| !has_ended);
                self.began = is_within.then(|| before.unwrap_or_else(Instant::now));
                ControlFlow::Continue(Read::Something)
            }
            Err(error) => ControlFlow::Break(End::Broken(error)),
        }
    }

    /// Whether the unfinished frame is not copied.
    fn is_long(&self) -> bool {
        self.rest.len() > LONG
    }

    /// Reads behind the unfinished frame, which is put in front; of a [long](LONG) one no more than its end, to the
    /// front of the buffer.
    fn fill(&self, buffer: &mut RefMut<'_, Vec<u8>>) -> io::Result<usize> {
        if self.is_long() {
            let room = self.framer.most_unread().saturating_sub(self.rest.len());
            // Where the limit was lowered more is there already than is ever wanted.
            let room = room.clamp(1, READ);
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            return self.socket.try_read(&mut buffer[..room]);
        }
        let room = self.rest.len() + READ;
        if buffer.len() < room {
            buffer.resize(room, 0);
        }
        buffer[..self.rest.len()].copy_from_slice(&self.rest);
        self.socket.try_read(&mut buffer[self.rest.len()..room])
    }

    /// Takes every whole frame.
    fn cut(&mut self, unread: &[u8], tally: &mut Tally) -> Result<Cut, FrameError> {
        let hub = Rc::clone(&self.hub);
        let mut shard = hub.shard.borrow_mut();
        shard.begin();
        self.framer.set_limit(shard.max_message());
        let (mut start, mut has_ended) = (0, false);
        loop {
            let left = &unread[start..];
            match self.framer.next(left) {
                Step::More => {
                    return Ok(Cut {
                        consumed: start,
                        has_ended,
                    });
                }
                Step::Broken(error) => return Err(error),
                Step::Frame { octets, consumed } => {
                    self.take(&mut shard, &left[octets], 0, tally);
                    start += consumed;
                    has_ended = true;
                }
                Step::Oversize { head, consumed } => {
                    self.head.clear();
                    self.head.extend_from_slice(&left[head]);
                    start += consumed;
                }
                Step::Skip { consumed, cut } => {
                    if let Some(cut) = cut {
                        self.take_head(&mut shard, cut, tally);
                    }
                    start += consumed;
                    has_ended |= !self.framer.is_skipping();
                }
            }
        }
    }

    /// The connection ended within a frame: what came of it is kept.
    fn take_last(&mut self, tally: &mut Tally) {
        let hub = Rc::clone(&self.hub);
        let mut shard = hub.shard.borrow_mut();
        shard.begin();
        let rest = std::mem::take(&mut self.rest);
        match self.framer.finish(&rest) {
            Last::Nothing => {}
            Last::Partial { octets } => {
                let octets = &rest[octets];
                let (octets, cut) = limited(octets, octets.len(), shard.max_message());
                self.take(&mut shard, octets, cut, tally);
            }
            Last::Cut(cut) => self.take_head(&mut shard, cut, tally),
        }
    }

    /// Takes a frame through; one of blanks only is no message, as a line without a word is none.
    fn take(&self, shard: &mut Shard, octets: &[u8], cut: u32, tally: &mut Tally) {
        let blank = octets.iter().all(|octet| *octet == b' ');
        shard.take(if blank { &[] } else { octets }, cut, self.peer, tally);
    }

    /// Takes what was kept of a frame over the limit; `cut` octets of it were skipped.
    fn take_head(&mut self, shard: &mut Shard, cut: u64, tally: &mut Tally) {
        let head = std::mem::take(&mut self.head);
        let cut = usize::try_from(cut).unwrap_or(usize::MAX);
        let (octets, cut) = limited(&head, head.len().saturating_add(cut), shard.max_message());
        self.take(shard, octets, cut, tally);
    }
}

/// What became of the octets that were unread.
struct Cut {
    /// How many are done with.
    consumed: usize,
    /// Whether a frame ended among them, so that what is unfinished is another one.
    has_ended: bool,
}

/// What one read brought.
enum Read {
    Something,
    Nothing,
}

/// Sleeps until `deadline`, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => {
            _ = timeout_at(deadline, std::future::pending::<()>()).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
