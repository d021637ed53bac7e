//! An action: a destination, and after `;` the options of its output.
//!
//! ```text
//! -/var/log/mail.log ;rotate=10M:5,mode=0640,group=adm
//! @loghost:514;RFC5424
//! ```

use super::destination::{self, Target};
use super::piece::{BLANKS, Piece, Problem, quoted, suggestion};
use super::size::{RotationDecl, rotation};
use super::{Destination, Escape, FormatDecl, LayoutDecl, OutputSettings, Sync};

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
pub(super) fn parse(action: Piece<'_>, warnings: &mut Vec<Problem>) -> Result<Action, Problem> {
    let (target, options) = match action.split_once(&[';']) {
        Some((target, options)) => (target.trim(), Some(options)),
        None => (action.trim(), None),
    };
    let Target {
        destination,
        relaxed,
    } = destination::parse(target, options.is_some(), warnings)?;
    let mut found = Action {
        destination,
        format: FormatDecl::default(),
        settings: OutputSettings::default(),
        rotation: None,
        sync_said: false,
    };
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
        let pair = option.split_once(&['=']);
        let (key, value) = pair.map_or((option, None), |(key, value)| {
            (key.trim(), Some(value.trim()))
        });
        let word = key.text.to_ascii_lowercase();
        match (word.as_str(), value) {
            ("rfc3164", None) => self.layout(option, LayoutDecl::Rfc3164),
            ("rfc5424", None) => self.layout(option, LayoutDecl::Rfc5424),
            ("pri", None) => self.pri(option),
            ("bsd", None) => self.layout(option, LayoutDecl::Bsd),
            ("escape", Some(value)) => {
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
            | Destination::Terminal(_)
            | Destination::Forward(_) => {}
        }
        if self.format.layout.is_some_and(|before| before != layout) {
            let message = format!("a second format, {}, rule ignored", option.text);
            return Err(option.error("E103", message, "name one of BSD, RFC3164, RFC5424"));
        }
        self.format.layout = Some(layout);
        Ok(())
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
            Destination::Terminal(_) => "a terminal",
            Destination::Users(_) | Destination::Everyone => "users",
            Destination::Forward(_) => "a remote host",
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
                return Err(bad_value(
                    value,
                    "sync",
                    other,
                    &["none", "second", "durable"],
                ));
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

/// Reads the value of an `escape`.
pub(super) fn escape(value: Piece<'_>) -> Result<Escape, Problem> {
    Ok(match value.text {
        "octal" => Escape::Octal,
        "caret" => Escape::Caret,
        "hex" => Escape::Hex,
        "lossless" => Escape::Lossless,
        other => {
            return Err(bad_value(
                value,
                "escape",
                other,
                &["octal", "caret", "hex", "lossless"],
            ));
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
    if [
        "iface", "ttl", "compress", "framing", "queue", "template", "naming",
    ]
    .contains(&word)
    {
        let message = format!("option {word} is not supported yet, rule ignored");
        return key.error("E110", message, "remove the option");
    }
    if VALUED.contains(&word) && !has_value {
        let message = format!("option {word} has no value, rule ignored");
        return key.error(
            "E103",
            message,
            format!("write {word}=VALUE, see syslogd.conf(5)"),
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
            .chain(["rfc3164", "rfc5424", "bsd", "pri"]),
    );
    let message = format!("unknown option {}, rule ignored", quoted(key.text));
    key.error(
        "E103",
        message,
        format!("{near}options are listed in syslogd.conf(5)"),
    )
}

const VALUED: [&str; 6] = ["rotate", "mode", "owner", "group", "sync", "escape"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Action, Problem> {
        parse(Piece::new(text), &mut Vec::new())
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
    fn an_option_that_cannot_be_is_refused() {
        for (text, code) in [
            ("root;rotate=1M", "E103"),
            ("*;RFC5424", "E103"),
            ("@h;mode=0640", "E103"),
            ("|/f;sync=durable", "E103"),
            ("/dev/console;1M", "E103"),
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
            ("@h;ttl=3", "E110"),
            ("@h;iface=eth0", "E110"),
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
