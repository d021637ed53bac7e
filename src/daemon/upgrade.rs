//! Going over to another program in place: `--upgrade`, and SIGRTMIN.
//!
//! ```text
//! --upgrade ──SIGRTMIN──► old: run the new program with --check, receiving all the while
//!     ▲                        stop reading between two batches; write, or keep, what is queued
//!     │                        rehearse: a child becomes the new program, reads all this, and ends
//!     │                        execve(2) with all sockets ──► new: go on      the same process id
//!     └── PIDFILE.upgrade: done, or refused and why ◄──────────┘  └─► or go back: execve(2) of the old one
//! ```
//!
//! In place, and not beside: a supervisor that knows its child by the process id (runit, s6, systemd) keeps it,
//! nobody reads a socket twice, and no lock changes hands. Whatever can be known before is known before. The new
//! program must read the configuration without a mistake, and then, in a child that has our descriptors and our
//! command line, all that is handed over: one that ends, crashes or hangs does so there, and nothing has
//! happened. One that fails or hangs nevertheless goes back to the old one, which it holds open ([`back`]). The
//! limit: a new program that did all this well, and is killed before it works, is a kill -9.

mod ask;
mod back;
mod trial;

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{execve, getppid};

pub(super) use ask::{answer, ask};
pub(super) use back::{Back, Resumed, Watch};

use super::handover::{FORMAT, State};
use crate::sys;
use trial::Trial;

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
            && open.saturating_add(SPARE) > limit
        {
            return Err(format!(
                "{open} file descriptors are open, and {SPARE} more are needed for a while; the limit is {limit}"
            ));
        }
        let (name, rest) = self.words();
        let mut arguments = vec![name, "--check".into()];
        arguments.extend_from_slice(rest);
        self.try_out(&Trial {
            title: "--check",
            arguments: &arguments,
            word: (HANDOVER, FORMAT.to_string()),
            patience: CHECK_WITHIN,
        })
    }

    /// Has a child become the program that lies there now, and read all of `state`. Blocks for `patience` at most,
    /// in which nothing is received.
    ///
    /// # Errors
    /// The sentence why it cannot go on. Nothing has happened then.
    pub(super) fn rehearse(&self, state: &mut State, patience: Duration) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot hand over: {error}");
        state.arguments.clone_from(&self.arguments);
        let memory = OwnedFd::from(state.write().map_err(failed)?);
        let mut kept: Vec<RawFd> = state.descriptors().map(AsRawFd::as_raw_fd).collect();
        kept.push(memory.as_raw_fd());
        let word = Word {
            memory: memory.as_raw_fd(),
            old: None,
            is_background: self.is_background,
            why: String::new(),
        };
        let rehearsed = survive(&kept, true).map_err(failed).and_then(|()| {
            self.try_out(&Trial {
                title: "in its rehearsal",
                arguments: &self.arguments,
                word: (REHEARSAL, word.text()),
                patience,
            })
        });
        survive(&kept, false).map_err(failed).and(rehearsed)
    }

    /// The name that it was started by, and the arguments behind it.
    fn words(&self) -> (OsString, &[OsString]) {
        match self.arguments.split_first() {
            Some((name, rest)) => (name.clone(), rest),
            None => (OsString::new(), &[]),
        }
    }

    /// Runs the program that lies there now, which must say that it understands.
    fn try_out(&self, trial: &Trial<'_>) -> Result<(), String> {
        let path = self.path.display();
        let title = trial.title;
        let said = trial.run(&self.path, &self.directory);
        let said = said.map_err(|why| format!("{path} {title} {why}"))?;
        if said != understood() {
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
        let kept = state.descriptors().chain([&memory, &old]);
        let kept: Vec<RawFd> = kept.map(AsRawFd::as_raw_fd).collect();
        let word = Word {
            memory: memory.as_raw_fd(),
            old: Some(old.as_raw_fd()),
            is_background: self.is_background,
            why: String::new(),
        };
        let failed = execute(&self.path, &self.arguments, &word, &kept);
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
    /// Why we are back; nothing on the way to another program.
    why: String,
}

impl Word {
    fn text(&self) -> String {
        let old = self.old.unwrap_or(-1);
        let pid = std::process::id();
        let place = u8::from(self.is_background);
        // What a program said ends at a NUL in the environment.
        let why = self.why.replace('\0', " ");
        format!("{FORMAT}:{pid}:{}:{old}:{place}:{why}", self.memory)
    }

    /// The format and the word; `None` if it is not for the process `pid`: a child has the environment, too.
    fn parse(text: &str, pid: u32) -> Option<(u64, Self)> {
        let mut parts = text.splitn(6, ':');
        let format = parts.next()?.parse().ok()?;
        let is_for: u32 = parts.next()?.parse().ok()?;
        let memory = parts.next()?.parse().ok()?;
        let old: RawFd = parts.next()?.parse().ok()?;
        let old = Some(old).filter(|old| *old >= 0);
        let is_background = parts.next()? == "1";
        let word = Self {
            memory,
            old,
            is_background,
            why: parts.next()?.to_owned(),
        };
        (pid == is_for).then_some((format, word))
    }
}

/// How many file descriptors are open; `None` if /proc is not mounted.
fn descriptors() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?;
    u64::try_from(open.count()).ok()
}

/// Lets these descriptors survive exec(2), or not.
fn survive(numbers: &[RawFd], survives: bool) -> io::Result<()> {
    let mut numbers = numbers.iter();
    numbers.try_for_each(|number| sys::survive_exec(*number, survives))
}

/// Becomes another program, which gets these descriptors. Returns only if that fails.
fn execute(path: &Path, arguments: &[OsString], word: &Word, kept: &[RawFd]) -> io::Error {
    let ours = [
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        HANDOVER,
        REHEARSAL,
    ];
    let environment = env::vars_os().filter(|(name, _)| !ours.map(OsStr::new).contains(&&**name));
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
    let failed = match survive(kept, true) {
        Ok(()) => match execve(&path, &arguments, &environment) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        Err(error) => error,
    };
    if let Err(error) = survive(kept, false) {
        tracing::debug!("descriptors stay open for commands: {error}");
    }
    failed
}

/// Whether a `--check` is asked whether the hand-over is understood; prints the answer.
pub(super) fn answer_check() -> Option<String> {
    (env::var(HANDOVER).ok()? == FORMAT.to_string()).then(understood)
}

/// Whether this process is the child of [`Program::rehearse`]; the answer, if everything could be read.
///
/// # Errors
/// If it could not.
pub(super) fn rehearsed() -> io::Result<Option<String>> {
    let parent = u32::try_from(getppid().as_raw()).unwrap_or_default();
    let word = env::var(REHEARSAL).ok();
    let word = word.as_deref().and_then(|text| Word::parse(text, parent));
    let Some((format, word)) = word else {
        return Ok(None);
    };
    if format != FORMAT {
        return Err(unknown(format));
    }
    // It has the sockets: one whose parent was killed would keep them, and their senders, to itself.
    set_pdeathsig(Signal::SIGKILL)?;
    if u32::try_from(getppid().as_raw()) != Ok(parent) {
        return Err(io::Error::other("whoever wanted this rehearsal has died"));
    }
    State::read(&File::from(sys::inherited(word.memory)?))?;
    Ok(Some(understood()))
}

fn unknown(format: u64) -> io::Error {
    io::Error::other(format!(
        "this program does not know the hand-over format {format}"
    ))
}

fn understood() -> String {
    format!("handover {FORMAT}\n")
}

/// The variable that says what is handed over: `FORMAT` for `--check`, else
/// `FORMAT:PID:MEMORY:OLD:BACKGROUND:WHY`, `MEMORY` and `OLD` being descriptors.
const HANDOVER: &str = "SYSLOGD_HANDOVER";

/// The same for the child that rehearses; `PID` is that of its parent.
const REHEARSAL: &str = "SYSLOGD_REHEARSAL";

/// So many descriptors more than are open does an upgrade need: here for the two programs that try it, and in the
/// new one for the memory file and the way back.
const SPARE: u64 = 16;

const CHECK_WITHIN: Duration = Duration::from_secs(10);

/// How long a rehearsal may take: senders wait meanwhile.
pub(super) const REHEARSE_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            path: "/bin/sh".into(),
            arguments: ["sh", "-c", script].map(OsString::from).to_vec(),
            directory: "/".into(),
            is_background: false,
        }
    }

    #[test]
    fn a_program_that_does_not_get_through_its_rehearsal_is_not_gone_over_to() {
        let long = Duration::from_secs(60);
        for (script, patience, why) in [
            ("exit 1", long, "ended with exit status: 1: it said nothing"),
            ("kill -ABRT $$", long, "ended with signal: 6 (SIGABRT)"),
            ("echo why >&2; exit 3", long, "exit status: 3: why"),
            ("exit 0", long, "does not understand what is handed over"),
            (
                "exec sleep 1000",
                Duration::from_millis(1),
                "did not end in 1ms",
            ),
        ] {
            let said = shell(script).rehearse(&mut State::default(), patience);
            let said = said.expect_err(script);
            assert!(said.contains(why), "{script}: {said}");
        }
    }

    #[test]
    fn a_rehearsal_has_the_descriptors_and_nobody_else_has_them_afterwards() {
        let pid_file = File::open("/dev/zero").expect("it is there").into();
        let mut state = State {
            pid_file: Some(pid_file),
            ..State::default()
        };
        let number = state.descriptors().next().map_or(-1, AsRawFd::as_raw_fd);
        let look = format!("readlink /proc/self/fd/{number} >&2; exit 1");
        let said = shell(&look).rehearse(&mut state, Duration::from_secs(60));
        let said = said.expect_err("it exits with 1");
        assert!(said.ends_with(": /dev/zero"), "{said}");
        let after = std::process::Command::new("sh")
            .args(["-c", &look])
            .output();
        let after = after.expect("it can be started");
        assert_eq!(String::from_utf8_lossy(&after.stderr), "");
    }

    #[test]
    fn a_word_is_for_one_process() {
        let word = Word {
            memory: 7,
            old: None,
            is_background: true,
            why: "it said: no\0\n".into(),
        };
        let text = word.text();
        let pid = std::process::id();
        let (format, read) = Word::parse(&text, pid).expect("it is for us");
        assert_eq!((format, read.text()), (FORMAT, text.clone()));
        assert_eq!(read.why, "it said: no \n");
        assert!(Word::parse(&text, pid + 1).is_none());
        for length in 0..text.len() - word.why.len() - 1 {
            assert!(Word::parse(&text[..length], pid).is_none(), "{length}");
        }
    }
}
