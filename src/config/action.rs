//! An action: a destination, and after `;` the options of its output.
//!
//! ```text
//! -/var/log/mail.log ;rotate=10M:5,mode=0640,group=adm
//! @loghost:514;RFC5424
//! @239.1.2.3;iface=eth0,ttl=4
//! ```

use std::net::IpAddr;

use super::destination::{self, Target};
use super::grammar::LoadOptions;
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::size::{RotationDecl, rotation};
use super::{Destination, Escape, FormatDecl, LayoutDecl, OutputSettings, Remote, Sync, Transport};

/// An action as written.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) destination: Destination,
    pub(super) format: FormatDecl,
    /// Without the rotation, which may need `rotate_size` and `rotate_count`.
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
    for option in options
        .into_iter()
        .flat_map(|options| options.split(','))
        .map(Piece::trim)
    {
        if !option.is_empty() {
            found.take(option, relaxed)?;
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
                self.rotation = Some(rotation_of(value)?);
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
                self.rotation = Some(rotation_of(option)?);
                Ok(())
            }
            (word, value) => Err(unknown(key, word, value.is_some())),
        }
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
    if ["hourly", "daily", "weekly", "monthly", "yearly"].contains(&value.text) {
        let message = "rotation by time is not supported yet, rule ignored";
        return Err(value.error("E110", message, "rotate by size, such as rotate=10M:5"));
    }
    rotation(value.text).map_err(|message| {
        value.error(
            "E103",
            format!("{message}, rule ignored"),
            "write rotate=SIZE[:COUNT], such as rotate=10M:5",
        )
    })
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
    if ["compress", "framing", "queue", "template", "naming"].contains(&word) {
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
pub(super) const VALUED: [&str; 8] = [
    "rotate", "mode", "owner", "group", "sync", "escape", "iface", "ttl",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Dialect;

    fn read(text: &str) -> Result<Action, Problem> {
        parse(Piece::new(text), LoadOptions::default(), &mut Vec::new())
    }

    #[test]
    fn section_5_options_follow_a_semicolon_touching_or_not() {
        for text in [
            "/f;RFC5424",
            "/f ;RFC5424",
            "/f\t; rfc5424",
            "/f;RFC5424,",
            "@h;RFC5424",
        ] {
            let action = read(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
            assert_eq!(action.format.layout, Some(LayoutDecl::Rfc5424), "{text}");
        }
        let action = read("/f;RFC5424,pri").expect("valid");
        assert_eq!(action.format.layout, Some(LayoutDecl::Rfc5424Pri));
        let action =
            read("/f;mode=0640,owner=root,group=adm,sync=durable,escape=hex").expect("valid");
        assert_eq!(action.settings.mode, Some(0o640));
        assert_eq!(action.settings.owner.as_deref(), Some("root"));
        assert_eq!(action.settings.group.as_deref(), Some("adm"));
        assert_eq!(action.settings.sync, Sync::Durable);
        assert_eq!(action.format.escape, Some(Escape::Hex));
    }

    #[test]
    fn section_5_rotation_is_a_size_and_a_count() {
        for (text, size, count) in [
            ("/f;rotate=10M:5", Some(10 << 20), Some(5)),
            ("/f;rotate=100k", Some(100 << 10), None),
            ("/f;rotate=:7", None, Some(7)),
            ("/f;1G:2", Some(1 << 30), Some(2)),
            ("/f ; 4096", Some(4096), None),
        ] {
            let found = read(text).ok().and_then(|action| action.rotation);
            assert_eq!(found, Some(RotationDecl { size, count }), "{text}");
        }
    }

    #[test]
    fn section_5_a_group_has_an_interface_and_a_ttl() {
        for text in [
            "@239.1.2.3:514;iface=eth0,ttl=255",
            "@[ff02::1]:514;iface=eth0",
            "@h:1;ttl=1",
        ] {
            let action = read(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
            assert_eq!(action.destination.to_string(), text);
        }
    }

    #[test]
    fn section_3_a_semicolon_in_a_command_is_the_shells() {
        let read = |dialect: Dialect, text| {
            let action = parse(Piece::new(text), dialect.into(), &mut Vec::new());
            action.map(|action| action.destination.to_string()).ok()
        };
        let text = "|read x; echo \"$x\"";
        assert_eq!(read(Dialect::Freebsd, text).as_deref(), Some(text));
        assert_eq!(read(Dialect::Sysklogd, text), None);
    }

    #[test]
    fn an_option_that_cannot_be_is_refused() {
        for (text, code) in [
            ("root;rotate=1M", "E103"),
            ("*;RFC5424", "E103"),
            ("@h;mode=0640", "E103"),
            ("|/f;sync=durable", "E103"),
            ("/dev/console;1M", "E103"),
            (":64:debug;rotate=1M", "E103"),
            (":64:debug;ttl=1", "E103"),
            ("-/f;sync=durable", "E103"),
            ("/f;mode=4755", "E103"),
            ("/f;mode=640x", "E103"),
            ("/f;mode=0o640", "E103"),
            ("/f;mode=rw", "E103"),
            ("/f;owner=", "E103"),
            ("/f;rotate", "E103"),
            ("/f;rotate=", "E103"),
            ("/f;rotate=0", "E103"),
            ("/f;rotate=10X", "E103"),
            ("/f;rotate=99999999999G", "E103"),
            ("/f;RFC5424,RFC3164", "E103"),
            ("/f;pri", "E103"),
            ("/f;RFC3164,pri", "E103"),
            ("/f;sync=always", "E103"),
            ("/f;rotat=1M", "E103"),
            ("/f;rotate=daily", "E110"),
            ("@h;ttl=0", "E103"),
            ("@h;ttl=256", "E103"),
            ("@h;ttl=+3", "E103"),
            ("@h;ttl", "E103"),
            ("@h;iface=", "E103"),
            ("@h;iface=eth0/1", "E103"),
            ("@tcp://h;ttl=3", "E103"),
            ("@192.0.2.1;ttl=3", "E103"),
            ("/f;iface=eth0", "E103"),
            ("/f;compress=zstd", "E110"),
            ("/f;RSYSLOG_FileFormat", "E109"),
            (";RFC5424", "E102"),
        ] {
            assert_eq!(
                read(text).map_err(|problem| problem.code).err(),
                Some(code),
                "{text}"
            );
        }
    }
}
