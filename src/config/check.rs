//! Checks over all rules at once: one destination has one set of settings, and is written once.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Severity};
use super::rotation::RotationDecl;
use super::{
    Condition, Destination, OutputSettings, ProgramName, Property, Rotation, RuleDecl, Span, Sync,
    Test, Then,
};

/// A rule before all rules are known.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) decl: RuleDecl,
    pub(super) rotation: Option<RotationDecl>,
    /// Whether `sync=` was written.
    pub(super) sync_said: bool,
}

/// Fills in rotations, and gives the rules of each destination one set of settings.
///
/// A setting that only some of the rules name holds for all. If two name it differently, that is an error and
/// the first holds: the rule itself is kept, for its messages matter more. `-` in some rules and not in others
/// is no contradiction; the file is then synced.
pub(super) fn settle(
    mut drafts: Vec<Draft>,
    general: RotationDecl,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<RuleDecl> {
    for draft in &mut drafts {
        if let Some(said) = draft.rotation {
            let rotation = rotation(draft, said, general, diagnostics);
            draft.decl.settings.rotation = rotation;
        }
    }
    let mut groups: BTreeMap<Destination, Vec<usize>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        groups
            .entry(draft.decl.destination.clone())
            .or_default()
            .push(index);
    }
    for rules in groups.values() {
        let members: Vec<&Draft> = rules
            .iter()
            .filter_map(|index| drafts.get(*index))
            .collect();
        let settings = agreed(&members, diagnostics);
        written_twice(&members, diagnostics);
        for index in rules {
            if let Some(draft) = drafts.get_mut(*index) {
                draft.decl.settings.clone_from(&settings);
            }
        }
    }
    drafts.into_iter().map(|draft| draft.decl).collect()
}

/// The rotation of a rule that says something of it, if that can be.
fn rotation(
    draft: &Draft,
    said: RotationDecl,
    general: RotationDecl,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Rotation> {
    let rotation = said.complete(general);
    let destination = &draft.decl.destination;
    let mut tell = |severity, code, message: String, help: &str| {
        diagnostics.push(Diagnostic {
            severity,
            code,
            message,
            span: draft.decl.action_span,
            help: Some(help.to_owned()),
            secondary: Vec::new(),
        });
    };
    let Some(mut rotation) = rotation else {
        let what = match said {
            RotationDecl { total: Some(_), .. } => "total=",
            RotationDecl { age: Some(_), .. } => "age=",
            _ => "rotate=",
        };
        tell(
            Severity::Warning,
            "W011",
            format!("{destination} has a {what} without a size or a period"),
            "write rotate=SIZE:COUNT or rotate=daily, or a line rotate_size SIZE",
        );
        return None;
    };
    if let (Some(total), Some(size)) = (rotation.total, rotation.size)
        && total <= size
    {
        tell(
            Severity::Error,
            "E103",
            format!("the total of {destination} leaves no room for an old file, total ignored"),
            "the total is for the file itself, too: name more than the size of the rotation",
        );
        rotation.total = None;
    }
    Some(rotation)
}

/// Makes one rule of those for one target, with the same options and under the same blocks, as OpenBSD
/// does: what a later rule says of a facility replaces what the first said, unless it takes nothing of it.
pub(super) fn merge(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::new();
    for draft in drafts {
        let conditions = format!("{:?}", draft.decl.conditions);
        let same = |first: &&mut Draft| {
            first.decl.destination == draft.decl.destination
                && first.decl.format == draft.decl.format
                && (first.rotation, &first.decl.settings) == (draft.rotation, &draft.decl.settings)
                && (first.decl.then, draft.decl.then) == (Then::Continue, Then::Continue)
                && format!("{:?}", first.decl.conditions) == conditions
        };
        let mergeable = match draft.decl.destination {
            Destination::File(_) | Destination::Terminal(_) | Destination::Command(_) => true,
            Destination::Fifo(_)
            | Destination::Users(_)
            | Destination::Everyone
            | Destination::Forward(_)
            | Destination::Memory(_) => false,
        };
        match merged.iter_mut().filter(|_| mergeable).find(same) {
            Some(first) => {
                first.decl.selector.overlay(&draft.decl.selector);
                first.decl.marks |= draft.decl.marks;
            }
            None => merged.push(draft),
        }
    }
    merged
}

/// The settings that all rules of a destination get.
fn agreed(rules: &[&Draft], diagnostics: &mut Vec<Diagnostic>) -> OutputSettings {
    let rotation = first(rules, "rotate=", diagnostics, |rule| {
        rule.decl.settings.rotation
    });
    let compression = first(rules, "compress=", diagnostics, |rule| {
        rule.decl.settings.compression
    });
    let mode = first(rules, "mode=", diagnostics, |rule| rule.decl.settings.mode);
    let owner = first(rules, "owner=", diagnostics, |rule| {
        rule.decl.settings.owner.clone()
    });
    let group = first(rules, "group=", diagnostics, |rule| {
        rule.decl.settings.group.clone()
    });
    let said = first(rules, "sync=", diagnostics, |rule| {
        rule.sync_said.then_some(rule.decl.settings.sync)
    });
    let capacity = first(rules, "the size", diagnostics, |rule| {
        Some(rule.decl.settings.capacity)
    });
    let relaxed = rules
        .iter()
        .all(|rule| rule.decl.settings.sync == Sync::None);
    let sync = said.unwrap_or(if relaxed { Sync::None } else { Sync::Second });
    OutputSettings {
        rotation,
        compression,
        mode,
        owner,
        group,
        sync,
        capacity: capacity.unwrap_or_default(),
        ..OutputSettings::default()
    }
}

/// The value of the first rule that names one; each later rule that names another is an error.
fn first<T: PartialEq>(
    rules: &[&Draft],
    option: &str,
    diagnostics: &mut Vec<Diagnostic>,
    value: impl Fn(&Draft) -> Option<T>,
) -> Option<T> {
    let mut chosen: Option<(T, Span)> = None;
    for rule in rules {
        let Some(value) = value(rule) else { continue };
        match &chosen {
            None => chosen = Some((value, rule.decl.action_span)),
            Some((before, _)) if *before == value => {}
            Some((_, span)) => {
                let destination = &rule.decl.destination;
                diagnostics.push(Diagnostic {
                    severity: Severity::Error,
                    code: "E108",
                    message: format!("{option} differs from an earlier rule for {destination}"),
                    span: rule.decl.action_span,
                    help: Some("a destination has one set of settings; the first holds".to_owned()),
                    secondary: vec![(*span, "the first".to_owned())],
                });
            }
        }
    }
    chosen.map(|(value, _)| value)
}

/// Warns of two rules that put one message into one destination twice.
fn written_twice(rules: &[&Draft], diagnostics: &mut Vec<Diagnostic>) {
    if rules.len() < 2 {
        return;
    }
    let conditions: Vec<String> = rules
        .iter()
        .map(|rule| format!("{:?}", rule.decl.conditions))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        let earlier = rules
            .iter()
            .zip(&conditions)
            .take(index)
            .find(|(other, text)| {
                let either = rule.decl.conditions.is_empty() || other.decl.conditions.is_empty();
                let related = either || conditions.get(index) == Some(*text);
                related
                    && rule
                        .decl
                        .selector
                        .iter()
                        .any(|pri| other.decl.selector.contains(pri))
            });
        if let Some((other, _)) = earlier {
            let common = rule
                .decl
                .selector
                .iter()
                .find(|pri| other.decl.selector.contains(*pri));
            let example = common.map_or_else(String::new, |pri| {
                format!(
                    ", {}.{} for one",
                    pri.facility().name(),
                    pri.severity().name()
                )
            });
            diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                code: "W003",
                message: format!(
                    "some messages go to {} twice{example}",
                    rule.decl.destination
                ),
                span: rule.decl.span,
                help: Some("join the two selectors with \";\"".to_owned()),
                secondary: vec![(other.decl.span, "here, too".to_owned())],
            });
        }
    }
}

/// Warns of rules that no message reaches.
pub(super) fn unreachable(rules: &[RuleDecl]) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let conditions = format!("{:?}", rule.conditions);
        let earlier = rules.iter().take(index).find(|earlier| {
            let same =
                earlier.conditions.is_empty() || format!("{:?}", earlier.conditions) == conditions;
            let covers = |pri| earlier.selector.contains(pri);
            earlier.then == Then::Stop && same && rule.selector.iter().all(covers)
        });
        let warning = |message: &str, help: &str| Diagnostic {
            severity: Severity::Warning,
            code: "W016",
            message: message.to_owned(),
            span: rule.span,
            help: Some(help.to_owned()),
            secondary: Vec::new(),
        };
        if let Some(earlier) = earlier.filter(|_| !rule.selector.is_empty()) {
            warnings.push(Diagnostic {
                secondary: vec![(earlier.span, "it takes them all".to_owned())],
                ..warning(
                    "no message reaches this rule",
                    "put it above the quick block, which ends the search",
                )
            });
        } else if contradicts(&rule.conditions) {
            let help =
                "the program block and the filter name different programs: end one with !* or :*";
            warnings.push(warning(
                "no message can pass both blocks of this rule",
                help,
            ));
        }
    }
    warnings
}

/// `!foo`, and then `:programname, isequal, "bar"`.
fn contradicts(conditions: &[Condition]) -> bool {
    let wanted = conditions.iter().find_map(|condition| match condition {
        Condition::Property {
            property: Property::ProgramName,
            test: Test::IsEqual(needle),
            negate: false,
        } if !needle.ignore_case => Some(needle.octets.as_slice()),
        Condition::Property { .. } | Condition::Program { .. } | Condition::Host { .. } => None,
    });
    let named = |name: &ProgramName| match name {
        ProgramName::Exact(name) => Some(name.as_bytes()) == wanted,
        ProgramName::Pattern(pattern) => wanted.is_some_and(|name| pattern.is_match(name)),
    };
    wanted.is_some()
        && conditions.iter().any(|condition| match condition {
            Condition::Program { names, exclude } => names.iter().any(named) == *exclude,
            Condition::Host { .. } | Condition::Property { .. } => false,
        })
}
