//! A segment: a file of records, each a block, in order.
//!
//! ```text
//! header   magic "syslogsp" │ version 4 │ CRC 4 │ first 8 │ skipped 8 │ id 8
//! record   magic 4 │ length 4 │ seq 8 │ CRC 4 │ payload: a block as `Block::encode` writes it
//! ```
//!
//! Numbers are little-endian. Each message has a number, and `seq` is that of the first in the block. Some numbers
//! are skipped, as room for what an output holds in its hands; a segment says how many, from the beginning, so that
//! messages can be counted. The id is random, and part of the CRC-32 of each record, so that no message can look
//! like a record.
//!
//! Reading is total: octets that are no record are damage, and what follows them is searched for.

use crc32fast::Hasher;

use crate::block::Block;

/// How long the header is, in octets.
pub const HEADER: usize = 40;

/// How long a record is without its payload, in octets.
pub const RECORD: usize = 20;

/// The longest payload. A block of 64 KiB in the shortest records that there are is far below.
pub const LONGEST: usize = 4 << 20;

const MAGIC: &[u8; 8] = b"syslogsp";
const VERSION: u32 = 1;
const RECORD_MAGIC: [u8; 4] = [0xf5, b'S', b'R', 0x1a];

/// A search behind damage gives up when it has computed check sums of so many octets: only octets that were made
/// to be searched for long take so many.
const SEARCH: usize = 64 << 20;

/// Why a file is no segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// It has another beginning, or none.
    #[error("it is not a file of the spool")]
    Foreign,
    /// Another program wrote it.
    #[error("its version is {0}, and this program knows 1")]
    Version(u32),
    /// Its check sum is wrong.
    #[error("it is damaged")]
    Damaged,
    /// It has the name of another.
    #[error("its name is that of another")]
    Misnamed,
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The number of its first message.
    pub first: u64,
    /// How many numbers below that were skipped.
    pub skipped: u64,
    /// Part of every check sum in it.
    pub id: u64,
}

impl Header {
    /// Its octets.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            for (to, from) in octets.iter_mut().skip(at).zip(part) {
                *to = *from;
            }
            at += part.len();
        };
        put(MAGIC);
        put(&VERSION.to_le_bytes());
        put(&self.crc().to_le_bytes());
        put(&self.first.to_le_bytes());
        put(&self.skipped.to_le_bytes());
        put(&self.id.to_le_bytes());
        octets
    }

    /// How many messages came before its first.
    pub fn ordinal(&self) -> u64 {
        self.first.saturating_sub(self.skipped)
    }

    fn crc(&self) -> u32 {
        let mut crc = Hasher::new();
        crc.update(MAGIC);
        crc.update(&VERSION.to_le_bytes());
        for number in [self.first, self.skipped, self.id] {
            crc.update(&number.to_le_bytes());
        }
        crc.finalize()
    }

    /// The header that these octets begin with.
    ///
    /// # Errors
    /// If there is none that we understand.
    pub fn decode(octets: &[u8]) -> Result<Self, Unreadable> {
        let mut rest = octets.strip_prefix(MAGIC).ok_or(Unreadable::Foreign)?;
        let (version, crc) = take_u32(&mut rest)
            .zip(take_u32(&mut rest))
            .ok_or(Unreadable::Damaged)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let mut number = || take_u64(&mut rest).ok_or(Unreadable::Damaged);
        let header = Self {
            first: number()?,
            skipped: number()?,
            id: number()?,
        };
        if header.crc() != crc || header.skipped > header.first {
            return Err(Unreadable::Damaged);
        }
        Ok(header)
    }
}

fn take_u32(octets: &mut &[u8]) -> Option<u32> {
    let (number, rest) = octets.split_first_chunk()?;
    *octets = rest;
    Some(u32::from_le_bytes(*number))
}

fn take_u64(octets: &mut &[u8]) -> Option<u64> {
    let (number, rest) = octets.split_first_chunk()?;
    *octets = rest;
    Some(u64::from_le_bytes(*number))
}

/// A record, seen where it lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    /// The number of its first message.
    pub seq: u64,
    /// How many messages it has, at least one.
    pub messages: u64,
    /// The block.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// The number behind its last message.
    pub fn end(&self) -> u64 {
        self.seq.saturating_add(self.messages)
    }

    /// How many octets it takes in its segment.
    pub fn octets(&self) -> usize {
        RECORD + self.payload.len()
    }

    /// Its messages. `None` if they are not what its number of them says: it was made by no program of ours.
    pub fn block(&self) -> Option<Block> {
        let (block, rest) = Block::decode(self.payload)?;
        (rest.is_empty() && block.len() as u64 == self.messages).then_some(block)
    }
}

/// Writes a block as a record to `out`, in place of what was there; false if it is too long for one.
pub fn encode(id: u64, seq: u64, block: &Block, out: &mut Vec<u8>) -> bool {
    out.clear();
    out.resize(RECORD, 0);
    block.encode(out);
    let length = out.len() - RECORD;
    let Some(length) = u32::try_from(length).ok().filter(|_| length <= LONGEST) else {
        return false;
    };
    let (head, payload) = out.split_at_mut(RECORD);
    let crc = crc(id, length, seq, payload);
    let parts = [
        &RECORD_MAGIC[..],
        &length.to_le_bytes(),
        &seq.to_le_bytes(),
        &crc.to_le_bytes(),
    ];
    head.copy_from_slice(&parts.concat());
    true
}

fn crc(id: u64, length: u32, seq: u64, payload: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(&id.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc.update(&seq.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

/// How long the payload is of the record that these octets begin with, if they can be the beginning of one.
pub fn payload_len(octets: &[u8]) -> Option<usize> {
    let mut rest = octets.strip_prefix(&RECORD_MAGIC)?;
    let length = usize::try_from(take_u32(&mut rest)?).ok()?;
    (length <= LONGEST).then_some(length)
}

/// The record that these octets begin with, if it is whole and sound.
pub fn record(id: u64, octets: &[u8]) -> Option<Record<'_>> {
    let length = payload_len(octets)?;
    let mut rest = octets.get(8..)?;
    let (seq, wanted) = (take_u64(&mut rest)?, take_u32(&mut rest)?);
    let payload = rest.get(..length)?;
    let messages = Block::encoded_len(payload).filter(|messages| *messages > 0)?;
    seq.checked_add(messages)?;
    let found = crc(id, u32::try_from(length).ok()?, seq, payload);
    (found == wanted).then_some(Record {
        seq,
        messages,
        payload,
    })
}

/// The first sound record from octet `from` on whose messages have the number `least` or more, and where it
/// begins.
pub fn find(id: u64, octets: &[u8], from: usize, least: u64) -> Option<(usize, Record<'_>)> {
    let magic = memchr::memmem::Finder::new(&RECORD_MAGIC);
    let mut at = from;
    let mut effort = 0;
    while effort < SEARCH {
        let rest = octets.get(at..)?;
        at += magic.find(rest)?;
        let rest = octets.get(at..)?;
        if let Some(found) = record(id, rest)
            && found.seq >= least
        {
            return Some((at, found));
        }
        effort += payload_len(rest).map_or(0, |length| length.min(rest.len()));
        at += 1;
    }
    None
}

/// What a look through a whole segment found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Extent {
    /// The number behind the last message of a sound record; 0 if there is none.
    pub end: u64,
    /// Where its record ends, or the header.
    pub octets: usize,
}

/// How far a segment has sound records. `octets` is the whole file.
pub fn extent(header: &Header, octets: &[u8]) -> Extent {
    let mut extent = Extent {
        end: 0,
        octets: HEADER,
    };
    let mut least = header.first;
    loop {
        let here = octets.get(extent.octets..).unwrap_or_default();
        let next = match record(header.id, here).filter(|found| found.seq >= least) {
            Some(found) => Some((extent.octets, found)),
            None => find(header.id, octets, extent.octets, least),
        };
        let Some((at, found)) = next else {
            return extent;
        };
        least = found.end();
        extent = Extent {
            end: found.end(),
            octets: at + found.octets(),
        };
    }
}
