//! Timestamps as octets, rendered once for a run of equal ones.
//!
//! chrono needs about 300 ns to render one; messages come in runs of the same second, so that almost
//! all of them take a comparison and a copy.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{
    DateTime, Datelike, FixedOffset, Local, MappedLocalTime, Offset, TimeZone, Timelike, Utc,
};

use crate::message::{Civil, Message, Timestamp};

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
    String::from_utf8_lossy(stamp_at(at).bsd()).into_owned()
}

/// `yyyy-mm-ddThh:mm:ss.uuuuuu±hh:mm ` in local time, for lines that we add on our own.
pub fn rfc3339_stamp(at: SystemTime) -> String {
    String::from_utf8_lossy(stamp_at(at).rfc3339()).into_owned()
}

/// `yyyy-mm-ddThh:mm:ss.mmmZ `, for lines that we add on our own.
pub fn utc_stamp(at: SystemTime) -> String {
    String::from_utf8_lossy(stamp_at(at).utc()).into_owned()
}

fn stamp_at(at: SystemTime) -> Stamp {
    let at = Received::from(at);
    let mut stamp = Stamp::default();
    stamp.render(local(at.seconds, at.micros));
    stamp
}

/// `Mmm dd hh:mm:ss ` has this many octets.
const BSD: usize = 16;

/// `2026-11-22T11:00:00.287161+00:00 ` has this many octets.
const RFC3339: usize = 33;

/// `2026-11-22T11:00:00.287Z ` has this many octets.
const UTC: usize = 25;

/// Where the milliseconds stand in it.
const MILLIS: std::ops::Range<usize> = 20..23;

/// Where the microseconds stand in it.
const MICROS: std::ops::Range<usize> = 20..26;

/// The longest timestamp whose octets are remembered; a longer one is rendered each time.
const REMEMBERED: usize = 40;

/// One timestamp, rendered in all styles, each with a space behind it.
#[derive(Debug, Default)]
pub(super) struct Stamp {
    bsd: [u8; BSD],
    rfc3339: Rfc3339,
    utc: [u8; UTC],
}

#[derive(Debug)]
struct Rfc3339([u8; RFC3339]);

impl Default for Rfc3339 {
    fn default() -> Self {
        Self([b' '; RFC3339])
    }
}

impl Stamp {
    /// `Mmm dd hh:mm:ss `.
    pub(super) fn bsd(&self) -> &[u8] {
        &self.bsd
    }

    /// `yyyy-mm-ddThh:mm:ss.uuuuuu±hh:mm `.
    pub(super) fn rfc3339(&self) -> &[u8] {
        &self.rfc3339.0
    }

    /// `yyyy-mm-ddThh:mm:ss.mmmZ `.
    pub(super) fn utc(&self) -> &[u8] {
        &self.utc
    }

    fn render(&mut self, at: DateTime<FixedOffset>) {
        let (date, time) = (at.date_naive(), at.time());
        let clock = [time.hour(), time.minute(), time.second()];
        let month = date.month0() as usize;
        self.bsd[..3].copy_from_slice(MONTHS[month]);
        self.bsd[3] = b' ';
        put(&mut self.bsd[4..6], date.day());
        if self.bsd[4] == b'0' {
            self.bsd[4] = b' ';
        }
        let long = &mut self.rfc3339.0;
        put(&mut long[0..4], date.year().clamp(0, 9999).unsigned_abs());
        put(&mut long[5..7], date.month());
        put(&mut long[8..10], date.day());
        long[4] = b'-';
        long[7] = b'-';
        long[10] = b'T';
        self.bsd[6] = b' ';
        for (index, part) in clock.into_iter().enumerate() {
            put(&mut self.bsd[7 + 3 * index..9 + 3 * index], part);
            put(&mut long[11 + 3 * index..13 + 3 * index], part);
            self.bsd[9 + 3 * index] = b':';
            long[13 + 3 * index] = b':';
        }
        self.bsd[15] = b' ';
        long[19] = b'.';
        put(&mut long[MICROS], time.nanosecond() / 1000);
        let offset = at.offset().local_minus_utc();
        let minutes = offset.unsigned_abs() / 60;
        long[26] = if offset < 0 { b'-' } else { b'+' };
        put(&mut long[27..29], minutes / 60);
        long[29] = b':';
        put(&mut long[30..32], minutes % 60);
        long[32] = b' ';
        self.render_utc(at);
    }

    fn render_utc(&mut self, at: DateTime<FixedOffset>) {
        let (at, utc) = (at.naive_utc(), &mut self.utc);
        utc.copy_from_slice(b"0000-00-00T00:00:00.000Z ");
        put(&mut utc[0..4], at.year().clamp(0, 9999).unsigned_abs());
        put(&mut utc[5..7], at.month());
        put(&mut utc[8..10], at.day());
        put(&mut utc[11..13], at.hour());
        put(&mut utc[14..16], at.minute());
        put(&mut utc[17..19], at.second());
        put(&mut utc[MILLIS], at.nanosecond() / 1_000_000);
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Writes `value` in decimal, with zeros in front.
fn put(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// The last timestamps: that of reception, and that of the last message which had one.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    now: Stamp,
    now_second: Option<i64>,
    last: Stamp,
    last_octets: Vec<u8>,
    last_second: Option<i64>,
}

impl Stamps {
    /// Reception time, in local time.
    pub(super) fn received(&mut self, at: Received) -> &Stamp {
        if self.now_second != Some(at.seconds) {
            self.now.render(local(at.seconds, 0));
            self.now_second = Some(at.seconds);
        }
        put(&mut self.now.rfc3339.0[MICROS], at.micros);
        put(&mut self.now.utc[MILLIS], at.micros / 1000);
        &self.now
    }

    /// The message's own time, or else that of reception.
    ///
    /// The BSD style shows local time, and a time without a zone as the sender wrote it; RFC 3339 keeps
    /// the offset that the sender gave.
    pub(super) fn of(&mut self, message: &Message<'_>, received: Received) -> &Stamp {
        let Some(octets) = message.timestamp_octets() else {
            return self.received(received);
        };
        // A time without a year depends on the day of reception (see Civil::year_near), and all of them on
        // the zone, which may change: so a rendering holds for a second of reception.
        if octets == self.last_octets && self.last_second == Some(received.seconds) {
            return &self.last;
        }
        let Some(timestamp) = message.timestamp() else {
            return self.received(received);
        };
        self.last_octets.clear();
        if octets.len() <= REMEMBERED {
            self.last_octets.extend_from_slice(octets);
        }
        self.last_second = Some(received.seconds);
        self.last.render(resolve(timestamp, received));
        if let Timestamp::Instant {
            seconds, micros, ..
        } = timestamp
        {
            let rfc3339 = std::mem::take(&mut self.last.rfc3339);
            self.last.render(local(seconds, micros));
            self.last.rfc3339 = rfc3339;
        }
        &self.last
    }
}

fn at(seconds: i64, micros: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, micros.saturating_mul(1000)).unwrap_or_default()
}

fn local(seconds: i64, micros: u32) -> DateTime<FixedOffset> {
    at(seconds, micros).with_timezone(&Local).fixed_offset()
}

/// A reading of a clock without a zone is taken for one of ours.
fn resolve(timestamp: Timestamp, received: Received) -> DateTime<FixedOffset> {
    let today = local(received.seconds, 0);
    let now = Civil {
        year: u16::try_from(today.year()).ok(),
        month: u8::try_from(today.month()).unwrap_or(1),
        day: u8::try_from(today.day()).unwrap_or(1),
        hour: u8::try_from(today.hour()).unwrap_or(0),
        minute: u8::try_from(today.minute()).unwrap_or(0),
        second: u8::try_from(today.second()).unwrap_or(0),
        micros: 0,
    };
    let moment = timestamp.resolve(now, local_offset);
    let offset = FixedOffset::east_opt(moment.offset).unwrap_or_else(|| Utc.fix());
    at(moment.seconds, moment.micros).with_timezone(&offset)
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
