//! Memory buffers, and the control socket through which they are read.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::support::{DEADLINE, Daemon, Lines, Setup, within};

const CONTROL: &[&str] = &["--control={dir}/control", "-cc"];

fn setup(config: &str) -> Setup {
    Setup::new(config).arguments(CONTROL)
}

/// What a question came to: the exit status, stdout and stderr.
type Answer = (Option<i32>, String, String);

/// Asks as an operator does.
fn ask(setup: &Setup, request: &str) -> Answer {
    let control = setup.placed("--control={dir}/control");
    let words = request.split(' ');
    run(syslogd().arg(control).arg("--ask").args(words))
}

fn syslogd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_syslogd"))
}

fn run(command: &mut Command) -> Answer {
    let output = command.output().expect("it can be started");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The lines of a buffer.
#[track_caller]
fn read(setup: &Setup, name: &str) -> Vec<String> {
    let (status, stdout, stderr) = ask(setup, &format!("read {name}"));
    assert_eq!((status, stderr), (Some(0), String::new()));
    stdout.lines().map(str::to_owned).collect()
}

/// Waits until the last line of a buffer ends so; returns all lines.
#[track_caller]
fn wait_for_last(setup: &Setup, name: &str, end: &str) -> Vec<String> {
    let found = within(DEADLINE, || {
        let lines = read(setup, name);
        let is_there = lines.last().is_some_and(|line| line.ends_with(end));
        is_there.then_some(lines)
    });
    assert!(found.is_some(), "no {end:?}: {:?}", read(setup, name));
    found.unwrap_or_default()
}

fn connect(setup: &Setup) -> UnixStream {
    let stream = UnixStream::connect(setup.path("control")).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Sends these octets, and returns all that is answered.
fn exchange(setup: &Setup, octets: &[u8]) -> String {
    let mut stream = connect(setup);
    // What is refused early need not be read to its end.
    _ = stream.write_all(octets);
    _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let is_reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(
        ended.as_ref().err().is_none_or(is_reset),
        "{ended:?} after {octets:?}"
    );
    String::from_utf8(answer).expect("UTF-8")
}

/// A client in the background.
struct Asking {
    child: Child,
    lines: Lines,
}

impl Asking {
    fn follow(setup: &Setup, name: &str) -> Self {
        let mut command = syslogd();
        command.arg(setup.placed("--control={dir}/control"));
        command.args(["--ask", "follow", name]);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let lines = Lines::read(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // It may have ended before.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn what_is_written_into_a_buffer_can_be_read_taken_and_cleared() {
    let daemon = setup("user.*\t:64:debug\nmail.*\t:32:mail\n").start();
    let setup = daemon.setup();
    daemon.unix("<13>app: one");
    daemon.unix("<13>app: two\u{1b}[2J");
    daemon.unix("<22>app: a letter");
    let lines = wait_for_last(setup, "debug", " app: two#033[2J");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with(" app: one"), "{lines:?}");
    let written = daemon.quiet().output(":debug")["written"].clone();
    assert_eq!(written, 2);
    wait_for_last(setup, "mail", "a letter");

    let full = fs::File::options().write(true).open("/dev/full");
    let mut command = syslogd();
    command.arg(setup.placed("--control={dir}/control"));
    command.args(["--ask", "read", "debug"]);
    let status = command
        .stdout(full.expect("it is there"))
        .stderr(Stdio::null());
    assert_eq!(status.status().expect("it can be started").code(), Some(74));

    let (status, taken, _) = ask(setup, "take debug");
    assert_eq!((status, taken.lines().count()), (Some(0), 2));
    assert_eq!(read(setup, "debug"), [""; 0]);
    assert_eq!(
        ask(setup, "clear mail"),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(read(setup, "mail"), [""; 0]);
    daemon.unix("<13>app: three");
    assert_eq!(wait_for_last(setup, "debug", "three").len(), 1);
    daemon.finish();
}

#[test]
fn a_full_buffer_keeps_the_newest_records_whole_and_says_so() {
    let daemon = setup("user.*\t:4:debug\nuser.*\t{dir}/user\n").start();
    let setup = daemon.setup();
    daemon.unix("<13>app: number 0.");
    wait_for_last(setup, "debug", "number 0.");
    let not_yet = (Some(0), String::new(), String::new());
    assert_eq!(ask(setup, "overflowed debug"), not_yet);
    for number in 1..500 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    let lines = wait_for_last(setup, "debug", "number 499.");
    let octets: usize = lines.iter().map(|line| line.len() + 1).sum();
    let longest = lines.iter().map(String::len).max().unwrap_or_default() + 1;
    assert!((4096 - longest..=4096).contains(&octets), "{octets} octets");
    let all = daemon.file("user").wait_for_lines(500);
    assert_eq!(lines, all[500 - lines.len()..], "the end of the log");

    let told = (Some(1), "debug has overflowed\n".into(), String::new());
    assert_eq!(ask(setup, "overflowed debug"), told);
    let gone = 500 - lines.len();
    let list = format!(
        "debug* 4 KiB: {octets} octets in {} lines, {gone} overwritten\n",
        lines.len()
    );
    assert_eq!(ask(setup, "list"), (Some(0), list, String::new()));
    assert_eq!(daemon.quiet().output(":debug")["written"], 500);

    assert_eq!(ask(setup, "clear debug").0, Some(0));
    assert_eq!(ask(setup, "overflowed debug"), not_yet);
    let list = format!("debug 4 KiB: 0 octets in 0 lines, {gone} overwritten\n");
    assert_eq!(ask(setup, "list").1, list);
    daemon.finish();
}

#[test]
fn a_record_that_no_buffer_could_hold_is_dropped_and_counted() {
    let daemon = setup("user.*\t:4:debug\n").start();
    daemon.unix(format!("<13>app: {}", "x".repeat(6000)));
    daemon.unix("<13>app: short");
    let lines = wait_for_last(daemon.setup(), "debug", "app: short");
    let told = lines.iter().filter(|line| line.contains("xxx")).count();
    assert_eq!(told, 0, "{lines:?}");
    assert_eq!(daemon.quiet().output(":debug")["dropped"]["nospace"], 1);
    daemon.finish();
}

#[test]
fn who_follows_a_buffer_sees_what_is_there_and_what_comes() {
    let daemon = setup("user.*\t:64:debug\n").start();
    daemon.unix("<13>app: before");
    wait_for_last(daemon.setup(), "debug", "before");
    let mut following = Asking::follow(daemon.setup(), "debug");
    following.lines.wait_for("app: before");
    for number in 0..100 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    following.lines.wait_for("number 99.");
    assert_eq!(following.lines.count(), 101);
    daemon.finish();
    following.lines.wait_for_end();
    let status = following.child.wait().expect("it is our child");
    assert_eq!(status.code(), Some(0), "the end of the daemon is its end");
}

#[test]
fn a_buffer_lives_through_a_reload_with_another_size_and_ends_with_its_rules() {
    let daemon = setup("user.*\t:64:debug\nmail.*\t:64:mail\n").start();
    for number in 0..200 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.unix("<22>app: a letter");
    wait_for_last(daemon.setup(), "mail", "a letter");
    let before = wait_for_last(daemon.setup(), "debug", "number 199.");
    let following = Asking::follow(daemon.setup(), "mail");
    following.lines.wait_for("a letter");
    daemon.reload();
    assert_eq!(read(daemon.setup(), "debug"), before);

    daemon.setup().configure("user.*\t:4:debug\n");
    daemon.reload();
    let told = within(DEADLINE, || {
        let list = ask(daemon.setup(), "list").1;
        (list.starts_with("debug* 4 KiB: ") && list.lines().count() == 1).then_some(list)
    });
    assert!(told.is_some(), "{:?}", ask(daemon.setup(), "list"));
    let after = read(daemon.setup(), "debug");
    assert_eq!(after, before[before.len() - after.len()..]);
    following.lines.wait_for_end();
    let (status, _, said) = ask(daemon.setup(), "read mail");
    assert_eq!(status, Some(66), "{said}");
    assert!(said.contains("no memory buffer is called mail"), "{said}");

    daemon.unix("<13>app: goes on");
    wait_for_last(daemon.setup(), "debug", "goes on");
    daemon.finish();
}

#[test]
fn two_rules_with_one_name_share_a_buffer() {
    let daemon = setup("user.*\t:64:both\nmail.*\t:64:both;RFC5424\n").start();
    daemon.unix("<13>app: one");
    wait_for_last(daemon.setup(), "both", "app: one");
    daemon.unix("<22>app: two");
    let lines = wait_for_last(daemon.setup(), "both", "app - - - two");
    assert_eq!(lines.len(), 2);
    daemon.finish();
}

#[test]
fn only_the_daemons_own_user_may_ask_and_the_socket_goes_with_it() {
    let daemon = setup("user.*\t:64:debug\n").start();
    let path = daemon.setup().path("control");
    let mode = fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o7777, 0o600);
    let second = Setup::new("user.*\t:64:debug\n");
    let control = format!("--control={}", path.display());
    let (status, said) = second.arguments(&[&control]).fail();
    assert_eq!(status, Some(71), "{said}");
    assert!(said.contains("another process listens there"), "{said}");
    let setup = daemon.stop();
    assert!(!path.exists());
    let (status, _, said) = ask(&setup, "list");
    assert_eq!(status, Some(69));
    assert!(said.contains("No such file"), "{said}");
}

#[test]
fn buffers_that_nobody_could_read_are_warned_of() {
    let daemon = Daemon::start("user.*\t:64:debug\n");
    let said = daemon.stderr().wait_for("nobody can read");
    assert!(said.contains("--control"), "{said}");
    daemon.finish();
}

#[test]
fn the_program_is_syslogc_by_that_name() {
    let daemon = setup("user.*\t:64:debug\n!sshd\nauth.*\t:4:sshd\n").start();
    let path = daemon.setup().path("control");
    let path = path.to_str().expect("UTF-8");
    daemon.unix("<13>app: hello");
    wait_for_last(daemon.setup(), "debug", "hello");
    let syslogc = |arguments: &[&str]| run(syslogd().arg0("syslogc").args(arguments));
    let (status, list, _) = syslogc(&["-qs", path]);
    assert_eq!(status, Some(0));
    let names: Vec<_> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["debug", "sshd"]);
    let shown = syslogc(&["-s", path, "debug"]);
    assert!(shown.1.ends_with("app: hello\n"), "{shown:?}");
    assert_eq!(syslogc(&["-o", "-s", path, "debug"]).0, Some(0));
    assert_eq!(syslogc(&["-c", "-s", path, "debug"]), shown);
    assert_eq!(syslogc(&["-s", path, "debug"]).1, "");
    assert_eq!(syslogc(&["-x"]).0, Some(64));
    daemon.finish();
}

#[test]
fn whatever_a_client_sends_it_gets_a_sentence_or_nothing() {
    let daemon = setup("user.*\t:64:debug\n").start();
    let setup = daemon.setup();
    let endless = vec![b'x'; 1 << 20];
    for (octets, want) in [
        (&b""[..], "64 a request is one line"),
        (b"\n", "64 no request begins with \"\""),
        (b"clear debug", "64 a request is one line"),
        (b"\x00\xff\x1b[2J\n", "64 no request begins with"),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "64 no request begins with \"GET\"",
        ),
        (b"read ../../etc/passwd\n", "64 the name of a memory buffer"),
        (b"read nothing\n", "66 no memory buffer is called nothing"),
        (b"list\nlist\nlist\n", "0\ndebug 64 KiB: "),
        (&endless, "64 a request is one line"),
    ] {
        let answer = exchange(setup, octets);
        let shown = octets.get(..40).unwrap_or(octets).escape_ascii();
        assert!(answer.starts_with(want), "{shown}: {answer:?}");
        assert_eq!(
            answer.matches('\n').count(),
            1 + usize::from(want.starts_with('0'))
        );
    }
    daemon.finish();
}

#[test]
fn clients_that_say_nothing_or_read_nothing_hold_up_nobody() {
    let daemon = setup("user.*\t:256:debug\nuser.*\t{dir}/user\n").start();
    let long = "x".repeat(4000);
    let fill = |count: usize| {
        for _ in 0..count {
            daemon.unix(format!("<13>app: {long}"));
        }
    };
    fill(100);
    daemon.file("user").wait_for_lines(100);
    // Half a line, and readers whose answers no socket buffer takes.
    let mut clients: Vec<UnixStream> = Vec::new();
    for request in ["rea", "read debug\n", "follow debug\n", "take debug\n"] {
        for _ in 0..3 {
            let mut client = connect(daemon.setup());
            client
                .write_all(request.as_bytes())
                .expect("it takes a line");
            clients.push(client);
        }
    }
    fill(200);
    daemon.file("user").wait_for_lines(300);
    assert_eq!(ask(daemon.setup(), "list").0, Some(0));
    daemon.prove();
    clients.clear();
    assert_eq!(ask(daemon.setup(), "clear debug").0, Some(0));
    daemon.finish();
}

#[test]
fn a_buffer_is_taken_by_a_client_that_has_all_of_it_and_by_no_other() {
    let daemon = setup("user.*\t:256:debug\n").start();
    let setup = daemon.setup();
    let long = "x".repeat(4000);
    for number in 0..60 {
        daemon.unix(format!("<13>app: {number} {long}"));
    }
    daemon.unix("<13>app: the last");
    wait_for_last(setup, "debug", "the last");
    let all = |answer: &str| answer.lines().count() == 62;
    for request in ["take debug\n", "take debug confirm\n"] {
        // It dies within the answer, which is longer than any socket holds.
        let mut client = connect(setup);
        client
            .write_all(request.as_bytes())
            .expect("it takes a line");
        client.read_exact(&mut [0; 1000]).expect("an answer");
        drop(client);
        assert_eq!(read(setup, "debug").len(), 61, "{request}");
    }
    // It has read everything, and dies before it says so.
    let mut client = connect(setup);
    client
        .write_all(b"take debug confirm\n")
        .expect("it takes a line");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(all(&answer), "{}", answer.len());
    drop(client);
    assert_eq!(read(setup, "debug").len(), 61);
    // It cannot print what it has read.
    let full = fs::File::options().write(true).open("/dev/full");
    let mut command = syslogd();
    command.arg(setup.placed("--control={dir}/control"));
    let command = command.args(["--ask", "take", "debug"]);
    let answer = run(command.stdout(full.expect("a device")));
    assert_eq!(answer.0, Some(74), "{answer:?}");
    assert_eq!(read(setup, "debug").len(), 61);

    // What comes meanwhile stays.
    let mut client = connect(setup);
    client.write_all(b"take debug\n").expect("it takes a line");
    let mut client = BufReader::new(client);
    client.read_line(&mut String::new()).expect("an answer");
    daemon.unix("<13>app: meanwhile");
    wait_for_last(setup, "debug", "meanwhile");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert_eq!(answer.lines().count(), 61);
    let left = read(setup, "debug");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].ends_with("app: meanwhile"), "{left:?}");
    daemon.finish();
}

#[test]
fn one_client_too_many_hears_so_at_once_and_is_served_when_another_goes() {
    let daemon = setup("user.*\t:64:debug\n").start();
    let followers: Vec<UnixStream> = (0..16)
        .map(|_| {
            let mut stream = connect(daemon.setup());
            stream.write_all(b"follow debug\n").expect("it takes it");
            let mut head = [0; 2];
            stream.read_exact(&mut head).expect("an answer");
            assert_eq!(&head, b"0\n");
            stream
        })
        .collect();
    let (status, _, said) = ask(daemon.setup(), "list");
    assert_eq!(status, Some(75), "{said}");
    assert!(said.contains("ask again later"), "{said}");
    daemon.prove();
    drop(followers);
    let answered = within(DEADLINE, || {
        (ask(daemon.setup(), "list").0 == Some(0)).then_some(())
    });
    assert!(answered.is_some(), "their places are free again");
    daemon.finish();
}

#[test]
fn a_follower_that_falls_behind_hears_how_much_it_missed() {
    let daemon = setup("user.*\t:4:debug\nuser.*\t{dir}/user\n").start();
    let mut stream = connect(daemon.setup());
    stream.write_all(b"follow debug\n").expect("it takes it");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head).expect("an answer");
    assert_eq!(head, "0\n");
    let count = 2000;
    for number in 0..count {
        daemon.unix(format!("<13>app: {} {number}.", "x".repeat(1000)));
    }
    daemon.file("user").wait_for_lines(count);
    let last = format!(" {}.", count - 1);
    let (mut seen, mut missed) = (0, 0);
    for line in reader.lines() {
        let line = line.expect("UTF-8");
        let gap = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(" lines missed]"));
        match gap {
            Some(gap) => missed += gap.parse::<usize>().expect("a number"),
            None => seen += 1,
        }
        if line.ends_with(&last) {
            break;
        }
    }
    assert_eq!(seen + missed, count);
    assert!(missed > 0, "4 KiB and a socket buffer hold less than 2 MB");
    daemon.finish();
}

#[test]
fn an_upgrade_keeps_what_buffers_hold_and_the_control_socket() {
    let daemon = setup("user.*\t:64:debug\n").start();
    let setup = daemon.setup();
    daemon.unix("<13>app: before");
    wait_for_last(setup, "debug", "app: before");
    crate::faults::upgrade::upgrade_well(&daemon);
    assert_eq!(read(setup, "debug").len(), 1);
    daemon.unix("<13>app: after");
    let lines = wait_for_last(setup, "debug", "app: after");
    assert!(lines[0].ends_with("app: before"), "{lines:?}");
    daemon.finish();
}
