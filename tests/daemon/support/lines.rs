//! The lines that a process writes, as they come.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::DEADLINE;

/// Everything that a pipe brought so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `pipe` on a thread of its own until its end.
    pub(crate) fn read(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                writer
                    .lock()
                    .lines
                    .push(String::from_utf8_lossy(&line).into_owned());
                writer.0.more.notify_all();
            }
            writer.lock().ended = true;
            writer.0.more.notify_all();
        });
        lines
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// The first line from number `from` on that is wanted, or `None` if the pipe ends or the deadline
    /// passes before it comes.
    pub(crate) fn find(&self, from: usize, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let end = Instant::now() + DEADLINE;
        let mut heard = self.lock();
        loop {
            if let Some(line) = heard.lines.iter().skip(from).find(|line| is_wanted(line)) {
                return Some(line.clone());
            }
            let left = end
                .checked_duration_since(Instant::now())
                .filter(|_| !heard.ended)?;
            let waited = self.0.more.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first line that holds `text`.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.find(0, |line| line.contains(text))
            .unwrap_or_else(|| unheard(text, &self.all()))
    }

    /// Waits for the end of the pipe; returns all lines.
    pub(crate) fn wait_for_end(&self) -> Vec<String> {
        assert!(
            self.find(usize::MAX, |_| true).is_none(),
            "there is no such line"
        );
        assert!(self.lock().ended, "the pipe did not end: {:#?}", self.all());
        self.all()
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "it fails a test")]
fn unheard(text: &str, lines: &[String]) -> String {
    panic!("waited in vain for {text:?} among {lines:#?}");
}
