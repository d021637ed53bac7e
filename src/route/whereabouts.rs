//! Where a forward leads, so that nothing is sent back to where it came from.
//!
//! ```text
//! worker: name ─► addresses ─► set()            two daemons that forward to each other
//! shard:  sender of a message ─► includes()     send each message once, and not for ever
//! ```
//!
//! The limit: a longer ring, or a host that sends from another address than its name has, is not seen.

use std::net::IpAddr;

use arc_swap::ArcSwap;

/// The addresses of the host that an output leads to, as far as they are known.
#[derive(Debug, Default)]
pub struct Whereabouts(ArcSwap<Vec<IpAddr>>);

impl Whereabouts {
    /// Whether a message of this sender would go back to it. Takes no lock.
    pub fn includes(&self, sender: IpAddr) -> bool {
        self.0.load().contains(&sender.to_canonical())
    }

    /// It is at these addresses from now on; those of IPv4 are to be written as such.
    pub fn set(&self, addresses: Vec<IpAddr>) {
        self.0.store(addresses.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_found_in_either_form() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let whereabouts = Whereabouts::default();
        assert!(!whereabouts.includes(address("192.0.2.1")), "not yet known");
        whereabouts.set(vec![address("192.0.2.1"), address("2001:db8::1")]);
        for (sender, want) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(whereabouts.includes(address(sender)), want, "{sender}");
        }
        whereabouts.set(Vec::new());
        assert!(!whereabouts.includes(address("192.0.2.1")), "it has moved");
    }
}
