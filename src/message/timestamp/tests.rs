//! The rules of TIMESTAMP, by section.

#![expect(clippy::arithmetic_side_effects, reason = "a test may overflow")]

use chrono::{DateTime, Datelike, NaiveDate};
use proptest::prelude::*;

use super::*;
use crate::message::Flag;

const NOW: Civil = Civil {
    year: Some(2026),
    month: 11,
    day: 22,
    hour: 12,
    minute: 0,
    second: 0,
    micros: 0,
};

#[test]
fn rfc5424_6_2_3_a_time_that_does_not_exist_is_bad_and_not_normalised() {
    for (field, valid) in [
        (&b"2003-10-11T22:14:15Z"[..], true),
        (b"2024-02-29T12:00:00Z", true),       // leap year
        (b"2000-02-29T12:00:00Z", true),       // 400 divides it
        (b"1900-02-29T12:00:00Z", false),      // 100 divides it
        (b"2003-04-31T00:00:00Z", false),      // April has 30
        (b"2003-00-01T00:00:00Z", false),      // no month 0
        (b"2003-10-11T24:00:00Z", false),      // hours end at 23
        (b"2003-10-11T22:14:61Z", false),      // a leap second is 60
        (b"2003-10-11T22:14:15+24:00", false), // offsets too
        (b"2003-10-11T22:14:15", false),       // whose time is it
        (b"2003-10-11T22:14:15.Z", false),     // a dot wants digits
        (b"2003-10-11T22:14:15Zulu", false),   // something after it
    ] {
        let read = rfc5424(field).expect("has the shape");
        assert_eq!(read.reading.is_some(), valid, "{}", field.escape_ascii());
        assert_eq!(read.flags.contains(Flag::BadTimestamp), !valid);
    }
    for field in [&b"2003-10-11"[..], b"now", b"", b"20031011T221415Z"] {
        assert!(rfc5424(field).is_none(), "{}", field.escape_ascii());
    }
}

#[test]
fn rfc3164_4_1_2_the_day_is_padded_with_a_space_and_others_are_understood() {
    for (octets, want) in [
        (&b"Oct  1 22:14:15"[..], Some((10, 1))),
        (b"Oct 01 22:14:15", Some((10, 1))),
        (b"Oct 1 22:14:15", Some((10, 1))),
        (b"Oct 11 2026 22:14:15.5: x", Some((10, 11))),
        (b"2026 Oct 11 22:14:15 x", Some((10, 11))),
        (b"Okt 11 22:14:15", None),  // no month of ours
        (b"Oct 11 2:14:15", None),   // hours have two digits
        (b"Oct 11 22:14:15x", None), // glued to the next word
        (b"Oct\t11 22:14:15", None), // TAB is not SP
    ] {
        let got = rfc3164(octets).map(|(figures, _)| (figures.month, figures.day));
        assert_eq!(got, want, "{}", octets.escape_ascii());
    }
}

#[test]
fn s19_the_year_is_the_latest_that_puts_the_date_at_most_seven_days_ahead() {
    for (month, day, want) in [
        (11, 22, 2026), // today
        (11, 29, 2026), // seven days ahead
        (11, 30, 2025), // eight
        (12, 31, 2025),
        (1, 1, 2026),
        (2, 29, 2024), // the last leap year
    ] {
        let date = Civil {
            year: None,
            month,
            day,
            ..NOW
        };
        assert_eq!(date.year_near(NOW), want, "{month}-{day}");
    }
    let december = Civil {
        month: 12,
        day: 30,
        ..NOW
    };
    let january = Civil {
        year: None,
        month: 1,
        day: 2,
        ..NOW
    };
    assert_eq!(january.year_near(december), 2027, "a clock that runs ahead");
}

#[test]
fn a_clock_without_a_zone_shows_the_receivers_time() {
    let civil = Civil { year: None, ..NOW };
    let moment = Timestamp::Civil(civil).resolve(NOW, |_| 3600);
    assert_eq!(moment.seconds, NOW.seconds() - 3600);
    assert_eq!(moment.civil(), NOW);
}

#[test]
fn the_calendar_is_the_gregorian_one_as_chrono_has_it() {
    let first = NaiveDate::from_ymd_opt(0, 1, 1).expect("a date");
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
    for date in first.iter_days().take_while(|date| date.year() < 10_000) {
        let (year, month, day) = (date.year(), date.month(), date.day());
        let same = (
            u16::try_from(year).expect("small"),
            u8::try_from(month).expect("small"),
            u8::try_from(day).expect("small"),
        );
        let days = date.signed_duration_since(epoch).num_days();
        assert_eq!(days_to(same.0, same.1, same.2), days, "{date}");
        assert_eq!(date_of(days), same, "{date}");
    }
    assert_eq!(date_of(i64::MIN).0, 0);
    assert_eq!(date_of(i64::MAX).0, u16::MAX);
}

proptest! {
    #[test]
    fn an_instant_reads_back_as_chrono_wrote_it(
        seconds in -62_167_219_200_i64..253_402_300_800, micros in 0..1_000_000_u32,
        minutes in -1439..1440_i32,
    ) {
        let offset = chrono::FixedOffset::east_opt(minutes * 60).expect("less than a day");
        let time = DateTime::from_timestamp(seconds, micros * 1000).expect("in range");
        let written = time.with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string();
        // An offset can push the year out of four digits at either end.
        prop_assume!(written.len() == 32);
        let read = rfc5424(written.as_bytes()).and_then(|read| read.reading);
        let want = Timestamp::Instant { seconds, micros, offset: minutes * 60 };
        prop_assert_eq!(read.map(Reading::timestamp), Some(want));
    }

    #[test]
    fn the_guessed_year_makes_the_date_exist_and_not_lie_ahead(day in 1..=29_u8, month in 1..=12_u8) {
        let date = Civil { year: None, month, day, ..NOW };
        let year = date.year_near(NOW);
        prop_assert!(day <= days_in(month, Some(year)));
        let seconds = Civil { year: Some(year), ..date }.seconds();
        prop_assert!(seconds <= NOW.seconds() + AHEAD_SECS);
    }
}
