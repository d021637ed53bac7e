//! A routing table, asked without anything around it.

use std::sync::Arc;

use syslogd::config;
use syslogd::counters::OutputCounters;
use syslogd::format::{Escaping, Layout, Template};
use syslogd::message::Message;
use syslogd::route::filter::{Answers, Scene};
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

/// A table with one lane for all rules of `text`.
pub(crate) fn table(text: &str) -> RoutingTable {
    let config = config::parse_str("bench.conf", text).config;
    let lane = Lane {
        inbox: inbox(String::new(), 0, Arc::new(OutputCounters::default())).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::None,
        },
        local_only: false,
        remote: None,
    };
    let one_lane = |_| Some(LaneId::from(0));
    RoutingTable::compile(&config, vec![lane], one_lane, Policy::default())
}

/// How many rules take the message.
pub(crate) fn taken(table: &RoutingTable, answers: &mut Answers, message: &Message<'_>) -> u32 {
    let scene = Scene {
        hostname: b"bastion",
        source: b"192.0.2.7",
        own_name: b"loghost",
        program: None,
    };
    let mut taken = 0;
    table.route(answers, message, scene, true, Class::Message, |_| {
        taken += 1;
    });
    taken
}
