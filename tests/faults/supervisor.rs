//! A service manager as systemd is one: it passes sockets, hears how we are, and keeps what it is left (F36).

use std::collections::BTreeMap;
use std::io::{IoSliceMut, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, setsockopt, sockopt};

use super::load::Load;
use super::restart::all_is_there;
use super::sequence::{Verdict, lines_of};
use super::upgrade::upgrade_well;
use crate::support::{Daemon, Setup, skip, wait_for};

/// What the service manager was told, and what it keeps.
#[derive(Clone, Default)]
struct Manager(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    said: Vec<String>,
    /// Of units, then of the store.
    sockets: Vec<(String, OwnedFd)>,
    store: BTreeMap<String, OwnedFd>,
}

/// Puts the descriptors of `$SOCKETS` where `sd_listen_fds(3)` looks for them, and becomes the daemon.
const PASS: &str = r#"
    n=3
    for socket in $SOCKETS; do eval "exec $n<&$socket $socket<&-"; n=$((n + 1)); done
    unset SOCKETS
    export LISTEN_PID=$$
    exec "$0" "$@" $MORE
"#;

impl Manager {
    /// One that listens in this directory; `None` if this machine cannot pass descriptors so.
    fn new(setup: &Setup) -> Option<Self> {
        if std::process::Command::new("bash")
            .arg("-c")
            .arg(":")
            .status()
            .is_err()
        {
            skip("needs bash");
            return None;
        }
        let manager = Self::default();
        let socket = UnixDatagram::bind(setup.path("notify")).expect("a socket");
        let hears = manager.clone();
        thread::spawn(move || {
            while let Some((text, passed)) = receive(&socket) {
                hears.hear(text, passed);
            }
        });
        Some(manager)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a unit with this socket.
    fn own(&self, name: &str, socket: OwnedFd) {
        self.lock().sockets.push((name.to_owned(), socket));
    }

    fn hear(&self, text: String, passed: Option<OwnedFd>) {
        let mut kept = self.lock();
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
        let name = name.unwrap_or_default().to_owned();
        if text.starts_with("FDSTORE=1") {
            assert!(!name.contains(':') && name.len() < 256, "{name}");
            let socket = passed.expect("one is passed");
            assert!(kept.store.insert(name, socket).is_none(), "twice: {text}");
        } else if text.starts_with("FDSTOREREMOVE=1") {
            assert!(kept.store.remove(&name).is_some(), "not there: {text}");
        }
        kept.said.push(text);
    }

    /// A daemon that is passed everything.
    fn start(&self, setup: Setup) -> Daemon {
        self.passing(setup, "", Setup::start)
    }

    /// The same with this argument, which makes the start fail.
    #[track_caller]
    fn fail(&self, setup: Setup, argument: &str) -> Setup {
        self.passing(setup, argument, |setup| {
            let (status, said) = setup.fail();
            assert_ne!(status, Some(0), "{said}");
            setup
        })
    }

    fn passing<T>(&self, setup: Setup, more: &str, start: impl FnOnce(Setup) -> T) -> T {
        let kept = self.lock();
        let units = kept.sockets.iter().map(|(name, socket)| (name, socket));
        let sockets: Vec<_> = units.chain(&kept.store).collect();
        // Open in children, and out of the way of the numbers from 3 on.
        let copies = sockets
            .iter()
            .map(|(_, socket)| fcntl(socket, FcntlArg::F_DUPFD(200)).expect("a descriptor"));
        let copies: Vec<RawFd> = copies.collect();
        let list = |texts: Vec<String>, between| texts.join(between);
        let names = list(
            sockets.iter().map(|(name, _)| (*name).clone()).collect(),
            ":",
        );
        let numbers = list(copies.iter().map(ToString::to_string).collect(), " ");
        let environment = vec![
            ("SOCKETS", numbers),
            ("LISTEN_FDS", sockets.len().to_string()),
            ("LISTEN_FDNAMES", names),
            ("MORE", more.to_owned()),
            ("NOTIFY_SOCKET", setup.placed("{dir}/notify")),
        ];
        drop(kept);
        let setup = setup
            .environment(environment)
            .wrapper(&["bash", "-c", PASS]);
        let started = start(setup);
        for copy in copies {
            nix::unistd::close(copy).expect("it is ours");
        }
        started
    }

    /// Waits until it was told this.
    #[track_caller]
    fn wait_for(&self, text: &str) {
        wait_for(text, || {
            self.lock().said.iter().any(|said| said.contains(text))
        });
    }

    fn names(&self) -> Vec<String> {
        self.lock().store.keys().cloned().collect()
    }
}

/// The next message, and the descriptor beside it.
fn receive(socket: &UnixDatagram) -> Option<(String, Option<OwnedFd>)> {
    let mut text = [0; 4096];
    let mut control = nix::cmsg_space!(RawFd);
    let mut room = [IoSliceMut::new(&mut text)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut room, Some(&mut control), flags).ok()?;
    let mut passed = None;
    for message in got.cmsgs().ok()? {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            passed = numbers.first().copied();
        }
    }
    let passed = passed.map(|number| syslogd::sys::inherited(number).expect("it was passed"));
    let length = got.bytes;
    Some((
        String::from_utf8_lossy(&text[..length]).into_owned(),
        passed,
    ))
}

#[test]
fn the_service_manager_is_told_how_we_are() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let daemon = manager.start(setup);
    let pid = daemon.pid();
    manager.wait_for(&format!("READY=1\nMAINPID={pid}"));
    assert_eq!(manager.names().len(), 3, "{:?}", manager.names());
    let before = manager.lock().said.len();
    daemon
        .setup()
        .configure("listen unix://{dir}/more.sock\nuser.*\t{dir}/log\n");
    daemon.reload();
    manager.wait_for("RELOADING=1\nMONOTONIC_USEC=");
    wait_for("a second READY", || {
        let kept = manager.lock();
        kept.said
            .iter()
            .skip(before)
            .any(|said| said.starts_with("READY=1"))
    });
    let more = format!(
        "syslogd-unix%3A//{}",
        daemon.setup().path("more.sock").display()
    );
    assert!(manager.names().contains(&more), "{:?}", manager.names());
    daemon.setup().configure("user.*\t{dir}/log\n");
    daemon.reload();
    wait_for("its removal", || !manager.names().contains(&more));
    let setup = daemon.stop();
    manager.wait_for("STOPPING=1");
    assert!(setup.path("log.sock").exists(), "it is still in the store");
}

#[test]
fn sigterm_and_start_under_load_refuse_and_lose_nothing() {
    let mut setup = Setup::new("user.*\t-{dir}/log\n");
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let mut daemon = manager.start(setup);
    let load = Load::of(&daemon).without_tcp();
    let running = load.start();
    for _ in 0..4 {
        running.wait_for_more(100);
        setup = daemon.stop();
        daemon = manager.start(setup);
    }
    running.wait_for_more(100);
    let sent = running.stop();
    all_is_there(&daemon, &load, &sent);
    daemon.quiet();
    daemon.prove();
    daemon.stop();
}

#[test]
fn f32_starts_that_fail_at_once_take_nothing_from_sockets_in_the_store() {
    let setup = Setup::new("user.*\t-{dir}/log\n");
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let daemon = manager.start(setup);
    let load = Load::of(&daemon).without_tcp();
    manager.wait_for("READY=1");
    let stored = manager.names();
    let mut setup = daemon.stop();
    let daemon = thread::scope(|scope| {
        // Nobody reads: as much waits in the sockets as goes in.
        let running = scope.spawn(|| load.start());
        for argument in [
            "--nonsense",
            "--listen=nonsense",
            "-anonsense/99",
            "--nonsense",
            "--listen=x",
        ] {
            setup = manager.fail(setup, argument);
        }
        assert_eq!(manager.names(), stored, "they stay in the store");
        let daemon = manager.start(setup);
        let running = running.join().expect("it only sends");
        running.wait_for_more(50);
        let sent = running.stop();
        all_is_there(&daemon, &load, &sent);
        daemon
    });
    daemon.quiet();
    daemon.stop();
}

#[test]
fn f36_a_kill_under_load_refuses_nobody_and_loses_what_was_in_hand() {
    let mut setup = Setup::new("user.*\t-{dir}/log\n");
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let mut daemon = manager.start(setup);
    let load = Load::of(&daemon).without_tcp();
    let running = load.start();
    let kills = 4;
    for _ in 0..kills {
        running.wait_for_more(100);
        setup = daemon.crash();
        daemon = manager.start(setup);
    }
    running.wait_for_more(100);
    let sent = running.stop();
    assert_eq!(sent.refused, 0, "{sent:?}");
    // Behind everything else that was sent.
    daemon.unix("<13>app: the last over unix");
    daemon.udp("<13>app: the last over UDP");
    for last in ["the last over unix", "the last over UDP"] {
        daemon.file("log").wait_for(last);
    }
    let verdict = Verdict::of(
        &lines_of(&daemon.setup().path("log")),
        &[("unix", sent.each), ("udp", sent.each)],
    );
    assert_eq!(
        (verdict.doubled, verdict.out_of_order),
        (0, 0),
        "{verdict:?}"
    );
    for (source, missing) in &verdict.missing {
        let gaps = missing
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .count()
            + 1;
        assert!(
            gaps <= kills,
            "{source} has {gaps} gaps for {kills} kills: {missing:?}"
        );
    }
    eprintln!(
        "{} of {} missing after {kills} kills",
        verdict.lost(),
        2 * sent.each
    );
    daemon.prove();
    daemon.stop();
}

#[test]
fn sockets_of_units_are_used_and_never_removed_and_others_are_closed_with_a_word() {
    let setup = Setup::new("listen unix://{dir}/stream.sock\nuser.*\t{dir}/log\n").listens(&[]);
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let (udp_at, tcp_at) = (
        udp.local_addr().expect("it has one"),
        tcp.local_addr().expect("it has one"),
    );
    let config = format!(
        "listen unix://{{dir}}/stream.sock\nlisten udp://{udp_at}\nlisten tcp://{tcp_at}\nuser.*\t{{dir}}/log\n"
    );
    setup.configure(&config);
    let bind = |name: &str| UnixDatagram::bind(setup.path(name)).expect("a socket");
    let (socket, unwanted) = (bind("log.sock"), bind("unwanted.sock"));
    let stream = UnixListener::bind(setup.path("stream.sock")).expect("a socket");
    let file = std::fs::File::open("/dev/null").expect("it is there");
    for (name, socket) in [
        ("syslog.socket", OwnedFd::from(socket)),
        ("udp", udp.into()),
        ("tcp", tcp.into()),
        ("stream", stream.into()),
        ("unwanted", unwanted.into()),
        ("no-socket", file.into()),
    ] {
        manager.own(name, socket);
    }
    let sent_before_the_start = UnixDatagram::unbound().expect("a socket");
    sent_before_the_start
        .send_to(b"<13>app: before the start", setup.path("log.sock"))
        .expect("the socket is there");
    let daemon = manager.start(setup);
    daemon
        .stderr()
        .wait_for("unwanted.sock of the service manager: nothing asks for it");
    daemon
        .stderr()
        .wait_for("(no-socket) of the service manager");
    assert_eq!(manager.names(), [""; 0], "units have theirs");
    daemon.unix("<13>app: over unix");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.send_to(b"<13>app: over UDP", udp_at).expect("sent");
    let mut client = TcpStream::connect(tcp_at).expect("it listens");
    client.write_all(b"<13>app: over TCP\n").expect("sent");
    let mut client = UnixStream::connect(daemon.setup().path("stream.sock")).expect("it listens");
    client.write_all(b"<13>app: over a stream\n").expect("sent");
    for text in [
        "before the start",
        "over unix",
        "over UDP",
        "over TCP",
        "over a stream",
    ] {
        daemon.file("log").wait_for(text);
    }
    let setup = daemon.stop();
    for socket in ["log.sock", "stream.sock"] {
        assert!(setup.path(socket).exists(), "{socket} is a unit's");
    }
}

/// Has the descriptor `$SOCKET` as standard input and output. Standard error, which inetd has there too, is ours to read.
const INETD: &str = r#"exec <&$SOCKET >&$SOCKET; eval "exec $SOCKET<&-"; exec "$0" "$@""#;

/// As inetd starts it; the number is to be closed when it has started.
fn by_inetd(setup: Setup, socket: &OwnedFd) -> (Setup, RawFd) {
    let copy = fcntl(socket, FcntlArg::F_DUPFD(200)).expect("a descriptor");
    let setup = setup
        .arguments(&["--inetd"])
        .environment(vec![("SOCKET", copy.to_string())])
        .wrapper(&["bash", "-c", INETD]);
    (setup, copy)
}

#[test]
fn inetd_passes_a_bound_socket_which_is_served_through_reload_and_upgrade_and_stays() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    if Manager::new(&setup).is_none() {
        return;
    }
    let socket = OwnedFd::from(UnixDatagram::bind(setup.path("inetd.sock")).expect("a socket"));
    setup.send("inetd.sock", b"<13>app: which woke inetd");
    let (setup, copy) = by_inetd(setup, &socket);
    let daemon = setup.start();
    nix::unistd::close(copy).expect("it is ours");
    daemon.file("log").wait_for("which woke inetd");
    daemon.reload();
    daemon
        .setup()
        .send("inetd.sock", b"<13>app: after a reload");
    daemon.file("log").wait_for("after a reload");
    upgrade_well(&daemon);
    daemon
        .setup()
        .send("inetd.sock", b"<13>app: after an upgrade");
    daemon.file("log").wait_for("after an upgrade");
    daemon.prove();
    let setup = daemon.stop();
    assert!(setup.path("inetd.sock").exists(), "it is inetd's");
}

#[test]
fn a_connection_of_inetd_is_refused_with_a_sentence() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    if Manager::new(&setup).is_none() {
        return;
    }
    let (_peer, ours) = UnixStream::pair().expect("a connection");
    let (setup, copy) = by_inetd(setup, &ours.into());
    let (status, said) = setup.fail();
    nix::unistd::close(copy).expect("it is ours");
    assert_eq!(status, Some(64), "{said}");
    assert!(said.contains("with \"wait\" and not \"nowait\""), "{said}");
}

#[test]
fn what_the_kernel_dropped_before_a_start_is_told_and_counted_by_nobody_again() {
    let setup = Setup::new("user.*\t{dir}/log\n").listens(&[]);
    let Some(manager) = Manager::new(&setup) else {
        return;
    };
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let at = socket.local_addr().expect("it has one");
    setsockopt(&socket, sockopt::RcvBuf, &1).expect("a small buffer");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for _ in 0..1000 {
        client.send_to(b"<13>app: too many", at).expect("sent");
    }
    setup.configure(&format!("listen udp://{at}\nuser.*\t{{dir}}/log\n"));
    manager.own("udp", socket.into());
    let daemon = manager.start(setup);
    daemon
        .stderr()
        .wait_for(&format!("datagrams on udp://{at} before this start"));
    let written = |daemon: &Daemon| {
        client.send_to(b"<13>app: not too many", at).expect("sent");
        daemon.file("log").wait_for("not too many");
        daemon.quiet().input("udp://")["kernel_dropped"].as_u64()
    };
    assert_eq!(written(&daemon), Some(0));
    let told = |daemon: &Daemon| {
        let said = daemon.stderr().all();
        said.iter()
            .filter(|line| line.contains("before this start"))
            .count()
    };
    upgrade_well(&daemon);
    assert_eq!((written(&daemon), told(&daemon)), (Some(0), 1));
    daemon.prove();
    daemon.stop();
}
