//! An output that takes nothing: it loses its own messages, counted, and holds up nobody else.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Daemon, Setup, sum};

/// More than the queues of two outputs may take together.
const MANY: usize = 9000;

fn long(number: usize) -> String {
    format!("<13>app: number {number}. {}\n", "x".repeat(8000))
}

#[test]
fn reliability_v35_a_full_disk_costs_its_own_messages_and_no_others() {
    let daemon = Daemon::start("user.*\t/dev/full\nuser.*\t-{dir}/good\n");
    let mut stream = daemon.tcp();
    for number in 0..MANY {
        stream
            .write_all(long(number).as_bytes())
            .expect("nobody is made to wait for long");
    }
    let lines = daemon.file("good").wait_for_lines(MANY);
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line.contains(&format!(" number {number}. ")),
            "{number} is missing"
        );
    }
    let counters = daemon.counters();
    let full = counters.output("/dev/full");
    assert!(full["dropped"]["nospace"].as_u64() > Some(0), "{full}");
    assert_eq!(
        sum(&full["dropped"]),
        full["dropped"]["nospace"].as_u64().unwrap_or(0),
        "{full}"
    );
    assert!(
        full["queued"].as_u64() > Some(0),
        "no more is dropped than must be: {full}"
    );
    // A reload that removes it must not leave a stream waiting for it.
    daemon.setup().configure("user.*\t-{dir}/good\n");
    assert!(daemon.reload().contains("configuration loaded again"));
    stream
        .write_all(b"<13>app: after the reload\n")
        .expect("the connection is there");
    daemon.file("good").wait_for("after the reload");
    daemon.finish();
}

#[test]
fn reliability_f20_a_remote_that_reads_nothing_holds_up_no_stream() {
    let remote = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = remote.local_addr().expect("it is bound").port();
    let accepted = thread::spawn(move || remote.accept().expect("the forward connects").0);
    let daemon = Daemon::start(&format!(
        "user.*\t@tcp://127.0.0.1:{port}\nuser.*\t-{{dir}}/good\n"
    ));
    let mut stream = daemon.tcp();
    for number in 0..MANY {
        stream
            .write_all(long(number).as_bytes())
            .expect("nobody is made to wait for long");
    }
    let _unread: TcpStream = accepted.join().expect("it only accepts");
    daemon.file("good").wait_for_lines(MANY);
    daemon.unix("<13>app: the local socket is open");
    daemon.file("good").wait_for("the local socket is open");
    daemon.finish();
}

#[test]
fn an_output_is_never_written_by_two_workers() {
    // What concerns forwards only changes at each reload, and the file rotates all the time.
    let config = |round: usize| {
        format!(
            "udp_size {}\nuser.*\t-{{dir}}/log\t;rotate=20k:500\n",
            500 + round
        )
    };
    let daemon = Daemon::start(&config(0));
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..20_000 {
                daemon.unix(format!("<13>app: number {number}."));
            }
            20_000
        });
        for round in 1..20 {
            daemon.setup().configure(&config(round));
            assert!(daemon.reload().contains("configuration loaded again"));
        }
        sender.join().expect("it only sends")
    });
    daemon.quiet();
    let setup = daemon.stop();
    let mut numbers: Vec<usize> = Vec::new();
    for entry in fs::read_dir(setup.directory()).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "log" || name.starts_with("log.") && name != "log.sock" {
            let octets = if path.extension().is_some_and(|suffix| suffix == "gz") {
                crate::support::gunzip(&path)
            } else {
                fs::read(&path).expect("it can be read")
            };
            let text = String::from_utf8(octets).expect("text");
            let number = |line: &str| -> Option<usize> {
                line.rsplit("number ")
                    .next()?
                    .strip_suffix('.')?
                    .parse()
                    .ok()
            };
            numbers.extend(text.lines().filter_map(number));
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..sent).collect::<Vec<usize>>());
}

#[test]
fn an_include_of_a_fifo_is_refused_and_holds_up_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    mkfifo(&daemon.setup().path("pipe.conf"), Mode::S_IRWXU).expect("a FIFO");
    daemon
        .setup()
        .configure("include {dir}/pipe.conf\nuser.*\t{dir}/new\n");
    let answer = daemon.reload();
    assert!(answer.contains("reload refused"), "{answer}");
    daemon.stderr().wait_for("it is not a regular file");
    daemon.unix("<13>app: goes on");
    daemon.file("user").wait_for("goes on");
    daemon.finish();
}

#[test]
fn reliability_v16_a_flood_of_connections_leaves_descriptors_for_a_reload() {
    let daemon = Setup::new("user.*\t{dir}/user\n")
        .wrapper(&["prlimit", "--nofile=64:64"])
        .start();
    let streams: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(daemon.address("tcp://")).expect("a queue"))
        .collect();
    daemon.stderr().wait_for("too few file descriptors");
    let rules: Vec<_> = (0..3)
        .map(|number| format!("user.*\t{{dir}}/user{number}\n"))
        .collect();
    daemon.setup().configure(&rules.concat());
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.unix("<13>app: to all of them");
    daemon.file("user2").wait_for("to all of them");
    drop(streams);
    // Those that waited are served once the others have gone.
    daemon.tcp_stream("<13>app: the next one\n");
    daemon.file("user0").wait_for("the next one");
    daemon.finish();
}

#[test]
fn reliability_v23_broken_connections_do_not_fill_the_log() {
    let daemon = Daemon::start("syslog.*\t{dir}/own\nuser.*\t{dir}/user\n");
    for _ in 0..50 {
        daemon.tcp_stream(b"12345678901 x");
    }
    daemon.unix("<13>app: after them");
    daemon.file("user").wait_for("after them");
    let counters = daemon.quiet();
    assert_eq!(counters.input("tcp://")["rejected"]["frame"], 50);
    let told = daemon.file("own").lines();
    let told = told
        .iter()
        .filter(|line| line.contains("closed the connection"))
        .count();
    assert_eq!(told, 1);
    daemon.finish();
}
