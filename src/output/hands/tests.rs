use super::*;
use crate::block::Block;
use crate::config::{Destination, OutputSettings};
use crate::counters::OutputCounters;
use crate::output::forward::Limits;
use crate::output::{Sink, Surroundings, compress::Compressor, memory::Rings, repeat::Folding};
use crate::pri::{Facility, Pri, Severity};
use crate::route::inbox::{Inbox, inbox};
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
