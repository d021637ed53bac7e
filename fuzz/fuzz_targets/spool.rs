//! Whatever lies on the disk is read to its end, and of damaged segments no message that was not written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::block::Block;
use syslogd::pri::Pri;
use syslogd::spool::{Cursor, Found, segment};

fuzz_target!(|input: (Vec<(u8, u8)>, Vec<(u16, u8)>, Vec<u8>)| {
    let (blocks, damage, anything) = input;
    foreign(&anything);
    damaged(&blocks, &damage);
});

/// Octets that are no file of ours.
fn foreign(octets: &[u8]) {
    if let Found::Cursor(cursor, next) = Cursor::newest(octets) {
        assert!(next < 2);
        assert_eq!(Cursor::newest(&cursor.encode()), Found::Cursor(cursor, 1));
    }
    if let Some((block, rest)) = Block::decode(octets) {
        let mut again = Vec::new();
        block.encode(&mut again);
        assert_eq!([&again[..], rest].concat(), octets);
    }
    let header = segment::Header::decode(octets);
    let header = header.unwrap_or(segment::Header {
        first: 0,
        skipped: 0,
        id: 0,
    });
    let extent = segment::extent(&header, octets);
    assert!(extent.octets <= octets.len().max(segment::HEADER));
    walk(header.id, octets, header.first);
}

/// A segment of ours with some octets changed.
fn damaged(blocks: &[(u8, u8)], damage: &[(u16, u8)]) {
    let header = segment::Header {
        first: 1 << 32,
        skipped: 1 << 32,
        id: 0x1234_5678_9abc_def0,
    };
    let mut octets = header.encode().to_vec();
    let (mut next, mut written) = (header.first, Vec::new());
    for (records, letter) in blocks {
        let mut block = Block::default();
        let pri = Pri::new(letter % 192).expect("below 192");
        for _ in 0..*records {
            block.push(pri, |out| {
                out.extend_from_slice(&[*letter; 9]);
                3
            });
        }
        let mut record = Vec::new();
        assert!(segment::encode(header.id, next, &block, &mut record));
        octets.extend_from_slice(&record);
        if !block.is_empty() {
            written.push((next, block.octets().to_vec()));
        }
        next += block.len() as u64;
    }
    let is_whole = damage.is_empty();
    for (at, mask) in damage {
        let at = usize::from(*at) % octets.len();
        octets[at] ^= mask;
    }
    let seen = walk(header.id, &octets, header.first);
    assert!(!is_whole || seen == written);
    // CRC-32 is no proof against many changed octets, but none of these happens to be a record.
    assert!(seen.iter().all(|found| written.contains(found)));
}

/// Every sound record, in order.
fn walk(id: u64, octets: &[u8], least: u64) -> Vec<(u64, Vec<u8>)> {
    let (mut at, mut least, mut seen) = (segment::HEADER, least, Vec::new());
    while let Some((start, found)) = segment::find(id, octets, at, least) {
        assert!(start >= at && found.seq >= least && found.messages > 0);
        at = start + found.octets();
        assert!(at <= octets.len());
        least = found.end();
        seen.extend(
            found
                .block()
                .map(|block| (found.seq, block.octets().to_vec())),
        );
    }
    seen
}
