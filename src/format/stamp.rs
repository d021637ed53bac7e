//! Timestamps as octets: a message changes no more of the last one than is different.
//!
//! ```text
//! message ─► its own time, or that of reception ─► offset of the style ─► face: date, clock, fraction
//! ```
//!
//! Messages come in runs of the same day, mostly of the same second. The zone is asked, which reads a
//! clock and takes 60 ns, once for each second of reception and each minute in the messages.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, Local, MappedLocalTime, Offset, TimeZone};

use crate::message::{Civil, Message, Moment, Timestamp};

/// Reception time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Microseconds within the second, 0 to 999,999.
    pub micros: u32,
}

impl Received {
    /// The time now: one clock read.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }
}

impl From<SystemTime> for Received {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 is a broken one; the epoch keeps the order of magnitude honest.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            micros: since.subsec_micros(),
        }
    }
}

impl Received {
    /// How much later this is than `earlier`; zero if the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = (self.seconds - earlier.seconds) * 1_000_000 + i64::from(self.micros)
            - i64::from(earlier.micros);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// `Mmm dd hh:mm:ss ` in local time, for lines that we add on our own.
pub fn bsd_stamp(at: SystemTime) -> String {
    stamp_at(at, Style::Bsd)
}

/// `yyyy-mm-ddThh:mm:ss.uuuuuu±hh:mm ` in local time, for lines that we add on our own.
pub fn rfc3339_stamp(at: SystemTime) -> String {
    stamp_at(at, Style::Rfc3339)
}

/// `yyyy-mm-ddThh:mm:ss.mmmZ `, for lines that we add on our own.
pub fn utc_stamp(at: SystemTime) -> String {
    stamp_at(at, Style::Utc)
}

fn stamp_at(at: SystemTime, style: Style) -> String {
    let mut stamps = Stamps::default();
    String::from_utf8_lossy(stamps.received(at.into(), style)).into_owned()
}

/// How a timestamp is written; each has a space behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    /// `Mmm dd hh:mm:ss `, in local time or as the sender wrote it.
    Bsd,
    /// `yyyy-mm-ddThh:mm:ss.uuuuuu±hh:mm `, with the sender's offset if it gave one.
    Rfc3339,
    /// `yyyy-mm-ddThh:mm:ss.mmmZ `.
    Utc,
}

/// The last timestamps: of reception and of a message, each in the clocks that it was shown in.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    zone: Zone,
    received: Faces,
    sent: Faces,
    guess: Option<Guess>,
}

/// A clock of our zone, one of the sender's zone, and one of UTC. Our own zone is that of the sender where
/// it named none, and each has its own face so that messages of both kinds can take turns.
#[derive(Debug, Default)]
struct Faces {
    local: Face,
    offset: Face,
    utc: Face,
}

/// What a time without a zone was taken for, by a message of the same second.
#[derive(Clone, Copy, Debug)]
struct Guess {
    reading: Civil,
    received: i64,
    moment: Moment,
}

impl Stamps {
    /// Reception time.
    pub(super) fn received(&mut self, at: Received, style: Style) -> &[u8] {
        let offset = match style {
            Style::Bsd | Style::Rfc3339 => self.zone.offset(at.seconds, at.seconds),
            Style::Utc => 0,
        };
        let Received { seconds, micros } = at;
        let moment = Moment {
            seconds,
            micros,
            offset,
        };
        self.received.show(moment, style)
    }

    /// The message's own time, or else that of reception.
    pub(super) fn of(&mut self, message: &Message<'_>, received: Received, style: Style) -> &[u8] {
        let moment = match (message.timestamp(), style) {
            (None, _) => return self.received(received, style),
            // As its sender wrote it, whatever zone and year that meant.
            (Some(Timestamp::Civil(civil)), Style::Bsd) => {
                return self.sent.local.show(civil).bsd();
            }
            (Some(timestamp @ Timestamp::Civil(reading)), Style::Rfc3339 | Style::Utc) => {
                self.moment_of(timestamp, reading, received.seconds)
            }
            (
                Some(Timestamp::Instant {
                    seconds,
                    micros,
                    offset,
                }),
                _,
            ) => Moment {
                seconds,
                micros,
                offset: match style {
                    Style::Bsd => self.zone.offset(seconds, received.seconds),
                    Style::Rfc3339 | Style::Utc => offset,
                },
            },
        };
        self.sent.show(moment, style)
    }

    /// A reading of a clock without a zone is taken for one of ours.
    fn moment_of(&mut self, timestamp: Timestamp, reading: Civil, received: i64) -> Moment {
        if let Some(guess) = self.guess
            && guess.received == received
            && same_second(guess.reading, reading)
        {
            return Moment {
                micros: reading.micros,
                ..guess.moment
            };
        }
        let now = Moment {
            seconds: received,
            micros: 0,
            offset: self.zone.offset(received, received),
        };
        let moment = timestamp.resolve(now.civil(), local_offset);
        self.guess = Some(Guess {
            reading,
            received,
            moment,
        });
        moment
    }
}

fn same_second(one: Civil, other: Civil) -> bool {
    Civil { micros: 0, ..one } == Civil { micros: 0, ..other }
}

impl Faces {
    fn show(&mut self, moment: Moment, style: Style) -> &[u8] {
        let local = moment.seconds.saturating_add(moment.offset.into());
        match style {
            Style::Bsd => self.local.show_second(local).bsd(),
            Style::Rfc3339 => {
                let face = self.offset.show_second(local);
                face.rfc3339(moment.micros, moment.offset)
            }
            Style::Utc => self.utc.show_second(moment.seconds).utc(moment.micros),
        }
    }
}

/// Our zone's offset from UTC, as it was last asked for.
#[derive(Debug, Default)]
struct Zone {
    known: Option<(i64, i64)>,
    offset: i32,
}

/// No zone has changed its offset within a minute since 1973, in seconds since 1970. Within a quarter of an hour
/// some have: Newfoundland changed at one minute past midnight until 2011.
const TIDY: i64 = 3 * 365 * 86_400;

impl Zone {
    /// Seconds east of UTC at a point in time; both in seconds since 1970. The zone itself may become
    /// another one (TZ, `/etc/localtime`): what is known holds for a second of reception.
    fn offset(&mut self, seconds: i64, received: i64) -> i32 {
        let period = if seconds < TIDY { 1 } else { 60 };
        let key = Some((received, seconds.div_euclid(period)));
        if self.known != key {
            let utc = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            self.offset = utc.with_timezone(&Local).offset().fix().local_minus_utc();
            self.known = key;
        }
        self.offset
    }
}

/// `Mmm dd hh:mm:ss ` has this many octets.
const BSD: usize = 16;

/// `yyyy-mm-ddThh:mm:ss.uuuuuu±hh:mm ` has this many octets.
const RFC3339: usize = 33;

/// `yyyy-mm-ddThh:mm:ss.mmmZ ` has this many octets.
const UTC: usize = 25;

/// The face of a clock: a date and a time of day, in all writings.
#[derive(Debug)]
struct Face {
    /// The second that is shown, if it was one of those that [`Face::show_second`] takes.
    second: Option<i64>,
    date: (u16, u8, u8),
    clock: (u8, u8, u8),
    micros: u32,
    offset: i32,
    bsd: [u8; BSD],
    /// RFC 3339 with an offset, or as far as the milliseconds and `Z `.
    long: [u8; RFC3339],
}

impl Default for Face {
    fn default() -> Self {
        let mut face = Self {
            second: None,
            date: (0, 0, 0),
            clock: (0, 0, 0),
            micros: 0,
            offset: 0,
            bsd: *b"Jan  0 00:00:00 ",
            long: *b"0000-00-00T00:00:00.000000+00:00 ",
        };
        face.show_second(0);
        face
    }
}

impl Face {
    /// Shows a second since 1970-01-01T00:00:00 on the same clock. The years 0 to 9999 can be shown.
    fn show_second(&mut self, second: i64) -> &mut Self {
        if self.second == Some(second) {
            return self;
        }
        let moment = Moment {
            seconds: second,
            micros: 0,
            offset: 0,
        };
        self.show(moment.civil());
        self.second = Some(second);
        self
    }

    fn show(&mut self, civil: Civil) -> &mut Self {
        self.second = None;
        let date = (civil.year.unwrap_or(0).min(9999), civil.month, civil.day);
        if self.date != date {
            self.date = date;
            let (year, month, day) = date;
            self.bsd[..3].copy_from_slice(month_name(month));
            self.bsd[4..6].copy_from_slice(&two(day));
            if self.bsd[4] == b'0' {
                self.bsd[4] = b' ';
            }
            put(&mut self.long[0..4], year.into());
            self.long[5..7].copy_from_slice(&two(month));
            self.long[8..10].copy_from_slice(&two(day));
        }
        let clock = (civil.hour, civil.minute, civil.second);
        if self.clock != clock {
            self.clock = clock;
            let (hour, minute, second) = (two(clock.0), two(clock.1), two(clock.2));
            self.bsd[7..9].copy_from_slice(&hour);
            self.bsd[10..12].copy_from_slice(&minute);
            self.bsd[13..15].copy_from_slice(&second);
            self.long[11..13].copy_from_slice(&hour);
            self.long[14..16].copy_from_slice(&minute);
            self.long[17..19].copy_from_slice(&second);
        }
        self
    }

    fn bsd(&self) -> &[u8] {
        &self.bsd
    }

    fn rfc3339(&mut self, micros: u32, offset: i32) -> &[u8] {
        if self.micros != micros {
            self.micros = micros;
            put(&mut self.long[20..26], micros);
        }
        if self.offset != offset {
            self.offset = offset;
            let minutes = offset.unsigned_abs() / 60;
            self.long[26] = if offset < 0 { b'-' } else { b'+' };
            put(&mut self.long[27..29], minutes / 60);
            put(&mut self.long[30..32], minutes % 60);
        }
        &self.long
    }

    fn utc(&mut self, micros: u32) -> &[u8] {
        put(&mut self.long[20..23], micros / 1000);
        self.long[23..UTC].copy_from_slice(b"Z ");
        &self.long[..UTC]
    }
}

fn month_name(month: u8) -> &'static [u8; 3] {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    MONTHS[usize::from(month.clamp(1, 12) - 1)]
}

/// Two digits; `value` is below 100.
fn two(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
}

/// Writes `value` in decimal, with zeros in front.
fn put(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// The offset of our zone when its clocks show this.
///
/// In the hour that a clock change repeats the first one is meant, which is the further east; in the hour
/// that it skips, the offset of UTC's hour of that name is as good as any.
fn local_offset(reading: Civil) -> i32 {
    let Some(reading) = DateTime::from_timestamp(reading.seconds(), 0) else {
        return 0;
    };
    let reading = reading.naive_utc();
    // chrono gives the two of a repeated hour in either order, so that `earliest` may be the second.
    let offset = match Local.offset_from_local_datetime(&reading) {
        MappedLocalTime::Single(offset) => offset,
        MappedLocalTime::Ambiguous(one, other) => {
            std::cmp::max_by_key(one, other, FixedOffset::local_minus_utc)
        }
        MappedLocalTime::None => Local.offset_from_utc_datetime(&reading),
    };
    offset.fix().local_minus_utc()
}
