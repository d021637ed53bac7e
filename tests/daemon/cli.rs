//! The command line: questions, mistakes and `--check`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it to its end; returns the exit status, stdout and stderr.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_syslogd"))
        .args(arguments)
        .output()
        .expect("it can be started");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// `--check` of a file with this text.
fn check(text: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("syslog.conf");
    fs::write(&path, text).expect("it can be written");
    let (status, stdout, said) = run(&["--check", "-f", path.to_str().expect("UTF-8")]);
    assert_eq!(stdout, "");
    let names = fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(names, 1, "a check touches nothing");
    (status, said)
}

#[test]
fn check_shows_every_mistake_with_its_place_and_what_to_do() {
    let (status, said) =
        check("auht.info\t/var/log/auth.log\nmail.*\t/var/log/mail\n*.*\tno such;\n");
    assert_eq!(status, Some(78), "{said}");
    for want in [
        "syslog.conf:1:1: error E101: unknown facility \"auht\", rule ignored",
        "1 | auht.info",
        "^^^^ did you mean \"auth\"?",
        "syslog.conf:3:",
        "2 errors",
    ] {
        assert!(said.contains(want), "{want:?} in {said}");
    }
    assert!(!said.contains("syslog.conf:2:"), "{said}");
}

#[test]
fn check_looks_at_addresses_wherever_they_stand() {
    for odd in [
        "192.0.2.1:514:1",
        "192.0.2.300",
        "[192.0.2.1",
        "host:0",
        "-host",
    ] {
        let (status, said) = check(&format!("*.*\t@{odd}\n"));
        assert_eq!(status, Some(78), "{odd}: {said}");
    }
    for good in [
        "192.0.2.1",
        "loghost:99",
        "[2001:db8::1]:514",
        "2001:db8::1",
    ] {
        let (status, said) = check(&format!("*.*\t@{good}\n"));
        assert_eq!(status, Some(0), "{good}: {said}");
    }
    let arguments = [
        "--check",
        "-f",
        "/dev/null",
        "-b",
        "192.0.2.1:99999",
        "-a",
        "192.0.2.0/33",
    ];
    let (status, _, said) = run(&arguments);
    assert_eq!(status, Some(64), "{said}");
    for want in [
        "-b 192.0.2.1:99999: ",
        "-a 192.0.2.0/33: ",
        "/dev/null: 0 rules, no errors",
        "command line: 2 errors",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
}

#[test]
fn check_of_a_clean_file_exits_0() {
    let (status, said) = check("# nothing wrong\n*.info\t/tmp/messages\nmail.*\t@192.0.2.1\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("2 rules, no errors, 0 warnings"), "{said}");
}

#[test]
fn check_refuses_what_a_later_version_brings() {
    for rule in ["*.*\t@tls://loghost\n", "*.*\t|/usr/bin/program args\n"] {
        let (status, said) = check(rule);
        assert_eq!(status, Some(78), "{rule}: {said}");
    }
}

#[test]
fn check_of_a_file_that_is_not_there_exits_78() {
    let (status, _, said) = run(&["--check", "-f", "/nonexistent/syslog.conf"]);
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("/nonexistent/syslog.conf"), "{said}");
}

#[test]
fn the_example_is_clean() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("syslogd.conf.example");
    let (status, _, said) = run(&["--check", "-f", example.to_str().expect("UTF-8")]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_mistake_on_the_command_line_exits_64_and_says_which() {
    for arguments in [
        &["--no-such-option"][..],
        &["-F", "-Z"],
        &["-F", "-m", "often"],
        &["-F", "-M", "7"],
        &["-F", "extra"],
    ] {
        let (status, _, said) = run(arguments);
        assert_eq!(status, Some(64), "{arguments:?}: {said}");
        let wrong = arguments.last().expect("one at least");
        assert!(said.contains(wrong), "{arguments:?}: {said}");
    }
}

#[test]
fn values_are_checked_before_anything_is_touched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    let (socket, pid_file) = (path("log.sock"), path("syslogd.pid"));
    fs::write(path("syslog.conf"), "*.*\t/dev/null\n").expect("it can be written");
    for wrong in [
        ["--listen", "gopher://x"],
        ["-r", "tiny:5k"],
        ["-a", "10.0.0.0/99"],
    ] {
        let config = path("syslog.conf");
        let places = ["-F", "-K", "-f", &config, "-p", &socket, "-P", &pid_file];
        let (status, _, said) = run(&[&places[..], &wrong].concat());
        assert_eq!(status, Some(64), "{wrong:?}: {said}");
        assert!(
            !Path::new(&socket).exists() && !Path::new(&pid_file).exists(),
            "{wrong:?}"
        );
    }
}

#[test]
fn version_and_help_are_answers() {
    for argument in ["--version", "-v"] {
        let (status, stdout, said) = run(&[argument]);
        assert_eq!((status, said.as_str()), (Some(0), ""));
        assert_eq!(stdout, format!("syslogd {}\n", env!("CARGO_PKG_VERSION")));
    }
    let (status, stdout, said) = run(&["--help"]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    for option in ["--foreground", "--check", "--try", "--listen"] {
        assert!(stdout.contains(option), "{option}");
    }
}
