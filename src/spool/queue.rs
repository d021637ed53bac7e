//! The queue of one output on the disk: appended at one end, read at the other, removed when it was delivered.
//!
//! ```text
//! segments   [00…00.seg][00…2c.seg][00…51.seg]
//!                delivered^   ^read      ^appended
//! ```
//!
//! A new segment that begins when all was read skips [`ROOM`] numbers. In that gap there is a place for what the
//! output had in its hands from memory, should that be left here at the end ([`Queue::leave`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use nix::errno::Errno;

use super::directory::{Directory, Refusal};
use super::reading::is_whole;
use super::segment::{self, HEADER, Header};
use super::{Cursor, SEGMENT, Spool, cursor};
use crate::block::Block;

/// The number of the first message that there ever is, and how many numbers are skipped for what comes before.
pub(super) const ROOM: u64 = 1 << 32;

/// The two slots of a cursor.
pub(super) const CURSOR: &str = "cursor";

/// What a name ends in whose file cannot be read.
const UNREADABLE: &str = ".unreadable";

/// So many files of one name are set aside.
const ASIDE: u32 = 100;

/// One output's.
#[derive(Debug)]
pub struct Queue {
    pub(super) spool: Arc<Spool>,
    pub(super) output: String,
    pub(super) name: String,
    pub(super) directory: Option<Directory>,
    /// The segments by their first numbers, and how long they are.
    pub(super) segments: BTreeMap<u64, u64>,
    /// Those of which something could not be read.
    pub(super) damaged: BTreeSet<u64>,
    /// Those of which an earlier process has read a part, or all: nobody knows whether they are damaged.
    pub(super) unchecked: BTreeSet<u64>,
    pub(super) cursor: Option<File>,
    pub(super) generation: u64,
    pub(super) slot: usize,
    /// Where the cursor stands: segment, offset, number.
    pub(super) told: (u64, u64, u64),
    pub(super) writer: Option<Writer>,
    pub(super) reader: Option<Reader>,
    /// The segment that was read last to its end.
    pub(super) finished: Option<u64>,
    /// What was read and may not be delivered, and how many messages that is.
    pub(super) unacknowledged: VecDeque<Unacknowledged>,
    pub(super) in_hands: u64,
    /// How many messages are to be read.
    pub(super) len: u64,
    /// The number of the next message that is read, and how many came before it.
    pub(super) read: u64,
    pub(super) delivered: u64,
    /// The number of the next message that is appended, and how many numbers were skipped.
    pub(super) next: u64,
    pub(super) skipped: u64,
    pub(super) buffer: Vec<u8>,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    pub(super) first: u64,
    id: u64,
}

/// The segment that is read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) file: File,
    pub(super) header: Header,
    pub(super) offset: u64,
}

/// A block that was read.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The number behind its last message, and how many came before that.
    pub(super) end: u64,
    pub(super) delivered: u64,
    /// How many of its last messages may not be delivered.
    pub(super) messages: u64,
}

impl Queue {
    /// The queue of the output of this name. Nothing is opened yet.
    pub fn new(spool: Arc<Spool>, output: &str) -> Self {
        Self {
            name: super::directory_name(output),
            spool,
            output: output.to_owned(),
            directory: None,
            segments: BTreeMap::new(),
            damaged: BTreeSet::new(),
            unchecked: BTreeSet::new(),
            cursor: None,
            generation: 0,
            slot: 0,
            told: (0, 0, 0),
            writer: None,
            reader: None,
            finished: None,
            unacknowledged: VecDeque::new(),
            in_hands: 0,
            len: 0,
            read: ROOM,
            delivered: ROOM,
            next: ROOM,
            skipped: 0,
            buffer: Vec::new(),
        }
    }

    /// The spool that it is in.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// How many messages are to be read.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a block. The directory of this output is made if there is none.
    ///
    /// # Errors
    /// If there is no room, the disk fails, or the directory is not the one that was opened: nothing was appended
    /// then.
    pub fn append(&mut self, block: &Block) -> Result<(), Refusal> {
        self.prepare()?;
        let writer = self.writer.as_ref().map(|writer| writer.first);
        let octets = writer.and_then(|first| self.segments.get(&first));
        let is_begun = octets.is_some_and(|octets| *octets > HEADER as u64);
        let is_full = octets.is_none_or(|octets| *octets >= self.spool.longest_segment());
        if is_full || is_begun && self.len == 0 {
            self.writer = None;
        }
        if self.writer.is_none() {
            self.begin()?;
        }
        let Some(writer) = &self.writer else {
            return Err(Refusal::System(Errno::EBADF));
        };
        let (id, first) = (writer.id, writer.first);
        if !segment::encode(id, self.next, block, &mut self.buffer) {
            return Err(Refusal::System(Errno::EMSGSIZE));
        }
        let octets = self.buffer.len() as u64;
        if !self.spool.reserve(octets) {
            return Err(Refusal::Full);
        }
        let length = self.segments.get(&first).copied().unwrap_or(0);
        if let Err(error) = writer.file.write_all_at(&self.buffer, length) {
            self.spool.release(octets);
            // What is behind the last whole record is not read; another segment begins when there is room.
            if writer.file.set_len(length).is_err() {
                self.writer = None;
            }
            return Err(error.into());
        }
        self.segments.insert(first, length + octets);
        self.next = self.next.saturating_add(block.len() as u64);
        self.len += block.len() as u64;
        Ok(())
    }

    /// The directory, looked at again, and all that an append needs but a segment.
    pub(super) fn prepare(&mut self) -> Result<(), Refusal> {
        self.spool.directory.is_at(&self.spool.path)?;
        self.open()?;
        if self.directory.is_none() {
            self.establish()?;
        }
        let directory = self.directory.as_ref().ok_or(Errno::EBADF)?;
        directory.is_in(&self.spool.directory, &self.name)
    }

    /// Begins a segment.
    fn begin(&mut self) -> Result<(), Refusal> {
        let room = if self.len == 0 { ROOM } else { 0 };
        let first = self.next.checked_add(room).ok_or(Errno::EOVERFLOW)?;
        let header = Header {
            first,
            skipped: self.skipped.saturating_add(room),
            id: RandomState::new().hash_one(first),
        };
        let file = self.begin_file(&header)?;
        self.writer = Some(Writer {
            file,
            first,
            id: header.id,
        });
        (self.next, self.skipped) = (first, header.skipped);
        Ok(())
    }

    pub(super) fn begin_file(&mut self, header: &Header) -> Result<File, Refusal> {
        let directory = self.directory.as_ref().ok_or(Errno::EBADF)?;
        if !self.spool.reserve(HEADER as u64) {
            return Err(Refusal::Full);
        }
        let name = segment_name(header.first);
        let begun = directory.create(&name).and_then(|file| {
            let written = file.write_all_at(&header.encode(), 0);
            if let Err(error) = written {
                directory.remove(&name)?;
                return Err(error.into());
            }
            Ok(file)
        });
        match begun {
            Ok(file) => {
                self.segments.insert(header.first, HEADER as u64);
                Ok(file)
            }
            Err(refusal) => {
                self.spool.release(HEADER as u64);
                Err(refusal)
            }
        }
    }

    /// What was read is delivered, but for the last `outstanding` messages of it. What is not needed any more is
    /// removed.
    ///
    /// # Errors
    /// If the cursor cannot be written: after a crash messages come again then.
    pub fn acknowledge(&mut self, outstanding: u64) -> Result<(), Refusal> {
        let outstanding = outstanding.min(self.in_hands);
        if outstanding == self.in_hands && outstanding > 0 {
            return Ok(());
        }
        while let Some(front) = self.unacknowledged.front_mut() {
            let others = self.in_hands.saturating_sub(front.messages);
            if others < outstanding {
                let left = (outstanding - others).min(front.messages);
                self.in_hands = others + left;
                front.messages = left;
                break;
            }
            self.in_hands = others;
            self.unacknowledged.pop_front();
        }
        if self.in_hands == 0 && self.len == 0 {
            (self.reader, self.writer) = (None, None);
            let last = self.segments.last_key_value().map(|(first, _)| *first);
            self.finished = self.finished.max(last);
        }
        let here = self.here();
        let position = (here.segment, here.offset, here.read);
        if position != self.told {
            self.write_cursor(here)?;
        }
        self.remove_before(here.segment)
    }

    /// The first message that is not delivered.
    pub(super) fn here(&self) -> Cursor {
        let position = match (self.unacknowledged.front(), &self.reader) {
            (Some(front), _) => Cursor {
                segment: front.segment,
                offset: front.offset,
                read: front.end - front.messages,
                delivered: front.delivered - front.messages,
                ..Cursor::default()
            },
            (None, Some(reader)) => Cursor {
                segment: reader.header.first,
                offset: reader.offset,
                read: self.read,
                delivered: self.delivered,
                ..Cursor::default()
            },
            (None, None) => Cursor {
                // Behind the last that was read.
                segment: self
                    .finished
                    .map_or(0, |finished| finished.saturating_add(1)),
                offset: 0,
                read: self.read,
                delivered: self.delivered,
                ..Cursor::default()
            },
        };
        Cursor {
            end: self.next.saturating_sub(self.skipped),
            skipped: self.skipped,
            ..position
        }
    }

    pub(super) fn write_cursor(&mut self, position: Cursor) -> Result<(), Refusal> {
        let Some(file) = &self.cursor else {
            return Ok(());
        };
        let cursor = Cursor {
            generation: self.generation + 1,
            ..position
        };
        file.write_all_at(&cursor.encode(), (self.slot * cursor::SLOT) as u64)?;
        self.generation += 1;
        self.slot = 1 - self.slot;
        self.told = (cursor.segment, cursor.offset, cursor.read);
        Ok(())
    }

    /// Removes the segments before this one, for good.
    fn remove_before(&mut self, segment: u64) -> Result<(), Refusal> {
        let gone: Vec<u64> = self
            .segments
            .range(..segment)
            .map(|(first, _)| *first)
            .collect();
        let (Some(directory), Some(cursor), false) =
            (&self.directory, &self.cursor, gone.is_empty())
        else {
            return Ok(());
        };
        // A start that found the older cursor would look for what is removed now.
        cursor.sync_data()?;
        for first in gone {
            let name = segment_name(first);
            let is_damaged = self.unchecked.remove(&first) && !is_whole(directory, &name);
            if self.damaged.remove(&first) || is_damaged {
                self.set_aside(&name, "a part of it is damaged, and all else was read");
                self.segments.remove(&first);
                continue;
            }
            directory.remove(&name)?;
            self.spool
                .release(self.segments.remove(&first).unwrap_or(0));
        }
        directory.sync()
    }

    /// Leaves a file for the operator under another name, and says so.
    pub(super) fn set_aside(&self, name: &str, why: &str) {
        let Some(directory) = &self.directory else {
            return;
        };
        let path = self.spool.path.join(&self.name);
        let (path, output) = (path.display(), &self.output);
        for number in 0..ASIDE {
            let to = match number {
                0 => format!("{name}{UNREADABLE}"),
                number => format!("{name}.{number}{UNREADABLE}"),
            };
            match directory.rename(name, &to) {
                Ok(true) => {
                    tracing::warn!("spool: {path}/{name}, for {output}, is now {to}: {why}");
                    return;
                }
                Ok(false) => {}
                Err(refusal) => {
                    tracing::warn!(
                        "spool: {path}/{name}, for {output}, is left out: {why}; {refusal}"
                    );
                    return;
                }
            }
        }
        tracing::warn!("spool: {path}/{name}, for {output}, is left out: {why}");
    }
}

/// What the file of a segment is called.
pub(super) fn segment_name(first: u64) -> String {
    format!("{first:016x}{SEGMENT}")
}

/// The number in such a name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name.strip_suffix(SEGMENT)?, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}
