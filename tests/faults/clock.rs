//! Clocks that step, and time zones that change (F33, F34, and the clock of F43).
//!
//! The daemon is told the time by `clock.c`; its timers run on the monotonic clock, which nobody can set.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::sequence::{Verdict, message};
use crate::support::{Daemon, Setup, is_inside, output_of, skip, wait_for};

/// The wall clock of one daemon.
pub(crate) struct Clock(File);

impl Clock {
    /// Gives a daemon that is yet to be started a clock, which stands at this second; `None`, and a word
    /// about it, where there is no C compiler.
    pub(crate) fn of(setup: Setup, zone: &str, now: i64) -> Option<(Setup, Self)> {
        fs::create_dir(setup.path("clock")).expect("a directory");
        let (library, file) = (setup.path("clock/clock.so"), setup.path("clock/now"));
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-o"]).arg(&library);
        compile.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c"));
        if !compile.output().is_ok_and(|it| it.status.success()) {
            skip("needs a C compiler");
            return None;
        }
        let clock = Self(File::create(&file).expect("a file"));
        clock.set(now);
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let environment = vec![
            ("LD_PRELOAD", text(&library)),
            ("CLOCK", text(&file)),
            ("TZ", zone.to_owned()),
        ];
        Some((setup.environment(environment), clock))
    }

    /// From now on it is this second.
    pub(crate) fn set(&self, now: i64) {
        self.0
            .write_all_at(&now.to_ne_bytes(), 0)
            .expect("the file has room");
    }
}

const LOG: &str = "user.*\t{dir}/log\t;RFC5424\n";

#[test]
fn f33_every_moment_is_written_as_the_calendar_has_it() {
    let utc = &[
        (1, "1970-01-01T00:00:01.000000+00:00"),
        (4_294_967_296, "2106-02-07T06:28:16.000000+00:00"),
        (1_798_761_599, "2026-12-31T23:59:59.000000+00:00"),
        (1_798_761_600, "2027-01-01T00:00:00.000000+00:00"),
        (2_147_483_647, "2038-01-19T03:14:07.000000+00:00"),
        (2_147_483_648, "2038-01-19T03:14:08.000000+00:00"),
        (1_835_438_400, "2028-02-29T12:00:00.000000+00:00"),
        (4_107_542_400, "2100-03-01T00:00:00.000000+00:00"),
    ][..];
    let berlin = &[
        (1_806_195_599, "2027-03-28T01:59:59.000000+01:00"),
        (1_806_195_600, "2027-03-28T03:00:00.000000+02:00"),
        (1_824_944_399, "2027-10-31T02:59:59.000000+02:00"),
        (1_824_944_400, "2027-10-31T02:00:00.000000+01:00"),
    ][..];
    for (zone, moments) in [("UTC0", utc), (":Europe/Berlin", berlin)] {
        let Some((setup, clock)) = Clock::of(Setup::new(LOG), zone, 1) else {
            return;
        };
        let daemon = setup.start();
        for (now, stamp) in moments {
            clock.set(*now);
            daemon.unix(format!("<13>app: at second {now}."));
            let line = daemon.file("log").wait_for(&format!("second {now}."));
            assert_eq!(line.split(' ').next(), Some(*stamp), "{line}");
        }
        daemon.finish();
    }
}

#[test]
fn f33_a_stamp_without_a_year_gets_the_one_that_is_near() {
    let Some((setup, clock)) = Clock::of(Setup::new(LOG), "UTC0", 1) else {
        return;
    };
    let daemon = setup.start();
    for (now, stamp, is) in [
        // Two seconds into a year, three seconds before one, and a clock that begins at 1970.
        (1_798_761_602, "Dec 31 23:59:58", "2026-12-31T23:59:58"),
        (1_798_761_597, "Jan  1 00:00:01", "2027-01-01T00:00:01"),
        (2_147_483_648, "Jan 19 03:14:07", "2038-01-19T03:14:07"),
        (60, "Dec 31 23:59:59", "1969-12-31T23:59:59"),
        // The day that only leap years have.
        (1_835_438_400, "Feb 29 11:00:00", "2028-02-29T11:00:00"),
        (1_809_500_000, "Feb 29 11:00:00", "2024-02-29T11:00:00"),
    ] {
        clock.set(now);
        daemon.udp(format!("<13>{stamp} host app: at {now}, {stamp}."));
        let line = daemon.file("log").wait_for(&format!("at {now}, {stamp}."));
        assert!(line.starts_with(is), "{line}");
    }
    // A second that the clock has not, and its message is there all the same.
    daemon.udp("<13>1 2016-12-31T23:59:60Z host app - - - in a leap second");
    daemon.file("log").wait_for("in a leap second");
    daemon.finish();
}

#[test]
fn f33_timers_go_on_whatever_the_clock_does() {
    let start = 1_795_000_000;
    let rules = "user.*\t{dir}/logs/log;sync=durable,rotate=4k:99,compress=none\n";
    let Some((setup, clock)) = Clock::of(Setup::new(rules), "UTC0", start) else {
        return;
    };
    let (logs, aside) = (setup.path("logs"), setup.path("aside"));
    fs::create_dir(&logs).expect("a directory");
    let daemon = setup.start();
    let mut sent = 0;
    let year = 365 * 86_400;
    for step in [year, -year, 3600, -3600, -50 * year, 10 * year] {
        // While it waits for its next try to open the file the clock steps.
        fs::rename(&logs, &aside).expect("it is there");
        fs::write(&logs, "in its place").expect("a file");
        daemon.reload();
        let before = daemon.stderr().count();
        for _ in 0..20 {
            daemon.unix(message("a", sent));
            sent += 1;
        }
        let told = daemon
            .stderr()
            .find(before, |line| line.contains("Not a directory"));
        assert!(told.is_some(), "{:?}", daemon.stderr().all());
        clock.set(start + step);
        fs::remove_file(&logs).expect("it is there");
        fs::rename(&aside, &logs).expect("it is there");
        let last = format!(" n={} ", sent - 1);
        wait_for("the next try", || {
            let lines = super::sequence::lines_of(&logs.join("log"));
            lines.iter().any(|line| line.contains(&last))
        });
    }
    let lines = super::sequence::lines_of(&logs.join("log"));
    assert_eq!(Verdict::of(&lines, &[("a", sent)]), Verdict::default());
    daemon.finish();
}

/// A time zone of so many hours east, all year (RFC 9636).
fn zone(hours: i32) -> Vec<u8> {
    // Version 1; of all there is but one kind of time, whose name has four octets.
    let counts = [0, 0, 0, 0, 1, 4_u32].map(u32::to_be_bytes).concat();
    let time = [&(hours * 3600).to_be_bytes()[..], &[0, 0], b"OWN\0"].concat();
    [&b"TZif"[..], &[0; 16], &counts, &time].concat()
}

/// Whatever comes now gets a stamp with this offset.
#[track_caller]
fn stamps_are(daemon: &Daemon, offset: &str, when: &str) {
    // One thread each.
    daemon.unix(format!("<13>app: {when}, over unix."));
    daemon.udp(format!("<13>app: {when}, over UDP."));
    for input in ["unix", "UDP"] {
        let text = format!("{when}, over {input}.");
        let line = daemon.file("log").wait_for(&text);
        let stamp = line.split(' ').next().unwrap_or_default();
        assert!(stamp.ends_with(offset), "{line}");
    }
}

#[test]
fn f34_a_zone_file_of_tz_that_changes_or_goes_counts_at_the_next_start() {
    let setup = Setup::new(LOG);
    fs::create_dir(setup.path("zones")).expect("a directory");
    let file = setup.path("zones/own");
    fs::write(&file, zone(3)).expect("a file");
    let named = setup.placed(":{dir}/zones/own");
    let daemon = setup.environment(vec![("TZ", named)]).start();
    stamps_are(&daemon, "+03:00", "at first");
    for (content, when) in [
        (Some(zone(-5)), "another zone"),
        (Some(b"TZif, or not".to_vec()), "damaged"),
        (None, "removed"),
    ] {
        match content {
            Some(content) => fs::write(&file, content).expect("a file"),
            None => fs::remove_file(&file).expect("it is there"),
        }
        stamps_are(&daemon, "+03:00", when);
        daemon.reload();
        stamps_are(&daemon, "+03:00", &format!("{when}, reloaded"));
    }
    let daemon = daemon.stop().start();
    stamps_are(&daemon, "+00:00", "started without");
    fs::write(&file, zone(-5)).expect("a file");
    let daemon = daemon.stop().start();
    stamps_are(&daemon, "-05:00", "started with another");
    daemon.finish();
}

/// Within namespaces: an /etc that is ours alone, and empty.
fn localtime_of_our_own() -> &'static Path {
    output_of(Command::new("mount").args(["-t", "tmpfs", "none", "/etc"]));
    let is_ours = statfs("/etc").is_ok_and(|it| it.filesystem_type() == TMPFS_MAGIC);
    assert!(is_ours && !Path::new("/etc/passwd").exists());
    Path::new("/etc/localtime")
}

#[test]
fn f34_a_zone_of_the_host_that_is_none_is_told_where_it_counts() {
    if !is_inside("faults::clock::f34_a_zone_of_the_host_that_is_none_is_told_where_it_counts") {
        return;
    }
    let localtime = localtime_of_our_own();
    fs::write(localtime, "TZif, or not").expect("a file");
    for (zone, offset) in [(None, "+00:00"), (Some("OWN-3"), "+03:00")] {
        let setup = match zone {
            None => Setup::new(LOG).wrapper(&["env", "-u", "TZ"]),
            Some(zone) => Setup::new(LOG).environment(vec![("TZ", zone.to_owned())]),
        };
        let daemon = setup.start();
        stamps_are(&daemon, offset, "now");
        let said = daemon.stderr().all();
        let told = "/etc/localtime is no time zone: it is cut off, or damaged; times are in UTC";
        let is_told = said.iter().any(|line| line.ends_with(told));
        assert_eq!(is_told, zone.is_none(), "{said:#?}");
        daemon.finish();
    }
}

#[test]
fn f34_another_zone_of_the_host_counts_from_the_next_second_on() {
    let name = "faults::clock::f34_another_zone_of_the_host_counts_from_the_next_second_on";
    if !is_inside(name) {
        return;
    }
    let setup = Setup::new(LOG).wrapper(&["env", "-u", "TZ"]);
    let start = 1_795_000_000;
    let Some((setup, clock)) = Clock::of(setup, "", start) else {
        return;
    };
    let localtime = localtime_of_our_own();
    // Files of two moments: what changes within one nobody could notice.
    let write = |path: &Path, content: &[u8], moment: u64| {
        fs::write(path, content).expect("a file");
        let file = File::options().write(true).open(path).expect("a file");
        let time = UNIX_EPOCH + Duration::from_secs(moment);
        file.set_modified(time).expect("it is ours");
    };
    write(localtime, &zone(3), 1);
    let daemon = setup.start();
    stamps_are(&daemon, "+03:00", "at first");
    for (step, when, offset) in [
        (1, "another file", "-05:00"),
        (2, "a link", "+09:00"),
        (3, "no zone at all", "+00:00"),
        (4, "a zone again", "+02:00"),
        (5, "none there", "+00:00"),
        (6, "one is back", "+01:00"),
    ] {
        _ = fs::remove_file(localtime);
        match step {
            1 => write(localtime, &zone(-5), 2),
            2 => {
                write(Path::new("/etc/tokyo"), &zone(9), 1);
                symlink("/etc/tokyo", localtime).expect("a link");
            }
            3 => write(localtime, b"TZif, or not", 3),
            4 => write(localtime, &zone(2), 4),
            5 => {}
            _ => write(localtime, &zone(1), 5),
        }
        clock.set(start + step);
        stamps_are(&daemon, offset, when);
    }
    daemon.finish();
}
