//! Hosts with daemons on one wire, for a story that has a network of its own.
//!
//! ```text
//! 10.9.0.1      10.9.0.2      10.9.0.3       each a network namespace with the daemon in it
//!    │ h1          │ h2          │ h3        links, which can be cut
//! ───┴─────────────┴─────────────┴─── wire   10.9.0.254, the story itself
//! ```

use std::process::Command;

use crate::support::{Daemon, Setup, output_of};

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

/// Links a host to the wire.
fn plug_in(number: u8) {
    ip(&format!("link set h{number} master wire"));
}

/// ip(8), which must succeed.
fn ip(words: &str) {
    output_of(Command::new("ip").args(words.split(' ')));
}
