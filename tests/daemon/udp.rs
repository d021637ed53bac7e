//! Datagrams from the network (RFC 5426).

use std::net::{Ipv6Addr, UdpSocket};

use nix::sys::signal::Signal;

use crate::support::{Daemon, Setup, skip, wait_for};

#[test]
fn a_datagram_is_a_record_under_the_address_of_its_sender() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    daemon.udp("<13>Nov 22 11:00:00 liar app[1]: hello");
    let line = daemon.file("user").wait_for("hello");
    assert_eq!(line, "Nov 22 11:00:00 127.0.0.1 app[1]: hello");
    daemon.finish();

    let daemon = Daemon::with(&["-H"], "user.*\t{dir}/user\n");
    daemon.udp("<13>Nov 22 11:00:00 believed app[1]: hello");
    let line = daemon.file("user").wait_for("hello");
    assert_eq!(line, "Nov 22 11:00:00 believed app[1]: hello");
    daemon.finish();
}

#[test]
fn ipv6_is_heard_too() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skip("this host has no IPv6");
        return;
    }
    let daemon = Setup::new("user.*\t{dir}/user\n")
        .listens(&["udp://[::1]:0"])
        .start();
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a socket");
    let address = daemon.address("udp://");
    socket
        .send_to(b"<13>Nov 22 11:00:00 liar app: hello", address)
        .expect("sent");
    let line = daemon.file("user").wait_for("hello");
    assert_eq!(line, "Nov 22 11:00:00 ::1 app: hello");
    daemon.finish();
}

#[test]
fn reliability_s5_octets_over_the_limit_are_cut_and_told() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    for (length, cut) in [
        (8191, None),
        (8192, None),
        (8193, Some(1)),
        (20_000, Some(11_808)),
    ] {
        let head = format!("<13>app: {length} ");
        let octets = format!("{head}{}", "x".repeat(length - head.len()));
        daemon.udp(&octets);
        let line = daemon.file("user").wait_for(&format!("app: {length} x"));
        let kept = octets.len().min(8192) - head.len();
        let end = cut.map_or(String::new(), |cut| format!("…[+{cut}]"));
        let want = format!("app: {length} {}{end}", "x".repeat(kept));
        assert!(
            line.ends_with(&want),
            "{length}: ends in {:?}",
            &line[line.len() - 12..]
        );
    }
    assert_eq!(daemon.quiet().input("udp://")["truncated"], 2);
    daemon.finish();
}

#[test]
fn a_cut_never_falls_into_a_character() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let octets = format!("<13>app: x{}", "é".repeat(5000));
    daemon.udp(&octets);
    let line = daemon.file("user").wait_for("app: x");
    let (text, cut) = line.split_once("…[+").expect("it was cut");
    assert!(text.ends_with("éé"), "{}", &line[line.len() - 20..]);
    let cut: usize = cut.trim_end_matches(']').parse().expect("a number");
    let kept = text.split_once(" app: ").expect("a tag").1.len() + "<13>app: ".len();
    assert_eq!(kept + cut, octets.len());
    daemon.finish();
}

#[test]
fn datagrams_of_nothing_are_rejected_and_counted() {
    let daemon = Daemon::start("*.*\t{dir}/all\n");
    for nothing in ["", "\n", "\0", "\r\n\0", "\n\n\n\n"] {
        daemon.udp(nothing);
    }
    daemon.udp("<13>app: hello");
    daemon.file("all").wait_for("app: hello");
    let counters = daemon.quiet();
    assert_eq!(counters.input("udp://")["rejected"]["empty"], 5);
    assert_eq!(counters.input("udp://")["received"], 6);
    daemon.finish();
}

#[test]
fn the_access_list_lets_in_whom_it_names_and_nobody_else() {
    let daemon = Daemon::with(&["-a", "192.0.2.0/24:*"], "user.*\t{dir}/user\n");
    for number in 0..100 {
        daemon.udp(format!("<13>app: forbidden {number}"));
    }
    daemon.unix("<13>app: local");
    daemon.file("user").wait_for("app: local");
    let denied = || daemon.counters().input("udp://")["rejected"]["acl"] == 100;
    wait_for("100 rejections", denied);
    assert_eq!(daemon.file("user").lines().len(), 1);
    let told = daemon
        .stderr()
        .all()
        .into_iter()
        .filter(|line| line.contains("127.0.0.1:"));
    let told = told.filter(|line| !line.contains("listening")).count();
    assert!(
        told <= 2,
        "reliability V23: a flood of the forbidden is no flood of reports"
    );
    daemon.finish();

    let daemon = Daemon::with(&["-a", "127.0.0.0/8:*"], "user.*\t{dir}/user\n");
    daemon.udp("<13>app: allowed");
    daemon.file("user").wait_for("app: allowed");
    daemon.finish();

    // Without a port it is the source port 514 that is allowed, which ours is not.
    let daemon = Daemon::with(&["-a", "127.0.0.0/8"], "user.*\t{dir}/user\n");
    daemon.udp("<13>app: from another port");
    daemon.tcp_stream("<13>app: over TCP\n");
    daemon.file("user").wait_for("over TCP");
    let denied = || daemon.counters().input("udp://")["rejected"]["acl"] == 1;
    wait_for("a rejection", denied);
    daemon.finish();
}

#[test]
fn a_burst_keeps_its_order_and_is_written_or_counted() {
    const BURST: u64 = 2000;
    let daemon = Daemon::start("user.*\t-{dir}/user\n");
    for round in 0..3 {
        // As much of it as the kernel keeps waits when the daemon looks next, so that it is taken before it is read.
        daemon.signal(Signal::SIGSTOP);
        for number in round * BURST..(round + 1) * BURST {
            daemon.udp(format!("<13>app: number {number}."));
        }
        daemon.signal(Signal::SIGCONT);
    }
    let counted = || {
        let counters = daemon.counters();
        let input = counters.input("udp://");
        let seen = input["received"]
            .as_u64()
            .zip(input["kernel_dropped"].as_u64());
        seen.is_some_and(|(received, dropped)| received + dropped == 3 * BURST)
    };
    wait_for("all to be counted", counted);
    let written = daemon.quiet().output("/user")["written"]
        .as_u64()
        .expect("a number");
    let lines = daemon.file("user").lines();
    assert_eq!(lines.len() as u64, written);
    let number = |line: &String| -> Option<u32> {
        line.rsplit_once(' ')?.1.trim_end_matches('.').parse().ok()
    };
    let numbers: Vec<_> = lines.iter().map(number).collect();
    assert!(
        numbers.is_sorted() && numbers.iter().all(Option::is_some),
        "{numbers:?}"
    );
    daemon.finish();
}
