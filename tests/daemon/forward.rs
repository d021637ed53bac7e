//! Records to another host.

use std::io::{BufRead, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::support::{DEADLINE, Daemon, hostname, within};

/// A collector over UDP.
struct Datagrams(UdpSocket);

impl Datagrams {
    fn bind() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    fn next(&self) -> String {
        let mut octets = vec![0; 65_536];
        let length = self.0.recv(&mut octets).expect("a datagram comes");
        String::from_utf8_lossy(&octets[..length]).into_owned()
    }
}

/// A collector over TCP.
struct Streams(TcpListener);

impl Streams {
    fn bind(port: u16) -> Self {
        // A port that was ours a moment ago may still be held by the end of a connection.
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        let listener = within(DEADLINE, bind).expect("the port is free");
        listener.set_nonblocking(true).expect("a flag");
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    fn accept(&self) -> BufReader<TcpStream> {
        let (stream, _) = within(DEADLINE, || self.0.accept().ok()).expect("it connects");
        stream.set_nonblocking(false).expect("a flag");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        BufReader::new(stream)
    }
}

/// One counted frame (RFC 6587 3.4.1).
fn frame(stream: &mut impl BufRead) -> String {
    let mut count = Vec::new();
    stream.read_until(b' ', &mut count).expect("a count comes");
    let count = String::from_utf8(count).expect("digits");
    let count: u64 = count.trim_end().parse().expect("digits and a space");
    let mut text = String::new();
    stream
        .take(count)
        .read_to_string(&mut text)
        .expect("a frame comes");
    assert_eq!(text.len() as u64, count);
    text
}

/// One line (RFC 6587 3.4.2).
fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line comes");
    assert!(line.ends_with('\n'), "{line:?}");
    line.trim_end().to_owned()
}

#[test]
fn over_udp_a_record_is_a_datagram() {
    let (old, new, bare) = (Datagrams::bind(), Datagrams::bind(), Datagrams::bind());
    let daemon = Daemon::start(&format!(
        "user.*\t@{}\nuser.*\t@{}\t;RFC5424\nuser.*\t@{}\t;BSD\n",
        old.address(),
        new.address(),
        bare.address()
    ));
    let host = hostname();
    daemon.unix("<13>Nov 22 11:00:00 tag[12]: msg");
    assert_eq!(
        old.next(),
        format!("<13>Nov 22 11:00:00 {host} tag[12]: msg")
    );
    let year = new.next();
    assert_eq!(&year[..6], "<13>1 ");
    assert_eq!(
        year[10..],
        format!("-11-22T11:00:00.000000+00:00 {host} tag 12 - - msg")
    );
    assert_eq!(bare.next(), "<13>tag[12]: msg");
    daemon.unix("<14>1 2003-10-11T22:14:15.003Z - app 8710 ID47 [x@1 a=\"b\"] text");
    assert_eq!(
        old.next(),
        format!("<14>Oct 11 22:14:15 {host} app[8710]: text")
    );
    let want =
        format!("<14>1 2003-10-11T22:14:15.003000+00:00 {host} app 8710 ID47 [x@1 a=\"b\"] text");
    assert_eq!(new.next(), want);
    daemon.finish();
}

#[test]
fn udp_size_is_the_longest_datagram() {
    let collector = Datagrams::bind();
    let daemon = Daemon::start(&format!("udp_size 600\nuser.*\t@{}\n", collector.address()));
    daemon.unix(format!("<13>app: {}", "x".repeat(2000)));
    let datagram = collector.next();
    assert!(datagram.len() <= 600, "{}", datagram.len());
    assert!(datagram.len() > 500, "{}", datagram.len());
    daemon.finish();
}

#[test]
fn over_tcp_a_record_is_a_counted_frame() {
    let collector = Streams::bind(0);
    let daemon = Daemon::start(&format!("user.*\t@tcp://{}\n", collector.address()));
    let host = hostname();
    daemon.unix("<13>Nov 22 11:00:00 tag[12]: msg");
    let mut stream = collector.accept();
    assert_eq!(
        frame(&mut stream),
        format!("<13>Nov 22 11:00:00 {host} tag[12]: msg")
    );
    daemon.unix("<13>Nov 22 11:00:01 tag: two\nlines");
    assert_eq!(
        frame(&mut stream),
        format!("<13>Nov 22 11:00:01 {host} tag: two\nlines")
    );
    for number in 0..500 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    for number in 0..500 {
        let got = frame(&mut stream);
        assert!(
            got.ends_with(&format!(" app: number {number}.")),
            "{number}: {got}"
        );
    }
    assert_eq!(
        daemon.quiet().output(&collector.address().to_string())["written"],
        502
    );
    daemon.finish();
}

#[test]
fn at_at_is_lines_over_tcp() {
    let collector = Streams::bind(0);
    let daemon = Daemon::start(&format!("user.*\t@@{}\n", collector.address()));
    let host = hostname();
    daemon.unix("<13>Nov 22 11:00:00 tag[12]: msg");
    let mut stream = collector.accept();
    assert_eq!(
        line(&mut stream),
        format!("<13>Nov 22 11:00:00 {host} tag[12]: msg")
    );
    daemon.unix("<13>Nov 22 11:00:01 tag: two\n<0>lines");
    assert_eq!(
        line(&mut stream),
        format!("<13>Nov 22 11:00:01 {host} tag: two#012<0>lines")
    );
    daemon.finish();
}

#[test]
fn what_was_received_while_the_collector_was_away_is_sent_when_it_is_back() {
    let collector = Streams::bind(0);
    let port = collector.address().port();
    let daemon = Daemon::start(&format!(
        "user.*\t@@{}\nuser.*\t{{dir}}/user\n",
        collector.address()
    ));
    daemon.unix("<13>app: before");
    let mut stream = collector.accept();
    assert!(line(&mut stream).ends_with("app: before"));
    drop((stream, collector));
    for number in 0..100 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("user").wait_for("number 99.");
    let collector = Streams::bind(port);
    let mut stream = collector.accept();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&99) {
        let got = line(&mut stream);
        let number = got
            .rsplit_once("number ")
            .map(|(_, number)| number.trim_end_matches('.'));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    // At least once (reliability S11): what may have been lost comes again.
    numbers.dedup();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    daemon.quiet();
    daemon.finish();
}

#[test]
fn a_collector_that_never_comes_stops_nobody_else() {
    let collector = Streams::bind(0);
    let address = collector.address();
    drop(collector);
    let mut daemon = Daemon::start(&format!("user.*\t@tcp://{address}\nuser.*\t{{dir}}/user\n"));
    for number in 0..2000 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    let lines = daemon.file("user").wait_for_lines(2000);
    assert_eq!(lines.len(), 2000);
    daemon.prove();
    // What waits is counted as lost at the end, and said to be.
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.wait();
    let said = daemon.stderr().wait_for_end();
    let lost = said
        .iter()
        .any(|line| line.contains("2000 messages were not written"));
    assert!(lost, "{said:#?}");
    assert!(
        said.iter()
            .any(|line| line.ends_with("; dropped 0, still queued 2000")),
        "{said:#?}"
    );
}

#[test]
fn ss_forwards_nothing_and_s_does() {
    let collector = Datagrams::bind();
    let config = format!("user.*\t@{}\nuser.*\t{{dir}}/user\n", collector.address());
    let daemon = Daemon::with(&["-s"], &config);
    daemon.unix("<13>app: forwarded");
    assert!(collector.next().ends_with("app: forwarded"));
    assert!(
        daemon
            .stderr()
            .wait_for("not listening on udp://")
            .contains("warning: ")
    );
    daemon.finish();

    let daemon = Daemon::with(&["-ss"], &config);
    daemon.stderr().wait_for("not forwarding to");
    daemon.unix("<13>app: kept here");
    daemon.file("user").wait_for("kept here");
    daemon.finish();
    collector.0.set_nonblocking(true).expect("a flag");
    let mut octets = [0; 16];
    assert!(collector.0.recv(&mut octets).is_err(), "it was forwarded");
}
