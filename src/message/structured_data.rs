//! STRUCTURED-DATA (RFC 5424 6.3), read only when somebody asks.
//!
//! ```text
//! [exampleSDID@32473 iut="3" note="say \"hi\""][examplePriority@32473 class="high"]
//!  SD-ID             PARAM                     ^ no space between elements
//! ```

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use nom::Parser;
use nom::bytes::complete::take_while1;

use super::{Flag, Flags, Parsed};

/// The elements of a message, lazily.
#[derive(Clone, Copy, Debug)]
pub struct StructuredData<'a> {
    octets: &'a [u8],
}

impl<'a> StructuredData<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// The octets as they stand in the message; empty for NILVALUE.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The elements in their order, one that stands twice included.
    pub fn elements(&self) -> Elements<'a> {
        Elements { rest: self.octets }
    }
}

/// Goes through the elements of [`StructuredData`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, element) = element(self.rest).ok()?;
        self.rest = rest;
        Some(element)
    }
}

/// One SD-ELEMENT.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    id: &'a [u8],
    params: &'a [u8],
    long_name: bool,
}

impl<'a> Element<'a> {
    /// Its SD-ID.
    pub fn id(&self) -> &'a [u8] {
        self.id
    }

    /// Its parameters in their order; a name may stand more than once (RFC 5424 6.3.3).
    pub fn params(&self) -> Params<'a> {
        Params { rest: self.params }
    }
}

/// Goes through the parameters of an [`Element`].
#[derive(Clone, Debug)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Params<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, param) = param(self.rest).ok()?;
        self.rest = rest;
        Some(param)
    }
}

/// One SD-PARAM.
#[derive(Clone, Copy, Debug)]
pub struct Param<'a> {
    name: &'a [u8],
    escaped: &'a [u8],
}

impl<'a> Param<'a> {
    /// Its PARAM-NAME.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Its PARAM-VALUE; copied only if it has an escape.
    pub fn value(&self) -> Cow<'a, [u8]> {
        if memchr(b'\\', self.escaped).is_none() {
            return Cow::Borrowed(self.escaped);
        }
        let mut value = Vec::with_capacity(self.escaped.len());
        let mut rest = self.escaped;
        // RFC 5424 6.3.3: a backslash before any other octet is a backslash.
        while let [first, after @ ..] = rest {
            rest = after;
            if let (b'\\', [escaped @ (b'"' | b'\\' | b']'), after @ ..]) = (*first, after) {
                value.push(*escaped);
                rest = after;
            } else {
                value.push(*first);
            }
        }
        Cow::Owned(value)
    }
}

/// STRUCTURED-DATA = 1*SD-ELEMENT: its octets, those after it, and what is odd about it.
pub(super) fn structured_data(octets: &[u8]) -> Option<(&[u8], &[u8], Flags)> {
    let mut flags = Flags::EMPTY;
    let mut seen: [&[u8]; REMEMBERED] = [b""; REMEMBERED];
    let mut count: usize = 0;
    let mut rest = octets;
    while let [b'[', ..] = rest {
        let (after, element) = element(rest).ok()?;
        rest = after;
        if element.long_name {
            flags.insert(Flag::SdNameTooLong);
        }
        if seen.iter().take(count).any(|id| *id == element.id) {
            flags.insert(Flag::DuplicateSdId);
        }
        if let Some(place) = seen.get_mut(count) {
            *place = element.id;
            count = count.saturating_add(1);
        }
    }
    let length = octets.len().saturating_sub(rest.len());
    let (structured_data, rest) = octets.split_at_checked(length)?;
    Some((structured_data, rest, flags))
}

/// SD-ELEMENT = "[" SD-ID *(SP SD-PARAM) "]".
fn element(octets: &[u8]) -> Parsed<'_, Element<'_>> {
    let (rest, ()) = literal(octets, *b"[")?;
    let (params, id) = name(rest)?;
    let mut long_name = id.len() > NAME_LENGTH;
    let mut rest = params;
    while let [b' ', ..] = rest {
        let (after, param) = param(rest)?;
        long_name |= param.name.len() > NAME_LENGTH;
        rest = after;
    }
    let (rest, ()) = literal(rest, *b"]")?;
    Ok((
        rest,
        Element {
            id,
            params,
            long_name,
        },
    ))
}

/// SP SD-PARAM = SP PARAM-NAME "=" %d34 PARAM-VALUE %d34.
fn param(octets: &[u8]) -> Parsed<'_, Param<'_>> {
    let (rest, ()) = literal(octets, *b" ")?;
    let (rest, name) = name(rest)?;
    let (value, ()) = literal(rest, *b"=\"")?;
    let mut rest = value;
    loop {
        let Some((before, found)) =
            memchr2(b'"', b'\\', rest).and_then(|at| rest.split_at_checked(at))
        else {
            return Err(nom::Err::Error(()));
        };
        match found {
            [b'\\', ..] => rest = after_escapes(found).ok_or(nom::Err::Error(()))?,
            [b'"', after @ ..] => {
                let length = value
                    .len()
                    .saturating_sub(rest.len())
                    .saturating_add(before.len());
                let escaped = value.get(..length).unwrap_or_default();
                return Ok((after, Param { name, escaped }));
            }
            _ => return Err(nom::Err::Error(())),
        }
    }
}

/// The octets after the escapes at the front; `None` if a backslash is the last octet.
///
/// Without a search from one to the next, so that a value of backslashes costs no more than any other.
fn after_escapes(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    while let [b'\\', after @ ..] = rest {
        rest = after.get(1..)?;
    }
    Some(rest)
}

/// These octets: what nom's `tag` does one by one, at once.
fn literal<const N: usize>(octets: &[u8], wanted: [u8; N]) -> Parsed<'_, ()> {
    match octets.split_first_chunk() {
        Some((found, rest)) if *found == wanted => Ok((rest, ())),
        Some(_) | None => Err(nom::Err::Error(())),
    }
}

/// SD-NAME, which we take up to [`NAME_LIMIT`] octets, as others do: else the values would be lost.
fn name(octets: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, name) =
        take_while1(|octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'=' | b']' | b'"'))
            .parse(octets)?;
    if name.len() > NAME_LIMIT {
        return Err(nom::Err::Error(()));
    }
    Ok((rest, name))
}

/// RFC 5424 6: SD-NAME = 1*32PRINTUSASCII.
const NAME_LENGTH: usize = 32;

/// What we take.
const NAME_LIMIT: usize = 128;

/// How many SD-IDs are compared with those after them: bounded, so that 800 elements stay linear.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many elements there are, if all of them are well-formed.
    fn count(octets: &[u8]) -> Option<usize> {
        let (found, _, _) = structured_data(octets)?;
        Some(StructuredData::new(found).elements().count())
    }

    #[test]
    fn rfc5424_6_3_3_escapes_are_quote_backslash_and_bracket() {
        for (octets, want) in [
            (&br#"[x@1 a="\""]"#[..], &br#"""#[..]), // a quote
            (br#"[x@1 a="\\"]"#, br"\"),             // a backslash
            (br#"[x@1 a="\]"]"#, b"]"),              // a bracket
            (br#"[x@1 a="\n"]"#, br"\n"),            // anything else stays
            (br#"[x@1 a=""]"#, b""),                 // nothing
        ] {
            let element = StructuredData::new(octets).elements().next();
            let value = element.and_then(|element| element.params().next());
            assert_eq!(
                value.map(|param| param.value().into_owned()).as_deref(),
                Some(want),
                "{}",
                octets.escape_ascii()
            );
        }
    }

    #[test]
    fn rfc5424_6_3_malformed_elements_are_refused_as_a_whole() {
        for octets in [
            &b"["[..],            // cut off
            b"[]",                // no SD-ID
            b"[ x]",              // SP before it
            b"[x  a=\"1\"]",      // two SP
            b"[x a=\"1\" ]",      // SP at the end
            b"[x a=1]",           // no quotes
            b"[x a=\"1]",         // no closing quote
            b"[x a=\"1\\\"]",     // closing quote escaped
            b"[x a=\"1\"][y",     // a good one first
            b"[x \xc3\xa9=\"\"]", // not US-ASCII
        ] {
            assert_eq!(count(octets), None, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn rfc5424_6_3_2_a_second_element_of_one_id_is_kept_and_flagged() {
        let octets = b"[x@1 a=\"1\"][x@1 a=\"2\"]";
        let flags = structured_data(octets).map(|(_, _, flags)| flags);
        assert_eq!(flags, Some(Flags::of(Flag::DuplicateSdId, true)));
        assert_eq!(count(octets), Some(2));
    }
}
