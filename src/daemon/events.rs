//! What the control loop waits for: signals, and the time for a mark.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, interval_at};

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Count,
    /// SIGUSR2.
    Rotate,
    /// The time for "-- MARK --" has come.
    Mark,
    /// A signal that ends the daemon, by its name.
    Stop(&'static str),
}

/// The signals from now on: one that arrives between two calls of [`Events::wait`] is not missed.
#[derive(Debug)]
pub struct Events {
    runtime: Runtime,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    terminate: Signal,
    interrupt: Signal,
    mark: Option<Interval>,
}

impl Events {
    /// Begins to listen for signals; a mark is due each `mark_minutes`, or never if that is 0.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub fn new(mark_minutes: u32) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let period = Duration::from_secs(u64::from(mark_minutes) * 60);
        let mark = (mark_minutes > 0).then(|| interval_at(Instant::now() + period, period));
        let hangup = signal(SignalKind::hangup())?;
        let user1 = signal(SignalKind::user_defined1())?;
        let user2 = signal(SignalKind::user_defined2())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(entered);
        Ok(Self {
            runtime,
            hangup,
            user1,
            user2,
            terminate,
            interrupt,
            mark,
        })
    }

    /// Waits for the next event. What it leads to may block: it runs outside of the runtime.
    pub fn wait(&mut self) -> Event {
        let Self {
            runtime,
            hangup,
            user1,
            user2,
            terminate,
            interrupt,
            mark,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                // The end first: whoever wants it does not want to wait behind reloads.
                biased;
                _ = terminate.recv() => Event::Stop("SIGTERM"),
                _ = interrupt.recv() => Event::Stop("SIGINT"),
                _ = hangup.recv() => Event::Reload,
                _ = user1.recv() => Event::Count,
                _ = user2.recv() => Event::Rotate,
                () = due(mark) => Event::Mark,
            }
        })
    }
}

async fn due(mark: &mut Option<Interval>) {
    match mark {
        Some(mark) => {
            mark.tick().await;
        }
        None => std::future::pending().await,
    }
}
