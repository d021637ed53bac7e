//! What a queue finds on the disk when it is opened: where to read on, and where the end is.
//!
//! Only the last segment is read as a whole, so that it takes no longer the more there is.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use super::cursor::{self, Cursor, Found};
use super::directory::{Directory, Refusal};
use super::queue::{CURSOR, Queue, ROOM, Reader, segment_number};
use super::segment::{self, HEADER, RECORD};
use super::{NAME, name_in};

/// A segment of ours is shorter. What is behind is left out.
pub(super) const LONGEST: u64 = 16 << 20;

impl Queue {
    /// Opens what is on the disk; returns how many messages there are. Does nothing if it is open, or if there is
    /// no directory of this output.
    ///
    /// # Errors
    /// If the directory is not ours alone, or not of this output, or the disk fails. It can be tried again.
    pub fn open(&mut self) -> Result<u64, Refusal> {
        if self.directory.is_some() {
            return Ok(0);
        }
        let Some(directory) = self.spool.directory.child(&self.name)? else {
            return Ok(0);
        };
        if name_in(&directory).as_ref() != Some(&self.output) {
            self.write_name(&directory);
        }
        let entries = directory.entries()?;
        self.directory = Some(directory);
        let recovered = self.recover(entries);
        if recovered.is_err() {
            self.directory = None;
        }
        recovered?;
        if self.is_empty() {
            let last = self.segments.last_key_value().map(|(first, _)| *first);
            self.finished = self.finished.max(last);
            self.acknowledge(0)?;
        }
        Ok(self.len())
    }

    /// Makes the directory.
    pub(super) fn establish(&mut self) -> Result<(), Refusal> {
        let directory = self.spool.directory.make_child(&self.name)?;
        self.write_name(&directory);
        self.directory = Some(directory);
        let made = self.recover(Vec::new());
        if made.is_err() {
            self.directory = None;
        }
        made
    }

    /// Leaves word for the operator, and for [`super::unused()`].
    fn write_name(&self, directory: &Directory) {
        let write = || -> Result<(), Refusal> {
            directory.remove(NAME)?;
            let mut file = directory.create(NAME)?;
            Ok(file.write_all(format!("{}\n", self.output).as_bytes())?)
        };
        if let Err(refusal) = write() {
            tracing::debug!("spool: {} is not named: {refusal}", self.output);
        }
    }

    fn recover(&mut self, entries: Vec<(String, Option<u64>)>) -> Result<(), Refusal> {
        self.segments.clear();
        for (name, octets) in entries {
            match (segment_number(&name), octets) {
                // A crash between the file and its header: nothing was ever there.
                (Some(_), Some(0)) => self.remove(&name)?,
                (Some(first), Some(octets)) => drop(self.segments.insert(first, octets)),
                (Some(_), None) => self.set_aside(&name, "it is no regular file"),
                (None, _) => {}
            }
        }
        let cursor = self.recover_cursor()?;
        self.recover_end(cursor.as_ref());
        self.recover_start(cursor.as_ref());
        let reached = cursor.map_or(0, |cursor| cursor.segment);
        let begun = self.segments.range(..=reached);
        self.unchecked = begun.map(|(first, _)| *first).collect();
        let end = self.next.saturating_sub(self.skipped);
        self.len = end.saturating_sub(self.delivered);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Refusal> {
        let directory = self.directory.as_ref();
        directory.map_or(Ok(()), |directory| directory.remove(name))
    }

    /// The cursor, if it can be read; otherwise another file is begun.
    fn recover_cursor(&mut self) -> Result<Option<Cursor>, Refusal> {
        let directory = self.directory.as_ref();
        let opened = match directory.map(|directory| directory.open(CURSOR)) {
            Some(Ok(opened)) => opened,
            Some(Err(refusal)) => {
                self.set_aside(CURSOR, &refusal.to_string());
                None
            }
            None => None,
        };
        if let Some(file) = opened {
            let mut octets = Vec::new();
            let read = (&file).take(cursor::FILE as u64).read_to_end(&mut octets);
            match read.map(|_| Cursor::newest(&octets)) {
                Ok(Found::Cursor(found, slot)) => {
                    (self.generation, self.slot) = (found.generation, slot);
                    self.told = (found.segment, found.offset, found.read);
                    self.cursor = Some(file);
                    return Ok(Some(found));
                }
                Ok(Found::Version(version)) => {
                    let why = format!("its version is {version}, and this program knows 1");
                    self.set_aside(CURSOR, &why);
                }
                // Begun, and never written.
                Ok(Found::Damaged) if octets.iter().all(|octet| *octet == 0) => {}
                Ok(Found::Damaged) => self.set_aside(CURSOR, "it is damaged"),
                Err(error) => self.set_aside(CURSOR, &error.to_string()),
            }
        }
        if !self.segments.is_empty() {
            let (path, output) = (self.spool.path().display(), &self.output);
            tracing::warn!(
                "spool {path}: nobody knows how far {output} was; some messages may come twice"
            );
        }
        self.begin_cursor()?;
        Ok(None)
    }

    fn begin_cursor(&mut self) -> Result<(), Refusal> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        // Whatever was here has another name by now, unless even that was impossible.
        directory.remove(CURSOR)?;
        let file = directory.create(CURSOR)?;
        let first = Cursor {
            generation: 1,
            read: ROOM,
            delivered: ROOM,
            end: ROOM,
            ..Cursor::default()
        };
        let slots = [first.encode(), [0; cursor::SLOT]];
        // It stays invalid while messages are there that it knows nothing of.
        if self.segments.is_empty() {
            file.write_all_at(&slots.concat(), 0)?;
            self.generation = 1;
            self.slot = 1;
        } else {
            file.set_len(cursor::FILE as u64)?;
            (self.generation, self.slot) = (0, 0);
        }
        self.cursor = Some(file);
        Ok(())
    }

    /// Finds out which message is the last, and cuts off what is no whole record.
    fn recover_end(&mut self, cursor: Option<&Cursor>) {
        (self.next, self.skipped) = (ROOM, 0);
        while let Some((&last, &octets)) = self.segments.last_key_value() {
            let Some((file, header)) = self.look_at(last) else {
                continue;
            };
            let mut text = Vec::new();
            let read = (&file).take(octets.min(LONGEST)).read_to_end(&mut text);
            if let Err(error) = read {
                tracing::warn!("spool: the last messages for {}: {error}", self.output);
            }
            let extent = segment::extent(&header, &text);
            (self.next, self.skipped) = (extent.end.max(header.first), header.skipped);
            self.cut(&file, last, extent.octets.max(HEADER), &text, octets);
            break;
        }
        // What was appended when the cursor was written last is missing if it is not here.
        if let Some(cursor) = cursor
            && self.next.saturating_sub(self.skipped) <= cursor.end
        {
            self.skipped = self.skipped.max(cursor.skipped);
            self.next = cursor.end.saturating_add(self.skipped);
        }
    }

    /// Cuts a segment off behind its last sound record, if what follows is the beginning of one. If it is a whole one,
    /// it is damaged, and stays to be set aside.
    fn cut(&mut self, file: &File, first: u64, end: usize, text: &[u8], octets: u64) {
        let rest = text.get(end..).unwrap_or_default();
        let left = octets.saturating_sub(end as u64);
        if left == 0 {
            return;
        }
        let payload = segment::payload_len(rest);
        let is_whole = payload.is_some_and(|payload| (RECORD + payload) as u64 <= left);
        if is_whole || payload.is_none() && rest.len() >= RECORD {
            return;
        }
        let cut = file.set_len(end as u64).and_then(|()| file.sync_data());
        match cut {
            Ok(()) => {
                self.segments.insert(first, end as u64);
                self.spool.release(left);
                let (path, output) = (self.spool.path().display(), &self.output);
                tracing::warn!(
                    "spool {path}: the last {left} octets for {output} are no whole message, and were cut off"
                );
            }
            Err(error) => tracing::warn!("spool: cannot cut off a torn tail: {error}"),
        }
    }

    /// Finds out where to read on.
    fn recover_start(&mut self, cursor: Option<&Cursor>) {
        (self.reader, self.finished) = (None, None);
        let Some(cursor) = cursor else {
            while let Some((&oldest, _)) = self.segments.first_key_value() {
                if let Some((_, header)) = self.look_at(oldest) {
                    (self.read, self.delivered) = (oldest, header.ordinal());
                    return;
                }
            }
            (self.read, self.delivered) = (self.next, self.next.saturating_sub(self.skipped));
            return;
        };
        (self.read, self.delivered) = (cursor.read, cursor.delivered);
        self.finished = cursor.segment.checked_sub(1);
        if self.segments.contains_key(&cursor.segment)
            && let Some((file, header)) = self.look_at(cursor.segment)
        {
            self.reader = Some(Reader {
                file,
                header,
                offset: cursor.offset.max(HEADER as u64),
            });
        }
    }
}
