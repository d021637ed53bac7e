use super::super::codec::unpacked;
use super::super::place::Place;
use super::super::repeat::{Head, Style};
use super::super::rotate::Series;
use super::super::{Surroundings, compress::Compressor};
use super::*;
use crate::config::Destination;
use crate::counters::OutputCounters;
use crate::output::forward::Limits;
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
    let settings = OutputSettings::default();
    let compressor = Arc::new(Compressor::default());
    parts_of(
        &Destination::File(path.into()),
        &settings,
        folding,
        &compressor,
    )
}

fn parts_of(
    destination: &Destination,
    settings: &OutputSettings,
    folding: Folding,
    compressor: &Arc<Compressor>,
) -> (Inbox, Worker, Arc<OutputCounters>) {
    let counters = Arc::new(OutputCounters::default());
    let name = format!("{destination:?}");
    let (inbox, orders) = inbox(name.clone(), 1 << 22, Arc::clone(&counters));
    let surroundings = Surroundings {
        rings: crate::output::memory::Rings::default(),
        compressor: Arc::clone(compressor),
        families: crate::cli::Families::Both,
        listens: Arc::default(),
    };
    let sink = Sink::open(destination, settings, Limits::default(), &surroundings);
    let worker = Worker::new(name, sink, orders, settings, folding);
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
    inbox.order(Change::Reopen);
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
    inbox.order(Change::Rotate);
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
fn s1_what_was_folded_onto_a_lost_record_is_lost_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    let mut full = std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK)
        .open(&path)
        .expect("it opens");
    while std::io::Write::write_all(&mut full, &[b'x'; 4096]).is_ok() {}
    let settings = OutputSettings::default();
    let (inbox, worker, counters) =
        parts_of(&Destination::Fifo(path), &settings, ON, &Arc::default());
    offer(&inbox, &["h a: x", "h a: x", "h a: x"]);
    drop(inbox);
    worker.run();
    assert_eq!(counters.dropped(Loss::FifoFull).get(), 3);
    assert_eq!((counters.written.get(), counters.queued()), (0, 0));
}

#[test]
fn s1_a_count_that_cannot_be_written_is_told_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let (inbox, mut worker, counters) = parts(&path, ON);
    worker.take(block(&["h a: x", "h a: x"]));
    // The directory is gone when the count is due, and back for the next message.
    fs::remove_dir_all(dir.path()).expect("it goes");
    worker.sink.reopen();
    worker.tell_repeats();
    counters.enqueue(2);
    assert_eq!((counters.written.get(), counters.queued()), (1, 1));
    fs::create_dir(dir.path()).expect("it comes back");
    counters.enqueue(1);
    worker.take(block(&["h b: y"]));
    let got = fs::read_to_string(&path).expect("the log");
    assert_eq!(got, "T h a: last message repeated 1 times\nt h b: y\n");
    assert_eq!((counters.written.get(), counters.queued()), (3, 0));
    drop(inbox);
}

#[test]
fn s1_what_cannot_be_written_until_the_deadline_counts_as_lost_by_the_stop() {
    let (inbox, worker, counters) = parts(Path::new("/nonexistent/log"), Folding::Off);
    offer(&inbox, &["h a: 1", "h a: 2"]);
    inbox.order(Change::Rotate);
    offer(&inbox, &["h a: 3"]);
    inbox.stopper().stop_by(Instant::now());
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
    inbox.order(Change::Reopen);
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

#[test]
fn s1_what_a_full_fifo_does_not_take_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let settings = OutputSettings::default();
    let compressor = Arc::new(Compressor::default());
    let (inbox, worker, counters) = parts_of(
        &Destination::Fifo(path),
        &settings,
        Folding::Off,
        &compressor,
    );
    let line = format!("h a: {}", "x".repeat(1000));
    for _ in 0..10 {
        offer(&inbox, &vec![line.as_str(); 20]);
    }
    drop(inbox);
    worker.run();
    assert!(counters.written.get() >= 60, "{}", counters.written.get());
    assert!(counters.dropped(Loss::FifoFull).get() > 0);
    assert_eq!((counters.enqueued.get(), counters.queued()), (200, 0));
    assert!(counters.balance());
}

#[test]
fn s8_rotated_files_together_are_the_stream() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    for sync in [Sync::None, Sync::Durable] {
        let settings = OutputSettings {
            rotation: Some(crate::config::Rotation::by_size(1000, 1000)),
            sync,
            ..OutputSettings::default()
        };
        let compressor = Arc::new(Compressor::default());
        let destination = Destination::File(path.clone());
        let (inbox, worker, counters) =
            parts_of(&destination, &settings, Folding::Off, &compressor);
        for number in 0..300 {
            offer(&inbox, &[format!("h a: {sync:?} {number}").as_str()]);
        }
        inbox.order(Change::Rotate);
        drop(inbox);
        worker.run();
        // Stopped anywhere: each file is there plain or compressed.
        compressor.stop();
        assert_eq!(counters.written.get(), 300);
    }
    let place = Place::resolve(&path).expect("a place");
    let series = Series::at(place).expect("a directory");
    let mut got = String::new();
    for aged in series.list().expect("a list").into_iter().rev() {
        let mut text = String::new();
        let file = fs::File::open(dir.path().join(series.name_of(aged))).expect("a file");
        unpacked(aged.form, &file)
            .and_then(|mut reader| reader.read_to_string(&mut text))
            .expect("text");
        got.push_str(&text);
    }
    let want: String = ["None", "Durable"]
        .iter()
        .flat_map(|sync| (0..300).map(move |number| format!("t h a: {sync} {number}\n")))
        .collect();
    assert_eq!(got, want);
}
