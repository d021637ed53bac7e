//! Where a forward goes: a name and a port, and the addresses they stand for.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::Failure;
use crate::cli::Families;
use crate::config::{Multicast, Remote};

/// A remote, not yet resolved.
#[derive(Debug)]
pub(super) struct Target {
    remote: Remote,
    families: Families,
}

impl Target {
    pub(super) fn new(remote: Remote, families: Families) -> Self {
        Self { remote, families }
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
        Ok(addresses)
    }
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
