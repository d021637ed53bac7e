//! What finding the lanes of one message costs, by the number of rules.

use std::fmt::Write as _;
use std::sync::Arc;

use divan::{Bencher, black_box};
use syslogd::config;
use syslogd::format::{Escape, Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

fn main() {
    divan::main();
}

/// Rules of which the first takes the message and no other does, whatever their number.
fn selectors(rules: usize) -> String {
    let mut text = "auth.info\t/file\n".to_owned();
    for rule in 1..rules {
        writeln!(text, "local{}.=debug\t/file{rule}", rule % 8).expect("a String takes all");
    }
    text
}

/// Rules whose selectors all take the message, so that each filter is asked.
fn programs(rules: usize) -> String {
    let mut text = String::new();
    for rule in 0..rules {
        writeln!(text, "!program{rule}\n*.*\t/file{rule}").expect("a String takes all");
    }
    text
}

fn table(text: &str) -> RoutingTable {
    let loaded = config::parse_files(&[("syslog.conf", text)]);
    let lane = |_| Lane {
        inbox: inbox("nowhere".into(), 1 << 20, Arc::default()).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::Text(Escape::Octal),
        },
        local_only: false,
    };
    let lanes = loaded.config.rules.iter().map(lane).collect();
    let lane_of = |rule| Some(LaneId::from(rule));
    RoutingTable::compile(&loaded.config, lanes, lane_of, Policy::default())
}

fn route(bencher: Bencher<'_, '_>, text: &str) {
    let table = table(text);
    let message = Message::parse(
        b"<38>Oct 11 22:14:15 bastion sshd[4711]: Accepted",
        Sender::Remote,
    );
    let scene = Scene {
        hostname: b"bastion",
        source: b"192.0.2.1",
        own_name: b"loghost",
    };
    bencher.bench_local(|| {
        let mut lanes = 0;
        table.route(black_box(&message), scene, false, Class::Message, |_| {
            lanes += 1;
        });
        lanes
    });
}

#[divan::bench(args = [1, 13, 100, 1000])]
fn by_pri(bencher: Bencher<'_, '_>, rules: usize) {
    route(bencher, &selectors(rules));
}

#[divan::bench(args = [1, 13, 100, 1000])]
fn by_program(bencher: Bencher<'_, '_>, rules: usize) {
    route(bencher, &programs(rules));
}

#[divan::bench(args = [1, 13, 100, 1000])]
fn compile(bencher: Bencher<'_, '_>, rules: usize) {
    let text = selectors(rules);
    bencher.bench_local(|| table(black_box(&text)));
}
