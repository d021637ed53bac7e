//! Another program in place of the running one (F31), signals at bad moments (F28, F30), crash loops (F32).

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::thread::{self, ScopedJoinHandle};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::load::{Load, Sent};
use super::sequence::{Verdict, lines_of, message};
use crate::support::{Daemon, Setup, counted, wait_for};

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

/// Every message that was sent is in `log` once, in order, and none was refused.
#[track_caller]
pub(crate) fn all_is_there(daemon: &Daemon, load: &Load, sent: &Sent) {
    let names = load.names();
    let count = usize::try_from(sent.each).expect("small") * names.len();
    daemon.file("log").wait_for_lines(count);
    let counts: Vec<_> = names.into_iter().map(|name| (name, sent.each)).collect();
    let verdict = Verdict::of(&lines_of(&daemon.setup().path("log")), &counts);
    assert_eq!(verdict, Verdict::default(), "{sent:?}");
    assert_eq!(sent.refused, 0, "{sent:?}");
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
    let fifo = daemon.setup().path("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("there is none");
    let read = thread::spawn(move || {
        let lines = BufReader::new(fs::File::open(fifo).expect("it is there")).lines();
        let lines = lines.take(300).collect::<Result<Vec<_>, _>>();
        lines.expect("text")
    });
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
fn a_program_that_cannot_go_on_is_refused_and_nothing_changes() {
    let setup = Setup::new("user.*\t-{dir}/log\n").wrapper(&[
        "sh",
        "-c",
        r#"mkdir bin && ln -s "$0" bin/syslogd && exec bin/syslogd "$@""#,
    ]);
    let daemon = setup.start();
    let load = Load::of(&daemon);
    let running = load.start();
    let program = daemon.setup().path("bin/syslogd");
    let replace = |by: &str| {
        let new = daemon.setup().path("bin/new");
        std::os::unix::fs::symlink(by, &new).expect("a link");
        fs::rename(&new, &program).expect("it is ours");
    };
    for (by, why) in [
        ("/bin/false", "ended with exit status: 1: it said nothing"),
        ("/bin/true", "does not understand what is handed over"),
        ("/dev/null", "Permission denied"),
        ("/nonexistent", "No such file"),
    ] {
        replace(by);
        let said = upgrade_in_vain(&daemon);
        assert!(said.contains(why), "{by}: {said}");
        daemon.stderr().wait_for(why);
    }
    replace(env!("CARGO_BIN_EXE_syslogd"));
    daemon
        .setup()
        .configure("user.*\t-{dir}/log\n*.inof\t{dir}/bad\n");
    let said = upgrade_in_vain(&daemon);
    assert!(said.contains("syslog.conf: 1 error, "), "{said}");
    daemon.setup().configure("user.*\t-{dir}/log\n");
    // This one starts in vain although its check is well.
    let real = env!("CARGO_BIN_EXE_syslogd");
    let script = format!(
        "#!/bin/sh\ncase $1 in --check) exec {real} \"$@\";; esac\nexec {real} --listen nonsense \"$@\"\n"
    );
    daemon.setup().write("bin/script", &script);
    let script = daemon.setup().path("bin/script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    replace(script.to_str().expect("UTF-8"));
    let said = upgrade_in_vain(&daemon);
    assert!(said.contains("nonsense"), "{said}");
    running.wait_for_more(50);
    replace(real);
    upgrade_well(&daemon);
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
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

#[test]
fn with_too_many_connections_for_an_upgrade_nothing_changes() {
    let limited = ["sh", "-c", "ulimit -n 160; exec \"$0\" \"$@\""];
    let setup = Setup::new("user.*\t{dir}/log\n")
        .arguments(&["-cc"])
        .wrapper(&limited);
    let daemon = setup.start();
    let frame = counted("<13>app: begun before");
    let (half, rest) = frame.split_at(10);
    let connections: Vec<_> = (0..70)
        .map(|_| {
            let mut connection = daemon.tcp();
            connection.write_all(half.as_bytes()).expect("it is open");
            connection
        })
        .collect();
    let open = format!("/proc/{}/fd", daemon.pid());
    wait_for("all connections to be taken", || {
        fs::read_dir(&open).map_or(0, Iterator::count) > 85
    });
    let said = upgrade_in_vain(&daemon);
    assert!(said.contains("file descriptors are open"), "{said}");
    for mut connection in &connections {
        connection.write_all(rest.as_bytes()).expect("it is open");
    }
    daemon.file("log").wait_for_lines(70);
    drop(connections);
    wait_for("all connections to be closed", || {
        fs::read_dir(&open).map_or(0, Iterator::count) < 60
    });
    upgrade_well(&daemon);
    daemon.finish();
}

#[test]
fn f28_a_daemon_that_stands_still_refuses_nobody() {
    let daemon = Daemon::start("user.*\t-{dir}/log\n");
    let load = Load::of(&daemon);
    daemon.signal(Signal::SIGSTOP);
    thread::scope(|scope| {
        let running = scope.spawn(|| load.start());
        daemon.signal(Signal::SIGCONT);
        daemon.signal(Signal::SIGSTOP);
        daemon.signal(Signal::SIGCONT);
        let running = running.join().expect("it only sends");
        for _ in 0..5 {
            daemon.signal(Signal::SIGSTOP);
            daemon.signal(Signal::SIGCONT);
            running.wait_for_more(20);
        }
        let sent = running.stop();
        all_is_there(&daemon, &load, &sent);
    });
    daemon.finish();
}

#[test]
fn f30_while_a_remote_is_absent_at_the_end_messages_are_received_until_a_second_signal() {
    // A port of ours that nobody listens on: bound, and no more.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it has one").port();
    drop(silent);
    let mut daemon = Daemon::start(&format!(
        "user.*\t{{dir}}/log\nuser.*\t@tcp://127.0.0.1:{port}\n"
    ));
    daemon.unix(message("a", 0));
    daemon.stderr().wait_for("cannot connect to");
    daemon.signal(Signal::SIGTERM);
    daemon.stderr().wait_for("another signal ends that");
    for number in 1..50 {
        daemon.unix(message("a", number));
    }
    daemon.file("log").wait_for_lines(50);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    let verdict = Verdict::of(&daemon.file("log").lines(), &[("a", 50)]);
    assert_eq!(verdict, Verdict::default());
    let said = daemon.stderr().wait_for_end();
    let lost = "50 messages were not written before the end";
    assert!(said.iter().any(|line| line.contains(lost)), "{said:#?}");
}

#[test]
fn f32_starts_that_fail_at_once_take_nothing_from_the_socket_of_another() {
    let daemon = Daemon::start("user.*\t-{dir}/log\n");
    let load = Load::of(&daemon);
    let running = load.start();
    for _ in 0..5 {
        let (status, said) = daemon.setup().fail();
        assert_eq!(status, Some(75), "{said}");
    }
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.finish();
}
