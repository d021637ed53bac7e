//! Sending, as fast as the other side takes it or at a rate.

use std::array;
use std::io::{self, IoSlice, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn,
    bind, sendmmsg, sendmsg, socket,
};

use super::messages::Messages;
use super::{Order, Transport};

/// Datagrams for each call.
const BATCH: usize = 32;

/// Octets for each write to one of a few connections; of many connections, each gets a fourth of that.
const WRITE: usize = 64 << 10;

/// Octets of one trip through the stack at most: what a datagram can carry.
const DATAGRAM: usize = 65_507;

/// Connections from one address.
const FROM_ONE: usize = 500;

/// How often a sender that keeps a rate wakes up each second.
const WAKES: f64 = 2000.0;

/// Sockets that are connected to the daemon.
pub(crate) enum Sender {
    Unix(Vec<UnixDatagram>),
    Udp(Vec<UdpSocket>),
    Streams(Vec<TcpStream>, Transport, usize),
}

impl Sender {
    /// Connects.
    pub(crate) fn connect(order: &Order) -> io::Result<Self> {
        let target = &order.target;
        let all = 0..order.connections.max(1);
        Ok(match order.transport {
            Transport::Unix => Self::Unix(
                all.map(|_| {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(target)?;
                    Ok(socket)
                })
                .collect::<io::Result<_>>()?,
            ),
            Transport::Udp => Self::Udp(
                all.map(|_| {
                    let socket = UdpSocket::bind("127.0.0.1:0")?;
                    socket.connect(target)?;
                    Ok(socket)
                })
                .collect::<io::Result<_>>()?,
            ),
            Transport::Tcp | Transport::TcpCounted => Self::Streams(
                all.map(|index| connect(target, index))
                    .collect::<io::Result<_>>()?,
                order.transport,
                order.burst,
            ),
        })
    }

    /// Sends up to `count` messages for up to `time`.
    pub(crate) fn send(
        &mut self,
        messages: &mut Messages,
        count: u64,
        time: Duration,
        rate: Option<f64>,
    ) -> io::Result<()> {
        let (began, first) = (Instant::now(), messages.next_number());
        let mut turn = 0;
        loop {
            let sent = messages.next_number() - first;
            if sent >= count || began.elapsed() >= time {
                return Ok(());
            }
            let most = rate.map_or(u64::MAX, |rate| {
                keep(rate, sent, began);
                quota(rate)
            });
            let most = usize::try_from(most.min(count - sent)).unwrap_or(usize::MAX);
            match self {
                Self::Unix(sockets) => {
                    let socket = sockets[turn % sockets.len()].as_raw_fd();
                    unix(socket, messages, most)?;
                }
                Self::Udp(sockets) => {
                    let socket = sockets[turn % sockets.len()].as_raw_fd();
                    udp(socket, messages, most)?;
                }
                Self::Streams(streams, transport, burst) => {
                    let most = most.min(*burst);
                    let room = if streams.len() > 64 { WRITE / 4 } else { WRITE };
                    let index = turn % streams.len();
                    stream(&mut streams[index], *transport, messages, most, room)?;
                }
            }
            turn += 1;
        }
    }
}

/// Connects to an address and port from our address number `index` / [`FROM_ONE`], if it is on the loopback interface:
/// of one address a daemon may take only so many connections.
fn connect(target: &str, index: usize) -> io::Result<TcpStream> {
    let target: SocketAddrV4 = target.parse().map_err(io::Error::other)?;
    if !target.ip().is_loopback() || index < FROM_ONE {
        return TcpStream::connect(target);
    }
    let number = u32::try_from(index / FROM_ONE).map_err(io::Error::other)?;
    let own = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number);
    let kind = SockType::Stream;
    let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let own = SockaddrIn::from(SocketAddrV4::new(own, 0));
    bind(socket.as_raw_fd(), &own)?;
    socket::connect(socket.as_raw_fd(), &SockaddrIn::from(target))?;
    Ok(socket.into())
}

/// Waits until the next message is due.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 messages")]
fn keep(rate: f64, sent: u64, began: Instant) {
    let due = Duration::from_secs_f64(sent as f64 / rate);
    thread::sleep(due.saturating_sub(began.elapsed()));
}

/// How many messages are sent each time that a sender with a rate wakes up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of at most millions"
)]
fn quota(rate: f64) -> u64 {
    (rate / WAKES).ceil().max(1.0) as u64
}

fn unix(socket: RawFd, messages: &mut Messages, most: usize) -> io::Result<()> {
    let count = most.min(BATCH);
    let copies: Vec<Vec<u8>> = (0..count).map(|_| messages.next().to_vec()).collect();
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut done = 0;
    while done < count {
        let slices: Vec<_> = copies[done..]
            .iter()
            .map(|one| [IoSlice::new(one)])
            .collect();
        let addresses: [Option<()>; BATCH] = array::from_fn(|_| None);
        let flags = MsgFlags::empty();
        match sendmmsg(
            socket,
            &mut headers,
            &slices,
            &addresses[done..count],
            [],
            flags,
        ) {
            Ok(sent) => done += sent.count(),
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOBUFS) => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One trip through the sending half of the stack for many datagrams (`UDP_SEGMENT`); the receiver gets them
/// one by one. Without it the sender costs more than the daemon.
fn udp(socket: RawFd, messages: &mut Messages, most: usize) -> io::Result<()> {
    let mut octets = Vec::with_capacity(16 << 10);
    let mut length = 0;
    for _ in 0..most.min(BATCH) {
        if octets.len() + length > DATAGRAM {
            break;
        }
        let message = messages.next();
        length = message.len();
        octets.extend_from_slice(message);
    }
    let length = u16::try_from(length).map_err(io::Error::other)?;
    let control = [ControlMessage::UdpGsoSegments(&length)];
    let slices = [IoSlice::new(&octets)];
    loop {
        match sendmsg::<()>(socket, &slices, &control, MsgFlags::empty(), None) {
            Ok(_) => return Ok(()),
            // An earlier datagram met a closed port, or the queue is full.
            Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOBUFS | Errno::ECONNREFUSED) => {
                thread::yield_now();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn stream(
    stream: &mut TcpStream,
    transport: Transport,
    messages: &mut Messages,
    most: usize,
    room: usize,
) -> io::Result<()> {
    let mut octets = Vec::with_capacity(room + 1024);
    for _ in 0..most {
        let message = messages.next();
        if transport == Transport::TcpCounted {
            write!(octets, "{} ", message.len())?;
            octets.extend_from_slice(message);
        } else {
            octets.extend_from_slice(message);
            octets.push(b'\n');
        }
        if octets.len() >= room {
            break;
        }
    }
    stream.write_all(&octets)
}
