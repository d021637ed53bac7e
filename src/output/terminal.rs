//! A terminal: lines that end in CR LF, and at most a second for each.
//!
//! A terminal that was stopped with ^S must not stop its worker: after a line has waited for a second
//! in vain, the next ones are tried without waiting, until one gets through (reliability V32).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::place::{Refusal, kind, kind_name};
use super::{Stop, Trouble, Written};
use crate::block::Block;
use crate::counters::Loss;

/// How long one line may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How often a terminal that cannot be opened is tried.
const RETRY: Duration = Duration::from_secs(30);

/// One terminal, by its path.
#[derive(Debug)]
pub struct Terminal {
    path: PathBuf,
    open: Option<OwnedFd>,
    stuck: bool,
    torn: bool,
}

impl Terminal {
    /// Names a terminal; the first write opens it.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            stuck: false,
            torn: false,
        }
    }

    /// Has the next write open it again.
    pub fn reopen(&mut self) {
        self.open = None;
    }

    /// Writes the records from number `from` on.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        for index in from..block.len() {
            let Some(entry) = block.get(index) else { break };
            if let Err(stop) = self.write_line(entry.octets) {
                return Written {
                    records: index - from,
                    stopped: Some(stop),
                };
            }
        }
        Written {
            records: block.len().saturating_sub(from),
            stopped: None,
        }
    }

    fn write_line(&mut self, record: &[u8]) -> Result<(), Stop> {
        let mut line = Vec::with_capacity(record.len() + 3);
        if self.torn {
            line.extend_from_slice(b"\r\n");
        }
        line.extend_from_slice(record.strip_suffix(b"\n").unwrap_or(record));
        line.extend_from_slice(b"\r\n");
        let patience = if self.stuck { Duration::ZERO } else { PATIENCE };
        // A hang-up is seen at the first write after it; the terminal may be there again.
        for last_try in [false, true] {
            let failed = match &self.open {
                Some(terminal) => write_within(terminal.as_fd(), &line, patience).err(),
                None => Some(Failed::HungUp(Errno::ENODEV)),
            };
            match failed {
                None => {
                    (self.stuck, self.torn) = (false, false);
                    return Ok(());
                }
                Some(Failed::Late { begun }) => {
                    self.stuck = true;
                    self.torn |= begun;
                    return Err(Stop::Drop(Loss::Timeout));
                }
                Some(Failed::HungUp(errno)) => {
                    self.open = None;
                    if last_try {
                        return Err(self.later(&errno.into()));
                    }
                    let opened = open_terminal(&self.path);
                    self.open = Some(opened.map_err(|refusal| self.later(&refusal))?);
                }
            }
        }
        Ok(())
    }

    fn later(&self, why: &Refusal) -> Stop {
        Stop::Retry(Trouble {
            after: RETRY,
            loss: Loss::Io,
            sentence: format!("cannot write terminal {}: {why}", self.path.display()),
        })
    }
}

/// Why a line did not reach a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    /// It was not taken in time; perhaps its beginning was.
    Late { begun: bool },
    /// The terminal is gone.
    HungUp(Errno),
}

/// Opens a terminal without waiting for its carrier and without making it ours.
pub(super) fn open_terminal(path: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let terminal = open(path, flags, Mode::empty())?;
    let stat = fstat(&terminal)?;
    if kind(&stat) == SFlag::S_IFCHR {
        Ok(terminal)
    } else {
        Err(Refusal::Kind(kind_name(&stat)))
    }
}

/// Writes a line to a descriptor that does not block.
pub(super) fn write_within(
    terminal: BorrowedFd<'_>,
    line: &[u8],
    patience: Duration,
) -> Result<(), Failed> {
    let deadline = Instant::now() + patience;
    let mut rest = line;
    while !rest.is_empty() {
        match nix::unistd::write(terminal, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let begun = rest.len() < line.len();
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up, so that the last millisecond is not spent spinning.
                let left = PollTimeout::try_from(left.as_millis() + u128::from(!left.is_zero()));
                let mut ready = [PollFd::new(terminal, PollFlags::POLLOUT)];
                match poll(&mut ready, left.unwrap_or(PollTimeout::ZERO)) {
                    Ok(0) => return Err(Failed::Late { begun }),
                    Ok(_) | Err(Errno::EINTR) if Instant::now() < deadline => {}
                    Ok(_) | Err(_) => return Err(Failed::Late { begun }),
                }
            }
            Err(errno) => return Err(Failed::HungUp(errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri, Severity};
    use nix::pty::openpty;
    use nix::unistd::ttyname;
    use std::io::Read;

    fn block(lines: &[&str]) -> Block {
        let mut block = Block::default();
        for line in lines {
            block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
                octets.extend_from_slice(line.as_bytes());
                0
            });
        }
        block
    }

    #[test]
    fn lines_end_in_cr_lf() {
        let pty = openpty(None, None).expect("a pty");
        let mut raw = nix::sys::termios::tcgetattr(&pty.slave).expect("a terminal");
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &raw)
            .expect("a terminal");
        let mut terminal = Terminal::new(ttyname(&pty.slave).expect("a name"));
        assert_eq!(terminal.write(&block(&["one\n", "two\n"]), 0).records, 2);
        let mut got = [0; 10];
        let mut master = std::fs::File::from(pty.master);
        master.read_exact(&mut got).expect("two lines");
        assert_eq!(&got, b"one\r\ntwo\r\n");
    }

    #[test]
    fn v32_a_terminal_that_takes_nothing_loses_the_line_and_is_not_waited_for_again() {
        let pty = openpty(None, None).expect("a pty");
        let mut terminal = Terminal::new(ttyname(&pty.slave).expect("a name"));
        let line = format!("{}\n", "x".repeat(3000));
        let block = block(&vec![line.as_str(); 100]);
        let written = terminal.write(&block, 0);
        assert!(matches!(written.stopped, Some(Stop::Drop(Loss::Timeout))));
        assert!(terminal.stuck);
        let before = Instant::now();
        let again = terminal.write(&block, written.records + 1);
        assert!(matches!(again.stopped, Some(Stop::Drop(Loss::Timeout))));
        assert!(before.elapsed() < PATIENCE);
    }

    #[test]
    fn a_terminal_that_is_not_there_is_tried_later() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("file"), "").expect("a file");
        for name in ["absent", "file"] {
            let written = Terminal::new(dir.path().join(name)).write(&block(&["x\n"]), 0);
            assert!(
                matches!(written.stopped, Some(Stop::Retry(Trouble { .. }))),
                "{name}: {written:?}"
            );
        }
    }
}
