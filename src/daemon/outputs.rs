//! The outputs that run: their workers, and the way from those that run to those that shall.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{OutputPlan, Plan};
use super::spool;
use crate::block::Block;
use crate::budget::Budget;
use crate::config::Destination;
use crate::counters::{Loss, OutputCounters};
use crate::output::{self, Ended, Hands, Sink, Surroundings};
use crate::report::counted;
use crate::route::inbox::{self, Change, Inbox, Stopper};
use crate::route::spooler::Spooler;
use crate::route::whereabouts::Whereabouts;
use crate::route::{Lane, LaneId, Policy, RoutingTable};

/// Beyond the deadline, for workers that are just finishing.
const GRACE: Duration = Duration::from_millis(500);

/// Files are there when we say that we have started, unless their disk takes longer than this.
const OPEN_WITHIN: Duration = Duration::from_millis(100);

/// Beyond the deadline, for workers that leave what they have to the spool.
const SPOOL_GRACE: Duration = Duration::from_millis(2500);

/// At a hand-over outputs write for so long; the rest is handed over.
pub(super) const SUSPEND_WITHIN: Duration = Duration::from_millis(50);

/// Beyond that, for a worker in a system call, such as a sync of its last records.
pub(super) const SUSPEND_GRACE: Duration = Duration::from_secs(2);

/// What outputs could not write yet, by their destinations.
pub(super) type Suspended = Vec<(String, Vec<Block>)>;

/// An output at work.
#[derive(Debug)]
struct Running {
    plan: OutputPlan,
    /// Whether it was opened just now, and may have to wait for one that it follows.
    is_new: bool,
    inbox: Inbox,
    remote: Option<Arc<Whereabouts>>,
    counters: Arc<OutputCounters>,
    ended: Ended,
}

/// All outputs at work.
#[derive(Debug, Default)]
pub struct Outputs {
    memory: Budget,
    hands: Hands,
    running: Vec<Running>,
    /// Outputs of earlier configurations that still write what was routed to them.
    leaving: Vec<Leaving>,
    /// Where messages wait for those that are behind.
    spooler: Option<Spooler>,
    /// What another process could not write to outputs that no rule names any more.
    unwanted: Vec<(String, Arc<OutputCounters>)>,
}

#[derive(Debug)]
struct Leaving {
    destination: Destination,
    counters: Arc<OutputCounters>,
    stopper: Stopper,
    ended: Ended,
}

/// What is to be done for one wanted output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The running one with this index fits.
    Keep(usize),
    /// The running one with this index fits once it has the new settings.
    Update(usize),
    /// None that runs fits.
    Open,
}

/// What is to be done for each of the `wanted`; running ones that no step names are to be closed.
pub fn reconcile(running: &[&OutputPlan], wanted: &[OutputPlan]) -> Vec<Step> {
    let step = |wanted: &OutputPlan| {
        let same = |running: &&OutputPlan| {
            running.destination == wanted.destination
                && running.folds == wanted.folds
                && running.limits == wanted.limits
        };
        match running.iter().position(same) {
            None => Step::Open,
            Some(index) if running[index].settings == wanted.settings => Step::Keep(index),
            Some(index) => Step::Update(index),
        }
    };
    wanted.iter().map(step).collect()
}

impl Outputs {
    /// Those who do the work of files.
    pub fn hands(&self) -> &Hands {
        &self.hands
    }

    /// The memory of which their queues take their shares.
    pub fn memory(&self) -> &Budget {
        &self.memory
    }

    /// Opens, keeps, changes and closes outputs until they are those of `plan`, and compiles the table
    /// that leads to them.
    ///
    /// # Errors
    /// If there are no threads left; what ran before runs on.
    pub fn follow(
        &mut self,
        plan: &Plan,
        config: &crate::config::Config,
        policy: Policy,
        surroundings: &Surroundings,
    ) -> io::Result<RoutingTable> {
        let plans: Vec<&OutputPlan> = self.running.iter().map(|running| &running.plan).collect();
        let steps = reconcile(&plans, &plan.outputs);
        self.memory.set_limit(plan.memory);
        surroundings.listens.store(Arc::new(plan.listens.clone()));
        spool::follow(&mut self.spooler, plan);
        let mut opened = Vec::new();
        for (step, wanted) in steps.iter().zip(&plan.outputs) {
            if *step == Step::Open {
                let before = self.predecessor(&wanted.destination);
                opened.push(open(
                    wanted,
                    &self.memory,
                    &self.hands,
                    surroundings,
                    before,
                )?);
            }
        }
        self.hands.wait_for_first_turns(OPEN_WITHIN);
        let mut before: Vec<Option<Running>> = std::mem::take(&mut self.running)
            .into_iter()
            .map(Some)
            .collect();
        let mut opened = opened.into_iter();
        for (step, wanted) in steps.into_iter().zip(&plan.outputs) {
            let running = match step {
                Step::Keep(index) => before[index].take(),
                Step::Update(index) => before[index].take().map(|mut running| {
                    running.inbox.order(Change::Update(wanted.settings.clone()));
                    running.plan = wanted.clone();
                    running
                }),
                Step::Open => opened.next(),
            };
            self.running.extend(running);
        }
        self.attach();
        self.leaving.retain(|old| !old.ended.is_so());
        let closed = before.into_iter().flatten();
        self.leaving.extend(closed.map(|old| Leaving {
            destination: old.plan.destination,
            counters: old.counters,
            stopper: old.inbox.stopper(),
            ended: old.ended,
        }));
        Ok(self.table(plan, config, policy))
    }

    /// Lets the spool have what outputs are behind with.
    fn attach(&mut self) {
        for running in &mut self.running {
            let is_new = std::mem::take(&mut running.is_new);
            let destination = &running.plan.destination;
            if let Some(spooler) = &self.spooler
                && spool::takes(destination)
            {
                let name = destination.to_string();
                running.inbox.attach(spooler, &name, is_new);
            }
        }
    }

    /// Whether what they cannot write at the end is kept.
    pub(super) fn have_spool(&self) -> bool {
        self.spooler.is_some()
    }

    /// The worker of the same destination that must end before another one may begin.
    fn predecessor(&self, destination: &Destination) -> Option<Ended> {
        let running = self
            .running
            .iter()
            .map(|old| (&old.plan.destination, &old.ended));
        let leaving = self
            .leaving
            .iter()
            .rev()
            .map(|old| (&old.destination, &old.ended));
        // The latest of those that leave waits for the others.
        let mut same = running
            .chain(leaving)
            .filter(|(other, _)| *other == destination);
        same.next().map(|(_, ended)| ended.clone())
    }

    fn table(&self, plan: &Plan, config: &crate::config::Config, policy: Policy) -> RoutingTable {
        let lane = |(output, template): &(usize, _)| Lane {
            inbox: self.running[*output].inbox.clone(),
            template: *template,
            local_only: !config.settings.allow_net_console
                && is_console(&plan.outputs[*output].destination)
                || plan.forwards_local_only
                    && matches!(plan.outputs[*output].destination, Destination::Forward(_)),
            remote: self.running[*output]
                .remote
                .clone()
                .filter(|_| !plan.forwards_back),
        };
        let lanes = plan.lanes.iter().map(lane).collect();
        RoutingTable::compile(
            config,
            lanes,
            |rule| plan.lane_of[rule].map(LaneId::from),
            policy,
        )
    }

    /// Asks every output for a change.
    pub fn order(&self, change: fn() -> Change) {
        for running in &self.running {
            running.inbox.order(change());
        }
    }

    /// The counters, by name.
    pub fn counters(&self) -> impl Iterator<Item = (String, Arc<OutputCounters>)> + '_ {
        let running = self
            .running
            .iter()
            .map(|output| (&output.plan.destination, &output.counters));
        let leaving = self
            .leaving
            .iter()
            .map(|old| (&old.destination, &old.counters));
        let unwanted = self.unwanted.iter().cloned();
        running
            .chain(leaving)
            .map(|(name, counters)| (name.to_string(), Arc::clone(counters)))
            .chain(unwanted)
    }

    /// Gives the outputs of these destinations what another process could not write. What is for none of them
    /// is dropped, counted and told.
    pub(super) fn take_over(&mut self, queues: Suspended) {
        for (destination, blocks) in queues {
            let is_it = |running: &&Running| running.plan.destination.to_string() == destination;
            let output = self.running.iter().find(is_it);
            if let Some(output) = output {
                for mut block in blocks {
                    output.inbox.force(&mut block);
                }
                continue;
            }
            let records: usize = blocks.iter().map(Block::len).sum();
            tracing::error!(
                "dropped {} for {destination}: no rule names it any more",
                counted(records, "message")
            );
            let counters = Arc::new(OutputCounters::default());
            counters.enqueue(records as u64);
            counters.lose(records as u64, Loss::Shutdown);
            self.unwanted.push((destination, counters));
        }
    }

    /// Ends all workers soon, which may take so long, and so much longer in a system call; returns what they
    /// could not write yet, by destination. The table must be gone by then.
    ///
    /// # Errors
    /// The destination of an output that hangs in a system call. It goes on, and a later one of the same
    /// destination waits for it; what the others hold is returned as well.
    pub(super) fn suspend(
        &mut self,
        within: Duration,
        grace: Duration,
    ) -> (Suspended, Result<(), String>) {
        let deadline = Instant::now() + within;
        // All are told before the first inbox closes: a worker that finds its own closed takes that for its end.
        let stoppers = self.running.iter().map(|output| output.inbox.stopper());
        let stoppers = stoppers.chain(self.leaving.iter().map(|old| old.stopper.clone()));
        stoppers.for_each(|stopper| stopper.suspend_by(deadline));
        let running = self.running.drain(..).map(|running| Leaving {
            destination: running.plan.destination,
            counters: running.counters,
            stopper: running.inbox.stopper(),
            ended: running.ended,
        });
        let all: Vec<Leaving> = self.leaving.drain(..).chain(running).collect();
        let patience = deadline + grace;
        let mut queues: Suspended = Vec::new();
        let mut hangs = Ok(());
        for output in all {
            if output.ended.wait_until(patience) {
                let blocks: Vec<Block> = output.stopper.take_kept();
                let blocks: Vec<Block> = blocks.into_iter().filter(|one| !one.is_empty()).collect();
                if !blocks.is_empty() {
                    queues.push((output.destination.to_string(), blocks));
                }
            } else {
                output.stopper.go_on();
                hangs = Err(output.destination.to_string());
                self.leaving.push(output);
            }
        }
        (queues, hangs)
    }

    /// Whether some output tries in vain to write what it holds.
    pub(super) fn are_in_trouble(&self) -> bool {
        let running = self.running.iter().map(|output| output.inbox.stopper());
        let leaving = self.leaving.iter().map(|old| old.stopper.clone());
        running
            .chain(leaving)
            .any(|stopper| stopper.is_in_trouble())
    }

    /// Tells every output to be done by `deadline`; until then it goes on.
    pub(super) fn hurry(&self, deadline: Instant) {
        let running = self.running.iter().map(|output| output.inbox.stopper());
        let leaving = self.leaving.iter().map(|old| old.stopper.clone());
        running
            .chain(leaving)
            .for_each(|stopper| stopper.stop_by(deadline));
    }

    /// Lets every output write what it holds, until `deadline`. The table must be gone by then.
    ///
    /// Returns how many records were lost because the time was over. An output that hangs in a system
    /// call is left behind, with what it holds.
    pub fn stop(&mut self, deadline: Instant) -> u64 {
        let mut counters = Vec::new();
        let mut ended = Vec::new();
        for running in self.running.drain(..) {
            running.inbox.stopper().stop_by(deadline);
            counters.push(running.counters);
            ended.push(running.ended);
        }
        for old in self.leaving.drain(..) {
            old.stopper.stop_by(deadline);
            counters.push(old.counters);
            ended.push(old.ended);
        }
        let grace = if self.have_spool() {
            SPOOL_GRACE
        } else {
            GRACE
        };
        let patience = deadline + grace;
        let hanging = ended.iter().filter(|ended| !ended.wait_until(patience));
        match hanging.count() {
            0 => {}
            1 => tracing::error!("an output hangs, and is left behind"),
            hanging => tracing::error!("{hanging} outputs hang, and are left behind"),
        }
        let lost = |counters: &Arc<OutputCounters>| {
            let unwritten = counters.queued().saturating_sub(counters.in_spool());
            counters.dropped(Loss::Shutdown).get() + unwritten
        };
        counters.iter().map(lost).sum()
    }
}

fn open(
    plan: &OutputPlan,
    memory: &Budget,
    hands: &Hands,
    surroundings: &Surroundings,
    before: Option<Ended>,
) -> io::Result<Running> {
    let counters = Arc::new(OutputCounters::default());
    let name = plan.destination.to_string();
    let (inbox, orders) = inbox::inbox(name.clone(), memory.clone(), Arc::clone(&counters));
    inbox.set_patience(patience(&plan.destination));
    let limits = plan.limits.unwrap_or_default();
    let sink = Sink::open(&plan.destination, &plan.settings, limits, surroundings);
    let remote = sink.whereabouts();
    let (settings, folding) = (&plan.settings, plan.folding());
    let ended = output::spawn(name, sink, orders, settings, folding, before, hands)?;
    Ok(Running {
        plan: plan.clone(),
        is_new: true,
        inbox,
        remote,
        counters,
        ended,
    })
}

/// How long a stream waits for it while it takes nothing and knows of no trouble: a disk under write-back
/// comes again, and what reads from a pipe, a terminal or a network may not.
fn patience(destination: &Destination) -> Duration {
    match destination {
        Destination::File(_) => Inbox::LONG_PATIENCE,
        Destination::Fifo(_)
        | Destination::Command(_)
        | Destination::Terminal(_)
        | Destination::Users(_)
        | Destination::Everyone
        | Destination::Forward(_)
        | Destination::Memory(_) => Inbox::SHORT_PATIENCE,
    }
}

/// Whether network messages are kept away from it unless `allow_net_console` (V42).
fn is_console(destination: &Destination) -> bool {
    match destination {
        Destination::Terminal(_) | Destination::Users(_) | Destination::Everyone => true,
        Destination::File(_)
        | Destination::Fifo(_)
        | Destination::Command(_)
        | Destination::Forward(_)
        | Destination::Memory(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::pri::Pri;
    use crate::route::inbox::{Next, Order};

    #[test]
    fn an_output_that_does_not_end_in_time_keeps_what_it_has_and_goes_on() {
        let counters = Arc::new(OutputCounters::default());
        let (inbox, orders) = inbox::inbox("x".into(), Budget::default(), Arc::clone(&counters));
        let mut block = Block::default();
        block.push(Pri::DEFAULT, |out| {
            out.extend_from_slice(b"held\n");
            0
        });
        inbox.offer(&mut block).expect("there is room");
        let (release, hangs) = mpsc::channel::<()>();
        let (wrote, written) = mpsc::channel();
        thread::spawn(move || {
            // As a system call that does not return.
            _ = hangs.recv();
            while let Next::Order(Order::Write(block)) = orders.next(None) {
                wrote.send(block.octets().to_vec()).expect("we listen");
            }
        });
        let plan = OutputPlan {
            destination: Destination::Everyone,
            settings: crate::config::OutputSettings::default(),
            folds: false,
            limits: None,
        };
        let name = plan.destination.to_string();
        let mut outputs = Outputs::default();
        outputs.running.push(Running {
            plan,
            is_new: false,
            inbox,
            counters,
            remote: None,
            ended: Ended::default(),
        });
        let (queues, hung) = outputs.suspend(Duration::ZERO, Duration::ZERO);
        assert_eq!((queues.len(), hung), (0, Err(name)));
        release.send(()).expect("it waits");
        assert_eq!(written.iter().collect::<Vec<_>>(), [b"held\n"]);
        assert_eq!(outputs.leaving.len(), 1, "a successor waits for it");
    }
}
