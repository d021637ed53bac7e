//! The conditions of a rule, compiled: asked only after its PRI bitmap said yes.

use crate::config::{Condition, HostName, Needle, ProgramName, Property, Test};
use crate::message::Message;

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
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<Condition>);

impl Filter {
    /// The filter for these conditions; none of them accepts everything.
    ///
    /// Lines show hosts without `domains`: a block may name them with or without.
    pub fn new(conditions: &[Condition], domains: &[String]) -> Self {
        let mut conditions = conditions.to_vec();
        for condition in &mut conditions {
            if let Condition::Host { names, .. } = condition {
                let short = |name: &HostName| match name {
                    HostName::Named(name) => without_domain(name, domains).map(HostName::Named),
                    HostName::Local | HostName::Pattern(_) => None,
                };
                let more: Vec<HostName> = names.iter().filter_map(short).collect();
                names.extend(more);
            }
        }
        Self(conditions)
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all conditions hold.
    pub fn accepts(&self, message: &Message<'_>, scene: Scene<'_>) -> bool {
        self.0
            .iter()
            .all(|condition| holds(condition, message, scene))
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

fn holds(condition: &Condition, message: &Message<'_>, scene: Scene<'_>) -> bool {
    match condition {
        Condition::Program { names, exclude } => {
            let program = scene.program.or(message.app_name()).unwrap_or_default();
            let named = |name: &ProgramName| match name {
                ProgramName::Exact(name) => name.as_bytes() == program,
                ProgramName::Pattern(pattern) => pattern.is_match(program),
            };
            names.iter().any(named) != *exclude
        }
        Condition::Host { names, exclude } => {
            let named = |name: &HostName| match name {
                HostName::Local => is_host(scene.own_name, scene.hostname),
                HostName::Named(name) => is_host(name.as_bytes(), scene.hostname),
                HostName::Pattern(pattern) => pattern.is_match(scene.hostname),
            };
            names.iter().any(named) != *exclude
        }
        Condition::Property {
            property,
            test,
            negate,
        } => {
            // A message without the property cannot pass, not even a negated test: sysklogd(8).
            value(*property, message, scene).is_some_and(|value| passes(test, value) != *negate)
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

fn passes(test: &Test, value: &[u8]) -> bool {
    match test {
        Test::Contains(needle) => contains(value, needle),
        Test::IsEqual(needle) => value.len() == needle.octets.len() && starts_with(value, needle),
        Test::StartsWith(needle) => starts_with(value, needle),
        Test::Matches(regex) => regex.is_match(value),
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

fn contains(value: &[u8], needle: &Needle) -> bool {
    if !needle.ignore_case {
        return memchr::memmem::find(value, &needle.octets).is_some();
    }
    needle.octets.is_empty()
        || value
            .windows(needle.octets.len())
            .any(|window| window.eq_ignore_ascii_case(&needle.octets))
}
