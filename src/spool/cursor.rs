//! The cursor: how far the messages of a spool were delivered.
//!
//! ```text
//! slot 0   512 octets: magic "syslogcu" │ version 4 │ CRC 4 │ generation 8 │ segment 8 │ offset 8 │ read 8 │
//! slot 1   512 octets                     delivered 8 │ end 8 │ skipped 8
//! ```
//!
//! The slots are written in turn, so that one is whole whatever happens to the other, and the one with the higher
//! generation counts.

use crc32fast::Hasher;

/// How long a slot is, in octets.
pub(super) const SLOT: usize = 512;

/// Both.
pub(super) const FILE: usize = 2 * SLOT;

const MAGIC: &[u8; 8] = b"syslogcu";
const VERSION: u32 = 1;
const NUMBERS: usize = 7;

/// What one slot says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// Counts the slots that were written.
    pub generation: u64,
    /// The segment of the first message that is not delivered, by the number of its own first.
    pub segment: u64,
    /// Where the record of that message begins there.
    pub offset: u64,
    /// The number of that message.
    pub read: u64,
    /// How many messages came before it.
    pub delivered: u64,
    /// How many messages were appended, as far as was known.
    pub end: u64,
    /// How many numbers were skipped up to there.
    pub skipped: u64,
}

/// What a file of slots holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// The cursor, and the slot to be written next.
    Cursor(Cursor, usize),
    /// No slot can be read.
    Damaged,
    /// A later program wrote it.
    Version(u32),
}

impl Cursor {
    /// A slot.
    pub fn encode(&self) -> [u8; SLOT] {
        let numbers = [
            self.generation,
            self.segment,
            self.offset,
            self.read,
            self.delivered,
            self.end,
            self.skipped,
        ];
        let mut body = VERSION.to_le_bytes().to_vec();
        body.extend(crc(numbers).to_le_bytes());
        body.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let mut slot = [0; SLOT];
        for (to, from) in slot.iter_mut().zip(MAGIC.iter().chain(&body)) {
            *to = *from;
        }
        slot
    }

    fn decode(slot: &[u8]) -> Result<Self, Option<u32>> {
        let rest = slot.strip_prefix(MAGIC).ok_or(None)?;
        let (version, rest) = rest.split_first_chunk().ok_or(None)?;
        let (wanted, mut rest) = rest.split_first_chunk().ok_or(None)?;
        let mut numbers = [0; NUMBERS];
        for number in &mut numbers {
            let (octets, behind) = rest.split_first_chunk().ok_or(None)?;
            *number = u64::from_le_bytes(*octets);
            rest = behind;
        }
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(Some(version));
        }
        if crc(numbers) != u32::from_le_bytes(*wanted) {
            return Err(None);
        }
        let [generation, segment, offset, read, delivered, end, skipped] = numbers;
        Ok(Self {
            generation,
            segment,
            offset,
            read,
            delivered,
            end,
            skipped,
        })
    }

    /// The newest slot of a file.
    pub fn newest(file: &[u8]) -> Found {
        let mut newest: Option<(Self, usize)> = None;
        let mut version = None;
        for (slot, octets) in file.chunks(SLOT).take(2).enumerate() {
            match Self::decode(octets) {
                Ok(found) if newest.is_none_or(|(old, _)| old.generation < found.generation) => {
                    newest = Some((found, slot));
                }
                Ok(_) | Err(None) => {}
                Err(Some(other)) => version = Some(other),
            }
        }
        match (newest, version) {
            (Some((cursor, slot)), _) => Found::Cursor(cursor, 1 - slot),
            (None, Some(version)) => Found::Version(version),
            (None, None) => Found::Damaged,
        }
    }
}

fn crc(numbers: [u64; NUMBERS]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(MAGIC);
    crc.update(&VERSION.to_le_bytes());
    for number in numbers {
        crc.update(&number.to_le_bytes());
    }
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_the_newest_sound_slot_counts_wherever_it_stands() {
        let older = Cursor {
            generation: 7,
            segment: 90,
            offset: 40,
            read: 100,
            delivered: 90,
            end: 190,
            skipped: 10,
        };
        let newer = Cursor {
            generation: 8,
            read: 120,
            ..older
        };
        let file = |slots: [Cursor; 2]| slots.map(|slot| slot.encode()).concat();
        assert_eq!(
            Cursor::newest(&file([older, newer])),
            Found::Cursor(newer, 0)
        );
        assert_eq!(
            Cursor::newest(&file([newer, older])),
            Found::Cursor(newer, 1)
        );
        // Whatever octet of what a slot says is wrong, the other one counts.
        for at in 0..8 + 8 + 8 * NUMBERS {
            let mut damaged = file([older, newer]);
            damaged[SLOT + at] ^= 0x10;
            assert_eq!(Cursor::newest(&damaged), Found::Cursor(older, 1), "{at}");
        }
        for end in 0..SLOT {
            let got = Cursor::newest(&file([older, newer])[..end]);
            let is_whole = end >= 8 + 8 + 8 * NUMBERS;
            let want = if is_whole {
                Found::Cursor(older, 1)
            } else {
                Found::Damaged
            };
            assert_eq!(got, want, "{end}");
        }
        let mut future = older.encode().to_vec();
        future[8] = 9;
        assert_eq!(Cursor::newest(&future), Found::Version(9));
    }
}
