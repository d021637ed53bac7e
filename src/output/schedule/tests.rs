use super::*;
use chrono::NaiveDateTime;
use proptest::prelude::*;

/// Seconds since 1970 of a time in UTC.
fn utc(text: &str) -> i64 {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S");
    time.expect("a time").and_utc().timestamp()
}

/// Summer time in Berlin from 2024 to 2027: from 01:00 UTC on a Sunday of March to one of October.
const SUMMERS: [(i64, i64); 4] = [
    (1_711_846_800, 1_729_990_800),
    (1_743_296_400, 1_761_440_400),
    (1_774_746_000, 1_792_890_000),
    (1_806_195_600, 1_824_944_400),
];

fn berlin(seconds: i64) -> i64 {
    let is_summer = |(from, to): &(i64, i64)| (*from..*to).contains(&seconds);
    if SUMMERS.iter().any(is_summer) {
        7200
    } else {
        3600
    }
}

/// Havana in 2026: the clock goes from 00:00 to 01:00 on 8 March, and from 01:00 to 00:00 on 1 November.
fn havana(seconds: i64) -> i64 {
    if (1_772_946_000..1_793_509_200).contains(&seconds) {
        -4 * 3600
    } else {
        -5 * 3600
    }
}

#[test]
fn the_tables_of_summer_time_are_right() {
    assert_eq!(SUMMERS[2].0, utc("2026-03-29 01:00:00"));
    assert_eq!(SUMMERS[2].1, utc("2026-10-25 01:00:00"));
    assert_eq!(havana(utc("2026-03-08 05:00:00")), -4 * 3600);
    assert_eq!(havana(utc("2026-11-01 05:00:00")), -5 * 3600);
}

fn utc_zone(_: i64) -> i64 {
    0
}

fn turns(every: Period, last_write: i64, zone: fn(i64) -> i64) -> Turns {
    let label = label(every, last_write, zone(last_write));
    Turns {
        every,
        label,
        entered: label,
        known: (0, 0),
    }
}

#[test]
fn f33_the_next_period_begins_at_local_midnight_or_the_full_hour() {
    use Period::{Daily, Hourly, Weekly};
    let zone_at = |zone| match zone {
        "UTC" => utc_zone,
        "Berlin" => berlin,
        _ => havana,
    };
    for (zone, every, now, want) in [
        ("UTC", Daily, "2026-11-22 16:00:00", "2026-11-23 00:00:00"),
        ("UTC", Daily, "2026-11-22 00:00:00", "2026-11-23 00:00:00"),
        ("UTC", Daily, "2026-12-31 23:59:59", "2027-01-01 00:00:00"),
        ("UTC", Daily, "2028-02-28 12:00:00", "2028-02-29 00:00:00"),
        ("UTC", Daily, "2028-02-29 12:00:00", "2028-03-01 00:00:00"),
        ("UTC", Daily, "2026-02-28 12:00:00", "2026-03-01 00:00:00"),
        ("UTC", Daily, "2038-01-19 03:14:07", "2038-01-20 00:00:00"),
        ("UTC", Daily, "1970-01-01 00:00:00", "1970-01-02 00:00:00"),
        ("UTC", Hourly, "2026-12-31 23:10:00", "2027-01-01 00:00:00"),
        // A Sunday, a Monday, and the week over the end of a year.
        ("UTC", Weekly, "2026-11-22 16:00:00", "2026-11-23 00:00:00"),
        ("UTC", Weekly, "2026-11-23 00:00:00", "2026-11-30 00:00:00"),
        ("UTC", Weekly, "2026-12-31 12:00:00", "2027-01-04 00:00:00"),
        (
            "Berlin",
            Daily,
            "2026-01-10 22:59:59",
            "2026-01-10 23:00:00",
        ),
        (
            "Berlin",
            Daily,
            "2026-07-10 21:59:59",
            "2026-07-10 22:00:00",
        ),
        // The days of 23 and of 25 hours.
        (
            "Berlin",
            Daily,
            "2026-03-28 23:00:00",
            "2026-03-29 22:00:00",
        ),
        (
            "Berlin",
            Daily,
            "2026-10-24 22:00:00",
            "2026-10-25 23:00:00",
        ),
        (
            "Berlin",
            Weekly,
            "2026-10-20 12:00:00",
            "2026-10-25 23:00:00",
        ),
        (
            "Berlin",
            Weekly,
            "2026-03-24 12:00:00",
            "2026-03-29 22:00:00",
        ),
        // From 01:59 to 03:00; and 02:00 to 03:00 twice, which is one hour by name.
        (
            "Berlin",
            Hourly,
            "2026-03-29 00:30:00",
            "2026-03-29 01:00:00",
        ),
        (
            "Berlin",
            Hourly,
            "2026-10-25 00:30:00",
            "2026-10-25 02:00:00",
        ),
        (
            "Berlin",
            Hourly,
            "2026-10-25 01:30:00",
            "2026-10-25 02:00:00",
        ),
        // Midnight that there is not, and midnight that comes twice.
        (
            "Havana",
            Daily,
            "2026-03-07 12:00:00",
            "2026-03-08 05:00:00",
        ),
        (
            "Havana",
            Daily,
            "2026-10-31 12:00:00",
            "2026-11-01 04:00:00",
        ),
        (
            "Havana",
            Daily,
            "2026-11-01 04:30:00",
            "2026-11-02 05:00:00",
        ),
    ] {
        let got = next(every, utc(now), zone_at(zone));
        assert_eq!(got, utc(want), "{zone} {every:?} {now}");
    }
}

#[test]
fn f33_one_rotation_for_a_period_whatever_the_clock_does() {
    let day = 86_400;
    let year = 365 * day;
    let noon = utc("2026-11-22 12:00:00");
    for (case, steps, want) in [
        ("the same day", vec![noon + 3600, noon + 5 * 3600], vec![]),
        ("the next day", vec![noon + day, noon + day + 1], vec![0]),
        ("a week later", vec![noon + 7 * day], vec![0]),
        ("+1 y, and on", vec![noon + year, noon + year + 60], vec![0]),
        (
            "+1 y, back, the next day",
            vec![noon + year, noon + 60, noon + 120, noon + day],
            vec![0, 3],
        ),
        (
            "-1 y, back, the next day",
            vec![noon - year, noon - year + 60, noon + 60, noon + day],
            vec![3],
        ),
        (
            "-1 y, and days there",
            vec![noon - year, noon - year + day, noon - year + 2 * day],
            vec![1, 2],
        ),
        (
            "back and forth",
            vec![noon + year, noon, noon + year, noon, noon + year],
            vec![0],
        ),
        (
            "1970 at boot, then the network's time",
            vec![60, 120, noon + 60],
            vec![],
        ),
    ] {
        let mut turns = turns(Period::Daily, noon, utc_zone);
        let due: Vec<_> = steps
            .iter()
            .enumerate()
            .filter(|(_, now)| turns.turn(**now, utc_zone))
            .map(|(index, _)| index)
            .collect();
        assert_eq!(due, want, "{case}");
    }
}

#[test]
fn f33_a_year_in_berlin_has_its_days_and_hours() {
    for (every, want) in [
        (Period::Daily, 365),
        (Period::Weekly, 52),
        // One hour is missing in spring, and in autumn two bear one name.
        (Period::Hourly, 365 * 24 - 1),
    ] {
        let start = utc("2025-12-31 23:00:00");
        let mut turns = turns(every, start, berlin);
        let looks = (0..365 * 24 * 4).map(|quarter| start + 900 * quarter + 59);
        let due = looks.filter(|now| turns.turn(*now, berlin)).count();
        // The first period began before.
        let whole = if every == Period::Weekly {
            want
        } else {
            want - 1
        };
        assert_eq!(due, whole, "{every:?}");
    }
}

#[test]
fn a_step_of_the_clock_is_doubted_for_a_day() {
    let mut steps = Steps::default();
    for (wall, uptime, want) in [
        (1_000_000, 100, true),
        (1_000_900, 1000, true),
        // Drift, and the correction of it.
        (1_001_000 + 30, 1100, true),
        (40_000_000, 1200, false),
        (40_000_000 + 86_000, 1200 + 86_000, false),
        (40_000_000 + 86_400, 1200 + 86_400, true),
        (1_200_000, 90_000, false),
    ] {
        assert_eq!(steps.is_steady(wall, uptime), want, "{wall} {uptime}");
    }
}

proptest! {
    #[test]
    fn the_next_period_is_later_and_the_second_before_it_is_not(
        offset in 0_i64..(3 * 365 * 86_400),
        every in prop_oneof![
            Just(Period::Hourly),
            Just(Period::Daily),
            Just(Period::Weekly)
        ],
    ) {
        let now = utc("2024-03-01 00:00:00") + offset;
        let next = next(every, now, berlin);
        let of = |at: i64| label(every, at, berlin(at));
        prop_assert!(next > now);
        prop_assert!(of(next) > of(now));
        prop_assert_eq!(of(next - 1), of(now));
    }
}
