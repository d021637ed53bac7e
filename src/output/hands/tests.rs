use super::*;
use crate::block::Block;
use crate::config::{Destination, OutputSettings};
use crate::counters::OutputCounters;
use crate::output::forward::Limits;
use crate::output::{Sink, Surroundings, compress::Compressor, memory::Rings, repeat::Folding};
use crate::pri::{Facility, Pri, Severity};
use crate::route::inbox::{Inbox, inbox};
use crate::route::workshop::{Relief, Visit};
use std::fs;
use std::path::Path;

/// A file that the hands work for.
struct Log {
    inbox: Inbox,
    counters: Arc<OutputCounters>,
    ended: Ended,
}

fn log(hands: &Hands, path: &Path, after: Option<Ended>) -> Log {
    let counters = Arc::new(OutputCounters::default());
    let name = path.display().to_string();
    let (inbox, orders) = inbox(name.clone(), 1 << 22, Arc::clone(&counters));
    let surroundings = Surroundings {
        rings: Rings::default(),
        compressor: Arc::new(Compressor::default()),
        families: crate::cli::Families::Both,
        listens: Arc::default(),
    };
    let destination = Destination::File(path.into());
    let settings = OutputSettings::default();
    let sink = Sink::open(&destination, &settings, Limits::default(), &surroundings);
    let worker = Worker::new(name, sink, orders, &settings, Folding::Off);
    let ended = hands.work_for(worker, after).expect("threads");
    Log {
        inbox,
        counters,
        ended,
    }
}

impl Log {
    fn offer(&self, line: &str) {
        let mut block = Block::default();
        block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
            octets.extend_from_slice(line.as_bytes());
            0
        });
        assert!(self.inbox.offer(&mut block).is_ok());
    }

    /// Closes it, and waits until all is written.
    fn end(self) -> Arc<OutputCounters> {
        drop(self.inbox);
        assert!(self.ended.wait_until(soon()), "its turn never came");
        assert!(self.counters.balance());
        self.counters
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn await_that(what: &str, is_so: impl Fn() -> bool) {
    let end = soon();
    while !is_so() {
        assert!(Instant::now() < end, "{what} never came");
        thread::yield_now();
    }
}

#[test]
fn f9_files_that_cannot_be_written_hold_up_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    let hands = Hands::default();
    // Each of them holds a hand.
    let path = |number: usize| missing.join(format!("{number}"));
    let stuck: Vec<Log> = (0..10)
        .map(|number| log(&hands, &path(number), None))
        .collect();
    for one in &stuck {
        one.offer("a\n");
    }
    let well = dir.path().join("well");
    for _ in 0..3 {
        let one = log(&hands, &well, None);
        one.offer("b\n");
        assert_eq!(one.end().written.get(), 1);
    }
    assert_eq!(fs::read(&well).expect("the log"), b"b\nb\nb\n");
    fs::create_dir(&missing).expect("a directory");
    for (number, one) in stuck.into_iter().enumerate() {
        assert_eq!(one.end().written.get(), 1);
        assert_eq!(fs::read(path(number)).expect("the log"), b"a\n");
    }
}

#[test]
fn s1_every_file_gets_what_is_its_own_in_order_however_many_there_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let hands = Hands::default();
    let path = |number: usize| dir.path().join(format!("{number}"));
    let logs: Vec<Log> = (0..200)
        .map(|number| log(&hands, &path(number), None))
        .collect();
    for line in 0..20 {
        for (number, one) in logs.iter().enumerate() {
            one.offer(&format!("{number} {line}\n"));
        }
    }
    for (number, one) in logs.into_iter().enumerate() {
        assert_eq!(one.end().written.get(), 20);
        let want = (0..20).map(|line| format!("{number} {line}\n"));
        let got = fs::read_to_string(path(number)).expect("the log");
        assert_eq!(got, want.collect::<Vec<_>>().concat());
    }
}

#[test]
fn a_successor_begins_when_its_predecessor_has_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("missing/log");
    let hands = Hands::default();
    let first = log(&hands, &path, None);
    first.offer("1\n");
    let second = log(&hands, &path, Some(first.ended.clone()));
    second.offer("2\n");
    fs::create_dir(dir.path().join("missing")).expect("a directory");
    assert_eq!(first.end().written.get(), 1);
    assert_eq!(second.end().written.get(), 1);
    assert_eq!(fs::read(&path).expect("the log"), b"1\n2\n");
}

/// Relief that is possible at the call after so many.
#[derive(Debug, Default)]
struct Substitute {
    refuses: u32,
    calls: Mutex<Calls>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Calls {
    refused: u32,
    begun: u32,
}

impl Relief for Substitute {
    fn begin(self: Arc<Self>) -> bool {
        let mut calls = self.calls.lock().expect("nobody panics");
        if calls.refused < self.refuses {
            calls.refused += 1;
            return false;
        }
        calls.begun += 1;
        true
    }
}

/// One who never refuses.
fn substitute() -> Arc<dyn Relief> {
    Arc::new(Substitute::default())
}

#[test]
fn whoever_comes_to_help_writes_it_himself_and_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let hands = Hands::default();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let (one, other) = (log(&hands, &a, None), log(&hands, &b, None));
    hands.wait_for_first_turns(Duration::from_secs(60));
    let relief = substitute();
    for _ in 0..100 {
        let visit = Visit::to(&hands).expect("there is a place");
        one.offer("a\n");
        other.offer("b\n");
        // Where the machine lets him come late, others do it.
        visit.help(&relief);
    }
    let (by_helper, helpers) = {
        let state = hands.0.lock();
        (state.guest_turns, state.visitors)
    };
    assert!(by_helper > 0);
    assert_eq!(helpers, 0);
    one.end();
    other.end();
    assert_eq!(fs::read(&a).expect("the log"), b"a\n".repeat(100));
    assert_eq!(fs::read(&b).expect("the log"), b"b\n".repeat(100));
}

#[test]
fn whoever_came_and_does_not_help_leaves_it_to_the_hands() {
    let dir = tempfile::tempdir().expect("a directory");
    let hands = Hands::default();
    let one = log(&hands, &dir.path().join("a"), None);
    hands.wait_for_first_turns(Duration::from_secs(60));
    let visit = Visit::to(&hands).expect("there is a place");
    one.offer("a\n");
    drop(visit);
    // One of them is on its way, or was.
    let is_at_work = hands.0.lock().at_work() > 0;
    assert!(is_at_work || one.counters.written.get() == 1);
    assert_eq!(one.end().written.get(), 1);
}

/// A directory that is missing until this goes, also where a test fails: else those who wait for it would for ever.
struct MadeAtLast<'a>(&'a Path);

impl Drop for MadeAtLast<'_> {
    fn drop(&mut self) {
        fs::create_dir(self.0).expect("a directory");
    }
}

#[test]
fn f9_a_helper_who_is_held_up_is_relieved_once_and_no_other_comes_for_a_while() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    let hands = Hands::default();
    let well = log(&hands, &dir.path().join("well"), None);
    let first = Arc::new(Substitute {
        refuses: 2,
        ..Substitute::default()
    });
    let calls = || *first.calls.lock().expect("nobody panics");
    let has_begun = || calls().begun > 0;
    let mut stuck = Vec::new();
    thread::scope(|threads| {
        let _made = MadeAtLast(&missing);
        // Where the machine lets him come late, a hand is stuck instead of him: then it is tried with another file.
        while !has_begun() {
            let path = missing.join(format!("{}", stuck.len()));
            stuck.push(log(&hands, &path, None));
            hands.wait_for_first_turns(Duration::from_secs(60));
            let visit = Visit::to(&hands).expect("there is a place");
            stuck[stuck.len() - 1].offer("1\n");
            let helps = threads.spawn(|| {
                let relief: Arc<dyn Relief> = Arc::<Substitute>::clone(&first);
                visit.help(&relief);
            });
            await_that("relief", || has_begun() || helps.is_finished());
        }
        // Nobody else is held up by the file that is stuck, or by another that may be: the hands do the work.
        assert!(Visit::to(&hands).is_none());
        stuck[stuck.len() - 1].offer("2\n");
        well.offer("a\n");
        await_that("the other file", || well.counters.written.get() == 1);
    });
    let once = Calls {
        refused: 2,
        begun: 1,
    };
    assert_eq!(calls(), once, "asked again until it was possible");
    let last = stuck.pop().expect("there is one");
    assert_eq!(last.end().written.get(), 2);
    let log = fs::read(missing.join(format!("{}", stuck.len()))).expect("the log");
    assert_eq!(log, b"1\n2\n");
    for other in stuck {
        assert_eq!(other.end().written.get(), 1);
    }
    well.end();
}
