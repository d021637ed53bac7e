//! Rotation by civil time, by total size and by age, and the forms of compression; without waiting for midnight.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Setup, gunzip, output_of, skip, wait_for};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A file that was last written so many seconds ago.
fn write_before(setup: &Setup, name: &str, text: &str, seconds: u64) {
    setup.write(name, text);
    let file = fs::File::options().write(true).open(setup.path(name));
    let then = SystemTime::now() - Duration::from_secs(seconds);
    file.and_then(|file| file.set_modified(then))
        .expect("a time");
}

/// The files of `log`, by name.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name == "log" || name.starts_with("log.") || name.starts_with(".log"))
        .filter(|name| name != "log.sock")
        .collect();
    names.sort();
    names
}

fn read(setup: &Setup, name: &str) -> String {
    fs::read_to_string(setup.path(name)).expect("it is there")
}

fn wait_for_files(setup: &Setup, want: &[&str]) {
    wait_for(&want.join(" "), || names(setup.directory()) == want);
}

#[test]
fn f33_a_start_rotates_a_file_of_an_earlier_day_and_no_other() {
    let setup = Setup::new(
        "user.*\t{dir}/log\t;rotate=daily\n\
         mail.*\t{dir}/mail\t;rotate=weekly,10M:7\n\
         news.*\t{dir}/news\t;rotate=10M\n",
    );
    write_before(&setup, "log", "yesterday\n", 25 * HOUR);
    write_before(&setup, "log.0", "the day before\n", 49 * HOUR);
    write_before(&setup, "mail", "long ago\n", 400 * DAY);
    write_before(&setup, "news", "long ago\n", 400 * DAY);
    let daemon = setup.start();
    wait_for_files(daemon.setup(), &["log", "log.0", "log.1.gz"]);
    wait_for("mail", || daemon.setup().path("mail.0").exists());
    assert_eq!(
        read(daemon.setup(), "log"),
        "",
        "though nothing was written"
    );
    assert_eq!(read(daemon.setup(), "log.0"), "yesterday\n");
    assert_eq!(
        gunzip(&daemon.setup().path("log.1.gz")),
        b"the day before\n"
    );
    assert_eq!(read(daemon.setup(), "mail.0"), "long ago\n");
    for priority in [13, 22, 62] {
        daemon.unix(format!("<{priority}>app: today"));
    }
    daemon.file("log").wait_for("today");
    daemon.file("mail").wait_for("today");
    daemon.file("news").wait_for("today");
    assert!(read(daemon.setup(), "news").starts_with("long ago\n"));
    assert!(!daemon.setup().path("news.0").exists(), "it has no period");
    daemon.finish();
}

#[test]
fn f33_a_restart_on_the_same_day_does_not_rotate_again() {
    let mut setup = Setup::new("user.*\t{dir}/log\t;rotate=weekly:7\n");
    write_before(&setup, "log", "last week\n", 8 * DAY);
    for life in 0..3 {
        let daemon = setup.start();
        daemon.unix(format!("<13>app: life {life}"));
        daemon.file("log").wait_for(&format!("life {life}"));
        setup = daemon.stop();
    }
    assert_eq!(names(setup.directory()), ["log", "log.0"]);
    assert_eq!(read(&setup, "log.0"), "last week\n");
    assert_eq!(read(&setup, "log").lines().count(), 3);
}

#[test]
fn at_midnight_a_log_is_rotated_though_nobody_writes() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let today = now.expect("past 1970").as_secs() % DAY;
    // A time zone in which it is two seconds before midnight; POSIX counts westward.
    let east = (2 * DAY - 2 - today) % DAY;
    let (sign, offset) = if east > DAY / 2 {
        ('+', DAY - east)
    } else {
        ('-', east)
    };
    let (hours, minutes, seconds) = (offset / HOUR, offset / 60 % 60, offset % 60);
    let zone = format!("TZ=LOC{sign}{hours:02}:{minutes:02}:{seconds:02}");
    let setup = Setup::new("user.*\t{dir}/log\t;rotate=daily\n").wrapper(&["env", &zone]);
    setup.write("log", "before midnight\n");
    let daemon = setup.start();
    wait_for_files(daemon.setup(), &["log", "log.0"]);
    assert_eq!(read(daemon.setup(), "log.0"), "before midnight\n");
    daemon.unix("<13>app: a new day");
    daemon.file("log").wait_for("a new day");
    assert_eq!(names(daemon.setup().directory()), ["log", "log.0"]);
    daemon.finish();
}

#[test]
fn f33_a_file_of_the_future_is_written_on() {
    let setup = Setup::new("user.*\t{dir}/log\t;rotate=hourly\n");
    setup.write("log", "before the clock was set back\n");
    let file = fs::File::options().write(true).open(setup.path("log"));
    let then = SystemTime::now() + Duration::from_secs(400 * DAY);
    file.and_then(|file| file.set_modified(then))
        .expect("a time");
    let daemon = setup.start();
    daemon.unix("<13>app: today");
    let lines = daemon.file("log").wait_for_lines(2);
    assert_eq!(lines[0], "before the clock was set back");
    assert_eq!(names(daemon.setup().directory()), ["log"]);
    daemon.finish();
}

#[test]
fn what_is_too_old_or_too_much_goes_at_the_start_and_only_of_this_log() {
    for (options, want) in [
        (
            "rotate=1M,age=3d",
            &["log", "log.0", "log.1.gz", "log.2.gz"][..],
        ),
        ("rotate=daily,total=60", &["log", "log.0", "log.1.gz"]),
        (
            "rotate=daily:2",
            &["log", "log.0", "log.1.gz", "log.2.gz", "log.3.gz"],
        ),
    ] {
        let setup = Setup::new(&format!("user.*\t{{dir}}/log\t;{options}\n"));
        setup.write("log", "now\n");
        for number in 0..4 {
            let name = format!("log.{number}");
            write_before(&setup, &name, "0123456789\n", 26 * HOUR * number);
            if number > 0 {
                output_of(Command::new("gzip").arg("-n").arg(setup.path(&name)));
            }
        }
        for name in ["log.9.gz", "log.2020", "logs.0"] {
            write_before(&setup, name, "somebody else's\n", 400 * DAY);
        }
        let daemon = setup.start();
        daemon.unix("<13>app: today");
        daemon.file("log").wait_for("today");
        let mut all = names(daemon.setup().directory());
        all.retain(|name| !["log.9.gz", "log.2020"].contains(&name.as_str()));
        assert_eq!(all, want, "{options}");
        for name in ["log.9.gz", "log.2020", "logs.0"] {
            assert_eq!(read(daemon.setup(), name), "somebody else's\n", "{options}");
        }
        daemon.finish();
    }
}

#[test]
fn the_form_of_old_files_is_a_setting_and_each_form_is_its_tools() {
    let mut setup = Setup::new("");
    let has_zstd = Command::new("zstd").arg("-V").output().is_ok();
    if !has_zstd {
        skip("zstd(1), which should read our files, is not installed");
    }
    for (life, options) in [
        ("0", "rotate=daily:9"),
        ("1", "rotate=daily:9"),
        ("2", "rotate=daily:9,compress=gzip:9"),
        ("3", "rotate=daily:9,compress=zstd"),
        ("4", "rotate=daily:9,compress=zstd:19"),
        ("5", "rotate=daily:9,compress=none"),
        ("6", "rotate=daily:9,compress=none"),
    ] {
        setup.configure(&format!("user.*\t{{dir}}/log\t;{options}\n"));
        write_before(&setup, "log", &format!("life {life}\n"), 25 * HOUR);
        let daemon = setup.start();
        let log = daemon.setup().path("log");
        wait_for("the rotation", || {
            fs::read_to_string(&log).is_ok_and(|text| text.is_empty())
        });
        let number = |name: &String| name.starts_with("log.1") || name.starts_with(".log");
        let is_packed = |name: &String| name.ends_with("gz") || name.ends_with("zst");
        wait_for("the compressor", || {
            let mut found = names(daemon.setup().directory()).into_iter().filter(number);
            !("1"..="4").contains(&life)
                || found.all(|name| is_packed(&name) && !name.contains("tmp"))
        });
        setup = daemon.stop();
    }
    let files = [
        "log",
        "log.0",
        "log.1",
        "log.2",
        "log.3.zst",
        "log.4.zst",
        "log.5.gz",
        "log.6.gz",
    ];
    assert_eq!(names(setup.directory()), files);
    for (life, name) in (0..7).rev().zip(&files[1..]) {
        let octets = match name.rsplit_once('.') {
            Some((_, "gz")) => gunzip(&setup.path(name)),
            Some((_, "zst")) => {
                if has_zstd {
                    output_of(Command::new("zstd").arg("-qt").arg(setup.path(name)));
                }
                let file = fs::File::open(setup.path(name)).expect("it is there");
                zstd::decode_all(file).expect("whole")
            }
            _ => fs::read(setup.path(name)).expect("it is there"),
        };
        assert_eq!(octets, format!("life {life}\n").into_bytes(), "{name}");
    }
}
