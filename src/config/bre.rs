//! A POSIX regular expression, translated to the syntax of the `regex` crate.
//!
//! ```text
//! basic     \(ab\)*c\{2,3\}  a+  *x  [a\]      ->  (?:ab)*c{2,3}  a\+  \*x  [a\\]
//! extended  (ab)*c{2,3}      a|b               ->  (?:ab)*c{2,3}  a|b
//! ```
//!
//! Matching is linear in time, hence there are no back-references: `\1` is refused. The expressions of glibc
//! that POSIX leaves open (`\+`, `\?`, `\|`, `\<`, `\>`, `\w`, `\s`, `\b`) mean what they mean there.

use regex::bytes::{Regex, RegexBuilder};

/// Which of the two languages of POSIX.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Syntax {
    /// `regex`: `\(`, `\{`.
    Basic,
    /// `ereregex`, `eregex`: `(`, `{`, `|`, `+`, `?`.
    Extended,
}

/// What is wrong with an expression, and at which octet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Compiles a POSIX expression.
///
/// # Errors
///
/// The first construct that is not understood, or that cannot be matched in linear time.
pub(super) fn compile(posix: &str, syntax: Syntax, icase: bool) -> Result<Regex, Refusal> {
    if posix.len() > LONGEST {
        let message = format!("an expression of more than {LONGEST} octets");
        return Err(Refusal { at: 0, message });
    }
    let translated = Translator::new(posix, syntax).translate()?;
    // The flags stand in the text, so that it means the same among others ([`crate::route::filter`]).
    let flags = if icase { "(?is-u)" } else { "(?s-u)" };
    RegexBuilder::new(&format!("{flags}{translated}"))
        .size_limit(COMPILED_OCTETS)
        .build()
        .map_err(|error| Refusal {
            at: 0,
            message: reason(&error),
        })
}

/// The last line of what regex says; the others draw our translation, which the operator never wrote.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

const LONGEST: usize = 1024;
const COMPILED_OCTETS: usize = 1 << 20;

struct Translator<'a> {
    posix: &'a str,
    at: usize,
    syntax: Syntax,
    out: String,
    /// Where the last atom begins in `out`, if there is one that could be repeated.
    atom: Option<usize>,
    /// Whether that atom is repeated already.
    repeated: bool,
    /// Where the open groups begin in `out`.
    groups: Vec<usize>,
}

/// A construct, whichever way the syntax spells it.
#[derive(Clone, Copy)]
enum Token {
    Open,
    Close,
    Either,
    Repeat(char),
    Interval,
    Literal(char),
    Verbatim(&'static str),
    Any,
    Bracket,
    Start,
    End,
}

impl<'a> Translator<'a> {
    fn new(posix: &'a str, syntax: Syntax) -> Self {
        let out = String::with_capacity(posix.len() * 2);
        Self {
            posix,
            at: 0,
            syntax,
            out,
            atom: None,
            repeated: false,
            groups: Vec::new(),
        }
    }

    fn translate(mut self) -> Result<String, Refusal> {
        while let Some(c) = self.next() {
            let at = self.at - c.len_utf8();
            let token = self.token(c, at)?;
            self.emit(token, at)?;
        }
        if self.groups.is_empty() {
            Ok(self.out)
        } else {
            Err(refusal(self.posix.len(), "a group that is never closed"))
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn rest(&self) -> &'a str {
        self.posix.get(self.at..).unwrap_or("")
    }

    fn token(&mut self, c: char, at: usize) -> Result<Token, Refusal> {
        let basic = self.syntax == Syntax::Basic;
        Ok(match c {
            '\\' => return self.escaped(at),
            '.' => Token::Any,
            '[' => Token::Bracket,
            '*' => Token::Repeat('*'),
            '^' if !basic || self.at_branch_start() => Token::Start,
            '$' if !basic || self.at_branch_end() => Token::End,
            '(' if !basic => Token::Open,
            ')' if !basic && !self.groups.is_empty() => Token::Close,
            '|' if !basic => Token::Either,
            '+' | '?' if !basic => Token::Repeat(c),
            '{' if !basic && self.rest().starts_with(|d: char| d.is_ascii_digit()) => {
                Token::Interval
            }
            other => Token::Literal(other),
        })
    }

    fn escaped(&mut self, at: usize) -> Result<Token, Refusal> {
        let basic = self.syntax == Syntax::Basic;
        let Some(c) = self.next() else {
            return Err(refusal(at, "a backslash with nothing behind it"));
        };
        Ok(match c {
            '(' if basic => Token::Open,
            ')' if basic => Token::Close,
            '{' if basic => Token::Interval,
            '|' if basic => Token::Either,
            '+' | '?' if basic => Token::Repeat(c),
            '1'..='9' => {
                let message = "back-references are not supported: they have no linear-time matcher";
                return Err(refusal(at, message));
            }
            '<' => Token::Verbatim(r"\b{start}"),
            '>' => Token::Verbatim(r"\b{end}"),
            '`' => Token::Verbatim(r"\A"),
            '\'' => Token::Verbatim(r"\z"),
            'b' => Token::Verbatim(r"\b"),
            'B' => Token::Verbatim(r"\B"),
            'w' => Token::Verbatim(r"\w"),
            'W' => Token::Verbatim(r"\W"),
            's' => Token::Verbatim(r"\s"),
            'S' => Token::Verbatim(r"\S"),
            'd' => return Err(refusal(at, r"\d is Perl's: write [0-9]")),
            other if other.is_ascii_alphanumeric() => {
                return Err(refusal(
                    at,
                    "a backslash before this letter means nothing in POSIX",
                ));
            }
            other => Token::Literal(other),
        })
    }

    fn emit(&mut self, token: Token, at: usize) -> Result<(), Refusal> {
        match token {
            Token::Open => {
                self.groups.push(self.out.len());
                self.out.push_str("(?:");
                self.atom = None;
            }
            Token::Close => {
                let Some(start) = self.groups.pop() else {
                    return Err(refusal(at, "a group is closed that was never opened"));
                };
                self.out.push(')');
                (self.atom, self.repeated) = (Some(start), false);
            }
            Token::Either => {
                self.out.push('|');
                self.atom = None;
            }
            Token::Repeat(c) if self.atom.is_none() => self.literal(c),
            Token::Repeat(c) => self.repeat(c.encode_utf8(&mut [0; 4])),
            Token::Interval if self.atom.is_none() => {
                return Err(refusal(at, "a count with nothing before it to repeat"));
            }
            Token::Interval => {
                let interval = self.interval(at)?;
                self.repeat(&interval);
            }
            Token::Literal(c) => self.literal(c),
            Token::Verbatim(text) => self.atom_of(text),
            Token::Any => self.atom_of("."),
            Token::Bracket => self.bracket(at)?,
            Token::Start => self.anchor('^'),
            Token::End => self.anchor('$'),
        }
        Ok(())
    }

    fn atom_of(&mut self, text: &str) {
        (self.atom, self.repeated) = (Some(self.out.len()), false);
        self.out.push_str(text);
    }

    fn anchor(&mut self, c: char) {
        self.out.push(c);
        self.atom = None;
    }

    fn literal(&mut self, c: char) {
        // Grouped if it takes several octets, so that `é*` repeats the character, not its last octet.
        let escaped = regex::escape(c.encode_utf8(&mut [0; 4]));
        if c.is_ascii() {
            self.atom_of(&escaped);
        } else {
            self.atom_of(&format!("(?:{escaped})"));
        }
    }

    fn repeat(&mut self, operator: &str) {
        let Some(atom) = self.atom else { return };
        if self.repeated {
            // `a+?` is (a+)? in POSIX, and a lazy a+ to regex.
            self.out.insert_str(atom, "(?:");
            self.out.push(')');
        }
        self.out.push_str(operator);
        self.repeated = true;
    }

    fn interval(&mut self, at: usize) -> Result<String, Refusal> {
        let close = match self.syntax {
            Syntax::Basic => r"\}",
            Syntax::Extended => "}",
        };
        let Some(length) = self.rest().find(close) else {
            return Err(refusal(at, "a count that is never closed"));
        };
        let counts = self.rest().get(..length).unwrap_or("");
        self.at += length + close.len();
        let (low, high) = counts.split_once(',').unwrap_or((counts, counts));
        let number = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|count| *count <= HIGHEST_COUNT)
        };
        let high_number = if high.is_empty() {
            Some(HIGHEST_COUNT)
        } else {
            number(high)
        };
        match (number(low), high_number) {
            (Some(low), Some(high)) if low <= high => Ok(format!("{{{counts}}}")),
            (Some(_) | None, Some(_) | None) => Err(refusal(
                at,
                "a count is {N}, {N,} or {N,M} with numbers up to 255",
            )),
        }
    }

    /// `[…]`: the first `]` is literal, so is `\`; regex has set operators, which POSIX has not.
    fn bracket(&mut self, at: usize) -> Result<(), Refusal> {
        let mut class = String::from("[");
        if self.rest().starts_with('^') {
            self.at += 1;
            class.push('^');
        }
        let mut first = true;
        while let Some(c) = self.next() {
            match c {
                ']' if !first => {
                    class.push(']');
                    self.atom_of(&class);
                    return Ok(());
                }
                '[' if self.rest().starts_with(':') => {
                    let Some(length) = self.rest().find(":]") else {
                        break;
                    };
                    class.push('[');
                    class.push_str(self.rest().get(..length + 2).unwrap_or(""));
                    self.at += length + 2;
                }
                '[' if self.rest().starts_with(['.', '=']) => {
                    let message = "collating symbols and equivalence classes are not supported";
                    return Err(refusal(self.at - 1, message));
                }
                '-' => {
                    let literal = first || self.rest().starts_with(']');
                    class.push_str(if literal { r"\-" } else { "-" });
                }
                '\\' | '[' | ']' | '&' | '~' | '^' => class.extend(['\\', c]),
                other if !other.is_ascii() => {
                    let message = "only ASCII characters can stand in brackets";
                    return Err(refusal(self.at - other.len_utf8(), message));
                }
                other => class.push(other),
            }
            first = false;
        }
        Err(refusal(at, "a bracket that is never closed"))
    }

    fn at_branch_start(&self) -> bool {
        let before = self.posix.get(..self.at - 1).unwrap_or("");
        before.is_empty() || before.ends_with(r"\(") || before.ends_with(r"\|")
    }

    fn at_branch_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(r"\)") || rest.starts_with(r"\|")
    }
}

const HIGHEST_COUNT: u16 = 255;

fn refusal(at: usize, message: &str) -> Refusal {
    Refusal {
        at,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posix_expressions_match_as_in_glibc() {
        use Syntax::{Basic, Extended};
        for (posix, syntax, text, want) in [
            ("a.c", Basic, "xabcx", true),
            ("a+", Basic, "aa", false),
            ("a+", Basic, "a+", true),
            (r"a\+$", Basic, "baa", true),
            (r"^\(ab\)\{2\}$", Basic, "abab", true),
            ("*x", Basic, "*x", true),
            (r"\(*x\)", Basic, "*x", true),
            ("a{2}", Basic, "a{2}", true),
            ("a^b$c", Basic, "a^b$c", true),
            ("[a\\]]", Basic, "\\]", true),
            ("[]x]", Basic, "]", true),
            ("[^]x]", Basic, "]", false),
            ("[[:digit:]]", Basic, "a7", true),
            ("[a&&b]", Basic, "&", true),
            ("[a-c-]", Basic, "-", true),
            (r"\<ab\>", Basic, "x ab y", true),
            (r"a\|b", Basic, "b", true),
            ("a|b", Basic, "a|b", true),
            ("(ab)+c?", Extended, "abab", true),
            ("^(a|b){2}$", Extended, "ab", true),
            ("a{", Extended, "a{", true),
            ("^a+?$", Extended, "", true),
            ("^é*$", Extended, "éé", true),
            (r"\(", Extended, "(", true),
            ("a)", Extended, "a)", true),
        ] {
            let compiled = compile(posix, syntax, false);
            let got = compiled
                .as_ref()
                .map(|regex| regex.is_match(text.as_bytes()));
            assert_eq!(got, Ok(want), "{posix} {text}");
        }
    }

    #[test]
    fn what_cannot_be_matched_is_refused_where_it_stands() {
        for (posix, at) in [
            (r"\(a\)\1", 5),
            (r"a\", 1),
            (r"\(a", 3),
            (r"a\)", 1),
            ("[a", 0),
            (r"a\{2", 1),
            (r"a\{3,2\}", 1),
            (r"a\d", 1),
            ("[[.a.]]", 1),
            ("[é]", 1),
        ] {
            let refusal = compile(posix, Syntax::Basic, false).err();
            assert_eq!(refusal.map(|refusal| refusal.at), Some(at), "{posix}");
        }
    }
}
