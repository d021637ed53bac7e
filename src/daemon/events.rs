//! What the control loop waits for: signals, and the time for a mark.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Count,
    /// SIGUSR2.
    Rotate,
    /// Half of the time to the next "-- MARK --" is over.
    HalfMark,
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
    /// Ticks twice for each mark.
    mark: Option<Interval>,
    /// Which of the two comes next.
    next: Event,
}

impl Events {
    /// Begins to listen for signals; a mark is due after each `period`, or never if that is 0.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub fn new(period: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let half = period / 2;
        let mark = (!half.is_zero()).then(|| {
            let mut ticks = interval_at(Instant::now() + half, half);
            // After a standstill one mark tells as much as those that were missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
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
            next: Event::HalfMark,
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
            next,
        } = self;
        let event = runtime.block_on(async {
            tokio::select! {
                // The end first: whoever wants it does not want to wait behind reloads.
                biased;
                _ = terminate.recv() => Event::Stop("SIGTERM"),
                _ = interrupt.recv() => Event::Stop("SIGINT"),
                _ = hangup.recv() => Event::Reload,
                _ = user1.recv() => Event::Count,
                _ = user2.recv() => Event::Rotate,
                () = due(mark) => *next,
            }
        });
        match event {
            Event::HalfMark => *next = Event::Mark,
            Event::Mark => *next = Event::HalfMark,
            Event::Reload | Event::Count | Event::Rotate | Event::Stop(_) => {}
        }
        event
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
