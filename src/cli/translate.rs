//! From the command line of any family to our long options.
//!
//! Short options are read as getopt(3) reads them: in clusters, with the value attached or in the next
//! argument, and repeated at will.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec::IntoIter;

use super::Dialect;
use super::abbreviation::{Completed, complete};
use super::families::{Arity, Family, Meaning, Receive, Shape, family, who_knows};

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
    // The letter right before, if it took no value.
    let mut before = None;
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
                let length = rest.len();
                translation.cluster(&family, dialect, cluster, &mut rest, sole);
                before = cluster.last().copied().filter(|_| rest.len() == length);
                continue;
            }
            _ => {
                translation.refuse_value(before, &argument);
                translation.argv.push(argument);
            }
        }
        before = None;
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

    /// Whether there is no value: the next argument is an option, or there is none.
    fn is_nothing(&mut self) -> bool {
        let is_option = |next: &OsString| next.as_bytes().starts_with(b"-");
        self.attached.is_empty() && !self.is_given && self.next.peek().is_none_or(is_option)
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
    /// Refuses `-s example.org` where `-s` takes no value, if it does elsewhere.
    fn refuse_value(&mut self, before: Option<u8>, argument: &OsStr) {
        let Some(letter) = before else { return };
        let known = who_knows(letter, true);
        if !known.is_empty() {
            self.refusals.push(format!(
                "-{} takes no value here, and nothing is known of \"{}\"; it takes one with {}",
                char::from(letter).escape_default(),
                argument.as_bytes().escape_ascii(),
                alternatives(&known)
            ));
        }
    }

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
                        let known = who_knows(*letter, false);
                        if !known.is_empty() {
                            let letter = char::from(*letter);
                            let known = alternatives(&known);
                            self.refusals.push(format!(
                                "there is no option -{letter} here; it is one with {known}"
                            ));
                        }
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

    /// `--name` or `--name=value`, or an unambiguous beginning of it; false if nobody knows it.
    fn long(
        &mut self,
        family: &Family,
        written: &[u8],
        next: &mut Peekable<IntoIter<OsString>>,
    ) -> bool {
        let mut parts = written.splitn(2, |octet| *octet == b'=');
        let name = parts.next().and_then(|name| str::from_utf8(name).ok());
        let value = parts.next();
        let Some(name) = name else {
            return false;
        };
        let whole = match complete(name, family) {
            Completed::One(whole) => whole,
            Completed::None => return false,
            Completed::Several(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
                self.refusals.push(format!(
                    "--{name} is the beginning of several options: {}",
                    names.join(", ")
                ));
                return true;
            }
        };
        let Some((name, meaning)) = family.long.iter().find(|(known, _)| *known == whole) else {
            let mut argument = OsString::from(format!("--{whole}"));
            if let Some(value) = value {
                argument.push("=");
                argument.push(OsStr::from_bytes(value));
            }
            self.argv.push(argument);
            return true;
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
            Shape::PidFileOrInetd => {
                if followed.value_like(|text| text == b"NONE").is_some() {
                    self.ignored(name, "there is always a pid file, which is locked");
                } else if let Some(path) = followed.value_like(is_path) {
                    self.push("--pid-file=", Some(path));
                } else if followed.is_nothing() {
                    self.extend(&["--inetd"]);
                } else {
                    self.refusals.push(format!(
                        "{name} with a value is rsyslog's, and takes a path or NONE; alone it is --inetd"
                    ));
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
                Some(port) if is_port(port.as_encoded_bytes()) => self.refusals.push(format!(
                    "{name} {0} would rotate every file at {0} octets; to receive over UDP write -b :{0}, and a \
                     size with its unit, such as -r 10M:5",
                    port.to_string_lossy()
                )),
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

/// `--compat=a`, or `--compat=a, b or c`.
fn alternatives(families: &[&str]) -> String {
    match families {
        [] => String::new(),
        [only] => format!("--compat={only}"),
        [first @ .., last] => format!("--compat={} or {last}", first.join(", ")),
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

/// What older daemons take for the port to receive on, and no size that anyone wants: rsyslog's `-r514`.
fn is_port(text: &[u8]) -> bool {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.is_some_and(|port: u16| port > 0)
}

/// What is meant for a rotation: `SIZE`, `SIZE:COUNT` or `:COUNT`. Whether it is one is told later.
fn is_rotation(text: &[u8]) -> bool {
    matches!(text, [b':' | b'0'..=b'9', ..])
}
