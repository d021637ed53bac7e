//! Messages for people who are logged in.

use crate::support::Daemon;

#[test]
fn nobody_logged_in_is_no_error_and_nothing_is_lost() {
    let config = "user.*\tnosuchuser,nobodyelse\nuser.=crit\t*\nuser.*\t{dir}/user\n";
    let daemon = Daemon::start(config);
    // From the network: it reaches no terminal, so that the test disturbs nobody (reliability V42).
    daemon.udp("<10>app: critical");
    daemon.unix("<13>app: ordinary");
    daemon.file("user").wait_for("critical");
    daemon.file("user").wait_for("ordinary");
    let counters = daemon.quiet();
    assert_eq!(counters.output("nosuchuser")["queued"], 0);
    let said = daemon.stderr().all();
    assert!(
        !said.iter().any(|line| line.contains("error: ")),
        "{said:#?}"
    );
    daemon.finish();
}

#[test]
fn messages_from_the_network_reach_nobody_unless_allowed() {
    let daemon = Daemon::start("user.*\tnosuchuser\n");
    daemon.udp("<8>app: wall!");
    let unmatched = || daemon.counters().input("udp://")["unmatched"] == 1;
    crate::support::wait_for("it to be counted", unmatched);
    assert_eq!(daemon.counters().output("nosuchuser")["enqueued"], 0);
    daemon.finish();

    let daemon = Daemon::start("allow_net_console yes\nuser.*\tnosuchuser\n");
    daemon.udp("<8>app: wall!");
    let routed = || daemon.counters().input("udp://")["routed"] == 1;
    crate::support::wait_for("it to be counted", routed);
    assert_eq!(daemon.quiet().output("nosuchuser")["enqueued"], 1);
    daemon.finish();
}
