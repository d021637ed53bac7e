//! From the command line of any family to our long options.
//!
//! Short options are read as getopt(3) reads them: in clusters, with the value attached or in the next
//! argument, and repeated at will.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec::IntoIter;

use super::Dialect;
use super::families::{Arity, Family, Meaning, Receive, Shape, family};

/// A command line in our long options, and what the operator should know about it.
#[derive(Debug, Default)]
pub struct Translation {
    /// The program's name, and long options.
    pub argv: Vec<OsString>,
    /// Sentences about options that were accepted without effect.
    pub warnings: Vec<String>,
    /// Sentences about options that mean something else elsewhere.
    pub notes: Vec<String>,
    /// Why the command line cannot be obeyed; empty if it can.
    pub refusals: Vec<String>,
    /// Whether `-n` was written where it may stand for the foreground.
    pub may_stay: bool,
    receive: bool,
    receive_address: Option<OsString>,
    receive_port: Option<OsString>,
}

/// Reads `argv` by the table of `dialect`; `None` is the default.
///
/// What is in no table is left as it is, so that clap can say what is wrong with it.
pub fn translate(argv: Vec<OsString>, dialect: Option<Dialect>) -> Translation {
    let sole = argv.len() == 2;
    let family = family(dialect);
    let mut translation = Translation::default();
    let mut rest = argv.into_iter().peekable();
    translation.argv.extend(rest.next());
    let presets = family.presets.iter().map(OsString::from);
    translation.argv.extend(presets);
    while let Some(argument) = rest.next() {
        if argument == "--" {
            translation.argv.push(argument);
            translation.argv.extend(rest);
            break;
        }
        match argument.as_bytes() {
            [b'-', b'-', name @ ..] => {
                if !translation.long(&family, name, &mut rest) {
                    translation.argv.push(argument);
                }
            }
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                translation.cluster(&family, dialect, cluster, &mut rest, sole);
            }
            _ => translation.argv.push(argument),
        }
    }
    translation.finish()
}

/// What stands behind an option.
struct Followed<'a, 'b> {
    /// The rest of its own argument.
    attached: &'a [u8],
    /// Whether that is a value even if it is empty.
    is_given: bool,
    /// The arguments after it.
    next: &'b mut Peekable<IntoIter<OsString>>,
}

impl Followed<'_, '_> {
    /// The value as getopt(3) finds it.
    fn value(&mut self) -> Option<OsString> {
        if self.attached.is_empty() && !self.is_given {
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

impl Translation {
    /// `-abc`, where each letter may take what follows it.
    fn cluster(
        &mut self,
        family: &Family,
        dialect: Option<Dialect>,
        mut cluster: &[u8],
        next: &mut Peekable<IntoIter<OsString>>,
        sole: bool,
    ) {
        let sole = sole && cluster.len() == 1;
        while let [letter, attached @ ..] = cluster {
            let known = family.short.iter().find(|(known, _)| known == letter);
            let Some((_, meaning)) = known else {
                match dialect {
                    None => {
                        let unknown = [b"-", cluster].concat();
                        self.argv.push(OsString::from_vec(unknown));
                    }
                    Some(dialect) => self.refusals.push(format!(
                        "-{} is no option of a syslogd with --compat={}",
                        char::from(*letter).escape_default(),
                        dialect.name()
                    )),
                }
                return;
            };
            let mut followed = Followed {
                attached,
                is_given: false,
                next: &mut *next,
            };
            let name = format!("-{}", char::from(*letter));
            self.option(&name, *meaning, &mut followed, sole);
            cluster = followed.attached;
        }
    }

    /// `--name` or `--name=value`; false if the family gives it no meaning of its own.
    fn long(
        &mut self,
        family: &Family,
        written: &[u8],
        next: &mut Peekable<IntoIter<OsString>>,
    ) -> bool {
        let mut parts = written.splitn(2, |octet| *octet == b'=');
        let name = parts.next().unwrap_or_default();
        let value = parts.next();
        let known = family
            .long
            .iter()
            .find(|(known, _)| known.as_bytes() == name);
        let Some((name, meaning)) = known else {
            return false;
        };
        let mut followed = Followed {
            attached: value.unwrap_or_default(),
            is_given: value.is_some(),
            next,
        };
        self.option(&format!("--{name}"), *meaning, &mut followed, false);
        if !followed.attached.is_empty() {
            self.refusals.push(format!("--{name} takes no value"));
        }
        true
    }

    fn option(
        &mut self,
        name: &str,
        meaning: Meaning,
        followed: &mut Followed<'_, '_>,
        sole: bool,
    ) {
        match meaning {
            Meaning::Flag(ours) => self.extend(ours),
            Meaning::Attached(ours) => {
                followed.attached = &[];
                self.extend(ours);
            }
            Meaning::Value(ours) => {
                let value = followed.value();
                self.push(ours, value);
            }
            Meaning::NoDnsOrForeground => {
                self.may_stay = true;
                self.extend(&["--no-dns"]);
            }
            Meaning::Ignored(arity, why) => {
                if arity == Arity::Attached {
                    followed.attached = &[];
                }
                if arity == Arity::Value && followed.value().is_none() {
                    self.refusals.push(format!("{name} needs a value"));
                }
                self.ignored(name, why);
            }
            Meaning::Refused(why) => {
                followed.attached = &[];
                self.refusals
                    .push(format!("{name} cannot be obeyed: {why}"));
            }
            Meaning::ByShape(shape) => self.by_shape(name, shape, followed, sole),
            Meaning::Receive(Receive::Yes) => self.receive = true,
            Meaning::Receive(Receive::Address) => self.receive_address = followed.value(),
            Meaning::Receive(Receive::Port) => self.receive_port = followed.value(),
        }
    }

    fn by_shape(&mut self, name: &str, shape: Shape, followed: &mut Followed<'_, '_>, sole: bool) {
        match shape {
            Shape::CacheOrCreate => {
                if let Some(path) = followed.value_like(is_path) {
                    self.push("--kmsg-cache=", Some(path));
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
                    self.ignored(name, "there is no log in shared memory");
                }
            }
            Shape::PidFileOrNone => {
                if followed.value_like(|text| text == b"NONE").is_some() {
                    self.ignored(name, "there is always a pid file, which is locked");
                } else if let Some(path) = followed.value_like(is_path) {
                    self.push("--pid-file=", Some(path));
                } else {
                    self.refusals
                        .push(format!("{name} is rsyslog's, and takes a path or NONE"));
                }
            }
            Shape::SocketOrConsole => match followed.value_like(is_socket) {
                Some(socket) => self.push("--extra-socket=", Some(socket)),
                None => self.extend(&["--keep-console"]),
            },
            Shape::FormatOrBootFile => match followed.value_like(is_format) {
                Some(format) => self.push("--output-format=", Some(format)),
                None => self.ignored(name, "messages of the kernel are tagged kernel:"),
            },
            Shape::RotationOrUdp => match followed.value_like(is_rotation) {
                Some(rotation) => self.push("--rotate=", Some(rotation)),
                None => self.extend(&["--bind=:514"]),
            },
            Shape::VersionOrVerbose if sole => self.extend(&["--version"]),
            Shape::VersionOrVerbose => {
                self.extend(&["--verbose"]);
                if self.notes.is_empty() {
                    let note =
                        "-v with other options is FreeBSD's: lines show facility and severity";
                    self.notes.push(note.to_owned());
                }
            }
        }
    }

    /// What could only be told when everything was read.
    fn finish(mut self) -> Self {
        let address = self.receive_address.take();
        let port = self.receive_port.take();
        if self.receive {
            let mut bind = address.unwrap_or_default();
            // An IPv6 address has colons of its own.
            if bind.as_bytes().contains(&b':') && !bind.as_bytes().starts_with(b"[") {
                bind = [OsStr::new("["), &bind, OsStr::new("]")]
                    .into_iter()
                    .collect();
            }
            bind.push(":");
            bind.push(port.unwrap_or_else(|| "514".into()));
            let at = self.argv.iter().position(|argument| argument == "--");
            let mut option = OsString::from("--bind=");
            option.push(bind);
            self.argv.insert(at.unwrap_or(self.argv.len()), option);
        } else if address.is_some() || port.is_some() {
            self.ignored("-b or -B", "without -r nothing is received");
        }
        self
    }

    /// Adds `--long=value`, or `--long` alone, so that clap asks for the value.
    fn push(&mut self, ours: &str, value: Option<OsString>) {
        let argument = match value {
            Some(value) => {
                let mut argument = OsString::from(ours);
                argument.push(value);
                argument
            }
            None => ours.split('=').next().unwrap_or(ours).into(),
        };
        self.argv.push(argument);
    }

    fn extend(&mut self, ours: &[&str]) {
        self.argv.extend(ours.iter().map(OsString::from));
    }

    fn ignored(&mut self, name: &str, why: &str) {
        self.warnings
            .push(format!("option {name} has no effect here: {why}"));
    }
}

fn is_path(text: &[u8]) -> bool {
    text.starts_with(b"/")
}

fn is_format(text: &[u8]) -> bool {
    [&b"bsd"[..], b"rfc3164", b"syslog", b"rfc5424"].contains(&text)
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
