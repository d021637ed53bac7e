//! OpenBSD's syslogc(8), which our program is when that is its name.
//!
//! ```text
//! syslogc [-Ccfo] [-s PATH] NAME      syslogc [-s PATH] -q
//! syslogd --control=PATH --ask read NAME
//! ```

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

const USAGE: &str = "usage: syslogc [-Ccfo] [-s socket] name, or syslogc [-s socket] -q";

/// The command line of syslogc(8) in our long options; `None` if the program has another name.
///
/// # Errors
/// The sentence about one that syslogc(8) would not take either.
pub(super) fn translate(argv: &[OsString]) -> Option<Result<Vec<OsString>, String>> {
    let (program, arguments) = argv.split_first()?;
    let is_syslogc = Path::new(program).file_name() == Some(OsStr::new("syslogc"));
    is_syslogc.then(|| request(program, arguments).ok_or_else(|| USAGE.to_owned()))
}

fn request(program: &OsStr, arguments: &[OsString]) -> Option<Vec<OsString>> {
    let mut ours = vec![program.to_owned()];
    let mut verb = None;
    let mut rest = arguments.iter();
    let mut names: Vec<&OsString> = Vec::new();
    // As getopt(3) of the BSDs, which ends at the first argument that is no option.
    while let Some(argument) = rest.next() {
        let letters = match argument.as_bytes() {
            b"--" => break,
            [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => {
                names.push(argument);
                break;
            }
        };
        let mut letters = letters.iter();
        while let Some(letter) = letters.next() {
            let said = match letter {
                b'q' => "list",
                b'C' => "clear",
                b'c' => "take",
                b'f' => "follow",
                b'o' => "overflowed",
                b's' => {
                    let attached = letters.as_slice().to_vec();
                    let value = if attached.is_empty() {
                        rest.next()?.clone()
                    } else {
                        OsString::from_vec(attached)
                    };
                    let mut control = OsString::from("--control=");
                    control.push(value);
                    ours.push(control);
                    break;
                }
                _ => return None,
            };
            verb = Some(said);
        }
    }
    names.extend(rest);
    ours.push("--ask".into());
    ours.push(verb.unwrap_or("read").into());
    match (verb, names.as_slice()) {
        (Some("list"), []) => {}
        (Some("list"), _) => return None,
        (_, [name]) if !name.as_bytes().starts_with(b"-") => ours.push((*name).clone()),
        _ => return None,
    }
    Some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Option<Result<String, String>> {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let joined = |argv: Vec<OsString>| argv.join(OsStr::new(" ")).into_string();
        translate(&argv).map(|argv| argv.map(|argv| joined(argv).expect("UTF-8")))
    }

    #[test]
    fn syslogc_reads_its_options_and_asks() {
        for (line, want) in [
            ("syslogc debug", "--ask read debug"),
            ("syslogc -c debug", "--ask take debug"),
            ("syslogc -C debug", "--ask clear debug"),
            ("syslogc -f debug", "--ask follow debug"),
            ("syslogc -o debug", "--ask overflowed debug"),
            ("syslogc -q", "--ask list"),
            ("syslogc -s /ctl debug", "--control=/ctl --ask read debug"),
            ("syslogc -qs/ctl", "--control=/ctl --ask list"),
            ("syslogc -- debug", "--ask read debug"),
        ] {
            let want = format!("syslogc {want}");
            assert_eq!(translated(line), Some(Ok(want)), "{line}");
        }
        assert_eq!(translated("syslogd -q"), None);
        assert!(translated("/usr/sbin/syslogc -q").is_some());
    }

    #[test]
    fn what_syslogc_does_not_know_is_a_mistake() {
        for line in [
            "syslogc",
            "syslogc -x debug",
            "syslogc a b",
            "syslogc -q debug",
            "syslogc -s",
            "syslogc -f",
            "syslogc -- -f",
        ] {
            assert_eq!(translated(line), Some(Err(USAGE.to_owned())), "{line}");
        }
    }
}
