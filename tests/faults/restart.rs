//! Signals at bad moments (F28, F30), starts that fail (F32).

use std::thread;

use nix::sys::signal::Signal;

use super::load::{Load, Sent};
use super::sequence::{Verdict, lines_of, message};
use crate::support::Daemon;

/// Every message that was sent is in `log` once, in order, and none was refused.
#[track_caller]
pub(crate) fn all_is_there(daemon: &Daemon, load: &Load, sent: &Sent) {
    let names = load.names();
    let count = usize::try_from(sent.each).expect("small") * names.len();
    daemon.file("log").wait_for_lines(count);
    let counts: Vec<_> = names.into_iter().map(|name| (name, sent.each)).collect();
    let verdict = Verdict::of(&lines_of(&daemon.setup().path("log")), &counts);
    assert_eq!(verdict, Verdict::default(), "{sent:?}");
    assert_eq!(sent.refused, 0, "{sent:?}");
}

#[test]
fn f28_a_daemon_that_stands_still_refuses_nobody() {
    let daemon = Daemon::start("user.*\t-{dir}/log\n");
    let load = Load::of(&daemon);
    daemon.signal(Signal::SIGSTOP);
    thread::scope(|scope| {
        let running = scope.spawn(|| load.start());
        daemon.signal(Signal::SIGCONT);
        daemon.signal(Signal::SIGSTOP);
        daemon.signal(Signal::SIGCONT);
        let running = running.join().expect("it only sends");
        for _ in 0..5 {
            daemon.signal(Signal::SIGSTOP);
            daemon.signal(Signal::SIGCONT);
            running.wait_for_more(20);
        }
        let sent = running.stop();
        all_is_there(&daemon, &load, &sent);
    });
    daemon.finish();
}

#[test]
fn f30_while_a_remote_is_absent_at_the_end_messages_are_received_until_a_second_signal() {
    // A port of ours that nobody listens on: bound, and no more.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it has one").port();
    drop(silent);
    let mut daemon = Daemon::start(&format!(
        "user.*\t{{dir}}/log\nuser.*\t@tcp://127.0.0.1:{port}\n"
    ));
    daemon.unix(message("a", 0));
    daemon.stderr().wait_for("cannot connect to");
    daemon.signal(Signal::SIGTERM);
    daemon.stderr().wait_for("another signal ends that");
    for number in 1..50 {
        daemon.unix(message("a", number));
    }
    daemon.file("log").wait_for_lines(50);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    let verdict = Verdict::of(&daemon.file("log").lines(), &[("a", 50)]);
    assert_eq!(verdict, Verdict::default());
    let said = daemon.stderr().wait_for_end();
    let lost = "50 messages were not written before the end";
    assert!(said.iter().any(|line| line.contains(lost)), "{said:#?}");
}

#[test]
fn f32_starts_that_fail_at_once_take_nothing_from_the_socket_of_another() {
    let daemon = Daemon::start("user.*\t-{dir}/log\n");
    let load = Load::of(&daemon);
    let running = load.start();
    for _ in 0..5 {
        let (status, said) = daemon.setup().fail();
        assert_eq!(status, Some(75), "{said}");
    }
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.finish();
}
