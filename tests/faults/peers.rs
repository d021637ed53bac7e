//! Peers that break off, refuse, or come in swarms; terminals that are gone (F19, F20, F23).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use nix::pty::openpty;
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::ttyname;

use crate::support::Daemon;

#[test]
fn f20_a_reset_within_a_frame_costs_that_frame_at_most() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    for number in 0..50 {
        let mut stream = daemon.tcp();
        let whole = format!("<13>app: whole {number}.");
        let octets = format!("{} {whole}400 <13>app: half {number}", whole.len());
        stream.write_all(octets.as_bytes()).expect("it takes it");
        daemon.file("log").wait_for(&format!("whole {number}."));
        // Closed with this, it is reset.
        let at_once = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&stream, sockopt::Linger, &at_once).expect("a socket");
    }
    daemon.tcp_stream("<13>app: served\n");
    daemon.file("log").wait_for("app: served");
    daemon.finish();
}

#[test]
fn f20_a_remote_that_accepts_and_closes_stops_nobody_and_gets_the_rest_later() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let daemon = Daemon::start(&format!(
        "user.*\t@tcp://127.0.0.1:{port}\nuser.*\t{{dir}}/log\n"
    ));
    let remote = thread::spawn(move || {
        for _ in 0..3 {
            drop(listener.accept().expect("it comes again"));
        }
        let (mut stream, _) = listener.accept().expect("it comes again");
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&text).contains("the last") {
            let count = stream.read(&mut chunk).expect("it stays");
            assert_ne!(count, 0, "it stays");
            text.extend_from_slice(&chunk[..count]);
        }
    });
    let mut number = 0;
    while !remote.is_finished() {
        daemon.unix(format!("<13>app: number {number}. the last"));
        daemon.file("log").wait_for(&format!("number {number}."));
        number += 1;
    }
    remote.join().expect("it got something");
    daemon.finish();
}

#[test]
fn f23_a_storm_of_connections_is_served() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    for number in 0..300 {
        let mut stream = daemon.tcp();
        if number % 2 == 0 {
            let line = format!("<13>app: number {number}.\n");
            stream.write_all(line.as_bytes()).expect("it takes it");
        }
    }
    let lines = daemon.file("log").wait_for_lines(150);
    assert_eq!(lines.len(), 150);
    daemon.finish();
}

#[test]
fn f23_one_address_has_512_connections_and_the_next_are_closed_and_told() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    let mut streams: Vec<_> = (0..520).map(|_| daemon.tcp()).collect();
    for stream in &mut streams[512..] {
        let end = stream.read(&mut [0]);
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let told = daemon.stderr().wait_for("too many connections from there");
    assert!(
        told.contains("closed the connection of 127.0.0.1:"),
        "{told}"
    );
    for number in [0, 511] {
        let line = format!("<13>app: number {number}.\n");
        streams[number]
            .write_all(line.as_bytes())
            .expect("it stays");
        daemon.file("log").wait_for(&format!("number {number}."));
    }
    let counters = daemon.counters();
    let input = counters.input("tcp://");
    assert_eq!(input["noted"]["connections_refused"], 8, "{input}");
    drop(streams);
    daemon.tcp_stream("<13>app: the next one\n");
    daemon.file("log").wait_for("the next one");
    daemon.finish();
}

#[test]
fn f19_a_terminal_that_hangs_up_stops_nobody() {
    let pty = openpty(None, None).expect("a terminal");
    let path = ttyname(&pty.slave).expect("it has a name");
    let config = format!("user.*\t{}\nuser.*\t{{dir}}/log\n", path.display());
    let daemon = Daemon::start(&config);
    daemon.unix("<13>app: before");
    let mut master = std::fs::File::from(pty.master);
    let mut seen = Vec::new();
    let mut chunk = [0; 256];
    while !String::from_utf8_lossy(&seen).contains("app: before") {
        let count = master.read(&mut chunk).expect("it writes");
        seen.extend_from_slice(&chunk[..count]);
    }
    drop((master, pty.slave));
    for number in 0..100 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 99.");
    daemon.finish();
}
