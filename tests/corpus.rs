//! The shared corpus of real and hostile input, at the level of parser and framer.
//!
//! The corpus is no part of the repository: where `../shared/corpus` is missing these tests say SKIP and pass.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod base64;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use base64::base64;
use chrono::{DateTime, FixedOffset, NaiveDateTime};
use serde_json::Value;
use syslogd::frame::{Framer, Last, Step};
use syslogd::message::{Civil, Flag, Form, Message, Sender, Timestamp, trim};

/// The corpus's reference time, 2026-11-22T12:00:00Z.
const NOW: Civil = Civil {
    year: Some(2026),
    month: 11,
    day: 22,
    hour: 12,
    minute: 0,
    second: 0,
    micros: 0,
};

/// The size limit that the corpus assumes.
const LIMIT: usize = 8192;

fn entries(file: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/corpus")
        .join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => text
            .lines()
            .map(|line| serde_json::from_str(line).expect("the corpus is JSON lines"))
            .collect(),
        Err(error) => {
            eprintln!("SKIP {}: {error}", path.display());
            Vec::new()
        }
    }
}

fn octets(entry: &Value) -> Vec<u8> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    text("bytes_base64")
        .map(base64)
        .or_else(|| Some(text("message")?.as_bytes().to_vec()))
        .expect("an entry has octets")
}

fn name(entry: &Value) -> &str {
    ["id", "name"]
        .iter()
        .find_map(|key| entry.get(key)?.as_str())
        .unwrap_or("vendor")
}

fn sender(entry: &Value) -> Sender<'static> {
    match entry.get("transport").and_then(Value::as_str) {
        Some("unix") => Sender::Local {
            hostname: b"local.example.net",
        },
        Some(_) | None => Sender::Remote,
    }
}

/// As the corpus writes octets: UTF-8 where they are, `\xNN` where they are not, and for NUL.
fn shown(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            write!(text, "\\x{octet:02x}").expect("a String takes all");
        }
    }
    text.replace('\0', "\\x00")
}

/// A time as `seconds, micros, offset`; a clock without a zone has no offset.
fn expected_time(text: &str) -> (i64, u32, Option<i32>) {
    if let Ok(time) = DateTime::<FixedOffset>::parse_from_rfc3339(text) {
        let offset = time.offset().local_minus_utc();
        return (
            time.timestamp(),
            time.timestamp_subsec_micros(),
            Some(offset),
        );
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .expect("the corpus writes times in two ways")
        .and_utc();
    (time.timestamp(), time.timestamp_subsec_micros(), None)
}

fn elements(message: &Message<'_>) -> Value {
    let elements: Vec<Value> = message
        .structured_data()
        .elements()
        .map(|element| {
            let params = element
                .params()
                .map(|param| Value::from(vec![shown(param.name()), shown(&param.value())]));
            Value::from(vec![shown(element.id()).into(), params.collect::<Value>()])
        })
        .collect();
    if elements.is_empty() {
        Value::Null
    } else {
        elements.into()
    }
}

/// The fields of an entry as parsed, under the names of the corpus.
fn parsed(entry: &Value, message: &Message<'_>) -> Vec<(&'static str, Value)> {
    let expect = &entry["expect"];
    let optional = |field: Option<&[u8]>| field.map_or(Value::Null, |field| shown(field).into());
    let form = match message.form() {
        Form::Rfc5424 => "rfc5424",
        Form::Rfc3164 => "rfc3164",
        Form::Bare => "raw",
    };
    // The input takes `kern` away from a process, not the parser.
    let remapped = expect["flags"].to_string().contains("kern_remapped");
    let source = expect.get("hostname_source").and_then(Value::as_str);
    let hostname = match source {
        // What the daemon puts there is not the message's.
        Some("peer" | "local") if message.hostname().is_none() => expect["hostname"].clone(),
        Some(_) | None => optional(message.hostname()),
    };
    let utf8 = message
        .has_bom()
        .then(|| std::str::from_utf8(message.msg()).is_ok());
    vec![
        ("format", form.into()),
        (
            "pri",
            (message.pri().value() + 8 * u8::from(remapped)).into(),
        ),
        ("hostname", hostname),
        ("app_name", optional(message.app_name())),
        ("procid", optional(message.proc_id())),
        ("msgid", optional(message.msg_id())),
        ("structured_data", elements(message)),
        ("msg", shown(message.msg()).into()),
        ("msg_utf8", utf8.into()),
    ]
}

fn differences(entry: &Value) -> Vec<String> {
    let octets = octets(entry);
    let message = Message::parse(trim(&octets), sender(entry));
    let expect = &entry["expect"];
    let mut wrong = Vec::new();
    for (what, got) in parsed(entry, &message) {
        let want = expect.get(what).cloned().unwrap_or(Value::Null);
        if got != want {
            wrong.push(format!("{}: {what}: got {got}, want {want}", name(entry)));
        }
    }
    let got: BTreeSet<&str> = message.flags().iter().map(Flag::name).collect();
    let want: BTreeSet<&str> = expect
        .get("flags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|flag| *flag != "kern_remapped")
        .collect();
    if got != want {
        wrong.push(format!(
            "{}: flags: got {got:?}, want {want:?}",
            name(entry)
        ));
    }
    let got = message.timestamp().map(|timestamp| {
        let moment = timestamp.resolve(NOW, |_| 0);
        let offset = match timestamp {
            Timestamp::Instant { offset, .. } => Some(offset),
            Timestamp::Civil(_) => None,
        };
        (moment.seconds, moment.micros, offset)
    });
    let want = expect["timestamp"].as_str().map(expected_time);
    if got != want {
        wrong.push(format!(
            "{}: timestamp: got {got:?}, want {want:?}",
            name(entry)
        ));
    }
    wrong
}

fn assert_all_as_expected(file: &str) {
    let entries = entries(file);
    let wrong: Vec<String> = entries.iter().flat_map(differences).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rfc5424_examples_give_the_fields_that_they_expect() {
    assert_all_as_expected("rfc5424-examples.jsonl");
}

#[test]
fn rfc3164_examples_give_the_fields_that_they_expect() {
    assert_all_as_expected("rfc3164-examples.jsonl");
}

#[test]
fn malformed_datagrams_are_read_as_far_as_they_can_be() {
    let mut wrong = Vec::new();
    for entry in entries("malformed.jsonl") {
        if !matches!(entry["transport"].as_str(), Some("udp" | "unix")) {
            continue;
        }
        let octets = octets(&entry);
        let octets = trim(&octets);
        let message = Message::parse(octets, sender(&entry));
        let whole = message.msg() == octets;
        let right = match entry["expect"].as_str().expect("a word") {
            "raw" => message.form() == Form::Bare && whole && message.pri().value() == 13,
            "raw_pri" => message.form() == Form::Bare && !whole,
            // A lone PRI is a record of no text.
            "parsed" if name(&entry) == "pri/only-pri" => message.msg().is_empty(),
            "truncated" if name(&entry).starts_with("h5424/") => {
                message.flags().contains(Flag::FieldTruncated)
            }
            // Cutting the whole at reception is the input's business.
            "parsed" | "truncated" => message.form() != Form::Bare,
            "drop_empty" => octets.is_empty(),
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{}: want {}, got {:?} {:?} {}",
                name(&entry),
                entry["expect"],
                message.form(),
                message.flags().iter().collect::<Vec<_>>(),
                shown(message.msg()).chars().take(60).collect::<String>()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// How many records a stream gives, and whether it was broken off.
fn frames(stream: &[u8], chunk: usize) -> (usize, bool) {
    let mut framer = Framer::new(LIMIT);
    let mut unread = Vec::new();
    let mut records = 0;
    for chunk in stream.chunks(chunk) {
        unread.extend_from_slice(chunk);
        loop {
            match framer.next(&unread) {
                Step::Frame { octets, consumed } => {
                    // The input counts a frame without a word in it as empty.
                    records += usize::from(unread[octets].iter().any(|octet| *octet != b' '));
                    unread.drain(..consumed);
                }
                Step::Oversize { consumed, .. } => {
                    records += 1;
                    unread.drain(..consumed);
                }
                Step::Skip { consumed, .. } => drop(unread.drain(..consumed)),
                Step::More => break,
                Step::Broken(_) => return (records, true),
            }
        }
    }
    match framer.finish(&unread) {
        Last::Partial { .. } => records += 1,
        Last::Nothing | Last::Cut(_) => {}
    }
    (records, false)
}

#[test]
fn malformed_streams_give_the_records_that_they_expect_in_any_chunks() {
    let mut wrong = Vec::new();
    for entry in entries("malformed.jsonl") {
        if entry["category"] != "framing" {
            continue;
        }
        let stream = octets(&entry);
        let expect = entry["expect"].as_str().expect("a word");
        for chunk in [1, 7, 1 << 16] {
            let (records, closed) = frames(&stream, chunk);
            let right = match expect.strip_prefix("records=") {
                Some(counts) => {
                    !closed && counts.split('|').any(|count| count == records.to_string())
                }
                None => closed || expect.contains("records"),
            };
            if !right {
                wrong.push(format!(
                    "{} in chunks of {chunk}: want {expect}, got {records}, closed {closed}",
                    name(&entry)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn assert_fields_lie_inside(octets: &[u8], sender: Sender<'_>) {
    let message = Message::parse(octets, sender);
    let outer = octets.as_ptr_range();
    let fields = [
        message.timestamp_octets(),
        message.hostname(),
        message.app_name(),
        message.proc_id(),
        message.msg_id(),
        Some(message.structured_data().octets()),
        Some(message.msg()),
    ];
    for field in fields.into_iter().flatten() {
        let inner = field.as_ptr_range();
        assert!(field.is_empty() || (outer.start <= inner.start && inner.end <= outer.end));
    }
    assert!(octets.ends_with(message.text()));
    assert_eq!(
        message.timestamp().is_some(),
        message.timestamp_octets().is_some()
    );
}

#[test]
fn v3_every_prefix_of_every_message_is_a_message() {
    for file in [
        "rfc5424-examples.jsonl",
        "rfc3164-examples.jsonl",
        "malformed.jsonl",
        "vendors.jsonl",
    ] {
        for entry in entries(file) {
            let octets = octets(&entry);
            // The prefixes of a long run are all alike; every header ends within 1,024 octets.
            for end in (0..octets.len().min(1024)).chain([octets.len()]) {
                assert_fields_lie_inside(&octets[..end], sender(&entry));
            }
        }
    }
}

#[test]
fn v4_a_vendors_message_with_one_octet_changed_is_a_message() {
    for entry in &entries("vendors.jsonl") {
        let mut octets = octets(entry);
        for at in 0..octets.len().min(160) {
            let kept = octets[at];
            for other in [0, b' ', b':', b'[', b'"', b'\\', b'9', 0xff, kept ^ 0x20] {
                octets[at] = other;
                assert_fields_lie_inside(&octets, Sender::Remote);
            }
            octets[at] = kept;
        }
    }
}
