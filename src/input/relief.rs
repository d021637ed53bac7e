//! The threads of a datagram socket: one at a time, and another one if that is held up while it helps.
//!
//! ```text
//! thread 1: receive ─► lay the drain on the desk ─► write ─────── hangs ─────────► desk is empty: end
//! thread 2:                                            └─ relief ─► take it up ─► receive ─► …
//! ```
//!
//! Whoever has the drain receives. It lies on the desk only while its thread helps in the workshop
//! ([`crate::route::workshop`]), with all that it had received handed over, so that nothing is doubled, lost, or
//! out of order whoever takes it up.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::datagram::{Drain, Gear, Step};
use crate::route::workshop::{Relief, Workshop};
use crate::sys::set_nice;

/// What a drain thread does cannot wait, and what all others do can: the kernel's buffers end, and ours are
/// larger. As nice(1).
const URGENT: i32 = -10;

/// Where a drain lies while nobody has it.
#[derive(Debug)]
struct Desk {
    drain: Mutex<Option<Box<Drain>>>,
    workshop: Arc<dyn Workshop>,
    /// Told at the end how many datagrams the kernel had dropped.
    end: SyncSender<u32>,
}

/// Receives until the bell says stop, whatever happens: a socket that nobody reads hangs its senders.
///
/// What is returned gets, once the socket is closed, the kernel's count of what it dropped on it, for whoever reads it
/// next.
///
/// # Errors
/// If the system has no room for another thread.
pub(super) fn start(drain: Drain, workshop: Arc<dyn Workshop>) -> io::Result<Receiver<u32>> {
    let (end, ended) = sync_channel(1);
    let desk = Arc::new(Desk {
        drain: Mutex::new(Some(Box::new(drain))),
        workshop,
        end,
    });
    desk.hire()?;
    Ok(ended)
}

impl Relief for Desk {
    fn begin(self: Arc<Self>) -> bool {
        self.hire().is_ok()
    }
}

impl Desk {
    /// Begins a thread that takes up what lies here.
    fn hire(self: &Arc<Self>) -> io::Result<()> {
        let desk = Arc::clone(self);
        let work = move || {
            if let Some(drain) = desk.take_up() {
                desk.serve(drain);
            }
        };
        thread::Builder::new().name("drain".into()).spawn(work)?;
        Ok(())
    }

    fn take_up(&self) -> Option<Box<Drain>> {
        self.drain
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn lay_down(&self, drain: Box<Drain>) {
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = Some(drain);
    }

    fn serve(self: &Arc<Self>, mut drain: Box<Drain>) {
        set_nice(URGENT);
        let relief: Arc<dyn Relief> = Arc::<Self>::clone(self);
        let mut gear = Gear::new(&drain);
        loop {
            let work = AssertUnwindSafe(|| drain.work(&mut gear, &*self.workshop));
            match catch_unwind(work) {
                Err(_) => drain.hand_over_by_force(),
                Ok(Step::Over) => break,
                Ok(Step::Help(visit)) => {
                    self.lay_down(drain);
                    // Whatever happens there, somebody must take it up again.
                    _ = catch_unwind(AssertUnwindSafe(|| visit.help(&relief)));
                    match self.take_up() {
                        Some(mine) => drain = mine,
                        None => return,
                    }
                }
            }
        }
        let dropped = drain.close();
        // Nobody may want to know.
        _ = self.end.send(dropped);
    }
}

#[cfg(test)]
mod tests;
