//! A `syslogd` at work.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Counters, DEADLINE, Lines, LogFile, Setup, has_suffix, within};

/// The resident memory that no test may exceed, in KiB: the budget of 64 MiB, and room for a program
/// with debug assertions.
const MEMORY_KIB: u64 = 128 * 1024;

/// Where it leaves its counters.
const COUNTERS: &str = "syslogd.pid.stats";

/// A `syslogd` in the foreground. Every story ends it with [`finish`](Self::finish), [`stop`](Self::stop) or
/// [`wait`](Self::wait), which look at its last counters, or says that it kills it ([`crash`](Self::crash)).
pub(crate) struct Daemon {
    child: Child,
    setup: Option<Setup>,
    has_ended: bool,
    stderr: Lines,
    unix: UnixDatagram,
    udp: UdpSocket,
}

impl Daemon {
    /// Starts one with this configuration, in which `{dir}` stands for its directory.
    pub(crate) fn start(config: &str) -> Self {
        Setup::new(config).start()
    }

    /// As [`start`](Self::start), with more arguments.
    pub(crate) fn with(arguments: &[&str], config: &str) -> Self {
        Setup::new(config).arguments(arguments).start()
    }

    pub(super) fn spawn(setup: Setup) -> Self {
        let mut child = setup
            .command()
            .arg("-F")
            .spawn()
            .expect("the program can be started");
        let stderr = Lines::read(child.stderr.take().expect("it is piped"));
        let ready = stderr.find(0, |line| {
            line.starts_with("syslogd: ") && line.ends_with(": start")
        });
        let unix = UnixDatagram::unbound().expect("a socket");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let daemon = Self {
            child,
            setup: Some(setup),
            has_ended: false,
            stderr,
            unix,
            udp,
        };
        assert!(ready.is_some(), "not ready");
        // A daemon leaves its last counters where there are some.
        let counters = daemon.setup().path(COUNTERS);
        if !counters.exists() {
            fs::write(counters, "").expect("it is our directory");
        }
        daemon.connect();
        daemon
    }

    /// Connects to the unix socket, as syslog(3) does.
    fn connect(&self) {
        self.unix
            .connect(self.setup().path("log.sock"))
            .expect("it is ready");
        self.unix
            .set_write_timeout(Some(DEADLINE))
            .expect("a timeout");
    }

    pub(crate) fn setup(&self) -> &Setup {
        self.setup.as_ref().expect("it is taken at the end")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    /// What it says.
    pub(crate) fn stderr(&self) -> &Lines {
        &self.stderr
    }

    pub(crate) fn file(&self, name: &str) -> LogFile {
        LogFile::new(self.setup().path(name))
    }

    /// Sends one message to the unix socket.
    #[track_caller]
    pub(crate) fn unix(&self, octets: impl AsRef<[u8]>) {
        // A socket with a timeout is interrupted even by a stop of the whole process (signal(7)).
        let sent = loop {
            match self.unix.send(octets.as_ref()) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                sent => break sent,
            }
        };
        sent.expect("the unix socket takes it");
    }

    /// Sends one message over UDP.
    #[track_caller]
    pub(crate) fn udp(&self, octets: impl AsRef<[u8]>) {
        self.udp
            .send_to(octets.as_ref(), self.address("udp://"))
            .expect("the network takes it");
    }

    /// A connection to the TCP listener.
    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address("tcp://")).expect("it listens");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        stream
    }

    /// Sends a whole stream over a connection of its own, and waits until the daemon has read it all.
    #[track_caller]
    pub(crate) fn tcp_stream(&self, octets: impl AsRef<[u8]>) {
        let mut stream = self.tcp();
        stream
            .write_all(octets.as_ref())
            .expect("the connection takes it");
        close(stream);
    }

    /// The address that the last listener with this scheme got.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        let said = self.stderr.all();
        let url = said.iter().rev().find_map(|line| {
            line.strip_prefix("syslogd: listening on ")?
                .strip_prefix(scheme)
        });
        url.expect("it listens there")
            .parse()
            .expect("an address and a port")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// SIGUSR1: the counters of this moment.
    pub(crate) fn counters(&self) -> Counters {
        let path = self.setup().path(COUNTERS);
        if path.exists() {
            fs::remove_file(&path).expect("it is ours");
        }
        self.signal(Signal::SIGUSR1);
        let json = within(DEADLINE, || fs::read_to_string(&path).ok());
        Counters::parse(&json.expect("SIGUSR1 writes the counters"))
    }

    /// The counters at a quiet point: they balance, and nothing is queued.
    #[track_caller]
    pub(crate) fn quiet(&self) -> Counters {
        let quiet = |counters: &Counters| counters.balance() && counters.nothing_queued();
        let counters = within(DEADLINE, || Some(self.counters()).filter(quiet));
        counters.unwrap_or_else(|| unbalanced(&self.counters()))
    }

    /// SIGHUP; returns the line with which it was answered.
    #[track_caller]
    pub(crate) fn reload(&self) -> String {
        let heard = self.stderr.count();
        self.signal(Signal::SIGHUP);
        let answer = self.stderr.find(heard, |line| {
            line.contains("configuration loaded again") || line.contains("reload refused")
        });
        answer.expect("a reload is answered")
    }

    /// Kills it without a warning; what it left can be started again. Its counters are lost with it.
    pub(crate) fn crash(mut self) -> Setup {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
        self.has_ended = true;
        self.setup.take().expect("it is taken at the end")
    }

    /// Waits for its end. If it ends well, its last counters balance.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = within(DEADLINE, || self.child.try_wait().expect("it is our child"));
        let status = status.expect("it ends");
        self.has_ended = true;
        if status.success() {
            let json = fs::read_to_string(self.setup().path(COUNTERS));
            let last = Counters::parse(&json.expect("it leaves its last counters"));
            assert!(last.balance(), "at the end: {last:#?}");
        }
        status
    }

    /// SIGTERM, and its end; returns its directory for a look at the files.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Setup {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status}");
        self.stderr.wait_for_end();
        self.setup.take().expect("it is taken at the end")
    }

    /// The oracle of every story: it is alive, in few octets, logs the next message, its counters balance,
    /// its files hold no control characters, and it ends well.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        self.prove();
        let ended = self.child.try_wait().expect("it is our child");
        assert_eq!(ended, None, "it has ended by itself");
        let setup = self.stop();
        for socket in ["log.sock", "syslogd.pid"] {
            assert!(!setup.path(socket).exists(), "{socket} was left behind");
        }
    }

    /// Everything of [`finish`](Self::finish) but the end.
    #[track_caller]
    pub(crate) fn prove(&self) {
        let oracle = self.file("oracle");
        let number = oracle.lines().len();
        self.unix(format!("<71>oracle: {number} is still logged"));
        oracle.wait_for(&format!("oracle: {number} is still logged"));
        let balanced = within(DEADLINE, || Some(self.counters()).filter(Counters::balance));
        balanced.unwrap_or_else(|| unbalanced(&self.counters()));
        let memory = self.memory_kib("VmRSS:");
        assert!(memory < MEMORY_KIB, "{memory} KiB are resident");
        self.no_control_characters();
    }

    /// What /proc tells of its memory: `VmRSS:` now, `VmHWM:` at most until now.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .expect("/proc tells the resident memory")
    }

    #[track_caller]
    fn no_control_characters(&self) {
        for entry in fs::read_dir(self.setup().directory()).expect("it is there") {
            let path = entry.expect("it can be read").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let is_log = path.is_file() && !has_suffix(&name, "gz") && !has_suffix(&name, "tmp");
            let octets = if is_log {
                fs::read(&path).unwrap_or_default()
            } else {
                Vec::new()
            };
            let control = octets
                .iter()
                .position(|octet| *octet < b' ' && !b"\n\t".contains(octet));
            assert_eq!(control, None, "a control character in {name}");
        }
    }
}

/// Ends the sending side, and waits for the daemon to close the connection.
#[track_caller]
pub(crate) fn close(mut stream: TcpStream) {
    // A connection that was refused for its octets is closed already.
    _ = stream.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    match std::io::Read::read_to_end(&mut stream, &mut rest) {
        Ok(0) => {}
        Ok(_) => assert_eq!(rest, b"", "syslog is a one-way street"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "it fails a test")]
fn unbalanced(counters: &Counters) -> Counters {
    panic!("no quiet point at which the counters balance: {counters:#?}");
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let is_failing = std::thread::panicking();
        if is_failing && self.setup.is_some() {
            eprintln!("syslogd said: {:#?}", self.stderr.all());
        }
        if !self.has_ended {
            // It may have ended already, and no more can be done here.
            _ = self.child.kill();
            _ = self.child.wait();
            assert!(is_failing, "a story ends with finish, stop, wait or crash");
        }
    }
}
