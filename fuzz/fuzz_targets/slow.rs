//! No octets make much of little: a record is at most four times its message, and what is read of structured
//! data is at most what stands there. Whatever costs more than its octets would have to write or to read more.
//!
//! Time itself is not compared here, since nothing in this process could count it twice alike:
//! `benches/slowest.sh` climbs to the dearest input of each parser by callgrind's exact counts, and
//! `benches/instructions.sh` holds what it found against ordinary messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::message::{Message, Sender};

const ESCAPINGS: [Escaping; 6] = [
    Escaping::Text(Escape::Octal),
    Escaping::Text(Escape::Caret),
    Escaping::Text(Escape::Hex),
    Escaping::Text(Escape::Lossless),
    Escaping::Line,
    Escaping::None,
];

const LAYOUTS: [Layout; 4] = [
    Layout::Named,
    Layout::Rfc5424LinePri,
    Layout::ForwardRfc3164,
    Layout::ForwardRfc5424,
];

/// PRI, time, host and the fields of RFC 5424 at their limits.
const HEAD: usize = 700;

fuzz_target!(|octets: &[u8]| {
    let message = Message::parse(octets, Sender::Remote);
    let shown = Shown {
        hostname: message.hostname().unwrap_or_default(),
        received: Received {
            seconds: 1_795_345_200,
            micros: 287_161,
        },
        always_received: false,
    };
    for escaping in ESCAPINGS {
        let most = match escaping {
            Escaping::None => octets.len(),
            Escaping::Text(_) | Escaping::Line => octets.len() * 4,
        };
        for layout in LAYOUTS {
            let template = Template { layout, escaping };
            let mut out = Default::default();
            Formatter::default().write(&mut out, &message, shown, template);
            assert!(out.len() <= most + HEAD, "{template:?}");
        }
    }
    // An element has at least three octets, and a parameter five: `[x]`, ` a=""`.
    let structured_data = message.structured_data();
    let read: usize = structured_data
        .elements()
        .map(|element| 3 + 5 * element.params().count())
        .sum();
    assert!(read <= structured_data.octets().len());
});
