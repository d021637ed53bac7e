//! A block as octets, for another process to read: from a memory file, or from a disk.
//!
//! ```text
//! records │ PRI │ length of the timestamp │ length │ octets │ PRI │ …
//! ```
//!
//! Numbers are eight octets, little-endian. Reading is total: whatever the octets are, the answer is a block or
//! `None`.

use super::Block;
use crate::pri::Pri;

impl Block {
    /// Appends its octets to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut number = |number: usize, octets: &[u8]| {
            out.extend_from_slice(&(number as u64).to_le_bytes());
            out.extend_from_slice(octets);
        };
        number(self.len(), &[]);
        for entry in self.iter() {
            number(entry.pri.value().into(), &[]);
            number(entry.octets.len() - entry.body.len(), &[]);
            number(entry.octets.len(), entry.octets);
        }
    }

    /// The block that these octets begin with, and the octets behind it.
    pub fn decode(octets: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = octets;
        let mut block = Self::default();
        for _ in 0..number(&mut rest)? {
            let pri = Pri::new(u8::try_from(number(&mut rest)?).ok()?)?;
            let stamp = usize::try_from(number(&mut rest)?).ok()?;
            let length = usize::try_from(number(&mut rest)?).ok()?;
            let (octets, behind) = rest.split_at_checked(length)?;
            rest = behind;
            if stamp > octets.len() || block.octets().len() + octets.len() > u32::MAX as usize {
                return None;
            }
            block.push(pri, |out| {
                out.extend_from_slice(octets);
                stamp
            });
        }
        Some((block, rest))
    }

    /// How many records the block has that these octets begin with, if there can be so many.
    pub fn encoded_len(octets: &[u8]) -> Option<u64> {
        let mut rest = octets;
        let records = number(&mut rest)?;
        let most = rest.len() / (3 * size_of::<u64>());
        (records <= most as u64).then_some(records)
    }
}

fn number(octets: &mut &[u8]) -> Option<u64> {
    let (number, rest) = octets.split_first_chunk()?;
    *octets = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Severity};

    #[test]
    fn what_was_encoded_is_read_again_and_no_part_of_it_panics() {
        let mut block = Block::default();
        for text in ["t one\n", "t two\n"] {
            block.push(Pri::of(Facility::User, Severity::Notice), |out| {
                out.extend_from_slice(text.as_bytes());
                2
            });
        }
        let mut octets = Vec::new();
        block.encode(&mut octets);
        for end in 0..octets.len() {
            assert!(Block::decode(&octets[..end]).is_none(), "{end}");
        }
        octets.extend_from_slice(b"rest");
        let (read, rest) = Block::decode(&octets).expect("it is whole");
        assert_eq!(
            (read.octets(), read.records()),
            (block.octets(), block.records())
        );
        assert_eq!(rest, b"rest");
        assert_eq!(Block::encoded_len(&octets), Some(2));
    }
}
