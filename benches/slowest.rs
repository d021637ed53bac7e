//! Looks for the slowest input of each parser: what costs the most instructions for an octet.
//!
//! ```text
//! unit "a\x1b" ─► prefix + a ESC a ESC a ESC … (1 KiB) ─► measured() ─► instructions, as callgrind dumped them
//!   ▲                                                                        │
//!   └──────────────── changed a little, kept if it costs no less ◄───────────┘
//! ```
//!
//! Run by `benches/slowest.sh`, inside of callgrind: the count of each try is in the file that callgrind
//! writes when [`measured`] returns. Counts are exact, so that a climb never mistakes noise for a step. What
//! repeats can be made as long as any message, and shows what is dearest in the long run.

#![expect(clippy::print_stdout, reason = "what it is for")]

#[path = "support/samples.rs"]
mod samples;
#[path = "support/table.rs"]
mod table;

use std::env;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::frame::{Framer, Step};
use syslogd::input::MAX_MESSAGE;
use syslogd::message::{Message, Sender};
use table::{table, taken};

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().unwrap_or_default();
    let (dumps, seconds, seed, chosen) = (next(), next(), next(), next());
    let mut counter = Counter { dumps, number: 0 };
    let seconds = seconds.parse().unwrap_or(60);
    let mut dice = Dice(seed.parse().unwrap_or(1) | 1);
    for mut parser in parsers() {
        if parser.name.contains(&chosen) {
            climb(
                &mut parser,
                &mut counter,
                &mut dice,
                Duration::from_secs(seconds),
            );
        }
    }
}

/// The function that callgrind is told to watch. A loop, or else it would be a jump and have no end.
#[inline(never)]
fn measured(work: &mut Work, octets: &[u8]) {
    for _ in 0..black_box(1) {
        work(black_box(octets));
    }
}

/// What callgrind wrote so far.
struct Counter {
    dumps: String,
    number: usize,
}

impl Counter {
    fn count(&mut self, parser: &mut Parser, unit: &[u8]) -> u64 {
        let octets = parser.octets(unit);
        measured(&mut parser.work, &octets);
        self.number += 1;
        let path = format!("{}.{}", self.dumps, self.number);
        let dump = fs::read(&path).expect("callgrind writes it, or else nothing here works");
        fs::remove_file(&path).expect("it was read");
        let dump = String::from_utf8_lossy(&dump);
        let totals = dump
            .rsplit("totals: ")
            .next()
            .and_then(|rest| rest.split_whitespace().next());
        totals
            .and_then(|totals| totals.parse().ok())
            .expect("its last line")
    }
}

/// What a parser does with octets.
type Work = Box<dyn FnMut(&[u8])>;

/// One thing that reads octets.
struct Parser {
    name: &'static str,
    /// What leads there.
    prefix: &'static [u8],
    /// What it usually reads.
    ordinary: &'static [u8],
    work: Work,
}

impl Parser {
    /// The prefix, and the unit again and again.
    fn octets(&self, unit: &[u8]) -> Vec<u8> {
        let body = unit.iter().cycle().take(LENGTH - self.prefix.len());
        self.prefix.iter().chain(body).copied().collect()
    }
}

/// As long as a message of many parameters: what begins and ends it hardly counts.
const LENGTH: usize = 1024;

const TEXT: &[u8] = b"GET /api/v2/orders/1234567 took 213 ms, ";

fn parsers() -> Vec<Parser> {
    let parser = |name, prefix: &'static str, ordinary, work: Work| Parser {
        name,
        prefix: prefix.as_bytes(),
        ordinary,
        work,
    };
    let parse = || {
        Box::new(|octets: &[u8]| {
            black_box(Message::parse(octets, Sender::Remote));
        })
    };
    vec![
        parser("parse_auto", "", TEXT, parse()),
        parser("parse_3164", "<13>Oct 11 22:14:15 ", TEXT, parse()),
        parser("parse_5424", "<13>1 - ", TEXT, parse()),
        parser("structured_data", "<13>1 - h a p m ", TEXT, parse()),
        parser(
            "elements",
            "<13>1 - h a p m ",
            br#"[order@32473 id="1234567" method="card" took="213"]"#,
            Box::new(|octets| {
                let message = Message::parse(octets, Sender::Remote);
                for element in message.structured_data().elements() {
                    for param in element.params() {
                        black_box((param.name(), param.value()));
                    }
                }
            }),
        ),
        parser("timestamp", "<13>", TEXT, parse()),
        parser(
            "frame",
            "",
            b"<13>Oct 11 22:14:15 bastion app: an ordinary line\n",
            frames(),
        ),
        parser(
            "escape_file",
            "<13>app: ",
            TEXT,
            format(Layout::Traditional, Escaping::Text(Escape::Octal)),
        ),
        parser(
            "escape_forward",
            "<13>app: ",
            TEXT,
            format(Layout::ForwardRfc5424, Escaping::Line),
        ),
        parser(
            "filter_contains",
            "<13>app: ",
            TEXT,
            filter(":msg, contains, \"aaab\"\n*.* /log\n"),
        ),
        parser(
            "filter_icase",
            "<13>app: ",
            TEXT,
            filter(":msg, icase_contains, \"aaab\"\n*.* /log\n"),
        ),
        parser(
            "filter_regex",
            "<13>app: ",
            TEXT,
            filter(":msg, ereregex, \"(a|b)+[0-9]{1,3}c\"\n*.* /log\n"),
        ),
    ]
}

fn frames() -> Work {
    Box::new(|octets| {
        let mut framer = Framer::new(MAX_MESSAGE);
        let mut rest = octets;
        while let Step::Frame { consumed, .. }
        | Step::Oversize { consumed, .. }
        | Step::Skip { consumed, .. } = framer.next(rest)
        {
            rest = &rest[consumed..];
        }
        black_box(framer.finish(rest));
    })
}

fn format(layout: Layout, escaping: Escaping) -> Work {
    let mut formatter = Formatter::default();
    let mut out = BytesMut::with_capacity(8 * LENGTH);
    let received = Received {
        seconds: 1_700_000_000,
        micros: 1,
    };
    Box::new(move |octets| {
        out.clear();
        let shown = Shown {
            hostname: b"bastion",
            received,
            always_received: false,
        };
        let message = Message::parse(octets, Sender::Remote);
        formatter.write(&mut out, &message, shown, Template { layout, escaping });
        black_box(&out);
    })
}

fn filter(rules: &str) -> Work {
    let table = table(rules);
    let mut answers = table.answers();
    Box::new(move |octets| {
        let message = Message::parse(octets, Sender::Remote);
        black_box(taken(&table, &mut answers, &message));
    })
}

/// Climbs until the time is over, from a new place whenever nothing near is dearer; prints the dearest.
fn climb(parser: &mut Parser, counter: &mut Counter, dice: &mut Dice, time: Duration) {
    /// So many tries in vain are the top of a hill.
    const VAIN: usize = 150;
    let until = Instant::now() + time;
    let ordinary = parser.ordinary;
    // What is filled once is filled now.
    counter.count(parser, ordinary);
    let usual = counter.count(parser, ordinary);
    let (mut worst, mut most, mut tries) = (ordinary.to_vec(), usual, 0);
    while Instant::now() < until {
        let mut unit = dice.pick(&PIECES).to_vec();
        let (mut cost, mut vain) = (counter.count(parser, &unit), 0);
        while vain < VAIN && Instant::now() < until {
            let changed = dice.change(&unit);
            let now = counter.count(parser, &changed);
            tries += 1;
            vain = if now > cost { 0 } else { vain + 1 };
            if now >= cost {
                (unit, cost) = (changed, now);
            }
        }
        if cost > most {
            (worst, most) = (unit, cost);
        }
    }
    let (per_octet, ratio) = (by(most, LENGTH as u64), by(most, usual));
    println!(
        "{:<16} {tries:>7} {most:>9} {per_octet:>7} {ratio:>6}x  {}",
        parser.name,
        worst.escape_ascii()
    );
}

/// With one digit.
fn by(count: u64, divisor: u64) -> String {
    let tenths = count * 10 / divisor;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What grammars are made of, and what none of them has.
const PIECES: [&[u8]; 36] = [
    b"<13>",
    b"1 ",
    b"Oct 11 22:14:15 ",
    b"2003-10-11T22:14:15.003Z ",
    b"bastion ",
    b"app[12]: ",
    b"- ",
    b"[x]",
    b"[x a=\"1\"]",
    b" a=\"\"",
    b"\\\"",
    b"\\",
    b"\"",
    b"]",
    b"[",
    b"=",
    b":",
    b" ",
    b"\n",
    b"\r\n",
    b"\0",
    b"\x1b",
    b"\x7f",
    b"\t",
    b"#",
    b"a",
    b"aaa",
    b"0",
    b"12 ",
    b"\xff",
    b"\xe2",
    b"\xe2\x80",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
];

/// Chance that can be repeated (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }

    fn pick<'p>(&mut self, pieces: &[&'p [u8]]) -> &'p [u8] {
        pieces[self.roll(pieces.len())]
    }

    /// The same with one to three changes.
    fn change(&mut self, unit: &[u8]) -> Vec<u8> {
        let mut unit = unit.to_vec();
        for _ in 0..=self.roll(3) {
            let at = self.roll(unit.len());
            let end = at + self.roll(unit.len() - at);
            match self.roll(6) {
                0 => drop(unit.splice(at..at, self.pick(&PIECES).iter().copied())),
                1 => drop(unit.splice(at..end, self.pick(&PIECES).iter().copied())),
                2 => drop(unit.splice(at..end, [])),
                3 => unit[at] = u8::try_from(self.roll(256)).unwrap_or(0),
                4 => unit[at] ^= 1 << self.roll(8),
                _ => unit.extend_from_within(at..end),
            }
            if unit.is_empty() {
                unit.push(b'a');
            }
        }
        unit.truncate(LONGEST);
        unit
    }
}

/// Units grow no longer than this.
const LONGEST: usize = 64;
