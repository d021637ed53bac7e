//! A configuration with mistakes, or with files that cannot be opened: the rest works.

use std::fs;

use crate::support::{Daemon, Setup, wait_for};

#[test]
fn a_bad_rule_is_skipped_and_shown_and_the_rest_runs() {
    let daemon = Daemon::start(
        "auht.info\t{dir}/auth\n\
         user.*\t{dir}/user\n\
         mail.wrong\t{dir}/mail\n\
         :nosuch, contains, \"x\"\n\
         user.*\t{dir}/filtered\n\
         :*\n\
         user.*\t{dir}/last\n",
    );
    for place in [
        "syslog.conf:1:1: ",
        "syslog.conf:3:6: ",
        "syslog.conf:4:2: ",
    ] {
        daemon.stderr().wait_for(place);
    }
    daemon.unix("<13>app: hello");
    daemon.file("user").wait_for("hello");
    daemon.file("last").wait_for("hello");
    assert!(
        !daemon.setup().path("filtered").exists(),
        "a filter that is not understood lets nothing pass"
    );
    daemon.finish();
}

#[test]
fn the_mistakes_are_in_the_log_too_each_as_one_line() {
    let daemon = Daemon::start("auht.info\t{dir}/auth\nsyslog.*\t{dir}/syslog\n");
    let line = daemon.file("syslog").wait_for("unknown facility \"auht\"");
    assert!(
        line.contains(&format!(" syslogd[{}]: ", daemon.pid())),
        "{line}"
    );
    daemon.finish();
}

#[test]
fn without_a_configuration_it_runs_and_says_so() {
    let setup = Setup::new("");
    fs::remove_file(setup.path("syslog.conf")).expect("it is there");
    let daemon = setup.start();
    assert!(daemon.stderr().wait_for("syslog.conf").contains("error: "));
    daemon.unix("<15>app: debug, for nobody");
    let unmatched = || daemon.counters().input("log.sock")["unmatched"] == 1;
    wait_for("it to be counted", unmatched);
    daemon.setup().configure("user.*\t{dir}/user\n");
    daemon.reload();
    daemon.unix("<13>app: hello");
    daemon.file("user").wait_for("hello");
    daemon.finish();
}

#[test]
fn a_file_that_cannot_be_opened_is_told_once_and_had_later() {
    let daemon = Daemon::start("user.*\t{dir}/missing/user\nuser.*\t{dir}/other\n");
    for number in 0..200 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    let lines = daemon.file("other").wait_for_lines(200);
    assert_eq!(lines.len(), 200, "the rest works");
    let complaint = daemon.stderr().wait_for("missing/user");
    assert!(
        complaint.contains("No such file or directory"),
        "{complaint}"
    );
    daemon.prove();
    let said = daemon.stderr().all();
    let complaints = said
        .iter()
        .filter(|line| line.contains("missing/user"))
        .count();
    assert_eq!(complaints, 1, "once: {said:#?}");

    fs::create_dir(daemon.setup().path("missing")).expect("it can be made");
    // A reload makes it look at once, whatever the pause between two tries.
    daemon.reload();
    let lines = daemon.file("missing/user").wait_for_lines(200);
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line.ends_with(&format!(" app: number {number}.")),
            "{number}: {line}"
        );
    }
    daemon.quiet();
    daemon.finish();
}

#[test]
fn reliability_s6_what_is_no_log_file_is_refused() {
    let setup = Setup::new("user.*\t{dir}/directory\nuser.*\t{dir}/linked\nuser.*\t{dir}/fine\n");
    fs::create_dir(setup.path("directory")).expect("it can be made");
    setup.write("precious", "do not touch\n");
    fs::hard_link(setup.path("precious"), setup.path("linked")).expect("it can be made");
    let mut daemon = setup.start();
    daemon.unix("<13>app: hello");
    daemon.file("fine").wait_for("hello");
    for name in ["directory", "linked"] {
        daemon.stderr().wait_for(&format!("/{name}"));
    }
    assert_eq!(daemon.file("precious").lines(), ["do not touch"]);
    daemon.prove();
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.wait();
    let said = daemon.stderr().wait_for_end();
    assert!(
        said.iter()
            .any(|line| line.contains("2 messages were not written")),
        "{said:#?}"
    );
}

#[test]
fn a_link_of_our_own_is_followed_and_dev_null_is_a_file() {
    let setup = Setup::new("user.*\t{dir}/link\nuser.*\t/dev/null\n");
    std::os::unix::fs::symlink("target", setup.path("link")).expect("it can be made");
    let daemon = setup.start();
    daemon.unix("<13>app: hello");
    daemon.file("target").wait_for("hello");
    assert_eq!(daemon.quiet().output("/dev/null")["written"], 1);
    daemon.finish();
}
