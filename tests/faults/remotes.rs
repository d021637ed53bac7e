//! Remotes behind links that are cut, slow, or lead nowhere (F20). Senders never wait, and nothing is lost.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use super::network;
use crate::support::{DEADLINE, Daemon, is_inside};

/// A daemon on host 1 that forwards to us, and the listener.
fn forwarding() -> (Daemon, TcpListener) {
    network::lay();
    let listener = TcpListener::bind((network::HERE, 0)).expect("a port");
    let to = listener.local_addr().expect("bound");
    let config = format!("user.*\t@@{to}\nuser.*\t-{{dir}}/log\n");
    (network::host(1, &[], &config), listener)
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    BufReader::new(stream)
}

/// Logs the messages of these numbers, and waits until they are in the file.
fn log(daemon: &Daemon, numbers: std::ops::Range<usize>, padding: usize) {
    for number in numbers.clone() {
        daemon.unix(format!("<13>app: {} number {number}.", "x".repeat(padding)));
    }
    daemon
        .file("log")
        .wait_for(&format!("number {}.", numbers.end - 1));
}

/// The numbers of the lines that come until the last.
fn numbers(stream: &mut BufReader<TcpStream>, last: usize) -> Vec<usize> {
    let mut found = Vec::new();
    while found.last() != Some(&last) {
        let mut line = String::new();
        let count = stream.read_line(&mut line).expect("a line");
        assert_ne!(count, 0, "it stays: {found:?}");
        let (_, number) = line.rsplit_once("number ").expect("a number");
        let number = number.trim_end().trim_end_matches('.');
        found.push(number.parse().expect("a number"));
    }
    found
}

#[test]
fn f20_a_link_that_was_cut_for_a_while_loses_nothing() {
    if !is_inside("faults::remotes::f20_a_link_that_was_cut_for_a_while_loses_nothing") {
        return;
    }
    let (daemon, listener) = forwarding();
    log(&daemon, 0..1, 0);
    let mut first = accept(&listener);
    assert_eq!(numbers(&mut first, 0), [0]);
    network::unplug(1);
    log(&daemon, 1..100, 0);
    network::plug_in(1);
    assert_eq!(numbers(&mut first, 99), (1..100).collect::<Vec<_>>());
    daemon.quiet();

    // Now the remote goes meanwhile, and nobody can tell the daemon.
    network::unplug(1);
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(first.get_ref(), sockopt::Linger, &at_once).expect("a socket");
    drop(first);
    log(&daemon, 100..200, 0);
    network::plug_in(1);
    let mut second = accept(&listener);
    let mut found = numbers(&mut second, 199);
    found.dedup();
    assert_eq!(found.last_chunk::<100>().map(|last| last[0]), Some(100));
    assert!(
        found.windows(2).all(|two| two[0] + 1 == two[1]),
        "{found:?}"
    );
    let counters = daemon.quiet();
    assert_eq!(counters.output("@@")["written"], 200);
    daemon.finish();
}

#[test]
fn f20_a_remote_behind_64_kbit_or_that_reads_octets_gets_everything() {
    if !is_inside(
        "faults::remotes::f20_a_remote_behind_64_kbit_or_that_reads_octets_gets_everything",
    ) {
        return;
    }
    let (daemon, listener) = forwarding();
    setsockopt(&listener, sockopt::RcvBuf, &4096).expect("a socket");
    log(&daemon, 0..1, 0);
    let mut remote = accept(&listener);
    assert_eq!(numbers(&mut remote, 0), [0]);
    network::narrow(&daemon);
    // A megabyte would take minutes.
    log(&daemon, 1..500, 2000);
    let counters = daemon.counters();
    let waiting = &counters.output("@@")["queued"];
    assert!(waiting.as_u64() > Some(0), "{counters:#?}");
    network::widen(&daemon);
    for number in 500..503 {
        // One octet at a time, and the local log goes on.
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut octet = [0];
            remote.get_mut().read_exact(&mut octet).expect("it comes");
            line.extend(octet);
            if line.len() % 500 == 0 {
                daemon.unix("<22>app: meanwhile");
            }
        }
        assert!(
            line.ends_with(format!("number {}.\n", number - 499).as_bytes()),
            "{}",
            line.escape_ascii()
        );
        log(&daemon, number..number + 1, 0);
    }
    assert_eq!(numbers(&mut remote, 502), (4..503).collect::<Vec<_>>());
    assert_eq!(daemon.quiet().output("@@")["written"], 503);
    daemon.finish();
}

#[test]
fn f20_a_remote_from_which_nothing_ever_comes_holds_up_no_logging() {
    if !is_inside("faults::remotes::f20_a_remote_from_which_nothing_ever_comes_holds_up_no_logging")
    {
        return;
    }
    network::lay();
    let config = "user.*\t@@10.9.0.77\nuser.*\t-{dir}/log\n";
    let daemon = network::host(1, &[], config);
    network::lose_what_is_for(&daemon, "10.9.0.77");
    log(&daemon, 0..1000, 0);
    let counters = daemon.counters();
    assert_eq!(counters.output("@@")["queued"], 1000);
    daemon.prove();
    // It would try until the deadline of its end.
    daemon.crash();
}
