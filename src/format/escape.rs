//! Escaping: one record stays one line, and no octet of a sender can act on a reader's terminal.
//!
//! Escaped are C0 but TAB, DEL, octets that are not UTF-8, C1, U+2028, U+2029, and the characters that
//! turn the direction of writing (reliability S15). All else stays as it came.
//!
//! ```text
//! order 12 paid, 213 ms, thank you       plain: copied, 32 octets looked at in one go
//! caf e2 80 ae c3 a9 1b 5b 32 4a ff      a stretch of 64: first which octets are shown, then all are written
//!  1  1  1  0  0  0  1  1  0  1 …         without a branch for any of them, so that nothing makes it slow
//! ```

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

/// Plain octets are looked at in pieces of this size, small enough for two vector registers.
const PIECE: usize = 32;

/// Others are looked at in stretches of this size.
const STRETCH: usize = 64;

/// How far a character reaches beyond its first octet (RFC 3629 3).
const REACH: usize = 3;

/// A stretch, and what stands behind it; spaces after the end of all.
type Window = [u8; STRETCH + REACH];

/// Which octets of a stretch are shown as they are: see [`mask`].
type Shown = [u8; STRETCH];

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

/// Appends the stretches up to the next one of printable ASCII, escaped; returns what follows.
fn push_odd<'a>(out: &mut BytesMut, octets: &'a [u8], escape: Escape) -> &'a [u8] {
    let mut characters = [0; REACH + STRETCH];
    push_stretches(out, octets, Style::of(escape), |window| {
        let mut shown = [0; STRETCH];
        for (shown, octet) in shown.iter_mut().zip(window) {
            *shown = mask(!is_odd(*octet, escape));
        }
        if window.is_ascii() {
            characters[STRETCH..].fill(0);
            return (shown, all(&shown));
        }
        find_characters(window, &mut characters);
        for (at, shown) in shown.iter_mut().enumerate() {
            let belongs = (characters[at] & 8)
                | (characters[at + 1] & 4)
                | (characters[at + 2] & 2)
                | (characters[at + 3] & 1);
            *shown |= mask(belongs != 0);
        }
        (shown, false)
    })
}

/// Appends `octets` with LF and NUL escaped, which line framing could not carry.
pub(super) fn push_line_safe(out: &mut BytesMut, mut octets: &[u8]) {
    while let Some(at) = memchr::memchr2(b'\n', 0, octets) {
        let (head, rest) = octets.split_at(at);
        out.extend_from_slice(head);
        // Where one is there are often more: a search for each would cost more than a look at each octet.
        octets = push_stretches(out, rest, &OCTAL, |window| {
            let mut shown = [0; STRETCH];
            for (shown, octet) in shown.iter_mut().zip(window) {
                *shown = mask(!matches!(*octet, b'\n' | 0));
            }
            (shown, all(&shown))
        });
    }
    out.extend_from_slice(octets);
}

/// Appends one stretch after another, up to one that `look` calls plain; returns what follows that.
fn push_stretches<'a>(
    out: &mut BytesMut,
    octets: &'a [u8],
    style: &Style,
    mut look: impl FnMut(&Window) -> (Shown, bool),
) -> &'a [u8] {
    let mut rest = octets;
    while !rest.is_empty() {
        let (stretch, after) = rest.split_at(rest.len().min(STRETCH));
        let mut end = [b' '; STRETCH + REACH];
        let window = if let Some(window) = rest.first_chunk() {
            window
        } else {
            end[..rest.len()].copy_from_slice(rest);
            &end
        };
        let (shown, plain) = look(window);
        rest = after;
        if all(&shown) {
            out.extend_from_slice(stretch);
        } else if let Ok(stretch) = stretch.try_into()
            && style.is_even
            && !any(&shown)
        {
            style.push_hidden(out, stretch);
        } else {
            style.push_mixed(out, stretch, &shown);
        }
        if plain {
            break;
        }
    }
    rest
}

/// All bits if it is so, else none: vectors compare like this, where a `bool` would be asked one by one.
#[inline]
fn mask(is_so: bool) -> u8 {
    u8::from(is_so).wrapping_neg()
}

fn all(shown: &Shown) -> bool {
    words(shown).fold(u64::MAX, |all, word| all & word) == u64::MAX
}

fn any(shown: &Shown) -> bool {
    words(shown).fold(0, |any, word| any | word) != 0
}

fn words(shown: &Shown) -> impl Iterator<Item = u64> {
    let (words, _) = shown.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word))
}

/// How octets are written: those that are shown behind those that are not.
struct Style {
    forms: [[u8; 4]; 512],
    lengths: [Length; 512],
    /// Whether all that is hidden takes four octets.
    is_even: bool,
}

/// How many octets of a form count.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Length {
    One = 1,
    Two = 2,
    Four = 4,
}

static OCTAL: Style = Style::new(Escape::Octal);
static CARET: Style = Style::new(Escape::Caret);
static HEX: Style = Style::new(Escape::Hex);

impl Style {
    fn of(escape: Escape) -> &'static Self {
        match escape {
            Escape::Octal | Escape::Lossless => &OCTAL,
            Escape::Caret => &CARET,
            Escape::Hex => &HEX,
        }
    }

    const fn new(escape: Escape) -> Self {
        let mut style = Self {
            forms: [[0; 4]; 512],
            lengths: [Length::One; 512],
            is_even: !matches!(escape, Escape::Caret),
        };
        let mut octet: u8 = 0;
        loop {
            let (form, length) = match escape {
                Escape::Caret if octet.is_ascii() => ([b'^', octet ^ 0x40, 0, 0], Length::Two),
                Escape::Octal | Escape::Lossless | Escape::Caret => {
                    let digits = [octet >> 6, (octet >> 3) & 7, octet & 7];
                    let [a, b, c] = digits;
                    ([b'#', b'0' + a, b'0' + b, b'0' + c], Length::Four)
                }
                Escape::Hex => {
                    let digits = *b"0123456789abcdef";
                    let [a, b] = [digits[(octet >> 4) as usize], digits[(octet & 15) as usize]];
                    ([b'\\', b'x', a, b], Length::Four)
                }
            };
            style.forms[octet as usize] = form;
            style.lengths[octet as usize] = length;
            style.forms[octet as usize + 256] = [octet, 0, 0, 0];
            if octet == u8::MAX {
                return style;
            }
            octet += 1;
        }
    }

    /// A stretch of which nothing is shown.
    fn push_hidden(&self, out: &mut BytesMut, stretch: &[u8; STRETCH]) {
        let mut room = [[0; 4]; STRETCH];
        for (room, octet) in room.iter_mut().zip(stretch) {
            *room = self.forms[usize::from(*octet)];
        }
        out.extend_from_slice(room.as_flattened());
    }

    /// A stretch of which some octets are shown.
    fn push_mixed(&self, out: &mut BytesMut, stretch: &[u8], shown: &Shown) {
        const FULL: usize = STRETCH * 4;
        const GROUP: usize = 8;
        // What follows the last form is overwritten, or not taken.
        let mut room = [0; FULL + GROUP * 4];
        let mut length = 0;
        let mut forms = [0_u16; STRETCH];
        for ((form, octet), shown) in forms.iter_mut().zip(stretch).zip(shown) {
            *form = u16::from(*octet) | (u16::from(*shown & 1) << 8);
        }
        let (groups, rest) = forms[..stretch.len()].as_chunks::<GROUP>();
        let mut push = |length: usize, form: u16| {
            let form = usize::from(form) % 512;
            room[length..length + 4].copy_from_slice(&self.forms[form]);
            length + self.lengths[form] as usize
        };
        for group in groups {
            // The remainder is for the compiler: then it sees that there is room for all of a group.
            length = group
                .iter()
                .fold(length % FULL, |length, form| push(length, *form));
        }
        for form in rest {
            length = push(length % FULL, *form);
        }
        out.extend_from_slice(&room[..length]);
    }
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

/// Finds the visible characters of a stretch that are not ASCII. Bit `n` of a place says that the octet `n`
/// places on belongs to the character which begins there; the first places are the last of the stretch before.
///
/// A first octet can be no other octet of a character, so that each can be asked for itself, many at once.
fn find_characters(window: &Window, characters: &mut [u8; REACH + STRETCH]) {
    characters.copy_within(STRETCH.., 0);
    let bidi = memchr::memchr2(0xe2, 0xd8, window).is_some();
    for at in 0..STRETCH {
        let octets = [window[at], window[at + 1], window[at + 2], window[at + 3]];
        characters[at + REACH] = character(octets);
    }
    if bidi {
        for at in 0..STRETCH {
            let octets = [window[at], window[at + 1], window[at + 2]];
            characters[at + REACH] &= !acts_on_lines(octets);
        }
    }
}

/// A bit for each octet of the character at the front, if it is one (RFC 3629 4), no ASCII and no C1 control.
#[inline]
fn character(octets: [u8; 4]) -> u8 {
    let [a, b, c, d] = octets;
    let continues = |octet: u8| mask(octet & 0xc0 == 0x80);
    let low = mask(b < 0xa0);
    let two = mask((0xc2..=0xdf).contains(&a)) & continues(b);
    let two = two & !(mask(a == 0xc2) & low);
    let three = mask(a & 0xf0 == 0xe0) & continues(b) & continues(c);
    let three = three & !(mask(a == 0xe0) & low) & !(mask(a == 0xed) & !low);
    let four = mask((0xf0..=0xf4).contains(&a)) & continues(b) & continues(c) & continues(d);
    let short = mask(b < 0x90);
    let four = four & !(mask(a == 0xf0) & short) & !(mask(a == 0xf4) & !short);
    two & 0b11 | three & 0b111 | four & 0b1111
}

/// U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069: line separators, and what turns the direction
/// of writing (Unicode TR 9 and UTS 55).
#[inline]
fn acts_on_lines(octets: [u8; 3]) -> u8 {
    let [a, b, c] = octets;
    let alm = mask(a == 0xd8) & mask(b == 0x9c);
    let marks = mask(b == 0x80) & mask(matches!(c, 0x8e | 0x8f | 0xa8..=0xae));
    let isolates = mask(b == 0x81) & mask((0xa6..=0xa9).contains(&c));
    alm | mask(a == 0xe2) & (marks | isolates)
}

#[cfg(test)]
mod tests;
