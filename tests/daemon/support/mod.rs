//! The harness: a `syslogd` of our own, in a directory of its own.

pub(crate) mod corpus;
pub(crate) mod counters;
mod daemon;
mod lines;
mod log_file;
mod namespaces;
mod setup;
mod wait;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

pub(crate) use counters::{Counters, sum};
pub(crate) use daemon::{Daemon, close};
pub(crate) use lines::Lines;
pub(crate) use log_file::LogFile;
pub(crate) use namespaces::is_inside;
pub(crate) use setup::Setup;
pub(crate) use wait::{DEADLINE, wait_for, within};

/// Our own name as lines of the log show it.
pub(crate) fn hostname() -> String {
    let name = nix::unistd::gethostname().expect("this host has a name");
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// `text` as an octet-counted frame (RFC 6587 3.4.1).
pub(crate) fn counted(text: &str) -> String {
    format!("{} {text}", text.len())
}

/// Whether the name of a file ends in `.suffix`.
pub(crate) fn has_suffix(name: &str, suffix: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == suffix)
}

/// The output of a tool that must succeed.
pub(crate) fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the tool is installed");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// What a compressed file holds, according to gzip(1).
pub(crate) fn gunzip(path: &Path) -> Vec<u8> {
    output_of(Command::new("gzip").arg("-t").arg(path));
    output_of(Command::new("gzip").arg("-dc").arg(path))
}

/// Says that a test is left out, past the capture of the test harness, which shows only failures.
pub(crate) fn skip(why: &str) {
    writeln!(io::stderr(), "SKIP: {why}").expect("stderr is open");
}

/// Sends one message with the `logger` of util-linux.
pub(crate) fn logger(arguments: &[&str]) {
    output_of(Command::new("logger").args(arguments));
}
