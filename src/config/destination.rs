//! A destination: the left part of an action, before its options.
//!
//! ```text
//! /path  -/path          |/fifo  |command      @host[:port]  @udp://…  @tcp://…  @@host[:port]
//! /dev/console  /dev/ttyN  /dev/pts/N  /dev/hvcN                   root,joe  *           :SIZE:NAME
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::grammar::LoadOptions;
use super::listen::{SYSLOG_PORT, split_port};
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::{Destination, IpVersion, Multicast, Remote, Transport};

/// A destination as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Target {
    pub(super) destination: Destination,
    /// `-/path`: no hurry to the disk.
    pub(super) relaxed: bool,
    /// How many octets a memory buffer holds; 0 for everything else.
    pub(super) capacity: usize,
}

/// Reads a destination.
///
/// # Errors
///
/// Whatever is no destination, or one of another daemon, or one that is yet to come.
pub(super) fn parse(
    target: Piece<'_>,
    options: LoadOptions,
    line_options: bool,
    warnings: &mut Vec<Problem>,
) -> Result<Target, Problem> {
    let tight = |destination| {
        Ok(Target {
            destination,
            relaxed: false,
            capacity: 0,
        })
    };
    if let Some(problem) = refused(target) {
        return Err(problem);
    }
    if let Some(path) = target.strip_prefix("-") {
        let destination = path_of(path, warnings)?;
        return Ok(Target {
            destination,
            relaxed: true,
            capacity: 0,
        });
    }
    if target.text.starts_with('/') {
        return tight(path_of(target, warnings)?);
    }
    if let Some(command) = target.strip_prefix("|")
        && options.pipes_to_commands()
    {
        return tight(Destination::Command(command_of(command.trim())?));
    }
    if let Some(fifo) = target.strip_prefix("|") {
        return tight(Destination::Fifo(fifo_path(fifo.trim())?));
    }
    if let Some(remote) = target.strip_prefix("@") {
        return tight(Destination::Forward(forward(remote, options, warnings)?));
    }
    if let Some(buffer) = target.strip_prefix(":") {
        let (name, capacity) = memory(buffer, warnings)?;
        return Ok(Target {
            destination: Destination::Memory(name),
            relaxed: false,
            capacity,
        });
    }
    if target.text == "*" {
        return tight(Destination::Everyone);
    }
    if target.is_empty() {
        let help = "after the selector and a blank comes /file, |/fifo, @host, users, or *";
        let message = if line_options {
            "options without a destination"
        } else {
            "no action"
        };
        return Err(target.error("E102", format!("{message}, rule ignored"), help));
    }
    tight(Destination::Users(users(target, warnings)?))
}

/// What other daemons know, and what we do not know yet.
fn refused(target: Piece<'_>) -> Option<Problem> {
    let text = target.text;
    let (message, help) = if text == "~" || text == "stop" {
        (
            "discarding is rsyslog's",
            "give the rules below a selector that leaves these messages out",
        )
    } else if text.starts_with(":omusrmsg:") {
        (
            "output modules are rsyslog's",
            "write the users, such as root,joe, or * for everyone",
        )
    } else if text.starts_with(":om") || text.starts_with("action(") {
        (
            "output modules are rsyslog's",
            "write /file, |/fifo, @host, users, or *",
        )
    } else if text.starts_with('^') {
        (
            "starting programs with ^ is rsyslog's",
            "write |/fifo and let the program read it",
        )
    } else if text.starts_with('?') {
        (
            "file names from templates are rsyslog's",
            "write a plain /file",
        )
    } else {
        return None;
    };
    Some(target.error("E109", format!("{message}, rule ignored"), help))
}

fn path_of(path: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<Destination, Problem> {
    if !path.text.starts_with('/') {
        let message = "\"-\" stands before an absolute path, rule ignored";
        return Err(path.error("E102", message, "write -/var/log/NAME"));
    }
    let (name, rest) = path
        .split_once(&BLANKS)
        .unwrap_or((path, path.split_at(path.text.len()).1));
    if !rest.trim().is_empty() {
        let message = format!("text after the path {}, rule ignored", quoted(name.text));
        let help = "options begin with \";\", a comment with \"#\"; a path has no blanks";
        return Err(rest.trim().error("E102", message, help));
    }
    if name.text.ends_with('/') {
        let message = format!("{} is a directory, rule ignored", quoted(name.text));
        return Err(name.error("E102", message, "name a file in it"));
    }
    if is_template(name.text) {
        let message = format!(
            "{} is the name of one file: nothing in it is replaced",
            quoted(name.text)
        );
        let help = "names made from messages are not supported: write a rule for each file, in blocks such as +HOST and !PROGRAM";
        warnings.push(name.warning("W023", message, help));
    }
    let terminal =
        name.text == "/dev/console" || TERMINALS.iter().any(|dev| name.text.starts_with(dev));
    let path = PathBuf::from(name.text);
    Ok(if terminal {
        Destination::Terminal(path)
    } else {
        Destination::File(path)
    })
}

/// Whether a path looks as if others replaced a part of it: `$HOST`, `${HOST}`, `%HOSTNAME%`, `%$YEAR%`.
fn is_template(path: &str) -> bool {
    let before = |sign, wanted: fn(char) -> bool| {
        let mut parts = path.split(sign).skip(1);
        parts.any(|part| part.starts_with(wanted))
    };
    let percent_signs = path.matches('%').count();
    before('$', |c| c == '{' || c.is_ascii_uppercase())
        || percent_signs > 1 && before('%', |c| c == '$' || c.is_ascii_alphabetic())
}

const TERMINALS: [&str; 3] = ["/dev/tty", "/dev/pts/", "/dev/hvc"];

fn fifo_path(path: Piece<'_>) -> Result<PathBuf, Problem> {
    if path.text.starts_with('/') && !path.text.contains(BLANKS) {
        return Ok(PathBuf::from(path.text));
    }
    let message = "a command after \"|\" is for the dialects of the BSDs, rule ignored";
    Err(path.error(
        "E109",
        message,
        "write |/PATH of a FIFO made by mkfifo(1) and let the command read it, or use --compat=freebsd",
    ))
}

fn command_of(command: Piece<'_>) -> Result<String, Problem> {
    if command.is_empty() {
        let help = "after | comes a command for sh(1), such as |exec /usr/bin/logfilter";
        return Err(command.error("E102", "no command after \"|\", rule ignored", help));
    }
    Ok(command.text.to_owned())
}

fn forward(
    remote: Piece<'_>,
    options: LoadOptions,
    warnings: &mut Vec<Problem>,
) -> Result<Remote, Problem> {
    use IpVersion::{V4, V6};
    use Transport::{TcpLines, TcpOctetCounting, Udp};
    let (transport, version, rest) = match (remote.strip_prefix("@"), scheme(remote)) {
        (Some(rest), _) => (TcpLines, None, rest),
        (None, None) => (Udp, None, remote),
        (None, Some((scheme, rest))) => match scheme.text.to_ascii_lowercase().as_str() {
            "udp" => (Udp, None, rest),
            "udp4" => (Udp, Some(V4), rest),
            "udp6" => (Udp, Some(V6), rest),
            "tcp" => (TcpOctetCounting, None, rest),
            "tcp4" => (TcpOctetCounting, Some(V4), rest),
            "tcp6" => (TcpOctetCounting, Some(V6), rest),
            "tls" | "relp" | "tls4" | "tls6" => {
                let message = format!("@{}:// is not supported yet, rule ignored", scheme.text);
                return Err(scheme.error("E110", message, "use @udp:// or @tcp://"));
            }
            other => {
                let near = suggestion(other, ["udp", "tcp", "udp4", "udp6", "tcp4", "tcp6"]);
                let message = format!("unknown transport {}, rule ignored", quoted(scheme.text));
                return Err(scheme.error("E102", message, format!("{near}use udp or tcp")));
            }
        },
    };
    let has_certificate = ["(subject=", "(fingerprint=", "(cert="]
        .iter()
        .any(|option| rest.text.contains(option));
    if has_certificate || remote.text.starts_with('[') && options.brackets_mean_tls() {
        let message =
            "this is NetBSD's way to ask for TLS, which is not supported yet, rule ignored";
        let help = "use @host or @tcp://host:port only where nobody can listen in";
        return Err(remote.error("E110", message, help));
    }
    if rest.text.starts_with('(') {
        let message = "options in parentheses belong to other daemons, rule ignored";
        return Err(rest.error(
            "E109",
            message,
            "write @host:port, @@host:port or @tcp://host:port",
        ));
    }
    let bad =
        |message: String, help: &str| rest.error("E102", format!("{message}, rule ignored"), help);
    let (host, port) =
        split_port(rest.text).map_err(|message| bad(message, "write @[ADDRESS]:PORT"))?;
    let port = port.map_or(Ok(SYSLOG_PORT), |port| {
        let number = port.parse::<u16>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| {
            bad(
                format!("port {} is no number from 1 to 65535", quoted(port)),
                "write @host:514",
            )
        })
    })?;
    let numeric = host.parse::<IpAddr>().ok();
    if version.is_some_and(|version| numeric.is_some_and(|ip| ip.is_ipv4() != (version == V4))) {
        let message = format!("{} is of the other version of IP", quoted(host));
        return Err(bad(message, "write @udp://, or @tcp://, for either"));
    }
    if let Some((address, port)) = port_of_address(rest.text) {
        let message = format!(
            "{} is an address of IPv6 and has no port",
            quoted(rest.text)
        );
        let help = format!(
            "write @[{address}]:{port} if {port} is the port, else @[{}]",
            rest.text
        );
        warnings.push(rest.warning("W025", message, help));
    }
    let letter = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let only_digits = || host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let named = !host.starts_with('-') && host.chars().all(letter) && !only_digits();
    if host.is_empty() || numeric.is_none() && !named {
        let message = format!("{} is no host name or address", quoted(host));
        return Err(bad(message, "write @host, @host:port or @[IPv6]:port"));
    }
    Ok(Remote {
        host: host.to_lowercase(),
        port,
        transport,
        version,
        multicast: Multicast::default(),
    })
}

/// An address of IPv6 that ends like one with a port of syslog behind it: `2001:db8::1:514`.
fn port_of_address(text: &str) -> Option<(&str, &str)> {
    let (address, port) = text.rsplit_once(':')?;
    let is_whole = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    (["514", "601", "6514"].contains(&port) && is_whole(text) && is_whole(address))
        .then_some((address, port))
}

/// `SIZE:NAME`: the name, and how many octets the buffer holds.
fn memory(buffer: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<(String, usize), Problem> {
    let shape = "a memory buffer is :SIZE:NAME, such as :64:debug, with 4 to 256 KiB";
    let Some((size, name)) = buffer.split_once(&[':']) else {
        return Err(buffer.error("E102", "no memory buffer, rule ignored", shape));
    };
    let decimal = size.text.bytes().all(|octet| octet.is_ascii_digit());
    // OpenBSD takes a number with a 0 at its head for octal.
    let plain = decimal && !size.text.starts_with('0');
    let kibioctets = size.text.parse::<usize>().ok().filter(|_| plain);
    let Some(kibioctets) = kibioctets.filter(|size| *size <= MOST_KIB) else {
        let shown = quoted(size.text);
        let message = format!("{shown} is no size of a memory buffer, rule ignored");
        return Err(size.error("E102", message, "it is a number of KiB from 4 to 256"));
    };
    let is_name = name.text.bytes().all(|octet| octet.is_ascii_alphanumeric());
    if name.is_empty() || !is_name || name.text.len() > LONGEST_NAME {
        let message = format!(
            "{} is no name of a memory buffer, rule ignored",
            quoted(name.text)
        );
        return Err(name.error("E102", message, "it has 1 to 63 letters and digits"));
    }
    if kibioctets < LEAST_KIB {
        let message = format!("a memory buffer of {kibioctets} KiB gets {LEAST_KIB}");
        warnings.push(size.warning("W021", message, "write 4 to 256"));
    }
    Ok((name.text.to_owned(), kibioctets.max(LEAST_KIB) * 1024))
}

/// The limits of OpenBSD's syslog.conf(5), which makes less to the least, and refuses more.
const LEAST_KIB: usize = 4;
const MOST_KIB: usize = 256;
const LONGEST_NAME: usize = 63;

fn scheme(remote: Piece<'_>) -> Option<(Piece<'_>, Piece<'_>)> {
    let (scheme, rest) = remote.split_once(&[':'])?;
    Some((scheme, rest.strip_prefix("//")?))
}

fn users(list: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<BTreeSet<String>, Problem> {
    let mut names = BTreeSet::new();
    for name in list.split(',').map(Piece::trim) {
        if name.is_empty() {
            let message = "a user name is missing, rule ignored";
            return Err(list.error("E102", message, "names are separated by single commas"));
        }
        if name.text.contains(BLANKS) {
            let message = format!("blanks in the action {}, rule ignored", quoted(name.text));
            let help =
                "users are separated by commas, a path begins with /, a selector has no blanks";
            return Err(name.error("E102", message, help));
        }
        let letter = |c: char| c.is_alphanumeric() || "._-$/@\\+".contains(c);
        if name.text == "*" || !name.text.chars().all(letter) {
            let message = format!("{} is no user name, rule ignored", quoted(name.text));
            let host = name.text.rsplit_once(':');
            let help = if host.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                format!("a host begins with @: write @{}", name.text)
            } else {
                "an action is /file, |/fifo, @host, users, or *".to_owned()
            };
            return Err(name.error("E102", message, help));
        }
        if name.text.contains(['/', '.']) || DEVICES.contains(&name.text) {
            let message = format!("{} is taken for a user's name", quoted(name.text));
            warnings.push(name.warning(
                "W004",
                message,
                "a file is an absolute path: begin it with /",
            ));
        }
        names.insert(name.text.to_owned());
    }
    Ok(names)
}

/// What is written for `/dev/…` more often than it is somebody's name.
const DEVICES: [&str; 5] = ["console", "xconsole", "null", "tty", "stdout"];

#[cfg(test)]
mod tests;
