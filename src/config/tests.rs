use proptest::prelude::*;

use super::diagnostic::{Diagnostic, Severity};
use super::*;

fn errors(loaded: &Loaded) -> Vec<String> {
    let found = loaded
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error);
    found
        .map(|found| found.render(&loaded.sources, false))
        .collect()
}
