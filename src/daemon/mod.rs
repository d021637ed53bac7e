//! Putting it together: the only place that knows all parts.
//!
//! ```text
//! arguments ─► background ─► pid file ─► configuration ─► plan ─► outputs, table, sockets ─► ready
//!                                              ▲                                              │
//!                                    SIGHUP ───┘      SIGUSR1, SIGUSR2, MARK, SIGTERM ◄───────┘
//! ```

pub mod check;
pub mod configuration;
mod console;
mod control;
pub mod daemonise;
pub mod error;
pub mod events;
pub mod host;
pub mod inputs;
pub mod outputs;
pub mod pid_file;
pub mod plan;
mod ready_fd;
pub mod running;
pub mod statistics;
pub mod supervisor;
pub mod try_out;

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

pub use error::StartError;

use crate::cli::{Arguments, DEFAULT_CONTROL, DEFAULT_PID_FILE};
use crate::input::internal::Internal;
use crate::report::{self, Report};
use daemonise::{Ready, Side, daemonise};
use events::{Event, Events};
use pid_file::PidFile;
use ready_fd::ReadyFd;
use running::Running;

/// Runs as the command line says, until a signal ends it.
///
/// Returns in the process that was started, too, once the daemon works in the background.
///
/// # Errors
/// Why the start failed; whoever waited for it was told.
pub fn run(mut arguments: Arguments) -> Result<ExitCode, StartError> {
    if arguments.check {
        return check::run(&arguments);
    }
    if !arguments.ask.is_empty() {
        let default = Path::new(DEFAULT_CONTROL);
        let socket = arguments.control.as_deref().unwrap_or(default);
        return control::ask(socket, &arguments.ask);
    }
    let ready_fd = ReadyFd::take(&arguments)?;
    let try_out = try_out::prepare(&mut arguments)?;
    configuration::read_socket_list(&mut arguments)?;
    if let Some(rule) = supervisor::keeps_us(&arguments) {
        arguments.foreground = true;
        arguments.notes.push(rule);
    }
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
    match Started::new(arguments) {
        Ok(started) => {
            if let Some(try_out) = try_out {
                try_out.introduce(started.running.inputs());
            }
            ready.notify().map_err(StartError::Background)?;
            ready_fd.notify();
            Ok(started.serve())
        }
        Err(error) => {
            ready.fail(error.sysexit(), &error.to_string());
            Err(error)
        }
    }
}

/// A daemon that works.
struct Started {
    running: Running,
    pid_file: PidFile,
    speaker: Speaker,
    events: Events,
}

impl Started {
    fn new(arguments: Arguments) -> Result<Self, StartError> {
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
        let mut pid_file = PidFile::claim(&arguments.pid_file)?;
        if arguments.pid_file == Path::new(DEFAULT_PID_FILE)
            && let Err(error) = pid_file.link(Path::new(pid_file::ALIAS))
        {
            tracing::warn!("cannot link {}: {error}", pid_file::ALIAS);
        }
        let running = Running::start(arguments)?;
        let speaker = Speaker::start(running.internal().clone(), reports)?;
        tracing::info!("syslogd-rs {}: start", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            running,
            pid_file,
            speaker,
            events,
        })
    }

    /// Obeys signals until one says stop.
    fn serve(self) -> ExitCode {
        let Self {
            mut running,
            pid_file,
            speaker,
            mut events,
        } = self;
        let signal = loop {
            let event = events.wait();
            if let Event::Stop(signal) = event {
                break signal;
            }
            // A fault in a reload must not end the log; the panic hook tells of it.
            _ = catch_unwind(AssertUnwindSafe(|| running.obey(event, &pid_file)));
        };
        let statistics = running.stop_inputs();
        speaker.stop(|| {
            tracing::info!(
                "syslogd-rs {}: exiting on {signal}; {}",
                env!("CARGO_PKG_VERSION"),
                statistics.farewell()
            );
        });
        let lost = running.stop_outputs(&statistics);
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

/// What the process needs before it opens anything.
fn prepare_process() {
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

/// Takes our own reports into the log.
struct Speaker {
    internal: Internal,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Receiver<Report>>,
}

impl Speaker {
    fn start(internal: Internal, reports: Receiver<Report>) -> Result<Self, StartError> {
        let ending = Arc::new(AtomicBool::new(false));
        let (until, speaks) = (Arc::clone(&ending), internal.clone());
        let speak = move || {
            while let Ok(report) = reports.recv() {
                speaks.say(report.severity, &report.text);
                if until.load(Ordering::Acquire) {
                    break;
                }
            }
            reports
        };
        let thread = thread::Builder::new()
            .name("reports".into())
            .spawn(speak)
            .map_err(StartError::Runtime)?;
        Ok(Self {
            internal,
            ending,
            thread,
        })
    }

    /// Says `last_words`, which must make a report, and everything that was said before.
    fn stop(self, last_words: impl FnOnce()) {
        self.ending.store(true, Ordering::Release);
        last_words();
        if let Ok(reports) = self.thread.join() {
            for report in reports.try_iter() {
                self.internal.say(report.severity, &report.text);
            }
        }
    }
}
