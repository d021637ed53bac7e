//! What an operator reads: each `tests/diagnostics/NAME.conf` and its diagnostics, `NAME.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config_diagnostics` writes the texts anew; read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use syslogd::config;

#[test]
fn every_mistake_is_shown_with_its_line_and_what_to_do() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut cases: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("tests/diagnostics is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let differing: Vec<String> = cases.iter().filter_map(|case| difference(case)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Compares one case with its golden text, or writes that.
fn difference(case: &Path) -> Option<String> {
    let text = fs::read_to_string(case).expect("readable");
    let loaded = config::parse_str("syslog.conf", &text);
    let mut got = String::new();
    for diagnostic in &loaded.diagnostics {
        got.push_str(&diagnostic.render(&loaded.sources, false));
        got.push_str("\n\n");
    }
    let golden = case.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &got).expect("writable");
    }
    let want = fs::read_to_string(&golden).unwrap_or_default();
    (got != want).then(|| format!("{}:\n{got}instead of\n{want}", case.display()))
}
