//! A shell pattern (fnmatch(3)), translated to the syntax of the `regex` crate: `post*` to `\Apost.*\z`.

use regex::bytes::{Regex, RegexBuilder};

/// Whether letters of both cases are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

/// Compiles a pattern of `*`, `?`, `[…]` and `\`.
///
/// # Errors
///
/// A sentence about what is no pattern: a range that runs backwards, or far too long a text.
pub(super) fn compile(pattern: &str, case: Case) -> Result<Regex, String> {
    if pattern.len() > LONGEST {
        return Err(format!("a pattern of more than {LONGEST} octets"));
    }
    let mut translated = String::from(r"\A");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => translated.push_str(".*"),
            '?' => translated.push('.'),
            '[' => match bracket(rest.as_str()) {
                Some((class, after)) => {
                    translated.push_str(&class);
                    rest = after.chars();
                }
                // As in the shell, a bracket that is never closed is one.
                None => translated.push_str(r"\["),
            },
            '\\' => literal(rest.next().unwrap_or('\\'), &mut translated),
            other => literal(other, &mut translated),
        }
    }
    translated.push_str(r"\z");
    RegexBuilder::new(&translated)
        .unicode(false)
        .dot_matches_new_line(true)
        .case_insensitive(case == Case::Ignored)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("a pattern that cannot be used: {}", reason(&error)))
}

/// The last line of what regex says; the others draw the translation.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

const LONGEST: usize = 256;

fn literal(c: char, translated: &mut String) {
    translated.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// The class that begins after `[`, and what follows its `]`.
fn bracket(text: &str) -> Option<(String, &str)> {
    let (negation, inside) = match text.strip_prefix(['!', '^']) {
        Some(inside) => ("^", inside),
        None => ("", text),
    };
    // A `]` that comes first is a member.
    let first = inside.chars().next()?.len_utf8();
    let end = first + inside.get(first..)?.find(']')?;
    let (members, after) = (inside.get(..end)?, inside.get(end + 1..)?);
    let mut class = format!("[{negation}");
    for member in members.chars() {
        if matches!(member, '\\' | '[' | ']' | '&' | '~' | '^') {
            class.push('\\');
        }
        class.push(member);
    }
    class.push(']');
    Some((class, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_fnmatch() {
        for (pattern, name, want) in [
            ("post*", "postfix", true),
            ("post*", "post", true),
            ("post*", "xpost", false),
            ("p?p", "ppp", true),
            ("p?p", "pp", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a.b", "axb", false),
            ("é*", "é1", true),
            ("Sshd", "sshd", false),
        ] {
            let compiled = compile(pattern, Case::Matters).expect("a pattern");
            assert_eq!(compiled.is_match(name.as_bytes()), want, "{pattern} {name}");
        }
        let relaxed = compile("Host*", Case::Ignored).expect("a pattern");
        assert!(relaxed.is_match(b"hOST1"));
        assert!(compile("[z-a]", Case::Matters).is_err());
    }
}
