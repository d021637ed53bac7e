//! The work that `benches/instructions.sh` has callgrind count: each case runs in [`measured`], three
//! times, and a line says which case it was and how many messages it took.
//!
//! Counts of instructions do not depend on how busy the machine is, so that they can guard against
//! becoming slower little by little. An argument chooses the cases whose names contain it.

#![expect(clippy::print_stdout, reason = "what benches/instructions.sh reads")]

#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/rules.rs"]
mod rules;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/stream.rs"]
mod stream;
#[path = "support/table.rs"]
mod table;

use std::hint::black_box;

use bytes::BytesMut;
use pipeline::{BATCH, FORWARD, Pipeline, STRUCTURED, TEXT};
use rules::{By, DEBIAN, rules};
use samples::{Sample, hostile, longest, longest_structured, near_miss, ordinary};
use stream::{Framing, for_each_frame, framer, one_read};
use syslogd::format::{Formatter, Received, Shown, Template};
use syslogd::message::{Message, Sender};
use table::{table, taken};

fn main() {
    let chosen = std::env::args().nth(1).unwrap_or_default();
    let cases = Cases { chosen };
    parse(&cases);
    frame(&cases);
    route(&cases);
    format(&cases);
    whole(&cases);
    longest_messages(&cases);
}

/// The function that callgrind is told to watch. A loop, or else it would be a jump and have no end.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    for _ in 0..black_box(1) {
        work();
    }
}

/// Which cases to run.
struct Cases {
    chosen: String,
}

impl Cases {
    /// Runs a case that takes `messages` messages each time.
    fn case(&self, name: &str, messages: usize, mut work: impl FnMut()) {
        if !name.contains(&self.chosen) {
            return;
        }
        // Whatever is filled once, buffers and caches, is filled now.
        work();
        work();
        // The least of three counts is without whatever happens once a second.
        for _ in 0..3 {
            measured(&mut work);
            println!("{name} {messages}");
        }
    }
}

fn parse(cases: &Cases) {
    for sample in ordinary() {
        cases.case(&format!("parse_{sample}"), BATCH, || {
            for _ in 0..BATCH {
                black_box(Message::parse(black_box(&sample.octets), sample.sender()));
            }
        });
    }
}

fn frame(cases: &Cases) {
    let octets = &ordinary()[0].octets;
    for (name, framing) in [
        ("frame_lines", Framing::Lines),
        ("frame_counted", Framing::Counted),
    ] {
        let (read, count) = one_read(octets, framing);
        let mut framer = framer();
        cases.case(name, count, || {
            for_each_frame(&mut framer, black_box(&read), |frame| {
                black_box(frame);
            });
        });
    }
    // What a read of nothing but line ends costs, for each of as many messages as it could have been.
    for (name, end) in [("frame_nul", "\0"), ("frame_crlf", "\r\n")] {
        let read = end.repeat(count_of(octets, end)).into_bytes();
        let mut framer = framer();
        cases.case(name, BATCH, || {
            for_each_frame(&mut framer, black_box(&read), |frame| {
                black_box(frame);
            });
        });
    }
}

/// How many of these line ends are as long as a batch of this message.
fn count_of(octets: &[u8], end: &str) -> usize {
    octets.len() * BATCH / end.len()
}

fn route(cases: &Cases) {
    let octets = &ordinary()[0].octets;
    let message = Message::parse(octets, Sender::Local { hostname: b"h" });
    for (name, text) in [
        ("route_debian", DEBIAN.to_owned()),
        ("route_13", rules(By::Pri, 13)),
        ("route_1000", rules(By::Pri, 1000)),
        ("route_program_100", rules(By::Program, 100)),
        ("route_contains_100", rules(By::Text, 100)),
        ("route_icase_contains_100", rules(By::TextInAnyCase, 100)),
        ("route_regex_100", rules(By::Regex, 100)),
    ] {
        // Names are looked up by a hash with a random seed, and names that meet cost a comparison more: the
        // least of many seeds is the same each time.
        let seeds = if name == "route_program_100" { 32 } else { 1 };
        for _ in 0..seeds {
            let table = table(&text);
            let mut answers = table.answers();
            cases.case(name, BATCH, || {
                for _ in 0..BATCH {
                    black_box(taken(&table, &mut answers, black_box(&message)));
                }
            });
        }
    }
}

/// A layout for each kind of destination.
const TEMPLATES: [(&str, Template); 3] = [
    ("file", TEXT),
    ("file5424", STRUCTURED),
    ("forward", FORWARD),
];

fn format(cases: &Cases) {
    let shown = Shown {
        hostname: b"bastion",
        received: Received {
            seconds: 1_700_000_000,
            micros: 1,
        },
        always_received: false,
    };
    for sample in ordinary() {
        let message = Message::parse(&sample.octets, sample.sender());
        for (name, template) in TEMPLATES {
            let mut formatter = Formatter::default();
            let mut out = BytesMut::with_capacity(1 << 20);
            cases.case(&format!("format_{name}_{sample}"), BATCH, || {
                out.clear();
                for _ in 0..BATCH {
                    formatter.write(&mut out, black_box(&message), shown, template);
                }
            });
        }
    }
}

/// From octets to blocks.
fn whole(cases: &Cases) {
    for sample in ordinary() {
        whole_case(cases, &format!("pipeline_{sample}"), "*.* /log", &sample);
        whole_case(cases, &format!("pipeline_debian_{sample}"), DEBIAN, &sample);
    }
    for sample in ordinary() {
        for (name, framing) in [("lines", Framing::Lines), ("counted", Framing::Counted)] {
            let mut pipeline = Pipeline::new("*.* /log", TEXT);
            let (read, count) = one_read(&sample.octets, framing);
            let mut framer = framer();
            cases.case(&format!("stream_{name}_{sample}"), count, || {
                pipeline.stream(&mut framer, black_box(&read), sample.peer);
            });
        }
    }
}

fn whole_case(cases: &Cases, name: &str, rules: &str, sample: &Sample) {
    let mut pipeline = Pipeline::new(rules, TEXT);
    cases.case(name, BATCH, || {
        pipeline.datagrams(black_box(&sample.octets), BATCH, sample.peer);
    });
}

/// From octets to blocks, for the longest messages that there are; the script holds each against the
/// ordinary one.
fn longest_messages(cases: &Cases) {
    const FEW: usize = 4;
    for sample in [longest(), longest_structured()]
        .into_iter()
        .chain(hostile())
    {
        for (name, template) in TEMPLATES {
            let mut pipeline = Pipeline::new("*.* /log", template);
            cases.case(&format!("hostile_{name}_{sample}"), FEW, || {
                pipeline.datagrams(black_box(&sample.octets), FEW, sample.peer);
            });
        }
    }
    for (name, test) in [
        ("contains", "contains"),
        ("icase_contains", "icase_contains"),
        ("regex", "ereregex"),
    ] {
        let needle = "a".repeat(31);
        let rules = format!(":msg, {test}, \"{needle}b\"\n*.* /log\n");
        for sample in [longest(), near_miss()] {
            let mut pipeline = Pipeline::new(&rules, TEXT);
            cases.case(&format!("hostile_{name}_{sample}"), FEW, || {
                pipeline.datagrams(black_box(&sample.octets), FEW, sample.peer);
            });
        }
    }
}
