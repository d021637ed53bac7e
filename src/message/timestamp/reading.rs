//! TIMESTAMP as octets, both kinds: RFC 3339 (RFC 5424 6.2.3) and BSD (RFC 3164 4.1.2).
//!
//! ```text
//! 2003-08-24T05:14:15.000003-07:00
//! Oct 11 22:14:15          Oct 1 2003 22:14:15.003          2003 Oct 11 22:14:15
//! ```

use memchr::memchr;

use super::{Civil, Reading, days_in};
use crate::message::{Flag, Flags};

/// What stands where a TIMESTAMP belongs and has its shape; no reading if there is no such time.
#[derive(Clone, Copy, Debug)]
pub(in crate::message) struct Read {
    pub(in crate::message) reading: Option<Reading>,
    pub(in crate::message) flags: Flags,
}

/// A clock's figures as written, not yet known to exist.
#[derive(Clone, Copy, Debug)]
pub(in crate::message) struct Figures {
    pub(in crate::message) year: Option<u16>,
    pub(super) month: u8,
    pub(super) day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    micros: u32,
    offset: Option<i32>,
    /// A part is malformed, so that no year can mend it.
    broken: bool,
    flags: Flags,
}

impl Figures {
    /// AM or PM stood after the time.
    pub(in crate::message) fn twelve_hours(&mut self, afternoon: bool) {
        self.flags.insert(Flag::TimestampLenient);
        self.hour = match (self.hour, afternoon) {
            (12, false) => 0,
            (1..=11, true) => self.hour.saturating_add(12),
            _ => self.hour,
        };
    }

    /// The time, if there is one.
    pub(in crate::message) fn read(self) -> Read {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
            offset,
            broken,
            mut flags,
        } = self;
        let exists = !broken
            && (1..=12).contains(&month)
            && (1..=days_in(month, year)).contains(&day)
            && hour <= 23
            && minute <= 59
            && second <= 60;
        if !exists {
            flags = Flags::of(Flag::BadTimestamp, true);
            return Read {
                reading: None,
                flags,
            };
        }
        // RFC 5424 6.2.3 forbids leap seconds, and clocks send them: the last microsecond before keeps
        // the order.
        let (second, micros) = if second == 60 {
            flags.insert(Flag::TimestampLeapClamped);
            (59, 999_999)
        } else {
            (second, micros)
        };
        let civil = Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            micros,
        };
        Read {
            reading: Some(Reading { civil, offset }),
            flags,
        }
    }
}

/// TIMESTAMP of RFC 5424; `None` if the field has not even the shape of one.
#[inline]
pub(in crate::message) fn rfc5424(field: &[u8]) -> Option<Read> {
    let (mut figures, separator) = rfc3339(field)?;
    // Without an offset the zone is unknown, and here nobody promised that it is ours.
    figures.broken |= figures.offset.is_none() || separator == b' ';
    Some(figures.read())
}

/// TIMESTAMP at the head of an RFC 3164 message: its figures, and the octets after it, which are none
/// or begin with SP or `:`.
#[inline]
pub(in crate::message) fn rfc3164(octets: &[u8]) -> Option<(Figures, &[u8])> {
    let (year, rest) = match octets {
        [b'0'..=b'9', _, _, _, b'-', ..] => return iso(octets),
        [y1 @ b'0'..=b'9', y2, y3, y4, b' ', rest @ ..] => {
            (Some(number(&[*y1, *y2, *y3, *y4])?), rest)
        }
        _ => (None, octets),
    };
    let (mut figures, rest) = bsd(rest)?;
    figures.year = year.or(figures.year);
    Some((figures, rest))
}

/// `Mmm dd hh:mm:ss`, the day padded with a space, a zero or not at all, and a year after it or not.
fn bsd(octets: &[u8]) -> Option<(Figures, &[u8])> {
    let [m1, m2, m3, b' ', rest @ ..] = octets else {
        return None;
    };
    let (month, lenient) = month([*m1, *m2, *m3])?;
    let (day, rest) = match rest {
        [b' ', d @ b'0'..=b'9', b' ', rest @ ..] | [d @ b'0'..=b'9', b' ', rest @ ..] => {
            ([b'0', *d], rest)
        }
        [d1, d2, b' ', rest @ ..] => ([*d1, *d2], rest),
        _ => return None,
    };
    let (year, rest) = match rest {
        [y1, y2, y3, y4, b' ', rest @ ..] => (Some(number(&[*y1, *y2, *y3, *y4])?), rest),
        _ => (None, rest),
    };
    let (clock @ [_, _, b':', _, _, b':', _, _], rest) = rest.split_first_chunk()? else {
        return None;
    };
    let [tens, units] = day;
    let day = two(tens, units)?;
    let [hour, _, _, minute, _, _, second, _] = pairs(*clock, CLOCK)?;
    let mut figures = Figures {
        year,
        month,
        day,
        hour,
        minute,
        second,
        micros: 0,
        offset: None,
        broken: false,
        flags: Flags::of(Flag::TimestampLenient, lenient),
    };
    let rest = match rest {
        [] | [b' ' | b':', ..] => rest,
        [b'.', ..] => fraction(rest, &mut figures),
        [b',', ..] => {
            figures.flags.insert(Flag::TimestampLenient);
            fraction(rest, &mut figures)
        }
        _ => return None,
    };
    matches!(rest, [] | [b' ' | b':', ..]).then_some((figures, rest))
}

/// An RFC 3339 TIMESTAMP at the head of an RFC 3164 message.
fn iso(octets: &[u8]) -> Option<(Figures, &[u8])> {
    // The SP of `2026-11-22 11:02:03` is part of it.
    let after = octets.get(11..)?;
    let end = memchr(b' ', after).map_or(octets.len(), |at| at.saturating_add(11));
    let (word, _) = octets.split_at_checked(end)?;
    let word = word.strip_suffix(b":").unwrap_or(word);
    let (mut figures, separator) = rfc3339(word)?;
    if separator == b' ' || figures.offset.is_none() {
        figures.flags.insert(Flag::TimestampLenient);
    }
    Some((figures, octets.get(word.len()..)?))
}

/// A whole word `yyyy-mm-ddThh:mm:ss` with what follows it, and its separator.
///
/// Once these nineteen octets are right the word is a TIMESTAMP; what is wrong after them breaks it.
#[inline]
fn rfc3339(word: &[u8]) -> Option<(Figures, u8)> {
    let (date @ [_, _, _, _, b'-', _, _, b'-'], rest) = word.split_first_chunk()? else {
        return None;
    };
    let (clock @ [_, _, separator @ (b'T' | b't' | b' '), _, _, b':', _, _], rest) =
        rest.split_first_chunk()?
    else {
        return None;
    };
    let [b':', tens, units, rest @ ..] = rest else {
        return None;
    };
    let [century, _, year, _, _, month, _, _] = pairs(*date, DATE)?;
    let [day, _, _, hour, _, _, minute, _] = pairs(*clock, CLOCK)?;
    let second = two(*tens, *units)?;
    let year = u16::from(century)
        .wrapping_mul(100)
        .wrapping_add(u16::from(year));
    let mut figures = Figures {
        year: Some(year),
        month,
        day,
        hour,
        minute,
        second,
        micros: 0,
        offset: None,
        broken: false,
        flags: Flags::of(Flag::TimestampLenient, *separator == b't'),
    };
    let rest = match rest {
        [b'.', ..] => fraction(rest, &mut figures),
        _ => rest,
    };
    let (sign, hours, minutes) = match rest {
        [] => return Some((figures, *separator)),
        [b'Z'] => (b'+', Some(0), Some(0)),
        [b'z'] => {
            figures.flags.insert(Flag::TimestampLenient);
            (b'+', Some(0), Some(0))
        }
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => (*sign, two(*h1, *h2), two(*m1, *m2)),
        [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            figures.flags.insert(Flag::TimestampLenient);
            (*sign, two(*h1, *h2), two(*m1, *m2))
        }
        _ => (b'+', None, None),
    };
    match (hours, minutes) {
        (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => {
            let seconds = i32::from(hours)
                .wrapping_mul(3600)
                .wrapping_add(i32::from(minutes).wrapping_mul(60));
            figures.offset = Some(if sign == b'-' {
                seconds.wrapping_neg()
            } else {
                seconds
            });
        }
        _ => figures.broken = true,
    }
    Some((figures, *separator))
}

/// TIME-SECFRAC: a dot or a comma, then digits, of which six count. Gives the octets after it.
fn fraction<'a>(octets: &'a [u8], figures: &mut Figures) -> &'a [u8] {
    let mut rest = octets.get(1..).unwrap_or_default();
    if !matches!(rest, [b'0'..=b'9', ..]) {
        figures.broken = true;
    }
    for place in [100_000, 10_000, 1000, 100, 10, 1] {
        let [digit @ b'0'..=b'9', after @ ..] = rest else {
            return rest;
        };
        let digit = u32::from(digit.wrapping_sub(b'0'));
        figures.micros = figures.micros.wrapping_add(digit.wrapping_mul(place));
        rest = after;
    }
    if let [b'0'..=b'9', ..] = rest {
        figures.flags.insert(Flag::TimestampPrecisionTruncated);
    }
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit());
    rest.get(digits.count()..).unwrap_or_default()
}

/// The month of this name, and whether its letters were not in the case that RFC 3164 4.1.2 demands.
fn month(name: [u8; 3]) -> Option<(u8, bool)> {
    if let Some(month) = month_named(name) {
        return Some((month, false));
    }
    let [first, second, third] = name;
    let usual = [
        first.to_ascii_uppercase(),
        second.to_ascii_lowercase(),
        third.to_ascii_lowercase(),
    ];
    Some((month_named(usual)?, true))
}

fn month_named(name: [u8; 3]) -> Option<u8> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// The number that two digits write.
fn two(tens: u8, units: u8) -> Option<u8> {
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    (tens <= 9 && units <= 9).then(|| tens.wrapping_mul(10).wrapping_add(units))
}

/// The pairs of digits in `hh:mm:ss` and in `ddThh:mm`.
const CLOCK: [u8; 8] = [0xff, 0xff, 0, 0xff, 0xff, 0, 0xff, 0xff];

/// The pairs of digits in `yyyy-mm-`.
const DATE: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0];

/// The number of each pair of digits, in the place of its first digit; `None` if one is no digit.
///
/// `places` has a set octet for each digit. All eight octets are worked on at once, as one word: a message
/// spends much of its time here.
fn pairs(octets: [u8; 8], places: [u8; 8]) -> Option<[u8; 8]> {
    let every = |octet: u8| u64::from_le_bytes([octet; 8]);
    let (word, places) = (u64::from_le_bytes(octets), u64::from_le_bytes(places));
    // A digit is 0x30 to 0x39: its high half is 3, and 6 more than its low half is no carry.
    let digits = word & places & every(0x0f);
    let high = word & places & every(0xf0);
    let carry = digits.wrapping_add(every(6)) & every(0xf0);
    if high != places & every(0x30) || carry != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    Some(pairs.to_le_bytes())
}

/// The number that one to four digits write.
pub(in crate::message) fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u16::from(digit))
    })
}
