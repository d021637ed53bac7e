//! The input that takes the kernel's log into the pipeline.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::bell::{Bell, Call};
use super::fragments::Fragments;
use super::kmsg::{KernelLog, KernelRecord, Step, Time};
use super::shard::{Peer, Shard, Tally};
use crate::counters::InputCounters;

/// What the kernel log's thread works with.
#[derive(Debug)]
pub struct Reader {
    /// The open log.
    pub log: KernelLog,
    /// Which time its messages carry: at first that of the kernel, for they may be hours old.
    pub time: Time,
    /// Which time they carry once the log was read to its end.
    pub later: Time,
    /// The lines that may still grow.
    pub fragments: Fragments,
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
    /// Reads until the bell says stop, or the log cannot be read any more; returns the number of the last
    /// record.
    pub fn run(mut self) -> Option<u64> {
        let mut buffer = vec![0; KernelLog::BUFFER];
        let mut line = Vec::new();
        loop {
            let stopping = self.bell.call() != Call::None;
            let Some(idle) = self.read(&mut buffer, &mut line, stopping) else {
                break;
            };
            // A position behind what is still held could lose it.
            if self.fragments.is_empty()
                && let Err(error) = self.log.save(Instant::now())
            {
                tracing::debug!("cannot save the position in the kernel log: {error}");
            }
            if stopping {
                break;
            }
            if idle {
                self.shard.before_sleep();
                self.bell.wait(self.log.as_fd());
            }
        }
        self.shard.before_sleep();
        let last = self.log.last();
        if let Err(error) = self.log.close() {
            tracing::warn!("cannot save the position in the kernel log: {error}");
        }
        last
    }

    /// Takes some records; tells whether that was all, or `None` if reading fails for good.
    fn read(&mut self, buffer: &mut [u8], line: &mut Vec<u8>, last: bool) -> Option<bool> {
        let Self {
            log,
            time,
            fragments,
            shard,
            counters,
            ..
        } = self;
        let mut tally = Tally::default();
        shard.begin();
        let mut take = |record: KernelRecord<'_>| {
            line.clear();
            record.message(*time, line);
            shard.take(line, 0, Peer::Kernel, &mut tally);
        };
        let mut idle = Some(false);
        for _ in 0..BATCH {
            match log.next(buffer) {
                Ok(Step::Idle) => idle = Some(true),
                Ok(Step::Record { record, lost }) => {
                    if lost > 0 {
                        fragments.end(&mut take);
                        counters.kernel_dropped.add(lost);
                        tracing::warn!(
                            "{lost} kernel messages were overwritten before we read them"
                        );
                    }
                    fragments.take(&record, &mut take);
                    continue;
                }
                Err(error) => {
                    tracing::error!("no longer reading the kernel log: /dev/kmsg: {error}");
                    idle = None;
                }
            }
            break;
        }
        // What is not complete before we sleep or end shall not wait for it.
        if last || idle != Some(false) {
            fragments.end(&mut take);
        }
        tally.count(counters);
        shard.after_datagrams();
        if idle == Some(true) {
            self.time = self.later;
        }
        idle
    }
}
