//! What choosing the lanes of one message costs, by the number of rules.

use std::fmt::Write as _;
use std::sync::Arc;

use divan::{Bencher, black_box};
use syslogd::config;
use syslogd::counters::OutputCounters;
use syslogd::format::{Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

fn main() {
    divan::main();
}

const RULES: [usize; 4] = [1, 13, 100, 1000];

const MESSAGE: &[u8] =
    b"<38>Oct 11 22:14:15 bastion sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2";

/// Routes the message through a table with one lane for all rules of `text`.
fn route(bencher: Bencher<'_, '_>, text: &str) {
    let config = config::parse_str("bench.conf", text).config;
    let lane = Lane {
        inbox: inbox(String::new(), 0, Arc::new(OutputCounters::default())).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::None,
        },
        local_only: false,
    };
    let one_lane = |_| Some(LaneId::from(0));
    let table = RoutingTable::compile(&config, vec![lane], one_lane, Policy::default());
    let message = Message::parse(MESSAGE, Sender::Remote);
    let scene = Scene {
        hostname: b"bastion",
        source: b"192.0.2.7",
        own_name: b"loghost",
        program: None,
    };
    let mut answers = table.answers();
    bencher.bench_local(|| {
        let mut picked = 0_u32;
        let message = black_box(&message);
        table.route(&mut answers, message, scene, true, Class::Message, |_| {
            picked += 1;
        });
        picked
    });
}

/// One rule takes it; the others are for other facilities.
#[divan::bench(args = RULES)]
fn by_pri(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = "auth.* /var/log/auth\n".to_owned();
    for rule in 1..rules {
        writeln!(text, "local{}.* /var/log/local", rule % 8).expect("memory");
    }
    route(bencher, &text);
}

/// Every rule takes its PRI, and the last one its program.
#[divan::bench(args = RULES)]
fn by_program(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = String::new();
    for rule in 1..rules {
        writeln!(text, "!prog{rule}\n*.* /var/log/prog").expect("memory");
    }
    text.push_str("!sshd\n*.* /var/log/sshd\n");
    route(bencher, &text);
}

/// Every rule takes its PRI, and none of them its text.
#[divan::bench(args = RULES)]
fn by_text(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = String::new();
    for rule in 0..rules {
        writeln!(text, ":msg, contains, \"word{rule}\"\n*.* /var/log/word").expect("memory");
    }
    route(bencher, &text);
}
