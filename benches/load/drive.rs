//! One run: warm up, send, watch the files, count.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::count::{count, size};
use super::messages::Messages;
use super::send::Sender;
use super::{Order, Transport};

/// The numbers of the messages that warm up; those that count are smaller.
const WARM: u64 = 900_000_000;

/// How often the files are looked at.
const STEP: Duration = Duration::from_millis(4);

/// For how long files that do not grow are taken for all there is: longer than any daemon holds lines back.
const STILL: Duration = Duration::from_millis(2500);

/// What is not in the files by then counts as lost.
const LIMIT: Duration = Duration::from_secs(30);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    sent: u64,
    /// Different messages in the files.
    received: u64,
    /// Lines in the files, which are more where a message goes to more than one.
    lines: u64,
    /// Until 98 % of what the files got was in them: a last lazy flush is held against nobody.
    seconds: f64,
    /// What the daemon and its children used, system and user.
    cpu_seconds: f64,
    peak_kib: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            received,
            lines,
            seconds,
            cpu_seconds,
            peak_kib,
        } = self;
        write!(
            f,
            "{sent},{received},{lines},{seconds:.4},{cpu_seconds:.4},{peak_kib}"
        )
    }
}

/// Sends what is asked, and tells what became of it.
pub(crate) fn drive(order: &Order) -> Outcome {
    let mut sender = Sender::connect(order).expect("the daemon listens");
    let warm = Duration::from_millis(200);
    let rate = order
        .rate
        .or((order.transport == Transport::Udp).then_some(20_000.0));
    let mut messages = Messages::new(order.transport, order.shape, WARM);
    sender
        .send(&mut messages, 2000, warm, rate)
        .expect("warmed up");
    thread::sleep(warm);

    let mut messages = Messages::new(order.transport, order.shape, 0);
    let base = size(&order.files);
    let (began, cpu) = (Instant::now(), cpu_seconds(order.pid));
    let sending = AtomicBool::new(true);
    let sizes = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&order.files, base, began, &sending));
        let time = order.seconds;
        let sent = sender.send(&mut messages, order.count, time, order.rate);
        sending.store(false, Ordering::Release);
        sent.expect("the daemon takes it");
        watching.join().expect("it only looks")
    });
    let sent = messages.next_number();
    let (mut sizes, mut counted) = (sizes, count(&order.files, sent).expect("files"));
    // Not all is there: give a lazy daemon its time.
    if counted.unique < sent {
        let deadline = Instant::now() + STILL;
        let mut last = sizes.last().map_or(base, |(_, size)| *size);
        while Instant::now() < deadline {
            thread::sleep(STEP);
            let now = size(&order.files);
            if now != last {
                last = now;
                sizes.push((began.elapsed(), now));
            }
        }
        counted = count(&order.files, sent).expect("files");
    }
    let last = sizes.last().map_or(base, |(_, size)| *size);
    let nearly_all = last.saturating_sub(last.saturating_sub(base) / 50);
    let done = sizes.iter().find(|(_, size)| *size >= nearly_all);
    Outcome {
        sent,
        received: counted.unique,
        lines: counted.lines,
        seconds: done.map_or(0.0, |(at, _)| at.as_secs_f64()),
        cpu_seconds: cpu_seconds(order.pid) - cpu,
        peak_kib: peak_kib(order.pid),
    }
}

/// How large the files were when, until nothing is sent any more and they are still.
fn watch(files: &Path, base: u64, began: Instant, sending: &AtomicBool) -> Vec<(Duration, u64)> {
    let mut sizes = vec![(Duration::ZERO, base)];
    let mut changed = Instant::now();
    let mut pause = STEP;
    loop {
        thread::sleep(pause);
        let looking = Instant::now();
        let now = size(files);
        // A thousand files take their time, which is not the daemon's.
        pause = STEP.max(looking.elapsed() * 10);
        if sizes.last().is_none_or(|(_, last)| *last != now) {
            sizes.push((began.elapsed(), now));
            changed = Instant::now();
        }
        if sending.load(Ordering::Acquire) {
            changed = Instant::now();
        }
        if changed.elapsed() > Duration::from_millis(150) || began.elapsed() > LIMIT {
            return sizes;
        }
    }
}

/// What a process, its threads and its children that ended have used.
fn cpu_seconds(pid: i32) -> f64 {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).and_then(ClockId::now);
    let own = clock.map_or(0.0, |time| Duration::from(time).as_secs_f64());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    // proc(5): cutime and cstime, the 16th and 17th, of which two stand before the parenthesis closes.
    let ticks: u32 = [13, 14]
        .iter()
        .filter_map(|index| fields.get(*index)?.parse::<u32>().ok())
        .sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let per_second = u32::try_from(per_second).unwrap_or(100);
    own + f64::from(ticks) / f64::from(per_second)
}

fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
