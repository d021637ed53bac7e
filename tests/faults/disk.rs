//! Disks that are full, fail, go away and come back (F6 to F17): whatever is missing is in a counter, and in
//! a line at its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::injection::Injection;
use super::sequence::{Verdict, lines_of, message};
use crate::support::{
    Counters, DEADLINE, Daemon, LogFile, Setup, is_inside, output_of, skip, sum, wait_for, within,
};

/// The least memory that queues may have: 7 MiB of it for one.
pub(super) const SMALL: &str = "memory 8M\n";

/// A sender whose messages have a kibioctet.
pub(super) fn long() -> String {
    "x".repeat(950)
}

/// Sends messages `from..to` of one sender.
pub(super) fn send(daemon: &Daemon, source: &str, from: u64, to: u64) {
    for number in from..to {
        daemon.unix(message(source, number));
    }
}

/// More than fits into the queues, over TCP: a process of this host would be held to its share.
pub(super) fn send_too_much(daemon: &Daemon, source: &str) -> u64 {
    let sent = 10_000;
    let lines = (0..sent).map(|number| message(source, number) + "\n");
    daemon.tcp_stream(lines.collect::<String>());
    sent
}

/// The sum over all lines that tell how many messages are missing.
pub(super) fn told(lines: &[String]) -> u64 {
    let count = |line: &String| -> Option<u64> {
        let (_, rest) = line.split_once("]: dropped ")?;
        rest.contains(" here between ")
            .then_some(rest.split_once(' ')?.0)?
            .parse()
            .ok()
    };
    lines.iter().filter_map(count).sum()
}

/// A tmpfs of its own at a new directory, in the namespaces of `is_inside`.
pub(super) fn mount(directory: &Path, options: &str) {
    fs::create_dir(directory).expect("it can be made");
    output_of(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(directory),
    );
}

/// Makes an ext4 in the file `$0` and mounts it at `$1`.
const LOOP: &str = r#"
    set -e
    truncate -s 64M "$0"
    mkfs.ext4 -q -F -O ^has_journal "$0"
    mount -o loop "$0" "$1"
"#;

/// Ends a story: a directory that something is mounted on could not be removed.
pub(super) fn unmount(daemon: Daemon, name: &str) {
    let directory = daemon.setup().path(name);
    output_of(Command::new("umount").arg("-l").arg(directory));
    daemon.finish();
}

/// The counters at a quiet point when all that was sent has reached the output `name`: before that, what
/// waits in the socket or on its way is in no counter of an output, and they balance all the same.
#[track_caller]
pub(super) fn settled(daemon: &Daemon, name: &str, sent: u64) -> Counters {
    within(DEADLINE, || {
        let counters = daemon.quiet();
        let enqueued = counters.output(name)["enqueued"].as_u64();
        (enqueued >= Some(sent)).then_some(counters)
    })
    .expect("all that was sent is enqueued")
}

/// What is missing from `name` is counted there, and told there, to the message; nothing is doubled.
#[track_caller]
pub(super) fn prove_exact(daemon: &Daemon, name: &str, source: &str, sent: u64) -> u64 {
    let counters = settled(daemon, &format!("/{name}"), sent);
    let dropped = sum(&counters.output(&format!("/{name}"))["dropped"]);
    let path = daemon.setup().path(name);
    wait_for("all gaps to be told", || told(&lines_of(&path)) >= dropped);
    let lines = lines_of(&path);
    let mut verdict = Verdict::of(&lines, &[(source, sent)]);
    assert_eq!(verdict.lost() as u64, dropped, "{counters:?}");
    assert_eq!(told(&lines), dropped);
    verdict.missing.clear();
    assert_eq!(verdict, Verdict::default());
    dropped
}

#[test]
fn f7_a_full_disk_that_has_room_again() {
    if !is_inside("faults::disk::f7_a_full_disk_that_has_room_again") {
        return;
    }
    let setup = Setup::new(&format!("{SMALL}user.*\t{{dir}}/small/log\n"));
    mount(&setup.path("small"), "size=256k");
    let daemon = setup.start();
    let source = long();
    let sent = send_too_much(&daemon, &source);
    let nospace = || daemon.counters().output("small/log")["dropped"]["nospace"].as_u64();
    wait_for("messages to be dropped", || nospace() > Some(0));
    daemon.stderr().wait_for("No space left on device");
    output_of(
        Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(daemon.setup().path("small")),
    );
    let dropped = prove_exact(&daemon, "small/log", &source, sent);
    assert!(dropped > 0);
    let line = daemon.file("small/log").wait_for(" here between ");
    assert!(line.ends_with(": no space left"), "{line}");
    unmount(daemon, "small");
}

#[test]
fn f6_f8_f9_writing_goes_on_after_every_error() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    let mut sent = 0;
    for error in ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ESTALE"] {
        let fault = format!("write:error={error}");
        let Some(injection) = Injection::attach(&daemon, "log", &fault) else {
            return daemon.finish();
        };
        let before = daemon.stderr().count();
        send(&daemon, "a", sent, sent + 20);
        sent += 20;
        let found = daemon
            .stderr()
            .find(before, |line| line.contains("cannot write"));
        assert!(found.is_some(), "{error}");
        drop(injection);
        assert_eq!(prove_exact(&daemon, "log", "a", sent), 0, "{error}");
    }
    daemon.finish();
}

#[test]
fn f9_a_disk_that_fails_for_long_costs_what_the_counters_say() {
    let daemon = Daemon::start(&format!("{SMALL}user.*\t{{dir}}/log\n"));
    let Some(injection) = Injection::attach(&daemon, "log", "write:error=EIO") else {
        return daemon.finish();
    };
    let source = long();
    let sent = send_too_much(&daemon, &source);
    let io = || daemon.counters().output("/log")["dropped"]["io"].as_u64();
    wait_for("messages to be dropped", || io() > Some(0));
    drop(injection);
    assert!(prove_exact(&daemon, "log", &source, sent) > 0);
    daemon.finish();
}

#[test]
fn f8_f16_a_file_size_limit_that_is_raised_bit_by_bit() {
    // A write that crosses the limit is short; the next one is an error, and SIGXFSZ kills nobody.
    let daemon = Setup::new("user.*\t{dir}/log\n")
        .wrapper(&["prlimit", "--fsize=20011:unlimited"])
        .start();
    let (source, sent) = (long(), 60);
    send(&daemon, &source, 0, sent);
    for limit in [20_011, 33_333, 47_777] {
        let log = daemon.setup().path("log");
        wait_for("the limit", || {
            fs::metadata(&log).is_ok_and(|meta| meta.len() == limit)
        });
        output_of(
            Command::new("prlimit")
                .args(["--pid", &daemon.pid().to_string()])
                .arg(match limit {
                    20_011 => "--fsize=33333:unlimited",
                    33_333 => "--fsize=47777:unlimited",
                    _ => "--fsize=unlimited:unlimited",
                }),
        );
    }
    daemon.stderr().wait_for("File too large");
    assert_eq!(prove_exact(&daemon, "log", &source, sent), 0);
    daemon.finish();
}

#[test]
fn f17_a_storm_of_interruptions_changes_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/log;sync=durable,rotate=16k:50\n");
    let fault = "write,fdatasync,openat:error=EINTR:when=1+2";
    let Some(injection) = Injection::attach(&daemon, "log", fault) else {
        return daemon.finish();
    };
    send(&daemon, "a", 0, 300);
    assert_eq!(prove_exact(&daemon, "log", "a", 300), 0);
    assert!(injection.has_struck());
    drop(injection);
    daemon.finish();
}

/// The lines of a log and of those that were set aside when a sync failed.
fn with_unsynced(setup: &Setup, name: &str) -> (Vec<String>, usize) {
    let unsynced: Vec<_> = (0..1000)
        .map(|number| setup.path(&format!("{name}.unsynced-{number}")))
        .take_while(|path| path.exists())
        .collect();
    let count = unsynced.len();
    let mut lines = Vec::new();
    for path in unsynced.into_iter().chain([setup.path(name)]) {
        lines.extend(LogFile::new(path).lines());
    }
    (lines, count)
}

#[test]
fn f10_a_sync_that_failed_is_not_believed_when_it_succeeds() {
    for options in ["", ";sync=durable"] {
        let daemon = Daemon::start(&format!("user.*\t{{dir}}/log{options}\n"));
        // Every other one fails: a second try would pretend.
        let fault = "fdatasync:error=EIO:when=1+2";
        let Some(injection) = Injection::attach(&daemon, "log", fault) else {
            return daemon.finish();
        };
        send(&daemon, "a", 0, 100);
        daemon.stderr().wait_for("written again to a new file");
        wait_for("the lines to be on the disk", || {
            daemon.counters().output("/log")["rewritten"].as_u64() > Some(0)
        });
        drop(injection);
        let counters = daemon.quiet();
        assert_eq!(counters.output("/log")["written"], 100);
        let (lines, aside) = with_unsynced(daemon.setup(), "log");
        assert!(aside > 0);
        let mut verdict = Verdict::of(&lines, &[("a", 100)]);
        let rewritten = counters.output("/log")["rewritten"].as_u64();
        assert_eq!(Some(verdict.doubled), rewritten);
        (verdict.doubled, verdict.out_of_order) = (0, 0);
        assert_eq!(verdict, Verdict::default());
        daemon.finish();
    }
}

#[test]
fn f10_while_no_sync_succeeds_nothing_more_is_taken_and_nothing_is_lost() {
    let daemon = Daemon::start("user.*\t{dir}/log;sync=durable\n");
    let Some(injection) = Injection::attach(&daemon, "log", "fdatasync:error=EIO") else {
        return daemon.finish();
    };
    send(&daemon, "a", 0, 10);
    daemon.stderr().wait_for("written again to a new file");
    daemon.stderr().wait_for("messages held");
    send(&daemon, "a", 10, 50);
    wait_for("messages to wait", || {
        daemon.counters().output("/log")["queued"].as_u64() > Some(0)
    });
    drop(injection);
    daemon.file("log").wait_for(" n=49 ");
    let counters = daemon.quiet();
    assert_eq!(counters.output("/log")["written"], 50);
    // The new file holds all of them, once; only the first one was set aside.
    let verdict = Verdict::of(&daemon.file("log").lines(), &[("a", 50)]);
    assert_eq!(verdict, Verdict::default());
    assert_eq!(with_unsynced(daemon.setup(), "log").1, 1);
    daemon.finish();
}

#[test]
fn f10_a_disk_that_takes_writes_and_fails_to_sync_them() {
    if !is_inside("faults::disk::f10_a_disk_that_takes_writes_and_fails_to_sync_them") {
        return;
    }
    let setup = Setup::new("user.*\t{dir}/disk/log;sync=durable\n");
    // An ext4 whose image is on a file system with far less room than it believes.
    mount(&setup.path("back"), "size=2m");
    let (image, disk) = (setup.path("back/img"), setup.path("disk"));
    fs::create_dir(&disk).expect("it can be made");
    let made = Command::new("sh")
        .args(["-c", LOOP])
        .args([&image, &disk])
        .output();
    let made = made.expect("a shell");
    if !made.status.success() {
        output_of(Command::new("umount").arg("-l").arg(setup.path("back")));
        let why = String::from_utf8_lossy(&made.stderr);
        return skip(&format!("needs mkfs.ext4(8) and a loop device: {why}"));
    }
    let daemon = setup.start();
    let (source, sent) = ("x".repeat(7000), 400);
    send(&daemon, &source, 0, sent);
    daemon.stderr().wait_for("written again to a new file");
    output_of(
        Command::new("mount")
            .args(["-o", "remount,size=256m"])
            .arg(daemon.setup().path("back")),
    );
    daemon.file("disk/log").wait_for(" n=399 ");
    daemon.quiet();
    let (lines, aside) = with_unsynced(daemon.setup(), "disk/log");
    assert!(aside > 0);
    let verdict = Verdict::of(&lines, &[(&source, sent)]);
    assert_eq!((verdict.lost(), verdict.torn), (0, Vec::new()));
    output_of(
        Command::new("umount")
            .arg("-l")
            .arg(daemon.setup().path("disk")),
    );
    unmount(daemon, "back");
}

#[test]
fn f13_without_an_inode_a_full_file_is_written_on_and_a_new_one_waited_for() {
    if !is_inside(
        "faults::disk::f13_without_an_inode_a_full_file_is_written_on_and_a_new_one_waited_for",
    ) {
        return;
    }
    let setup = Setup::new("user.*\t{dir}/small/log;rotate=12k:5\nmail.*\t{dir}/small/late\n");
    mount(&setup.path("small"), "size=1m,nr_inodes=2");
    let daemon = setup.start();
    // The root of the file system and one of the two logs have them all.
    let (lacks, facility) = if daemon.setup().path("small/log").exists() {
        ("small/late", 22)
    } else {
        ("small/log", 14)
    };
    send(&daemon, "a", 0, 200);
    daemon.unix(format!("<{facility}>app: to the other log"));
    daemon
        .stderr()
        .wait_for(&format!("{lacks}: No space left on device"));
    output_of(
        Command::new("mount")
            .args(["-o", "remount,nr_inodes=100"])
            .arg(daemon.setup().path("small")),
    );
    daemon.quiet();
    assert_eq!(prove_exact(&daemon, "small/log", "a", 200), 0);
    unmount(daemon, "small");
}

#[test]
fn f14_a_log_that_is_moved_removed_truncated_or_replaced_comes_back() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    let log = daemon.setup().path("log");
    let aside = daemon.setup().path("aside");
    let mut sent = 0;
    for case in ["removed", "truncated", "link", "fifo", "directory"] {
        daemon.unix(format!("<13>app: before it is {case}"));
        daemon.file("log").wait_for(case);
        daemon.quiet();
        let refusal = match case {
            "removed" => {
                fs::remove_file(&log).expect("it is there");
                None
            }
            "truncated" => {
                fs::File::create(&log).expect("it can be truncated");
                None
            }
            "link" => {
                fs::remove_file(&log).expect("it is there");
                fs::write(&aside, "not ours").expect("a file");
                fs::hard_link(&aside, &log).expect("a second name");
                Some("it has 2 hard links")
            }
            "fifo" => {
                fs::remove_file(&log).expect("it is there");
                mkfifo(&log, Mode::S_IRWXU).expect("a FIFO");
                Some("it is a FIFO (write |/path)")
            }
            _ => {
                fs::remove_file(&log).expect("it is there");
                fs::create_dir(&log).expect("a directory");
                Some("Is a directory")
            }
        };
        send(&daemon, "a", sent, sent + 10);
        if let Some(refusal) = refusal {
            daemon.stderr().wait_for(refusal);
            if case == "directory" {
                fs::remove_dir(&log).expect("it is there");
            } else {
                fs::remove_file(&log).expect("it is there");
            }
        }
        let last = format!(" n={} ", sent + 9);
        daemon.file("log").wait_for(&last);
        let lines = daemon.file("log").lines();
        let verdict = Verdict::of(&lines, &[("a", sent + 10)]);
        assert_eq!(verdict.lost() as u64, sent, "{case}: of those before");
        sent += 10;
    }
    assert_eq!(fs::read_to_string(&aside).ok().as_deref(), Some("not ours"));
    daemon.finish();
}

#[test]
fn f14_a_link_that_another_could_have_made_is_not_followed() {
    let daemon = Daemon::start("user.*\t{dir}/open/log\n");
    let (open, target) = (daemon.setup().path("open"), daemon.setup().path("target"));
    fs::write(&target, "").expect("a file");
    fs::create_dir(&open).expect("a directory");
    let shared = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(&open, shared).expect("chmod");
    symlink(&target, open.join("log")).expect("a link");
    send(&daemon, "a", 0, 10);
    daemon
        .stderr()
        .wait_for("symbolic link that others could have made");
    fs::remove_file(open.join("log")).expect("it is there");
    assert_eq!(prove_exact(&daemon, "open/log", "a", 10), 0);
    assert_eq!(fs::read(&target).ok().as_deref(), Some(&b""[..]));
    daemon.finish();
}

#[test]
fn f15_a_directory_that_goes_and_comes_back() {
    let daemon = Daemon::start("user.*\t{dir}/sub/log\n");
    let sub = daemon.setup().path("sub");
    fs::create_dir(&sub).expect("a directory");
    daemon.unix("<13>app: in the first one");
    daemon.file("sub/log").wait_for("in the first one");
    daemon.quiet();
    fs::remove_dir_all(&sub).expect("it goes");
    let before = daemon.stderr().count();
    send(&daemon, "a", 0, 10);
    let why = daemon
        .stderr()
        .find(before, |line| line.contains("No such file or directory"));
    assert!(why.is_some());
    fs::create_dir(&sub).expect("it comes back");
    assert_eq!(prove_exact(&daemon, "sub/log", "a", 10), 0);
    daemon.finish();
}

#[test]
fn f1_a_line_that_a_crash_cut_off_is_ended_and_counted() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    setup.write("log", "Nov 22 11:00:00 host app: torn in the mid");
    let daemon = setup.start();
    send(&daemon, "a", 0, 10);
    assert_eq!(prove_exact(&daemon, "log", "a", 10), 0);
    assert_eq!(daemon.counters().output("/log")["torn_tails"], 1);
    daemon.finish();
}

#[test]
fn s1_a_fifo_tells_its_reader_what_is_missing() {
    let setup = Setup::new("user.*\t|{dir}/fifo\n");
    let fifo = setup.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let daemon = setup.start();
    let (source, sent) = (long(), 200);
    send(&daemon, &source, 0, sent);
    let dropped = sum(&settled(&daemon, "fifo", sent).output("fifo")["dropped"]);
    assert!(dropped > 0);
    // A reader comes: it hears of the gap although no message follows.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&fifo);
    let heard = crate::support::Lines::read(reader.expect("it opens"));
    heard.wait_for(&format!("dropped {dropped} messages here between "));
    daemon.unix(message(&source, sent));
    heard.wait_for(&format!(" n={sent} "));
    let verdict = Verdict::of(&heard.all(), &[(&source, sent + 1)]);
    assert_eq!(verdict.lost() as u64, dropped);
    assert_eq!(told(&heard.all()), dropped);
    daemon.finish();
}

#[test]
fn v35_keep_free_gives_up_old_files_then_the_least_urgent_and_auth_last() {
    if !is_inside(
        "faults::disk::v35_keep_free_gives_up_old_files_then_the_least_urgent_and_auth_last",
    ) {
        return;
    }
    let rules = "keep_free 800k\nuser.*;auth.*\t{dir}/small/log;rotate=64k:5\n";
    let setup = Setup::new(rules).arguments(&["-cc"]);
    let small = setup.path("small");
    mount(&small, "size=1m");
    for name in ["log.0", "log.1", "log.2"] {
        fs::write(small.join(name), vec![b'x'; 10 << 10]).expect("it fits");
    }
    fs::write(small.join("filler"), vec![b'x'; 900 << 10]).expect("it fits");
    let daemon = setup.start();
    daemon.unix("<15>app: debug");
    daemon.unix("<11>app: an error");
    daemon.unix("<10>app: critical");
    daemon.unix("<39>app: debug of auth");
    let log = daemon.file("small/log");
    log.wait_for("app: debug of auth");
    daemon
        .stderr()
        .wait_for("all messages but auth, authpriv, crit, alert and emerg are dropped");
    daemon.stderr().wait_for("removed");
    for (name, there) in [("log.0", true), ("log.1", false), ("log.2", false)] {
        assert_eq!(small.join(name).exists(), there, "{name}");
    }
    let counters = daemon.quiet();
    assert_eq!(counters.output("small/log")["dropped"]["policy"], 2);
    assert_eq!(log.lines().len(), 2, "{:?}", log.lines());
    fs::remove_file(small.join("filler")).expect("it is there");
    let debug = message("a", 0).replace("<13>", "<15>");
    wait_for("everything to be written again", || {
        daemon.unix(&debug);
        log.lines().iter().any(|line| line.contains("src=a"))
    });
    daemon.stderr().wait_for("everything is written again");
    let policy = daemon.quiet().output("small/log")["dropped"]["policy"].as_u64();
    let count = policy.expect("a number");
    let line = log.wait_for(&format!("dropped {count} message"));
    assert!(line.ends_with("little space left (keep_free)"), "{line}");
    unmount(daemon, "small");
}

#[test]
fn v35_what_keep_free_gives_up_is_told_once_and_not_for_each_message() {
    // More than any disk has: our own warnings are given up, too.
    let daemon = Daemon::with(&["-cc"], "keep_free 9000000G\n*.*\t{dir}/log\n");
    let told = || {
        let said = daemon.stderr().all();
        let begins = said.iter().filter(|line| line.contains("more are counted"));
        begins.count()
    };
    for number in 0..5 {
        let from = told();
        daemon.unix("<13>app: given up");
        daemon.unix(format!("<10>app: kept {number}"));
        daemon.file("log").wait_for(&format!("app: kept {number}"));
        assert!(from <= 1 && told() <= 1, "{:?}", daemon.stderr().all());
    }
    let dropped = sum(&daemon.quiet().output("log")["dropped"]);
    assert!(dropped >= 5, "{dropped}");
    assert_eq!(told(), 1);
    drop(daemon.stop());
}
