//! The conditions of a rule, compiled: asked only after its PRI bitmap said yes.
//!
//! A condition costs only the rules that have it. Where many search the same property for texts or regular
//! expressions, all of these are looked for at once, the first time that one of them is asked.

use memchr::memmem::Finder;
use regex_automata::meta::{self, Regex as Multi};
use regex_automata::{Input, PatternID, PatternSet};

use crate::config::{Condition, HostName, Needle, ProgramName, Property, Test};
use crate::message::Message;
use crate::sys::with_wide_vectors;

/// What a filter may look at beside the message itself.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// HOSTNAME as the line will show it.
    pub hostname: &'a [u8],
    /// The peer's address, or our own name for a message of this host.
    pub source: &'a [u8],
    /// Our own name.
    pub own_name: &'a [u8],
    /// What program blocks take for the program, if that is not APP-NAME.
    pub program: Option<&'a [u8]>,
}

/// All conditions of a rule; each must hold.
#[derive(Debug)]
pub struct Filter(Vec<Question>);

/// The filters of a table, and the searches that some of them share.
#[derive(Debug)]
pub struct Filters {
    /// One for each rule.
    pub each: Vec<Filter>,
    /// What they share.
    pub shared: Shared,
}

/// Searches for many texts at once.
#[derive(Debug, Default)]
pub struct Shared(Vec<Group>);

/// What is known of a message already. Made for one table, and kept by one thread.
#[derive(Debug)]
pub struct Answers {
    found: Vec<Found>,
    /// Room for a text in lower case.
    folded: Vec<u8>,
}

#[derive(Debug)]
struct Found {
    searched: bool,
    patterns: PatternSet,
}

#[derive(Debug)]
struct Group {
    property: Property,
    patterns: Multi,
}

/// A condition, ready to be asked.
#[derive(Debug)]
enum Question {
    Program {
        names: Vec<ProgramName>,
        exclude: bool,
    },
    Host {
        names: Vec<HostName>,
        exclude: bool,
    },
    Property {
        property: Property,
        search: Search,
        negate: bool,
    },
}

#[derive(Debug)]
enum Search {
    Contains(Box<Finder<'static>>),
    /// In any case (ASCII): a search for lower case in lower case.
    ContainsFolded(Box<Finder<'static>>),
    IsEqual(Needle),
    StartsWith(Needle),
    Matches(regex::bytes::Regex),
    /// One pattern of a shared search.
    Shared {
        group: usize,
        pattern: PatternID,
    },
}

/// From so many searches of one property on, one for all of them is cheaper than each for itself.
const MANY: usize = 8;

impl Filters {
    /// The filters for the conditions of each rule.
    ///
    /// Lines show hosts without `domains`: a block may name them with or without.
    pub fn compile(rules: &[&[Condition]], domains: &[String]) -> Self {
        let mut shared = Shared::default();
        for property in Property::ALL {
            let conditions = rules.iter().copied().flatten();
            let patterns = conditions.filter_map(|condition| pattern_of(condition, property));
            let patterns: Vec<String> = patterns.collect();
            if patterns.len() >= MANY
                && let Ok(patterns) = together(&patterns)
            {
                shared.0.push(Group { property, patterns });
            }
        }
        let mut next = vec![0; shared.0.len()];
        let mut question = |condition: &Condition| {
            let grouped = |(group, search): (usize, &Group)| {
                pattern_of(condition, search.property).map(|_| group)
            };
            let group = shared.0.iter().enumerate().find_map(grouped);
            Question::new(condition, domains, group, &mut next)
        };
        let each = rules
            .iter()
            .map(|conditions| Filter(conditions.iter().map(&mut question).collect()))
            .collect();
        Self { each, shared }
    }
}

impl Shared {
    /// Nothing is known yet.
    pub fn answers(&self) -> Answers {
        let found = |group: &Group| Found {
            searched: false,
            patterns: PatternSet::new(group.patterns.pattern_len()),
        };
        Answers {
            found: self.0.iter().map(found).collect(),
            folded: Vec::new(),
        }
    }
}

impl Answers {
    /// Forgets the last message.
    pub fn forget(&mut self) {
        for found in &mut self.found {
            found.searched = false;
        }
    }
}

/// The text of a search of this property that may be shared.
fn pattern_of(condition: &Condition, wanted: Property) -> Option<String> {
    let Condition::Property { property, test, .. } = condition else {
        return None;
    };
    if *property != wanted {
        return None;
    }
    match test {
        Test::Contains(needle) => literal(needle),
        Test::Matches(regex) => Some(regex.as_str().to_owned()),
        Test::IsEqual(_) | Test::StartsWith(_) => None,
    }
}

fn literal(needle: &Needle) -> Option<String> {
    let text = str::from_utf8(&needle.octets).ok()?;
    let flags = if needle.ignore_case {
        "(?i-u)"
    } else {
        "(?-u)"
    };
    Some(format!("{flags}{}", regex::escape(text)))
}

fn together(patterns: &[String]) -> Result<Multi, Box<meta::BuildError>> {
    let config = meta::Config::new()
        .match_kind(regex_automata::MatchKind::All)
        .utf8_empty(false)
        .nfa_size_limit(Some(SHARED_OCTETS))
        .hybrid_cache_capacity(SHARED_OCTETS);
    let syntax = regex_automata::util::syntax::Config::new().utf8(false);
    Multi::builder()
        .configure(config)
        .syntax(syntax)
        .build_many(patterns)
        .map_err(Box::new)
}

/// The most memory that the expressions of one property may take together; what needs more is not shared.
const SHARED_OCTETS: usize = 16 << 20;

impl Question {
    fn new(
        condition: &Condition,
        domains: &[String],
        group: Option<usize>,
        next: &mut [usize],
    ) -> Self {
        match condition {
            Condition::Program { names, exclude } => Self::Program {
                names: names.clone(),
                exclude: *exclude,
            },
            Condition::Host { names, exclude } => {
                let short = |name: &HostName| match name {
                    HostName::Named(name) => without_domain(name, domains).map(HostName::Named),
                    HostName::Local | HostName::Pattern(_) => None,
                };
                let more = names.iter().filter_map(short);
                Self::Host {
                    names: names.iter().cloned().chain(more).collect(),
                    exclude: *exclude,
                }
            }
            Condition::Property {
                property,
                test,
                negate,
            } => {
                let mut shared = || {
                    let group = group?;
                    let next = next.get_mut(group)?;
                    let pattern = PatternID::new(*next).ok()?;
                    *next += 1;
                    Some(Search::Shared { group, pattern })
                };
                let search = shared().unwrap_or_else(|| Search::new(test));
                Self::Property {
                    property: *property,
                    search,
                    negate: *negate,
                }
            }
        }
    }
}

impl Search {
    fn new(test: &Test) -> Self {
        match test {
            Test::Contains(needle) => {
                let finder = Box::new(Finder::new(&needle.octets).into_owned());
                if needle.ignore_case {
                    Self::ContainsFolded(finder)
                } else {
                    Self::Contains(finder)
                }
            }
            Test::IsEqual(needle) => Self::IsEqual(needle.clone()),
            Test::StartsWith(needle) => Self::StartsWith(needle.clone()),
            Test::Matches(regex) => Self::Matches(regex.clone()),
        }
    }
}

/// By what a rule can be found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Names<'a> {
    /// It takes messages of these programs only.
    Programs(Vec<&'a str>),
    /// It takes messages of these hosts only, in lower case.
    Hosts(Vec<&'a str>),
    /// It may take any.
    Any,
}

impl Filter {
    /// Whose messages it accepts at most.
    pub fn names(&self) -> Names<'_> {
        let programs = self.0.iter().find_map(|question| match question {
            Question::Program {
                names,
                exclude: false,
            } => names.iter().map(ProgramName::exact).collect(),
            Question::Program { .. } | Question::Host { .. } | Question::Property { .. } => None,
        });
        let hosts = || {
            self.0.iter().find_map(|question| match question {
                Question::Host {
                    names,
                    exclude: false,
                } => names.iter().map(HostName::named).collect(),
                Question::Program { .. } | Question::Host { .. } | Question::Property { .. } => {
                    None
                }
            })
        };
        let hosts = || hosts().map_or(Names::Any, Names::Hosts);
        programs.map_or_else(hosts, Names::Programs)
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all conditions hold. What `answers` does not know yet of the message is added.
    pub fn accepts(
        &self,
        message: &Message<'_>,
        scene: Scene<'_>,
        shared: &Shared,
        answers: &mut Answers,
    ) -> bool {
        let mut asking = Asking {
            message,
            scene,
            shared,
            answers,
        };
        self.0.iter().all(|question| asking.holds(question))
    }
}

/// `web.example.org` as `web`, if `example.org` is among the domains. All are in lower case.
fn without_domain(name: &str, domains: &[String]) -> Option<String> {
    let short = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
    let mut found = domains
        .iter()
        .filter(|domain| !domain.is_empty())
        .filter_map(short);
    found.find(|short| !short.is_empty()).map(str::to_owned)
}

struct Asking<'a, 'm> {
    message: &'a Message<'m>,
    scene: Scene<'a>,
    shared: &'a Shared,
    answers: &'a mut Answers,
}

impl<'a> Scene<'a> {
    /// What program blocks compare with.
    pub fn program<'m: 'a>(self, message: &Message<'m>) -> &'a [u8] {
        self.program.or(message.app_name()).unwrap_or_default()
    }
}

impl Asking<'_, '_> {
    fn holds(&mut self, question: &Question) -> bool {
        let scene = self.scene;
        match question {
            Question::Program { names, exclude } => {
                let program = scene.program(self.message);
                let named = |name: &ProgramName| match name {
                    ProgramName::Exact(name) => name.as_bytes() == program,
                    ProgramName::Pattern(pattern) => pattern.is_match(program),
                };
                names.iter().any(named) != *exclude
            }
            Question::Host { names, exclude } => {
                let named = |name: &HostName| match name {
                    HostName::Local => is_host(scene.own_name, scene.hostname),
                    HostName::Named(name) => is_host(name.as_bytes(), scene.hostname),
                    HostName::Pattern(pattern) => pattern.is_match(scene.hostname),
                };
                names.iter().any(named) != *exclude
            }
            Question::Property {
                property,
                search,
                negate,
            } => {
                // A message without the property cannot pass, not even a negated test: sysklogd(8).
                let value = value(*property, self.message, scene);
                value.is_some_and(|value| self.finds(search, value) != *negate)
            }
        }
    }

    fn finds(&mut self, search: &Search, value: &[u8]) -> bool {
        match search {
            Search::Contains(finder) => finder.find(value).is_some(),
            Search::ContainsFolded(finder) => {
                // An automaton for both cases would take eight instructions for each octet that nearly matches.
                let folded = &mut self.answers.folded;
                folded.clear();
                folded.extend_from_slice(value);
                with_wide_vectors(
                    #[inline(always)]
                    || {
                        for octet in folded.iter_mut() {
                            octet.make_ascii_lowercase();
                        }
                    },
                );
                finder.find(folded).is_some()
            }
            Search::IsEqual(needle) => {
                value.len() == needle.octets.len() && starts_with(value, needle)
            }
            Search::StartsWith(needle) => starts_with(value, needle),
            Search::Matches(regex) => regex.is_match(value),
            Search::Shared { group, pattern } => {
                let (Some(search), Some(found)) = (
                    self.shared.0.get(*group),
                    self.answers.found.get_mut(*group),
                ) else {
                    return false;
                };
                if !found.searched {
                    found.searched = true;
                    found.patterns.clear();
                    let input = Input::new(value);
                    let patterns = &mut found.patterns;
                    search.patterns.which_overlapping_matches(&input, patterns);
                }
                found.patterns.contains(*pattern)
            }
        }
    }
}

/// Host names are compared without regard to case.
fn is_host(name: &[u8], hostname: &[u8]) -> bool {
    name.eq_ignore_ascii_case(hostname)
}

fn value<'a>(property: Property, message: &Message<'a>, scene: Scene<'a>) -> Option<&'a [u8]> {
    match property {
        Property::Msg => Some(message.msg()),
        Property::ProgramName => message.app_name(),
        Property::Hostname => Some(scene.hostname),
        Property::Source => Some(scene.source),
        Property::MsgId => message.msg_id(),
        Property::StructuredData => {
            Some(message.structured_data().octets()).filter(|octets| !octets.is_empty())
        }
    }
}

fn starts_with(value: &[u8], needle: &Needle) -> bool {
    let Some(front) = value.get(..needle.octets.len()) else {
        return false;
    };
    if needle.ignore_case {
        front.eq_ignore_ascii_case(&needle.octets)
    } else {
        front == needle.octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Sender;

    /// Whether `:msg, icase_contains` takes a message with this text.
    fn takes(text: &str, needle: &str) -> bool {
        let needle = Needle {
            octets: needle.to_ascii_lowercase().into_bytes(),
            ignore_case: true,
        };
        let condition = Condition::Property {
            property: Property::Msg,
            test: Test::Contains(needle),
            negate: false,
        };
        let filters = Filters::compile(&[&[condition]], &[]);
        let octets = format!("<13>1 - h a p m - {text}");
        let message = Message::parse(octets.as_bytes(), Sender::Remote);
        let scene = Scene {
            hostname: b"h",
            source: b"h",
            own_name: b"h",
            program: None,
        };
        let mut answers = filters.shared.answers();
        filters
            .each
            .iter()
            .all(|filter| filter.accepts(&message, scene, &filters.shared, &mut answers))
    }

    proptest! {
        #[test]
        fn icase_contains_compares_each_place_without_regard_to_ascii_case(
            text in "[abAB\u{e9}\u{c9}\u{17f}Ss]{0,40}",
            needle in "[abAB\u{e9}Ss]{1,4}",
        ) {
            let same = |place: &[u8]| place.eq_ignore_ascii_case(needle.as_bytes());
            let want = text.as_bytes().windows(needle.len()).any(same);
            prop_assert_eq!(takes(&text, &needle), want);
        }
    }
}
