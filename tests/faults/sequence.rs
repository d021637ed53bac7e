//! Numbered messages, and what became of them.
//!
//! ```text
//! <13>seq: src=a n=17 crc=5d2b9c01.
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{gunzip, has_suffix};

/// Message `number` of the sender `source`.
pub(crate) fn message(source: &str, number: u64) -> String {
    format!("<13>seq: {}", text(source, number))
}

fn text(source: &str, number: u64) -> String {
    let text = format!("src={source} n={number}");
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    format!("{text} crc={:08x}.", crc.sum())
}

/// What was found of the messages that were sent.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// Messages that are in no line, by sender.
    pub(crate) missing: BTreeMap<String, Vec<u64>>,
    /// Lines beyond the first of a message.
    pub(crate) doubled: u64,
    /// Messages behind a later one of the same sender.
    pub(crate) out_of_order: u64,
    /// Lines that begin as ours and do not end so, or whose check sum is wrong.
    pub(crate) torn: Vec<String>,
}

impl Verdict {
    /// Looks at the numbered lines among all lines; `sent` has how many each sender sent, from number 0.
    pub(crate) fn of(lines: &[String], sent: &[(&str, u64)]) -> Self {
        let mut verdict = Self::default();
        let mut seen: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for (source, count) in sent {
            let count = usize::try_from(*count).expect("it fits into memory");
            seen.insert(source, vec![false; count]);
        }
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for line in lines {
            let Some((_, ours)) = line.split_once(" seq: ") else {
                continue;
            };
            let parsed = ours
                .strip_prefix("src=")
                .and_then(|rest| rest.split_once(" n="))
                .and_then(|(source, rest)| Some((source, rest.split_once(' ')?.0.parse().ok()?)))
                .filter(|(source, number)| text(source, *number) == ours);
            let slot = parsed.and_then(|(source, number): (&str, u64)| {
                let index = usize::try_from(number).ok()?;
                seen.get_mut(source)?.get_mut(index)
            });
            let (Some((source, number)), Some(slot)) = (parsed, slot) else {
                verdict.torn.push(line.clone());
                continue;
            };
            verdict.doubled += u64::from(*slot);
            *slot = true;
            let last = last.entry(source).or_default();
            verdict.out_of_order += u64::from(number < *last);
            *last = number.max(*last);
        }
        for (source, seen) in seen {
            let missing: Vec<u64> = (0..)
                .zip(&seen)
                .filter(|(_, s)| !**s)
                .map(|(n, _)| n)
                .collect();
            if !missing.is_empty() {
                verdict.missing.insert(source.to_owned(), missing);
            }
        }
        verdict
    }

    /// How many messages are missing.
    pub(crate) fn lost(&self) -> usize {
        self.missing.values().map(Vec::len).sum()
    }
}

/// The lines of a log and of its rotated files, the oldest first: `log.2.gz`, `log.1`, `log.0`, `log`. Of a
/// file that a kill left plain and compressed it is the plain form.
pub(crate) fn lines_of(log: &Path) -> Vec<String> {
    let name = log
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    let mut files = Vec::new();
    for entry in fs::read_dir(log.parent().expect("a directory")).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        let found = path.file_name().unwrap_or_default().to_string_lossy();
        if found == name {
            files.push((-1, path.clone()));
            continue;
        }
        let number = found
            .strip_prefix(&format!("{name}."))
            .map(|rest| rest.split('.').next().unwrap_or_default())
            .and_then(|number| number.parse::<i64>().ok());
        if let Some(number) = number {
            files.push((number, path.clone()));
        }
    }
    // The shorter name of two is the plain form.
    files.sort();
    files.dedup_by_key(|(number, _)| *number);
    let mut octets = Vec::new();
    for (_, path) in files.iter().rev() {
        if has_suffix(&path.to_string_lossy(), "gz") {
            octets.extend(gunzip(path));
        } else {
            octets.extend(fs::read(path).expect("it can be read"));
        }
    }
    let text = String::from_utf8(octets).expect("log files are UTF-8");
    text.lines().map(str::to_owned).collect()
}
