//! Sockets that were open before us: those of a service manager (`sd_listen_fds(3)`), or of the process in
//! whose place we are.
//!
//! ```text
//! LISTEN_PID=4711 LISTEN_FDS=2 LISTEN_FDNAMES=syslog.socket:syslogd-udp%3A//0.0.0.0%3A514
//!                                             of a unit      of the store, by the name that we gave it
//! ```
//!
//! A socket serves the address that it is bound to, whatever it is called, or the one whose name it bears in
//! the store. A unix datagram socket of a unit that no address names stands for `/dev/log`, unless that was asked
//! for by name: journald listens there, and sends on to `/run/systemd/journal/syslog`.

use std::env;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    SockType, SockaddrLike as _, SockaddrStorage, getsockname, getsockopt, sockopt,
};

use crate::config::{Endpoint, ListenAddress};
use crate::input::unix::Place;
use crate::sys;

/// An open socket that nobody reads yet.
#[derive(Debug)]
pub(super) struct Passed {
    /// The socket.
    pub(super) socket: OwnedFd,
    /// The address that the configuration asks for.
    pub(super) wanted: ListenAddress,
    /// The address that it has, which differs for port 0.
    pub(super) bound: ListenAddress,
    /// Its name in the store of the service manager, if we put it there.
    pub(super) stored: Option<String>,
    /// Whether a unit of the service manager owns it, and its place with it.
    pub(super) is_units: bool,
    /// Where it lies, if it is ours to remove.
    pub(super) place: Option<Place>,
    /// How many datagrams the kernel had dropped when they were last counted, if whoever had the socket then
    /// has left word of it.
    pub(super) drops_known: Option<u32>,
}

/// What was passed, until somebody asks for it.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    passed: Vec<Passed>,
    /// Whether the sockets were those of a process that we go on for.
    resumed: bool,
}

impl Inherited {
    /// The numbers of the descriptors that the environment says were passed to us.
    pub(super) fn are_passed() -> Range<RawFd> {
        let number = |name| env::var(name).ok()?.parse::<u32>().ok();
        let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok());
        match number("LISTEN_PID") {
            Some(pid) if pid == std::process::id() => {
                FIRST..FIRST.saturating_add(count.unwrap_or(0))
            }
            Some(_) | None => FIRST..FIRST,
        }
    }

    /// Takes the sockets of the environment; `notes` gets a sentence about each that is none for us.
    ///
    /// To be called once, before another process or thread exists.
    pub(super) fn from_environment(notes: &mut Vec<String>) -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = Vec::new();
        for number in Self::are_passed() {
            let name = names.next().unwrap_or_default();
            let Ok(socket) = sys::inherited(number) else {
                notes.push(format!("LISTEN_FDS: descriptor {number} is not open"));
                break;
            };
            match Passed::new(socket, name) {
                Ok(socket) => passed.push(socket),
                Err(why) => notes.push(format!(
                    "closing descriptor {number} ({name}) of the service manager: {why}"
                )),
            }
        }
        Self {
            passed,
            resumed: false,
        }
    }

    /// With one more.
    pub(super) fn and(mut self, more: Option<Passed>) -> Self {
        self.passed.extend(more);
        self
    }

    /// The sockets of the process that we go on for.
    pub(super) fn resumed(passed: Vec<Passed>) -> Self {
        Self {
            passed,
            resumed: true,
        }
    }

    /// Whether we go on for another process, so that a socket that cannot be had must not end us.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The socket for this address, if it was passed.
    pub(super) fn take(&mut self, wanted: &ListenAddress) -> Option<Passed> {
        let resumed = self.resumed;
        let index = self.passed.iter().position(|passed| {
            if resumed {
                return passed.wanted == *wanted;
            }
            match &passed.stored {
                Some(name) => *name == stored_name(wanted) && is_reachable(wanted),
                None => passed.bound == *wanted,
            }
        })?;
        let mut passed = self.passed.swap_remove(index);
        passed.adopt(wanted);
        Some(passed)
    }

    /// A unix datagram socket of a unit that stands for the default socket, which the unit has elsewhere.
    pub(super) fn take_for_default(&mut self, wanted: &ListenAddress) -> Option<Passed> {
        let is_local = |passed: &Passed| {
            passed.is_units && matches!(passed.bound, ListenAddress::UnixDatagram(_))
        };
        let index = self.passed.iter().position(is_local)?;
        let mut passed = self.passed.swap_remove(index);
        passed.wanted = wanted.clone();
        Some(passed)
    }

    /// Whether a socket that was passed takes what is sent to this address of IPv4 as well: systemd binds
    /// both families at once.
    pub(super) fn covers(served: &ListenAddress, wanted: &ListenAddress) -> bool {
        let is_both = |v6: &Endpoint, v4: &Endpoint| {
            v6.address.port() == v4.address.port()
                && v6.address.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
                && v4.address.ip() == IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        };
        match (served, wanted) {
            (ListenAddress::Udp(served), ListenAddress::Udp(wanted))
            | (ListenAddress::Tcp(served), ListenAddress::Tcp(wanted)) => is_both(served, wanted),
            _ => false,
        }
    }

    /// Where the sockets of units are bound.
    pub(super) fn of_units(&self) -> impl Iterator<Item = &ListenAddress> {
        let of_units = self.passed.iter().filter(|passed| passed.is_units);
        of_units.map(|passed| &passed.bound)
    }

    /// What nobody asked for.
    pub(super) fn rest(self) -> impl Iterator<Item = Passed> {
        self.passed.into_iter()
    }
}

impl Passed {
    /// A socket that somebody else opened and called `name`.
    ///
    /// # Errors
    /// The sentence why no message can arrive there.
    pub(super) fn new(socket: OwnedFd, name: &str) -> Result<Self, String> {
        let stored = name.starts_with(PREFIX).then(|| name.to_owned());
        let bound = address(&socket)?;
        let flags = fcntl(&socket, FcntlArg::F_GETFL).map_err(|error| error.to_string())?;
        let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
        fcntl(&socket, FcntlArg::F_SETFL(flags)).map_err(|error| error.to_string())?;
        if let ListenAddress::Udp(_) = bound
            && let Err(error) = crate::input::udp::prepare(&socket)
        {
            return Err(error.to_string());
        }
        Ok(Self {
            socket,
            wanted: bound.clone(),
            bound,
            is_units: stored.is_none(),
            stored,
            place: None,
            drops_known: None,
        })
    }

    /// Serves this address from now on.
    fn adopt(&mut self, wanted: &ListenAddress) {
        self.wanted = wanted.clone();
        if let (ListenAddress::UnixDatagram(path) | ListenAddress::UnixStream(path), false) =
            (wanted, self.is_units)
        {
            // Ours were bound under another name and moved.
            self.bound = wanted.clone();
            self.place = self.place.take().or_else(|| Place::at(path));
        }
    }
}

/// Whether whoever sends to the address of a stored socket reaches one: its name may be gone.
fn is_reachable(wanted: &ListenAddress) -> bool {
    match wanted {
        ListenAddress::UnixDatagram(path) | ListenAddress::UnixStream(path) => {
            Place::at(path).is_some()
        }
        ListenAddress::Udp(_) | ListenAddress::Tcp(_) => true,
    }
}

/// The address of a socket that messages can arrive at.
fn address(socket: &OwnedFd) -> Result<ListenAddress, String> {
    let kind = getsockopt(socket, sockopt::SockType).map_err(|errno| errno.to_string())?;
    let listens = getsockopt(socket, sockopt::AcceptConn).unwrap_or(false);
    let bound: SockaddrStorage =
        getsockname(socket.as_fd().as_raw_fd()).map_err(|error| error.to_string())?;
    let v4 = bound
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4((*v4).into()));
    let network = v4.or_else(|| {
        bound
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6((*v6).into()))
    });
    let path = bound
        .as_unix_addr()
        .and_then(|unix| unix.path())
        .map(PathBuf::from);
    match (kind, listens, network, path) {
        (SockType::Datagram, _, Some(address), _) => Ok(ListenAddress::Udp(address.into())),
        (SockType::Datagram, _, None, Some(path)) => Ok(ListenAddress::UnixDatagram(path)),
        (SockType::Stream, true, Some(address), _) => Ok(ListenAddress::Tcp(address.into())),
        (SockType::Stream, true, None, Some(path)) => Ok(ListenAddress::UnixStream(path)),
        (SockType::Stream, false, ..) => Err("it is a connection, and listens for none".to_owned()),
        _ => Err(format!(
            "no message can arrive at a socket of family {:?}",
            bound.family()
        )),
    }
}

/// The name of a socket in the store: `syslogd-` and its address, `%3A` for the colon that names cannot have.
pub(super) fn stored_name(wanted: &ListenAddress) -> String {
    let mut name = String::from(PREFIX);
    for octet in wanted.to_string().bytes() {
        if octet.is_ascii_graphic() && octet != b':' && octet != b'%' {
            name.push(char::from(octet));
        } else {
            _ = write!(name, "%{octet:02X}");
        }
    }
    name
}

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// What the names of our own sockets begin with.
const PREFIX: &str = "syslogd-";
