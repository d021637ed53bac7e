//! Disks that take their time, or take nothing any more (F11, F12), and an end in the middle of a rotation (F30).

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use super::disk::{SMALL, long, prove_exact, send, send_too_much, unmount};
use super::injection::{Injection, is_within, thread_within};
use super::sequence::{Verdict, lines_of, message};
use crate::support::{Daemon, Setup, is_inside, output_of, skip, wait_for};

/// Holds a system call up until the injection is dropped, or for a minute.
const HELD: &str = "60000000";

#[test]
fn f11_a_sync_that_takes_its_time_holds_up_its_own_file_alone() {
    holds_up_its_own_file_alone("fdatasync", libc::SYS_fdatasync);
}

#[test]
fn f11_a_write_that_takes_its_time_holds_up_its_own_file_alone() {
    holds_up_its_own_file_alone("write", libc::SYS_write);
}

#[track_caller]
fn holds_up_its_own_file_alone(call: &str, number: libc::c_long) {
    let daemon =
        Daemon::start("user.*\t{dir}/slow;sync=durable\nuser.*\t{dir}/quick;sync=durable\n");
    let fault = format!("{call}:delay_enter={HELD}");
    let Some(injection) = Injection::attach(&daemon, "slow", &fault) else {
        return daemon.finish();
    };
    let mut sent = 0;
    wait_for("the call to begin", || {
        send(&daemon, "a", sent, sent + 10);
        sent += 10;
        is_within(&daemon, number, "slow")
    });
    send(&daemon, "a", sent, sent + 500);
    sent += 500;
    let lines = (0..500).map(|number| message("tcp", number) + "\n");
    daemon.tcp_stream(lines.collect::<String>());
    // The call has not returned, and nobody else waits for it: no sender, no other output.
    daemon
        .file("quick")
        .wait_for(&format!("src=a n={} ", sent - 1));
    daemon.file("quick").wait_for("src=tcp n=499 ");
    let behind = daemon.file("slow").lines();
    assert_eq!(Verdict::of(&behind, &[("tcp", 500)]).lost(), 500);
    drop(injection);
    let counters = daemon.quiet();
    for name in ["slow", "quick"] {
        let verdict = Verdict::of(&daemon.file(name).lines(), &[("a", sent), ("tcp", 500)]);
        assert_eq!(verdict, Verdict::default(), "{name}");
        assert_eq!(counters.output(name)["written"], sent + 500, "{name}");
    }
    daemon.finish();
}

#[test]
fn f11_the_thread_that_receives_may_write_and_is_relieved_if_that_takes_its_time() {
    const TRIES: usize = 20;
    let slow = |number: usize| format!("slow{number}");
    let rule = |number| format!("!p{number}\nuser.*\t-{{dir}}/{}\n", slow(number));
    let rules: String = (0..TRIES).map(rule).collect();
    let daemon = Daemon::start(&format!("{rules}!*\nuser.*\t-{{dir}}/quick\n"));
    let files: Vec<String> = (0..TRIES).map(slow).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let fault = format!("write:delay_enter={HELD}");
    let Some(injection) = Injection::attach_to_all(&daemon, &files, &fault) else {
        return daemon.finish();
    };
    // It is he who writes a lone message, unless the machine is so busy that another thread is faster.
    let tried = (0..TRIES).find(|number| {
        daemon.unix(format!("<13>p{number}: alone"));
        let name = slow(*number);
        wait_for("the call to begin", || {
            is_within(&daemon, libc::SYS_write, &name)
        });
        thread_within(&daemon, libc::SYS_write, &name).as_deref() == Some("drain")
    });
    let tried = tried.expect("he is faster once in a while");
    // He is still there, and somebody receives.
    send(&daemon, "a", 0, 500);
    daemon.file("quick").wait_for("src=a n=499 ");
    assert!(is_within(&daemon, libc::SYS_write, &slow(tried)));
    drop(injection);
    let counters = daemon.quiet();
    let quick = daemon.file("quick").lines();
    assert_eq!(Verdict::of(&quick, &[("a", 500)]), Verdict::default());
    for number in 0..=tried {
        assert_eq!(counters.output(&slow(number))["written"], 1);
    }
    let alone = quick.iter().filter(|line| line.ends_with(": alone"));
    assert_eq!(alone.count(), tried + 1);
    daemon.finish();
}

/// Makes an ext4 in the file `$0` and mounts it at `$1`.
const LOOP: &str = r#"
    set -e
    truncate -s 64M "$0"
    mkfs.ext4 -q -F "$0"
    mount -o loop,errors=remount-ro "$0" "$1"
"#;

/// A daemon with a small queue and a file on such a disk, which has become read-only once a line was written.
fn on_a_read_only_disk() -> Option<Daemon> {
    let setup = Setup::new(&format!("{SMALL}user.*\t{{dir}}/disk/log\n"));
    let (image, disk) = (setup.path("back/image"), setup.path("disk"));
    for name in ["back", "disk"] {
        fs::create_dir(setup.path(name)).expect("it can be made");
    }
    let made = Command::new("sh")
        .args(["-c", LOOP])
        .args([&image, &disk])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        skip("needs mkfs.ext4(8) and a loop device");
        return None;
    }
    let daemon = setup.start();
    daemon.unix("<13>app: it is written");
    daemon.file("disk/log").wait_for("it is written");
    output_of(
        Command::new("mount")
            .args(["-o", "remount,abort"])
            .arg(&disk),
    );
    Some(daemon)
}

/// Mounts it again, which could not be while anybody had it open. The daemon is stopped meanwhile: what it tried in
/// between would be a file of the directory below.
fn mount_again(daemon: &Daemon) {
    let (image, disk) = (
        daemon.setup().path("back/image"),
        daemon.setup().path("disk"),
    );
    wait_for("the file system to be let go", || {
        daemon.signal(Signal::SIGSTOP);
        let unmounted = Command::new("umount").arg(&disk).output();
        let is_free = unmounted.is_ok_and(|it| it.status.success());
        if is_free {
            output_of(
                Command::new("mount")
                    .args(["-o", "loop"])
                    .args([&image, &disk]),
            );
        }
        daemon.signal(Signal::SIGCONT);
        is_free
    });
}

#[test]
fn f12_what_the_queue_holds_waits_for_a_read_only_file_system() {
    if !is_inside("faults::slow::f12_what_the_queue_holds_waits_for_a_read_only_file_system") {
        return;
    }
    let Some(daemon) = on_a_read_only_disk() else {
        return;
    };
    send(&daemon, "a", 0, 500);
    daemon.stderr().wait_for("Read-only file system");
    mount_again(&daemon);
    assert_eq!(prove_exact(&daemon, "disk/log", "a", 500), 0);
    unmount(daemon, "disk");
}

#[test]
fn f12_what_it_does_not_hold_is_told_to_the_message() {
    if !is_inside("faults::slow::f12_what_it_does_not_hold_is_told_to_the_message") {
        return;
    }
    let Some(daemon) = on_a_read_only_disk() else {
        return;
    };
    let source = long();
    let sent = send_too_much(&daemon, &source);
    let io = || daemon.counters().output("disk/log")["dropped"]["io"].as_u64();
    wait_for("messages to be dropped", || io() > Some(0));
    mount_again(&daemon);
    assert!(prove_exact(&daemon, "disk/log", &source, sent) > 0);
    let line = daemon.file("disk/log").wait_for(" here between ");
    assert!(line.ends_with(": input/output error"), "{line}");
    unmount(daemon, "disk");
}

#[test]
fn f30_an_end_in_the_middle_of_a_rotation_loses_and_doubles_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/logs/log;rotate=4k:50,sync=durable,compress=none\n");
    let logs = daemon.setup().path("logs");
    fs::create_dir(&logs).expect("a directory");
    // Until there is one to be moved first.
    let mut sent = 0;
    wait_for("a rotated file", || {
        send(&daemon, "a", sent, sent + 10);
        sent += 10;
        logs.join("log.0").exists()
    });
    daemon.quiet();
    let fault = format!("renameat2:delay_exit={HELD}:when=1");
    let Some(injection) = Injection::attach(&daemon, "logs", &fault) else {
        return daemon.finish();
    };
    wait_for("the next rotation to begin", || {
        send(&daemon, "a", sent, sent + 10);
        sent += 10;
        logs.join("log.1").exists() && !logs.join("log.0").exists()
    });
    send(&daemon, "a", sent, sent + 100);
    sent += 100;
    daemon.signal(Signal::SIGTERM);
    daemon.stderr().wait_for("exiting on ");
    drop(injection);
    let setup = daemon.stop();
    let verdict = Verdict::of(&lines_of(&setup.path("logs/log")), &[("a", sent)]);
    assert_eq!(verdict, Verdict::default());
    setup.start().finish();
}
