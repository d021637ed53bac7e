//! `--try`: the daemon as anyone can run it, with everything below one directory.
//!
//! ```text
//! syslogd-try/
//!   syslog.conf    written the first time, and then kept as it is
//!   log.sock       a unix datagram socket
//!   log/messages   …and what the rules say; rotated, compressed
//!   syslogd.pid
//! ```

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::StartError;
use super::inputs::{Inputs, port};
use crate::cli::Arguments;
use crate::config::ListenAddress;

/// A directory to try the daemon in.
#[derive(Debug)]
pub(super) struct TryOut {
    directory: PathBuf,
}

/// With `--try`: makes the directory, and points the arguments to what is in it.
pub(super) fn prepare(arguments: &mut Arguments) -> Result<Option<TryOut>, StartError> {
    let Some(directory) = arguments.try_dir.clone() else {
        return Ok(None);
    };
    let failed = |error| StartError::Try {
        directory: directory.display().to_string(),
        error,
    };
    let directory = std::path::absolute(&directory).map_err(failed)?;
    if !directory.to_string_lossy().chars().all(can_be_named) {
        let why = "syslog.conf cannot name a path with blanks, ;, #, \\ or control characters: take another";
        return Err(failed(io::Error::other(why)));
    }
    fs::create_dir_all(directory.join("log")).map_err(failed)?;
    let config = directory.join("syslog.conf");
    write_new(&config, &configuration(&directory)).map_err(failed)?;
    arguments.config = config;
    arguments.is_config_named = true;
    arguments.include_directory = None;
    arguments.sockets = vec![directory.join("log.sock").into()];
    arguments.pid_file = directory.join("syslogd.pid");
    arguments.kmsg_cache = directory.join("kmsg");
    arguments.kernel_log = false;
    arguments
        .listen
        .extend(["udp://127.0.0.1:0".into(), "tcp://127.0.0.1:0".into()]);
    Ok(Some(TryOut { directory }))
}

fn can_be_named(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !";#\\\u{fffd}".contains(character)
}

/// Creates a file, unless it is there.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn configuration(directory: &Path) -> String {
    let log = directory.join("log");
    let log = log.display();
    format!(
        "# A small rule set to try syslogd with. Change it and send SIGHUP.\n\
         auth,authpriv.*\t\t\t\t{log}/auth.log\n\
         *.*;auth,authpriv.none\t\t\t-{log}/messages\t;rotate=1M:5\n\
         *.err\t\t\t\t\t{log}/errors\t;rotate=1M:5\n"
    )
}

impl TryOut {
    /// Prints the three lines that a person can paste into a second terminal.
    pub(super) fn introduce(&self, inputs: &Inputs) {
        let quoted = |name: &str| shell_quoted(&self.directory.join(name));
        let port_of = |wanted: fn(&ListenAddress) -> bool| {
            inputs
                .bound()
                .find(|address| wanted(address))
                .and_then(port)
                .unwrap_or(0)
        };
        let udp = port_of(|address| matches!(address, ListenAddress::Udp(_)));
        let tcp = port_of(|address| matches!(address, ListenAddress::Tcp(_)));
        let text = format!(
            "\nIt works below {directory}. In a second terminal:\n\n\
             \tlogger -u {socket} 'hello from a local socket'\n\
             \tlogger -n 127.0.0.1 -P {udp} -d 'hello over UDP'\n\
             \ttail -F {messages}\n\n\
             TCP is on port {tcp}: the same with -T for -d. Ctrl-C ends it.\n\n",
            directory = self.directory.display(),
            messages = quoted("log/messages"),
            socket = quoted("log.sock"),
        );
        // Whoever closed stdout does not want it.
        _ = io::stdout().write_all(text.as_bytes());
    }
}

/// The path as one word of sh(1).
fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+".contains(character);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
