//! The options of each family of daemon, as tables: which take a value, and what they are among ours.
//!
//! ```text
//!              -r                    -a X                  -n
//! sysklogd     --rotate=VALUE        --allow=X             --no-dns
//! openbsd      --no-folding          --extra-socket=X      --no-dns
//! inetutils    receive over UDP      --extra-socket=X      --foreground
//! ```
//!
//! The facts are those of the daemons' own getopt(3) strings and man pages.

use super::Dialect;

/// The command line of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    /// Options of ours that come before what is written, for defaults that differ.
    pub(super) presets: &'static [&'static str],
    /// The short options.
    pub(super) short: &'static [(u8, Meaning)],
    /// Long options that are not ours, or have another meaning.
    pub(super) long: &'static [(&'static str, Meaning)],
    /// Long options that are ours and mean the same there.
    pub(super) shared: &'static [&'static str],
}

/// What an option of a family is among ours.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// It stands alone, and is all of these of ours; none if it is so anyway.
    Flag(&'static [&'static str]),
    /// It takes a value, which is appended to this.
    Value(&'static str),
    /// What is attached to it is left out.
    Attached(&'static [&'static str]),
    /// It has no effect; why is what the operator reads.
    Ignored(Arity, &'static str),
    /// To leave it out would lose or expose messages; why is what the operator reads.
    Refused(&'static str),
    /// `-n` where it stands for no DNS here, and elsewhere for the foreground.
    NoDnsOrForeground,
    /// It depends on what follows.
    ByShape(Shape),
    /// A part of "receive over UDP", which inetutils divides into three.
    Receive(Receive),
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arity {
    /// Never.
    Alone,
    /// The rest of its argument, or else the next argument.
    Value,
    /// The rest of its argument, if there is any.
    Attached,
}

/// The options of which sysklogd, FreeBSD and rsyslog have different opinions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `-C`
    CacheOrCreate,
    /// `-i`, which is rsyslog's, or alone ours
    PidFileOrInetd,
    /// `-l`
    SocketOrConsole,
    /// `-o`
    FormatOrBootFile,
    /// `-r`
    RotationOrUdp,
    /// `-v`
    VersionOrVerbose,
}

/// What inetutils says about reception over UDP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Receive {
    /// That it shall be.
    Yes,
    /// On which address.
    Address,
    /// On which port.
    Port,
}

use Meaning::{
    Attached, ByShape, Flag, Ignored, NoDnsOrForeground, Receive as Udp, Refused, Value,
};

/// The table of a dialect; `None` is the default, sysklogd 2.x and FreeBSD at once.
pub(super) fn family(dialect: Option<Dialect>) -> Family {
    match dialect {
        None => DEFAULT,
        Some(Dialect::Sysklogd) => SYSKLOGD,
        Some(Dialect::Freebsd) => FREEBSD,
        Some(Dialect::Openbsd) => OPENBSD,
        Some(Dialect::Netbsd) => NETBSD,
        Some(Dialect::Inetutils) => INETUTILS,
        Some(Dialect::Busybox) => BUSYBOX,
        Some(Dialect::Sysklogd1) => SYSKLOGD1,
    }
}

/// The families that know this letter; if `valued`, only those where it takes a value.
pub(super) fn who_knows(letter: u8, valued: bool) -> Vec<&'static str> {
    Dialect::ALL
        .into_iter()
        .filter(|(dialect, _)| {
            let mut short = family(Some(*dialect)).short.iter();
            short.any(|(known, meaning)| *known == letter && (!valued || meaning.takes_a_value()))
        })
        .map(|(_, name)| name)
        .collect()
}

impl Meaning {
    fn takes_a_value(self) -> bool {
        match self {
            Value(_) | Ignored(Arity::Value, _) | Udp(Receive::Address | Receive::Port) => true,
            Flag(_)
            | Attached(_)
            | Ignored(Arity::Alone | Arity::Attached, _)
            | Refused(_)
            | NoDnsOrForeground
            | ByShape(_)
            | Udp(Receive::Yes) => false,
        }
    }
}

const BOOT_FILE: &str = "messages of the kernel are tagged kernel:";
const SHARED_MEMORY: &str = "there is no log in shared memory, messages go to the log file";
const NO_TLS: &str = "TLS is not there yet; leave it out, and forward or receive over tcp:// \
                      only where nobody can listen in";
const PRIVILEGES: &str = "the user and group stay those that it was started with";
const FOLDING_OFF: &[&str] = &["--no-folding", "--no-folding"];

/// `getopt(3)`: `468Aa:b:C:cdHFf:Kklm:M:nP:p:r:sTtv?` with FreeBSD's `NoO:S:u` and rsyslog's `i:`.
const DEFAULT: Family = Family {
    presets: &[],
    short: &[
        (b'4', Flag(&["--ipv4"])),
        (b'6', Flag(&["--ipv6"])),
        (b'8', Flag(&["--eight-bit"])),
        (b'A', Flag(&["--all-addresses"])),
        (b'a', Value("--allow=")),
        (b'b', Value("--bind=")),
        (b'C', ByShape(Shape::CacheOrCreate)),
        (b'c', Flag(&["--no-folding"])),
        (b'd', Flag(&["--debug"])),
        (b'F', Flag(&["--foreground"])),
        (b'f', Value("--config=")),
        (b'H', Flag(&["--hostname-from-message"])),
        (b'h', Flag(&["--help"])),
        (b'?', Flag(&["--help"])),
        (b'i', ByShape(Shape::PidFileOrInetd)),
        (b'K', Flag(&["--no-kernel-log"])),
        (b'k', Flag(&["--keep-kern"])),
        (b'l', ByShape(Shape::SocketOrConsole)),
        (b'M', Value("--max-forward=")),
        (b'm', Value("--mark=")),
        (b'N', Flag(&["--no-udp"])),
        (b'n', NoDnsOrForeground),
        (b'O', Value("--output-format=")),
        (b'o', ByShape(Shape::FormatOrBootFile)),
        (b'P', Value("--pid-file=")),
        (b'p', Value("--socket=")),
        (b'r', ByShape(Shape::RotationOrUdp)),
        (b'S', Value("--extra-socket=0600:")),
        (b's', Flag(&["--secure"])),
        (b'T', Flag(&["--receive-time"])),
        (b't', Flag(&["--kernel-time"])),
        (b'u', Flag(&["--exact"])),
        (b'v', ByShape(Shape::VersionOrVerbose)),
    ],
    long: &[],
    shared: &[],
};

/// `getopt(3)`: `468Aa:b:C:cdHFf:Kklm:M:nP:p:r:sTtv?`
const SYSKLOGD: Family = Family {
    presets: &[],
    short: &[
        (b'4', Flag(&["--ipv4"])),
        (b'6', Flag(&["--ipv6"])),
        (b'8', Flag(&["--eight-bit"])),
        (b'A', Flag(&["--all-addresses"])),
        (b'a', Value("--allow=")),
        (b'b', Value("--bind=")),
        (b'C', Value("--kmsg-cache=")),
        (b'c', Flag(&["--no-folding"])),
        (b'd', Flag(&["--debug"])),
        (b'F', Flag(&["--foreground"])),
        (b'f', Value("--config=")),
        (b'H', Flag(&["--hostname-from-message"])),
        (b'?', Flag(&["--help"])),
        (b'K', Flag(&["--no-kernel-log"])),
        (b'k', Flag(&["--keep-kern"])),
        (b'l', Flag(&["--keep-console"])),
        (b'M', Value("--max-forward=")),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--no-dns"])),
        (b'P', Value("--pid-file=")),
        (b'p', Value("--socket=")),
        (b'r', Value("--rotate=")),
        (b's', Flag(&["--secure"])),
        (b'T', Flag(&["--receive-time"])),
        (b't', Flag(&["--kernel-time"])),
        (b'v', Flag(&["--version"])),
    ],
    long: &[],
    shared: &[],
};

/// `getopt(3)`: `468Aa:b:cCdf:FHkl:M:m:nNoO:p:P:sS:Tuv`
const FREEBSD: Family = Family {
    presets: &["--pid-file=/var/run/syslog.pid"],
    short: &[
        (b'4', Flag(&["--ipv4"])),
        (b'6', Flag(&["--ipv6"])),
        (b'8', Flag(&["--eight-bit"])),
        (b'A', Flag(&["--all-addresses"])),
        (b'a', Value("--allow=")),
        (b'b', Value("--bind=")),
        (b'C', Flag(&[])), // missing log files are always made
        (b'c', Flag(&["--no-folding"])),
        (b'd', Flag(&["--debug"])),
        (b'F', Flag(&["--foreground"])),
        (b'f', Value("--config=")),
        (b'H', Flag(&["--hostname-from-message"])),
        (b'k', Flag(&["--keep-kern"])),
        (b'l', Value("--extra-socket=")),
        (b'M', Value("--max-forward=")),
        (b'm', Value("--mark=")),
        (b'N', Flag(&["--no-udp"])),
        (b'n', Flag(&["--no-dns"])),
        (b'O', Value("--output-format=")),
        (b'o', Ignored(Arity::Alone, BOOT_FILE)),
        (b'P', Value("--pid-file=")),
        (b'p', Value("--socket=")),
        (b'S', Value("--extra-socket=0600:")),
        (b's', Flag(&["--secure"])),
        (b'T', Flag(&["--receive-time"])),
        (b'u', Flag(&["--exact"])),
        (b'v', Flag(&["--verbose"])),
    ],
    long: &[],
    shared: &[],
};

/// `getopt(3)`: `46a:C:c:dFf:hK:k:m:nP:p:rS:s:T:U:uVZ`
const OPENBSD: Family = Family {
    presets: &["--pid-file=/var/run/syslog.pid"],
    short: &[
        (b'4', Flag(&["--ipv4"])),
        (b'6', Flag(&["--ipv6"])),
        (b'a', Value("--extra-socket=")),
        (b'C', Refused(NO_TLS)),
        (b'c', Refused(NO_TLS)),
        (b'd', Flag(&["--debug"])),
        (b'F', Flag(&["--foreground"])),
        (b'f', Value("--config=")),
        (b'h', Flag(&[])), // forwards carry the host's name anyway
        (b'K', Refused(NO_TLS)),
        (b'k', Refused(NO_TLS)),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--no-dns"])),
        (
            b'P',
            Refused("it is how OpenBSD's syslogd starts its own child"),
        ),
        (b'p', Value("--socket=")),
        (b'r', Flag(&["--no-folding"])),
        (b'S', Refused(NO_TLS)),
        (b's', Value("--control=")),
        (b'T', Value("--listen=tcp://")),
        (b'U', Value("--listen=udp://")),
        (b'u', Flag(&["--bind=:514"])),
        (
            b'V',
            Ignored(Arity::Alone, "without TLS there is no certificate to check"),
        ),
        (b'Z', Flag(&["--utc-time"])),
    ],
    long: &[],
    shared: &[],
};

/// `getopt(3)`: `b:B:d::nsSf:g:km:o:p:P:rt:Tu:UvX`
const NETBSD: Family = Family {
    presets: &["--pid-file=/var/run/syslogd.pid"],
    short: &[
        (
            b'B',
            Ignored(
                Arity::Value,
                "receive buffers are as large as the kernel allows",
            ),
        ),
        (b'b', Value("--bind=")),
        (b'd', Attached(&["--debug"])),
        (b'f', Value("--config=")),
        (b'g', Ignored(Arity::Value, PRIVILEGES)),
        (b'k', Flag(&["--keep-kern"])),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--no-dns"])),
        (b'o', Value("--output-format=")),
        (b'P', Value("--socket-list=")),
        (b'p', Value("--socket=")),
        (b'r', Flag(FOLDING_OFF)),
        (b'S', Flag(&["--sync"])),
        (b's', Flag(&["--secure"])),
        (b'T', Flag(&["--receive-time"])),
        (
            b't',
            Ignored(Arity::Value, "the root directory stays what it is"),
        ),
        (b'U', Flag(&["--exact"])),
        (b'u', Ignored(Arity::Value, PRIVILEGES)),
        (b'v', Flag(&["--verbose"])),
        (
            b'X',
            Ignored(Arity::Alone, "losses are always counted and told"),
        ),
    ],
    long: &[],
    shared: &[],
};

/// argp(3): `46a:b:B:dD:f:hl:m:np:P:rs:STV?` and long names.
const INETUTILS: Family = Family {
    presets: &[
        "--pid-file=/run/syslog.pid",
        "--ipv4",
        "--forward-local",
        "--include-directory=/etc/syslog.d",
    ],
    short: &[
        (b'4', Flag(&["--ipv4"])),
        (b'6', Flag(&["--ipv6"])),
        (b'a', Value("--extra-socket=")),
        (b'B', Udp(Receive::Port)),
        (b'b', Udp(Receive::Address)),
        (b'D', Value("--include-directory=")),
        (b'd', Flag(&["--debug"])),
        (b'f', Value("--config=")),
        (b'h', Flag(&["--forward-all"])),
        (b'?', Flag(&["--help"])),
        (b'l', Value("--short-host=")),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--foreground"])),
        (b'P', Value("--pid-file=")),
        (b'p', Value("--socket=")),
        (b'r', Udp(Receive::Yes)),
        (b'S', Flag(&["--sync"])),
        (b's', Value("--strip-domain=")),
        (b'T', Flag(&["--receive-time"])),
        (b'V', Flag(&["--version"])),
    ],
    long: &[
        ("bind", Udp(Receive::Address)),
        ("bind-port", Udp(Receive::Port)),
        ("hop", Flag(&["--forward-all"])),
        ("inet", Udp(Receive::Yes)),
        ("ipany", Flag(&["--ipany"])),
        ("local-time", Flag(&["--receive-time"])),
        ("no-detach", Flag(&["--foreground"])),
        ("no-forward", Flag(&["--no-forward"])),
        ("no-klog", Flag(&["--no-kernel-log"])),
        ("no-unixaf", Flag(&["--no-unix-sockets"])),
        ("pidfile", Value("--pid-file=")),
        ("rcdir", Value("--include-directory=")),
        ("rcfile", Value("--config=")),
    ],
    shared: &["debug", "help", "ipv4", "ipv6", "mark", "sync", "version"],
};

/// getopt(3): `a:dhf:l:m:np:rs:vx`; its klogd, not itself, read the kernel's log.
const SYSKLOGD1: Family = Family {
    presets: &["--no-kernel-log", "--keep-kern", "--forward-local"],
    short: &[
        (b'a', Value("--extra-socket=")),
        (b'd', Flag(&["--debug"])),
        (b'f', Value("--config=")),
        (b'h', Flag(&["--forward-all"])),
        (b'?', Flag(&["--help"])),
        (b'l', Value("--short-host=")),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--foreground"])),
        (b'p', Value("--socket=")),
        (b'r', Udp(Receive::Yes)),
        (b's', Value("--strip-domain=")),
        (b'v', Flag(&["--version"])),
        (b'x', Flag(&["--no-dns"])),
    ],
    long: &[],
    shared: &[],
};

/// getopt(3): `nO:l:SR:LC::DKs:b:tf:m:`; its klogd, not itself, reads the kernel's log.
const BUSYBOX: Family = Family {
    presets: &[
        "--pid-file=/var/run/syslogd.pid",
        "--no-kernel-log",
        "--keep-kern",
        "--mark=0",
        "--no-folding",
        "--no-folding",
        "--line-style=busybox",
        "--log-file=/var/log/messages",
    ],
    short: &[
        (b'b', Value("--log-count=")),
        (b'C', Ignored(Arity::Attached, SHARED_MEMORY)),
        (b'D', Flag(&["--fold"])),
        (b'f', Value("--config=")),
        (
            b'K',
            Ignored(
                Arity::Alone,
                "messages go to the log file, not to the kernel",
            ),
        ),
        (b'L', Flag(&["--log-locally"])),
        (b'l', Value("--log-priority=")),
        (b'm', Value("--mark=")),
        (b'n', Flag(&["--foreground"])),
        (b'O', Value("--log-file=")),
        (b'R', Value("--forward=")),
        (b'S', Flag(&["--line-style=short"])),
        (b's', Value("--log-size=")),
        (b't', Flag(&["--receive-time"])),
    ],
    long: &[],
    shared: &[],
};

#[cfg(test)]
mod tests;
