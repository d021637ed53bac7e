//! Where a field ends. Fields are short: to call a search, or to ask octet by octet, costs more than a look
//! at eight of them as one number.

use memchr::memchr;

/// Where the first octet is that is one of `ends`, or less than `least`.
#[expect(
    clippy::inline_always,
    reason = "with `ends` and `least` unknown it is twice as many instructions"
)]
#[inline(always)]
pub(super) fn position<const N: usize>(octets: &[u8], ends: [u8; N], least: u8) -> Option<usize> {
    near(octets, ends, least).or_else(|| far(octets, ends, least))
}

/// The octets up to the first SP, and from there; `None` if there is no SP.
#[expect(
    clippy::inline_always,
    reason = "two slices in an `Option` are dear to hand over"
)]
#[inline(always)]
pub(super) fn word(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = near(octets, [b' '], 0).or_else(|| memchr(b' ', octets))?;
    octets.split_at_checked(end)
}

/// [`position`], if it is among the first octets.
#[expect(clippy::inline_always, reason = "as for `position`")]
#[inline(always)]
fn near<const N: usize>(octets: &[u8], ends: [u8; N], least: u8) -> Option<usize> {
    let (eights, _) = octets.as_chunks();
    for (number, eight) in eights.iter().take(NEAR).enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let found = ends.iter().fold(lesser(eight, least), |found, end| {
            found | zeros(eight ^ every(*end))
        });
        if found != 0 {
            return Some(number.wrapping_mul(8).wrapping_add(first(found)));
        }
    }
    None
}

/// [`position`], where it is far or the octets are few.
#[cold]
#[inline(never)]
fn far<const N: usize>(octets: &[u8], ends: [u8; N], least: u8) -> Option<usize> {
    // Without a choice, so that the compiler makes vectors of it.
    let is_end = |octet: u8| {
        let lesser = u8::from(octet < least);
        ends.iter()
            .fold(lesser, |any, end| any | u8::from(octet == *end))
    };
    let without =
        |piece: &&[u8; PIECE]| piece.iter().fold(0, |any, octet| any | is_end(*octet)) == 0;
    let pieces = octets.as_chunks().0.iter().take_while(without).count();
    let start = pieces.wrapping_mul(PIECE);
    let mut rest = octets.get(start..)?.iter();
    let at = rest.position(|octet| is_end(*octet) != 0)?;
    Some(start.wrapping_add(at))
}

/// Eight times this octet.
pub(super) const fn every(octet: u8) -> u64 {
    u64::from_le_bytes([octet; 8])
}

/// The highest bit of each octet that is zero; of those behind the first perhaps more.
pub(super) fn zeros(octets: u64) -> u64 {
    lesser(octets, 1)
}

/// The highest bit of each octet that is less than `least`, at most 0x80; of those behind the first perhaps more.
fn lesser(octets: u64, least: u8) -> u64 {
    octets.wrapping_sub(every(least)) & !octets & every(0x80)
}

/// Which octet is the first whose highest bit is set.
pub(super) fn first(found: u64) -> usize {
    usize::try_from(found.trailing_zeros() / u8::BITS).unwrap_or(usize::MAX)
}

/// Few words are longer than so many times eight octets.
const NEAR: usize = 4;

/// Octets that are looked at in one go where a word is longer.
const PIECE: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_end_is_found_wherever_it_is(
            octets in "[a-z\u{80}-\u{ff}]{0,120}([:\\[ \x00-\x7f][a-z: ]{0,9})?",
        ) {
            let octets = octets.as_bytes();
            let is_end = |octet: &u8| b":[\x7f".contains(octet) || *octet < b'!';
            let want = octets.iter().position(is_end);
            prop_assert_eq!(position(octets, [b':', b'[', 0x7f], b'!'), want);
            let space = octets.iter().position(|octet| *octet == b' ');
            let want = space.map(|end| octets.split_at(end));
            prop_assert_eq!(word(octets), want);
        }
    }
}
