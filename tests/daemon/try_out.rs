//! `--try`: the three lines that it prints can be pasted into another terminal.

use std::fs;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Lines, LogFile, output_of, wait_for};

/// A process that is killed at the end, if it has not ended by then.
struct Killed(Child);

impl Killed {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().try_into().expect("a process id"));
        kill(pid, signal).expect("it runs");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_three_lines_work_as_they_are() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // A name that a shell would take apart.
    let place = directory.path().join("it's-a-try");
    let mut command = Command::new(env!("CARGO_BIN_EXE_syslogd"));
    command.arg(format!("--try={}", place.display()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut daemon = Killed(command.spawn().expect("it can be started"));
    let stdout = Lines::read(daemon.0.stdout.take().expect("it is piped"));
    let stderr = Lines::read(daemon.0.stderr.take().expect("it is piped"));
    stdout.wait_for("Ctrl-C ends it");
    let said = stdout.all();
    let pasted: Vec<_> = said
        .iter()
        .filter_map(|line| line.strip_prefix('\t'))
        .collect();
    let follows = |line: &&&str| line.starts_with("tail -F ");
    let tail = pasted
        .iter()
        .find(follows)
        .expect("a line that follows the file");
    let loggers: Vec<_> = pasted
        .iter()
        .filter(|line| line.starts_with("logger "))
        .collect();
    assert_eq!((pasted.len(), loggers.len()), (3, 2), "{said:#?}");

    let log = LogFile::new(place.join("log/messages"));
    log.wait_for(": start");
    let mut follow = Command::new("sh");
    follow
        .args(["-c", &format!("exec {tail}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut follow = Killed(follow.spawn().expect("sh"));
    let followed = Lines::read(follow.0.stdout.take().expect("it is piped"));
    followed.wait_for(": start");
    for (logger, text) in loggers
        .iter()
        .zip(["hello from a local socket", "hello over UDP"])
    {
        assert!(logger.contains(text), "{logger}");
        output_of(Command::new("sh").args(["-c", logger]));
        log.wait_for(text);
        followed.wait_for(text);
    }
    drop(follow);

    daemon.signal(Signal::SIGINT);
    assert_eq!(
        daemon.0.wait().expect("it is our child").code(),
        Some(0),
        "{:#?}",
        stderr.all()
    );
    let said = stderr.all();
    let alarms = said.iter().any(|line| line.contains("receive buffer"));
    assert!(!alarms, "{said:#?}");
    assert!(!place.join("log.sock").exists());
    let rules = fs::read_to_string(place.join("syslog.conf")).expect("it is kept");
    assert!(rules.contains("rotate="), "{rules}");
}

#[test]
fn a_configuration_of_an_earlier_try_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = LogFile::new(directory.path().join("mine"));
    let rules = format!("*.*\t{}\n", log.path().display());
    fs::write(directory.path().join("syslog.conf"), &rules).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_syslogd"));
    command.arg(format!("--try={}", directory.path().display()));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let daemon = Killed(command.spawn().expect("it can be started"));
    log.wait_for(": start");
    daemon.signal(Signal::SIGTERM);
    wait_for("its end", || !directory.path().join("log.sock").exists());
    let kept = fs::read_to_string(directory.path().join("syslog.conf")).expect("it is kept");
    assert_eq!(kept, rules);
}

#[test]
fn a_directory_that_the_rules_could_not_name_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().join("two words");
    let mut command = Command::new(env!("CARGO_BIN_EXE_syslogd"));
    let output = command
        .arg(format!("--try={}", place.display()))
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(
        said.contains("two words") && said.contains("blanks"),
        "{said}"
    );
    assert!(!place.exists(), "nothing was made");
}
