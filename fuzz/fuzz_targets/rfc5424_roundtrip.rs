//! Whatever is relayed as RFC 5424 is read again as what it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::format::{Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::message::{Form, Message, Sender};

const BOM: &[u8] = b"\xef\xbb\xbf";

fuzz_target!(|octets: &[u8]| {
    let message = Message::parse(octets, Sender::Remote);
    let relayed = relay(&message);
    let again = Message::parse(&relayed, Sender::Remote);
    assert_eq!(again.form(), Form::Rfc5424);
    assert!(
        again
            .flags()
            .iter()
            .all(|flag| message.flags().contains(flag))
            || again.has_bom()
    );
    assert_eq!(again.pri(), message.pri());
    for (again, was, limit) in [
        (again.hostname(), message.hostname(), 255),
        (again.app_name(), message.app_name(), 48),
        (again.proc_id(), message.proc_id(), 128),
        (again.msg_id(), message.msg_id(), 32),
    ] {
        assert_eq!(
            again.map(<[u8]>::to_vec),
            was.and_then(|was| word(was, limit))
        );
    }
    assert_eq!(
        again.structured_data().octets(),
        message.structured_data().octets()
    );
    if message.form() == Form::Rfc5424 {
        assert_eq!(again.msg(), message.msg());
        assert_eq!(again.has_bom(), message.has_bom());
        if message.timestamp().is_some() {
            assert_eq!(again.timestamp(), message.timestamp());
        }
    } else {
        // There a BOM is part of the text.
        let text = message.msg();
        assert_eq!(again.msg(), text.strip_prefix(BOM).unwrap_or(text));
    }
    // What has gone through once is not changed again.
    assert_eq!(relay(&again), relayed);
});

fn relay(message: &Message<'_>) -> Vec<u8> {
    let shown = Shown {
        hostname: message.hostname().unwrap_or_default(),
        received: Received {
            seconds: 1_795_345_200,
            micros: 287_161,
        },
        always_received: false,
    };
    let template = Template {
        layout: Layout::ForwardRfc5424,
        escaping: Escaping::None,
    };
    let mut out = Default::default();
    Formatter::default().write(&mut out, message, shown, template);
    out.to_vec()
}

/// A field as RFC 5424 6 can carry it: its first octets, each of them printable or `?`.
fn word(octets: &[u8], limit: usize) -> Option<Vec<u8>> {
    let printable = |octet: &u8| {
        if octet.is_ascii_graphic() {
            *octet
        } else {
            b'?'
        }
    };
    let word: Vec<u8> = octets.iter().take(limit).map(printable).collect();
    (word != b"-").then_some(word)
}
