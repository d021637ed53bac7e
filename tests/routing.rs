//! Routing: the compiled table picks what a walk over all rules would, and filters mean what
//! syslog.conf(5) says.

#[path = "routing/naive.rs"]
mod naive;

use std::sync::Arc;

use proptest::prelude::*;
use syslogd::cli::Dialect;
use syslogd::config::{self, Config, LoadOptions};
use syslogd::counters::OutputCounters;
use syslogd::format::{Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::pri::{Facility, Pri, Severity};
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

const OWN_NAME: &[u8] = b"LogHost";

/// A table with a lane for each rule, so that a lane tells which rule picked it.
fn compile(config: &Config, local_only: impl Fn(usize) -> bool) -> RoutingTable {
    compile_with(config, Policy::default(), local_only, |_| true)
}

fn compile_with(
    config: &Config,
    policy: Policy,
    local_only: impl Fn(usize) -> bool,
    kept: impl Fn(usize) -> bool,
) -> RoutingTable {
    let lane = |rule| Lane {
        inbox: inbox(String::new(), 0, Arc::new(OutputCounters::default())).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::None,
        },
        local_only: local_only(rule),
        remote: None,
    };
    RoutingTable::compile(
        config,
        (0..config.rules.len()).map(lane).collect(),
        |rule| kept(rule).then(|| LaneId::from(rule)),
        policy,
    )
}

fn picked(
    table: &RoutingTable,
    message: &Message<'_>,
    scene: Scene<'_>,
    local: bool,
    class: Class,
) -> Vec<usize> {
    let mut picked = Vec::new();
    table.route(&mut table.answers(), message, scene, local, class, |lane| {
        picked.push(lane.index());
    });
    picked
}

// ---- the property ----

/// The facilities that some families name and others do not.
const UNCOMMON: [&str; 4] = ["ntp", "security", "console", "clock"];

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::ALL.map(|(dialect, _)| dialect).to_vec())
}

fn facility(dialect: Dialect) -> impl Strategy<Value = String> {
    let own: &[&str] = match dialect {
        Dialect::Sysklogd => &["ntp", "security", "console", "clock", "audit", "Auth"],
        Dialect::Freebsd => &["ntp", "security", "console"],
        Dialect::Inetutils | Dialect::Busybox | Dialect::Sysklogd1 => &["security"],
        Dialect::Openbsd | Dialect::Netbsd => &["Auth"],
    };
    let names = Facility::ALL.map(|facility| facility.name().to_owned());
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| !UNCOMMON.contains(&name.as_str()))
        .collect();
    let upper: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
    let numbers = u32::from(dialect != Dialect::Openbsd);
    prop_oneof![
        4 => prop::sample::select(names),
        1 => prop::sample::select(upper),
        numbers => (0..Facility::COUNT).prop_map(|number| (number * 8).to_string()),
        3 => Just("*".to_owned()),
        1 => Just("mark".to_owned()),
        1 => prop::sample::select(own),
    ]
}

fn severity(dialect: Dialect) -> impl Strategy<Value = String> {
    let operators: &[&str] = match dialect {
        Dialect::Sysklogd | Dialect::Freebsd | Dialect::Netbsd => &[
            "", "=", "!", "!=", "<", "<=", ">", ">=", "<>", "!<", "!<=", "!>", "!<>",
        ],
        Dialect::Inetutils | Dialect::Busybox | Dialect::Sysklogd1 => &["", "=", "!", "!="],
        Dialect::Openbsd => &[""],
    };
    let others: &[&str] = if dialect == Dialect::Openbsd {
        &["panic", "error", "warn", "INFO"]
    } else {
        &["panic", "error", "warn", "INFO", "7", "0"]
    };
    let whole: &[&str] = if dialect.is_bsd() {
        &["*", "none"]
    } else {
        &["*", "none", "!*", "!none"]
    };
    let names = Severity::ALL.map(|severity| severity.name().to_owned());
    let level = prop_oneof![
        6 => prop::sample::select(names.to_vec()),
        1 => prop::sample::select(others).prop_map(str::to_owned),
    ];
    prop_oneof![
        5 => (prop::sample::select(operators), level)
            .prop_map(|(operator, level)| format!("{operator}{level}")),
        2 => prop::sample::select(whole).prop_map(str::to_owned),
    ]
}

fn selector(dialect: Dialect) -> impl Strategy<Value = String> {
    let facilities = prop::collection::vec(facility(dialect), 1..4);
    let part = (facilities, severity(dialect))
        .prop_map(|(facilities, severity)| format!("{}.{severity}", facilities.join(",")));
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join(";"))
}

const PROGRAMS: [&str; 5] = ["sshd", "cron", "CRON", "su", "ssh"];
const HOSTS: [&str; 5] = ["alpha", "ALPHA", "loghost", "beta.example.net", "gamma"];
const TEXTS: [&str; 8] = [
    "disk error 17",
    "Disk Error 17",
    "error",
    "",
    "a \"quoted\" \\ text",
    "räksmörgås",
    "err",
    "17",
];

fn block(dialect: Dialect) -> impl Strategy<Value = String> {
    // OpenBSD's quick blocks and patterns.
    let quick = u32::from(dialect == Dialect::Openbsd);
    let list = |names: &'static [&str], more: &'static [&str]| {
        let names: Vec<&str> = names.iter().chain(more).copied().collect();
        prop::collection::vec(prop::sample::select(names), 1..4).prop_map(|names| names.join(","))
    };
    let literal = prop::sample::select(
        TEXTS
            .iter()
            .chain(&PROGRAMS)
            .chain(&HOSTS)
            .copied()
            .collect::<Vec<_>>(),
    )
    .prop_map(|text| text.replace('\\', "\\\\").replace('"', "\\\""));
    let pattern = prop::sample::select(vec![
        "^disk",
        "[0-9]+$",
        "err(or)?",
        "^$",
        ".",
        "a|b",
        "^s",
        "x@1 ",
        "\\.net$",
        "id[[:digit:]]",
    ])
    .prop_map(|pattern| pattern.replace('\\', "\\\\"));
    let test = prop_oneof![
        (
            prop::sample::select(vec!["contains", "isequal", "startswith"]),
            literal
        ),
        (prop::sample::select(vec!["regex", "ereregex"]), pattern),
    ];
    let filter = (
        prop::sample::select(vec![
            "msg",
            "programname",
            "hostname",
            "source",
            "msgid",
            "sd",
            "data",
        ]),
        prop::sample::select(vec!["", "!", "icase_", "!icase_"]),
        test,
    )
        .prop_map(|(property, prefix, (operator, value))| {
            format!(":{property}, {prefix}{operator}, \"{value}\"")
        });
    prop_oneof![
        3 => (prop::sample::select(vec!["!", "!+", "!-", "#!"]), list(&PROGRAMS, &[]))
            .prop_map(|(mark, names)| format!("{mark}{names}")),
        3 => (prop::sample::select(vec!["+", "-"]), list(&HOSTS, &["@"]))
            .prop_map(|(mark, names)| format!("{mark}{names}")),
        3 * quick => (prop::sample::select(vec!["!!", "!"]), list(&PROGRAMS, &["s*", "[cC]r?n"]))
            .prop_map(|(mark, names)| format!("{mark}{names}")),
        3 * quick => (prop::sample::select(vec!["++", "+"]), list(&HOSTS, &["*a", "beta.*"]))
            .prop_map(|(mark, names)| format!("{mark}{names}")),
        4 => filter,
        2 => prop::sample::select(vec!["!*", "+*", ":*"]).prop_map(str::to_owned),
    ]
}

/// A file: rules, blocks, and a place where another file is included.
fn file(dialect: Dialect, include: &'static str) -> impl Strategy<Value = String> {
    let blanks: &[&str] = if dialect.is_bsd() {
        &["\t", "  "]
    } else {
        &["\t", "  ", " \\\n\t"]
    };
    let line = prop_oneof![
        5 => (selector(dialect), prop::sample::select(blanks))
            .prop_map(|(selector, blank)| format!("{selector}{blank}/var/log/x")),
        3 => block(dialect),
        1 => Just(include.to_owned()),
        1 => Just("# nothing\n".to_owned()),
    ];
    prop::collection::vec(line, 0..16).prop_map(|lines| lines.join("\n") + "\n")
}

/// Three files of a dialect, each of which may include the next.
fn files() -> impl Strategy<Value = (Dialect, [String; 3])> {
    dialect().prop_flat_map(|dialect| {
        let files = [
            file(dialect, "include b.conf").boxed(),
            file(dialect, "include c.conf").boxed(),
            file(dialect, "").boxed(),
        ];
        (Just(dialect), files)
    })
}

/// What follows PRI.
fn unprioritised() -> impl Strategy<Value = String> {
    let word = |words: &'static [&str]| prop::sample::select(words.to_vec());
    let rfc3164 = (word(&HOSTS), word(&PROGRAMS), word(&TEXTS))
        .prop_map(|(host, program, text)| format!("Oct 11 22:14:15 {host} {program}[7]: {text}"));
    let rfc5424 = (
        word(&HOSTS),
        word(&["sshd", "cron", "su", "-"]),
        word(&["-", "id7", "error"]),
        word(&["-", "[x@1 a=\"error\"]", "[alpha b=\"17\"]"]),
        word(&TEXTS),
    )
        .prop_map(|(host, program, msg_id, sd, text)| {
            format!("1 2003-10-11T22:14:15Z {host} {program} - {msg_id} {sd} {text}")
        });
    prop_oneof![rfc3164, rfc5424, word(&TEXTS).prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_picks_what_a_walk_over_all_rules_would(
        (dialect, [a, b, c]) in files(),
        texts in prop::collection::vec(unprioritised(), 1..4),
        host in prop::sample::select(HOSTS.to_vec()),
        source in prop::sample::select(vec!["192.0.2.17", "LogHost"]),
        left_out in any::<u64>(),
        local_only in any::<u64>(),
        local in any::<bool>(),
    ) {
        let bit = |bits: u64, rule: usize| bits >> (rule % 64) & bits >> (rule % 7) & 1 == 1;
        let named = [("a.conf", a.as_str()), ("b.conf", &b), ("c.conf", &c)];
        let loaded = config::parse_files_as(dialect.into(), &named);
        prop_assert!(!loaded.has_errors(), "{:?}\n{}\n{:?}", dialect, a, loaded.diagnostics);
        let rules = &loaded.config.rules;
        let table = compile_with(
            &loaded.config,
            Policy::default(),
            |rule| bit(local_only, rule),
            |rule| !bit(left_out, rule),
        );
        let scene = Scene { hostname: host.as_bytes(), source: source.as_bytes(), own_name: OWN_NAME, program: None };
        let agree = |message: &Message<'_>, class| {
            let mut want = naive::route(rules, message, scene, class);
            want.retain(|rule| !bit(left_out, *rule) && (local || !bit(local_only, *rule)));
            (picked(&table, message, scene, local, class), want)
        };
        for text in &texts {
            let octets = format!("<13>{text}");
            let message = Message::parse(octets.as_bytes(), Sender::Remote);
            for pri in Pri::all() {
                let (got, want) = agree(&message.with_pri(pri), Class::Message);
                prop_assert_eq!(got, want, "{:?} {}", pri, octets);
            }
            let (got, want) = agree(&message, Class::Mark);
            prop_assert_eq!(got, want, "mark {}", octets);
        }
    }

    #[test]
    fn a_selector_is_its_parts_from_left_to_right(
        (dialect, selector) in dialect().prop_flat_map(|dialect| (Just(dialect), selector(dialect))),
        exact in any::<bool>(),
    ) {
        let text = format!("{selector}\t/var/log/x\n");
        let options = LoadOptions { dialect, exact };
        let loaded = config::parse_files_as(options, &[("a.conf", &text)]);
        prop_assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let rule = &loaded.config.rules[0];
        for pri in Pri::all() {
            let want = says(options, &selector, pri.facility().name(), pri.severity());
            prop_assert_eq!(rule.selector.contains(pri), want, "{:?} {:?}", options, pri);
        }
        let want = says(options, &selector, "mark", Severity::Informational);
        prop_assert_eq!(rule.marks, want, "{:?} mark", options);
    }
}

/// What the parts that speak of this facility say of a severity, one after the other: under Linux each adds or
/// takes away, on the BSDs each replaces what was said before. Nothing is selected before the first.
fn says(options: LoadOptions, selector: &str, facility: &str, severity: Severity) -> bool {
    let is_bsd = options.dialect.is_bsd();
    let mut selected = false;
    for part in selector.split(';') {
        let (facilities, level) = part.split_once('.').expect("generated with a dot");
        let star = !(is_bsd && facility == "mark");
        let speaks =
            |name: &str| name == "*" && star || facility_of(options.dialect, name) == facility;
        if !facilities.split(',').any(speaks) {
            continue;
        }
        let (negated, level) = level
            .strip_prefix('!')
            .map_or((false, level), |level| (true, level));
        let named = level.trim_start_matches(['<', '=', '>']);
        let operator = match &level[..level.len() - named.len()] {
            "" if options.exact => "=",
            "" => "=>",
            written => written,
        };
        let taken = match named.to_ascii_lowercase().as_str() {
            "*" => true,
            "none" if is_bsd => false,
            // It takes everything away, or with ! the contrary.
            "none" => {
                selected = negated;
                continue;
            }
            name => {
                let level = severity_of(name);
                // "Higher" is more urgent, which has the smaller number.
                operator.contains('=') && severity == level
                    || operator.contains('>') && severity < level
                    || operator.contains('<') && severity > level
            }
        };
        selected = match (is_bsd, taken) {
            (true, taken) => taken != negated,
            (false, true) => !negated,
            (false, false) => selected,
        };
    }
    selected
}

/// Our own name of the facility that a family means by `name`.
fn facility_of(dialect: Dialect, name: &str) -> String {
    let number = name.parse().ok();
    let number = number.and_then(|number: usize| Facility::ALL.get(number / 8));
    match (number, name.to_ascii_lowercase().as_str(), dialect) {
        (Some(facility), _, _) => facility.name().to_owned(),
        (None, "audit", _) => "security".to_owned(),
        (None, "security", Dialect::Inetutils | Dialect::Busybox | Dialect::Sysklogd1) => {
            "auth".to_owned()
        }
        (None, name, _) => name.to_owned(),
    }
}

fn severity_of(name: &str) -> Severity {
    match name {
        "panic" | "0" => Severity::Emergency,
        "error" => Severity::Error,
        "warn" => Severity::Warning,
        "7" => Severity::Debug,
        name => Severity::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .expect("generated"),
    }
}

// ---- what a filter means ----

/// Which rules of `text` take each message from each host, by their places in it.
fn assert_takes(text: &str, cases: &[(&str, &str, &[usize])]) {
    let loaded = config::parse_str("a.conf", text);
    assert!(!loaded.has_errors(), "{text}\n{:?}", loaded.diagnostics);
    let table = compile(&loaded.config, |_| false);
    for (octets, host, want) in cases {
        let scene = Scene {
            hostname: host.as_bytes(),
            source: b"192.0.2.17",
            own_name: OWN_NAME,
            program: None,
        };
        let message = Message::parse(octets.as_bytes(), Sender::Remote);
        let got = picked(&table, &message, scene, true, Class::Message);
        assert_eq!(&got, want, "{octets} from {host} with\n{text}");
    }
}

const SSHD: &str = "<38>Oct 11 22:14:15 alpha sshd[7]: Failed password";
const CRON: &str = "<38>Oct 11 22:14:15 alpha CRON[7]: Failed to run";
const BARE: &str = "<38>no tag at all";
const FULL: &str = "<38>1 2003-10-11T22:14:15Z alpha sshd 7 LOGIN [x@1 user=\"joe\"] Failed";

#[test]
fn a_program_block_compares_whole_names_and_their_case() {
    assert_takes(
        "!sshd,su\n*.* /0\n!-sshd\n*.* /1\n!cron\n*.* /2\n!ssh\n*.* /3\n!*\n*.* /4\n",
        &[
            (SSHD, "alpha", &[0, 4]),
            (CRON, "alpha", &[1, 4]),
            (FULL, "alpha", &[0, 4]),
        ],
    );
}

#[test]
fn a_message_without_a_program_is_none_of_those_named() {
    assert_takes("!sshd\n*.* /0\n!-sshd\n*.* /1\n", &[(BARE, "alpha", &[1])]);
}

#[test]
fn a_host_block_compares_whole_names_without_regard_to_case() {
    assert_takes(
        "+ALPHA,beta\n*.* /0\n-alpha\n*.* /1\n+alpha.example.net\n*.* /2\n+*\n*.* /3\n",
        &[
            (SSHD, "alpha", &[0, 3]),
            (SSHD, "Beta", &[0, 1, 3]),
            (SSHD, "gamma", &[1, 3]),
        ],
    );
}

#[test]
fn a_host_block_may_name_a_host_with_a_domain_that_lines_do_not_show() {
    let text = "+web.example.org\n*.* /0\n-WEB.Example.org\n*.* /1\n+web.example.net\n*.* /2\n";
    let loaded = config::parse_str("a.conf", text);
    let policy = Policy {
        domains: vec![String::new(), "example.org".to_owned()],
        ..Policy::default()
    };
    let table = compile_with(&loaded.config, policy, |_| false, |_| true);
    let message = Message::parse(SSHD.as_bytes(), Sender::Remote);
    for (host, want) in [
        ("web", &[0][..]),
        ("Web.example.org", &[0]), // as the message claims, with -H
        ("web.example.net", &[1, 2]),
        ("mail", &[1]),
    ] {
        let scene = Scene {
            hostname: host.as_bytes(),
            source: b"192.0.2.17",
            own_name: OWN_NAME,
            program: None,
        };
        let got = picked(&table, &message, scene, true, Class::Message);
        assert_eq!(got, want, "{host}");
    }
}

#[test]
fn an_at_sign_in_a_host_block_is_this_host() {
    assert_takes(
        "+@\n*.* /0\n-@\n*.* /1\n+@,alpha\n*.* /2\n",
        &[
            (SSHD, "loghost", &[0, 2]),
            (SSHD, "alpha", &[1, 2]),
            (SSHD, "@", &[1]),
        ],
    );
}

#[test]
fn all_blocks_in_force_must_hold() {
    assert_takes(
        "!sshd\n+alpha\n:msg, contains, \"password\"\n*.* /0\nmail.* /1\n:*\n*.* /2\n",
        &[
            (SSHD, "alpha", &[0, 2]),
            (SSHD, "beta", &[]),
            (CRON, "alpha", &[]),
            (FULL, "alpha", &[2]),
        ],
    );
}

#[test]
fn a_negated_filter_takes_what_the_test_refuses() {
    assert_takes(
        concat!(
            ":msg, contains, \"failed\"\n*.* /0\n",
            ":msg, !contains, \"failed\"\n*.* /1\n",
            ":msg, icase_contains, \"FAILED\"\n*.* /2\n",
            ":msg, !icase_contains, \"FAILED\"\n*.* /3\n",
            ":msg, ereregex, \"^Failed (password|to)\"\n*.* /4\n",
            ":msg, !ereregex, \"^Failed (password|to)\"\n*.* /5\n",
        ),
        &[
            (SSHD, "alpha", &[1, 2, 4]),
            (FULL, "alpha", &[1, 2, 5]),
            (BARE, "alpha", &[1, 3, 5]),
        ],
    );
}

#[test]
fn a_property_that_is_absent_passes_no_test_not_even_a_negated_one() {
    assert_takes(
        concat!(
            ":msgid, isequal, \"LOGIN\"\n*.* /0\n",
            ":msgid, !isequal, \"LOGIN\"\n*.* /1\n",
            ":sd, contains, \"joe\"\n*.* /2\n",
            ":sd, !contains, \"joe\"\n*.* /3\n",
            ":programname, !isequal, \"su\"\n*.* /4\n",
            ":msgid, contains, \"\"\n*.* /5\n",
        ),
        &[
            (FULL, "alpha", &[0, 2, 4, 5]),
            (SSHD, "alpha", &[4]),
            (BARE, "alpha", &[]),
        ],
    );
}

#[test]
fn filters_see_the_host_as_the_line_shows_it_and_the_address_as_it_came() {
    assert_takes(
        concat!(
            ":hostname, isequal, \"gate\"\n*.* /0\n",
            ":hostname, isequal, \"alpha\"\n*.* /1\n",
            ":source, startswith, \"192.0.2.\"\n*.* /2\n",
            ":source, isequal, \"gate\"\n*.* /3\n",
        ),
        &[(SSHD, "gate", &[0, 2])],
    );
}

#[test]
fn lanes_for_local_messages_are_closed_to_the_network() {
    let loaded = config::parse_str("a.conf", "*.* /0\n*.* /1\n*.* /2\n");
    let table = compile(&loaded.config, |rule| rule == 1);
    let scene = Scene {
        hostname: b"alpha",
        source: b"192.0.2.17",
        own_name: OWN_NAME,
        program: None,
    };
    let message = Message::parse(SSHD.as_bytes(), Sender::Remote);
    for (local, want) in [(true, &[0, 1, 2][..]), (false, &[0, 2])] {
        assert_eq!(
            picked(&table, &message, scene, local, Class::Message),
            want,
            "local: {local}"
        );
    }
}

#[test]
fn marks_go_where_a_selector_names_them_and_nowhere_by_their_pri() {
    let text =
        "mark.* /0\n*.* /1\nsyslog.* /2\nmark.info;*.none /3\nmark.=err /4\n*.*;mark.none /5\n";
    let loaded = config::parse_str("a.conf", text);
    let table = compile(&loaded.config, |_| false);
    let scene = Scene {
        hostname: OWN_NAME,
        source: OWN_NAME,
        own_name: OWN_NAME,
        program: None,
    };
    let message = Message::parse(b"<46>-- MARK --", Sender::Remote);
    for (class, want) in [(Class::Mark, &[0, 1][..]), (Class::Message, &[1, 2, 5])] {
        assert_eq!(
            picked(&table, &message, scene, true, class),
            want,
            "{class:?}"
        );
    }
}

#[test]
fn kern_is_the_kernels_alone_unless_kept() {
    let pri = |value| Pri::new(value).expect("in range");
    for (keep_kern, from_kernel, came, want) in [
        (false, false, 3, 11), // kern.err becomes user.err
        (false, true, 3, 3),
        (true, false, 3, 3),
        (false, false, 38, 38), // only kern is special
    ] {
        let policy = Policy {
            keep_kern,
            ..Policy::default()
        };
        let got = policy.admitted(pri(came), from_kernel);
        assert_eq!(got.value(), want, "{keep_kern} {from_kernel} {came}");
    }
}

#[test]
fn a_quick_block_ends_the_search_for_table_and_walk_alike() {
    let text = "!!s*\n*.* /0\nmail.* /1\n!*\n++alpha,g?mma\n:msg, contains, \"F\"\nauth.* /2\n:*\n+*\n*.* /3\n";
    let loaded = config::parse_files_as(Dialect::Openbsd.into(), &[("a.conf", text)]);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let table = compile(&loaded.config, |_| false);
    for (octets, host, want) in [
        (SSHD, "beta", &[0][..]),
        (CRON, "Gamma", &[2]),
        (CRON, "beta", &[3]),
        (BARE, "alpha", &[3]),
    ] {
        let scene = Scene {
            hostname: host.as_bytes(),
            source: b"192.0.2.17",
            own_name: OWN_NAME,
            program: None,
        };
        let message = Message::parse(octets.as_bytes(), Sender::Remote);
        let got = picked(&table, &message, scene, true, Class::Message);
        assert_eq!(got, want, "{octets} from {host}");
        let walked = naive::route(&loaded.config.rules, &message, scene, Class::Message);
        assert_eq!(got, walked, "{octets} from {host}");
    }
}
