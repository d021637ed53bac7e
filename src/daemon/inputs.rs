//! The inputs that run: bound sockets, their threads, and their end.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;

use crate::config::ListenAddress;
use crate::counters::InputCounters;
use crate::input::acl::AccessList;
use crate::input::bell::Bell;
use crate::input::datagram::{Drain, Origin, Overflow};
use crate::input::denials::Denials;
use crate::input::fragments::Fragments;
use crate::input::kmsg::{self, KernelLog};
use crate::input::peer::PeerNames;
use crate::input::shard::{Live, Shard};
use crate::input::stream::{self, Command, Listener};
use crate::input::{kernel, tcp, udp, unix};
use crate::report::reason;

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
}

impl Common {
    fn shard(&self) -> Shard {
        Shard::new(Arc::clone(&self.live), &self.names)
    }
}

/// A bound socket that nobody reads yet.
#[derive(Debug)]
pub struct Opened {
    wanted: ListenAddress,
    /// The address it got, which differs for port 0.
    bound: ListenAddress,
    socket: Socket,
    place: Option<unix::Place>,
}

#[derive(Debug)]
enum Socket {
    Datagram(OwnedFd),
    Stream(Listener),
}

impl Opened {
    /// Binds the sockets at these addresses: all of them, or none. Everybody may write to a unix socket
    /// that has no mode.
    ///
    /// The wildcard of IPv6 is left out where the kernel has no IPv6: one word asks for it together with
    /// that of IPv4.
    ///
    /// # Errors
    /// The sentence about the first that cannot be had.
    pub fn all<'a>(
        addresses: impl Iterator<Item = &'a ListenAddress>,
        modes: &BTreeMap<PathBuf, u32>,
    ) -> Result<Vec<Self>, String> {
        let mut opened = Vec::new();
        for wanted in addresses {
            match Self::new(wanted, modes) {
                Ok(socket) => opened.push(socket),
                Err(error) if is_missing_ipv6(wanted, &error) => {
                    tracing::info!("not listening on {wanted}: {error}");
                }
                Err(error) => {
                    opened.into_iter().for_each(Self::discard);
                    return Err(format!("cannot listen on {wanted}: {}", reason(&error)));
                }
            }
        }
        Ok(opened)
    }

    fn new(wanted: &ListenAddress, modes: &BTreeMap<PathBuf, u32>) -> io::Result<Self> {
        Self::bind(wanted, modes).map(|(bound, socket, place)| Self {
            wanted: wanted.clone(),
            bound,
            socket,
            place,
        })
    }

    fn bind(
        wanted: &ListenAddress,
        modes: &BTreeMap<PathBuf, u32>,
    ) -> io::Result<(ListenAddress, Socket, Option<unix::Place>)> {
        let mode = |path| modes.get(path).copied().unwrap_or(unix::FOR_EVERYBODY);
        Ok(match wanted {
            ListenAddress::Udp(address) => {
                let (socket, bound) = udp::open(*address)?;
                (ListenAddress::Udp(bound), Socket::Datagram(socket), None)
            }
            ListenAddress::Tcp(address) => {
                let (listener, bound) = tcp::open(*address)?;
                (
                    ListenAddress::Tcp(bound),
                    Socket::Stream(Listener::Tcp(listener)),
                    None,
                )
            }
            ListenAddress::UnixDatagram(path) => {
                let (socket, place) = unix::open(path, unix::Kind::Datagram, mode(path))?;
                (wanted.clone(), Socket::Datagram(socket), Some(place))
            }
            ListenAddress::UnixStream(path) => {
                let (socket, place) = unix::open(path, unix::Kind::Stream, mode(path))?;
                (
                    wanted.clone(),
                    Socket::Stream(Listener::Unix(socket.into())),
                    Some(place),
                )
            }
        })
    }

    /// Removes the socket again: it is not needed after all.
    pub fn discard(self) {
        if let Some(place) = &self.place {
            place.remove();
        }
    }
}

fn is_missing_ipv6(wanted: &ListenAddress, error: &io::Error) -> bool {
    let missing = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL].map(Some);
    match wanted {
        ListenAddress::Udp(address) | ListenAddress::Tcp(address) => {
            address.ip() == Ipv6Addr::UNSPECIFIED && missing.contains(&error.raw_os_error())
        }
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => false,
    }
}

/// An input at work.
#[derive(Debug)]
struct Running {
    wanted: ListenAddress,
    bound: ListenAddress,
    counters: Arc<InputCounters>,
    place: Option<unix::Place>,
    /// The thread of a datagram socket; streams share one.
    drain: Option<(Arc<Bell>, JoinHandle<()>)>,
}

/// All inputs at work.
#[derive(Debug)]
pub struct Inputs {
    common: Common,
    running: Vec<Running>,
    streams: Option<(mpsc::Sender<Command>, JoinHandle<()>)>,
    kernel: Option<(Arc<Bell>, Arc<InputCounters>, JoinHandle<()>)>,
}

impl Inputs {
    /// None at work yet.
    pub fn new(common: Common) -> Self {
        Self {
            common,
            running: Vec::new(),
            streams: None,
            kernel: None,
        }
    }

    /// The addresses that were asked for and are served.
    pub fn wanted(&self) -> impl Iterator<Item = &ListenAddress> {
        self.running.iter().map(|running| &running.wanted)
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
            .map(|running| (running.bound.to_string(), &running.counters));
        sockets
            .chain(kernel)
            .map(|(name, counters)| (name, Arc::clone(counters)))
    }

    /// Begins to read a bound socket.
    ///
    /// # Errors
    /// If there are no threads or descriptors left.
    pub fn start(&mut self, opened: Opened) -> io::Result<()> {
        let Opened {
            wanted,
            bound,
            socket,
            place,
        } = opened;
        let counters = Arc::new(InputCounters::default());
        let drain = match socket {
            Socket::Datagram(socket) => Some(self.drain(socket, &bound, &counters)?),
            Socket::Stream(listener) => {
                let address = wanted.clone();
                let counters = Arc::clone(&counters);
                self.streams()?
                    .blocking_send(Command::Listen {
                        address,
                        listener,
                        counters,
                    })
                    .map_err(io::Error::other)?;
                None
            }
        };
        tracing::info!("listening on {bound}");
        self.running.push(Running {
            wanted,
            bound,
            counters,
            place,
            drain,
        });
        Ok(())
    }

    fn drain(
        &self,
        socket: OwnedFd,
        bound: &ListenAddress,
        counters: &Arc<InputCounters>,
    ) -> io::Result<(Arc<Bell>, JoinHandle<()>)> {
        let bell = Bell::new()?;
        let origin = match bound {
            ListenAddress::Udp(_) => Origin::Network {
                gate: Arc::clone(&self.common.gate),
                denials: Denials::new(bound.to_string()),
                overflow: Overflow::new(bound.to_string()),
            },
            ListenAddress::Tcp(_)
            | ListenAddress::UnixDatagram(_)
            | ListenAddress::UnixStream(_) => Origin::Local,
        };
        let drain = Drain {
            socket,
            shard: self.common.shard(),
            counters: Arc::clone(counters),
            bell: Arc::clone(&bell),
            origin,
        };
        let thread = thread::Builder::new()
            .name("drain".into())
            .spawn(move || drain.run())?;
        Ok((bell, thread))
    }

    fn streams(&mut self) -> io::Result<&mpsc::Sender<Command>> {
        if self.streams.is_none() {
            let (sender, commands) = mpsc::channel(COMMANDS);
            let common = self.common.clone();
            let serve = move || {
                if let Err(error) = stream::run(common.shard(), Arc::clone(&common.gate), commands)
                {
                    tracing::error!("cannot serve streams: {error}");
                }
            };
            let thread = thread::Builder::new().name("streams".into()).spawn(serve)?;
            self.streams = Some((sender, thread));
        }
        Ok(&self.streams.as_ref().expect("made just now").0)
    }

    /// Begins to read the kernel's log. Says so if that is not possible here, as in a container.
    ///
    /// `later` is the time that its messages carry once those are taken in that wait already.
    pub fn start_kernel(&mut self, cache: PathBuf, later: kmsg::Time) {
        let started = KernelLog::open(Path::new("/dev/kmsg"), Some(cache)).and_then(|log| {
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
        if let Some((sender, _)) = &self.streams {
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
            if kept.contains(&input.wanted) {
                self.running.push(input);
                continue;
            }
            tracing::info!("no longer listening on {}", input.bound);
            if let Some((sender, _)) = &self.streams
                && input.drain.is_none()
                && sender
                    .blocking_send(Command::Close(input.wanted.clone()))
                    .is_err()
            {
                tracing::debug!("the thread of the streams has ended");
            }
            end(input);
        }
    }

    /// Stops everything, after taking what has arrived.
    pub fn stop(&mut self) {
        // All are told before the first is waited for: each may take a second.
        self.bells().for_each(|bell| bell.stop());
        if let Some((sender, thread)) = self.streams.take() {
            if sender.blocking_send(Command::Stop).is_err() {
                tracing::debug!("the thread of the streams has ended");
            }
            join(thread, "streams");
        }
        self.running.drain(..).for_each(end);
        if let Some((_, _, thread)) = self.kernel.take() {
            join(thread, "kernel");
        }
    }
}

fn end(input: Running) {
    if let Some(place) = &input.place {
        place.remove();
    }
    if let Some((bell, thread)) = input.drain {
        bell.stop();
        join(thread, "drain");
    }
}

fn join(thread: JoinHandle<()>, name: &str) {
    if thread.join().is_err() {
        tracing::error!("the {name} thread had panicked");
    }
}

impl Inputs {
    /// The addresses that the inputs got.
    pub fn bound(&self) -> impl Iterator<Item = &ListenAddress> {
        self.running.iter().map(|running| &running.bound)
    }
}

/// The port of a bound network address.
pub fn port(address: &ListenAddress) -> Option<u16> {
    match address {
        ListenAddress::Udp(address) | ListenAddress::Tcp(address) => {
            Some(SocketAddr::port(address))
        }
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => None,
    }
}
