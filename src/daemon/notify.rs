//! Telling a service manager how we are (`sd_notify(3)`), and leaving our sockets with it.
//!
//! ```text
//! READY=1
//! RELOADING=1 LF MONOTONIC_USEC=…
//! FDSTORE=1 LF FDNAME=syslogd-udp%3A//0.0.0.0%3A514 LF FDPOLL=0       with the socket itself beside it
//! ```
//!
//! Without `NOTIFY_SOCKET` in the environment all of it does nothing. There is no `WATCHDOG=1`: a control
//! thread that works proves nothing about the others.

use std::env;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::time::{ClockId, clock_gettime};

/// The way to the service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Notifier(Option<OsString>);

impl Notifier {
    /// The one that the environment names.
    pub(super) fn from_environment() -> Self {
        Self(env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()))
    }

    /// Whether somebody listens.
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Messages are received, or a reload is done.
    pub(super) fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}", std::process::id()));
    }

    /// A reload begins.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
        let micros = now.map_or(0, |now| now.num_microseconds());
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end begins.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Leaves a copy of a socket in the store, for whoever is started after us; tells whether somebody
    /// took it.
    pub(super) fn store(&self, name: &str, socket: &OwnedFd) -> bool {
        let text = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0");
        let sent = self.send(&text, &[ControlMessage::ScmRights(&[socket.as_raw_fd()])]);
        if let Err(error) = &sent {
            tracing::warn!("the service manager cannot be left {name}: {error}");
        }
        self.is_there() && sent.is_ok()
    }

    /// Takes what has this name out of the store.
    pub(super) fn remove(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
    }

    fn tell(&self, text: &str) {
        if let Err(error) = self.send(text, &[]) {
            let first = text.lines().next().unwrap_or_default();
            tracing::warn!("the service manager cannot be told {first}: {error}");
        }
    }

    fn send(&self, text: &str, beside: &[ControlMessage<'_>]) -> io::Result<()> {
        let Some(name) = &self.0 else {
            return Ok(());
        };
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => UnixAddr::new_abstract(rest)?,
            _ => UnixAddr::new(name.as_os_str())?,
        };
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        // A service manager that reads nothing must not hold the log for long.
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::seconds(1))?;
        let text = [IoSlice::new(text.as_bytes())];
        loop {
            let flags = MsgFlags::MSG_NOSIGNAL;
            match sendmsg(socket.as_raw_fd(), &text, beside, flags, Some(&address)) {
                Err(Errno::EINTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }
}
