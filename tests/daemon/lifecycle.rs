//! Going to the background, the pid file, and a second instance.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{LogFile, Setup, wait_for};

/// A daemon in the background, killed at the end.
struct Background {
    setup: Setup,
    pid: Pid,
}

impl Background {
    /// Starts it; the command has returned, so that it works.
    fn start(setup: Setup) -> Self {
        let output = start(&setup);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = fs::read_to_string(setup.path("syslogd.pid")).expect("the pid file is written");
        let number = text.strip_suffix('\n').expect("it ends with its line");
        Self {
            setup,
            pid: Pid::from_raw(number.parse().expect("it holds a number")),
        }
    }

    /// A file of its directory below /proc.
    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// SIGTERM, and its end. Whoever inherited it may take its time to reap it.
    fn stop(self) {
        kill(self.pid, Signal::SIGTERM).expect("it runs");
        wait_for("its end", || fs::read_link(self.proc("exe")).is_err());
        assert!(!self.setup.path("syslogd.pid").exists(), "left behind");
        assert!(!self.setup.path("log.sock").exists(), "left behind");
    }

    fn file(&self, name: &str) -> LogFile {
        LogFile::new(self.setup.path(name))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has ended if its test went well.
        _ = kill(self.pid, Signal::SIGKILL);
    }
}

/// Runs the command without `-F` to its end.
fn start(setup: &Setup) -> Output {
    setup
        .command()
        .output()
        .expect("the program can be started")
}

#[test]
fn the_command_returns_when_messages_are_received_and_the_daemon_has_left() {
    let setup = Setup::new("user.*\t{dir}/user\n");
    let daemon = Background::start(setup);
    // At once: nothing is to be waited for any more.
    daemon.setup.send("log.sock", b"<13>app: hello");
    daemon.file("user").wait_for("hello");

    assert_eq!(
        fs::read_link(daemon.proc("cwd")).expect("it runs"),
        PathBuf::from("/")
    );
    for descriptor in ["fd/0", "fd/1", "fd/2"] {
        let target = fs::read_link(daemon.proc(descriptor)).expect("it is open");
        assert_eq!(target, PathBuf::from("/dev/null"), "{descriptor}");
    }
    // proc_pid_stat(5), behind the name: state, ppid, pgrp, session, tty_nr.
    let stat = fs::read_to_string(daemon.proc("stat")).expect("it runs");
    let fields: Vec<i32> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| {
            rest.split(' ')
                .skip(1)
                .take(4)
                .filter_map(|field| field.parse().ok())
                .collect()
        })
        .expect("a name in parentheses");
    let [parent, _group, session, terminal] = fields[..] else {
        panic!("{stat}")
    };
    assert_ne!(
        parent,
        i32::try_from(std::process::id()).expect("small"),
        "we are not its parent"
    );
    assert_ne!(
        session,
        daemon.pid.as_raw(),
        "a session leader could get a terminal"
    );
    assert_eq!(terminal, 0);

    daemon.stop();
}

#[test]
fn a_second_instance_refuses_and_names_the_first() {
    let first = Background::start(Setup::new("user.*\t{dir}/user\n"));
    let again = Setup::new("user.*\t{dir}/user\n");
    let pid_file = first.setup.path("syslogd.pid");
    let pid_file = pid_file.to_str().expect("UTF-8");
    let again = again.arguments(&["-P", pid_file]);
    let foreground = again.fail();
    let background = start(&again);
    let background = (
        background.status.code(),
        String::from_utf8_lossy(&background.stderr).into_owned(),
    );
    for (status, said) in [foreground, background] {
        assert_eq!(status, Some(75), "{said}");
        let want = format!("another syslogd is running (pid {})", first.pid);
        assert_eq!(said.matches(&want).count(), 1, "once: {said}");
    }
    assert!(!again.path("log.sock").exists(), "it has touched nothing");
    let text = fs::read_to_string(pid_file).expect("it is there");
    assert_eq!(text, format!("{}\n", first.pid));
    first.setup.send("log.sock", b"<13>app: still at work");
    first.file("user").wait_for("still at work");
    first.stop();
}

#[test]
fn a_start_that_fails_says_why_and_the_command_fails() {
    for arguments in [
        &["-p", "{dir}/missing/log.sock"][..],
        &["--listen", "tcp://192.0.2.1:1"],
    ] {
        let setup = Setup::new("user.*\t{dir}/user\n").arguments(arguments);
        let output = start(&setup);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(71), "{said}");
        assert_eq!(said.matches("cannot listen on ").count(), 1, "once: {said}");
        assert!(!setup.path("syslogd.pid").exists(), "{arguments:?}");
        assert!(!setup.path("log.sock").exists(), "{arguments:?}");
    }
    let setup = Setup::new("user.*\t{dir}/user\n").arguments(&["-P", "{dir}/missing/syslogd.pid"]);
    let output = start(&setup);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
}

#[test]
fn mistakes_in_the_configuration_are_shown_by_the_command_that_starts_it() {
    let setup = Setup::new("*.inof\t{dir}/bad\nuser.*\t{dir}/user\n");
    let output = start(&setup);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("syslog.conf:1:3: "), "{said}");
    let text = fs::read_to_string(setup.path("syslogd.pid")).expect("the pid file is written");
    let daemon = Background {
        pid: Pid::from_raw(text.trim().parse().expect("a number")),
        setup,
    };
    daemon.setup.send("log.sock", b"<13>app: hello");
    daemon.file("user").wait_for("hello");
    daemon.stop();
}

#[test]
fn relative_paths_are_those_of_where_it_was_started() {
    let setup = Setup::new("user.*\t{dir}/user\n").arguments(&["-p", "relative.sock"]);
    let daemon = Background::start(setup);
    daemon.setup.send("relative.sock", b"<13>app: hello");
    daemon.file("user").wait_for("hello");
    daemon.stop();
}

#[test]
fn the_pid_file_of_a_crash_is_taken_over() {
    let daemon = Setup::new("user.*\t{dir}/user\n").start();
    let setup = daemon.crash();
    assert!(setup.path("syslogd.pid").exists(), "a crash leaves it");
    let daemon = setup.start();
    let text = fs::read_to_string(daemon.setup().path("syslogd.pid")).expect("it is there");
    assert_eq!(text, format!("{}\n", daemon.pid()));
    daemon.finish();
}
