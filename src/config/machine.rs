//! Warnings for `--check` alone: what a look at this machine, and at other families, shows.
//!
//! Nothing of this is a mistake of the language: a directory may be made, a user added, before the start.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::unistd::{Group, User};

use super::diagnostic::{Diagnostic, Severity};
use super::load::Loaded;
use super::readers::has_reader;
use super::{Destination, ListenDecl, OutputSettings, Span};

/// What other families would read differently, addresses that are named twice, and what is not there: users
/// and groups, directories, FIFOs and those who read them. Asks the user database, which may block.
pub fn warnings_for_check(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut warnings = loaded.suspicions.clone();
    warnings.extend(listened_twice(&loaded.config.listens));
    let (mut told, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for rule in &loaded.config.rules {
        // All rules of a destination have one set of settings.
        if !seen.insert(&rule.destination) {
            continue;
        }
        let found = match &rule.destination {
            // The daemon has them open already, whatever they are.
            Destination::File(path) if OPEN.iter().any(|open| path == Path::new(open)) => None,
            Destination::File(path) => missing_directory(path, &mut told)
                .or_else(|| no_file(path))
                .or_else(|| no_device(path)),
            Destination::Fifo(path) => missing_directory(path, &mut told).or_else(|| no_fifo(path)),
            Destination::Users(users) => unknown_user(users.iter()),
            Destination::Terminal(path) => no_terminal(path),
            Destination::Command(_)
            | Destination::Everyone
            | Destination::Forward(_)
            | Destination::Memory(_) => None,
        };
        let found = found.into_iter().chain(unknown_owners(&rule.settings));
        warnings.extend(found.map(|found| found.at(rule.action_span)));
    }
    warnings
}

/// The names of descriptors.
const OPEN: [&str; 2] = ["/dev/stdout", "/dev/stderr"];

/// A warning without its place.
struct Found {
    code: &'static str,
    message: String,
    help: String,
}

impl Found {
    fn at(self, span: Span) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            code: self.code,
            message: self.message,
            span,
            help: Some(self.help),
            secondary: Vec::new(),
        }
    }
}

/// The warning about a directory that is not there; it is given once.
fn missing_directory<'a>(path: &'a Path, told: &mut BTreeSet<&'a Path>) -> Option<Found> {
    let directory = path.parent().filter(|directory| !directory.is_dir())?;
    let shown = directory.display();
    told.insert(directory).then(|| Found {
        code: "W006",
        message: format!("directory {shown} does not exist"),
        help: format!("run mkdir -p {shown}"),
    })
}

/// A path that is there, and can be no log file.
fn no_file(path: &Path) -> Option<Found> {
    let kind = path.metadata().ok()?.file_type();
    let shown = path.display();
    let (what, help) = if kind.is_dir() {
        ("a directory", format!("name a file in it, {shown}/NAME"))
    } else if kind.is_fifo() {
        ("a FIFO", format!("write |{shown}"))
    } else if kind.is_socket() {
        let help = "name a file; a daemon that listens on a socket is reached with @host";
        ("a socket", help.to_owned())
    } else {
        return None;
    };
    Some(Found {
        code: "W019",
        message: format!("{shown} is {what}, and cannot be logged to"),
        help,
    })
}

/// What is meant to be a device, and is not there: it becomes a file.
fn no_device(path: &Path) -> Option<Found> {
    if path.parent() != Some(Path::new("/dev")) || path.exists() {
        return None;
    }
    let shown = path.display();
    Some(Found {
        code: "W024",
        message: format!("{shown} does not exist: a file of this name will be made in /dev"),
        help: format!("write |{shown} for a FIFO, or name a file in /var/log"),
    })
}

/// A terminal that is not there.
fn no_terminal(path: &Path) -> Option<Found> {
    let missing = matches!(path.try_exists(), Ok(false));
    let shown = path.display();
    missing.then(|| Found {
        code: "W024",
        message: format!(
            "terminal {shown} does not exist: its messages wait, and are dropped in the end"
        ),
        help: "name one that is in /dev, or remove the rule".to_owned(),
    })
}

fn no_fifo(path: &Path) -> Option<Found> {
    let shown = path.display();
    let kind = path.metadata().map(|metadata| metadata.file_type());
    let (message, help) = match kind.as_ref().map(FileType::is_fifo) {
        Err(_) => (
            format!("FIFO {shown} does not exist"),
            format!("run mkfifo -m 600 {shown}, or remove the rule"),
        ),
        Ok(false) => (
            format!("{shown} is no FIFO"),
            "\"|\" is for a FIFO made by mkfifo(1); leave it out for a file".to_owned(),
        ),
        Ok(true) if has_reader(path) => return None,
        Ok(true) => (
            format!("nobody reads FIFO {shown}"),
            "what does not fit into it is dropped and counted".to_owned(),
        ),
    };
    Some(Found {
        code: "W015",
        message,
        help,
    })
}

/// The first user to write to whom the user database does not know; none if it cannot be asked.
fn unknown_user<'a>(mut users: impl Iterator<Item = &'a String>) -> Option<Found> {
    // What looks like a path was told as such.
    let unknown =
        users.find(|user| !user.contains('/') && matches!(User::from_name(user), Ok(None)))?;
    Some(Found {
        code: "W018",
        message: format!("user {unknown} is unknown on this machine"),
        help: "a name is a user who is written to; a file begins with /, a host with @".to_owned(),
    })
}

/// `owner=` and `group=` that this machine does not know.
fn unknown_owners(settings: &OutputSettings) -> impl Iterator<Item = Found> {
    let is_missing_user = |name: &&String| matches!(User::from_name(name), Ok(None));
    let is_missing_group = |name: &&String| matches!(Group::from_name(name), Ok(None));
    let owner = settings.owner.as_ref().filter(is_missing_user);
    let group = settings.group.as_ref().filter(is_missing_group);
    let found = |kind: &str, option: &str, name: &String| Found {
        code: "W018",
        message: format!("{kind} {name} is unknown on this machine"),
        help: format!("add it, or correct {option}=: a new file gets the {kind} of the daemon"),
    };
    let owner = owner.map(|name| found("user", "owner", name));
    owner
        .into_iter()
        .chain(group.map(|name| found("group", "group", name)))
}

/// Each address that an earlier `listen` has named already; a second one changes nothing.
fn listened_twice(listens: &[ListenDecl]) -> impl Iterator<Item = Diagnostic> {
    let mut told = BTreeSet::new();
    listens
        .iter()
        .enumerate()
        .filter_map(move |(index, listen)| {
            let mut earlier = listens.iter().take(index);
            let first = earlier.find(|first| first.address == listen.address)?;
            // One word can ask for the wildcards of both families.
            if first.span == listen.span || !told.insert((listen.span.file, listen.span.start)) {
                return None;
            }
            let found = Found {
                code: "W020",
                message: format!("{} is listened on already", listen.address),
                help: "one of the two lines is enough".to_owned(),
            };
            Some(Diagnostic {
                secondary: vec![(first.span, "here".to_owned())],
                ..found.at(listen.span)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_str;

    fn told(text: &str) -> Vec<(&'static str, String)> {
        let found = warnings_for_check(&parse_str("t", text));
        found
            .into_iter()
            .map(|found| (found.code, found.message))
            .collect()
    }

    #[test]
    fn what_is_not_on_this_machine_is_named_once() {
        let rules = "mail.* /tmp/x;owner=nobody-here\nnews.* /tmp/x\n\
                     kern.* /tmp/y;group=none-such,owner=root\nuser.* root,nobody-here\n";
        let want = [
            ("W018", "user nobody-here is unknown on this machine"),
            ("W018", "group none-such is unknown on this machine"),
            ("W018", "user nobody-here is unknown on this machine"),
        ];
        assert_eq!(told(rules), want.map(|(code, text)| (code, text.into())));
        let known = "mail.* /tmp/x;owner=root,group=root\nuser.* root\nuser.* var/log/x";
        assert_eq!(told(known), []);
    }

    #[test]
    fn a_target_that_is_no_file_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let inner = path("inner");
        std::fs::create_dir(&inner).expect("it is new");
        let fifo = path("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let socket = path("socket");
        let _bound = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
        for (path, want) in [
            (inner, "a directory"),
            (fifo, "a FIFO"),
            (socket, "a socket"),
        ] {
            let shown = path.display();
            let want = format!("{shown} is {want}, and cannot be logged to");
            assert_eq!(told(&format!("*.* {shown}")), [("W019", want)]);
        }
        assert_eq!(told("*.* /dev/null"), []);
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_what_will_happen() {
        for (device, want) in [
            ("/dev/no-such-console", "a file of this name will be made"),
            ("/dev/ttyNOSUCH", "its messages wait"),
        ] {
            let found = told(&format!("*.* {device}"));
            let [(code, message)] = &found[..] else {
                panic!("{device}: {found:?}");
            };
            assert_eq!(*code, "W024");
            assert!(
                message.contains(device) && message.contains(want),
                "{message}"
            );
        }
        assert_eq!(told("*.* /dev/stdout"), []);
    }

    #[test]
    fn an_address_that_is_named_twice_is_told_where() {
        let text =
            "listen udp://:5514\nlisten udp://0.0.0.0:5514\nlisten udp://:5515\nlisten tcp://:5514";
        let want = "udp://0.0.0.0:5514 is listened on already".to_owned();
        assert_eq!(told(text), [("W020", want)]);
        // Both families of one word, told once.
        assert_eq!(told("listen udp://:1\nlisten udp://:1").len(), 1);
    }
}
