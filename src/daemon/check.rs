//! `--check`: every mistake of a configuration in one pass, without touching anything.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::plan::Plan;
use super::{StartError, configuration, spool, upgrade};
use crate::cli::Arguments;
use crate::config::{self, diagnostic::Severity};
use crate::input::acl::AccessList;
use crate::report::counted;

/// Configuration error, from sysexits(3).
const EX_CONFIG: u8 = 78;

/// Mistake on the command line, from sysexits(3).
const EX_USAGE: u8 = 64;

/// Checks the configuration: 0 if there is no error, 78 if there is, and 64 if only the command line has one.
///
/// # Errors
/// If the file cannot be read.
pub fn run(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let mut loaded =
        configuration::load(arguments).map_err(|error| StartError::Config(error.to_string()))?;
    let warnings = config::warnings_for_check(&loaded);
    loaded.diagnostics.extend(warnings);
    loaded
        .diagnostics
        .sort_by_key(|found| (found.span.file, found.span.start));
    let mut stderr = io::stderr().lock();
    let colour = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut told = Ok(());
    for found in &loaded.diagnostics {
        told = told.and_then(|()| writeln!(stderr, "{}", found.render(&loaded.sources, colour)));
    }
    let count = |wanted| {
        loaded
            .diagnostics
            .iter()
            .filter(|found| found.severity == wanted)
            .count()
    };
    let (errors, mut warnings) = (count(Severity::Error), count(Severity::Warning));
    // What the command line adds must fit as well: the start would say the same.
    let plan = Plan::new(arguments, &loaded.config);
    let gate = AccessList::parse(&arguments.allowed_peers).err();
    let refused: Vec<String> = plan
        .as_ref()
        .err()
        .cloned()
        .into_iter()
        .chain(gate)
        .collect();
    let warned = plan.map(|plan| {
        let unused = spool::unused(&plan);
        plan.warnings.into_iter().chain(unused).collect()
    });
    let warned: Vec<String> = warned.unwrap_or_default();
    let misused = refused.len();
    warnings += warned.len();
    for (sentences, kind) in [(refused, ""), (warned, "warning: ")] {
        for sentence in sentences {
            told = told.and_then(|()| writeln!(stderr, "syslogd: {kind}{sentence}"));
        }
    }
    let name = configuration::name(arguments);
    let rules = loaded.config.rules.len();
    told = told.and_then(|()| match errors {
        0 => writeln!(
            stderr,
            "{name}: {}, no errors, {}",
            counted(rules, "rule"),
            counted(warnings, "warning")
        ),
        _ => writeln!(
            stderr,
            "{name}: {}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    });
    if misused > 0 {
        let errors = counted(misused, "error");
        told = told.and_then(|()| writeln!(stderr, "command line: {errors}"));
    }
    // Whoever closed stderr wants the exit status only.
    _ = told;
    if (errors, misused) == (0, 0)
        && let Some(answer) = upgrade::answer_check()
    {
        // The daemon that asked reads it, or takes its absence for a no.
        _ = io::stdout().write_all(answer.as_bytes());
    }
    Ok(match (errors, misused) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(EX_USAGE),
        (_, _) => ExitCode::from(EX_CONFIG),
    })
}
