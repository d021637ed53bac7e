//! Nothing is allocated for a message (docs/architecture.md, "The way of a message").
//!
//! Counted on the thread that does it, after what is filled once is filled: buffers, and the name of the
//! peer.

#[path = "../benches/support/pipeline.rs"]
mod pipeline;
#[path = "../benches/support/rules.rs"]
mod rules;
#[path = "../benches/support/samples.rs"]
mod samples;
#[path = "../benches/support/stream.rs"]
mod stream;

use allocation_counter::measure;
use pipeline::{BATCH, FORWARD, Pipeline, STRUCTURED, TEXT};
use rules::{By, DEBIAN, rules};
use samples::{Sample, hostile, longest, ordinary};
use stream::{Framing, for_each_frame, framer, one_read};

#[test]
fn a_datagram_allocates_nothing() {
    let filters = [By::Pri, By::Program, By::Text, By::TextInAnyCase, By::Regex];
    let filters = filters.map(|by| rules(by, 5)).concat();
    for sample in ordinary() {
        for rules in [DEBIAN, "*.* /log\n", &filters] {
            check(&sample, rules, BATCH, 1000);
        }
    }
}

/// A batch of one fills no more than a block that is kept, even if each octet is written as four.
#[test]
fn the_longest_message_allocates_nothing() {
    for sample in [longest()].into_iter().chain(hostile()) {
        check(&sample, "*.* /log\n", 1, 8);
    }
}

/// Nothing is allocated for so many messages, received `batch` at a time.
fn check(sample: &Sample, rules: &str, batch: usize, messages: usize) {
    for template in [TEXT, STRUCTURED, FORWARD] {
        let mut pipeline = Pipeline::new(rules, template);
        let mut run = || {
            for _ in 0..messages.div_ceil(batch) {
                pipeline.datagrams(&sample.octets, batch, sample.peer);
            }
        };
        run();
        let found = measure(run).count_total;
        assert_eq!(found, 0, "{sample}, {template:?}, {rules}");
    }
}

#[test]
fn a_frame_allocates_nothing() {
    for framing in [Framing::Lines, Framing::Counted] {
        for sample in ordinary() {
            let mut pipeline = Pipeline::new(DEBIAN, TEXT);
            let mut framer = framer();
            let (read, _) = one_read(&sample.octets, framing);
            let mut run = || {
                for _ in 0..4 {
                    pipeline.stream(&mut framer, &read, sample.peer);
                }
            };
            run();
            let found = measure(run);
            assert_eq!(found.count_total, 0, "{sample}, {framing:?}");
        }
    }
}

#[test]
fn an_allocation_would_be_counted() {
    let mut frames = Vec::new();
    let found =
        measure(|| for_each_frame(&mut framer(), b"3 abc", |frame| frames.push(frame.len())));
    assert_eq!((frames, found.count_total), (vec![3], 1));
}
