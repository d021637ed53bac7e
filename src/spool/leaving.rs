//! The end of an output: what it has in its hands joins what is on the disk, in its place.
//!
//! ```text
//! in its hands   [from memory][read here][from memory]      at most one of the two, but for a remote
//! on the disk           ^insert    ^cursor      ^insert  [not read yet]
//! ```

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound::{Excluded, Unbounded};
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;

use super::Cursor;
use super::directory::Refusal;
use super::queue::{Queue, ROOM, Reader, segment_name};
use super::segment::{self, HEADER, Header};
use crate::block::Block;

/// What an output has in its hands at its end, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outstanding {
    /// How many messages in all.
    pub messages: u64,
    /// How many messages it took from memory since it read here last.
    pub since_read: u64,
    /// Whether a record of it may stand for several messages.
    pub is_folded: bool,
}

/// Where blocks can be put.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the segment of this number.
    Before(u64),
    /// Behind everything.
    End,
    /// Nowhere: what comes after them is in the same segment as what came before.
    Within,
}

impl Queue {
    /// Leaves here what the output has in its hands, and what is `queued` behind all others. Nothing is to be done with
    /// the queue any more. Returns the blocks of both that could not be left, in order.
    ///
    /// What was read here and is not delivered is in `held`, too: only the cursor has to know of it.
    pub fn leave(
        &mut self,
        held: Vec<Block>,
        mut queued: Vec<Block>,
        outstanding: Outstanding,
    ) -> (Vec<Block>, Vec<Block>) {
        let Outstanding {
            messages,
            since_read,
            is_folded,
        } = outstanding;
        let newer = messages.min(since_read);
        let read = (messages - newer).min(self.in_hands);
        let older = messages - newer - read;
        // Without any of the disk between them they go to one place.
        let (older, newer) = if read == 0 {
            (0, messages)
        } else {
            (older, newer)
        };
        // Folded records cannot be told apart: those of a block in hand are all from here or from memory.
        let (older, read, newer, held) = match (is_folded, newer) {
            (true, 0) if read > 0 => (0, read, 0, Vec::new()),
            (true, _) => (0, 0, u64::MAX, held),
            (false, _) => (older, read, newer, held),
        };
        // Before anything moves.
        let (oldest, unread) = (self.oldest_in_hands(), self.first_unread());
        let acknowledged = self.acknowledge(read);
        let (mut older_part, mut newer_part) = split(held, older, read);
        let mut first_of_all = None;
        if newer > 0 && !newer_part.is_empty() {
            match self.put_before(unread, &mut newer_part) {
                Ok(here) if read == 0 => first_of_all = here,
                Ok(_) => {}
                Err(refusal) => self.complain(&refusal),
            }
        }
        if older > 0 && !older_part.is_empty() {
            match self.put_before(oldest, &mut older_part) {
                Ok(here) => first_of_all = here.or(first_of_all),
                Err(refusal) => self.complain(&refusal),
            }
        }
        if let Err(refusal) = self.put_before(Place::End, &mut queued) {
            self.complain(&refusal);
        }
        let here = first_of_all.unwrap_or_else(|| self.here());
        let here = Cursor {
            end: self.next.saturating_sub(self.skipped),
            skipped: self.skipped,
            ..here
        };
        if let Err(refusal) = acknowledged.and_then(|()| self.write_cursor(here)) {
            self.complain(&refusal);
        }
        older_part.append(&mut newer_part);
        (older_part, queued)
    }

    fn complain(&self, refusal: &Refusal) {
        let path = self.spool.path.display();
        tracing::warn!("spool {path}: {refusal}; {} is affected", self.output);
    }

    /// Where the oldest message begins that was read and may not be delivered.
    fn oldest_in_hands(&self) -> Place {
        match self.unacknowledged.front() {
            Some(front) if front.offset == HEADER as u64 => Place::Before(front.segment),
            Some(_) => Place::Within,
            None => self.first_unread(),
        }
    }

    /// Where the first message begins that is not read.
    fn first_unread(&self) -> Place {
        let length = |first: u64| self.segments.get(&first).copied().unwrap_or(0);
        let mut behind = self.finished;
        if let Some(Reader { header, offset, .. }) = &self.reader {
            if *offset <= HEADER as u64 {
                return Place::Before(header.first);
            }
            if *offset < length(header.first) {
                return Place::Within;
            }
            behind = Some(header.first);
        }
        let behind = behind.map_or(Unbounded, Excluded);
        let unread = self.segments.range((behind, Unbounded)).next();
        match unread {
            Some((first, _)) if self.len > 0 => Place::Before(*first),
            Some(_) | None => Place::End,
        }
    }

    /// Puts blocks there, and takes those that it could put out of the list. Returns where the cursor has to stand
    /// so that they are read, if it has to be moved.
    fn put_before(
        &mut self,
        place: Place,
        blocks: &mut Vec<Block>,
    ) -> Result<Option<Cursor>, Refusal> {
        match place {
            Place::Before(segment) => {
                let here = self.insert(segment, blocks)?;
                blocks.clear();
                Ok(Some(here))
            }
            Place::End => {
                let mut done = 0;
                let appended = blocks.iter().try_for_each(|block| {
                    self.append(block)?;
                    done += 1;
                    Ok(())
                });
                blocks.drain(..done);
                appended.map(|()| None)
            }
            Place::Within => Err(Refusal::System(Errno::EINVAL)),
        }
    }

    /// Writes blocks to a segment of their own before another one, of which nothing was delivered, and which began
    /// with a skip.
    fn insert(&mut self, segment: u64, blocks: &[Block]) -> Result<Cursor, Refusal> {
        let messages: u64 = blocks.iter().map(|block| block.len() as u64).sum();
        let (_, next) = self.look_at(segment).ok_or(Errno::EIO)?;
        let before = self.segments.range(..segment).next_back();
        let before = before.map(|(first, _)| *first);
        let before = before.and_then(|first| self.look_at(first));
        let has_room = before.is_none_or(|(_, header)| header.skipped < next.skipped);
        let header = Header {
            first: segment.checked_sub(messages).ok_or(Errno::EOVERFLOW)?,
            skipped: next.skipped,
            id: RandomState::new().hash_one(segment),
        };
        if !has_room || messages >= ROOM {
            return Err(Refusal::System(Errno::EINVAL));
        }
        self.prepare()?;
        let file = self.begin_file(&header)?;
        if let Err(refusal) = self.fill(&file, &header, blocks) {
            if let Some(directory) = &self.directory {
                directory.remove(&segment_name(header.first))?;
            }
            self.spool
                .release(self.segments.remove(&header.first).unwrap_or(0));
            return Err(refusal);
        }
        self.len += messages;
        Ok(Cursor {
            segment: header.first,
            offset: HEADER as u64,
            read: header.first,
            delivered: header.ordinal(),
            ..Cursor::default()
        })
    }

    fn fill(&mut self, file: &File, header: &Header, blocks: &[Block]) -> Result<(), Refusal> {
        let mut seq = header.first;
        for block in blocks {
            let at = self.segments.get(&header.first).copied().unwrap_or(0);
            if !segment::encode(header.id, seq, block, &mut self.buffer) {
                return Err(Refusal::System(Errno::EMSGSIZE));
            }
            let more = self.buffer.len() as u64;
            if !self.spool.reserve(more) {
                return Err(Refusal::Full);
            }
            self.segments.insert(header.first, at + more);
            file.write_all_at(&self.buffer, at)?;
            seq += block.len() as u64;
        }
        Ok(())
    }
}

/// The first `older` records, and those behind the `read` ones that follow.
fn split(held: Vec<Block>, older: u64, read: u64) -> (Vec<Block>, Vec<Block>) {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut at = 0;
    for block in held {
        let place = |number: u64| usize::try_from(number.saturating_sub(at)).unwrap_or(usize::MAX);
        let (begins, goes_on) = (place(older), place(older.saturating_add(read)));
        at += block.len() as u64;
        for (list, from, to) in [
            (&mut first, 0, begins.min(block.len())),
            (&mut last, goes_on, block.len()),
        ] {
            if from < to {
                list.push(block.part(from..to));
            }
        }
    }
    (first, last)
}
