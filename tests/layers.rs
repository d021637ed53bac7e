//! Imports point down: a module uses only modules of layers below its own.

use std::fs;
use std::path::Path;

/// The modules of each layer, from the bottom; those of one layer do not know each other.
const LAYERS: &[&[&str]] = &[
    &["pri", "sys", "cli"],
    &["message", "frame", "report"],
    &["block", "budget", "counters", "format"],
    &["config", "spool"],
    &["route"],
    &["input", "output"],
    &["daemon"],
];

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 20, "only {} files below src", files.len());
    let mut wrong = Vec::new();
    for (path, text) in files {
        wrong.extend(violations(&path, &text));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_architecture_paper_names_every_file() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paper = fs::read_to_string(home.join("docs/architecture.md")).expect("it is UTF-8");
    let mut files = Vec::new();
    collect(&home.join("src"), &mut files);
    let missing: Vec<_> = files
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("src/"))
        .filter(|path| !path.ends_with("tests.rs") && !paper.contains(&format!("\n{path} ")))
        .collect();
    assert_eq!(missing, [""; 0], "not in docs/architecture.md");
}

#[test]
fn an_import_that_points_up_or_aside_is_found() {
    let at_block = |text: &str| violations("src/block.rs", text);
    let upward = "src/block.rs:1: `block` (layer 2) imports `route` (layer 4)";
    assert_eq!(at_block("use crate::route::Rule;"), [upward]);
    assert_eq!(
        at_block("use crate::{pri::Pri, route::{Rule, inbox}};"),
        [upward]
    );
    assert_eq!(
        at_block("use crate::{\n    pri::Pri,\n    route::Rule,\n};"),
        ["src/block.rs:3: `block` (layer 2) imports `route` (layer 4)"]
    );
    assert_eq!(
        violations("src/input/udp.rs", "\nlet x = crate::output::open();"),
        ["src/input/udp.rs:2: `input` (layer 5) imports `output` (layer 5)"]
    );
    assert_eq!(
        violations("src/block.rs", "use crate::nowhere::X;"),
        ["src/block.rs:1: `nowhere` has no layer: add it to tests/layers.rs"]
    );
    assert_eq!(
        violations("src/nowhere.rs", "use crate::pri::Pri;"),
        ["src/nowhere.rs:1: `nowhere` has no layer: add it to tests/layers.rs"]
    );
}

#[test]
fn an_import_that_points_down_or_stays_at_home_is_fine() {
    for (path, text) in [
        ("src/route/mod.rs", "use crate::counters::Loss;"),
        ("src/config/line.rs", "use crate::config::diagnostic::Span;"),
        ("src/block.rs", "//! See [`crate::route`]."),
        ("src/block.rs", "use bytes::BytesMut; // not crate::route"),
        ("src/daemon/mod.rs", "use crate::{cli, input, output};"),
        ("src/lib.rs", "pub use crate::daemon;"),
    ] {
        assert_eq!(violations(path, text), [""; 0], "{path}: {text}");
    }
}

/// What is wrong with the imports of one file, as `file:line: sentence`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").expect("a file below src");
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    if module == "lib" || module == "main" {
        return Vec::new();
    }
    let nameless = |line: usize, module: &str| {
        format!("{path}:{line}: `{module}` has no layer: add it to tests/layers.rs")
    };
    let Some(own) = layer(module) else {
        return vec![nameless(1, module)];
    };
    let mut wrong = Vec::new();
    for (line, import) in imports(text) {
        match layer(&import) {
            None => wrong.push(nameless(line, &import)),
            Some(other) if import != module && other >= own => wrong.push(format!(
                "{path}:{line}: `{module}` (layer {own}) imports `{import}` (layer {other})"
            )),
            Some(_) => {}
        }
    }
    wrong
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules that follow `crate::`, alone or in braces, each with its line; comments do not count.
fn imports(text: &str) -> Vec<(usize, String)> {
    let code: Vec<_> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let start = at + marker.len();
        let rest = &code[start..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line_of(&code, start), name(rest)));
            continue;
        };
        let mut depth = 1;
        let mut begins = true;
        for (offset, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                letter if begins && !letter.is_whitespace() => {
                    found.push((line_of(&code, start + 1 + offset), name(&group[offset..])));
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn name(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Every Rust file below a directory, as `src/…` and its text.
fn collect(directory: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let shown = path
                .strip_prefix(env!("CARGO_MANIFEST_DIR"))
                .expect("below the package");
            let text = fs::read_to_string(&path).expect("Rust is UTF-8");
            files.push((shown.display().to_string(), text));
        }
    }
}
