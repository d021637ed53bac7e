//! What a full queue gives up, and what it hands over.

use super::*;
use crate::pri::{Facility, Pri};

const KIB: usize = 1024;

/// A block with one record of so many octets, filled with `mark`.
fn block(severity: Severity, mark: u8, octets: usize) -> Block {
    let mut block = Block::default();
    block.push(Pri::of(Facility::User, severity), |out| {
        out.extend_from_slice(&vec![mark; octets]);
        0
    });
    block
}

fn queue(limit: usize) -> (Inbox, Orders) {
    inbox("test".into(), limit, Arc::default())
}

/// The marks of the queued records.
fn drain(orders: &Orders) -> Vec<u8> {
    let mut marks = Vec::new();
    while let Next::Order(Order::Write(block)) = orders.next(Some(Instant::now())) {
        marks.extend(block.iter().map(|entry| entry.octets[0]));
    }
    marks
}

#[test]
fn a_full_inbox_refuses_and_leaves_the_block_as_it_was() {
    let (inbox, _orders) = queue(1);
    assert_eq!(
        inbox.offer(&mut block(Severity::Notice, b'a', 40 * KIB)),
        Ok(())
    );
    let mut second = block(Severity::Notice, b'b', 40 * KIB);
    assert_eq!(inbox.offer(&mut second), Err(Full));
    assert_eq!(second.octets().len(), 40 * KIB);
    assert_eq!(inbox.counters().enqueued.get(), 1);
}

#[test]
fn what_is_beyond_a_share_is_lost_for_the_trouble_of_the_output_if_it_has_one() {
    let (inbox, orders) = queue(1);
    inbox.refuse(1, Loss::Share);
    orders.set_trouble(Some(Loss::NoSpace));
    inbox.refuse(2, Loss::Share);
    inbox.refuse(4, Loss::Loop);
    orders.set_trouble(None);
    inbox.refuse(8, Loss::Share);
    let dropped =
        [Loss::Share, Loss::NoSpace, Loss::Loop].map(|why| inbox.counters().dropped(why).get());
    assert_eq!(dropped, [9, 2, 4]);
    assert!(inbox.counters().balance());
}

#[test]
fn small_blocks_grow_together_while_they_wait() {
    let (inbox, orders) = queue(1);
    for mark in b"abc" {
        assert_eq!(inbox.offer(&mut block(Severity::Notice, *mark, 10)), Ok(()));
    }
    assert!(matches!(orders.next(None), Next::Order(Order::Write(block)) if block.len() == 3));
}

#[test]
fn the_least_urgent_go_first_and_of_those_the_oldest_and_no_more_than_needed() {
    let (inbox, orders) = queue(300 * KIB / 7 * 8);
    let mut queued = Vec::new();
    for (severity, mark) in [
        (Severity::Error, b'e'),
        (Severity::Debug, b'd'),
        (Severity::Notice, b'n'),
    ]
    .into_iter()
    .cycle()
    {
        match inbox.offer(&mut block(severity, mark, 10 * KIB)) {
            Ok(()) => queued.push(mark),
            Err(Full) => break,
        }
    }
    for _ in 0..3 {
        inbox.force(&mut block(Severity::Emergency, b'x', 40 * KIB));
    }
    queued.extend([b'x'; 3]);
    let dropped = inbox.counters().dropped(Loss::Full).get();
    assert!(
        (3..=24).contains(&dropped),
        "{dropped} records of 10 KiB for 3 of 40 KiB"
    );
    let got = drain(&orders);
    let mut left = dropped;
    for mark in b"dn" {
        // The oldest of the least urgent are those that are missing.
        queued.retain(|other| {
            let goes = other == mark && left > 0;
            left -= u64::from(goes);
            !goes
        });
    }
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(&queued)
    );
    inbox.counters().write(got.len() as u64, 0);
    assert!(inbox.counters().balance());
    assert_eq!(inbox.counters().queued(), 0);
}

#[test]
fn orders_keep_their_place_among_the_messages() {
    let (inbox, orders) = queue(100 * KIB);
    inbox.force(&mut block(Severity::Notice, b'a', 1));
    inbox.order(Change::Rotate);
    inbox.force(&mut block(Severity::Notice, b'b', 1));
    drop(inbox);
    assert!(matches!(orders.next(None), Next::Order(Order::Write(_))));
    assert!(matches!(
        orders.next(None),
        Next::Order(Order::Change(Change::Rotate))
    ));
    assert!(matches!(orders.next(None), Next::Order(Order::Write(_))));
    assert!(matches!(orders.next(None), Next::Closed));
}

#[test]
fn however_much_is_forced_in_the_memory_stays_within_the_limit() {
    // Few octets to a record, so that the list of records weighs; and octets past a full block.
    for octets in [30, 97, 1000, 8000] {
        let limit = 4 << 20;
        let (inbox, orders) = queue(limit);
        let severities = [Severity::Debug, Severity::Notice, Severity::Emergency];
        let mut cycle = severities.into_iter().cycle();
        let mut sent = 0;
        for round in 0..500 {
            let mut block = Block::default();
            // Whole blocks, and some that fit behind others.
            let full = Block::FULL >> (round % 3);
            while block.octets().len() < full {
                let severity = cycle.next().unwrap_or(Severity::Debug);
                block.push(Pri::of(Facility::User, severity), |out| {
                    out.extend_from_slice(&vec![b'x'; octets]);
                    0
                });
                sent += 1;
            }
            if inbox.offer(&mut block).is_err() {
                inbox.force(&mut block);
            }
        }
        let state = inbox.0.0.lock();
        let memory = state.memory.octets();
        let held: usize = state.orders.iter().map(memory_of).sum();
        drop(state);
        assert_eq!(memory, held, "{octets}");
        assert!(memory <= limit, "{octets}: {memory}");
        assert!(memory >= limit / 2, "{octets}: {memory}");
        let counters = inbox.counters();
        assert_eq!(counters.enqueued.get(), sent);
        let left = drain(&orders).len() as u64;
        assert_eq!(counters.dropped(Loss::Full).get() + left, sent);
    }
}

fn memory_of(order: &Order) -> usize {
    match order {
        Order::Write(block) => block.memory(),
        Order::Change(_) => 0,
    }
}

#[test]
fn what_comes_when_its_worker_has_ended_is_handed_over_behind_what_that_kept() {
    let (inbox, orders) = queue(1 << 20);
    let stopper = inbox.stopper();
    stopper.suspend_by(Instant::now());
    assert!(orders.keep(block(Severity::Notice, b'a', 1)));
    drop(orders);
    assert_eq!(inbox.offer(&mut block(Severity::Notice, b'b', 1)), Ok(()));
    let kept = stopper.take_kept();
    let kept: Vec<_> = kept.iter().map(|block| block.octets().to_vec()).collect();
    assert_eq!(kept, [b"a", b"b"]);
    assert_eq!(inbox.0.0.lock().memory.octets(), 0);
}
