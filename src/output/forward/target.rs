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
        let addresses: Vec<_> = all.filter(|one| self.families.include(one.ip())).collect();
        if addresses.is_empty() {
            return Err(Failure::Unresolved(io::Error::other(
                "it has no address of the families allowed by -4 or -6",
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
