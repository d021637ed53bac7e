//! An action: a destination, and after `;` the options of its output.
//!
//! ```text
//! -/var/log/mail.log ;rotate=10M:5,mode=0640,group=adm
//! @loghost:514;RFC5424
//! @239.1.2.3;iface=eth0,ttl=4
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::destination::{self, Target};
use super::grammar::LoadOptions;
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::rotation::{self, RotationDecl};
use super::{Destination, Escape, FormatDecl, LayoutDecl, OutputSettings, Remote, Sync, Transport};

/// An action as written.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) destination: Destination,
    pub(super) format: FormatDecl,
    /// Without the rotation, which may need `rotate_size` and the like.
    pub(super) settings: OutputSettings,
    pub(super) rotation: Option<RotationDecl>,
    /// Whether `sync=` was written.
    pub(super) sync_said: bool,
}

/// Reads an action.
///
/// # Errors
///
/// What is wrong with the destination, or the first option that cannot be.
pub(super) fn parse(
    action: Piece<'_>,
    load: LoadOptions,
    warnings: &mut Vec<Problem>,
) -> Result<Action, Problem> {
    // In a command a semicolon is the shell's.
    let is_command = load.pipes_to_commands() && action.text.starts_with('|');
    let (target, options) = match action.split_once(&[';']).filter(|_| !is_command) {
        Some((target, options)) => (target.trim(), Some(options)),
        None => (action.trim(), None),
    };
    let Target {
        destination,
        relaxed,
        capacity,
    } = destination::parse(target, load, options.is_some(), warnings)?;
    let mut found = Action {
        destination,
        format: FormatDecl::default(),
        settings: OutputSettings::default(),
        rotation: None,
        sync_said: false,
    };
    found.settings.capacity = capacity;
    if relaxed {
        found.settings.sync = Sync::None;
    }
    let mut said: BTreeMap<String, &str> = BTreeMap::new();
    for option in options
        .into_iter()
        .flat_map(|options| options.split(','))
        .map(Piece::trim)
    {
        if option.is_empty() {
            continue;
        }
        let before = found.rotation.unwrap_or_default();
        found.take(option, relaxed)?;
        let rotation = found.rotation.unwrap_or_default();
        // Several words may be said about a rotation: a size and a period.
        let differs = before.or(rotation) != rotation
            || option.split_once(&['=']).is_some_and(|(key, value)| {
                let key = key.trim().text.to_ascii_lowercase();
                let value = value.trim().text;
                key != "rotate" && said.insert(key, value).is_some_and(|first| first != value)
            });
        if differs {
            let shown = quoted(option.text);
            let message = format!("{shown} replaces what an option before it says");
            warnings.push(option.warning("W022", message, "name each option once"));
        }
    }
    Ok(found)
}

impl Action {
    fn take(&mut self, option: Piece<'_>, relaxed: bool) -> Result<(), Problem> {
        if let Some((first, rest)) = option.split_once(&[';']) {
            let message = "options are separated by commas, rule ignored";
            let (first, rest) = (first.text.trim(), rest.text.trim());
            return Err(option.error("E103", message, format!("write ;{first},{rest}")));
        }
        let pair = option.split_once(&['=']);
        let (key, value) = pair.map_or((option, None), |(key, value)| {
            (key.trim(), Some(value.trim()))
        });
        let word = key.text.to_ascii_lowercase();
        let layout = LAYOUTS.iter().find(|(name, _)| *name == word);
        if let (Some((_, layout)), None) = (layout, value) {
            return self.layout(option, *layout);
        }
        match (word.as_str(), value) {
            ("pri", None) => self.pri(option),
            ("escape", Some(value)) => {
                if matches!(self.destination, Destination::Forward(_)) {
                    let message = format!(
                        "escape= makes no sense for a remote host ({}), rule ignored",
                        self.destination
                    );
                    return Err(option.error("E103", message, "remove the option"));
                }
                self.format.escape = Some(escape(value)?);
                Ok(())
            }
            ("rotate", Some(value)) => {
                self.only_files(option, "rotate=")?;
                self.rotate(rotation_of(value)?);
                Ok(())
            }
            ("total", Some(value)) => {
                self.only_files(option, "total=")?;
                let read = |total| RotationDecl {
                    total: Some(total),
                    ..RotationDecl::default()
                };
                let found = rotation::total(value.text).map(read);
                self.rotate(valued(value, found, "write for example total=2G")?);
                Ok(())
            }
            ("age", Some(value)) => {
                self.only_files(option, "age=")?;
                let read = |age| RotationDecl {
                    age: Some(age),
                    ..RotationDecl::default()
                };
                let found = rotation::age(value.text).map(read);
                self.rotate(valued(value, found, "write for example age=14d")?);
                Ok(())
            }
            ("compress", Some(value)) => {
                self.only_files(option, "compress=")?;
                let found = rotation::compression(value.text);
                let help = "write compress=gzip, zstd or none, or a level: compress=gzip:9";
                self.settings.compression = Some(valued(value, found, help)?);
                Ok(())
            }
            ("mode", Some(value)) => {
                self.only_files(option, "mode=")?;
                self.settings.mode = Some(mode(value)?);
                Ok(())
            }
            ("owner", Some(value)) => {
                self.only_files(option, "owner=")?;
                self.settings.owner = Some(name(value)?);
                Ok(())
            }
            ("group", Some(value)) => {
                self.only_files(option, "group=")?;
                self.settings.group = Some(name(value)?);
                Ok(())
            }
            ("sync", Some(value)) => {
                self.only_files(option, "sync=")?;
                self.sync(value, relaxed)
            }
            ("iface", Some(value)) => {
                self.group(option)?.multicast.interface = Some(interface(value)?);
                Ok(())
            }
            ("ttl", Some(value)) => {
                self.group(option)?.multicast.ttl = Some(ttl(value)?);
                Ok(())
            }
            (size, None) if size.starts_with(|c: char| c.is_ascii_digit() || c == ':') => {
                self.only_files(option, "a rotation size")?;
                self.rotate(rotation_of(option)?);
                Ok(())
            }
            (word, value) => Err(unknown(key, word, value.is_some())),
        }
    }

    /// Takes one more word about the rotation; what was said before of the same thing gives way.
    fn rotate(&mut self, said: RotationDecl) {
        self.rotation = Some(said.or(self.rotation.unwrap_or_default()));
    }

    fn layout(&mut self, option: Piece<'_>, layout: LayoutDecl) -> Result<(), Problem> {
        match &self.destination {
            Destination::Users(_) | Destination::Everyone => {
                let message = format!(
                    "{} makes no sense for users ({}), rule ignored",
                    option.text, self.destination
                );
                return Err(option.error("E103", message, "remove the option"));
            }
            Destination::File(_)
            | Destination::Fifo(_)
            | Destination::Command(_)
            | Destination::Terminal(_)
            | Destination::Forward(_)
            | Destination::Memory(_) => {}
        }
        if self.format.layout.is_some_and(|before| before != layout) {
            let message = format!("a second format, {}, rule ignored", option.text);
            return Err(option.error("E103", message, "name one of BSD, RFC3164, RFC5424"));
        }
        self.format.layout = Some(layout);
        Ok(())
    }

    /// The remote of an option that is for datagrams; whether it is a group shows when it is resolved.
    fn group(&mut self, option: Piece<'_>) -> Result<&mut Remote, Problem> {
        let shown = self.destination.to_string();
        match &mut self.destination {
            Destination::Forward(remote)
                if remote.transport == Transport::Udp && may_be_group(&remote.host) =>
            {
                Ok(remote)
            }
            Destination::Forward(_)
            | Destination::File(_)
            | Destination::Fifo(_)
            | Destination::Command(_)
            | Destination::Terminal(_)
            | Destination::Users(_)
            | Destination::Everyone
            | Destination::Memory(_) => Err(option.error(
                "E103",
                format!("iface= and ttl= make no sense for {shown}, rule ignored"),
                "they are for multicast over UDP, such as @239.1.2.3;iface=eth0,ttl=4",
            )),
        }
    }

    /// `pri` after `RFC5424`: files show `<PRI>1 ` as well.
    fn pri(&mut self, option: Piece<'_>) -> Result<(), Problem> {
        match self.format.layout {
            Some(LayoutDecl::Rfc5424 | LayoutDecl::Rfc5424Pri) => {
                self.format.layout = Some(LayoutDecl::Rfc5424Pri);
                Ok(())
            }
            Some(LayoutDecl::Bsd | LayoutDecl::Rfc3164) | None => {
                let message = "pri without RFC5424, rule ignored";
                Err(option.error("E103", message, "write ;RFC5424,pri"))
            }
        }
    }

    fn only_files(&self, option: Piece<'_>, what: &str) -> Result<(), Problem> {
        let kind = match &self.destination {
            Destination::File(_) => return Ok(()),
            Destination::Fifo(_) => "a FIFO",
            Destination::Command(_) => "a command",
            Destination::Terminal(_) => "a terminal",
            Destination::Users(_) | Destination::Everyone => "users",
            Destination::Forward(_) => "a remote host",
            Destination::Memory(_) => "a memory buffer",
        };
        let message = format!(
            "{what} makes no sense for {kind} ({}), rule ignored",
            self.destination
        );
        Err(option.error("E103", message, "it is for files: remove the option"))
    }

    fn sync(&mut self, value: Piece<'_>, relaxed: bool) -> Result<(), Problem> {
        let sync = match value.text {
            "none" => Sync::None,
            "second" => Sync::Second,
            "durable" => Sync::Durable,
            other => {
                return Err(bad_value(value, "sync", other, &SYNCS));
            }
        };
        if relaxed && sync != Sync::None {
            let message = format!(
                "\"-\" before the path contradicts sync={}, rule ignored",
                value.text
            );
            return Err(value.error("E103", message, "remove one of them"));
        }
        self.settings.sync = sync;
        self.sync_said = true;
        Ok(())
    }
}

/// A name may; what it stands for shows when it is resolved.
fn may_be_group(host: &str) -> bool {
    host.parse::<IpAddr>()
        .map_or(true, |address| address.is_multicast())
}

fn interface(value: Piece<'_>) -> Result<String, Problem> {
    let letter = |c: char| c.is_ascii_graphic() && c != '/';
    if value.is_empty() || value.text.len() > LONGEST_INTERFACE || !value.text.chars().all(letter) {
        let message = format!("{} is no interface, rule ignored", quoted(value.text));
        return Err(value.error("E103", message, "write iface=NAME as ip(8) shows it"));
    }
    Ok(value.text.to_owned())
}

/// `IFNAMSIZ`, without its NUL.
const LONGEST_INTERFACE: usize = 15;

fn ttl(value: Piece<'_>) -> Result<u8, Problem> {
    let digits = value.text.bytes().all(|octet| octet.is_ascii_digit());
    let number = value.text.parse::<u8>().ok();
    number.filter(|ttl| digits && *ttl > 0).ok_or_else(|| {
        let message = format!("ttl {} is out of range, rule ignored", quoted(value.text));
        value.error(
            "E103",
            message,
            "it is 1 to 255, how many routers pass it on",
        )
    })
}

/// Reads the value of an `escape`.
pub(super) fn escape(value: Piece<'_>) -> Result<Escape, Problem> {
    Ok(match value.text {
        "octal" => Escape::Octal,
        "caret" => Escape::Caret,
        "hex" => Escape::Hex,
        "lossless" => Escape::Lossless,
        other => {
            return Err(bad_value(value, "escape", other, &ESCAPES));
        }
    })
}

/// A value that is not one of a few words.
pub(super) fn bad_value(value: Piece<'_>, key: &str, word: &str, known: &[&str]) -> Problem {
    let near = suggestion(word, known.iter().copied());
    let message = format!("unknown value {} for {key}, ignored", quoted(word));
    value.error(
        "E103",
        message,
        format!("{near}it is one of {}", known.join(", ")),
    )
}

fn rotation_of(value: Piece<'_>) -> Result<RotationDecl, Problem> {
    if ["monthly", "yearly"].contains(&value.text) {
        let message = format!("rotate={} is not supported, rule ignored", value.text);
        return Err(value.error("E110", message, "write rotate=hourly, daily or weekly"));
    }
    valued(
        value,
        rotation::rotation(value.text),
        "write rotate=SIZE[:COUNT] or rotate=daily[:COUNT], such as rotate=10M:5",
    )
}

/// The value of an option that makes its rule an error if it cannot be read.
fn valued<T>(value: Piece<'_>, found: Result<T, String>, help: &str) -> Result<T, Problem> {
    found.map_err(|message| value.error("E103", format!("{message}, rule ignored"), help))
}

fn mode(value: Piece<'_>) -> Result<u32, Problem> {
    let digits = !value.is_empty()
        && value
            .text
            .bytes()
            .all(|octet| (b'0'..=b'7').contains(&octet));
    let number = digits
        .then(|| u32::from_str_radix(value.text, 8).ok())
        .flatten();
    number.filter(|mode| *mode <= 0o777).ok_or_else(|| {
        let message = format!(
            "mode {} is no octal number up to 0777, rule ignored",
            quoted(value.text)
        );
        value.error(
            "E103",
            message,
            "write for example mode=0640; setuid, setgid and sticky are refused",
        )
    })
}

fn name(value: Piece<'_>) -> Result<String, Problem> {
    if value.is_empty() || value.text.contains(BLANKS) || value.text.contains([':', '/']) {
        let message = format!(
            "{} is no user or group name, rule ignored",
            quoted(value.text)
        );
        return Err(value.error("E103", message, "write owner=NAME and group=NAME"));
    }
    Ok(value.text.to_owned())
}

fn unknown(key: Piece<'_>, word: &str, has_value: bool) -> Problem {
    if ["framing", "queue", "template", "naming"].contains(&word) {
        let message = format!("option {word} is not supported yet, rule ignored");
        return key.error("E110", message, "remove the option");
    }
    if VALUED.contains(&word) && !has_value {
        let message = format!("option {word} has no value, rule ignored");
        return key.error(
            "E103",
            message,
            format!("write {word}=VALUE, see syslog.conf(5), Options"),
        );
    }
    if word.starts_with("rsyslog_") {
        let message = format!(
            "{} is a template of rsyslog, rule ignored",
            quoted(key.text)
        );
        return key.error("E109", message, "write RFC3164 or RFC5424");
    }
    let near = suggestion(
        word,
        VALUED
            .into_iter()
            .chain(LAYOUTS.map(|(name, _)| name))
            .chain(["pri"]),
    );
    let message = format!("unknown option {}, rule ignored", quoted(key.text));
    key.error(
        "E103",
        message,
        format!("{near}options are listed in syslog.conf(5), Options"),
    )
}

/// The options without a value.
pub(super) const LAYOUTS: [(&str, LayoutDecl); 3] = [
    ("rfc3164", LayoutDecl::Rfc3164),
    ("rfc5424", LayoutDecl::Rfc5424),
    ("bsd", LayoutDecl::Bsd),
];

/// The values of `sync`.
pub(super) const SYNCS: [&str; 3] = ["none", "second", "durable"];

/// The values of `escape`.
pub(super) const ESCAPES: [&str; 4] = ["octal", "caret", "hex", "lossless"];

/// The options with a value.
pub(super) const VALUED: [&str; 11] = [
    "rotate", "total", "age", "compress", "mode", "owner", "group", "sync", "escape", "iface",
    "ttl",
];

#[cfg(test)]
mod tests;
