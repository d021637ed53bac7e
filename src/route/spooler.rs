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

    /// One without a thread: what is asked of it waits.
    #[cfg(test)]
    pub(super) fn idle(spool: Spool) -> Self {
        Self {
            spool: Arc::new(spool),
            bell: Arc::default(),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Tells each time that it is asked, and has these answers.
    #[derive(Debug)]
    struct Asked {
        name: usize,
        answers: Mutex<Vec<More>>,
        told: Mutex<Sender<usize>>,
    }

    impl Spooled for Asked {
        fn spool_some(&self) -> More {
            let told = self.told.lock().expect("nobody panics");
            told.send(self.name).expect("somebody listens");
            let mut answers = self.answers.lock().expect("nobody panics");
            answers.pop().unwrap_or(More::No)
        }
    }

    fn spooler() -> (tempfile::TempDir, Spooler) {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = Spool::open(&directory.path().join("spool"), 1 << 20).expect("it is ours");
        (directory, Spooler::start(spool).expect("a thread"))
    }

    fn asked(answers: &[&[More]]) -> (Vec<Arc<Asked>>, Receiver<usize>) {
        let (told, hears) = mpsc::channel();
        let one = |(name, answers): (usize, &&[More])| {
            Arc::new(Asked {
                name,
                answers: Mutex::new(answers.to_vec()),
                told: Mutex::new(told.clone()),
            })
        };
        (answers.iter().enumerate().map(one).collect(), hears)
    }

    fn ring(spooler: &Spooler, inbox: &Arc<Asked>) {
        let inbox: Arc<dyn Spooled> = Arc::clone(inbox) as _;
        spooler.bell().ring(Arc::downgrade(&inbox));
    }

    #[test]
    fn who_has_more_waits_for_the_turn_of_the_others_and_who_has_no_room_is_asked_later() {
        let (_directory, spooler) = spooler();
        let (inboxes, hears) = asked(&[&[More::Yes; 3], &[More::WhenThereIsRoom], &[]]);
        // All ask before the first is looked at.
        let mut state = spooler.bell().lock();
        for inbox in &inboxes {
            let inbox: Arc<dyn Spooled> = Arc::clone(inbox) as _;
            state.asking.push_back(Arc::downgrade(&inbox));
        }
        drop(state);
        spooler.bell().rung.notify_one();
        let order: Vec<usize> = hears.iter().take(7).collect();
        let of = |name| order.iter().filter(|one| **one == name).count();
        assert_eq!(order[..4], [0, 1, 2, 0]);
        assert_eq!((of(0), of(1), of(2)), (4, 2, 1));
    }

    #[test]
    fn an_inbox_that_is_gone_is_not_asked_and_the_end_comes_while_others_wait() {
        let (_directory, spooler) = spooler();
        let (mut inboxes, hears) = asked(&[&[], &[More::WhenItWorks; 9]]);
        let last = inboxes.pop().expect("two");
        let weak = {
            let gone: Arc<dyn Spooled> = inboxes.pop().expect("one") as _;
            Arc::downgrade(&gone)
        };
        spooler.bell().ring(weak);
        ring(&spooler, &last);
        assert_eq!(hears.recv(), Ok(1));
        let bell = Arc::clone(spooler.bell());
        drop(spooler);
        assert!(bell.next().is_none());
    }

    #[test]
    fn a_trouble_is_remembered_until_it_works_again() {
        let bell = Bell::default();
        let path = Path::new("/spool");
        bell.complain(path, &Refusal::Full);
        assert_eq!(bell.lock().trouble, Some(Refusal::Full));
        bell.complain(path, &Refusal::Link);
        assert_eq!(bell.lock().trouble, Some(Refusal::Link));
        bell.works(path);
        assert_eq!(bell.lock().trouble, None);
    }
}
