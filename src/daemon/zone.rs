//! The time zone, looked at before it is used.
//!
//! ```text
//! TZ=Europe/Berlin                   a file, looked at before it is read
//! TZ=CET-1CEST,M3.5.0,M10.5.0/3      as POSIX has it (XBD 8.3)
//! TZ=CET-1CEST                       the same without dates: those that the C library takes
//! TZ=Nowhere/Nothing                 UTC, with a warning
//! ```
//!
//! Whoever renders local time reads it to its end: a device, a FIFO or a huge file would hang the start.
//! One that is none would be passed over in silence, and another zone taken for it.
//! The limits: what `/etc/localtime` becomes later is trusted. A file that `TZ` names is read by each thread once; a
//! thread that a reload begins may read another than those before it.

mod file;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::reason;

/// The largest file that is taken for a time zone; those of tzdata have some KiB (RFC 9636).
const MOST: u64 = 64 * 1024;

/// Where the names of zones are looked up.
const DIRECTORIES: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/share/zoneinfo",
    "/etc/zoneinfo",
    "/usr/share/lib/zoneinfo",
];

/// The zone of the host: a file, or a link to one.
const LOCALTIME: &str = "/etc/localtime";

/// Its name, for those who have no such file.
const TIMEZONE: &str = "/etc/timezone";

/// When daylight saving time begins and ends where `TZ` does not say (tzset(3)): as in the United States.
const DATES: &str = ",M3.2.0,M11.1.0";

/// Makes the zone UTC if what `TZ` names, or else what the host has, cannot be one; completes a `TZ` without dates.
/// Returns the warning.
///
/// For a process with one thread.
pub fn guard() -> Option<String> {
    match env::var("TZ") {
        // As everybody has it, UTC.
        Ok(zone) if zone.is_empty() => None,
        Ok(zone) if zone != "localtime" => of_environment(&zone),
        _ => of_the_host(),
    }
}

/// The first file that is there is the one that is read; without one the value itself is the zone.
fn of_environment(zone: &str) -> Option<String> {
    let is_there = |path: &PathBuf| path.metadata().is_ok();
    match candidates(zone).into_iter().find(is_there) {
        None => misunderstood(zone),
        Some(path) => Some(refused(&path, &fault(&path)?)),
    }
}

fn of_the_host() -> Option<String> {
    let localtime = Path::new(LOCALTIME);
    if let Some(why) = fault(localtime) {
        return Some(refused(localtime, &why));
    }
    // Where there is no other it is asked for the name, and read to its end.
    let name = Path::new(TIMEZONE);
    Some(refused(name, &no_small_file(name)?))
}

fn refused(path: &Path, why: &str) -> String {
    let wrong = format!("{} is no time zone: {why}", path.display());
    set("UTC0", &wrong, "times are in UTC")
}

/// Sets the zone; the warning says what was wrong, and what became of it.
fn set(zone: &str, wrong: &str, outcome: &str) -> String {
    match crate::sys::set_zone(zone) {
        Ok(()) => format!("{wrong}; {outcome}"),
        Err(error) => format!("{wrong}; {}", reason(&error)),
    }
}

/// Sets what shall hold instead of a `TZ` that names no file and would not be understood: it is not as POSIX has
/// it, or not all of it.
fn misunderstood(zone: &str) -> Option<String> {
    match Form::of(zone) {
        Form::Whole => None,
        Form::WithoutDates => Some(set(
            &format!("{zone}{DATES}"),
            &format!("TZ={zone} does not say when daylight saving time begins and ends"),
            &format!("taken for {zone}{DATES}"),
        )),
        Form::Unknown if UTC.contains(&zone) => None,
        Form::Unknown => Some(set(
            "UTC0",
            &format!(
                "TZ={} is no time zone: no file has this name, and it is no zone of POSIX",
                zone.escape_debug()
            ),
            "times are in UTC",
        )),
    }
}

/// Names that need no file to be right: what is not understood becomes UTC.
const UTC: [&str; 4] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT"];

/// How much a value of `TZ` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// `CET-1`, or `CET-1CEST,M3.5.0,M10.5.0/3`, as far as a look at its beginning shows.
    Whole,
    /// `CET-1CEST`: a name for daylight saving time, and no dates.
    WithoutDates,
    /// Nothing of POSIX.
    Unknown,
}

impl Form {
    fn of(zone: &str) -> Self {
        let Some(rest) = after_name(zone).and_then(after_offset) else {
            return Self::Unknown;
        };
        if rest.is_empty() {
            return Self::Whole;
        }
        let Some(rest) = after_name(rest) else {
            return Self::Unknown;
        };
        match after_offset(rest).unwrap_or(rest) {
            "" => Self::WithoutDates,
            rest if rest.starts_with(',') => Self::Whole,
            _ => Self::Unknown,
        }
    }
}

/// What follows a name: three letters or more, or `<…>`.
fn after_name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (text.len() - rest.len() >= 3).then_some(rest)
}

/// What follows an offset: `[+-]hh[:mm[:ss]]`, less than a day.
fn after_offset(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    let mut parts = digits.strip_suffix(rest)?.split(':');
    let mut is_below = |limit: u8| match parts.next() {
        None => true,
        Some(part) => part.len() <= 2 && part.parse().is_ok_and(|number: u8| number < limit),
    };
    let is_right = is_below(24) && is_below(60) && is_below(60);
    (is_right && parts.next().is_none()).then_some(rest)
}

/// The files that a value of `TZ` may name.
fn candidates(zone: &str) -> Vec<PathBuf> {
    let name = Path::new(zone.strip_prefix(':').unwrap_or(zone));
    if name.as_os_str().is_empty() {
        Vec::new()
    } else if name.is_absolute() {
        vec![name.to_owned()]
    } else {
        let below = |directory: &&str| Path::new(directory).join(name);
        DIRECTORIES.iter().map(below).collect()
    }
}

/// Why a file is no time zone. One that is missing, or that we may not look at, is harmless.
fn fault(path: &Path) -> Option<String> {
    no_small_file(path).or_else(|| file::fault(&fs::read(path).ok()?).map(str::to_owned))
}

/// Why a file must not be read.
fn no_small_file(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.is_dir() {
        Some("it is a directory".to_owned())
    } else if !meta.is_file() {
        Some("it is no regular file".to_owned())
    } else if meta.len() > MOST {
        Some(format!("it has {} octets", meta.len()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posix_8_3_a_zone_without_dates_is_known_as_such() {
        for (zone, want) in [
            ("UTC0", Form::Whole),
            ("CET-1", Form::Whole),
            ("LOC-01:02:03", Form::Whole),
            ("<+0330>-3:30", Form::Whole),
            ("CET-1CEST,M3.5.0,M10.5.0/3", Form::Whole),
            ("AAA3BBB2,J60,J300", Form::Whole),
            ("UTC23:59:59", Form::Whole),
            ("UTC24", Form::Unknown),
            ("UTC99", Form::Unknown),
            ("UTC1:60", Form::Unknown),
            ("UTC1:2:3:4", Form::Unknown),
            ("UTC1:", Form::Unknown),
            ("UTC", Form::Unknown),
            ("UTC+", Form::Unknown),
            ("CET-1CEST", Form::WithoutDates),
            ("EST5EDT", Form::WithoutDates),
            ("<-03>3<-02>2", Form::WithoutDates),
            ("CET", Form::Unknown),
            ("ET5", Form::Unknown),
            ("CET-1CE", Form::Unknown),
            ("CET-1CEST!", Form::Unknown),
            ("<CET-1", Form::Unknown),
            ("Nowhere/Nothing", Form::Unknown),
            (":CET-1", Form::Unknown),
        ] {
            assert_eq!(Form::of(zone), want, "{zone}");
        }
    }
}
