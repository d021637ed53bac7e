//! What is escaped, beside a naive implementation of the same.

use super::{BytesMut, Escape, push_escaped, push_line_safe};
use proptest::prelude::*;

fn escaped(octets: &[u8], escape: Escape) -> Vec<u8> {
    let mut out = BytesMut::new();
    push_escaped(&mut out, octets, escape);
    out.to_vec()
}

#[test]
fn what_a_reader_must_not_see_is_written_out() {
    for (octets, want) in [
        (&b"plain\ttext ~"[..], "plain\ttext ~"),
        (b"a\nb", "a#012b"),
        (b"\0\x1b[2J\x7f", "#000#033[2J#177"),
        ("å ✓ 漢".as_bytes(), "å ✓ 漢"),
        (b"caf\xe9", "caf#351"),                               // Latin-1
        (b"a\xc0\x8ab", "a#300#212b"),                         // overlong LF
        (b"\xe2\x82", "#342#202"),                             // cut character
        ("\u{9b}31m".as_bytes(), "#302#23331m"),               // CSI as C1
        ("x\u{2028}y".as_bytes(), "x#342#200#250y"),           // line separator
        ("\u{202e}gpj.exe".as_bytes(), "#342#200#256gpj.exe"), // bidi override
    ] {
        let got = escaped(octets, Escape::Octal);
        assert_eq!(
            String::from_utf8_lossy(&got),
            want,
            "{}",
            octets.escape_ascii()
        );
    }
}

#[test]
fn every_style_has_its_form() {
    for (escape, want) in [
        (Escape::Octal, "a#b#012#377"),
        (Escape::Caret, "a#b^J#377"),
        (Escape::Hex, "a#b\\x0a\\xff"),
        (Escape::Lossless, "a#043b#012#377"),
    ] {
        assert_eq!(
            String::from_utf8_lossy(&escaped(b"a#b\n\xff", escape)),
            want,
            "{escape:?}"
        );
    }
    assert_eq!(escaped(b"\x7f\0", Escape::Caret), b"^?^@");
}

#[test]
fn line_framing_loses_only_its_own_marks() {
    let mut out = BytesMut::new();
    push_line_safe(&mut out, b"a\nb\0c\x1b\xff\n");
    assert_eq!(&out[..], b"a#012b#000c\x1b\xff#012");
}

/// Undoes [`Escape::Lossless`].
fn undo(mut octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = octets.split_first() {
        if *first == b'#' {
            let digits = rest[..3]
                .iter()
                .fold(0_u16, |sum, digit| sum * 8 + u16::from(digit - b'0'));
            out.push(u8::try_from(digits).expect("an octet"));
            octets = &rest[3..];
        } else {
            out.push(*first);
            octets = rest;
        }
    }
    out
}

/// The length of the character at the front, which is not ASCII, and whether a reader may see it as it is.
fn told(octets: &[u8]) -> (usize, bool) {
    match octets {
        // C1 controls, U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069: line separators, and
        // what turns the direction of writing (Unicode TR 9 and UTS 55).
        [0xc2, 0x80..=0x9f, ..] | [0xd8, 0x9c, ..] => (2, false),
        [0xe2, 0x80, 0x8e | 0x8f | 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..] => (3, false),
        // RFC 3629 4.
        [0xc2..=0xdf, 0x80..=0xbf, ..] => (2, true),
        [0xe0, 0xa0..=0xbf, 0x80..=0xbf, ..]
        | [0xed, 0x80..=0x9f, 0x80..=0xbf, ..]
        | [0xe1..=0xec | 0xee | 0xef, 0x80..=0xbf, 0x80..=0xbf, ..] => (3, true),
        [0xf0, 0x90..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf1..=0xf3, 0x80..=0xbf, 0x80..=0xbf, 0x80..=0xbf, ..]
        | [0xf4, 0x80..=0x8f, 0x80..=0xbf, 0x80..=0xbf, ..] => (4, true),
        _ => (1, false),
    }
}

/// The same as [`push_escaped`], one character after the other.
fn naive(octets: &[u8], escape: Escape) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = octets;
    while let [first, ..] = rest {
        let (length, visible) = if first.is_ascii() {
            let marks = escape == Escape::Lossless && *first == b'#';
            (1, *first == b'\t' || (!first.is_ascii_control() && !marks))
        } else {
            told(rest)
        };
        let (front, after) = rest.split_at(length);
        for octet in front {
            if visible {
                out.push(*octet);
                continue;
            }
            match escape {
                Escape::Caret if octet.is_ascii() => out.extend([b'^', octet ^ 0x40]),
                Escape::Octal | Escape::Lossless | Escape::Caret => {
                    out.extend(format!("#{octet:03o}").bytes());
                }
                Escape::Hex => out.extend(format!("\\x{octet:02x}").bytes()),
            }
        }
        rest = after;
    }
    out
}

const STYLES: [Escape; 4] = [Escape::Octal, Escape::Caret, Escape::Hex, Escape::Lossless];

#[test]
fn all_sequences_of_two_octets_are_written_as_the_naive_way_does() {
    for pair in 0..=u16::MAX {
        for escape in STYLES {
            let pair = pair.to_be_bytes();
            assert_eq!(
                escaped(&pair, escape),
                naive(&pair, escape),
                "{pair:x?} {escape:?}"
            );
        }
    }
}

#[test]
fn all_first_octets_of_three_are_written_as_the_naive_way_does() {
    // The third by its kind: each of both sides of every limit. Apart, so that they come to every place.
    let thirds = [
        0x00, 0x7f, 0x80, 0x8d, 0x8e, 0x8f, 0x90, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xae, 0xaf,
        0xbf, 0xc0,
    ];
    for first in 0xc0..=u8::MAX {
        for second in 0..=u8::MAX {
            let all: Vec<u8> = thirds
                .iter()
                .flat_map(|third| [first, second, *third, b'.', b'.'])
                .collect();
            let escape = STYLES[usize::from(second) % STYLES.len()];
            let (got, want) = (escaped(&all, escape), naive(&all, escape));
            assert_eq!(got, want, "{first:x} {second:x}");
        }
    }
}

#[test]
fn all_first_octets_of_four_are_written_as_the_naive_way_does() {
    for first in 0x80..=u8::MAX {
        for second in 0x7f..=0xc0 {
            let octets = [first, second, 0x80, 0xbf];
            let (got, want) = (
                escaped(&octets, Escape::Octal),
                naive(&octets, Escape::Octal),
            );
            assert_eq!(got, want, "{octets:x?}");
        }
    }
}

/// C1 controls, line separators, and bidi controls.
fn acts_on_reader(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[test]
fn rfc3629_4_every_character_is_told_from_what_is_none() {
    let mut text = [0; 4];
    for character in '\u{80}'..=char::MAX {
        let octets = character.encode_utf8(&mut text).as_bytes();
        let visible = !acts_on_reader(character);
        assert_eq!(told(octets), (octets.len(), visible), "{character:?}");
    }
    for first in 0x80..=0xff {
        for second in 0..=0xff {
            for rest in [[0x80, 0x80], [0xbf, 0xbf], [0x7f, 0x80], [0x80, 0xc0]] {
                let octets = [first, second, rest[0], rest[1]];
                let valid = octets.utf8_chunks().next().expect("not empty").valid();
                let length = valid.chars().next().map_or(1, char::len_utf8);
                assert_eq!(told(&octets).0, length, "{octets:x?}");
            }
        }
    }
}

/// Runs of plain text, of characters and of what is none, long enough to lie across stretches.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 22] = [
        b"a",
        b"#",
        b"\t",
        b" ",
        b"\n",
        b"\0",
        b"\x1b",
        b"\x7f",
        b"\x80",
        b"\xbf",
        b"\xc0\x8a",
        b"\xc3",
        b"\xe2\x80",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xff",
        "\u{9b}".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{61c}".as_bytes(),
        "\u{e9}".as_bytes(),
        "\u{6f22}".as_bytes(),
        "\u{1f600}".as_bytes(),
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    let run = (piece, 1..70_usize).prop_map(|(piece, times)| piece.repeat(times));
    let one = proptest::sample::select(pieces.to_vec()).prop_map(<[u8]>::to_vec);
    let noise = proptest::collection::vec(any::<u8>(), 0..9);
    let part = prop_oneof![1 => run, 4 => one, 2 => noise];
    proptest::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_control_octet_survives_and_the_output_is_utf8(octets: Vec<u8>, long in "[ -~é\u{1b}]{0,200}") {
        for octets in [&octets[..], long.as_bytes()] {
            let out = escaped(octets, Escape::Octal);
            prop_assert!(out.iter().all(|octet| *octet == b'\t' || (*octet >= 0x20 && *octet != 0x7f)));
            let text = String::from_utf8(out);
            prop_assert!(text.is_ok_and(|text| !text.chars().any(acts_on_reader)));
        }
    }

    #[test]
    fn lossless_can_be_undone(octets: Vec<u8>) {
        prop_assert_eq!(undo(&escaped(&octets, Escape::Lossless)), octets);
    }

    #[test]
    fn every_style_writes_as_the_naive_way_does(octets in odd_text()) {
        for escape in STYLES {
            prop_assert_eq!(escaped(&octets, escape), naive(&octets, escape));
        }
    }

    #[test]
    fn line_framing_is_as_the_naive_way(octets in odd_text()) {
        let mut out = BytesMut::new();
        push_line_safe(&mut out, &octets);
        let want = octets
            .iter()
            .flat_map(|octet| match octet {
                b'\n' => b"#012".to_vec(),
                0 => b"#000".to_vec(),
                _ => vec![*octet],
            })
            .collect::<Vec<u8>>();
        prop_assert_eq!(&out[..], &want[..]);
    }
}
