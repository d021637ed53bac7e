//! What a message costs from its octets to the blocks that a worker takes: parse, route, format, hand over.
//!
//! The kernel and the disk are left out.

#[path = "support/pipeline.rs"]
mod pipeline;
#[path = "support/rules.rs"]
mod rules;
#[path = "support/samples.rs"]
mod samples;
#[path = "support/stream.rs"]
mod stream;

use divan::{Bencher, black_box, counter::ItemsCount};
use pipeline::{BATCH, FORWARD, Pipeline, STRUCTURED, TEXT};
use rules::{By, DEBIAN, rules};
use samples::{Sample, hostile, longest, ordinary};
use stream::{Framing, framer, one_read};
use syslogd::format::Template;

fn main() {
    divan::main();
}

fn datagrams(bencher: Bencher<'_, '_>, rules: &str, template: Template, sample: &Sample) {
    let mut pipeline = Pipeline::new(rules, template);
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| pipeline.datagrams(black_box(&sample.octets), BATCH, sample.peer));
}

#[divan::bench(args = ordinary())]
fn one_file(bencher: Bencher<'_, '_>, sample: &Sample) {
    datagrams(bencher, "*.* /log", TEXT, sample);
}

#[divan::bench(args = ordinary())]
fn debian(bencher: Bencher<'_, '_>, sample: &Sample) {
    datagrams(bencher, DEBIAN, TEXT, sample);
}

#[divan::bench(args = ordinary())]
fn forward(bencher: Bencher<'_, '_>, sample: &Sample) {
    datagrams(bencher, "*.* /log", FORWARD, sample);
}

/// A hundred programs with a file of their own.
#[divan::bench(args = ordinary())]
fn programs(bencher: Bencher<'_, '_>, sample: &Sample) {
    datagrams(bencher, &rules(By::Program, 100), TEXT, sample);
}

fn stream(bencher: Bencher<'_, '_>, sample: &Sample, framing: Framing) {
    let mut pipeline = Pipeline::new("*.* /log", TEXT);
    let (read, count) = one_read(&sample.octets, framing);
    let mut framer = framer();
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| pipeline.stream(&mut framer, black_box(&read), sample.peer));
}

#[divan::bench(args = ordinary())]
fn stream_of_lines(bencher: Bencher<'_, '_>, sample: &Sample) {
    stream(bencher, sample, Framing::Lines);
}

#[divan::bench(args = ordinary())]
fn stream_of_counted(bencher: Bencher<'_, '_>, sample: &Sample) {
    stream(bencher, sample, Framing::Counted);
}

#[divan::bench(args = [longest()].into_iter().chain(hostile()))]
fn longest_possible(bencher: Bencher<'_, '_>, sample: &Sample) {
    datagrams(bencher, "*.* /log", STRUCTURED, sample);
}
