//! Blocks, which hold for the rules below them: `!prog`, `+host`, `-host`, `:property, op, "value"`.
//!
//! The three kinds are independent; `!*`, `+*` and `:*` end them. A block that is not understood takes no
//! message: its rules are left out rather than let through everything. Under OpenBSD names are patterns, and
//! `!!prog` and `++host` begin quick blocks: a rule there that takes a message keeps it from those below.

use super::bre::{self, Syntax};
use super::grammar::LoadOptions;
use super::pattern::{self, Case};
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::{Condition, HostName, Needle, ProgramName, Property, Test, Then};

/// The blocks in force at a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    program: Block,
    host: Block,
    property: Block,
    /// What the last program or host block said.
    then: Then,
}

/// One kind of block.
#[derive(Clone, Debug, Default)]
enum Block {
    /// None, or ended by `*`.
    #[default]
    Open,
    Only(Condition),
    /// It has an error, which was reported.
    Broken,
}

impl Blocks {
    /// Takes a block line; `None` if the line is something else.
    pub(super) fn read(
        &mut self,
        line: Piece<'_>,
        options: LoadOptions,
        problems: &mut Vec<Problem>,
    ) -> Option<()> {
        let line = line.strip_prefix("#").unwrap_or(line);
        let (slot, parsed) = if let Some(names) = line.strip_prefix("!") {
            let (names, then) = quick(names.without_comment(), "!", options);
            self.then = then;
            (&mut self.program, program(names, options, problems))
        } else if let Some(names) = line.strip_prefix("+") {
            let (names, then) = quick(names.without_comment(), "+", options);
            self.then = then;
            (&mut self.host, host(names, false, options))
        } else if let Some(names) = line.strip_prefix("-") {
            self.then = Then::Continue;
            (&mut self.host, host(names.without_comment(), true, options))
        } else if let Some(filter) = line.strip_prefix(":") {
            (&mut self.property, property(filter))
        } else {
            return None;
        };
        *slot = match parsed {
            Ok(Some(condition)) => Block::Only(condition),
            Ok(None) => Block::Open,
            Err(problem) => {
                problems.push(problem);
                Block::Broken
            }
        };
        Some(())
    }

    /// Whether a rule at this place ends the search once it took a message.
    pub(super) fn then(&self) -> Then {
        self.then
    }

    /// What a rule at this place must meet; `None` if a block is broken and the rule must be left out.
    pub(super) fn conditions(&self) -> Option<Vec<Condition>> {
        let mut conditions = Vec::new();
        for block in [&self.program, &self.host, &self.property] {
            match block {
                Block::Open => {}
                Block::Only(condition) => conditions.push(condition.clone()),
                Block::Broken => return None,
            }
        }
        Some(conditions)
    }
}

/// The names of a block, and whether it is a quick one.
fn quick<'a>(names: Piece<'a>, sign: &str, options: LoadOptions) -> (Piece<'a>, Then) {
    let doubled = names
        .strip_prefix(sign)
        .filter(|_| options.has_quick_blocks());
    doubled.map_or((names, Then::Continue), |names| (names, Then::Stop))
}

const IGNORED: &str = "rules ignored up to the next block of this kind";

fn program(
    names: Piece<'_>,
    options: LoadOptions,
    problems: &mut Vec<Problem>,
) -> Result<Option<Condition>, Problem> {
    if names.text.starts_with('!') {
        let help = "write one !; every matching rule is executed, but under --compat=openbsd";
        return Err(names.error("E104", format!("\"!!\" is OpenBSD's, {IGNORED}"), help));
    }
    let excluded = names.strip_prefix("-");
    let list = excluded
        .or_else(|| names.strip_prefix("+"))
        .unwrap_or(names)
        .trim();
    if list.is_empty() || list.text == "*" {
        return Ok(None);
    }
    let mut found = Vec::new();
    for name in names_of(list)? {
        if options.has_quick_blocks() && name.text.contains(WILDCARDS) {
            found.push(ProgramName::Pattern(pattern_of(name, Case::Matters)?));
            continue;
        }
        if name.text.contains(['*', '?']) {
            problems.push(name.warning(
                "W012",
                format!(
                    "program name {} is compared as it stands",
                    quoted(name.text)
                ),
                "for a pattern write :programname, regex, \"…\"",
            ));
        }
        found.push(ProgramName::Exact(name.text.to_owned()));
    }
    Ok(Some(Condition::Program {
        names: found,
        exclude: excluded.is_some(),
    }))
}

const WILDCARDS: [char; 4] = ['*', '?', '[', '\\'];

fn pattern_of(name: Piece<'_>, case: Case) -> Result<regex::bytes::Regex, Problem> {
    pattern::compile(name.text, case).map_err(|message| {
        let message = format!("{message}, {IGNORED}");
        name.error("E104", message, "in a pattern * ? [ ] are wildcards")
    })
}

fn host(
    list: Piece<'_>,
    exclude: bool,
    options: LoadOptions,
) -> Result<Option<Condition>, Problem> {
    if list.text.starts_with('+') {
        let help = "write one +; every matching rule is executed, but under --compat=openbsd";
        return Err(list.error("E104", format!("\"++\" is OpenBSD's, {IGNORED}"), help));
    }
    let list = list.trim();
    if list.text == "*" {
        return Ok(None);
    }
    let mut names = Vec::new();
    for name in names_of(list)? {
        if name.text.contains('/') {
            let message = format!("{} is no host name, {IGNORED}", quoted(name.text));
            return Err(name.error(
                "E104",
                message,
                "a line that begins with + or - is a host block",
            ));
        }
        names.push(match name.text {
            "@" => HostName::Local,
            other if options.has_quick_blocks() && other.contains(WILDCARDS) => {
                HostName::Pattern(pattern_of(name, Case::Ignored)?)
            }
            other => HostName::Named(other.to_ascii_lowercase()),
        });
    }
    Ok(Some(Condition::Host { names, exclude }))
}

fn names_of(list: Piece<'_>) -> Result<Vec<Piece<'_>>, Problem> {
    list.split(',')
        .map(Piece::trim)
        .map(|name| {
            if name.is_empty() {
                let message = format!("a name is missing in this block, {IGNORED}");
                Err(list.error("E104", message, "names are separated by single commas"))
            } else if name.text.contains(BLANKS) {
                let message = format!("a blank inside the name {}, {IGNORED}", quoted(name.text));
                Err(name.error(
                    "E104",
                    message,
                    "separate names by commas; rules go on the next line",
                ))
            } else {
                Ok(name)
            }
        })
        .collect()
}

fn property(filter: Piece<'_>) -> Result<Option<Condition>, Problem> {
    let filter = filter.trim();
    if filter.text == "*" {
        return Ok(None);
    }
    let Some((name, rest)) = filter.split_once(&[',']) else {
        return Err(filter.error(
            "E104",
            format!("an incomplete filter, {IGNORED}"),
            FILTER_SHAPE,
        ));
    };
    let Some((operator, value)) = rest.split_once(&[',']) else {
        return Err(filter.error(
            "E104",
            format!("an incomplete filter, {IGNORED}"),
            FILTER_SHAPE,
        ));
    };
    let property = property_name(name.trim())?;
    let operator = operator.trim();
    let (negate, operator) = operator
        .strip_prefix("!")
        .map_or((false, operator), |op| (true, op));
    let (value, rest) = Value::read(value.trim())?;
    if !rest.trim().is_empty() {
        let message = format!("text after the value of a filter, {IGNORED}");
        return Err(rest.trim().error("E104", message, FILTER_ALONE));
    }
    let test = test(operator.trim(), &value)?;
    Ok(Some(Condition::Property {
        property,
        test,
        negate,
    }))
}

const FILTER_SHAPE: &str = "a filter is :property, operator, \"value\"";
const FILTER_ALONE: &str =
    "a filter stands on a line of its own and holds for the rules below it, up to :*";

fn property_name(name: Piece<'_>) -> Result<Property, Problem> {
    let word = name.text.to_ascii_lowercase();
    let known = PROPERTIES.iter().find(|(known, _)| *known == word);
    known.map(|(_, property)| *property).ok_or_else(|| {
        let elsewhere = OF_RSYSLOG.iter().find(|(theirs, _)| *theirs == word);
        let near = match elsewhere {
            Some((_, instead)) => format!("write {instead} instead; "),
            None => suggestion(&word, PROPERTIES.iter().map(|(known, _)| *known)),
        };
        let message = format!("unknown property {}, {IGNORED}", quoted(name.text));
        name.error(
            "E104",
            message,
            format!("{near}properties are listed in syslog.conf(5), Properties"),
        )
    })
}

fn test(operator: Piece<'_>, value: &Value<'_>) -> Result<Test, Problem> {
    let word = operator.text.to_ascii_lowercase();
    let (ignore_case, plain) = match word.strip_prefix("icase_") {
        Some(plain) => (true, plain),
        None => (false, word.as_str()),
    };
    Ok(match plain {
        "contains" => Test::Contains(value.needle(ignore_case)),
        "isequal" => Test::IsEqual(value.needle(ignore_case)),
        "startswith" => Test::StartsWith(value.needle(ignore_case)),
        "regex" => Test::Matches(value.regex(Syntax::Basic, ignore_case)?),
        "ereregex" | "eregex" => Test::Matches(value.regex(Syntax::Extended, ignore_case)?),
        _ => {
            let near = suggestion(plain, OPERATORS);
            let message = format!("unknown operator {}, {IGNORED}", quoted(operator.text));
            let help = format!("{near}operators are listed in syslog.conf(5), Properties");
            return Err(operator.error("E104", message, help));
        }
    })
}

/// A quoted value with its escapes undone.
struct Value<'a> {
    piece: Piece<'a>,
    text: String,
    /// For each octet of `text`, where it stands in `piece`.
    origins: Vec<usize>,
}

impl<'a> Value<'a> {
    /// Reads `"…"`; `\"` and `\\` are `"` and `\`, any other backslash stands for itself.
    fn read(piece: Piece<'a>) -> Result<(Self, Piece<'a>), Problem> {
        let Some(inside) = piece.strip_prefix("\"") else {
            let message = format!("the value of a filter is not quoted, {IGNORED}");
            return Err(piece.error("E104", message, FILTER_SHAPE));
        };
        let mut value = Value {
            piece: inside,
            text: String::new(),
            origins: Vec::new(),
        };
        let mut characters = inside.text.char_indices().peekable();
        while let Some((offset, c)) = characters.next() {
            let c = match (c, characters.peek()) {
                ('"', _) => {
                    value.piece = inside.split_at(offset).0;
                    return Ok((value, inside.split_at(offset + 1).1));
                }
                ('\\', Some((_, escaped @ ('"' | '\\')))) => {
                    let escaped = *escaped;
                    characters.next();
                    escaped
                }
                (other, _) => other,
            };
            value.text.push(c);
            value
                .origins
                .extend(std::iter::repeat_n(offset, c.len_utf8()));
        }
        Err(piece.error(
            "E104",
            format!("a quote that is never closed, {IGNORED}"),
            FILTER_SHAPE,
        ))
    }

    fn needle(&self, ignore_case: bool) -> Needle {
        let text = if ignore_case {
            self.text.to_ascii_lowercase()
        } else {
            self.text.clone()
        };
        Needle {
            octets: text.into_bytes(),
            ignore_case,
        }
    }

    fn regex(&self, syntax: Syntax, icase: bool) -> Result<regex::bytes::Regex, Problem> {
        bre::compile(&self.text, syntax, icase).map_err(|refusal| {
            let offset = self.origins.get(refusal.at).copied().unwrap_or(0);
            let rest = self.piece.split_at(offset).1;
            let message = format!("a regular expression that cannot be used, {IGNORED}");
            rest.error("E104", message, refusal.message)
        })
    }
}

/// What a filter can look at.
pub(super) const PROPERTIES: [(&str, Property); 7] = [
    ("msg", Property::Msg),
    ("programname", Property::ProgramName),
    ("hostname", Property::Hostname),
    ("source", Property::Source),
    ("msgid", Property::MsgId),
    ("sd", Property::StructuredData),
    ("data", Property::StructuredData),
];

/// What rsyslog calls what we have too, and how it is written here.
const OF_RSYSLOG: [(&str, &str); 11] = [
    ("fromhost-ip", "source, which is an address,"),
    ("fromhost", "source, which is an address,"),
    ("syslogtag", "programname, which is the tag up to [ or :,"),
    ("app-name", "programname"),
    ("rawmsg", "msg"),
    ("structured-data", "sd"),
    ("pri-text", "a selector"),
    ("syslogfacility", "a selector"),
    ("syslogfacility-text", "a selector"),
    ("syslogseverity", "a selector"),
    ("syslogseverity-text", "a selector"),
];

/// How it can look at it; each has a form with `icase_`.
pub(super) const OPERATORS: [&str; 6] = [
    "contains",
    "isequal",
    "startswith",
    "regex",
    "ereregex",
    "eregex",
];

#[cfg(test)]
mod tests;
