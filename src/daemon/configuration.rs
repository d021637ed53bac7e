//! Where the configuration comes from: a file, a file with a directory, or the options alone.

use std::fs;

use super::StartError;
use crate::cli::{Arguments, LocalSocket};
use crate::config::{self, LoadError, LoadOptions, Loaded};

/// Reads the configuration that the command line names or is.
///
/// # Errors
/// The file cannot be read or is not trusted.
pub fn load(arguments: &Arguments) -> Result<Loaded, LoadError> {
    if let Some(text) = from_options(arguments) {
        // Our own words, which no dialect changes.
        return Ok(config::load_text(OPTIONS, &text, LoadOptions::default()));
    }
    let options = LoadOptions {
        dialect: arguments.compat,
        exact: arguments.exact,
    };
    let directory = arguments.include_directory.as_deref();
    let directory = directory.filter(|directory| directory.is_dir());
    config::load(&arguments.config, directory, options)
}

/// What the configuration is called.
pub fn name(arguments: &Arguments) -> String {
    match from_options(arguments) {
        Some(_) => OPTIONS.to_owned(),
        None => arguments.config.display().to_string(),
    }
}

const OPTIONS: &str = "command line";

fn from_options(arguments: &Arguments) -> Option<String> {
    if arguments.is_config_named {
        return None;
    }
    arguments.one_log.configuration()
}

/// Adds the sockets that the file of `--socket-list` names, one on a line (NetBSD's `-P`).
///
/// # Errors
/// If the file cannot be read, or names a socket that is not below `/`.
pub fn read_socket_list(arguments: &mut Arguments) -> Result<(), StartError> {
    let Some(list) = &arguments.socket_list else {
        return Ok(());
    };
    let bad = |why: &str| StartError::Usage(format!("--socket-list {}: {why}", list.display()));
    let text = fs::read_to_string(list).map_err(|error| bad(&error.to_string()))?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !line.starts_with('/') {
            return Err(bad(&format!("{line:?} is no absolute path")));
        }
        let socket = LocalSocket {
            path: line.into(),
            mode: None,
        };
        arguments.sockets.push(socket);
    }
    Ok(())
}
