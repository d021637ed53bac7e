//! A running daemon: its inputs, outputs and table, and the reload that changes them.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::StartError;
use super::before::Before;
use super::configuration;
use super::console::Console;
use super::control::{self, Control};
use super::events::Event;
use super::handover::State;
use super::host::HostName;
use super::inherited::Inherited;
use super::inputs::{Common, Inputs, Left};
use super::notify::Notifier;
use super::opened::Opened;
use super::outputs::{self, Outputs};
use super::pid_file::PidFile;
use super::plan::Plan;
use super::statistics::Statistics;
use crate::cli::{Arguments, Dialect};
use crate::config::diagnostic::Severity;
use crate::config::{self, Loaded};
use crate::counters::InputCounters;
use crate::input::acl::AccessList;
use crate::input::internal::Internal;
use crate::input::kmsg::Time;
use crate::input::peer::{PeerNames, Shortening};
use crate::input::shard::Live;
use crate::input::stream::Suspended;
use crate::output::Surroundings;
use crate::output::memory::{Ring, Rings};
use crate::report::{counted, reason};
use crate::route::inbox::Change;
use crate::route::{KernelProgram, Policy, RoutingTable};

/// The inputs, the outputs, and the table between them.
pub(super) struct Running {
    arguments: Arguments,
    live: Live,
    inputs: Inputs,
    outputs: Outputs,
    internal: Internal,
    internal_counters: Arc<InputCounters>,
    surroundings: Surroundings,
    control: Option<Control>,
    /// To be made loud again at the end.
    console: Option<Console>,
    notifier: Notifier,
}

/// A daemon that has stopped, and can go on.
pub(super) struct Stopped {
    /// What another program needs to go on.
    pub(super) state: State,
    /// Why no other program may: this output hangs.
    pub(super) hangs: Option<String>,
    arguments: Arguments,
    outputs: Outputs,
    surroundings: Surroundings,
}

impl Stopped {
    /// Goes on in this process.
    pub(super) fn go_on(self) -> Result<Running, StartError> {
        let before = Before {
            outputs: self.outputs,
            surroundings: Some(self.surroundings),
            ..Before::of(self.state)
        };
        Running::start(self.arguments, before)
    }
}

impl Running {
    /// Loads the configuration, opens everything, and begins to receive, with what there was before.
    pub(super) fn start(arguments: Arguments, before: Before) -> Result<Self, StartError> {
        let Before {
            mut inherited,
            connections,
            queues,
            rings,
            kernel,
            outputs,
            surroundings,
            watch,
        } = before;
        let notifier = Notifier::from_environment();
        let gate = AccessList::parse(&arguments.allowed_peers).map_err(StartError::Usage)?;
        // The check found no mistake: what is wrong since then is no reason to lose messages.
        let loaded = match watch {
            Some(_) => load_whole(&arguments).map_err(StartError::Config)?,
            None => load_or_builtin(&arguments),
        };
        let plan = Plan::new(&arguments, &loaded.config).map_err(StartError::Usage)?;
        warn(&plan);
        // Sockets first: where they cannot be had, nothing else must have been touched.
        let stands_in = !arguments.are_sockets_named;
        let opened = Opened::all(plan.listens.iter(), &plan.modes, &mut inherited, stands_in)
            .map(ManuallyDrop::new)
            .map_err(StartError::Input)?;
        let control = match arguments.control.as_deref().map(control::Bound::new) {
            Some(Err(sentence)) if inherited.is_resumed() => {
                tracing::error!("{sentence}");
                None
            }
            Some(Err(sentence)) => {
                let opened = ManuallyDrop::into_inner(opened);
                opened.into_iter().for_each(Opened::discard);
                return Err(StartError::Input(sentence));
            }
            Some(Ok(bound)) => Some(bound),
            None => None,
        };
        let host = HostName::read();
        let names = peer_names(&arguments, &host).map_err(StartError::Runtime)?;
        let surroundings = surroundings.unwrap_or_else(|| Surroundings {
            compressor: Arc::default(),
            families: arguments.families(),
            rings: Rings::default(),
            listens: Arc::default(),
        });
        let mut outputs = outputs;
        let memory = outputs.memory().clone();
        let table = outputs
            .follow(
                &plan,
                &loaded.config,
                policy(&arguments, &host, &plan),
                &surroundings,
            )
            .map_err(StartError::Runtime)?;
        // From here on there are messages that only we have.
        drop(watch);
        let (opened, connections, inherited) = (
            ManuallyDrop::into_inner(opened),
            ManuallyDrop::into_inner(connections),
            ManuallyDrop::into_inner(inherited),
        );
        surroundings.rings.go_on(&rings);
        // Before anything new: what was queued comes first.
        outputs.take_over(queues);
        let live: Live = Arc::new(ArcSwap::from_pointee(table));
        let internal_counters = Arc::new(InputCounters::default());
        let internal = Internal::new(
            Arc::clone(&live),
            names.clone(),
            Arc::clone(&internal_counters),
        );
        let mut inputs = Inputs::new(Common {
            live: Arc::clone(&live),
            names,
            gate: Arc::new(gate),
            memory,
            workshop: Arc::new(outputs.hands().clone()),
            notifier: notifier.clone(),
        });
        receive(&mut inputs, opened, connections, inherited, &plan).map_err(StartError::Runtime)?;
        let console = read_kernel(&mut inputs, &arguments, kernel);
        let control = control
            .map(|bound| Control::start(bound, surroundings.rings.clone()))
            .transpose()
            .map_err(StartError::Runtime)?;
        Ok(Self {
            arguments,
            live,
            inputs,
            outputs,
            internal,
            internal_counters,
            surroundings,
            control,
            console,
            notifier,
        })
    }

    /// The way in for our own messages.
    pub(super) fn internal(&self) -> &Internal {
        &self.internal
    }

    /// The inputs at work.
    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Does what an event asks for, but stop.
    pub(super) fn obey(&mut self, event: Event, pid_file: &PidFile) {
        match event {
            Event::Reload => self.reload(pid_file),
            Event::Count => self.count(),
            Event::Rotate => self.outputs.order(|| Change::Rotate),
            Event::HalfMark => self.live.load().watch(),
            Event::Mark => self.internal.mark(),
            Event::Upgrade | Event::Stop(_) => {}
        }
    }

    /// SIGHUP: goes over to the configuration as it is now, or changes nothing and says why.
    fn reload(&mut self, pid_file: &PidFile) {
        self.notifier.reloading();
        match self.try_reload() {
            Ok(rules) => tracing::info!("configuration loaded again: {}", counted(rules, "rule")),
            Err(why) => {
                // Whoever moved a file for rotation means this as well. First, so that what follows the
                // answer is in the new file.
                self.outputs.order(|| Change::Reopen);
                tracing::error!("reload refused, nothing has changed: {why}");
            }
        }
        if let Err(error) = pid_file.touch() {
            tracing::warn!("cannot touch the pid file: {error}");
        }
        self.notifier.ready();
    }

    fn try_reload(&mut self) -> Result<usize, String> {
        let loaded = load_whole(&self.arguments)?;
        let plan = Plan::new(&self.arguments, &loaded.config)?;
        warn(&plan);
        let mut served: Vec<_> = self.inputs.wanted().collect();
        // Each socket serves one of the wanted: port 0 may be asked for twice.
        let fresh = plan.listens.iter().filter(|wanted| {
            let serving = served.iter().position(|address| address == wanted);
            serving.map(|index| served.swap_remove(index)).is_none()
        });
        let opened = Opened::all(fresh, &plan.modes, &mut Inherited::default(), false)?;
        let host = HostName::read();
        let policy = policy(&self.arguments, &host, &plan);
        let table = match self
            .outputs
            .follow(&plan, &loaded.config, policy, &self.surroundings)
        {
            Ok(table) => table,
            Err(error) => {
                opened.into_iter().for_each(Opened::discard);
                return Err(error.to_string());
            }
        };
        self.live.store(Arc::new(table));
        self.outputs.order(|| Change::Reopen);
        self.inputs.follow();
        self.inputs.close_except(&plan.listens);
        for socket in opened {
            self.inputs
                .start(socket)
                .map_err(|error| error.to_string())?;
        }
        Ok(loaded.config.rules.len())
    }

    /// SIGUSR1: writes the counters to a file, and their sums to the log.
    fn count(&self) {
        let statistics = self.statistics();
        match statistics.write(&self.arguments.pid_file) {
            Ok(path) => tracing::info!("{}; details in {}", statistics.summary(), path.display()),
            Err(error) => tracing::warn!(
                "{}; cannot write {}.stats: {error}",
                statistics.summary(),
                self.arguments.pid_file.display()
            ),
        }
    }

    fn statistics(&self) -> Statistics {
        let internal = ("internal".to_owned(), Arc::clone(&self.internal_counters));
        Statistics {
            inputs: self.inputs.counters().chain([internal]).collect(),
            outputs: self.outputs.counters().collect(),
        }
    }

    /// Whether an output cannot write what it holds at present.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.outputs.are_in_trouble()
    }

    /// Whether what outputs cannot write at the end is kept.
    pub(super) fn has_spool(&self) -> bool {
        self.outputs.have_spool()
    }

    /// Tells the outputs that the end is near.
    pub(super) fn hurry(&self, deadline: Instant) {
        self.outputs.hurry(deadline);
    }

    /// Receives no more, and leaves what has arrived to whoever goes on. The counters are those of this end.
    pub(super) fn suspend_inputs(&mut self) -> (Left, Statistics) {
        let before = self.statistics();
        if let Some(control) = self.control.take() {
            control.stop();
        }
        let left = self.inputs.suspend();
        if let Some(console) = self.console.take() {
            console.restore();
        }
        (left, before)
    }

    /// Ends the outputs; what they could not write is left, too.
    pub(super) fn suspend_outputs(self, left: Left, pid_file: Option<OwnedFd>) -> Stopped {
        let mut outputs = self.outputs;
        self.live.store(Arc::new(RoutingTable::empty()));
        drop((self.internal, self.inputs));
        let rings = self.surroundings.rings.all();
        let (queues, hangs) = outputs.suspend(outputs::SUSPEND_WITHIN, outputs::SUSPEND_GRACE);
        let content = |(name, ring): (String, Arc<Ring>)| (name, ring.content());
        Stopped {
            state: State {
                sockets: left.sockets,
                connections: left.connections,
                queues,
                rings: rings.into_iter().map(content).collect(),
                kernel: left.kernel,
                pid_file,
                ..State::default()
            },
            hangs: hangs.err(),
            arguments: self.arguments,
            outputs,
            surroundings: self.surroundings,
        }
    }

    /// Takes what has arrived, and receives no more. The counters are those of the end.
    pub(super) fn stop_inputs(&mut self) -> Statistics {
        let before = self.statistics();
        self.inputs.stop();
        if let Some(control) = self.control.take() {
            control.stop();
        }
        if let Some(console) = self.console.take() {
            console.restore();
        }
        before
    }

    /// Writes what is queued; returns how many records were lost because that took too long. The counters
    /// are left in their file then, for nobody can be told any more; and if that file is there already, so that
    /// it is true.
    pub(super) fn stop_outputs(mut self, statistics: &Statistics, deadline: Instant) -> u64 {
        // The last table goes, and with it the senders of every queue.
        self.live.store(Arc::new(RoutingTable::empty()));
        drop(self.internal);
        let lost = self.outputs.stop(deadline);
        self.surroundings.compressor.stop();
        let is_wanted = lost > 0 || Statistics::were_asked_for(&self.arguments.pid_file);
        if is_wanted && let Err(error) = statistics.write(&self.arguments.pid_file) {
            tracing::error!("cannot write the last counters: {error}");
        }
        lost
    }
}

/// Begins to receive on all sockets, and goes on with connections of before.
///
/// # Errors
/// If there are no threads or descriptors left. Where we go on for another program, the rest is received from
/// nevertheless: it is too late to go back.
fn receive(
    inputs: &mut Inputs,
    opened: Vec<Opened>,
    connections: Vec<Suspended>,
    inherited: Inherited,
    plan: &Plan,
) -> io::Result<()> {
    let is_resumed = inherited.is_resumed();
    let told = |outcome: io::Result<()>, of: String| match outcome {
        Err(error) if is_resumed => {
            tracing::error!("cannot go on with {of}: {}", reason(&error));
            Ok(())
        }
        outcome => outcome,
    };
    for socket in opened {
        let name = socket.0.bound.to_string();
        told(inputs.start(socket), name)?;
    }
    for connection in connections {
        let name = format!("a connection to {}", connection.listener);
        told(inputs.resume(connection), name)?;
    }
    if is_resumed {
        // What the configuration no longer asks for is read to its end, as at a reload.
        for unwanted in inherited.rest() {
            let name = unwanted.bound.to_string();
            told(inputs.start(Opened::passed(unwanted)), name)?;
        }
        inputs.close_except(&plan.listens);
        return Ok(());
    }
    for unwanted in inherited.rest() {
        tracing::warn!(
            "closing {} of the service manager: nothing asks for it",
            unwanted.bound
        );
        if let Some(name) = unwanted.stored {
            inputs.notifier().remove(&name);
        }
    }
    Ok(())
}

/// Begins to read the kernel's log, after the record `last`, and turns its console down, if that is wanted.
fn read_kernel(inputs: &mut Inputs, arguments: &Arguments, last: Option<u64>) -> Option<Console> {
    if arguments.kernel_log {
        let time = if arguments.kernel_time {
            Time::since_boot()
        } else {
            Time::Reception
        };
        inputs.start_kernel(arguments.kmsg_cache.clone(), time, last);
    }
    let is_sysklogd = arguments.compat == Dialect::Sysklogd;
    let console = (is_sysklogd && inputs.reads_kernel() && !arguments.keep_console)
        .then(Console::quieten)
        .flatten();
    if console.is_some() {
        tracing::info!("the kernel's messages leave the console for the log; -l keeps them");
    }
    console
}

fn peer_names(arguments: &Arguments, host: &HostName) -> io::Result<PeerNames> {
    if arguments.no_dns {
        return Ok(PeerNames::numeric());
    }
    PeerNames::resolving(Shortening::new(
        domains(arguments, host),
        arguments.short_hosts.iter().map(String::as_str),
    ))
}

/// The configuration, if there is no mistake in it.
fn load_whole(arguments: &Arguments) -> Result<Loaded, String> {
    let loaded = configuration::load(arguments).map_err(|error| error.to_string())?;
    report(&loaded);
    let mistakes = loaded.diagnostics.iter();
    let errors = mistakes.filter(|found| found.severity == Severity::Error);
    match errors.count() {
        0 => Ok(loaded),
        errors => Err(format!(
            "{} in {}",
            counted(errors, "error"),
            arguments.config.display()
        )),
    }
}

fn load_or_builtin(arguments: &Arguments) -> Loaded {
    let loaded = configuration::load(arguments).unwrap_or_else(|error| {
        tracing::error!("{error}; errors go to the console, panics to everyone");
        config::builtin()
    });
    report(&loaded);
    loaded
}

/// So many mistakes are shown at start and at a reload; `--check` shows all.
const SHOWN: usize = 50;

/// Shows the mistakes, with line and caret.
fn report(loaded: &Loaded) {
    if let Some(more) = loaded
        .diagnostics
        .len()
        .checked_sub(SHOWN)
        .filter(|more| *more > 0)
    {
        tracing::error!("the configuration has {more} more mistakes; see syslogd --check");
    }
    for found in loaded.diagnostics.iter().take(SHOWN) {
        let (text, picture) = (
            found.sentence(&loaded.sources),
            found.render(&loaded.sources, false),
        );
        match found.severity {
            Severity::Error => tracing::error!(%picture, "{text}"),
            Severity::Warning => tracing::warn!(%picture, "{text}"),
        }
    }
}

fn warn(plan: &Plan) {
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
}

fn policy(arguments: &Arguments, host: &HostName, plan: &Plan) -> Policy {
    Policy {
        hostname: host.short().as_bytes().to_vec(),
        hostname_from_message: arguments.hostname_from_message,
        keep_kern: arguments.keep_kern,
        always_received: arguments.receive_time,
        domains: domains(arguments, host)
            .map(|domain| domain.trim_matches('.').to_ascii_lowercase())
            .collect(),
        kernel_program: if arguments.compat == Dialect::Freebsd {
            KernelProgram::Tag
        } else {
            KernelProgram::Kernel
        },
        max_message: plan.max_message,
    }
}

/// The domains that hosts are shown without: those of the command line, and our own.
fn domains<'a>(arguments: &'a Arguments, host: &'a HostName) -> impl Iterator<Item = &'a str> {
    let own = host.full().split_once('.').map(|(_, domain)| domain);
    arguments
        .strip_domains
        .iter()
        .map(String::as_str)
        .chain(own)
}
