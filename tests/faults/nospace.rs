//! A disk that is full from the n-th call on, until it has room again (F6). `long.sh nospace-walk` does each n.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::disk::{prove_exact, send};
use super::injection::Injection;
use super::sequence::{Verdict, lines_of};
use crate::support::{Setup, has_suffix, wait_for};

/// Calls that need room, and from which of them on there is none.
const CALLS: [(&str, u32); 4] = [("write", 1), ("write", 2), ("openat", 1), ("renameat2", 1)];

/// What is named in the directory of a log.
const NAMES: [&str; 5] = [
    "logs",
    "logs/log",
    "logs/log.1",
    "logs/.log.new",
    "logs/.log.gz.tmp",
];

/// Whether nothing is left of a rotation or a compression that failed.
fn is_tidy(logs: &Path) -> bool {
    let entries = fs::read_dir(logs).expect("it is there");
    let mut names = entries.map(|entry| entry.expect("it is there").file_name());
    names.all(|name| {
        let name = name.to_string_lossy();
        name == "log" || name == "log.0" || has_suffix(&name, "gz")
    })
}

#[test]
fn f6_a_log_that_has_no_room_at_its_nth_call_goes_on_when_there_is_some() {
    for (call, nth) in CALLS {
        let setup = Setup::new("user.*\t{dir}/logs/log;rotate=1G:999\n").listens(&[]);
        let logs = setup.path("logs");
        fs::create_dir(&logs).expect("it can be made");
        let daemon = setup.start();
        let mut sent = 0;
        let fault = format!("{call}:error=ENOSPC:when={nth}+");
        let Some(injection) = Injection::attach_to_all(&daemon, &NAMES, &fault) else {
            return daemon.finish();
        };
        wait_for("the disk to be full", || {
            send(&daemon, "a", sent, sent + 1);
            sent += 1;
            daemon.signal(Signal::SIGUSR2);
            injection.has_struck()
        });
        send(&daemon, "a", sent, sent + 20);
        sent += 20;
        drop(injection);
        assert_eq!(prove_exact(&daemon, "logs/log", "a", sent), 0, "{fault}");
        let daemon = daemon.stop().start();
        wait_for("the start to tidy up", || is_tidy(&logs));
        let lines = lines_of(&logs.join("log"));
        let verdict = Verdict::of(&lines, &[("a", sent)]);
        assert_eq!(verdict, Verdict::default(), "{fault}, started again");
        daemon.finish();
    }
}
