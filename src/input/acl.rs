//! The peer access list (`-a`): which remote senders are heard.
//!
//! ```text
//! -a 10.0.0.0/8          UDP from source port 514, and TCP from any port
//! -a [2001:db8::]/32:*   from any source port
//! -a 10.9.0.1:syslog     a service name or a number: that source port only
//! -a *.example.com:*     by name, as the address was resolved
//! ```
//!
//! An empty list hears everyone; any other hears only whom it names, and fails closed: a peer whose name
//! is not known (yet, or with `-n`) matches no name. A name is what the peer's PTR record says, and
//! whoever holds the address writes that: prefer addresses. TCP ignores ports, as they are never 514.

use std::net::{IpAddr, SocketAddr};

use glob::{MatchOptions, Pattern};

/// How a peer sent its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// In a datagram: its source port counts.
    Udp,
    /// On a connection: its source port means nothing.
    Tcp,
}

/// The peers that are heard.
#[derive(Clone, Debug, Default)]
pub struct AccessList(Vec<Peer>);

#[derive(Clone, Debug)]
struct Peer {
    who: Who,
    port: Port,
}

#[derive(Clone, Debug)]
enum Who {
    Network { network: IpAddr, length: u8 },
    Named(Pattern),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Port {
    Any,
    Only(u16),
}

/// The service `syslog` (RFC 5426 3.3).
const SYSLOG: u16 = 514;

const IGNORE_CASE: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

impl AccessList {
    /// The list of these `-a` arguments; none hears everyone.
    ///
    /// # Errors
    ///
    /// A sentence for each argument that is no peer, separated by line feeds.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let (peers, errors): (Vec<_>, Vec<_>) = arguments
            .iter()
            .map(|argument| Peer::parse(argument).map_err(|what| format!("-a {argument}: {what}")))
            .partition(Result::is_ok);
        let errors: Vec<String> = errors.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() {
            Ok(Self(peers.into_iter().filter_map(Result::ok).collect()))
        } else {
            Err(errors.join("\n"))
        }
    }

    /// Whether a message from `peer` is heard; `name` is the peer's full name, if it is known.
    pub fn allows(&self, peer: SocketAddr, carrier: Carrier, name: Option<&[u8]>) -> bool {
        let address = peer.ip().to_canonical();
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        self.0.is_empty()
            || self.0.iter().any(|one| {
                one.port.takes(peer.port(), carrier)
                    && match &one.who {
                        Who::Network { network, length } => within(address, *network, *length),
                        // An address in digits is no name: `*` must not take it.
                        Who::Named(glob) => name.is_some_and(|name| {
                            name.parse::<IpAddr>().is_err() && glob.matches_with(name, IGNORE_CASE)
                        }),
                    }
            })
    }

    /// Whether a peer's name can matter.
    pub fn needs_names(&self) -> bool {
        self.0.iter().any(|one| match one.who {
            Who::Named(_) => true,
            Who::Network { .. } => false,
        })
    }
}

impl Port {
    fn takes(self, port: u16, carrier: Carrier) -> bool {
        match (carrier, self) {
            (Carrier::Tcp, _) | (Carrier::Udp, Self::Any) => true,
            (Carrier::Udp, Self::Only(only)) => port == only,
        }
    }

    fn parse(service: &str) -> Result<Self, String> {
        match service {
            "*" => Ok(Self::Any),
            "syslog" => Ok(Self::Only(SYSLOG)),
            _ => match service.parse() {
                Ok(port) if port != 0 => Ok(Self::Only(port)),
                Ok(_) | Err(_) => service_port(service).map(Self::Only).ok_or_else(|| {
                    format!("unknown port \"{service}\"; use a number, a UDP service, or *")
                }),
            },
        }
    }
}

/// The port of a UDP service in services(5).
fn service_port(service: &str) -> Option<u16> {
    let services = std::fs::read_to_string("/etc/services").ok()?;
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let name = words.next()?;
        let port = words.next()?.strip_suffix("/udp")?;
        (name == service || words.any(|alias| alias == service))
            .then(|| port.parse().ok())
            .flatten()
    })
}

impl Peer {
    fn parse(argument: &str) -> Result<Self, String> {
        if argument.starts_with('/') {
            return Err(format!(
                "a path is no peer; to receive on another socket write --extra-socket={argument}"
            ));
        }
        let (host, rest) = split(argument)?;
        let (length, port) = match rest.split_once(':') {
            Some((length, port)) => (length, Port::parse(port)?),
            None => (rest, Port::Only(SYSLOG)),
        };
        let Ok(address) = host.parse::<IpAddr>() else {
            if !length.is_empty() {
                return Err("a mask needs an address before it".to_owned());
            }
            if host.is_empty() || host.contains(':') {
                return Err("neither an address nor a name".to_owned());
            }
            let glob = Pattern::new(host).map_err(|error| error.msg.to_owned())?;
            return Ok(Self {
                who: Who::Named(glob),
                port,
            });
        };
        let who = network(address, length)?;
        Ok(Self { who, port })
    }
}

/// Splits a peer into its host and what follows: `/len`, `:port`, or both.
fn split(argument: &str) -> Result<(&str, &str), String> {
    if let Some(inner) = argument.strip_prefix('[')
        && let Some((host, rest)) = inner.split_once(']')
        && host.contains(':')
    {
        return match rest.chars().next() {
            None | Some('/' | ':') => Ok((host, rest)),
            Some(_) => Err("only /LENGTH or :PORT may follow the bracket".to_owned()),
        };
    }
    let end = match argument.find('/') {
        Some(slash) => slash,
        // Two colons before a mask or the end: an IPv6 address without brackets, thus without a port.
        None if argument.matches(':').count() > 1 => argument.len(),
        None => argument.find(':').unwrap_or(argument.len()),
    };
    Ok(argument.split_at(end))
}

/// The network of an address; without a length only that address.
fn network(address: IpAddr, length: &str) -> Result<Who, String> {
    let widest: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length = match length.strip_prefix('/') {
        None => widest,
        Some(length) => match length.parse() {
            Ok(length) if length <= widest => length,
            Ok(_) | Err(_) => {
                return Err(format!("the mask must be /0 to /{widest}, not /{length}"));
            }
        },
    };
    // A mapped network is the IPv4 network within it: peers are compared in that form.
    let (network, length) = match (address.to_canonical(), address) {
        (IpAddr::V4(v4), IpAddr::V6(_)) if length >= 96 => (IpAddr::V4(v4), length - 96),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => (address, length),
    };
    Ok(Who::Network { network, length })
}

fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let length = u32::from(length);
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let differ = a.to_bits() ^ n.to_bits();
            differ.leading_zeros() >= length
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let differ = a.to_bits() ^ n.to_bits();
            differ.leading_zeros() >= length
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(arguments: &[&str]) -> Result<AccessList, String> {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        AccessList::parse(&arguments)
    }

    #[test]
    fn a_peer_is_heard_by_network_and_source_port() {
        use Carrier::{Tcp, Udp};
        for (argument, peer, carrier, want) in [
            ("10.0.0.0/8", "10.1.2.3:514", Udp, true),
            ("10.0.0.0/8", "10.1.2.3:5140", Udp, false), // no port means 514
            ("10.0.0.0/8", "10.1.2.3:5140", Tcp, true),
            ("10.0.0.0/8", "11.1.2.3:514", Udp, false),
            ("10.0.0.0/8", "11.1.2.3:514", Tcp, false),
            ("10.0.0.0/8:*", "10.1.2.3:5140", Udp, true),
            ("10.0.0.0/8:99", "10.1.2.3:99", Udp, true),
            ("10.0.0.0/8:99", "10.1.2.3:514", Udp, false),
            ("10.0.0.1:syslog", "10.0.0.1:514", Udp, true),
            ("10.0.0.1", "10.0.0.2:514", Udp, false),
            ("10.1.2.3/8", "10.9.9.9:514", Udp, true), // host bits do not count
            ("0.0.0.0/0:*", "192.0.2.1:9", Udp, true),
            ("0.0.0.0/0:*", "[2001:db8::1]:9", Udp, false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:514", Udp, true), // mapped
            ("::ffff:10.0.0.0/104", "10.1.2.3:514", Udp, true),
            ("2001:db8::/32", "[2001:db8::1]:514", Udp, true),
            ("2001:db8::/32:*", "[2001:db8::1]:9", Udp, true),
            ("2001:db8::1", "[2001:db8::1]:514", Udp, true),
            ("[2001:db8::]/32:*", "[2001:db8::1]:9", Udp, true),
            ("[2001:db8::1]:99", "[2001:db8::1]:99", Udp, true),
            ("[2001:db8::1]", "[2001:db8::2]:514", Udp, false),
            ("::/0:*", "[2001:db8::1]:9", Udp, true),
            ("*:*", "10.0.0.1:514", Udp, false), // a name, and none is known
        ] {
            let list = list(&[argument]).expect(argument);
            let peer = peer.parse().expect(peer);
            assert_eq!(
                list.allows(peer, carrier, None),
                want,
                "{argument} {peer} {carrier:?}"
            );
        }
    }

    #[test]
    fn a_name_is_matched_as_far_as_it_is_known() {
        let peer = "10.0.0.1:514".parse().expect("an address");
        for (argument, name, want) in [
            ("*.example.com", Some(&b"a.example.com"[..]), true),
            ("*.example.com", Some(b"A.EXAMPLE.COM"), true),
            ("*.example.com", Some(b"example.com"), false),
            ("*.example.com", Some(b"a.example.com.evil"), false),
            ("*.example.com", None, false),
            ("*.example.com", Some(b"\xff.example.com"), false),
            ("gate", Some(b"gate"), true),
            ("gate:99", Some(b"gate"), false),
            ("[ab].example.com", Some(b"b.example.com"), true),
            ("*", Some(b"10.0.0.1"), false),
        ] {
            let list = list(&[argument]).expect(argument);
            assert!(list.needs_names(), "{argument}");
            assert_eq!(
                list.allows(peer, Carrier::Udp, name),
                want,
                "{argument} {name:?}"
            );
        }
    }

    #[test]
    fn an_empty_list_hears_everyone_and_any_other_only_whom_it_names() {
        let peer = "10.0.0.1:9".parse().expect("an address");
        assert!(AccessList::default().allows(peer, Carrier::Udp, None));
        let two = list(&["10.9.0.0/16", "10.0.0.1:*"]).expect("two peers");
        assert!(two.allows(peer, Carrier::Udp, None));
        assert!(!two.needs_names());
    }

    #[test]
    fn every_bad_argument_is_reported() {
        for argument in [
            "",
            ":514",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0.1:70000",
            "10.0.0.1:0",
            "10.0.0.1:",
            "10.0.0.1:no-such-service",
            "name/8",
            "[::1]x",
            "[::1",
            "a[",
            "[::1]:",
            "1:2:3",
        ] {
            assert!(list(&[argument]).is_err(), "{argument}");
        }
        let errors = list(&["10.0.0.0/33", "10.0.0.1", "name/8"]).expect_err("two are bad");
        assert_eq!(
            errors,
            "-a 10.0.0.0/33: the mask must be /0 to /32, not /33\n\
             -a name/8: a mask needs an address before it"
        );
    }
}
