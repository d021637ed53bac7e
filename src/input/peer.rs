//! The names of remote peers: digits at first, what the PTR record says once a thread has asked.
//!
//! ```text
//! shard ─ name(addr) ─► memo of the last peer ─► shared table ─► digits, and a question ─► resolver thread
//! ```
//!
//! No name is waited for (sysklogd #81: five stalls of 2 s lost messages). The table is bounded, and
//! forgets after five minutes. A name is not confirmed by a forward lookup: it is what the holder of the
//! address claims. The `source` filter keeps the address.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The names of peers, shared by all shards.
#[derive(Clone, Debug)]
pub struct PeerNames {
    table: Arc<Table>,
    /// `None` with `-n`: nobody is asked.
    questions: Option<SyncSender<IpAddr>>,
}

/// What is left out of names.
#[derive(Clone, Debug, Default)]
pub struct Shortening {
    /// Hosts of these domains are shown without the domain.
    domains: Vec<String>,
    /// These hosts, by their whole names, are shown without any domain.
    hosts: Vec<String>,
}

impl Shortening {
    /// For the names as people write them, in either case and with dots around them.
    pub fn new<'n>(
        domains: impl IntoIterator<Item = &'n str>,
        hosts: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let plain = |name: &str| name.trim_matches('.').to_ascii_lowercase();
        let domains = domains.into_iter().map(plain);
        Self {
            domains: domains.filter(|domain| !domain.is_empty()).collect(),
            hosts: hosts.into_iter().map(plain).collect(),
        }
    }

    fn of<'n>(&self, name: &'n str) -> &'n str {
        if self.hosts.iter().any(|host| host == name) {
            return name.split('.').next().unwrap_or(name);
        }
        let without = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
        let mut short = self.domains.iter().filter_map(without);
        short.find(|short| !short.is_empty()).unwrap_or(name)
    }
}

/// How an address is turned into a name; `None` if it has none.
pub type Lookup = Box<dyn Fn(IpAddr) -> Option<String> + Send>;

/// A name, and until when it holds.
#[derive(Clone, Debug)]
struct Answer {
    shown: Arc<[u8]>,
    /// The whole name, for the access list; `None` if the address has none.
    full: Option<Arc<[u8]>>,
    until: Instant,
}

#[derive(Debug, Default)]
struct Table(RwLock<HashMap<IpAddr, Answer>>);

/// More names than this are not remembered.
const MOST_NAMES: usize = 4096;

/// Questions that may wait; more are not asked now.
const MOST_QUESTIONS: usize = 256;

/// How long an answer holds, also the answer that there is no name.
const TTL: Duration = Duration::from_secs(300);

/// How often a handle looks again for a name that it does not have yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl PeerNames {
    /// Names in digits only (`-n`).
    pub fn numeric() -> Self {
        Self {
            table: Arc::default(),
            questions: None,
        }
    }

    /// Names from the system's resolver, without what is left out of them.
    ///
    /// # Errors
    ///
    /// When the resolver's thread cannot be started.
    pub fn resolving(shortening: Shortening) -> io::Result<Self> {
        Self::with_lookup(
            shortening,
            Box::new(|addr| dns_lookup::lookup_addr(&addr).ok()),
        )
    }

    /// Names from `lookup`, which is called on a thread of its own that ends with the last handle.
    ///
    /// # Errors
    ///
    /// When that thread cannot be started.
    pub fn with_lookup(shortening: Shortening, lookup: Lookup) -> io::Result<Self> {
        let table = Arc::new(Table::default());
        let (questions, asked) = sync_channel(MOST_QUESTIONS);
        let answers = Arc::clone(&table);
        std::thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || resolve(&asked, &answers, &shortening, &lookup))?;
        Ok(Self {
            table,
            questions: Some(questions),
        })
    }

    /// A handle for one shard.
    pub fn handle(&self) -> PeerHandle {
        PeerHandle {
            names: self.clone(),
            last: None,
        }
    }
}

/// One shard's view of the names: remembers the last peer, so that a stream of its messages is cheap.
#[derive(Debug)]
pub struct PeerHandle {
    names: PeerNames,
    last: Option<(IpAddr, Answer)>,
}

impl PeerHandle {
    /// The name of a peer as a line shows it: its host name, or its address in digits. Never blocks on DNS.
    pub fn name(&mut self, addr: IpAddr, now: Instant) -> &[u8] {
        &self.answer(addr, now).shown
    }

    /// The whole host name of a peer with its domain, if it is known, for the access list.
    pub fn full_name(&mut self, addr: IpAddr, now: Instant) -> Option<&[u8]> {
        self.answer(addr, now).full.as_deref()
    }

    fn answer(&mut self, addr: IpAddr, now: Instant) -> &Answer {
        let known =
            matches!(&self.last, Some((known, answer)) if *known == addr && now < answer.until);
        if !known {
            self.last = None;
        }
        let names = &self.names;
        let (_, answer) = self
            .last
            .get_or_insert_with(|| (addr, names.look(addr.to_canonical(), now)));
        answer
    }
}

impl PeerNames {
    fn look(&self, addr: IpAddr, now: Instant) -> Answer {
        let known = self.table.find(addr);
        if let Some(answer) = &known
            && now < answer.until
        {
            return answer.clone();
        }
        let asked = match &self.questions {
            // A full channel is not an error: the name stays as it was, and is asked for in a second.
            Some(questions) => questions.try_send(addr).is_ok(),
            None => false,
        };
        tracing::trace!(%addr, asked, "peer's name is not known");
        Answer {
            until: now + LOOK_AGAIN,
            ..known.unwrap_or_else(|| Answer::digits(addr, now))
        }
    }
}

impl Answer {
    fn digits(addr: IpAddr, until: Instant) -> Self {
        Self {
            shown: addr.to_string().into_bytes().into(),
            full: None,
            until,
        }
    }

    fn of(addr: IpAddr, name: Option<&str>, shortening: &Shortening, until: Instant) -> Self {
        let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let Some(name) = name.filter(|name| is_printable(name)) else {
            return Self::digits(addr, until);
        };
        Self {
            shown: shortening.of(&name).as_bytes().into(),
            full: Some(name.as_bytes().into()),
            until,
        }
    }
}

/// Whether a PTR record may be shown: it must forge neither a blank, nor a line, nor another's address.
fn is_printable(name: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"._:%-".contains(&octet);
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(allowed)
        && name.parse::<IpAddr>().is_err()
}

impl Table {
    fn find(&self, addr: IpAddr) -> Option<Answer> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.get(&addr).cloned()
    }

    fn insert(&self, addr: IpAddr, answer: Answer, now: Instant) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST_NAMES && !table.contains_key(&addr) {
            table.retain(|_, known| now < known.until);
            if table.len() >= MOST_NAMES {
                table.clear();
            }
        }
        table.insert(addr, answer);
    }
}

/// The resolver's thread: answers questions until nobody can ask any more.
fn resolve(asked: &Receiver<IpAddr>, table: &Table, shortening: &Shortening, lookup: &Lookup) {
    for addr in asked {
        let now = Instant::now();
        // Several shards, or one shard several times, may have asked while we were busy.
        if table.find(addr).is_some_and(|known| now < known.until) {
            continue;
        }
        let name = lookup(addr);
        let now = Instant::now();
        table.insert(
            addr,
            Answer::of(addr, name.as_deref(), shortening, now + TTL),
            now,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 2));

    #[test]
    fn a_name_is_shown_in_lower_case_without_our_domain_or_not_at_all() {
        for (name, want) in [
            (Some("Gate.Example.COM"), "gate"),
            (Some("gate.example.com."), "gate"),
            (Some("gate.other.org"), "gate.other.org"),
            (Some("myexample.com"), "myexample.com"),
            (Some("example.com"), "example.com"),
            (Some("a b"), "10.9.0.2"),
            (Some("a\nNov 22 forged"), "10.9.0.2"),
            (Some("a/../b"), "10.9.0.2"),
            (Some("gät"), "10.9.0.2"),
            (Some("192.0.2.1"), "10.9.0.2"), // another's address
            (Some("::1"), "10.9.0.2"),
            (Some(""), "10.9.0.2"),
            (None, "10.9.0.2"),
        ] {
            let ours = Shortening::new(["example.com"], []);
            let answer = Answer::of(PEER, name, &ours, Instant::now());
            assert_eq!(String::from_utf8_lossy(&answer.shown), want, "{name:?}");
        }
    }

    #[test]
    fn names_are_shown_without_the_domains_and_for_the_hosts_that_were_listed() {
        let shortening =
            Shortening::new(["", "Example.com.", "lab.example.com"], ["Gate.Other.org"]);
        for (name, want) in [
            ("a.example.com", "a"),
            ("a.lab.example.com", "a.lab"), // the first that fits, as inetutils
            ("gate.other.org", "gate"),
            ("b.other.org", "b.other.org"),
            ("example.com", "example.com"),
        ] {
            assert_eq!(shortening.of(name), want, "{name}");
        }
    }

    #[test]
    fn v33_a_peer_is_digits_until_the_resolver_has_answered() {
        let (answer, answers) = sync_channel::<&str>(1);
        let (done, dones) = sync_channel(1);
        let lookup = move |addr| {
            done.send(addr).expect("the test listens");
            answers.recv().ok().map(str::to_owned)
        };
        let names = PeerNames::with_lookup(Shortening::new(["example.com"], []), Box::new(lookup))
            .expect("a thread");
        let (mut one, mut other) = (names.handle(), names.handle());
        let start = Instant::now();
        let mapped: IpAddr = "::ffff:10.9.0.2".parse().expect("an address");
        assert_eq!(one.name(mapped, start), b"10.9.0.2");
        assert_eq!(one.full_name(PEER, start), None);
        assert_eq!(dones.recv().expect("one question"), PEER);
        answer.send("gate.example.com").expect("the resolver waits");
        // A second question is looked up only when the first is in the table.
        let next: IpAddr = "10.9.0.3".parse().expect("an address");
        other.name(next, start);
        assert_eq!(dones.recv().expect("the second question"), next);

        assert_eq!(
            one.name(PEER, start),
            b"10.9.0.2",
            "remembered for a second"
        );
        assert_eq!(one.name(PEER, start + LOOK_AGAIN), b"gate");
        assert_eq!(other.full_name(PEER, start), Some(&b"gate.example.com"[..]));
        // Old, but better than digits while it is asked for again.
        assert_eq!(one.name(PEER, start + 2 * TTL), b"gate");
    }

    #[test]
    fn the_table_is_bounded() {
        let table = Table::default();
        let now = Instant::now();
        for number in 0..10_000_u32 {
            let addr = IpAddr::from(number.to_be_bytes());
            table.insert(addr, Answer::digits(addr, now + TTL), now);
        }
        assert!(table.0.read().expect("sound").len() <= MOST_NAMES);
    }

    #[test]
    fn with_n_a_peer_stays_in_digits() {
        let mut handle = PeerNames::numeric().handle();
        assert_eq!(
            handle.name("::1".parse().expect("an address"), Instant::now()),
            b"::1"
        );
        assert_eq!(handle.name(PEER, Instant::now()), b"10.9.0.2");
    }
}
