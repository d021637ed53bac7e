//! syslogd: parse the arguments, run, and say in one line why it ended.

fn main() {}
