//! The compiled table picks what a walk over all rules would.
//!
//! The input is PRI, whether the message is local, the configuration, NUL, the message.

#![no_main]

#[path = "../../tests/routing/naive.rs"]
mod naive;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use syslogd::config;
use syslogd::counters::OutputCounters;
use syslogd::format::{Escaping, Layout, Template};
use syslogd::message::{Message, Sender};
use syslogd::pri::Pri;
use syslogd::route::filter::Scene;
use syslogd::route::inbox::inbox;
use syslogd::route::{Class, Lane, LaneId, Policy, RoutingTable};

fuzz_target!(|input: &[u8]| {
    let [pri, local, input @ ..] = input else {
        return;
    };
    let local = local % 2 == 0;
    let middle = input.iter().position(|octet| *octet == 0);
    let (text, octets) = input.split_at(middle.unwrap_or(input.len()));
    let octets = octets.get(1..).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let config = config::parse_files(&[("main.conf", &text), ("sub.conf", "!a\n*.err /x")]).config;
    // Enough to find any mistake, and an inbox for each costs.
    if config.rules.len() > 50 {
        return;
    }
    let lane = |rule| Lane {
        inbox: inbox(String::new(), 0, Arc::new(OutputCounters::default())).0,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::None,
        },
        local_only: rule % 3 == 2,
        remote: None,
    };
    let table = RoutingTable::compile(
        &config,
        (0..config.rules.len()).map(lane).collect(),
        |rule| (rule % 5 != 4).then(|| LaneId::from(rule)),
        Policy::default(),
    );
    let message = Message::parse(octets, Sender::Remote);
    let message = message.with_pri(Pri::new(pri % 192).expect("below 192"));
    let scene = Scene {
        hostname: message.hostname().unwrap_or(b"gate"),
        source: b"192.0.2.17",
        own_name: b"LogHost",
        program: None,
    };
    for class in [Class::Message, Class::Mark] {
        let mut picked = Vec::new();
        table.route(
            &mut table.answers(),
            &message,
            scene,
            local,
            class,
            |lane| {
                picked.push(lane.index());
            },
        );
        let mut wanted = naive::route(&config.rules, &message, scene, class);
        wanted.retain(|rule| rule % 5 != 4 && (local || rule % 3 != 2));
        assert_eq!(picked, wanted, "{class:?}");
    }
});
