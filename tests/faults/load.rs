//! A sender of numbered messages over unix, UDP and TCP in turn, as fast as they are taken, until it is stopped.
//! It slows down after [`HASTY`] of each, so that a test on a busy machine has no millions to look through.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::sequence::message;
use crate::support::{DEADLINE, Daemon, wait_for};

/// So many messages of each come without a pause; the others a millisecond apart.
const HASTY: u64 = 100_000;

/// Where messages go.
pub(crate) struct Load {
    unix: PathBuf,
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
}

/// What was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// So many messages over each.
    pub(crate) each: u64,
    /// How often a socket refused one for good.
    pub(crate) refused: u64,
    /// The longest that one call took.
    pub(crate) worst: Duration,
}

/// A sender at work.
pub(crate) struct Running {
    ending: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Sent>,
}

impl Load {
    /// Over all that the daemon listens on.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        Self {
            unix: daemon.setup().path("log.sock"),
            udp: Some(daemon.address("udp://")),
            tcp: Some(daemon.address("tcp://")),
        }
    }

    pub(crate) fn without_udp(self) -> Self {
        Self { udp: None, ..self }
    }

    pub(crate) fn without_tcp(self) -> Self {
        Self { tcp: None, ..self }
    }

    /// The names of the senders, each of which sent so many.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["unix"];
        names.extend(self.udp.map(|_| "udp"));
        names.extend(self.tcp.map(|_| "tcp"));
        names
    }

    /// Begins; returns once the first messages are sent.
    pub(crate) fn start(&self) -> Running {
        let unix = UnixDatagram::unbound().expect("a socket");
        unix.connect(&self.unix).expect("it is there");
        unix.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        let udp = self.udp.map(|to| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.connect(to).expect("an address");
            socket
        });
        let tcp = self.tcp.map(|to| {
            let stream = TcpStream::connect(to).expect("it listens");
            stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
            stream.set_nodelay(true).expect("no delay");
            stream
        });
        let (ending, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (until, count) = (Arc::clone(&ending), Arc::clone(&sent));
        let work = move || {
            let mut sent = Sent::default();
            while !until.load(Relaxed) {
                let mut tcp = tcp.as_ref();
                let mut timed = |send: &mut dyn FnMut() -> std::io::Result<()>| {
                    let began = Instant::now();
                    sent.refused += u64::from(send().is_err());
                    sent.worst = sent.worst.max(began.elapsed());
                };
                let n = count.load(Relaxed);
                timed(&mut || unix.send(message("unix", n).as_bytes()).map(drop));
                if let Some(udp) = &udp {
                    timed(&mut || udp.send(message("udp", n).as_bytes()).map(drop));
                }
                if let Some(tcp) = &mut tcp {
                    let line = message("tcp", n) + "\n";
                    timed(&mut || tcp.write_all(line.as_bytes()));
                }
                count.store(n + 1, Relaxed);
                if n >= HASTY {
                    _ = nix::poll::poll(&mut [], 1_u16);
                }
            }
            sent.each = count.load(Relaxed);
            sent
        };
        let thread = thread::spawn(work);
        let running = Running {
            ending,
            sent,
            thread,
        };
        running.wait_for_more(10);
        running
    }
}

impl Running {
    /// Waits until so many more messages were taken from each sender.
    pub(crate) fn wait_for_more(&self, count: u64) {
        let wanted = self.sent.load(Relaxed) + count;
        wait_for("messages to be taken", || self.sent.load(Relaxed) >= wanted);
    }

    pub(crate) fn stop(self) -> Sent {
        self.ending.store(true, Relaxed);
        self.thread.join().expect("it only sends")
    }
}
