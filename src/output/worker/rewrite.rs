//! What the disk may not have yet: synced, let go, or written again to a new file.
//!
//! ```text
//! written ──► retained ──► sync ──► let go
//!                           └ failed: condemn the file ──► the same records to a new one ──► sync ─┐
//!                                                          ▲ failed: wait                          │
//!                                                          └───────────────────────────────────────┘
//! ```

use std::io;
use std::ops::Range;
use std::time::Duration;

use nix::errno::Errno;

use super::Worker;
use crate::block::Block;
use crate::counters::Loss;
use crate::output::{Stop, Trouble, Written};
use crate::report::reason;

/// A disk that fails to sync is tried this often.
const SYNC_RETRY: Duration = Duration::from_millis(250);

impl Worker {
    /// Keeps copies of records that the disk may not have yet.
    pub(super) fn retain(&mut self, block: &Block, records: Range<usize>) {
        if self.unsynced_since.is_some() {
            self.retained.keep_some(block, records);
        }
    }

    /// Waits until the disk has what was written, here or in a new file.
    pub(super) fn sync_now(&mut self) {
        if self.unsynced_since.take().is_none() {
            return;
        }
        match self.sink.sync() {
            Ok(()) => self.let_go(),
            Err(error) => self.write_again(&error),
        }
    }

    fn let_go(&mut self) {
        for mut block in self.retained.take() {
            block.clear();
            self.orders.recycle(block);
        }
    }

    /// Writes to a new file what a failed sync may have lost; nothing else is taken before the disk has it.
    /// A second sync of the same file would only pretend (reliability 0.6, S7).
    pub(super) fn write_again(&mut self, error: &io::Error) {
        let (kept, gone) = (self.retained.lines(), self.retained.let_go());
        tracing::error!(
            "cannot sync {}: {}; its last {kept} lines are written again to a new file{}",
            self.name,
            reason(error),
            match gone {
                0 => String::new(),
                gone => format!(", and {gone} before them may be lost"),
            }
        );
        let blocks: Vec<Block> = self.retained.take().into();
        loop {
            self.sink.condemn();
            self.unsynced_since = None;
            let Err(error) = self.offer_again(&blocks).and_then(|()| self.sink.sync()) else {
                break;
            };
            if self.is_over() {
                tracing::error!(
                    "{}: {kept} lines that count as written may not be on the disk",
                    self.name
                );
                return;
            }
            let name = &self.name;
            let trouble = Trouble {
                after: SYNC_RETRY,
                loss: loss_of(&error),
                sentence: format!("cannot sync {name}: {}", reason(&error)),
            };
            self.complain(&trouble);
            self.wait(trouble.after);
        }
        self.orders.counters().rewritten.add(kept as u64);
        self.settle_complaint();
        for block in blocks {
            self.orders.recycle(block);
        }
    }

    /// Offers each block once from its beginning, waiting as long as it must.
    ///
    /// # Errors
    /// If what was taken may be lost again, or the end came before all of it was taken.
    fn offer_again(&mut self, blocks: &[Block]) -> io::Result<()> {
        for block in blocks {
            let mut next = 0;
            while next < block.len() {
                if self.is_over() {
                    self.sink.give_up();
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let Written { records, stopped } = self.sink.write(block, next);
                next += records;
                match stopped {
                    None => {}
                    // Only what has a disk is ever written again, and that never drops.
                    Some(Stop::Drop(_)) => next += 1,
                    Some(Stop::Unsynced(error)) => return Err(error),
                    Some(Stop::Retry(trouble)) => {
                        self.complain(&trouble);
                        self.wait(trouble.after);
                    }
                }
            }
            let octets = block.octets().len() as u64;
            self.orders.counters().write(0, octets);
        }
        Ok(())
    }
}

/// What is lost while a sync fails is lost for this reason.
fn loss_of(error: &io::Error) -> Loss {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => Loss::NoSpace,
        Some(_) | None => Loss::Io,
    }
}
