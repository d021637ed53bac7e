//! Going over to another program in place: `--upgrade`, and SIGRTMIN.
//!
//! ```text
//! --upgrade ──SIGRTMIN──► old: run the new program with --check, receiving all the while
//!                              stop reading between two batches; write, or keep, what is queued
//!                              execve(2) with all sockets ──► new: go on      the same process id
//!     ▲                                                        │
//!     └── PIDFILE.upgrade: done, or refused and why ◄──────────┘
//! ```
//!
//! In place, and not beside: a supervisor that knows its child by the process id (runit, s6, systemd) keeps it,
//! nobody reads a socket twice, and no lock changes hands. Whatever can be known before is known before: the new
//! program must read the configuration without a mistake and say that it understands what it is given. One that
//! fails nevertheless goes back to the old one, which it holds open. The limit: a new program that crashes or
//! hangs after its `--check` was well is not undone.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::execve;

use super::StartError;
use super::handover::{FORMAT, State};
use super::pid_file;
use crate::cli::Arguments;
use crate::sys;

/// The program that runs, as it was started: what is started in its place.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    directory: PathBuf,
    /// Whether it went to the background.
    pub(super) is_background: bool,
}

impl Program {
    /// The one that runs; to be called before the working directory is left.
    pub(super) fn here() -> io::Result<Self> {
        let arguments: Vec<OsString> = env::args_os().collect();
        let directory = env::current_dir()?;
        let called = arguments.first().map(PathBuf::from).unwrap_or_default();
        let path = if called.as_os_str().as_bytes().contains(&b'/') {
            directory.join(called)
        } else {
            // The kernel marks the name of a program whose file was replaced.
            let path = env::current_exe()?.into_os_string().into_vec();
            let path = path.strip_suffix(b" (deleted)").unwrap_or(&path);
            PathBuf::from(OsStr::from_bytes(path))
        };
        Ok(Self {
            path,
            arguments,
            directory,
            is_background: false,
        })
    }

    /// Asks the program that lies there now whether it can go on for us. Blocks for ten seconds at most.
    ///
    /// # Errors
    /// The sentence why not.
    pub(super) fn check(&self) -> Result<(), String> {
        if let (Some(open), Ok((limit, _))) = (descriptors(), getrlimit(Resource::RLIMIT_NOFILE))
            && open.saturating_mul(2).saturating_add(limit / 8) > limit
        {
            return Err(format!(
                "{open} file descriptors are open, and twice as many are needed for a while; the limit is {limit}"
            ));
        }
        let path = self.path.display();
        let failed = |error: io::Error| format!("cannot run {path} --check: {error}");
        let paper = || memfd_create("syslogd check", MFdFlags::MFD_CLOEXEC).map(File::from);
        let (mut said, mut complained) = paper()
            .and_then(|said| Ok((said, paper()?)))
            .map_err(|error| failed(error.into()))?;
        let copy = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
        let name = self.arguments.first().cloned().unwrap_or_default();
        let mut child = Command::new(&self.path)
            .arg0(name)
            .arg("--check")
            .args(self.arguments.iter().skip(1))
            .current_dir(&self.directory)
            .env(HANDOVER, FORMAT.to_string())
            .stdin(Stdio::null())
            .stdout(copy(&said)?)
            .stderr(copy(&complained)?)
            .spawn()
            .map_err(failed)?;
        let deadline = Instant::now() + CHECK_WITHIN;
        let has_ended = sys::process_end(child.id()).and_then(|end| ends_by(&end, deadline));
        if !matches!(has_ended, Ok(true)) {
            // Both fail only if it has just ended by itself.
            _ = child.kill();
            _ = child.wait();
            let seconds = CHECK_WITHIN.as_secs();
            let late = || format!("{path} --check did not end in {seconds} s");
            return Err(has_ended.err().map_or_else(late, failed));
        }
        let status = child.wait().map_err(failed)?;
        let complaint = text_of(&mut complained);
        if !status.success() {
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.unwrap_or("it said nothing");
            return Err(format!("{path} --check ended with {status}: {last}"));
        }
        if text_of(&mut said) != understood() {
            return Err(format!(
                "{path} does not understand what is handed over: stop this one and start that"
            ));
        }
        Ok(())
    }

    /// Becomes the program that lies there now, with everything in `state`. Returns only if that fails.
    pub(super) fn become_next(&self, state: &mut State) -> io::Error {
        state.arguments.clone_from(&self.arguments);
        self.try_become(state)
            .err()
            .unwrap_or_else(io::Error::last_os_error)
    }

    fn try_become(&self, state: &State) -> io::Result<()> {
        let memory = OwnedFd::from(state.write()?);
        // The old program, for the new one to go back to, whatever becomes of its file.
        let old = OwnedFd::from(File::open("/proc/self/exe")?);
        let at_start = env::current_dir()?;
        env::set_current_dir(&self.directory)?;
        let descriptors: Vec<&OwnedFd> = state.descriptors().chain([&memory, &old]).collect();
        let word = Word {
            memory: memory.as_raw_fd(),
            old: Some(old.as_raw_fd()),
            is_background: self.is_background,
        };
        let failed = execute(&self.path, &self.arguments, &word, &descriptors);
        env::set_current_dir(at_start)?;
        Err(failed)
    }
}

/// What the environment says about a hand-over.
struct Word {
    memory: RawFd,
    /// The program to go back to.
    old: Option<RawFd>,
    is_background: bool,
}

impl Word {
    fn text(&self) -> String {
        let old = self.old.unwrap_or(-1);
        let pid = std::process::id();
        let place = u8::from(self.is_background);
        format!("{FORMAT}:{pid}:{}:{old}:{place}", self.memory)
    }

    /// `None` if it is not for this process: a child has the environment, too.
    fn parse(text: &str) -> Option<(u64, Self)> {
        let mut parts = text.split(':');
        let format = parts.next()?.parse().ok()?;
        let pid: u32 = parts.next()?.parse().ok()?;
        let memory = parts.next()?.parse().ok()?;
        let old: RawFd = parts.next()?.parse().ok()?;
        let old = Some(old).filter(|old| *old >= 0);
        let is_background = parts.next()? == "1";
        let word = Self {
            memory,
            old,
            is_background,
        };
        (pid == std::process::id()).then_some((format, word))
    }
}

/// How many file descriptors are open; `None` if /proc is not mounted.
///
/// The next program holds each twice until it works: once for itself, and once for the way back.
fn descriptors() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?;
    u64::try_from(open.count()).ok()
}

/// Becomes another program, which gets these descriptors. Returns only if that fails.
fn execute(path: &Path, arguments: &[OsString], word: &Word, kept: &[&OwnedFd]) -> io::Error {
    let environment = env::vars_os().filter(|(name, _)| {
        !["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", HANDOVER]
            .map(OsStr::new)
            .contains(&&**name)
    });
    let mut environment: Vec<Vec<u8>> = environment
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    environment.push(format!("{HANDOVER}={}", word.text()).into_bytes());
    let text = |octets: Vec<u8>| CString::new(octets).map_err(io::Error::other);
    let texts = |list: Vec<Vec<u8>>| list.into_iter().map(text).collect::<io::Result<Vec<_>>>();
    let arguments = arguments
        .iter()
        .map(|one| one.as_bytes().to_vec())
        .collect();
    let all = text(path.as_os_str().as_bytes().to_vec())
        .and_then(|path| Ok((path, texts(arguments)?, texts(environment)?)));
    let (path, arguments, environment) = match all {
        Ok(all) => all,
        Err(error) => return error,
    };
    let set = |flags| {
        kept.iter()
            .try_for_each(|descriptor| fcntl(descriptor, FcntlArg::F_SETFD(flags)).map(drop))
    };
    let failed = match set(FdFlag::empty()) {
        Ok(()) => match execve(&path, &arguments, &environment) {
            Ok(never) => match never {},
            Err(errno) => errno,
        },
        Err(errno) => errno,
    };
    if let Err(errno) = set(FdFlag::FD_CLOEXEC) {
        tracing::debug!("descriptors stay open for commands: {errno}");
    }
    failed.into()
}

/// What the process that we go on for left, and the way back to it.
#[derive(Debug)]
pub(super) struct Resumed {
    /// What was handed over.
    pub(super) state: State,
    /// Whether the process is in the background.
    pub(super) is_background: bool,
    back: Back,
}

/// The way back to the program that was here before.
#[derive(Debug)]
pub(super) struct Back {
    memory: OwnedFd,
    old: Option<OwnedFd>,
    /// Its command line.
    arguments: Vec<OsString>,
    /// The descriptors as they were handed over.
    originals: Vec<OwnedFd>,
}

impl Resumed {
    /// What the environment says was handed over to this process; nothing on any other start.
    ///
    /// To be called once, before another process or thread exists.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn from_environment() -> Result<Option<Self>, StartError> {
        let Some((format, word)) = env::var(HANDOVER).ok().as_deref().and_then(Word::parse) else {
            return Ok(None);
        };
        if format != FORMAT {
            let sentence = format!("this program does not know the hand-over format {format}");
            return Err(StartError::Runtime(io::Error::other(sentence)));
        }
        let read = || {
            let memory = File::from(sys::inherited(word.memory)?);
            let (mut state, originals) = State::read(&memory)?;
            let originals = originals.into_iter().map(sys::inherited);
            Ok(Self {
                is_background: word.is_background,
                back: Back {
                    arguments: std::mem::take(&mut state.arguments),
                    memory: memory.into(),
                    old: word.old.map(sys::inherited).transpose()?,
                    originals: originals.collect::<io::Result<_>>()?,
                },
                state,
            })
        };
        read().map(Some).map_err(StartError::Runtime)
    }

    /// The state, and the way back, to be given up once we work.
    pub(super) fn into_parts(self) -> (State, Back) {
        (self.state, self.back)
    }
}

impl Back {
    /// Goes back to the old program, if there is one; returns if there is not.
    pub(super) fn go(&self, program: &Program) {
        let Some(old) = &self.old else {
            return;
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd()));
        let kept: Vec<&OwnedFd> = self.originals.iter().chain([&self.memory, old]).collect();
        let word = Word {
            memory: self.memory.as_raw_fd(),
            old: None,
            is_background: program.is_background,
        };
        let error = env::set_current_dir(&program.directory)
            .err()
            .unwrap_or_else(|| execute(&path, &self.arguments, &word, &kept));
        tracing::error!("cannot go back to the old program: {error}");
    }
}

/// Somebody who goes back to the old program if the new one does not get anywhere, as on a file system that
/// hangs. To be dropped before any message is touched: nothing is lost or doubled then.
#[derive(Debug)]
pub(super) struct Watch {
    /// Whether it got somewhere. Locked for good once it is too late.
    arrived: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to wait. The signals that are held back from the calling thread are held back from the old program,
    /// which expects that.
    pub(super) fn start(back: &Arc<Back>, program: &Program, pid_file: &Path) -> io::Result<Self> {
        let arrived = Arc::<(Mutex<bool>, Condvar)>::default();
        let (shared, back) = (Arc::clone(&arrived), Arc::clone(back));
        let (program, pid_file) = (program.clone(), pid_file.to_owned());
        let watch = move || {
            let (arrived, told) = &*shared;
            let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = told.wait_timeout_while(arrived, START_WITHIN, |arrived| !*arrived);
            let (arrived, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !*arrived {
                let seconds = START_WITHIN.as_secs();
                let why = format!("the new program did not start in {seconds} s");
                tracing::error!("going back to the old program: {why}");
                answer(&pid_file, Err(&why));
                // The lock keeps the others from going on meanwhile.
                back.go(&program);
            }
        };
        let thread = thread::Builder::new().name("watch".into()).spawn(watch)?;
        Ok(Self {
            arrived,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (arrived, told) = &*self.arrived;
        *arrived.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch thread had panicked");
        }
    }
}

/// Whether a `--check` is asked whether the hand-over is understood; prints the answer.
pub(super) fn answer_check() -> Option<String> {
    (env::var(HANDOVER).ok()? == FORMAT.to_string()).then(understood)
}

fn understood() -> String {
    format!("handover {FORMAT}\n")
}

/// Leaves word for whoever waits in [`ask`].
pub(super) fn answer(pid_file: &Path, outcome: Result<(), &str>) {
    let text = match outcome {
        Ok(()) => format!("done\nsyslogd-rs {}\n", env!("CARGO_PKG_VERSION")),
        Err(why) => format!("refused\n{why}\n"),
    };
    if let Err(error) = pid_file::write_beside(pid_file, ANSWER, &text) {
        let path = pid_file.display();
        tracing::warn!("cannot write {path}.{ANSWER}: {error}");
    }
}

/// `--upgrade`: asks the daemon of the pid file to go over, and waits for its answer.
///
/// # Errors
/// The sentence why it did not.
pub(super) fn ask(arguments: &Arguments) -> Result<ExitCode, StartError> {
    let path = &arguments.pid_file;
    let failed = |why: String| StartError::Upgrade(why);
    let pid = pid_file::holder(path).map_err(|error| failed(error.to_string()))?;
    let Some(pid) = pid else {
        let path = path.display();
        return Err(failed(format!("no syslogd runs: nobody holds {path}")));
    };
    if !sys::catches(pid, libc::SIGRTMIN()) {
        return Err(failed(format!(
            "process {pid} does not know --upgrade: stop it and start this one"
        )));
    }
    // There is one answer, so that there can be one who waits for it.
    let _alone = pid_file::lock_beside(path, LOCK).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            return failed("another --upgrade is at work".to_owned());
        }
        failed(format!("cannot lock {}.{LOCK}: {error}", path.display()))
    })?;
    let answer = pid_file::beside(path, ANSWER);
    match fs::remove_file(&answer) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let answer = answer.display();
            return Err(failed(format!("cannot remove {answer}: {error}")));
        }
        Ok(()) | Err(_) => {}
    }
    sys::send_signal(pid, libc::SIGRTMIN())
        .map_err(|error| failed(format!("cannot send SIGRTMIN to process {pid}: {error}")))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let end = sys::process_end(pid).map_err(|error| failed(format!("process {pid}: {error}")))?;
    let mut has_ended = false;
    while Instant::now() < deadline {
        if let Ok(text) = fs::read_to_string(&answer) {
            // It has done its service.
            _ = fs::remove_file(&answer);
            let (outcome, rest) = text.split_once('\n').unwrap_or((&text, ""));
            if outcome == "done" {
                return Ok(ExitCode::SUCCESS);
            }
            return Err(failed(format!(
                "refused, and nothing has changed: {}",
                rest.trim_end()
            )));
        }
        if has_ended {
            return Err(failed(format!("process {pid} has ended; its log says why")));
        }
        let next_look = Instant::now() + LOOK_AGAIN;
        has_ended = ends_by(&end, next_look).map_err(StartError::Runtime)?;
    }
    let seconds = ANSWER_WITHIN.as_secs();
    Err(failed(format!(
        "process {pid} did not answer in {seconds} s"
    )))
}

/// Whether the process of this descriptor ends by then.
fn ends_by(end: &OwnedFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// The variable that says what is handed over: `FORMAT` for `--check`, else `FORMAT:PID:MEMORY:OLD:BACKGROUND`,
/// `MEMORY` and `OLD` being descriptors.
const HANDOVER: &str = "SYSLOGD_HANDOVER";

/// What the name of the answer's file ends in, behind that of the pid file.
const ANSWER: &str = "upgrade";

/// What the lock of those who ask is called, behind the path of the pid file.
const LOCK: &str = "upgrade.lock";

const CHECK_WITHIN: Duration = Duration::from_secs(10);
/// How long a new program may take until it touches the first message.
const START_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
