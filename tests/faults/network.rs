//! Hosts with daemons on one wire, for a story that has a network of its own.
//!
//! ```text
//! 10.9.0.1      10.9.0.2      10.9.0.3       each a network namespace with the daemon in it
//!    │ h1          │ h2          │ h3        links, which can be cut
//! ───┴─────────────┴─────────────┴─── wire   10.9.0.254, the story itself
//! ```

use std::process::Command;

use crate::support::{Daemon, Setup, output_of};

/// The address of the story.
pub(crate) const HERE: &str = "10.9.0.254";

/// Lays the wire.
pub(crate) fn lay() {
    ip("link add wire type bridge");
    ip("address add 10.9.0.254/24 dev wire");
    ip("link set wire up");
}

/// A host with a daemon that listens on UDP and TCP, port 514.
pub(crate) fn host(number: u8, arguments: &[&str], config: &str) -> Daemon {
    // exec keeps the process id, by which the harness knows the daemon.
    let plug = format!(
        "ip link set lo up
         ip link add eth0 type veth peer name h{number} netns {}
         ip address add 10.9.0.{number}/24 dev eth0
         ip link set eth0 up
         exec \"$@\"",
        std::process::id()
    );
    let daemon = Setup::new(config)
        .arguments(arguments)
        .listens(&["udp://0.0.0.0:514", "tcp://0.0.0.0:514"])
        .wrapper(&["unshare", "--net", "sh", "-ec", &plug, "sh"])
        .start();
    ip(&format!("link set h{number} up"));
    plug_in(number);
    daemon
}

/// Cuts the link of a host: nothing passes, and nobody is told.
pub(crate) fn unplug(number: u8) {
    ip(&format!("link set h{number} nomaster"));
}

/// Lets no more than 64 kbit/s leave the host of a daemon.
pub(crate) fn narrow(daemon: &Daemon) {
    tc(
        daemon,
        "qdisc add dev eth0 root tbf rate 64kbit burst 1600 latency 100ms",
    );
}

/// Undoes [`narrow`].
pub(crate) fn widen(daemon: &Daemon) {
    tc(daemon, "qdisc del dev eth0 root");
}

/// On the host of a daemon, sends what is for `address` to a host that is not there, which nobody notices.
pub(crate) fn lose_what_is_for(daemon: &Daemon, address: &str) {
    let neighbour = format!("neighbour add {address} lladdr 02:00:00:00:00:01 dev eth0");
    output_of(at(daemon).arg("ip").args(neighbour.split(' ')));
}

fn tc(daemon: &Daemon, words: &str) {
    output_of(at(daemon).arg("tc").args(words.split(' ')));
}

/// A command on the host of a daemon.
fn at(daemon: &Daemon) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", daemon.pid()));
    command
}

/// Links a host to the wire.
pub(crate) fn plug_in(number: u8) {
    ip(&format!("link set h{number} master wire"));
}

/// ip(8), which must succeed.
fn ip(words: &str) {
    output_of(Command::new("ip").args(words.split(' ')));
}
