//! Putting it together: the only place that knows all parts.

pub mod daemonise;
pub mod host;
pub mod pid_file;
