//! Octets in, records out: `tests/vectors/format.txt`, and what holds for every record.
//!
//! A case is a line of octets, then one indented line for each form of the record:
//!
//! ```text
//! zone CET-1CEST,M3.5.0,M10.5.0/3
//! set host gate
//! > <34>Oct 11 22:14:15 mymachine su: failed
//!     file       Oct 11 22:14:15 gate su: failed\n
//! ```
//!
//! `>` comes from the network and `@` from a process of the host `loghost`. `zone` is our own time zone for
//! all cases up to the next, `set` changes what else a record depends on. Octets that do not print are
//! escaped as in Rust, and a backslash is doubled. `UPDATE_GOLDEN=1` writes the records anew.

#[path = "vectors/escaped.rs"]
mod escaped;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use bytes::BytesMut;
use escaped::unescape;
use proptest::prelude::*;
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::message::{Form, Message, Sender};

#[test]
fn format_vectors() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/format.txt");
    let golden = std::fs::read_to_string(&path).expect("the file is in the repository");
    let mut text = String::new();
    for (number, part) in split_at_zones(&golden).into_iter().enumerate() {
        text.push_str(&in_zone_of(part, number));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the repository can be written");
        return;
    }
    for (number, (want, got)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(got, want, "format.txt:{}", number + 1);
    }
    assert_eq!(golden, text, "format.txt has another length");
}

/// The parts of the file, each but the first beginning with `zone `.
fn split_at_zones(golden: &str) -> Vec<&str> {
    let starts = golden.match_indices("\nzone ").map(|(at, _)| at + 1);
    let starts: Vec<usize> = [0]
        .into_iter()
        .chain(starts)
        .chain([golden.len()])
        .collect();
    starts
        .windows(2)
        .map(|pair| &golden[pair[0]..pair[1]])
        .collect()
}

/// Renders one part. The zone of a process is fixed, so that this takes one of its own.
fn in_zone_of(part: &str, number: usize) -> String {
    let first = part.lines().next().unwrap_or_default();
    let zone = first.strip_prefix("zone ").unwrap_or("UTC0");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("part");
    std::fs::write(&file, part).expect("writable");
    let this = std::env::current_exe().expect("a path to this test");
    let output = Command::new(this)
        .args(["--exact", "render_part", "--ignored"])
        .env("TZ", zone)
        .env(PART, &file)
        .output()
        .expect("this test can be started");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "part {number}: {shown}");
    std::fs::read_to_string(&file).expect("readable")
}

/// Names the file that [`render_part`] renders in place.
const PART: &str = "FORMAT_VECTORS_PART";

#[test]
#[ignore = "format_vectors starts it once for each time zone"]
fn render_part() {
    let Some(file) = std::env::var_os(PART) else {
        return;
    };
    let part = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, render(&part)).expect("writable");
}

/// What a record depends on beside its message.
struct Setting {
    host: Vec<u8>,
    received: Received,
    always_received: bool,
    cut: u32,
    escape: Escape,
}

impl Setting {
    /// Obeys `set NAME VALUE`.
    fn change(&mut self, words: &str) {
        let (name, value) = words.split_once(' ').expect("a name and a value");
        match name {
            "host" => self.host = unescape(value),
            "stamp" => self.always_received = value == "received",
            "cut" => self.cut = value.parse().expect("a number"),
            "received" => {
                let (seconds, micros) = value.split_once('.').expect("seconds and microseconds");
                self.received = Received {
                    seconds: seconds.parse().expect("a number"),
                    micros: micros.parse().expect("six digits"),
                };
            }
            "escape" => {
                let styles = [
                    ("octal", Escape::Octal),
                    ("caret", Escape::Caret),
                    ("hex", Escape::Hex),
                    ("lossless", Escape::Lossless),
                ];
                let found = styles.into_iter().find(|(style, _)| *style == value);
                self.escape = found.expect("an escape style").1;
            }
            other => assert_eq!(other, "", "no such setting"),
        }
    }

    fn forms(&self) -> [(&'static str, Template); 6] {
        let text = Escaping::Text(self.escape);
        let form = |name, layout, escaping| (name, Template { layout, escaping });
        [
            form("file", Layout::Traditional, text),
            form("file5424", Layout::Rfc5424Line, text),
            form("bsd", Layout::ForwardBsd, Escaping::None),
            form("rfc3164", Layout::ForwardRfc3164, Escaping::None),
            form("line3164", Layout::ForwardRfc3164, Escaping::Line),
            form("rfc5424", Layout::ForwardRfc5424, Escaping::None),
        ]
    }
}

fn render(part: &str) -> String {
    let mut setting = Setting {
        host: b"gate".to_vec(),
        // 2026-11-22T11:00:00.287161Z
        received: Received {
            seconds: 1_795_345_200,
            micros: 287_161,
        },
        always_received: false,
        cut: 0,
        escape: Escape::Octal,
    };
    let mut formatter = Formatter::default();
    let mut text = String::new();
    for line in part.lines().filter(|line| !line.starts_with(' ')) {
        text.push_str(line);
        text.push('\n');
        let sender = match line.split_at_checked(2) {
            Some(("> ", _)) => Sender::Remote,
            Some(("@ ", _)) => Sender::Local {
                hostname: b"loghost",
            },
            Some(_) | None => {
                if let Some(words) = line.strip_prefix("set ") {
                    setting.change(words);
                }
                continue;
            }
        };
        let octets = unescape(&line[2..]);
        let message = Message::parse(&octets, sender).with_cut(setting.cut);
        let shown = Shown {
            hostname: &setting.host,
            received: setting.received,
            always_received: setting.always_received,
        };
        let mut unescaped = BytesMut::new();
        for (name, template) in setting.forms() {
            let mut out = BytesMut::new();
            formatter.write(&mut out, &message, shown, template);
            // Line framing nearly always changes nothing: then it is not told.
            if name != "line3164" || out != unescaped {
                writeln!(text, "    {name:<10} {}", out.escape_ascii()).expect("memory");
            }
            unescaped = out;
        }
    }
    text
}

// ---- what holds for every record ----

/// 2026-11-22T11:00:00.287161Z.
const RECEIVED: Received = Received {
    seconds: 1_795_345_200,
    micros: 287_161,
};

fn record(message: &Message<'_>, hostname: &[u8], layout: Layout, escaping: Escaping) -> Vec<u8> {
    let shown = Shown {
        hostname,
        received: RECEIVED,
        always_received: false,
    };
    let mut out = BytesMut::new();
    Formatter::default().write(&mut out, message, shown, Template { layout, escaping });
    out.to_vec()
}

/// Octets that a parser finds interesting, between any others.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            &b"<13>"[..],
            b"<13>1 ",
            b"Oct 11 22:14:15 ",
            b"2003-10-11T22:14:15.003Z ",
            b"host ",
            b"app[7]: ",
            b"- - - - ",
            b"[x@1 a=\"b\\\"\"] ",
            b"\xef\xbb\xbf",
            b"\n",
            b"\0",
            b"\x1b[2J",
            b"\xc2\x9b31m",
            b"\xe2\x80\xa8",
            b"\t",
            b"\x7f",
            b"\r\n",
            "å✓".as_bytes(),
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_of_a_file_is_one_line_and_has_no_control_octet_but_tab(
        octets in hostile(),
        host in hostile(),
        cut in prop_oneof![Just(0_u32), any::<u32>()],
        escape in prop::sample::select(vec![Escape::Octal, Escape::Caret, Escape::Hex, Escape::Lossless]),
        layout in prop::sample::select(vec![Layout::Traditional, Layout::Rfc5424Line]),
    ) {
        for sender in [Sender::Remote, Sender::Local { hostname: &host }] {
            let message = Message::parse(&octets, sender).with_cut(cut);
            let line = record(&message, &host, layout, Escaping::Text(escape));
            let Some((b'\n', line)) = line.split_last() else {
                return Err(TestCaseError::fail("no line feed at the end"));
            };
            let control = |octet: &u8| octet.is_ascii_control() && *octet != b'\t';
            prop_assert!(!line.iter().any(control), "{}", line.escape_ascii());
            let text = std::str::from_utf8(line);
            prop_assert!(text.is_ok_and(|text| !text.contains(char::is_control) || text.contains('\t')));
        }
    }

    #[test]
    fn a_record_for_line_framing_is_one_line(octets in hostile(), host in hostile()) {
        let message = Message::parse(&octets, Sender::Remote);
        for layout in [Layout::ForwardBsd, Layout::ForwardRfc3164, Layout::ForwardRfc5424] {
            let line = record(&message, &host, layout, Escaping::Line);
            prop_assert_eq!(memchr::memchr2(b'\n', 0, &line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn rfc5424_6_a_relayed_message_keeps_its_fields(octets in rfc5424()) {
        let message = Message::parse(&octets, Sender::Remote);
        prop_assert_eq!(message.form(), Form::Rfc5424, "{}", octets.escape_ascii());
        let hostname = message.hostname().unwrap_or_default();
        let relayed = record(&message, hostname, Layout::ForwardRfc5424, Escaping::None);
        let again = Message::parse(&relayed, Sender::Remote);
        prop_assert_eq!(again.form(), Form::Rfc5424);
        prop_assert_eq!(again.pri(), message.pri());
        if message.timestamp().is_some() {
            prop_assert_eq!(again.timestamp(), message.timestamp());
        }
        prop_assert_eq!(again.hostname(), message.hostname());
        prop_assert_eq!(again.app_name(), message.app_name());
        prop_assert_eq!(again.proc_id(), message.proc_id());
        prop_assert_eq!(again.msg_id(), message.msg_id());
        prop_assert_eq!(again.structured_data().octets(), message.structured_data().octets());
        prop_assert_eq!(again.has_bom(), message.has_bom());
        prop_assert_eq!(again.msg(), message.msg());
    }

    #[test]
    fn rfc3164_4_1_a_relayed_message_keeps_its_tag_and_text(octets in rfc3164()) {
        let message = Message::parse(&octets, Sender::Remote);
        prop_assert_eq!(message.form(), Form::Rfc3164, "{}", octets.escape_ascii());
        let hostname = message.hostname().unwrap_or(b"gate");
        let relayed = record(&message, hostname, Layout::ForwardRfc3164, Escaping::None);
        let again = Message::parse(&relayed, Sender::Remote);
        prop_assert_eq!(again.form(), Form::Rfc3164, "{}", relayed.escape_ascii());
        prop_assert_eq!(again.pri(), message.pri());
        prop_assert_eq!(again.hostname(), Some(hostname));
        prop_assert_eq!(again.app_name(), message.app_name());
        prop_assert_eq!(again.proc_id(), message.proc_id());
        prop_assert_eq!(again.text(), message.text());
        prop_assert_eq!(again.msg(), message.msg());
    }
}

/// A valid message of RFC 5424 6, its MSG any octets.
fn rfc5424() -> impl Strategy<Value = Vec<u8>> {
    let time = "(-|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]0[0-9]:[0-5][0-9]))";
    let element =
        r#"\[[a-zA-Z0-9@]{1,32}( [a-z]{1,8}="([^"\\\]\p{Cc}]|\\"|\\\\|\\\]){0,12}"){0,3}\]"#;
    let header = format!(
        "1 {time} [!-~]{{1,40}} [!-~]{{1,48}} [!-~]{{1,128}} [!-~]{{1,32}} (-|({element}){{1,3}})"
    );
    let header = prop::string::string_regex(&header).expect("a pattern");
    let msg = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|msg| [b" ".to_vec(), msg].concat()),
        any::<String>().prop_map(|msg| [&b" \xef\xbb\xbf"[..], msg.as_bytes()].concat()),
    ];
    (0_u8..192, header, msg)
        .prop_map(|(pri, header, msg)| [format!("<{pri}>{header}").into_bytes(), msg].concat())
}

/// A message of RFC 3164 4.1, its CONTENT any octets.
fn rfc3164() -> impl Strategy<Value = Vec<u8>> {
    let header = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ( [1-9]|1[0-9]|2[0-8]) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9] [a-z][a-z0-9.-]{0,20} [a-zA-Z/._-]{1,32}(\\[[0-9]{1,7}\\])?: ?";
    let header = prop::string::string_regex(header).expect("a pattern");
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[ -~]{0,60}".prop_map(String::into_bytes),
    ];
    (0_u8..192, header, text)
        .prop_map(|(pri, header, text)| [format!("<{pri}>{header}").into_bytes(), text].concat())
}
