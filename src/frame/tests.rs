//! The rules of RFC 6587, and that it does not matter how a stream arrives.

#![expect(clippy::arithmetic_side_effects, reason = "a test may overflow")]

use proptest::prelude::*;

use super::*;

/// A record as a connection would make it: its octets, and how many were cut or `None` if it is partial.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Record {
    octets: Vec<u8>,
    cut: Option<u64>,
}

/// Feeds a stream in chunks; asserts that the octets to hold stay bounded.
fn records(limit: usize, chunks: &[&[u8]]) -> (Vec<Record>, Option<FrameError>) {
    let mut framer = Framer::new(limit);
    let mut unread: Vec<u8> = Vec::new();
    let mut found: Vec<Record> = Vec::new();
    for chunk in chunks {
        unread.extend_from_slice(chunk);
        loop {
            match framer.next(&unread) {
                Step::Frame { octets, consumed } => {
                    let octets = unread.get(octets).expect("in range").to_vec();
                    found.push(Record {
                        octets,
                        cut: Some(0),
                    });
                    unread.drain(..consumed);
                }
                Step::Oversize { head, consumed } => {
                    let octets = unread.get(head).expect("in range").to_vec();
                    found.push(Record { octets, cut: None });
                    unread.drain(..consumed);
                }
                Step::Skip { consumed, cut } => {
                    if cut.is_some() {
                        found.last_mut().expect("an oversize frame began").cut = cut;
                    }
                    unread.drain(..consumed);
                }
                Step::More => break,
                Step::Broken(error) => return (found, Some(error)),
            }
        }
        assert!(unread.len() <= limit + 9, "holds {}", unread.len());
    }
    match framer.finish(&unread) {
        Last::Nothing => {}
        Last::Partial { octets } => found.push(Record {
            octets: unread.get(octets).expect("in range").to_vec(),
            cut: None,
        }),
        Last::Cut(cut) => found.last_mut().expect("an oversize frame began").cut = Some(cut),
    }
    (found, None)
}

fn texts(stream: &[u8]) -> (Vec<String>, Option<FrameError>) {
    let (records, error) = records(64, &[stream]);
    let texts = records
        .iter()
        .map(|record| record.octets.escape_ascii().to_string());
    (texts.collect(), error)
}

#[test]
fn another_limit_holds_for_the_frame_that_is_unfinished() {
    for (unfinished, rest, lower) in [
        ("<13>a text", " of 18\n", "<13>a te"),
        ("16 <13>a text", " of 18", "<13>a te"),
    ] {
        for (limit, want) in [(8, lower), (64, "<13>a text of 18")] {
            let mut framer = Framer::new(12);
            let (begun, _) = unfinished.as_bytes().split_at(8);
            assert_eq!(framer.next(begun), Step::More);
            framer.set_limit(limit);
            let whole = [unfinished, rest].concat();
            let step = framer.next(whole.as_bytes());
            let (Step::Frame { octets: found, .. } | Step::Oversize { head: found, .. }) = step
            else {
                panic!("{whole}: {step:?}");
            };
            assert_eq!(whole.get(found), Some(want), "{limit}");
        }
    }
}

#[test]
fn a_run_of_empty_lines_ends_at_one_that_is_over_the_limit() {
    for (returns, want) in [(3, 5), (4, 6), (5, 1)] {
        let stream = format!("\n{}\0\r\r", "\r".repeat(returns));
        let mut framer = Framer::new(3);
        let Step::Skip {
            consumed,
            cut: None,
        } = framer.next(stream.as_bytes())
        else {
            panic!("{returns}: the first line is empty");
        };
        assert_eq!(consumed, want);
    }
}

#[test]
fn a_run_of_empty_lines_is_one_step_and_takes_no_octet_of_a_text() {
    for (stream, want) in [
        (&b"\n\0\0\n<13>a\n"[..], 4),
        (b"\r\n\r\n\r\n", 6),
        (b"\0\r\r", 1), // a CR, after which more may come
        (b"\n\n\rtext\n", 2),
    ] {
        let step = Framer::new(64).next(stream);
        let want = Step::Skip {
            consumed: want,
            cut: None,
        };
        assert_eq!(step, want, "{}", stream.escape_ascii());
    }
}

#[test]
fn rfc6587_3_4_1_a_count_is_one_to_seven_digits_without_leading_zero_and_one_space() {
    for (stream, want) in [
        (&b"2 <>3 <x>"[..], &["<>", "<x>"][..]),
        (b"2 <>\n2 <>", &["<>", "<>"]),   // a stray LF between frames
        (b"2 <>\r\n2 <>", &["<>", "<>"]), // a stray CRLF
        (b"4 <\n><2 <>", &["<\\n><", "<>"]), // LF in a counted frame is data
        (b"02 <>\n", &["02 <>"]),         // a leading zero makes it a line
        (b"2<>\n", &["2<>"]),             // no SP
        (b"2026-11-22 x\n", &["2026-11-22 x"]), // a date
        (b"2  x", &[" x"]),               // the second SP is data
        (b"9 <x", &["<x"]),               // the stream ends in a frame
        (b"9 ", &[]),                     // or before its first octet
    ] {
        assert_eq!(
            texts(stream),
            (want.iter().map(ToString::to_string).collect(), None)
        );
    }
}

#[test]
fn rfc6587_3_4_2_a_line_ends_at_lf_and_one_cr_before_it_belongs_to_the_end() {
    for (stream, want) in [
        (&b"<a>\n<b>\r\n"[..], &["<a>", "<b>"][..]),
        (b"\n\r\n\n", &[]),                         // empty lines
        (b"<a>\r\r\n", &["<a>\\r"]),                // one CR, not two
        (b"<a>\0<b>\0", &["<a>", "<b>"]),           // and some senders end it with NUL
        (b"<a>\n2 <>\n<b>", &["<a>", "<>", "<b>"]), // each frame decides
    ] {
        assert_eq!(
            texts(stream),
            (want.iter().map(ToString::to_string).collect(), None)
        );
    }
}

#[test]
fn v12_streams_that_cannot_be_followed_are_broken_off() {
    for (stream, want) in [
        (&b"12345678 x"[..], FrameError::CountTooLong),
        (
            b"1048577 x",
            FrameError::CountTooLarge {
                count: 1_048_577,
                limit: HARD_LIMIT,
            },
        ),
        (b"3 <a>bc\n", FrameError::CountMismatch),
        (b"\x16\x03\x01", FrameError::Tls),
        (b"2W\0", FrameError::Beats),
        (b"\x1f\x8b\x08", FrameError::Compressed),
    ] {
        assert_eq!(texts(stream).1, Some(want), "{}", stream.escape_ascii());
    }
}

#[test]
fn s5_a_frame_over_the_limit_is_cut_and_the_next_one_is_whole() {
    for (stream, cut) in [
        (&b"6 abcdef1 <"[..], 2),
        (b"abcdef\n1 <", 2),
        (b"abcdef\r\n1 <", 2), // the CR was not cut off: it is no text
    ] {
        let (records, error) = records(4, &[stream]);
        let want = [(&b"abcd"[..], Some(cut)), (b"<", Some(0))];
        let got: Vec<_> = records
            .iter()
            .map(|r| (r.octets.as_slice(), r.cut))
            .collect();
        assert_eq!((got.as_slice(), error), (&want[..], None));
    }
    let (whole, _) = records(4, &[b"abcd\r\n"]);
    assert_eq!(whole.first().map(|record| record.cut), Some(Some(0)));
}

/// A message, and whether it goes as a counted frame.
fn framed() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    let text = proptest::collection::vec(any::<u8>(), 0..20).prop_map(|mut text| {
        text.insert(0, b'<');
        text
    });
    proptest::collection::vec((text, any::<bool>()), 0..12)
}

fn chunks<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

proptest! {
    #[test]
    fn any_chunks_give_the_same_records(
        stream in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'<'), b'0'..=b'9', any::<u8>()],
            0..120,
        ),
        sizes in proptest::collection::vec(1..9_usize, 1..8),
        limit in 3..40_usize,
    ) {
        prop_assert_eq!(records(limit, &[&stream]), records(limit, &chunks(&stream, &sizes)));
    }

    #[test]
    fn what_was_framed_comes_out_again(
        messages in framed(), sizes in proptest::collection::vec(1..9_usize, 1..8),
    ) {
        let mut stream = Vec::new();
        let mut want = Vec::new();
        for (mut text, counted) in messages {
            if counted {
                stream.extend_from_slice(format!("{} ", text.len()).as_bytes());
                stream.extend_from_slice(&text);
            } else {
                text.retain(|octet| !matches!(octet, b'\n' | b'\r' | 0));
                stream.extend_from_slice(&text);
                stream.push(b'\n');
            }
            want.push(Record { octets: text, cut: Some(0) });
        }
        prop_assert_eq!(records(64, &chunks(&stream, &sizes)), (want, None));
    }
}
