//! Starts on machines that are not as they should be (F21, F34, F40).

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Setup, is_inside, output_of};

#[test]
fn f34_a_time_zone_that_is_no_such_file_is_told_and_utc_holds() {
    let config = "user.*\t{dir}/log\t;RFC5424\n";
    for (zone, why) in [
        ("/dev/zero", Some("it is no regular file")),
        (":/dev/zero", Some("it is no regular file")),
        ("{dir}/fifo", Some("it is no regular file")),
        ("{dir}/huge", Some("it has 65537 octets")),
        ("{dir}/empty", None),
        ("{dir}/missing", None),
        ("Nowhere/Nothing", None),
        ("", None),
        ("UTC0", None),
    ] {
        let setup = Setup::new(config);
        mkfifo(&setup.path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
        fs::write(setup.path("huge"), vec![b'T'; 65537]).expect("a file");
        fs::write(setup.path("empty"), "").expect("a file");
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
