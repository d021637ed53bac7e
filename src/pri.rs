//! PRI: what kind of program speaks, and how urgent it is.
//!
//! ```text
//! <165>   =  20 × 8 + 5   =  local4.notice          (RFC 5424 6.2.1)
//! ```
//!
//! A [`PriSet`] is a selector of syslog.conf(5) after compilation: `*.info;mail.none` is 24 octets.

/// The kind of program that speaks (RFC 5424 table 1, names as in syslog.conf(5)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are the documentation: RFC 5424 table 1"
)]
pub enum Facility {
    Kern = 0,
    User,
    Mail,
    Daemon,
    Auth,
    Syslog,
    Lpr,
    News,
    Uucp,
    Cron,
    Authpriv,
    Ftp,
    Ntp,
    Security,
    Console,
    Clock,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// How urgent a message is: 0 is the most urgent (RFC 5424 table 2).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are the documentation: RFC 5424 table 2"
)]
pub enum Severity {
    Emergency = 0,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

impl Facility {
    /// How many there are.
    pub const COUNT: usize = 24;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Kern,
        Self::User,
        Self::Mail,
        Self::Daemon,
        Self::Auth,
        Self::Syslog,
        Self::Lpr,
        Self::News,
        Self::Uucp,
        Self::Cron,
        Self::Authpriv,
        Self::Ftp,
        Self::Ntp,
        Self::Security,
        Self::Console,
        Self::Clock,
        Self::Local0,
        Self::Local1,
        Self::Local2,
        Self::Local3,
        Self::Local4,
        Self::Local5,
        Self::Local6,
        Self::Local7,
    ];

    /// The name that syslog.conf(5) and logger(1) use.
    pub fn name(self) -> &'static str {
        FACILITY_NAMES[self as usize]
    }
}

impl Severity {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, most urgent first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The name that syslog.conf(5) and logger(1) use.
    pub fn name(self) -> &'static str {
        SEVERITY_NAMES[self as usize]
    }

    /// The bit of this severity in a mask.
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The bits of this severity and of everything more urgent.
    const fn bits_up_to(self) -> u8 {
        u8::MAX >> (7 - self as u8)
    }
}

const FACILITY_NAMES: [&str; Facility::COUNT] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const SEVERITY_NAMES: [&str; Severity::COUNT] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// A PRI: facility × 8 + severity, 0 to 191 by construction.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pri(u8);

impl Pri {
    /// How many there are.
    pub const COUNT: usize = Facility::COUNT * Severity::COUNT;

    /// `local7.debug`.
    const LAST: u8 = 191;

    /// `user.notice`, which a message without a PRI gets (RFC 3164 4.3.3).
    pub const DEFAULT: Self = Self::of(Facility::User, Severity::Notice);

    /// The PRI with this number; `None` above 191.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= Self::LAST {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The PRI of a facility and a severity.
    pub const fn of(facility: Facility, severity: Severity) -> Self {
        Self((facility as u8) << 3 | severity as u8)
    }

    /// The number, 0 to 191.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The kind of program.
    pub const fn facility(self) -> Facility {
        Facility::ALL[(self.0 >> 3) as usize]
    }

    /// The urgency.
    pub const fn severity(self) -> Severity {
        Severity::ALL[(self.0 & 7) as usize]
    }

    /// Every PRI, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::LAST).map(Self)
    }
}

/// A selector, compiled: the PRIs it accepts, as one severity bitmap for each facility.
///
/// 192 bits in 24 octets, so that asking costs one shift, and `;`, `,`, `*`, `=`, `!` and `none` are
/// all plain bit operations, applied from left to right as the Linux daemons always have.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PriSet([u8; Facility::COUNT]);

impl PriSet {
    /// No PRI at all.
    pub const EMPTY: Self = Self([0; Facility::COUNT]);

    /// Every PRI: the meaning of `*.*`.
    pub const FULL: Self = Self([u8::MAX; Facility::COUNT]);

    /// Adds `severity` and everything more urgent: `mail.info`.
    pub fn insert_from(&mut self, facility: Facility, severity: Severity) {
        self.0[facility as usize] |= severity.bits_up_to();
    }

    /// Adds one severity: `mail.=info`.
    pub fn insert(&mut self, facility: Facility, severity: Severity) {
        self.0[facility as usize] |= severity.bit();
    }

    /// Takes `severity` and everything more urgent away: `mail.!info`.
    pub fn remove_from(&mut self, facility: Facility, severity: Severity) {
        self.0[facility as usize] &= !severity.bits_up_to();
    }

    /// Takes one severity away: `mail.!=info`.
    pub fn remove(&mut self, facility: Facility, severity: Severity) {
        self.0[facility as usize] &= !severity.bit();
    }

    /// Adds every severity of a facility: `mail.*`.
    pub fn fill(&mut self, facility: Facility) {
        self.0[facility as usize] = u8::MAX;
    }

    /// Forgets a facility: `mail.none`.
    pub fn clear(&mut self, facility: Facility) {
        self.0[facility as usize] = 0;
    }

    /// Replaces what is said of each facility that `later` takes anything of.
    pub fn overlay(&mut self, later: &Self) {
        for (severities, over) in self.0.iter_mut().zip(later.0) {
            if over != 0 {
                *severities = over;
            }
        }
    }

    /// Whether this PRI is selected.
    pub fn contains(&self, pri: Pri) -> bool {
        self.0[usize::from(pri.0 >> 3)] & (1 << (pri.0 & 7)) != 0
    }

    /// Whether no PRI is selected, so that the rule can never match.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// The selected PRIs, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Pri> + '_ {
        Pri::all().filter(|pri| self.contains(*pri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5424_6_2_1_pri_is_facility_times_8_plus_severity() {
        for (value, name) in [
            (0, "kern.emerg"),
            (13, "user.notice"),
            (165, "local4.notice"),
            (191, "local7.debug"),
        ] {
            let pri = Pri::new(value).expect("in range");
            assert_eq!(
                format!("{}.{}", pri.facility().name(), pri.severity().name()),
                name
            );
            assert_eq!(Pri::of(pri.facility(), pri.severity()), pri);
            assert_eq!(pri.value(), value);
        }
        assert_eq!(Pri::new(192), None, "one past the last facility");
        assert_eq!(Pri::all().count(), 192);
    }

    #[test]
    fn a_set_changes_only_the_severities_that_the_operator_names() {
        use Severity::*;
        let mail = Facility::Mail;
        let set = |change: &dyn Fn(&mut PriSet)| {
            let mut set = PriSet::EMPTY;
            change(&mut set);
            set
        };
        let all = |change: &dyn Fn(&mut PriSet)| {
            set(&|set| {
                set.fill(mail);
                change(set);
            })
        };
        let up_to_crit = set(&|set| {
            set.insert_from(mail, Critical);
            set.remove(mail, Alert);
        });
        let cases: [(&str, PriSet, &[Severity]); 6] = [
            (
                "mail.err",
                set(&|s| s.insert_from(mail, Error)),
                &[Emergency, Alert, Critical, Error],
            ),
            ("mail.=err", set(&|s| s.insert(mail, Error)), &[Error]),
            (
                "mail.*;mail.!info",
                all(&|s| s.remove_from(mail, Informational)),
                &[Debug],
            ),
            ("mail.crit;mail.!=alert", up_to_crit, &[Emergency, Critical]),
            ("mail.*;mail.none", all(&|s| s.clear(mail)), &[]),
            (
                "mail.debug",
                set(&|s| s.insert_from(mail, Debug)),
                &Severity::ALL,
            ),
        ];
        for (selector, set, want) in cases {
            let got: Vec<Severity> = set.iter().map(Pri::severity).collect();
            assert_eq!(got, want, "{selector}");
            assert!(
                set.iter().all(|pri| pri.facility() == Facility::Mail),
                "{selector}"
            );
        }
        assert!(PriSet::EMPTY.is_empty());
        assert_eq!(PriSet::FULL.iter().count(), Pri::COUNT);
    }
}
