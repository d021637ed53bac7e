//! Real logs over each transport: every record once, in order, its text unchanged.

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::path::Path;

use serde_json::Value;

use crate::support::{Daemon, corpus, counted, hostname};

/// The lines of a log file, with a PRI in front.
fn messages(octets: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(octets);
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| format!("<13>{line}"))
        .collect()
}

/// Sends the messages over each transport; returns the lines of each in their order.
fn over_each_transport(messages: &[String]) -> [Vec<String>; 4] {
    ["unix", "udp", "lines", "counted"].map(|transport| {
        let daemon = Daemon::with(&["-cc", "-H"], "*.*;syslog.none\t-{dir}/all\n");
        match transport {
            "unix" => messages.iter().for_each(|message| daemon.unix(message)),
            "udp" => {
                for (number, message) in messages.iter().enumerate() {
                    daemon.udp(message);
                    if number % 100 == 99 {
                        // UDP has no flow control; ours waits for the daemon.
                        daemon.file("all").wait_for_lines(number + 1);
                    }
                }
            }
            _ => {
                let frame = |message: &String| match transport {
                    "lines" => format!("{message}\n"),
                    _ => counted(message),
                };
                let mut stream = daemon.tcp();
                let octets: String = messages.iter().map(frame).collect();
                stream.write_all(octets.as_bytes()).expect("it is read");
                stream.shutdown(Shutdown::Write).expect("it is open");
            }
        }
        let lines = daemon.file("all").wait_for_lines(messages.len());
        let counters = daemon.quiet();
        assert_eq!(
            counters.output("/all")["written"],
            messages.len(),
            "{transport}"
        );
        daemon.finish();
        lines
    })
}

/// A log of `Mmm dd hh:mm:ss host tag[pid]: text` comes out as it went in.
fn comes_out_as_it_went_in(octets: &[u8]) {
    let sent = messages(octets);
    let [local, remote @ ..] = over_each_transport(&sent);
    for (index, message) in sent.iter().enumerate() {
        let line = &message["<13>".len()..];
        for lines in &remote {
            assert_eq!(lines[index], line);
        }
        // A word behind the time is our host's name or text (formats.md): our own stands before it.
        let (stamp, rest) = line.split_at(15);
        assert_eq!(local[index], format!("{stamp} {}{rest}", hostname()));
    }
}

#[test]
fn our_own_log() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/input/messages.log");
    comes_out_as_it_went_in(&fs::read(path).expect("it is part of the project"));
}

#[test]
fn linux() {
    let Some(octets) = corpus::read("loghub/Linux_2k.log") else {
        return;
    };
    comes_out_as_it_went_in(&octets);
}

#[test]
fn openssh() {
    let Some(octets) = corpus::read("loghub/OpenSSH_2k.log") else {
        return;
    };
    comes_out_as_it_went_in(&octets);
}

#[test]
fn mac() {
    let Some(octets) = corpus::read("loghub/Mac_2k.log") else {
        return;
    };
    comes_out_as_it_went_in(&octets);
}

/// Every message arrives once and in order, and its last words are unchanged.
fn keeps_the_last_words(sent: &[String]) {
    for lines in over_each_transport(sent) {
        for (message, line) in sent.iter().zip(&lines) {
            let message = message.trim_end_matches(['\n', '\r']);
            let end = message.char_indices().rev().nth(20).map_or(0, |(at, _)| at);
            let words = message[end..]
                .rsplit(['\n', '\r'])
                .next()
                .unwrap_or_default();
            assert!(
                line.ends_with(words),
                "{words:?} of {message:?} in {line:?}"
            );
        }
    }
}

#[test]
fn our_own_network_devices() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/input/devices.log");
    let text = fs::read_to_string(path).expect("it is part of the project");
    let sent: Vec<_> = text.lines().map(str::to_owned).collect();
    keeps_the_last_words(&sent);
}

#[test]
fn vendors() {
    let Some(entries) = corpus::entries("vendors.jsonl") else {
        return;
    };
    let message = |entry: &Value| entry["message"].as_str().expect("a message").to_owned();
    // STRUCTURED-DATA without a text is not in the traditional line.
    // Nor is a MSGID, which a LEEF text behind half a header of RFC 5424 is taken for.
    let has_text =
        |message: &String| !message.ends_with(']') && !message.contains(" LEEF:2.0|Vendor|");
    // Lines cannot carry a message of several lines, and a datagram of our own facility is kept out.
    let one_line = |message: &String| !message.trim_end().contains(['\n', '\0']);
    let ours = |message: &String| (40..48).any(|pri| message.starts_with(&format!("<{pri}>")));
    let sent: Vec<_> = entries
        .iter()
        .map(message)
        .filter(one_line)
        .filter(has_text)
        .collect();
    let sent: Vec<_> = sent.into_iter().filter(|message| !ours(message)).collect();
    assert!(sent.len() > 200, "{}", sent.len());
    keeps_the_last_words(&sent);
}
