//! Denied messages, told in one sentence a minute: a flood must not fill the disk (CVE-2008-5618).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What one listener denied since the last word about it.
#[derive(Debug)]
pub struct Denials {
    /// What the operator knows the listener by: `udp 0.0.0.0:514`.
    listener: String,
    messages: u64,
    peers: HashSet<IpAddr>,
    last: Option<SocketAddr>,
    told: Option<Instant>,
}

impl Denials {
    /// The least time between two sentences.
    pub const PAUSE: Duration = Duration::from_secs(60);

    /// More peers than this are "at least" so many.
    const MOST_PEERS: usize = 1024;

    /// None yet.
    pub fn new(listener: String) -> Self {
        Self {
            listener,
            messages: 0,
            peers: HashSet::new(),
            last: None,
            told: None,
        }
    }

    /// Notes one denied message; returns what the operator reads, at most once a minute.
    pub fn note(&mut self, peer: SocketAddr, now: Instant) -> Option<String> {
        self.messages += 1;
        if self.peers.len() < Self::MOST_PEERS {
            self.peers.insert(peer.ip().to_canonical());
        }
        self.last = Some(peer);
        self.tell(now)
    }

    /// The sentence, if something was denied and the last one is a minute old; for a timer.
    pub fn tell(&mut self, now: Instant) -> Option<String> {
        let last = self.last?;
        if self.told.is_some_and(|told| now < told + Self::PAUSE) {
            return None;
        }
        let last = SocketAddr::new(last.ip().to_canonical(), last.port());
        let sentence = format!(
            "denied {} message{} of {}{} peer{}, last {last}, on {}; see -a",
            self.messages,
            if self.messages == 1 { "" } else { "s" },
            if self.peers.len() < Self::MOST_PEERS {
                ""
            } else {
                "at least "
            },
            self.peers.len(),
            if self.peers.len() == 1 { "" } else { "s" },
            self.listener,
        );
        self.messages = 0;
        self.peers.clear();
        self.last = None;
        self.told = Some(now);
        Some(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v23_denied_messages_are_told_at_most_once_a_minute() {
        let mut denials = Denials::new("udp 0.0.0.0:514".to_owned());
        let peer = |octet: u8| SocketAddr::from(([10, 9, 0, octet], 5000));
        let start = Instant::now();
        assert_eq!(denials.tell(start), None);
        assert_eq!(
            denials.note(peer(1), start).as_deref(),
            Some("denied 1 message of 1 peer, last 10.9.0.1:5000, on udp 0.0.0.0:514; see -a")
        );
        for octet in [1, 2, 3, 2] {
            assert_eq!(denials.note(peer(octet), start), None);
        }
        assert_eq!(denials.tell(start + Duration::from_secs(59)), None);
        assert_eq!(
            denials.tell(start + Denials::PAUSE).as_deref(),
            Some("denied 4 messages of 3 peers, last 10.9.0.2:5000, on udp 0.0.0.0:514; see -a")
        );
        assert_eq!(denials.tell(start + 3 * Denials::PAUSE), None);
    }
}
