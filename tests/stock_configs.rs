//! The configurations that other daemons ship load unchanged, and route every PRI as their own daemon would.
//!
//! What is right is derived here a second time, from the semantics alone: a naive reader of the grammar and
//! an evaluator for each algebra, which share nothing with the crate. `cargo test --test stock_configs --
//! --nocapture` prints the table.

#![expect(clippy::print_stderr, reason = "it prints a table on request")]

use std::sync::Arc;

use syslogd::cli::Dialect;
use syslogd::config::diagnostic::Severity as Bad;
use syslogd::config::{self, Loaded};
use syslogd::counters::OutputCounters;
use syslogd::format::{Escape, Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::pri::Pri;
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

/// A configuration: whose it is, the files, the first of them first, and how many rules they make.
struct Stock {
    name: &'static str,
    dialect: Dialect,
    files: &'static [(&'static str, &'static str)],
    rules: usize,
}

const MAIN: &str = "/etc/syslog.conf";

const STOCK: [Stock; 12] = [
    Stock {
        name: "sysklogd 2.7",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/sysklogd.conf"))],
        rules: 7,
    },
    Stock {
        name: "Gentoo sysklogd",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/sysklogd.conf"))],
        rules: 7,
    },
    Stock {
        name: "Buildroot",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/buildroot.conf"))],
        rules: 4,
    },
    Stock {
        name: "Debian inetutils",
        dialect: Dialect::Inetutils,
        files: &[(MAIN, include_str!("stock/inetutils.conf"))],
        rules: 18,
    },
    Stock {
        name: "the same by default",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/inetutils.conf"))],
        rules: 18,
    },
    Stock {
        name: "Yocto sysklogd",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/yocto.conf"))],
        rules: 17,
    },
    Stock {
        name: "NixOS",
        dialect: Dialect::Sysklogd1,
        files: &[(MAIN, include_str!("stock/nixos.conf"))],
        rules: 7,
    },
    Stock {
        name: "Slackware",
        dialect: Dialect::Sysklogd,
        files: &[(MAIN, include_str!("stock/slackware.conf"))],
        rules: 8,
    },
    Stock {
        name: "FreeBSD",
        dialect: Dialect::Freebsd,
        files: &[
            (MAIN, include_str!("stock/freebsd.conf")),
            (
                "/etc/syslog.d/ftp.conf",
                include_str!("stock/freebsd/ftp.conf"),
            ),
            (
                "/etc/syslog.d/lpr.conf",
                include_str!("stock/freebsd/lpr.conf"),
            ),
            (
                "/etc/syslog.d/ppp.conf",
                include_str!("stock/freebsd/ppp.conf"),
            ),
            ("/etc/syslog.d/.hidden.conf", "*.* /hidden"),
            ("/etc/syslog.d/README", "*.* /readme"),
        ],
        rules: 12,
    },
    Stock {
        name: "OpenBSD",
        dialect: Dialect::Openbsd,
        files: &[(MAIN, include_str!("stock/openbsd.conf"))],
        rules: 8,
    },
    Stock {
        name: "NetBSD",
        dialect: Dialect::Netbsd,
        files: &[(MAIN, include_str!("stock/netbsd.conf"))],
        rules: 10,
    },
    Stock {
        name: "DragonFly",
        dialect: Dialect::Freebsd,
        files: &[(MAIN, include_str!("stock/dragonfly.conf"))],
        rules: 12,
    },
];

#[test]
fn every_stock_configuration_routes_as_its_own_daemon_would() {
    for stock in &STOCK {
        let loaded = config::parse_files_as(stock.dialect.into(), stock.files);
        let errors = loaded.diagnostics.iter();
        let errors: Vec<String> = errors
            .filter(|found| found.severity == Bad::Error)
            .map(|found| found.render(&loaded.sources, false))
            .collect();
        assert_eq!(errors, [""; 0], "{}", stock.name);
        assert_eq!(loaded.config.rules.len(), stock.rules, "{}", stock.name);

        let naive = naive_rules(stock);
        let programs = programs(&naive);
        let ours = compile(&loaded);
        let mut wrong = Vec::new();
        let mut asked = 0;
        for program in &programs {
            for pri in Pri::all() {
                let want = naive_targets(&naive, program, pri);
                let got = targets(&loaded, &ours, program, pri);
                asked += 1;
                if got != want {
                    wrong.push(format!("{program} {}: {got:?}, not {want:?}", pri.value()));
                }
            }
        }
        eprintln!(
            "| {} | {} rules | {} of {asked} right |",
            stock.name,
            stock.rules,
            asked - wrong.len()
        );
        assert_eq!(wrong, [""; 0], "{}", stock.name);
    }
}

/// What the two evaluators could agree on and both have wrong.
#[test]
fn stock_configurations_do_what_was_measured() {
    for (name, program, pri, want) in [
        // stock-configs.md: mail.crit and news.err narrow what *.notice said.
        ("FreeBSD", "x", 2 * 8 + 5, &["/var/log/maillog"][..]),
        ("FreeBSD", "x", 7 * 8 + 5, &[]),
        (
            "FreeBSD",
            "ppp",
            8 + 5,
            &["/var/log/messages", "/var/log/ppp.log"],
        ),
        (
            "FreeBSD",
            "x",
            13 * 8 + 7,
            &["/var/log/debug.log", "/var/log/security"],
        ),
        ("FreeBSD", "devd", 13 * 8 + 7, &["/var/log/security"]),
        // One line, although two rules for the file take it.
        ("OpenBSD", "x", 3, &["/var/log/messages"]),
        ("OpenBSD", "x", 5 * 8 + 6, &["/var/log/messages"]),
        ("OpenBSD", "x", 5 * 8 + 7, &[]),
        // Both of `*.=info;*.=notice`.
        (
            "sysklogd 2.7",
            "x",
            8 + 6,
            &["/var/log/messages", "/var/log/syslog"],
        ),
        (
            "sysklogd 2.7",
            "x",
            8 + 5,
            &["/var/log/messages", "/var/log/syslog"],
        ),
        ("Slackware", "x", 8 + 4, &["/var/log/syslog"]),
        ("Slackware", "x", 8 + 5, &["/var/log/messages"]),
    ] {
        let stock = STOCK.iter().find(|stock| stock.name == name);
        let stock = stock.expect("one of them");
        let loaded = config::parse_files_as(stock.dialect.into(), stock.files);
        let pri = Pri::new(pri).expect("below 192");
        let got = targets(&loaded, &compile(&loaded), program, pri);
        assert_eq!(got, want, "{name} {program} {}", pri.value());
    }
}

fn compile(loaded: &Loaded) -> RoutingTable {
    let lane = |_| Lane {
        inbox: inbox("t".into(), 1, Arc::new(OutputCounters::default())).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::Text(Escape::Octal),
        },
        local_only: false,
        remote: None,
    };
    let lanes = (0..loaded.config.rules.len()).map(lane).collect();
    RoutingTable::compile(
        &loaded.config,
        lanes,
        |rule| Some(LaneId::from(rule)),
        Policy::default(),
    )
}

/// Where a local message goes, in alphabetical order, twice if it is written twice.
fn targets(loaded: &Loaded, table: &RoutingTable, program: &str, pri: Pri) -> Vec<String> {
    let colon = if program.is_empty() { "" } else { ": " };
    let text = format!("<{}>{program}{colon}text", pri.value());
    let message = Message::parse(text.as_bytes(), Sender::Local { hostname: b"host" });
    assert_eq!(message.app_name().unwrap_or_default(), program.as_bytes());
    let scene = Scene {
        hostname: b"host",
        source: b"host",
        own_name: b"host",
        program: None,
    };
    let mut found = Vec::new();
    table.route(
        &mut table.answers(),
        &message,
        scene,
        true,
        Class::Message,
        |lane| {
            found.push(loaded.config.rules[lane.index()].destination.to_string());
        },
    );
    found.sort();
    found
}

/// A rule as a simple daemon keeps it.
#[derive(Clone, Debug)]
struct Naive {
    target: String,
    /// `!-`, and the names.
    program: Option<(bool, Vec<String>)>,
    /// For each facility the severities that it takes; `None` if it takes no notice of it.
    masks: [Option<[bool; 8]>; 24],
}

fn naive_targets(rules: &[Naive], program: &str, pri: Pri) -> Vec<String> {
    let (facility, severity) = (usize::from(pri.value() / 8), usize::from(pri.value() % 8));
    let takes = |rule: &&Naive| {
        let in_block = rule
            .program
            .as_ref()
            .is_none_or(|(exclude, names)| names.iter().any(|name| name == program) != *exclude);
        in_block && rule.masks[facility].is_some_and(|mask| mask[severity])
    };
    let mut found: Vec<String> = rules
        .iter()
        .filter(takes)
        .map(|rule| rule.target.clone())
        .collect();
    found.sort();
    found
}

/// The names of the blocks, a name that no block has, and none.
fn programs(rules: &[Naive]) -> Vec<String> {
    let named = rules.iter().filter_map(|rule| rule.program.as_ref());
    let named = named.flat_map(|(_, names)| names.clone());
    let mut all: Vec<String> = named.chain(["other".into(), String::new()]).collect();
    all.sort();
    all.dedup();
    all
}

fn naive_rules(stock: &Stock) -> Vec<Naive> {
    let mut rules = Vec::new();
    naive_file(stock, stock.files[0].1, &mut rules);
    rules
}

fn naive_file(stock: &Stock, text: &str, rules: &mut Vec<Naive>) {
    let mut program = None;
    for line in text.replace("\\\n", "").lines().map(str::trim) {
        let (first, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim();
        if line.is_empty() || line.starts_with('#') || first == "secure_mode" {
            continue;
        }
        if let Some(names) = line.strip_prefix('!') {
            let list = names.strip_prefix('-').unwrap_or(names);
            let split = || list.split(',').map(str::to_owned).collect();
            program = (list != "*").then(|| (names.starts_with('-'), split()));
        } else if first == "include" {
            let inside = stock.files[1..].iter().filter(|(name, _)| {
                let name = name
                    .strip_prefix(rest)
                    .and_then(|name| name.strip_prefix('/'));
                name.is_some_and(|name| {
                    !name.starts_with('.') && name.split('.').next_back() == Some("conf")
                })
            });
            for (_, text) in inside {
                naive_file(stock, text, rules);
            }
        } else {
            // A continued selector may have lost the blanks between its parts.
            let (selector, action) = cut(line);
            let rule = Naive {
                target: action.strip_prefix('-').unwrap_or(action).to_owned(),
                program: program.clone(),
                masks: match stock.dialect {
                    Dialect::Freebsd | Dialect::Netbsd | Dialect::Openbsd => bsd(&selector),
                    Dialect::Sysklogd
                    | Dialect::Inetutils
                    | Dialect::Busybox
                    | Dialect::Sysklogd1 => linux(&selector, stock.dialect),
                },
            };
            add(rule, stock.dialect, rules);
        }
    }
}

/// The selector without its blanks, and the last word.
fn cut(line: &str) -> (String, &str) {
    let at = line.rfind([' ', '\t']).expect("a rule has two fields") + 1;
    let selector = line[..at].replace([' ', '\t'], "");
    (selector, &line[at..])
}

/// OpenBSD's `find_dup`: what a second rule for a file says of a facility replaces what the first said.
fn add(rule: Naive, dialect: Dialect, rules: &mut Vec<Naive>) {
    let same = |first: &&mut Naive| {
        dialect == Dialect::Openbsd
            && rule.target.starts_with('/')
            && first.target == rule.target
            && first.program == rule.program
    };
    match rules.iter_mut().find(same) {
        None => rules.push(rule),
        Some(first) => {
            for (mask, over) in first.masks.iter_mut().zip(rule.masks) {
                *mask = over.or(*mask);
            }
        }
    }
}

/// The parts of a selector: facility numbers, and what follows the dot.
fn parts(selector: &str, dialect: Dialect) -> Vec<(Vec<usize>, &str)> {
    let parts = selector.split(';').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (names, severity) = part.split_once('.').expect("a dot");
            let numbers = names.split(',').flat_map(|name| match name {
                "*" => (0..24).collect(),
                name => vec![facility(name, dialect)],
            });
            (numbers.collect(), severity)
        })
        .collect()
}

fn facility(name: &str, dialect: Dialect) -> usize {
    const NAMES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp",
    ];
    if let Some(number) = name.strip_prefix("local") {
        return 16 + number.parse::<usize>().expect("a digit");
    }
    if name == "security" {
        let glibc = [Dialect::Inetutils, Dialect::Busybox, Dialect::Sysklogd1];
        return if glibc.contains(&dialect) { 4 } else { 13 };
    }
    let number = NAMES.iter().position(|known| *known == name);
    number.expect("a facility")
}

fn severity(name: &str) -> usize {
    const NAMES: [&[&str]; 8] = [
        &["emerg", "panic"],
        &["alert"],
        &["crit"],
        &["err", "error"],
        &["warning", "warn"],
        &["notice"],
        &["info"],
        &["debug"],
    ];
    let number = NAMES.iter().position(|names| names.contains(&name));
    number.expect("a severity")
}

/// A bit mask for each facility; each part sets bits or clears them.
fn linux(selector: &str, dialect: Dialect) -> [Option<[bool; 8]>; 24] {
    let mut masks = [[false; 8]; 24];
    for (facilities, level) in parts(selector, dialect) {
        let (negated, level) = level
            .strip_prefix('!')
            .map_or((false, level), |l| (true, l));
        for number in facilities {
            let mask = &mut masks[number];
            match level {
                "none" => *mask = [false; 8],
                "*" => *mask = [!negated; 8],
                _ => match level.strip_prefix('=') {
                    Some(exact) => mask[severity(exact)] = !negated,
                    None => mask[..=severity(level)].fill(!negated),
                },
            }
        }
    }
    masks.map(Some)
}

/// One level and one comparison for each facility; each part replaces both.
fn bsd(selector: &str) -> [Option<[bool; 8]>; 24] {
    let mut pairs: [Option<(usize, &str)>; 24] = [None; 24];
    for (facilities, level) in parts(selector, Dialect::Freebsd) {
        let pair = match level {
            "none" => None,
            "*" => Some((7, "<=>")),
            _ => {
                let name = level.trim_start_matches(['<', '=', '>']);
                let comparison = &level[..level.len() - name.len()];
                let comparison = if comparison.is_empty() {
                    ">="
                } else {
                    comparison
                };
                Some((severity(name), comparison))
            }
        };
        for number in facilities {
            pairs[number] = pair;
        }
    }
    pairs.map(|pair| {
        pair.map(|(level, comparison)| {
            std::array::from_fn(|severity| {
                (comparison.contains('=') && severity == level)
                    || (comparison.contains('>') && severity < level)
                    || (comparison.contains('<') && severity > level)
            })
        })
    })
}
