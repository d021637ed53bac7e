//! `--check`: every mistake of a configuration in one pass, without touching anything.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::{StartError, configuration};
use crate::cli::Arguments;
use crate::config::{self, diagnostic::Severity};

/// Configuration error, from sysexits(3).
const EX_CONFIG: u8 = 78;

/// Checks the configuration: 0 if there is no error, 78 if there is.
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
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let name = configuration::name(arguments);
    let rules = loaded.config.rules.len();
    told = told.and_then(|()| match errors {
        0 => writeln!(
            stderr,
            "{name}: {rules} rules, no errors, {warnings} warnings"
        ),
        _ => writeln!(stderr, "{name}: {errors} errors, {warnings} warnings"),
    });
    // Whoever closed stderr wants the exit status only.
    _ = told;
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EX_CONFIG)
    })
}
