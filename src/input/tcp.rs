//! Listening on TCP (RFC 6587).

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};

use super::udp::share;
use crate::config::Endpoint;

/// Connections that may wait to be accepted. One too many tries again after a second, and thousands come at
/// once when a network is back. Linux allows 4096 unless told otherwise (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Listens on `address`; returns the listener and the address it got, which differs for port 0.
///
/// An IPv6 socket takes IPv6 only, as with UDP.
///
/// # Errors
/// If the address is in use, not ours, or a port that needs privileges.
pub fn open(at: Endpoint) -> io::Result<(TcpListener, Endpoint)> {
    let address = at.address;
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    // Connections of the last run may linger; they must not keep us from starting.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    share(&socket, at)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    let listener = TcpListener::from(socket);
    let bound = Endpoint {
        address: listener.local_addr()?,
        ..at
    };
    Ok((listener, bound))
}
