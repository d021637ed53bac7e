//! Which rules may take a message, found without asking each of them.
//!
//! ```text
//! PRI     ─► rules of this PRI that name nobody  ┐
//! program ─► rules in blocks of this program     ├─► merged: candidates in the order of the file
//! host    ─► rules in blocks of this host        ┘
//! ```
//!
//! With one rule or with a thousand, looking up costs the same.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::Class;
use super::filter::Names;
use crate::pri::{Pri, PriSet};

/// What a rule takes, before its filter is asked.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) pris: PriSet,
    pub(super) marks: bool,
    pub(super) names: Names<'a>,
}

/// The rules, by what a message must have for them. Rules are numbers, in the order of the file.
#[derive(Debug)]
pub(super) struct Index {
    by_pri: Box<[Range<u32>]>,
    by_mark: Range<u32>,
    candidates: Box<[u32]>,
    /// Those in blocks, by name; their PRI is still to be asked.
    by_program: ByName,
    by_host: ByName,
    pris: Box<[(PriSet, bool)]>,
}

type ByName = HashMap<Box<[u8]>, Vec<u32>, RandomState>;

/// Longer names of hosts are not looked up: such a rule is asked for each message.
const LONGEST: usize = 255;

impl Index {
    pub(super) fn new(rules: &[Wanted<'_>]) -> Self {
        let (mut by_program, mut by_host) = (ByName::default(), ByName::default());
        let mut anybody = Vec::new();
        for (number, rule) in (0..).zip(rules) {
            let (names, map) = match &rule.names {
                Names::Programs(names) => (names, &mut by_program),
                Names::Hosts(names) if names.iter().all(|name| name.len() <= LONGEST) => {
                    (names, &mut by_host)
                }
                Names::Hosts(_) | Names::Any => {
                    anybody.push((number, rule));
                    continue;
                }
            };
            for name in names {
                let numbers = map.entry(name.as_bytes().into()).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        let mut candidates = Vec::new();
        let mut collect = |is_wanted: &dyn Fn(&Wanted<'_>) -> bool| {
            let start = super::as_id(candidates.len());
            let wanted = anybody.iter().filter(|(_, rule)| is_wanted(rule));
            candidates.extend(wanted.map(|(number, _)| *number));
            start..super::as_id(candidates.len())
        };
        let by_pri = Pri::all()
            .map(|pri| collect(&|rule| rule.pris.contains(pri)))
            .collect();
        let by_mark = collect(&|rule| rule.marks);
        Self {
            by_pri,
            by_mark,
            candidates: candidates.into(),
            by_program,
            by_host,
            pris: rules.iter().map(|rule| (rule.pris, rule.marks)).collect(),
        }
    }

    /// Calls `ask` for each candidate in the order of the file, until it says that this was the last.
    pub(super) fn candidates<'m>(
        &self,
        pri: Pri,
        class: Class,
        program: impl FnOnce() -> &'m [u8],
        hostname: &[u8],
        mut ask: impl FnMut(usize) -> Search,
    ) {
        let range = match class {
            Class::Message => &self.by_pri[usize::from(pri.value())],
            Class::Mark => &self.by_mark,
        };
        let mut rest = &self.candidates[range.start as usize..range.end as usize];
        if self.by_program.is_empty() && self.by_host.is_empty() {
            for rule in rest {
                if ask(*rule as usize) == Search::Ends {
                    return;
                }
            }
            return;
        }
        let mut of_program: &[u32] = match &self.by_program {
            none if none.is_empty() => &[],
            some => some.get(program()).map_or(&[], Vec::as_slice),
        };
        let mut of_host = self.of_host(hostname);
        loop {
            let first = [&mut rest, &mut of_program, &mut of_host]
                .into_iter()
                .filter(|list| !list.is_empty())
                .min_by_key(|list| list[0]);
            let Some(list) = first else { return };
            let rule = list[0] as usize;
            *list = &list[1..];
            let (pris, marks) = &self.pris[rule];
            let is_wanted = match class {
                Class::Message => pris.contains(pri),
                Class::Mark => *marks,
            };
            if is_wanted && ask(rule) == Search::Ends {
                return;
            }
        }
    }

    fn of_host(&self, hostname: &[u8]) -> &[u32] {
        let mut lower = [0; LONGEST];
        let Some(lower) = lower.get_mut(..hostname.len()) else {
            return &[];
        };
        if self.by_host.is_empty() {
            return &[];
        }
        lower.copy_from_slice(hostname);
        lower.make_ascii_lowercase();
        self.by_host.get(&*lower).map_or(&[], Vec::as_slice)
    }
}

/// Whether further rules are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Search {
    GoesOn,
    Ends,
}
