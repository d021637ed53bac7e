//! The command line: what the operator, or an init script written for sysklogd, asks for.
//!
//! ```text
//! syslogd -ss -m0 -r10M:10 -p /dev/log -p /srv/chroot/dev/log
//! syslogd --secure --secure --mark=0 --rotate=10M:10 --socket=/dev/log --socket=/srv/chroot/dev/log
//! ```
//!
//! Both lines mean the same: [`translate`] turns the first into the second, and clap reads only long
//! names. Short options follow sysklogd 2.x, as getopt(3) reads them: in clusters, with the value
//! attached or in the next argument, and repeated at will. Four letters mean something else
//! elsewhere, and the shape of what follows decides:
//!
//! ```text
//! -C   a path that begins with `/`: the kernel log's cache file; else FreeBSD's "create", which we do
//! -l   `/path` or `MODE:/path`: FreeBSD's additional socket; else sysklogd's "keep console logging"
//! -r   `SIZE[:COUNT]` or `:COUNT`: rotation; else sysklogd 1.5's "receive over UDP"
//! -v   alone: the version; else FreeBSD's "verbose"
//! ```
//!
//! Values that belong to the language of syslog.conf(5) stay text here; the configuration reads them.

mod dialect;

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};

pub use dialect::Dialect;

/// Everything that the command line can say.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "syslogd",
    version,
    about = "Receives log messages, routes them by syslog.conf(5), and accounts for every one",
    args_override_self = true,
    disable_version_flag = true,
    after_help = "Short options follow sysklogd 2.x; those that only it knows are accepted with a warning."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent switch of the command line"
)]
pub struct Arguments {
    /// Stay in the foreground and speak on stderr
    #[arg(short = 'F', long)]
    pub foreground: bool,

    /// As --foreground, and say more
    #[arg(short = 'd', long)]
    pub debug: bool,

    /// Read this configuration
    #[arg(short = 'f', long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,

    /// Receive on this unix datagram socket; repeat for several
    #[arg(short = 'p', long = "socket", value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub sockets: Vec<PathBuf>,

    /// Keep the process id in this file
    #[arg(short = 'P', long, value_name = "FILE", default_value = DEFAULT_PID_FILE)]
    pub pid_file: PathBuf,

    /// Receive over UDP on this address; a port may follow after a colon; repeatable
    #[arg(short = 'b', long, value_name = "ADDRESS")]
    pub bind: Vec<String>,

    /// Receive on a URL; repeatable. Its scheme is udp, tcp, unixgram or unix
    #[arg(long, value_name = "URL")]
    pub listen: Vec<String>,

    /// Receive nothing from the network; twice: open no internet socket at all
    #[arg(short = 's', long, action = ArgAction::Count)]
    pub secure: u8,

    /// Rotate log files of this size, and keep so many: 10M:5
    #[arg(short = 'r', long = "rotate", value_name = "SIZE[:COUNT]")]
    pub rotation: Option<String>,

    /// Do not look up names of senders
    #[arg(short = 'n', long)]
    pub no_dns: bool,

    /// Take the host name from the message instead of from its sender
    #[arg(short = 'H', long)]
    pub hostname_from_message: bool,

    /// Believe anyone who says to be the kernel
    #[arg(short = 'k', long)]
    pub keep_kern: bool,

    /// Stamp messages with the time of reception
    #[arg(short = 'T', long)]
    pub receive_time: bool,

    /// Log "-- MARK --" so often; 0 is never
    #[arg(short = 'm', long, value_name = "MINUTES", default_value_t = 20)]
    pub mark: u32,

    /// Write repeated messages to FIFOs one by one; twice: everywhere
    // 0: repeats are folded wherever that is the custom; 1: not in FIFOs; 2 and more: nowhere.
    #[arg(short = 'c', long = "no-folding", action = ArgAction::Count)]
    pub folding: u8,

    /// Changes nothing: UTF-8 is always kept
    #[arg(short = '8', long)]
    pub eight_bit: bool,

    /// Use IPv4 only
    #[arg(short = '4', long, overrides_with = "ipv6")]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long, overrides_with = "ipv4")]
    pub ipv6: bool,

    /// Accept network messages from this peer only, as 10.0.0.0/8 or name:port; repeatable
    #[arg(short = 'a', long = "allow", value_name = "PEER")]
    pub allowed_peers: Vec<String>,

    /// Forward at most so many octets of a message over UDP (480 to 2048)
    #[arg(short = 'M', long, value_name = "OCTETS", value_parser = max_forward)]
    pub max_forward: Option<usize>,

    /// Do not read the kernel log
    #[arg(short = 'K', long = "no-kernel-log", action = ArgAction::SetFalse)]
    pub kernel_log: bool,

    /// Remember here how far the kernel log was read
    #[arg(short = 'C', long, value_name = "FILE", default_value = DEFAULT_KMSG_CACHE)]
    pub kmsg_cache: PathBuf,

    /// Check the configuration, show every mistake, and exit: 0 is clean, 78 is not
    #[arg(long)]
    pub check: bool,

    /// Try it as anyone: in the foreground, with everything below one directory
    #[arg(
        long = "try",
        value_name = "DIR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_TRY_DIR,
        conflicts_with_all = ["check", "config", "sockets", "pid_file"]
    )]
    pub try_dir: Option<PathBuf>,

    /// Print version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Sentences for the operator about options that were accepted without effect.
    #[arg(skip)]
    pub warnings: Vec<String>,
}

/// Which internet protocols are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// `-4`.
    Ipv4,
    /// `-6`.
    Ipv6,
}

impl Families {
    /// Whether this address may be used.
    pub fn include(self, address: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

impl Arguments {
    /// Which internet protocols are used; of `-4` and `-6` the last one counts.
    pub fn families(&self) -> Families {
        match (self.ipv4, self.ipv6) {
            (true, _) => Families::Ipv4,
            (false, true) => Families::Ipv6,
            (false, false) => Families::Both,
        }
    }

    /// Makes every path independent of the working directory, which a daemon leaves.
    ///
    /// # Errors
    /// If the working directory is gone and a path is relative to it; the paths before it are done.
    pub fn make_paths_absolute(&mut self) -> io::Result<()> {
        let single = [&mut self.config, &mut self.pid_file, &mut self.kmsg_cache];
        for path in single
            .into_iter()
            .chain(&mut self.sockets)
            .chain(&mut self.try_dir)
        {
            *path = std::path::absolute(&*path)?;
        }
        Ok(())
    }
}

/// Why there are no [`Arguments`]: a mistake, or a question that the command line itself answers.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Usage(#[from] clap::Error);

impl Usage {
    /// Answers `--help` and `--version` on stdout; tells a mistake on stderr.
    pub fn print(self) -> ExitCode {
        let answered = self.0.print().is_ok();
        ExitCode::from(match self.code() {
            0 if !answered => EX_IOERR,
            code => code,
        })
    }

    /// 64 for a mistake, 0 for a question.
    fn code(&self) -> u8 {
        if self.0.use_stderr() { EX_USAGE } else { 0 }
    }
}

/// Reads a command line; the first of `argv` is the program's own name.
///
/// # Errors
/// On a mistake, and for `--help` and `--version`; [`Usage::print`] knows what to do with it.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Arguments, Usage> {
    let (argv, warnings) = translate(argv.into_iter().collect());
    let mut arguments = Arguments::try_parse_from(argv)?;
    arguments.foreground |= arguments.debug || arguments.try_dir.is_some();
    arguments.warnings = warnings;
    Ok(arguments)
}

/// How a short option of sysklogd 2.x reads on.
#[derive(Clone, Copy)]
enum Short {
    /// It stands alone.
    Flag(&'static str),
    /// It takes the rest of its argument, or else the next argument.
    Value(&'static str),
    /// It stands alone and has no effect; why is what the operator reads.
    Ignored(&'static str),
    /// It depends on what follows.
    ByShape(Shape),
}

#[derive(Clone, Copy)]
enum Shape {
    CacheOrCreate,
    SocketOrConsole,
    RotationOrUdp,
    VersionOrVerbose,
}

fn short(letter: u8) -> Option<Short> {
    Some(match letter {
        b'4' => Short::Flag("--ipv4"),
        b'6' => Short::Flag("--ipv6"),
        b'8' => Short::Flag("--eight-bit"),
        b'A' => Short::Ignored("a forward uses one address of its host, not all of them"),
        b'a' => Short::Value("--allow"),
        b'b' => Short::Value("--bind"),
        b'C' => Short::ByShape(Shape::CacheOrCreate),
        b'c' => Short::Flag("--no-folding"),
        b'd' => Short::Flag("--debug"),
        b'F' => Short::Flag("--foreground"),
        b'f' => Short::Value("--config"),
        b'H' => Short::Flag("--hostname-from-message"),
        b'h' | b'?' => Short::Flag("--help"),
        b'K' => Short::Flag("--no-kernel-log"),
        b'k' => Short::Flag("--keep-kern"),
        b'l' => Short::ByShape(Shape::SocketOrConsole),
        b'M' => Short::Value("--max-forward"),
        b'm' => Short::Value("--mark"),
        b'n' => Short::Flag("--no-dns"),
        b'P' => Short::Value("--pid-file"),
        b'p' => Short::Value("--socket"),
        b'r' => Short::ByShape(Shape::RotationOrUdp),
        b's' => Short::Flag("--secure"),
        b'T' => Short::Flag("--receive-time"),
        b't' => Short::Ignored("kernel messages carry the time at which they were read"),
        b'v' => Short::ByShape(Shape::VersionOrVerbose),
        _ => return None,
    })
}

/// Turns sysklogd's short options into our long ones; also returns what the operator should know.
///
/// What is no option of sysklogd's is left as it is, so that clap can say what is wrong with it.
pub fn translate(argv: Vec<OsString>) -> (Vec<OsString>, Vec<String>) {
    let sole = argv.len() == 2;
    let mut translation = Translation::default();
    let mut rest = argv.into_iter().peekable();
    translation.argv.extend(rest.next());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            translation.argv.push(argument);
            translation.argv.extend(rest);
            break;
        }
        match argument.as_bytes() {
            [b'-', b'-', ..] | [b'-'] => translation.argv.push(argument),
            [b'-', cluster @ ..] => {
                let mut cluster = cluster;
                while let [letter, attached @ ..] = cluster {
                    let mut followed = Followed {
                        attached,
                        next: &mut rest,
                    };
                    if !translation.option(*letter, &mut followed, sole) {
                        let unknown = [b"-", cluster].concat();
                        translation.argv.push(OsString::from_vec(unknown));
                        break;
                    }
                    cluster = followed.attached;
                }
            }
            _ => translation.argv.push(argument),
        }
    }
    (translation.argv, translation.warnings)
}

/// What stands behind the letter of an option.
struct Followed<'a, 'b> {
    /// The rest of its own argument.
    attached: &'a [u8],
    /// The arguments after it.
    next: &'b mut std::iter::Peekable<std::vec::IntoIter<OsString>>,
}

impl Followed<'_, '_> {
    /// The value as getopt(3) finds it.
    fn value(&mut self) -> Option<OsString> {
        if self.attached.is_empty() {
            return self.next.next();
        }
        Some(OsStr::from_bytes(std::mem::take(&mut self.attached)).to_owned())
    }

    /// The value, if it has the shape; nothing is consumed otherwise.
    fn value_like(&mut self, shape: fn(&[u8]) -> bool) -> Option<OsString> {
        let candidate = match self.attached {
            [] => self.next.peek()?.as_bytes(),
            attached => attached,
        };
        if shape(candidate) { self.value() } else { None }
    }
}

#[derive(Default)]
struct Translation {
    argv: Vec<OsString>,
    warnings: Vec<String>,
}

impl Translation {
    /// Translates one letter; false if sysklogd does not know it.
    fn option(&mut self, letter: u8, followed: &mut Followed<'_, '_>, sole: bool) -> bool {
        match short(letter) {
            None => return false,
            Some(Short::Flag(long)) => self.argv.push(long.into()),
            Some(Short::Value(long)) => {
                let value = followed.value();
                self.push(long, value);
            }
            Some(Short::Ignored(why)) => self.ignored(char::from(letter), why),
            Some(Short::ByShape(shape)) => self.by_shape(shape, followed, sole),
        }
        true
    }

    fn by_shape(&mut self, shape: Shape, followed: &mut Followed<'_, '_>, sole: bool) {
        match shape {
            Shape::CacheOrCreate => {
                if let Some(path) = followed.value_like(is_path) {
                    self.push("--kmsg-cache", Some(path));
                    return;
                }
                // Debian starts busybox's with `-C128`: a ring of 128 KiB in shared memory.
                let digits = followed
                    .attached
                    .iter()
                    .take_while(|octet| octet.is_ascii_digit());
                let (size, rest) = followed.attached.split_at(digits.count());
                followed.attached = rest;
                if !size.is_empty() {
                    self.ignored('C', "there is no log in shared memory");
                }
            }
            Shape::SocketOrConsole => match followed.value_like(is_socket) {
                None => self.ignored('l', "the kernel's console level is left alone"),
                Some(socket) => {
                    let socket = socket.into_vec();
                    let start = socket.iter().position(|octet| *octet == b'/').unwrap_or(0);
                    if start > 0 {
                        self.ignored('l', "the mode: sockets can be written by everyone");
                    }
                    let url = [b"unixgram://", &socket[start..]].concat();
                    self.push("--listen", Some(OsString::from_vec(url)));
                }
            },
            Shape::RotationOrUdp => match followed.value_like(is_rotation) {
                Some(rotation) => self.push("--rotate", Some(rotation)),
                None => self.push("--bind", Some(":514".into())),
            },
            Shape::VersionOrVerbose if sole => self.argv.push("--version".into()),
            Shape::VersionOrVerbose => {
                self.ignored('v', "facility and severity are not written to files");
            }
        }
    }

    /// Adds `--long=value`, or `--long` alone, so that clap asks for the value.
    fn push(&mut self, long: &str, value: Option<OsString>) {
        let mut argument = OsString::from(long);
        if let Some(value) = value {
            argument.push("=");
            argument.push(value);
        }
        self.argv.push(argument);
    }

    fn ignored(&mut self, letter: char, why: &str) {
        self.warnings
            .push(format!("option -{letter} has no effect here: {why}"));
    }
}

fn is_path(text: &[u8]) -> bool {
    text.starts_with(b"/")
}

/// `/path` or `MODE:/path` with an octal mode.
fn is_socket(text: &[u8]) -> bool {
    let mode = text
        .iter()
        .take_while(|octet| (b'0'..=b'7').contains(octet));
    match text.split_at(mode.count()) {
        ([], path) => is_path(path),
        (_, path) => path.starts_with(b":/"),
    }
}

/// `SIZE`, `SIZE:COUNT` or `:COUNT`, where SIZE may end in `k`, `M` or `G`.
fn is_rotation(text: &[u8]) -> bool {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mut parts = text.splitn(2, |octet| *octet == b':');
    let size = parts.next().unwrap_or_default();
    let count = parts.next();
    let number = match size.split_last() {
        Some((b'k' | b'K' | b'm' | b'M' | b'g' | b'G', number)) => number,
        _ => size,
    };
    count.is_none_or(is_number) && (is_number(number) || (size.is_empty() && count.is_some()))
}

/// sysklogd's limits for `-M`: what any IPv4 receiver must take, and four times RFC 3164's 512.
fn max_forward(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(octets) if (480..=2048).contains(&octets) => Ok(octets),
        _ => Err("a number from 480 to 2048 is needed".into()),
    }
}

/// The configuration that is read unless `-f` names one.
pub const DEFAULT_CONFIG: &str = "/etc/syslog.conf";

/// The socket that syslog(3) writes to.
pub const DEFAULT_SOCKET: &str = "/dev/log";

/// Where scripts look for our process id.
pub const DEFAULT_PID_FILE: &str = "/run/syslogd.pid";

/// Where sysklogd keeps the number of the last kernel message.
pub const DEFAULT_KMSG_CACHE: &str = "/run/syslogd.cache";

/// Where `--try` puts everything, unless named.
pub const DEFAULT_TRY_DIR: &str = "./syslogd-try";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_IOERR: u8 = 74;

#[cfg(test)]
mod tests;
