//! What was odd about a message: each flag feeds one counter of its input.

/// One oddity: either damage, or a leniency that we granted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Flag {
    /// `<` began something that is no PRI; all of it is text.
    BadPri = 0,
    /// PRI has a leading zero, which RFC 5424 6.2.1 forbids.
    PriLeadingZero,
    /// The header begins like RFC 5424 and is not; all after PRI is text.
    BadHeader,
    /// A VERSION other than 1, so that the header's layout is unknown.
    UnknownVersion,
    /// A TIMESTAMP in the right place and of the right shape, and no time that exists.
    BadTimestamp,
    /// A TIMESTAMP that its RFC forbids, and whose meaning is clear.
    TimestampLenient,
    /// More than six digits of a second: the rest was dropped.
    TimestampPrecisionTruncated,
    /// Second 60, read as the last microsecond of second 59.
    TimestampLeapClamped,
    /// STRUCTURED-DATA is malformed; it is part of MSG instead.
    BadSd,
    /// An SD-ID stands twice, which RFC 5424 6.3.2 forbids; both are kept.
    DuplicateSdId,
    /// An SD-NAME of more than 32 octets; it is kept.
    SdNameTooLong,
    /// A field longer than its RFC allows was cut to its limit.
    FieldTruncated,
    /// A BOM promised UTF-8, and MSG is not.
    BadUtf8,
    /// A space where RFC 3164 has none.
    LenientSpace,
    /// Something where the TAG belongs that is no TAG; it is text.
    BadTag,
}

impl Flag {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::BadPri,
        Self::PriLeadingZero,
        Self::BadHeader,
        Self::UnknownVersion,
        Self::BadTimestamp,
        Self::TimestampLenient,
        Self::TimestampPrecisionTruncated,
        Self::TimestampLeapClamped,
        Self::BadSd,
        Self::DuplicateSdId,
        Self::SdNameTooLong,
        Self::FieldTruncated,
        Self::BadUtf8,
        Self::LenientSpace,
        Self::BadTag,
    ];

    /// The name of its counter.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadPri => "bad_pri",
            Self::PriLeadingZero => "pri_leading_zero",
            Self::BadHeader => "bad_header",
            Self::UnknownVersion => "unknown_version",
            Self::BadTimestamp => "bad_timestamp",
            Self::TimestampLenient => "timestamp_lenient",
            Self::TimestampPrecisionTruncated => "timestamp_precision_truncated",
            Self::TimestampLeapClamped => "timestamp_leap_clamped",
            Self::BadSd => "bad_sd",
            Self::DuplicateSdId => "duplicate_sd_id",
            Self::SdNameTooLong => "sd_name_too_long",
            Self::FieldTruncated => "field_truncated",
            Self::BadUtf8 => "bad_utf8",
            Self::LenientSpace => "lenient_space",
            Self::BadTag => "bad_tag",
        }
    }

    fn bit(self) -> u16 {
        1_u16.wrapping_shl(self as u32)
    }
}

/// A set of flags, in two octets.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const EMPTY: Self = Self(0);

    /// One flag, if it is `set`.
    pub(super) fn of(flag: Flag, set: bool) -> Self {
        Self(if set { flag.bit() } else { 0 })
    }

    pub(super) fn insert(&mut self, flag: Flag) {
        self.0 |= flag.bit();
    }

    pub(super) fn extend(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    /// Whether the flag is set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Whether nothing was odd: the usual case, so ask this first.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags that are set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}
