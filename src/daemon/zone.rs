//! The time zone's file, looked at before it is read.
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

/// Makes the zone UTC if the file that `TZ`, or the host, names cannot be one; returns the warning.
///
/// For a process with one thread.
pub fn guard() -> Option<String> {
    let zone = env::var("TZ").ok();
    let named = zone.as_deref().map(candidates).unwrap_or_default();
    let of_the_host = OF_THE_HOST.iter().map(PathBuf::from);
    let mut files = named.into_iter().chain(of_the_host);
    let (why, path) = files.find_map(|path| Some((fault(&path)?, path)))?;
    let path = path.display();
    Some(match crate::sys::set_zone_to_utc() {
        Ok(()) => format!("{path} is no time zone: {why}; times are in UTC"),
        Err(error) => format!("{path} is no time zone: {why}; {}", reason(&error)),
    })
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
