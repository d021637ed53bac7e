//! A selector: `auth,authpriv.*;auth.!=debug` in, the PRIs that it takes out.
//!
//! ```text
//! f.l    l and all above    f.=l   l alone    f.<=l   l and all below    f.*   all
//! f.!…   all but these      f.none none
//! ```
//!
//! By the Linux algebra the set starts empty, and each part adds to it, or with `!` and `none` takes from it.
//! By the BSD algebra each part replaces what was said of its facilities before.

use super::grammar::{Algebra, LoadOptions, Operators};
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use crate::pri::{Facility, Pri, PriSet, Severity};

/// What a selector takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Selection {
    /// The PRIs.
    pub(super) pris: PriSet,
    /// Our own "-- MARK --", which is `mark.info` and has no PRI of its own.
    pub(super) marks: bool,
    /// The PRIs that it takes by the other algebra.
    pub(super) elsewhere: PriSet,
}

/// A facility of a selector: one of the 24, or our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Facility(Facility),
    Mark,
}

/// What stands after the dot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Term {
    /// One bit for each severity, emerg the lowest.
    severities: u8,
    /// `!` or `none`.
    negated: bool,
    /// `none`.
    none: bool,
}

/// The sets while they are built; `mark` uses the slot of syslog in a set of its own.
struct Sets {
    options: LoadOptions,
    pris: PriSet,
    mark: PriSet,
    elsewhere: PriSet,
    silenced: Vec<Facility>,
}

/// Reads a selector. The warnings are added, an error ends it.
///
/// # Errors
///
/// The first piece that is no selector, with the nearest word that would be.
pub(super) fn parse(
    selector: Piece<'_>,
    options: LoadOptions,
    warnings: &mut Vec<Problem>,
) -> Result<Selection, Problem> {
    let mut sets = Sets {
        options,
        pris: PriSet::EMPTY,
        mark: PriSet::EMPTY,
        elsewhere: PriSet::EMPTY,
        silenced: Vec::new(),
    };
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
        elsewhere: sets.elsewhere,
    };
    if selection.pris.is_empty() && sets.mark.is_empty() {
        let help = match options.algebra() {
            Algebra::Linux => {
                "selectors work from left to right: take something first, such as mail.*;mail.!err"
            }
            Algebra::Bsd => "the last selector that names a facility decides about it",
        };
        warnings.push(selector.warning("W001", "this selector takes no message at all", help));
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
    let term = term(severity, sets.options, warnings)?;
    let mut named = false;
    for name in facilities
        .split(',')
        .map(Piece::trim)
        .filter(|name| !name.is_empty())
    {
        named = true;
        if name.text == "*" {
            if !term.negated && !sets.silenced.is_empty() {
                let lost: Vec<&str> = sets.silenced.drain(..).map(Facility::name).collect();
                warnings.push(name.warning(
                    "W002",
                    format!("\"*\" takes {} in again after \"none\"", lost.join(", ")),
                    "selectors work from left to right: put \"none\" last",
                ));
            }
            for facility in Facility::ALL {
                sets.apply(Source::Facility(facility), term);
            }
            if sets.options.star_takes_marks() {
                sets.apply(Source::Mark, term);
            }
            continue;
        }
        let source = source(name, sets.options, warnings)?;
        if let (Source::Facility(facility), true) = (source, term.none && term.negated) {
            sets.silenced.push(facility);
        }
        sets.apply(source, term);
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
    fn apply(&mut self, source: Source, term: Term) {
        let algebra = self.options.algebra();
        match source {
            Source::Facility(facility) => {
                combine(&mut self.pris, facility, term, algebra);
                combine(&mut self.elsewhere, facility, term, algebra.other());
            }
            Source::Mark => combine(&mut self.mark, Facility::Syslog, term, algebra),
        }
    }
}

fn combine(set: &mut PriSet, facility: Facility, term: Term, algebra: Algebra) {
    for severity in Severity::ALL {
        let named = term.severities & bit(severity) != 0;
        let taken = match algebra {
            Algebra::Bsd => Some(named != term.negated),
            Algebra::Linux => named.then_some(!term.negated),
        };
        match taken {
            Some(true) => set.insert(facility, severity),
            Some(false) => set.remove(facility, severity),
            None => {}
        }
    }
}

fn bit(severity: Severity) -> u8 {
    1 << severity as u8
}

fn term(
    piece: Piece<'_>,
    options: LoadOptions,
    warnings: &mut Vec<Problem>,
) -> Result<Term, Problem> {
    let piece = piece.trim();
    let (negated, rest) = piece
        .strip_prefix("!")
        .map_or((false, piece), |rest| (true, rest));
    let length = rest
        .text
        .find(|c| !COMPARISONS.contains(&c))
        .unwrap_or(rest.text.len());
    let (comparison, name) = rest.split_at(length);
    refuse_operators(piece, comparison, negated, options)?;
    if comparison.text == "=" && name.text == "*" && options.algebra() == Algebra::Linux {
        warnings.push(piece.warning(
            "W009",
            format!(
                "{} means every priority here, and nothing in sysklogd",
                quoted(piece.text)
            ),
            "write it without \"=\"",
        ));
    }
    let all = |negated, none| Term {
        severities: u8::MAX,
        negated,
        none,
    };
    Ok(match name.text.to_ascii_lowercase().as_str() {
        "*" => all(negated, false),
        "none" => all(!negated, true),
        _ => {
            let severity = severity(name, options)?;
            let by_default = if options.exact { "=" } else { "=>" };
            let signs = match comparison.text {
                "" => by_default,
                signs => signs,
            };
            let holds = |candidate: &Severity| {
                signs.contains(match candidate.cmp(&severity) {
                    // More urgent is a smaller number, and ">" to an operator.
                    std::cmp::Ordering::Less => '>',
                    std::cmp::Ordering::Equal => '=',
                    std::cmp::Ordering::Greater => '<',
                })
            };
            let severities = Severity::ALL.into_iter().filter(holds).map(bit).sum();
            Term {
                severities,
                negated,
                none: false,
            }
        }
    })
}

const COMPARISONS: [char; 3] = ['<', '=', '>'];

/// The operators that this family does not have.
fn refuse_operators(
    piece: Piece<'_>,
    comparison: Piece<'_>,
    negated: bool,
    options: LoadOptions,
) -> Result<(), Problem> {
    let family = options.dialect.name();
    match options.operators() {
        Operators::Compare => Ok(()),
        Operators::Equal if !comparison.text.contains(['<', '>']) => Ok(()),
        Operators::Equal => Err(comparison.error(
            "E101",
            format!("--compat={family} knows no comparisons with < and >, rule ignored"),
            "\"mail.err\" is err and above, \"mail.=err\" err alone, \"mail.*;mail.!err\" below err",
        )),
        Operators::None if !negated && comparison.is_empty() => Ok(()),
        Operators::None => Err(piece.error(
            "E101",
            format!(
                "unknown priority {}: --compat={family} has no operators, rule ignored",
                quoted(piece.text)
            ),
            "write the priority alone, such as mail.err for err and above, see syslog.conf(5), SELECTORS",
        )),
    }
}

fn severity(name: Piece<'_>, options: LoadOptions) -> Result<Severity, Problem> {
    let word = name.text.to_ascii_lowercase();
    if is_number(&word) && options.operators() != Operators::None {
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
        } else if word.starts_with('!') {
            format!("unknown operator in {}, rule ignored", quoted(name.text))
        } else {
            format!("unknown priority {}, rule ignored", quoted(name.text))
        };
        let help = if word.starts_with('!') {
            "\"!\" comes first: mail.!=info; operators are listed in syslog.conf(5), SELECTORS"
                .to_owned()
        } else {
            format!("{near}priorities are listed in syslog.conf(5), SELECTORS")
        };
        name.error("E101", message, help)
    })
}

fn source(
    name: Piece<'_>,
    options: LoadOptions,
    warnings: &mut Vec<Problem>,
) -> Result<Source, Problem> {
    let word = name.text.to_ascii_lowercase();
    if word == "mark" {
        return Ok(Source::Mark);
    }
    if is_number(&word) && options.operators() != Operators::None {
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
    let found = options.facility(&word).map(Source::Facility);
    found.ok_or_else(|| unknown_facility(name, &word, options))
}

fn unknown_facility(name: Piece<'_>, word: &str, options: LoadOptions) -> Problem {
    let family = options.dialect.name();
    let message = if name.text.contains(BLANKS) {
        "a blank inside a selector, rule ignored".to_owned()
    } else if LoadOptions::default().facility(word).is_some() {
        let quoted = quoted(name.text);
        format!("unknown facility {quoted} under --compat={family}, rule ignored")
    } else {
        format!("unknown facility {}, rule ignored", quoted(name.text))
    };
    let near = suggestion(word, options.facility_names().chain(["mark"]));
    name.error(
        "E101",
        message,
        format!("{near}facilities are listed in syslog.conf(5), SELECTORS"),
    )
}

/// Whether a word is a facility by name; `mail /f` then lacks its priority.
pub(super) fn is_facility(word: &str, options: LoadOptions) -> bool {
    source(Piece::new(word), options, &mut Vec::new()).is_ok()
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit())
}

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
