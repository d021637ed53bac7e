//! SIGHUP: the configuration as it is now, or nothing changed.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use crate::faults::load::Load;
use crate::faults::restart::all_is_there;
use crate::support::{Daemon, counted, wait_for};

#[test]
fn the_new_rules_hold_after_a_reload() {
    let daemon = Daemon::start("mail.*\t{dir}/mail\nuser.*\t{dir}/old\n");
    daemon.unix("<13>app: before");
    daemon.file("old").wait_for("before");
    daemon
        .setup()
        .configure("mail.*\t{dir}/mail\nuser.*\t{dir}/new\n");
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.unix("<13>app: after");
    daemon.unix("<22>app: mail goes on");
    daemon.file("new").wait_for("after");
    daemon.file("mail").wait_for("mail goes on");
    assert_eq!(daemon.file("old").lines().len(), 1);
    daemon.finish();
}

#[test]
fn a_reload_with_a_mistake_changes_nothing_and_says_where_it_is() {
    let daemon = Daemon::start("user.*\t{dir}/old\n");
    daemon
        .setup()
        .configure("user.*\t{dir}/new\n*.inof\t{dir}/bad\nnonsense\n");
    let answer = daemon.reload();
    assert!(
        answer.contains("reload refused, nothing has changed: 2 errors"),
        "{answer}"
    );
    for place in ["syslog.conf:2:3: ", "syslog.conf:3:"] {
        daemon.stderr().wait_for(place);
    }
    daemon.unix("<13>app: goes on");
    daemon.file("old").wait_for("goes on");
    assert!(!daemon.setup().path("new").exists());
    daemon.setup().configure("user.*\t{dir}/new\n");
    assert!(daemon.reload().contains("configuration loaded again"));
    daemon.unix("<13>app: mended");
    daemon.file("new").wait_for("mended");
    daemon.finish();
}

#[test]
fn a_refused_reload_opens_moved_files_all_the_same() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    daemon.unix("<13>app: before");
    daemon.file("user").wait_for("before");
    fs::rename(daemon.setup().path("user"), daemon.setup().path("user.old")).expect("it is there");
    daemon.setup().configure("*.inof\t{dir}/bad\n");
    assert!(daemon.reload().contains("reload refused"));
    daemon.unix("<13>app: after");
    daemon.file("user").wait_for("after");
    assert_eq!(daemon.file("user.old").lines().len(), 1);
    daemon.finish();
}

#[test]
fn a_configuration_that_is_gone_changes_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    fs::remove_file(daemon.setup().path("syslog.conf")).expect("it is there");
    assert!(daemon.reload().contains("reload refused"));
    daemon.unix("<13>app: goes on");
    daemon.file("user").wait_for("goes on");
    daemon.finish();
}

#[test]
fn a_file_that_logrotate_moved_is_opened_anew_on_sighup() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    daemon.unix("<13>app: before");
    daemon.file("user").wait_for("before");
    fs::rename(daemon.setup().path("user"), daemon.setup().path("user.1")).expect("it is there");
    daemon.reload();
    daemon.unix("<13>app: after");
    daemon.file("user").wait_for("after");
    assert_eq!(daemon.file("user").lines().len(), 1);
    assert_eq!(daemon.file("user.1").lines().len(), 1);
    daemon.finish();
}

#[test]
fn a_file_that_did_not_move_stays_open() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    daemon.unix("<13>app: before");
    daemon.file("user").wait_for("before");
    let inode = |daemon: &Daemon| {
        fs::metadata(daemon.setup().path("user"))
            .expect("it is there")
            .ino()
    };
    let before = inode(&daemon);
    daemon.reload();
    daemon.unix("<13>app: after");
    daemon.file("user").wait_for("after");
    assert_eq!(inode(&daemon), before);
    assert_eq!(daemon.file("user").lines().len(), 2);
    daemon.finish();
}

#[test]
fn reliability_s6_a_moved_or_removed_file_is_opened_anew_without_sighup() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let path = daemon.setup().path("user");
    let mut number = 0;
    let mut send_until_it_is_back = |what: &str| {
        wait_for(what, || {
            number += 1;
            daemon.unix(format!("<13>app: number {number}."));
            path.exists()
        });
        daemon.file("user").wait_for(&format!("number {number}."));
        number
    };
    send_until_it_is_back("the file");
    fs::rename(&path, daemon.setup().path("user.1")).expect("it is there");
    let sent = send_until_it_is_back("the file after it was moved");
    let kept = daemon.file("user.1").lines().len() + daemon.file("user").lines().len();
    assert_eq!(kept, sent, "no record is lost");
    fs::remove_file(&path).expect("it is there");
    send_until_it_is_back("the file after it was removed");
    daemon.finish();
}

#[test]
fn copytruncate_leaves_no_hole() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    for number in 0..5 {
        daemon.unix(format!("<13>app: number {number}."));
        daemon.file("user").wait_for(&format!("number {number}."));
        let file = fs::OpenOptions::new()
            .write(true)
            .open(daemon.setup().path("user"));
        file.expect("it is there")
            .set_len(0)
            .expect("it can be cut");
    }
    daemon.unix("<13>app: after");
    let line = daemon.file("user").wait_for("after");
    assert_eq!(
        daemon.file("user").octets().len(),
        line.len() + 1,
        "appended at the end"
    );
    daemon.finish();
}

#[test]
fn a_new_listener_is_opened_and_one_that_is_gone_is_closed() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let (udp, tcp) = (daemon.address("udp://"), daemon.address("tcp://"));
    let with_more = "listen udp://127.0.0.2:0\nlisten tcp://127.0.0.2:0\n\
                     listen unixgram://{dir}/more.sock\nuser.*\t{dir}/user\n";
    daemon.setup().configure(with_more);
    daemon.reload();
    let (more_udp, more_tcp) = (daemon.address("udp://"), daemon.address("tcp://"));
    assert!(
        more_udp != udp && more_tcp != tcp,
        "{:#?}",
        daemon.stderr().all()
    );
    daemon.udp("<13>app: over the new UDP");
    daemon.tcp_stream("<13>app: over the new TCP\n");
    daemon
        .setup()
        .send("more.sock", b"<13>app: over the new socket");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .send_to(b"<13>app: over the old UDP", udp)
        .expect("sent");
    for text in [
        "the new UDP",
        "the new TCP",
        "the new socket",
        "the old UDP",
    ] {
        daemon.file("user").wait_for(text);
    }

    daemon.setup().configure("user.*\t{dir}/user\n");
    daemon.reload();
    assert!(!daemon.setup().path("more.sock").exists());
    wait_for("the TCP listener to close", || {
        TcpStream::connect(more_tcp).is_err()
    });
    TcpStream::connect(tcp).expect("the first one stays");
    daemon.unix("<13>app: goes on");
    daemon.file("user").wait_for("goes on");
    daemon.finish();
}

#[test]
fn a_listener_that_cannot_be_had_changes_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let taken = daemon.address("tcp://");
    daemon
        .setup()
        .configure(&format!("listen tcp://{taken}\nuser.*\t{{dir}}/new\n"));
    let answer = daemon.reload();
    assert!(answer.contains("reload refused"), "{answer}");
    assert!(answer.contains("in use"), "{answer}");
    daemon.unix("<13>app: goes on");
    daemon.file("user").wait_for("goes on");
    daemon.finish();
}

#[test]
fn connections_stay_through_a_reload() {
    use std::io::Write as _;
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let mut stream = daemon.tcp();
    let frame = counted("<13>app: cut in two by a reload");
    let (head, tail) = frame.split_at(12);
    stream
        .write_all((counted("<13>app: first") + head).as_bytes())
        .expect("it takes it");
    daemon.file("user").wait_for("first");
    daemon.setup().configure("user.*\t{dir}/new\n");
    daemon.reload();
    stream.write_all(tail.as_bytes()).expect("it takes it");
    daemon.file("new").wait_for("app: cut in two by a reload");
    daemon.finish();
}

#[test]
fn fifty_reloads_under_load_lose_nothing() {
    let configs = [
        "user.*\t-{dir}/a\nuser.=debug\t{dir}/b\n",
        "user.*\t-{dir}/a\nmail.*\t{dir}/c\n",
        "user.*\t-{dir}/a\t;mode=0644\nuser.err\t{dir}/d\t;rotate=4k:3\n",
    ];
    let daemon = Daemon::start(configs[0]);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for number in 0..20_000 {
                daemon.unix(format!("<13>app: number {number}."));
            }
            20_000
        });
        for round in 0..50 {
            daemon.setup().configure(configs[round % configs.len()]);
            assert!(daemon.reload().contains("configuration loaded again"));
        }
        sender.join().expect("it only sends")
    });
    let lines = daemon.file("a").wait_for_lines(sent);
    for (number, line) in lines.iter().enumerate() {
        assert!(
            line.ends_with(&format!(" app: number {number}.")),
            "{number}: {line}"
        );
    }
    assert_eq!(daemon.quiet().input("log.sock")["routed"], sent);
    daemon.finish();
}

#[test]
fn the_pid_file_is_touched_when_a_reload_is_done() {
    let daemon = Daemon::start("user.*\t{dir}/user\n");
    let path = daemon.setup().path("syslogd.pid");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("it is ours");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .expect("it is ours");
    daemon.reload();
    wait_for("a touch", || {
        fs::metadata(&path).is_ok_and(|metadata| metadata.mtime() > 0)
    });
    daemon.finish();
}

#[test]
fn f29_a_hundred_reloads_under_load_lose_and_double_nothing() {
    let configs = [
        "user.*\t-{dir}/log\nuser.=debug\t{dir}/b\n",
        "user.*\t-{dir}/log\nmail.*\t{dir}/c\nlisten unixgram://{dir}/more.sock\n",
        "user.*\t-{dir}/log\t;mode=0644\nuser.err\t{dir}/d\t;rotate=4k:3\n",
    ];
    let daemon = Daemon::start(configs[0]);
    let load = Load::of(&daemon).without_udp();
    let running = load.start();
    for round in 0..100 {
        daemon.setup().configure(configs[round % configs.len()]);
        assert!(daemon.reload().contains("configuration loaded again"));
    }
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.finish();
}

#[test]
fn what_a_reload_does_not_change_keeps_its_descriptors() {
    let daemon = Daemon::start("user.*\t{dir}/log\nmail.*\t{dir}/mail\n");
    daemon.unix("<13>app: before");
    daemon.unix("<22>app: before");
    daemon.file("log").wait_for("before");
    daemon.file("mail").wait_for("before");
    let descriptors = || {
        let directory = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs");
        let links = directory.filter_map(|entry| {
            let path = entry.ok()?.path();
            let target = fs::read_link(&path).ok()?.to_string_lossy().into_owned();
            let ours = target.starts_with("socket:") || target.ends_with("/log");
            ours.then_some((path, target))
        });
        links.collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = descriptors();
    assert!(before.len() > 4, "{before:?}");
    daemon
        .setup()
        .configure("user.*\t{dir}/log\nkern.*\t{dir}/kern\n");
    assert!(daemon.reload().contains("configuration loaded again"));
    // A copy that some thread needs for a moment is none that stays.
    wait_for("no other descriptors than before", || {
        descriptors() == before
    });
    daemon.finish();
}

/// What is wrong, and where it is told.
const BROKEN: &[(&str, &str)] = &[
    ("*.inof\t{dir}/x", ":2:3: "),
    ("nofacility.*\t{dir}/x", ":2:1: "),
    ("nonsense", ":2:"),
    ("user.*", ":2:"),
    ("user.*\t-", ":2:"),
    ("user.*\t{dir}/x y", ":2:"),
    ("user.*\t{dir}/x ;mode=8", ":2:"),
    ("user.*\t{dir}/x ;mode=4755", ":2:"),
    ("user.*\t{dir}/x ;rotate=", ":2:"),
    ("user.*\t{dir}/x ;rotate=10Q", ":2:"),
    ("user.*\t{dir}/x ;nonsense=1", ":2:"),
    ("user.*\t{dir}/x ;sync=sometimes", ":2:"),
    ("user.*\t{dir}/x ;escape=maybe", ":2:"),
    ("user.*\t@", ":2:"),
    ("user.*\t@host:notaport", ":2:"),
    ("user.*\t@host:70000", ":2:"),
    ("user.*\t@[::1", ":2:"),
    ("user.*\t@tls://host", ":2:"),
    ("user.*\t|", ":2:"),
    ("user.*\t@host ;mode=0600", ":2:"),
    ("user.9\t{dir}/x", ":2:"),
    ("user.=\t{dir}/x", ":2:"),
    ("listen upd://:514", ":2:"),
    ("listen udp://host:514", ":2:"),
    ("listen unix://relative", ":2:"),
    ("rotate_size 10Q", ":2:"),
    ("rotate_count many", ":2:"),
    ("secure_mode 7", ":2:"),
    ("include {dir}/missing.conf", ":2:"),
    ("include {dir}/broken.conf", "broken.conf:1:"),
    (":msg, nonsense, \"x\"\nuser.*\t{dir}/x", ":2:"),
    (":nothing, contains, \"x\"\nuser.*\t{dir}/x", ":2:"),
    (":msg, contains, x\nuser.*\t{dir}/x", ":2:"),
    ("module(load=\"imuxsock\")", ":2:"),
    ("$ModLoad imuxsock", ":2:"),
    ("source s_local { internal(); };", ":2:"),
    ("if $msg contains 'x' then /var/log/x", ":2:"),
];

#[test]
fn f29_every_broken_configuration_changes_nothing_and_is_told_by_its_line() {
    let daemon = Daemon::start("user.*\t{dir}/log\n");
    daemon.setup().write("broken.conf", "*.inof\t{dir}/x\n");
    let load = Load::of(&daemon);
    let running = load.start();
    assert!(BROKEN.len() >= 30, "{}", BROKEN.len());
    for (config, place) in BROKEN {
        daemon
            .setup()
            .configure(&format!("user.*\t{{dir}}/new\n{config}\n"));
        let heard = daemon.stderr().count();
        let answer = daemon.reload();
        assert!(
            answer.contains("reload refused, nothing has changed"),
            "{config}: {answer}"
        );
        let said = daemon.stderr().all().split_off(heard);
        let told = said
            .iter()
            .any(|line| line.contains(".conf") && line.contains(place));
        assert!(told, "{config}: {place} is not in {said:#?}");
    }
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    for name in ["new", "x"] {
        assert!(!daemon.setup().path(name).exists(), "{name} was made");
    }
    daemon.setup().configure("user.*\t{dir}/log\n");
    daemon.finish();
}
