//! The memory budget: what queued blocks and unfinished frames may take together (reliability S2).
//!
//! ```text
//! |◄──────────────────────────────── limit ────────────────────────────────►|
//! | output a │ output b │ frames │ an output may take ⅞ of what the others leave │ ⅛ │ ⅛ │
//! ```
//!
//! One output that stands still may have nearly all of it, and several share it: the more of them there
//! are, the less each gets, and something is left for the next. Nobody reserves what is not used, and no
//! limit depends on how many outputs there are.
//!
//! Nobody counts the open blocks of the threads that receive, the block that each output writes, and what the
//! allocator has free between others. An eighth is for those: it is never given away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The budget of a daemon; clones are the same one. Counted in octets, at most once for each block.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// What is in use only to be at hand.
    spare: AtomicUsize,
    /// How many holders have nearly all that they may have.
    tight: AtomicUsize,
}

impl Budget {
    /// What there is unless the configuration says (`memory`).
    pub const DEFAULT: usize = 64 << 20;

    /// A budget of so many octets.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Account {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            spare: AtomicUsize::new(0),
            tight: AtomicUsize::new(0),
        }))
    }

    /// Another limit (a reload). What is over it stays until it is written or finished.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Relaxed);
    }

    /// How much there is in all.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Relaxed)
    }

    /// How much is in use.
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// How much of it all holders may have together.
    fn for_holders(&self) -> usize {
        let limit = self.limit();
        limit - limit / 8
    }

    /// Whether it is [tight](Held::is_tight) for one of its holders.
    pub fn is_tight_for_one(&self) -> bool {
        self.0.tight.load(Relaxed) > 0
    }

    /// A holder of memory that has none yet.
    pub fn holder(&self) -> Held {
        Held {
            budget: self.clone(),
            octets: 0,
            is_spare: false,
            is_tight: false,
        }
    }

    /// A holder of memory that is empty, and kept for its next use.
    pub fn spare_holder(&self) -> Held {
        let mut held = self.holder();
        held.is_spare = true;
        held
    }

    /// Whether so many octets more may be kept for their next use: an eighth of the budget, so that a thousand
    /// outputs leave something for messages.
    pub fn may_spare(&self, octets: usize) -> bool {
        self.0.spare.load(Relaxed) + octets <= self.limit() / 8
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}

/// A budget of its own with this limit, in octets.
impl From<usize> for Budget {
    fn from(limit: usize) -> Self {
        Self::new(limit)
    }
}

/// What one holder has taken of a budget; given back when it goes.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    octets: usize,
    is_spare: bool,
    is_tight: bool,
}

impl Held {
    /// How much it has.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// How much it may have in all: seven eighths of what the others leave, so 0.77 of the limit if there are none.
    pub fn share(&self) -> usize {
        let others = self.budget.used().saturating_sub(self.octets);
        self.budget.for_holders().saturating_sub(others) / 8 * 7
    }

    /// The budget it is taken from.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether it took more than three quarters of its share, and has not come below half of it since.
    pub fn is_tight(&self) -> bool {
        self.is_tight
    }

    /// Has `octets` from now on, more or fewer than before.
    pub fn set(&mut self, octets: usize) {
        let account = &self.budget.0;
        let spare = self.is_spare.then_some(&account.spare);
        for sum in [Some(&account.used), spare].into_iter().flatten() {
            if octets >= self.octets {
                sum.fetch_add(octets - self.octets, Relaxed);
            } else {
                sum.fetch_sub(self.octets - octets, Relaxed);
            }
        }
        self.octets = octets;
        let enough = if self.is_tight { 2 } else { 3 };
        let is_tight = octets > self.share() / 4 * enough;
        if is_tight != self.is_tight {
            self.is_tight = is_tight;
            let tight = &self.budget.0.tight;
            if is_tight {
                tight.fetch_add(1, Relaxed);
            } else {
                tight.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Takes `octets` more.
    pub fn grow(&mut self, octets: usize) {
        self.set(self.octets.saturating_add(octets));
    }

    /// Gives `octets` back.
    pub fn shrink(&mut self, octets: usize) {
        self.set(self.octets.saturating_sub(octets));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_holders_share_the_budget_and_never_exceed_it() {
        for holders in [1, 2, 3, 10, 100] {
            let budget = Budget::new(1 << 20);
            let mut held: Vec<Held> = (0..holders).map(|_| budget.holder()).collect();
            // Each takes a little as long as it may.
            while held.iter_mut().fold(false, |grown, holder| {
                let grows = holder.octets() + 64 <= holder.share();
                holder.grow(if grows { 64 } else { 0 });
                grown || grows
            }) {}
            assert!(budget.used() <= budget.limit() / 8 * 7);
            assert!(held.iter().all(Held::is_tight), "{holders}");
            assert!(budget.is_tight_for_one(), "{holders}");
            let least = held.iter().map(Held::octets).min().unwrap_or_default();
            assert!(least >= budget.limit() * 3 / 4 / holders - 64, "{holders}");
            drop(held);
            assert_eq!(budget.used(), 0);
            assert!(!budget.is_tight_for_one());
        }
    }

    #[test]
    fn what_is_kept_for_its_next_use_is_an_eighth_at_most() {
        let budget = Budget::new(800);
        let mut spare: Vec<Held> = (0..3).map(|_| budget.spare_holder()).collect();
        let mut kept = 0;
        while budget.may_spare(10) {
            spare[kept % 3].grow(10);
            kept += 1;
        }
        assert_eq!((kept, budget.used()), (10, 100));
        budget.holder().grow(300);
        spare[0].shrink(10);
        assert!(budget.may_spare(10) && !budget.may_spare(11));
        drop(spare);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn it_is_tight_from_three_quarters_of_the_share_until_half_of_it() {
        let budget = Budget::new(800);
        let mut held = budget.holder();
        for (octets, want) in [
            (456, false),
            (457, true),
            (305, true),
            (304, false),
            (457, true),
        ] {
            held.set(octets);
            assert_eq!(held.is_tight(), want, "{octets} of {}", held.share());
            assert_eq!(budget.is_tight_for_one(), want);
        }
    }

    #[test]
    fn a_smaller_limit_takes_nothing_away() {
        let budget = Budget::new(1000);
        let mut held = budget.holder();
        held.grow(700);
        budget.set_limit(100);
        assert_eq!((held.octets(), held.share()), (700, 77));
        held.shrink(650);
        assert_eq!(budget.used(), 50);
    }
}
