//! A command that reads records from a pipe: `|exec /usr/local/bin/filter` under the BSDs.
//!
//! ```text
//! first record ─► sh -c COMMAND ─► records on its stdin ─► SIGHUP, end: stdin is closed
//!                      ▲                    │ it ended: wait 1, 2, 4 … 60 s
//!                      └────────────────────┘
//! ```
//!
//! It never makes us wait: a record that the pipe has no room for is dropped and counted. It has an empty
//! environment but for `PATH`, and nothing to write to. The limit: what it had not read when it ended is
//! lost.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::pipe::{Obstacle, Pipe};
use super::{Stop, Trouble, Written};
use crate::block::Block;
use crate::counters::Loss;

/// How long a command that ended is left alone, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long the end of the daemon waits for a command that has read everything.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where programs are found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One command.
#[derive(Debug)]
pub struct Command {
    line: String,
    running: Option<Running>,
    /// One that reads no longer, closed when it has ended: two of a kind never run because of that.
    deaf: Option<Receiver<io::Result<ChildStdin>>>,
    next_pause: Duration,
    failures: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Running {
    pipe: Pipe,
    since: Instant,
    /// Closed when it has ended.
    ended: Receiver<io::Result<ChildStdin>>,
}

impl Command {
    /// Names a command; the first record starts it.
    pub fn new(line: String) -> Self {
        Self {
            line,
            running: None,
            deaf: None,
            next_pause: PAUSES.0,
            failures: Arc::default(),
        }
    }

    /// Lets it end; the next record starts it anew.
    pub fn reopen(&mut self) {
        (self.running, self.deaf) = (None, None);
        self.next_pause = PAUSES.0;
    }

    /// Writes the records from number `from` on; stops at one that does not fit.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let mut next = from;
        let stopped = self.write_from(block, &mut next).err();
        let records = next - from;
        Written { records, stopped }
    }

    /// Lets it end, and waits a little for that.
    pub fn close(&mut self, deadline: Instant) {
        if let Some(running) = self.running.take() {
            drop(running.pipe);
            let left = deadline.saturating_duration_since(Instant::now());
            // It may go on without us: it has all that we had for it.
            _ = running.ended.recv_timeout(left.min(PATIENCE));
        }
    }

    fn write_from(&mut self, block: &Block, next: &mut usize) -> Result<(), Stop> {
        let runs = |deaf: &Receiver<_>| matches!(deaf.try_recv(), Err(TryRecvError::Empty));
        if self.deaf.as_ref().is_some_and(runs) {
            let sentence = format!("the command \"{}\" runs and reads nothing", self.line);
            return Err(self.pause(sentence));
        }
        let running = match self.running.take() {
            Some(running) => running,
            None => match start(&self.line, &self.failures) {
                Ok(running) => running,
                Err(error) => {
                    let line = &self.line;
                    let sentence = format!("cannot start the command \"{line}\": {error}");
                    return Err(self.pause(sentence));
                }
            },
        };
        let running = self.running.insert(running);
        match running.pipe.write(block, next) {
            Ok(()) => Ok(()),
            Err(Obstacle::Full) => Err(Stop::Drop(Loss::FifoFull)),
            Err(Obstacle::Broken(_)) => {
                if running.since.elapsed() >= PAUSES.1 {
                    self.next_pause = PAUSES.0;
                }
                self.deaf = self.running.take().map(|running| running.ended);
                Err(self.pause(format!("the command \"{}\" reads no longer", self.line)))
            }
        }
    }

    fn pause(&mut self, sentence: String) -> Stop {
        let after = self.next_pause;
        self.next_pause = (after * 2).min(PAUSES.1);
        Stop::Retry(Trouble {
            after,
            loss: Loss::Io,
            sentence,
        })
    }
}

/// Starts a command, with a thread that waits for its end.
fn start(line: &str, failures: &Arc<AtomicU64>) -> io::Result<Running> {
    // One word only: the pipe, or why there is none. Then the end is told by closing.
    let (tell, told) = mpsc::sync_channel(1);
    let (command, failures) = (line.to_owned(), Arc::clone(failures));
    thread::Builder::new()
        .name("command".into())
        .spawn(move || attend(&command, &failures, &tell))?;
    let stdin = told.recv().map_err(io::Error::other)??;
    let end = OwnedFd::from(stdin);
    fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(Running {
        pipe: Pipe::new(end),
        since: Instant::now(),
        ended: told,
    })
}

/// The life of one child: its stdin is told, its end is waited for, its failure is reported.
fn attend(line: &str, failures: &AtomicU64, tell: &SyncSender<io::Result<ChildStdin>>) {
    let spawned = process::Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            // Whoever asked waits for it.
            _ = tell.send(Err(error));
            return;
        }
    };
    let Some(stdin) = child.stdin.take() else {
        return;
    };
    // If nobody waits for it any longer it is closed, and the command ends.
    _ = tell.send(Ok(stdin));
    match child.wait() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            let times = failures.fetch_add(1, Relaxed) + 1;
            tracing::warn!("the command \"{line}\" failed with {status}, {times} times so far");
        }
        Err(error) => tracing::warn!("cannot wait for the command \"{line}\": {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;
    use crate::pri::Pri;

    fn block(lines: &[&str]) -> Block {
        let mut block = Block::default();
        for line in lines {
            block.push(Pri::DEFAULT, |octets| {
                octets.extend_from_slice(line.as_bytes());
                octets.extend_from_slice(b"\n");
                0
            });
        }
        block
    }

    fn wait_for_its_end(running: Running) {
        drop(running.pipe);
        let end = running.ended.recv_timeout(Duration::from_secs(20));
        assert!(matches!(end, Err(RecvTimeoutError::Disconnected)));
    }

    #[test]
    fn a_command_reads_records_until_sighup_and_is_started_anew_by_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("got");
        let line = format!("cat >> '{}'; env | grep -c =  >> '{0}'", file.display());
        let mut command = Command::new(line);
        for round in ["1", "2"] {
            assert_eq!(command.write(&block(&["a", round]), 0).records, 2);
            let running = command.running.take().expect("it was started");
            command.reopen();
            wait_for_its_end(running);
        }
        let got = fs::read_to_string(file).expect("it was written");
        let lines: Vec<&str> = got.lines().collect();
        assert_eq!(
            (lines[0], lines[1], lines[3], lines[4]),
            ("a", "1", "a", "2")
        );
        let variables: usize = lines[2].parse().expect("a number");
        assert!(variables <= 4, "PATH, and what sh sets: {variables}");
    }

    #[test]
    fn a_command_that_fails_is_counted_and_tried_again_ever_later() {
        let mut command = Command::new("exec 0<&-; exit 3".into());
        let (one, mut pauses) = (block(&["x"]), Vec::new());
        let deadline = Instant::now() + Duration::from_secs(20);
        // A record may find room in the pipe of one that has not begun to end.
        while pauses.len() < 3 && Instant::now() < deadline {
            if let Some(Stop::Retry(Trouble { after, .. })) = command.write(&one, 0).stopped {
                pauses.push(after.as_secs());
            }
        }
        assert_eq!(pauses, [1, 2, 4]);
        let last = command.deaf.take().expect("it was known");
        let end = last.recv_timeout(Duration::from_secs(20));
        assert!(matches!(end, Err(RecvTimeoutError::Disconnected)));
        assert!((1..=3).contains(&command.failures.load(Relaxed)));
    }

    #[test]
    fn a_command_that_reads_no_longer_has_no_second_beside_it_until_sighup() {
        let dir = tempfile::tempdir().expect("a directory");
        let gate = dir.path().join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let line = format!("exec 0<&-; read x < '{}'", gate.display());
        let mut command = Command::new(line);
        let one = block(&["x"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while command.deaf.is_none() && Instant::now() < deadline {
            _ = command.write(&one, 0);
        }
        let Some(Stop::Retry(Trouble { sentence, .. })) = command.write(&one, 0).stopped else {
            panic!("it still runs");
        };
        assert!(sentence.ends_with("runs and reads nothing"), "{sentence}");
        let deaf = command.deaf.take().expect("it is known");
        fs::write(&gate, "go\n").expect("it waits at the gate");
        let end = deaf.recv_timeout(Duration::from_secs(20));
        assert!(matches!(end, Err(RecvTimeoutError::Disconnected)));
    }
}
