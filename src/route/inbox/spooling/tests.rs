//! A queue whose middle is on a disk, and its end: nothing is missing, nothing comes twice, the order stays.

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::{Next, inbox};
use super::*;
use crate::pri::{Facility, Pri, Severity};
use crate::spool::Spool;

const OUTPUT: &str = "/var/log/x";

/// Of which a queue has seven eighths: two dozen blocks of [`RECORD`] each.
const MEMORY: usize = 1 << 20;

/// So long that a second one does not fit into the block.
const RECORD: usize = 40 * 1024;

/// One life of an output, with a spooler that works when it is told to.
struct Life {
    spooler: Spooler,
    inbox: Inbox,
    orders: Orders,
    /// Taken and not written.
    in_hand: Option<Block>,
    /// Written, and not known to have arrived, as of a remote.
    unsure: Vec<u64>,
}

fn block(numbers: impl IntoIterator<Item = u64>) -> Block {
    let mut block = Block::default();
    for number in numbers {
        block.push(Pri::of(Facility::User, Severity::Notice), |out| {
            out.extend_from_slice(format!("{number:RECORD$}").as_bytes());
            0
        });
    }
    block
}

fn numbers(block: &Block) -> Vec<u64> {
    let number = |octets: &[u8]| String::from_utf8_lossy(octets).trim().parse().ok();
    let entries = block.iter();
    entries.filter_map(|entry| number(entry.octets)).collect()
}

impl Life {
    fn new(path: &Path) -> Self {
        let spool = Spool::open(path, 64 << 20).expect("it is ours");
        let spooler = Spooler::idle(spool);
        let (inbox, orders) = inbox(OUTPUT.into(), MEMORY, Arc::default());
        inbox.attach(&spooler, OUTPUT, false);
        Self {
            spooler,
            inbox,
            orders,
            in_hand: None,
            unsure: Vec::new(),
        }
    }

    /// The counters balance, and the memory is within its bound.
    fn check(&self) {
        let counters = self.inbox.counters();
        assert!(counters.balance());
        let state = self.inbox.0.0.lock();
        assert!(state.memory.octets() <= MEMORY);
        let middle = state.middle.as_ref().expect("attached");
        assert_eq!(counters.in_spool(), middle.on_disk);
        let waiting = state.queued_records() + middle.on_disk;
        let in_hand = self.in_hand.as_ref().map_or(0, Block::len) as u64;
        if middle.is_open() {
            assert_eq!(counters.queued(), waiting + in_hand);
        }
    }

    fn take(&mut self) -> bool {
        if self.in_hand.is_none()
            && let Next::Order(Order::Write(block)) = self.orders.next(Some(Instant::now()))
        {
            self.in_hand = Some(block);
        }
        self.in_hand.is_some()
    }

    /// Writes so many records of what is in hand, if there are some.
    fn write(&mut self, most: usize, written: &mut Vec<u64>) {
        let Some(block) = self.in_hand.take() else {
            return;
        };
        let done = most.min(block.len());
        let these = numbers(&block.part(0..done));
        self.inbox.counters().write(done as u64, 0);
        written.extend(&these);
        self.unsure.extend(these);
        if done < block.len() {
            self.in_hand = Some(block.rest(done));
        }
    }

    /// All but the last of what was written has arrived. As a worker does: between two blocks.
    fn settle(&mut self, unsure: usize) {
        let gone = self.unsure.len().saturating_sub(unsure);
        self.unsure.drain(..gone);
        if self.in_hand.is_none() && self.orders.reads_back() {
            self.orders.settle(self.unsure.len() as u64);
        }
    }

    /// The end, as a worker makes it; what is unsure will be written again.
    fn end(self, written: &mut Vec<u64>) {
        let Self {
            spooler,
            inbox,
            orders,
            in_hand,
            unsure,
        } = self;
        let counters = Arc::clone(&inbox.0.0.counters);
        drop(inbox);
        if let Some(block) = in_hand {
            assert!(orders.keep(block));
            // A worker looks once more what it is to do before it ends.
            orders.settle(unsure.len() as u64);
            assert!(matches!(orders.next(Some(Instant::now())), Next::Closed));
        }
        written.truncate(written.len() - unsure.len());
        orders.keep_first(block(unsure.iter().copied()));
        orders.leave(unsure.len() as u64, false);
        assert!(counters.balance());
        assert_eq!(counters.dropped(Loss::Shutdown).get(), 0);
        drop((orders, spooler));
    }
}

fn place(directory: &TempDir) -> PathBuf {
    directory.path().join("spool")
}

/// A directory in memory where there is one: a sync costs nothing there.
fn temporary() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}

#[derive(Clone, Debug)]
enum Step {
    Offer(u64),
    Spool,
    Take,
    Write(usize),
    Settle(usize),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..3_u64).prop_map(Step::Offer),
        2 => Just(Step::Spool),
        3 => Just(Step::Take),
        3 => (0..4_usize).prop_map(Step::Write),
        2 => (0..3_usize).prop_map(Step::Settle),
        1 => Just(Step::End),
    ]
}

#[test]
fn what_is_unsure_from_the_disk_then_memory_then_the_disk_comes_again_whole() {
    let directory = temporary();
    let path = place(&directory);
    let mut life = Life::new(&path);
    let offer = |life: &Life, records: std::ops::Range<u64>| {
        assert_eq!(life.inbox.offer(&mut block(records)), Ok(()));
    };
    let mut written = Vec::new();
    for records in [0..2, 2..4, 4..6] {
        offer(&life, records);
    }
    _ = life.inbox.0.0.spool_some();
    assert!(life.take());
    life.write(2, &mut written);
    assert!(life.take());
    for records in [6..8, 8..9, 9..10] {
        offer(&life, records);
    }
    _ = life.inbox.0.0.spool_some();
    life.write(2, &mut written);
    assert!(life.take());
    life.end(&mut written);
    let mut life = Life::new(&path);
    while life.take() {
        life.write(usize::MAX, &mut written);
    }
    assert_eq!(written, (0..10).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_spooled_and_however_often_it_ends_all_comes_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let directory = temporary();
        let path = place(&directory);
        let mut life = Life::new(&path);
        let (mut sent, mut written) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Offer(records) => {
                    if life.inbox.offer(&mut block(sent..sent + records)).is_ok() {
                        sent += records;
                    }
                }
                Step::Spool => drop(life.inbox.0.0.spool_some()),
                Step::Take => _ = life.take(),
                Step::Write(most) => life.write(most, &mut written),
                Step::Settle(unsure) => life.settle(unsure),
                Step::End => {
                    life.end(&mut written);
                    life = Life::new(&path);
                }
            }
            life.check();
        }
        life.settle(0);
        while life.take() {
            life.write(usize::MAX, &mut written);
            life.settle(0);
            life.check();
        }
        prop_assert_eq!(written, (0..sent).collect::<Vec<_>>());
        life.settle(0);
        let counters = Arc::clone(&life.inbox.0.0.counters);
        prop_assert_eq!(counters.queued(), 0);
        prop_assert_eq!(life.spooler.spool().used(), 0);
    }
}

#[test]
fn more_than_half_is_spooled_until_a_quarter_is_left_and_nothing_is_dropped() {
    let directory = temporary();
    let life = Life::new(&place(&directory));
    let mut sent = 0;
    for _ in 0..20 {
        while life.inbox.offer(&mut block([sent])).is_ok() {
            sent += 1;
        }
        while life.inbox.0.0.spool_some() == More::Yes {}
        let state = life.inbox.0.0.lock();
        assert!(state.memory.octets() <= state.memory.share() / 4);
        drop(state);
        life.check();
    }
    let counters = life.inbox.counters();
    assert_eq!(counters.enqueued.get(), sent);
    assert_eq!(counters.queued(), sent);
    assert!(counters.in_spool() > sent / 2);
}

#[test]
fn what_was_read_from_the_disk_and_could_not_be_written_is_there_at_every_start() {
    let directory = temporary();
    let path = place(&directory);
    let mut life = Life::new(&path);
    for number in 0..4 {
        assert_eq!(life.inbox.offer(&mut block([number])), Ok(()));
    }
    // Its output is stuck from one end to the next, and has the oldest block in its hands each time.
    let mut written = Vec::new();
    for _ in 0..4 {
        assert!(life.take());
        assert_eq!(life.in_hand.as_ref().map(numbers), Some(vec![0]));
        life.end(&mut written);
        life = Life::new(&path);
    }
    while life.take() {
        life.write(1, &mut written);
    }
    assert_eq!(written, [0, 1, 2, 3]);
}

#[test]
fn what_a_full_spool_does_not_take_stays_in_memory_in_its_place() {
    let directory = temporary();
    let mut life = Life::new(&place(&directory));
    life.spooler.spool().set_limit(4 * RECORD as u64);
    let mut sent = 0;
    while life.inbox.offer(&mut block([sent])).is_ok() {
        sent += 1;
    }
    assert_eq!(life.inbox.0.0.spool_some(), More::WhenThereIsRoom);
    life.check();
    let mut written = Vec::new();
    while life.take() {
        life.write(1, &mut written);
        life.settle(0);
    }
    assert_eq!(written, (0..sent).collect::<Vec<_>>());
}
