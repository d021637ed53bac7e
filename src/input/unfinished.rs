//! The unfinished frames of all connections, which take a part of the memory budget.
//!
//! ```text
//! ticket 17 ─ oldest ─► 18 ─► 23 ─► 24 ─► youngest      together at most ¼ of the budget
//!     └─ goes first
//! ```
//!
//! Ten thousand connections with an unfinished frame each would take 80 MiB, or 640 where a message may have
//! 64 KiB. When there is no room for another, the connection with the oldest one is closed: an honest sender
//! finishes its frame within milliseconds, so the oldest is the one that is least likely to be finished at all.
//! What came of it is kept, as always when a connection ends within a frame.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::budget::{Budget, Held};

/// What the connections hold, the oldest first.
#[derive(Debug)]
pub(super) struct Unfinished {
    frames: RefCell<Frames>,
    /// Told when one of those is gone that were told to go.
    gone: Notify,
}

#[derive(Debug)]
struct Frames {
    memory: Held,
    by_age: BTreeMap<u64, Frame>,
    next: u64,
    /// What those hold that were told to go and are not gone.
    leaving: usize,
}

#[derive(Debug)]
struct Frame {
    octets: usize,
    owner: Rc<Owner>,
}

/// The connection of a frame.
#[derive(Debug, Default)]
struct Owner {
    /// What it holds, if it was told to go.
    leaving: Cell<usize>,
    told: Notify,
}

/// A connection's place among the unfinished frames, if it has one.
#[derive(Debug)]
pub(super) struct Ticket {
    unfinished: Rc<Unfinished>,
    number: Option<u64>,
    owner: Rc<Owner>,
}

impl Unfinished {
    /// None yet.
    pub(super) fn new(memory: &Budget) -> Self {
        Self {
            frames: RefCell::new(Frames {
                memory: memory.holder(),
                by_age: BTreeMap::new(),
                next: 0,
                leaving: 0,
            }),
            gone: Notify::new(),
        }
    }

    /// Waits until enough of those are gone that were told to go.
    pub(super) async fn room(&self) {
        while self.is_full() {
            self.gone.notified().await;
        }
    }

    fn is_full(&self) -> bool {
        let frames = self.frames.borrow();
        frames.leaving > 0 && frames.memory.octets() > frames.room()
    }
}

impl Frames {
    /// What all of them may take: a quarter of the budget, and no more than the others leave.
    fn room(&self) -> usize {
        (self.memory.budget().limit() / 4).min(self.memory.share())
    }

    /// Tells the oldest to go until the others have room; the last one always has.
    fn make_room(&mut self) {
        while self.by_age.len() > 1 && self.memory.octets() - self.leaving > self.room() {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                return;
            };
            self.leaving += oldest.octets;
            oldest.owner.leaving.set(oldest.octets);
            oldest.owner.told.notify_one();
        }
    }

    /// Gives back what this connection holds.
    fn release(&mut self, number: Option<u64>, owner: &Owner) {
        let leaving = owner.leaving.take();
        self.leaving -= leaving;
        let frame = number.and_then(|number| self.by_age.remove(&number));
        let octets = leaving + frame.map_or(0, |frame| frame.octets);
        self.memory.shrink(octets);
    }
}

impl Ticket {
    /// For a connection without an unfinished frame.
    pub(super) fn new(unfinished: &Rc<Unfinished>) -> Self {
        Self {
            unfinished: Rc::clone(unfinished),
            number: None,
            owner: Rc::default(),
        }
    }

    /// Holds so many octets from now on, of the same frame as before or of a `fresh` one. The oldest of
    /// all connections goes if there is no room.
    pub(super) fn hold(&mut self, octets: usize, fresh: bool) {
        let mut frames = self.unfinished.frames.borrow_mut();
        if self.owner.leaving.get() > 0 {
            self.unfinished.gone.notify_waiters();
        }
        let before = self.number.take();
        frames.release(before, &self.owner);
        if octets == 0 {
            return;
        }
        let number = before.filter(|_| !fresh).unwrap_or_else(|| {
            frames.next += 1;
            frames.next
        });
        let owner = Rc::clone(&self.owner);
        frames.memory.grow(octets);
        frames.by_age.insert(number, Frame { octets, owner });
        self.number = Some(number);
        frames.make_room();
    }

    /// Waits until its frame has to go.
    pub(super) async fn crowded_out(&self) {
        self.owner.told.notified().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hold(0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn must_go(ticket: &Ticket) -> bool {
        let waiting = pin!(ticket.crowded_out());
        waiting.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn v36_the_oldest_unfinished_frame_goes_when_there_is_no_room_for_another() {
        let memory = Budget::new(4000);
        let unfinished = Rc::new(Unfinished::new(&memory));
        let mut tickets: Vec<Ticket> = (0..6).map(|_| Ticket::new(&unfinished)).collect();
        for ticket in &mut tickets[..5] {
            ticket.hold(200, true);
        }
        assert_eq!(memory.used(), 1000);
        assert!(!tickets.iter().any(must_go));
        // The first has a new frame, so that the second is the oldest.
        tickets[0].hold(150, true);
        tickets[2].hold(250, false);
        assert!(!tickets.iter().any(must_go));
        tickets[5].hold(100, true);
        assert!(unfinished.is_full());
        let gone: Vec<bool> = tickets.iter().map(must_go).collect();
        assert_eq!(gone, [false, true, false, false, false, false]);
        assert_eq!(memory.used(), 1100, "until it is gone");
        tickets[1].hold(0, false);
        assert_eq!(memory.used(), 900);
        assert!(!unfinished.is_full());
        // Where a queue has the rest, one is left all the same.
        let mut queue = memory.holder();
        queue.set(4000);
        tickets[5].hold(110, false);
        assert_eq!(memory.used(), 4910);
        let gone: Vec<bool> = tickets.iter().map(must_go).collect();
        assert_eq!(gone, [true, false, true, true, true, false]);
        drop((tickets, queue));
        assert_eq!(memory.used(), 0);
    }
}
