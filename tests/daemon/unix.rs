//! The socket of syslog(3).

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Daemon, Setup, hostname, logger};

#[test]
fn logger_is_understood_in_each_of_its_forms() {
    let daemon = Daemon::start("user.*\t{dir}/user\nmail.=err\t{dir}/mail\n");
    let socket = daemon.setup().path("log.sock");
    let socket = socket.to_str().expect("UTF-8");
    let host = hostname();
    for (arguments, want) in [
        (&["-t", "app", "plain words"][..], "app: plain words"),
        (
            &["-t", "app", "--id=123", "with an id"],
            "app[123]: with an id",
        ),
        (&["-t", "app", "--rfc3164", "old form"], "app: old form"),
        (
            &["-t", "app", "--rfc5424=notq", "new form"],
            "app: new form",
        ),
        (
            &["-t", "app", "--rfc5424=notime", "no time"],
            "app: no time",
        ),
        (
            &["-t", "app", "-p", "kern.info", "not the kernel"],
            "app: not the kernel",
        ),
    ] {
        logger(&[&["-u", socket], arguments].concat());
        let text = arguments.last().expect("a text");
        let line = daemon.file("user").wait_for(text);
        assert_eq!(line[15..], format!(" {host} {want}"), "{arguments:?}");
    }
    logger(&["-u", socket, "-t", "app", "-p", "mail.err", "to mail"]);
    daemon.file("mail").wait_for("app: to mail");
    daemon.finish();
}

#[test]
fn every_p_option_is_a_socket() {
    let daemon = Daemon::with(&["-p", "{dir}/second.sock"], "user.*\t{dir}/user\n");
    daemon.unix("<13>app: through the first");
    daemon
        .setup()
        .send("second.sock", b"<13>app: through the second");
    daemon.file("user").wait_for("through the first");
    daemon.file("user").wait_for("through the second");
    assert_eq!(daemon.quiet().input("second.sock")["routed"], 1);
    let second = daemon.setup().path("second.sock");
    let setup = daemon.stop();
    assert!(!second.exists(), "left behind");
    drop(setup);
}

#[test]
fn everybody_may_log_whatever_the_umask() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    let daemon = setup
        .wrapper(&["sh", "-c", "umask 077; exec \"$0\" \"$@\""])
        .start();
    let metadata = fs::metadata(daemon.setup().path("log.sock")).expect("it is there");
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o666);
    daemon.unix("<13>app: hello");
    daemon.file("user").wait_for("hello");
    let mode = fs::metadata(daemon.setup().path("user"))
        .expect("it is there")
        .mode();
    assert_eq!(mode & 0o7777, 0o640);
    daemon.finish();
}

#[test]
fn whoever_says_to_be_the_kernel_is_a_user() {
    let config = "kern.*\t{dir}/kern\nuser.*\t{dir}/user\n";
    let daemon = Daemon::start(config);
    daemon.unix("<6>pretender: from a process");
    daemon.udp("<6>pretender: from the network");
    daemon.file("user").wait_for("from a process");
    daemon.file("user").wait_for("from the network");
    daemon.quiet();
    assert_eq!(daemon.file("kern").lines(), [""; 0]);
    daemon.finish();

    let daemon = Daemon::with(&["-k"], config);
    daemon.unix("<6>believed: from a process");
    daemon.file("kern").wait_for("believed: from a process");
    daemon.quiet();
    assert_eq!(daemon.file("user").lines(), [""; 0]);
    daemon.finish();
}

#[test]
fn a_socket_that_nobody_reads_any_more_is_replaced() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    drop(UnixDatagram::bind(setup.path("log.sock")).expect("a socket"));
    let daemon = setup.start();
    daemon.unix("<13>app: alive again");
    daemon.file("user").wait_for("alive again");
    daemon.finish();
}

#[test]
fn a_socket_that_somebody_reads_is_left_alone() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    let other = UnixDatagram::bind(setup.path("log.sock")).expect("a socket");
    let (status, said) = setup.fail();
    assert_ne!(status, Some(0));
    assert!(said.contains("another process listens there"), "{said}");
    setup.send("log.sock", b"<13>still his");
    let mut octets = [0; 64];
    let length = other.recv(&mut octets).expect("a datagram");
    assert_eq!(&octets[..length], b"<13>still his");
    assert!(!setup.path("user").exists(), "nothing else was touched");
    assert!(
        !setup.path("syslogd.pid").exists(),
        "nothing else was touched"
    );
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    setup.write("log.sock", "precious\n");
    let (status, said) = setup.fail();
    assert_ne!(status, Some(0));
    assert!(said.contains("log.sock"), "{said}");
    assert_eq!(
        fs::read_to_string(setup.path("log.sock")).expect("it is there"),
        "precious\n"
    );
}

#[test]
fn the_path_of_the_socket_is_never_absent() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    let path = setup.path("log.sock");
    drop(UnixDatagram::bind(&path).expect("a socket"));
    let ready = AtomicBool::new(false);
    let (daemon, absent) = thread::scope(|scope| {
        let watch = || {
            let mut absent = 0;
            while !ready.load(Ordering::Acquire) {
                absent += u32::from(fs::symlink_metadata(&path).is_err());
            }
            absent
        };
        let watcher = scope.spawn(watch);
        let daemon = setup.start();
        daemon.reload();
        ready.store(true, Ordering::Release);
        (daemon, watcher.join().expect("it only looks"))
    });
    assert_eq!(absent, 0);
    daemon.finish();
}

#[test]
fn a_socket_that_took_our_place_is_not_removed_at_the_end() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let path = daemon.setup().path("log.sock");
    fs::remove_file(&path).expect("it is there");
    let _other = UnixDatagram::bind(&path).expect("a socket");
    let setup = daemon.stop();
    assert!(path.exists());
    drop(setup);
}

#[test]
fn ten_thousand_messages_keep_their_order_and_none_is_lost() {
    let daemon = Daemon::start("user.*\t-{dir}/user\n");
    for number in 0..10_000 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    let lines = daemon.file("user").wait_for_lines(10_000);
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line.ends_with(&format!(" app: number {number}.")),
            "{number}: {line}"
        );
    }
    let counters = daemon.quiet();
    assert_eq!(counters.input("log.sock")["received"], 10_000);
    assert_eq!(counters.output("/user")["written"], 10_000);
    daemon.finish();
}
