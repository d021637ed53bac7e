//! `max_message_size`: how long a message may be, wherever it comes from and goes to.

use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::faults::upgrade::upgrade_well;
use crate::support::{DEADLINE, Daemon, counted};

const MOST: usize = 65_536;

/// A message of so many octets, which begins with this word.
fn message(word: &str, length: usize) -> String {
    let head = format!("<13>app: {word} ");
    format!("{head}{}", "x".repeat(length - head.len()))
}

/// What of it a line shows behind the host, if at most `most` octets are kept.
fn shown(message: &str, most: usize) -> String {
    let text = &message["<13>".len()..message.len().min(most)];
    match message.len().saturating_sub(most) {
        0 => text.to_owned(),
        cut => format!("{text}…[+{cut}]"),
    }
}

/// Waits for the line of a message, which is there whole but for what is over the limit.
#[track_caller]
fn arrives(daemon: &Daemon, message: &str, most: usize) {
    let word = message.split(' ').nth(1).expect("a word");
    let line = daemon.file("log").wait_for(&format!("app: {word} "));
    let want = shown(message, most);
    let end = &line[line.len().saturating_sub(20)..];
    let length = line.len();
    assert!(line.ends_with(&want), "{word}: {length} octets, …{end:?}");
}

/// Sends a datagram of any length, as a program does that asks for a larger buffer.
fn unix(daemon: &Daemon, octets: &str) {
    let socket = UnixDatagram::unbound().expect("a socket");
    setsockopt(&socket, sockopt::SndBuf, &(256 * 1024)).expect("a size");
    socket.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    let sent = socket.send_to(octets.as_bytes(), daemon.setup().path("log.sock"));
    sent.expect("it is taken");
}

#[test]
fn a_message_of_64_kib_arrives_whole_and_one_octet_more_is_cut_and_counted() {
    let daemon = Daemon::start("max_message_size 64k\nuser.*\t{dir}/log\n");
    for (word, length) in [("unix", MOST), ("unix-over", MOST + 1)] {
        let message = message(word, length);
        unix(&daemon, &message);
        arrives(&daemon, &message, MOST);
    }
    let over_udp = message("udp", 60 * 1024);
    daemon.udp(&over_udp);
    arrives(&daemon, &over_udp, MOST);
    for (word, length) in [("line", MOST), ("line-over", MOST + 1)] {
        let message = message(word, length);
        daemon.tcp_stream(format!("{message}\n"));
        arrives(&daemon, &message, MOST);
    }
    for (word, length) in [("counted", MOST), ("counted-over", MOST + 1)] {
        let message = message(word, length);
        daemon.tcp_stream(counted(&message));
        arrives(&daemon, &message, MOST);
    }
    let counters = daemon.quiet();
    for (input, received, truncated) in [("log.sock", 2, 1), ("udp://", 1, 0), ("tcp://", 4, 2)] {
        let input = counters.input(input);
        assert_eq!(input["received"], received, "{input}");
        assert_eq!(input["truncated"], truncated, "{input}");
    }
    daemon.finish();
}

#[test]
fn the_least_limit_is_480_octets() {
    let daemon = Daemon::start("max_message_size 480\nuser.*\t{dir}/log\n");
    for (word, length) in [("whole", 480), ("over", 481), ("far-over", 30_000)] {
        let message = message(word, length);
        daemon.udp(&message);
        arrives(&daemon, &message, 480);
        let over_tcp = message.replace(word, &format!("tcp-{word}"));
        daemon.tcp_stream(format!("{over_tcp}\n"));
        arrives(&daemon, &over_tcp, 480);
    }
    daemon.finish();
}

#[test]
fn a_reload_changes_it_for_every_socket_and_for_connections_that_are_open() {
    let config = |size: usize| format!("max_message_size {size}\nuser.*\t{{dir}}/log\n");
    let daemon = Daemon::start(&config(8192));
    let mut stream = daemon.tcp();
    let write = |stream: &mut std::net::TcpStream, octets: &str| {
        stream.write_all(octets.as_bytes()).expect("it is open");
    };
    for (round, size) in [8192, MOST, 1024].into_iter().enumerate() {
        if round > 0 {
            // A frame of which more is there than is kept by then, or less.
            let before = message(&format!("begun-{round}"), 10_000);
            let (half, rest) = before.split_at(5000);
            write(&mut stream, half);
            daemon.setup().configure(&config(size));
            let answer = daemon.reload();
            assert!(answer.contains("loaded again"), "{answer}");
            write(&mut stream, rest);
            write(&mut stream, "\n");
            arrives(&daemon, &before, size);
        }
        for (word, length) in [("whole", size), ("over", size + 1)] {
            let of = |via: &str| message(&format!("{word}-{via}-{round}"), length);
            let (local, line, frame) = (of("unix"), of("line"), of("counted"));
            unix(&daemon, &local);
            arrives(&daemon, &local, size);
            write(&mut stream, &format!("{line}\n"));
            arrives(&daemon, &line, size);
            write(&mut stream, &counted(&frame));
            arrives(&daemon, &frame, size);
            if length < 65_000 {
                let udp = of("udp");
                daemon.udp(&udp);
                arrives(&daemon, &udp, size);
            }
        }
    }
    daemon.finish();
}

#[test]
fn an_upgrade_goes_on_within_a_frame_of_40_kib_whatever_the_limit_is_by_then() {
    for (word, size) in [("same", MOST), ("lower", 8192)] {
        let daemon = Daemon::start("max_message_size 64k\nuser.*\t{dir}/log\n");
        let (mut lines, mut frames, mut broken) = (daemon.tcp(), daemon.tcp(), daemon.tcp());
        let of = |kind: &str| message(&format!("{word}-{kind}"), 40 * 1024);
        let (line, frame, unfinished) = (of("line"), counted(&of("counted")), of("broken"));
        let half = 25_000;
        lines.write_all(&line.as_bytes()[..half]).expect("open");
        frames.write_all(&frame.as_bytes()[..half]).expect("open");
        broken
            .write_all(&unfinished.as_bytes()[..half])
            .expect("open");
        // Whatever was written before is read by then.
        daemon.tcp_stream("<13>app: before\n");
        daemon.file("log").wait_for("app: before");
        let config = format!("max_message_size {size}\nuser.*\t{{dir}}/log\n");
        daemon.setup().configure(&config);
        upgrade_well(&daemon);
        lines.write_all(&line.as_bytes()[half..]).expect("open");
        lines.write_all(b"\n").expect("open");
        frames.write_all(&frame.as_bytes()[half..]).expect("open");
        drop(broken);
        arrives(&daemon, &of("line"), size);
        arrives(&daemon, &of("counted"), size);
        arrives(&daemon, &unfinished[..half], size);
        let counters = daemon.quiet();
        let truncated = if size == MOST { 0 } else { 3 };
        assert_eq!(counters.input("tcp://")["truncated"], truncated, "{word}");
        daemon.finish();
    }
}

#[test]
fn a_long_frame_may_come_in_pieces_of_any_length() {
    let daemon = Daemon::start("max_message_size 64k\nuser.*\t{dir}/log\n");
    for piece in [1, 1448, 9000] {
        let mut stream = daemon.tcp();
        let length = if piece == 1 { 13_000 } else { MOST };
        let line = message(&format!("line-{piece}"), length);
        let frame = message(&format!("counted-{piece}"), length);
        let last = message(&format!("last-{piece}"), 1000);
        let octets = format!("{line}\n{}{}", counted(&frame), counted(&last));
        for octets in octets.as_bytes().chunks(piece) {
            stream.write_all(octets).expect("it is open");
        }
        for message in [&line, &frame, &last] {
            arrives(&daemon, message, MOST);
        }
    }
    daemon.finish();
}

#[test]
fn a_long_message_goes_to_every_kind_of_output() {
    let collector = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let relay = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (udp, tcp) = (collector.local_addr(), relay.local_addr());
    let (udp, tcp) = (udp.expect("bound"), tcp.expect("bound"));
    let setup = crate::support::Setup::new(&format!(
        "max_message_size 64k\nudp_size 65507\n\
         user.*\t{{dir}}/log\nuser.*\t|{{dir}}/fifo\n\
         user.*\t@{udp}\t;BSD\nuser.*\t@tcp://{tcp}\t;BSD\n"
    ));
    let fifo = setup.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let daemon = setup.start();
    // Each octet becomes four in what people read.
    let head = "<13>app: controls ";
    let hostile = format!("{head}{}", "\x01".repeat(MOST - head.len()));
    unix(&daemon, &hostile);
    let want = format!("app: controls {}", "#001".repeat(MOST - head.len()));
    let line = daemon.file("log").wait_for("app: controls ");
    assert!(line.ends_with(&want), "{} octets", line.len());

    let reader = std::fs::File::open(&fifo).expect("a FIFO");
    let mut from_fifo = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut from_fifo)
        .expect("a line");
    assert_eq!(from_fifo.trim_end(), line);

    let (mut from_relay, _) = relay.accept().expect("it connects");
    from_relay
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout");
    let frame = counted(&hostile);
    let mut got = vec![0; frame.len()];
    std::io::Read::read_exact(&mut from_relay, &mut got).expect("a frame");
    assert!(got == frame.as_bytes());

    collector
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout");
    let mut datagram = vec![0; MOST];
    let length = collector.recv(&mut datagram).expect("a datagram");
    assert!(datagram[..length] == hostile.as_bytes()[..65_507]);
    let counters = daemon.quiet();
    assert_eq!(counters.output("fifo")["dropped"]["fifo_full"], 0);
    daemon.finish();
}
