//! Lines that were written and that the disk may not have yet, so that they can be written again.
//!
//! A sync that fails may have lost any of them, and a second one would only pretend (reliability 0.6). The
//! limit: 1 MiB, or a part of a budget that is small. Beyond it the oldest are let go, and counted.

use std::collections::VecDeque;
use std::ops::Range;

use crate::block::Block;

/// What was written since the last sync.
#[derive(Debug)]
pub struct Retained {
    blocks: VecDeque<Block>,
    memory: usize,
    limit: usize,
    let_go: usize,
}

/// More than this is never of use: a sync comes first.
const MOST: usize = 1 << 20;

impl Retained {
    /// None yet. At most `limit` octets, or 1 MiB if that is less, but always the last block.
    pub fn new(limit: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            memory: 0,
            limit: limit.min(MOST),
            let_go: 0,
        }
    }

    /// Keeps a block whole; returns one that is free for reuse, if there is one.
    pub fn keep(&mut self, block: Block) -> Option<Block> {
        // Small blocks grow together: each has room for 64 KiB.
        let free = match self.blocks.back_mut() {
            Some(last) if last.octets().len() + block.octets().len() <= Block::FULL => {
                let before = last.memory();
                last.append(&block);
                self.memory = (self.memory + last.memory()).saturating_sub(before);
                Some(block)
            }
            Some(_) | None => {
                self.memory += block.memory();
                self.blocks.push_back(block);
                None
            }
        };
        if self.memory <= self.limit || self.blocks.len() == 1 {
            return free;
        }
        let oldest = self.blocks.pop_front()?;
        self.memory = self.memory.saturating_sub(oldest.memory());
        self.let_go += oldest.len();
        Some(oldest)
    }

    /// Keeps copies of some records of a block.
    pub fn keep_some(&mut self, block: &Block, records: Range<usize>) {
        let mut some = Block::default();
        for entry in records.filter_map(|index| block.get(index)) {
            some.push(entry.pri, |octets| {
                octets.extend_from_slice(entry.octets);
                entry.octets.len() - entry.body.len()
            });
        }
        if !some.is_empty() {
            self.keep(some);
        }
    }

    /// Whether it is time for a sync, lest something be let go.
    pub fn is_filling(&self) -> bool {
        self.memory > self.limit / 2
    }

    /// How many octets there are.
    pub fn octets(&self) -> usize {
        self.blocks.iter().map(|block| block.octets().len()).sum()
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    /// How many lines were let go since the last sync.
    pub fn let_go(&self) -> usize {
        self.let_go
    }

    /// The blocks, the oldest first; none is kept any more.
    pub fn take(&mut self) -> VecDeque<Block> {
        (self.memory, self.let_go) = (0, 0);
        std::mem::take(&mut self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri, Severity};

    fn block(octets: usize) -> Block {
        let mut block = Block::default();
        block.push(Pri::of(Facility::User, Severity::Notice), |out| {
            out.extend_from_slice(&vec![b'x'; octets]);
            0
        });
        block
    }

    #[test]
    fn s7_the_newest_are_kept_within_the_limit_and_the_others_counted() {
        let mut retained = Retained::new(300 << 10);
        for _ in 0..20 {
            retained.keep(block(60 << 10));
        }
        assert_eq!(retained.lines() + retained.let_go(), 20);
        assert!((3..=5).contains(&retained.lines()), "{}", retained.lines());
        assert!(retained.is_filling());
        assert_eq!(retained.take().len(), 20 - 16);
        assert_eq!((retained.octets(), retained.let_go()), (0, 0));
    }

    #[test]
    fn small_blocks_grow_together() {
        let mut retained = Retained::new(1 << 20);
        for _ in 0..100 {
            assert!(retained.blocks.is_empty() || retained.keep(block(10)).is_some());
            if retained.blocks.is_empty() {
                retained.keep(block(10));
            }
        }
        assert_eq!(retained.blocks.len(), 1);
        let whole = retained.take();
        retained.keep_some(&whole[0], 1..4);
        assert_eq!((retained.lines(), retained.octets()), (3, 30));
    }
}
