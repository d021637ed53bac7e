//! The end: what was accepted is written.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{Counters, DEADLINE, Daemon, wait_for};

#[test]
fn sigterm_and_sigint_end_it_well() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start("user.*\t{dir}/user\nsyslog.*\t{dir}/syslog\n");
        daemon.unix("<13>app: hello");
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0), "{signal}");
        let said = daemon.stderr().wait_for_end();
        assert!(
            said.iter()
                .any(|line| line.contains(&format!("exiting on {signal}"))),
            "{said:#?}"
        );
        assert_eq!(daemon.file("user").lines().len(), 1, "{signal}");
        assert!(!daemon.setup().path("log.sock").exists());
        assert!(!daemon.setup().path("syslogd.pid").exists());
        let lines = daemon.file("syslog").lines();
        let tag = format!(" syslogd[{}]: syslogd-rs ", daemon.pid());
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&tag) && line.ends_with(": start")),
            "{lines:#?}"
        );
        let last = lines.last().expect("a last line");
        assert!(
            last.contains(&tag) && last.contains(&format!("exiting on {signal}; received ")),
            "{last}"
        );
    }
}

#[test]
fn everything_that_was_accepted_is_written_before_the_end() {
    let daemon = Daemon::start("user.*\t-{dir}/user\n");
    let mut stream = daemon.tcp();
    let lines: Vec<_> = (0..2000)
        .map(|number| format!("<13>tcp: number {number}.\n"))
        .collect();
    stream
        .write_all(b"<13>tcp: connected\n")
        .expect("it takes it");
    daemon.file("user").wait_for("connected");
    for number in 0..5000 {
        daemon.unix(format!("<13>unix: number {number}."));
    }
    for number in 0..200 {
        daemon.udp(format!("<13>udp: number {number}."));
    }
    stream
        .write_all(lines.concat().as_bytes())
        .expect("it takes it");
    let setup = daemon.stop();
    let text = std::fs::read_to_string(setup.path("user")).expect("it is there");
    for (tag, count) in [("unix", 5000), ("udp", 200), ("tcp", 2000)] {
        let tag = format!(" {tag}: number ");
        let numbers: Vec<_> = text
            .lines()
            .filter_map(|line| line.split(&tag).nth(1))
            .collect();
        let want: Vec<_> = (0..count).map(|number| format!("{number}.")).collect();
        assert_eq!(numbers, want, "{tag}");
    }
}

#[test]
fn a_stream_that_never_ends_does_not_hold_the_end() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut stream = daemon.tcp();
    stream
        .write_all(b"<13>app: whole\n<13>app: half")
        .expect("it takes it");
    daemon.file("user").wait_for("whole");
    let setup = daemon.stop();
    let text = std::fs::read_to_string(setup.path("user")).expect("it is there");
    assert!(text.contains("app: half\n"), "{text}");
}

#[test]
fn a_sender_who_is_faster_than_we_are_holds_up_neither_others_nor_the_end() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut stream = daemon.tcp();
    stream.write_all(b"<13>app: whole\n").expect("it takes it");
    daemon.file("user").wait_for("whole");
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = Arc::clone(&has_begun);
    let sender = thread::spawn(move || {
        let lines = "<23>app: no rule takes it\n".repeat(4000);
        // Bounded where the daemon does not end: then the wait for it fails first.
        let ends = Instant::now() + 3 * DEADLINE;
        while Instant::now() < ends && stream.write_all(lines.as_bytes()).is_ok() {
            begun.store(true, Relaxed);
        }
    });
    wait_for("the flood", || has_begun.load(Relaxed));
    daemon.tcp_stream("<13>app: other\n");
    daemon.file("user").wait_for("other");
    daemon.stop();
    sender.join().expect("it sends until nobody takes it");
}

#[test]
fn a_count_that_is_told_at_the_end_is_written_first() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    for _ in 0..5 {
        daemon.unix("<13>app: link down");
    }
    let setup = daemon.stop();
    let text = std::fs::read_to_string(setup.path("user")).expect("it is there");
    assert!(
        text.ends_with(" app: last message repeated 4 times\n"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_written_at_the_end_stands_in_the_last_counters() {
    let daemon = Daemon::start("user.*\t|{dir}/nobody\nuser.*\t{dir}/user\n");
    daemon.unix("<13>app: to nobody");
    daemon.file("user").wait_for("to nobody");
    let setup = daemon.stop();
    let json = std::fs::read_to_string(setup.path("syslogd.pid.stats")).expect("it is left behind");
    let counters = Counters::parse(&json);
    assert!(counters.balance() && counters.nothing_queued(), "{json}");
    assert_eq!(counters.output("nobody")["dropped"]["shutdown"], 1);
}
