//! Reading a queue: segment after segment, record after record, and past what is damaged.

use std::fs::File;
use std::io::Read as _;
use std::ops::Bound::{Excluded, Unbounded};
use std::os::unix::fs::FileExt as _;

use super::directory::Directory;
use super::queue::{Queue, Reader, Unacknowledged, segment_name};
use super::recovery::LONGEST;
use super::segment::{self, HEADER, Header, RECORD};
use crate::block::Block;

/// What [`Queue::read`] found.
#[derive(Debug, Default)]
pub struct Taken {
    /// Messages, if there are some.
    pub block: Option<Block>,
    /// How many messages before them cannot be read.
    pub lost: u64,
    /// How many more there are than was known.
    pub surplus: u64,
}

impl Queue {
    /// Takes the next block; `None` when there is none left. What cannot be read is skipped and counted.
    pub fn read(&mut self) -> Option<Taken> {
        let mut taken = Taken::default();
        while self.len > 0 || taken.lost > 0 {
            if self.reader.is_none() && !self.next_segment(&mut taken) {
                // Nothing is left, and what should be there is not.
                taken.lost += std::mem::take(&mut self.len);
                self.delivered = self.next.saturating_sub(self.skipped);
                self.read = self.next;
                return Some(taken);
            }
            if let Some(block) = self.next_record(&mut taken) {
                taken.block = Some(block);
                return Some(taken);
            }
            if self.len == 0 && taken.lost > 0 {
                return Some(taken);
            }
        }
        None
    }

    /// Opens the segment behind the one that was read last; false if there is none.
    fn next_segment(&mut self, taken: &mut Taken) -> bool {
        loop {
            let behind = self.finished.map_or(Unbounded, Excluded);
            let Some((&first, _)) = self.segments.range((behind, Unbounded)).next() else {
                return false;
            };
            let Some((file, header)) = self.look_at(first) else {
                continue;
            };
            let ordinal = header.ordinal();
            self.miss(ordinal.saturating_sub(self.delivered), taken);
            let surplus = self.delivered.saturating_sub(ordinal);
            if self.finished.is_some() {
                taken.surplus += surplus;
                self.len += surplus;
            }
            (self.read, self.delivered) = (first, ordinal);
            self.reader = Some(Reader {
                file,
                header,
                offset: HEADER as u64,
            });
            return true;
        }
    }

    /// Opens a segment; one that cannot be read is set aside.
    pub(super) fn look_at(&mut self, first: u64) -> Option<(File, Header)> {
        let name = segment_name(first);
        let opened = match self.directory.as_ref()?.open(&name) {
            Ok(Some(file)) => {
                let mut octets = [0; HEADER];
                // What cannot be read is none.
                let read = file.read_at(&mut octets, 0).unwrap_or(0);
                let header = Header::decode(octets.get(..read).unwrap_or_default());
                match header {
                    Ok(header) if header.first == first => Ok((file, header)),
                    Ok(_) => Err(segment::Unreadable::Misnamed.to_string()),
                    Err(why) => Err(why.to_string()),
                }
            }
            Ok(None) => Err("it is not there any more".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        };
        opened
            .map_err(|why| {
                self.set_aside(&name, &why);
                self.segments.remove(&first);
                self.damaged.remove(&first);
            })
            .ok()
    }

    /// Reads on in the segment that is open; `None` when it is at its end.
    fn next_record(&mut self, taken: &mut Taken) -> Option<Block> {
        loop {
            let reader = self.reader.as_ref()?;
            let first = reader.header.first;
            let length = self.segments.get(&first).copied().unwrap_or(0);
            let Some(offset) = self.fetch(length) else {
                self.reader = None;
                self.finished = Some(first);
                if self
                    .writer
                    .as_ref()
                    .is_some_and(|writer| writer.first == first)
                {
                    self.writer = None;
                }
                return None;
            };
            let id = self.reader.as_ref()?.header.id;
            let record = segment::record(id, &self.buffer)?;
            let (seq, end, octets) = (record.seq, record.end(), record.octets() as u64);
            let block = record.block();
            let least = self.read;
            self.reader.as_mut()?.offset = offset + octets;
            if end <= least {
                continue;
            }
            let Some(block) = block else {
                // Whatever it is, its check sum is right: it counts as lost once the next one is read.
                self.damaged.insert(first);
                continue;
            };
            self.miss(seq.saturating_sub(least), taken);
            let known = usize::try_from(least.saturating_sub(seq)).unwrap_or(usize::MAX);
            let block = if known > 0 { block.rest(known) } else { block };
            let messages = block.len() as u64;
            taken.surplus += messages.saturating_sub(self.len);
            self.len = self.len.saturating_sub(messages);
            self.read = end;
            self.delivered = self.delivered.saturating_add(messages);
            self.in_hands += messages;
            self.unacknowledged.push_back(Unacknowledged {
                segment: first,
                offset,
                end,
                delivered: self.delivered,
                messages,
            });
            return Some(block);
        }
    }

    /// Has the next sound record of the open segment in the buffer; returns where it begins.
    fn fetch(&mut self, length: u64) -> Option<u64> {
        let Reader {
            file,
            header,
            offset,
        } = self.reader.as_ref()?;
        let (id, first, offset) = (header.id, header.first, *offset);
        let left = length.checked_sub(offset).filter(|left| *left > 0)?;
        let buffer = &mut self.buffer;
        let whole = fetch(file, offset, left.min(RECORD as u64), buffer)
            .and_then(|()| segment::payload_len(buffer))
            .map(|payload| (RECORD + payload) as u64)
            .filter(|octets| *octets <= left);
        if let Some(octets) = whole
            && fetch(file, offset, octets, buffer).is_some()
            && segment::record(id, buffer).is_some()
        {
            return Some(offset);
        }
        if self.damaged.insert(first) {
            let (spool, name) = (self.spool.path.display(), &self.name);
            let file = segment_name(first);
            tracing::warn!("spool: {spool}/{name}/{file} is damaged; what follows is searched for");
        }
        // Rare, and as long as a segment at most.
        fetch(file, offset, left, buffer)?;
        let (at, found) = segment::find(id, buffer, 0, self.read)?;
        let octets = found.octets();
        buffer.copy_within(at..at + octets, 0);
        buffer.truncate(octets);
        Some(offset + at as u64)
    }

    /// Counts messages that are not there.
    fn miss(&mut self, messages: u64, taken: &mut Taken) {
        // No more than there should be: the rest of a number that cannot be is no message.
        let messages = messages.min(self.len);
        taken.lost += messages;
        self.len -= messages;
        self.delivered = self.delivered.saturating_add(messages);
    }
}

/// Whether a segment has one sound record behind the other up to its end; one that is not there lacks nothing.
pub(super) fn is_whole(directory: &Directory, name: &str) -> bool {
    let mut octets = Vec::new();
    let read = match directory.open(name) {
        Ok(None) => return true,
        Ok(Some(file)) => file.take(LONGEST).read_to_end(&mut octets).is_ok(),
        Err(_) => false,
    };
    let Ok(header) = Header::decode(&octets) else {
        return false;
    };
    let mut rest = octets.get(HEADER..).unwrap_or_default();
    while let Some(record) = segment::record(header.id, rest) {
        rest = rest.get(record.octets()..).unwrap_or_default();
    }
    read && rest.is_empty()
}

/// Reads so many octets, in place of what was in the buffer.
fn fetch(file: &File, offset: u64, octets: u64, buffer: &mut Vec<u8>) -> Option<()> {
    buffer.resize(usize::try_from(octets).ok()?, 0);
    file.read_exact_at(buffer, offset).ok()
}
