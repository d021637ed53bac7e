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
        let (shown, after) = octets.split_at(plain_prefix(octets, escape));
        out.extend_from_slice(shown);
        if after.is_empty() {
            return;
        }
        octets = push_odd(out, after, escape);
    }
}

/// Appends what is at the front up to the next piece of printable ASCII, escaped; returns what follows.
fn push_odd<'a>(out: &mut BytesMut, octets: &'a [u8], escape: Escape) -> &'a [u8] {
    let mut written = Written::new(out, escape);
    let (mut at, mut plain) = (0, 0);
    while let Some(first) = octets.get(at) {
        if !is_odd(*first, escape) {
            written.show(*first);
            at += 1;
            plain += 1;
            if plain == PIECE {
                break;
            }
            continue;
        }
        plain = 0;
        let (length, visible) = if first.is_ascii() {
            (1, false)
        } else {
            character(&octets[at..])
        };
        for octet in &octets[at..at + length] {
            if visible {
                written.show(*octet);
            } else {
                written.escape(*octet);
            }
        }
        at += length;
    }
    &octets[at..]
}

/// How many octets are gathered before they are appended.
const ROOM: usize = 256;

/// Octets on their way into a record: gathered first, since each append has a price.
struct Written<'a> {
    out: &'a mut BytesMut,
    escape: Escape,
    gathered: [u8; ROOM],
    length: usize,
}

impl<'a> Written<'a> {
    fn new(out: &'a mut BytesMut, escape: Escape) -> Self {
        Self {
            out,
            escape,
            gathered: [0; ROOM],
            length: 0,
        }
    }

    #[inline]
    fn show(&mut self, octet: u8) {
        self.gathered[self.length] = octet;
        self.length += 1;
        self.make_room();
    }

    #[inline]
    fn escape(&mut self, octet: u8) {
        let (written, length) = match self.escape {
            Escape::Caret if octet.is_ascii() => ([b'^', octet ^ 0x40, 0, 0], 2),
            Escape::Octal | Escape::Lossless | Escape::Caret => (OCTAL[usize::from(octet)], 4),
            Escape::Hex => (HEX[usize::from(octet)], 4),
        };
        if let Some(room) = self.gathered[self.length..].first_chunk_mut() {
            *room = written;
        }
        self.length += length;
        self.make_room();
    }

    /// There is always room for one more, however it is written.
    #[inline]
    fn make_room(&mut self) {
        if self.length > ROOM - 4 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.gathered[..self.length]);
        self.length = 0;
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// `#ooo` for every octet.
static OCTAL: [[u8; 4]; 256] = table(b'#', 8);

/// `\xhh` for every octet.
static HEX: [[u8; 4]; 256] = table(b'\\', 16);

/// Every octet behind a mark, in three digits, or as `x` and two.
const fn table(mark: u8, base: u8) -> [[u8; 4]; 256] {
    let mut table = [[0; 4]; 256];
    let mut octet: u8 = 0;
    loop {
        let digits = *b"0123456789abcdef";
        table[octet as usize] = [
            mark,
            if base == 16 {
                b'x'
            } else {
                digits[(octet / base / base) as usize]
            },
            digits[(octet / base % base) as usize],
            digits[(octet % base) as usize],
        ];
        if octet == u8::MAX {
            return table;
        }
        octet += 1;
    }
}

/// Appends `octets` with LF and NUL escaped, which line framing could not carry.
pub(super) fn push_line_safe(out: &mut BytesMut, mut octets: &[u8]) {
    let breaks = |octet: u8| octet == b'\n' || octet == 0;
    while let Some(at) = memchr::memchr2(b'\n', 0, octets) {
        let (head, mut rest) = octets.split_at(at);
        out.extend_from_slice(head);
        // Where one is there are often more: a search for each would cost more than a look at each octet.
        let mut written = Written::new(out, Escape::Octal);
        let mut plain = 0;
        while let [first, after @ ..] = rest
            && plain < PIECE
        {
            rest = after;
            if breaks(*first) {
                plain = 0;
                written.escape(*first);
            } else {
                plain += 1;
                written.show(*first);
            }
        }
        octets = rest;
    }
    out.extend_from_slice(octets);
}

/// Whether an octet is no printable ASCII and no TAB, or is to be escaped all the same.
#[inline]
fn is_odd(octet: u8, escape: Escape) -> bool {
    // NUL is odd already, so that the other styles compare with something that changes nothing.
    let also_odd = if escape == Escape::Lossless { b'#' } else { 0 };
    let plain = (b' '..=b'~').contains(&octet) || octet == b'\t';
    !plain || octet == also_odd
}

/// How many octets at the front are printable ASCII or TAB.
fn plain_prefix(octets: &[u8], escape: Escape) -> usize {
    let is_plain = |piece: &&[u8]| {
        let odd = piece
            .iter()
            .fold(false, |any, octet| any | is_odd(*octet, escape));
        !odd
    };
    let start = octets.chunks_exact(PIECE).take_while(is_plain).count() * PIECE;
    let rest = &octets[start..];
    // What is left at the end is less than a piece: the last piece overlaps the one before it.
    if rest.len() < PIECE
        && octets
            .last_chunk::<PIECE>()
            .is_some_and(|last| is_plain(&&last[..]))
    {
        return octets.len();
    }
    let odd = rest.iter().position(|octet| is_odd(*octet, escape));
    start + odd.unwrap_or(rest.len())
}

/// The length of the character at the front, which is not ASCII, and whether a reader may see it as it is.
fn character(octets: &[u8]) -> (usize, bool) {
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

    fn told(octets: &[u8]) -> (usize, bool) {
        character(octets)
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
