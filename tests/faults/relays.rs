//! Daemons that forward to each other (F45, V34).

use super::network;
use crate::support::{Daemon, is_inside};

const MANY: usize = 50;

/// What users say, and of what the daemon says the warnings, goes to `remote`. Not its first words: the remote may not
/// be there yet.
fn relay(remote: &str) -> String {
    format!("user.*;syslog.warning\t@{remote}\nuser.*\t-{{dir}}/log\n")
}

/// What the file of a daemon has of `text`, and each number once.
#[track_caller]
fn each_once(daemon: &Daemon, text: &str) {
    daemon
        .file("log")
        .wait_for(&format!("{text} {}.", MANY - 1));
    let lines = daemon.file("log").lines();
    for number in 0..MANY {
        let wanted = format!("{text} {number}.");
        let found = lines.iter().filter(|line| line.ends_with(&wanted)).count();
        assert_eq!(found, 1, "{wanted} in {lines:#?}");
    }
}

fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().expect("a counter")
}

#[test]
fn f45_two_daemons_that_forward_to_each_other_send_each_message_once() {
    if !is_inside(
        "faults::relays::f45_two_daemons_that_forward_to_each_other_send_each_message_once",
    ) {
        return;
    }
    network::lay();
    for (first, scheme, input) in [(10, "", "udp://"), (20, "tcp://", "tcp://")] {
        let second = first + 1;
        let hosts = [(first, second), (second, first)].map(|(own, other)| {
            network::host(own, &[], &relay(&format!("{scheme}10.9.0.{other}:514")))
        });
        for number in 0..MANY {
            hosts[0].unix(format!("<13>app: of the first {number}."));
            hosts[1].unix(format!("<13>app: of the second {number}."));
        }
        for host in &hosts {
            each_once(host, "of the first");
            each_once(host, "of the second");
            let said = host.stderr().wait_for("came from there");
            assert!(said.contains("--forward-back sends them"), "{said}");
        }
        for host in &hosts {
            // Whatever came over the network came from there, and would go back.
            let counters = host.quiet();
            let received = &counters.input(input)["received"];
            let back = &counters.output("10.9.0")["dropped"]["loop"];
            assert!(number(received) >= MANY as u64, "{received}");
            assert_eq!(received, back);
        }
        for host in hosts {
            let said = host.stderr().all();
            let told = said.iter().filter(|line| line.contains("came from there"));
            assert_eq!(told.count(), 1, "{said:#?}");
            host.finish();
        }
    }
}

#[test]
fn f45_a_relay_in_a_row_passes_everything_on_and_one_that_sends_back_is_stopped() {
    if !is_inside(
        "faults::relays::f45_a_relay_in_a_row_passes_everything_on_and_one_that_sends_back_is_stopped",
    ) {
        return;
    }
    network::lay();
    let last = network::host(3, &[], "user.*\t-{dir}/log\n");
    let middle = network::host(2, &[], &relay("tcp://10.9.0.3:514"));
    let first = network::host(1, &[], &relay("tcp://10.9.0.2:514"));
    for number in 0..MANY {
        first.unix(format!("<13>app: number {number}."));
    }
    each_once(&last, "number");
    each_once(&middle, "number");
    let counters = middle.quiet();
    assert_eq!(counters.output("10.9.0.3")["dropped"]["loop"], 0);
    first.finish();
    middle.finish();

    // --forward-back sends it back, once: the first daemon stops it.
    let back = network::host(4, &["--forward-back"], &relay("10.9.0.5"));
    let first = network::host(5, &[], &relay("10.9.0.4"));
    first.unix("<13>app: there and back");
    first.stderr().wait_for("came from there");
    assert_eq!(first.file("log").wait_for_lines(2).len(), 2);
    assert_eq!(back.file("log").wait_for_lines(1).len(), 1);
    assert_eq!(
        back.quiet().output("10.9.0.5")["dropped"]["loop"],
        0,
        "it may"
    );
    first.finish();
    back.finish();
    last.finish();
}

#[test]
fn f45_a_daemon_that_forwards_to_itself_logs_each_message_twice() {
    if !is_inside("faults::relays::f45_a_daemon_that_forwards_to_itself_logs_each_message_twice") {
        return;
    }
    network::lay();
    for (host, remote) in [(1, "10.9.0.1"), (2, "127.0.0.1"), (3, "tcp://10.9.0.3:514")] {
        let daemon = network::host(host, &[], &relay(remote));
        for number in 0..MANY {
            daemon.unix(format!("<13>app: number {number}."));
        }
        daemon.file("log").wait_for_lines(2 * MANY);
        let counters = daemon.quiet();
        let back = number(&counters.output("@")["dropped"]["loop"]);
        assert!(back >= MANY as u64, "{back}");
        assert_eq!(daemon.file("log").lines().len(), 2 * MANY);
        daemon.finish();
    }
}
