//! Odd datagrams, and the lines that they become: `tests/odd_input.txt`, a test for each section.
//!
//! `UPDATE_GOLDEN=1 cargo test --test odd_input -- --test-threads=1` writes the lines anew.

mod pipeline;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use pipeline::{Circumstances, Seen, Where};
use proptest::prelude::*;
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template};
use syslogd::input::MAX_MESSAGE;
use syslogd::message::{Message, Sender, trim};

/// A test for each row, and one that no section of the file is left out.
macro_rules! rows {
    ($($row:ident)+) => {
        $(#[test]
        fn $row() {
            assert_row(stringify!($row));
        })+

        #[test]
        fn every_section_has_a_test() {
            let text = golden();
            let sections: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(sections, [$(stringify!($row)),+]);
        }
    };
}

rows! {
    no_pri
    pri_and_tag_without_a_timestamp
    words_without_a_timestamp_or_a_colon
    single_word
    only_pri
    tag_with_at
    parenthesised_tag
    long_tag
    tag_without_a_blank
    rfc5424_on_a_unix_socket
    invalid_rfc5424
    version_2
    iso_timestamp_in_an_rfc3164_frame
    unpadded_day_year_and_cisco
    second_60
    future_month
    local_message_time
    local_hostname
    remote_hostname
    control_characters
    embedded_line_feed
    tab
    embedded_nul
    trailing_nul_line_feed_and_carriage_return
    utf8
    latin1_and_c1
    kern_from_user_space
    pri_192_and_999
    unterminated_empty_negative_and_padded_pri
}

#[test]
fn oversize() {
    let long = "x".repeat(9000);
    let datagram = format!("<13>tag: {long}").into_bytes();
    let seen = receive(Where::Local, &[datagram]);
    let kept = &long[..MAX_MESSAGE - "<13>tag: ".len()];
    assert_eq!(
        seen.lines,
        [format!("user.notice  now loghost tag: {kept}…[+817]$")]
    );
    assert_eq!(seen.counted, "truncated");
}

#[test]
fn duplicates() {
    let datagrams = vec![b"<13>tag: text".to_vec(); 3];
    let seen = receive(Where::Local, &datagrams);
    assert_eq!(
        seen.lines,
        [
            "user.notice  now loghost tag: text$",
            "user.notice  now loghost tag: last message repeated 2 times$"
        ]
    );
}

#[test]
fn year_of_rfc3164() {
    // 2026-11-22T12:00:00Z.
    let received = Received {
        seconds: 1_795_348_800,
        micros: 0,
    };
    for (octets, year) in [
        (&b"<13>Nov 22 11:00:00 tag: today"[..], "2026-11-22"),
        (b"<13>Nov 20 11:00:00 tag: two days ago", "2026-11-20"),
        (
            b"<13>Nov 24 11:00:00 tag: a clock that is ahead",
            "2026-11-24",
        ),
        (
            b"<13>Dec 24 11:00:00 tag: more than a week ahead",
            "2025-12-24",
        ),
        (b"<13>Jun 15 11:00:00 tag: months ago", "2026-06-15"),
    ] {
        let message = Message::parse(octets, Sender::Remote);
        let mut line = bytes::BytesMut::new();
        let shown = Shown {
            hostname: b"loghost",
            received,
            always_received: false,
        };
        let template = Template {
            layout: Layout::Rfc5424Line,
            escaping: Escaping::Text(Escape::Octal),
        };
        Formatter::default().write(&mut line, &message, shown, template);
        assert!(
            line.starts_with(year.as_bytes()),
            "{}: {}",
            octets.escape_ascii(),
            line.escape_ascii()
        );
    }
}

#[test]
fn a_bom_is_dropped_in_files_and_kept_when_rfc5424_is_forwarded() {
    let message = Message::parse(b"<13>1 - - tag - - - \xef\xbb\xbftext", Sender::Remote);
    let shown = Shown {
        hostname: b"loghost",
        received: Received::now(),
        always_received: true,
    };
    for (layout, end) in [
        (Layout::Rfc5424Line, &b" loghost tag - - - text\n"[..]),
        (Layout::Traditional, b" loghost tag: text\n"),
        (
            Layout::ForwardRfc5424,
            b" loghost tag - - - \xef\xbb\xbftext",
        ),
        (Layout::ForwardRfc3164, b" loghost tag: text"),
    ] {
        let mut line = bytes::BytesMut::new();
        let template = Template {
            layout,
            escaping: Escaping::None,
        };
        Formatter::default().write(&mut line, &message, shown, template);
        assert!(line.ends_with(end), "{}", line.escape_ascii());
    }
}

/// What datagrams are made of, so that chance finds the places where a line could be forged.
const PIECES: &[&[u8]] = &[
    b"<13>",
    b"<",
    b"1 ",
    b"- ",
    b"-",
    b" ",
    b"  ",
    b":",
    b": ",
    b"[",
    b"] ",
    b"\"",
    b"\\",
    b"=",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b"\x1b[2J",
    b"\xff",
    b"\xe2\x80",
    "\u{85}\u{202e}\u{e9}".as_bytes(),
    b"\xef\xbb\xbf",
    b"tag",
    b"[x@1 a=\"",
    b"Nov 22 11:00:00 ",
    b"2026-11-22T11:00:00Z ",
    b"loghost ",
    b"46: ",
    b"%A-1-B: ",
];

proptest! {
    #[test]
    fn whatever_arrives_is_one_line_of_utf8_without_controls(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..16),
        local: bool,
        claimed: bool,
    ) {
        let datagram: Vec<u8> = pieces.iter().flat_map(|piece| PIECES[*piece]).copied().collect();
        let sender = if local {
            Sender::Local { hostname: b"loghost" }
        } else {
            Sender::Remote
        };
        let message = Message::parse(trim(&datagram), sender);
        let shown = Shown {
            hostname: message.hostname().filter(|_| claimed).unwrap_or(b"loghost"),
            received: Received::now(),
            always_received: false,
        };
        for layout in [Layout::Traditional, Layout::Rfc5424Line] {
            let mut line = bytes::BytesMut::new();
            let template = Template { layout, escaping: Escaping::Text(Escape::Octal) };
            Formatter::default().write(&mut line, &message, shown, template);
            let line = String::from_utf8(line.to_vec());
            prop_assert!(line.is_ok(), "{line:?}");
            let line = line.unwrap_or_default();
            let text = line.strip_suffix('\n').unwrap_or("\n");
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
        }
    }
}

fn receive(place: Where, datagrams: &[Vec<u8>]) -> Seen {
    let circumstances = Circumstances {
        place,
        hostname: "loghost",
        since: SystemTime::now(),
    };
    pipeline::receive(circumstances, datagrams)
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/odd_input.txt")
}

fn golden() -> String {
    std::fs::read_to_string(path()).expect("the file is in the repository")
}

fn assert_row(row: &str) {
    let golden = golden();
    let heading = format!("## {row}\n");
    let start = golden.find(&heading).expect("a section for each row") + heading.len();
    let length = golden[start..]
        .find("\n## ")
        .map_or(golden.len() - start, |end| end + 1);
    let section = &golden[start..start + length];
    let got = written_anew(section);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = golden.replacen(
            &format!("{heading}{section}"),
            &format!("{heading}{got}"),
            1,
        );
        std::fs::write(path(), text).expect("the repository can be written");
        return;
    }
    assert_eq!(section, got, "section {row}");
}

/// The section with the lines that its datagrams become now.
fn written_anew(section: &str) -> String {
    let mut text = String::new();
    for line in section.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(text, "{line}").expect("a String takes all");
        if let Some(escaped) = line.strip_prefix("> ") {
            text.push_str(&outcome(&unescape(escaped)));
        }
    }
    text
}

/// The indented lines of one datagram.
fn outcome(datagram: &[u8]) -> String {
    let local = receive(Where::Local, &[datagram.to_vec()]);
    let remote = receive(Where::Remote, &[datagram.to_vec()]);
    let mut text = String::new();
    let lines = local.lines.len().max(remote.lines.len());
    for index in 0..lines {
        let line = |seen: &Seen| seen.lines.get(index).cloned().unwrap_or_default();
        let (local, remote) = (line(&local), line(&remote));
        let both = local.replacen(" loghost ", " HOST ", 1);
        if both == remote.replacen(" 192.0.2.7 ", " HOST ", 1) {
            writeln!(text, "    both    {both}").expect("a String takes all");
        } else {
            writeln!(text, "    local   {local}").expect("a String takes all");
            writeln!(text, "    remote  {remote}").expect("a String takes all");
        }
    }
    if lines == 0 {
        text.push_str("    both    no line\n");
    }
    assert_eq!(
        local.counted,
        remote.counted,
        "counters of {}",
        datagram.escape_ascii()
    );
    if !local.counted.is_empty() {
        writeln!(text, "    counted {}", local.counted).expect("a String takes all");
    }
    text
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let (octet, length) = match escaped.as_bytes() {
            [b'x', ..] => (
                u8::from_str_radix(&escaped[1..3], 16).expect("two digits"),
                3,
            ),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'r', ..] => (b'\r', 1),
            _ => (b'\\', 1),
        };
        octets.push(octet);
        rest = &escaped[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
