//! Outputs that are behind, and the spool (F7, F20, F22, F30, F37): nothing is missing that it had, and the order stays.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use serde_json::Value;

use super::disk::told;
use super::pressure::{Relay, read_on};
use super::sequence::{Verdict, lines_of, message};
use super::upgrade::upgrade_well;
use crate::support::{DEADLINE, Daemon, Setup, is_inside, output_of, sum, wait_for};

/// A sender whose messages have a kibioctet.
fn long() -> String {
    "x".repeat(950)
}

/// Sends messages over TCP: a process of this host would be held to its share.
fn send(daemon: &Daemon, source: &str, numbers: std::ops::Range<u64>) {
    let lines = numbers.map(|number| message(source, number) + "\n");
    daemon.tcp_stream(lines.collect::<String>());
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a counter")
}

/// Waits until so many messages of the output are in the spool.
#[track_caller]
fn wait_until_spooled(daemon: &Daemon, output: &str, least: u64) {
    wait_for("messages to be spooled", || {
        count(&daemon.counters().output(output)["in_spool"]) >= least
    });
}

/// Waits until so many messages have reached the output.
#[track_caller]
fn wait_until_enqueued(daemon: &Daemon, output: &str, sent: u64) {
    wait_for("messages to be enqueued", || {
        count(&daemon.counters().output(output)["enqueued"]) >= sent
    });
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for output in fs::read_dir(spool).expect("it is there") {
        let output = output.expect("an entry").path();
        let entries = fs::read_dir(&output).into_iter().flatten();
        found.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    found.sort();
    found
}

/// Less than the messages of these stories take.
const FORWARD: &str = "memory 8M\nspool {dir}/spool 64M\nuser.*\t@@127.0.0.1:";

/// A daemon that is behind a relay that takes nothing: of the messages that it was sent so many at least are in its
/// spool. Returns their sender and their number, too.
#[track_caller]
fn behind(relay: u16, spooled: u64) -> (Daemon, String, u64) {
    let daemon = Daemon::start(&format!("{FORWARD}{relay}\n"));
    let (source, sent) = (long(), 16_000);
    send(&daemon, &source, 0..sent);
    wait_until_enqueued(&daemon, "127.0.0.1", sent);
    wait_until_spooled(&daemon, "127.0.0.1", spooled);
    (daemon, source, sent)
}

#[test]
fn s3_a_remote_that_reads_nothing_gets_everything_in_order_when_it_reads() {
    let relay = Relay::new();
    let (daemon, source, sent) = behind(relay.port(), 1000);
    daemon
        .stderr()
        .wait_for("is behind: its messages go to the spool");
    daemon.unix("<13>app: the last");
    let lines = relay.read_until("app: the last");
    assert_eq!(Verdict::of(&lines, &[(&source, sent)]), Verdict::default());
    let counters = daemon.quiet();
    let output = counters.output("127.0.0.1");
    assert_eq!(sum(&output["dropped"]), 0, "{output}");
    assert_eq!(count(&output["in_spool"]), 0, "{output}");
    assert!(count(&output["spooled"]) >= 1000, "{output}");
    daemon.stderr().wait_for("has caught up");
    let spool = daemon.setup().path("spool");
    wait_for("the segments to go", || segments(&spool).is_empty());
    daemon.finish();
}

/// A port that refuses connections until it listens.
struct Absent(OwnedFd);

impl Absent {
    fn new() -> Self {
        let family = AddressFamily::Inet;
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let socket = socket.expect("a socket");
        let any = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        bind(socket.as_raw_fd(), &any).expect("a port");
        Self(socket)
    }

    fn port(&self) -> u16 {
        let address: SockaddrIn = getsockname(self.0.as_raw_fd()).expect("it is bound");
        address.port()
    }

    fn comes_back(self) -> Relay {
        listen(&self.0, Backlog::MAXCONN).expect("it is bound");
        Relay::from(TcpListener::from(self.0))
    }
}

/// The number of a numbered message.
fn number(line: impl AsRef<str>) -> Option<u64> {
    let (_, rest) = line.as_ref().split_once(" n=")?;
    rest.split_once(' ')?.0.parse().ok()
}

/// The lines of the numbered messages, by number, and whether they are in order without a gap.
fn run_of(lines: &[String]) -> (u64, u64) {
    let numbers: Vec<u64> = lines.iter().filter_map(number).collect();
    let first = numbers.first().copied().expect("some were delivered");
    let wanted: Vec<u64> = (first..first + numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "no gap, in order, once");
    (first, numbers.len() as u64)
}

#[test]
fn f30_what_an_absent_remote_was_to_get_stays_over_a_stop_and_is_sent_first() {
    let absent = Absent::new();
    let daemon = Daemon::start(&format!("{FORWARD}{}\n", absent.port()));
    // Short ones: a hundred thousand would take longer to send than to spool.
    let sent = 20_000;
    send(&daemon, "a", 0..sent);
    wait_until_enqueued(&daemon, "127.0.0.1", sent);
    let began = Instant::now();
    let said = daemon.stderr().clone();
    let setup = daemon.stop();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let said = said.all();
    assert!(
        said.iter().any(|line| line.contains("20000 messages for")),
        "{said:#?}"
    );
    assert!(
        !said
            .iter()
            .any(|line| line.contains("not written before the end")),
        "{said:#?}"
    );
    let relay = absent.comes_back();
    let daemon = setup.start();
    daemon.unix("<13>app: a newer one");
    let lines = relay.read_until("app: a newer one");
    assert_eq!(Verdict::of(&lines, &[("a", sent)]), Verdict::default());
    assert!(
        lines
            .last()
            .is_some_and(|line| line.contains("a newer one"))
    );
    let counters = daemon.quiet();
    let output = counters.output("127.0.0.1");
    assert_eq!(count(&output["enqueued"]), sent + 1, "{output}");
    daemon.finish();
}

#[test]
fn f1_nothing_of_the_spool_is_missing_after_a_kill() {
    let absent = Absent::new();
    let (daemon, _, _) = behind(absent.port(), 8000);
    let counters = daemon.counters();
    let spooled = count(&counters.output("127.0.0.1")["in_spool"]);
    let setup = daemon.crash();
    let relay = absent.comes_back();
    let daemon = setup.start();
    daemon.stderr().wait_for("from before");
    daemon.unix("<13>app: a newer one");
    let lines = relay.read_until("app: a newer one");
    let (_, delivered) = run_of(&lines);
    assert!(delivered >= spooled, "{delivered} of {spooled}");
    daemon.finish();
}

#[test]
fn f2_a_file_that_cannot_be_written_from_one_stop_to_the_next_gets_all_in_the_end() {
    let setup = Setup::new("memory 8M\nspool {dir}/spool 64M\nuser.*\t{dir}/out/log\n");
    let daemon = setup.start();
    let sent = 300;
    send(&daemon, "a", 0..sent);
    wait_until_enqueued(&daemon, "out/log", sent);
    let mut setup = daemon.stop();
    // Each has the first of them in its hands when it ends.
    for _ in 0..2 {
        let daemon = setup.start();
        daemon.stderr().wait_for("300 messages for");
        daemon.stderr().wait_for("300 messages held");
        setup = daemon.stop();
    }
    fs::create_dir(setup.path("out")).expect("ours");
    let daemon = setup.start();
    daemon.unix("<13>app: a newer one");
    daemon.file("out/log").wait_for("app: a newer one");
    let lines = lines_of(&daemon.setup().path("out/log"));
    assert_eq!(Verdict::of(&lines, &[("a", sent)]), Verdict::default());
    daemon.finish();
}

#[test]
fn f2_a_kill_between_a_segment_and_its_header_leaves_nothing_to_tidy_up() {
    let absent = Absent::new();
    let daemon = Daemon::start(&format!("{FORWARD}{}\n", absent.port()));
    daemon.unix("<13>app: for later");
    wait_until_enqueued(&daemon, "127.0.0.1", 1);
    let setup = daemon.stop();
    let first = segments(&setup.path("spool"));
    let place = first[0].parent().expect("its directory");
    let begun = place.join("00000009ffffffff.seg");
    fs::write(&begun, "").expect("ours");
    let relay = absent.comes_back();
    let daemon = setup.start();
    relay.read_until("app: for later");
    wait_for("the segments to go", || {
        segments(&daemon.setup().path("spool")).is_empty()
    });
    let said = daemon.stderr().all();
    assert!(
        !said.iter().any(|line| line.contains("unreadable")),
        "{said:#?}"
    );
    daemon.finish();
}

#[test]
fn f31_an_upgrade_keeps_the_order_of_what_is_in_the_spool_and_in_memory() {
    let relay = Relay::new();
    let (daemon, source, sent) = behind(relay.port(), 1000);
    // The relay that has not answered yet is left, and gets a second connection.
    upgrade_well(&daemon);
    daemon.unix("<13>app: the last");
    drop(relay.accept());
    let lines = relay.read_until("app: the last");
    let mut verdict = Verdict::of(&lines, &[(&source, sent)]);
    verdict.missing.clear();
    assert_eq!(verdict, Verdict::default());
    let (first, delivered) = run_of(&lines);
    assert_eq!(first + delivered, sent);
    // What the old connection took without an answer.
    assert!(first < 8000, "{first}");
    let counters = daemon.quiet();
    assert_eq!(
        sum(&counters.output("127.0.0.1")["dropped"]),
        0,
        "{counters:?}"
    );
    daemon.finish();
}

#[test]
fn s3_a_full_spool_costs_the_least_urgent_and_each_is_counted() {
    let relay = Relay::new();
    let config = format!(
        "memory 8M\nspool {{dir}}/spool 4M\nuser.*\t@@127.0.0.1:{}\n",
        relay.port()
    );
    let daemon = Daemon::start(&config);
    let (bulk, rounds) = (long(), 16_000);
    let urgent = |number: u64| message("urgent", number).replacen("<13>", "<11>", 1);
    let lines = (0..rounds).map(|number| {
        let least = message(&bulk, number).replacen("<13>", "<15>", 1);
        match number % 16 {
            0 => format!("{least}\n{}\n", urgent(number / 16)),
            _ => format!("{least}\n"),
        }
    });
    daemon.tcp_stream(lines.collect::<String>());
    let sent = rounds + rounds / 16;
    wait_until_enqueued(&daemon, "127.0.0.1", sent);
    daemon.stderr().wait_for("it is full");
    daemon.unix("<11>app: the last");
    let lines = relay.read_until("app: the last");
    let verdict = Verdict::of(&lines, &[(&bulk, rounds), ("urgent", rounds / 16)]);
    let counters = daemon.quiet();
    let output = counters.output("127.0.0.1");
    let lost = verdict.lost() as u64;
    assert!(
        lost > 0 && !verdict.missing.contains_key("urgent"),
        "{output}"
    );
    assert_eq!(sum(&output["dropped"]), lost, "{output}");
    assert_eq!((verdict.doubled, verdict.out_of_order), (0, 0));
    assert!(count(&output["spooled"]) > 0, "{output}");
    daemon.finish();
}

#[test]
fn f37_a_spool_that_is_swapped_for_a_link_is_refused_and_works_again_when_it_is_back() {
    let relay = Relay::new();
    let daemon = Daemon::start(&format!("{FORWARD}{}\n", relay.port()));
    let (spool, moved) = (daemon.setup().path("spool"), daemon.setup().path("moved"));
    let elsewhere = daemon.setup().path("elsewhere");
    fs::create_dir(&elsewhere).expect("ours");
    fs::rename(&spool, &moved).expect("ours");
    symlink(&elsewhere, &spool).expect("ours");
    let (source, sent) = (long(), 5000);
    send(&daemon, &source, 0..sent);
    daemon.stderr().wait_for("spool: it is a symbolic link");
    wait_until_enqueued(&daemon, "127.0.0.1", sent);
    assert_eq!(fs::read_dir(&elsewhere).expect("ours").count(), 0);
    fs::remove_file(&spool).expect("ours");
    fs::rename(&moved, &spool).expect("ours");
    wait_until_spooled(&daemon, "127.0.0.1", 1);
    daemon.unix("<13>app: the last");
    let lines = relay.read_until("app: the last");
    assert_eq!(Verdict::of(&lines, &[(&source, sent)]), Verdict::default());
    daemon.finish();
}

#[test]
fn f22_a_damaged_spool_stops_no_start_and_costs_what_is_counted() {
    let absent = Absent::new();
    let (daemon, source, sent) = behind(absent.port(), 8000);
    let setup = daemon.stop();
    let spool = setup.path("spool");
    let found = segments(&spool);
    assert!(found.len() > 2, "{found:?}");
    // One is foreign, and one has a page of zeros.
    fs::write(&found[0], "not one of ours").expect("ours");
    let mut octets = fs::read(&found[1]).expect("ours");
    octets[100_000..104_096].fill(0);
    fs::write(&found[1], octets).expect("ours");
    let relay = absent.comes_back();
    let daemon = setup.start();
    daemon.unix("<13>app: the last");
    let mut stream = relay.accept();
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut lines = read_on(&mut stream, "app: the last");
    let verdict = Verdict::of(&lines, &[(&source, sent)]);
    let lost = verdict.lost() as u64;
    assert!(lost > 0);
    assert_eq!((verdict.doubled, verdict.out_of_order), (0, 0));
    let counters = daemon.quiet();
    let output = counters.output("127.0.0.1");
    assert_eq!(count(&output["dropped"]["io"]), lost, "{output}");
    assert_eq!(count(&output["enqueued"]), sent + 1, "{output}");
    daemon.stderr().wait_for("is damaged");
    daemon.stderr().wait_for("it is not a file of the spool");
    // The relay is told how many, and of the first hole where it is; there is one such line a second.
    while told(&lines) < lost {
        let more = read_on(&mut stream, "]: dropped ");
        assert!(!more.is_empty(), "{} are told of {lost}", told(&lines));
        lines.extend(more);
    }
    assert_eq!(told(&lines), lost);
    let at = lines.iter().position(|line| told(from_ref(line)) > 0);
    let at = at.expect("it is told");
    let before = lines[..at].iter().filter_map(number).next_back();
    let behind = lines[at..].iter().find_map(number).expect("more comes");
    let hole = behind - before.map_or(0, |number| number + 1);
    assert_eq!(told(from_ref(&lines[at])), hole, "{}", lines[at]);
    daemon.finish();
}

#[test]
fn f40_a_second_daemon_goes_on_without_the_spool_of_the_first() {
    let config = "spool {dir}/../shared-spool 1M\nuser.*\t{dir}/log\n";
    let first = Daemon::start("user.*\t{dir}/log\n");
    let path = first.setup().path("spool");
    let config = config.replace("{dir}/../shared-spool", &path.display().to_string());
    first.setup().configure(&config);
    assert!(first.reload().contains("configuration loaded again"));
    let second = Daemon::start(&config);
    second
        .stderr()
        .wait_for("another syslogd uses it; going on without it");
    second.unix("<13>app: hello");
    second.file("log").wait_for("app: hello");
    second.finish();
    first.finish();
}

#[test]
fn what_is_for_an_output_that_no_rule_names_stays_and_is_told() {
    let absent = Absent::new();
    let daemon = Daemon::start(&format!("{FORWARD}{}\n", absent.port()));
    daemon.unix("<13>app: for later");
    wait_until_enqueued(&daemon, "127.0.0.1", 1);
    let setup = daemon.stop();
    setup.configure("spool {dir}/spool\nuser.*\t{dir}/log\n");
    let daemon = setup.start();
    let line = daemon.stderr().wait_for("no rule names it any more");
    let output = format!("@@127.0.0.1:{}", absent.port());
    assert!(line.contains("1 message ("), "{line}");
    assert!(
        line.contains(&format!("for {output} stay there since ")),
        "{line}"
    );
    // The check says the same, of a spool that is in use, and touches nothing.
    let checked = daemon.setup().command().arg("--check").output();
    let checked = checked.expect("it can be started");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("no rule names it any more"), "{said}");
    assert!(said.contains("no errors, 1 warning"), "{said}");
    let setup = daemon.stop();
    setup.configure(&format!("{FORWARD}{}\n", absent.port()));
    let relay = absent.comes_back();
    let daemon = setup.start();
    relay.read_until("app: for later");
    daemon.finish();
}

fn mount(directory: &Path, size: &str) {
    if !directory.exists() {
        fs::create_dir(directory).expect("it can be made");
    }
    let mut command = Command::new("mount");
    command.args([
        "-t",
        "tmpfs",
        "-o",
        &format!("size={size},mode=700"),
        "none",
    ]);
    output_of(command.arg(directory));
}

fn remount(directory: &Path, size: &str) {
    let mut command = Command::new("mount");
    command.args(["-o", &format!("remount,size={size}")]);
    output_of(command.arg(directory));
}

fn unmount(directory: &Path) {
    output_of(Command::new("umount").arg("-l").arg(directory));
}

#[test]
fn f7_a_full_disk_costs_nothing_while_the_spool_has_room_and_a_full_spool_what_is_counted() {
    let test = "faults::spool::f7_a_full_disk_costs_nothing_while_the_spool_has_room_and_a_full_spool_what_is_counted";
    if !is_inside(test) {
        return;
    }
    let setup = Setup::new("memory 8M\nspool {dir}/spool 512M\nuser.*\t{dir}/small/log\n");
    let (small, spool) = (setup.path("small"), setup.path("spool"));
    mount(&small, "256k");
    mount(&spool, "20m");
    let daemon = setup.start();
    let source = long();
    // There is room for all of them.
    send(&daemon, &source, 0..12_000);
    wait_until_enqueued(&daemon, "small/log", 12_000);
    wait_until_spooled(&daemon, "small/log", 1000);
    remount(&small, "64m");
    daemon.file("small/log").wait_for_lines(12_000);
    assert_eq!(sum(&daemon.quiet().output("small/log")["dropped"]), 0);
    // And now there is not: the disk of the spool is full before the spool is.
    remount(&small, "13m");
    let sent = 45_000;
    send(&daemon, &source, 12_000..sent);
    daemon.stderr().wait_for("spool: No space left on device");
    wait_until_enqueued(&daemon, "small/log", sent);
    remount(&small, "128m");
    wait_for("everything to be written", || {
        daemon.counters().nothing_queued()
    });
    let counters = daemon.quiet();
    let dropped = sum(&counters.output("small/log")["dropped"]);
    let mut verdict = Verdict::of(&lines_of(&small.join("log")), &[(&source, sent)]);
    assert!(dropped > 0);
    assert_eq!(verdict.lost() as u64, dropped, "{counters:?}");
    verdict.missing.clear();
    assert_eq!(verdict, Verdict::default());
    unmount(&small);
    unmount(&spool);
    daemon.finish();
}
