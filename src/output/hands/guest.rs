//! Guests: threads that receive, have received little, and write it themselves before they sleep.
//!
//! A turn may hang with its disk, and a guest has something better to do. So the keeper watches over each visit: one
//! that takes longer than [`PATIENCE`] has the guest relieved, once, and then nobody comes as one for a while: where
//! one file hangs, a thousand may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Hands, State};
use crate::route::workshop::{Relief, Workshop};

/// A visit that takes longer than this has the guest relieved; it is noticed after twice this time at most.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);

/// After that there are no guests for this long: whoever receives is held up for a thousandth of the time at most.
const NO_GUESTS: Duration = Duration::from_secs(10);

/// Turns for each visit: what the guest has brought, and no more than it is there to give.
const TURNS: usize = 16;

/// A guest during a turn.
#[derive(Debug)]
pub(super) struct Guest {
    number: u64,
    /// When he came.
    since: Instant,
    /// Absent once it has begun.
    relief: Option<Arc<dyn Relief>>,
}

impl Workshop for Hands {
    fn come(&self) -> bool {
        let mut state = self.0.lock();
        let is_open = state.is_open_for_guests();
        state.visitors += usize::from(is_open);
        is_open
    }

    fn help(&self, relief: &Arc<dyn Relief>) {
        let shared = &self.0;
        let mut state = shared.lock();
        let began = Instant::now();
        for _ in 0..state.ready.len().min(TURNS) {
            let Some((number, since)) = state.ready.pop_front() else {
                return;
            };
            if !state.is_for_guests(number, began) {
                state.ready.push_back((number, since));
                continue;
            }
            let guest = state.note_guest(began, relief);
            shared.remind(&mut state, began + PATIENCE);
            state = shared.turn(state, number);
            if state.forget_guest(guest) || began.elapsed() >= PATIENCE {
                return;
            }
        }
    }

    fn leave(&self) {
        let mut state = self.0.lock();
        state.visitors -= 1;
        if !state.ready.is_empty() && state.at_work() == 0 {
            self.0.summon(&mut state);
        }
    }
}

impl State {
    /// How soon somebody must look after a job that was called now: sooner, if it is a guest who is there for it.
    pub(super) fn patience(&self) -> Duration {
        if self.visitors > 0 {
            PATIENCE
        } else {
            super::PATIENCE
        }
    }

    /// Whether no guest was held up lately.
    fn is_open_for_guests(&self) -> bool {
        self.no_guests_until
            .is_none_or(|until| until <= Instant::now())
    }

    /// Whether a turn of this job will be quick, as far as is known.
    fn is_for_guests(&self, number: usize, now: Instant) -> bool {
        self.jobs.get(&number).is_some_and(|job| {
            let worker = job.worker.as_ref();
            job.first.is_none() && worker.is_some_and(|worker| worker.is_quick(now))
        })
    }

    fn note_guest(&mut self, since: Instant, relief: &Arc<dyn Relief>) -> u64 {
        self.guest_turns += 1;
        let number = self.guest_turns;
        self.guests.push(Guest {
            number,
            since,
            relief: Some(Arc::clone(relief)),
        });
        number
    }

    /// Its turn is over; tells whether it was relieved.
    fn forget_guest(&mut self, number: u64) -> bool {
        let at = self.guests.iter().position(|guest| guest.number == number);
        at.is_some_and(|at| self.guests.swap_remove(at).relief.is_none())
    }

    /// Relieves the guests whose turn takes too long; tells when to look after the others.
    pub(super) fn relieve_guests(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for guest in &mut self.guests {
            let Some(relief) = &guest.relief else {
                continue;
            };
            if guest.since + PATIENCE <= now {
                if Arc::clone(relief).begin() {
                    guest.relief = None;
                    self.no_guests_until = Some(now + NO_GUESTS);
                    continue;
                }
                guest.since = now;
            }
            next = next.into_iter().chain([guest.since + PATIENCE]).min();
        }
        next
    }
}
