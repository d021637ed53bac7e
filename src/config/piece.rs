//! A piece of a line that knows where in the line it stands.

use std::ops::Range;

use super::diagnostic::Severity;

/// Part of a logical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// The characters.
    pub(super) text: &'a str,
    /// Offset of the first one in the line.
    pub(super) start: usize,
}

/// What is wrong with a piece; the line turns it into a diagnostic.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) range: Range<usize>,
}

/// The characters that separate the fields of a line.
pub(super) const BLANKS: [char; 2] = [' ', '\t'];

impl<'a> Piece<'a> {
    /// A whole line.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, start: 0 }
    }

    /// Where it stands in the line.
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Without the blanks around it.
    pub(super) fn trim(self) -> Self {
        let left = self.text.trim_start_matches(BLANKS);
        Self {
            text: left.trim_end_matches(BLANKS),
            start: self.start + (self.text.len() - left.len()),
        }
    }

    /// The parts before and after an offset; an offset inside a character or past the end is the end.
    pub(super) fn split_at(self, offset: usize) -> (Self, Self) {
        let (left, right) = self
            .text
            .split_at_checked(offset)
            .unwrap_or((self.text, ""));
        let start = self.start + left.len();
        (Self { text: left, ..self }, Self { text: right, start })
    }

    /// The parts before and after the first of some characters, which is in neither.
    pub(super) fn split_once(self, separators: &[char]) -> Option<(Self, Self)> {
        let offset = self.text.find(separators)?;
        let (left, right) = self.split_at(offset);
        let width = right.text.chars().next().map_or(0, char::len_utf8);
        Some((left, right.split_at(width).1))
    }

    /// The parts between separators.
    pub(super) fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let piece = rest?;
            let (head, tail) = match piece.split_once(&[separator]) {
                Some((head, tail)) => (head, Some(tail)),
                None => (piece, None),
            };
            rest = tail;
            Some(head)
        })
    }

    /// What follows a prefix.
    pub(super) fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?;
        let start = self.start + prefix.len();
        Some(Self { text, start })
    }

    /// What stands before a blank and `#`.
    pub(super) fn without_comment(self) -> Self {
        let mut signs = self.text.match_indices('#').map(|(offset, _)| offset);
        let comment = signs.find(|offset| {
            let before = self.text.get(..*offset).unwrap_or("");
            before.ends_with(BLANKS)
        });
        comment.map_or(self, |offset| self.split_at(offset).0)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// An error here.
    pub(super) fn error(
        self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let (message, help) = (message.into(), Some(help.into()));
        Problem {
            severity: Severity::Error,
            code,
            message,
            help,
            range: self.range(),
        }
    }

    /// A warning here.
    pub(super) fn warning(
        self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let severity = Severity::Warning;
        Problem {
            severity,
            ..self.error(code, message, help)
        }
    }
}

/// The known word that an unknown one most resembles: one or two slips of the hand away.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word
        .chars()
        .take(LONGEST_GUESS)
        .collect::<String>()
        .to_ascii_lowercase();
    let limit = if word.chars().count() < 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= limit && *slips < candidate.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "auth"? ` if something is near enough.
pub(super) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("did you mean \"{near}\"? "))
}

/// A word for a message: cut, so that a megabyte of nonsense does not repeat itself.
pub(super) fn quoted(word: &str) -> String {
    let cut: String = word.chars().take(LONGEST_QUOTE).collect();
    let more = if cut.len() < word.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

const LONGEST_GUESS: usize = 32;
const LONGEST_QUOTE: usize = 60;

/// Insertions, deletions, substitutions and swaps of neighbours between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (i, a) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (row[j] + usize::from(a != *b))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            let swapped = j > 0 && last == Some(*b) && right[j - 1] == a;
            if swapped {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        last = Some(a);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        let known = ["auth", "authpriv", "mail", "kern"];
        for (word, want) in [
            ("auht", Some("auth")),
            ("AUT", Some("auth")),
            ("mial", Some("mail")),
            ("authprv", Some("authpriv")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
    }
}
