//! The new program's side of an upgrade: what it was left, and the way back to the old one.
//!
//! Until it touches the first message the new program can become the old one again, which then goes on with all
//! that it had. So it closes no descriptor that was handed over before that, not even when its start fails
//! (they are forgotten: `Before`), and needs no second copy of any.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::StartError;
use super::super::events;
use super::super::handover::{FORMAT, State};
use super::{HANDOVER, Program, Word, execute, unknown};
use crate::sys::{self, Hold};

/// That we go on for another program, which was this process until now.
#[derive(Debug)]
pub(in crate::daemon) struct Resumed {
    /// Whether the process is in the background.
    pub(in crate::daemon) is_background: bool,
    /// Why the program that was to come after us did not; nothing if we are that program.
    pub(in crate::daemon) failed: Option<String>,
    /// What is needed to go back.
    pub(in crate::daemon) back: Back,
}

/// The way back to the program that was here before.
#[derive(Debug)]
pub(in crate::daemon) struct Back {
    memory: File,
    old: Option<OwnedFd>,
    /// Its command line: ours, until we have read otherwise.
    arguments: Vec<OsString>,
    /// The descriptors that were handed over. As long as they were not read they survive exec(2) anyway.
    numbers: Vec<RawFd>,
}

impl Resumed {
    /// What the environment says about this process; nothing on any other start.
    ///
    /// To be called once, before another process or thread exists.
    ///
    /// # Errors
    /// If it is nonsense.
    pub(in crate::daemon) fn from_environment() -> Result<Option<Self>, StartError> {
        let word = env::var(HANDOVER).ok();
        let word = word.and_then(|text| Word::parse(&text, std::process::id()));
        let Some((format, word)) = word else {
            return Ok(None);
        };
        if format != FORMAT {
            return Err(StartError::Runtime(unknown(format)));
        }
        let back = || {
            Ok(Back {
                memory: sys::inherited(word.memory)?.into(),
                old: word.old.map(sys::inherited).transpose()?,
                arguments: env::args_os().collect(),
                numbers: Vec::new(),
            })
        };
        Ok(Some(Self {
            is_background: word.is_background,
            failed: Some(word.why).filter(|why| !why.is_empty()),
            back: back().map_err(StartError::Runtime)?,
        }))
    }
}

impl Back {
    /// Reads what was handed over, and takes its descriptors.
    ///
    /// # Errors
    /// If it cannot be read; every descriptor is as it was then.
    pub(in crate::daemon) fn read(&mut self) -> io::Result<State> {
        let (mut state, numbers) = State::read(&self.memory)?;
        self.arguments = std::mem::take(&mut state.arguments);
        self.numbers = numbers;
        Ok(state)
    }

    /// Whether there is an old program: not if we are that one.
    pub(in crate::daemon) fn is_there(&self) -> bool {
        self.old.is_some()
    }

    /// Goes back to the old program, if there is one, and tells it why; returns if there is not.
    pub(in crate::daemon) fn go(&self, program: &Program, why: &str) {
        tracing::error!("going back to the old program: {why}");
        let Some(old) = &self.old else {
            return;
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd()));
        let ours = [self.memory.as_raw_fd(), old.as_raw_fd()];
        let kept: Vec<RawFd> = self.numbers.iter().copied().chain(ours).collect();
        let word = Word {
            memory: self.memory.as_raw_fd(),
            old: None,
            is_background: program.is_background,
            why: why.to_owned(),
        };
        // As on the way here: the old program takes the signals once it can.
        let held = events::hold(Hold::Back);
        let error = held
            .and_then(|()| env::set_current_dir(&program.directory))
            .err()
            .unwrap_or_else(|| execute(&path, &self.arguments, &word, &kept));
        tracing::error!("cannot go back to the old program: {error}");
    }
}

/// Somebody who acts if the new program does not get anywhere, as on a file system that hangs: who goes back to
/// the old one. To be dropped before any message is touched: nothing is lost or doubled then.
#[derive(Debug)]
pub(in crate::daemon) struct Watch {
    /// Whether it got somewhere. Locked for good once it is too late.
    arrived: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// How long a new program may take until it touches the first message.
    pub(in crate::daemon) const PATIENCE: Duration = Duration::from_secs(10);

    /// Begins to wait; `act`, if it comes to that, keeps the others from going on meanwhile. The signals that are
    /// held back from the calling thread are held back from it, and from the old program, which expects that.
    ///
    /// # Errors
    /// If there are no threads left.
    pub(in crate::daemon) fn start(
        patience: Duration,
        act: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let arrived = Arc::<(Mutex<bool>, Condvar)>::default();
        let shared = Arc::clone(&arrived);
        let watch = move || {
            let (arrived, told) = &*shared;
            let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = told.wait_timeout_while(arrived, patience, |arrived| !*arrived);
            let (arrived, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !*arrived {
                act();
            }
        };
        let thread = thread::Builder::new().name("watch".into()).spawn(watch)?;
        Ok(Self {
            arrived,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (arrived, told) = &*self.arrived;
        *arrived.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_watch_acts_once_the_time_is_over_and_holds_who_arrives_meanwhile() {
        let (acted, acts) = channel();
        let (go_on, waits) = channel::<()>();
        let act = move || {
            acted.send("acts").expect("we listen");
            // As an exec that takes its time.
            _ = waits.recv();
            acted.send("has acted").expect("we listen");
        };
        let watch = Watch::start(Duration::ZERO, act).expect("a thread");
        assert_eq!(acts.recv(), Ok("acts"));
        let arrives = thread::spawn(move || {
            drop(watch);
            acts.try_iter().collect::<Vec<_>>()
        });
        go_on.send(()).expect("it waits");
        assert_eq!(arrives.join().expect("no panic"), ["has acted"]);
    }

    #[test]
    fn a_watch_does_nothing_once_it_is_dropped() {
        let (acted, acts) = channel();
        let act = move || acted.send(()).expect("we listen");
        drop(Watch::start(Duration::from_secs(3600), act).expect("a thread"));
        assert!(acts.recv().is_err(), "it has ended without a word");
    }
}
