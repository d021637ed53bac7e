//! Whether a thread that receives is pressed: then what goes to many outputs is collected before it is handed over.
//!
//! ```text
//! |■■■■■_■■■■■■■_■■■|  10 ms, ■ at work: pressed        |■_____■______■____|  not pressed
//! ```
//!
//! A thread that hands over each time before it sleeps makes a write for each message, where a thousand files get one
//! each. While it sleeps most of the time that is what it has the time for, and nobody waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long it must have had hardly any sleep.
const WINDOW: Duration = Duration::from_millis(10);

/// Less than this part of the window is hardly any.
const PART: u32 = 4;

/// How long a thread has slept in all, told by whoever puts it to sleep.
#[derive(Debug)]
pub(super) struct Sleep {
    epoch: Instant,
    /// When it fell asleep last, and how much it has slept before, in ns; the thread alone writes them.
    since: AtomicU64,
    slept: AtomicU64,
}

impl Default for Sleep {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
            slept: AtomicU64::new(0),
        }
    }
}

impl Sleep {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// It is about to sleep.
    pub(super) fn begin(&self) {
        self.since.store(self.now(), Relaxed);
    }

    /// It has slept.
    pub(super) fn end(&self) {
        let slept = self.now().saturating_sub(self.since.load(Relaxed));
        self.slept.store(self.slept.load(Relaxed) + slept, Relaxed);
    }

    fn in_all(&self) -> Duration {
        Duration::from_nanos(self.slept.load(Relaxed))
    }
}

/// Judges windows of [`WINDOW`] or more.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    /// How long it had slept in all by then.
    slept: Duration,
    is_pressed: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            slept: Duration::ZERO,
            is_pressed: false,
        }
    }
}

impl Pace {
    /// Whether the thread had hardly any sleep in the last window. Asked before it sleeps.
    pub(super) fn is_pressed(&mut self, sleep: &Sleep) -> bool {
        self.judge(Instant::now(), sleep.in_all())
    }

    fn judge(&mut self, now: Instant, in_all: Duration) -> bool {
        let window = now.saturating_duration_since(self.began);
        if window >= WINDOW {
            let slept = in_all.saturating_sub(self.slept);
            self.is_pressed = slept < window / PART;
            (self.began, self.slept) = (now, in_all);
        }
        self.is_pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pressed_after_a_window_with_hardly_any_sleep_until_one_with_more() {
        let mut pace = Pace::default();
        let began = pace.began;
        let millis = Duration::from_millis;
        for (at, slept, want) in [
            (9, 0, false),
            (10, 2, true),
            // Within the next window the last one counts.
            (19, 9, true),
            (20, 9, false),
            // A long sleep is a window of its own.
            (1020, 1000, false),
            (1040, 1004, true),
            (1050, 1007, false),
        ] {
            let pressed = pace.judge(began + millis(at), millis(slept));
            assert_eq!(pressed, want, "{at}");
        }
    }
}
