//! Named pipes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Daemon, Lines, Setup, wait_for};

/// A setup with a FIFO in its directory.
fn setup() -> Setup {
    let setup = Setup::new("user.*\t|{dir}/pipe\nuser.*\t{dir}/user\n").arguments(&["-c"]);
    mkfifo(&setup.path("pipe"), Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
    setup
}

/// Opens the reading end. As it is the writing end too, open(2) waits for nobody.
fn open(path: &Path) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("a FIFO")
}

/// A reader who reads all the time.
fn read(path: &Path) -> Lines {
    Lines::read(open(path))
}

#[test]
fn a_reader_gets_every_record() {
    let daemon = setup().start();
    let lines = read(&daemon.setup().path("pipe"));
    for number in 0..500 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    lines.wait_for("number 499.");
    for (number, line) in lines.all().iter().enumerate() {
        assert!(
            line.ends_with(&format!(" app: number {number}.")),
            "{number}: {line}"
        );
    }
    daemon.finish();
}

#[test]
fn what_a_pipe_without_reader_cannot_hold_is_dropped_whole_and_counted() {
    let daemon = setup().start();
    for number in 0..3000 {
        daemon.unix(format!("<13>app: number {number}. {}", "x".repeat(50)));
    }
    let lines = daemon.file("user").wait_for_lines(3000);
    assert_eq!(lines.len(), 3000, "the file is none the worse");
    let counters = daemon.quiet();
    let pipe = counters.output("/pipe");
    let dropped = pipe["dropped"]["fifo_full"].as_u64().expect("a number");
    let written = pipe["written"].as_u64().expect("a number");
    assert!(dropped > 0 && written > 0, "{pipe}");
    assert_eq!(dropped + written, 3000);
    assert!(daemon.stderr().wait_for("FIFO full").contains("dropped"));

    // What the pipe holds is whole records, and there is room again afterwards.
    let mut held = Vec::new();
    let path = daemon.setup().path("pipe");
    let octets = pipe["octets"].as_u64().expect("a number");
    open(&path)
        .take(octets)
        .read_to_end(&mut held)
        .expect("it is there");
    let held = String::from_utf8(held).expect("UTF-8");
    assert_eq!(held.lines().count() as u64, written);
    assert!(
        held.lines().all(|line| line.ends_with("xxx")),
        "a torn record"
    );
    let lines = read(&path);
    daemon.unix("<13>app: room again");
    lines.wait_for("room again");
    daemon.finish();
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let daemon = setup().start();
    let path = daemon.setup().path("pipe");
    drop(open(&path));
    daemon.unix("<13>app: nobody reads this");
    daemon.file("user").wait_for("nobody reads this");
    let lines = read(&path);
    lines.wait_for("nobody reads this");
    daemon.finish();
}

#[test]
fn a_pipe_that_is_not_there_stops_nobody_else_and_is_told_once() {
    let daemon = Daemon::start("user.*\t|{dir}/pipe\nuser.*\t{dir}/user\n");
    for number in 0..100 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("user").wait_for("number 99.");
    let complaints = || {
        let said = daemon.stderr().all();
        said.iter()
            .filter(|line| line.contains("/pipe") && line.contains("No such file"))
            .count()
    };
    wait_for("a complaint", || complaints() > 0);
    assert_eq!(complaints(), 1, "{:#?}", daemon.stderr().all());
    daemon.finish();
}
