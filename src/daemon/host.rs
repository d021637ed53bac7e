//! The name of this host, as lines of the log show it.
//!
//! It is read at start and at each reload, from the kernel and /etc/hosts: never from the network, so
//! that a dead name server cannot hold the log.

use std::net::IpAddr;

/// The name of this host, without and with its domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostName {
    short: String,
    full: String,
}

impl HostName {
    /// Asks the kernel, and /etc/hosts for the domain. A host without a usable name is `localhost`.
    pub fn read() -> Self {
        let name = nix::unistd::gethostname().unwrap_or_default();
        let hosts = std::fs::read("/etc/hosts").unwrap_or_default();
        Self::of(&name.to_string_lossy(), &String::from_utf8_lossy(&hosts))
    }

    /// The name up to its first dot, as every syslogd prints it.
    pub fn short(&self) -> &str {
        &self.short
    }

    /// The name with its domain, where that is known.
    pub fn full(&self) -> &str {
        &self.full
    }

    fn of(name: &str, hosts: &str) -> Self {
        // RFC 5424 6: a HOSTNAME has 1 to 255 printable US-ASCII octets, and a line cannot show others.
        let usable = (1..=255).contains(&name.len())
            && name.bytes().all(|octet| octet.is_ascii_graphic())
            && !name.starts_with('.');
        let name = if usable { name } else { "localhost" };
        if name.parse::<IpAddr>().is_ok() {
            return Self::named(name, name);
        }
        match name.split_once('.') {
            Some((short, _)) => Self::named(short, name),
            None => Self::named(name, in_hosts(name, hosts).unwrap_or(name)),
        }
    }

    fn named(short: &str, full: &str) -> Self {
        Self {
            short: short.to_owned(),
            full: full.to_owned(),
        }
    }
}

/// The name with a domain that stands in a line of hosts(5) together with this short name.
fn in_hosts<'a>(short: &str, hosts: &'a str) -> Option<&'a str> {
    hosts.lines().find_map(|line| {
        let entry = line.split('#').next().unwrap_or_default();
        let mut names = entry.split_ascii_whitespace().skip(1);
        let is_ours = names.clone().any(|name| name == short);
        names.find(|name| {
            is_ours
                && name
                    .split_once('.')
                    .is_some_and(|(first, _)| first == short)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_comes_from_the_kernel_or_from_etc_hosts() {
        let hosts = "127.0.0.1 localhost\n\
                     # 10.0.0.1 web.commented.example web\n\
                     10.0.0.2\tother.example.org web.wrong other\n\
                     10.0.0.3\tweb.example.org web # web.comment web\n";
        for (name, short, full) in [
            ("web.example.net", "web", "web.example.net"),
            ("web", "web", "web.example.org"),
            ("mail", "mail", "mail"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.7"), // an address has no domain
            ("fe80::1", "fe80::1", "fe80::1"),
            ("", "localhost", "localhost"),
            (".example", "localhost", "localhost"),
            ("two words", "localhost", "localhost"),
            ("line\nfeed", "localhost", "localhost"),
        ] {
            let got = HostName::of(name, hosts);
            assert_eq!((got.short(), got.full()), (short, full), "{name:?}");
        }
    }

    #[test]
    fn this_host_has_a_name() {
        assert!(!HostName::read().short().is_empty());
    }
}
