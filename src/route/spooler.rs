//! The thread that takes queued blocks to the disk, for all outputs that are behind.
//!
//! ```text
//! inbox over half of its share ─ ring ─► spooler ─ takes the oldest block ─► append ─► the next
//! ```
//!
//! It alone waits for that disk, and the outputs that read from it.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::inbox::spooling::{More, Spooled};
use crate::spool::{Refusal, Spool};

/// A disk that fails is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// It is looked again whether there is room.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(50);

/// The spool, and its thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Spooler {
    spool: Arc<Spool>,
    bell: Arc<Bell>,
}

/// How the thread is told that there is something to do.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asking: VecDeque<Weak<dyn Spooled>>,
    /// Those that are asked again, and when.
    later: Vec<(Instant, Weak<dyn Spooled>)>,
    ending: bool,
    /// Why nothing can be appended, as the operator was told.
    trouble: Option<Refusal>,
}

impl Bell {
    /// Asks for a look at an inbox.
    pub(super) fn ring(&self, inbox: Weak<dyn Spooled>) {
        self.lock().asking.push_back(inbox);
        self.rung.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next inbox to look at; `None` when all is over.
    fn next(&self) -> Option<Weak<dyn Spooled>> {
        let mut state = self.lock();
        loop {
            if state.ending {
                return None;
            }
            let now = Instant::now();
            let is_due = |(at, _): &(Instant, _)| *at <= now;
            if let Some(due) = state.later.iter().position(is_due) {
                return Some(state.later.swap_remove(due).1);
            }
            if let Some(inbox) = state.asking.pop_front() {
                return Some(inbox);
            }
            let first = state.later.iter().map(|(at, _)| *at).min();
            state = match first {
                None => self
                    .rung
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(first) => {
                    let waited = self.rung.wait_timeout(state, first - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Tells the operator once why messages cannot be spooled.
    pub(super) fn complain(&self, path: &Path, refusal: &Refusal) {
        // Nobody waits for the lock while it is told.
        let before = self.lock().trouble.replace(refusal.clone());
        if before.as_ref() != Some(refusal) {
            let path = path.display();
            tracing::warn!(
                "spool {path}: {refusal}; messages wait in memory, and are dropped if that is full"
            );
        }
    }

    /// Takes that back.
    pub(super) fn works(&self, path: &Path) {
        let before = self.lock().trouble.take();
        if before.is_some() {
            tracing::info!("spool {}: works again", path.display());
        }
    }
}

impl Spooler {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no room for another one.
    pub fn start(spool: Spool) -> io::Result<Self> {
        let spooler = Self {
            spool: Arc::new(spool),
            bell: Arc::default(),
        };
        let bell = Arc::clone(&spooler.bell);
        let work = move || {
            while let Some(asking) = bell.next() {
                let Some(inbox) = asking.upgrade() else {
                    continue;
                };
                let again = match inbox.spool_some() {
                    More::No => continue,
                    More::Yes => Duration::ZERO,
                    More::WhenThereIsRoom => LOOK_FOR_ROOM,
                    More::WhenItWorks => RETRY,
                };
                let mut state = bell.lock();
                if again.is_zero() {
                    state.asking.push_back(asking);
                } else {
                    state.later.push((Instant::now() + again, asking));
                }
            }
        };
        thread::Builder::new().name("spool".into()).spawn(work)?;
        Ok(spooler)
    }

    /// What is on the disk.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl Drop for Spooler {
    fn drop(&mut self) {
        self.bell.lock().ending = true;
        self.bell.rung.notify_all();
    }
}
