//! The open blocks of one shard: where its messages are formatted into, and how they leave.
//!
//! A block leaves when it is full, when its shard is about to sleep, or when it is [`LATEST`] old while
//! the shard is busy: an idle system has no added latency, a busy one writes 64 KiB at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::filter::{Answers, Scene};
use super::inbox::{Claim, Inbox};
use super::{Class, Lane, LaneId, RoutingTable};
use crate::block::Block;
use crate::counters::Loss;
use crate::format::{Formatter, Received, Shown, Template};
use crate::message::Message;

/// How long a record may stay in an open block while its shard is too busy to sleep.
pub const LATEST: Duration = Duration::from_millis(10);

/// Records that were meant for a lane and were never made.
#[derive(Clone, Copy, Debug, Default)]
struct Withheld {
    /// Their sender was beyond his share.
    share: u64,
    /// They would have gone back to where they came from.
    back: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// At least one rule took it.
    Routed,
    /// No rule wanted it.
    Unmatched,
}

/// Lets messages through to the lanes of a table, and keeps their open blocks.
#[derive(Debug)]
pub struct Lanes {
    table: Arc<RoutingTable>,
    open: Vec<Block>,
    /// First lanes of outputs whose block holds a record, so that handing over does not look at all.
    dirty: Vec<LaneId>,
    /// Those of them whose block is full: there may be a thousand that are not.
    full: Vec<LaneId>,
    /// Whether one of those became full since [`Lanes::take_filled`].
    has_filled: bool,
    picked: Vec<LaneId>,
    answers: Answers,
    /// For each lane, the records that were never made since the last hand-over; and whether there are any.
    withheld: Vec<Withheld>,
    has_withheld: bool,
    formatter: Formatter,
}

impl Lanes {
    /// Empty blocks for the lanes of `table`.
    pub fn new(table: Arc<RoutingTable>) -> Self {
        let open = table.lanes().iter().map(|_| Block::default()).collect();
        let withheld = vec![Withheld::default(); table.lanes().len()];
        let (dirty, full, picked) = (Vec::new(), Vec::new(), Vec::new());
        let answers = table.answers();
        Self {
            table,
            open,
            dirty,
            full,
            has_filled: false,
            picked,
            answers,
            withheld,
            has_withheld: false,
            formatter: Formatter::default(),
        }
    }

    /// The table in use.
    pub fn table(&self) -> &Arc<RoutingTable> {
        &self.table
    }

    /// Goes over to another table. All blocks must have been handed over.
    pub fn follow(&mut self, table: Arc<RoutingTable>) {
        debug_assert!(
            self.dirty.is_empty(),
            "records of the old table would be lost"
        );
        // Timestamps that were rendered before are forgotten: the zone may be another one now.
        *self = Self::new(table);
    }

    /// Routes one message and formats it into the open block of each lane that takes it.
    ///
    /// A line is rendered once for each format; further lanes of the same format get a copy. Outputs
    /// that are behind refuse it if that is all its sender can claim. `from` is its sender on the network,
    /// to whom it does not go back.
    pub fn deliver(
        &mut self,
        message: &Message<'_>,
        scene: Scene<'_>,
        from: Option<IpAddr>,
        class: Class,
        received: Received,
        claim: Claim,
    ) -> Fate {
        let Self {
            table,
            open,
            dirty,
            full,
            has_filled,
            picked,
            answers,
            withheld,
            has_withheld,
            formatter,
        } = self;
        picked.clear();
        let mut fate = Fate::Unmatched;
        table.route(answers, message, scene, from.is_none(), class, |lane| {
            fate = Fate::Routed;
            let Lane { inbox, remote, .. } = &table.lanes()[lane.index()];
            if inbox.refuses(claim) {
                withheld[lane.index()].share += 1;
                *has_withheld = true;
            } else if let (Some(from), Some(remote)) = (from, remote)
                && remote.includes(from)
            {
                withheld[lane.index()].back += 1;
                *has_withheld = true;
            } else {
                picked.push(lane);
            }
        });
        let shown = Shown {
            hostname: scene.hostname,
            received,
            always_received: table.policy().always_received,
        };
        for (index, lane) in picked.iter().enumerate() {
            let first = table.first_of(*lane);
            let place = first.index();
            if open[place].is_empty() {
                dirty.push(first);
            }
            let was_full = open[place].is_full();
            let template = table.lanes()[lane.index()].template;
            // The last record of a block is that of the last lane that was picked for it.
            let source = open_elsewhere(table, &picked[..index], template)
                .and_then(|source| open.get_disjoint_mut([place, source]).ok());
            match source {
                Some([block, source]) => block.push_copy_of_last(source),
                None => open[place].push(message.pri(), |out| {
                    formatter.write(out, message, shown, template)
                }),
            }
            if !was_full && open[place].is_full() {
                full.push(first);
                *has_filled = true;
            }
        }
        fate
    }

    /// Whether some lane holds a full block.
    pub fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Whether a block became full since this was asked last: time to hand it over, before it grows.
    pub fn take_filled(&mut self) -> bool {
        std::mem::take(&mut self.has_filled)
    }

    /// Whether all blocks are empty.
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Whether the open blocks hold something, and are at most so many, of so many octets together.
    pub fn holds_at_most(&self, blocks: usize, octets: usize) -> bool {
        let octets_of = |lane: &LaneId| self.open[lane.index()].octets().len();
        (1..=blocks).contains(&self.dirty.len())
            && self.dirty.iter().map(octets_of).sum::<usize>() <= octets
    }

    /// Hands over the blocks that hold something: all of them, or only those that are full.
    ///
    /// Where an inbox has no room, `full` decides: it returns true if it got rid of the block, or false
    /// to keep it open for another try.
    pub fn hand_over(&mut self, which: Which, mut full: impl FnMut(&Inbox, &mut Block) -> bool) {
        let Self {
            table,
            open,
            dirty,
            full: full_ones,
            withheld,
            has_withheld,
            ..
        } = self;
        if which == Which::All && std::mem::take(has_withheld) {
            for (lane, withheld) in table.lanes().iter().zip(withheld.iter_mut()) {
                let Withheld { share, back } = std::mem::take(withheld);
                lane.inbox.refuse(share, Loss::Share);
                lane.inbox.refuse(back, Loss::Loop);
            }
        }
        if which == Which::Full && full_ones.is_empty() {
            return;
        }
        full_ones.clear();
        dirty.retain(|lane| {
            let block = &mut open[lane.index()];
            if which == Which::Full && !block.is_full() {
                return true;
            }
            let inbox = &table.lanes()[lane.index()].inbox;
            let stays = inbox.offer(block).is_err() && !full(inbox, block);
            if stays && block.is_full() {
                full_ones.push(*lane);
            }
            stays
        });
    }
}

/// The block that ends with this message in this form, if there is one.
fn open_elsewhere(table: &RoutingTable, picked: &[LaneId], template: Template) -> Option<usize> {
    let found = picked.iter().enumerate().rev().find(|(index, lane)| {
        let first = table.first_of(**lane);
        let is_last = || {
            picked[index + 1..]
                .iter()
                .all(|later| table.first_of(*later) != first)
        };
        table.lanes()[lane.index()].template == template && is_last()
    });
    found.map(|(_, lane)| table.first_of(*lane).index())
}

/// Which blocks are handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// All that hold a record.
    All,
    /// Those that are full.
    Full,
}
