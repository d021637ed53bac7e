//! The input that takes the kernel's log into the pipeline.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::bell::Bell;
use super::kmsg::{KernelLog, Step, Time};
use super::shard::{Peer, Shard, Tally};
use crate::counters::InputCounters;

/// What the kernel log's thread works with.
#[derive(Debug)]
pub struct Reader {
    /// The open log.
    pub log: KernelLog,
    /// Which time its messages carry.
    pub time: Time,
    /// The thread's open blocks.
    pub shard: Shard,
    /// What this input has seen.
    pub counters: Arc<InputCounters>,
    /// How the thread is told something.
    pub bell: Arc<Bell>,
}

/// Records for each clock read and each look at the table.
const BATCH: usize = 32;

impl Reader {
    /// Reads until the bell says stop, or the log cannot be read any more.
    pub fn run(mut self) {
        let mut buffer = vec![0; KernelLog::BUFFER];
        let mut line = Vec::new();
        while let Some(idle) = self.read(&mut buffer, &mut line) {
            if let Err(error) = self.log.save(Instant::now()) {
                tracing::debug!("cannot save the position in the kernel log: {error}");
            }
            if self.bell.is_stopping() {
                break;
            }
            if idle {
                self.shard.before_sleep();
                self.bell.wait(self.log.as_fd());
            }
        }
        self.shard.before_sleep();
        if let Err(error) = self.log.close() {
            tracing::warn!("cannot save the position in the kernel log: {error}");
        }
    }

    /// Takes some records; tells whether that was all, or `None` if reading fails for good.
    fn read(&mut self, buffer: &mut [u8], line: &mut Vec<u8>) -> Option<bool> {
        let mut tally = Tally::default();
        self.shard.begin();
        let mut idle = Some(false);
        for _ in 0..BATCH {
            match self.log.next(buffer) {
                Ok(Step::Idle) => idle = Some(true),
                Ok(Step::Record { record, lost }) => {
                    if lost > 0 {
                        self.counters.kernel_dropped.add(lost);
                        tracing::warn!(
                            "{lost} kernel messages were overwritten before we read them"
                        );
                    }
                    line.clear();
                    record.message(self.time, line);
                    self.shard.take(line, 0, Peer::Kernel, &mut tally);
                    continue;
                }
                Err(error) => {
                    tracing::error!("no longer reading the kernel log: /dev/kmsg: {error}");
                    idle = None;
                }
            }
            break;
        }
        tally.count(&self.counters);
        self.shard.after_datagrams();
        idle
    }
}
