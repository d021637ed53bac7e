//! A drain whose thread is held up in a workshop, and goes on without it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::*;
use crate::budget::Budget;
use crate::config;
use crate::counters::{InputCounters, OutputCounters};
use crate::format::{Escape, Escaping, Layout, Template};
use crate::input::bell::Bell;
use crate::input::datagram::Origin;
use crate::input::fairness::Fairness;
use crate::input::peer::PeerNames;
use crate::input::shard::Shard;
use crate::route::inbox::{Next, Order, Orders, inbox};
use crate::route::{Lane, LaneId, Policy, RoutingTable};

const PATIENCE: Duration = Duration::from_secs(60);

/// A workshop whose help takes as long as the test likes.
#[derive(Debug)]
struct Slow {
    /// Told of each visit; until it is answered, the helper is held up.
    visits: Mutex<SyncSender<SyncSender<Fate>>>,
}

/// What becomes of one who helps.
enum Fate {
    /// He is relieved, and held up all the same until the next word.
    Relieved(Receiver<()>),
    /// He is done.
    Done,
}

impl Workshop for Slow {
    fn come(&self) -> bool {
        true
    }

    fn help(&self, relief: &Arc<dyn Relief>) {
        let (answer, fate) = sync_channel(1);
        let told = self.visits.lock().expect("nobody panics").send(answer);
        if told.is_ok()
            && let Ok(Fate::Relieved(end)) = fate.recv()
        {
            assert!(Arc::clone(relief).begin());
            _ = end.recv();
        }
    }

    fn leave(&self) {}
}

fn routed_to_one() -> (RoutingTable, Orders, Arc<OutputCounters>) {
    let loaded = config::parse_files(&[("t", "*.* /0\n")]);
    let counters = Arc::new(OutputCounters::default());
    let (inbox, orders) = inbox("0".into(), 1 << 20, Arc::clone(&counters));
    let lane = Lane {
        inbox,
        template: Template {
            layout: Layout::Traditional,
            escaping: Escaping::Text(Escape::Octal),
        },
        local_only: false,
        remote: None,
    };
    let lane_of = |rule| Some(LaneId::from(rule));
    let table = RoutingTable::compile(&loaded.config, vec![lane], lane_of, Policy::default());
    (table, orders, counters)
}

/// What is queued, as text.
fn queued(orders: &Orders) -> String {
    let mut text = Vec::new();
    while let Next::Order(Order::Write(block)) = orders.next(Some(std::time::Instant::now())) {
        text.extend_from_slice(block.octets());
    }
    String::from_utf8(text).expect("it was sent so")
}

#[test]
fn f9_a_drain_whose_thread_is_held_up_goes_on_and_loses_and_doubles_nothing() {
    let (sender, receiver) = UnixDatagram::pair().expect("two sockets");
    receiver.set_nonblocking(true).expect("a flag");
    let (table, orders, outputs) = routed_to_one();
    let live = Arc::new(ArcSwap::from_pointee(table));
    let (bell, counters) = (Bell::new().expect("a descriptor"), Arc::default());
    let drain = Drain {
        socket: receiver.into(),
        shard: Shard::new(live, &PeerNames::numeric()),
        counters: Arc::clone(&counters),
        bell: Arc::clone(&bell),
        origin: Origin::Local(Fairness::new("socket".into(), Budget::new(1 << 20))),
        may_help: true,
    };
    let (told, visits) = sync_channel(1);
    let slow = Slow {
        visits: Mutex::new(told),
    };
    let ended = drain.start(Arc::new(slow)).expect("a thread");
    let send = |number: u32| {
        let message = format!("<13>app: number {number}.");
        sender.send(message.as_bytes()).expect("it has room");
    };
    let next = || visits.recv_timeout(PATIENCE).expect("a visit");
    let mut held_up = Vec::new();
    let mut text = String::new();
    for number in 0..20 {
        send(number);
        let visit = next();
        // All that was received is handed over before anybody helps.
        assert_eq!(outputs.enqueued.get(), u64::from(number) + 1);
        text += &queued(&orders);
        if number % 3 == 0 {
            let (end, held) = sync_channel(1);
            visit.send(Fate::Relieved(held)).expect("he waits");
            held_up.push(end);
        } else {
            visit.send(Fate::Done).expect("he waits");
        }
    }
    // They find that others are there, and receive no more.
    drop(held_up);
    send(20);
    next().send(Fate::Done).expect("he waits");
    text += &queued(&orders);
    // Nobody is at the socket for the moment that this takes, and yet it ends.
    send(21);
    let visit = next();
    bell.stop();
    visit.send(Fate::Done).expect("he waits");
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(0));
    text += &queued(&orders);
    assert_eq!(text.lines().count(), 22);
    for (number, line) in text.lines().enumerate() {
        assert!(line.ends_with(&format!(" app: number {number}.")), "{line}");
    }
    let counters: &InputCounters = &counters;
    assert_eq!((counters.received.get(), counters.routed.get()), (22, 22));
    assert!(sender.send(b"nobody is there any more").is_err());
}
