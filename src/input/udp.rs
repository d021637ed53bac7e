//! Syslog over UDP (RFC 5426): one message in each datagram.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getsockname, getsockopt, setsockopt,
    socket, sockopt,
};

use crate::config::Endpoint;

/// A burst of 100,000 datagrams fits into this receive buffer.
const RECEIVE_BUFFER: usize = 32 << 20;

/// Binds a socket to `address` with the largest receive buffer that we may have.
///
/// An IPv6 socket takes IPv6 only, so that the wildcard of both families can be bound side by side.
/// Returns the socket and the address it got, which differs for port 0.
///
/// # Errors
/// If the address is in use, not ours, or a port that needs privileges.
pub fn open(at: Endpoint) -> io::Result<(OwnedFd, Endpoint)> {
    let address = at.address;
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    share(&socket, at)?;
    prepare(&socket)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    let bound: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    // Who takes any port tries it (`--try`), and expects no burst.
    if address.port() != 0 {
        report_short_buffer(&socket, address);
    }
    let port = match (bound.as_sockaddr_in(), bound.as_sockaddr_in6()) {
        (Some(v4), _) => v4.port(),
        (None, Some(v6)) => v6.port(),
        (None, None) => address.port(),
    };
    let bound = Endpoint {
        address: SocketAddr::new(address.ip(), port),
        ..at
    };
    Ok((socket, bound))
}

/// Lets a shard be one of several sockets at its address (`SO_REUSEPORT`, socket(7)).
///
/// # Errors
/// If the kernel refuses.
pub(super) fn share(socket: &OwnedFd, at: Endpoint) -> io::Result<()> {
    if at.shard > 0 {
        setsockopt(socket, sockopt::ReusePort, &true)?;
    }
    Ok(())
}

/// Says so where the kernel keeps the receive buffer small: a burst will be lost there.
fn report_short_buffer(socket: &OwnedFd, address: SocketAddr) {
    // The kernel doubles what it was asked for, and tells that.
    let got = getsockopt(socket, sockopt::RcvBuf).unwrap_or(0) / 2;
    if got < RECEIVE_BUFFER {
        tracing::info!(
            "udp://{address}: receive buffer is {} KiB, not {} MiB: \
             raise net.core.rmem_max, or start with CAP_NET_ADMIN",
            got / 1024,
            RECEIVE_BUFFER >> 20
        );
    }
}

/// Whether the receive buffer has room for what comes in some ten milliseconds: a thousand datagrams.
pub fn is_deep(socket: &OwnedFd) -> bool {
    getsockopt(socket, sockopt::RcvBuf).is_ok_and(|octets| octets >= 2 << 20)
}

/// Gives a socket the largest receive buffer that we may have.
///
/// # Errors
/// If the kernel refuses.
pub fn prepare(socket: &OwnedFd) -> io::Result<()> {
    // The kernel doubles what is asked and says so; without the privilege it silently caps at rmem_max.
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
    }
    Ok(())
}
