//! Datagrams to a remote (RFC 5426): one record each, cut to the limit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6MulticastHops;

use super::target::Target;
use super::{Failure, Limits};
use crate::block::Block;
use crate::config::Multicast;

/// A name may move to another address: it is resolved again after this long.
const RESOLVE_AGAIN: Duration = Duration::from_secs(300);

/// The same, when the address answers that nobody listens.
const RESOLVE_AGAIN_REFUSED: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Datagrams {
    socket: Option<Connected>,
    limits: Limits,
}

#[derive(Debug)]
struct Connected {
    /// One for each address that datagrams go to.
    sockets: Vec<UdpSocket>,
    resolve_again: Instant,
}

impl Datagrams {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            socket: None,
            limits,
        }
    }

    /// Sends the records from `from` on; returns how many were sent.
    pub(super) fn send(
        &mut self,
        target: &Target,
        block: &Block,
        from: usize,
    ) -> (usize, Result<(), Failure>) {
        let mut sent = 0;
        while let Some(entry) = block.get(from + sent) {
            if let Err(failure) = self.send_one(target, entry.octets) {
                return (sent, Err(failure));
            }
            sent += 1;
        }
        (sent, Ok(()))
    }

    /// The next datagram asks for the address first.
    pub(super) fn resolve_again(&mut self) {
        if let Some(connected) = &mut self.socket {
            connected.resolve_again = Instant::now();
        }
    }

    pub(super) fn close(&mut self) {
        self.socket = None;
    }

    fn send_one(&mut self, target: &Target, record: &[u8]) -> Result<(), Failure> {
        let datagram = cut(record, self.limits.max_datagram);
        let connected = self.connected(target)?;
        let mut result = Err(io::Error::other("it has no address"));
        for socket in &connected.sockets {
            let mut sent = socket.send(datagram);
            if is(&sent, Errno::ECONNREFUSED) {
                // The answer to an earlier datagram, which took the place of this one: send it once more.
                let soon = Instant::now() + RESOLVE_AGAIN_REFUSED;
                connected.resolve_again = connected.resolve_again.min(soon);
                sent = socket.send(datagram);
            }
            // With -A one address that takes it is enough: the others would get it twice.
            if result.is_err() {
                result = sent;
            }
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::ECONNREFUSED as i32) => Ok(()),
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                Err(Failure::Refused)
            }
            Err(error) => {
                self.socket = None;
                Err(Failure::Send(error))
            }
        }
    }

    fn connected(&mut self, target: &Target) -> Result<&mut Connected, Failure> {
        let all = self.limits.all_addresses;
        let current = self.socket.take();
        let connected = match current {
            Some(connected) if Instant::now() < connected.resolve_again => connected,
            // A resolver that is down must not stop what works.
            Some(mut connected) => open(target, all).unwrap_or_else(|_| {
                connected.resolve_again = Instant::now() + RESOLVE_AGAIN_REFUSED;
                connected
            }),
            None => open(target, all)?,
        };
        Ok(self.socket.insert(connected))
    }
}

/// Opens a socket to the first address that has a route, or one to each.
fn open(target: &Target, all: bool) -> Result<Connected, Failure> {
    let mut sockets = Vec::new();
    let mut last = io::Error::other("it has no address");
    for address in target.addresses()? {
        let any: SocketAddr = if address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(any).and_then(|socket| {
            if address.ip().is_multicast() {
                aim(&socket, address.ip(), target.multicast())?;
            }
            socket.connect(address)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => sockets.push(socket),
            Err(error) => last = error,
        }
        if !all && !sockets.is_empty() {
            break;
        }
    }
    if sockets.is_empty() {
        return Err(Failure::Connect(last));
    }
    Ok(Connected {
        sockets,
        resolve_again: Instant::now() + RESOLVE_AGAIN,
    })
}

/// Sets how datagrams to a group leave.
fn aim(socket: &UdpSocket, group: IpAddr, how: &Multicast) -> io::Result<()> {
    if let Some(name) = &how.interface {
        let index = if_nametoindex(name.as_str())
            .map_err(|errno| io::Error::other(format!("interface {name}: {}", errno.desc())))?;
        crate::sys::set_multicast_interface(socket.as_fd(), group, index)?;
    }
    match (how.ttl, group) {
        (None, _) => Ok(()),
        (Some(ttl), IpAddr::V4(_)) => socket.set_multicast_ttl_v4(ttl.into()),
        (Some(ttl), IpAddr::V6(_)) => Ok(setsockopt(socket, Ipv6MulticastHops, &ttl.into())?),
    }
}

fn is(result: &io::Result<usize>, errno: Errno) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(errno as i32))
}

/// At most `most` octets of a record, not ending within a character of UTF-8.
pub(super) fn cut(record: &[u8], most: usize) -> &[u8] {
    if record.len() <= most {
        return record;
    }
    let continues = |at: &usize| record[*at] & 0xc0 == 0x80;
    // A character has at most three continuation octets; with more it is not UTF-8, and is cut anywhere.
    let end = (most.saturating_sub(3)..=most)
        .rev()
        .find(|at| !continues(at))
        .unwrap_or(most);
    &record[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_to_a_group_leave_as_the_options_say() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let group: IpAddr = "239.1.2.3".parse().expect("an address");
        let how = |interface: &str, ttl| Multicast {
            interface: Some(interface.to_owned()),
            ttl: Some(ttl),
        };
        aim(&socket, group, &how("lo", 7)).expect("lo is always there");
        assert_eq!(socket.multicast_ttl_v4().expect("known"), 7);
        let error = aim(&socket, group, &how("no-such-one", 7)).expect_err("it is not there");
        assert_eq!(error.to_string(), "interface no-such-one: No such device");
    }
}
