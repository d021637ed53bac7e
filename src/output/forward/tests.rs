//! Forwards to real sockets on the loopback.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::datagram::cut;
use super::{Backoff, Forward, Limits};
use crate::block::Block;
use crate::cli::Families;
use crate::config::{Multicast, Remote, Transport};
use crate::counters::Loss;
use crate::output::{Stop, Trouble, Written};
use crate::pri::Pri;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn block(records: &[&[u8]]) -> Block {
    let mut block = Block::default();
    for record in records {
        block.push(Pri::DEFAULT, |octets| {
            octets.extend_from_slice(record);
            0
        });
    }
    block
}

fn forward(to: SocketAddr, transport: Transport) -> Forward {
    let remote = Remote {
        host: to.ip().to_string(),
        port: to.port(),
        transport,
        version: None,
        multicast: Multicast::default(),
    };
    Forward::new(remote, Limits::default(), Families::Both, Arc::default())
}

fn listener(ip: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

fn receiver(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).expect("a free port");
    let patience = Some(Duration::from_secs(5));
    socket.set_read_timeout(patience).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("a connection");
    let patience = Some(Duration::from_secs(5));
    stream.set_read_timeout(patience).expect("a timeout");
    stream
}

fn receive(stream: &mut TcpStream, want: &[u8]) {
    let mut got = vec![0; want.len()];
    stream.read_exact(&mut got).expect("all of it");
    assert_eq!(
        got.escape_ascii().to_string(),
        want.escape_ascii().to_string()
    );
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[track_caller]
fn taken(written: &Written, records: usize) {
    assert_eq!(written.records, records, "{written:?}");
    assert!(written.stopped.is_none(), "{written:?}");
}

#[test]
fn rfc6587_frames_are_counted_or_end_with_a_line_feed() {
    for (ip, transport, want) in [
        (V4, Transport::TcpOctetCounting, &b"5 <1>ab4 <2>c"[..]),
        (V6, Transport::TcpOctetCounting, b"5 <1>ab4 <2>c"),
        (V4, Transport::TcpLines, b"<1>ab\n<2>c\n"),
        (V6, Transport::TcpLines, b"<1>ab\n<2>c\n"),
    ] {
        let (listener, address) = listener(ip);
        let mut forward = forward(address, transport);
        taken(
            &forward.write(&block(&[b"skipped", b"<1>ab", b"<2>c"]), 1),
            2,
        );
        receive(&mut accept(&listener), want);
        assert_eq!(forward.close(soon()), 0, "{address} {transport:?}");
    }
}

#[test]
fn a_line_feed_or_nul_in_a_record_ends_no_line() {
    let (listener, address) = listener(V4);
    let mut forward = forward(address, Transport::TcpLines);
    taken(&forward.write(&block(&[b"a\n<0>forged\0b"]), 0), 1);
    receive(&mut accept(&listener), b"a <0>forged b\n");
}

#[test]
fn a_peer_that_closed_while_idle_gets_the_next_record_on_a_new_connection() {
    let (listener, address) = listener(V4);
    let mut forward = forward(address, Transport::TcpOctetCounting);
    taken(&forward.write(&block(&[b"one"]), 0), 1);
    let mut first = accept(&listener);
    receive(&mut first, b"3 one");
    drop(first);
    taken(&forward.write(&block(&[b"two", b"three"]), 0), 2);
    receive(&mut accept(&listener), b"3 two5 three");
    assert_eq!(forward.close(soon()), 0);
}

#[test]
fn what_a_broken_connection_cut_short_is_sent_again_whole_and_in_order() {
    let (listener, address) = listener(V4);
    let mut forward = forward(address, Transport::TcpLines);
    // More than both socket buffers hold, to a peer that reads only the first line.
    let long: Vec<Vec<u8>> = (0..200)
        .map(|number| format!("{number:04}{}", "x".repeat(60_000)).into_bytes())
        .collect();
    let lines: Vec<&[u8]> = long.iter().map(Vec::as_slice).collect();
    let block = block(&lines);
    let stalled = forward.write(&block, 0);
    assert!(stalled.records > 0 && stalled.records < lines.len());
    let Some(Stop::Retry(Trouble { loss, sentence, .. })) = &stalled.stopped else {
        panic!("{stalled:?}");
    };
    assert_eq!(*loss, Loss::Timeout);
    assert_eq!(
        *sentence,
        format!("{address} is connected but reads nothing")
    );
    let held = forward_unsettled(&mut forward);
    assert!(held > 0 && held < 20, "{held} records kept");

    // The peer goes without reading; a second one reads everything.
    drop(accept(&listener));
    let second = std::thread::spawn(move || {
        let mut all = Vec::new();
        accept(&listener).read_to_end(&mut all).expect("all of it");
        all
    });
    let mut next = stalled.records;
    while next < block.len() {
        next += forward.write(&block, next).records;
    }
    assert_eq!(forward.close(soon()), 0);
    let got = second.join().expect("no panic");
    let got: Vec<&[u8]> = got.split_inclusive(|octet| *octet == b'\n').collect();
    let want = &lines[stalled.records - held..];
    assert_eq!(
        got.len(),
        want.len(),
        "everything unacknowledged came again"
    );
    for (got, want) in got.iter().zip(want) {
        assert!(got.strip_suffix(b"\n") == Some(want), "whole and in order");
    }
}

fn forward_unsettled(forward: &mut Forward) -> usize {
    match &mut forward.link {
        super::Link::Stream(stream) => stream.unsettled(),
        super::Link::Datagrams(_) => 0,
    }
}

#[test]
fn a_refused_connection_is_tried_again_later_and_nothing_is_taken() {
    let (listener, address) = listener(V4);
    drop(listener);
    let mut forward = forward(address, Transport::TcpLines);
    let refused = forward.write(&block(&[b"a"]), 0);
    assert_eq!(refused.records, 0);
    let Some(Stop::Retry(Trouble {
        after,
        loss,
        sentence,
    })) = refused.stopped
    else {
        panic!("{refused:?}");
    };
    assert_eq!((after, loss), (Duration::from_secs(1), Loss::Io));
    assert_eq!(
        sentence,
        format!("cannot connect to {address}: Connection refused")
    );

    let listener = TcpListener::bind(address).expect("the port is free again");
    taken(&forward.write(&block(&[b"a"]), 0), 1);
    receive(&mut accept(&listener), b"a\n");
}

#[test]
fn an_unknown_name_is_unresolved() {
    for transport in [Transport::Udp, Transport::TcpLines] {
        let remote = Remote {
            host: "no-such-host.invalid".to_owned(),
            port: 514,
            transport,
            version: None,
            multicast: Multicast::default(),
        };
        let mut forward = Forward::new(remote, Limits::default(), Families::Both, Arc::default());
        let written = forward.write(&block(&[b"a"]), 0);
        let Some(Stop::Retry(Trouble { loss, sentence, .. })) = written.stopped else {
            panic!("{written:?}");
        };
        assert_eq!(loss, Loss::Unresolved, "{transport:?}");
        assert!(
            sentence.starts_with("cannot find the address of no-such-host.invalid:514: "),
            "{sentence}"
        );
    }
}

#[test]
fn a_family_that_the_operator_excluded_is_not_used() {
    let remote = Remote {
        host: "127.0.0.1".to_owned(),
        port: 514,
        transport: Transport::Udp,
        version: None,
        multicast: Multicast::default(),
    };
    let mut forward = Forward::new(remote, Limits::default(), Families::Ipv6, Arc::default());
    let written = forward.write(&block(&[b"a"]), 0);
    assert!(
        matches!(
            written.stopped,
            Some(Stop::Retry(Trouble {
                loss: Loss::Unresolved,
                ..
            }))
        ),
        "{written:?}"
    );
}

#[test]
fn rfc5426_3_1_one_record_is_one_datagram_cut_to_the_limit() {
    for ip in [V4, V6] {
        let (socket, address) = receiver(ip);
        let mut forward = forward(address, Transport::Udp);
        let long = [b'x'; 3000];
        taken(
            &forward.write(&block(&[b"skipped", b"<1>a", &long, b"<2>b"]), 1),
            3,
        );
        let mut buffer = [0; 4096];
        for want in [4, 1024, 4] {
            assert_eq!(socket.recv(&mut buffer).expect("a datagram"), want, "{ip}");
        }
        assert_eq!(forward.close(soon()), 0);
    }
}

#[test]
fn a_cut_ends_between_two_characters() {
    for (record, most, want) in [
        ("abc".as_bytes(), 3, "abc".as_bytes()),
        ("abcd".as_bytes(), 3, b"abc"),
        ("abå".as_bytes(), 3, b"ab"),
        ("ab✓".as_bytes(), 4, b"ab"),
        ("a😀".as_bytes(), 4, b"a"),
        (b"\x80\x80\x80\x80\x80\x80\x80", 6, &[0x80; 6]),
    ] {
        assert_eq!(cut(record, most), want, "{}", record.escape_ascii());
    }
}

#[test]
fn a_refused_datagram_stops_nothing() {
    let (socket, address) = receiver(V4);
    drop(socket);
    let mut forward = forward(address, Transport::Udp);
    for _ in 0..3 {
        taken(&forward.write(&block(&[b"a", b"b"]), 0), 2);
    }
    let socket = UdpSocket::bind(address).expect("the port is free again");
    taken(&forward.write(&block(&[b"c"]), 0), 1);
    let mut buffer = [0; 16];
    assert_eq!(socket.recv(&mut buffer).expect("a datagram"), 1);
    assert_eq!(buffer[0], b'c');
}

#[test]
fn the_pause_grows_from_one_second_to_a_minute() {
    let mut backoff = Backoff::default();
    for whole in [1, 2, 4, 8, 16, 32, 60, 60] {
        let pause = backoff.next().as_secs_f64();
        let whole = f64::from(whole);
        assert!(
            pause <= whole && pause >= (whole * 0.75).max(1.0),
            "{pause} of {whole}"
        );
    }
    backoff.reset();
    assert_eq!(backoff.next(), Duration::from_secs(1));
}

#[test]
fn a_datagram_limit_is_brought_into_what_can_be_sent() {
    for (asked, want) in [(0, 480), (480, 480), (2048, 2048), (1 << 20, 65_507)] {
        assert_eq!(Limits::new(asked).max_datagram, want, "{asked}");
    }
}
