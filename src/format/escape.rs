//! Escaping: one record stays one line, and no octet of a sender can act on a reader's terminal.
//!
//! Escaped are C0 but TAB, DEL, octets that are not UTF-8, C1, U+2028, U+2029, and the characters that
//! turn the direction of writing (reliability S15). All else stays as it came.
//!
//! ```text
//! order 12 paid, 213 ms, thank you       plain: copied, 32 octets looked at in one go
//! caf e2 80 ae c3 a9 1b 5b 32 4a ff      a stretch of 64: which octets are hidden, then how each is written,
//!  0  1  1  1  0  0  1  0  0  0  1       without a branch for any of them, so that nothing makes it slow
//! ```

use bytes::BytesMut;

use crate::sys::with_wide_vectors;

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

/// For each octet of a stretch [`mask`] of whether it is hidden.
type Hidden = [u8; STRETCH];

/// Appends `octets`, escaped.
pub(super) fn push_escaped(out: &mut BytesMut, octets: &[u8], escape: Escape) {
    match escape {
        Escape::Octal => push_text::<0>(out, octets, octal),
        Escape::Caret => push_text::<0>(out, octets, caret),
        Escape::Hex => push_text::<0>(out, octets, hex),
        Escape::Lossless => push_text::<b'#'>(out, octets, octal),
    }
}

/// [`push_escaped`], where `ALSO` is hidden too, and `form` says what is written for an octet.
fn push_text<const ALSO: u8>(
    out: &mut BytesMut,
    mut octets: &[u8],
    form: impl Fn(u8) -> Form + Copy,
) {
    loop {
        let (shown, after) = octets.split_at(plain_prefix::<ALSO>(octets));
        out.extend_from_slice(shown);
        if after.is_empty() {
            return;
        }
        octets = push_odd::<ALSO>(out, after, form);
    }
}

/// Appends the stretches up to the next one of printable ASCII, escaped; returns what follows.
#[inline(never)]
fn push_odd<'a, const ALSO: u8>(
    out: &mut BytesMut,
    octets: &'a [u8],
    form: impl Fn(u8) -> Form + Copy,
) -> &'a [u8] {
    with_wide_vectors(
        #[inline(always)]
        || push_stretches::<ALSO>(out, octets, form),
    )
}

/// [`push_odd`], to be compiled into it.
#[expect(
    clippy::inline_always,
    reason = "what is called would be compiled without wide vectors"
)]
#[inline(always)]
fn push_stretches<'a, const ALSO: u8>(
    out: &mut BytesMut,
    octets: &'a [u8],
    form: impl Fn(u8) -> Form + Copy,
) -> &'a [u8] {
    let mut characters = [0; REACH + STRETCH];
    let mut room = [0; ROOM];
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
        rest = after;
        let mut hidden = [0; STRETCH];
        for (hidden, octet) in hidden.iter_mut().zip(window) {
            *hidden = mask(is_odd::<ALSO>(*octet));
        }
        let is_ascii = window.is_ascii();
        if is_ascii {
            characters[STRETCH..].fill(0);
        } else {
            find_characters(window, &mut characters);
            show_characters(&characters, &mut hidden);
        }
        if hidden != [0; STRETCH] {
            push_forms(out, window, &hidden, stretch.len(), &mut room, form);
        } else if is_ascii {
            out.extend_from_slice(stretch);
            break;
        } else {
            out.extend_from_slice(stretch);
        }
    }
    rest
}

/// All bits if it is so, else none: vectors compare like this, where a `bool` would be asked one by one.
#[inline]
fn mask(is_so: bool) -> u8 {
    u8::from(is_so).wrapping_neg()
}

/// What is written for an octet that is hidden, and how many of these octets count.
type Form = ([u8; 4], Length);

#[derive(Clone, Copy)]
#[repr(u8)]
enum Length {
    One = 1,
    Two = 2,
    Four = 4,
}

#[inline]
fn octal(octet: u8) -> Form {
    let [a, b, c] = [octet >> 6, (octet >> 3) & 7, octet & 7];
    ([b'#', b'0' + a, b'0' + b, b'0' + c], Length::Four)
}

#[inline]
fn caret(octet: u8) -> Form {
    if octet.is_ascii() {
        ([b'^', octet ^ 0x40, 0, 0], Length::Two)
    } else {
        octal(octet)
    }
}

#[inline]
fn hex(octet: u8) -> Form {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    (
        [b'\\', b'x', digit(octet >> 4), digit(octet & 15)],
        Length::Four,
    )
}

/// Where the forms of a stretch are put one after the other: what follows the last octet of a form is
/// overwritten by the next.
type Room = [u8; ROOM];

const ROOM: usize = STRETCH * 4 + GROUP * 4;

/// Forms put there between two checks for room.
const GROUP: usize = 16;

/// Appends the first `count` octets of a window, of which those before have no end.
#[expect(
    clippy::inline_always,
    reason = "what is called would be compiled without wide vectors"
)]
#[inline(always)]
fn push_forms(
    out: &mut BytesMut,
    window: &Window,
    hidden: &Hidden,
    count: usize,
    room: &mut Room,
    form: impl Fn(u8) -> Form,
) {
    let mut forms = [[0; 4]; STRETCH];
    let mut lengths = [Length::One; STRETCH];
    for at in 0..STRETCH {
        let (octet, hidden) = (window[at], hidden[at]);
        let ([first, second, third, fourth], length) = form(octet);
        let first = first & hidden | octet & !hidden;
        forms[at] = [first, second, third, fourth];
        lengths[at] = if hidden == 0 { Length::One } else { length };
    }
    let all_are_even = matches!(form(0).1, Length::Four);
    if all_are_even && *hidden == [mask(true); STRETCH] {
        return out.extend_from_slice(forms.as_flattened());
    }
    let mut end = 0;
    let (forms, _) = forms.as_chunks::<GROUP>();
    let (lengths, _) = lengths.as_chunks::<GROUP>();
    for (forms, lengths) in forms.iter().zip(lengths) {
        // The remainder is for the compiler: then it sees that there is room for all of a group.
        end %= STRETCH * 4;
        for (form, length) in forms.iter().zip(lengths) {
            room[end..end + 4].copy_from_slice(form);
            end += *length as usize;
        }
    }
    // Behind the end of all there are spaces, which are shown.
    out.extend_from_slice(&room[..end - (STRETCH - count)]);
}

/// Appends `octets` with LF and NUL escaped, which line framing could not carry.
pub(super) fn push_line_safe(out: &mut BytesMut, octets: &[u8]) {
    match memchr::memchr2(b'\n', 0, octets) {
        None => out.extend_from_slice(octets),
        Some(at) => push_marks(out, octets, at),
    }
}

/// Appends `octets`, of which that `at` some place is the first LF or NUL, with all of these escaped.
#[inline(never)]
fn push_marks(out: &mut BytesMut, octets: &[u8], at: usize) {
    /// How far from one mark others are expected: a search for each would cost more than a look at each octet.
    const NEAR: usize = 512;
    const FULL: usize = NEAR * 4;
    const GROUP: usize = 16;
    let (head, mut rest) = octets.split_at(at);
    out.extend_from_slice(head);
    // As in `push_forms`.
    let mut room = [0; FULL + GROUP * 4];
    while !rest.is_empty() {
        let (near, after) = rest.split_at(rest.len().min(NEAR));
        let mut push = |end: usize, octet: u8| {
            room[end..end + 4].copy_from_slice(&MARKS.0[usize::from(octet)]);
            end + MARKS.1[usize::from(octet)] as usize
        };
        let (groups, last) = near.as_chunks::<GROUP>();
        let mut end = 0;
        for group in groups {
            end = group
                .iter()
                .fold(end % FULL, |end, octet| push(end, *octet));
        }
        for octet in last {
            end = push(end % FULL, *octet);
        }
        out.extend_from_slice(&room[..end]);
        rest = after;
        if !matches!(rest.first(), Some(b'\n' | 0)) {
            let next = memchr::memchr2(b'\n', 0, rest).unwrap_or(rest.len());
            let (head, after) = rest.split_at(next);
            out.extend_from_slice(head);
            rest = after;
        }
    }
}

/// How each octet is written in line framing, and how long that is.
static MARKS: ([[u8; 4]; 256], [Length; 256]) = {
    let mut marks = ([[0; 4]; 256], [Length::One; 256]);
    let mut octet: u8 = 0;
    while octet < u8::MAX {
        octet += 1;
        marks.0[octet as usize] = [octet, 0, 0, 0];
    }
    marks.0[0] = *b"#000";
    marks.1[0] = Length::Four;
    marks.0[b'\n' as usize] = *b"#012";
    marks.1[b'\n' as usize] = Length::Four;
    marks
};

/// Whether an octet is no printable ASCII and no TAB, or is `ALSO`; NUL is odd in any case.
#[inline]
fn is_odd<const ALSO: u8>(octet: u8) -> bool {
    let plain = (b' '..=b'~').contains(&octet) || octet == b'\t';
    !plain || octet == ALSO
}

/// How many octets at the front are printable ASCII or TAB.
#[inline]
fn plain_prefix<const ALSO: u8>(octets: &[u8]) -> usize {
    let is_plain = |piece: &&[u8]| {
        let odd = piece
            .iter()
            .fold(false, |any, octet| any | is_odd::<ALSO>(*octet));
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
    let odd = rest.iter().position(|octet| is_odd::<ALSO>(*octet));
    start + odd.unwrap_or(rest.len())
}

/// Finds the visible characters of a stretch that are not ASCII. Bit `n` of a place says that the octet `n`
/// places on belongs to the character which begins there; the first places are the last of the stretch before.
///
/// A first octet can be no other octet of a character, so that each can be asked for itself, many at once.
#[expect(
    clippy::inline_always,
    reason = "what is called would be compiled without wide vectors"
)]
#[inline(always)]
fn find_characters(window: &Window, characters: &mut [u8; REACH + STRETCH]) {
    characters.copy_within(STRETCH.., 0);
    let mut may_act = [0; STRETCH];
    for (may_act, octet) in may_act.iter_mut().zip(window) {
        *may_act = mask(*octet == 0xe2) | mask(*octet == 0xd8);
    }
    if may_act == [0; STRETCH] {
        for at in 0..STRETCH {
            let (a, b, c, d) = (window[at], window[at + 1], window[at + 2], window[at + 3]);
            characters[at + REACH] = character(a, b, c, d);
        }
    } else {
        for at in 0..STRETCH {
            let (a, b, c, d) = (window[at], window[at + 1], window[at + 2], window[at + 3]);
            characters[at + REACH] = character(a, b, c, d) & !acts_on_lines(a, b, c);
        }
    }
}

/// Takes what belongs to a visible character out of what is hidden.
#[expect(
    clippy::inline_always,
    reason = "what is called would be compiled without wide vectors"
)]
#[inline(always)]
fn show_characters(characters: &[u8; REACH + STRETCH], hidden: &mut Hidden) {
    for (at, hidden) in hidden.iter_mut().enumerate() {
        let belongs = (characters[at] & 8)
            | (characters[at + 1] & 4)
            | (characters[at + 2] & 2)
            | (characters[at + 3] & 1);
        *hidden &= mask(belongs == 0);
    }
}

/// A bit for each octet of the character at the front, if it is one (RFC 3629 4), no ASCII and no C1 control.
///
/// The octets come one by one: of an array the compiler would make a number, and take it to pieces again.
#[inline]
fn character(a: u8, b: u8, c: u8, d: u8) -> u8 {
    // The octets from 80 on are the negative ones of `i8`, and ASCII is greater than all of them.
    let from = |octet: u8, least: u8| mask(octet.cast_signed() >= least.cast_signed());
    let breaks = |octet: u8| from(octet, 0xc0);
    let same = |octet: u8, other: u8| mask(octet == other);
    // The highest bit says so: one instruction, if what follows needs no more than that.
    let least = |octet: u8, least: u8| octet.saturating_sub(least - 0x80);
    let (three, four) = (least(a, 0xe0), least(a, 0xf0));
    let (late, middle) = (from(b, 0xa0), from(b, 0x90));
    // C2 counts as C3 if A0 follows, and F4 as F5 if 90 does. FF must not become 0, and is no F4.
    let begins = least(a.saturating_add(late & 1), 0xc3);
    let bad = breaks(b)
        | three & breaks(c)
        | four & breaks(d)
        | least(a.saturating_add(middle & 1), 0xf5)
        | same(a, 0xe0) & !late
        | same(a, 0xed) & late
        | same(a, 0xf0) & !middle;
    let is_character = mask((begins & !bad).cast_signed() < 0);
    is_character & (3 | (three >> 5) & 4 | (four >> 4) & 8)
}

/// U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069: line separators, and what turns the direction
/// of writing (Unicode TR 9 and UTS 55).
#[inline]
fn acts_on_lines(a: u8, b: u8, c: u8) -> u8 {
    let alm = mask(a == 0xd8) & mask(b == 0x9c);
    let marks = mask(b == 0x80) & mask(matches!(c, 0x8e | 0x8f | 0xa8..=0xae));
    let isolates = mask(b == 0x81) & mask((0xa6..=0xa9).contains(&c));
    alm | mask(a == 0xe2) & (marks | isolates)
}

#[cfg(test)]
mod tests;
