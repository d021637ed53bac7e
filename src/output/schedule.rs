//! Rotation by civil time: when a file is due, and when to look although nobody writes.
//!
//! ```text
//! last write    mon 23:59    tue 00:00     tue 00:01     clock -1 y    clock +1 y
//! period        monday       tuesday                     adopted       tuesday, entered before
//!                            └ due, once                 └ not due     └ not due
//! ```
//!
//! A file is due when a later period than that of its last write has begun, and that period was not entered
//! before: whatever the clock does, there is one rotation for each civil period at most (reliability F33).
//! Midnight is that of the time zone, and periods are told apart by name: the hour that comes twice in
//! autumn is one. The limit: leap seconds are the kernel's matter.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{Local, Offset as _, TimeZone as _};
use nix::time::{ClockId, clock_gettime};

use crate::config::{Period, Rotation};

/// After a step of the wall clock nothing is removed for its age for so long, in seconds: it may be wrong.
const DOUBT: i64 = 86_400;

/// What counts as a step of the clock, in seconds; less is drift.
const STEP: i64 = 3600;

/// No file is taken for younger: the end of the year 9999.
const LATEST: i64 = 253_402_300_799;

const DAY: Duration = Duration::from_secs(86_400);

/// A look is never followed by another at once.
const SOON: Duration = Duration::from_secs(1);

/// The periods of one file.
#[derive(Debug, Default)]
pub struct Schedule {
    turns: Option<Turns>,
    /// How often to look although nobody writes.
    watch: Option<Period>,
    /// A period has begun, and the file has not been rotated since.
    due: bool,
    look_at: Option<Instant>,
    steps: Steps,
}

impl Schedule {
    /// Takes a file that was last written at `last_write`, in seconds since 1970. Without a period it is
    /// never due; with an age alone it is looked at every day, or every hour if that is shorter.
    pub fn open(&mut self, rotation: Option<Rotation>, last_write: i64) {
        let last_write = last_write.clamp(0, LATEST);
        let for_age = |age: Duration| {
            if age < DAY {
                Period::Hourly
            } else {
                Period::Daily
            }
        };
        let every = rotation.and_then(|rotation| rotation.every);
        let age = rotation.and_then(|rotation| rotation.age);
        self.watch = every.or(age.map(for_age));
        self.turns = every.map(|every| {
            let label = label(every, last_write, offset_at(last_write));
            Turns {
                every,
                label,
                // A period that was entered stays so, whatever file is opened.
                entered: match self.turns {
                    Some(before) if before.every == every && before.entered > label => {
                        before.entered
                    }
                    _ => label,
                },
                known: (0, 0),
            }
        });
        self.due = false;
        self.look();
    }

    /// Whether a period has begun since the last write.
    pub fn is_due(&mut self) -> bool {
        if let Some(turns) = &mut self.turns {
            let now = now();
            if !turns.is_known(now) {
                self.due |= turns.turn(now, offset_at);
                self.look();
            }
        }
        self.due
    }

    /// The file was rotated, or is empty: it belongs to this period.
    pub fn settle(&mut self) {
        self.due = false;
    }

    /// When to look whether the file is due, though nothing is written: once a period.
    pub fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Sets when to look again.
    pub fn look(&mut self) {
        self.look_at = self.watch.and_then(|every| {
            let now = now();
            let pause = u64::try_from(next(every, now, offset_at) - now).unwrap_or(0);
            // Seconds are cut off, so that it is past the boundary.
            Instant::now().checked_add(Duration::from_secs(pause).max(SOON))
        });
    }

    /// Since when rotated files are too old, in seconds since 1970; `None` while the clock is in doubt.
    pub fn expired_before(&mut self, age: Duration) -> Option<i64> {
        let now = now();
        let age = i64::try_from(age.as_secs()).ok()?;
        self.steps
            .is_steady(now, uptime())
            .then(|| now.saturating_sub(age))
    }
}

/// The periods that a file goes through.
#[derive(Clone, Copy, Debug)]
struct Turns {
    every: Period,
    /// The period of the last write.
    label: i64,
    /// The period that was rotated into last.
    entered: i64,
    /// From when to when the period is known to be `label`.
    known: (i64, i64),
}

impl Turns {
    fn is_known(&self, now: i64) -> bool {
        (self.known.0..self.known.1).contains(&now)
    }

    /// Goes to the period of `now`; whether the file is to be rotated for it.
    fn turn(&mut self, now: i64, offset_at: impl Fn(i64) -> i64) -> bool {
        let label = label(self.every, now, offset_at(now));
        let due = label > self.label && label != self.entered;
        if due {
            self.entered = label;
        }
        self.label = label;
        self.known = (now, next(self.every, now, offset_at));
        due
    }
}

/// The first second after `now` that belongs to a later period.
fn next(every: Period, now: i64, offset_at: impl Fn(i64) -> i64) -> i64 {
    let (length, shift) = measure(every);
    let own = label(every, now, offset_at(now));
    let local = (own + 1) * length - shift;
    // The offset there may be another one, and a change of it may swallow midnight.
    let first = local - offset_at(now);
    let second = local - offset_at(first);
    let third = local - offset_at(second);
    let is_later = |at: &i64| *at > now && label(every, *at, offset_at(*at)) > own;
    let found = [first, second, third].into_iter().filter(is_later).min();
    found.unwrap_or(now + length)
}

/// The number of the period that this second falls into; `offset` is that of local time, in seconds.
fn label(every: Period, seconds: i64, offset: i64) -> i64 {
    let (length, shift) = measure(every);
    (seconds + offset + shift).div_euclid(length)
}

/// How long a period is, and how long before 1970 one began: a Thursday.
fn measure(every: Period) -> (i64, i64) {
    match every {
        Period::Hourly => (3600, 0),
        Period::Daily => (86_400, 0),
        Period::Weekly => (7 * 86_400, 3 * 86_400),
    }
}

/// Tells a clock that goes from one that was set.
#[derive(Debug, Default)]
struct Steps {
    /// Wall clock minus time since boot.
    distance: Option<i64>,
    /// Time since boot at which the doubt ends.
    steady_at: i64,
}

impl Steps {
    fn is_steady(&mut self, wall: i64, uptime: i64) -> bool {
        let distance = wall - uptime;
        if self
            .distance
            .is_some_and(|before| (distance - before).abs() > STEP)
        {
            self.steady_at = uptime + DOUBT;
        }
        self.distance = Some(distance);
        uptime >= self.steady_at
    }
}

fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

/// With the time that the machine slept.
fn uptime() -> i64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| time.tv_sec())
}

/// Local time minus UTC, in seconds.
fn offset_at(seconds: i64) -> i64 {
    Local
        .timestamp_opt(seconds, 0)
        .single()
        .map_or(0, |time| i64::from(time.offset().fix().local_minus_utc()))
}

#[cfg(test)]
mod tests;
