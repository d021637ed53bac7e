//! How a record looks: a [`Message`] in, octets in a block out.
//!
//! ```text
//! traditional   Nov 22 11:00:00 host tag[12]: text LF                  files, terminals, FIFOs
//! numeric       Nov 22 11:00:00 <1.5> host tag[12]: text LF            -v; in words with -vv
//! busybox       Nov 22 11:00:00 host user.notice tag[12]: text LF
//! utc           2026-11-22T11:00:00.287Z host tag[12]: text LF         OpenBSD's -Z
//! rfc5424       2026-11-22T11:00:00.287161+00:00 host tag 12 - - text LF        files, ;RFC5424
//!               <13>1 2026-11-22T11:00:00.287161+00:00 host tag 12 - - text LF  files, -O rfc5424
//! forward       <13>Nov 22 11:00:00 host tag[12]: text                          ;RFC3164
//!               <13>tag[12]: text                                               ;BSD
//!               <13>1 2026-11-22T11:00:00.287161+00:00 host tag 12 - - text     ;RFC5424
//! ```
//!
//! Nothing here allocates or asks the clock. A timestamp is rendered once for each second, or once for
//! a run of messages that carry the same one.

mod escape;
mod stamp;

use bytes::BytesMut;

pub use escape::Escape;
pub use stamp::{Received, bsd_stamp, rfc3339_stamp, utc_stamp};

use crate::message::{BOM, Form, Message};
use escape::{push_escaped, push_line_safe};
use stamp::{Stamps, Style};

/// The form of the records of a lane.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Template {
    /// Which fields, in which order.
    pub layout: Layout,
    /// What becomes of octets that the destination must not see.
    pub escaping: Escaping,
}

/// Which fields a record has, in which order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Layout {
    /// `Mmm dd hh:mm:ss host tag[pid]: text` and a line feed.
    Traditional,
    /// Traditional, with `<facility.severity> ` in numbers before the host (FreeBSD's `-v`).
    Numeric,
    /// Traditional, with `<facility.severity> ` in words before the host (FreeBSD's `-vv`).
    Named,
    /// Traditional, with `facility.severity ` after the host (busybox).
    Busybox,
    /// `Mmm dd hh:mm:ss tag[pid]: text` (busybox's `-S`).
    Short,
    /// Traditional, with the time as `yyyy-mm-ddThh:mm:ss.mmmZ` (OpenBSD's `-Z`).
    Utc,
    /// RFC 5424 6 and a line feed (FreeBSD's `-O rfc5424`).
    Rfc5424LinePri,
    /// The fields of RFC 5424 without `<PRI>1 `, and a line feed, as sysklogd writes `;RFC5424`.
    Rfc5424Line,
    /// `<PRI>tag[pid]: text`.
    ForwardBsd,
    /// `<PRI>Mmm dd hh:mm:ss host tag[pid]: text`.
    ForwardRfc3164,
    /// RFC 5424 6.
    ForwardRfc5424,
}

/// What becomes of octets that the destination must not see.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Escaping {
    /// For readers and terminals: controls, bad UTF-8 and bidi tricks (reliability S15).
    Text(Escape),
    /// For line framing: only LF and NUL, as `#012` and `#000`.
    Line,
    /// For datagrams and counted frames: nothing changes.
    None,
}

/// What a record shows that is not in its message.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// HOSTNAME, as the policy decides it.
    pub hostname: &'a [u8],
    /// Reception time, for messages without a timestamp.
    pub received: Received,
    /// `-T`: reception time for all messages.
    pub always_received: bool,
}

/// Renders messages; one for each shard, since it remembers the last timestamps.
#[derive(Debug, Default)]
pub struct Formatter {
    stamps: Stamps,
}

impl Formatter {
    /// Appends one record, and returns how long its timestamp is (0 if it has none).
    pub fn write(
        &mut self,
        out: &mut BytesMut,
        message: &Message<'_>,
        shown: Shown<'_>,
        template: Template,
    ) -> usize {
        out.reserve(shown.hostname.len() + message.text().len() + 128);
        let start = out.len();
        let stamp = match template.layout {
            Layout::Traditional
            | Layout::Numeric
            | Layout::Named
            | Layout::Busybox
            | Layout::Short
            | Layout::Utc => {
                let style = if template.layout == Layout::Utc {
                    Style::Utc
                } else {
                    Style::Bsd
                };
                out.extend_from_slice(self.stamp(message, shown, style));
                let stamp = out.len() - start;
                write_head(out, message, shown.hostname, template.layout);
                write_text(out, message, template.escaping);
                stamp
            }
            Layout::Rfc5424LinePri => {
                write_pri(out, message);
                out.extend_from_slice(b"1 ");
                out.extend_from_slice(self.stamp(message, shown, Style::Rfc3339));
                let stamp = out.len() - start;
                write_fields(out, message, shown.hostname, template);
                stamp
            }
            Layout::Rfc5424Line => {
                out.extend_from_slice(self.stamp(message, shown, Style::Rfc3339));
                let stamp = out.len() - start;
                write_fields(out, message, shown.hostname, template);
                stamp
            }
            Layout::ForwardBsd => {
                write_pri(out, message);
                write_text(out, message, template.escaping);
                0
            }
            Layout::ForwardRfc3164 => {
                write_pri(out, message);
                out.extend_from_slice(self.stamp(message, shown, Style::Bsd));
                write_host(out, shown.hostname);
                write_text(out, message, template.escaping);
                0
            }
            Layout::ForwardRfc5424 => {
                write_pri(out, message);
                out.extend_from_slice(b"1 ");
                out.extend_from_slice(self.stamp(message, shown, Style::Rfc3339));
                write_fields(out, message, shown.hostname, template);
                0
            }
        };
        if message.cut() > 0 {
            out.extend_from_slice("…[+".as_bytes());
            out.extend_from_slice(itoa::Buffer::new().format(message.cut()).as_bytes());
            out.extend_from_slice(b"]");
        }
        match template.layout {
            Layout::Traditional
            | Layout::Numeric
            | Layout::Named
            | Layout::Busybox
            | Layout::Short
            | Layout::Utc
            | Layout::Rfc5424LinePri
            | Layout::Rfc5424Line => out.extend_from_slice(b"\n"),
            Layout::ForwardBsd | Layout::ForwardRfc3164 | Layout::ForwardRfc5424 => {}
        }
        stamp
    }

    fn stamp(&mut self, message: &Message<'_>, shown: Shown<'_>, style: Style) -> &[u8] {
        if shown.always_received {
            return self.stamps.received(shown.received, style);
        }
        self.stamps.of(message, shown.received, style)
    }
}

fn write_pri(out: &mut BytesMut, message: &Message<'_>) {
    out.extend_from_slice(b"<");
    out.extend_from_slice(itoa::Buffer::new().format(message.pri().value()).as_bytes());
    out.extend_from_slice(b">");
}

/// What stands between the time and the text of a line with a tag.
fn write_head(out: &mut BytesMut, message: &Message<'_>, hostname: &[u8], layout: Layout) {
    let (facility, severity) = (message.pri().facility(), message.pri().severity());
    let words = [facility.name(), ".", severity.name()];
    match layout {
        Layout::Numeric => {
            let mut digits = itoa::Buffer::new();
            out.extend_from_slice(b"<");
            out.extend_from_slice(digits.format(message.pri().value() / 8).as_bytes());
            out.extend_from_slice(b".");
            out.extend_from_slice(digits.format(message.pri().value() % 8).as_bytes());
            out.extend_from_slice(b"> ");
            write_host(out, hostname);
        }
        Layout::Named => {
            out.extend_from_slice(b"<");
            out.extend(words.iter().flat_map(|word| word.bytes()));
            out.extend_from_slice(b"> ");
            write_host(out, hostname);
        }
        Layout::Busybox => {
            write_host(out, hostname);
            out.extend(words.iter().flat_map(|word| word.bytes()));
            out.extend_from_slice(b" ");
        }
        Layout::Short => {}
        Layout::Traditional
        | Layout::Utc
        | Layout::Rfc5424Line
        | Layout::Rfc5424LinePri
        | Layout::ForwardBsd
        | Layout::ForwardRfc3164
        | Layout::ForwardRfc5424 => write_host(out, hostname),
    }
}

fn write_host(out: &mut BytesMut, hostname: &[u8]) {
    write_word(out, hostname, 255);
    out.extend_from_slice(b" ");
}

/// TAG and text, octet for octet as they came; for RFC 5424 the TAG that says the same.
fn write_text(out: &mut BytesMut, message: &Message<'_>, escaping: Escaping) {
    if message.form() == Form::Rfc5424
        && let Some(app_name) = message.app_name()
    {
        write_octets(out, app_name, escaping);
        if let Some(proc_id) = message.proc_id() {
            out.extend_from_slice(b"[");
            write_octets(out, proc_id, escaping);
            out.extend_from_slice(b"]");
        }
        out.extend_from_slice(b": ");
    }
    let text = message.text();
    if let (Escaping::Text(_), Some(msg)) = (escaping, message.msg().strip_prefix(BOM)) {
        // A reader sees no BOM, and grep finds no text behind one. Windows agents put it after the TAG.
        let (tag, _) = text.split_at(text.len().saturating_sub(message.msg().len()));
        write_octets(out, tag, escaping);
        write_octets(out, msg, escaping);
    } else {
        write_octets(out, text, escaping);
    }
}

/// HOSTNAME to MSG of RFC 5424 6, after TIMESTAMP and its space.
fn write_fields(out: &mut BytesMut, message: &Message<'_>, hostname: &[u8], template: Template) {
    let Template { layout, escaping } = template;
    let absent = Some(&b"-"[..]);
    for (field, limit) in [
        (Some(hostname), 255),
        (message.app_name().or(absent), 48),
        (message.proc_id().or(absent), 128),
        (message.msg_id().or(absent), 32),
    ] {
        write_word(out, field.unwrap_or_default(), limit);
        out.extend_from_slice(b" ");
    }
    match message.structured_data().octets() {
        [] => out.extend_from_slice(b"-"),
        octets => write_octets(out, octets, escaping),
    }
    // RFC 5424 6.4: without its BOM the next one could not tell that MSG is UTF-8.
    let bom = if layout == Layout::ForwardRfc5424 && message.has_bom() {
        BOM
    } else {
        b""
    };
    if !bom.is_empty() || !message.msg().is_empty() {
        out.extend_from_slice(b" ");
        out.extend_from_slice(bom);
        write_octets(out, message.msg(), escaping);
    }
}

/// One word of printable ASCII, at most `limit` octets (RFC 5424 6): whatever else a peer put there
/// becomes `?`, so that no field can pose as two.
fn write_word(out: &mut BytesMut, octets: &[u8], limit: usize) {
    let word = octets.get(..limit).unwrap_or(octets);
    if word.is_empty() {
        out.extend_from_slice(b"-");
    } else if word.iter().all(u8::is_ascii_graphic) {
        out.extend_from_slice(word);
    } else {
        out.extend(word.iter().map(|octet| {
            if octet.is_ascii_graphic() {
                *octet
            } else {
                b'?'
            }
        }));
    }
}

fn write_octets(out: &mut BytesMut, octets: &[u8], escaping: Escaping) {
    match escaping {
        Escaping::Text(escape) => push_escaped(out, octets, escape),
        Escaping::Line => push_line_safe(out, octets),
        Escaping::None => out.extend_from_slice(octets),
    }
}
