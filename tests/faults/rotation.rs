//! A kill before each system call of a rotation and of a compression, and the power cut (F2, F3, F41, F42).
//!
//! The short walk: the calls that change the directory or sync it. `long.sh kill-walk` does all calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::sequence::{Verdict, lines_of, message};
use crate::support::{Daemon, Setup, gunzip, is_inside, output_of, skip, wait_for};

/// What the files hold together, the oldest first; of a file that is there twice, the plain form.
fn stream(directory: &Path) -> String {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it is there").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix("log").unwrap_or(".hidden");
        let plain = rest.trim_end_matches(".gz");
        let age = match plain.strip_prefix('.') {
            None => -1,
            Some(number) => number.parse::<i64>().unwrap_or(-2),
        };
        // ".gz" sorts behind the plain form, which replaces it.
        if age >= -1 {
            files
                .entry((-age, rest.len() == plain.len()))
                .or_insert(path.clone());
        }
    }
    let mut text = String::new();
    for ((age, is_plain), path) in &files {
        if *is_plain {
            text.push_str(&fs::read_to_string(path).expect("it is there"));
        } else if !files.contains_key(&(*age, true)) {
            text.push_str(&String::from_utf8(gunzip(path)).expect("it is text"));
        }
    }
    text
}

/// A log of four files, and a start that rotates them or only compresses.
fn prepared(rotates: bool) -> Setup {
    let setup = Setup::new("user.*\t{dir}/logs/log;rotate=daily:9\n").listens(&[]);
    fs::create_dir(setup.path("logs")).expect("a directory");
    for name in ["log.3", "log.2", "log.1", "log.0", "log"] {
        setup.write(
            &format!("logs/{name}"),
            &format!("{name}, a line\nand one more\n"),
        );
    }
    for name in ["log.3", "log.2"] {
        output_of(
            Command::new("gzip")
                .arg("-n")
                .arg(setup.path("logs").join(name)),
        );
    }
    if rotates {
        let file = fs::File::options().write(true).open(setup.path("logs/log"));
        let yesterday = SystemTime::now() - Duration::from_secs(26 * 3600);
        file.and_then(|file| file.set_modified(yesterday))
            .expect("a time");
    }
    setup
}

/// Whether the rotation and the compression are done and nothing is left of them.
fn is_tidy(directory: &Path, oldest: u32) -> bool {
    let mut want = vec!["log".to_owned(), "log.0".to_owned()];
    want.extend((1..=oldest).map(|number| format!("log.{number}.gz")));
    let entries = fs::read_dir(directory).expect("it is there");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut found: Vec<_> = entries
        .map(|entry| name(entry.expect("it is there")))
        .collect();
    found.sort();
    found == want
}

/// Starts a daemon that is killed before its call number `when` of this kind in the directory of the log;
/// `false` if it did all its work without making so many.
fn killed_before(setup: &Setup, oldest: u32, call: &str, when: usize) -> bool {
    let logs = setup.path("logs");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-P"])
        .arg(&logs);
    for name in ["log", "log.1", "log.2", ".log.new", ".log.gz.tmp"] {
        command.arg("-P").arg(logs.join(name));
    }
    command
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=KILL:when={when}"));
    let daemon = setup.command();
    command
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .arg("-F");
    command
        .env("TZ", "UTC0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("strace");
    let mut killed = false;
    wait_for("the kill or the end of the work", || {
        killed = child.try_wait().expect("it is our child").is_some();
        killed || is_tidy(&logs, oldest) && setup.path("syslogd.pid").exists()
    });
    if !killed {
        let pid = fs::read_to_string(setup.path("syslogd.pid")).expect("it runs");
        let pid = Pid::from_raw(pid.trim().parse().expect("a process id"));
        // strace(1) may have been faster, at the last call of all.
        killed = kill(pid, Signal::SIGKILL).is_err();
        child.wait().expect("it is our child");
    }
    killed
}

/// Kills a rotation or compression before every call of this kind, and looks at what is left each time.
fn walk(rotates: bool, call: &str) {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "true"]);
    if !strace.status().is_ok_and(|status| status.success()) {
        skip("needs strace(1) and the right to trace");
        return;
    }
    let oldest = if rotates { 4 } else { 3 };
    let mut when = 0;
    let mut killed = true;
    while killed {
        when += 1;
        let setup = prepared(rotates);
        let logs = setup.path("logs");
        let want = stream(&logs);
        killed = killed_before(&setup, oldest, call, when);
        assert_eq!(stream(&logs), want, "killed before {call} {when}");
        let daemon = setup.start();
        wait_for("the start to tidy up", || is_tidy(&logs, oldest));
        assert_eq!(stream(&logs), want, "{call} {when}, started again");
        daemon.crash();
    }
    assert!(when > 1, "{call} is not called");
}

#[test]
fn f2_killed_before_any_rename_of_a_rotation() {
    walk(true, "renameat2");
}

#[test]
fn f2_killed_before_any_unlink_of_a_rotation() {
    walk(true, "unlinkat");
}

#[test]
fn f2_killed_before_any_sync_of_a_rotation() {
    walk(true, "fsync");
    walk(true, "fdatasync");
}

#[test]
fn f41_killed_before_any_rename_or_unlink_of_a_compression() {
    walk(false, "renameat2");
    walk(false, "unlinkat");
}

#[test]
fn f41_killed_before_any_write_or_sync_of_a_compression() {
    walk(false, "write");
    walk(false, "fsync");
}

#[test]
fn f41_without_room_for_an_archive_the_file_stays_plain_and_is_said_to() {
    if !is_inside(
        "faults::rotation::f41_without_room_for_an_archive_the_file_stays_plain_and_is_said_to",
    ) {
        return;
    }
    let setup = Setup::new("user.*\t{dir}/logs/log;rotate=1M:9\n");
    let logs = setup.path("logs");
    fs::create_dir(&logs).expect("a directory");
    output_of(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(&logs),
    );
    let text = "a line of text\n".repeat(40_000);
    setup.write("logs/log.1", &text);
    let daemon = setup.start();
    daemon.unix("<13>app: there is room for this");
    daemon.file("logs/log").wait_for("there is room for this");
    daemon.stderr().wait_for("no room to compress");
    let kept = fs::read_to_string(logs.join("log.1")).expect("it is there");
    assert!(kept == text, "it is what it was");
    assert!(!logs.join("log.1.gz").exists());
    daemon.finish();
}

#[test]
fn f42_copytruncate_in_a_loop_leaves_no_nul_and_no_torn_line() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    let log = daemon.setup().path("log");
    daemon.unix("<13>app: the first");
    daemon.file("log").wait_for("the first");
    let done = AtomicBool::new(false);
    let (sent, mut copies) = (4000, Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..sent {
                daemon.unix(message("a", number));
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            // As logrotate(8) does it.
            let copy = fs::read(&log).expect("it is there");
            if !copy.is_empty() {
                fs::write(&log, "").expect("truncated");
                copies.push(copy);
            }
        }
    });
    daemon.unix("<13>app: the last");
    daemon.file("log").wait_for("the last");
    copies.push(fs::read(&log).expect("it is there"));
    assert!(copies.len() > 2, "{} copies", copies.len());
    for copy in copies {
        assert!(!copy.contains(&0), "{}", copy.escape_ascii());
        let text = String::from_utf8(copy).expect("it is text");
        // A copy may end within a line that was being written; none may begin so.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines: Vec<_> = whole.lines().map(str::to_owned).collect();
        assert_eq!(Verdict::of(&lines, &[("a", sent)]).torn, [""; 0]);
        assert!(
            lines
                .iter()
                .all(|line| line.contains(" seq: ") || line.contains(" app: "))
        );
    }
    daemon.finish();
}

/// The file system is dead until it is mounted again; what was not synced is lost if `how` is 2, the journal
/// is flushed before if it is 1, and everything is synced if it is 0.
fn cut_the_power(mounted: &Path, how: &str) {
    // EXT4_IOC_SHUTDOWN; opening a directory is all that it takes.
    let program = r#"open(D, "<", $ARGV[0]) or die; my $how = pack("L", $ARGV[1]); ioctl(D, 0x8004587D, $how) or die"#;
    let mut perl = Command::new("perl");
    output_of(perl.args(["-e", program]).arg(mounted).arg(how));
}

#[test]
fn f3_f4_after_a_power_cut_no_durable_message_is_missing() {
    if !is_inside("faults::rotation::f3_f4_after_a_power_cut_no_durable_message_is_missing") {
        return;
    }
    let mut setup = Setup::new("user.*\t{dir}/disk/log;rotate=4k:500,sync=durable\n");
    let (disk, image) = (setup.path("disk"), setup.path("image"));
    fs::create_dir(&disk).expect("a directory");
    let file = fs::File::create(&image).expect("a file");
    file.set_len(16 << 20).expect("a sparse file");
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F"])
        .arg(&image)
        .status();
    let mount = || {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(&disk);
        mount.status()
    };
    let perl = Command::new("perl").arg("-v").output();
    if perl.is_err()
        || !made.is_ok_and(|made| made.success())
        || !mount().is_ok_and(|it| it.success())
    {
        skip("needs mkfs.ext4(8), a loop device and perl(1)");
        return;
    }
    let is_written = |text: &str| {
        let mut files = ["log", "log.0"]
            .iter()
            .map(|name| fs::read_to_string(disk.join(name)));
        files.any(|file| file.is_ok_and(|file| file.contains(text)))
    };
    let each = 100;
    for (life, how) in [(1, "2"), (2, "1"), (3, "0")] {
        let daemon = setup.start();
        for number in (life - 1) * each..life * each {
            daemon.unix(message("a", number));
            let text = message("a", number);
            let text = text.split_once(' ').expect("it has a tag").1.to_owned();
            wait_for(&text, || is_written(&text));
        }
        // Seen behind them, so that the worker has looked at its clock; one that comes 5 ms after that is
        // followed by a sync at the latest, and that by the one after it.
        daemon.unix("<13>app: the first behind them.");
        wait_for("the first", || is_written("the first behind them."));
        let (seen, mut more) = (Instant::now(), 0);
        let mut is_late = false;
        while !is_late {
            is_late = seen.elapsed() > Duration::from_millis(5);
            for _ in 0..2 {
                let text = format!("behind them {more}.");
                daemon.unix(format!("<13>app: {text}"));
                wait_for(&text, || is_written(&text));
                more += 1;
            }
        }
        cut_the_power(&disk, how);
        setup = daemon.crash();
        output_of(Command::new("umount").arg(&disk));
        assert!(mount().is_ok_and(|status| status.success()));
        let verdict = Verdict::of(&lines_of(&disk.join("log")), &[("a", life * each)]);
        assert_eq!(verdict, Verdict::default(), "life {life}");
    }
    let daemon = setup.start();
    output_of(Command::new("umount").arg("-l").arg(&disk));
    fs::remove_file(&image).expect("it is ours");
    daemon.finish();
}
