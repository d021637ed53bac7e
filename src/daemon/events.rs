//! What the control loop waits for: signals, and the time for a mark.

use std::io;
use std::time::Duration;

use libc::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use crate::sys::{self, Hold};

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
    /// SIGRTMIN.
    Upgrade,
    /// The time for "-- MARK --" has come.
    Mark,
    /// A signal that ends the daemon, by its name.
    Stop(&'static str),
}

impl Event {
    /// Sends its signal to this process again; a reload is not asked for twice by whoever starts anew.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn raise_again(self) -> io::Result<()> {
        match self {
            Self::Count => sys::send_signal(std::process::id(), SIGUSR1),
            Self::Rotate => sys::send_signal(std::process::id(), SIGUSR2),
            Self::Reload | Self::Upgrade | Self::HalfMark | Self::Mark | Self::Stop(_) => Ok(()),
        }
    }
}

/// The signals from now on: one that arrives between two calls of [`Events::wait`] is not missed.
#[derive(Debug)]
pub struct Events {
    runtime: Runtime,
    sources: Sources,
}

#[derive(Debug)]
struct Sources {
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    upgrade: Signal,
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
        let sources = Sources {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            upgrade: signal(SignalKind::from_raw(libc::SIGRTMIN()))?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            mark,
            next: Event::HalfMark,
        };
        drop(entered);
        Ok(Self { runtime, sources })
    }

    /// Waits for the next event. What it leads to may block: it runs outside of the runtime.
    pub fn wait(&mut self) -> Event {
        self.runtime.block_on(self.sources.next())
    }

    /// As [`Events::wait`], but for so long at most.
    pub fn wait_for(&mut self, patience: Duration) -> Option<Event> {
        let next = async { timeout(patience, self.sources.next()).await.ok() };
        self.runtime.block_on(next)
    }
}

impl Sources {
    async fn next(&mut self) -> Event {
        let event = tokio::select! {
            // The end first: whoever wants it does not want to wait behind reloads.
            biased;
            _ = self.terminate.recv() => Event::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Event::Stop("SIGINT"),
            _ = self.hangup.recv() => Event::Reload,
            _ = self.user1.recv() => Event::Count,
            _ = self.user2.recv() => Event::Rotate,
            _ = self.upgrade.recv() => Event::Upgrade,
            () = due(&mut self.mark) => self.next,
        };
        match event {
            Event::HalfMark => self.next = Event::Mark,
            Event::Mark => self.next = Event::HalfMark,
            Event::Reload | Event::Count | Event::Rotate | Event::Upgrade | Event::Stop(_) => {}
        }
        event
    }
}

/// Holds the signals that are events back from this thread, and from a program that it becomes, or lets them
/// through again, those that waited first.
///
/// # Errors
/// If the kernel refuses.
pub fn hold(held: Hold) -> io::Result<()> {
    let rest = [SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT];
    sys::hold(&[&rest[..], &[libc::SIGRTMIN()]].concat(), held)
}

async fn due(mark: &mut Option<Interval>) {
    match mark {
        Some(mark) => {
            mark.tick().await;
        }
        None => std::future::pending().await,
    }
}
