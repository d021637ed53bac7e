//! Escaping: one record stays one line, and no octet of a sender can act on a reader's terminal.
//!
//! Escaped are C0 but TAB, DEL, octets that are not UTF-8, C1, U+2028, U+2029, and the characters that
//! turn the direction of writing (reliability S15). All else stays as it came.

use bytes::BytesMut;

/// How an octet that must not be seen is written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Escape {
    /// `#012`, as rsyslog does.
    #[default]
    Octal,
    /// `^J` for ASCII controls as the BSD daemons do, and octal for what has no caret form.
    Caret,
    /// `\x0a`.
    Hex,
    /// As octal, and `#` itself as `#043`, so that it can be undone.
    Lossless,
}

/// Octets are looked at in pieces of this size, small enough for two vector registers.
const PIECE: usize = 32;

/// Appends `octets`, escaped.
pub(super) fn push_escaped(out: &mut BytesMut, mut octets: &[u8], escape: Escape) {
    loop {
        let plain = plain_prefix(octets, escape);
        let (head, rest) = octets.split_at(plain);
        out.extend_from_slice(head);
        let Some(first) = rest.first() else { return };
        let (length, visible) = if first.is_ascii() {
            (1, false)
        } else {
            character(rest)
        };
        let (odd, after) = rest.split_at(length);
        if visible {
            out.extend_from_slice(odd);
        } else {
            for octet in odd {
                push_octet(out, *octet, escape);
            }
        }
        octets = after;
    }
}

/// Appends `octets` with LF and NUL escaped, which line framing could not carry.
pub(super) fn push_line_safe(out: &mut BytesMut, mut octets: &[u8]) {
    while let Some(at) = memchr::memchr2(b'\n', 0, octets) {
        let (head, rest) = octets.split_at(at);
        out.extend_from_slice(head);
        push_octet(out, rest[0], Escape::Octal);
        octets = &rest[1..];
    }
    out.extend_from_slice(octets);
}

/// How many octets at the front are printable ASCII or TAB.
fn plain_prefix(octets: &[u8], escape: Escape) -> usize {
    // NUL is odd already, so that the other styles compare with something that changes nothing.
    let also_odd = if escape == Escape::Lossless { b'#' } else { 0 };
    let odd =
        |octet: u8| u8::from((octet < b' ' && octet != b'\t') || octet > b'~' || octet == also_odd);
    // No early exit within a piece: that is what lets the compiler use vectors.
    let is_plain = |piece: &&[u8]| piece.iter().fold(0, |any, octet| any | odd(*octet)) == 0;
    let start = octets.chunks_exact(PIECE).take_while(is_plain).count() * PIECE;
    let rest = &octets[start..];
    start
        + rest
            .iter()
            .position(|octet| odd(*octet) != 0)
            .unwrap_or(rest.len())
}

/// The length of the character at the front, and whether a reader may see it as it is.
fn character(octets: &[u8]) -> (usize, bool) {
    let length = match octets.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return (1, false),
    };
    let decoded = octets
        .get(..length)
        .and_then(|octets| std::str::from_utf8(octets).ok());
    match decoded.and_then(|text| text.chars().next()) {
        Some(character) => (length, !acts_on_reader(character)),
        None => (1, false),
    }
}

/// C1 controls, line separators, and bidi controls (Unicode TR 9 and UTS 55).
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

fn push_octet(out: &mut BytesMut, octet: u8, escape: Escape) {
    let octal = [
        b'#',
        b'0' + (octet >> 6),
        b'0' + (octet >> 3 & 7),
        b'0' + (octet & 7),
    ];
    match escape {
        Escape::Caret if octet.is_ascii() => out.extend_from_slice(&[b'^', octet ^ 0x40]),
        Escape::Octal | Escape::Lossless | Escape::Caret => out.extend_from_slice(&octal),
        Escape::Hex => {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
            out.extend_from_slice(&[b'\\', b'x', digit(octet >> 4), digit(octet)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }
}
