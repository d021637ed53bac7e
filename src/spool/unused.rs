//! What lies in a spool for outputs that no rule names: looked at, and not touched.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

use super::cursor::{self, Cursor, Found};
use super::directory::{Directory, Refusal};
use super::queue::{CURSOR, segment_name, segment_number};
use super::recovery::LONGEST;
use super::segment::{self, HEADER, Header};
use super::{directory_name, name_in, outputs};

/// The messages of an output that no rule names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unused {
    /// Its name.
    pub output: String,
    /// What its directory in the spool is called.
    pub directory: String,
    /// How many messages were not delivered, as far as can be seen; what is damaged counts, too.
    pub messages: u64,
    /// How many octets their segments have.
    pub octets: u64,
    /// When the oldest of these segments was begun, if the file system knows.
    pub since: Option<SystemTime>,
}

/// What the spool at `path` has for other outputs than those of these names; nothing if there is no such directory.
/// A daemon may have it at work meanwhile.
///
/// # Errors
/// If it is not a directory of ours alone, or cannot be read.
pub fn unused<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<Unused>, Refusal> {
    let Some(spool) = Directory::existing(path)? else {
        return Ok(Vec::new());
    };
    let known: Vec<String> = names.map(directory_name).collect();
    let others = outputs(&spool)?.into_iter();
    let others = others.filter(|(name, _)| !known.contains(name));
    // One that cannot be read hides no other.
    let found = others.filter_map(|(name, output)| look_at(name, &output).ok()?);
    Ok(found.collect())
}

fn look_at(directory: String, output: &Directory) -> Result<Option<Unused>, Refusal> {
    let entries = output.entries()?.into_iter();
    let segments: Vec<(u64, u64)> = entries
        .filter_map(|(name, octets)| Some((segment_number(&name)?, octets?)))
        .filter(|(_, octets)| *octets > HEADER as u64)
        .collect();
    let (Some((oldest, _)), Some((newest, _))) = (segments.first(), segments.last()) else {
        return Ok(None);
    };
    let cursor = match output.open(CURSOR)? {
        Some(file) => read_cursor(&file),
        None => None,
    };
    let oldest = output.open(&segment_name(*oldest))?;
    let delivered = match (cursor, &oldest) {
        (Some(cursor), _) => cursor.delivered,
        (None, Some(oldest)) => header_of(oldest).map_or(0, |header| header.ordinal()),
        (None, None) => 0,
    };
    let end = match output.open(&segment_name(*newest))? {
        Some(newest) => end_of(&newest),
        None => None,
    };
    let told = cursor.map_or(0, |cursor| cursor.end);
    let messages = end.unwrap_or(0).max(told).saturating_sub(delivered);
    let since = oldest.and_then(|oldest| {
        let metadata = oldest.metadata().ok()?;
        metadata.created().or_else(|_| metadata.modified()).ok()
    });
    // Delivered, and about to be removed.
    Ok((messages > 0).then(|| Unused {
        output: name_in(output).unwrap_or_else(|| directory.clone()),
        directory,
        messages,
        octets: segments.iter().map(|(_, octets)| octets).sum(),
        since,
    }))
}

fn read_cursor(file: &File) -> Option<Cursor> {
    let mut octets = Vec::new();
    file.take(cursor::FILE as u64)
        .read_to_end(&mut octets)
        .ok()?;
    match Cursor::newest(&octets) {
        Found::Cursor(cursor, _) => Some(cursor),
        Found::Damaged | Found::Version(_) => None,
    }
}

fn header_of(file: &File) -> Option<Header> {
    let mut octets = [0; HEADER];
    file.read_exact_at(&mut octets, 0).ok()?;
    Header::decode(&octets).ok()
}

/// How many messages come before the end of this segment.
fn end_of(file: &File) -> Option<u64> {
    let header = header_of(file)?;
    let mut octets = Vec::new();
    file.take(LONGEST).read_to_end(&mut octets).ok()?;
    let end = segment::extent(&header, &octets).end.max(header.first);
    Some(end.saturating_sub(header.skipped))
}
