//! The families of daemon whose command lines and configurations are read literally (`--compat`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::abbreviation::is_compat;

/// A family of syslog daemons.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// sysklogd 2.x, together with what FreeBSD adds where the two do not collide.
    #[default]
    Sysklogd,
    /// FreeBSD.
    Freebsd,
    /// OpenBSD.
    Openbsd,
    /// NetBSD.
    Netbsd,
    /// GNU inetutils.
    Inetutils,
    /// busybox.
    Busybox,
    /// sysklogd 1.x.
    Sysklogd1,
}

impl Dialect {
    /// All of them, with the names that `--compat` takes.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Sysklogd, "sysklogd"),
        (Self::Freebsd, "freebsd"),
        (Self::Openbsd, "openbsd"),
        (Self::Netbsd, "netbsd"),
        (Self::Inetutils, "inetutils"),
        (Self::Busybox, "busybox"),
        (Self::Sysklogd1, "sysklogd1"),
    ];

    /// The dialect that a command line chooses, or else the environment, or else the program's name, as in
    /// `syslogd.openbsd`. `None` if nobody does; what clap will refuse counts as nobody.
    ///
    /// # Errors
    /// The sentence about an environment that names no dialect.
    pub fn choose(
        argv: &[OsString],
        environment: Option<OsString>,
    ) -> Result<Option<Self>, String> {
        let (program, rest) = argv.split_first().unzip();
        let mut rest = rest.unwrap_or_default().iter();
        let mut chosen = None;
        while let Some(argument) = rest.next().filter(|argument| *argument != "--") {
            let mut parts = argument.as_bytes().splitn(2, |octet| *octet == b'=');
            let option = parts.next().unwrap_or_default();
            if is_compat(option) {
                let attached = parts.next().map(|name| OsStr::from_bytes(name).to_owned());
                chosen = attached.or_else(|| rest.next().cloned());
            }
        }
        let named = |name: &OsStr| name.to_str().and_then(Self::from_name);
        if let Some(name) = chosen {
            return Ok(named(&name));
        }
        if let Some(name) = environment.filter(|name| !name.is_empty()) {
            return named(&name).map(Some).ok_or_else(|| {
                let known = Self::ALL.map(|(_, name)| name).join(", ");
                format!(
                    "SYSLOGD_COMPAT={} names no family of daemons; these are known: {known}",
                    name.display()
                )
            });
        }
        let extension = program.and_then(|program| Path::new(program).extension());
        Ok(extension.and_then(named))
    }

    /// The dialect of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(dialect, _)| dialect)
    }

    /// The name that `--compat` takes.
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(dialect, _)| *dialect == self)
            .map_or("", |(_, name)| name)
    }

    /// Whether it is a BSD: later selectors replace earlier ones, and `|` starts a command.
    pub fn is_bsd(self) -> bool {
        match self {
            Self::Freebsd | Self::Openbsd | Self::Netbsd => true,
            Self::Sysklogd | Self::Inetutils | Self::Busybox | Self::Sysklogd1 => false,
        }
    }
}
