//! What a message costs from its octets to the blocks that a worker takes: parse, route, format, hand over.
//!
//! The kernel and the disk are left out. A batch is 64 messages, as a receive batch is.

use std::sync::Arc;

use arc_swap::ArcSwap;
use divan::{Bencher, black_box, counter::ItemsCount};
use syslogd::config;
use syslogd::counters::OutputCounters;
use syslogd::format::{Escape, Escaping, Layout, Template};
use syslogd::input::peer::PeerNames;
use syslogd::input::shard::{Peer, Shard, Tally};
use syslogd::route::inbox::{Next, Order, Orders, inbox};
use syslogd::route::{Lane, LaneId, Policy, RoutingTable};

fn main() {
    divan::main();
}

/// The classic rules of Debian, without its printers.
const RULES: &str = "\
auth,authpriv.*                 /var/log/auth.log
*.*;auth,authpriv.none          -/var/log/syslog
cron.*                          /var/log/cron.log
daemon.*                        -/var/log/daemon.log
kern.*                          -/var/log/kern.log
mail.*                          -/var/log/mail.log
user.*                          -/var/log/user.log
mail.info                       -/var/log/mail.info
mail.warn                       -/var/log/mail.warn
mail.err                        /var/log/mail.err
*.=debug;auth,authpriv.none;mail.none                   -/var/log/debug
*.=info;*.=notice;*.=warn;auth,authpriv.none;cron,daemon.none;mail.none     -/var/log/messages
*.emerg                         *
";

/// How many messages are received at once.
const BATCH: usize = 64;

/// A shard with a lane for each rule, and the workers' ends of their queues.
fn shard() -> (Shard, Vec<Orders>) {
    let config = config::parse_str("debian.conf", RULES).config;
    let (lanes, orders) = (0..config.rules.len())
        .map(|_| {
            let (inbox, orders) =
                inbox(String::new(), 1 << 20, Arc::new(OutputCounters::default()));
            let template = Template {
                layout: Layout::Traditional,
                escaping: Escaping::Text(Escape::Octal),
            };
            let lane = Lane {
                inbox,
                template,
                local_only: false,
            };
            (lane, orders)
        })
        .unzip();
    let policy = Policy {
        hostname: b"loghost".to_vec(),
        ..Policy::default()
    };
    let table = RoutingTable::compile(&config, lanes, |rule| Some(LaneId::from(rule)), policy);
    let live = Arc::new(ArcSwap::from_pointee(table));
    (Shard::new(live, &PeerNames::numeric()), orders)
}

fn pipeline(bencher: Bencher<'_, '_>, octets: &[u8], peer: Peer) {
    let (mut shard, orders) = shard();
    let mut tally = Tally::default();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        shard.begin();
        for _ in 0..BATCH {
            shard.take(black_box(octets), 0, peer, &mut tally);
        }
        shard.before_sleep();
        let mut written = 0;
        for orders in orders.iter().filter(|orders| !orders.is_empty()) {
            if let Next::Order(Order::Write(block)) = orders.next(None) {
                written += block.octets().len();
                orders.recycle(block);
            }
        }
        written
    });
}

fn remote() -> Peer {
    Peer::Remote(([192, 0, 2, 7], 514).into())
}

/// One lane takes it.
#[divan::bench]
fn rfc3164_local(bencher: Bencher<'_, '_>) {
    let octets =
        b"<38>Oct 11 22:14:15 sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";
    pipeline(bencher, octets, Peer::Local);
}

/// Three lanes take it.
#[divan::bench]
fn rfc3164_three_lanes(bencher: Bencher<'_, '_>) {
    let octets = b"<14>Oct 11 22:14:15 backup[812]: 1234 files, 56789012 octets, 0 errors";
    pipeline(bencher, octets, Peer::Local);
}

/// Two lanes take it.
#[divan::bench]
fn rfc5424_remote(bencher: Bencher<'_, '_>) {
    let octets = b"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER [order@32473 id=\"1234567\"] order 1234567 was paid by card in 213 ms";
    pipeline(bencher, octets, remote());
}

/// A kilobyte of octets that must all be escaped, for two lanes.
#[divan::bench]
fn hostile(bencher: Bencher<'_, '_>) {
    let octets = [
        &b"<165>Oct 11 22:14:15 web7 shop: "[..],
        &b"\x1b\n\xff\xe2\x80\xae".repeat(171),
    ]
    .concat();
    pipeline(bencher, &octets, remote());
}
