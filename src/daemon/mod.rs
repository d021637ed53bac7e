//! Putting it together: the only place that knows all parts.
//!
//! ```text
//! arguments ─► background ─► pid file ─► configuration ─► plan ─► outputs, table, sockets ─► ready
//!                                              ▲                                              │
//!                                    SIGHUP ───┘      SIGUSR1, SIGUSR2, MARK, SIGTERM ◄───────┘
//!                                                     SIGRTMIN ─► another program, in place
//! ```

mod before;
pub mod check;
pub mod configuration;
mod console;
mod control;
pub mod daemonise;
pub mod error;
pub mod events;
mod handover;
pub mod host;
mod inetd;
mod inherited;
pub mod inputs;
mod notify;
mod opened;
pub mod outputs;
pub mod pid_file;
pub mod plan;
mod ready_fd;
pub mod running;
mod speaker;
mod spool;
pub mod statistics;
pub mod supervisor;
pub mod try_out;
mod upgrade;
pub mod zone;

use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

pub use error::StartError;

use crate::cli::{Arguments, DEFAULT_CONTROL, DEFAULT_PID_FILE};
use crate::report;
use crate::sys::Hold;
use before::Before;
use daemonise::{Ready, Side, daemonise};
use events::{Event, Events};
use handover::State;
use inherited::Inherited;
use notify::Notifier;
use pid_file::PidFile;
use ready_fd::ReadyFd;
use running::Running;
use speaker::Speaker;
use upgrade::{Back, Program, Resumed, Watch};

/// Runs as the command line says, until a signal ends it.
///
/// Returns in the process that was started, too, once the daemon works in the background.
///
/// # Errors
/// Why the start failed; whoever waited for it was told.
pub fn run(mut arguments: Arguments) -> Result<ExitCode, StartError> {
    arguments.warnings.extend(zone::guard());
    if arguments.check {
        return check::run(&arguments);
    }
    if !arguments.ask.is_empty() {
        let default = Path::new(DEFAULT_CONTROL);
        let socket = arguments.control.as_deref().unwrap_or(default);
        return control::ask(socket, &arguments.ask);
    }
    if arguments.upgrade {
        return upgrade::ask(&arguments);
    }
    if let Some(answer) = upgrade::rehearsed().map_err(StartError::Runtime)? {
        // Whoever rehearses us reads it, or takes its absence for a no.
        _ = io::stdout().write_all(answer.as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    let mut program = Program::here().map_err(StartError::Runtime)?;
    if let Some(resumed) = Resumed::from_environment()? {
        return resume(arguments, &program, resumed);
    }
    if let Some(number) = arguments.ready_fd
        && Inherited::are_passed().contains(&number)
    {
        return Err(StartError::Usage(format!(
            "--ready-fd={number}: descriptor {number} is a socket of LISTEN_FDS; name another"
        )));
    }
    let ready_fd = ReadyFd::take(&arguments)?;
    let inherited = Inherited::from_environment(&mut arguments.warnings);
    let before = Before::inherited(inherited.and(inetd::take(&mut arguments)?));
    let try_out = try_out::prepare(&mut arguments)?;
    configuration::read_socket_list(&mut arguments)?;
    if let Some(rule) = supervisor::keeps_us(&arguments) {
        arguments.foreground = true;
        arguments.notes.push(rule);
    }
    program.is_background = !arguments.foreground;
    let ready = if arguments.foreground {
        Ready::nobody_waits()
    } else {
        arguments
            .make_paths_absolute()
            .map_err(StartError::Background)?;
        match daemonise().map_err(StartError::Background)? {
            Side::Started(status) => return Ok(status),
            Side::Daemon(ready) => ready,
        }
    };
    match Started::new(arguments, program, before, None) {
        Ok(started) => {
            if let Some(try_out) = try_out {
                try_out.introduce(started.running.inputs());
            }
            ready.notify().map_err(StartError::Background)?;
            ready_fd.notify();
            started.notifier.ready();
            started.serve()
        }
        Err(error) => {
            ready.fail(error.sysexit(), &error.to_string());
            Err(error)
        }
    }
}

/// Goes on where another program, which was this process until now, has stopped.
fn resume(
    arguments: Arguments,
    program: &Program,
    resumed: Resumed,
) -> Result<ExitCode, StartError> {
    let mut program = program.clone();
    program.is_background = resumed.is_background;
    let program = &program;
    let Resumed {
        mut back, failed, ..
    } = resumed;
    let path = arguments.pid_file.clone();
    let state = no_panic(|| back.read().map_err(StartError::Runtime));
    let back = Arc::new(back);
    let started = state.and_then(|state| no_panic(|| go_on(arguments, program, state, &back)));
    match started {
        Ok(started) => {
            drop(back);
            started.notifier.ready();
            match failed {
                None => upgrade::answer(&started.path, Ok(())),
                Some(why) => refuse_upgrade(&started.path, &why),
            }
            started.serve()
        }
        Err(error) => {
            back.go(program, &error.to_string());
            upgrade::answer(&path, Err(&format!("{error}; there is no way back")));
            Err(error)
        }
    }
}

/// A panic is an error, too, where another program is to go on.
fn no_panic<T>(start: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    catch_unwind(AssertUnwindSafe(start)).unwrap_or_else(|_| {
        let sentence = "the new program had a fault at its start";
        Err(StartError::Runtime(io::Error::other(sentence)))
    })
}

fn go_on(
    mut arguments: Arguments,
    program: &Program,
    mut state: State,
    back: &Arc<Back>,
) -> Result<Started, StartError> {
    let start_watch = |program: Program, back: Arc<Back>| {
        Watch::start(Watch::PATIENCE, move || {
            let seconds = Watch::PATIENCE.as_secs();
            let why = format!("the new program did not start in {seconds} s");
            back.go(&program, &why);
        })
    };
    let watch = back
        .is_there()
        .then(|| start_watch(program.clone(), Arc::clone(back)))
        .transpose()
        .map_err(StartError::Runtime)?;
    let pid_file = state.pid_file.take().map(ManuallyDrop::new);
    let before = Before::of(state).watched(watch);
    _ = try_out::prepare(&mut arguments)?;
    if arguments.inetd {
        before
            .units()
            .for_each(|bound| inetd::serve(&mut arguments, bound));
    }
    configuration::read_socket_list(&mut arguments)?;
    arguments.foreground = !program.is_background;
    if program.is_background {
        arguments
            .make_paths_absolute()
            .and_then(|()| std::env::set_current_dir("/"))
            .map_err(StartError::Background)?;
    }
    Started::new(arguments, program.clone(), before, pid_file)
}

/// Tells the log, and whoever waits, that the program of before goes on.
fn refuse_upgrade(pid_file: &Path, why: &str) {
    tracing::error!("upgrade refused, nothing has changed: {why}");
    upgrade::answer(pid_file, Err(why));
}

/// A daemon that works.
struct Started {
    running: Running,
    pid_file: PidFile,
    path: PathBuf,
    speaker: Speaker,
    events: Events,
    notifier: Notifier,
    program: Program,
}

impl Started {
    /// Starts; `pid_file` is the locked one that another program left, which has signals held back, too. It is
    /// not closed if the start fails.
    fn new(
        arguments: Arguments,
        program: Program,
        before: Before,
        pid_file: Option<ManuallyDrop<OwnedFd>>,
    ) -> Result<Self, StartError> {
        let mode = match (arguments.debug, arguments.foreground) {
            (true, _) => report::Mode::Debug,
            (false, true) => report::Mode::Foreground,
            (false, false) => report::Mode::Background,
        };
        let reports = report::init(mode);
        for warning in &arguments.warnings {
            tracing::warn!("{warning}");
        }
        for note in &arguments.notes {
            tracing::info!("{note}");
        }
        panic::set_hook(Box::new(|panic| {
            tracing::error!("this is a fault of ours: {panic}");
        }));
        prepare_process();
        // From here on a signal waits for its turn: nobody knows our process id yet.
        let events = Events::new(arguments.mark).map_err(StartError::Runtime)?;
        let is_resumed = before.is_resumed();
        if is_resumed {
            events::hold(Hold::No).map_err(StartError::Runtime)?;
        }
        let path = arguments.pid_file.clone();
        // Nobody else can have claimed one that was handed over; while a start may fail it is not ours yet.
        let claimed = match &pid_file {
            Some(_) => None,
            None => Some(PidFile::claim(&path)?),
        };
        let running = Running::start(arguments, before)?;
        let speaker = Speaker::start(running.internal().clone(), reports)?;
        let handed_over = || {
            pid_file
                .map(|file| PidFile::resume(&path, ManuallyDrop::into_inner(file)))
                .transpose()
        };
        let mut pid_file = match claimed {
            Some(claimed) => claimed,
            None => handed_over()
                .and_then(|file| file.ok_or_else(|| io::Error::other("no pid file")))
                .map_err(StartError::Runtime)?,
        };
        if path == Path::new(DEFAULT_PID_FILE)
            && let Err(error) = pid_file.link(Path::new(pid_file::ALIAS))
        {
            tracing::warn!("cannot link {}: {error}", pid_file::ALIAS);
        }
        let how = if is_resumed { "goes on" } else { "start" };
        tracing::info!("syslogd-rs {}: {how}", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            running,
            pid_file,
            path,
            speaker,
            events,
            notifier: Notifier::from_environment(),
            program,
        })
    }

    /// SIGRTMIN: becomes the program that lies in our place now, or goes on and says why.
    fn upgrade(self) -> Result<(Self, Option<Event>), StartError> {
        if let Err(why) = self.program.check() {
            refuse_upgrade(&self.path, &why);
            return Ok((self, None));
        }
        let Self {
            mut running,
            pid_file,
            path,
            speaker,
            mut events,
            notifier,
            program,
        } = self;
        let (left, statistics) = running.suspend_inputs();
        let reports = speaker.stop(|| {
            tracing::info!(
                "syslogd-rs {}: another program goes on; {}",
                env!("CARGO_PKG_VERSION"),
                statistics.farewell(false)
            );
        });
        let mut stopped = running.suspend_outputs(left, pid_file.descriptor().ok());
        let rehearsed = match &stopped.hangs {
            Some(output) => Err(format!("{output} hangs")),
            None => program.rehearse(&mut stopped.state, upgrade::REHEARSE_WITHIN),
        };
        events::hold(Hold::Back).map_err(StartError::Runtime)?;
        let missed = events.wait_for(Duration::from_millis(1));
        let why = match (rehearsed, missed) {
            (Err(why), _) => why,
            (Ok(()), Some(Event::Stop(signal))) => format!("{signal} came before"),
            (Ok(()), Some(event)) if event.raise_again().is_err() => "a signal was lost".to_owned(),
            (Ok(()), _) => program.become_next(&mut stopped.state).to_string(),
        };
        events::hold(Hold::No).map_err(StartError::Runtime)?;
        let running = stopped.go_on()?;
        let reports = reports.ok_or_else(|| io::Error::other("nobody hears reports"));
        let reports = reports.map_err(StartError::Runtime)?;
        let speaker = Speaker::start(running.internal().clone(), reports)?;
        refuse_upgrade(&path, &why);
        let stopped = Self {
            running,
            pid_file,
            path,
            speaker,
            events,
            notifier,
            program,
        };
        Ok((stopped, missed))
    }

    /// Obeys signals until one says stop.
    ///
    /// # Errors
    /// If there was no way on after another program had refused to take our place.
    fn serve(mut self) -> Result<ExitCode, StartError> {
        let mut missed = None;
        let signal = loop {
            let event = missed.take().unwrap_or_else(|| self.events.wait());
            match event {
                Event::Stop(signal) => break signal,
                Event::Upgrade => (self, missed) = self.upgrade()?,
                Event::Reload | Event::Count | Event::Rotate | Event::HalfMark | Event::Mark => {
                    let Self {
                        running, pid_file, ..
                    } = &mut self;
                    // A fault in a reload must not end the log; the panic hook tells of it.
                    _ = catch_unwind(AssertUnwindSafe(|| running.obey(event, pid_file)));
                }
            }
        };
        Ok(self.end(signal))
    }

    /// Ends well within [`LAST_CALL`]. While an output tries in vain, the others go on, and nobody who logs
    /// is refused; another signal ends that.
    fn end(self, signal: &str) -> ExitCode {
        let Self {
            mut running,
            pid_file,
            speaker,
            mut events,
            notifier,
            ..
        } = self;
        notifier.stopping();
        let began = Instant::now();
        let last_call = if running.has_spool() {
            LAST_CALL_WITH_SPOOL
        } else {
            LAST_CALL
        };
        let mut deadline = began + last_call;
        running.hurry(deadline);
        if running.is_in_trouble() {
            tracing::info!(
                "{signal}: what is queued is tried for {} s; another signal ends that",
                last_call.as_secs()
            );
        }
        while running.is_in_trouble() && began.elapsed() + NO_MORE_RECEIVING < last_call {
            if let Some(Event::Stop(_)) = events.wait_for(LOOK_AGAIN) {
                deadline = Instant::now() + AT_ONCE;
                break;
            }
        }
        let statistics = running.stop_inputs();
        let in_vain = running.is_in_trouble();
        _ = speaker.stop(|| {
            tracing::info!(
                "syslogd-rs {}: exiting on {signal}; {}",
                env!("CARGO_PKG_VERSION"),
                statistics.farewell(in_vain)
            );
        });
        let lost = running.stop_outputs(&statistics, deadline);
        if lost > 0 {
            report::complain(&match lost {
                1 => "1 message was not written before the end".to_owned(),
                lost => format!("{lost} messages were not written before the end"),
            });
        }
        drop(pid_file);
        ExitCode::SUCCESS
    }
}

/// How long the end may take.
const LAST_CALL: Duration = Duration::from_secs(5);

/// How long, where the rest goes to the spool.
const LAST_CALL_WITH_SPOOL: Duration = Duration::from_secs(1);

/// The last of it, when messages are received no more although an output tries in vain.
const NO_MORE_RECEIVING: Duration = Duration::from_millis(500);

/// How long it may take after a second signal.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How often it is looked whether it still does.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the process needs before it opens anything.
fn prepare_process() {
    crate::sys::share_freed_memory();
    // A file size limit must be an error of write(2), and not the end of us.
    // SIGPIPE is ignored by the Rust runtime already.
    if let Err(error) = crate::sys::ignore(Signal::SIGXFSZ) {
        tracing::warn!("cannot ignore SIGXFSZ: {error}");
    }
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    if let Ok((soft, hard)) = limit
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files to {hard}: {error}");
    }
}
