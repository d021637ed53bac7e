//! Logical lines: the text of a file, cut into what the grammar works on.
//!
//! ```text
//! *.=info;*.=notice;\
//!         mail.none       /var/log/messages     one line: blanks after the break are dropped
//! #!sshd                                        a block, as in sysklogd
//! #!/bin/sh  #----- #+ more                     comments
//! ```
//!
//! A comment inside a continued line is skipped, a blank line ends it. Block and filter lines are not
//! continued (sysklogd). CR before LF is dropped. The BSDs continue nothing, and FreeBSD begins a comment
//! at any `#` that has no backslash before it.

use std::ops::Range;

use super::Span;
use super::diagnostic::octets;
use super::grammar::{Comments, LoadOptions};
use super::piece::BLANKS;

/// A logical line, with the way back to the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// The characters, continuations joined, blanks at both ends removed.
    pub(super) text: String,
    /// Whether blanks stand before it in the file.
    pub(super) indented: bool,
    file: u32,
    /// Where each physical part begins: offset in `text`, offset in the file.
    parts: Vec<(usize, usize)>,
    /// One past the last octet in the file.
    end: usize,
}

impl Line {
    /// The place in the file of a range of this line.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let start = self.offset(range.start);
        let end = match range.end.checked_sub(1) {
            Some(last) if last >= range.start => self.offset(last) + 1,
            Some(_) | None => start,
        };
        Span {
            file: self.file,
            start: octets(start),
            end: octets(end.max(start)),
        }
    }

    /// The place of the whole line.
    pub(super) fn whole(&self) -> Span {
        let start = self.offset(0);
        Span {
            file: self.file,
            start: octets(start),
            end: octets(self.end.max(start)),
        }
    }

    fn offset(&self, offset: usize) -> usize {
        let part = self.parts.iter().rev().find(|(start, _)| *start <= offset);
        let found = part.map_or(0, |(start, source)| source + (offset - start));
        found.min(self.end)
    }

    fn push(&mut self, text: &str, source: usize) {
        self.parts.push((self.text.len(), source));
        self.text.push_str(text);
        self.end = source + text.len();
    }

    /// Takes what stands before a `#`; `\#` is a `#`.
    fn push_uncommented(&mut self, content: &str, source: usize) {
        let mut from = 0;
        for (at, _) in content.match_indices('#') {
            let before = content.get(from..at).unwrap_or("");
            match before.strip_suffix('\\') {
                Some(before) => self.push(before, source + from),
                None => return self.push(before.trim_end_matches(BLANKS), source + from),
            }
            from = at;
        }
        self.push(content.get(from..).unwrap_or(""), source + from);
    }
}

/// The logical lines of a file, without blank lines and comments.
pub(super) fn lines(file: u32, text: &str, options: LoadOptions) -> Vec<Line> {
    let mut found = Vec::new();
    let mut open: Option<Line> = None;
    let mut next = 0;
    for physical in text.split('\n') {
        let start = next;
        next += physical.len() + 1;
        let physical = physical.strip_suffix('\r').unwrap_or(physical);
        // A byte order mark, as some editors leave it, is not part of the first line.
        let left =
            physical.trim_start_matches(|c| BLANKS.contains(&c) || (start == 0 && c == '\u{feff}'));
        let source = start + (physical.len() - left.len());
        let content = left.trim_end_matches(BLANKS);
        if content.is_empty() {
            found.extend(open.take());
            continue;
        }
        if is_comment(content, options) {
            continue;
        }
        let first = open.is_none();
        let line = open.get_or_insert_with(|| Line {
            file,
            indented: physical.starts_with(BLANKS),
            ..Line::default()
        });
        if first && content.starts_with(BLOCK) {
            line.push(content, source);
            found.extend(open.take());
            continue;
        }
        if options.comments() == Comments::Anywhere {
            line.push_uncommented(content, source);
            found.extend(open.take());
            continue;
        }
        let (content, continued) = match content.strip_suffix('\\') {
            Some(before) if options.continues_lines() => (before, true),
            Some(_) | None => (content, false),
        };
        let gap = !first && left.len() < physical.len() && !line.text.ends_with(JOINED);
        if gap && !line.text.ends_with(BLANKS) {
            // `mail.info\`, then an indented action: the indent separates the two fields.
            line.push(" ", source.saturating_sub(1));
        }
        line.push(content, source);
        if !continued {
            found.extend(open.take());
        }
    }
    found.extend(open);
    found
}

const BLOCK: [char; 5] = ['!', '+', '-', ':', '#'];
const JOINED: [char; 2] = [';', ','];

/// Whether a line that begins with `#` says nothing.
///
/// sysklogd and FreeBSD take `#!`, `#+`, `#-`, `#:` for blocks whatever follows, so that `#-----` sets a
/// filter. We ask for the shape of a block: a list of names without blanks, or `#:property, op, "value"`.
fn is_comment(content: &str, options: LoadOptions) -> bool {
    let Some(rest) = content.strip_prefix('#') else {
        return false;
    };
    if !rest.starts_with(options.hidden_blocks()) {
        return true;
    }
    let mut characters = rest.chars();
    match characters.next() {
        Some('!') => !is_name_list(characters.as_str().trim_start_matches(['+', '-'])),
        Some('+' | '-') => !is_name_list(characters.as_str()),
        Some(':') => !is_filter(characters.as_str()),
        Some(_) | None => true,
    }
}

fn is_name_list(text: &str) -> bool {
    text.split(',').all(|name| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "._-@%:*".contains(c);
        let first = |c: char| c.is_ascii_alphanumeric() || "_@*".contains(c);
        name.starts_with(first) && name.chars().all(inner)
    })
}

fn is_filter(text: &str) -> bool {
    text == "*" || (text.matches(',').count() >= 2 && text.contains('"') && text.ends_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Dialect;

    #[test]
    fn section_3_lines_are_joined_stripped_and_counted() {
        for (text, want) in [
            ("", &[][..]),
            ("\n \t\n# x\n", &[]),
            ("  mail.*  /f  \n", &["mail.*  /f"]),
            ("mail.* /f\r\n*.* /g\r\n", &["mail.* /f", "*.* /g"]),
            ("a.b;\\\n\tc.d\t/f\n", &["a.b;c.d\t/f"]),
            ("a.b\\\n  /f", &["a.b /f"]),
            ("a.b \\  \n  /f", &["a.b /f"]),
            ("a.b;\\\n# between\n c.d /f", &["a.b;c.d /f"]),
            ("a.b;\\\n\nc.d /f", &["a.b;", "c.d /f"]),
            ("a.b /f\\", &["a.b /f"]),
            (
                ":msg, contains, \"x\\\nmail.* /f",
                &[":msg, contains, \"x\\", "mail.* /f"],
            ),
        ] {
            let got: Vec<String> = lines(0, text, LoadOptions::default())
                .into_iter()
                .map(|line| line.text)
                .collect();
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn section_3_a_comment_is_a_block_only_if_it_has_the_shape_of_one() {
        for (line, comment) in [
            ("#!prog", false),
            ("#!+foo,bar", false),
            ("#!*", false),
            ("#+host", false),
            ("#-@", false),
            ("#:msg, contains, \"x\"", false),
            ("#:*", false),
            ("#-----", true),
            ("#!/bin/sh", true),
            ("#+foo bar", true),
            ("#: a note", true),
            ("#!", true),
            ("# text", true),
            ("#", true),
        ] {
            assert_eq!(is_comment(line, LoadOptions::default()), comment, "{line}");
        }
    }

    #[test]
    fn section_3_each_family_cuts_lines_its_way() {
        use Dialect::{Freebsd, Inetutils, Netbsd, Openbsd, Sysklogd};
        for (dialect, text, want) in [
            (Freebsd, "a.b;\\\nc.d /f", &["a.b;\\", "c.d /f"][..]),
            (Openbsd, "a.b /f\\\nc.d /g", &["a.b /f\\", "c.d /g"]),
            (Inetutils, "a.b;\\\nc.d /f", &["a.b;c.d /f"]),
            (Freebsd, "a.b /f# note", &["a.b /f"]),
            (Freebsd, "a.b /f\\#1 # note", &["a.b /f#1"]),
            (Sysklogd, "a.b /f#1 # note", &["a.b /f#1 # note"]),
            (
                Freebsd,
                "#:msg, contains, \"#\"",
                &["#:msg, contains, \"#\""],
            ),
            (Openbsd, "#!prog\n#+host\n#-host", &[]),
            (Netbsd, "#!prog\n#:*", &["#!prog"]),
            (Inetutils, "#!prog\n#+host", &["#!prog"]),
        ] {
            let found = lines(0, text, dialect.into()).into_iter();
            let got: Vec<String> = found.map(|line| line.text).collect();
            assert_eq!(got, want, "{dialect:?} {text:?}");
        }
        let text = "a.b /f\\#1";
        let line = &lines(0, text, Freebsd.into())[0];
        let span = line.span(6..7);
        assert_eq!(&text[span.start as usize..span.end as usize], "#");
    }

    #[test]
    fn a_range_of_a_joined_line_leads_back_to_the_file() {
        let text = "a.b;\\\n\tc.d\t/f\n";
        let line = &lines(0, text, LoadOptions::default())[0];
        for (range, want) in [(0..3, "a.b"), (4..7, "c.d"), (8..10, "/f")] {
            let span = line.span(range);
            assert_eq!(&text[span.start as usize..span.end as usize], want);
        }
    }
}
