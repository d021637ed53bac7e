//! Counting numbered messages in files, packed ones too.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use memchr::memmem;

use super::messages::{DIGITS, MARK};

/// What the files hold.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Different numbers.
    pub(crate) unique: u64,
    /// Lines with a number, repeated ones too.
    pub(crate) lines: u64,
}

/// Counts the numbers below `end` in all files of a directory.
pub(crate) fn count(dir: &Path, end: u64) -> io::Result<Counted> {
    let mut seen = vec![false; usize::try_from(end).map_err(io::Error::other)?];
    let mut counted = Counted::default();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let file = BufReader::new(File::open(&path)?);
        let mut reader: Box<dyn Read> = if path.extension().is_some_and(|suffix| suffix == "gz") {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        count_one(&mut reader, &mut seen, &mut counted)?;
    }
    Ok(counted)
}

fn count_one(reader: &mut dyn Read, seen: &mut [bool], counted: &mut Counted) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Some(index) = number(&line).and_then(|number| usize::try_from(number).ok()) else {
            continue;
        };
        let Some(seen) = seen.get_mut(index) else {
            continue;
        };
        counted.lines += 1;
        counted.unique += u64::from(!*seen);
        *seen = true;
    }
}

fn number(line: &[u8]) -> Option<u64> {
    let start = memmem::rfind(line, MARK)? + MARK.len();
    let digits = line.get(start..start + DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How many octets the files of a directory hold; one that goes away meanwhile counts as empty.
pub(crate) fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|found| found.len())
        .sum()
}
