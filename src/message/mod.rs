//! One message: what any octets are once they were looked at.
//!
//! ```text
//! <165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 [x@1 a="b"] text      RFC 5424
//! <34>Oct 11 22:14:15 host su[12]: text                                    RFC 3164
//! Use the BFG!                                                             bare
//! ```
//!
//! Parsing is total: whatever arrives is some [`Message`], its form [`Form::Bare`] at worst
//! (RFC 3164 4.3.3). A `Message` borrows the octets and owns nothing but offsets.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice
)]

mod structured_data;
mod timestamp;

pub use structured_data::StructuredData;
pub use timestamp::{Civil, Timestamp};

use crate::pri::Pri;

/// Where a field lies; empty is absent (NILVALUE).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Span {
    start: u32,
    end: u32,
}

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

/// One message: a borrowed view, cheap to copy, and the only way to see the fields.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    octets: &'a [u8],
    pri: Pri,
    form: Form,
    timestamp: Span,
    hostname: Span,
    app_name: Span,
    proc_id: Span,
    msg_id: Span,
    structured_data: Span,
    msg: Span,
    /// Where the TAG begins (RFC 3164), or where `msg` does.
    text: u32,
    cut: u32,
}

impl<'a> Message<'a> {
    /// Reads any octets. Trailing LF, CR and NUL should have been stripped.
    pub fn parse(octets: &'a [u8], sender: Sender<'_>) -> Self {
        _ = sender;
        let all = Span {
            start: 0,
            end: u32::try_from(octets.len()).unwrap_or(u32::MAX),
        };
        Self {
            octets,
            pri: Pri::DEFAULT,
            form: Form::Bare,
            timestamp: Span::default(),
            hostname: Span::default(),
            app_name: Span::default(),
            proc_id: Span::default(),
            msg_id: Span::default(),
            structured_data: Span::default(),
            msg: all,
            text: 0,
            cut: 0,
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
        self.form
    }

    /// How many octets reception cut off its end.
    pub fn cut(&self) -> u32 {
        self.cut
    }

    /// When the originator says it was made; `None` if it did not say, or nothing valid.
    pub fn timestamp(&self) -> Option<Timestamp> {
        None
    }

    /// TIMESTAMP as it stands in the message, if it is valid.
    pub fn timestamp_octets(&self) -> Option<&'a [u8]> {
        self.field(self.timestamp)
    }

    /// HOSTNAME as the message claims it.
    pub fn hostname(&self) -> Option<&'a [u8]> {
        self.field(self.hostname)
    }

    /// APP-NAME, or the name in the TAG.
    pub fn app_name(&self) -> Option<&'a [u8]> {
        self.field(self.app_name)
    }

    /// PROCID, or what stands in the brackets of the TAG.
    pub fn proc_id(&self) -> Option<&'a [u8]> {
        self.field(self.proc_id)
    }

    /// MSGID (RFC 5424 only).
    pub fn msg_id(&self) -> Option<&'a [u8]> {
        self.field(self.msg_id)
    }

    /// STRUCTURED-DATA (RFC 5424 only).
    pub fn structured_data(&self) -> StructuredData<'a> {
        StructuredData::new(self.slice(self.structured_data))
    }

    /// MSG without its BOM, or the text after the TAG and its separator.
    pub fn msg(&self) -> &'a [u8] {
        self.slice(self.msg)
    }

    /// What stands after HOSTNAME, octet for octet: TAG, separator and text (RFC 3164), or else `msg`.
    pub fn text(&self) -> &'a [u8] {
        self.octets.get(self.text as usize..).unwrap_or_default()
    }

    fn field(&self, span: Span) -> Option<&'a [u8]> {
        Some(self.slice(span)).filter(|octets| !octets.is_empty())
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        self.octets
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }
}
