//! The unix sockets that the command line names: `[MODE:]PATH`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A unix datagram socket, as FreeBSD writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Who may write to it; `None` is everybody.
    pub mode: Option<u32>,
}

impl LocalSocket {
    /// Reads `PATH` or `MODE:PATH`, where MODE is octal; anything else is a path.
    pub fn parse(text: OsString) -> Self {
        let octets = text.as_bytes();
        let colon = octets.iter().position(|octet| *octet == b':');
        if let Some((mode, path)) = colon.and_then(|colon| octets.split_at_checked(colon))
            && let Ok(digits) = str::from_utf8(mode)
            && let Ok(mode) = u32::from_str_radix(digits, 8)
            && mode <= 0o777
            && path.len() > 1
        {
            return Self {
                path: OsStr::from_bytes(&path[1..]).into(),
                mode: Some(mode),
            };
        }
        Self {
            path: text.into(),
            mode: None,
        }
    }
}

impl From<PathBuf> for LocalSocket {
    fn from(path: PathBuf) -> Self {
        Self { path, mode: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_ends_with_a_colon() {
        for (text, path, mode) in [
            ("/dev/log", "/dev/log", None),
            ("0600:/dev/log", "/dev/log", Some(0o600)),
            ("622:log", "log", Some(0o622)),
            ("0800:/dev/log", "0800:/dev/log", None), // not octal
            ("1777:/dev/log", "1777:/dev/log", None), // not a mode of a socket
            ("600:", "600:", None),
            (":/dev/log", ":/dev/log", None),
        ] {
            let got = LocalSocket::parse(text.into());
            assert_eq!((got.path, got.mode), (path.into(), mode), "{text}");
        }
    }
}
