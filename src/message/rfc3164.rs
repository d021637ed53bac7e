//! RFC 3164 section 4.1, and what the real world sends instead.
//!
//! ```text
//! Oct 11 22:14:15 mymachine su[12]: 'su root' failed for lonvick
//! TIMESTAMP    SP HOSTNAME SP TAG   separator and text
//! 46: .Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: text                      Cisco IOS
//! ```
//!
//! Each part may be missing; a message that has neither TIMESTAMP nor a clear TAG is [`Form::Bare`].

use std::net::Ipv6Addr;

use memchr::{memchr, memchr3};
use nom::Parser;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::combinator::opt;
use nom::sequence::terminated;

use super::search::{self, position};
use super::timestamp::{self, Figures};
use super::{Flag, Flags, Form, HOSTNAME_LIMIT, Header, PROC_ID_LIMIT, Parsed, Sender};

/// Reads what follows PRI into a bare header.
pub(super) fn read<'a>(octets: &'a [u8], sender: Sender<'_>, header: &mut Header<'a>) {
    let spaced = octets.strip_prefix(b" ");
    let rest = spaced.unwrap_or(octets);
    header.form = Form::Rfc3164;
    header.flags = Flags::of(Flag::LenientSpace, spaced.is_some());
    if !(stamped(rest, sender, header) || unstamped(rest, header)) {
        *header = Header::bare(octets, Flags::EMPTY);
    }
}

/// A header with a TIMESTAMP, or with Cisco's sequence number where one belongs.
fn stamped<'a>(octets: &'a [u8], sender: Sender<'_>, header: &mut Header<'a>) -> bool {
    let cisco = Cisco::read(octets);
    let marked = unmarked(cisco.rest);
    let Some((mut figures, rest)) = timestamp::rfc3164(marked) else {
        return cisco.numbered && uptime(cisco, header);
    };
    let Ok(rest) = zone_and_year(rest, cisco.numbered, &mut figures) else {
        return false;
    };
    let read = figures.read();
    header.flags.extend(read.flags);
    header.reading = read.reading;
    if read.reading.is_some() {
        let length = marked.len().saturating_sub(rest.len());
        header.timestamp = header.span(marked.get(..length).unwrap_or_default());
    }
    header.hostname = header.limited(cisco.hostname, HOSTNAME_LIMIT);
    match rest {
        // Cisco ends TIMESTAMP with a colon and leaves HOSTNAME out.
        [b':', rest @ ..] => {
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            header.tagged(rest, Tags::Clear);
        }
        [b' ', rest @ ..] => host(rest, sender, header),
        _ => header.texted(rest),
    }
    true
}

/// A header without a TIMESTAMP: only a TAG that leaves no doubt counts (RFC 3164 4.3.2 and 4.3.3).
fn unstamped<'a>(octets: &'a [u8], header: &mut Header<'a>) -> bool {
    header.tagged(octets, Tags::Certain);
    !header.app_name.is_empty()
}

/// Cisco's `seq: ` with the host and its own number after it: `102: rtr-a: 000123: `.
#[derive(Clone, Copy)]
struct Cisco<'a> {
    numbered: bool,
    hostname: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cisco<'a> {
    fn read(octets: &'a [u8]) -> Self {
        let none = Self {
            numbered: false,
            hostname: b"",
            rest: octets,
        };
        // A letter is a month's: the usual message pays one comparison.
        if !matches!(octets, [b'0'..=b'9' | b':', ..]) {
            return none;
        }
        let Ok((rest, _)) = sequence(octets) else {
            return none;
        };
        let numbered = Self {
            numbered: true,
            rest,
            ..none
        };
        if is_stamped(rest) {
            return numbered;
        }
        match before_colon(rest) {
            Some((hostname @ [first, ..], rest))
                if *first != b'%' && memchr(b' ', hostname).is_none() =>
            {
                let rest = opt(sequence).parse(rest).map_or(rest, |(rest, _)| rest);
                if is_stamped(unmarked(rest)) {
                    Self {
                        hostname,
                        rest,
                        ..numbered
                    }
                } else {
                    numbered
                }
            }
            Some(_) | None => numbered,
        }
    }
}

/// Whether a TIMESTAMP stands at the front.
#[cold]
fn is_stamped(octets: &[u8]) -> bool {
    timestamp::rfc3164(octets).is_some()
}

/// Without the mark of a clock that is not synchronised.
fn unmarked(octets: &[u8]) -> &[u8] {
    octets
        .strip_prefix(b"*")
        .or_else(|| octets.strip_prefix(b"."))
        .unwrap_or(octets)
}

/// `46: `, or only `: `.
fn sequence(octets: &[u8]) -> Parsed<'_, &[u8]> {
    terminated(
        take_while_m_n(0, 10, |octet: u8| octet.is_ascii_digit()),
        tag(&b": "[..]),
    )
    .parse(octets)
}

/// After a sequence number: a TAG `%FAC-SEV-MNEMONIC`, or one after the uptime, which is no date.
fn uptime<'a>(cisco: Cisco<'a>, header: &mut Header<'a>) -> bool {
    let rest = if let [b'%', ..] = cisco.rest {
        cisco.rest
    } else {
        match before_colon(cisco.rest) {
            Some(([b'0'..=b'9', ..], rest @ [b'%', ..])) => {
                header.flags.insert(Flag::BadTimestamp);
                rest
            }
            Some(_) | None => return false,
        }
    };
    header.tagged(rest, Tags::Clear);
    true
}

/// What stands before the first `: `, and what after it.
fn before_colon(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = octets
        .windows(2)
        .take(HOSTNAME_LIMIT)
        .position(|pair| pair == b": ")?;
    let (before, after) = octets.split_at_checked(end)?;
    Some((before, after.get(2..)?))
}

/// What may follow the time: AM or PM, a zone, a year. Gives the octets after them.
///
/// An error is a POSIX zone such as `TZ-6` (RFC 3164 5.4): no header that we know looks so.
fn zone_and_year<'a>(
    octets: &'a [u8],
    cisco: bool,
    figures: &mut Figures,
) -> Result<&'a [u8], UnknownZone> {
    // Nearly always HOSTNAME follows, in small letters, or Cisco's colon.
    if !matches!(octets, [b' ', b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-', ..]) {
        return Ok(octets);
    }
    let mut rest = octets;
    if let Some((half @ (b"AM" | b"PM"), after)) = word(rest) {
        figures.twelve_hours(half == b"PM");
        rest = after;
    }
    if let Some((zone, after)) = word(rest) {
        if let [b'T', b'Z', b'+' | b'-', ..] = zone {
            return Err(UnknownZone);
        }
        if is_zone(zone, after, cisco) {
            rest = after;
        }
    }
    if figures.year.is_none()
        && let Some((digits @ [_, _, _, _], after)) = word(rest)
        && let Some(year @ 1970..=2099) = timestamp::number(digits)
    {
        figures.year = Some(year);
        rest = after;
    }
    Ok(rest)
}

/// The zone has a form that we do not know.
struct UnknownZone;

/// SP and a short word, up to what ends it: SP, `: ` or the end of all.
fn word(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b' ', rest @ ..] = octets else {
        return None;
    };
    let end = rest
        .iter()
        .take(WORD_LIMIT)
        .position(|octet| matches!(octet, b' ' | b':'));
    let (word, after) = match end {
        Some(end) => rest.split_at_checked(end)?,
        None if rest.len() <= WORD_LIMIT => (rest, &b""[..]),
        None => return None,
    };
    matches!(after, [] | [b' ', ..] | [b':'] | [b':', b' ', ..]).then_some((word, after))
}

/// Whether a word after the time is a zone and not HOSTNAME or TAG.
fn is_zone(word: &[u8], after: &[u8], cisco: bool) -> bool {
    if let [b'+' | b'-', digits @ ..] = word {
        return digits.len() == 4 && digits.iter().all(u8::is_ascii_digit);
    }
    if !(1..=5).contains(&word.len()) || !word.iter().all(u8::is_ascii_uppercase) {
        return false;
    }
    match after {
        [b':', b' ', b'%', ..] => true,
        [b':', ..] => cisco,
        // `CST 1987 host`: RFC 3164 5.4.
        [b' ', year @ ..] if year_follows(year) => true,
        // `UTC host app: text`, but `UTC app: text` comes from a machine of that name.
        [b' ', next @ ..] if ZONES.contains(&word) => {
            let end = memchr(b' ', next).unwrap_or(next.len());
            let next = next.get(..end).unwrap_or_default();
            end != 0 && (is_ipv6(next) || memchr3(b':', b'[', b'=', next).is_none())
        }
        _ => false,
    }
}

fn year_follows(octets: &[u8]) -> bool {
    matches!(octets, [a, b, c, d, b' ', ..]
        if matches!(timestamp::number(&[*a, *b, *c, *d]), Some(1970..=2099)))
}

/// HOSTNAME and what follows it.
fn host<'a>(octets: &'a [u8], sender: Sender<'_>, header: &mut Header<'a>) {
    let rest = match octets {
        [b' ', ..] => octets.get(spaces(octets)..).unwrap_or_default(),
        _ => octets,
    };
    if rest.is_empty() {
        return header.texted(rest);
    }
    if rest.len() != octets.len() {
        header.flags.insert(Flag::LenientSpace);
    }
    if let [b'l' | b'M' | b'F', ..] = rest {
        // BSD's repeat line has neither HOSTNAME nor TAG.
        if rest.starts_with(b"last message repeated ") {
            return header.texted(rest);
        }
        let relayed = rest
            .strip_prefix(b"Message forwarded from ")
            .or_else(|| rest.strip_prefix(b"Forwarded from "));
        if let Some((hostname, rest)) = relayed.and_then(before_colon)
            && memchr(b' ', hostname).is_none()
        {
            header.hostname = header.limited(hostname, HOSTNAME_LIMIT);
            return header.tagged(rest, Tags::Word);
        }
    }
    let Some((word, [_, after @ ..])) = search::word(rest) else {
        // One word is content, and not a host that has nothing to say.
        return header.tagged(rest, Tags::Clear);
    };
    match sender {
        Sender::Local { hostname } if !is_own_name(word, hostname) => {
            header.tagged(rest, Tags::Word);
        }
        Sender::Local { .. } | Sender::Remote => match hostname(word, rest) {
            Some(hostname) => {
                header.hostname = header.limited(hostname, HOSTNAME_LIMIT);
                // Cisco ASA puts ` : ` between its name and the TAG.
                let after = after
                    .strip_prefix(b": ")
                    .filter(|tag| tag.starts_with(b"%"))
                    .unwrap_or(after);
                header.tagged(after, Tags::Word);
            }
            None => header.tagged(rest, Tags::Clear),
        },
    }
}

/// The HOSTNAME that a word is; `None` if it is rather a TAG or content. `octets` begin with it and a SP.
fn hostname<'a>(word: &'a [u8], octets: &[u8]) -> Option<&'a [u8]> {
    if let [b'[', inner @ .., b']'] = word {
        return is_ipv6(inner).then_some(inner);
    }
    if matches!(word, [] | [b'{' | b'"' | b'<' | b'(', ..]) {
        return None;
    }
    // With the SP, since then there are eight octets to look at, where the word has perhaps seven.
    let end = position(octets, [b':', b'[', b'=', b' '], 0);
    (end == Some(word.len()) || is_ipv6(word)).then_some(word)
}

/// How many SP stand at the front.
fn spaces(octets: &[u8]) -> usize {
    let (pieces, _) = octets.as_chunks::<32>();
    let full = pieces.iter().take_while(|piece| **piece == [b' '; 32]);
    let full = full.count().saturating_mul(32);
    let rest = octets.get(full..).unwrap_or_default().iter();
    full.saturating_add(rest.take_while(|octet| **octet == b' ').count())
}

/// An IPv6 address, with its scope (RFC 4007 11) or without.
fn is_ipv6(word: &[u8]) -> bool {
    let end = memchr(b'%', word).unwrap_or(word.len());
    word.get(..end)
        .filter(|address| address.len() <= 45 && memchr(b':', address).is_some())
        .and_then(|address| std::str::from_utf8(address).ok())
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Whether both are the same host, if either leaves its domain out.
fn is_own_name(word: &[u8], own: &[u8]) -> bool {
    let (short, long) = if word.len() < own.len() {
        (word, own)
    } else {
        (own, word)
    };
    let Some((head, domain)) = long.split_at_checked(short.len()) else {
        return false;
    };
    // Nearly always the word is a TAG, which differs in its first octet.
    head.eq_ignore_ascii_case(short)
        && match domain {
            [] => !short.is_empty(),
            [b'.', ..] => !short.is_empty() && memchr(b'.', short).is_none(),
            _ => false,
        }
}

/// How much a TAG must look like one.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Tags {
    /// TIMESTAMP and HOSTNAME stand before it: the first word is the TAG.
    Word,
    /// TIMESTAMP stands before it: `:` or `[` must end it.
    Clear,
    /// Nothing stands before it: `: ` or `[…]:` must end it.
    Certain,
}

impl<'a> Header<'a> {
    /// All of `octets` is text.
    fn texted(&mut self, octets: &'a [u8]) {
        self.text = self.end(octets);
        self.msg = self.text;
    }

    /// Reads TAG, its separator and the text after it.
    fn tagged(&mut self, octets: &'a [u8], tags: Tags) {
        self.texted(octets);
        // RFC 3164 4.1.3 allows letters and digits; the world uses whatever prints.
        let end = position(octets, [b':', b'[', DEL], b'!').unwrap_or(octets.len());
        let Some((name, after)) = octets.split_at_checked(end) else {
            return;
        };
        let bad = Flags::of(Flag::BadTag, tags != Tags::Certain);
        match (name, after) {
            ([], [b':', rest @ ..]) => {
                self.flags.extend(bad);
                self.msg = self.end(rest.strip_prefix(b" ").unwrap_or(rest));
            }
            // JSON and XML begin a text, and never a TAG.
            ([] | [b'{' | b'"' | b'<', ..], _) => {}
            (_, [b'[', inside @ ..]) => {
                let end = position(inside, [b']', DEL], b'!');
                match end.and_then(|end| inside.split_at_checked(end)) {
                    Some((proc_id, [b']', rest @ ..]))
                        if tags != Tags::Certain || rest.starts_with(b":") =>
                    {
                        self.name(name);
                        self.proc_id = self.limited(proc_id, PROC_ID_LIMIT);
                        let rest = rest.strip_prefix(b":").unwrap_or(rest);
                        self.msg = self.end(rest.strip_prefix(b" ").unwrap_or(rest));
                    }
                    Some(_) | None => self.flags.extend(bad),
                }
            }
            (_, [b':', rest @ ..]) if tags != Tags::Certain || matches!(rest, [] | [b' ', ..]) => {
                self.name(name);
                self.msg = self.end(rest.strip_prefix(b" ").unwrap_or(rest));
            }
            (_, [] | [b' ', ..]) => {
                if tags == Tags::Word {
                    self.name(name);
                    self.msg = self.end(after.get(1..).unwrap_or_default());
                }
            }
            // A control character ends no TAG, nor does a bare colon where nothing stands before it.
            _ => self.flags.extend(bad),
        }
    }

    fn name(&mut self, name: &'a [u8]) {
        self.app_name = self.limited(name, TAG_LIMIT);
    }
}

/// RFC 5234 B.1: the octet after the last that prints.
const DEL: u8 = 0x7f;

/// RFC 3164 4.1.3 says 32, and nobody obeys.
const TAG_LIMIT: usize = 255;

/// A zone, a year or a half of the day is no longer than this.
const WORD_LIMIT: usize = 6;

/// Zones that stand without a year in the wild.
const ZONES: &[&[u8]] = &[
    b"Z", b"UTC", b"GMT", b"EST", b"EDT", b"CST", b"CDT", b"MST", b"MDT", b"PST", b"PDT", b"AKST",
    b"AKDT", b"HST", b"WET", b"WEST", b"BST", b"IST", b"CET", b"CEST", b"MET", b"MEST", b"EET",
    b"EEST", b"MSK", b"SGT", b"HKT", b"JST", b"KST", b"AWST", b"ACST", b"AEST", b"AEDT", b"NZST",
    b"NZDT",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_ours_whether_either_name_has_its_domain_or_not() {
        for (word, own, want) in [
            ("web", "web", true),
            ("WEB", "web.example.net", true), // case does not matter
            ("web.example.net", "Web", true),
            ("web.example.net", "web.example.net", true),
            ("web.example.org", "web.example.net", false), // two domains
            ("web.example", "web.example.net", false),     // a domain is whole
            ("web7", "web", false),
            ("we", "web", false),
            (".net", "", false), // nobody
            ("web", ".net", false),
            ("", ".net", false),
        ] {
            let is_own = is_own_name(word.as_bytes(), own.as_bytes());
            assert_eq!(is_own, want, "{word} {own}");
        }
    }
}
