//! The shared corpus of real and hostile input, which is no part of the repository.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

#[path = "../../base64/mod.rs"]
mod base64;

use base64::base64;

/// The records of a JSON lines file of the corpus; `None`, and SKIP on stderr, where it is not.
pub(crate) fn entries(file: &str) -> Option<Vec<Value>> {
    let text = String::from_utf8(read(file)?).expect("the corpus is UTF-8");
    let lines = text.lines();
    Some(
        lines
            .map(|line| serde_json::from_str(line).expect("the corpus is JSON lines"))
            .collect(),
    )
}

/// A whole file of the corpus; `None`, and SKIP on stderr, where it is not.
pub(crate) fn read(file: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/corpus")
        .join(file);
    fs::read(&path)
        .inspect_err(|error| super::skip(&format!("{}: {error}", path.display())))
        .ok()
}

/// The octets of an entry of `malformed.jsonl`.
pub(crate) fn octets(entry: &Value) -> Vec<u8> {
    base64(entry["bytes_base64"].as_str().expect("an entry has octets"))
}
