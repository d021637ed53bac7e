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
//! The limits: what `/etc/localtime` becomes later is trusted. A file that `TZ` names is read by each thread once; a
//! thread that a reload begins may read another than those before it.

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

/// What says the zone if `TZ` does not.
const OF_THE_HOST: [&str; 2] = ["/etc/localtime", "/etc/timezone"];

/// When daylight saving time begins and ends where `TZ` does not say (tzset(3)): as in the United States.
const DATES: &str = ",M3.2.0,M11.1.0";

/// Makes the zone UTC if the file that `TZ`, or the host, names cannot be one, or if `TZ` is nothing known;
/// completes a `TZ` without dates. Returns the warning.
///
/// For a process with one thread.
pub fn guard() -> Option<String> {
    let zone = env::var("TZ").ok();
    if let Some(zone) = &zone
        && let Some(warning) = misunderstood(zone)
    {
        return Some(warning);
    }
    let named = zone.as_deref().map(candidates).unwrap_or_default();
    let of_the_host = OF_THE_HOST.iter().map(PathBuf::from);
    let mut files = named.into_iter().chain(of_the_host);
    let (why, path) = files.find_map(|path| Some((fault(&path)?, path)))?;
    let path = path.display();
    Some(set(
        "UTC0",
        &format!("{path} is no time zone: {why}"),
        "times are in UTC",
    ))
}

/// Sets the zone; the warning says what was wrong, and what became of it.
fn set(zone: &str, wrong: &str, outcome: &str) -> String {
    match crate::sys::set_zone(zone) {
        Ok(()) => format!("{wrong}; {outcome}"),
        Err(error) => format!("{wrong}; {}", reason(&error)),
    }
}

/// Sets what shall hold instead of a `TZ` that would not be understood: no file has its name, and it is not
/// as POSIX has it, or not all of it.
fn misunderstood(zone: &str) -> Option<String> {
    let is_there = |path: PathBuf| path.metadata().is_ok();
    if zone.is_empty() || zone == "localtime" || candidates(zone).into_iter().any(is_there) {
        return None;
    }
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

/// What follows an offset: `[+-]hh[:mm[:ss]]`.
fn after_offset(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
    digits
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(rest)
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

/// Why a file must not be read. One that is missing, or that we may not look at, is harmless.
fn fault(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.is_dir() {
        // read(2) refuses it at once.
        None
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
