//! logger(1) of util-linux in all its forms gives the line that its user means.
//!
//! Where there is no such logger, these tests say SKIP and pass.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod pipeline;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use pipeline::{Circumstances, Where};
use syslogd::frame::{Framer, Last, Step};
use syslogd::input::MAX_MESSAGE;

/// A message that never comes fails the test after this time.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn over_a_unix_socket() {
    if is_missing() {
        return;
    }
    for (arguments, line) in [
        ("text", "user.notice  now HOST tag: text$"),
        ("-i text", "user.notice  now HOST tag[PID]: text$"),
        ("-p mail.err text", "mail.err  now HOST tag: text$"),
        // From user space it is never `kern`; logger knows that too.
        ("-p kern.err text", "user.err  now HOST tag: text$"),
        (
            "-p local7.debug two words",
            "local7.debug  now HOST tag: two words$",
        ),
        ("tag: text", "user.notice  now HOST tag: tag: text$"),
        // It names this host, and the line names it once.
        ("--rfc3164 text", "user.notice  now HOST tag: text$"),
        ("--rfc3164 -i text", "user.notice  now HOST tag[PID]: text$"),
        ("--rfc5424 text", "user.notice  now HOST tag: text$"),
        ("--rfc5424 -i text", "user.notice  now HOST tag[PID]: text$"),
        ("--rfc5424=notime text", "user.notice  now HOST tag: text$"),
        ("--rfc5424=notq text", "user.notice  now HOST tag: text$"),
        ("--rfc5424=nohost text", "user.notice  now HOST tag: text$"),
        (
            "--rfc5424=notime,notq,nohost text",
            "user.notice  now HOST tag: text$",
        ),
        (
            "--rfc5424 --msgid ID7 text",
            "user.notice  now HOST tag: text$",
        ),
        (
            "--rfc5424 --sd-id x@1 --sd-param a=\"b\" text",
            "user.notice  now HOST tag: text$",
        ),
        (
            "-S 20 01234567890123456789",
            "user.notice  now HOST tag: 01234567890123456789$",
        ),
    ] {
        assert_eq!(unix(arguments, ""), [line], "logger {arguments}");
    }
}

#[test]
fn lines_of_its_input() {
    if is_missing() {
        return;
    }
    for (arguments, input, lines) in [
        (
            "",
            "one\ntwo\n",
            &[
                "user.notice  now HOST tag: one$",
                "user.notice  now HOST tag: two$",
            ][..],
        ),
        (
            "--prio-prefix",
            "<11>one\n<30>two",
            &[
                "user.err  now HOST tag: one$",
                "daemon.info  now HOST tag: two$",
            ],
        ),
        (
            "--skip-empty",
            "one\n\ntwo\n",
            &[
                "user.notice  now HOST tag: one$",
                "user.notice  now HOST tag: two$",
            ],
        ),
        (
            "",
            "caf\u{e9} \u{1b}[2J\n",
            &["user.notice  now HOST tag: caf\u{e9} #033[2J$"],
        ),
    ] {
        assert_eq!(
            unix(arguments, input),
            lines,
            "logger {arguments} < {input:?}"
        );
    }
}

#[test]
fn over_udp() {
    if is_missing() {
        return;
    }
    for (arguments, line) in [
        ("text", "user.notice  now 192.0.2.7 tag: text$"),
        ("-i text", "user.notice  now 192.0.2.7 tag[PID]: text$"),
        ("--rfc3164 text", "user.notice  now 192.0.2.7 tag: text$"),
        (
            "--rfc3164 -i text",
            "user.notice  now 192.0.2.7 tag[PID]: text$",
        ),
        (
            "--rfc5424=notime text",
            "user.notice  now 192.0.2.7 tag: text$",
        ),
        (
            "--rfc5424=nohost text",
            "user.notice  now 192.0.2.7 tag: text$",
        ),
    ] {
        assert_eq!(udp(arguments), [line], "logger -d {arguments}");
    }
}

#[test]
fn over_tcp() {
    if is_missing() {
        return;
    }
    for (arguments, input, lines) in [
        ("text", "", &["user.notice  now 192.0.2.7 tag: text$"][..]),
        (
            "--octet-count text",
            "",
            &["user.notice  now 192.0.2.7 tag: text$"],
        ),
        (
            "--rfc3164 text",
            "",
            &["user.notice  now 192.0.2.7 tag: text$"],
        ),
        (
            "--rfc3164 --octet-count -i text",
            "",
            &["user.notice  now 192.0.2.7 tag[PID]: text$"],
        ),
        (
            "--octet-count",
            "one\ntwo\n",
            &[
                "user.notice  now 192.0.2.7 tag: one$",
                "user.notice  now 192.0.2.7 tag: two$",
            ],
        ),
        (
            "",
            "one\ntwo\n",
            &[
                "user.notice  now 192.0.2.7 tag: one$",
                "user.notice  now 192.0.2.7 tag: two$",
            ],
        ),
    ] {
        assert_eq!(
            tcp(arguments, input),
            lines,
            "logger -T {arguments} < {input:?}"
        );
    }
}

/// Whether there is no logger of util-linux to test.
fn is_missing() -> bool {
    let version = Command::new("logger").arg("--version").output();
    let present = version.is_ok_and(|output| output.stdout.windows(10).any(|w| w == b"util-linux"));
    if !present {
        eprintln!("SKIP: no logger of util-linux");
    }
    !present
}

/// Runs logger, and returns its process id.
fn logger(place: &[&str], arguments: &str, input: &str) -> u32 {
    let mut logger = Command::new("logger")
        .args(place)
        .args(["-t", "tag"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it is there");
    let mut stdin = logger.stdin.take().expect("it is piped");
    // With a text among its arguments it does not read, and may be gone.
    _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let id = logger.id();
    assert!(
        logger.wait().expect("it is ours").success(),
        "logger {arguments}"
    );
    id
}

fn unix(arguments: &str, input: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("log");
    let socket = UnixDatagram::bind(&path).expect("the directory is new");
    socket.set_nonblocking(true).expect("it is a socket");
    let since = SystemTime::now();
    let path = path.to_str().expect("a temporary path is text");
    let id = logger(&["-u", path], arguments, input);
    let datagrams = received(|buffer| socket.recv(buffer));
    lines(Where::Local, since, id, &datagrams)
}

fn udp(arguments: &str) -> Vec<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a loopback interface");
    socket.set_nonblocking(true).expect("it is a socket");
    let port = socket.local_addr().expect("it is bound").port().to_string();
    let since = SystemTime::now();
    let id = logger(&["-n", "127.0.0.1", "-d", "-P", &port], arguments, "");
    let datagrams = received(|buffer| socket.recv(buffer));
    lines(Where::Remote, since, id, &datagrams)
}

fn tcp(arguments: &str, input: &str) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback interface");
    let port = listener
        .local_addr()
        .expect("it is bound")
        .port()
        .to_string();
    let since = SystemTime::now();
    let id = logger(&["-n", "127.0.0.1", "-T", "-P", &port], arguments, input);
    let (mut connection, _) = listener.accept().expect("it has connected");
    connection
        .set_read_timeout(PATIENCE)
        .expect("it is a socket");
    let mut octets = Vec::new();
    connection.read_to_end(&mut octets).expect("it has closed");
    lines(Where::Remote, since, id, &frames(&octets))
}

/// What waits in a socket that does not block.
fn received(mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut datagrams = Vec::new();
    while let Ok(length) = receive(&mut buffer) {
        datagrams.push(buffer[..length].to_vec());
    }
    datagrams
}

/// The frames of a whole stream.
fn frames(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new(MAX_MESSAGE);
    let mut whole = Vec::new();
    loop {
        match framer.next(octets) {
            Step::Frame {
                octets: frame,
                consumed,
            } => {
                whole.push(octets[frame].to_vec());
                octets = &octets[consumed..];
            }
            Step::Skip { consumed, .. } => octets = &octets[consumed..],
            Step::More | Step::Oversize { .. } | Step::Broken(_) => break,
        }
    }
    assert_eq!(
        framer.finish(octets),
        Last::Nothing,
        "what is left of the stream"
    );
    whole
}

fn lines(place: Where, since: SystemTime, id: u32, datagrams: &[Vec<u8>]) -> Vec<String> {
    let hostname = nix::unistd::gethostname().expect("there is a name");
    let hostname = hostname.to_str().expect("it is text");
    let hostname = hostname.split('.').next().expect("there is a first part");
    let circumstances = Circumstances {
        place,
        hostname,
        since,
    };
    let seen = pipeline::receive(circumstances, datagrams);
    assert_eq!(seen.counted, "", "logger says nothing odd");
    let (hostname, id) = (format!("  now {hostname} "), format!("[{id}]"));
    let line = |line: &String| {
        line.replacen(&hostname, "  now HOST ", 1)
            .replacen(&id, "[PID]", 1)
    };
    seen.lines.iter().map(line).collect()
}
