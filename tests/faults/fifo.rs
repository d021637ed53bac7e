//! Named pipes whose readers stop, or die in the middle of a record (F18).
//!
//! ```text
//! first reader   n=0 | n=1 | n=2 | n=
//! second                             3 | n=4 | dropped 17 messages here | n=22 | …
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::disk::{long, send, settled, told};
use super::sequence::Verdict;
use crate::support::{Daemon, LogFile, Setup, sum, wait_for};

/// A daemon with a FIFO.
fn start() -> (Daemon, PathBuf) {
    let setup = Setup::new("user.*\t|{dir}/fifo\n");
    let fifo = setup.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    (setup.start(), fifo)
}

/// As a process, `T` if it is stopped (`proc_pid_stat(5)`).
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let behind = stat.rsplit_once(") ").expect("it has a name").1;
    behind.chars().next().expect("it has a state")
}

#[test]
fn f18_a_reader_that_is_stopped_hears_what_it_missed() {
    let (daemon, fifo) = start();
    let seen = daemon.setup().path("seen");
    let mut reader = Command::new("cat")
        .arg(&fifo)
        .stdout(File::create(&seen).expect("a file"))
        .stderr(Stdio::null())
        .spawn()
        .expect("cat(1)");
    let pid = Pid::from_raw(reader.id().try_into().expect("a process id"));
    let seen = LogFile::new(seen);
    let source = long();
    send(&daemon, &source, 0, 1);
    seen.wait_for(" n=0 ");
    kill(pid, Signal::SIGSTOP).expect("our child");
    wait_for("it to stop", || state(pid) == 'T');
    let sent = 151;
    send(&daemon, &source, 1, sent);
    let dropped = sum(&settled(&daemon, "/fifo", sent).output("/fifo")["dropped"]);
    assert!(dropped > 0);
    kill(pid, Signal::SIGCONT).expect("our child");
    // It hears of the gap although no message follows.
    wait_for("the gap to be told", || told(&seen.lines()) >= dropped);
    assert_eq!(told(&seen.lines()), dropped);
    let mut verdict = Verdict::of(&seen.lines(), &[(&source, sent)]);
    assert_eq!(verdict.lost() as u64, dropped);
    verdict.missing.clear();
    assert_eq!(verdict, Verdict::default());
    reader.kill().expect("our child");
    reader.wait().expect("our child");
    daemon.finish();
}

/// A reader that dies when it has read so many octets, or one more: within a record.
fn read_and_die(fifo: &Path, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    let mut reader = File::open(fifo).expect("the daemon writes");
    reader.read_exact(&mut octets).expect("there is so much");
    if octets.last() == Some(&b'\n') {
        octets.push(0);
        reader
            .read_exact(&mut octets[count..])
            .expect("there is more");
    }
    octets
}

/// The octets that were put into the FIFO.
fn octets(daemon: &Daemon, sent: u64) -> usize {
    let counters = settled(daemon, "/fifo", sent);
    let octets = counters.output("/fifo")["octets"].as_u64();
    usize::try_from(octets.expect("a number")).expect("a number")
}

#[test]
fn f18_readers_that_die_within_a_record_leave_its_rest_to_the_next() {
    let (daemon, fifo) = start();
    // What it holds, and then more: records longer than what a FIFO takes whole or not at all.
    let huge = "y".repeat(5000);
    let kinds = [("a", 500), (huge.as_str(), 40)];
    let (mut all, mut sent) = (Vec::new(), 0);
    for (source, count) in kinds {
        send(&daemon, source, 0, count);
        sent += count;
        let held = octets(&daemon, sent) - all.len();
        for _ in 0..3 {
            all.extend(read_and_die(&fifo, held / 4));
        }
    }
    // The last one stays until it has heard of each gap.
    let mut reader = File::options();
    reader.read(true).custom_flags(libc::O_NONBLOCK);
    let mut reader = reader.open(&fifo).expect("a FIFO");
    let dropped = sum(&daemon.quiet().output("/fifo")["dropped"]);
    assert!(dropped > 0);
    let mut lines = Vec::new();
    wait_for("all gaps to be told", || {
        let end = reader.read_to_end(&mut all);
        assert!(end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        let text = String::from_utf8_lossy(&all);
        lines = text.lines().map(str::to_owned).collect();
        told(&lines) >= dropped
    });
    assert_eq!(told(&lines), dropped);
    // All of them together have each record whole, or its number is in a gap.
    let mut verdict = Verdict::of(&lines, &kinds);
    assert_eq!(verdict.lost() as u64, dropped);
    verdict.missing.clear();
    assert_eq!(verdict, Verdict::default());
    daemon.finish();
}
