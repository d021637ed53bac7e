//! Putting it together: the only place that knows all parts.
//!
//! ```text
//! arguments ─► background ─► pid file ─► configuration ─► plan ─► outputs, table, sockets ─► ready
//!                                              ▲                                              │
//!                                    SIGHUP ───┘      SIGUSR1, SIGUSR2, MARK, SIGTERM ◄───────┘
//! ```

pub mod check;
pub mod daemonise;
pub mod error;
pub mod host;
pub mod inputs;
pub mod outputs;
pub mod pid_file;
pub mod plan;
pub mod running;
pub mod statistics;
pub mod try_out;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal as Listener, SignalKind, signal as listen_for};
use tokio::time::{Instant, Interval, interval_at};

pub use error::StartError;

use crate::cli::{Arguments, DEFAULT_PID_FILE};
use crate::input::internal::Internal;
use crate::report::{self, Report};
use daemonise::{Ready, Side, daemonise};
use pid_file::PidFile;
use running::Running;

/// Runs as the command line says, until a signal ends it.
///
/// Returns in the process that was started, too, once the daemon works in the background.
///
/// # Errors
/// Why the start failed; whoever waited for it was told.
pub fn run(mut arguments: Arguments) -> Result<ExitCode, StartError> {
    if arguments.check {
        return check::run(&arguments.config);
    }
    let try_out = try_out::prepare(&mut arguments)?;
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
            started.serve()
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
    runtime: Runtime,
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
        prepare_process();
        // Before anyone can know our process id: a signal that nobody listens for would be the end.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let events = {
            let _entered = runtime.enter();
            Events::listen(arguments.mark).map_err(StartError::Runtime)?
        };
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
            runtime,
            events,
        })
    }

    /// Obeys signals until one says stop.
    fn serve(self) -> Result<ExitCode, StartError> {
        let Self {
            mut running,
            pid_file,
            speaker,
            runtime,
            mut events,
        } = self;
        let reason = loop {
            // What is asked for is done outside the runtime: it may block.
            match runtime.block_on(events.next()) {
                Event::Reload => running.reload(&pid_file),
                Event::Count => running.count(),
                Event::Rotate => running.rotate(),
                Event::Mark => running.internal().mark(),
                Event::Stop(signal) => break signal,
            }
        };
        drop(runtime);
        let statistics = running.stop_inputs();
        speaker.stop(|| {
            tracing::info!(
                "syslogd-rs {}: exiting on {reason}; {}",
                env!("CARGO_PKG_VERSION"),
                statistics.summary()
            );
        });
        let lost = running.stop_outputs();
        if lost > 0 {
            report::complain(&format!("{lost} messages were not written before the end"));
        }
        drop(pid_file);
        Ok(ExitCode::SUCCESS)
    }
}

/// What the control loop is asked for.
enum Event {
    Reload,
    Count,
    Rotate,
    Mark,
    Stop(&'static str),
}

/// The signals that we obey, and the clock. From its making on none of them ends the process.
struct Events {
    hangup: Listener,
    count: Listener,
    rotate: Listener,
    terminate: Listener,
    interrupt: Listener,
    mark: Option<Interval>,
}

impl Events {
    /// Listens, and marks every so many minutes if not 0; to be called within a runtime.
    fn listen(mark: u32) -> std::io::Result<Self> {
        let period = Duration::from_secs(u64::from(mark) * 60);
        Ok(Self {
            hangup: listen_for(SignalKind::hangup())?,
            count: listen_for(SignalKind::user_defined1())?,
            rotate: listen_for(SignalKind::user_defined2())?,
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
            mark: (mark > 0).then(|| interval_at(Instant::now() + period, period)),
        })
    }

    async fn next(&mut self) -> Event {
        let mark = async {
            match &mut self.mark {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.hangup.recv() => Event::Reload,
            _ = self.count.recv() => Event::Count,
            _ = self.rotate.recv() => Event::Rotate,
            _ = mark => Event::Mark,
            _ = self.terminate.recv() => Event::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Event::Stop("SIGINT"),
        }
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
