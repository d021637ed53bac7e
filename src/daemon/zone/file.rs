//! Whether octets are the file of a time zone (`TZif`, RFC 9636), as far as its frame and its offsets go.
//!
//! ```text
//! version 1      header  data, times of 4 octets
//! version 2, 3   header  data, times of 4 octets  header  data, times of 8 octets  LF TZ LF
//! ```
//!
//! Whoever renders local time says nothing of a file that it cannot read, and takes another zone for it.

use super::Form;

/// A day, in seconds: no zone is so far from UTC.
const DAY: u32 = 86_400;

/// What the octets lack, if anything.
pub(super) fn fault(octets: &[u8]) -> Option<&'static str> {
    if octets.is_empty() {
        return Some("it is empty");
    }
    if !octets.starts_with(b"TZif") {
        return Some("it does not begin as one (TZif)");
    }
    let Some(first) = Data::split(octets, 4) else {
        return Some("it is cut off, or damaged");
    };
    let (last, footer) = match first.version {
        0 if first.rest.is_empty() => (first, None),
        b'2' | b'3' => match Data::split(first.rest, 8) {
            Some(second) => {
                let footer = second.rest;
                (second, Some(footer))
            }
            None => return Some("it is cut off, or damaged"),
        },
        0 => return Some("it goes on behind its end"),
        _ => return Some("its version is not known here"),
    };
    if !last.is_sound() {
        return Some("a time in it is a day or more from UTC, or none is there");
    }
    match footer {
        Some(footer) if !is_footer(footer) => Some("its last line is cut off, or damaged"),
        _ => None,
    }
}

/// A header and its data.
struct Data<'a> {
    version: u8,
    /// Kinds of time, of six octets each: seconds east of UTC, and two octets more.
    kinds: &'a [u8],
    /// What is behind the data.
    rest: &'a [u8],
}

impl<'a> Data<'a> {
    /// Takes the first ones, with times of so many octets; `None` if they are not whole.
    fn split(octets: &'a [u8], time: u64) -> Option<Self> {
        let (header, data) = octets.split_at_checked(44)?;
        let (start, counts) = header.split_at_checked(20)?;
        let version = *start.strip_prefix(b"TZif")?.first()?;
        let (counts, _) = counts.as_chunks::<4>();
        let &[ut, standard, leaps, times, kinds, names] = counts else {
            return None;
        };
        let [ut, standard, leaps, times, kinds, names] = [ut, standard, leaps, times, kinds, names]
            .map(|count| u64::from(u32::from_be_bytes(count)));
        let (_, data) = split(data, times * (time + 1))?;
        let (kinds, data) = split(data, kinds * 6)?;
        let (_, rest) = split(data, names + leaps * (time + 4) + standard + ut)?;
        Some(Self {
            version,
            kinds,
            rest,
        })
    }

    /// Whether there is a kind of time, and none is too far from UTC.
    fn is_sound(&self) -> bool {
        let (kinds, _) = self.kinds.as_chunks::<6>();
        let near =
            |[a, b, c, d, ..]: &[u8; 6]| i32::from_be_bytes([*a, *b, *c, *d]).unsigned_abs() < DAY;
        !kinds.is_empty() && kinds.iter().all(near)
    }
}

fn split(octets: &[u8], count: u64) -> Option<(&[u8], &[u8])> {
    octets.split_at_checked(usize::try_from(count).ok()?)
}

/// Whether it is a line with the zone that holds after all times of the file, or an empty one.
fn is_footer(octets: &[u8]) -> bool {
    let line = octets
        .strip_prefix(b"\n")
        .and_then(|line| line.strip_suffix(b"\n"));
    let zone = line.and_then(|line| std::str::from_utf8(line).ok());
    zone.is_some_and(|zone| zone.is_empty() || Form::of(zone) == Form::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One kind of time, so many seconds east, all year.
    fn data(version: u8, seconds: i32) -> Vec<u8> {
        let counts = [0, 0, 0, 0, 1, 4_u32].map(u32::to_be_bytes).concat();
        let kind = [&seconds.to_be_bytes()[..], &[0, 0], b"OWN\0"].concat();
        [&b"TZif"[..], &[version], &[0; 15], &counts, &kind].concat()
    }

    fn second(seconds: i32) -> Vec<u8> {
        [
            data(b'2', seconds),
            data(b'2', seconds),
            b"\nOWN-3\n".to_vec(),
        ]
        .concat()
    }

    #[test]
    fn rfc9636_whole_files_are_taken() {
        for file in [data(0, 10_800), data(0, -86_399), second(10_800)] {
            assert_eq!(fault(&file), None, "{file:?}");
        }
        // Each of this host, if it has any.
        for name in [
            "Europe/Berlin",
            "Etc/UTC",
            "America/St_Johns",
            "Africa/Casablanca",
        ] {
            let file = std::path::Path::new("/usr/share/zoneinfo").join(name);
            let octets = std::fs::read(file).ok();
            assert_eq!(octets.and_then(|octets| fault(&octets)), None, "{name}");
        }
    }

    #[test]
    fn rfc9636_no_part_of_a_file_is_taken_for_a_whole_one() {
        for file in [data(0, 10_800), second(10_800)] {
            for length in 0..file.len() {
                assert!(fault(&file[..length]).is_some(), "{length} octets");
            }
            assert!(fault(&[&file[..], b"x"].concat()).is_some());
        }
    }

    #[test]
    fn offsets_that_no_clock_can_show_are_refused() {
        for seconds in [86_400, -86_400, i32::MAX, i32::MIN] {
            assert!(fault(&data(0, seconds)).is_some(), "{seconds}");
            assert!(fault(&second(seconds)).is_some(), "{seconds}");
        }
        assert!(fault(&data(b'4', 0)).is_some(), "a version to come");
    }
}
