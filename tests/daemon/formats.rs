//! What a line looks like, octet for octet.

use crate::support::{Daemon, hostname};

/// What a local process sends, and what stands behind our own name in the line.
const LOCAL: [(&str, &str); 17] = [
    (
        "<13>Nov 22 11:00:00 tag[12]: msg",
        "Nov 22 11:00:00 HOST tag[12]: msg",
    ),
    (
        "<13>Nov  2 01:02:03 tag: msg",
        "Nov  2 01:02:03 HOST tag: msg",
    ),
    (
        "<13>Nov 22 11:00:01 HOST tag: msg",
        "Nov 22 11:00:01 HOST tag: msg",
    ),
    (
        "<13>Nov 22 11:00:02 tag:msg",
        "Nov 22 11:00:02 HOST tag:msg",
    ),
    (
        "<13>Nov 22 11:00:03 tag[12] msg",
        "Nov 22 11:00:03 HOST tag[12] msg",
    ),
    (
        "<13>Nov 22 11:00:04 (systemd)[1]: msg",
        "Nov 22 11:00:04 HOST (systemd)[1]: msg",
    ),
    (
        "<13>Nov 22 11:00:05 user@1000[9]: msg",
        "Nov 22 11:00:05 HOST user@1000[9]: msg",
    ),
    (
        "<13>Nov 22 11:00:06 hello world text",
        "Nov 22 11:00:06 HOST hello world text",
    ),
    ("<13>Nov 22 11:00:07 single", "Nov 22 11:00:07 HOST single"),
    (
        "<13>Nov 22 11:00:08 tag: msg\n",
        "Nov 22 11:00:08 HOST tag: msg",
    ),
    (
        "<13>Nov 22 11:00:09 tag: msg\r\n\0",
        "Nov 22 11:00:09 HOST tag: msg",
    ),
    (
        "<13>Nov 22 11:00:10 tag:  two blanks",
        "Nov 22 11:00:10 HOST tag:  two blanks",
    ),
    (
        "<13>Nov 22 11:00:60 tag: leap",
        "Nov 22 11:00:59 HOST tag: leap",
    ),
    (
        "<13>1 2003-10-11T22:14:15.003Z elsewhere app 8710 ID47 - text",
        "Oct 11 22:14:15 HOST app[8710]: text",
    ),
    (
        "<13>1 2003-10-11T22:14:15.003Z - app - - - text",
        "Oct 11 22:14:15 HOST app: text",
    ),
    (
        "<13>1 2003-10-11T22:14:15Z - app - - - \u{feff}bom",
        "Oct 11 22:14:15 HOST app: bom",
    ),
    (
        "<13>Nov 22 11:00:11 tag: å ✓ 漢字",
        "Nov 22 11:00:11 HOST tag: å ✓ 漢字",
    ),
];

#[test]
fn the_traditional_line_is_that_of_every_syslogd() {
    let daemon = Daemon::with(&["-cc"], "user.*\t{dir}/user\n");
    let host = hostname();
    for (number, (sent, want)) in LOCAL.iter().enumerate() {
        daemon.unix(sent.replace("HOST", &host));
        let lines = daemon.file("user").wait_for_lines(number + 1);
        assert_eq!(lines[number], want.replace("HOST", &host), "{sent:?}");
    }
    daemon.finish();
}

#[test]
fn a_message_without_a_time_has_that_of_its_reception() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let host = hostname();
    for (sent, want) in [
        ("<13>tag: now", format!(" {host} tag: now")),
        ("no header at all", format!(" {host} no header at all")),
        ("<999>no valid PRI", format!(" {host} <999>no valid PRI")),
        (
            "<00013>leading zeros",
            format!(" {host} <00013>leading zeros"),
        ),
    ] {
        daemon.unix(sent);
        let line = daemon.file("user").wait_for(&want);
        let (stamp, rest) = line.split_at(15);
        assert_eq!(rest, want, "{sent:?}");
        let shape: String = stamp
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        assert!(shape.ends_with("9 99:99:99"), "{stamp:?}");
    }
    daemon.unix("<13>");
    let lines = daemon.file("user").wait_for_lines(5);
    assert_eq!(
        lines[4].trim_end()[15..],
        format!(" {host}"),
        "a PRI alone is a record"
    );
    daemon.finish();
}

#[test]
fn t_stamps_every_message_with_the_time_of_its_reception() {
    let daemon = Daemon::with(&["-T"], "user.*\t{dir}/user\n");
    daemon.unix("<13>1 1999-12-31T23:59:59Z - app - - - text");
    let line = daemon.file("user").wait_for("app: text");
    assert!(!line.starts_with("Dec 31 23:59:59"), "{line}");
    daemon.finish();
}

#[test]
fn the_rfc5424_line_is_that_of_sysklogd() {
    let daemon = Daemon::start("user.*\t{dir}/user\t;RFC5424\n");
    let host = hostname();
    for (number, (sent, want)) in [
        (
            "<13>1 2003-10-11T22:14:15.003Z elsewhere app 8710 ID47 - text",
            "2003-10-11T22:14:15.003000+00:00 HOST app 8710 ID47 - text",
        ),
        (
            "<13>1 2003-10-11T22:14:15.003Z - app - ID47 [x@1 a=\"b\\\"\"] text",
            "2003-10-11T22:14:15.003000+00:00 HOST app - ID47 [x@1 a=\"b\\\"\"] text",
        ),
        (
            "<13>1 2003-10-11T22:14:15.000003Z - app - - - \u{feff}bom",
            "2003-10-11T22:14:15.000003+00:00 HOST app - - - bom",
        ),
        (
            "<13>1 2003-10-11T22:14:15Z - app - - [x@1 a=\"no text\"]",
            "2003-10-11T22:14:15.000000+00:00 HOST app - - [x@1 a=\"no text\"]",
        ),
    ]
    .iter()
    .enumerate()
    {
        daemon.unix(sent);
        let lines = daemon.file("user").wait_for_lines(number + 1);
        assert_eq!(lines[number], want.replace("HOST", &host), "{sent:?}");
    }
    daemon.unix("<13>Nov 22 11:00:00 tag[12]: old form");
    let line = daemon.file("user").wait_for("old form");
    assert_eq!(
        line[4..],
        format!("-11-22T11:00:00.000000+00:00 {host} tag 12 - - old form")
    );
    daemon.finish();
}

/// Octets of a sender, and how a reader sees them (reliability S15).
const ESCAPES: [(&[u8], &str); 18] = [
    (b"LF\nx", "LF#012x"),
    (b"CR\rx", "CR#015x"),
    (b"NUL\0x", "NUL#000x"),
    (b"ESC\x1b[31mx", "ESC#033[31mx"),
    (b"BEL\x07x", "BEL#007x"),
    (b"BS\x08x", "BS#010x"),
    (b"DEL\x7fx", "DEL#177x"),
    (b"TAB\tx", "TAB\tx"),
    (b"C1\xc2\x85x", "C1#302#205x"),
    (b"CSI\xc2\x9bx", "CSI#302#233x"),
    (b"raw CSI\x9bx", "raw CSI#233x"),
    (b"Latin-1 \xe9x", "Latin-1 #351x"),
    (b"overlong \xc0\x80x", "overlong #300#200x"),
    (b"surrogate \xed\xa0\x80x", "surrogate #355#240#200x"),
    (
        b"line separator\xe2\x80\xa8x",
        "line separator#342#200#250x",
    ),
    (b"override\xe2\x80\xaex", "override#342#200#256x"),
    (b"isolate\xe2\x81\xa6x", "isolate#342#201#246x"),
    ("å ✓ #012 é".as_bytes(), "å ✓ #012 é"),
];

#[test]
fn reliability_s15_one_record_is_one_line_whatever_a_sender_sends() {
    let config = "user.*\t{dir}/user\nuser.*\t{dir}/new\t;RFC5424\n";
    let daemon = Daemon::with(&["-cc"], config);
    let mut count = 0;
    for (octets, want) in ESCAPES {
        for head in [
            &b"<13>app: "[..],
            b"<13>1 2003-10-11T22:14:15Z - app - - - ",
            b"<13>ap\np: ",
        ] {
            let sent = [head, octets].concat();
            daemon.unix(&sent);
            daemon.udp(&sent);
            count += 2;
            for file in ["user", "new"] {
                let lines = daemon.file(file).wait_for_lines(count);
                assert_eq!(lines.len(), count, "{}", sent.escape_ascii());
                for line in &lines[count - 2..] {
                    assert!(line.ends_with(want), "{}: {line:?}", sent.escape_ascii());
                }
            }
        }
    }
    daemon.finish();
}

#[test]
fn other_habits_of_escaping_can_be_chosen() {
    let daemon = Daemon::start(
        "user.*\t{dir}/octal\n\
         user.*\t{dir}/caret\t;escape=caret\n\
         user.*\t{dir}/hex\t;escape=hex\n\
         user.*\t{dir}/lossless\t;escape=lossless\n",
    );
    daemon.unix(b"<13>app: a\nb#c\x1b");
    for (file, want) in [
        ("octal", "a#012b#c#033"),
        ("caret", "a^Jb#c^["),
        ("hex", "a\\x0ab#c\\x1b"),
        ("lossless", "a#012b#043c#033"),
    ] {
        let line = daemon.file(file).wait_for("app: ");
        assert!(line.ends_with(&format!("app: {want}")), "{file}: {line}");
    }
    daemon.finish();
}

#[test]
fn repeats_are_folded_but_never_errors() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    for _ in 0..5 {
        daemon.unix("<13>app: link down");
    }
    daemon.unix("<13>app: link up");
    for _ in 0..3 {
        daemon.unix("<11>app: disk failed");
    }
    let lines = daemon.file("user").wait_for_lines(6);
    let bodies: Vec<_> = lines
        .iter()
        .map(|line| &line[16 + hostname().len()..])
        .collect();
    assert_eq!(
        bodies,
        [
            " app: link down",
            " app: last message repeated 4 times",
            " app: link up",
            " app: disk failed",
            " app: disk failed",
            " app: disk failed",
        ]
    );
    assert_eq!(
        daemon.quiet().output("/user")["written"],
        9,
        "a folded repeat counts as written"
    );
    daemon.finish();

    let daemon = Daemon::with(&["-cc"], "user.*\t{dir}/user\n");
    for _ in 0..5 {
        daemon.unix("<13>app: link down");
    }
    let lines = daemon.file("user").wait_for_lines(5);
    assert!(
        lines.iter().all(|line| line.ends_with(" app: link down")),
        "{lines:?}"
    );
    daemon.finish();
}
