//! When a file is rotated, what is kept of it, and how: `10M:5`, `daily:7`, `14d`, `zstd:3`.

use std::time::Duration;

use super::piece::quoted;
use super::size::{HIGHEST_COUNT, count, size};
use super::{Compression, Period, Rotation};

/// How many rotated files are kept if nothing says (sysklogd).
const DEFAULT_ROTATE_COUNT: u32 = 5;

/// A rotation as written; what is missing comes from the keywords.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RotationDecl {
    pub(super) size: Option<u64>,
    pub(super) every: Option<Period>,
    pub(super) count: Option<u32>,
    pub(super) total: Option<u64>,
    pub(super) age: Option<Duration>,
}

impl RotationDecl {
    /// This, and where it says nothing the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            every: self.every.or(other.every),
            count: self.count.or(other.count),
            total: self.total.or(other.total),
            age: self.age.or(other.age),
        }
    }

    /// The rotation of a file that says this, where `general` holds for all files; `None` if nothing says
    /// when to rotate. Who names a size or a period does without the general ones of both.
    pub(super) fn complete(self, general: Self) -> Option<Rotation> {
        let named = self.size.is_some() || self.every.is_some();
        let when = if named { self } else { general };
        let all = Self {
            size: when.size,
            every: when.every,
            ..self.or(general)
        };
        if all.size.is_none() && all.every.is_none() {
            return None;
        }
        // Who bounds the total or the age means that, and no number of files.
        let bounded = all.total.is_some() || all.age.is_some();
        let count = if bounded {
            HIGHEST_COUNT
        } else {
            DEFAULT_ROTATE_COUNT
        };
        Some(Rotation {
            size: all.size,
            every: all.every,
            count: all.count.unwrap_or(count),
            total: all.total,
            age: all.age,
        })
    }
}

/// What `-r` asks for: `SIZE[:COUNT]`, `daily[:COUNT]`, or both with a comma between them; five files are kept
/// unless it says.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn parse_rotation(text: &str) -> Result<Rotation, String> {
    let mut whole = RotationDecl::default();
    for part in text.split(',') {
        whole = rotation(part)?.or(whole);
    }
    whole
        .complete(RotationDecl::default())
        .ok_or_else(|| "no size given; write SIZE[:COUNT], such as 10M:5".to_owned())
}

/// Reads `SIZE`, `SIZE:COUNT`, a period in place of the size, or `:COUNT`.
pub(super) fn rotation(text: &str) -> Result<RotationDecl, String> {
    let (when, count_text) = match text.split_once(':') {
        Some((when, count)) => (when, Some(count)),
        None => (text, None),
    };
    let count = count_text.map(count).transpose()?;
    let named = RotationDecl {
        count,
        ..RotationDecl::default()
    };
    if when.is_empty() && count.is_some() {
        return Ok(named);
    }
    if let Some(every) = period(when) {
        return Ok(RotationDecl {
            every: Some(every),
            ..named
        });
    }
    match size(when)? {
        0 => Err("a rotation size of 0 octets".to_owned()),
        octets => Ok(RotationDecl {
            size: Some(octets),
            ..named
        }),
    }
}

/// The period that a word names.
pub(super) fn period(word: &str) -> Option<Period> {
    let found = PERIODS.iter().find(|(name, _)| *name == word);
    found.map(|(_, period)| *period)
}

/// The words for periods.
pub(super) const PERIODS: [(&str, Period); 3] = [
    ("hourly", Period::Hourly),
    ("daily", Period::Daily),
    ("weekly", Period::Weekly),
];

/// Reads an age: digits, then `h`, `d` or `w`; not 0.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let units = [('h', 3600), ('d', 86_400), ('w', 7 * 86_400)];
    let found = units.iter().find_map(|(letter, seconds)| {
        let digits = text.strip_suffix(*letter)?;
        let number = digits.parse::<u32>().ok().filter(|number| *number > 0)?;
        let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
        plain.then(|| Duration::from_secs(u64::from(number) * seconds))
    });
    found.ok_or_else(|| {
        format!(
            "{} is no age; an age is a number and h, d or w",
            quoted(text)
        )
    })
}

/// Reads a total of octets, which is not 0.
pub(super) fn total(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("a total of 0 octets".to_owned()),
        octets => Ok(octets),
    }
}

/// Reads `gzip[:1-9]`, `zstd[:1-19]`, or `none`.
pub(super) fn compression(text: &str) -> Result<Compression, String> {
    let (word, level) = match text.split_once(':') {
        Some((word, level)) => (word, Some(level)),
        None => (text, None),
    };
    let level = |default: u8, highest: u8| match level {
        None => Ok(default),
        Some(level) => {
            let plain = level.bytes().all(|octet| octet.is_ascii_digit());
            let number = level.parse::<u8>().ok().filter(|_| plain);
            number
                .filter(|number| (1..=highest).contains(number))
                .ok_or_else(|| format!("{} is no level from 1 to {highest}", quoted(level)))
        }
    };
    match (word, text) {
        ("gzip", _) => Ok(Compression::Gzip(level(6, 9)?)),
        ("zstd", _) => Ok(Compression::Zstd(level(3, 19)?)),
        (_, "none") => Ok(Compression::None),
        _ => Err(format!("{} is no way to compress", quoted(text))),
    }
}

/// The words of `compress`.
pub(super) const COMPRESSIONS: [&str; 3] = ["gzip", "zstd", "none"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_of_the_command_line_keeps_five_files_unless_it_says() {
        let daily = Some(Period::Daily);
        for (text, want) in [
            ("10M", Some((Some(10 << 20), None, 5))),
            ("10M:0", Some((Some(10 << 20), None, 0))),
            ("1k:9", Some((Some(1024), None, 9))),
            ("daily", Some((None, daily, 5))),
            ("daily:9", Some((None, daily, 9))),
            ("daily,1k:9", Some((Some(1024), daily, 9))),
            (":9", None),
            ("", None),
            ("1k:", None),
            ("1k:x", None),
            ("monthly", None),
            ("daily,", None),
        ] {
            let got = parse_rotation(text)
                .ok()
                .map(|rotation| (rotation.size, rotation.every, rotation.count));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn an_age_is_a_number_of_hours_days_or_weeks() {
        for (text, want) in [
            ("12h", Some(12 * 3600)),
            ("14d", Some(14 * 86_400)),
            ("4w", Some(28 * 86_400)),
            ("0d", None),
            ("d", None),
            ("14", None),
            ("+1d", None),
            ("1m", None),
            ("9999999999d", None),
        ] {
            assert_eq!(age(text).ok().map(|age| age.as_secs()), want, "{text}");
        }
    }

    #[test]
    fn what_a_file_does_not_say_the_keywords_do() {
        let day = Duration::from_secs(86_400);
        let none = RotationDecl::default();
        let size = RotationDecl {
            size: Some(10),
            ..none
        };
        let every = RotationDecl {
            every: Some(Period::Hourly),
            ..none
        };
        let age = RotationDecl {
            age: Some(day),
            ..none
        };
        let count = RotationDecl {
            count: Some(3),
            ..none
        };
        let hourly = Some(Period::Hourly);
        for (own, general, want) in [
            (none, none, None),
            (age, none, None),
            (none, size, Some((Some(10), None, 5))),
            (every, size, Some((None, hourly, 5))),
            (every.or(size), none, Some((Some(10), hourly, 5))),
            (count, every.or(size), Some((Some(10), hourly, 3))),
            (every, age, Some((None, hourly, 9999))),
            (every, age.or(count), Some((None, hourly, 3))),
        ] {
            let got = own.complete(general);
            let got = got.map(|got| (got.size, got.every, got.count));
            assert_eq!(got, want, "{own:?} {general:?}");
        }
    }

    #[test]
    fn a_compression_may_have_a_level() {
        for (text, want) in [
            ("gzip", Some(Compression::Gzip(6))),
            ("gzip:9", Some(Compression::Gzip(9))),
            ("zstd", Some(Compression::Zstd(3))),
            ("zstd:19", Some(Compression::Zstd(19))),
            ("none", Some(Compression::None)),
            ("none:1", None),
            ("gzip:0", None),
            ("gzip:10", None),
            ("gzip:", None),
            ("zstd:20", None),
            ("zstd:+3", None),
            ("xz", None),
            ("", None),
        ] {
            assert_eq!(compression(text).ok(), want, "{text}");
        }
    }
}
