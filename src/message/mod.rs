//! One message: what any octets are once they were looked at.
//!
//! ```text
//! <165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 [x@1 a="b"] text      RFC 5424
//! <34>Oct 11 22:14:15 host su[12]: text                                    RFC 3164
//! Use the BFG!                                                             bare
//! ```
//!
//! Parsing is total: whatever arrives is some [`Message`], its form [`Form::Bare`] at worst
//! (RFC 3164 4.3.3). A `Message` borrows the octets: it allocates nothing and copies no field.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice
)]

mod flags;
mod rfc3164;
mod rfc5424;
mod search;
mod structured_data;
mod timestamp;

pub use flags::{Flag, Flags};
pub use structured_data::{Element, Elements, Param, Params, StructuredData};
pub use timestamp::{Civil, Moment, Timestamp};

use nom::{IResult, Offset};

use crate::pri::Pri;
use timestamp::Reading;

/// What a grammar rule gives: the octets after it, and its value. An error carries nothing, since the
/// only answer to it is to read the octets as something simpler.
type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// How a header was read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Form {
    /// RFC 5424 6.
    Rfc5424,
    /// RFC 3164 4.1, with the variants of the real world.
    Rfc3164,
    /// No header that we know: all that follows a valid PRI is text, or else all of it.
    Bare,
}

/// Who sent a message, as far as reading it depends on that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender<'h> {
    /// A process of this host. syslog(3) and logger(1) send no HOSTNAME, so a word counts as one only
    /// if it is our own name.
    Local {
        /// Our own name, short or fully qualified.
        hostname: &'h [u8],
    },
    /// Somebody on the network.
    Remote,
}

/// Where a field lies in its message; an empty one is absent (NILVALUE).
///
/// Offsets and not slices, so that a `Message` has half the size and is cheap to copy.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Everything after PRI, as a grammar found it.
#[derive(Clone, Copy, Debug)]
struct Header<'a> {
    octets: &'a [u8],
    form: Form,
    flags: Flags,
    /// RFC 5424 6.4: a BOM stood before MSG and promised UTF-8.
    bom: bool,
    reading: Option<Reading>,
    timestamp: Span,
    hostname: Span,
    app_name: Span,
    proc_id: Span,
    msg_id: Span,
    structured_data: Span,
    /// MSG is all from here.
    msg: u32,
    /// What stands after HOSTNAME (RFC 3164), or else MSG, is all from here.
    text: u32,
}

impl<'a> Header<'a> {
    fn bare(octets: &'a [u8], flags: Flags) -> Self {
        Self {
            octets,
            form: Form::Bare,
            flags,
            bom: false,
            reading: None,
            timestamp: Span::default(),
            hostname: Span::default(),
            app_name: Span::default(),
            proc_id: Span::default(),
            msg_id: Span::default(),
            structured_data: Span::default(),
            msg: 0,
            text: 0,
        }
    }

    /// Where a part of the octets lies.
    fn span(&self, part: &'a [u8]) -> Span {
        if part.is_empty() {
            return Span::default();
        }
        let start = self.octets.offset(part);
        Span {
            start: as_offset(start),
            end: as_offset(start.saturating_add(part.len())),
        }
    }

    /// Where the first `limit` octets of a field lie; a flag says so if that was not all of it.
    fn limited(&mut self, field: &'a [u8], limit: usize) -> Span {
        match field.split_at_checked(limit) {
            Some((head, [_, ..])) => {
                self.flags.insert(Flag::FieldTruncated);
                self.span(head)
            }
            Some((_, [])) | None => self.span(field),
        }
    }

    /// Where the octets at the end begin.
    fn end(&self, rest: &'a [u8]) -> u32 {
        as_offset(self.octets.len().saturating_sub(rest.len()))
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        let range = span.start as usize..span.end as usize;
        self.octets.get(range).unwrap_or_default()
    }

    fn rest(&self, start: u32) -> &'a [u8] {
        self.octets.get(start as usize..).unwrap_or_default()
    }

    fn field(&self, span: Span) -> Option<&'a [u8]> {
        (!span.is_empty()).then(|| self.slice(span))
    }
}

/// Reception cuts messages long before this saturates.
fn as_offset(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// One message: a borrowed view, cheap to copy, and the only way to see the fields.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pri: Pri,
    cut: u32,
    header: Header<'a>,
}

impl<'a> Message<'a> {
    /// Reads any octets, in time linear in their number. [`trim`] them first.
    // Inlined, so that a message is built where its caller keeps it: copying what was just written piece by
    // piece stalls the processor, for a tenth of the whole time.
    #[inline]
    pub fn parse(octets: &'a [u8], sender: Sender<'_>) -> Self {
        let mut message = Self {
            pri: Pri::DEFAULT,
            cut: 0,
            header: Header::bare(octets, Flags::EMPTY),
        };
        message.read(octets, sender);
        message
    }

    fn read(&mut self, octets: &'a [u8], sender: Sender<'_>) {
        let Some((digits, rest)) = pri_digits(octets) else {
            // "Use the BFG!" has no PRI, which is no fault; "<192>" has a bad one.
            self.header.flags = Flags::of(Flag::BadPri, octets.first() == Some(&b'<'));
            return;
        };
        let value = timestamp::number(digits).and_then(|value| u8::try_from(value).ok());
        let Some(pri) = value.and_then(Pri::new) else {
            self.header.flags = Flags::of(Flag::BadPri, true);
            return;
        };
        self.pri = pri;
        self.header.octets = rest;
        if !rfc5424::read(rest, &mut self.header) {
            rfc3164::read(rest, sender, &mut self.header);
        }
        // RFC 5424 6.2.1 forbids a leading zero and RFC 3164 4.1.1 calls <00> unidentifiable; the number
        // is clear all the same, and nothing is lost by taking it.
        if let [b'0', _, ..] = digits {
            self.header.flags.insert(Flag::PriLeadingZero);
        }
    }

    /// The same message under another PRI (`kern` from user space becomes `user`).
    #[must_use]
    pub fn with_pri(self, pri: Pri) -> Self {
        Self { pri, ..self }
    }

    /// The same message, noting that reception cut `octets` off its end.
    #[must_use]
    pub fn with_cut(self, octets: u32) -> Self {
        Self {
            cut: octets,
            ..self
        }
    }

    /// Its PRI; `user.notice` if it had none that is valid.
    pub fn pri(&self) -> Pri {
        self.pri
    }

    /// How the header was read.
    pub fn form(&self) -> Form {
        self.header.form
    }

    /// How many octets reception cut off its end.
    pub fn cut(&self) -> u32 {
        self.cut
    }

    /// When the originator says it was made; `None` if it did not say, or nothing valid.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.header.reading.map(Reading::timestamp)
    }

    /// TIMESTAMP as it stands in the message, if it is valid: a zone's name or a year after it included.
    pub fn timestamp_octets(&self) -> Option<&'a [u8]> {
        self.header.field(self.header.timestamp)
    }

    /// HOSTNAME as the message claims it.
    pub fn hostname(&self) -> Option<&'a [u8]> {
        self.header.field(self.header.hostname)
    }

    /// APP-NAME, or the name in the TAG.
    pub fn app_name(&self) -> Option<&'a [u8]> {
        self.header.field(self.header.app_name)
    }

    /// PROCID, or what stands in the brackets of the TAG.
    pub fn proc_id(&self) -> Option<&'a [u8]> {
        self.header.field(self.header.proc_id)
    }

    /// MSGID (RFC 5424 only).
    pub fn msg_id(&self) -> Option<&'a [u8]> {
        self.header.field(self.header.msg_id)
    }

    /// STRUCTURED-DATA (RFC 5424 only).
    pub fn structured_data(&self) -> StructuredData<'a> {
        StructuredData::new(self.header.slice(self.header.structured_data))
    }

    /// MSG without its BOM, or the text after the TAG and its separator.
    pub fn msg(&self) -> &'a [u8] {
        self.header.rest(self.header.msg)
    }

    /// What stands after HOSTNAME, octet for octet: TAG, separator and text (RFC 3164), or else `msg`.
    pub fn text(&self) -> &'a [u8] {
        self.header.rest(self.header.text)
    }

    /// Whether a BOM promised that MSG is UTF-8 (RFC 5424 6.4).
    pub fn has_bom(&self) -> bool {
        self.header.bom
    }

    /// What was odd about it. Reads MSG once if a BOM promised UTF-8, and else costs nothing.
    pub fn flags(&self) -> Flags {
        let mut flags = self.header.flags;
        if self.header.bom && std::str::from_utf8(self.msg()).is_err() {
            flags.insert(Flag::BadUtf8);
        }
        flags
    }
}

/// The octets without any LF, CR and NUL at their end: they belong to framing, or to C strings.
pub fn trim(octets: &[u8]) -> &[u8] {
    let mut rest = octets;
    while let [head @ .., b'\n' | b'\r' | 0] = rest {
        rest = head;
    }
    rest
}

/// Where to cut `octets` so that at most `limit` stay and no UTF-8 character is split.
///
/// If what stands around `limit` is not UTF-8, it is just `limit`. Never more than `octets.len()`.
pub fn utf8_cut(octets: &[u8], limit: usize) -> usize {
    let Some((kept, [next, ..])) = octets.split_at_checked(limit) else {
        return octets.len();
    };
    if !is_continuation(*next) {
        return limit;
    }
    // RFC 3629 3: a character is at most four octets, and at most three of them stand before the cut.
    for back in 1..=3 {
        let start = limit.saturating_sub(back);
        let Some(&lead) = kept.get(start) else { break };
        if is_continuation(lead) {
            continue;
        }
        let length = match lead {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { start } else { limit };
    }
    limit
}

fn is_continuation(octet: u8) -> bool {
    octet & 0xc0 == 0x80
}

/// PRI = "<" PRIVAL ">", PRIVAL = 1*3DIGIT (RFC 5424 6): what stands between the brackets, and after.
fn pri_digits(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = octets.strip_prefix(b"<")?;
    let (digits, rest) = match inside {
        [_, b'>', rest @ ..] => (inside.get(..1)?, rest),
        [_, _, b'>', rest @ ..] => (inside.get(..2)?, rest),
        [_, _, _, b'>', rest @ ..] => (inside.get(..3)?, rest),
        _ => return None,
    };
    digits
        .iter()
        .all(u8::is_ascii_digit)
        .then_some((digits, rest))
}

/// RFC 5424 6: BOM = %xEF.BB.BF.
pub const BOM: &[u8] = b"\xef\xbb\xbf";

/// RFC 5424 6: HOSTNAME = NILVALUE / 1*255PRINTUSASCII.
const HOSTNAME_LIMIT: usize = 255;

/// RFC 5424 6: PROCID = NILVALUE / 1*128PRINTUSASCII.
const PROC_ID_LIMIT: usize = 128;

#[cfg(test)]
mod tests;
