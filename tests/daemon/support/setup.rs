//! A directory with a configuration, and how `syslogd` is to be started in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Daemon, Lines};

/// Behind every configuration: the rule by which the daemon proves that it still logs. It frees itself
/// from the blocks before it.
const ORACLE_RULE: &str = "\n!*\n+*\n:*\nuucp.=debug\t-{dir}/oracle\n";

/// What a daemon is started from.
pub(crate) struct Setup {
    directory: TempDir,
    arguments: Vec<String>,
    listens: Vec<&'static str>,
    wrapper: Vec<String>,
    kernel_log: bool,
    environment: Vec<(&'static str, String)>,
}

/// What is mounted below the directory is let go of first: to remove it would go through the mount, and take the
/// files of the host with it, in whatever namespace.
impl Drop for Setup {
    fn drop(&mut self) {
        let mounts = self.mounts();
        for mount in mounts.iter().rev() {
            _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
        if !self.mounts().is_empty() {
            self.directory.disable_cleanup(true);
        }
    }
}

impl Setup {
    /// What is mounted below the directory (`proc_pid_mountinfo(5)`), the first mounted first.
    fn mounts(&self) -> Vec<String> {
        // Its name is as good as none other's, however its parent is called there.
        let name = self.directory.path().file_name();
        let name = name.and_then(OsStr::to_str).expect("a name of ours");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("it is readable");
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let below = points.filter(|point| point.split('/').any(|part| part == name));
        below.map(str::to_owned).collect()
    }

    /// A fresh directory with this configuration, in which `{dir}` stands for the directory.
    pub(crate) fn new(config: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("syslogd-").tempdir();
        let setup = Self {
            directory: directory.expect("a temporary directory"),
            arguments: Vec::new(),
            listens: vec!["udp://127.0.0.1:0", "tcp://127.0.0.1:0"],
            wrapper: Vec::new(),
            kernel_log: false,
            environment: Vec::new(),
        };
        setup.configure(config);
        setup
    }

    /// More arguments; `{dir}` stands for the directory.
    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        let placed: Vec<_> = arguments
            .iter()
            .map(|argument| self.placed(argument))
            .collect();
        self.arguments.extend(placed);
        self
    }

    /// Other network listeners than one for UDP and one for TCP.
    pub(crate) fn listens(mut self, listens: &[&'static str]) -> Self {
        self.listens = listens.to_vec();
        self
    }

    /// A command that starts the one behind it, such as `sh -c 'umask 077; exec "$@"' sh`; `{dir}` stands for
    /// the directory.
    pub(crate) fn wrapper(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| self.placed(word)).collect();
        self
    }

    /// With the kernel's log, for a test that has a `/dev/kmsg` of its own. The console stays as it is.
    pub(crate) fn kernel_log(mut self) -> Self {
        self.kernel_log = true;
        self
    }

    /// The environment beside ours.
    pub(crate) fn environment(mut self, environment: Vec<(&'static str, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// Writes another configuration.
    pub(crate) fn configure(&self, config: &str) {
        self.write("syslog.conf", &format!("{config}{ORACLE_RULE}"));
    }

    /// Writes a file, in which `{dir}` stands for the directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), self.placed(text)).expect("it can be written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `text` with the directory in place of `{dir}`.
    pub(crate) fn placed(&self, text: &str) -> String {
        text.replace("{dir}", &self.directory.path().display().to_string())
    }

    /// The command, but for `-F`.
    pub(crate) fn command(&self) -> Command {
        let program =
            std::env::var_os("SYSLOGD").unwrap_or_else(|| env!("CARGO_BIN_EXE_syslogd").into());
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg("-f").arg(self.path("syslog.conf"));
        command.arg("-p").arg(self.path("log.sock"));
        command.arg("-P").arg(self.path("syslogd.pid"));
        // Long where a family of daemon has no such letter.
        command.arg("--no-dns");
        if self.kernel_log {
            command.arg("--keep-console");
            command.arg("--kmsg-cache").arg(self.path("kmsg.position"));
        } else {
            command.arg("--no-kernel-log");
        }
        for listen in &self.listens {
            command.args(["--listen", listen]);
        }
        command
            .args(&self.arguments)
            .env("TZ", "UTC0")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it in the foreground, and waits until it is ready.
    pub(crate) fn start(self) -> Daemon {
        Daemon::spawn(self)
    }

    /// Starts it although it cannot work; returns its exit status and what it says.
    pub(crate) fn fail(&self) -> (Option<i32>, String) {
        let mut child = self
            .command()
            .arg("-F")
            .spawn()
            .expect("the program can be started");
        let stderr = child.stderr.take().expect("it is piped");
        let said = Lines::read(stderr).wait_for_end().join("\n");
        (child.wait().expect("it is our child").code(), said)
    }

    /// Sends one datagram to the socket `name`.
    pub(crate) fn send(&self, name: &str, octets: &[u8]) {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket
            .send_to(octets, self.path(name))
            .expect("the socket takes it");
    }
}
