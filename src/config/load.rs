//! Loading: files in, a [`Config`] and every diagnostic out.
//!
//! Each file begins without blocks, whatever holds where it is included; afterwards the outer blocks hold again.

use std::path::{Path, PathBuf};

use super::action;
use super::check::{self, Draft};
use super::condition::Blocks;
use super::diagnostic::{Diagnostic, Severity, Sources, octets};
use super::files::{Files, Found, LoadError};
use super::foreign;
use super::grammar::{Algebra, Comments, LoadOptions};
use super::keyword::{self, Keyword};
use super::line::{Line, lines};
use super::piece::{BLANKS, Piece, Problem};
use super::rotation::RotationDecl;
use super::selector::{self, Selection};
use super::{Config, ListenDecl, RuleDecl, Span};
use crate::pri::Pri;

/// What a load gave.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What was understood.
    pub config: Config,
    /// What was not, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// Warnings for `--check` alone: a daemon that starts does not tell of them.
    pub suspicions: Vec<Diagnostic>,
    /// The texts that the spans point into.
    pub sources: Sources,
}

impl Loaded {
    /// Whether something was not understood: `--check` then fails, and a reload changes nothing.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error)
    }
}

/// Reads a configuration and the files it includes, and after it the `*.conf` files of a directory. Blocks on
/// the disk.
///
/// # Errors
///
/// The main file cannot be read or is not trusted: the caller may go on with [`builtin`]. Everything else is
/// a diagnostic.
pub fn load(
    path: &Path,
    directory: Option<&Path>,
    options: LoadOptions,
) -> Result<Loaded, LoadError> {
    let mut loader = Loader::new(Files::Disk, options);
    let text = Files::Disk.read(path)?;
    loader.file(path, &text);
    if let Some(directory) = directory {
        loader.directory(directory);
    }
    Ok(loader.finish())
}

/// Reads a configuration from memory, and the files it includes from the disk.
pub fn load_text(name: &str, text: &str, options: LoadOptions) -> Loaded {
    let mut loader = Loader::new(Files::Disk, options);
    loader.file(Path::new(name), text.as_bytes());
    loader.finish()
}

/// Reads a configuration from memory; whatever it includes is missing.
pub fn parse_str(name: &str, text: &str) -> Loaded {
    parse_files(&[(name, text)])
}

/// Reads the first of some files in memory; includes are looked for among all of them.
pub fn parse_files(files: &[(&str, &str)]) -> Loaded {
    parse_files_as(LoadOptions::default(), files)
}

/// The same, as another family or with other options.
pub fn parse_files_as(options: LoadOptions, files: &[(&str, &str)]) -> Loaded {
    let mut loader = Loader::new(Files::Memory(files), options);
    if let Some((name, text)) = files.first() {
        loader.file(Path::new(name), text.as_bytes());
    }
    loader.finish()
}

/// What holds when there is no configuration file: errors to the console, panics to everyone.
pub fn builtin() -> Loaded {
    parse_str("built-in", "*.err /dev/console\n*.panic *\n")
}

struct Loader<'a> {
    files: Files<'a>,
    options: LoadOptions,
    loaded: Loaded,
    drafts: Vec<Draft>,
    rotation: RotationDecl,
    /// The files we are in, outermost first: as named, and as found.
    chain: Vec<(PathBuf, PathBuf)>,
}

const DEEPEST: usize = 16;
const MOST_FILES: usize = 1000;

impl<'a> Loader<'a> {
    fn new(files: Files<'a>, options: LoadOptions) -> Self {
        Self {
            files,
            options,
            loaded: Loaded::default(),
            drafts: Vec::new(),
            rotation: RotationDecl::default(),
            chain: Vec::new(),
        }
    }

    fn finish(mut self) -> Loaded {
        let rotation = RotationDecl {
            size: self.rotation.size.filter(|size| *size > 0),
            ..self.rotation
        };
        self.loaded.config.settings.rotation = RotationDecl::default().complete(rotation);
        let drafts = if self.options.merges_rules() {
            check::merge(self.drafts)
        } else {
            self.drafts
        };
        self.loaded.config.rules = check::settle(drafts, rotation, &mut self.loaded.diagnostics);
        let unreachable = check::unreachable(&self.loaded.config.rules);
        self.loaded.diagnostics.extend(unreachable);
        self.loaded
            .diagnostics
            .sort_by_key(|found| (found.span.file, found.span.start));
        self.loaded
    }

    fn file(&mut self, path: &Path, octets: &[u8]) {
        let (text, undecodable) = decode(octets);
        let file = self
            .loaded
            .sources
            .add(path.to_string_lossy(), text.as_str());
        self.chain
            .push((path.to_owned(), self.files.canonical(path)));
        let mut blocks = Blocks::default();
        for line in lines(file, &text, self.options) {
            if is_text(&line, &undecodable) {
                self.line(&line, &mut blocks);
            } else {
                let whole = Piece::new(&line.text);
                let message = "this line is not UTF-8 text, line ignored";
                self.report(
                    &line,
                    whole.error("E107", message, "save the file as UTF-8"),
                );
            }
        }
        self.chain.pop();
    }

    /// The files of a directory that no line names; a mistake about one of them stands at the directory.
    fn directory(&mut self, directory: &Path) {
        let Found::Files(paths) = self.files.expand(directory) else {
            return;
        };
        let name = directory.to_string_lossy();
        let file = self.loaded.sources.add("--include-directory", &*name);
        for path in paths {
            if let Err(problem) = self.included(&path, Piece::new(&name)) {
                let span = Span {
                    file,
                    start: octets(problem.range.start),
                    end: octets(problem.range.end),
                };
                self.loaded.diagnostics.push(diagnostic(span, problem));
            }
        }
    }

    fn line(&mut self, line: &Line, blocks: &mut Blocks) {
        let piece = Piece::new(&line.text);
        if let Some(problem) = foreign::refuse(piece) {
            return self.report(line, problem);
        }
        let mut problems = Vec::new();
        if blocks.read(piece, self.options, &mut problems).is_none() {
            match keyword::parse(piece.without_comment(), self.options) {
                Some(Ok(keyword)) => self.keyword(keyword, line),
                Some(Err(problem)) => problems.push(problem),
                None => self.rule(piece, line, blocks, &mut problems),
            }
        }
        for problem in problems {
            self.report(line, problem);
        }
    }

    fn rule(
        &mut self,
        piece: Piece<'_>,
        line: &Line,
        blocks: &Blocks,
        problems: &mut Vec<Problem>,
    ) {
        let end = piece.split_at(piece.text.len()).1;
        let (selector, rest) = piece.split_once(&BLANKS).unwrap_or((piece, end));
        let action = self.without_comment(rest, problems).trim();
        let refused = self
            .no_rule_here(piece, line)
            .or_else(|| odd_blank(selector, action))
            .or_else(|| blank_in_selector(selector, action, self.options));
        if let Some(problem) = refused {
            problems.push(problem);
            return;
        }
        let selection = selector::parse(selector, self.options, problems)
            .map_err(|problem| problems.push(problem));
        if let Ok(selection) = &selection
            && let Some(problem) = differs(selector, selection, self.options)
        {
            let span = line.span(problem.range.clone());
            self.loaded.suspicions.push(diagnostic(span, problem));
        }
        let action_range = action.range();
        let action =
            action::parse(action, self.options, problems).map_err(|problem| problems.push(problem));
        if let (Ok(selection), Ok(action), Some(conditions)) =
            (selection, action, blocks.conditions())
        {
            self.drafts.push(Draft {
                decl: RuleDecl {
                    selector: selection.pris,
                    marks: selection.marks,
                    conditions,
                    then: blocks.then(),
                    destination: action.destination,
                    format: action.format,
                    settings: action.settings,
                    span: line.whole(),
                    action_span: line.span(action_range),
                },
                rotation: action.rotation,
                sync_said: action.sync_said,
            });
        }
    }

    /// What a BSD does not read as a rule, although it looks like one.
    fn no_rule_here(&self, piece: Piece<'_>, line: &Line) -> Option<Problem> {
        let family = self.options.dialect.name();
        if line.indented && !self.options.indents_rules() {
            let message =
                format!("an indented rule takes nothing under --compat={family}, ignored");
            return Some(piece.error("E101", message, "remove the blanks before it"));
        }
        if piece.text.ends_with('\\') && !self.options.continues_lines() {
            let last = piece.split_at(piece.text.len() - 1).1;
            let message =
                format!("a backslash continues no line under --compat={family}, rule ignored");
            return Some(last.error("E101", message, "write the rule on one line"));
        }
        None
    }

    fn without_comment<'p>(&self, rest: Piece<'p>, problems: &mut Vec<Problem>) -> Piece<'p> {
        let kept = rest.without_comment();
        match self.options.comments() {
            // The lines were cut already.
            Comments::Anywhere => return rest,
            Comments::AfterBlank => {}
            Comments::Nowhere => {
                let comment = rest.split_at(kept.text.len()).1;
                let is_command =
                    self.options.pipes_to_commands() && kept.trim().text.starts_with('|');
                if is_command {
                    return rest;
                }
                if !comment.is_empty() {
                    let family = self.options.dialect.name();
                    let message =
                        format!("--compat={family} would take this comment for part of the action");
                    problems.push(comment.warning(
                        "W014",
                        message,
                        "put it on a line of its own; here it is left out",
                    ));
                }
            }
        }
        kept
    }

    fn keyword(&mut self, keyword: Keyword<'_>, line: &Line) {
        let settings = &mut self.loaded.config.settings;
        match keyword {
            Keyword::Include(argument) => self.include(argument, line),
            Keyword::Listen(argument, addresses) => {
                let span = line.span(argument.range());
                let listens = addresses
                    .into_iter()
                    .map(|address| ListenDecl { address, span });
                self.loaded.config.listens.extend(listens);
            }
            Keyword::Rotate(said) => self.rotation = said.or(self.rotation),
            Keyword::Compress(compression) => settings.compression = Some(compression),
            Keyword::SecureMode(mode) => settings.secure_mode = Some(mode),
            Keyword::Notify(program) => settings.notify.push(program),
            Keyword::UdpSize(octets) => settings.udp_size = Some(octets),
            Keyword::AllowNetConsole(allowed) => settings.allow_net_console = allowed,
            Keyword::Memory(octets) => settings.memory = Some(octets),
            Keyword::MaxMessageSize(octets) => settings.max_message_size = Some(octets),
            Keyword::Escape(escape) => settings.escape = escape,
            Keyword::KeepFree(free) => settings.keep_free = Some(free),
            Keyword::Spool(spool) => settings.spool = Some(spool),
        }
    }

    fn include(&mut self, argument: Piece<'_>, line: &Line) {
        let here = self
            .chain
            .last()
            .and_then(|(path, _)| path.parent())
            .unwrap_or(Path::new(""));
        let pattern = here.join(argument.text);
        let problem = match self.files.expand(&pattern) {
            Found::Files(paths) => {
                for path in paths {
                    if let Err(problem) = self.included(&path, argument) {
                        self.report(line, problem);
                    }
                }
                return;
            }
            Found::Missing if pattern.extension() == Some("conf".as_ref()) => {
                let message = format!("{} does not exist", pattern.display());
                let help =
                    "create the file, or write a pattern such as *.conf, which may match nothing";
                argument.error("E106", message, help)
            }
            Found::Missing => return self.missing(&pattern, argument, line),
            Found::Invalid(reason) => {
                let message = format!("this pattern cannot be used: {reason}");
                argument.error(
                    "E106",
                    message,
                    "write a path, in which * ? [ ] are wildcards",
                )
            }
        };
        self.report(line, problem);
    }

    /// Warns of what to include and is not there, all in one: FreeBSD's configuration names two such directories.
    fn missing(&mut self, pattern: &Path, argument: Piece<'_>, line: &Line) {
        let mut told = self.loaded.diagnostics.iter_mut();
        let shown = pattern.display();
        if let Some(first) = told.find(|found| found.code == "W005") {
            first.message += ", nor does ";
            first.message += &shown.to_string();
            let here = line.span(argument.range());
            first.secondary.push((here, "here, too".to_owned()));
        } else {
            let message = format!("{shown} does not exist");
            let warning = argument.warning("W005", message, "create it, or remove the line");
            self.report(line, warning);
        }
    }

    fn included(&mut self, path: &Path, argument: Piece<'_>) -> Result<(), Problem> {
        let canonical = self.files.canonical(path);
        if let Some(first) = self.chain.iter().position(|(_, open)| *open == canonical) {
            let around = self
                .chain
                .iter()
                .skip(first)
                .map(|(named, _)| named.as_path());
            let names: Vec<String> = around
                .chain([path])
                .map(|name| name.display().to_string())
                .collect();
            let message = format!(
                "files include each other in a circle: {}",
                names.join(" -> ")
            );
            return Err(argument.error("E106", message, "remove this include"));
        }
        if self.chain.len() >= DEEPEST || self.loaded.sources.len() >= MOST_FILES {
            let message = format!("more than {DEEPEST} files deep, or {MOST_FILES} files in all");
            return Err(argument.error("E106", message, "include fewer files"));
        }
        let octets = self.files.read(path).map_err(|error| {
            argument.error(
                "E106",
                format!("{error}, file ignored"),
                "it is included here",
            )
        })?;
        self.file(path, &octets);
        Ok(())
    }

    fn report(&mut self, line: &Line, problem: Problem) {
        let span = line.span(problem.range.clone());
        self.loaded.diagnostics.push(diagnostic(span, problem));
    }
}

fn diagnostic(span: Span, problem: Problem) -> Diagnostic {
    Diagnostic {
        severity: problem.severity,
        code: problem.code,
        message: problem.message,
        span,
        help: problem.help,
        secondary: Vec::new(),
    }
}

/// `*.=info;*.=notice`: a selector that the other algebra reads differently.
fn differs(selector: Piece<'_>, selection: &Selection, options: LoadOptions) -> Option<Problem> {
    let example = Pri::all()
        .find(|pri| selection.pris.contains(*pri) != selection.elsewhere.contains(*pri))?;
    let others = match options.algebra() {
        Algebra::Linux => {
            "the BSDs, where the last selector that names a facility replaces the others"
        }
        Algebra::Bsd => "Linux, where each selector adds to or takes from those before it",
    };
    let takes = if selection.pris.contains(example) {
        "does not take"
    } else {
        "takes"
    };
    let message = format!(
        "this selector {takes} {}.{} on {}",
        example.facility().name(),
        example.severity().name(),
        others.split(',').next().unwrap_or(others),
    );
    Some(selector.warning("W013", message, format!("it differs on {others}")))
}

/// A blank that is none here, as text from a web page has: in the selector, or at either end of the action.
fn odd_blank(selector: Piece<'_>, action: Piece<'_>) -> Option<Problem> {
    let is_odd = |c: char| c.is_whitespace() || ['\u{200b}', '\u{2060}', '\u{feff}'].contains(&c);
    let in_selector = || selector.text.char_indices().find(|(_, c)| is_odd(*c));
    let at_an_end = || {
        let mut ends = action.text.char_indices();
        let (first, last) = (ends.next(), ends.next_back());
        first.into_iter().chain(last).find(|(_, c)| is_odd(*c))
    };
    let (place, (offset, blank)) = in_selector()
        .map(|found| (selector, found))
        .or_else(|| at_an_end().map(|found| (action, found)))?;
    let (here, _) = place.split_at(offset).1.split_at(blank.len_utf8());
    let name = match blank {
        '\u{a0}' | '\u{202f}' | '\u{2060}' => "a no-break space",
        '\u{200b}' | '\u{feff}' => "an invisible character",
        _ => "a blank of another kind",
    };
    let code = u32::from(blank);
    let message = format!("{name}, U+{code:04X}, where a space or a tab is meant, rule ignored");
    Some(here.error("E101", message, "type a space or a tab in its place"))
}

/// `mail.info; news.info /f`: the classic mistake, which other daemons take for users.
fn blank_in_selector(
    selector: Piece<'_>,
    action: Piece<'_>,
    options: LoadOptions,
) -> Option<Problem> {
    let action = action.strip_prefix(";").map_or(action, Piece::trim);
    let (next, more) = action.split_once(&BLANKS)?;
    let path = next.text.starts_with(['/', '-', '|', '@']);
    let looks = next.text.contains('.') && !path && !more.trim().is_empty();
    if !looks || selector::parse(next, options, &mut Vec::new()).is_err() {
        return None;
    }
    let gap = Piece {
        text: "",
        start: selector.range().end,
    };
    let message = "a blank inside the selector, rule ignored";
    Some(gap.error(
        "E101",
        message,
        "remove this blank: a selector ends at the first one",
    ))
}

/// UTF-8, with a replacement character for what is not, and where these are.
fn decode(octets: &[u8]) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(octets.len());
    let mut undecodable = Vec::new();
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            undecodable.push(text.len());
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, undecodable)
}

fn is_text(line: &Line, undecodable: &[usize]) -> bool {
    let Span { start, end, .. } = line.whole();
    let first = undecodable.partition_point(|offset| octets(*offset) < start);
    let inside = undecodable
        .get(first)
        .is_some_and(|offset| octets(*offset) < end);
    !inside && !line.text.contains('\0')
}
