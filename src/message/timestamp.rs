//! TIMESTAMP, both kinds: RFC 3339 (RFC 5424 6.2.3) and BSD (RFC 3164 4.1.2).

/// When a message says it was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Timestamp {
    /// A point in time, written with its offset from UTC.
    Instant {
        /// Seconds since 1970-01-01T00:00:00Z, negative before.
        seconds: i64,
        /// Microseconds within the second, 0 to 999,999.
        micros: u32,
        /// The offset it was written with, in seconds east of UTC.
        offset: i32,
    },
    /// A reading of the originator's clock, without a zone.
    Civil(Civil),
}

/// A date and time without a zone; each field in range, and the day exists in its month.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Civil {
    /// The year, where the message has one: RFC 3164 leaves it out.
    pub year: Option<u16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
}
