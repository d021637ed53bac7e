//! Sizes: `512`, `100k`, `10M`, `1G`, and rotations: `SIZE[:COUNT]`, `:COUNT`.

use super::piece::quoted;
use super::{KeepFree, Rotation};

/// How many rotated files are kept if nothing says (sysklogd).
pub const DEFAULT_ROTATE_COUNT: u32 = 5;

/// A rotation as written; what is missing comes from `rotate_size` and `rotate_count`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RotationDecl {
    pub(super) size: Option<u64>,
    pub(super) count: Option<u32>,
}

/// What `-r SIZE[:COUNT]` asks for; five files are kept unless it says.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn parse_rotation(text: &str) -> Result<Rotation, String> {
    let RotationDecl { size, count } = rotation(text)?;
    let size = size.ok_or_else(|| "no size given; write SIZE[:COUNT], such as 10M:5".to_owned())?;
    Ok(Rotation {
        size,
        count: count.unwrap_or(DEFAULT_ROTATE_COUNT),
    })
}

/// Reads `SIZE`, `SIZE:COUNT`, or `:COUNT`.
pub(super) fn rotation(text: &str) -> Result<RotationDecl, String> {
    let (size_text, count_text) = match text.split_once(':') {
        Some((size, count)) => (size, Some(count)),
        None => (text, None),
    };
    let count = count_text.map(count).transpose()?;
    if size_text.is_empty() && count.is_some() {
        return Ok(RotationDecl { size: None, count });
    }
    match size(size_text)? {
        0 => Err("a rotation size of 0 octets".to_owned()),
        octets => Ok(RotationDecl {
            size: Some(octets),
            count,
        }),
    }
}

/// Reads a number of octets: digits, then nothing or one of `k`, `K`, `m`, `M`, `G`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or("") {
        "" => Some(0),
        "k" | "K" => Some(10),
        "m" | "M" => Some(20),
        "g" | "G" => Some(30),
        _ => None,
    };
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
    let number = if plain {
        digits.parse::<u64>().ok()
    } else {
        None
    };
    let octets = number
        .zip(shift)
        .and_then(|(number, shift)| number.checked_mul(1 << shift));
    octets
        .filter(|octets| i64::try_from(*octets).is_ok())
        .ok_or_else(|| {
            format!(
                "{} is no size; a size is a number and k, M or G",
                quoted(text)
            )
        })
}

/// Reads `5%` or a size.
pub(super) fn keep_free(text: &str) -> Result<KeepFree, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return match size(text)? {
            0 => Err("a size of 0 octets".to_owned()),
            octets => Ok(KeepFree::Octets(octets)),
        };
    };
    let digits = percent.bytes().all(|octet| octet.is_ascii_digit());
    let number = percent.parse().ok();
    let number = number.filter(|number| digits && (1..=99).contains(number));
    number
        .map(KeepFree::Percent)
        .ok_or_else(|| format!("{} is not 1% to 99%", quoted(text)))
}

/// Reads a number of rotated files.
pub(super) fn count(text: &str) -> Result<u32, String> {
    let plain = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let number = if plain {
        text.parse::<u32>().ok()
    } else {
        None
    };
    number
        .filter(|count| *count <= HIGHEST_COUNT)
        .ok_or_else(|| {
            format!(
                "{} is no number of files from 0 to {HIGHEST_COUNT}",
                quoted(text)
            )
        })
}

const HIGHEST_COUNT: u32 = 9999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_a_size_is_a_number_with_an_optional_unit() {
        for (text, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("1k", Some(1024)),
            ("1K", Some(1024)),
            ("2m", Some(2 << 20)),
            ("2M", Some(2 << 20)),
            ("3G", Some(3 << 30)),
            ("", None),
            ("k", None),
            ("1kb", None),
            ("-1", None),
            ("1.5M", None),
            ("18446744073709551616", None),
            ("18446744073709551615G", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn a_rotation_of_the_command_line_keeps_five_files_unless_it_says() {
        for (text, want) in [
            ("10M", Some((10 << 20, 5))),
            ("10M:0", Some((10 << 20, 0))),
            ("1k:9", Some((1024, 9))),
            (":9", None),
            ("", None),
            ("1k:", None),
            ("1k:x", None),
        ] {
            let got = parse_rotation(text)
                .ok()
                .map(|rotation| (rotation.size, rotation.count));
            assert_eq!(got, want, "{text}");
        }
    }
}
