//! All that a datagram goes through, from a real socket down to the block that a file's worker writes.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use syslogd::block::Block;
use syslogd::budget::Budget;
use syslogd::config;
use syslogd::counters::{InputCounters, OutputCounters, Rejection};
use syslogd::format::{Escape, Escaping, Layout, Template, bsd_stamp};
use syslogd::input::acl::AccessList;
use syslogd::input::backlog::Backlog;
use syslogd::input::bell::Bell;
use syslogd::input::datagram::{Drain, Network, Origin, Overflow};
use syslogd::input::denials::Denials;
use syslogd::input::fairness::Fairness;
use syslogd::input::peer::PeerNames;
use syslogd::input::shard::Shard;
use syslogd::message::{Flag, Message, Sender, Timestamp, trim};
use syslogd::output::Hands;
use syslogd::output::repeat::{Head, Repeats, Style};
use syslogd::pri::Pri;
use syslogd::route::inbox::{self, Next, Order};
use syslogd::route::{Lane, LaneId, Policy, RoutingTable};

/// Where a datagram comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    /// A process of this host.
    Local,
    /// 127.0.0.1, written as 192.0.2.7.
    Remote,
}

/// The circumstances under which datagrams arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    /// Where they come from.
    pub(crate) place: Where,
    /// Our own name.
    pub(crate) hostname: &'a str,
    /// A time from then on is "now".
    pub(crate) since: SystemTime,
}

/// What became of some datagrams.
#[derive(Debug)]
pub(crate) struct Seen {
    /// `facility.severity  time host text$`; the time is "now", or in UTC where its sender named a zone.
    pub(crate) lines: Vec<String>,
    /// The counters that say that something was odd.
    pub(crate) counted: String,
}

/// Sends datagrams to a socket, and does a drain thread's work until nothing is left in it.
pub(crate) fn receive(circumstances: Circumstances<'_>, datagrams: &[Vec<u8>]) -> Seen {
    let Circumstances {
        place,
        hostname,
        since,
    } = circumstances;
    let (inbox, orders) = inbox::inbox("file".into(), 1 << 20, Arc::new(OutputCounters::default()));
    let counters = Arc::new(InputCounters::default());
    let (socket, origin) = sent(place, datagrams);
    let live = Arc::new(ArcSwap::from_pointee(table(inbox, hostname)));
    let bell = Bell::new().expect("descriptors are left");
    bell.stop();
    let drain = Drain {
        socket,
        shard: Shard::new(Arc::clone(&live), &PeerNames::numeric()),
        counters: Arc::clone(&counters),
        bell,
        origin,
        may_help: false,
    };
    let ended = drain.start(Arc::new(Hands::default()));
    let ended = ended.expect("threads are left").recv();
    assert_eq!(ended, Ok(0), "nothing was dropped");
    live.store(Arc::new(RoutingTable::empty()));
    assert!(counters.balance());
    assert_eq!(counters.received.get(), datagrams.len() as u64);

    let seconds = since.elapsed().unwrap_or_default().as_secs() + 1;
    let seconds = (0..=seconds).map(|second| bsd_stamp(since + Duration::from_secs(second)));
    let now: Vec<String> = seconds.collect();
    let zoned = datagrams.iter().find_map(|datagram| instant(datagram));
    let mut lines = Vec::new();
    for block in written(&orders) {
        for entry in block.iter() {
            lines.push(shown(entry.pri, entry.octets, &now, zoned));
        }
    }
    Seen {
        lines,
        counted: counted(&counters),
    }
}

fn sent(place: Where, datagrams: &[Vec<u8>]) -> (OwnedFd, Origin) {
    match place {
        Where::Local => {
            let (ours, theirs) = UnixDatagram::pair().expect("descriptors are left");
            for datagram in datagrams {
                theirs.send(datagram).expect("there is room");
            }
            (
                ours.into(),
                Origin::Local(Fairness::new(String::new(), Budget::default())),
            )
        }
        Where::Remote => {
            let ours = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback interface");
            let theirs = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback interface");
            let address = ours.local_addr().expect("it is bound");
            for datagram in datagrams {
                theirs.send_to(datagram, address).expect("there is room");
            }
            let origin = Origin::Network(Network {
                gate: Arc::new(AccessList::parse(&[]).expect("an empty list")),
                denials: Denials::new("udp".into()),
                overflow: Overflow::new("udp".into(), 0),
                backlog: Backlog::new(&Budget::default()),
            });
            (ours.into(), origin)
        }
    }
}

/// All messages into one file, in the traditional form.
fn table(inbox: inbox::Inbox, hostname: &str) -> RoutingTable {
    let config = config::parse_str("odd_input", "*.* /odd_input\n").config;
    let template = Template {
        layout: Layout::Traditional,
        escaping: Escaping::Text(Escape::Octal),
    };
    let lane = Lane {
        inbox,
        template,
        local_only: false,
        remote: None,
    };
    let policy = Policy {
        hostname: hostname.into(),
        ..Policy::default()
    };
    RoutingTable::compile(&config, vec![lane], |_| Some(LaneId::from(0)), policy)
}

/// The blocks that a file's worker would write, repeats folded.
fn written(orders: &inbox::Orders) -> Vec<Block> {
    let now = Instant::now();
    let style = Style {
        stamp: bsd_stamp,
        head: Head::Traditional,
    };
    let mut repeats = Repeats::new(style, now);
    let mut blocks = Vec::new();
    while !orders.is_empty() {
        if let Next::Order(Order::Write(block)) = orders.next(None) {
            blocks.push(repeats.fold(block, now).block);
        }
    }
    blocks.extend(repeats.flush(now).map(|(block, _)| block));
    blocks
}

/// When a message with a zone was made, in seconds.
fn instant(datagram: &[u8]) -> Option<u64> {
    match Message::parse(trim(datagram), Sender::Remote).timestamp()? {
        Timestamp::Instant { seconds, .. } => u64::try_from(seconds).ok(),
        Timestamp::Civil(_) => None,
    }
}

/// One of [`Seen::lines`].
fn shown(pri: Pri, octets: &[u8], now: &[String], zoned: Option<u64>) -> String {
    let text = std::str::from_utf8(octets).expect("a file gets UTF-8");
    let text = text
        .strip_suffix('\n')
        .expect("a record ends with a line feed");
    assert!(!text.contains('\n'), "one record is one line: {text:?}");
    let (stamp, rest) = text.split_at(16);
    let zoned =
        zoned.filter(|seconds| bsd_stamp(UNIX_EPOCH + Duration::from_secs(*seconds)) == stamp);
    let stamp = if now.iter().any(|now| now == stamp) {
        "now ".into()
    } else if let Some(seconds) = zoned {
        let seconds = i64::try_from(seconds).expect("it was positive");
        let time = chrono::DateTime::from_timestamp(seconds, 0).expect("it was parsed");
        time.format("%Y-%m-%dT%H:%M:%SZ ").to_string()
    } else {
        stamp.into()
    };
    let rest = rest
        .replacen("127.0.0.1", "192.0.2.7", 1)
        .replace('\t', "\\t");
    let (facility, severity) = (pri.facility().name(), pri.severity().name());
    format!("{facility}.{severity}  {stamp}{rest}$")
}

fn counted(counters: &InputCounters) -> String {
    let flags = Flag::ALL.map(|flag| (flag.name(), counters.noted(flag).get()));
    let others = [
        ("empty", counters.rejected(Rejection::Empty).get()),
        ("truncated", counters.truncated.get()),
        ("kern_remapped", counters.kern_remapped.get()),
    ];
    let counted = flags.iter().chain(&others).filter(|(_, count)| *count > 0);
    counted.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}
