//! Sizes: `512`, `100k`, `10M`, `1G`, and numbers of files.

use super::KeepFree;
use super::piece::quoted;

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

/// More files are never kept.
pub(super) const HIGHEST_COUNT: u32 = 9999;

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
}
