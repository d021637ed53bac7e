//! A selector: `auth,authpriv.*;mail.!=debug` in, the PRIs that it takes out.
//!
//! The Linux algebra: the set starts empty, and each `facilities.severity` changes it, from left to right.
//!
//! ```text
//! f.l    adds l and all above     f.!l    takes them away     f.*     adds all
//! f.=l   adds l                   f.!=l   takes it away       f.none  takes all away
//! ```

use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use crate::pri::{Facility, Pri, PriSet, Severity};

/// What a selector takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Selection {
    /// The PRIs.
    pub(super) pris: PriSet,
    /// Our own "-- MARK --", which is `mark.info` and has no PRI of its own.
    pub(super) marks: bool,
}

/// A facility of a selector: one of the 24, or our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Facility(Facility),
    Mark,
}

/// What a severity does to a facility.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    InsertFrom(Severity),
    Insert(Severity),
    RemoveFrom(Severity),
    Remove(Severity),
    Fill,
    Clear,
}

/// The two sets while they are built; `mark` uses the slot of syslog in a set of its own.
#[derive(Default)]
struct Sets {
    pris: PriSet,
    mark: PriSet,
    silenced: Vec<Facility>,
}

/// Reads a selector. The warnings are added, an error ends it.
///
/// # Errors
///
/// The first piece that is no selector, with the nearest word that would be.
pub(super) fn parse(
    selector: Piece<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Selection, Problem> {
    let mut sets = Sets::default();
    let mut any = false;
    for part in selector.split(';').map(Piece::trim) {
        let mut rest = part;
        // A comma after a severity begins the next part, as it always has: `mail.crit,*.err`.
        while !rest.is_empty() {
            let Some((facilities, after)) = rest.split_once(&['.']) else {
                return Err(without_severity(rest));
            };
            let (severity, tail) = after.split_once(&[',']).unwrap_or((after, end_of(after)));
            apply(facilities, severity, &mut sets, warnings)?;
            if !tail.is_empty() {
                warnings.push(severity.warning(
                    "W007",
                    "a comma after a priority begins a new selector",
                    "write \";\" there, or the facilities before the dot: mail,news.crit",
                ));
            }
            any = true;
            rest = tail;
        }
    }
    if !any {
        return Err(selector.error("E101", "empty selector, rule ignored", "write *.* for all"));
    }
    let marks = sets
        .mark
        .contains(Pri::of(Facility::Syslog, Severity::Informational));
    let selection = Selection {
        pris: sets.pris,
        marks,
    };
    if selection.pris.is_empty() && sets.mark.is_empty() {
        warnings.push(selector.warning(
            "W001",
            "this selector takes no message at all",
            "selectors work from left to right: take something first, such as mail.*;mail.!err",
        ));
    }
    Ok(selection)
}

fn end_of(piece: Piece<'_>) -> Piece<'_> {
    piece.split_at(piece.text.len()).1
}

fn without_severity(piece: Piece<'_>) -> Problem {
    piece.error(
        "E101",
        format!(
            "no priority in selector {}, rule ignored",
            quoted(piece.text)
        ),
        "a selector is facility.priority, such as mail.info or mail.*",
    )
}

fn apply(
    facilities: Piece<'_>,
    severity: Piece<'_>,
    sets: &mut Sets,
    warnings: &mut Vec<Problem>,
) -> Result<(), Problem> {
    let operation = operation(severity, warnings)?;
    let mut named = false;
    for name in facilities
        .split(',')
        .map(Piece::trim)
        .filter(|name| !name.is_empty())
    {
        named = true;
        if name.text == "*" {
            if matches!(
                operation,
                Operation::InsertFrom(_) | Operation::Insert(_) | Operation::Fill
            ) && !sets.silenced.is_empty()
            {
                let lost: Vec<&str> = sets.silenced.drain(..).map(Facility::name).collect();
                warnings.push(name.warning(
                    "W002",
                    format!("\"*\" takes {} in again after \"none\"", lost.join(", ")),
                    "selectors work from left to right: put \"none\" last",
                ));
            }
            for facility in Facility::ALL {
                sets.apply(Source::Facility(facility), operation);
            }
            sets.apply(Source::Mark, operation);
            continue;
        }
        let source = source(name, warnings)?;
        if let (Source::Facility(facility), Operation::Clear) = (source, operation) {
            sets.silenced.push(facility);
        }
        sets.apply(source, operation);
    }
    if named {
        return Ok(());
    }
    Err(facilities.error(
        "E101",
        "no facility before the dot, rule ignored",
        "write * for all",
    ))
}

impl Sets {
    fn apply(&mut self, source: Source, operation: Operation) {
        let (set, facility) = match source {
            Source::Facility(facility) => (&mut self.pris, facility),
            Source::Mark => (&mut self.mark, Facility::Syslog),
        };
        match operation {
            Operation::InsertFrom(severity) => set.insert_from(facility, severity),
            Operation::Insert(severity) => set.insert(facility, severity),
            Operation::RemoveFrom(severity) => set.remove_from(facility, severity),
            Operation::Remove(severity) => set.remove(facility, severity),
            Operation::Fill => set.fill(facility),
            Operation::Clear => set.clear(facility),
        }
    }
}

fn operation(piece: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<Operation, Problem> {
    let piece = piece.trim();
    let (negated, rest) = piece
        .strip_prefix("!")
        .map_or((false, piece), |rest| (true, rest));
    let (exact, name) = rest
        .strip_prefix("=")
        .map_or((false, rest), |rest| (true, rest));
    if name.text.starts_with(['<', '>']) {
        return Err(name.error(
            "E101",
            "priority comparisons with < and > are FreeBSD's, rule ignored",
            "\"mail.err\" is err and above, \"mail.=err\" err alone, \"mail.*;mail.!err\" below err",
        ));
    }
    if exact && name.text == "*" {
        warnings.push(piece.warning(
            "W009",
            format!(
                "{} means every priority here, and nothing in sysklogd",
                quoted(piece.text)
            ),
            "write it without \"=\"",
        ));
    }
    Ok(match (name.text.to_ascii_lowercase().as_str(), negated) {
        ("*", false) | ("none", true) => Operation::Fill,
        ("*", true) | ("none", false) => Operation::Clear,
        _ => {
            let severity = severity(name)?;
            match (negated, exact) {
                (false, false) => Operation::InsertFrom(severity),
                (false, true) => Operation::Insert(severity),
                (true, false) => Operation::RemoveFrom(severity),
                (true, true) => Operation::Remove(severity),
            }
        }
    })
}

fn severity(name: Piece<'_>) -> Result<Severity, Problem> {
    let word = name.text.to_ascii_lowercase();
    if is_number(&word) {
        let found = word
            .parse::<usize>()
            .ok()
            .and_then(|number| Severity::ALL.get(number));
        return found.copied().ok_or_else(|| {
            let message = format!(
                "priority {} is out of range, rule ignored",
                quoted(name.text)
            );
            name.error("E101", message, "priorities are 0 (emerg) to 7 (debug)")
        });
    }
    let known = SEVERITIES.iter().find(|(known, _)| *known == word);
    known.map(|(_, severity)| *severity).ok_or_else(|| {
        let near = suggestion(
            &word,
            SEVERITIES.iter().map(|(name, _)| *name).chain(["none"]),
        );
        let message = if word.is_empty() {
            "no priority after the dot, rule ignored".to_owned()
        } else {
            format!("unknown priority {}, rule ignored", quoted(name.text))
        };
        name.error(
            "E101",
            message,
            format!("{near}priorities are listed in syslog.conf(5)"),
        )
    })
}

fn source(name: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<Source, Problem> {
    let word = name.text.to_ascii_lowercase();
    if word == "mark" {
        return Ok(Source::Mark);
    }
    if is_number(&word) {
        let number = word.parse::<usize>().ok();
        let found = number.and_then(|number| Facility::ALL.get(number >> 3));
        let Some(facility) = found.copied() else {
            let message = format!(
                "facility {} is out of range, rule ignored",
                quoted(name.text)
            );
            let help = "a number is the facility's code times 8, 0 (kern) to 184 (local7)";
            return Err(name.error("E101", message, help));
        };
        if number.is_some_and(|number| number & 7 != 0) {
            warnings.push(name.warning(
                "W008",
                format!("facility {word} is {}", facility.name()),
                "a number is the facility's code times 8, 0 (kern) to 184 (local7)",
            ));
        }
        return Ok(Source::Facility(facility));
    }
    let plain = Facility::ALL
        .into_iter()
        .find(|facility| facility.name() == word);
    let alias = || FACILITY_ALIASES.iter().find(|(alias, _)| *alias == word);
    plain
        .or_else(|| alias().map(|(_, facility)| *facility))
        .map(Source::Facility)
        .ok_or_else(|| {
            let message = if name.text.contains(BLANKS) {
                "a blank inside a selector, rule ignored".to_owned()
            } else {
                format!("unknown facility {}, rule ignored", quoted(name.text))
            };
            let known = Facility::ALL
                .into_iter()
                .map(Facility::name)
                .chain(["mark"]);
            let near = suggestion(&word, known);
            name.error(
                "E101",
                message,
                format!("{near}facilities are listed in syslog.conf(5)"),
            )
        })
}

/// Whether a word is a facility by name; `mail /f` then lacks its priority.
pub(super) fn is_facility(word: &str) -> bool {
    source(Piece::new(word), &mut Vec::new()).is_ok()
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit())
}

/// What else sysklogd 2 calls a facility.
pub(super) const FACILITY_ALIASES: [(&str, Facility); 3] = [
    ("audit", Facility::Security),
    ("cron2", Facility::Clock),
    ("cron_sol", Facility::Clock),
];

/// The names of severities.
pub(super) const SEVERITIES: [(&str, Severity); 11] = [
    ("emerg", Severity::Emergency),
    ("panic", Severity::Emergency),
    ("alert", Severity::Alert),
    ("crit", Severity::Critical),
    ("err", Severity::Error),
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("warn", Severity::Warning),
    ("notice", Severity::Notice),
    ("info", Severity::Informational),
    ("debug", Severity::Debug),
];

#[cfg(test)]
mod tests;
