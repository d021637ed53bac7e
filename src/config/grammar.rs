//! What the families of daemon read differently, each difference as one question.
//!
//! The default is sysklogd's language together with what FreeBSD adds where the two do not collide.

use crate::cli::Dialect;
use crate::pri::Facility;

/// How a configuration is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoadOptions {
    /// Whose language it is.
    pub dialect: Dialect,
    /// `mail.info` takes info alone, as if it were `mail.=info` (FreeBSD's `-u`).
    pub exact: bool,
}

impl From<Dialect> for LoadOptions {
    fn from(dialect: Dialect) -> Self {
        Self {
            dialect,
            exact: false,
        }
    }
}

/// How the parts of a selector work together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Algebra {
    /// Each part adds to a set, or takes from it.
    Linux,
    /// Each part replaces what was said of its facilities before.
    Bsd,
}

impl Algebra {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Linux => Self::Bsd,
            Self::Bsd => Self::Linux,
        }
    }
}

/// What may stand between the dot and the name of a priority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operators {
    /// Nothing, and no number for a name (OpenBSD).
    None,
    /// `!` and `=`.
    Equal,
    /// `!`, and any of `<`, `=`, `>`.
    Compare,
}

/// Where a comment may begin in a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comments {
    /// After a blank.
    AfterBlank,
    /// Anywhere; `\#` is a `#` (FreeBSD).
    Anywhere,
    /// Nowhere: it would be part of a file's name, which nobody means.
    Nowhere,
}

/// What else sysklogd 2 calls a facility.
pub(super) const FACILITY_ALIASES: [(&str, Facility); 3] = [
    ("audit", Facility::Security),
    ("cron2", Facility::Clock),
    ("cron_sol", Facility::Clock),
];

impl LoadOptions {
    pub(super) fn algebra(self) -> Algebra {
        if self.dialect.is_bsd() {
            Algebra::Bsd
        } else {
            Algebra::Linux
        }
    }

    pub(super) fn operators(self) -> Operators {
        match self.dialect {
            Dialect::Sysklogd | Dialect::Freebsd | Dialect::Netbsd => Operators::Compare,
            Dialect::Inetutils | Dialect::Busybox | Dialect::Sysklogd1 => Operators::Equal,
            Dialect::Openbsd => Operators::None,
        }
    }

    /// Whether `*` takes our own marks, too.
    pub(super) fn star_takes_marks(self) -> bool {
        !self.dialect.is_bsd()
    }

    /// Whether `@[host]` is a host that is reached with TLS, and not an address of IPv6.
    pub(super) fn brackets_mean_tls(self) -> bool {
        self.dialect == Dialect::Netbsd
    }

    /// Whether a backslash at its end continues a line.
    pub(super) fn continues_lines(self) -> bool {
        !self.dialect.is_bsd()
    }

    /// Whether a rule may begin with blanks.
    pub(super) fn indents_rules(self) -> bool {
        !self.dialect.is_bsd()
    }

    pub(super) fn comments(self) -> Comments {
        match self.dialect {
            Dialect::Sysklogd | Dialect::Busybox | Dialect::Sysklogd1 => Comments::AfterBlank,
            Dialect::Freebsd => Comments::Anywhere,
            Dialect::Openbsd | Dialect::Netbsd | Dialect::Inetutils => Comments::Nowhere,
        }
    }

    /// The characters that make a block of a line that begins with `#`.
    pub(super) fn hidden_blocks(self) -> &'static [char] {
        match self.dialect {
            Dialect::Sysklogd | Dialect::Freebsd => &['!', '+', '-', ':'],
            Dialect::Netbsd => &['!', '+', '-'],
            Dialect::Inetutils => &['!'],
            Dialect::Openbsd | Dialect::Busybox | Dialect::Sysklogd1 => &[],
        }
    }

    /// Whether names in blocks are patterns, and `!!` and `++` begin quick blocks (OpenBSD).
    pub(super) fn has_quick_blocks(self) -> bool {
        self.dialect == Dialect::Openbsd
    }

    /// Whether two rules for one target become one (OpenBSD).
    pub(super) fn merges_rules(self) -> bool {
        self.dialect == Dialect::Openbsd
    }

    /// Whether `|` starts a command instead of naming a FIFO.
    pub(super) fn pipes_to_commands(self) -> bool {
        self.dialect.is_bsd()
    }

    /// The facility of a name in lower case.
    pub(super) fn facility(self, name: &str) -> Option<Facility> {
        let number_12_to_15 = match self.dialect {
            Dialect::Sysklogd => {
                let own = Facility::ALL.map(|facility| (facility.name(), facility));
                let mut all = own.iter().chain(&FACILITY_ALIASES);
                all.find(|(known, _)| *known == name)
                    .map(|(_, facility)| *facility)
            }
            Dialect::Freebsd => match name {
                "security" => Some(Facility::Security),
                "ntp" => Some(Facility::Ntp),
                "console" => Some(Facility::Console),
                _ => None,
            },
            Dialect::Inetutils | Dialect::Busybox | Dialect::Sysklogd1 => match name {
                "security" => Some(Facility::Auth),
                _ => None,
            },
            Dialect::Openbsd | Dialect::Netbsd => None,
        };
        let mut common = Facility::ALL
            .into_iter()
            .filter(|facility| !(Facility::Ntp..=Facility::Clock).contains(facility));
        number_12_to_15.or_else(|| common.find(|facility| facility.name() == name))
    }

    /// The names of the facilities, for a guess at what was meant.
    pub(super) fn facility_names(self) -> impl Iterator<Item = &'static str> {
        let all = Facility::ALL.into_iter().map(Facility::name);
        all.filter(move |name| self.facility(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_1_each_family_has_its_facilities() {
        use Dialect::{Freebsd, Inetutils, Netbsd, Openbsd, Sysklogd};
        for (dialect, name, want) in [
            (Sysklogd, "security", Some(13)),
            (Sysklogd, "audit", Some(13)),
            (Sysklogd, "cron_sol", Some(15)),
            (Freebsd, "security", Some(13)),
            (Freebsd, "ntp", Some(12)),
            (Freebsd, "console", Some(14)),
            (Freebsd, "audit", None),
            (Freebsd, "clock", None),
            (Inetutils, "security", Some(4)),
            (Inetutils, "ntp", None),
            (Openbsd, "security", None),
            (Openbsd, "console", None),
            (Netbsd, "ntp", None),
            (Netbsd, "local7", Some(23)),
            (Openbsd, "ftp", Some(11)),
        ] {
            let got = LoadOptions::from(dialect).facility(name);
            let number = got.map(|facility| facility as u8);
            assert_eq!(number, want, "{dialect:?} {name}");
        }
    }
}
