//! Octets and the fields they give, in text files to read: `tests/vectors/*.txt`.
//!
//! A case is a line of octets, then one indented line for each field that it has:
//!
//! ```text
//! > <34>Oct 11 22:14:15 mymachine su: failed
//!     form       Rfc3164
//!     pri        34
//! ```
//!
//! `>` comes from the network and `@` from a process of the host `loghost`; octets that do not print are
//! escaped as in Rust, and a backslash is doubled. `#` begins a comment. `UPDATE_GOLDEN=1` writes the fields anew.

#[path = "vectors/escaped.rs"]
mod escaped;

use std::path::PathBuf;

use escaped::unescape;
use syslogd::message::{Flag, Message, Sender, Timestamp};

#[test]
fn rfc3164_vectors() {
    assert_vectors("rfc3164.txt", 40);
}

#[test]
fn rfc5424_vectors() {
    assert_vectors("rfc5424.txt", 30);
}

fn assert_vectors(file: &str, at_least: usize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(file);
    let golden = std::fs::read_to_string(&path).expect("the file is in the repository");
    let mut text = String::new();
    let mut cases = 0;
    for line in golden.lines().filter(|line| !line.starts_with(' ')) {
        text.push_str(line);
        text.push('\n');
        let sender = match line.split_at_checked(2) {
            Some(("> ", _)) => Sender::Remote,
            Some(("@ ", _)) => Sender::Local {
                hostname: b"loghost",
            },
            Some(_) | None => continue,
        };
        cases += 1;
        let octets = unescape(&line[2..]);
        for (name, value) in fields(&Message::parse(&octets, sender)) {
            text.push_str(format!("    {name:<10} {value}").trim_end());
            text.push('\n');
        }
    }
    assert!(cases >= at_least, "{file} has only {cases} cases");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the repository can be written");
        return;
    }
    for (number, (want, got)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(got, want, "{file}:{}", number + 1);
    }
    assert_eq!(golden, text, "{file} has another length");
}

fn fields(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let shown = |octets: &[u8]| octets.escape_ascii().to_string();
    let mut fields = vec![
        ("form", format!("{:?}", message.form())),
        ("pri", message.pri().value().to_string()),
    ];
    let optional = [
        ("stamp", message.timestamp_octets()),
        ("hostname", message.hostname()),
        ("app_name", message.app_name()),
        ("proc_id", message.proc_id()),
        ("msg_id", message.msg_id()),
    ];
    for (name, value) in optional {
        fields.extend(value.map(|value| (name, shown(value))));
        if name == "stamp" {
            fields.extend(message.timestamp().map(|time| ("time", shown_time(time))));
        }
    }
    for element in message.structured_data().elements() {
        fields.push(("sd_id", shown(element.id())));
        for param in element.params() {
            let value = shown(&param.value());
            fields.push(("  param", format!("{} = {value}", shown(param.name()))));
        }
    }
    if message.text() != message.msg() {
        fields.push(("text", shown(message.text())));
    }
    fields.push(("msg", shown(message.msg())));
    let flags: Vec<&str> = message.flags().iter().map(Flag::name).collect();
    if !flags.is_empty() {
        fields.push(("flags", flags.join(" ")));
    }
    fields
}

fn shown_time(time: Timestamp) -> String {
    match time {
        Timestamp::Instant {
            seconds,
            micros,
            offset,
        } => format!("{seconds}.{micros:06} {offset:+}"),
        Timestamp::Civil(civil) => {
            let year = civil
                .year
                .map_or_else(|| "????".into(), |year| format!("{year:04}"));
            format!(
                "{year}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
                civil.month, civil.day, civil.hour, civil.minute, civil.second, civil.micros
            )
        }
    }
}
