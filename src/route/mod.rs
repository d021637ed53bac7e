//! The compiled policy: which messages go to which outputs, and the queues in front of these.
//!
//! ```text
//! PRI, program, host ─► candidates, in file order ─► filter ─► lane
//! ```
//!
//! Looking up costs the same with one rule as with a thousand; only rules that have a filter and whose
//! selector matched are asked anything more. A table never changes: a reload compiles a new one.

pub mod filter;
pub mod inbox;
mod index;
pub mod lanes;
pub mod loss;
pub mod spooler;
pub mod whereabouts;
pub mod workshop;

use std::sync::Arc;

use crate::config::{Config, Then};
use crate::format::Template;
use crate::message::Message;
use crate::pri::{Facility, Pri, Severity};
use filter::{Answers, Filter, Filters, Scene, Shared};
use inbox::Inbox;
use index::{Index, Search, Wanted};
use whereabouts::Whereabouts;

/// A lane: an output in one format. The index into [`RoutingTable::lanes`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LaneId(u32);

impl LaneId {
    /// The place of its block among those of a shard.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The queue and the format behind a [`LaneId`].
#[derive(Clone, Debug)]
pub struct Lane {
    /// Where its blocks go.
    pub inbox: Inbox,
    /// The form of its records.
    pub template: Template,
    /// Whether messages from the network are kept away from it (users and terminals, unless
    /// `allow_net_console yes`).
    pub local_only: bool,
    /// Where it leads, if what came from there is not to go back.
    pub remote: Option<Arc<Whereabouts>>,
}

/// Which class of message is routed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// An ordinary message, by its PRI.
    Message,
    /// Our own "-- MARK --", which selectors name `mark.info`.
    Mark,
}

/// What the whole daemon agrees on besides the rules; swapped together with them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Our own name, as lines show it.
    pub hostname: Vec<u8>,
    /// `-H`: lines show the HOSTNAME that the message claims.
    pub hostname_from_message: bool,
    /// `-k`: `kern` stays `kern`, whoever says it.
    pub keep_kern: bool,
    /// `-T`: lines show reception time.
    pub always_received: bool,
    /// The domains that hosts are shown without, in lower case.
    pub domains: Vec<String>,
    /// What a program block takes for the program of a kernel's message.
    pub kernel_program: KernelProgram,
    /// The longest message that is kept whole, in octets (`max_message_size`).
    pub max_message: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            hostname: Vec::new(),
            hostname_from_message: false,
            keep_kern: false,
            always_received: false,
            domains: Vec::new(),
            kernel_program: KernelProgram::default(),
            max_message: Self::MAX_MESSAGE,
        }
    }
}

/// The program of a kernel's message, as program blocks see it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KernelProgram {
    /// `kernel`, whatever it says.
    #[default]
    Kernel,
    /// The tag that its text begins with, or `kernel` if there is none (FreeBSD).
    Tag,
}

/// The rules, compiled, with the lanes that they lead to.
#[derive(Debug)]
pub struct RoutingTable {
    index: Index,
    rules: Box<[Rule]>,
    shared: Shared,
    lanes: Box<[Lane]>,
    /// For each lane the first lane of the same output, whose open block all of them fill: so the order
    /// of one sender's messages holds in every output.
    first_of: Box<[LaneId]>,
    policy: Arc<Policy>,
}

#[derive(Debug)]
struct Rule {
    filter: Filter,
    /// `None` for a rule that is left out and ends the search all the same.
    lane: Option<LaneId>,
    local_only: bool,
    then: Then,
}

impl RoutingTable {
    /// Compiles the rules of `config`; `lane_of` gives the lane of each rule by its place in the file,
    /// or `None` for a rule that is left out.
    ///
    /// Costs one step for each rule and PRI, once for each reload.
    pub fn compile(
        config: &Config,
        lanes: Vec<Lane>,
        lane_of: impl Fn(usize) -> Option<LaneId>,
        policy: Policy,
    ) -> Self {
        let all = config.rules.iter().enumerate();
        let kept: Vec<_> = all
            .map(|(index, rule)| (rule, lane_of(index)))
            .filter(|(rule, lane)| lane.is_some() || rule.then == Then::Stop)
            .collect();
        let conditions: Vec<_> = kept.iter().map(|(rule, _)| &rule.conditions[..]).collect();
        let Filters { each, shared } = Filters::compile(&conditions, &policy.domains);
        let wanted = each.iter().zip(&kept).map(|(filter, (rule, _))| Wanted {
            pris: rule.selector,
            marks: rule.marks,
            names: filter.names(),
        });
        let index = Index::new(&wanted.collect::<Vec<_>>());
        let rules = each
            .into_iter()
            .zip(&kept)
            .map(|(filter, (rule, lane))| Rule {
                filter,
                lane: *lane,
                local_only: lane.is_some_and(|lane| lanes[lane.index()].local_only),
                then: rule.then,
            });
        Self {
            index,
            rules: rules.collect(),
            shared,
            first_of: first_of(&lanes),
            lanes: lanes.into(),
            policy: Arc::new(policy),
        }
    }

    /// A table without rules, for the end.
    pub fn empty() -> Self {
        Self::compile(&Config::default(), Vec::new(), |_| None, Policy::default())
    }

    /// Calls `pick` for the lane of every rule that takes this message, in file order, up to the first
    /// that stands in a quick block. A mark is left out where something came since [`Self::watch`].
    ///
    /// `answers` are [those of this table](Self::answers).
    pub fn route(
        &self,
        answers: &mut Answers,
        message: &Message<'_>,
        scene: Scene<'_>,
        local: bool,
        class: Class,
        mut pick: impl FnMut(LaneId),
    ) {
        answers.forget();
        let ask = |rule: usize| {
            let rule = &self.rules[rule];
            let Rule { filter, .. } = rule;
            if !filter.is_empty() && !filter.accepts(message, scene, &self.shared, answers) {
                return Search::GoesOn;
            }
            let quiet = |lane: LaneId| self.lanes[lane.index()].inbox.was_quiet();
            if let Some(lane) = rule.lane
                && (local || !rule.local_only)
                && (class == Class::Message || quiet(lane))
            {
                pick(lane);
            }
            match rule.then {
                Then::Continue => Search::GoesOn,
                Then::Stop => Search::Ends,
            }
        };
        let program = || scene.program(message);
        self.index
            .candidates(message.pri(), class, program, scene.hostname, ask);
    }

    /// Where the answers to shared questions are kept, by whoever routes.
    pub fn answers(&self) -> Answers {
        self.shared.answers()
    }

    /// From now on an output that something comes to needs no mark: it shows that we live.
    pub fn watch(&self) {
        self.lanes.iter().for_each(|lane| lane.inbox.watch());
    }

    /// The lanes, by [`LaneId`].
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The lane whose open block the records of `lane` go into.
    pub fn first_of(&self, lane: LaneId) -> LaneId {
        self.first_of[lane.index()]
    }

    /// What goes with the rules.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

impl Policy {
    /// The longest message that is kept whole unless the configuration says, in octets.
    pub const MAX_MESSAGE: usize = 8192;

    /// The PRI of a message as the rules shall see it: `kern` is the kernel's alone, unless `-k`.
    pub fn admitted(&self, pri: Pri, from_kernel: bool) -> Pri {
        if from_kernel || self.keep_kern || pri.facility() != Facility::Kern {
            return pri;
        }
        Pri::of(Facility::User, pri.severity())
    }
}

/// The PRI of "-- MARK --": `mark` has no number on the wire, so it shows as our own.
pub const MARK: Pri = Pri::of(Facility::Syslog, Severity::Informational);

fn first_of(lanes: &[Lane]) -> Box<[LaneId]> {
    let first = |lane: &Lane| {
        lanes
            .iter()
            .position(|other| other.inbox.is_same(&lane.inbox))
    };
    lanes
        .iter()
        .map(|lane| LaneId::from(first(lane).unwrap_or_default()))
        .collect()
}

fn as_id(index: usize) -> u32 {
    u32::try_from(index).expect("a configuration has fewer than four billion rules")
}

/// Numbers lanes while a table is made.
impl From<usize> for LaneId {
    fn from(index: usize) -> Self {
        Self(as_id(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Dialect;
    use crate::config;
    use crate::counters::OutputCounters;
    use crate::format::{Escape, Escaping, Layout};
    use crate::message::Sender;

    /// The places of the rules that take a message of the network or of this host.
    fn taken(text: &str, message: &[u8], local: bool) -> Vec<usize> {
        let loaded = config::parse_files_as(Dialect::Openbsd.into(), &[("t", text)]);
        let lane = |rule: &config::RuleDecl| Lane {
            inbox: inbox::inbox("t".into(), 1, Arc::new(OutputCounters::default())).0,
            template: Template {
                layout: Layout::Traditional,
                escaping: Escaping::Text(Escape::Octal),
            },
            local_only: rule.destination == config::Destination::Everyone,
            remote: None,
        };
        let lanes = loaded.config.rules.iter().map(lane).collect();
        let lane_of = |rule| Some(LaneId::from(rule));
        let table = RoutingTable::compile(&loaded.config, lanes, lane_of, Policy::default());
        let message = Message::parse(message, Sender::Local { hostname: b"h" });
        let scene = Scene {
            hostname: b"h",
            source: b"h",
            own_name: b"h",
            program: None,
        };
        let mut taken = Vec::new();
        table.route(
            &mut table.answers(),
            &message,
            scene,
            local,
            Class::Message,
            |lane| {
                taken.push(lane.index());
            },
        );
        taken
    }

    #[test]
    fn an_output_that_got_something_since_half_time_gets_no_mark() {
        let loaded = config::parse_files(&[("t", "*.* /0\nmark.* /1\n")]);
        let (busy, _busy) = inbox::inbox("busy".into(), 1, Arc::default());
        let (calm, _calm) = inbox::inbox("calm".into(), 1, Arc::default());
        let lane = |inbox: &Inbox| Lane {
            inbox: inbox.clone(),
            template: Template {
                layout: Layout::Traditional,
                escaping: Escaping::Text(Escape::Octal),
            },
            local_only: false,
            remote: None,
        };
        let lanes = vec![lane(&busy), lane(&calm)];
        let lane_of = |rule| Some(LaneId::from(rule));
        let table = RoutingTable::compile(&loaded.config, lanes, lane_of, Policy::default());
        let marked = || {
            let message = Message::parse(b"<46>m: -- MARK --", Sender::Local { hostname: b"h" });
            let scene = Scene {
                hostname: b"h",
                source: b"h",
                own_name: b"h",
                program: None,
            };
            let mut marked = Vec::new();
            table.route(
                &mut table.answers(),
                &message,
                scene,
                true,
                Class::Mark,
                |lane| {
                    marked.push(lane.index());
                },
            );
            marked
        };
        let write = || {
            let mut block = crate::block::Block::default();
            block.push(MARK, |octets| {
                octets.extend_from_slice(b"x\n");
                0
            });
            busy.force(&mut block);
        };
        assert_eq!(marked(), [0, 1]);
        write();
        assert_eq!(marked(), [1]);
        table.watch();
        assert_eq!(marked(), [0, 1]);
        write();
        assert_eq!(marked(), [1]);
    }

    #[test]
    fn a_quick_rule_that_takes_a_message_keeps_it_from_those_below() {
        let quick = "!!ppp\nmail.* /0\n!*\n*.* /1\n";
        let console = "!!ppp\n*.* *\n!*\n*.* /1\n";
        let patterns = "!p*\n*.* /0\n++h*\n*.* /1\n+*\n!*\n*.* /2\n";
        for (text, message, local, want) in [
            (quick, "<22>ppp: x", true, &[0][..]),
            (quick, "<14>ppp: x", true, &[1]),
            (quick, "<22>ssh: x", true, &[1]),
            (console, "<22>ppp: x", true, &[0]),
            (console, "<22>ppp: x", false, &[]),
            (patterns, "<22>ppp: x", true, &[0, 1]),
            (patterns, "<22>ssh: x", true, &[2]),
        ] {
            assert_eq!(
                taken(text, message.as_bytes(), local),
                want,
                "{text} {message}"
            );
        }
    }

    #[test]
    fn searches_that_are_shared_find_what_each_finds_alone() {
        let filters = [
            "msg, contains, \"lazy\"",
            "msg, icase_contains, \"LAZY dog\"",
            "msg, !contains, \"cat\"",
            "msg, regex, \"^ *The [a-z]* brown\"",
            "msg, ereregex, \"(fox|wolf) jumps\"",
            "msg, icase_ereregex, \"JUMPS +over\"",
            "msg, !regex, \"dog$\"",
            "msg, contains, \"a.y\"",
            "msg, icase_regex, \"é\"",
            "msg, startswith, \"The\"",
            "hostname, contains, \"h\"",
        ];
        let rule = |(number, filter): (usize, &&str)| format!(":{filter}\n*.* /{number}\n");
        let all: String = filters.iter().enumerate().map(rule).collect();
        let texts = [
            "The quick brown fox jumps over the lazy dog",
            "the LAZY DOG jumps  OVER the cat",
            "É é a.y",
            "",
        ];
        for text in texts {
            let message = format!("<13>app: {text}");
            let alone = |(number, filter): (usize, &&str)| {
                let only = taken(&rule((0, filter)), message.as_bytes(), true);
                only.first().map(|_| number)
            };
            let want: Vec<usize> = filters.iter().enumerate().filter_map(alone).collect();
            assert_eq!(taken(&all, message.as_bytes(), true), want, "{text:?}");
        }
        assert_eq!(
            taken(&all, b"<13>app: The quick brown fox jumps", true).len(),
            6
        );
    }
}
