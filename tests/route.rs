//! The compiled table is faster than walking over all rules, and decides the same.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use syslogd::config;
use syslogd::format::{Escape, Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

/// The names of facilities 0 to 23.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// The names of severities 0 to 7.
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// One part of a selector.
#[derive(Clone, Debug)]
struct Part {
    /// Nothing is `*`.
    facilities: Vec<usize>,
    severity: Priority,
}

#[derive(Clone, Copy, Debug)]
enum Priority {
    All,
    None,
    From {
        severity: usize,
        exact: bool,
        not: bool,
    },
}

impl Part {
    fn text(&self) -> String {
        let names: Vec<_> = self
            .facilities
            .iter()
            .map(|facility| FACILITIES[*facility])
            .collect();
        let facilities = if names.is_empty() {
            "*".to_owned()
        } else {
            names.join(",")
        };
        let priority = match self.severity {
            Priority::All => "*".to_owned(),
            Priority::None => "none".to_owned(),
            Priority::From {
                severity,
                exact,
                not,
            } => {
                let (not, exact) = (if not { "!" } else { "" }, if exact { "=" } else { "" });
                format!("{not}{exact}{}", SEVERITIES[severity])
            }
        };
        format!("{facilities}.{priority}")
    }

    /// What this part makes of the verdict of those before it (syslog.conf(5) on Linux).
    fn applied(&self, taken: bool, facility: usize, severity: usize) -> bool {
        if !self.facilities.is_empty() && !self.facilities.contains(&facility) {
            return taken;
        }
        match self.severity {
            Priority::All => true,
            Priority::None => false,
            Priority::From {
                severity: limit,
                exact,
                not,
            } => {
                let named = if exact {
                    severity == limit
                } else {
                    severity <= limit
                };
                if named { !not } else { taken }
            }
        }
    }
}

/// A rule with the blocks it stands in.
#[derive(Clone, Debug)]
struct Rule {
    program: Option<(bool, usize)>,
    host: Option<(bool, usize)>,
    text: Option<(bool, usize)>,
    parts: Vec<Part>,
}

impl Rule {
    fn write(&self, index: usize, config: &mut String) {
        let sign = |not: bool, yes: &'static str, no: &'static str| if not { no } else { yes };
        let lines = [
            self.program.map_or("!*".into(), |(not, name)| {
                format!("{}{}", sign(not, "!", "!-"), NAMES[name])
            }),
            self.host.map_or("+*".into(), |(not, name)| {
                format!("{}{}", sign(not, "+", "-"), NAMES[name])
            }),
            self.text.map_or(":*".into(), |(not, name)| {
                format!(":msg, {}contains, \"{}\"", sign(not, "", "!"), NAMES[name])
            }),
        ];
        let parts: Vec<_> = self.parts.iter().map(Part::text).collect();
        let (blocks, selector) = (lines.join("\n"), parts.join(";"));
        writeln!(config, "{blocks}\n{selector}\t/file{index}").expect("a String takes all");
    }

    /// Whether it takes the message, said as plainly as possible.
    fn takes(&self, sent: &Sent) -> bool {
        let holds = |wanted: Option<(bool, usize)>, found: Option<usize>| {
            wanted.is_none_or(|(not, name)| (found == Some(name)) != not)
        };
        let (facility, severity) = (sent.pri / 8, sent.pri % 8);
        holds(self.program, sent.program)
            && holds(self.host, Some(sent.host))
            && holds(self.text, Some(sent.text))
            && self
                .parts
                .iter()
                .fold(false, |taken, part| part.applied(taken, facility, severity))
    }
}

/// A message, by the numbers of the names in it.
#[derive(Clone, Debug)]
struct Sent {
    pri: usize,
    program: Option<usize>,
    host: usize,
    text: usize,
}

impl Sent {
    fn octets(&self) -> String {
        let program = self.program.map_or("-", |name| NAMES[name]);
        format!(
            "<{}>1 - - {program} - - - the {} of it",
            self.pri, NAMES[self.text]
        )
    }
}

fn part() -> impl Strategy<Value = Part> {
    let facilities = proptest::collection::vec(0..24_usize, 0..4);
    let from = (0..8_usize, any::<bool>(), any::<bool>());
    let severity = prop_oneof![
        1 => Just(Priority::All),
        1 => Just(Priority::None),
        4 => from.prop_map(|(severity, exact, not)| Priority::From { severity, exact, not }),
    ];
    (facilities, severity).prop_map(|(facilities, severity)| Part {
        facilities,
        severity,
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let block = || proptest::option::weighted(0.3, (any::<bool>(), 0..NAMES.len()));
    let parts = proptest::collection::vec(part(), 1..5);
    (block(), block(), block(), parts).prop_map(|(program, host, text, parts)| Rule {
        program,
        host,
        text,
        parts,
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let name = 0..NAMES.len();
    (
        0..192_usize,
        proptest::option::of(name.clone()),
        name.clone(),
        name,
    )
        .prop_map(|(pri, program, host, text)| Sent {
            pri,
            program,
            host,
            text,
        })
}

/// A table in which rule number N leads to lane number N.
fn compile(text: &str) -> RoutingTable {
    let loaded = config::parse_files(&[("syslog.conf", text)]);
    let lane = |_| Lane {
        inbox: inbox("nowhere".into(), 1 << 20, Arc::default()).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::Text(Escape::Octal),
        },
        local_only: false,
    };
    let lanes = loaded.config.rules.iter().map(lane).collect();
    let lane_of = |rule| Some(LaneId::from(rule));
    RoutingTable::compile(&loaded.config, lanes, lane_of, Policy::default())
}

proptest! {
    #[test]
    fn it_decides_as_a_walk_over_all_rules(
        rules in proptest::collection::vec(rule(), 1..12),
        messages in proptest::collection::vec(sent(), 1..40),
    ) {
        let mut config = String::new();
        for (index, rule) in rules.iter().enumerate() {
            rule.write(index, &mut config);
        }
        let table = compile(&config);
        prop_assert_eq!(table.lanes().len(), rules.len(), "{}", config);
        for sent in &messages {
            let octets = sent.octets();
            let message = Message::parse(octets.as_bytes(), Sender::Remote);
            let hostname = NAMES[sent.host].as_bytes();
            let scene = Scene { hostname, source: b"192.0.2.1", own_name: b"here" };
            let mut got = Vec::new();
            table.route(&message, scene, false, Class::Message, |lane| got.push(lane.index()));
            let takers = rules.iter().enumerate().filter(|(_, rule)| rule.takes(sent));
            let want: Vec<_> = takers.map(|(index, _)| index).collect();
            prop_assert_eq!(got, want, "{} with {}", octets, config);
        }
    }
}
