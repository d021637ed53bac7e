//! The start lines of real init systems, run with the real program: does it stay or go to the background,
//! with which exit status, and are messages received?

mod real;

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use nix::sys::signal::kill;

use real::Home;

/// What every line needs to run here: not the system's files and sockets.
const HERE: &str = "--config={}/syslog.conf --socket={}/log --pid-file={}/pid --no-kernel-log";

const CONFIGURATION: &str = "*.*\t{}/messages\n";

fn receives(home: &Home) {
    home.log("<13>app: hello");
    let line = home.line("messages", "app: hello");
    assert!(line.ends_with("app: hello"), "{line}");
}

#[test]
fn a_line_without_a_word_on_the_foreground_returns_when_messages_are_received() {
    for line in [
        "",                                          // Yocto's script
        "-n -m 0",                                   // Buildroot's script
        "-n -iNONE",                                 // Debian's rsyslog, without systemd
        "-s",                                        // FreeBSD's rc.d
        "-s -cc -C",                                 // FreeBSD, often
        "-ss -a 10.0.0.0/8 -C",                      // FreeBSD, jail
        "-s --compat=freebsd",                       // the same, said
        "-a {}/unbound.log --compat=openbsd",        // OpenBSD's rc.d
        "--no-forward --compat=inetutils -D {}/rcd", // Debian's inetutils
    ] {
        let home = Home::new(CONFIGURATION);
        let output = home.run(&format!("{line} {HERE}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{line}: {said}");
        kill(home.pid(), None).unwrap_or_else(|error| panic!("{line}: {error}"));
        receives(&home);
        home.end();
    }
}

#[test]
fn a_line_that_says_foreground_stays_there() {
    for line in [
        "-F",                            // sysklogd's unit
        "-m 0 -F",                       // Buildroot's unit
        "-F -m 0 -s -s -r 10M:10",       // Gentoo's OpenRC
        "-F --compat=sysklogd -s",       // sysklogd's unit, said
        "-n --compat=inetutils -D {}/d", // inetutils under a supervisor
        "-n --compat=sysklogd1",         // NixOS, without -r
        "-d --compat=openbsd",
    ] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.start(&format!("{line} {HERE}"));
        receives(&home);
        daemon.end();
    }
}

#[test]
fn busybox_needs_no_configuration() {
    for (line, want) in [
        ("-n -C128", " user.notice app: hello"), // Debian
        ("-n -t", " user.notice app: hello"),    // Alpine
        ("-n -S -b 0", " app: hello"),
    ] {
        let home = Home::new("this is not read\n");
        let here = "--compat=busybox -O {}/messages --socket={}/log --pid-file={}/pid";
        let daemon = home.start(&format!("{line} {here}"));
        home.log("<13>Jan  1 00:00:00 app: hello");
        let got = home.line("messages", "hello");
        assert!(got.ends_with(want), "{line}: {got}");
        assert_eq!(got.starts_with("Jan  1"), line != "-n -t", "{line}: {got}");
        daemon.end();
    }
}

#[test]
fn n_under_a_supervisor_is_the_foreground() {
    for variable in ["NOTIFY_SOCKET", "LISTEN_PID"] {
        let home = Home::new(CONFIGURATION);
        let mut command = home.command(&format!("-n {HERE}"));
        let daemon = home.spawn(command.env(variable, "1"));
        receives(&home);
        let said = daemon.end();
        let rule = format!("staying in the foreground: -n was given, and {variable} is set");
        assert!(said.contains(&rule), "{said}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what is skipped is seen")]
fn port_514_is_received_on_where_the_line_asks_for_it() {
    let Ok(port) = UdpSocket::bind("0.0.0.0:514") else {
        eprintln!("SKIP: port 514 cannot be had");
        return;
    };
    drop(port);
    // NixOS
    let home = Home::new(CONFIGURATION);
    let mut command = home.command(&format!("-r -n {HERE}"));
    let daemon = home.spawn(command.env("NOTIFY_SOCKET", "/nowhere"));
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    sender
        .send_to(b"<13>app: over udp", "127.0.0.1:514")
        .expect("it is sent");
    home.line("messages", "app: over udp");
    daemon.end();

    // sysklogd and FreeBSD receive without being asked; who names them asks for it.
    for (line, want) in [
        ("-F --compat=freebsd", true),
        ("-F --compat=sysklogd", true),
        ("-F --compat=freebsd -s", false),
        ("-F --compat=freebsd -N", false),
        ("-F --compat=sysklogd -b 127.0.0.1:0", false),
    ] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.start(&format!("{line} {HERE}"));
        let said = daemon.end();
        let got = said.contains("listening on udp://0.0.0.0:514");
        assert_eq!(got, want, "{line}: {said}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the transcript is to be read")]
fn debians_init_script_of_inetutils_starts_reloads_and_stops_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/init-script.sh");
    let output = Command::new(script)
        .arg(env!("CARGO_BIN_EXE_syslogd"))
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with("ok\n") || said.starts_with("SKIP"), "{said}");
}

#[test]
fn nothing_listens_unasked() {
    let home = Home::new(CONFIGURATION);
    let daemon = home.start(&format!("-F {HERE}"));
    let said = daemon.end();
    assert!(!said.contains("listening on udp"), "{said}");
}

#[test]
fn a_line_that_cannot_be_obeyed_fails_with_a_sentence() {
    for (line, status, words) in [
        ("-C ca.pem --compat=openbsd", 64, "TLS is not there yet"),
        ("--compat=hpux", 64, "hpux"),
        ("-H --compat=openbsd", 64, "-H is no option"),
        ("-p /nowhere/log", 71, "/nowhere/log"),
    ] {
        let home = Home::new(CONFIGURATION);
        let mut command = home.command(&format!("--pid-file={{}}/pid --no-kernel-log {line}"));
        let output = command
            .stdout(Stdio::null())
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {said}");
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[test]
fn a_supervisor_with_a_descriptor_is_told_when_messages_are_received() {
    for (line, shell) in [
        ("-F --ready-fd=3", "exec \"$@\" 3>{}/ready"),
        ("--ready-fd=7", "exec \"$@\" 7>{}/ready"),
    ] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.command(&format!("{line} {HERE}"));
        let pipe = home.path("ready");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let shell = shell.replace("{}", &home.path("").display().to_string());
        let mut child = Command::new("sh")
            .args(["-c", &shell, "sh"])
            .arg(daemon.get_program())
            .args(daemon.get_args())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        // It ends when the daemon, and whoever started that, has closed it.
        let told = std::fs::read(&pipe).expect("it can be read");
        assert_eq!(told, b"\n", "{line}");
        receives(&home);
        home.end();
        assert!(child.wait().expect("it is ours").success(), "{line}");
    }
}

#[test]
fn a_descriptor_that_nobody_left_open_is_refused() {
    let home = Home::new(CONFIGURATION);
    for (line, status) in [("-F --ready-fd=999", 64), ("-F --ready-fd=1", 64)] {
        let output = home.run(&format!("{line} {HERE}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("--ready-fd"), "{said}");
    }
}

#[test]
fn a_descriptor_that_is_a_passed_socket_cannot_be_written_to_as_well() {
    let home = Home::new(CONFIGURATION);
    let wrapped = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let daemon = home.command(&format!("-F --ready-fd=3 {HERE}"));
    let output = Command::new("sh")
        .args(["-c", wrapped, "sh"])
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("is a socket of LISTEN_FDS"), "{said}");
}
