//! System calls that no safe crate wraps: the only file with `unsafe`.
#![expect(
    unsafe_code,
    reason = "each call states why it is sound; the rest of the crate has none"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many octets of a connected TCP socket the peer's kernel has not acknowledged (`SIOCOUTQ`).
///
/// Octets that were not yet sent count too. Works until the socket is closed, also after the
/// connection broke (tcp(7)).
///
/// # Errors
///
/// When the socket is not TCP or the kernel does not know the request.
pub fn unacked_octets(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, thus open; the request (SIOCOUTQ is TIOCOUTQ) writes one
    // c_int, and the pointer is to one that outlives the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(octets).map_err(io::Error::other)
}
