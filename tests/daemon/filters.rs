//! Blocks and property filters: what a rule asks after its selector said yes.

use std::fmt::Write as _;

use crate::support::{Daemon, hostname};

/// The texts that a file holds, in their order.
fn texts(daemon: &Daemon, file: &str) -> Vec<String> {
    let lines = daemon.file(file).lines();
    lines
        .iter()
        .filter_map(|line| Some(line.rsplit_once(": ")?.1.to_owned()))
        .collect()
}

#[test]
fn a_program_block_holds_for_the_rules_below_it() {
    let daemon = Daemon::start(
        "user.*\t{dir}/everything\n\
         !sshd,sudo\n\
         user.*\t{dir}/these\n\
         user.=err\t{dir}/these-err\n\
         !-cron\n\
         user.*\t{dir}/not-cron\n\
         !*\n\
         user.*\t{dir}/end\n",
    );
    for message in [
        "<14>sshd[1]: 1",
        "<14>sudo: 2",
        "<11>sudo: 3",
        "<14>cron[7]: 4",
        "<14>sshd-session: 5",
        "<14>no tag here",
        "<14>1 - - sshd 9 - - 6",
        "<14>end: last",
    ] {
        daemon.unix(message);
    }
    daemon.file("end").wait_for("end: last");
    daemon.quiet();
    assert_eq!(texts(&daemon, "these"), ["1", "2", "3", "6"]);
    assert_eq!(texts(&daemon, "these-err"), ["3"]);
    let not_cron = daemon.file("not-cron").lines();
    assert_eq!(not_cron.len(), 7);
    assert!(
        !not_cron.iter().any(|line| line.contains("cron[")),
        "{not_cron:?}"
    );
    assert_eq!(daemon.file("everything").lines().len(), 8);
    daemon.finish();
}

#[test]
fn a_host_block_holds_for_the_rules_below_it() {
    let host = hostname();
    let config = format!(
        "+gateway,switch1\n\
         local7.*\t{{dir}}/network\n\
         -gateway\n\
         local7.*\t{{dir}}/not-gateway\n\
         +{host}\n\
         local7.*\t{{dir}}/named\n\
         +@\n\
         local7.*\t{{dir}}/local\n\
         +*\n\
         local7.*\t{{dir}}/all\n"
    );
    let daemon = Daemon::with(&["-H"], &config);
    daemon.udp("<190>Nov 22 11:00:00 gateway app: 1");
    daemon.udp("<190>Nov 22 11:00:00 GATEWAY app: 2");
    daemon.udp("<190>Nov 22 11:00:00 switch1 app: 3");
    daemon.udp("<190>Nov 22 11:00:00 switch10 app: 4");
    daemon.file("all").wait_for("switch10");
    daemon.unix("<190>app: 5");
    daemon.file("all").wait_for_lines(5);
    daemon.quiet();
    assert_eq!(texts(&daemon, "network"), ["1", "2", "3"]);
    assert_eq!(texts(&daemon, "not-gateway"), ["3", "4", "5"]);
    assert_eq!(texts(&daemon, "local"), ["5"]);
    assert_eq!(texts(&daemon, "named"), ["5"]);
    daemon.finish();
}

/// A property filter, and those of the messages of the test that pass it.
const FILTERS: [(&str, &[&str]); 17] = [
    (":msg, contains, \"memory\"", &["1"]),
    (":msg, contains, \"Memory\"", &["2"]),
    (":msg, icase_contains, \"MEMORY\"", &["1", "2"]),
    (":msg, !icase_contains, \"memory\"", &["3", "4", "5"]),
    (":msg, startswith, \"out of\"", &["1"]),
    (":msg, isequal, \"3\"", &["3"]),
    (":msg, !isequal, \"3\"", &["1", "2", "4", "5"]),
    (":msg, contains, \"say \\\"4\\\"\"", &["4"]),
    (":msg, regex, \"^out of .* 1$\"", &["1"]),
    (":msg, regex, \"\\(o\\|O\\)ut of\"", &["1", "2"]),
    (":msg, eregex, \"^(o|O)ut of\"", &["1", "2"]),
    (":msg, icase_eregex, \"^OUT OF\"", &["1", "2"]),
    (":programname, isequal, \"dhcpd\"", &["3", "4"]),
    (":programname, !eregex, \"^(dhcpd|named)$\"", &["1", "2"]),
    (":msgid, isequal, \"ID47\"", &["5"]),
    (":data, contains, \"iut=\"", &["5"]),
    (":source, isequal, \"127.0.0.1\"", &["5"]),
];

#[test]
fn a_property_filter_holds_for_the_rules_below_it() {
    let mut config = "user.*\t{dir}/all\n".to_owned();
    for (index, (filter, _)) in FILTERS.iter().enumerate() {
        writeln!(config, "{filter}\nuser.*\t{{dir}}/file{index}").expect("a String takes all");
    }
    let daemon = Daemon::start(&config);
    daemon.unix("<14>kernel: out of memory 1");
    daemon.unix("<14>kernel: Out of Memory 2");
    daemon.unix("<14>dhcpd[9]: 3");
    daemon.unix("<14>dhcpd[9]: say \"4\"");
    daemon.file("all").wait_for_lines(4);
    daemon.udp("<14>1 - - named - ID47 [x@1 iut=\"3\"] 5");
    daemon.file("all").wait_for_lines(5);
    daemon.quiet();
    for (index, (filter, want)) in FILTERS.iter().enumerate() {
        let lines = daemon.file(&format!("file{index}")).lines();
        let last = |line: &String| line.chars().rev().find(char::is_ascii_digit);
        let got: Vec<_> = lines.iter().filter_map(last).map(String::from).collect();
        assert_eq!(got, *want, "{filter}");
    }
    daemon.finish();
}

#[test]
fn reliability_v10_a_hostile_text_does_not_hold_a_regular_expression() {
    let daemon = Daemon::start(
        ":msg, eregex, \"(a+)+$\"\n\
         user.*\t{dir}/matched\n\
         :*\n\
         user.*\t{dir}/all\n",
    );
    for number in 0..50 {
        daemon.unix(format!("<14>app: {}!{number}.", "a".repeat(8000)));
    }
    daemon.file("all").wait_for("!49.");
    daemon.quiet();
    assert_eq!(daemon.file("matched").lines(), [""; 0]);
    daemon.finish();
}
