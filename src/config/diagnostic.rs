//! A diagnostic: what is wrong in a configuration, where, and what to do about it.
//!
//! ```text
//! syslogd.conf:12:1: error E101: unknown facility "auht", rule ignored
//!    |
//! 12 | auht.info     /var/log/auth.log
//!    | ^^^^ did you mean "auth"? facilities are listed in syslog.conf(5), SELECTORS
//! ```
//!
//! The first line is ours, the snippet below it is annotate-snippets'. Columns count characters from 1.
//!
//! | code | about | code | about |
//! |------|-------|------|-------|
//! | E101 | selector | W001 | selects nothing |
//! | E102 | destination | W002 | `none` undone by a later `*` |
//! | E103 | option | W003 | one message to one destination twice |
//! | E104 | block or filter | W004 | a user's name that looks like a path |
//! | E105 | keyword | W005 | missing include |
//! | E106 | include | W006 | missing directory (`--check`) |
//! | E107 | not text | W007 | comma for semicolon |
//! | E108 | settings that differ | W008 | facility number between two codes |
//! | E109 | another daemon's language | W009 | `=*` |
//! | E110 | not supported yet | W011 | `rotate=` without a size or period |
//! | | | W012 | wildcard in a program's name |
//! | | | W013 | a selector that differs between Linux and the BSDs (`--check`) |
//! | | | W014 | comment that its own daemon takes for a file's name |
//! | | | W015 | FIFO that is not there, or that nobody reads (`--check`) |
//! | | | W016 | rule that no message reaches |
//! | | | W017 | a key of NetBSD's that has no effect here |
//! | | | W018 | unknown user or group (`--check`) |
//! | | | W019 | a directory, FIFO or socket where a file is meant (`--check`) |
//! | | | W020 | an address to listen on, named twice (`--check`) |
//! | | | W021 | a memory buffer that is too small, and gets 4 KiB |
//! | | | W022 | an option that replaces an earlier one |
//! | | | W023 | a path that looks like a template |
//! | | | W024 | a device or terminal that is not there (`--check`) |
//! | | | W025 | an IPv6 address that seems to end in a port |

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Something was not understood and is not done.
    Error,
    /// It is done as written, and is probably not what was meant.
    Warning,
}

/// One mistake, or one suspicion.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable name: `E…` for errors, `W…` for warnings.
    pub code: &'static str,
    /// What is wrong and what happens now; lower case, no full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to do.
    pub help: Option<String>,
    /// Other places that belong to it, each with a short note.
    pub secondary: Vec<(Span, String)>,
}

/// The files of one load: their names and texts, by [`Span::file`].
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// Where the lines begin, so that none is searched for.
    lines: Vec<usize>,
}

impl Sources {
    /// Takes a file in; the number is for [`Span::file`].
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        let (name, text) = (name.into(), text.into());
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        self.files.push(Source { name, text, lines });
        octets(self.files.len() - 1)
    }

    /// The name of a file, empty if there is none of this number.
    pub fn name(&self, file: u32) -> &str {
        self.source(file).map_or("", |source| &source.name)
    }

    /// The text of a file, empty if there is none of this number.
    pub fn text(&self, file: u32) -> &str {
        self.source(file).map_or("", |source| &source.text)
    }

    /// The text that a span covers.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(range(span)).unwrap_or("")
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file was read.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Line and column of the first octet of a span, both from 1; the column counts characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let Some(source) = self.source(span.file) else {
            return (1, 1);
        };
        let start = span.start as usize;
        let line = source.lines.partition_point(|begin| *begin <= start).max(1);
        let begin = source.lines.get(line - 1).copied().unwrap_or(0);
        let before = source.text.get(begin..start).unwrap_or("");
        (line, before.chars().count() + 1)
    }

    fn source(&self, file: u32) -> Option<&Source> {
        self.files.get(file as usize)
    }

    /// The whole lines that a span touches: their octets, and the number of the first.
    fn lines_around(&self, span: Span) -> (Range<usize>, usize) {
        let text = self.text(span.file);
        let Range { start, end } = range(span);
        let from = text.get(..start).and_then(|before| before.rfind('\n'));
        let from = from.map_or(0, |newline| newline + 1);
        let to = text.get(end..).and_then(|after| after.find('\n'));
        let to = to.map_or(text.len(), |length| end + length);
        (from..to, self.position(span).0)
    }
}

impl Diagnostic {
    /// All of it in one line: `FILE:LINE:COL: error CODE: message; help`.
    pub fn sentence(&self, sources: &Sources) -> String {
        let head = self.head(sources);
        match &self.help {
            Some(help) => format!("{head}; {help}"),
            None => head,
        }
    }

    fn head(&self, sources: &Sources) -> String {
        let (line, column) = sources.position(self.span);
        let name = sources.name(self.span.file);
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Self { code, message, .. } = self;
        format!("{name}:{line}:{column}: {kind} {code}: {message}")
    }

    /// The text for an operator: `FILE:LINE:COL: error CODE: message`, the line, a caret, the help.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let head = self.head(sources);
        if sources.text(self.span.file).is_empty() {
            return self.sentence(sources);
        }
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let primary = snippet(
            sources,
            self.span,
            AnnotationKind::Primary,
            self.help.as_deref(),
        );
        let mut group = Group::with_level(level).element(primary);
        for (span, note) in &self.secondary {
            let kind = AnnotationKind::Context;
            let other = snippet(sources, *span, kind, Some(note)).path(sources.name(span.file));
            group = group.element(other);
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        format!("{head}\n{}", renderer.render(&[group]))
    }
}

fn snippet<'a>(
    sources: &'a Sources,
    span: Span,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let (lines, number) = sources.lines_around(span);
    let Range { start, end } = range(span);
    let caret = start.saturating_sub(lines.start)..end.saturating_sub(lines.start);
    Snippet::source(sources.text(span.file).get(lines).unwrap_or(""))
        .line_start(number)
        .annotation(kind.span(caret).label(label))
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// An offset as spans keep it; files are refused long before it could saturate.
pub(super) fn octets(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
