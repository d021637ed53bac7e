//! Destinations and addresses, written as an operator would recognise them.

use std::fmt;

use super::{Destination, Endpoint, IpVersion, ListenAddress, Remote, Transport};

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Terminal(path) => write!(f, "{}", path.display()),
            Self::Fifo(path) => write!(f, "|{}", path.display()),
            Self::Command(command) => write!(f, "|{command}"),
            Self::Users(names) => {
                for (index, name) in names.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{name}")?;
                }
                Ok(())
            }
            Self::Everyone => f.write_str("*"),
            Self::Forward(remote) => remote.fmt(f),
            Self::Memory(name) => write!(f, ":{name}"),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.transport, self.version) {
            (Transport::Udp, None) => "@",
            (Transport::Udp, Some(IpVersion::V4)) => "@udp4://",
            (Transport::Udp, Some(IpVersion::V6)) => "@udp6://",
            (Transport::TcpOctetCounting, None) => "@tcp://",
            (Transport::TcpOctetCounting, Some(IpVersion::V4)) => "@tcp4://",
            (Transport::TcpOctetCounting, Some(IpVersion::V6)) => "@tcp6://",
            (Transport::TcpLines, _) => "@@",
        };
        if self.host.contains(':') {
            write!(f, "{scheme}[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{scheme}{}:{}", self.host, self.port)?;
        }
        match (&self.multicast.interface, self.multicast.ttl) {
            (None, None) => Ok(()),
            (Some(name), None) => write!(f, ";iface={name}"),
            (None, Some(ttl)) => write!(f, ";ttl={ttl}"),
            (Some(name), Some(ttl)) => write!(f, ";iface={name},ttl={ttl}"),
        }
    }
}

impl fmt::Display for Endpoint {
    /// `192.0.2.1:514`, or `192.0.2.1:514#2` for the second shard.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            0 => write!(f, "{}", self.address),
            shard => write!(f, "{}#{shard}", self.address),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::UnixDatagram(path) => write!(f, "unixgram://{}", path.display()),
            Self::UnixStream(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
