//! The inputs that run: bound sockets, their threads, and their end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;

use super::inherited::{Passed, stored_name};
use super::notify::Notifier;
use super::opened::Opened;
use crate::budget::Budget;
use crate::config::ListenAddress;
use crate::counters::InputCounters;
use crate::input::acl::AccessList;
use crate::input::backlog::Backlog;
use crate::input::bell::Bell;
use crate::input::datagram::{Drain, Network, Origin, Overflow};
use crate::input::denials::Denials;
use crate::input::fairness::Fairness;
use crate::input::fragments::Fragments;
use crate::input::kernel;
use crate::input::kmsg::{self, KernelLog};
use crate::input::peer::PeerNames;
use crate::input::shard::{Live, Shard};
use crate::input::stream::{self, Command, Listener, Suspended};
use crate::input::udp;
use crate::route::workshop::Workshop;

/// Commands to the thread of the streams that may wait there.
const COMMANDS: usize = 64;

/// What every input needs.
#[derive(Clone, Debug)]
pub struct Common {
    /// The table in force.
    pub live: Live,
    /// The names of remote peers.
    pub names: PeerNames,
    /// The `-a` list.
    pub gate: Arc<AccessList>,
    /// The memory for what is received and not yet written.
    pub memory: Budget,
    /// Where threads help that have received little.
    pub workshop: Arc<dyn Workshop>,
    /// The service manager that keeps our sockets.
    pub(super) notifier: Notifier,
}

impl Common {
    fn shard(&self) -> Shard {
        Shard::new(Arc::clone(&self.live), &self.names)
    }
}

/// An input at work.
#[derive(Debug)]
struct Running {
    /// The socket, a copy of the one that is read, and what we know of it.
    socket: Passed,
    counters: Arc<InputCounters>,
    /// The thread of a datagram socket; streams share one.
    drain: Option<(Arc<Bell>, Receiver<u32>)>,
}

/// All inputs at work.
#[derive(Debug)]
pub struct Inputs {
    common: Common,
    running: Vec<Running>,
    /// The threads of the streams, by the shard whose listeners each has.
    streams: BTreeMap<u8, Streams>,
    kernel: Option<Kernel>,
}

/// A thread of streams, which returns the connections that were suspended.
type Streams = (mpsc::Sender<Command>, JoinHandle<Vec<Suspended>>);

/// The thread of the kernel's log, which returns the number of the last record.
type Kernel = (Arc<Bell>, Arc<InputCounters>, JoinHandle<Option<u64>>);

/// What the inputs leave behind, for whoever goes on.
#[derive(Debug)]
pub(super) struct Left {
    /// The sockets.
    pub(super) sockets: Vec<Passed>,
    /// Established connections.
    pub(super) connections: Vec<Suspended>,
    /// The number of the last record of the kernel's log.
    pub(super) kernel: Option<u64>,
}

impl Inputs {
    /// None at work yet.
    pub fn new(common: Common) -> Self {
        Self {
            common,
            running: Vec::new(),
            streams: BTreeMap::new(),
            kernel: None,
        }
    }

    /// The service manager that keeps the sockets.
    pub(super) fn notifier(&self) -> &Notifier {
        &self.common.notifier
    }

    /// The addresses that were asked for and are served.
    pub fn wanted(&self) -> impl Iterator<Item = &ListenAddress> {
        self.running.iter().map(|running| &running.socket.wanted)
    }

    /// The counters, by name.
    pub fn counters(&self) -> impl Iterator<Item = (String, Arc<InputCounters>)> + '_ {
        let kernel = self
            .kernel
            .iter()
            .map(|(_, counters, _)| ("/dev/kmsg".to_owned(), counters));
        let sockets = self
            .running
            .iter()
            .map(|running| (running.socket.bound.to_string(), &running.counters));
        sockets
            .chain(kernel)
            .map(|(name, counters)| (name, Arc::clone(counters)))
    }

    /// Begins to read a bound socket.
    ///
    /// # Errors
    /// If there are no threads or descriptors left.
    pub fn start(&mut self, opened: Opened) -> io::Result<()> {
        let Opened(mut socket) = opened;
        let counters = Arc::new(InputCounters::default());
        let read = socket.socket.try_clone()?;
        let listener = match &socket.bound {
            ListenAddress::Udp(_) | ListenAddress::UnixDatagram(_) => None,
            ListenAddress::Tcp(_) => Some(Listener::Tcp(read.try_clone()?.into())),
            ListenAddress::UnixStream(_) => Some(Listener::Unix(read.try_clone()?.into())),
        };
        let drain = match listener {
            None => Some(self.drain(read, &socket, &counters)?),
            Some(listener) => {
                let address = socket.wanted.clone();
                let counters = Arc::clone(&counters);
                self.streams(shard_of(&socket.wanted))?
                    .blocking_send(Command::Listen {
                        address,
                        listener,
                        counters,
                    })
                    .map_err(io::Error::other)?;
                None
            }
        };
        if socket.stored.is_none() && !socket.is_units {
            let name = stored_name(&socket.wanted);
            let taken = self.common.notifier.store(&name, &socket.socket);
            socket.stored = taken.then_some(name);
        }
        tracing::info!("listening on {}", socket.bound);
        self.running.push(Running {
            socket,
            counters,
            drain,
        });
        Ok(())
    }

    /// Goes on with a connection that another process left.
    ///
    /// # Errors
    /// If there are no threads left.
    pub(super) fn resume(&mut self, connection: Suspended) -> io::Result<()> {
        let of_listener = |running: &&Running| running.socket.wanted == connection.listener;
        let counters = self.running.iter().find(of_listener);
        // A listener that is gone left its connections, which count for themselves.
        let counters = counters.map(|running| Arc::clone(&running.counters));
        let counters = counters.unwrap_or_default();
        let shard = shard_of(&connection.listener);
        let resume = Command::Resume {
            connection,
            counters,
        };
        self.streams(shard)?
            .blocking_send(resume)
            .map_err(io::Error::other)
    }

    fn drain(
        &self,
        socket: OwnedFd,
        of: &Passed,
        counters: &Arc<InputCounters>,
    ) -> io::Result<(Arc<Bell>, Receiver<u32>)> {
        let bell = Bell::new()?;
        let bound = &of.bound;
        let (origin, may_help) = match bound {
            ListenAddress::Udp(_) => {
                let may_help = udp::is_deep(&socket);
                let network = Network {
                    gate: Arc::clone(&self.common.gate),
                    denials: Denials::new(bound.to_string()),
                    overflow: of.drops_known.map_or_else(
                        || Overflow::after_others(bound.to_string(), &socket),
                        |known| Overflow::new(bound.to_string(), known),
                    ),
                    backlog: Backlog::new(&self.common.memory),
                };
                (Origin::Network(network), may_help)
            }
            ListenAddress::Tcp(_)
            | ListenAddress::UnixDatagram(_)
            | ListenAddress::UnixStream(_) => {
                let memory = self.common.memory.clone();
                let fairness = Fairness::new(bound.to_string(), memory);
                (Origin::Local(fairness), true)
            }
        };
        let drain = Drain {
            socket,
            shard: self.common.shard(),
            counters: Arc::clone(counters),
            bell: Arc::clone(&bell),
            origin,
            may_help,
        };
        let ended = drain.start(Arc::clone(&self.common.workshop))?;
        Ok((bell, ended))
    }

    fn streams(&mut self, shard: u8) -> io::Result<&mpsc::Sender<Command>> {
        let at = match self.streams.entry(shard) {
            Entry::Occupied(at) => return Ok(&at.into_mut().0),
            Entry::Vacant(at) => at,
        };
        let (sender, commands) = mpsc::channel(COMMANDS);
        let common = self.common.clone();
        let serve = move || {
            let gate = Arc::clone(&common.gate);
            let served = stream::run(common.shard(), gate, &common.memory, commands);
            served.unwrap_or_else(|error| {
                tracing::error!("cannot serve streams: {error}");
                Vec::new()
            })
        };
        let thread = thread::Builder::new().name("streams".into()).spawn(serve)?;
        Ok(&at.insert((sender, thread)).0)
    }

    /// Begins to read the kernel's log, after the record `last` that another process has read. Says so if
    /// that is not possible here, as in a container.
    ///
    /// `later` is the time that its messages carry once those are taken in that wait already.
    pub fn start_kernel(&mut self, cache: PathBuf, later: kmsg::Time, last: Option<u64>) {
        let started = KernelLog::open(Path::new("/dev/kmsg"), Some(cache)).and_then(|log| {
            let log = log.after(last);
            let (bell, counters) = (Bell::new()?, Arc::new(InputCounters::default()));
            let reader = kernel::Reader {
                log,
                time: kmsg::Time::since_boot(),
                later,
                fragments: Fragments::default(),
                shard: self.common.shard(),
                counters: Arc::clone(&counters),
                bell: Arc::clone(&bell),
            };
            let thread = thread::Builder::new()
                .name("kernel".into())
                .spawn(move || reader.run())?;
            Ok((bell, counters, thread))
        });
        match started {
            Ok(started) => self.kernel = Some(started),
            Err(error) => tracing::info!("not reading the kernel log: /dev/kmsg: {error}"),
        }
    }

    /// Whether the kernel's log is read.
    pub fn reads_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Tells every input that there is a new table.
    pub fn follow(&self) {
        self.bells().for_each(|bell| bell.ring());
        for (sender, _) in self.streams.values() {
            // A full queue holds a command already, and each of them makes the thread look.
            _ = sender.try_send(Command::Follow);
        }
    }

    fn bells(&self) -> impl Iterator<Item = &Arc<Bell>> {
        let drains = self
            .running
            .iter()
            .filter_map(|running| running.drain.as_ref());
        let drains = drains.map(|(bell, _)| bell);
        drains.chain(self.kernel.iter().map(|(bell, _, _)| bell))
    }

    /// Stops the inputs whose address is not among `kept`.
    pub fn close_except(&mut self, kept: &[ListenAddress]) {
        let running = std::mem::take(&mut self.running);
        for input in running {
            if kept.contains(&input.socket.wanted) {
                self.running.push(input);
                continue;
            }
            tracing::info!("no longer listening on {}", input.socket.bound);
            if let Some(name) = &input.socket.stored {
                self.common.notifier.remove(name);
            }
            if let Some((sender, _)) = self.streams.get(&shard_of(&input.socket.wanted))
                && input.drain.is_none()
                && sender
                    .blocking_send(Command::Close(input.socket.wanted.clone()))
                    .is_err()
            {
                tracing::debug!("the thread of the streams has ended");
            }
            end(input, Place::Remove);
        }
    }

    /// Stops everything, after taking what has arrived.
    pub fn stop(&mut self) {
        // All are told before the first is waited for: each may take a second.
        self.bells().for_each(|bell| bell.stop());
        for (sender, _) in self.streams.values() {
            if sender.blocking_send(Command::Stop).is_err() {
                tracing::debug!("a thread of streams has ended");
            }
        }
        for (_, thread) in std::mem::take(&mut self.streams).into_values() {
            join(thread, "streams");
        }
        // Whoever is started after us goes on with what is in the store.
        let place = if self.common.notifier.is_there() {
            Place::Leave
        } else {
            Place::Remove
        };
        self.running.drain(..).for_each(|input| end(input, place));
        if let Some((_, _, thread)) = self.kernel.take() {
            join(thread, "kernel");
        }
    }
}

impl Inputs {
    /// Ends all threads between two batches, and returns everything for whoever goes on; what the kernel
    /// has queued stays queued.
    pub(super) fn suspend(&mut self) -> Left {
        // The streams first: they may wait for an output, while datagrams are still received.
        let mut connections = Vec::new();
        for (sender, _) in self.streams.values() {
            if sender.blocking_send(Command::Suspend).is_err() {
                tracing::debug!("a thread of streams has ended");
            }
        }
        for (_, thread) in std::mem::take(&mut self.streams).into_values() {
            connections.extend(join(thread, "streams").unwrap_or_default());
        }
        self.bells().for_each(|bell| bell.suspend());
        let mut sockets = Vec::new();
        for input in self.running.drain(..) {
            let mut socket = input.socket;
            if let Some((_, ended)) = input.drain {
                socket.drops_known = wait_for(&ended).or(socket.drops_known);
            }
            sockets.push(socket);
        }
        let kernel = self.kernel.take();
        let kernel = kernel.and_then(|(_, _, thread)| join(thread, "kernel").flatten());
        Left {
            sockets,
            connections,
            kernel,
        }
    }
}

/// What becomes of the name of a socket that is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Remove,
    Leave,
}

fn end(input: Running, what: Place) {
    if let Some(place) = &input.socket.place
        && what == Place::Remove
    {
        place.remove();
    }
    if let Some((bell, ended)) = input.drain {
        bell.stop();
        wait_for(&ended);
    }
}

/// Waits for the end of a drain, and for what it leaves.
fn wait_for(ended: &Receiver<u32>) -> Option<u32> {
    let left = ended.recv().ok();
    if left.is_none() {
        tracing::error!("a drain thread had panicked");
    }
    left
}

fn join<T>(thread: JoinHandle<T>, name: &str) -> Option<T> {
    let result = thread.join().ok();
    if result.is_none() {
        tracing::error!("the {name} thread had panicked");
    }
    result
}

impl Inputs {
    /// The addresses that the inputs got.
    pub fn bound(&self) -> impl Iterator<Item = &ListenAddress> {
        self.running.iter().map(|running| &running.socket.bound)
    }
}

/// Which of the sockets at its address this is; 0 if it is the only one.
fn shard_of(address: &ListenAddress) -> u8 {
    match address {
        ListenAddress::Udp(at) | ListenAddress::Tcp(at) => at.shard,
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => 0,
    }
}

/// The port of a bound network address.
pub fn port(address: &ListenAddress) -> Option<u16> {
    match address {
        ListenAddress::Udp(at) | ListenAddress::Tcp(at) => Some(at.address.port()),
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => None,
    }
}
