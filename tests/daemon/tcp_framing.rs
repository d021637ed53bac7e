//! Streams: TCP and unix, cut into records (RFC 6587, reliability S5).

use std::io::{IoSlice, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, send, sendmsg};

use crate::support::{Daemon, counted};

/// What a peer sends, and the records that it means.
fn streams() -> Vec<(&'static str, String, Vec<&'static str>)> {
    let long = "y".repeat(9000);
    vec![
        (
            "3.4.1 octet counting",
            counted("<13>a: 1") + &counted("<13>a: 2"),
            vec!["a: 1", "a: 2"],
        ),
        (
            "3.4.2 lines",
            "<13>b: 1\n<13>b: 2\n".into(),
            vec!["b: 1", "b: 2"],
        ),
        (
            "CR LF",
            "<13>c: 1\r\n<13>c: 2\r\n".into(),
            vec!["c: 1", "c: 2"],
        ),
        (
            "decided for each frame",
            counted("<13>d: 1") + "<13>d: 2\n" + &counted("<13>d: 3"),
            vec!["d: 1", "d: 2", "d: 3"],
        ),
        (
            "line ends between counted frames",
            counted("<13>e: 1") + "\n" + &counted("<13>e: 2") + "\n",
            vec!["e: 1", "e: 2"],
        ),
        (
            "a line end in a counted frame is text",
            counted("<13>f: 1\n<13>2"),
            vec!["f: 1#012<13>2"],
        ),
        (
            "the end without a line end",
            "<13>g: 1\n<13>g: 2".into(),
            vec!["g: 1", "g: 2"],
        ),
        (
            "the end in a counted frame",
            "90 <13>h: cut off".into(),
            vec!["h: cut off"],
        ),
        (
            "a leading zero is text",
            "08 <13>i: 1\n".into(),
            vec!["08 <13>i: 1"],
        ),
        (
            "digits without a space are text",
            "2026-11-22 j: 1\n".into(),
            vec!["2026-11-22 j: 1"],
        ),
        (
            "empty lines are nothing",
            "\n\n<13>k: 1\n\n".into(),
            vec!["k: 1"],
        ),
        (
            "a count over the limit is cut, and the next frame is found",
            counted(&format!("<13>l: {long}")) + &counted("<13>l: next"),
            vec!["l: yyyyyyyy", "l: next"],
        ),
        (
            "a line over the limit is cut, and the next line is found",
            format!("<13>m: {long}\n<13>m: next\n"),
            vec!["m: yyyyyyyy", "m: next"],
        ),
    ]
}

/// The texts of lines like `Nov 22 11:00:00 127.0.0.1 text`, each with its end cut off after `length`.
fn texts(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            line[15..]
                .splitn(3, ' ')
                .nth(2)
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn rfc6587_a_stream_is_cut_into_its_records() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut seen = 0;
    for (why, stream, want) in streams() {
        daemon.tcp_stream(&stream);
        let lines = daemon.file("user").wait_for_lines(seen + want.len());
        let got = texts(&lines[seen..]);
        assert_eq!(got.len(), want.len(), "{why}: {got:?}");
        for (got, want) in got.iter().zip(want) {
            let whole = got == want || (want.ends_with('y') && got.starts_with(want));
            assert!(whole, "{why}: {want:?} was expected, and not {got:.60?}");
        }
        seen = lines.len();
    }
    let counters = daemon.quiet();
    assert_eq!(counters.input("tcp://")["received"], seen as u64);
    assert_eq!(counters.input("tcp://")["truncated"], 2);
    daemon.finish();
}

#[test]
fn one_octet_at_a_time_gives_the_same_records() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut stream = daemon.tcp();
    for octet in (counted("<13>a: counted") + "<13>a: line\n" + &counted("<13>a: again")).bytes() {
        stream.write_all(&[octet]).expect("the connection takes it");
    }
    let lines = daemon.file("user").wait_for_lines(3);
    assert_eq!(texts(&lines), ["a: counted", "a: line", "a: again"]);
    drop(stream);
    daemon.finish();
}

#[test]
fn a_record_is_written_before_its_connection_ends() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut stream = daemon.tcp();
    for number in 0..20 {
        stream
            .write_all(format!("<13>a: number {number}.\n").as_bytes())
            .expect("it takes it");
        daemon.file("user").wait_for(&format!("number {number}."));
    }
    daemon.finish();
}

#[test]
fn a_count_that_cannot_be_closes_the_connection_and_is_counted() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    for (number, broken) in ["12345678 <13>x", "9999999 <13>x", "99999999999"]
        .iter()
        .enumerate()
    {
        let before = counted(&format!("<13>a: before {number}."));
        daemon.tcp_stream(format!("{before}{broken}"));
        daemon.file("user").wait_for(&format!("before {number}."));
    }
    let counters = daemon.quiet();
    assert_eq!(counters.input("tcp://")["rejected"]["frame"], 3);
    assert_eq!(daemon.file("user").lines().len(), 3);
    daemon
        .stderr()
        .wait_for("closed the connection of 127.0.0.1");
    daemon.finish();
}

#[test]
fn a_unix_stream_is_framed_like_tcp() {
    let arguments = ["--listen", "unix://{dir}/stream.sock"];
    let daemon = Daemon::with(&arguments, "user.*\t{dir}/user\n");
    let path = daemon.setup().path("stream.sock");
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream
        .write_all((counted("<13>a: 1") + "<13>a: 2\n<13>a: 3").as_bytes())
        .expect("it takes it");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let lines = daemon.file("user").wait_for_lines(3);
    assert_eq!(texts(&lines), ["a: 1", "a: 2", "a: 3"]);
    daemon.finish();
    assert!(!path.exists(), "left behind");
}

/// A read ends before urgent data, and behind octets that came with a descriptor, though more has come.
#[test]
fn what_has_come_is_read_where_a_read_ends_early() {
    let arguments = ["--listen", "unix://{dir}/stream.sock"];
    let daemon = Daemon::with(&arguments, "user.*\t-{dir}/user\n");
    let path = daemon.setup().path("stream.sock");
    let mut tcp = daemon.tcp();
    let mut unix = UnixStream::connect(&path).expect("it listens");
    tcp.write_all(b"<13>tcp: 1\n").expect("it takes it");
    daemon.file("user").wait_for("tcp: 1");
    unix.write_all(b"<13>unix: 1\n").expect("it takes it");
    daemon.file("user").wait_for("unix: 1");
    // All of it is there when it reads.
    daemon.signal(Signal::SIGSTOP);
    let (socket, urgent) = (tcp.as_raw_fd(), MsgFlags::MSG_OOB);
    send(socket, b"<13>tcp: 2\n!", urgent).expect("it takes it");
    tcp.write_all(b"<13>tcp: 3\n").expect("it takes it");
    let (socket, descriptors) = (unix.as_raw_fd(), [tcp.as_raw_fd()]);
    let octets = [IoSlice::new(b"<13>unix: 2\n")];
    let gift = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(socket, &octets, &gift, MsgFlags::empty(), None).expect("it takes it");
    unix.write_all(b"<13>unix: 3\n").expect("it takes it");
    daemon.signal(Signal::SIGCONT);
    daemon.file("user").wait_for("tcp: 3");
    daemon.file("user").wait_for("unix: 3");
    let mut lines = texts(&daemon.file("user").lines());
    lines.sort_unstable();
    let all = [
        "tcp: 1", "tcp: 2", "tcp: 3", "unix: 1", "unix: 2", "unix: 3",
    ];
    assert_eq!(lines, all);
    daemon.finish();
}

#[test]
fn connections_are_served_side_by_side_each_in_its_order() {
    let daemon = Daemon::start("user.*\t-{dir}/user\n");
    let mut streams: Vec<_> = (0..20).map(|_| daemon.tcp()).collect();
    for number in 0..50 {
        for (index, stream) in streams.iter_mut().enumerate() {
            let frame = format!("<13>from{index}: number {number}.\n");
            stream
                .write_all(frame.as_bytes())
                .expect("the connection takes it");
        }
    }
    let lines = daemon.file("user").wait_for_lines(1000);
    for index in 0..20 {
        let tag = format!(" from{index}: number ");
        let numbers: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(&tag).nth(1))
            .collect();
        let want: Vec<_> = (0..50).map(|number| format!("{number}.")).collect();
        assert_eq!(numbers, want, "connection {index}");
    }
    daemon.finish();
}
