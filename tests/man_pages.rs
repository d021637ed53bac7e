//! The manual pages say what the code does: options, words, counters, and every example.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use syslogd::cli::{self, Arguments, Dialect};
use syslogd::config::diagnostic::Severity;
use syslogd::config::{self, Loaded};
use syslogd::counters::{Loss, Rejection};
use syslogd::message::Flag;
use syslogd::pri::{Facility, Pri};

const DAEMON: &str = "docs/man/syslogd.8";
const CONFIGURATION: &str = "docs/man/syslog.conf.5";

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).expect("readable, UTF-8")
}

/// A literal display: where it begins, how it is marked, and its text.
struct Example {
    line: usize,
    mark: Option<&'static str>,
    dialect: Dialect,
    text: String,
}

/// The literal displays of a page. Comments right before one mark it, and name its dialect.
fn examples(page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut open: Option<Example> = None;
    let mut mark = None;
    let mut dialect = Dialect::default();
    for (index, line) in page.lines().enumerate() {
        match (line, &mut open) {
            (".Ed", _) => found.extend(open.take()),
            (line, Some(example)) => {
                example.text.push_str(&without_escapes(line));
                example.text.push('\n');
            }
            (line, None) if line.starts_with(".Bd -literal") => {
                open = Some(Example {
                    line: index + 1,
                    mark: mark.take(),
                    dialect: std::mem::take(&mut dialect),
                    text: String::new(),
                });
            }
            (".\\\" refused", None) => mark = Some("refused"),
            (".\\\" warned", None) => mark = Some("warned"),
            (line, None) => {
                mark = None;
                let name = line.strip_prefix(".\\\" --compat=");
                let named = name.map(|name| Dialect::from_name(name).expect("a dialect"));
                dialect = named.unwrap_or_default();
            }
        }
    }
    found
}

/// What roff(7) prints for a line of text; an escape that is not listed here is a mistake.
fn without_escapes(line: &str) -> String {
    assert!(
        !line.starts_with(['.', '\'']),
        "a macro in a display: {line}"
    );
    let mut text = String::new();
    let mut rest = line;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let known = [
            ("e", "\\"),
            ("&", ""),
            ("-", "-"),
            (" ", " "),
            ("(ha", "^"),
            ("(ti", "~"),
            ("(aq", "'"),
            ("(dq", "\""),
            ("(en", "-"),
        ];
        let mut known = known.iter();
        let (name, stands_for) = known
            .find(|(name, _)| escape.starts_with(name))
            .ok_or(line)
            .expect("an escape that is listed");
        text.push_str(stands_for);
        rest = &escape[name.len()..];
    }
    text.push_str(rest);
    text
}

fn shown(loaded: &Loaded) -> String {
    let shown = loaded.diagnostics.iter();
    let shown = shown.map(|found| found.render(&loaded.sources, false));
    shown.collect::<Vec<_>>().join("\n")
}

/// The lines of an example that have no diagnostic of this severity.
fn lines_without(example: &Example, loaded: &Loaded, severity: Severity) -> Vec<String> {
    let of_it = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == severity);
    let told: BTreeSet<usize> = of_it
        .map(|found| loaded.sources.position(found.span).0)
        .collect();
    let lines = example.text.lines().enumerate();
    let silent = lines.filter(|(index, _)| !told.contains(&(index + 1)));
    silent.map(|(_, line)| line.to_owned()).collect()
}

#[test]
fn every_example_of_a_configuration_means_what_the_page_says() {
    let examples = examples(&read(CONFIGURATION));
    assert!(examples.len() >= 25, "only {} examples", examples.len());
    for example in &examples {
        let files = [("example", example.text.as_str())];
        let loaded = config::parse_files_as(example.dialect.into(), &files);
        let place = format!("{CONFIGURATION}:{}", example.line);
        match example.mark {
            Some("refused") => {
                let silent = lines_without(example, &loaded, Severity::Error);
                assert!(silent.is_empty(), "{place}: no error in {silent:#?}");
            }
            Some(_) => {
                let silent = lines_without(example, &loaded, Severity::Warning);
                assert!(silent.is_empty(), "{place}: no warning in {silent:#?}");
                assert!(!loaded.has_errors(), "{place}:\n{}", shown(&loaded));
            }
            None => assert_eq!(shown(&loaded), "", "{place}"),
        }
    }
}

/// The worked examples: selector, and the priorities of `mail` that it takes.
fn worked_selectors(page: &str) -> Vec<(String, String)> {
    page.lines()
        .skip_while(|line| *line != ".It Em selector Ta Em mail")
        .skip(1)
        .take_while(|line| *line != ".El")
        .map(|line| {
            let row = line.strip_prefix(".It Li ").expect("a row");
            let (selector, taken) = row.split_once(" Ta ").expect("two columns");
            (selector.to_owned(), without_escapes(taken))
        })
        .collect()
}

#[test]
fn the_worked_selectors_take_what_the_page_says() {
    let worked = worked_selectors(&read(CONFIGURATION));
    assert!(worked.len() >= 10, "only {} rows", worked.len());
    for (selector, taken) in worked {
        let (taken, warned) = match taken.strip_suffix(", with a warning") {
            Some(taken) => (taken, true),
            None => (&taken[..], false),
        };
        let want: Vec<u8> = taken
            .split(", ")
            .filter(|range| *range != "none")
            .flat_map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let number = |text: &str| text.parse::<u8>().expect("a priority");
                number(first)..=number(last)
            })
            .collect();
        let loaded = config::parse_str("row", &format!("{selector} /var/log/x\n"));
        let rule = loaded.config.rules.first().expect("a rule");
        let of_mail = rule.selector.iter();
        let of_mail = of_mail.filter(|pri| pri.facility() == Facility::Mail);
        let got: Vec<u8> = of_mail.map(|pri: Pri| pri.value() & 7).collect();
        assert_eq!(got, want, "{selector}");
        let is_warned = !loaded.diagnostics.is_empty();
        // A comma after a priority, and whatever else is warned of, has to be marked.
        assert_eq!(is_warned, warned, "{selector}: {}", shown(&loaded));
    }
}

/// What follows `Fl` in the items of the page: letters, and `--long` names without `--`.
fn documented_options(page: &str) -> (BTreeSet<char>, BTreeSet<String>) {
    let (mut letters, mut names) = (BTreeSet::new(), BTreeSet::new());
    for item in page.lines().filter(|line| line.starts_with(".It Fl ")) {
        let mut words = item.split_whitespace();
        while words.by_ref().any(|word| word == "Fl") {
            let word = words.next().expect("an option");
            match word.strip_prefix('-') {
                Some(name) => drop(names.insert(name.to_owned())),
                None => letters.extend(word.chars()),
            }
        }
    }
    (letters, names)
}

/// Whether the command line takes a letter for an option, with whatever follows.
fn is_option(letter: char) -> bool {
    let line = ["syslogd".into(), format!("-{letter}"), "1".into()];
    let translation = cli::translate(line.iter().map(OsString::from).collect(), None);
    !translation
        .argv
        .contains(&OsString::from(format!("-{letter}")))
}

#[test]
fn every_option_is_documented_and_every_documented_option_exists() {
    let page = read(DAEMON);
    let (letters, names) = documented_options(&page);
    let mut command = Arguments::command();
    command.build();
    let long: BTreeSet<String> = command
        .get_arguments()
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| option.get_long().map(str::to_owned))
        .collect();
    assert_eq!(names, long);
    let short = command.get_arguments().filter_map(clap::Arg::get_short);
    let mut known: BTreeSet<char> = ('!'..='~').filter(|letter| is_option(*letter)).collect();
    known.extend(short);
    // It is getopt(3)'s answer to anything, and stands in the text of -h.
    assert!(known.remove(&'?') && page.contains(".Fl \\&?"));
    known.remove(&'-');
    assert_eq!(letters, known);
}

/// The commands among the examples of the page that start the daemon, continued lines joined.
fn commands(page: &str) -> Vec<String> {
    let shown = page.lines().filter_map(|line| line.strip_prefix(".Dl "));
    let shown: Vec<String> = shown.map(without_escapes).collect();
    let joined = shown.join("\n").replace("\\\n", "");
    let commands = joined
        .lines()
        .filter_map(|line| line.strip_prefix(['#', '$'])?.strip_prefix(" syslogd "));
    commands.map(str::to_owned).collect()
}

#[test]
fn every_option_has_an_example_that_the_command_line_takes() {
    let (mut options, mut warnings) = (String::new(), String::new());
    for command in commands(&read(DAEMON)) {
        let words = std::iter::once("syslogd").chain(command.split_whitespace());
        let argv: Vec<OsString> = words.map(OsString::from).collect();
        let family = Dialect::choose(&argv, None).expect("no environment");
        let translation = cli::translate(argv.clone(), family);
        for word in translation.argv {
            options.push_str(&word.to_string_lossy());
            options.push('\n');
        }
        warnings.push_str(&translation.warnings.join("\n"));
        let is_question = ["-h", "-v"].contains(&command.as_str());
        assert_eq!(cli::parse(argv).is_err(), is_question, "{command}");
    }
    let mut known = Arguments::command();
    known.build();
    let without: Vec<&str> = known
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|name| {
            let mut given = options.lines().filter_map(|line| line.strip_prefix("--"));
            !given.any(|given| given.split('=').next() == Some(name))
        })
        .collect();
    assert_eq!(without, [""; 0], "options without an example");
    for letter in ['C', 'i', 'o'] {
        let warning = format!("option -{letter} has no effect");
        assert!(warnings.contains(&warning), "no example of -{letter}");
    }
}

/// Whether a word stands in a text, not within another word; lower case is enough.
fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        let joined = word.ends_with('_');
        !before.is_some_and(is_letter) && (joined || !after.is_some_and(is_letter))
    })
}

#[test]
fn every_word_of_the_configuration_is_documented() {
    let page = read(CONFIGURATION);
    // Words of the language stand in macros; what is between those is English.
    let macros = page.lines().filter(|line| line.starts_with('.'));
    let text = macros.collect::<Vec<_>>().join("\n").to_lowercase();
    let undocumented: Vec<_> = config::vocabulary()
        // In the page as a range, local0 to local7.
        .filter(|word| !(word.starts_with("local") && ('1'..='6').any(|n| word.ends_with(n))))
        .filter(|word| !has_word(&text, word))
        .collect();
    assert_eq!(undocumented, [""; 0]);
}

#[test]
fn every_word_of_the_configuration_has_an_example() {
    let examples = examples(&read(CONFIGURATION));
    let valid = examples
        .iter()
        .filter(|example| example.mark.is_none() && example.dialect == Dialect::default());
    let text: String = valid.map(|example| example.text.to_lowercase()).collect();
    let numbered = |word: &str| word.starts_with("local") && word != "local0";
    let missing: Vec<_> = config::vocabulary()
        .filter(|word| !numbered(word) && !has_word(&text, word))
        .collect();
    assert_eq!(missing, [""; 0], "no example uses these words");
}

#[test]
fn every_code_of_a_mistake_is_documented() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let mut codes = BTreeSet::new();
    for entry in fs::read_dir(source).expect("src/config is there") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            let text = fs::read_to_string(path).expect("readable");
            let found = ["\"E1", "\"W0"].map(|begin| text.match_indices(begin));
            codes.extend(found.into_iter().flatten().filter_map(|(start, _)| {
                let code = text.get(start + 1..start + 5)?;
                Some(code.to_owned())
            }));
        }
    }
    let page = read(CONFIGURATION);
    let items = page.lines().filter_map(|line| line.strip_prefix(".It "));
    let documented: BTreeSet<String> = items
        .filter(|item| item.starts_with("E1") || item.starts_with("W0"))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, codes);
}

#[test]
fn every_counter_is_documented() {
    let page = read(DAEMON);
    let names = Rejection::ALL.map(|(_, name)| name);
    let undocumented: Vec<_> = names
        .into_iter()
        .chain(Loss::ALL.map(|(_, name)| name))
        .chain(Flag::ALL.map(Flag::name))
        .chain(["kern_remapped", "received", "routed", "unmatched"])
        .chain(["rejected", "truncated", "kernel_dropped", "noted"])
        .chain(["enqueued", "written", "octets", "dropped", "queued"])
        .chain([
            "torn_tails",
            "rewritten",
            "crowded_out",
            "connections_refused",
        ])
        .filter(|name| !has_word(&page, &format!("Li {name}")))
        .collect();
    assert_eq!(undocumented, [""; 0]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn mandoc_has_nothing_to_complain_about() {
    let mut lint = Command::new("mandoc");
    lint.current_dir(env!("CARGO_MANIFEST_DIR"));
    lint.args(["-T", "lint", "-W", "warning", DAEMON, CONFIGURATION]);
    match lint.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
        Err(error) => eprintln!("SKIP mandoc: {error}"),
    }
}
