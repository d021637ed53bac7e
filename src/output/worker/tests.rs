use super::super::repeat::{Head, Style};
use super::super::{Surroundings, compress::Compressor};
use super::*;
use crate::config::Destination;
use crate::counters::OutputCounters;
use crate::pri::{Facility, Pri, Severity};
use crate::route::inbox::{Inbox, inbox};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const ON: Folding = Folding::On(Style {
    stamp: |_| "T ".to_owned(),
    head: Head::Traditional,
});

fn block(lines: &[&str]) -> Block {
    let mut block = Block::default();
    for line in lines {
        block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
            octets.extend_from_slice(format!("t {line}\n").as_bytes());
            2
        });
    }
    block
}

fn parts(path: &Path, folding: Folding) -> (Inbox, Worker, Arc<OutputCounters>) {
    let counters = Arc::new(OutputCounters::default());
    let name = path.display().to_string();
    let (inbox, orders) = inbox(name.clone(), 1 << 20, Arc::clone(&counters));
    let surroundings = Surroundings {
        compressor: Arc::new(Compressor::default()),
        notify: Arc::new([]),
    };
    let settings = OutputSettings::default();
    let sink = Sink::open(&Destination::File(path.into()), &settings, &surroundings);
    let sink = sink.expect("a file is local");
    let worker = Worker::new(name, sink, orders, settings.sync, folding);
    (inbox, worker, counters)
}

fn offer(inbox: &Inbox, lines: &[&str]) {
    assert!(inbox.offer(&mut block(lines)).is_ok());
}

#[test]
fn s1_everything_is_written_in_order_and_accounted_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let (inbox, worker, counters) = parts(&path, Folding::Off);
    offer(&inbox, &["h a: 1", "h a: 2"]);
    inbox.order(Order::Reopen);
    offer(&inbox, &["h a: 2"]);
    offer(&inbox, &["h a: 3"]);
    drop(inbox);
    worker.run();
    let got = fs::read_to_string(&path).expect("the log");
    assert_eq!(got, "t h a: 1\nt h a: 2\nt h a: 2\nt h a: 3\n");
    assert_eq!((counters.written.get(), counters.queued()), (4, 0));
    assert_eq!(counters.octets.get(), got.len() as u64);
    assert!(counters.balance());
}

#[test]
fn s1_a_folded_repeat_counts_as_written_and_its_line_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let (inbox, worker, counters) = parts(&path, ON);
    offer(&inbox, &["h a: x", "h a: x", "h b: y"]);
    inbox.order(Order::Rotate);
    offer(&inbox, &["h b: y", "h b: y"]);
    drop(inbox);
    worker.run();
    let got = fs::read_to_string(&path).expect("the log");
    let want = "t h a: x\nT h a: last message repeated 1 times\nt h b: y\n\
                T h b: last message repeated 2 times\n";
    assert_eq!(got, want);
    assert_eq!((counters.written.get(), counters.queued()), (5, 0));
    assert!(counters.balance());
}

#[test]
fn s1_what_cannot_be_written_until_the_deadline_counts_as_lost_by_the_stop() {
    let (inbox, worker, counters) = parts(Path::new("/nonexistent/log"), Folding::Off);
    offer(&inbox, &["h a: 1", "h a: 2"]);
    inbox.order(Order::Rotate);
    offer(&inbox, &["h a: 3"]);
    inbox.stop_by(Instant::now());
    drop(inbox);
    worker.run();
    assert_eq!(counters.dropped(Loss::Shutdown).get(), 3);
    assert_eq!(counters.queued(), 0);
    assert!(counters.balance());
}

#[test]
fn a_reopen_ends_the_wait_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sub/log");
    let (inbox, mut worker, counters) = parts(&path, Folding::Off);
    // The next try would be in minutes.
    worker.complaint = Some("cannot open".to_owned());
    fs::create_dir(dir.path().join("sub")).expect("a directory");
    inbox.order(Order::Reopen);
    let before = Instant::now();
    worker.wait(Duration::from_secs(300));
    assert!(before.elapsed() < Duration::from_secs(100));
    offer(&inbox, &["h a: 1"]);
    drop(inbox);
    worker.run();
    assert_eq!(counters.written.get(), 1);
}

#[test]
fn the_end_is_told_once_and_then_the_tries_come_quickly() {
    let (inbox, mut worker, _counters) = parts(Path::new("/nonexistent/log"), Folding::Off);
    drop(inbox);
    worker.wait(Duration::from_secs(300));
    assert!(worker.ending.is_some());
    let before = Instant::now();
    worker.wait(Duration::from_secs(300));
    assert!(before.elapsed() < Duration::from_secs(100));
}
