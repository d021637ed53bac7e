//! Keyword lines: `rotate_size 10M`, `listen udp://:514`, `include /etc/syslog.d/*.conf`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::action::{bad_value, escape};
use super::grammar::LoadOptions;
use super::listen::listen_addresses;
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::rotation::{self, RotationDecl};
use super::selector::is_facility;
use super::size;
use super::{Compression, Escape, KeepFree, ListenAddress, SpoolDecl};

/// What a keyword line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Keyword<'a> {
    Include(Piece<'a>),
    Listen(Piece<'a>, Vec<ListenAddress>),
    Rotate(RotationDecl),
    Compress(Compression),
    SecureMode(u8),
    Notify(PathBuf),
    UdpSize(usize),
    AllowNetConsole(bool),
    Memory(usize),
    MaxMessageSize(usize),
    Escape(Escape),
    KeepFree(KeepFree),
    Spool(SpoolDecl),
}

impl PartialEq for Piece<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Reads a keyword line; `None` if the first word has the shape of a selector.
pub(super) fn parse(line: Piece<'_>, options: LoadOptions) -> Option<Result<Keyword<'_>, Problem>> {
    let end = line
        .text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let (word, rest) = line.split_at(end.unwrap_or(line.text.len()));
    if let Some(problem) = with_hyphens(line) {
        return Some(Err(problem));
    }
    if word.is_empty()
        || !rest.text.starts_with(|c| c == '=' || BLANKS.contains(&c)) && !rest.is_empty()
    {
        return None;
    }
    let argument = rest.trim();
    let argument = argument.strip_prefix("=").map_or(argument, Piece::trim);
    Some(keyword(word, argument, options))
}

fn keyword<'a>(
    word: Piece<'a>,
    argument: Piece<'a>,
    options: LoadOptions,
) -> Result<Keyword<'a>, Problem> {
    let name = word.text;
    if !KEYWORDS.contains(&name) {
        return Err(netbsd(word, argument).unwrap_or_else(|| unknown(word, options)));
    }
    if argument.is_empty() {
        let help = format!("write {name} and its value, see syslog.conf(5), KEYWORDS");
        return Err(word.error("E105", format!("{name} has no value, line ignored"), help));
    }
    let bad = |message: String, help: &str| {
        argument.error("E105", format!("{message}, line ignored"), help)
    };
    let value = argument.text;
    Ok(match name {
        "include" => Keyword::Include(argument),
        "listen" => {
            let found = listen_addresses(value);
            let help = "write udp://ADDR:PORT, tcp://ADDR:PORT, unixgram:///PATH or unix:///PATH";
            Keyword::Listen(argument, found.map_err(|message| bad(message, help))?)
        }
        "rotate_size" | "rotate_every" | "rotate_count" | "rotate_total" | "rotate_age" => {
            let (said, help) = rotate(name, value);
            Keyword::Rotate(said.map_err(|message| bad(message, help))?)
        }
        "compress" => Keyword::Compress(
            rotation::compression(value)
                .map_err(|message| bad(message, "write gzip, zstd or none, or a level: gzip:9"))?,
        ),
        "secure_mode" => Keyword::SecureMode(match value {
            "0" => 0,
            "1" => 1,
            "2" => 2,
            other => {
                let help = "0 listens to the network, 1 only sends to it, 2 does neither";
                return Err(bad(
                    format!("secure_mode is 0, 1 or 2, not {}", quoted(other)),
                    help,
                ));
            }
        }),
        "notify" if value.starts_with('/') && !value.contains(BLANKS) => {
            Keyword::Notify(PathBuf::from(value))
        }
        "notify" => {
            let message = format!("{} is no absolute path of a program", quoted(value));
            return Err(bad(
                message,
                "the program gets the log's path as its only argument",
            ));
        }
        "udp_size" => {
            let number = value
                .parse::<usize>()
                .ok()
                .filter(|octets| UDP_SIZES.contains(octets));
            let message = || {
                bad(
                    format!("udp_size {} is out of range", quoted(value)),
                    "it is 480 to 65507 octets",
                )
            };
            Keyword::UdpSize(number.ok_or_else(message)?)
        }
        "allow_net_console" => match value.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" | "1" => Keyword::AllowNetConsole(true),
            "no" | "off" | "false" | "0" => Keyword::AllowNetConsole(false),
            other => return Err(bad_value(argument, name, other, &["yes", "no"])),
        },
        "keep_free" => {
            Keyword::KeepFree(size::keep_free(value).map_err(|message| {
                bad(message, "write for example keep_free 5% or keep_free 500M")
            })?)
        }
        "memory" => {
            let help = "write for example memory 64M; it is 8M to 64G";
            let octets = within(name, value, &MEMORY).map_err(|message| bad(message, help))?;
            Keyword::Memory(octets)
        }
        "max_message_size" => {
            let help = "write for example max_message_size 64k; it is 480 to 64k";
            let octets =
                within(name, value, &MESSAGE_SIZES).map_err(|message| bad(message, help))?;
            Keyword::MaxMessageSize(octets)
        }
        "spool" => {
            let help = "write for example spool /var/spool/syslogd 256M";
            Keyword::Spool(spool(value).map_err(|message| bad(message, help))?)
        }
        _ => Keyword::Escape(escape(argument)?),
    })
}

/// Reads a size that must be in a range.
fn within(name: &str, value: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let octets = usize::try_from(size::size(value)?).ok();
    let octets = octets.filter(|octets| range.contains(octets));
    octets.ok_or_else(|| format!("{name} {} is out of range", quoted(value)))
}

/// Reads a directory, and how much it may hold.
fn spool(value: &str) -> Result<SpoolDecl, String> {
    let (path, size) = value.split_once(BLANKS).unwrap_or((value, ""));
    if !path.starts_with('/') {
        return Err(format!(
            "{} is no absolute path of a directory",
            quoted(path)
        ));
    }
    let limit = match size.trim_matches(BLANKS) {
        "" => None,
        size => {
            let limit = size::size(size)?;
            if !SPOOL.contains(&limit) {
                return Err(format!(
                    "a spool of {} is out of range, 1M to 1024G",
                    quoted(size)
                ));
            }
            Some(limit)
        }
    };
    Ok(SpoolDecl {
        path: PathBuf::from(path),
        limit,
    })
}

/// What a `rotate_` keyword says of all files, and how it is written.
fn rotate(name: &str, value: &str) -> (Result<RotationDecl, String>, &'static str) {
    let mut said = RotationDecl::default();
    let (done, help) = match name {
        "rotate_size" => (
            size::size(value).map(|size| said.size = Some(size)),
            "write for example rotate_size 10M; 0 is never",
        ),
        "rotate_every" => (
            rotation::period(value)
                .map(|every| said.every = Some(every))
                .ok_or_else(|| format!("{} is no period", quoted(value))),
            "it is one of hourly, daily, weekly",
        ),
        "rotate_total" => (
            rotation::total(value).map(|total| said.total = Some(total)),
            "write for example rotate_total 2G",
        ),
        "rotate_age" => (
            rotation::age(value).map(|age| said.age = Some(age)),
            "write for example rotate_age 14d",
        ),
        _ => (
            size::count(value).map(|count| said.count = Some(count)),
            "write for example rotate_count 5",
        ),
    };
    (done.map(|()| said), help)
}

/// From what every receiver takes (RFC 5426 3.2) to what IPv4 can carry.
const UDP_SIZES: RangeInclusive<usize> = 480..=65_507;

/// From what every receiver takes (RFC 5424 6.1) to a little more than UDP can carry.
pub(super) const MESSAGE_SIZES: RangeInclusive<usize> = 480..=64 << 10;

/// What a hundred outputs with a block each, or ten thousand connections, can live with; and what nobody
/// means but by mistake.
const MEMORY: RangeInclusive<usize> = 8 << 20..=64 << 30;

/// From some segments with a block each to what nobody means but by mistake.
const SPOOL: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// `secure-mode`, which has no shape of ours but can mean only one thing.
fn with_hyphens(line: Piece<'_>) -> Option<Problem> {
    let end = line.text.find(|c| c == '=' || BLANKS.contains(&c));
    let (word, _) = line.split_at(end.unwrap_or(line.text.len()));
    if !word.text.contains('-') {
        return None;
    }
    let meant = word.text.replace('-', "_");
    KEYWORDS.contains(&meant.as_str()).then(|| {
        let message = format!("unknown keyword {}, line ignored", quoted(word.text));
        let help =
            format!("did you mean \"{meant}\"? keywords are listed in syslog.conf(5), KEYWORDS");
        word.error("E105", message, help)
    })
}

fn unknown(word: Piece<'_>, options: LoadOptions) -> Problem {
    let name = word.text;
    if is_facility(name, options) {
        let message = format!("no priority in selector {}, rule ignored", quoted(name));
        return word.error(
            "E101",
            message,
            format!("write {name}.* for all priorities"),
        );
    }
    let near = suggestion(name, KEYWORDS);
    let message = format!("unknown keyword {}, line ignored", quoted(name));
    let help = format!(
        "{near}a rule begins with facility.priority, keywords are listed in syslog.conf(5), KEYWORDS"
    );
    word.error("E105", message, help)
}

/// The keys of NetBSD, `key = "value"`. What asks for TLS or for signatures is refused. A key that only says
/// how they, or a queue, would be changes nothing by itself: it is no reason to refuse a reload.
fn netbsd(word: Piece<'_>, argument: Piece<'_>) -> Option<Problem> {
    let name = word.text;
    let value = argument.text.trim_matches('"').to_ascii_lowercase();
    let refused = |why: &str, help: &str| {
        let message = format!("{name} is NetBSD's and {why}, line ignored");
        Some(word.error("E110", message, help))
    };
    let ignored = |why: &str| {
        let message = format!("{name} is NetBSD's and has no effect here: {why}");
        Some(word.warning("W017", message, "remove the line"))
    };
    if name == "tls_server" && !["off", "no", "false", "0"].contains(&value.as_str()) {
        return refused(
            "asks to listen with TLS, which is not supported yet",
            "listen tcp://ADDRESS:PORT only where nobody can listen in, and remove the line",
        );
    }
    if name.starts_with("sign_") {
        return refused(
            "asks for signatures, which are not supported",
            "remove the line",
        );
    }
    let is_queue = ["file_queue_", "pipe_queue_", "tls_queue_", "mem_size_"]
        .iter()
        .any(|key| name.starts_with(key));
    if is_queue {
        return ignored("every queue has its bound");
    }
    if name.starts_with("tls_") {
        return ignored("there is no TLS yet, and what asks for it is refused");
    }
    None
}

/// How a keyword line begins.
pub(super) const KEYWORDS: [&str; 17] = [
    "include",
    "listen",
    "rotate_size",
    "rotate_every",
    "rotate_count",
    "rotate_total",
    "rotate_age",
    "compress",
    "secure_mode",
    "notify",
    "udp_size",
    "allow_net_console",
    "memory",
    "max_message_size",
    "escape",
    "keep_free",
    "spool",
];

#[cfg(test)]
mod tests {
    use super::super::Period;
    use super::*;
    use crate::config::diagnostic::Severity;
    use std::time::Duration;

    #[test]
    fn section_5_keywords_take_a_value_with_or_without_an_equals_sign() {
        let size = |octets| {
            Keyword::Rotate(RotationDecl {
                size: Some(octets),
                ..RotationDecl::default()
            })
        };
        let none = RotationDecl::default();
        for (line, want) in [
            ("rotate_size 10M", size(10 << 20)),
            ("rotate_size=10M", size(10 << 20)),
            ("rotate_size = 10M", size(10 << 20)),
            ("rotate_size\t0", size(0)),
            (
                "rotate_count 0",
                Keyword::Rotate(RotationDecl {
                    count: Some(0),
                    ..none
                }),
            ),
            (
                "rotate_every weekly",
                Keyword::Rotate(RotationDecl {
                    every: Some(Period::Weekly),
                    ..none
                }),
            ),
            (
                "rotate_total 2G",
                Keyword::Rotate(RotationDecl {
                    total: Some(2 << 30),
                    ..none
                }),
            ),
            (
                "rotate_age 1d",
                Keyword::Rotate(RotationDecl {
                    age: Some(Duration::from_secs(86_400)),
                    ..none
                }),
            ),
            ("compress zstd:9", Keyword::Compress(Compression::Zstd(9))),
            ("secure_mode 1", Keyword::SecureMode(1)),
            ("udp_size 1024", Keyword::UdpSize(1024)),
            (
                "notify /bin/true",
                Keyword::Notify(PathBuf::from("/bin/true")),
            ),
            ("allow_net_console yes", Keyword::AllowNetConsole(true)),
            ("keep_free 5%", Keyword::KeepFree(KeepFree::Percent(5))),
            (
                "keep_free=500M",
                Keyword::KeepFree(KeepFree::Octets(500 << 20)),
            ),
            ("memory 64M", Keyword::Memory(64 << 20)),
            ("memory = 8M", Keyword::Memory(8 << 20)),
            ("max_message_size 64k", Keyword::MaxMessageSize(65_536)),
            ("max_message_size = 480", Keyword::MaxMessageSize(480)),
            ("escape lossless", Keyword::Escape(Escape::Lossless)),
            (
                "spool /var/spool/syslogd",
                Keyword::Spool(SpoolDecl {
                    path: PathBuf::from("/var/spool/syslogd"),
                    limit: None,
                }),
            ),
            (
                "spool = /s  1M",
                Keyword::Spool(SpoolDecl {
                    path: PathBuf::from("/s"),
                    limit: Some(1 << 20),
                }),
            ),
            (
                "include /etc/syslog.d/*.conf",
                Keyword::Include(Piece::new("/etc/syslog.d/*.conf")),
            ),
        ] {
            let got = parse(Piece::new(line), LoadOptions::default()).and_then(Result::ok);
            assert_eq!(got, Some(want), "{line}");
        }
    }

    #[test]
    fn a_key_of_netbsd_that_asks_for_nothing_is_a_warning() {
        for line in [
            "tls_ca = \"/etc/ssl/ca.pem\"",
            "tls_key=\"/etc/ssl/key.pem\"",
            "tls_server = \"off\"",
            "tls_queue_length = 1024",
            "file_queue_length=5",
            "mem_size_limit = 4M",
        ] {
            let got = parse(Piece::new(line), LoadOptions::default());
            let problem = got.and_then(Result::err).expect("a problem");
            assert_eq!(problem.code, "W017", "{line}");
            assert_eq!(problem.severity, Severity::Warning, "{line}");
        }
    }

    #[test]
    fn a_keyword_that_cannot_be_is_refused() {
        for (line, code) in [
            ("rotate_size", "E105"),
            ("rotate_size x", "E105"),
            ("rotate_every monthly", "E105"),
            ("rotate_total 0", "E105"),
            ("rotate_age 14", "E105"),
            ("compress bzip2", "E105"),
            ("secure_mode 3", "E105"),
            ("notify true", "E105"),
            ("udp_size 10", "E105"),
            ("keep_free 0%", "E105"),
            ("keep_free 100%", "E105"),
            ("keep_free +5%", "E105"),
            ("keep_free 0", "E105"),
            ("keep_free much", "E105"),
            ("memory 1M", "E105"),
            ("spool var/spool", "E105"),
            ("spool /s 1k", "E105"),
            ("spool /s 2000G", "E105"),
            ("spool /s 1M 2", "E105"),
            ("memory 1T", "E105"),
            ("max_message_size 479", "E105"),
            ("max_message_size 65537", "E105"),
            ("max_message_size 64", "E105"),
            ("max_message_size 8 k", "E105"),
            ("max_message_size none", "E105"),
            ("memory 100G", "E105"),
            ("listen localhost", "E105"),
            ("incldue /x", "E105"),
            ("escape roman", "E103"),
            ("allow_net_console maybe", "E103"),
            ("mail /var/log/x", "E101"),
            ("tls_server = on", "E110"),
            ("tls_server=\"yes\"", "E110"),
            ("sign_sg = 0", "E110"),
        ] {
            let got = parse(Piece::new(line), LoadOptions::default())
                .and_then(|result| result.err().map(|error| error.code));
            assert_eq!(got, Some(code), "{line}");
        }
        assert!(parse(Piece::new("mail.* /f"), LoadOptions::default()).is_none());
    }
}
