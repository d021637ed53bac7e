//! The real `syslogd` in a directory of its own, for tests of its command line.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[path = "../wait/mod.rs"]
mod wait;

use wait::{DEADLINE, within};

/// A directory with a configuration, where socket, pid file and logs are.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// With this configuration; `{}` in it is the directory.
    pub(crate) fn new(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let text = configuration.replace("{}", &directory.path().display().to_string());
        fs::write(directory.path().join("syslog.conf"), text).expect("it can be written");
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program with these arguments and no supervisor; `{}` in them is the directory.
    pub(crate) fn command(&self, line: &str) -> Command {
        let line = line.replace("{}", &self.0.path().display().to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_syslogd"));
        command
            .args(line.split_whitespace())
            .stdin(Stdio::null())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("LISTEN_PID")
            .env_remove("SYSLOGD_COMPAT")
            .env("TZ", "UTC");
        command
    }

    /// Runs a command that is to end by itself, as one that goes to the background does.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the program starts")
    }

    /// Starts it in the foreground, and waits until it receives on the socket `log`.
    pub(crate) fn start(&self, line: &str) -> Daemon<'_> {
        self.spawn(&mut self.command(line))
    }

    /// As [`Home::start`], for a command that was changed.
    pub(crate) fn spawn(&self, command: &mut Command) -> Daemon<'_> {
        let child = command.stderr(Stdio::piped()).spawn();
        let daemon = Daemon {
            home: self,
            child: child.expect("the program starts"),
        };
        wait_for("the socket", || {
            UnixDatagram::unbound()
                .and_then(|socket| socket.connect(self.path("log")))
                .ok()
        });
        daemon
    }

    /// Sends a datagram to the socket `log`.
    pub(crate) fn log(&self, message: &str) {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket
            .send_to(message.as_bytes(), self.path("log"))
            .expect("somebody listens");
    }

    /// The first line of a file that has these words, once it is there.
    pub(crate) fn line(&self, file: &str, words: &str) -> String {
        wait_for(words, || {
            let text = fs::read_to_string(self.path(file)).ok()?;
            text.lines()
                .find(|line| line.contains(words))
                .map(str::to_owned)
        })
    }

    /// The process id in the file `pid`, once it is there.
    pub(crate) fn pid(&self) -> Pid {
        let pid = wait_for("the pid file", || {
            fs::read_to_string(self.path("pid"))
                .ok()?
                .trim()
                .parse()
                .ok()
        });
        Pid::from_raw(pid)
    }

    /// Ends a daemon in the background, and waits until its pid file is gone.
    pub(crate) fn end(&self) {
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        wait_for("the end", || (!self.path("pid").exists()).then_some(()));
    }
}

/// The program in the foreground; killed if a test fails.
pub(crate) struct Daemon<'a> {
    home: &'a Home,
    child: Child,
}

impl Daemon<'_> {
    /// Ends it, and returns what it said on stderr. Its exit status is 0.
    pub(crate) fn end(mut self) -> String {
        kill(pid_of(&self.child), Signal::SIGTERM).expect("it runs");
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        stderr.read_to_string(&mut said).expect("it speaks UTF-8");
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "{status}: {said}");
        assert!(!self.home.path("pid").exists(), "the pid file is left");
        said
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a pid fits"))
}

/// Waits until `look` has an answer; fails with `what` otherwise.
pub(crate) fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let found = within(DEADLINE, look);
    assert!(found.is_some(), "{what} did not come");
    found.expect("asserted just now")
}
