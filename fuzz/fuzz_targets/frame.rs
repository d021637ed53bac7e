//! However a stream arrives it gives the same frames, and the caller holds little.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::frame::{FrameError, Framer, Last, Step};

#[derive(Debug, Eq, PartialEq)]
enum Seen {
    Frame(Vec<u8>),
    Head(Vec<u8>),
    Cut(u64),
    Partial(Vec<u8>),
    Broken(FrameError),
}

fuzz_target!(|input: (u8, Vec<u8>, Vec<u8>)| {
    let (limit, sizes, stream) = input;
    let limit = usize::from(limit).max(3);
    let whole = frames(limit, &[stream.len().max(1)], &stream, false);
    let chunked = frames(
        limit,
        &sizes
            .iter()
            .map(|s| usize::from(*s).max(1))
            .collect::<Vec<_>>(),
        &stream,
        false,
    );
    let octets = frames(limit, &[1], &stream, true);
    assert_eq!(whole, chunked);
    assert_eq!(whole, octets);
});

fn frames(limit: usize, sizes: &[usize], stream: &[u8], bounded: bool) -> Vec<Seen> {
    let mut framer = Framer::new(limit);
    let mut seen = Vec::new();
    let mut unread = Vec::new();
    let mut rest = stream;
    let sizes = if sizes.is_empty() { &[1][..] } else { sizes };
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        unread.extend_from_slice(chunk);
        loop {
            let consumed = match framer.next(&unread) {
                Step::Frame { octets, consumed } => {
                    assert!(octets.len() <= limit && octets.end <= consumed);
                    seen.push(Seen::Frame(unread[octets].to_vec()));
                    consumed
                }
                Step::Oversize { head, consumed } => {
                    assert_eq!(head.len(), limit);
                    seen.push(Seen::Head(unread[head].to_vec()));
                    consumed
                }
                Step::Skip { consumed, cut } => {
                    seen.extend(cut.map(Seen::Cut));
                    consumed
                }
                Step::More => break,
                Step::Broken(error) => {
                    seen.push(Seen::Broken(error));
                    return seen;
                }
            };
            assert!(consumed > 0 && consumed <= unread.len());
            unread.drain(..consumed);
        }
        assert!(!bounded || unread.len() <= limit + 9);
    }
    match framer.finish(&unread) {
        Last::Nothing => {}
        Last::Partial { octets } => seen.push(Seen::Partial(unread[octets].to_vec())),
        Last::Cut(cut) => seen.push(Seen::Cut(cut)),
    }
    seen
}
