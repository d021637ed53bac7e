//! The hands: a few threads that do the work of all files.
//!
//! ```text
//! called, or time ─► ready [7][3][12] ─► hand: a turn of 7 ─► asleep until it is called, or its alarm
//!                      ▲ keeper: has one waited for long? then another hand
//! ```
//!
//! A thread for each file costs a wake-up for each block, and with a thousand files that is most of the cost of a
//! message. So one hand takes turn after turn, and is woken once for all of them. A turn may block as long as it
//! likes: a disk that hangs, a file that is tried again, a sync. While nobody finishes a turn and others wait,
//! the keeper hires another hand, and so a stuck disk stops only its own files. There are never more hands than
//! files, and those without work leave. A thread that receives may come to help ([`guest`]).

mod guest;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use self::guest::Guest;
use super::Ended;
use super::worker::{Turn, Worker};

/// An output that has waited for so long gets another hand.
const PATIENCE: Duration = Duration::from_millis(10);

/// A hand without work leaves after this long; the last one stays.
const LINGER: Duration = Duration::from_secs(10);

/// So many are hired for syncs without delay.
const MANY: usize = 32;

/// All the hands, and the outputs that they work for. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hands(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// For hands that rest.
    work: Condvar,
    /// For the keeper.
    time: Condvar,
    /// For those who wait until all have begun.
    begun: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<usize, Job>,
    next: usize,
    /// How many had no turn yet, of those without a predecessor.
    new: usize,
    /// Who has something to do, and since when.
    ready: VecDeque<(usize, Instant)>,
    alarms: BTreeSet<(Instant, usize)>,
    hands: usize,
    /// Hands that rest, and those of them that were woken and have not come yet.
    resting: usize,
    summoned: usize,
    /// Turns that were finished.
    turns: u64,
    keeper: Keeper,
    /// Threads that came to help, those of them that have a turn, and how many turns such ones had.
    visitors: usize,
    guests: Vec<Guest>,
    guest_turns: u64,
    no_guests_until: Option<Instant>,
}

/// What the keeper waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Keeper {
    /// There is none.
    #[default]
    Absent,
    /// Nothing.
    Asleep,
    /// This time.
    Until(Instant),
}

#[derive(Debug)]
struct Job {
    /// Absent while it has its turn.
    worker: Option<Box<Worker>>,
    ended: Ended,
    waker: Waker,
    /// The first turn begins with this.
    first: Option<First>,
    alarm: Option<Instant>,
    /// It is ready, or was called during its turn.
    is_called: bool,
}

/// What comes before the first turn: somebody else must have ended, if there is one.
#[derive(Debug)]
struct First(Option<Ended>);

/// Calls a job.
#[derive(Debug)]
struct Caller {
    shared: Arc<Shared>,
    job: usize,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.call(&mut self.shared.lock(), self.job);
    }
}

impl Hands {
    /// Works for this output from now on, until it ends; `after` its predecessor.
    ///
    /// # Errors
    /// If the system has no room for another thread, and there is none yet.
    pub(super) fn work_for(&self, worker: Worker, after: Option<Ended>) -> io::Result<Ended> {
        let shared = &self.0;
        let mut state = shared.lock();
        if state.keeper == Keeper::Absent {
            let keeper = Arc::clone(shared);
            let name = "keeper".to_owned();
            let work = move || keeper.keep_time();
            thread::Builder::new().name(name).spawn(work)?;
            state.keeper = Keeper::Asleep;
        }
        if state.hands == 0 {
            shared.hire(&mut state)?;
        }
        let job = state.next;
        state.next += 1;
        state.new += usize::from(after.is_none());
        let caller = Caller {
            shared: Arc::clone(shared),
            job,
        };
        let ended = Ended::default();
        let entry = Job {
            worker: Some(Box::new(worker)),
            ended: ended.clone(),
            waker: Waker::from(Arc::new(caller)),
            first: Some(First(after)),
            alarm: None,
            is_called: false,
        };
        state.jobs.insert(job, entry);
        shared.call(&mut state, job);
        Ok(ended)
    }

    /// Waits until all have begun, or until `patience` is over: then they are tried in their own time.
    pub fn wait_for_first_turns(&self, patience: Duration) {
        let begun = &self.0.begun;
        drop(begun.wait_timeout_while(self.0.lock(), patience, |state| state.new > 0));
    }
}

impl State {
    /// Hands that do not rest, and those who help.
    fn at_work(&self) -> usize {
        self.hands - self.resting + self.summoned + self.visitors
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Turns panic outside the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a job take its turn soon.
    fn call(&self, state: &mut State, number: usize) {
        let Some(job) = state.jobs.get_mut(&number).filter(|job| !job.is_called) else {
            return;
        };
        job.is_called = true;
        if job.worker.is_none() {
            return;
        }
        if let Some(alarm) = job.alarm.take() {
            state.alarms.remove(&(alarm, number));
        }
        let now = Instant::now();
        state.ready.push_back((number, now));
        if state.at_work() == 0 {
            self.summon(state);
        } else {
            self.remind(state, now + state.patience());
        }
    }

    /// Wakes a hand that rests, if there is one.
    fn summon(&self, state: &mut State) -> bool {
        let rests = state.resting > state.summoned;
        if rests {
            state.summoned += 1;
            self.work.notify_one();
        }
        rests
    }

    /// Has the keeper look at that time, if it would not anyhow.
    fn remind(&self, state: &mut State, at: Instant) {
        let is_early = match state.keeper {
            Keeper::Absent => true,
            Keeper::Asleep => false,
            Keeper::Until(until) => until <= at,
        };
        if !is_early {
            state.keeper = Keeper::Until(at);
            self.time.notify_one();
        }
    }

    fn summon_or_hire(self: &Arc<Self>, state: &mut State) {
        if !self.summon(state)
            && let Err(error) = self.hire(state)
        {
            tracing::debug!("no thread for a file that waits: {error}");
        }
    }

    fn hire(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(self);
        let name = "files".to_owned();
        thread::Builder::new()
            .name(name)
            .spawn(move || shared.work())?;
        state.hands += 1;
        Ok(())
    }

    /// What the keeper does, for ever: alarms, relief of guests, and hands for those who wait.
    fn keep_time(self: &Arc<Self>) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (mut turns, mut guest_turns) = (0, 0);
        let mut looked = Instant::now();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            while let Some((_, number)) = state.alarms.first().filter(|(at, _)| *at <= now) {
                let number = *number;
                self.call(&mut state, number);
            }
            let relief = state.relieve_guests(now);
            let waiting = state.ready.front().map(|(_, since)| *since + PATIENCE);
            if waiting.is_some_and(|until| until <= now) && looked + PATIENCE <= now {
                // Those at work may just be slow; where none of them comes on, they are held up.
                let is_held_up = state.turns == turns && state.at_work() < state.jobs.len();
                if is_held_up || state.at_work() < cores {
                    self.summon_or_hire(&mut state);
                }
            }
            if looked + PATIENCE <= now {
                (looked, turns) = (now, state.turns);
            }
            let watch = waiting.map(|until| until.max(now + PATIENCE));
            let alarm = state.alarms.first().map(|(at, _)| *at);
            // Where guests come and go they find the keeper awake: to wake it takes as long as to write.
            let come_and_go = state.guest_turns != guest_turns;
            guest_turns = state.guest_turns;
            let vigil = come_and_go.then(|| now + guest::PATIENCE);
            let until = [watch, alarm, relief, vigil].into_iter().flatten().min();
            state.keeper = until.map_or(Keeper::Asleep, Keeper::Until);
            state = match until {
                None => self
                    .time
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let waited = self.time.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// What a hand does, until it is one too many.
    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            while let Some((number, _)) = state.ready.pop_front() {
                state = self.turn(state, number);
            }
            state.resting += 1;
            // The last one sleeps as long as there is nothing to do: an idle daemon has no wake-ups.
            let (rested, over) = if state.hands == 1 {
                let rested = self.work.wait(state);
                (rested.unwrap_or_else(PoisonError::into_inner), false)
            } else {
                let rested = self.work.wait_timeout(state, LINGER);
                let (rested, over) = rested.unwrap_or_else(PoisonError::into_inner);
                (rested, over.timed_out())
            };
            state = rested;
            state.resting -= 1;
            if state.summoned > 0 {
                state.summoned -= 1;
            } else if over && state.hands > 1 && state.ready.is_empty() {
                state.hands -= 1;
                return;
            }
        }
    }

    /// One turn of a job.
    fn turn<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        number: usize,
    ) -> MutexGuard<'a, State> {
        let Some(job) = state.jobs.get_mut(&number) else {
            return state;
        };
        job.is_called = false;
        let Some(mut worker) = job.worker.take() else {
            return state;
        };
        let (waker, first) = (job.waker.clone(), job.first.take());
        let is_new = matches!(first, Some(First(None)));
        // Callers hold the lock of an inbox and wait for this one: never the other way round.
        drop(state);
        if worker.is_about_to_sync() {
            let mut state = self.lock();
            if !state.ready.is_empty() && state.at_work() < MANY {
                // The disk takes many syncs at once no longer than one, and nobody else waits for it.
                self.summon_or_hire(&mut state);
            }
        }
        let turn = || {
            if let Some(First(after)) = first {
                after.iter().for_each(Ended::wait);
                worker.begin();
            }
            worker.turn(&waker)
        };
        let turn = catch_unwind(AssertUnwindSafe(turn)).or_else(|_| {
            let mend = || worker.mend();
            catch_unwind(AssertUnwindSafe(mend)).map(|()| Turn::Again)
        });
        let turn = turn.unwrap_or(Turn::Over);
        let worker = (turn != Turn::Over).then_some(worker);
        state = self.lock();
        state.turns += 1;
        if is_new {
            state.new -= 1;
            self.begun.notify_all();
        }
        if worker.is_none() {
            if let Some(job) = state.jobs.remove(&number) {
                job.ended.tell();
            }
        } else if let Some(job) = state.jobs.get_mut(&number) {
            job.worker = worker;
            if std::mem::take(&mut job.is_called) || turn == Turn::Again {
                self.call(&mut state, number);
            } else if let Turn::Sleep(Some(at)) = turn {
                job.alarm = Some(at);
                state.alarms.insert((at, number));
                self.remind(&mut state, at);
            }
        }
        state
    }
}

#[cfg(test)]
mod tests;
