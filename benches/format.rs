//! What writing a message costs, in each form and with each kind of escaping; and what packing a file costs.

#[path = "support/samples.rs"]
mod samples;

use std::io::Write as _;

use bytes::BytesMut;
use divan::{Bencher, black_box, counter::BytesCount};
use flate2::{Compression, write::GzEncoder};
use samples::{Sample, hostile, longest, ordinary};
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::message::Message;

fn main() {
    divan::main();
}

fn write(bencher: Bencher<'_, '_>, sample: &Sample, layout: Layout, escaping: Escaping) {
    let template = Template { layout, escaping };
    let shown = Shown {
        hostname: b"bastion",
        received: Received {
            seconds: 1_700_000_000,
            micros: 1,
        },
        always_received: false,
    };
    let message = Message::parse(&sample.octets, sample.sender());
    let mut formatter = Formatter::default();
    let mut out = BytesMut::with_capacity(1 << 20);
    bencher
        .counter(BytesCount::of_slice(&sample.octets[..]))
        .bench_local(|| {
            out.clear();
            formatter.write(&mut out, black_box(&message), shown, template)
        });
}

#[divan::bench(args = ordinary())]
fn traditional(bencher: Bencher<'_, '_>, sample: &Sample) {
    let escaping = Escaping::Text(Escape::Octal);
    write(bencher, sample, Layout::Traditional, escaping);
}

#[divan::bench(args = ordinary())]
fn rfc5424(bencher: Bencher<'_, '_>, sample: &Sample) {
    write(bencher, sample, Layout::ForwardRfc5424, Escaping::None);
}

#[divan::bench(args = [longest()].into_iter().chain(hostile()))]
fn escape_text(bencher: Bencher<'_, '_>, sample: &Sample) {
    let escaping = Escaping::Text(Escape::Octal);
    write(bencher, sample, Layout::Traditional, escaping);
}

#[divan::bench(args = [longest()].into_iter().chain(hostile()))]
fn escape_lines(bencher: Bencher<'_, '_>, sample: &Sample) {
    write(bencher, sample, Layout::ForwardRfc3164, Escaping::Line);
}

/// A mebibyte of log, with the crate and the level that rotation packs with.
#[divan::bench(args = [1, 3, 6, 9])]
fn compress(bencher: Bencher<'_, '_>, level: u32) {
    let log: String = (0..)
        .map(|n| {
            format!(
                "Oct 11 22:14:{:02} web-{} app[{}]: request {} took {} ms\n",
                n / 400 % 60,
                n % 9,
                300 + n % 77,
                n * 7919,
                n * n % 997
            )
        })
        .scan(0, |length, line| {
            *length += line.len();
            (*length <= 1 << 20).then_some(line)
        })
        .collect();
    bencher.counter(BytesCount::of_str(&log)).bench_local(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder
            .write_all(black_box(log.as_bytes()))
            .expect("memory");
        encoder.finish().expect("memory").len()
    });
}
