//! `keep_free`: what an output gives up so that a disk is not filled to its end.
//!
//! ```text
//! free space   more than wanted   less                    less than half   less than a quarter
//! gives up     nothing            its oldest archives,    info             all but auth, authpriv,
//!                                 then debug                               crit, alert and emerg
//! ```
//!
//! Looked at once a second, at a write. One line for each step, down and up. The limit: what comes within
//! that second is written.

use std::fs::File as Descriptor;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::statvfs::fstatvfs;

use super::rotate::Series;
use crate::block::Block;
use crate::config::KeepFree;
use crate::pri::{Facility, Pri, Severity};

/// How often the file system is asked.
const EVERY: Duration = Duration::from_secs(1);

/// What is given up.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    #[default]
    Nothing,
    Debug,
    Info,
    AllButTheLast,
}

impl Step {
    /// The step for so much free space. Back it goes only with an eighth more than it came with, so that
    /// it does not come and go with each line.
    fn of(free: u64, wanted: u64, before: Self) -> Self {
        let step = |free| match free {
            free if free < wanted / 4 => Self::AllButTheLast,
            free if free < wanted / 2 => Self::Info,
            free if free < wanted => Self::Debug,
            _ => Self::Nothing,
        };
        let down = step(free);
        down.max(before.min(step(free - free / 9)))
    }

    fn leaves_room_for(self, pri: Pri) -> bool {
        let (facility, severity) = (pri.facility(), pri.severity());
        let is_last = matches!(facility, Facility::Auth | Facility::Authpriv)
            || severity <= Severity::Critical;
        is_last
            || match self {
                Self::Nothing => true,
                Self::Debug => severity < Severity::Debug,
                Self::Info => severity < Severity::Informational,
                Self::AllButTheLast => false,
            }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "everything is written again",
            Self::Debug => "debug messages are dropped",
            Self::Info => "debug and info messages are dropped",
            Self::AllButTheLast => {
                "all messages but auth, authpriv, crit, alert and emerg are dropped"
            }
        }
    }
}

/// How the file system under one file is.
#[derive(Debug, Default)]
pub struct Space {
    step: Step,
    asked: Option<Instant>,
}

impl Space {
    /// Whether some records are given up at present.
    pub fn is_shedding(&self) -> bool {
        self.step > Step::Nothing
    }

    /// Looks how much is free, if it is time, and takes out of `block` what there is no room for; returns
    /// how many records that were.
    pub fn shed(
        &mut self,
        keep_free: KeepFree,
        file: &Descriptor,
        series: Option<&Series>,
        path: &Path,
        block: &mut Block,
    ) -> usize {
        let now = Instant::now();
        if self.asked.is_none_or(|asked| now >= asked + EVERY) {
            self.asked = Some(now);
            self.look(keep_free, file, series, path);
        }
        match self.step {
            Step::Nothing => 0,
            step @ (Step::Debug | Step::Info | Step::AllButTheLast) => {
                block.retain(|pri| step.leaves_room_for(pri))
            }
        }
    }

    fn look(
        &mut self,
        keep_free: KeepFree,
        file: &Descriptor,
        series: Option<&Series>,
        path: &Path,
    ) {
        let Some((mut free, wanted)) = measure(keep_free, file) else {
            return;
        };
        while free < wanted
            && let Some(removed) = series.and_then(prune)
        {
            let removed = removed.display();
            tracing::warn!("removed {removed}: less is free than keep_free asks for");
            match measure(keep_free, file) {
                Some((now_free, _)) => free = now_free,
                None => return,
            }
        }
        let step = Step::of(free, wanted, self.step);
        if step != self.step {
            self.step = step;
            let (path, what) = (path.display(), step.sentence());
            let (free, wanted) = (free >> 10, wanted >> 10);
            tracing::warn!("{path}: {free} KiB are free, keep_free is {wanted} KiB: {what}");
        }
    }
}

/// How many octets are free, and shall be.
fn measure(keep_free: KeepFree, file: &Descriptor) -> Option<(u64, u64)> {
    let disk = fstatvfs(file).ok()?;
    let octets = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    let wanted = match keep_free {
        KeepFree::Octets(wanted) => wanted,
        KeepFree::Percent(percent) => octets(disk.blocks()) / 100 * u64::from(percent),
    };
    Some((octets(disk.blocks_available()), wanted))
}

/// Removes the oldest rotated file. `log.0` stays: a reader such as `tail -F` may not be done with it.
fn prune(series: &Series) -> Option<std::path::PathBuf> {
    let _names = series.lock();
    let aged = series.list().ok()?;
    let oldest = aged.last().filter(|aged| aged.number > 0)?;
    let name = series.name_of(*oldest);
    series.place().unlink(&name).ok()?;
    Some(series.place().directory().join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_urgent_go_first_and_auth_and_crit_last() {
        let pri = |facility, severity| Pri::of(facility, severity);
        let (user, auth) = (Facility::User, Facility::Authpriv);
        for (step, kept, gone) in [
            (
                Step::Debug,
                pri(user, Severity::Informational),
                pri(user, Severity::Debug),
            ),
            (
                Step::Info,
                pri(user, Severity::Notice),
                pri(user, Severity::Informational),
            ),
            (
                Step::AllButTheLast,
                pri(user, Severity::Critical),
                pri(user, Severity::Error),
            ),
        ] {
            assert!(step.leaves_room_for(kept), "{step:?}");
            assert!(!step.leaves_room_for(gone), "{step:?}");
            assert!(step.leaves_room_for(pri(auth, Severity::Debug)), "{step:?}");
        }
    }

    #[test]
    fn a_step_comes_at_its_limit_and_goes_an_eighth_above_it() {
        let mut step = Step::Nothing;
        for (free, want) in [
            (1000, Step::Nothing),
            (999, Step::Debug),
            (1120, Step::Debug),
            (1126, Step::Nothing),
            (499, Step::Info),
            (560, Step::Info),
            (999, Step::Debug),
            (249, Step::AllButTheLast),
            (5000, Step::Nothing),
        ] {
            step = Step::of(free, 1000, step);
            assert_eq!(step, want, "{free}");
        }
    }
}
