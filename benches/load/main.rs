//! A load for `benches/peers.sh` and `benches/syscalls.sh`: numbered messages, sent as fast as they are
//! taken or at a given rate, and counted in the files afterwards.
//!
//! ```text
//! load drive TRANSPORT TARGET --pid PID --files DIR [--count N] [--seconds S] [--rate R] [--connections K]
//!                              [--burst B] [--programs P] [--length L]
//! load sink TRANSPORT ADDRESS FILE
//! ```
//!
//! `drive` sends, waits until the files hold everything or stop growing, and prints one line of CSV:
//! what [`drive::Outcome`] says. `sink` is the least program that can receive and write: it parses
//! nothing, and what it costs is the price of the kernel.

#![expect(clippy::print_stdout, reason = "what the scripts read")]
#![expect(
    clippy::disallowed_methods,
    reason = "a sender that keeps a rate sleeps, and files tell nobody that they grow"
)]

mod count;
mod drive;
mod messages;
mod send;
mod sink;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

fn main() {
    match Load::parse() {
        Load::Drive(order) => println!("{}", drive::drive(&order)),
        Load::Sink {
            transport,
            address,
            file,
        } => sink::run(transport, &address, &file),
    }
}

/// Loads a syslog daemon, and counts what arrives.
#[derive(Debug, Parser)]
enum Load {
    /// Sends and counts.
    Drive(Order),
    /// Receives and writes, and nothing else.
    Sink {
        transport: Transport,
        address: String,
        file: PathBuf,
    },
}

/// What to send, and where it shows.
#[derive(Args, Debug)]
struct Order {
    transport: Transport,
    /// A path, or an address and port.
    target: String,
    /// The daemon: what it costs is measured.
    #[arg(long)]
    pid: i32,
    /// Where its files are, and nothing else.
    #[arg(long)]
    files: PathBuf,
    /// The most messages.
    #[arg(long, default_value_t = 10_000_000)]
    count: u64,
    /// The longest time, in seconds.
    #[arg(long, value_parser = seconds, default_value = "1")]
    seconds: Duration,
    /// Messages for each second; as fast as they are taken if not given.
    #[arg(long)]
    rate: Option<f64>,
    /// Connections, or sockets.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Messages for each write to a connection; as many as fit if not given.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    burst: usize,
    #[command(flatten)]
    shape: messages::Shape,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Transport {
    /// RFC 3164 without HOSTNAME in unix datagrams, as syslog(3) sends.
    Unix,
    /// RFC 3164 and RFC 5424 in UDP datagrams, by segmentation offload.
    Udp,
    /// RFC 3164 and RFC 5424 in lines.
    Tcp,
    /// RFC 5424 in counted frames.
    TcpCounted,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
