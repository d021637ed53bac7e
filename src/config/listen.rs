//! The address of a listener: `udp://ADDR:PORT`, `tcp://…`, `unixgram:///PATH`, `unix:///PATH`, `ADDR[:PORT]`.
//! `shards=N` behind a blank asks for several sockets at an address of the network.
//!
//! An empty address and `*` are every address, of IPv4 and of IPv6: two listeners. Names are not resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::piece::{BLANKS, quoted, suggestion};
use super::{Endpoint, ListenAddress};

/// What `listen` and `--listen` ask for.
///
/// # Errors
///
/// A sentence that says what is wrong and what to write.
pub fn listen_addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    let (text, shards) = match text.split_once(BLANKS) {
        Some((text, options)) => (text, shards(options)?),
        None => (text, None),
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        let addresses = sockets_to_bind(text)?;
        return Ok(sharded(addresses, shards)?
            .map(ListenAddress::Udp)
            .collect());
    };
    let scheme = scheme.to_ascii_lowercase();
    if shards.is_some() && scheme.starts_with("unix") {
        return Err("shards= makes sense for udp:// and tcp:// only".to_owned());
    }
    match scheme.as_str() {
        "udp" => Ok(sharded(sockets(rest)?, shards)?
            .map(ListenAddress::Udp)
            .collect()),
        "tcp" => Ok(sharded(sockets(rest)?, shards)?
            .map(ListenAddress::Tcp)
            .collect()),
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
    let endpoints = sockets_to_bind(text)?.into_iter().map(Endpoint::from);
    Ok(endpoints.map(ListenAddress::Udp).collect())
}

fn sockets_to_bind(text: &str) -> Result<Vec<SocketAddr>, String> {
    if text.is_empty() {
        return Err("no address given; write ADDR[:PORT], :PORT, or udp://ADDR:PORT".to_owned());
    }
    if text.starts_with('/') {
        return Err("a path is not an address; write unixgram:///PATH or unix:///PATH".to_owned());
    }
    sockets(text)
}

/// More sockets at one address than this are a mistake.
const MOST_SHARDS: u8 = 64;

/// The options behind an address.
fn shards(options: &str) -> Result<Option<u8>, String> {
    let mut shards = None;
    for option in options.split(BLANKS).filter(|option| !option.is_empty()) {
        let Some(number) = option.strip_prefix("shards=") else {
            let option = quoted(option);
            return Err(format!("{option} is no option of an address; shards=N is"));
        };
        let number = number.parse().ok();
        let Some(number) = number.filter(|number| (1..=MOST_SHARDS).contains(number)) else {
            return Err(format!("shards= takes a number from 1 to {MOST_SHARDS}"));
        };
        shards = Some(number);
    }
    Ok(shards)
}

/// The sockets at each of these addresses.
fn sharded(
    addresses: Vec<SocketAddr>,
    shards: Option<u8>,
) -> Result<impl Iterator<Item = Endpoint>, String> {
    // Without the option, and with shards=1, there is one socket, which nobody else may join.
    let numbers = match shards {
        None | Some(0 | 1) => 0..=0,
        Some(last) => 1..=last,
    };
    if numbers != (0..=0) && addresses.iter().any(|address| address.port() == 0) {
        return Err("shards= needs a port: 0 would give each socket another one".to_owned());
    }
    let each = move |address| {
        numbers
            .clone()
            .map(move |shard| Endpoint { address, shard })
    };
    Ok(addresses.into_iter().flat_map(each))
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
        Err(_) if ["udp", "tcp"].contains(&address) => Err(format!(
            "{} is no address; for every address write {address}://:{port}",
            quoted(address)
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
            (
                "udp://10.0.0.1 shards=2",
                &["udp://10.0.0.1:514#1", "udp://10.0.0.1:514#2"],
            ),
            ("tcp://10.0.0.1:601\tshards=1", &["tcp://10.0.0.1:601"]),
            (
                "10.0.0.1 shards=2",
                &["udp://10.0.0.1:514#1", "udp://10.0.0.1:514#2"],
            ),
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
            "udp://1.2.3.4 shards=0",
            "udp://1.2.3.4 shards=65",
            "udp://1.2.3.4 shards=two",
            "udp://1.2.3.4:0 shards=2",
            "udp://1.2.3.4 threads=2",
            "unix:///run/log shards=2",
        ] {
            assert!(listen_addresses(text).is_err(), "{text}");
        }
    }
}
