//! The least program that can receive and write: one thread, a copy, writes of 64 KiB. It ends with SIGTERM.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};

use super::Transport;

/// Datagrams for each call.
const BATCH: usize = 64;

/// Room for each of them.
const SLOT: usize = 2048;

/// Octets for each read of a stream.
const READ: usize = 256 << 10;

/// Octets for each write.
const WRITE: usize = 64 << 10;

/// What the largest buffer of a datagram socket may hold, as the daemons get it.
const RECEIVE_BUFFER: usize = 32 << 20;

/// Receives for ever.
pub(crate) fn run(transport: Transport, address: &str, file: &Path) {
    let out = Out {
        file: File::create(file).expect("the file can be created"),
        held: Vec::with_capacity(1 << 20),
    };
    let end = match transport {
        Transport::Unix => {
            let socket = UnixDatagram::bind(address).expect("the path is free");
            datagrams(&socket, out)
        }
        Transport::Udp => {
            let socket = UdpSocket::bind(address).expect("the port is free");
            setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).expect("root");
            datagrams(&socket, out)
        }
        Transport::Tcp | Transport::TcpCounted => {
            let listener = TcpListener::bind(address).expect("the port is free");
            streams(&listener, transport, out)
        }
    };
    end.expect("the sink works");
}

struct Out {
    file: File,
    held: Vec<u8>,
}

impl Out {
    fn line(&mut self, octets: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(octets);
        self.held.push(b'\n');
        self.write_full()
    }

    fn write_full(&mut self) -> io::Result<()> {
        if self.held.len() < WRITE {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.held)?;
        self.held.clear();
        Ok(())
    }
}

fn datagrams(socket: &(impl AsFd + AsRawFd), mut out: Out) -> io::Result<()> {
    let mut buffer = vec![0; BATCH * SLOT];
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut flags = MsgFlags::MSG_DONTWAIT;
    loop {
        let mut lengths = [0; BATCH];
        let mut slots: Vec<_> = buffer
            .chunks_mut(SLOT)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slots, flags, None);
        let received = received.map(|found| {
            let lengths = lengths.iter_mut().zip(found);
            lengths.map(|(length, one)| *length = one.bytes).count()
        });
        match received {
            Ok(count) => {
                flags = MsgFlags::MSG_DONTWAIT;
                for (slot, length) in buffer.chunks(SLOT).zip(lengths).take(count) {
                    out.line(&slot[..length])?;
                }
            }
            Err(Errno::EAGAIN) => {
                // Nothing is held while it sleeps.
                out.write()?;
                flags = MsgFlags::MSG_WAITFORONE;
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A connection, and the frame that it has not yet sent to the end.
struct Connection {
    socket: TcpStream,
    rest: Vec<u8>,
}

fn streams(listener: &TcpListener, transport: Transport, mut out: Out) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX))?;
    let mut connections = Vec::new();
    let mut buffer = vec![0; READ];
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let mut ready = epoll.wait(&mut events, EpollTimeout::ZERO)?;
        if ready == 0 {
            out.write()?;
            ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        }
        for event in &events[..ready] {
            let Ok(index) = usize::try_from(event.data()) else {
                continue;
            };
            if event.data() == u64::MAX {
                let socket = listener.accept()?.0;
                socket.set_nonblocking(true)?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, connections.len() as u64);
                epoll.add(&socket, event)?;
                let rest = Vec::new();
                connections.push(Some(Connection { socket, rest }));
                continue;
            }
            let Some(connection) = &mut connections[index] else {
                continue;
            };
            match connection.socket.read(&mut buffer) {
                Ok(0) => connections[index] = None,
                Ok(length) => connection.take(&buffer[..length], transport, &mut out)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => connections[index] = None,
            }
        }
    }
}

impl Connection {
    fn take(&mut self, read: &[u8], transport: Transport, out: &mut Out) -> io::Result<()> {
        if transport == Transport::TcpCounted {
            return self.take_counted(read, out);
        }
        let Some(last) = memchr::memrchr(b'\n', read) else {
            self.rest.extend_from_slice(read);
            return Ok(());
        };
        let (whole, rest) = read.split_at(last + 1);
        out.held.extend_from_slice(&self.rest);
        out.held.extend_from_slice(whole);
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        out.write_full()
    }

    fn take_counted(&mut self, read: &[u8], out: &mut Out) -> io::Result<()> {
        self.rest.extend_from_slice(read);
        let mut start = 0;
        while let Some(frame) = frame(&self.rest[start..]) {
            start += frame.0 + frame.1.len();
            out.line(frame.1)?;
        }
        self.rest.drain(..start);
        Ok(())
    }
}

/// How many octets the count has with its space, and the message after it.
fn frame(octets: &[u8]) -> Option<(usize, &[u8])> {
    let space = memchr::memchr(b' ', octets.get(..octets.len().min(9))?)?;
    let count: usize = std::str::from_utf8(&octets[..space]).ok()?.parse().ok()?;
    let head = space + 1;
    Some((head, octets.get(head..head + count)?))
}
