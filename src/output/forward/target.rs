//! Where a forward goes: a name and a port, and the addresses they stand for.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use arc_swap::ArcSwap;
use nix::ifaddrs::getifaddrs;

use super::Failure;
use crate::cli::Families;
use crate::config::{ListenAddress, Multicast, Remote, Transport};
use crate::route::whereabouts::Whereabouts;

/// Where we listen ourselves, as configured; a reload changes it.
pub(super) type Listens = Arc<ArcSwap<Vec<ListenAddress>>>;

/// A remote, not yet resolved.
#[derive(Debug)]
pub(super) struct Target {
    remote: Remote,
    families: Families,
    listens: Listens,
    /// The addresses that were found last.
    found: RefCell<Vec<SocketAddr>>,
    whereabouts: Arc<Whereabouts>,
}

impl Target {
    /// What is written as an address is known at once.
    pub(super) fn new(remote: Remote, families: Families, listens: Listens) -> Self {
        let written = remote.host.parse::<IpAddr>();
        let found = written.map(|ip| SocketAddr::new(ip, remote.port));
        let target = Self {
            remote,
            families,
            listens,
            found: RefCell::new(found.into_iter().collect()),
            whereabouts: Arc::default(),
        };
        target.publish();
        target
    }

    /// How datagrams leave if it is a group.
    pub(super) fn multicast(&self) -> &Multicast {
        &self.remote.multicast
    }

    /// The addresses in the order of the resolver (RFC 6724); blocks as long as the resolver does.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let all = (self.remote.host.as_str(), self.remote.port)
            .to_socket_addrs()
            .map_err(Failure::Unresolved)?;
        let allowed =
            |one: &SocketAddr| self.families.include(one.ip()) && self.remote.may_be_at(one.ip());
        let addresses: Vec<_> = all.filter(allowed).collect();
        if addresses.is_empty() {
            return Err(Failure::Unresolved(io::Error::other(
                "it has no address of the version of IP that -4, -6 or the rule asks for",
            )));
        }
        self.found.borrow_mut().clone_from(&addresses);
        self.publish();
        Ok(addresses)
    }

    /// Where it leads, as far as that is known.
    pub(super) fn whereabouts(&self) -> &Arc<Whereabouts> {
        &self.whereabouts
    }

    /// Tells those who route where it leads: what comes from there is not to go back.
    pub(super) fn publish(&self) {
        let listens = self.listens.load();
        let is_ours = |address: SocketAddr| {
            listens
                .iter()
                .any(|listen| listens_there(listen, self.remote.transport, address))
        };
        let addresses = senders(&self.found.borrow(), &own_addresses(), is_ours);
        self.whereabouts.set(addresses);
    }
}

/// Whose messages would go back if they were sent to `remote`.
///
/// An address of `own` is none: programs of this host send from there, and another daemon of this host may be
/// meant. But where we listen ourselves all of `own` would come back.
fn senders(
    remote: &[SocketAddr],
    own: &[IpAddr],
    is_ours: impl Fn(SocketAddr) -> bool,
) -> Vec<IpAddr> {
    let mut senders = Vec::new();
    for address in remote {
        let ip = address.ip().to_canonical();
        if !(ip.is_loopback() || ip.is_unspecified() || own.contains(&ip)) {
            senders.push(ip);
        } else if is_ours(SocketAddr::new(ip, address.port())) {
            senders.extend_from_slice(own);
        }
    }
    senders
}

/// Whether this listener receives what is sent to an address of this host.
fn listens_there(listen: &ListenAddress, by: Transport, to: SocketAddr) -> bool {
    let at = match (listen, by) {
        (ListenAddress::Udp(at), Transport::Udp)
        | (ListenAddress::Tcp(at), Transport::TcpOctetCounting | Transport::TcpLines) => at.address,
        (
            ListenAddress::Udp(_)
            | ListenAddress::Tcp(_)
            | ListenAddress::UnixDatagram(_)
            | ListenAddress::UnixStream(_),
            _,
        ) => return false,
    };
    let is_any = at.ip().is_unspecified() && at.is_ipv4() == to.is_ipv4();
    at.port() == to.port() && (is_any || at.ip() == to.ip())
}

/// The addresses of this host; none if the kernel does not tell.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    addresses.collect()
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remote.host.contains(':') {
            write!(out, "[{}]:{}", self.remote.host, self.remote.port)
        } else {
            write!(out, "{}:{}", self.remote.host, self.remote.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;

    #[test]
    fn f45_what_comes_from_the_remote_would_go_back_and_what_this_host_sends_would_not() {
        let own = ["127.0.0.1", "192.0.2.1", "2001:db8::1"].map(|own| own.parse().expect("one"));
        let at = |address: &str| Endpoint {
            address: address.parse().expect("an address and a port"),
            shard: 0,
        };
        let listens = [
            ListenAddress::Udp(at("0.0.0.0:514")),
            ListenAddress::Tcp(at("192.0.2.1:601")),
        ];
        for (remote, transport, want) in [
            ("192.0.2.9:514", Transport::Udp, &["192.0.2.9"][..]),
            ("[::ffff:192.0.2.9]:514", Transport::Udp, &["192.0.2.9"]),
            ("[2001:db8::9]:514", Transport::TcpLines, &["2001:db8::9"]),
            // Another daemon of this host.
            ("127.0.0.1:1514", Transport::Udp, &[]),
            ("192.0.2.1:1514", Transport::Udp, &[]),
            ("127.0.0.1:601", Transport::TcpLines, &[]),
            ("[2001:db8::1]:514", Transport::Udp, &[]),
            ("192.0.2.1:514", Transport::TcpLines, &[]),
            // Ourselves.
            (
                "127.0.0.1:514",
                Transport::Udp,
                &["127.0.0.1", "192.0.2.1", "2001:db8::1"],
            ),
            (
                "192.0.2.1:601",
                Transport::TcpOctetCounting,
                &["127.0.0.1", "192.0.2.1", "2001:db8::1"],
            ),
        ] {
            let is_ours = |to| listens.iter().any(|one| listens_there(one, transport, to));
            let remotes = [remote.parse().expect("an address and a port")];
            let got: Vec<String> = senders(&remotes, &own, is_ours)
                .iter()
                .map(IpAddr::to_string)
                .collect();
            assert_eq!(got, want, "{remote} {transport:?}");
        }
    }

    #[test]
    fn this_host_knows_its_addresses() {
        let loopback: IpAddr = "127.0.0.1".parse().expect("an address");
        assert!(own_addresses().contains(&loopback));
    }
}
