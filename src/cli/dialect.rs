//! The families of daemon whose command lines and configurations are read literally (`--compat`).

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
