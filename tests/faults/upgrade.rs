//! Another program in place of the running one (F31): nothing lost, and nothing changed by one that cannot.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle, ScopedJoinHandle};

use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::disk::send;
use super::injection::{Injection, is_within};
use super::load::Load;
use super::restart::all_is_there;
use super::sequence::{Verdict, message};
use crate::support::{DEADLINE, Daemon, Setup, counted, skip, wait_for};

/// `--upgrade` of the daemon whose pid file is in this directory.
pub(crate) fn upgrade(setup: &Setup) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syslogd"));
    command.arg("--upgrade").arg("-P");
    let command = command.arg(setup.path("syslogd.pid"));
    command.output().expect("it can be started")
}

#[track_caller]
pub(crate) fn upgrade_well(daemon: &Daemon) {
    let output = upgrade(daemon.setup());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// What `--upgrade` says when it is refused.
#[track_caller]
fn upgrade_in_vain(daemon: &Daemon) -> String {
    let output = upgrade(daemon.setup());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("refused, and nothing has changed"), "{said}");
    said
}

#[test]
fn what_comes_while_a_sync_holds_up_its_file_is_handed_over() {
    let daemon = Daemon::start("user.*\t{dir}/log;sync=durable\n");
    // Longer than an output has at a hand-over, and less than it is waited for.
    let fault = "fdatasync:delay_enter=1000000:when=1";
    let Some(injection) = Injection::attach(&daemon, "log", fault) else {
        return daemon.finish();
    };
    // The queue is empty when the sync begins, and what comes then waits for it.
    send(&daemon, "a", 0, 1);
    wait_for("the sync to begin", || {
        is_within(&daemon, libc::SYS_fdatasync, "log")
    });
    let sent = 100;
    send(&daemon, "a", 1, sent);
    upgrade_well(&daemon);
    drop(injection);
    daemon.file("log").wait_for(&format!(" n={} ", sent - 1));
    daemon.quiet();
    let verdict = Verdict::of(&daemon.file("log").lines(), &[("a", sent)]);
    assert_eq!(verdict, Verdict::default());
    daemon.finish();
}

#[test]
fn upgrades_under_load_lose_and_double_nothing() {
    let daemon = Daemon::start("user.*\t-{dir}/log\n");
    let load = Load::of(&daemon);
    let running = load.start();
    let rounds = std::env::var("SYSLOGD_TEST_UPGRADES").map_or(5, |n| n.parse().expect("a number"));
    for _ in 0..rounds {
        upgrade_well(&daemon);
        running.wait_for_more(50);
    }
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    let text = fs::read_to_string(daemon.setup().path("syslogd.pid")).expect("it stays");
    assert_eq!(
        text,
        format!("{}\n", daemon.pid()),
        "the process is the same"
    );
    daemon.finish();
}

#[test]
fn a_daemon_in_the_background_is_replaced_there() {
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    let setup = Setup::new("user.*\t{dir}/log\n").arguments(&["-p", "relative.sock"]);
    let output = setup.command().output().expect("it can be started");
    assert!(output.status.success(), "{output:?}");
    let pid = fs::read_to_string(setup.path("syslogd.pid")).expect("it works");
    let output = upgrade(&setup);
    let log = crate::support::LogFile::new(setup.path("log"));
    setup.send("relative.sock", b"<13>app: after");
    log.wait_for("after");
    let pid_after = fs::read_to_string(setup.path("syslogd.pid")).expect("it works");
    let number = Pid::from_raw(pid.trim().parse().expect("a number"));
    let directory = fs::read_link(format!("/proc/{number}/cwd"));
    kill(number, Signal::SIGTERM).expect("it runs");
    wait_for("its end", || !setup.path("syslogd.pid").exists());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(pid, pid_after);
    assert_eq!(directory.expect("it ran"), std::path::Path::new("/"));
    assert!(!setup.path("relative.sock").exists(), "left behind");
}

#[test]
fn connections_go_on_within_a_frame() {
    let daemon = Daemon::with(
        &["--listen", "unix://{dir}/stream.sock"],
        "user.*\t{dir}/log\n",
    );
    let stream = daemon.setup().path("stream.sock");
    let mut unix = std::os::unix::net::UnixStream::connect(stream).expect("it listens");
    let (mut tcp, mut skipped) = (daemon.tcp(), daemon.tcp());
    let frame = counted("<13>app: cut in two by an upgrade");
    let (head, tail) = frame.split_at(12);
    tcp.write_all((counted("<13>app: tcp") + head).as_bytes())
        .expect("it takes it");
    unix.write_all(b"<13>app: unix\n<13>app: half a")
        .expect("it takes it");
    let long = format!("<13>app: whole\n<13>app: long {}", "x".repeat(10_000));
    skipped.write_all(long.as_bytes()).expect("it takes it");
    for text in ["app: tcp", "app: unix", "app: whole"] {
        daemon.file("log").wait_for(text);
    }
    upgrade_well(&daemon);
    tcp.write_all(tail.as_bytes()).expect("it takes it");
    unix.write_all(b" line\n").expect("it takes it");
    skipped
        .write_all(b"yyy\n<13>app: behind it\n")
        .expect("it takes it");
    for text in [
        "app: cut in two by an upgrade",
        "app: half a line",
        "app: behind it",
    ] {
        daemon.file("log").wait_for(text);
    }
    let lines = daemon.file("log").lines();
    assert!(!lines.iter().any(|line| line.contains("yyy")), "{lines:#?}");
    assert_eq!(daemon.quiet().input("tcp")["truncated"], 1);
    daemon.finish();
}

#[test]
fn what_an_output_could_not_write_is_handed_over_in_order() {
    let daemon = Daemon::start("user.*\t{dir}/log\nuser.*\t|{dir}/fifo\n");
    for number in 0..200 {
        daemon.unix(message("a", number));
    }
    daemon.file("log").wait_for_lines(200);
    upgrade_well(&daemon);
    for number in 200..300 {
        daemon.unix(message("a", number));
    }
    let read = read_fifo(&daemon, 300);
    daemon.reload();
    let lines = read.join().expect("it only reads");
    assert_eq!(Verdict::of(&lines, &[("a", 300)]), Verdict::default());
    assert_eq!(daemon.quiet().output("fifo")["written"], 300);
    daemon.finish();
}

#[test]
fn what_waits_for_an_output_that_is_gone_is_dropped_and_counted() {
    let daemon = Daemon::start("user.*\t{dir}/log\nuser.*\t|{dir}/fifo\n");
    for number in 0..200 {
        daemon.unix(message("a", number));
    }
    daemon.file("log").wait_for_lines(200);
    daemon.setup().configure("user.*\t{dir}/log\n");
    upgrade_well(&daemon);
    daemon.stderr().wait_for("dropped 200 messages for |");
    let counters = daemon.quiet();
    let fifo = counters.output("fifo");
    assert_eq!(
        (&fifo["enqueued"], &fifo["dropped"]["shutdown"]),
        (&200.into(), &200.into())
    );
    daemon.finish();
}

#[test]
fn without_a_daemon_there_is_nothing_to_upgrade() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    for pid_file in [None, Some("1\n"), Some("nonsense")] {
        if let Some(text) = pid_file {
            setup.write("syslogd.pid", text);
        }
        let output = upgrade(&setup);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("no syslogd runs"), "{said}");
    }
}

#[test]
fn of_several_who_ask_at_once_each_gets_an_answer() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    let answers: Vec<Output> = thread::scope(|scope| {
        let ask = || scope.spawn(|| upgrade(daemon.setup()));
        let asked: Vec<_> = std::iter::repeat_with(ask).take(3).collect();
        let answer = asked.into_iter().map(ScopedJoinHandle::join);
        answer.collect::<Result<_, _>>().expect("they only ask")
    });
    for answer in &answers {
        let said = String::from_utf8_lossy(&answer.stderr);
        let is_refused = said.contains("another --upgrade is at work");
        assert!(answer.status.success() || is_refused, "{said}");
    }
    assert!(answers.iter().any(|answer| answer.status.success()));
    daemon.finish();
}

/// A daemon whose program can be replaced.
fn replaceable(config: &str) -> Setup {
    Setup::new(config).wrapper(&[
        "sh",
        "-c",
        r#"mkdir bin && ln -s "$0" bin/syslogd && exec bin/syslogd "$@""#,
    ])
}

/// Has another file lie where the program was.
fn replace(daemon: &Daemon, by: &str) {
    let new = daemon.setup().path("bin/new");
    std::os::unix::fs::symlink(by, &new).expect("a link");
    fs::rename(&new, daemon.setup().path("bin/syslogd")).expect("it is ours");
}

const REAL: &str = env!("CARGO_BIN_EXE_syslogd");

/// Has a program lie there that does well at `--check`, and then does this; in `script`, `$real` is the true one.
fn replace_by_script(daemon: &Daemon, script: &str) {
    let text =
        format!("#!/bin/sh\nreal={REAL}\ncase $1 in --check) exec $real \"$@\";; esac\n{script}\n");
    daemon.setup().write("bin/script", &text);
    let script = daemon.setup().path("bin/script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    replace(daemon, script.to_str().expect("UTF-8"));
}

#[test]
fn a_program_that_cannot_go_on_is_refused_and_nothing_changes() {
    let daemon = replaceable("user.*\t-{dir}/log\n").start();
    let load = Load::of(&daemon);
    let running = load.start();
    for (by, why) in [
        ("/bin/false", "ended with exit status: 1: it said nothing"),
        ("/bin/true", "does not understand what is handed over"),
        ("/dev/null", "Permission denied"),
        ("/nonexistent", "No such file"),
    ] {
        replace(&daemon, by);
        let said = upgrade_in_vain(&daemon);
        assert!(said.contains(why), "{by}: {said}");
        daemon.stderr().wait_for(why);
    }
    replace(&daemon, REAL);
    daemon
        .setup()
        .configure("user.*\t-{dir}/log\n*.inof\t{dir}/bad\n");
    let said = upgrade_in_vain(&daemon);
    assert!(said.contains("syslog.conf: 1 error, "), "{said}");
    daemon.setup().configure("user.*\t-{dir}/log\n");
    running.wait_for_more(50);
    upgrade_well(&daemon);
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.finish();
}

/// Reads a FIFO of the daemon to its line number `count`.
fn read_fifo(daemon: &Daemon, count: usize) -> JoinHandle<Vec<String>> {
    let fifo = daemon.setup().path("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("there is none");
    thread::spawn(move || {
        let lines = BufReader::new(File::open(fifo).expect("it is there")).lines();
        let lines = lines.take(count).collect::<Result<Vec<_>, _>>();
        lines.expect("text")
    })
}

#[test]
fn a_program_that_fails_after_its_check_gives_way_to_the_old_one_which_has_lost_nothing() {
    let config = "user.*\t-{dir}/log\nsyslog.*\t{dir}/own\nlocal0.*\t|{dir}/fifo\n";
    let daemon = replaceable(config).start();
    for number in 0..100 {
        daemon.unix(message("a", number).replace("<13>", "<134>"));
    }
    let frame = counted("<13>app: cut in two by a failed upgrade");
    let (head, tail) = frame.split_at(12);
    let mut half = daemon.tcp();
    half.write_all((counted("<13>app: connected") + head).as_bytes())
        .expect("it takes it");
    daemon.file("log").wait_for("app: connected");
    let load = Load::of(&daemon);
    let running = load.start();
    // It dies, or cannot read what it gets, before anything is given away.
    let in_rehearsal = [
        ("exit 1", "in its rehearsal ended with exit status: 1"),
        ("kill -ABRT $$", "ended with signal: 6"),
        ("exit 0", "does not understand what is handed over"),
        (
            "memory=${SYSLOGD_REHEARSAL#*:*:}; : >/proc/self/fd/${memory%%:*}; exec $real \"$@\"",
            "what was handed over cannot be read",
        ),
    ];
    // It fails in our place, and goes back.
    let in_place =
        "test -n \"$SYSLOGD_REHEARSAL\" || set -- --listen nonsense \"$@\"; exec $real \"$@\"";
    let in_place = [
        (in_place, "nonsense"),
        (
            "test -n \"$SYSLOGD_REHEARSAL\" || echo '*.inof /x' >>syslog.conf; exec $real \"$@\"",
            "1 error in ",
        ),
    ];
    for (script, why) in in_rehearsal.into_iter().chain(in_place) {
        replace_by_script(&daemon, script);
        let said = upgrade_in_vain(&daemon);
        assert!(said.contains(why), "{script}: {said}");
        let line = daemon.file("own").wait_for(why);
        assert!(
            line.contains("upgrade refused, nothing has changed: "),
            "{line}"
        );
        running.wait_for_more(20);
    }
    daemon.setup().configure(config);
    replace(&daemon, REAL);
    upgrade_well(&daemon);
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    half.write_all(tail.as_bytes()).expect("it takes it");
    daemon
        .file("log")
        .wait_for("cut in two by a failed upgrade");
    let read = read_fifo(&daemon, 100);
    daemon.reload();
    let lines = read.join().expect("it only reads");
    assert_eq!(Verdict::of(&lines, &[("a", 100)]), Verdict::default());
    let text = fs::read_to_string(daemon.setup().path("syslogd.pid")).expect("it stays");
    assert_eq!(
        text,
        format!("{}\n", daemon.pid()),
        "the process is the same"
    );
    daemon.finish();
}

#[test]
fn what_a_remote_has_not_acknowledged_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    // Inherited by connections: it acknowledges little of what it does not read.
    setsockopt(&listener, sockopt::RcvBuf, &4096).expect("a small buffer");
    let port = listener.local_addr().expect("it has one").port();
    let daemon = Daemon::start(&format!(
        "user.*\t-{{dir}}/log\nuser.*\t@tcp://127.0.0.1:{port}\n"
    ));
    let count = 200;
    for number in 0..count {
        let padding = "x".repeat(1000);
        let text = message("a", number).replace("<13>", &format!("<13>{padding} "));
        daemon.unix(text);
    }
    daemon.file("log").wait_for_lines(200);
    let (mut first, _) = listener.accept().expect("it connects");
    wait_for("all of it to be sent", || {
        daemon.counters().output("127.0.0.1")["written"] == count
    });
    upgrade_well(&daemon);
    // What it had acknowledged by then, and no more: the rest dies with the connection.
    let acknowledged = syslogd::sys::unread_octets(first.as_fd()).expect("the kernel tells");
    let mut octets = vec![0; acknowledged];
    first.read_exact(&mut octets).expect("it is there");
    drop(first);
    assert!(acknowledged < 100_000, "most of it was not acknowledged");
    let (mut second, _) = listener.accept().expect("it connects again");
    second.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let last = message("a", count - 1);
    let last = last.trim_start_matches("<13>").as_bytes();
    let mut chunk = [0; 4096];
    while !octets.windows(last.len()).any(|text| text == last) {
        let length = second.read(&mut chunk).expect("more comes");
        assert!(length > 0, "it is cut off");
        octets.extend_from_slice(&chunk[..length]);
    }
    let text = String::from_utf8_lossy(&octets).into_owned();
    let lines = text.split("<13>").filter_map(|frame| {
        let (_, rest) = frame.split_once(" seq: ")?;
        Some(format!(" seq: {}.", rest.split_once('.')?.0))
    });
    let verdict = Verdict::of(&lines.collect::<Vec<_>>(), &[("a", count)]);
    assert_eq!(verdict.lost(), 0, "{verdict:?}");
    drain(second);
    daemon.finish();
}

/// Reads and forgets, until the other end closes.
fn drain(mut stream: TcpStream) {
    thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
}

#[test]
fn an_upgrade_needs_few_descriptors_more_than_are_open() {
    let limited = ["sh", "-c", "ulimit -n 160; exec \"$0\" \"$@\""];
    let setup = Setup::new("user.*\t{dir}/log\n")
        .arguments(&["-cc"])
        .wrapper(&limited);
    let daemon = setup.start();
    let frame = counted("<13>app: begun before");
    let (half, rest) = frame.split_at(10);
    let connect = || {
        let mut connection = daemon.tcp();
        connection.write_all(half.as_bytes()).expect("it is open");
        connection
    };
    let open = format!("/proc/{}/fd", daemon.pid());
    let opened = || fs::read_dir(&open).map_or(0, Iterator::count);
    let mut connections = Vec::new();
    // As many as it takes.
    while !daemon
        .stderr()
        .all()
        .iter()
        .any(|line| line.contains("too few file descriptors"))
    {
        let before = opened();
        connections.push(connect());
        wait_for("the connection to be taken", || {
            opened() > before
                || daemon
                    .stderr()
                    .all()
                    .iter()
                    .any(|line| line.contains("too few"))
        });
    }
    assert!(opened() > 110, "{} of 160 are open", opened());
    upgrade_well(&daemon);
    for mut connection in &connections {
        connection.write_all(rest.as_bytes()).expect("it is open");
    }
    daemon.file("log").wait_for_lines(connections.len() - 1);
    daemon.prove();
    drop(connections);
    daemon.finish();
}

#[test]
fn with_too_few_descriptors_for_an_upgrade_nothing_changes() {
    let limited = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let daemon = Setup::new("user.*\t{dir}/log\n").wrapper(&limited).start();
    let pid = daemon.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let limit = open + 10;
    let prlimit = Command::new("prlimit")
        .args([
            "--pid",
            &pid.to_string(),
            &format!("--nofile={limit}:{limit}"),
        ])
        .status();
    if !prlimit.is_ok_and(|status| status.success()) {
        skip("needs prlimit(1)");
        daemon.finish();
        return;
    }
    let load = Load::of(&daemon).without_tcp();
    let running = load.start();
    let said = upgrade_in_vain(&daemon);
    assert!(said.contains("file descriptors are open"), "{said}");
    running.wait_for_more(20);
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.finish();
}
