//! Sockets that are bound, or taken from whoever had them before, and that nobody reads yet.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::inherited::{Inherited, Passed};
use crate::cli::DEFAULT_SOCKET;
use crate::config::ListenAddress;
use crate::input::{tcp, udp, unix};
use crate::report::reason;

/// A bound socket that nobody reads yet.
#[derive(Debug)]
pub struct Opened(pub(super) Passed);

impl Opened {
    /// Binds the sockets at these addresses, or takes those that were passed: all of them, or none.
    /// Everybody may write to a unix socket that has no mode.
    ///
    /// With `stands_in`, a unix socket of a unit that nobody names may be the default socket.
    ///
    /// Where we go on for another process, one that cannot be had is told and left out: the others are
    /// being written to.
    ///
    /// The wildcard of IPv6 is left out where the kernel has no IPv6: one word asks for it together with
    /// that of IPv4.
    ///
    /// # Errors
    /// The sentence about the first that cannot be had.
    pub(super) fn all<'a>(
        addresses: impl Iterator<Item = &'a ListenAddress>,
        modes: &BTreeMap<PathBuf, u32>,
        inherited: &mut Inherited,
        stands_in: bool,
    ) -> Result<Vec<Self>, String> {
        let mut opened: Vec<Self> = Vec::new();
        let mut missing = Vec::new();
        for wanted in addresses {
            match inherited.take(wanted) {
                Some(passed) => opened.push(Self(passed)),
                None => missing.push(wanted),
            }
        }
        for wanted in missing {
            let is_default = *wanted == ListenAddress::UnixDatagram(DEFAULT_SOCKET.into());
            if stands_in
                && is_default
                && let Some(passed) = inherited.take_for_default(wanted)
            {
                tracing::info!("{} takes the place of {DEFAULT_SOCKET}", passed.bound);
                opened.push(Self(passed));
                continue;
            }
            let covered = opened
                .iter()
                .any(|Self(passed)| passed.is_units && Inherited::covers(&passed.bound, wanted));
            if covered {
                continue;
            }
            match Self::bind(wanted, modes) {
                Ok(socket) => opened.push(socket),
                Err(error) if is_missing_ipv6(wanted, &error) => {
                    tracing::info!("not listening on {wanted}: {error}");
                }
                Err(error) if inherited.is_resumed() => {
                    tracing::error!("cannot listen on {wanted}: {}", reason(&error));
                }
                Err(error) => {
                    opened.into_iter().for_each(Self::discard);
                    return Err(format!("cannot listen on {wanted}: {}", reason(&error)));
                }
            }
        }
        Ok(opened)
    }

    /// A socket that was passed.
    pub(super) fn passed(passed: Passed) -> Self {
        Self(passed)
    }

    fn bind(wanted: &ListenAddress, modes: &BTreeMap<PathBuf, u32>) -> io::Result<Self> {
        let mode = |path| modes.get(path).copied().unwrap_or(unix::FOR_EVERYBODY);
        let (bound, socket, place) = match wanted {
            ListenAddress::Udp(at) => {
                let (socket, bound) = udp::open(*at)?;
                (ListenAddress::Udp(bound), socket, None)
            }
            ListenAddress::Tcp(at) => {
                let (listener, bound) = tcp::open(*at)?;
                (ListenAddress::Tcp(bound), listener.into(), None)
            }
            ListenAddress::UnixDatagram(path) => {
                let (socket, place) = unix::open(path, unix::Kind::Datagram, mode(path))?;
                (wanted.clone(), socket, Some(place))
            }
            ListenAddress::UnixStream(path) => {
                let (socket, place) = unix::open(path, unix::Kind::Stream, mode(path))?;
                (wanted.clone(), socket, Some(place))
            }
        };
        Ok(Self(Passed {
            socket,
            wanted: wanted.clone(),
            bound,
            stored: None,
            is_units: false,
            place,
            drops_known: Some(0),
        }))
    }

    /// Removes the socket again: it is not needed after all.
    pub(super) fn discard(self) {
        if let Some(place) = &self.0.place {
            place.remove();
        }
    }
}

fn is_missing_ipv6(wanted: &ListenAddress, error: &io::Error) -> bool {
    let missing = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL].map(Some);
    match wanted {
        ListenAddress::Udp(at) | ListenAddress::Tcp(at) => {
            at.address.ip() == Ipv6Addr::UNSPECIFIED && missing.contains(&error.raw_os_error())
        }
        ListenAddress::UnixDatagram(_) | ListenAddress::UnixStream(_) => false,
    }
}
