//! Starts on machines that are not as they should be (F21, F34, F40), or not yet (F43).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::clock::Clock;
use super::disk::{mount, prove_exact, unmount};
use super::sequence::{Verdict, message};
use crate::support::{Setup, is_inside, output_of, wait_for};

#[test]
fn f34_a_time_zone_that_is_no_such_file_is_told_and_utc_holds() {
    let config = "user.*\t{dir}/log\t;RFC5424\n";
    for (zone, why) in [
        ("/dev/zero", Some("it is no regular file")),
        (":/dev/zero", Some("it is no regular file")),
        ("{dir}/fifo", Some("it is no regular file")),
        ("{dir}/huge", Some("it has 65537 octets")),
        ("{dir}/empty", Some("it is empty")),
        ("{dir}/text", Some("it does not begin as one (TZif)")),
        ("{dir}/half", Some("it is cut off, or damaged")),
        ("{dir}", Some("it is a directory")),
        ("{dir}/missing", Some("it is no zone of POSIX")),
        ("Nowhere/Nothing", Some("it is no zone of POSIX")),
        ("\u{1b}[2J", Some("it is no zone of POSIX")),
        ("UTC99", Some("it is no zone of POSIX")),
        ("", None),
        ("UTC0", None),
    ] {
        let setup = Setup::new(config);
        mkfifo(&setup.path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
        fs::write(setup.path("huge"), vec![b'T'; 65537]).expect("a file");
        fs::write(setup.path("empty"), "").expect("a file");
        fs::write(setup.path("text"), "Europe/Berlin\n").expect("a file");
        fs::write(setup.path("half"), "TZif2").expect("a file");
        let placed = setup.placed(zone);
        let daemon = setup.environment(vec![("TZ", placed)]).start();
        daemon.unix("<13>app: what time is it");
        daemon.file("log").wait_for("what time is it");
        let said = daemon.stderr().all();
        let told = said.iter().find(|line| line.contains("is no time zone"));
        match why {
            None => assert_eq!(told, None, "{zone}"),
            Some(why) => {
                let told = told.map_or("", String::as_str);
                assert!(
                    told.ends_with(&format!("{why}; times are in UTC")),
                    "{zone}: {told}"
                );
                let line = daemon.file("log").wait_for("what time is it");
                assert!(
                    line.contains("+00:00 ") || line.contains("Z "),
                    "{zone}: {line}"
                );
            }
        }
        daemon.finish();
    }
}

#[test]
fn a_zone_of_posix_without_dates_is_completed_and_told() {
    let setup = Setup::new("user.*\t{dir}/log;RFC5424\n");
    let daemon = setup.environment(vec![("TZ", "XXX-7YYY".into())]).start();
    let told = daemon.stderr().wait_for("daylight saving time");
    assert!(
        told.ends_with("taken for XXX-7YYY,M3.2.0,M11.1.0"),
        "{told}"
    );
    daemon.unix("<13>app: what time is it");
    let line = daemon.file("log").wait_for("what time is it");
    assert!(
        line.contains("+07:00 ") || line.contains("+08:00 "),
        "{line}"
    );
    daemon.finish();
}

#[test]
fn f40_a_pid_file_that_is_a_link_is_not_followed() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    fs::write(setup.path("victim"), "precious\n").expect("a file");
    symlink(setup.path("victim"), setup.path("syslogd.pid")).expect("a link");
    let (status, said) = setup.fail();
    assert_ne!(status, Some(0), "{said}");
    assert!(said.contains("syslogd.pid"), "{said}");
    assert_eq!(
        fs::read(setup.path("victim")).expect("a file"),
        b"precious\n"
    );
    fs::remove_file(setup.path("syslogd.pid")).expect("ours");
    setup.start().finish();
}

#[test]
fn f21_a_name_server_that_never_answers_holds_up_nothing_else() {
    if !is_inside("faults::boot::f21_a_name_server_that_never_answers_holds_up_nothing_else") {
        return;
    }
    let _silent = UdpSocket::bind("127.0.0.1:53").expect("our own network");
    let setup = Setup::new("user.*\t@loghost.example\nuser.*\t{dir}/log\n");
    let text = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
    setup.write("resolv.conf", text);
    let mut mount = Command::new("mount");
    output_of(
        mount
            .arg("--bind")
            .arg(setup.path("resolv.conf"))
            .arg("/etc/resolv.conf"),
    );
    let daemon = setup.start();
    for number in 0..100 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 99.");
    daemon
        .stderr()
        .wait_for("cannot find the address of loghost.example:514");
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.prove();
    let setup = daemon.stop();
    let last = fs::read_to_string(setup.path("log")).expect("a file");
    assert_eq!(last.matches(": number ").count(), 100);
}

/// An address that is no one's until the story gives it to the loopback device (RFC 5737).
const LATER: &str = "192.0.2.1";

#[test]
fn f43_a_start_before_disks_network_and_clock_loses_nothing() {
    if !is_inside("faults::boot::f43_a_start_before_disks_network_and_clock_loses_nothing") {
        return;
    }
    let relay = TcpListener::bind("0.0.0.0:0").expect("our own network");
    let port = relay.local_addr().expect("it is bound").port();
    let setup = Setup::new(&format!(
        "user.*\t{{dir}}/var/log\nuser.*\t{{dir}}/later/log\nuser.*\t@@{LATER}:{port}\n"
    ));
    let Some((setup, clock)) = Clock::of(setup, "UTC0", 60) else {
        return;
    };
    mount(&setup.path("var"), "ro");
    let daemon = setup.start();
    let told = [
        "var/log: Read-only file system",
        "later/log: No such file or directory",
        "Network is unreachable",
    ];
    for number in 0..100 {
        daemon.unix(message("early", number));
    }
    for why in told {
        daemon.stderr().wait_for(why);
    }
    wait_for("all of them to be received", || {
        daemon.counters().input("log.sock")["received"] == 100
    });
    // The clock comes first, then disks, and the network last.
    clock.set(1_795_000_000);
    let sent = 200;
    for number in 100..sent {
        daemon.unix(message("early", number));
    }
    fs::create_dir(daemon.setup().path("later")).expect("a directory");
    let var = daemon.setup().path("var");
    output_of(Command::new("mount").args(["-o", "remount,rw"]).arg(var));
    let address = format!("{LATER}/32");
    output_of(Command::new("ip").args(["address", "add", &address, "dev", "lo"]));
    // As whoever sets up a network does, so that nobody waits for the next try.
    daemon.reload();
    let (stream, _) = relay.accept().expect("it connects");
    let last = format!(" n={} ", sent - 1);
    let mut heard = Vec::new();
    for line in BufReader::new(stream).lines() {
        heard.push(line.expect("text"));
        if heard.last().is_some_and(|line| line.contains(&last)) {
            break;
        }
    }
    let all = [("early", sent)];
    assert_eq!(Verdict::of(&heard, &all), Verdict::default());
    for name in ["var/log", "later/log"] {
        assert_eq!(prove_exact(&daemon, name, "early", sent), 0, "{name}");
    }
    // Each bears the time when it came, right or wrong.
    let lines = daemon.file("var/log").lines();
    let of_1970 = |line: &&String| line.starts_with("Jan  1 00:01:00 ");
    assert_eq!(lines.iter().filter(of_1970).count(), 100, "{}", lines[100]);
    unmount(daemon, "var");
}
