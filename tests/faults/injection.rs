//! System calls that fail in a running daemon, by strace(1).

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Daemon, Lines, skip};

/// A fault in place; dropped, the daemon works again.
pub(crate) struct Injection {
    strace: Child,
    /// What strace(1) saw.
    trace: PathBuf,
}

impl Injection {
    /// Lets system calls fail that have to do with the file `name` of the daemon, as in
    /// `write:error=EIO`. `None`, and a word about it, where strace(1) is absent or may not.
    pub(crate) fn attach(daemon: &Daemon, name: &str, fault: &str) -> Option<Self> {
        Self::attach_to_all(daemon, &[name], fault)
    }

    /// The same for several files.
    pub(crate) fn attach_to_all(daemon: &Daemon, names: &[&str], fault: &str) -> Option<Self> {
        let trace = daemon.setup().path("injection.trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &daemon.pid().to_string(), "-o"]);
        command.arg(&trace);
        for name in names {
            command.arg("-P").arg(daemon.setup().path(name));
        }
        command.arg("-e").arg(format!("inject={fault}"));
        let traced = fault.split(':').next().unwrap_or_default();
        command.arg("-e").arg(format!("trace={traced}"));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            skip("needs strace(1)");
            return None;
        };
        let said = Lines::read(child.stderr.take().expect("it is piped"));
        if said.find(0, |line| line.contains(" attached")).is_none() {
            skip(&format!("strace(1) may not: {:?}", said.all()));
            child.wait().expect("it is our child");
            return None;
        }
        Some(Self {
            strace: child,
            trace,
        })
    }

    /// Whether any call has failed so far.
    pub(crate) fn has_struck(&self) -> bool {
        fs::read_to_string(&self.trace).is_ok_and(|seen| seen.contains("(INJECTED)"))
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.strace.id().try_into().expect("a process id"));
        // It may have ended with the daemon.
        _ = kill(pid, Signal::SIGTERM);
        _ = self.strace.wait();
    }
}

/// Whether a thread of the daemon is in this system call on the file `name` (`proc_pid_syscall(5)`).
pub(crate) fn is_within(daemon: &Daemon, call: libc::c_long, name: &str) -> bool {
    thread_within(daemon, call, name).is_some()
}

/// The name of a thread of the daemon that is in this system call on the file `name`.
pub(crate) fn thread_within(daemon: &Daemon, call: libc::c_long, name: &str) -> Option<String> {
    let process = PathBuf::from(format!("/proc/{}", daemon.pid()));
    let path = daemon.setup().path(name).canonicalize().ok()?;
    let tasks = fs::read_dir(process.join("task")).expect("it runs");
    let within = tasks.flatten().find(|task| {
        // One that has just ended is in none.
        let said = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        let mut words = said.split(' ');
        let is_called = words.next() == Some(&call.to_string());
        let first = words.next().and_then(|word| word.strip_prefix("0x"));
        let first = first.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        is_called
            && first.is_some_and(|descriptor| {
                let link = process.join("fd").join(descriptor.to_string());
                fs::read_link(link).is_ok_and(|open| open == path)
            })
    });
    let name = fs::read_to_string(within?.path().join("comm"));
    Some(name.expect("it runs").trim_end().to_owned())
}
