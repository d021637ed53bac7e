//! The grammar of RFC 5424 section 6, in its order.
//!
//! ```text
//! 1 2003-10-11T22:14:15.003Z host app 8710 ID47 [x@1 a="b"] text
//! VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]
//! ```
//!
//! Fields may hold any octet but SP: refusing a header for one odd octet would lose all of it.

use nom::Parser;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::sequence::terminated;

use super::search;
use super::structured_data::structured_data;
use super::{BOM, Flag, Flags, Form, HOSTNAME_LIMIT, Header, PROC_ID_LIMIT, Parsed, timestamp};

/// Reads what follows PRI into a bare header; false if it does not begin as RFC 5424 does.
///
/// What does begin so and breaks off is [`Form::Bare`]: then nothing after PRI can be trusted.
pub(super) fn read<'a>(octets: &'a [u8], header: &mut Header<'a>) -> bool {
    let Ok((rest, version)) = version(octets) else {
        return false;
    };
    if version == b"1" {
        if fields(rest, header).is_none() {
            *header = Header::bare(octets, Flags::of(Flag::BadHeader, true));
        }
        true
    } else if looks_like_timestamp(rest) {
        header.flags.insert(Flag::UnknownVersion);
        true
    } else {
        false
    }
}

/// TIMESTAMP to MSG; `None` if it breaks off, and then the header is half written.
fn fields<'a>(octets: &'a [u8], header: &mut Header<'a>) -> Option<()> {
    let (rest, stamp) = field(octets).ok()?;
    let (rest, hostname) = field(rest).ok()?;
    let (rest, app_name) = field(rest).ok()?;
    let (rest, proc_id) = field(rest).ok()?;
    let (rest, msg_id) = field(rest).ok()?;
    header.form = Form::Rfc5424;
    if stamp != NILVALUE {
        let read = timestamp::rfc5424(stamp)?;
        header.flags.extend(read.flags);
        header.reading = read.reading;
        if read.reading.is_some() {
            header.timestamp = header.span(stamp);
        }
    }
    header.hostname = header.limited(present(hostname), HOSTNAME_LIMIT);
    header.app_name = header.limited(present(app_name), APP_NAME_LIMIT);
    header.proc_id = header.limited(present(proc_id), PROC_ID_LIMIT);
    header.msg_id = header.limited(present(msg_id), MSG_ID_LIMIT);

    let msg = match rest {
        [b'-'] => &b""[..],
        [b'-', b' ', msg @ ..] => msg,
        // A dash and more is no STRUCTURED-DATA, and nobody can tell what the sender meant.
        [] | [b'-', ..] => return None,
        _ => {
            if let Some((octets @ [_, ..], after @ ([] | [b' ', ..]), odd)) = structured_data(rest)
            {
                header.flags.extend(odd);
                header.structured_data = header.span(octets);
                after.get(1..).unwrap_or_default()
            } else {
                // A sender that leaves STRUCTURED-DATA out has perhaps left out others, too: then the
                // "fields" are words of its text (LEEF over RFC 5424 does it), and a line would lose them.
                if rest.first() != Some(&b'[') && msg_id != NILVALUE {
                    return None;
                }
                // No octet is lost: what should have been STRUCTURED-DATA becomes part of MSG.
                header.flags.insert(Flag::BadSd);
                rest
            }
        }
    };
    // RFC 5424 6.4: the BOM marks the text as UTF-8 and is not part of it.
    header.bom = msg.starts_with(BOM);
    header.msg = header.end(msg.strip_prefix(BOM).unwrap_or(msg));
    header.text = header.msg;
    Some(())
}

/// VERSION SP; VERSION is checked by the caller.
fn version(octets: &[u8]) -> Parsed<'_, &[u8]> {
    match octets {
        [b'1'] => return Ok((b"", octets)),
        // The usual two, at once.
        [b'1', b' ', rest @ ..] => return Ok((rest, b"1")),
        [b'A'..=b'Z', ..] => return Err(nom::Err::Error(())),
        _ => {}
    }
    terminated(
        take_while_m_n(1, 3, |octet: u8| octet.is_ascii_digit()),
        tag(&b" "[..]),
    )
    .parse(octets)
}

/// Whether this could be the TIMESTAMP of a header whose version we do not know.
fn looks_like_timestamp(octets: &[u8]) -> bool {
    matches!(octets, [b'-', b' ', ..])
        || matches!(octets, [a, b, c, d, b'-', ..] if [a, b, c, d].iter().all(|d| d.is_ascii_digit()))
}

/// One field of the header and the SP after it; a field has at least one octet.
#[expect(clippy::inline_always, reason = "as for `search::word`")]
#[inline(always)]
fn field(octets: &[u8]) -> Parsed<'_, &[u8]> {
    match search::word(octets) {
        Some((field @ [_, ..], [_, rest @ ..])) => Ok((rest, field)),
        Some(_) | None => Err(nom::Err::Error(())),
    }
}

fn present(field: &[u8]) -> &[u8] {
    if field == NILVALUE { b"" } else { field }
}

/// RFC 5424 6: NILVALUE = "-".
const NILVALUE: &[u8] = b"-";

/// RFC 5424 6: APP-NAME = NILVALUE / 1*48PRINTUSASCII.
const APP_NAME_LIMIT: usize = 48;

/// RFC 5424 6: MSGID = NILVALUE / 1*32PRINTUSASCII.
const MSG_ID_LIMIT: usize = 32;
