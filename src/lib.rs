//! syslogd: receives messages, parses, routes and writes them, and accounts for every one.

pub mod block;
pub mod budget;
pub mod cli;
pub mod config;
pub mod counters;
pub mod daemon;
pub mod format;
pub mod frame;
pub mod input;
pub mod message;
pub mod output;
pub mod pri;
pub mod report;
pub mod route;
pub mod spool;
pub mod sys;
