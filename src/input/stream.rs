//! TCP and unix stream sockets: connections whose octets are cut into frames (RFC 6587).
//!
//! All connections run on one thread, in one current-thread runtime, with one read buffer and one set of
//! open blocks; a connection owns only its unfinished last frame. A slow output makes its senders wait:
//! nothing is read while a full block has no room in its inbox, unless that output stands still.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{LocalSet, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::acl::{AccessList, Carrier};
use super::connection::{Connection, Listening, Socket};
use super::shard::{Peer, Shard};
use super::unfinished::Unfinished;
use crate::budget::{Budget, Held};
use crate::config::ListenAddress;
use crate::counters::{InputCounters, Rejection};
use crate::frame::Framer;
use crate::report::Seldom;
use crate::route::lanes::Which;

/// Connections at a time, in all, from one address (reliability S4), and from processes of this host,
/// who must not be able to shut the network out.
const MAX_CONNECTIONS: usize = 10_000;
const MAX_FROM_ONE: usize = 512;
const MAX_LOCAL: usize = 4096;

/// Connections that wait for an output when they are to be handed over get so long.
const SUSPEND_WITHIN: Duration = Duration::from_secs(5);

/// What a connection takes without an unfinished frame, in octets (measured).
const MEMORY_OF_ONE: usize = 2048;

/// At the end, what the kernel has already is taken for this long at most.
const LAST_CALL: Duration = Duration::from_secs(1);

/// How long accepting rests when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix stream socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A connection between two reads, on its way to another process.
#[derive(Debug)]
pub struct Suspended {
    /// The socket.
    pub socket: OwnedFd,
    /// The configured address at which it was accepted.
    pub listener: ListenAddress,
    /// Who is at the other end; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Where in its frames it is.
    pub framer: Framer,
    /// The unfinished frame.
    pub rest: Vec<u8>,
    /// What is kept of a frame over the limit.
    pub head: Vec<u8>,
    /// How long ago the unfinished frame began.
    pub age: Option<Duration>,
}

/// What the thread of the streams is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Accept connections here, too.
    Listen {
        /// The configured address, by which [`Command::Close`] finds it.
        address: ListenAddress,
        /// The socket, non-blocking.
        listener: Listener,
        /// What this input has seen.
        counters: Arc<InputCounters>,
    },
    /// Go on with a connection that another process accepted.
    Resume {
        /// The connection.
        connection: Suspended,
        /// Those of its listener.
        counters: Arc<InputCounters>,
    },
    /// Accept none here any more; connections stay.
    Close(ListenAddress),
    /// There is a new table: leave the old one.
    Follow,
    /// Take what has arrived, and end.
    Stop,
    /// Leave every connection between two reads, and end.
    Suspend,
}

/// Serves all streams until [`Command::Stop`] or [`Command::Suspend`], or until nobody can send commands
/// any more. Returns the connections that were suspended.
///
/// # Errors
/// If the runtime cannot be made.
pub fn run(
    shard: Shard,
    gate: Arc<AccessList>,
    memory: &Budget,
    mut commands: mpsc::Receiver<Command>,
) -> io::Result<Vec<Suspended>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let hub = Rc::new(Hub::new(shard, gate, memory));
    let control = async {
        let flusher = tokio::task::spawn_local(Rc::clone(&hub).flush());
        let mut listeners = HashMap::new();
        let mut closing = Closing::Stop;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen {
                    address,
                    listener,
                    counters,
                } => {
                    let serving = Rc::clone(&hub).serve(address.clone(), listener, counters);
                    listeners.insert(address, tokio::task::spawn_local(serving));
                }
                Command::Close(address) => {
                    if let Some(listener) = listeners.remove(&address) {
                        listener.abort();
                    }
                }
                Command::Follow => {
                    hub.shard.borrow_mut().begin();
                    hub.followed.notify_waiters();
                }
                Command::Resume {
                    connection,
                    counters,
                } => hub.resume(connection, counters),
                Command::Stop => break,
                Command::Suspend => {
                    closing = Closing::Suspend;
                    break;
                }
            }
        }
        for listener in listeners.into_values() {
            listener.abort();
        }
        hub.close(closing).await;
        flusher.abort();
    };
    local.block_on(&runtime, control);
    Ok(hub.suspended.take())
}

/// How connections are to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Closing {
    /// Not yet.
    No,
    /// After what has arrived.
    Stop,
    /// At once: another process goes on with them.
    Suspend,
}

/// What all connections share.
pub(super) struct Hub {
    pub(super) shard: RefCell<Shard>,
    pub(super) buffer: RefCell<Vec<u8>>,
    pub(super) unfinished: Rc<Unfinished>,
    gate: Arc<AccessList>,
    /// Told after each batch, so that blocks leave before the thread sleeps.
    pub(super) delivered: Notify,
    pub(super) stopping: watch::Sender<Closing>,
    /// When nothing is taken any more of what arrives.
    over: Cell<Option<Instant>>,
    pub(super) suspended: RefCell<Vec<Suspended>>,
    /// Told when there is a new table.
    followed: Notify,
    /// Told when a connection has ended.
    left: Notify,
    /// A connection with this descriptor or a higher one is the last that is accepted for now: the rest
    /// is for files, reloads and statistics (reliability S4).
    last_descriptor: RawFd,
    connections: RefCell<Connections>,
}

struct Connections {
    memory: Held,
    in_all: usize,
    local: usize,
    by_address: HashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

impl Hub {
    pub(super) fn new(shard: Shard, gate: Arc<AccessList>, memory: &Budget) -> Self {
        Self {
            shard: RefCell::new(shard),
            buffer: RefCell::new(Vec::new()),
            unfinished: Rc::new(Unfinished::new(memory)),
            gate,
            delivered: Notify::new(),
            stopping: watch::Sender::new(Closing::No),
            over: Cell::new(None),
            suspended: RefCell::default(),
            followed: Notify::new(),
            left: Notify::new(),
            last_descriptor: last_descriptor(),
            connections: RefCell::new(Connections {
                memory: memory.holder(),
                in_all: 0,
                local: 0,
                by_address: HashMap::default(),
            }),
        }
    }

    /// Hands over all blocks after each round of the connections that had something to read.
    async fn flush(self: Rc<Self>) {
        loop {
            self.delivered.notified().await;
            // Behind the connections that are ready now: their octets leave in the same blocks.
            yield_now().await;
            self.hand_over(Which::All).await;
        }
    }

    /// Whether the last call is over: a connection ends then, though more may arrive without end.
    pub(super) fn is_over(&self) -> bool {
        self.over.get().is_some_and(|over| Instant::now() >= over)
    }

    /// Hands over blocks, and waits for the inboxes that have no room.
    pub(super) async fn hand_over(&self, which: Which) {
        loop {
            // The borrow must end before the wait.
            let refused = self.shard.borrow_mut().hand_over(which);
            let Some((inbox, octets)) = refused else {
                return;
            };
            // If its output stands still, the others do not stand with it for long; if a reload removed
            // it, nobody waits for it any more.
            tokio::select! {
                () = inbox.room(octets) => {}
                () = self.followed.notified() => {}
            }
        }
    }

    /// Lets every connection take what has arrived, for a second at most, or suspends it.
    async fn close(&self, how: Closing) {
        self.stopping.send_replace(how);
        let patience = if how == Closing::Suspend {
            SUSPEND_WITHIN
        } else {
            LAST_CALL
        };
        let end = Instant::now() + patience;
        // The rest of the time is for the end itself of those to whom more comes all the while.
        self.over.set(Some(end - patience / 10));
        while self.connections.borrow().in_all > 0 && Instant::now() < end {
            let next_look = Instant::now() + Duration::from_millis(1);
            _ = timeout_at(next_look.min(end), self.delivered.notified()).await;
        }
        if how == Closing::Suspend {
            // Whatever is in vain within that time is not worth keeping the successor waiting.
            _ = timeout(SUSPEND_WITHIN, self.hand_over(Which::All)).await;
        }
        self.shard.borrow_mut().hand_over_by_force();
    }

    fn resume(self: &Rc<Self>, connection: Suspended, counters: Arc<InputCounters>) {
        let name = connection.listener.to_string();
        let socket = connection.socket.try_clone().and_then(|socket| {
            Ok(match connection.peer {
                Some(_) => Socket::Tcp(TcpStream::from_std(socket.into())?),
                None => Socket::Unix(UnixStream::from_std(socket.into())?),
            })
        });
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!("{name}: cannot go on with a connection: {error}");
                return;
            }
        };
        let listening = Listening {
            address: Rc::new(connection.listener.clone()),
            name: name.into(),
            counters,
            complaint: Rc::default(),
        };
        let connection = Connection::resume(Rc::clone(self), socket, connection, listening);
        tokio::task::spawn_local(connection.run());
    }

    async fn serve(
        self: Rc<Self>,
        address: ListenAddress,
        listener: Listener,
        counters: Arc<InputCounters>,
    ) {
        let listener = match Accepting::new(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("cannot listen on {address}: {error}");
                return;
            }
        };
        let name: Rc<str> = address.to_string().into();
        let address = Rc::new(address);
        let complaint = Rc::new(RefCell::new(Seldom::default()));
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => {
                    if let Some(reason) = self.refusal(peer, &counters) {
                        let sentence =
                            || format!("{name}: closed the connection of {peer}: {reason}");
                        complaint.borrow_mut().warn(sentence);
                        continue;
                    }
                    let is_last = socket.descriptor() >= self.last_descriptor;
                    let listener = Listening {
                        address: Rc::clone(&address),
                        name: Rc::clone(&name),
                        counters: Arc::clone(&counters),
                        complaint: Rc::clone(&complaint),
                    };
                    let connection = Connection::new(Rc::clone(&self), socket, peer, listener);
                    tokio::task::spawn_local(connection.run());
                    if is_last {
                        complaint.borrow_mut().warn(|| {
                            format!("{name}: too few file descriptors: others must end first")
                        });
                        self.left.notified().await;
                    }
                }
                Err(error) => {
                    let sentence = || format!("{name}: cannot accept a connection: {error}");
                    complaint.borrow_mut().warn(sentence);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Why a new connection must be closed at once.
    fn refusal(&self, peer: Peer, counters: &InputCounters) -> Option<&'static str> {
        if let Peer::Remote(address) = peer
            && !self
                .shard
                .borrow_mut()
                .admits(&self.gate, address, Carrier::Tcp)
        {
            counters.received.add(1);
            counters.rejected(Rejection::Acl).add(1);
            return Some("not among the -a peers");
        }
        let refusal = self.no_seat(peer);
        counters.connections_refused.add(refusal.is_some().into());
        refusal
    }

    /// Why there is no place for one more connection of this peer.
    fn no_seat(&self, peer: Peer) -> Option<&'static str> {
        let connections = self.connections.borrow();
        if connections.in_all >= MAX_CONNECTIONS {
            return Some("too many connections");
        }
        if peer == Peer::Local && connections.local >= MAX_LOCAL {
            return Some("too many local connections");
        }
        let from_one = peer.ip().and_then(|ip| connections.by_address.get(&ip));
        (from_one.copied().unwrap_or(0) >= MAX_FROM_ONE)
            .then_some("too many connections from there")
    }
}

/// The place of one connection among those that are open.
pub(super) struct Seat {
    hub: Rc<Hub>,
    address: Option<IpAddr>,
}

impl Seat {
    pub(super) fn take(hub: &Rc<Hub>, peer: Peer) -> Self {
        let address = peer.ip();
        let mut connections = hub.connections.borrow_mut();
        connections.in_all += 1;
        connections.memory.grow(MEMORY_OF_ONE);
        match address {
            Some(address) => *connections.by_address.entry(address).or_default() += 1,
            None => connections.local += 1,
        }
        drop(connections);
        Self {
            hub: Rc::clone(hub),
            address,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut connections = self.hub.connections.borrow_mut();
        connections.in_all -= 1;
        connections.memory.shrink(MEMORY_OF_ONE);
        connections.local -= usize::from(self.address.is_none());
        if let Some(address) = self.address
            && let Some(count) = connections.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                connections.by_address.remove(&address);
            }
        }
        self.hub.left.notify_waiters();
    }
}

fn last_descriptor() -> RawFd {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let reserve = (limit / 4).min(64);
    RawFd::try_from(limit - reserve).unwrap_or(RawFd::MAX)
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Accepting {
    fn new(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Listener::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                Ok((Socket::Tcp(socket), Peer::Remote(address)))
            }
            Self::Unix(listener) => Ok((Socket::Unix(listener.accept().await?.0), Peer::Local)),
        }
    }
}
