//! What one message costs from its octets to the open blocks: parse, route, format.

use std::sync::Arc;
use std::time::Instant;

use divan::{Bencher, black_box, counter::ItemsCount};
use syslogd::config;
use syslogd::format::{Escape, Escaping, Layout, Received, Template};
use syslogd::message::{Message, Sender};
use syslogd::route::filter::Scene;
use syslogd::route::inbox::{Next, Order, Orders, inbox};
use syslogd::route::lanes::{Lanes, Which};
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

fn main() {
    divan::main();
}

/// So many messages are one receive batch.
const BATCH: usize = 32;

const RFC3164: &[u8] =
    b"<38>Oct 11 22:14:15 sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";
const RFC5424: &[u8] = b"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER - order 1234567 was paid by card";

/// Lanes behind `text`, a layout for each rule, and the receiving ends of their inboxes.
fn lanes(text: &str, layouts: &[Layout]) -> (Lanes, Vec<Orders>) {
    let loaded = config::parse_files(&[("syslog.conf", text)]);
    let (mut lanes, mut inboxes) = (Vec::new(), Vec::new());
    for layout in layouts {
        let (inbox, orders) = inbox("nowhere".into(), 1 << 20, Arc::default());
        let escaping = Escaping::Text(Escape::Octal);
        let template = Template {
            layout: *layout,
            escaping,
        };
        lanes.push(Lane {
            inbox,
            template,
            local_only: false,
        });
        inboxes.push(orders);
    }
    let lane_of = |rule| Some(LaneId::from(rule));
    let table = RoutingTable::compile(&loaded.config, lanes, lane_of, Policy::default());
    (Lanes::new(Arc::new(table)), inboxes)
}

fn deliver(bencher: Bencher<'_, '_>, octets: &[u8], lanes: (Lanes, Vec<Orders>)) {
    let (mut lanes, inboxes) = lanes;
    let hostname = b"bastion";
    let scene = Scene {
        hostname,
        source: hostname,
        own_name: hostname,
    };
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let received = Received::now();
        for _ in 0..BATCH {
            let message = Message::parse(black_box(octets), Sender::Local { hostname });
            lanes.deliver(&message, scene, true, Class::Message, received);
        }
        lanes.hand_over(Which::All, |_, _| false);
        // The worker that writes nowhere, and gives the block back.
        for orders in &inboxes {
            if let Next::Order(Order::Write(block)) = orders.next(Some(Instant::now())) {
                orders.counters().write(block.len() as u64, 0);
                orders.recycle(block);
            }
        }
    });
}

#[divan::bench]
fn rfc3164_to_one_file(bencher: Bencher<'_, '_>) {
    deliver(
        bencher,
        RFC3164,
        lanes("*.*\t/file\n", &[Layout::Traditional]),
    );
}

#[divan::bench]
fn rfc5424_to_one_file(bencher: Bencher<'_, '_>) {
    deliver(
        bencher,
        RFC5424,
        lanes("*.*\t/file\n", &[Layout::Traditional]),
    );
}

#[divan::bench]
fn to_three_files_of_one_form(bencher: Bencher<'_, '_>) {
    let text = "*.*\t/a\n*.*\t/b\n*.info\t/c\n";
    deliver(bencher, RFC3164, lanes(text, &[Layout::Traditional; 3]));
}

#[divan::bench]
fn to_a_file_and_two_forwards(bencher: Bencher<'_, '_>) {
    let text = "*.*\t/a\n*.*\t@192.0.2.1\n*.*\t@192.0.2.2\n";
    let layouts = [
        Layout::Traditional,
        Layout::ForwardRfc3164,
        Layout::ForwardRfc5424,
    ];
    deliver(bencher, RFC3164, lanes(text, &layouts));
}

#[divan::bench]
fn to_nobody(bencher: Bencher<'_, '_>) {
    deliver(
        bencher,
        RFC3164,
        lanes("mail.=debug\t/a\n", &[Layout::Traditional]),
    );
}
