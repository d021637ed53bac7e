//! STRUCTURED-DATA (RFC 5424 6.3), read only when somebody asks.
//!
//! ```text
//! [exampleSDID@32473 iut="3" note="say \"hi\""][examplePriority@32473 class="high"]
//!  SD-ID             PARAM                     ^ no space between elements
//! ```

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::search::{every, first, zeros};
use super::{Flag, Flags};

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
        let (element, rest) = element(self.rest)?;
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
        let (param, rest) = param(self.rest)?;
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
    let mut seen = Seen::default();
    let mut rest = octets;
    while let [b'[', ..] = rest {
        let (element, after) = element(rest)?;
        rest = after;
        if element.long_name {
            flags.insert(Flag::SdNameTooLong);
        }
        if seen.has(element.id) {
            flags.insert(Flag::DuplicateSdId);
        }
    }
    let length = octets.len().saturating_sub(rest.len());
    let (structured_data, rest) = octets.split_at_checked(length)?;
    Some((structured_data, rest, flags))
}

/// The first SD-IDs of a message.
#[derive(Default)]
struct Seen<'a> {
    ids: [&'a [u8]; COMPARED],
    count: usize,
}

impl<'a> Seen<'a> {
    /// Whether the SD-ID stood before, if it is one of the first.
    fn has(&mut self, id: &'a [u8]) -> bool {
        let Some((place, before)) = self
            .ids
            .get_mut(..=self.count)
            .and_then(<[_]>::split_last_mut)
        else {
            return false;
        };
        *place = id;
        self.count = self.count.saturating_add(1);
        before.contains(&id)
    }
}

/// SD-ELEMENT = "[" SD-ID *(SP SD-PARAM) "]".
#[expect(clippy::inline_always, reason = "as for a parameter")]
#[inline(always)]
fn element(octets: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (id, params) = name(octets.strip_prefix(b"[")?)?;
    let mut long_name = id.len() > NAME_LENGTH;
    let mut rest = params;
    loop {
        match rest {
            [b' ', ..] => {
                let (param, after) = param(rest)?;
                long_name |= param.name.len() > NAME_LENGTH;
                rest = after;
            }
            [b']', after @ ..] => {
                let element = Element {
                    id,
                    params,
                    long_name,
                };
                return Some((element, after));
            }
            _ => return None,
        }
    }
}

/// SP SD-PARAM = SP PARAM-NAME "=" %d34 PARAM-VALUE %d34.
#[expect(
    clippy::inline_always,
    reason = "who only goes over them needs no slices: a third of the instructions"
)]
#[inline(always)]
fn param(octets: &[u8]) -> Option<(Param<'_>, &[u8])> {
    let (name, rest) = name(octets.strip_prefix(b" ")?)?;
    let [b'=', b'"', value @ ..] = rest else {
        return None;
    };
    let mut rest = value;
    loop {
        let (_, found) = rest.split_at_checked(mark(rest)?)?;
        if let [b'"', after @ ..] = found {
            let escaped = value.get(..value.len().saturating_sub(found.len()))?;
            return Some((Param { name, escaped }, after));
        }
        rest = after_escapes(found)?;
    }
}

/// Where the first quote or backslash is. Values are short, and many: calling a search for each costs more.
#[inline]
fn mark(octets: &[u8]) -> Option<usize> {
    let Some(near) = octets.first_chunk() else {
        return octets
            .iter()
            .position(|octet| matches!(octet, b'"' | b'\\'));
    };
    let near = u64::from_le_bytes(*near);
    let found = zeros(near ^ every(b'"')) | zeros(near ^ every(b'\\'));
    if found == 0 {
        return memchr2(b'"', b'\\', octets);
    }
    Some(first(found))
}

/// The octets after the escapes at the front; `None` if a backslash is the last octet.
///
/// Without a search from one to the next, so that a value of backslashes costs no more than any other.
fn after_escapes(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets;
    while let [b'\\', _, after @ ..] = rest {
        rest = after;
    }
    (rest != b"\\").then_some(rest)
}

/// SD-NAME, which we take up to [`NAME_LIMIT`] octets, as others do: else the values would be lost.
#[inline]
fn name(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let near = octets.get(..=NAME_LIMIT).unwrap_or(octets);
    let ends = |octet: &u8| IS_NAME.get(usize::from(*octet)) != Some(&true);
    let length = near.iter().position(ends)?;
    (length > 0).then(|| octets.split_at_checked(length))?
}

/// SD-NAME = PRINTUSASCII except "=", SP, "]" and %d34.
static IS_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &mut [bool] = &mut table;
    let mut octet: u8 = 0;
    while let [is_name, after @ ..] = rest {
        *is_name = octet.is_ascii_graphic() && !matches!(octet, b'=' | b']' | b'"');
        octet = octet.wrapping_add(1);
        rest = after;
    }
    table
};

/// RFC 5424 6: SD-NAME = 1*32PRINTUSASCII.
const NAME_LENGTH: usize = 32;

/// What we take.
const NAME_LIMIT: usize = 128;

/// How many SD-IDs are compared with one another: bounded, so that 2700 elements cost no more than their octets.
const COMPARED: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// The same as [`structured_data`], octet for octet: what stands after it, and the flags.
    fn naive(octets: &[u8]) -> Option<(&[u8], Flags)> {
        fn sd_name<'a>(rest: &mut &'a [u8], flags: &mut Flags) -> Option<&'a [u8]> {
            let ends = |octet: &u8| !octet.is_ascii_graphic() || b"=]\"".contains(octet);
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            *rest = after;
            if length > 32 {
                flags.insert(Flag::SdNameTooLong);
            }
            (1..=128).contains(&length).then_some(name)
        }
        let mut flags = Flags::EMPTY;
        let mut ids: Vec<&[u8]> = Vec::new();
        let mut rest = octets;
        while let Some(after) = rest.strip_prefix(b"[") {
            rest = after;
            let id = sd_name(&mut rest, &mut flags)?;
            if ids.len() < 16 && ids.contains(&id) {
                flags.insert(Flag::DuplicateSdId);
            }
            ids.push(id);
            while let Some(after) = rest.strip_prefix(b" ") {
                rest = after;
                sd_name(&mut rest, &mut flags)?;
                rest = rest.strip_prefix(b"=\"")?;
                loop {
                    match rest {
                        [b'"', after @ ..] => break rest = after,
                        [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
                        [] => return None,
                    }
                }
            }
            rest = rest.strip_prefix(b"]")?;
        }
        Some((rest, flags))
    }

    /// Elements, and whatever may be wrong with them.
    fn odd_elements() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            8 => r#"\[[ab]{1,2}( [a-c]{1,2}="([a-c]|\\["n\\\]]){0,20}"){0,3}\]"#,
            4 => r"\[same-key[0-9]{0,2}\]",
            2 => r#"\[[!-~]{1,40}( [!-~]{1,40}="[ -~]{0,12}"){0,2}\]"#,
            1 => r"\[[a-b]{127,130}\]",
            1 => r#"[\[\]=" \\a\x00é]{0,3}"#,
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn elements_are_read_as_the_naive_way_does(octets in odd_elements(), end in 0..600_usize) {
            for octets in [&octets[..], octets.get(..end).unwrap_or(&octets)] {
                let read = structured_data(octets).map(|(found, rest, flags)| {
                    assert_eq!([found, rest].concat(), octets);
                    (rest, flags)
                });
                prop_assert_eq!(read, naive(octets));
            }
        }
    }
}
