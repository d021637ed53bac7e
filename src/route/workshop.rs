//! Where the work of outputs is done, as a thread sees it that has nothing else to do.
//!
//! ```text
//! come ─► hand blocks over ─► help: write them ─► leave
//!           nobody is woken      │ takes too long
//!                                └────────────► relief: another thread does what this one is there for
//! ```
//!
//! To wake a thread for one message costs more than to write it. So a thread that has received little, and would
//! sleep now, writes it. That must not keep it from what it is there for: whoever helps names its relief.

use std::fmt;
use std::sync::Arc;

/// Whoever does what a helper is there for, if that one is held up.
pub trait Relief: fmt::Debug + Send + Sync {
    /// Begins to do it, on another thread; false if the system has no room for one, and it is to be asked again.
    fn begin(self: Arc<Self>) -> bool;
}

/// Those who do the work of outputs.
pub trait Workshop: fmt::Debug + Send + Sync {
    /// Somebody comes to help: until he leaves, nobody else is woken for what comes. False if there is no place for
    /// him at present; then he has not come.
    fn come(&self) -> bool;

    /// Does what there is to do and is known to be quick. If it takes more than a few milliseconds all the same,
    /// `relief` begins.
    fn help(&self, relief: &Arc<dyn Relief>);

    /// Whoever came leaves; what is left is for others.
    fn leave(&self);
}

/// The time from coming to leaving.
#[derive(Debug)]
pub struct Visit<'a>(&'a dyn Workshop);

impl<'a> Visit<'a> {
    /// Comes, if there is a place for him.
    pub fn to(workshop: &'a dyn Workshop) -> Option<Self> {
        workshop.come().then(|| Self(workshop))
    }

    /// Helps, and leaves. May block for as long as an output does: see [`Workshop::help`].
    pub fn help(self, relief: &Arc<dyn Relief>) {
        self.0.help(relief);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
