//! The daemon's own way from octets to blocks that a worker takes, without the kernel and the disk.

use std::sync::Arc;

use arc_swap::ArcSwap;
use syslogd::budget::Budget;
use syslogd::config;
use syslogd::counters::{InputCounters, OutputCounters};
use syslogd::format::{Escape, Escaping, Layout, Template};
use syslogd::frame::Framer;
use syslogd::input::peer::PeerNames;
use syslogd::input::shard::{Peer, Shard, Tally};
use syslogd::route::inbox::{Next, Order, Orders, inbox};
use syslogd::route::{Lane, LaneId, Policy, RoutingTable};

use super::stream::for_each_frame;

/// How many messages are received at once.
pub(crate) const BATCH: usize = 64;

/// What files get unless the rule says otherwise.
pub(crate) const TEXT: Template = Template {
    layout: Layout::Traditional,
    escaping: Escaping::Text(Escape::Octal),
};

/// What files with `;RFC5424` get.
pub(crate) const STRUCTURED: Template = Template {
    layout: Layout::Rfc5424Line,
    escaping: Escaping::Text(Escape::Octal),
};

/// What a forward in lines with `;RFC5424` gets.
pub(crate) const FORWARD: Template = Template {
    layout: Layout::ForwardRfc5424,
    escaping: Escaping::Line,
};

/// A shard, and the workers' ends of its queues.
pub(crate) struct Pipeline {
    shard: Shard,
    orders: Vec<Orders>,
    tally: Tally,
    counters: InputCounters,
}

impl Pipeline {
    /// One with a lane for each of `rules`, all of them with this template.
    pub(crate) fn new(rules: &str, template: Template) -> Self {
        let config = config::parse_str("bench.conf", rules).config;
        let (lanes, orders) = (0..config.rules.len())
            .map(|_| {
                let counters = Arc::new(OutputCounters::default());
                let (inbox, orders) = inbox(String::new(), Budget::DEFAULT, counters);
                let lane = Lane {
                    inbox,
                    template,
                    local_only: false,
                    remote: None,
                };
                (lane, orders)
            })
            .unzip();
        let policy = Policy {
            hostname: b"loghost".to_vec(),
            ..Policy::default()
        };
        let table = RoutingTable::compile(&config, lanes, |rule| Some(LaneId::from(rule)), policy);
        let live = Arc::new(ArcSwap::from_pointee(table));
        Self {
            shard: Shard::new(live, &PeerNames::numeric()),
            orders,
            tally: Tally::default(),
            counters: InputCounters::default(),
        }
    }

    /// Takes a batch of datagrams through, and returns how many octets were written.
    pub(crate) fn datagrams(&mut self, octets: &[u8], count: usize, peer: Peer) -> usize {
        self.shard.begin();
        for _ in 0..count {
            self.shard.take(octets, 0, peer, &mut self.tally);
        }
        self.finish()
    }

    /// Takes what one read of a stream brought through; every frame must be whole.
    pub(crate) fn stream(&mut self, framer: &mut Framer, read: &[u8], peer: Peer) -> usize {
        self.shard.begin();
        for_each_frame(framer, read, |frame| {
            self.shard.take(frame, 0, peer, &mut self.tally);
        });
        self.finish()
    }

    fn finish(&mut self) -> usize {
        self.tally.count(&self.counters);
        self.shard.before_sleep();
        let mut written = 0;
        for orders in &self.orders {
            while !orders.is_empty()
                && let Next::Order(Order::Write(block)) = orders.next(None)
            {
                written += block.octets().len();
                orders.recycle(block);
            }
        }
        written
    }
}
