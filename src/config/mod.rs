//! The language of syslog.conf(5): text with spans in, [`Config`] and diagnostics out.
//!
//! ```text
//! !sshd
//! auth,authpriv.*;auth.!=debug    -/var/log/auth.log ;rotate=10M:5
//! listen udp://[::]:514
//! include /etc/syslog.d/*.conf
//! ```
//!
//! Nothing is opened, resolved or bound here; the only I/O is reading the files. A bad line is a
//! [`Diagnostic`](diagnostic::Diagnostic) and never ends the pass, so that one run shows every mistake.

mod action;
mod bre;
mod check;
mod condition;
mod destination;
pub mod diagnostic;
mod display;
mod files;
mod foreign;
mod grammar;
mod keyword;
mod line;
mod listen;
mod load;
mod machine;
mod pattern;
mod piece;
mod readers;
mod rotation;
mod selector;
mod size;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::format::Layout;

pub use crate::format::Escape;
use crate::pri::PriSet;

pub use files::LoadError;
pub use grammar::LoadOptions;
pub use listen::{bind_addresses, listen_addresses};
pub use load::{Loaded, builtin, load, load_text, parse_files, parse_files_as, parse_str};
pub use machine::warnings_for_check;
pub use rotation::parse_rotation;
pub use vocabulary::vocabulary;

/// What a configuration says, with everything that was understood of it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The rules, in file order, included files in place.
    pub rules: Vec<RuleDecl>,
    /// What the `listen` lines ask for.
    pub listens: Vec<ListenDecl>,
    /// The keywords.
    pub settings: Settings,
}

/// A directory for messages that wait.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpoolDecl {
    /// Where it is.
    pub path: PathBuf,
    /// How much it may hold, in octets.
    pub limit: Option<u64>,
}

/// Where something stands: a file of the configuration, and the octets in it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Span {
    /// Index of the file in the [`Sources`](diagnostic::Sources) of the same load.
    pub file: u32,
    /// The first octet.
    pub start: u32,
    /// One past the last octet.
    pub end: u32,
}

/// One rule: which messages, under which conditions, go where.
#[derive(Clone, Debug)]
pub struct RuleDecl {
    /// The PRIs that the selector takes.
    pub selector: PriSet,
    /// Whether the selector takes `mark.info`, that is, our own "-- MARK --".
    pub marks: bool,
    /// The blocks and the property filter in force; all of them must hold.
    pub conditions: Vec<Condition>,
    /// What becomes of the rules below, once this one took a message.
    pub then: Then,
    /// Where matching messages go.
    pub destination: Destination,
    /// In which form.
    pub format: FormatDecl,
    /// How the output behaves; the same in all rules with this destination.
    pub settings: OutputSettings,
    /// The whole rule.
    pub span: Span,
    /// The action alone.
    pub action_span: Span,
}

/// Whether the rules below a rule are asked about a message that it took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Then {
    /// They are.
    #[default]
    Continue,
    /// They are not: it stands in a quick block, `!!prog` or `++host`.
    Stop,
}

/// A program block, host block, or property filter.
#[derive(Clone, Debug)]
pub enum Condition {
    /// `!prog,…` and `!-prog,…`: case matters.
    Program {
        /// The names.
        names: Vec<ProgramName>,
        /// `!-`: all programs but these.
        exclude: bool,
    },
    /// `+host,…` and `-host,…`: names without regard to case.
    Host {
        /// The names.
        names: Vec<HostName>,
        /// `-`: all hosts but these.
        exclude: bool,
    },
    /// `:property, op, "value"`.
    Property {
        /// What is looked at.
        property: Property,
        /// What it is held against.
        test: Test,
        /// `!op`: the message matches if the test fails.
        negate: bool,
    },
}

/// A name in a program block.
#[derive(Clone, Debug)]
pub enum ProgramName {
    /// The name as it stands.
    Exact(String),
    /// A shell pattern, compiled.
    Pattern(regex::bytes::Regex),
}

impl ProgramName {
    /// The name, if it is no pattern.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Pattern(_) => None,
        }
    }
}

/// A name in a host block.
#[derive(Clone, Debug)]
pub enum HostName {
    /// `@`: this host, whatever its name is at the time.
    Local,
    /// A name, in lower case.
    Named(String),
    /// A shell pattern without regard to case, compiled.
    Pattern(regex::bytes::Regex),
}

impl HostName {
    /// The name, if it is one, and not this host or a pattern.
    pub fn named(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Local | Self::Pattern(_) => None,
        }
    }
}

/// The part of a message that a property filter looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Property {
    /// `msg`: the text.
    Msg,
    /// `programname`: APP-NAME or the tag's name.
    ProgramName,
    /// `hostname`: as the line will show it.
    Hostname,
    /// `source`: the peer's address, or our own name for a local message.
    Source,
    /// `msgid`: MSGID, absent in RFC 3164.
    MsgId,
    /// `sd` or `data`: STRUCTURED-DATA as it stands in the message.
    StructuredData,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Msg,
        Self::ProgramName,
        Self::Hostname,
        Self::Source,
        Self::MsgId,
        Self::StructuredData,
    ];
}

/// What a property is held against.
#[derive(Clone, Debug)]
pub enum Test {
    /// `contains`; the value is in lower case if `ignore_case`.
    Contains(Needle),
    /// `isequal`.
    IsEqual(Needle),
    /// `startswith`.
    StartsWith(Needle),
    /// `regex`, `ereregex`, `eregex`, with their `icase_` forms: compiled, linear in time. Its text holds all of
    /// its meaning: flags stand in it.
    Matches(regex::bytes::Regex),
}

/// A literal to look for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Needle {
    /// The octets; lower case (ASCII) if `ignore_case`.
    pub octets: Vec<u8>,
    /// `icase_`.
    pub ignore_case: bool,
}

/// Where messages go: the identity of an output. Rules with equal destinations share one.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// `/path` or `-/path`: a file, or a device that is no terminal.
    File(PathBuf),
    /// `|/path`.
    Fifo(PathBuf),
    /// `|command` under the BSDs: a program that reads lines, started by sh(1).
    Command(String),
    /// `/dev/console`, `/dev/tty…`, `/dev/pts/…`.
    Terminal(PathBuf),
    /// `root,joe`: the terminals where these users are logged in.
    Users(BTreeSet<String>),
    /// `*`: every user who is logged in.
    Everyone,
    /// `@host`, `@udp://host`, `@tcp://host`, `@@host`.
    Forward(Remote),
    /// `:SIZE:NAME`: a memory buffer, by its name; the size is [`OutputSettings::capacity`].
    Memory(String),
}

/// A relay or collector to forward to.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Remote {
    /// A name or an address, without brackets.
    pub host: String,
    /// 514 unless named.
    pub port: u16,
    /// How it is reached.
    pub transport: Transport,
    /// `@udp4://`, `@tcp6://`: by this version of IP alone.
    pub version: Option<IpVersion>,
    /// How datagrams to a group leave; of no effect elsewhere.
    pub multicast: Multicast,
}

/// `iface=` and `ttl=`: how datagrams to a multicast group leave.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Multicast {
    /// The interface; `None` is the kernel's choice.
    pub interface: Option<String>,
    /// How many routers may pass them on; `None` is the kernel's 1.
    pub ttl: Option<u8>,
}

impl Remote {
    /// Whether it may be reached at this address.
    pub fn may_be_at(&self, address: IpAddr) -> bool {
        match self.version {
            None => true,
            Some(IpVersion::V4) => address.is_ipv4(),
            Some(IpVersion::V6) => address.is_ipv6(),
        }
    }
}

/// A version of the internet protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How a remote is reached.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// One record in a datagram (RFC 5426).
    Udp,
    /// Octet-counted frames over TCP (RFC 6587 3.4.1): `@tcp://`.
    TcpOctetCounting,
    /// Lines over TCP (RFC 6587 3.4.2): `@@`.
    TcpLines,
}

/// The form of a line, as far as the configuration decides it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct FormatDecl {
    /// `;BSD`, `;RFC3164`, `;RFC5424`, `;RFC5424,pri`; `None` is the destination's own default.
    pub layout: Option<LayoutDecl>,
    /// `escape=…`; `None` is the `escape` keyword's, or octal.
    pub escape: Option<Escape>,
}

/// A named line layout.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LayoutDecl {
    /// `<PRI>tag: text` for forwards; for files the traditional line.
    Bsd,
    /// With BSD time and host.
    Rfc3164,
    /// RFC 5424 6; in files without `<PRI>1 `, as sysklogd writes it.
    Rfc5424,
    /// RFC 5424 6, in files too.
    Rfc5424Pri,
}

/// How an output behaves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OutputSettings {
    /// When the file is rotated; `None`: as [`Settings::rotation`] or the command line says.
    pub rotation: Option<Rotation>,
    /// How its rotated files are compressed; `None`: as [`Settings::compression`] says.
    pub compression: Option<Compression>,
    /// `mode=0640`, for files that we create.
    pub mode: Option<u32>,
    /// `owner=NAME`, for files that we create.
    pub owner: Option<String>,
    /// `group=NAME`, for files that we create.
    pub group: Option<String>,
    /// When the disk must have it.
    pub sync: Sync,
    /// How many octets a memory buffer holds; 0 for everything else.
    pub capacity: usize,
    /// How much of the disk is to stay free; for all files the same, from [`Settings::keep_free`].
    pub keep_free: Option<KeepFree>,
    /// The form of the lines of its first rule: how the line that counts repeats looks.
    pub layout: Option<Layout>,
    /// The programs that are started with the log's path after each rotation; for all files the same,
    /// from [`Settings::notify`].
    pub notify: Arc<[PathBuf]>,
}

/// When a file is rotated, and which of its rotated files are kept: each bound holds by itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rotation {
    /// A file that a record would take past this many octets is rotated first.
    pub size: Option<u64>,
    /// A file that was last written in an earlier period is rotated first.
    pub every: Option<Period>,
    /// How many rotated files are kept; 0 keeps none.
    pub count: u32,
    /// How many octets the log and its rotated files may have.
    pub total: Option<u64>,
    /// A rotated file whose last record is older than this is removed.
    pub age: Option<Duration>,
}

impl Rotation {
    /// By size alone, as sysklogd knows it.
    pub const fn by_size(size: u64, count: u32) -> Self {
        Self {
            size: Some(size),
            every: None,
            count,
            total: None,
            age: None,
        }
    }
}

/// A civil period of local time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Period {
    /// Begins with the hour.
    Hourly,
    /// Begins at midnight.
    Daily,
    /// Begins at midnight before Monday (ISO 8601).
    Weekly,
}

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `gzip:LEVEL`, 1 to 9 (RFC 1952).
    Gzip(u8),
    /// `zstd:LEVEL`, 1 to 19 (RFC 8878).
    Zstd(u8),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(6)
    }
}

/// When written records must be on the disk (reliability S7).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Sync {
    /// `-/path` or `sync=none`: whenever the kernel likes.
    None,
    /// `sync=second`: at most a second after they were written.
    #[default]
    Second,
    /// `sync=durable`: before the next batch is taken.
    Durable,
}

/// `keep_free`: how much of a file system the files that are written on it leave to others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeepFree {
    /// So many octets.
    Octets(u64),
    /// So many hundredths of the whole, 1 to 99.
    Percent(u8),
}

/// A socket to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenDecl {
    /// Which.
    pub address: ListenAddress,
    /// The argument of `listen`; an empty span for the command line.
    pub span: Span,
}

/// The identity of a listening input.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ListenAddress {
    /// `udp://ADDR:PORT`, and the plain `ADDR[:PORT]` of sysklogd.
    Udp(Endpoint),
    /// `tcp://ADDR:PORT`.
    Tcp(Endpoint),
    /// `unixgram:///PATH`: a datagram socket, as `-p` makes.
    UnixDatagram(PathBuf),
    /// `unix:///PATH`: a stream socket, framed like TCP.
    UnixStream(PathBuf),
}

/// Where a listener of the network is, and which of several sockets it is there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// The address and port.
    pub address: SocketAddr,
    /// 0 for the only socket at this address; with `shards=N`, 1 to N: each has a thread of its own, and the
    /// kernel spreads the senders over them (`SO_REUSEPORT`, socket(7)).
    pub shard: u8,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, shard: 0 }
    }
}

/// The keywords of the configuration. `None` is "not said", so that the command line can win.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `rotate_size`, `rotate_every` and so on: for files whose rule has no `rotate=`.
    pub rotation: Option<Rotation>,
    /// `compress`: for files whose rule does not say.
    pub compression: Option<Compression>,
    /// `secure_mode`: 0, 1 or 2.
    pub secure_mode: Option<u8>,
    /// `notify PATH`: started with the log's path after each rotation.
    pub notify: Vec<PathBuf>,
    /// `udp_size N`: the longest datagram that is forwarded, in octets.
    pub udp_size: Option<usize>,
    /// `allow_net_console yes`: network messages may reach users and the console.
    pub allow_net_console: bool,
    /// `memory SIZE`: what queues and unfinished frames may take together, in octets.
    pub memory: Option<usize>,
    /// `max_message_size SIZE`: the longest message that is kept whole, in octets.
    pub max_message_size: Option<usize>,
    /// `spool DIRECTORY [SIZE]`: where messages wait for outputs that are behind.
    pub spool: Option<SpoolDecl>,
    /// `escape …`: for rules that do not say.
    pub escape: Escape,
    /// `keep_free 5%`: below this files give up messages, the least urgent first.
    pub keep_free: Option<KeepFree>,
}
