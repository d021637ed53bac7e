//! Which messages a selector takes: the algebra of Linux, over all 192 PRIs.

use std::fmt::Write as _;

use crate::support::Daemon;

const KERN: u8 = 0;
const USER: u8 = 1;
const MAIL: u8 = 2;
const AUTH: u8 = 4;
const NEWS: u8 = 7;
const CRON: u8 = 9;
const AUTHPRIV: u8 = 10;
const SECURITY: u8 = 13;
const LOCAL7: u8 = 23;

const CRIT: u8 = 2;
const ERR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFO: u8 = 6;
const DEBUG: u8 = 7;

/// Whether a selector takes a facility and a severity.
type Takes = fn(u8, u8) -> bool;

/// A selector and what it means, said in another way.
const SELECTORS: [(&str, Takes); 24] = [
    ("*.*", |_, _| true),
    ("*.debug", |_, _| true),
    ("*.info", |_, s| s <= INFO),
    ("*.emerg", |_, s| s == 0),
    ("*.panic", |_, s| s == 0),
    ("*.warn", |_, s| s <= WARNING),
    ("mail.*", |f, _| f == MAIL),
    ("MAIL.Err", |f, s| f == MAIL && s <= ERR),
    ("mail.error", |f, s| f == MAIL && s <= ERR),
    ("mail.=info", |f, s| f == MAIL && s == INFO),
    ("mail.!info", |_, _| false),
    ("mail.*;mail.!err", |f, s| f == MAIL && s > ERR),
    ("mail.*;mail.!=err", |f, s| f == MAIL && s != ERR),
    ("*.*;mail,news.none", |f, _| f != MAIL && f != NEWS),
    ("*.=debug;*.=crit", |_, s| s == DEBUG || s == CRIT),
    ("auth,authpriv.*", |f, _| f == AUTH || f == AUTHPRIV),
    ("*.notice;kern.debug", |f, s| s <= NOTICE || f == KERN),
    ("*.info;mail.none;cron.none;authpriv.none", |f, s| {
        s <= INFO && ![MAIL, CRON, AUTHPRIV].contains(&f)
    }),
    ("kern.none;*.crit", |_, s| s <= CRIT),
    ("local7.*;*.crit", |f, s| f == LOCAL7 || s <= CRIT),
    ("security.*", |f, _| f == SECURITY),
    ("8.5", |f, s| f == USER && s <= NOTICE),
    ("user.*;user.!=5", |f, s| f == USER && s != NOTICE),
    ("*.*;*.!warning;user.none", |f, s| s > WARNING && f != USER),
];

#[test]
fn each_of_the_192_pris_goes_where_the_selectors_say() {
    let mut config = String::new();
    for (index, (selector, _)) in SELECTORS.iter().enumerate() {
        writeln!(config, "{selector}\t{{dir}}/file{index}").expect("a String takes all");
    }
    // "mail.!info" alone takes nothing, and is said to.
    let daemon = Daemon::with(&["-k"], &config);
    for pri in 0..192 {
        daemon.unix(format!("<{pri}>probe: {pri}."));
    }
    daemon.file("file0").wait_for("probe: 191.");
    daemon.quiet();
    for (index, (selector, takes)) in SELECTORS.iter().enumerate() {
        let lines = daemon.file(&format!("file{index}")).lines();
        let probes = lines
            .iter()
            .filter_map(|line| line.split(" probe: ").nth(1));
        let got: Vec<_> = probes.map(str::to_owned).collect();
        let wanted = (0..192).filter(|pri| takes(pri / 8, pri % 8));
        let want: Vec<_> = wanted.map(|pri| format!("{pri}.")).collect();
        assert_eq!(got, want, "{selector}");
    }
    daemon.finish();
}

#[test]
fn a_line_goes_on_behind_a_backslash_and_a_hash_begins_a_comment() {
    let daemon = Daemon::start(
        "# all but mail\n\
         *.info;\\\n    mail.none;\\\n\tnews.none   {dir}/all   # at the end\n\
         \n   \n\
         mail.*   -{dir}/mail\n",
    );
    daemon.unix("<22>app: for mail");
    daemon.unix("<14>app: for all");
    daemon.file("all").wait_for("for all");
    daemon.file("mail").wait_for("for mail");
    daemon.quiet();
    assert!(
        !daemon
            .file("all")
            .lines()
            .iter()
            .any(|line| line.contains("for mail"))
    );
    daemon.finish();
}

#[test]
fn a_message_that_no_rule_takes_is_counted_as_unmatched() {
    let daemon = Daemon::start("mail.*\t{dir}/mail\n");
    daemon.unix("<13>app: for nobody");
    daemon.unix("<22>app: for mail");
    daemon.file("mail").wait_for("for mail");
    let counters = daemon.quiet();
    assert_eq!(counters.input("log.sock")["unmatched"], 1);
    assert_eq!(counters.input("log.sock")["routed"], 1);
    daemon.finish();
}

#[test]
fn two_rules_for_one_file_write_twice() {
    let daemon = Daemon::start("mail.*\t{dir}/both\n*.err\t{dir}/both\n");
    daemon.unix("<19>app: twice");
    daemon.unix("<22>app: once");
    let lines = daemon.file("both").wait_for_lines(3);
    let twice = lines.iter().filter(|line| line.contains("twice")).count();
    // The second may have been folded into a count, as any repeat.
    assert_eq!((twice, lines.len()), (2, 3), "{lines:?}");
    daemon.finish();
}
