//! The terminals of users: of some by name, or of everyone, as wall(1) writes to them.
//!
//! ```text
//! \r\n\aMessage from syslogd@host at Sun Nov 22 11:00:00 2026 ...\r\n tag: msg\r\n
//! ```
//!
//! Where users are is asked for each block: the sessions of logind and utmp(5), else the owners of the
//! pseudo terminals. Only terminals whose group may write (`mesg y`) are written to. Nobody being there
//! is success. The limit: graphical sessions have no terminal.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User, gethostname};

use super::terminal::{PATIENCE, open_terminal, write_within};
use super::{Stop, Written};
use crate::block::{Block, Entry};
use crate::counters::Loss;

/// Some users, or all.
#[derive(Debug)]
pub struct Users {
    names: Option<BTreeSet<String>>,
    sources: Sources,
}

/// Where it is written who is logged in.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The sessions of logind: `/run/systemd/sessions`.
    pub sessions: PathBuf,
    /// Where terminals are: `/dev`.
    pub devices: PathBuf,
    /// As [`crate::sys::utmp_terminals`].
    pub utmp: fn() -> Vec<(OsString, OsString)>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            sessions: "/run/systemd/sessions".into(),
            devices: "/dev".into(),
            utmp: crate::sys::utmp_terminals,
        }
    }
}

/// What became of one record.
#[derive(Default)]
struct Reached {
    taken: usize,
    late: usize,
}

impl Users {
    /// The users of these names.
    pub fn named(names: BTreeSet<String>) -> Self {
        Self {
            names: Some(names),
            sources: Sources::default(),
        }
    }

    /// Everyone.
    pub fn everyone() -> Self {
        Self {
            names: None,
            sources: Sources::default(),
        }
    }

    /// The same, but looked for elsewhere.
    #[must_use]
    pub fn with_sources(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// Writes the records from number `from` on.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let terminals = self.terminals();
        let mut stuck = HashSet::new();
        for index in from..block.len() {
            let Some(entry) = block.get(index) else { break };
            let reached = self.write_to_all(entry, &terminals, &mut stuck);
            if reached.taken == 0 && reached.late > 0 {
                return Written {
                    records: index - from,
                    stopped: Some(Stop::Drop(Loss::Timeout)),
                };
            }
        }
        Written {
            records: block.len().saturating_sub(from),
            stopped: None,
        }
    }

    fn write_to_all(
        &self,
        entry: Entry<'_>,
        terminals: &BTreeSet<PathBuf>,
        stuck: &mut HashSet<PathBuf>,
    ) -> Reached {
        let text = match self.names {
            Some(_) => line(entry),
            None => wall(entry),
        };
        let deadline = Instant::now() + PATIENCE;
        let mut reached = Reached::default();
        for path in terminals {
            let Ok(terminal) = open_terminal(path) else {
                // Logged out a moment ago.
                continue;
            };
            let patience = if stuck.contains(path) {
                Duration::ZERO
            } else {
                deadline.saturating_duration_since(Instant::now())
            };
            match write_within(terminal.as_fd(), &text, patience) {
                Ok(()) => reached.taken += 1,
                Err(super::terminal::Failed::Late { .. }) => {
                    reached.late += 1;
                    stuck.insert(path.clone());
                }
                Err(super::terminal::Failed::HungUp(_)) => {}
            }
        }
        reached
    }

    /// The terminals of these users that take messages.
    fn terminals(&self) -> BTreeSet<PathBuf> {
        let mut found = logind(&self.sources.sessions);
        found.extend((self.sources.utmp)());
        if found.is_empty() {
            found = owners(&self.sources.devices.join("pts"));
        }
        found
            .into_iter()
            .filter(|(user, _)| self.wants(user))
            .filter(|(_, line)| is_plain(Path::new(line)))
            .map(|(_, line)| self.sources.devices.join(line))
            .filter(|path| takes_messages(path))
            .collect()
    }

    fn wants(&self, user: &OsString) -> bool {
        let named = |names: &BTreeSet<String>| names.iter().any(|name| name.as_str() == user);
        self.names.as_ref().is_none_or(named)
    }
}

/// `tty1` or `pts/0`: nothing that leads out of the directory of the devices.
fn is_plain(line: &Path) -> bool {
    use std::path::Component;
    !line.as_os_str().is_empty()
        && line
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// `mesg y`: the group, which is tty, may write.
fn takes_messages(path: &Path) -> bool {
    let takes = |meta: fs::Metadata| meta.file_type().is_char_device() && meta.mode() & 0o020 != 0;
    fs::metadata(path).is_ok_and(takes)
}

/// One file for each session, `USER=` and `TTY=` among its lines.
fn logind(directory: &Path) -> Vec<(OsString, OsString)> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let session = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let value = |key| text.lines().find_map(|line| line.strip_prefix(key));
        let (user, terminal) = (value("USER=")?, value("TTY=")?);
        (value("STATE=") != Some("closing")).then(|| (user.into(), terminal.into()))
    };
    entries.flatten().filter_map(session).collect()
}

fn owners(directory: &Path) -> Vec<(OsString, OsString)> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let owner = |entry: fs::DirEntry| {
        let uid = Uid::from_raw(entry.metadata().ok()?.uid());
        let user = User::from_uid(uid).ok()??;
        let mut line = OsString::from("pts/");
        line.push(entry.file_name());
        Some((user.name.into(), line))
    };
    entries.flatten().filter_map(owner).collect()
}

fn line(entry: Entry<'_>) -> Vec<u8> {
    [without_line_feed(entry.octets), b"\r\n"].concat()
}

/// The record without time and host, below a line that gives them.
fn wall(entry: Entry<'_>) -> Vec<u8> {
    let body = without_line_feed(entry.body);
    let mut parts = body.splitn(2, |octet| *octet == b' ');
    let (host, text) = (parts.next().unwrap_or_default(), parts.next());
    let ours = gethostname().unwrap_or_default();
    let ours = ours.display();
    let now = chrono::Local::now().format("%a %b %e %H:%M:%S %Y");
    let head = format!("\r\n\x07Message from syslogd@{ours} at {now} ...\r\n ");
    [head.as_bytes(), text.unwrap_or(host), b"\r\n"].concat()
}

fn without_line_feed(octets: &[u8]) -> &[u8] {
    octets.strip_suffix(b"\n").unwrap_or(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::{Facility, Pri, Severity};
    use nix::pty::openpty;
    use nix::sys::stat::{Mode, fchmod};
    use nix::unistd::ttyname;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn block(line: &str) -> Block {
        let mut block = Block::default();
        block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
            octets.extend_from_slice(line.as_bytes());
            16
        });
        block
    }

    /// A machine where joe is logged in at `pts/9`, which is a pty of this test.
    fn machine(dir: &Path, mesg: u32) -> (Sources, fs::File, std::os::fd::OwnedFd) {
        let pty = openpty(None, None).expect("a pty");
        let mut raw = nix::sys::termios::tcgetattr(&pty.slave).expect("a terminal");
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &raw)
            .expect("a terminal");
        fchmod(&pty.slave, Mode::from_bits_truncate(0o600 | mesg)).expect("mesg");
        for sub in ["dev/pts", "sessions"] {
            fs::create_dir_all(dir.join(sub)).expect("a directory");
        }
        symlink(ttyname(&pty.slave).expect("a name"), dir.join("dev/pts/9")).expect("a link");
        let session = "USER=joe\nTTY=pts/9\nSTATE=active\n";
        fs::write(dir.join("sessions/3"), session).expect("a session");
        let sources = Sources {
            sessions: dir.join("sessions"),
            devices: dir.join("dev"),
            utmp: Vec::new,
        };
        (sources, pty.master.into(), pty.slave)
    }

    fn read(master: &mut fs::File, octets: usize) -> String {
        let mut got = vec![0; octets];
        master.read_exact(&mut got).expect("a message");
        String::from_utf8(got).expect("ASCII")
    }

    #[test]
    fn a_user_gets_the_line_and_everyone_the_head_of_wall() {
        let dir = tempfile::tempdir().expect("a directory");
        let (sources, mut master, _slave) = machine(dir.path(), 0o020);
        let block = block("Nov 22 11:00:00 host a: one\n");
        let joe = BTreeSet::from(["joe".to_owned()]);
        let mut named = Users::named(joe).with_sources(sources.clone());
        assert_eq!(named.write(&block, 0).records, 1);
        assert_eq!(read(&mut master, 29), "Nov 22 11:00:00 host a: one\r\n");
        let mut all = Users::everyone().with_sources(sources);
        assert_eq!(all.write(&block, 0).records, 1);
        let host = gethostname().expect("a name").display().to_string();
        let got = read(&mut master, 67 + host.len());
        assert!(
            got.starts_with(&format!("\r\n\x07Message from syslogd@{host} at ")),
            "{got:?}"
        );
        assert!(got.ends_with(" ...\r\n a: one\r\n"), "{got:?}");
    }

    #[test]
    fn mesg_n_other_users_and_nobody_are_success() {
        let joe = BTreeSet::from(["joe".to_owned()]);
        let ann = BTreeSet::from(["ann".to_owned()]);
        for (names, mesg) in [(joe, 0), (ann, 0o020)] {
            let dir = tempfile::tempdir().expect("a directory");
            let (sources, _master, _slave) = machine(dir.path(), mesg);
            let mut users = Users::named(names).with_sources(sources);
            assert!(users.terminals().is_empty());
            let written = users.write(&block("Nov 22 11:00:00 host a: one\n"), 0);
            assert_eq!(written.records, 1);
        }
    }

    #[test]
    fn a_session_cannot_name_a_file_elsewhere() {
        for (line, want) in [
            ("pts/0", true),
            ("tty1", true),
            ("../etc/passwd", false),
            ("/etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(is_plain(Path::new(line)), want, "{line:?}");
        }
    }
}
