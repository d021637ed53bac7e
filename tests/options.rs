//! Options that change what is received, written or forwarded, one story each, with the real program.

mod real;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use regex::Regex;

use real::{Home, wait_for};

const HERE: &str = "--foreground --config={}/syslog.conf --socket={}/log --pid-file={}/pid \
                    --no-kernel-log";

const CONFIGURATION: &str = "*.*\t{}/messages\n";

#[test]
fn the_form_of_lines_is_that_of_the_option() {
    for (line, want) in [
        ("", r"^Jan  1 00:00:00 \S+ app: hello$"),
        ("-v -n", r"^Jan  1 00:00:00 <1\.5> \S+ app: hello$"),
        ("-vv", r"^Jan  1 00:00:00 <user\.notice> \S+ app: hello$"),
        ("-O bsd", r"^Jan  1 00:00:00 \S+ app: hello$"),
        (
            "-O rfc5424",
            r"^<13>1 \d{4}-01-01T00:00:00\.000000\+00:00 \S+ app - - - hello$",
        ),
        (
            "-o syslog --compat=netbsd",
            r"^<13>1 \d{4}-01-01T00:00:00\.000000\+00:00 \S+ app - - - hello$",
        ),
        (
            "-Z --compat=openbsd",
            r"^\d{4}-01-01T00:00:00\.000Z \S+ app: hello$",
        ),
        ("-8", r"^Jan  1 00:00:00 \S+ app: hello$"),
    ] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.start(&format!("{line} {HERE}"));
        home.log("<13>Jan  1 00:00:00 app: hello");
        let got = home.line("messages", "hello");
        let form = Regex::new(want).expect("a pattern");
        assert!(form.is_match(&got), "{line}: {got}");
        daemon.end();
    }
}

#[test]
fn a_rule_with_a_format_keeps_it_whatever_the_command_line_says() {
    for (format, line, want) in [
        ("RFC3164", "-O rfc5424", "Jan  1 00:00:00 "),
        ("RFC5424,pri", "-O bsd", "<13>1 20"),
        ("RFC5424", "-vv", "20"),
    ] {
        let home = Home::new(&format!("*.*\t{{}}/messages\t;{format}\n"));
        let daemon = home.start(&format!("{line} {HERE}"));
        home.log("<13>Jan  1 00:00:00 app: hello");
        let got = home.line("messages", "hello");
        assert!(got.starts_with(want), "{format}: {got}");
        daemon.end();
    }
}

#[test]
fn t_shows_the_time_of_reception() {
    let home = Home::new(CONFIGURATION);
    let daemon = home.start(&format!("-T {HERE}"));
    let message = "<13>1 1999-01-01T00:00:00Z host app - - - hello";
    home.log(message);
    home.log("<13>Jan  1 00:00:01 app: again");
    let got = home.line("messages", "hello");
    assert!(!got.starts_with("Jan  1 00:00:00"), "{got}");
    let got = home.line("messages", "again");
    assert!(!got.starts_with("Jan  1 00:00:01"), "{got}");
    daemon.end();
}

#[test]
fn capital_h_believes_the_host_name_of_a_message() {
    for (line, want) in [("", false), ("-H", true)] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.start(&format!("{line} {HERE}"));
        home.log("<13>1 2026-01-01T00:00:00Z elsewhere app - - - hello");
        let got = home.line("messages", "hello");
        assert_eq!(got.contains("elsewhere"), want, "{line}: {got}");
        daemon.end();
    }
}

#[test]
fn c_stops_folding_for_fifos_and_cc_everywhere() {
    for (line, file, fifo) in [("", 2, 2), ("-c", 2, 4), ("-cc", 4, 4)] {
        let home = Home::new("*.*\t{}/messages\n*.*\t|{}/fifo\n");
        let path = home.path("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
        let pipe = OpenOptions::new().read(true).write(true).open(&path);
        let mut pipe = BufReader::new(pipe.expect("it is ours"));
        let daemon = home.start(&format!("{line} -m 0 {HERE}"));
        for message in ["same", "same", "same", "last"] {
            home.log(&format!("<13>app: {message}"));
        }
        home.line("messages", "last");
        let mut piped = Vec::new();
        while piped
            .last()
            .is_none_or(|line: &String| !line.contains("last\n"))
        {
            let mut line = String::new();
            pipe.read_line(&mut line).expect("it is open");
            piped.push(line);
        }
        let text = fs::read_to_string(home.path("messages")).expect("it is there");
        let of_app = |line: &&str| line.contains("app: ");
        let repeated = text.contains("app: last message repeated 2 times");
        assert_eq!(repeated, file == 2, "{line}: {text}");
        // Folded, three of the same are a line and a count.
        let lines = text.lines().filter(of_app).count();
        assert_eq!(lines, if file == 2 { 3 } else { 4 }, "{line}: {text}");
        let piped: Vec<&str> = piped.iter().map(String::as_str).filter(of_app).collect();
        assert_eq!(
            piped.len(),
            if fifo == 2 { 3 } else { 4 },
            "{line}: {piped:?}"
        );
        daemon.end();
    }
}

#[test]
fn four_and_six_exclude_the_other_protocol() {
    for (line, excluded) in [
        ("-4 --listen=udp://[::1]:0", "udp://[::1]:0"),
        ("-6 --listen=udp://127.0.0.1:0", "udp://127.0.0.1:0"),
        ("-4 --listen=tcp://[::1]:0", "tcp://[::1]:0"),
    ] {
        let home = Home::new(CONFIGURATION);
        let daemon = home.start(&format!("{line} {HERE}"));
        let said = daemon.end();
        let want = format!("not listening on {excluded}: -4 or -6 excludes it");
        assert!(said.contains(&want), "{line}: {said}");
    }
}

#[test]
fn s_and_capital_n_keep_the_network_out() {
    for line in ["-s", "-ss", "-N"] {
        let home = Home::new("listen udp://127.0.0.1:0\n*.*\t{}/messages\n");
        let daemon = home.start(&format!("{line} {HERE}"));
        let said = daemon.end();
        assert!(
            said.contains("not listening on udp://127.0.0.1:0"),
            "{said}"
        );
        assert!(!said.contains(" listening on udp://127.0.0.1:1"), "{said}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what is skipped is seen")]
fn capital_a_forwards_to_every_address() {
    let Some((v4, v6)) = pair() else {
        eprintln!("SKIP: localhost has no address of both IPv4 and IPv6");
        return;
    };
    let port = v4.local_addr().expect("it is bound").port();
    for (line, want) in [("-A", 2), ("", 1)] {
        let home = Home::new(&format!("*.*\t{{}}/messages\n*.*\t@localhost:{port}\n"));
        let daemon = home.start(&format!("{line} -m 0 {HERE}"));
        home.log("<13>app: to all");
        home.line("messages", "to all");
        daemon.end();
        let got = [&v4, &v6].map(|socket| take(socket, "to all"));
        let count = got.iter().filter(|got| **got).count();
        assert_eq!(count, want, "{line}");
    }
}

/// Sockets of both protocols with one port, if `localhost` leads to both.
fn pair() -> Option<(UdpSocket, UdpSocket)> {
    use std::net::ToSocketAddrs as _;

    let addresses: Vec<_> = "localhost:514".to_socket_addrs().ok()?.collect();
    let has_both =
        addresses.iter().any(SocketAddr::is_ipv4) && addresses.iter().any(SocketAddr::is_ipv6);
    let v4 = UdpSocket::bind("127.0.0.1:0").ok()?;
    let port = v4.local_addr().ok()?.port();
    let v6 = UdpSocket::bind(("::1", port)).ok()?;
    has_both.then_some((v4, v6))
}

/// Takes what has come to a socket; whether these words were among it.
fn take(socket: &UdpSocket, words: &str) -> bool {
    let patience = Duration::from_millis(200);
    socket
        .set_read_timeout(Some(patience))
        .expect("it is not zero");
    let mut found = false;
    let mut buffer = [0; 2048];
    while let Ok(length) = socket.recv(&mut buffer) {
        found |= String::from_utf8_lossy(&buffer[..length]).contains(words);
    }
    found
}

#[test]
fn forwards_can_be_local_only_or_none() {
    let own = Regex::new(r"udp://(127\.0\.0\.1:\d+)").expect("a pattern");
    for (line, local, remote) in [
        ("", true, true),
        ("--forward-local", true, false),
        ("--forward-local --forward-all", true, true),
        ("--no-forward", false, false),
    ] {
        let target = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = target.local_addr().expect("it is bound").port();
        let home = Home::new(&format!("*.*\t{{}}/messages\n*.*\t@127.0.0.1:{port}\n"));
        let daemon = home.start(&format!("{line} -m 0 --listen=udp://127.0.0.1:0 {HERE}"));
        kill(home.pid(), Signal::SIGUSR1).expect("it runs");
        let listening = home.line("pid.stats", "udp://127.0.0.1:");
        let own = own.captures(&listening).expect("it has a port")[1].to_owned();
        home.log("<13>app: from here");
        home.line("messages", "from here");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
        sender
            .send_to(b"<13>app: from there", own)
            .expect("it is sent");
        home.line("messages", "from there");
        daemon.end();
        let mut buffer = [0; 2048];
        let mut forwarded = String::new();
        target
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("it is not zero");
        while let Ok(length) = target.recv(&mut buffer) {
            forwarded.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        assert_eq!(
            forwarded.contains("from here"),
            local,
            "{line}: {forwarded}"
        );
        assert_eq!(
            forwarded.contains("from there"),
            remote,
            "{line}: {forwarded}"
        );
    }
}

#[test]
fn sockets_have_the_mode_that_stands_before_their_path() {
    let home = Home::new(CONFIGURATION);
    let line = "--foreground --config={}/syslog.conf -P {}/pid -K \
                -p 0622:{}/log -l 0660:{}/jail -S {}/private -l {}/open";
    let daemon = home.start(line);
    for (name, want) in [
        ("log", 0o622),
        ("jail", 0o660),
        ("private", 0o600),
        ("open", 0o666),
    ] {
        let mode = wait_for(name, || fs::metadata(home.path(name)).ok());
        assert_eq!(mode.permissions().mode() & 0o777, want, "{name}");
    }
    daemon.end();
}

#[test]
fn a_file_can_name_the_sockets() {
    let home = Home::new(CONFIGURATION);
    let list = format!("{}\n\n", home.path("log").display());
    fs::write(home.path("list"), list).expect("it can be written");
    let line = "--compat=netbsd -P {}/list -f {}/syslog.conf --pid-file={}/pid --no-kernel-log";
    let output = home.run(line);
    assert!(output.status.success(), "{output:?}");
    home.log("<13>app: hello");
    home.line("messages", "hello");
    home.end();
}

#[test]
fn inetutils_reads_the_files_of_a_directory_too() {
    let home = Home::new(CONFIGURATION);
    let more = home.path("more");
    fs::create_dir(&more).expect("it is new");
    let rule = format!("user.*\t{}\n", home.path("user").display());
    fs::write(more.join("user.conf"), rule).expect("it can be written");
    let daemon = home.start(&format!("--compat=inetutils --rcdir={{}}/more {HERE}"));
    home.log("<13>app: hello");
    home.line("messages", "hello");
    home.line("user", "hello");
    daemon.end();
}

#[test]
#[expect(clippy::print_stderr, reason = "what is skipped is seen")]
fn a_change_of_the_zone_is_seen() {
    let zone = "/usr/share/zoneinfo/Asia/Tokyo"; // nine hours ahead, all year
    let private = "mount -t tmpfs none /etc";
    let can_mount = Command::new("unshare")
        .args(["-m", "sh", "-c", private])
        .stderr(Stdio::null())
        .status();
    if !Path::new(zone).exists() || !can_mount.is_ok_and(|status| status.success()) {
        eprintln!("SKIP: a private /etc and the zones of the system are needed");
        return;
    }
    let home = Home::new(CONFIGURATION);
    let daemon = home.command(HERE);
    let line =
        format!("{private} && ln -s ../usr/share/zoneinfo/UTC /etc/localtime && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &line, "sh"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    let daemon = home.spawn(command.env_remove("TZ").stdin(Stdio::null()));
    home.log("<13>1 2026-01-01T00:00:00Z host app - - - before");
    let got = home.line("messages", "before");
    assert!(got.starts_with("Jan  1 00:00:00 "), "{got}");

    let localtime = format!("/proc/{}/root/etc/localtime", home.pid());
    fs::remove_file(&localtime).expect("it is ours");
    std::os::unix::fs::symlink(zone, &localtime).expect("it is gone");
    kill(home.pid(), Signal::SIGHUP).expect("it runs");
    home.line("messages", "configuration loaded again");
    let mut count = 0;
    wait_for("the zone", || {
        count += 1; // or it would be folded
        home.log(&format!(
            "<13>1 2026-01-01T00:00:00Z host app - - - after {count}"
        ));
        let text = fs::read_to_string(home.path("messages")).ok()?;
        text.contains("Jan  1 09:00:00 ").then_some(())
    });
    daemon.end();
}

#[test]
fn check_shows_what_busybox_options_mean() {
    let home = Home::new("");
    for (line, status, words) in [
        ("-O {}/log -R loghost -L", 0, "2 rules, no errors"),
        ("-R loghost:syslog", 78, "port"),
    ] {
        let output = home.run(&format!("--check --compat=busybox {line}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {said}");
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[test]
fn the_family_reads_the_configuration_and_what_is_included_too() {
    let home = Home::new("!!app\n*.*\t|exec cat >>{}/piped\n!*\ninclude {}/more.conf\n");
    let more = format!("*.*\t{}\n", home.path("messages").display());
    fs::write(home.path("more.conf"), more).expect("it can be written");
    let daemon = home.start(&format!("--compat=openbsd {HERE}"));
    home.log("<13>app: to the command alone");
    home.log("<13>other: to the file");
    home.line("messages", "other: to the file");
    home.line("piped", "app: to the command alone");
    let text = fs::read_to_string(home.path("messages")).expect("it is there");
    assert!(!text.contains("app: "), "{text}");
    daemon.end();
}

#[test]
fn u_takes_a_priority_for_itself_alone() {
    for (line, taken) in [("", true), ("-u", false), ("-U --compat=netbsd", false)] {
        let home = Home::new("user.notice\t{}/notice\n*.*\t{}/messages\n");
        let daemon = home.start(&format!("{line} {HERE}"));
        home.log("<11>app: error");
        home.log("<13>app: last");
        home.line("messages", "last");
        home.line("notice", "last");
        let text = fs::read_to_string(home.path("notice")).expect("it is there");
        assert_eq!(text.contains("app: error"), taken, "{line}: {text}");
        daemon.end();
    }
}
