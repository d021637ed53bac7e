//! The greatest messages among the shortest, from every input to every output (F44).

use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::sequence::{Verdict, message};
use crate::support::{DEADLINE, Lines, Setup, counted, wait_for};

/// The most octets that a message may have.
const GREATEST: usize = 8192;

/// As many as leave each number one digit.
const ROUNDS: u64 = 10;

/// A sender, by its letter; his numbered messages are of the greatest size.
fn source(letter: char) -> String {
    let rest = message("", 0).len();
    letter.to_string().repeat(GREATEST - rest)
}

/// The order in which the two kinds of message of one sender came.
fn kinds(lines: &[String], letter: char) -> String {
    let short = format!(" {letter}");
    let long = format!("src={letter}");
    let kind = |line: &String| match line {
        line if line.ends_with(&short) => Some('.'),
        line if line.contains(&long) => Some('#'),
        _ => None,
    };
    lines.iter().filter_map(kind).collect()
}

#[test]
fn f44_the_longest_among_the_shortest_pass_from_each_input_to_each_output_whole() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    datagrams
        .set_read_timeout(Some(DEADLINE))
        .expect("a timeout");
    let relay = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port =
        |address: std::io::Result<std::net::SocketAddr>| address.expect("it is bound").port();
    let (udp, tcp) = (port(datagrams.local_addr()), port(relay.local_addr()));
    let setup = Setup::new(&format!(
        "udp_size 9000\nlisten unix://{{dir}}/stream\nuser.*\t-{{dir}}/file\nuser.*\t|{{dir}}/fifo\n\
         user.*\t@127.0.0.1:{udp}\nuser.*\t@@127.0.0.1:{tcp}\n"
    ));
    let fifo = setup.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo);
    let fifo = Lines::read(reader.expect("it opens"));
    let daemon = setup.start();
    let letters = ['u', 's', 'd', 't', 'c'];
    let total = 2 * letters.len() * usize::try_from(ROUNDS).expect("few");
    let received = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let mut next = || {
            let count = datagrams.recv(&mut buffer).expect("a datagram");
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        };
        (0..total).map(|_| next()).collect::<Vec<_>>()
    });
    let mut stream = UnixStream::connect(daemon.setup().path("stream")).expect("it listens");
    let (mut lines, mut frames): (TcpStream, TcpStream) = (daemon.tcp(), daemon.tcp());
    for round in 0..ROUNDS {
        for letter in letters {
            for text in [letter.to_string(), message(&source(letter), round)] {
                let line = format!("{text}\n");
                match letter {
                    'u' => daemon.unix(&text),
                    'd' => daemon.udp(&text),
                    's' => stream.write_all(line.as_bytes()).expect("it is read"),
                    't' => lines.write_all(line.as_bytes()).expect("it is read"),
                    _ => frames
                        .write_all(counted(&text).as_bytes())
                        .expect("it is read"),
                }
            }
            // A FIFO has room for little more, and nobody waits for its reader.
            let last = format!("{letter} n={round} ");
            assert!(
                fifo.find(0, |line| line.contains(&last)).is_some(),
                "{letter}"
            );
        }
    }
    let stream = Lines::read(relay.accept().expect("it connects").0);
    wait_for("the relay to have all", || stream.count() >= total);
    daemon.file("file").wait_for_lines(total);
    let counters = daemon.quiet();
    for (name, lines) in [
        ("file", daemon.file("file").lines()),
        ("FIFO", fifo.all()),
        ("UDP", received.join().expect("it receives")),
        ("TCP", stream.all()),
    ] {
        let sources = letters.map(source);
        let sent: Vec<_> = sources.iter().map(|from| (from.as_str(), ROUNDS)).collect();
        assert_eq!(Verdict::of(&lines, &sent), Verdict::default(), "{name}");
        for letter in letters {
            let want = ".#".repeat(ROUNDS.try_into().expect("few"));
            assert_eq!(kinds(&lines, letter), want, "{name}: {letter}");
        }
        assert_eq!(lines.len(), total, "{name}");
    }
    for input in ["log.sock", "stream", "udp://", "tcp://"] {
        let input = counters.input(input);
        assert_eq!(input["truncated"], 0, "{input}");
    }
    daemon.finish();
}
