//! When a message was made: points in time, clocks without a zone, and the calendar that both share.
//!
//! A time zone's name is not interpreted: CST is five zones, so the receiver's own is as good a guess.

mod reading;

pub(super) use reading::{Figures, number, rfc3164, rfc5424};

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

impl Timestamp {
    /// The point in time, where a clock without a zone is taken to show the receiver's time.
    ///
    /// `now` is the receiver's clock and decides the year where there is none; `offset` gives the
    /// receiver's offset from UTC, in seconds east, when its clock shows this (the year is set).
    pub fn resolve(self, now: Civil, offset: impl FnOnce(Civil) -> i32) -> Moment {
        match self {
            Self::Instant {
                seconds,
                micros,
                offset,
            } => Moment {
                seconds,
                micros,
                offset,
            },
            Self::Civil(civil) => {
                let civil = Civil {
                    year: Some(civil.year.unwrap_or_else(|| civil.year_near(now))),
                    ..civil
                };
                let offset = offset(civil);
                Moment {
                    seconds: civil.seconds().saturating_sub(i64::from(offset)),
                    micros: civil.micros,
                    offset,
                }
            }
        }
    }
}

/// A point in time and the offset from UTC to write it with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// Microseconds within the second, 0 to 999,999.
    pub micros: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Moment {
    /// What a clock at this offset shows. Years before 0 and after 65535 are shown as these.
    pub fn civil(self) -> Civil {
        let local = self.seconds.saturating_add(i64::from(self.offset));
        let of_day = u32::try_from(local.rem_euclid(DAY_SECS)).unwrap_or(0);
        let small = |value: u32| u8::try_from(value).unwrap_or(0);
        let (year, month, day) = date_of(local.div_euclid(DAY_SECS));
        Civil {
            year: Some(year),
            month,
            day,
            hour: small(of_day / 3600),
            minute: small(of_day / 60 % 60),
            second: small(of_day % 60),
            micros: self.micros,
        }
    }
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

impl Civil {
    /// The year that a date without one most likely means, seen from `now`, a clock in the same zone.
    ///
    /// It is the latest year that puts the date at most seven days ahead: logs are of the past, and
    /// clocks run ahead by hours. 29 February means the last leap year. `now` must have a year.
    pub fn year_near(self, now: Civil) -> u16 {
        let this_year = now.year.unwrap_or_default();
        let latest = now.seconds().saturating_add(AHEAD_SECS);
        // Eight years back there is a leap year, even around 1900 and 2100.
        (this_year.saturating_sub(8)..=this_year.saturating_add(1))
            .rev()
            .find(|year| {
                let year = Some(*year);
                self.day <= days_in(self.month, year) && Civil { year, ..self }.seconds() <= latest
            })
            .unwrap_or(this_year)
    }

    /// Seconds since 1970-01-01T00:00:00 on the same clock. Without a year, of the year 0.
    pub fn seconds(self) -> i64 {
        let days = days_to(self.year.unwrap_or_default(), self.month, self.day);
        let of_day = u32::from(self.hour)
            .wrapping_mul(3600)
            .wrapping_add(u32::from(self.minute).wrapping_mul(60))
            .wrapping_add(u32::from(self.second));
        days.wrapping_mul(DAY_SECS).wrapping_add(of_day.into())
    }
}

const DAY_SECS: i64 = 24 * 60 * 60;

/// Days from the first of March of the year 0, where years begin for this purpose, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// The days of 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;

/// Days from 1970-01-01 to a date of the Gregorian calendar, negative before. chrono asks tables, and
/// needs several times as long; a message with an offset needs this and [`date_of`].
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the arguments are small, and so is all that is made of them"
)]
fn days_to(year: u16, month: u8, day: u8) -> i64 {
    let (year, month) = (i64::from(year), i64::from(month));
    // Years that begin in March have their leap day at the end, and months of 153 days by fives.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// Year, month and day, so many days after 1970-01-01. Years before 0 and after 65535 become these.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the number of days is clamped first"
)]
fn date_of(days: i64) -> (u16, u8, u8) {
    let days = days.clamp(-1_000_000, 30_000_000) + EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = (era * 400 + year + next).clamp(0, u16::MAX.into());
    let small = |value: i64| u8::try_from(value).unwrap_or(1);
    (u16::try_from(year).unwrap_or(0), small(month), small(day))
}

/// The days of a month; February has 29 where the year is unknown.
fn days_in(month: u8, year: Option<u16>) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => match year {
            Some(year) if year % 4 != 0 || (year % 100 == 0 && year % 400 != 0) => 28,
            Some(_) | None => 29,
        },
        _ => 31,
    }
}

/// RFC 3164 clocks may run ahead by this much before a date is taken for last year's.
const AHEAD_SECS: i64 = 7 * 24 * 60 * 60;

/// A valid TIMESTAMP, not yet turned into a point in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    civil: Civil,
    offset: Option<i32>,
}

impl Reading {
    pub(super) fn timestamp(self) -> Timestamp {
        match self.offset {
            Some(offset) => Timestamp::Instant {
                seconds: self.civil.seconds().saturating_sub(i64::from(offset)),
                micros: self.civil.micros,
                offset,
            },
            None => Timestamp::Civil(self.civil),
        }
    }
}

#[cfg(test)]
mod tests;
