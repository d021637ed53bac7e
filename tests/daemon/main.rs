//! Stories: the real `syslogd`, real sockets and files, and the real `logger`, `tail` and `gzip`.
//!
//! Each reads as config, send, expect, and ends with [`support::Daemon::finish`]: the daemon is alive, logs
//! the next message, and its counters balance. `SYSLOGD=/usr/sbin/syslogd` tests another program.

#![expect(
    clippy::print_stderr,
    reason = "a failed test shows what the daemon said"
)]

mod cli;
mod config_errors;
#[path = "../faults/mod.rs"]
mod faults;
mod fifo;
mod filters;
mod formats;
mod forward;
mod hostile;
mod kernel;
mod lifecycle;
mod marks;
mod memory;
mod message_size;
mod order;
mod privileged;
mod real_input;
mod reload;
mod rotation;
mod rotation_by_time;
mod selectors;
mod shutdown;
mod stalled;
mod support;
mod tcp_framing;
mod try_out;
mod udp;
mod unix;
mod users;
