//! Messages to measure with: what programs send, and what somebody sends who wants us to be slow.

#![allow(
    clippy::allow_attributes,
    dead_code,
    reason = "each bench and test takes what it needs"
)]

use std::fmt;

use syslogd::input::MAX_MESSAGE;
use syslogd::input::shard::Peer;
use syslogd::message::Sender;

/// One message.
#[derive(Debug)]
pub(crate) struct Sample {
    /// What it is, as a table shows it.
    pub(crate) name: String,
    pub(crate) peer: Peer,
    pub(crate) octets: Vec<u8>,
}

impl Sample {
    fn new(name: &str, peer: Peer, octets: impl Into<Vec<u8>>) -> Self {
        let (name, octets) = (name.to_owned(), octets.into());
        Self { name, peer, octets }
    }

    /// How [`syslogd::message::Message::parse`] is told who sent it.
    pub(crate) fn sender(&self) -> Sender<'static> {
        match self.peer {
            Peer::Local | Peer::Kernel => Sender::Local {
                hostname: b"bastion",
            },
            Peer::Remote(_) => Sender::Remote,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn remote() -> Peer {
    Peer::Remote(([192, 0, 2, 7], 514).into())
}

/// What programs send.
pub(crate) fn ordinary() -> Vec<Sample> {
    vec![
        Sample::new(
            "3164_local",
            Peer::Local,
            "<38>Oct 11 22:14:15 sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2",
        ),
        Sample::new(
            "3164_remote",
            remote(),
            "<38>Oct 11 22:14:15 bastion sshd[4711]: Accepted publickey for admin from 192.0.2.7 port 50022 ssh2",
        ),
        Sample::new(
            "5424",
            remote(),
            "<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER - order 1234567 was paid by card in 213 ms",
        ),
        Sample::new(
            "5424_structured",
            remote(),
            r#"<165>1 2003-10-11T22:14:15.003Z web7.example.net shop 8710 ORDER [order@32473 id="1234567" method="card" took="213" note="said \"thanks\""][timeQuality tzKnown="1" isSynced="1"] paid"#,
        ),
        Sample::new(
            "utf8",
            Peer::Local,
            "<14>Oct 11 22:14:15 kürbis[812]: 漢字 läuft über, 1234 Dateien → 56789012 Oktette gesichert, ✓",
        ),
    ]
}

/// The longest ordinary message: what a hostile one of the same length is compared with.
pub(crate) fn longest() -> Sample {
    let head = "<13>Oct 11 22:14:15 bastion app: ";
    let words = "GET /api/v2/orders/1234567 took 213 ms, ".repeat(300);
    let octets = [head, &words].concat().into_bytes();
    Sample::new("ordinary", remote(), cut(octets))
}

/// The longest ordinary message that carries structured data: what a hostile one with `sd_` in its name is
/// held against, beside [`longest`], since who reads parameters does more for an octet than who copies text.
pub(crate) fn longest_structured() -> Sample {
    let head = "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m ";
    let order = r#"id="1234567" method="card" took="213" path="/api/v2/orders" agent="browser""#;
    let mut octets = head.as_bytes().to_vec();
    // As many elements as a program would write: their number is not what makes it long.
    for number in 0.. {
        let element = format!("[order{number}@32473 {order} {order} {order} {order} {order}]");
        if octets.len() + element.len() + 100 > MAX_MESSAGE {
            break;
        }
        octets.extend(element.bytes());
    }
    octets.push(b' ');
    octets.resize(MAX_MESSAGE, b'm');
    Sample::new("ordinary_sd", remote(), octets)
}

/// The longest message that is everywhere one octet short of 31 times `a` and a `b`.
pub(crate) fn near_miss() -> Sample {
    let head = &b"<13>Oct 11 22:14:15 bastion app: "[..];
    Sample::new(
        "near_miss",
        remote(),
        cut([head, &[b'a'; MAX_MESSAGE]].concat()),
    )
}

/// Messages of the greatest length that make careless code look twice, or write more than it reads.
pub(crate) fn hostile() -> Vec<Sample> {
    const BSD: &str = "<13>Oct 11 22:14:15 bastion app: ";
    const IETF: &str = "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m ";
    let pieces: &[(&str, &str, &[u8])] = &[
        // What readers of headers stumble over.
        ("pri_digits", "<", b"1"),
        ("pri_only", "", b"<13>"),
        ("bare_word", "", b"a"),
        ("stamp_fraction", "<13>1 2003-10-11T22:14:15.", b"0"),
        ("stamp_spaces", "<13>Oct 11 22:14:15", b" "),
        ("stamp_again", "<13>", b"Oct 11 22:14:15 "),
        ("stamp_word", "<13>2003-", b"x"),
        ("host_long", "<13>Oct 11 22:14:15 ", b"h"),
        ("host_colons", "<13>Oct 11 22:14:15 ", b":"),
        ("host_words", "<13>Oct 11 22:14:15 ", b"h "),
        ("tag_long", "<13>Oct 11 22:14:15 bastion ", b"t"),
        ("tag_brackets", "<13>Oct 11 22:14:15 bastion t", b"["),
        ("tag_pairs", "<13>Oct 11 22:14:15 bastion t", b"[]"),
        ("fields_long", "<13>1 - ", b"f"),
        ("fields_many", "<13>1 - ", b"f "),
        // What readers of structured data stumble over.
        ("sd_brackets", IETF, b"["),
        ("sd_pairs", IETF, b"[]"),
        ("sd_elements", IETF, b"[x]"),
        ("sd_openings", IETF, b"[x a=\""),
        ("sd_short_values", IETF, b"[x a=\"12\" b=\"3\"]"),
        (
            "sd_params",
            "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m [x",
            b" a=\"\"",
        ),
        (
            "sd_escapes",
            "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m [x a=\"",
            b"\\\"",
        ),
        (
            "sd_backslashes",
            "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m [x a=\"",
            b"\\",
        ),
        (
            "sd_quotes",
            "<13>1 2003-10-11T22:14:15.003Z bastion app 1 m [x a=\"",
            b"\"",
        ),
        // What writers of text stumble over.
        ("nul", BSD, b"\0"),
        ("line_feeds", BSD, b"\n"),
        ("escape", BSD, b"\x1b"),
        ("delete", BSD, b"\x7f"),
        ("control_alternating", BSD, b"a\x01"),
        ("line_feeds_alternating", BSD, b"a\n"),
        (
            "line_feeds_sparse",
            BSD,
            b"\n23456789012345678901234567890123",
        ),
        ("hash_signs", BSD, b"#"),
        ("high_octets", BSD, b"\xff"),
        ("continuations", BSD, b"\x80"),
        ("overlong", BSD, b"\xc0\x8a"),
        ("leads_2", BSD, b"\xc3"),
        ("leads_3", BSD, b"\xe2"),
        ("leads_4", BSD, b"\xf0"),
        ("unfinished_3", BSD, b"\xe2\x80"),
        ("unfinished_4", BSD, b"\xf0\x9f\x98"),
        ("surrogates", BSD, b"\xed\xa0\x80"),
        ("c1", BSD, "\u{9b}".as_bytes()),
        ("bidi", BSD, "\u{202e}".as_bytes()),
        ("letters_2", BSD, "é".as_bytes()),
        ("letters_3", BSD, "漢".as_bytes()),
        ("letters_4", BSD, "😀".as_bytes()),
        ("letters_alternating", BSD, "aé".as_bytes()),
        ("letters_and_bidi", BSD, "é\u{202e}".as_bytes()),
        (
            "letters_sparse",
            BSD,
            "é3456789012345678901234567890123".as_bytes(),
        ),
        ("bom_bad_end", "<13>1 - h a p m - \u{feff}", b"\xc3\xa9\xff"),
    ];
    let repeated = pieces.iter().map(|(name, head, piece)| {
        let body = piece.repeat(MAX_MESSAGE / piece.len());
        Sample::new(name, remote(), cut([head.as_bytes(), &body].concat()))
    });
    // No SD-ID stands twice, so that each is compared with those before it.
    let distinct = |name, prefix: &str| {
        let elements: Vec<String> = (0..MAX_MESSAGE / 3)
            .map(|n| format!("[{prefix}{n:x}]"))
            .collect();
        Sample::new(
            name,
            remote(),
            cut([IETF, &elements.concat()].concat().into_bytes()),
        )
    };
    repeated
        .chain([
            distinct("sd_distinct", ""),
            distinct("sd_distinct_long", "same-key"),
        ])
        .collect()
}

fn cut(mut octets: Vec<u8>) -> Vec<u8> {
    octets.truncate(MAX_MESSAGE);
    // Reception takes line ends and NULs off the end: something must stand behind them.
    if let Some(last @ (b'\n' | b'\0')) = octets.last_mut() {
        *last = b'.';
    }
    octets
}
