//! The router that `route` must agree with: it walks all rules and asks each of them everything.
//!
//! Written from syslog.conf(5) and not from `src/route`; the fuzz target `route` uses it too.

use syslogd::config::{Condition, HostName, Needle, ProgramName, Property, RuleDecl, Test, Then};
use syslogd::message::Message;
use syslogd::route::Class;
use syslogd::route::filter::Scene;

/// The places of the rules that take this message.
pub(crate) fn route(
    rules: &[RuleDecl],
    message: &Message<'_>,
    scene: Scene<'_>,
    class: Class,
) -> Vec<usize> {
    let mut taken = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        let selected = match class {
            Class::Message => rule.selector.contains(message.pri()),
            Class::Mark => rule.marks,
        };
        let mut wanted = selected;
        for condition in &rule.conditions {
            wanted &= holds(condition, message, scene);
        }
        if wanted {
            taken.push(place);
            match rule.then {
                Then::Continue => {}
                Then::Stop => break,
            }
        }
    }
    taken
}

fn holds(condition: &Condition, message: &Message<'_>, scene: Scene<'_>) -> bool {
    match condition {
        Condition::Program { names, exclude } => {
            let program = message.app_name().unwrap_or(b"").to_vec();
            let listed = names.iter().any(|name| match name {
                ProgramName::Exact(name) => name.clone().into_bytes() == program,
                ProgramName::Pattern(pattern) => pattern.is_match(&program),
            });
            if *exclude { !listed } else { listed }
        }
        Condition::Host { names, exclude } => {
            let shown = scene.hostname.to_ascii_lowercase();
            let listed = names.iter().any(|name| match name {
                HostName::Local => scene.own_name.to_ascii_lowercase() == shown,
                HostName::Named(name) => name.to_ascii_lowercase().into_bytes() == shown,
                HostName::Pattern(pattern) => pattern.is_match(scene.hostname),
            });
            if *exclude { !listed } else { listed }
        }
        Condition::Property {
            property,
            test,
            negate,
        } => {
            let value = match property {
                Property::Msg => Some(message.msg()),
                Property::ProgramName => message.app_name(),
                Property::Hostname => Some(scene.hostname),
                Property::Source => Some(scene.source),
                Property::MsgId => message.msg_id(),
                Property::StructuredData => match message.structured_data().octets() {
                    [] => None,
                    octets => Some(octets),
                },
            };
            match value {
                None => false,
                Some(value) if *negate => !passes(test, value),
                Some(value) => passes(test, value),
            }
        }
    }
}

fn passes(test: &Test, value: &[u8]) -> bool {
    match test {
        Test::Contains(needle) => {
            let (value, wanted) = folded(value, needle);
            (0..=value.len()).any(|start| value[start..].starts_with(&wanted))
        }
        Test::IsEqual(needle) => {
            let (value, wanted) = folded(value, needle);
            value == wanted
        }
        Test::StartsWith(needle) => {
            let (value, wanted) = folded(value, needle);
            value.starts_with(&wanted)
        }
        Test::Matches(regex) => regex.is_match(value),
    }
}

/// Value and needle, both in lower case if case does not matter.
fn folded(value: &[u8], needle: &Needle) -> (Vec<u8>, Vec<u8>) {
    if needle.ignore_case {
        (
            value.to_ascii_lowercase(),
            needle.octets.to_ascii_lowercase(),
        )
    } else {
        (value.to_vec(), needle.octets.clone())
    }
}
