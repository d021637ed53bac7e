//! When a file is to be rotated though it is not full, and which old files may stay.

use std::time::Instant;

use super::File;
use crate::output::rotate::Keep;

impl File {
    /// When to look after it although nothing is written; then call [`on_time`](Self::on_time).
    pub fn look_at(&self) -> Option<Instant> {
        self.schedule.look_at()
    }

    /// Rotates a file that was last written in an earlier period, and removes what has become too old.
    pub fn on_time(&mut self) {
        self.schedule.look();
        // An obstacle is told of by the next write.
        if let Ok(size) = self.ready() {
            if self.is_due(size) {
                self.rotate_open();
            } else {
                self.prune();
            }
        }
    }

    /// Whether the open file can be rotated, and a failure is long enough ago.
    pub(super) fn may_rotate(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let after = open.rotate_after;
            open.regular && after.is_none_or(|after| after <= Instant::now())
        })
    }

    /// Whether a new period asks for a rotation.
    pub(super) fn is_due(&mut self, size: u64) -> bool {
        let due = self.schedule.is_due();
        if due && size == 0 {
            self.schedule.settle();
        }
        due && size > 0 && self.may_rotate()
    }

    /// Removes the oldest rotated files, until the total and the age are kept.
    pub(super) fn prune(&mut self) {
        let (Some(open), Some(rotation)) = (&self.open, self.settings.rotation) else {
            return;
        };
        let Some(series) = &open.series else { return };
        let size = open.size().unwrap_or(0);
        let reserved = rotation.size.unwrap_or(0).max(size);
        let keep = Keep {
            octets: rotation.total.map(|total| total.saturating_sub(reserved)),
            written_since: rotation
                .age
                .and_then(|age| self.schedule.expired_before(age)),
        };
        if let Err(errno) = series.prune(keep) {
            let (path, why) = (self.path.display(), errno.desc());
            tracing::warn!("cannot remove old files of {path}: {why}; they stay for now");
        }
    }
}
