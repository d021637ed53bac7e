//! The command line: what the operator, or an init script written for sysklogd, asks for.
//!
//! ```text
//! syslogd -ss -m0 -r10M:10 -p /dev/log -p /srv/chroot/dev/log
//! syslogd --secure --secure --mark=0 --rotate=10M:10 --socket=/dev/log --socket=/srv/chroot/dev/log
//! ```
//!
//! Both lines mean the same: a table for each family of daemon turns the first into the second, and clap
//! reads only long names. The family is that of `--compat`, or else of `SYSLOGD_COMPAT`, or else of the
//! program's name (`syslogd.openbsd`). Without any, sysklogd 2.x and FreeBSD hold at once, and where they
//! collide the shape of what follows decides:
//!
//! ```text
//! -C   a path that begins with `/`: the kernel log's cache file; else FreeBSD's "create", which we do
//! -i   `/path`, `NONE`: rsyslog's pid file; alone a start by inetd
//! -l   `/path` or `MODE:/path`: FreeBSD's additional socket; else sysklogd's "keep console logging"
//! -o   `bsd`, `rfc3164`, `syslog`, `rfc5424`: NetBSD's form of lines; else FreeBSD's boot file
//! -r   `SIZE[:COUNT]` or `:COUNT`: rotation; else sysklogd 1.5's "receive over UDP"
//! -v   alone: the version; else FreeBSD's "verbose"
//! ```
//!
//! Values that belong to the language of syslog.conf(5) stay text here; the configuration reads them.

mod abbreviation;
mod dialect;
mod families;
mod one_log;
mod socket;
mod syslogc;
mod translate;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, ValueEnum};

pub use dialect::Dialect;
pub use one_log::OneLog;
pub use socket::LocalSocket;

pub use translate::{Translation, translate};

/// Everything that the command line can say.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "syslogd",
    version,
    about = "Receives log messages, routes them by syslog.conf(5), and accounts for every one",
    args_override_self = true,
    disable_version_flag = true,
    after_help = "Short options follow sysklogd 2.x and FreeBSD, or the daemon that --compat names; \
                  those that have no meaning here are accepted with a warning."
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
    #[arg(short = 'p', long = "socket", value_name = "[MODE:]PATH", default_value = DEFAULT_SOCKET,
        value_parser = OsStringValueParser::new().map(LocalSocket::parse))]
    pub sockets: Vec<LocalSocket>,

    /// Receive on this unix datagram socket beside the others; repeatable
    #[arg(long = "extra-socket", value_name = "[MODE:]PATH",
        value_parser = OsStringValueParser::new().map(LocalSocket::parse))]
    pub extra_sockets: Vec<LocalSocket>,

    /// Receive also on the unix datagram sockets that this file names, one on a line
    #[arg(long, value_name = "FILE")]
    pub socket_list: Option<PathBuf>,

    /// Receive on no unix socket that the command line could name
    #[arg(long)]
    pub no_unix_sockets: bool,

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

    /// Receive nothing from the network, and bind no UDP port; as --secure once
    #[arg(short = 'N', long)]
    pub no_udp: bool,

    /// Rotate log files of this size, and keep so many: 10M:5
    #[arg(short = 'r', long = "rotate", value_name = "SIZE[:COUNT]")]
    pub rotation: Option<String>,

    /// Do not look up names of senders
    #[arg(short = 'n', long)]
    pub no_dns: bool,

    /// Show the names of senders without this domain, as without our own; repeatable, or with colons between
    #[arg(long = "strip-domain", value_name = "DOMAIN", value_delimiter = ':')]
    pub strip_domains: Vec<String>,

    /// Show this sender, by its whole name, without its domain; repeatable, or with colons between
    #[arg(long = "short-host", value_name = "HOST", value_delimiter = ':')]
    pub short_hosts: Vec<String>,

    /// Take the host name from the message instead of from its sender
    #[arg(short = 'H', long)]
    pub hostname_from_message: bool,

    /// Believe anyone who says to be the kernel
    #[arg(short = 'k', long)]
    pub keep_kern: bool,

    /// Stamp messages with the time of reception
    #[arg(short = 'T', long)]
    pub receive_time: bool,

    /// Give messages of the kernel the time at which it wrote them
    #[arg(short = 't', long)]
    pub kernel_time: bool,

    /// Write times in UTC, as 2026-11-22T11:00:00.123Z
    #[arg(long)]
    pub utc_time: bool,

    /// Write facility and severity in numbers; twice: in words
    #[arg(long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Write and forward in this form, unless a rule says otherwise
    #[arg(short = 'O', long, value_name = "FORMAT")]
    pub output_format: Option<OutputFormat>,

    /// Write lines as busybox does: with the priority, or short
    #[arg(long, value_name = "STYLE", hide = true)]
    pub line_style: Option<LineStyle>,

    /// Take a priority in a rule for that priority alone, and not for the more urgent ones too
    #[arg(short = 'u', long)]
    pub exact: bool,

    /// Bring each line to the disk before the next is taken
    #[arg(long)]
    pub sync: bool,

    /// Log "-- MARK --" so often, in minutes, or with a unit as 30s or 2h; 0 is never
    #[arg(short = 'm', long, value_name = "MINUTES", default_value = "20", value_parser = interval)]
    pub mark: Duration,

    /// Write repeated messages to FIFOs one by one; twice: everywhere
    // 0: repeats are folded wherever that is the custom; 1: not in FIFOs; 2 and more: nowhere.
    #[arg(short = 'c', long = "no-folding", action = ArgAction::Count)]
    pub folding: u8,

    /// Fold repeated messages, which is the default
    #[arg(long, overrides_with = "folding")]
    pub fold: bool,

    /// Changes nothing: UTF-8 is always kept
    #[arg(short = '8', long)]
    pub eight_bit: bool,

    /// Use IPv4 only
    #[arg(short = '4', long, overrides_with_all = ["ipv6", "ipany"])]
    pub ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long, overrides_with_all = ["ipv4", "ipany"])]
    pub ipv6: bool,

    /// Use IPv4 and IPv6, which is the default
    #[arg(long, overrides_with_all = ["ipv4", "ipv6"])]
    pub ipany: bool,

    /// Forward over UDP to every address of a name, not only to the first that has a route
    #[arg(short = 'A', long)]
    pub all_addresses: bool,

    /// Forward only what local programs logged
    #[arg(long, overrides_with = "forward_all")]
    pub forward_local: bool,

    /// Forward what others sent too, which is the default
    #[arg(long, overrides_with = "forward_local")]
    pub forward_all: bool,

    /// Forward a message also to the host that it came from, which may go on for ever
    #[arg(long)]
    pub forward_back: bool,

    /// Forward nothing
    #[arg(long)]
    pub no_forward: bool,

    /// Accept network messages from this peer only, as 10.0.0.0/8 or name:port; repeatable
    #[arg(short = 'a', long = "allow", value_name = "PEER")]
    pub allowed_peers: Vec<String>,

    /// Forward at most so many octets of a message over UDP (480 to 2048)
    #[arg(short = 'M', long, value_name = "OCTETS", value_parser = max_forward)]
    pub max_forward: Option<usize>,

    /// Do not read the kernel log
    #[arg(short = 'K', long = "no-kernel-log", action = ArgAction::SetFalse)]
    pub kernel_log: bool,

    /// Leave the kernel's messages on the console; while they are in the log it shows emergencies only
    #[arg(short = 'l', long)]
    pub keep_console: bool,

    /// Remember here how far the kernel log was read
    #[arg(short = 'C', long, value_name = "FILE", default_value = DEFAULT_KMSG_CACHE)]
    pub kmsg_cache: PathBuf,

    /// Read the *.conf files of this directory after the configuration
    #[arg(long, value_name = "DIR")]
    pub include_directory: Option<PathBuf>,

    /// What is logged where when options say it.
    #[command(flatten)]
    pub one_log: OneLog,

    /// Read options and configuration as this family of daemons does
    #[arg(long = "compat", value_name = "FAMILY", default_value = "sysklogd",
        value_parser = PossibleValuesParser::new(Dialect::ALL.map(|(_, name)| name))
            .map(|name| Dialect::from_name(&name).unwrap_or_default()))]
    pub compat: Dialect,

    /// Write a line to this descriptor when messages are received, and close it, as s6 and dinit want it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(3..))]
    pub ready_fd: Option<i32>,

    /// Receive on the socket that inetd passes as standard input, and stay in the foreground
    #[arg(short = 'i', long, conflicts_with = "try_dir")]
    pub inetd: bool,

    /// Check the configuration, show every mistake, and exit: 0 is clean, 78 is not
    #[arg(long)]
    pub check: bool,

    /// Answer who asks about memory buffers on this unix socket
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,

    /// Ask the daemon at the control socket, print its answer, and exit: list; or read, take, clear, follow or
    /// overflowed, and the name of a memory buffer
    #[arg(long, value_name = "REQUEST", num_args = 1.., conflicts_with_all = ["check", "try_dir"])]
    pub ask: Vec<String>,

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

    /// Have the running daemon replaced by this program, without a message lost
    #[arg(long, conflicts_with_all = ["check", "try_dir"])]
    pub upgrade: bool,

    /// Print version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Sentences for the operator about options that were accepted without effect.
    #[arg(skip)]
    pub warnings: Vec<String>,

    /// Sentences for the operator about what was understood of the command line.
    #[arg(skip)]
    pub notes: Vec<String>,

    /// Whether somebody chose the dialect. sysklogd and FreeBSD then listen on UDP unless told not to.
    #[arg(skip)]
    pub is_compat_chosen: bool,

    /// Whether somebody named the configuration.
    #[arg(skip)]
    pub is_config_named: bool,

    /// Whether somebody named the unix sockets.
    #[arg(skip)]
    pub are_sockets_named: bool,

    /// Whether `-n` was written where it is no DNS, but the foreground elsewhere.
    #[arg(skip)]
    pub may_stay: bool,
}

/// The form of lines and forwards (FreeBSD's `-O`).
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OutputFormat {
    /// With BSD time.
    #[value(alias = "bsd")]
    Rfc3164,
    /// RFC 5424 6, PRI and version included.
    #[value(alias = "syslog")]
    Rfc5424,
}

/// The lines of busybox.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LineStyle {
    /// With the priority after the host.
    Busybox,
    /// Without host and priority.
    Short,
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
        let sockets = self.sockets.iter_mut().chain(&mut self.extra_sockets);
        let log_file = self.one_log.log_file.iter_mut();
        for path in single
            .into_iter()
            .chain(sockets.map(|socket| &mut socket.path))
            .chain(log_file.filter(|file| **file != Path::new("-")))
            .chain(&mut self.socket_list)
            .chain(&mut self.include_directory)
            .chain(&mut self.control)
            .chain(&mut self.try_dir)
        {
            *path = std::path::absolute(&*path)?;
        }
        Ok(())
    }

    /// The unix datagram sockets to receive on.
    pub fn local_sockets(&self) -> impl Iterator<Item = &LocalSocket> {
        let wanted = !self.no_unix_sockets;
        let sockets = self.sockets.iter().chain(&self.extra_sockets);
        sockets.filter(move |_| wanted)
    }

    /// Whether UDP is received although nothing says so: what sysklogd and FreeBSD do, if one of them was
    /// chosen by name.
    pub fn receives_unasked(&self) -> bool {
        let family = match self.compat {
            Dialect::Sysklogd | Dialect::Freebsd => true,
            Dialect::Openbsd
            | Dialect::Netbsd
            | Dialect::Inetutils
            | Dialect::Busybox
            | Dialect::Sysklogd1 => false,
        };
        family && self.is_compat_chosen && !self.no_udp
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
    parse_with(
        argv.into_iter().collect(),
        std::env::var_os("SYSLOGD_COMPAT"),
    )
}

fn parse_with(argv: Vec<OsString>, environment: Option<OsString>) -> Result<Arguments, Usage> {
    let argv = match syslogc::translate(&argv) {
        Some(ours) => ours.map_err(refused)?,
        None => argv,
    };
    let chosen = Dialect::choose(&argv, environment).map_err(refused)?;
    let translation = translate(argv, chosen);
    if let Some(refusal) = translation.refusals.into_iter().next() {
        return Err(refused(refusal));
    }
    let matches = Arguments::command()
        .try_get_matches_from(&translation.argv)
        .map_err(|error| {
            if error.kind() == ErrorKind::InvalidUtf8 {
                not_text(&translation.argv)
            } else {
                Usage(with_tip(error))
            }
        })?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    arguments.foreground |= arguments.debug || arguments.try_dir.is_some() || arguments.inetd;
    arguments.warnings = translation.warnings;
    arguments.may_stay = translation.may_stay;
    arguments.notes = translation.notes;
    arguments.compat = chosen.unwrap_or_default();
    arguments.is_compat_chosen = chosen.is_some();
    if arguments.socket_list.is_some()
        && matches.value_source("sockets") != Some(ValueSource::CommandLine)
    {
        arguments.sockets.clear();
    }
    arguments.are_sockets_named = matches.value_source("sockets") == Some(ValueSource::CommandLine);
    arguments.is_config_named = matches.value_source("config") == Some(ValueSource::CommandLine);
    Ok(arguments)
}

/// clap does not say which argument it could not read.
fn not_text(argv: &[OsString]) -> Usage {
    let odd: Vec<String> = argv
        .iter()
        .filter(|argument| argument.to_str().is_none())
        .map(|argument| argument.as_bytes().escape_ascii().to_string())
        .collect();
    refused(format!("not UTF-8 text: {}", odd.join(", ")))
}

/// Says how a configuration is named, to whom has named one as other programs take it: `--check FILE`.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => word,
        _ => return error,
    };
    if !word.starts_with('-') {
        let tip = format!("a configuration is named with -f: -f {word}");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    error
}

fn refused(sentence: String) -> Usage {
    Usage(Arguments::command().error(ErrorKind::InvalidValue, sentence))
}

/// sysklogd's limits for `-M`: what any IPv4 receiver must take, and four times RFC 3164's 512.
fn max_forward(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(octets) if (480..=2048).contains(&octets) => Ok(octets),
        _ => Err("a number from 480 to 2048 is needed".into()),
    }
}

/// A number of minutes, or with a unit behind it of seconds, minutes or hours.
fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let seconds = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("" | "m") => 60,
        Some("h") => 3600,
        Some(_) | None => 0,
    };
    match digits.parse::<u32>() {
        Ok(count) if seconds > 0 => Ok(Duration::from_secs(u64::from(count) * seconds)),
        Ok(_) | Err(_) => Err("a number of minutes is needed, or one with s, m or h".into()),
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

/// Where `--ask` asks unless `--control` says otherwise: as syslogc(8).
pub const DEFAULT_CONTROL: &str = "/var/run/syslogd.sock";

/// Where `--try` puts everything, unless named.
pub const DEFAULT_TRY_DIR: &str = "./syslogd-try";

// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_IOERR: u8 = 74;

#[cfg(test)]
mod tests;
