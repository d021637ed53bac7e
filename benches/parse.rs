//! What reading one message costs.

#[path = "support/samples.rs"]
mod samples;

use divan::{Bencher, black_box, counter::BytesCount};
use samples::{Sample, hostile, longest, ordinary};
use syslogd::message::Message;

fn main() {
    divan::main();
}

fn parse(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher
        .counter(BytesCount::of_slice(&sample.octets[..]))
        .bench_local(|| {
            let message = Message::parse(black_box(&sample.octets), sample.sender());
            (message.pri(), message.app_name(), message.text().len())
        });
}

#[divan::bench(args = ordinary())]
fn typical(bencher: Bencher<'_, '_>, sample: &Sample) {
    parse(bencher, sample);
}

/// 8 KiB each of what makes careless parsers look twice, and of something ordinary.
#[divan::bench(args = [longest()].into_iter().chain(hostile()))]
fn longest_possible(bencher: Bencher<'_, '_>, sample: &Sample) {
    parse(bencher, sample);
}

#[divan::bench(args = ordinary())]
fn timestamp(bencher: Bencher<'_, '_>, sample: &Sample) {
    let message = Message::parse(&sample.octets, sample.sender());
    bencher.bench_local(|| black_box(&message).timestamp());
}
