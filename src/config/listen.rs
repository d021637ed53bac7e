//! The address of a listener: `udp://ADDR:PORT`, `tcp://…`, `unixgram:///PATH`, `unix:///PATH`, `ADDR[:PORT]`.
//!
//! An empty address and `*` are every address, of IPv4 and of IPv6: two listeners. Names are not resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::ListenAddress;
use super::piece::{quoted, suggestion};

/// What `listen` and `--listen` ask for.
///
/// # Errors
///
/// A sentence that says what is wrong and what to write.
pub fn listen_addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return bind_addresses(text);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "udp" => Ok(sockets(rest)?.into_iter().map(ListenAddress::Udp).collect()),
        "tcp" => Ok(sockets(rest)?.into_iter().map(ListenAddress::Tcp).collect()),
        "unixgram" => Ok(vec![ListenAddress::UnixDatagram(path(rest)?)]),
        "unix" => Ok(vec![ListenAddress::UnixStream(path(rest)?)]),
        "tls" | "relp" => Err(format!(
            "{scheme}:// is not supported yet; use tcp:// or udp://"
        )),
        other => {
            let near = suggestion(other, ["udp", "tcp", "unixgram", "unix"]);
            Err(format!(
                "unknown scheme {}; {near}use udp, tcp, unixgram or unix",
                quoted(other)
            ))
        }
    }
}

/// What `-b ADDR[:PORT]` and `-b :PORT` ask for: UDP, port 514 unless named.
///
/// # Errors
///
/// A sentence that says what is wrong and what to write.
pub fn bind_addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    if text.is_empty() {
        return Err("no address given; write ADDR[:PORT], :PORT, or udp://ADDR:PORT".to_owned());
    }
    if text.starts_with('/') {
        return Err("a path is not an address; write unixgram:///PATH or unix:///PATH".to_owned());
    }
    Ok(sockets(text)?.into_iter().map(ListenAddress::Udp).collect())
}

/// The port of syslog.
pub(super) const SYSLOG_PORT: u16 = 514;

fn path(text: &str) -> Result<PathBuf, String> {
    if text.len() > 1 && text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err("the path of a socket is absolute: three slashes, as in unixgram:///dev/log".to_owned())
    }
}

fn sockets(text: &str) -> Result<Vec<SocketAddr>, String> {
    let (address, port) = split_port(text)?;
    let port = port.map_or(Ok(SYSLOG_PORT), |port| {
        let number = Some(port).filter(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
        number
            .and_then(|port| port.parse::<u16>().ok())
            .ok_or_else(|| format!("port {} is not a number from 0 to 65535", quoted(port)))
    })?;
    if address.is_empty() || address == "*" {
        let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        return Ok(all
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect());
    }
    if address.contains('%') {
        return Err("listening on one interface is not supported yet; give its address".to_owned());
    }
    match address.parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) if address.bytes().all(|octet| octet.is_ascii_digit()) => Err(format!(
            "{} is no address; for a port on every address write :{}",
            quoted(address),
            address.chars().take(5).collect::<String>()
        )),
        Err(_) => Err(format!(
            "{} is no address; names are not resolved here, give an address",
            quoted(address)
        )),
    }
}

/// `ADDR`, `ADDR:PORT`, `[V6]`, `[V6]:PORT`, `:PORT`, and a bare IPv6 address.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else {
            return Err(format!("\"]\" is missing in {}", quoted(text)));
        };
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{} is not an IPv6 address", quoted(address)));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(format!("after \"]\" comes :PORT, not {}", quoted(rest))),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    Ok(text
        .rsplit_once(':')
        .map_or((text, None), |(address, port)| (address, Some(port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_named_by_scheme_address_and_port() {
        for (text, want) in [
            ("udp://127.0.0.1:5140", &["udp://127.0.0.1:5140"][..]),
            ("udp://127.0.0.1:0", &["udp://127.0.0.1:0"]),
            ("udp://[::1]:514", &["udp://[::1]:514"]),
            ("udp://:514", &["udp://0.0.0.0:514", "udp://[::]:514"]),
            ("tcp://*:601", &["tcp://0.0.0.0:601", "tcp://[::]:601"]),
            ("tcp://10.0.0.1", &["tcp://10.0.0.1:514"]),
            (":514", &["udp://0.0.0.0:514", "udp://[::]:514"]),
            ("10.0.0.1", &["udp://10.0.0.1:514"]),
            ("10.0.0.1:515", &["udp://10.0.0.1:515"]),
            ("::1", &["udp://[::1]:514"]),
            ("[::1]:515", &["udp://[::1]:515"]),
            ("unixgram:///dev/log", &["unixgram:///dev/log"]),
            ("unix:///run/log", &["unix:///run/log"]),
        ] {
            let got = listen_addresses(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let got: Vec<String> = got.iter().map(ToString::to_string).collect();
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_sentence() {
        for text in [
            "",
            "localhost",
            "localhost:514",
            "udp://loghost:514",
            "udp://1.2.3.4:x",
            "514",
            "udp://1.2.3.4:65536",
            "udp://[::1",
            "[::1]x",
            "unix://rel",
            "unixgram://",
            "tls://:6514",
            "relp://:20514",
            "upd://:514",
            "/dev/log",
            "fe80::1%eth0",
            "1.2.3.4:",
            "[1.2.3.4]:5",
        ] {
            assert!(listen_addresses(text).is_err(), "{text}");
        }
    }
}
