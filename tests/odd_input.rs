//! Odd datagrams, and the lines that they become: `tests/odd_input.txt`, a test for each section.
//!
//! The datagrams go through a real socket and all that comes after it, as far as the block that the
//! worker of a file would write. `UPDATE_GOLDEN=1` writes the lines anew.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use syslogd::block::Block;
use syslogd::config;
use syslogd::counters::{InputCounters, OutputCounters, Rejection};
use syslogd::format::{Escape, Escaping, Formatter, Layout, Received, Shown, Template, bsd_stamp};
use syslogd::input::MAX_MESSAGE;
use syslogd::input::acl::AccessList;
use syslogd::input::bell::Bell;
use syslogd::input::datagram::{Drain, Origin, Overflow};
use syslogd::input::denials::Denials;
use syslogd::input::peer::PeerNames;
use syslogd::input::shard::Shard;
use syslogd::message::{Flag, Message, Sender, Timestamp, trim};
use syslogd::output::repeat::{Head, Repeats, Style};
use syslogd::pri::Pri;
use syslogd::route::inbox::{self, Next, Order};
use syslogd::route::{Lane, LaneId, Policy, RoutingTable};

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
        // One test at a time: `UPDATE_GOLDEN=1 cargo test --test odd_input -- --test-threads=1`.
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

/// Where a datagram comes from.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Where {
    Local,
    Remote,
}

/// What became of some datagrams.
struct Seen {
    lines: Vec<String>,
    counted: String,
}

/// Sends datagrams to a socket that a drain thread's work is done for, down to the block of a file.
fn receive(place: Where, datagrams: &[Vec<u8>]) -> Seen {
    let before = SystemTime::now();
    let (inbox, orders) = inbox::inbox("file".into(), 1 << 20, Arc::new(OutputCounters::default()));
    let counters = Arc::new(InputCounters::default());
    let (socket, origin) = sent(place, datagrams);
    let live = Arc::new(ArcSwap::from_pointee(table(inbox)));
    let bell = Bell::new().expect("descriptors are left");
    bell.stop();
    let drain = Drain {
        socket,
        shard: Shard::new(Arc::clone(&live), &PeerNames::numeric()),
        counters: Arc::clone(&counters),
        bell,
        origin,
    };
    drain.run();
    live.store(Arc::new(RoutingTable::empty()));
    assert!(counters.balance());
    assert_eq!(counters.received.get(), datagrams.len() as u64);

    let stamps = [before, SystemTime::now()].map(bsd_stamp);
    let zoned = datagrams.iter().find_map(|datagram| instant(datagram));
    let mut lines = Vec::new();
    for block in written(&orders) {
        for entry in block.iter() {
            lines.push(shown(entry.pri, entry.octets, &stamps, zoned));
        }
    }
    Seen {
        lines,
        counted: counted(&counters),
    }
}

fn sent(place: Where, datagrams: &[Vec<u8>]) -> (OwnedFd, Origin) {
    match place {
        Where::Local => {
            let (ours, theirs) = UnixDatagram::pair().expect("descriptors are left");
            for datagram in datagrams {
                theirs.send(datagram).expect("there is room");
            }
            (ours.into(), Origin::Local)
        }
        Where::Remote => {
            let ours = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback interface");
            let theirs = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback interface");
            let address = ours.local_addr().expect("it is bound");
            for datagram in datagrams {
                theirs.send_to(datagram, address).expect("there is room");
            }
            let origin = Origin::Network {
                gate: Arc::new(AccessList::parse(&[]).expect("an empty list")),
                denials: Denials::new("udp".into()),
                overflow: Overflow::new("udp".into()),
            };
            (ours.into(), origin)
        }
    }
}

/// All messages into one file, in the traditional form.
fn table(inbox: inbox::Inbox) -> RoutingTable {
    let config = config::parse_str("odd_input", "*.* /odd_input\n").config;
    let template = Template {
        layout: Layout::Traditional,
        escaping: Escaping::Text(Escape::Octal),
    };
    let lane = Lane {
        inbox,
        template,
        local_only: false,
    };
    let policy = Policy {
        hostname: b"loghost".to_vec(),
        ..Policy::default()
    };
    RoutingTable::compile(&config, vec![lane], |_| Some(LaneId::from(0)), policy)
}

/// The blocks that a file's worker would write, repeats folded.
fn written(orders: &inbox::Orders) -> Vec<Block> {
    let now = Instant::now();
    let style = Style {
        stamp: bsd_stamp,
        head: Head::Traditional,
    };
    let mut repeats = Repeats::new(style, now);
    let mut blocks = Vec::new();
    while !orders.is_empty() {
        if let Next::Order(Order::Write(block)) = orders.next(None) {
            blocks.push(repeats.fold(block, now).block);
        }
    }
    blocks.extend(repeats.flush(now));
    blocks
}

/// When a message with a zone was made, in seconds.
fn instant(datagram: &[u8]) -> Option<u64> {
    match Message::parse(trim(datagram), Sender::Remote).timestamp()? {
        Timestamp::Instant { seconds, .. } => u64::try_from(seconds).ok(),
        Timestamp::Civil(_) => None,
    }
}

/// `facility.severity  time host text$`; the time is "now", or in UTC where its sender named a zone.
fn shown(pri: Pri, octets: &[u8], now: &[String; 2], zoned: Option<u64>) -> String {
    let text = std::str::from_utf8(octets).expect("a file gets UTF-8");
    let text = text
        .strip_suffix('\n')
        .expect("a record ends with a line feed");
    assert!(!text.contains('\n'), "one record is one line: {text:?}");
    let (stamp, rest) = text.split_at(16);
    let zoned =
        zoned.filter(|seconds| bsd_stamp(UNIX_EPOCH + Duration::from_secs(*seconds)) == stamp);
    let stamp = if let Some(seconds) = zoned {
        let seconds = i64::try_from(seconds).expect("it was positive");
        let time = chrono::DateTime::from_timestamp(seconds, 0).expect("it was parsed");
        time.format("%Y-%m-%dT%H:%M:%SZ ").to_string()
    } else if now.iter().any(|now| now == stamp) {
        "now ".into()
    } else {
        stamp.into()
    };
    let rest = rest
        .replacen("127.0.0.1", "192.0.2.7", 1)
        .replace('\t', "\\t");
    let (facility, severity) = (pri.facility().name(), pri.severity().name());
    format!("{facility}.{severity}  {stamp}{rest}$")
}

/// The counters that say that something was odd.
fn counted(counters: &InputCounters) -> String {
    let flags = Flag::ALL.map(|flag| (flag.name(), counters.noted(flag).get()));
    let others = [
        ("empty", counters.rejected(Rejection::Empty).get()),
        ("truncated", counters.truncated.get()),
        ("kern_remapped", counters.kern_remapped.get()),
    ];
    let counted = flags.iter().chain(&others).filter(|(_, count)| *count > 0);
    counted.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
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
