//! What only root can do: the real `/dev/log`, port 514, a full file system.
//!
//! Each of these tests starts itself again in mount and network namespaces of its own, so that the host
//! never sees any of it.

use std::fs;
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use crate::faults::sequence::{Verdict, message};
use crate::support::counters::sum;
use crate::support::{Counters, Daemon, LogFile, Setup, is_inside, logger, wait_for};

#[test]
fn dev_log_and_port_514() {
    if !is_inside("privileged::dev_log_and_port_514") {
        return;
    }
    let arguments = ["-p", "/dev/log", "-b", "127.0.0.1"];
    let daemon = Daemon::with(&arguments, "*.*;syslog.none\t{dir}/all\n");
    logger(&["-t", "app", "through /dev/log"]);
    daemon.file("all").wait_for("app: through /dev/log");
    logger(&["-t", "app", "-d", "-n", "127.0.0.1", "to port 514"]);
    daemon.file("all").wait_for("to port 514");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .send_to(b"<13>app: as any device", "127.0.0.1:514")
        .expect("sent");
    daemon.file("all").wait_for("app: as any device");
    daemon.finish();
    assert!(fs::symlink_metadata("/dev/log").is_err(), "left behind");
}

/// A daemon that writes to a file system of 1 MiB, of which nearly all is taken.
fn on_a_full_disk() -> (Daemon, LogFile) {
    let setup = Setup::new("user.*\t{dir}/small/user\nuser.*\t-{dir}/large\n").arguments(&["-cc"]);
    let small = setup.path("small");
    fs::create_dir(&small).expect("it can be made");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&small)
        .status();
    assert!(mounted.expect("mount(8)").success());
    fs::write(small.join("filler"), vec![b'x'; 1000 * 1024]).expect("it fits");
    let daemon = setup.start();
    let user = daemon.file("small/user");
    (daemon, user)
}

/// Ends the story: a directory that something is mounted on could not be removed.
fn finish(daemon: Daemon) {
    let small = daemon.setup().path("small");
    let unmounted = Command::new("umount").arg("-l").arg(small).status();
    assert!(unmounted.expect("umount(8)").success());
    daemon.finish();
}

#[test]
fn what_a_full_disk_does_not_take_waits_until_there_is_room() {
    if !is_inside("privileged::what_a_full_disk_does_not_take_waits_until_there_is_room") {
        return;
    }
    let (daemon, user) = on_a_full_disk();
    for number in 0..5000 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.stderr().wait_for("No space left on device");
    daemon.file("large").wait_for("number 4999.");
    assert!(user.lines().len() < 5000);
    wait_for("the rest to wait", || {
        daemon.counters().output("small/user")["queued"].as_u64() > Some(0)
    });
    fs::remove_file(daemon.setup().path("small/filler")).expect("it is there");
    let lines = user.wait_for_lines(5000);
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line.ends_with(&format!(" app: number {number}.")),
            "{number}: {line}"
        );
    }
    let counters = daemon.quiet();
    assert_eq!(sum(&counters.output("small/user")["dropped"]), 0);
    finish(daemon);
}

#[test]
fn what_a_full_disk_makes_us_drop_is_counted_to_the_record() {
    if !is_inside("privileged::what_a_full_disk_makes_us_drop_is_counted_to_the_record") {
        return;
    }
    let (daemon, user) = on_a_full_disk();
    let sent = 7000;
    let text = "x".repeat(7900);
    for number in 0..sent {
        daemon.unix(format!("<13>app: number {number}. {text}"));
    }
    daemon.file("large").wait_for_lines(sent);
    wait_for("a drop", || {
        sum(&daemon.counters().output("small/user")["dropped"]) > 0
    });
    daemon.stderr().wait_for("dropped");
    fs::remove_file(daemon.setup().path("small/filler")).expect("it is there");
    // The disk takes 1 MiB of what is queued, and the rest still waits.
    wait_for("room", || user.octets().len() > 900_000);
    let number = |counters: &Counters, name: &str| {
        counters.output("small/user")[name]
            .as_u64()
            .expect("a number")
    };
    let counters = daemon.counters();
    assert_eq!(number(&counters, "enqueued"), sent as u64);
    wait_for("the counters to agree with the file", || {
        let counters = daemon.counters();
        let lines = user.lines();
        // The line that tells of the gap is ours and no message.
        let messages = lines.iter().filter(|line| line.contains(" app: number "));
        counters.balance() && number(&counters, "written") == messages.count() as u64
    });
    finish(daemon);
}

#[test]
fn another_host_name_is_read_on_sighup() {
    if !is_inside("privileged::another_host_name_is_read_on_sighup") {
        return;
    }
    let rename = r#"echo first.example.org > /proc/sys/kernel/hostname && exec "$0" "$@""#;
    let setup = Setup::new(
        "user.*\t{dir}/all\n+@\nuser.*\t{dir}/ours\n+Second.Example.org\nuser.*\t{dir}/second\n",
    );
    let daemon = setup
        .wrapper(&["unshare", "--uts", "sh", "-c", rename])
        .start();
    let shown = |text: &str| {
        daemon.unix(format!("<13>Jan  1 00:00:00 app: {text}"));
        daemon.file("ours").wait_for(text)
    };
    assert_eq!(shown("before"), "Jan  1 00:00:00 first app: before");
    let namespace = format!("--uts=/proc/{}/ns/uts", daemon.pid());
    let renamed = Command::new("nsenter")
        .args([&namespace, "sh", "-c"])
        .arg("echo second.example.org > /proc/sys/kernel/hostname")
        .status();
    assert!(renamed.expect("nsenter(1)").success());
    assert_eq!(shown("renamed"), "Jan  1 00:00:00 first app: renamed");
    assert!(daemon.reload().contains("configuration loaded again"));
    assert_eq!(shown("after"), "Jan  1 00:00:00 second app: after");
    daemon.file("second").wait_for("after");
    assert_eq!(daemon.file("second").lines().len(), 1);
    daemon.finish();
}

#[test]
fn the_shards_of_an_address_share_its_senders_and_keep_the_order_of_each() {
    if !is_inside(
        "privileged::the_shards_of_an_address_share_its_senders_and_keep_the_order_of_each",
    ) {
        return;
    }
    let listens = [
        "udp://127.0.0.1:514 shards=3",
        "tcp://127.0.0.1:601 shards=2",
    ];
    let daemon = Setup::new("user.*\t-{dir}/all\n").listens(&listens).start();
    let (senders, each) = (48, 20);
    let sources: Vec<(String, UdpSocket, TcpStream)> = (0..senders)
        .map(|number| {
            let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let tcp = TcpStream::connect("127.0.0.1:601").expect("it listens");
            (format!("{number}"), udp, tcp)
        })
        .collect();
    for number in 0..each {
        for (name, udp, tcp) in &sources {
            let datagram = message(&format!("udp{name}"), number);
            udp.send_to(datagram.as_bytes(), "127.0.0.1:514")
                .expect("the network takes it");
            let line = message(&format!("tcp{name}"), number) + "\n";
            (&*tcp).write_all(line.as_bytes()).expect("it is read");
        }
    }
    let names: Vec<String> = sources
        .iter()
        .flat_map(|(name, ..)| [format!("udp{name}"), format!("tcp{name}")])
        .collect();
    let sent: Vec<(&str, u64)> = names.iter().map(|name| (&name[..], each)).collect();
    let lines = daemon.file("all").wait_for_lines(names.len() * 20);
    assert_eq!(Verdict::of(&lines, &sent), Verdict::default());
    let counters = daemon.quiet();
    let received = |name: &str| counters.input(name)["received"].as_u64().expect("a number");
    let udp: Vec<u64> = (1..=3)
        .map(|n| received(&format!("udp://127.0.0.1:514#{n}")))
        .collect();
    let tcp: Vec<u64> = (1..=2)
        .map(|n| received(&format!("tcp://127.0.0.1:601#{n}")))
        .collect();
    for shards in [udp, tcp] {
        assert_eq!(shards.iter().sum::<u64>(), senders * each);
        assert!(shards.iter().all(|count| *count > 0), "{shards:?}");
    }
    daemon.finish();
}

#[test]
fn what_is_mounted_below_the_directory_of_a_test_survives_it() {
    if !is_inside("privileged::what_is_mounted_below_the_directory_of_a_test_survives_it") {
        return;
    }
    let host = Setup::new("");
    host.write("file", "of the host");
    let setup = Setup::new("");
    let below = setup.path("below");
    fs::create_dir(&below).expect("it can be made");
    let mut mount = Command::new("mount");
    let mounted = mount.arg("--rbind").arg(host.directory()).arg(&below);
    assert!(mounted.status().expect("mount(8)").success());
    assert!(below.join("file").exists());
    drop(setup);
    assert!(!below.exists());
    assert!(host.path("file").exists());
    let glass = fs::write("/etc/syslogd-test", "").expect_err("the system's files are not ours");
    assert_eq!(glass.raw_os_error(), Some(libc::EROFS));
}
