//! Records to a relay or collector: datagrams, counted frames, or lines over TCP.
//!
//! ```text
//! @loghost         UDP                <13>text                     one record a datagram (RFC 5426)
//! @tcp://loghost   octet counting     8 SP <13>text                RFC 6587 3.4.1
//! @@loghost        lines              <13>text LF                  RFC 6587 3.4.2
//! ```
//!
//! Runs on its own worker thread and may block there: it resolves, connects and sends. Limits: UDP tells
//! of no loss; TCP loses what the peer's kernel acknowledged but its process never read (RFC 6587 3.1),
//! and may send up to a socket buffer of records twice after a connection broke.

mod datagram;
mod stream;
mod target;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::datagram::Datagrams;
use self::stream::Stream;
use self::target::{Listens, Target};
use crate::block::Block;
use crate::cli::Families;
use crate::config::{Remote, Transport};
use crate::counters::Loss;
use crate::output::{Stop, Trouble, Written};
use crate::report::reason;
use crate::route::whereabouts::Whereabouts;

/// How datagrams are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The longest datagram in octets (`-M`, `udp_size`); a longer record is cut.
    pub max_datagram: usize,
    /// Whether each goes to every address of the name (`-A`), or only to the first that has a route.
    pub all_addresses: bool,
}

impl Limits {
    /// What RFC 5424 6.1 makes every receiver take; sysklogd's least.
    pub const LEAST: usize = 480;

    /// The most that IPv4 carries in one datagram. sysklogd stops at 2048.
    pub const MOST: usize = 65_507;

    /// The limits with this datagram size, brought into what can be sent.
    pub fn new(max_datagram: usize) -> Self {
        Self {
            max_datagram: max_datagram.clamp(Self::LEAST, Self::MOST),
            all_addresses: false,
        }
    }
}

impl Default for Limits {
    /// 1024 octets, as sysklogd.
    fn default() -> Self {
        Self {
            max_datagram: 1024,
            all_addresses: false,
        }
    }
}

/// The sending end of one forward.
#[derive(Debug)]
pub struct Forward {
    target: Target,
    backoff: Backoff,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Datagrams(Datagrams),
    Stream(Stream),
}

/// Why a send stopped, before it is put in the operator's words.
#[derive(Debug)]
enum Failure {
    /// The name has no address.
    Unresolved(io::Error),
    /// No address took a connection.
    Connect(io::Error),
    /// The connection broke, or the network refuses.
    Send(io::Error),
    /// The peer reads nothing at present; the connection stands.
    Stalled,
    /// This record can never be sent.
    Refused,
}

impl Forward {
    /// A forward to `remote`; nothing is resolved or opened until the first record. We listen at `listens`
    /// ourselves.
    pub fn new(remote: Remote, limits: Limits, families: Families, listens: Listens) -> Self {
        let link = match remote.transport {
            Transport::Udp => Link::Datagrams(Datagrams::new(limits)),
            Transport::TcpOctetCounting => Link::Stream(Stream::new(stream::Framing::Counted)),
            Transport::TcpLines => Link::Stream(Stream::new(stream::Framing::Lines)),
        };
        Self {
            target: Target::new(remote, families, listens),
            backoff: Backoff::default(),
            link,
        }
    }

    /// Where it leads, as far as that is known.
    pub fn whereabouts(&self) -> Arc<Whereabouts> {
        Arc::clone(self.target.whereabouts())
    }

    /// Finds out again where it leads, and whether to ourselves (SIGHUP). A connection stays.
    pub fn look_around(&mut self) {
        self.target.publish();
        match &mut self.link {
            Link::Datagrams(datagrams) => datagrams.resolve_again(),
            Link::Stream(_) => {}
        }
    }

    /// Sends the records of a block from index `from` on. May block for some seconds.
    ///
    /// A record counts as taken when all of it is with the kernel, or, over TCP, when a part of it is:
    /// then the rest follows before anything else, or the whole again on the next connection.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        let (records, result) = match &mut self.link {
            Link::Datagrams(datagrams) => datagrams.send(&self.target, block, from),
            Link::Stream(stream) => stream.send(&self.target, block, from),
        };
        if records > 0 {
            self.backoff.reset();
        }
        Written {
            records,
            stopped: result.err().map(|failure| self.stop(&failure)),
        }
    }

    /// How many records are not known to have reached the peer's kernel; always 0 over UDP.
    pub fn unsettled(&mut self) -> usize {
        match &mut self.link {
            Link::Datagrams(_) => 0,
            Link::Stream(stream) => stream.unsettled(),
        }
    }

    /// Finishes what was taken, on a new connection if the old one broke.
    ///
    /// For a quiet output: to be called about once a second while something is [`Forward::unsettled`].
    pub fn settle(&mut self) -> Option<Stop> {
        let result = match &mut self.link {
            Link::Datagrams(_) => Ok(()),
            Link::Stream(stream) => match stream.unsettled() {
                0 => Ok(()),
                _ => stream.settle(&self.target),
            },
        };
        if result.is_ok() {
            self.backoff.reset();
        }
        result.err().map(|failure| self.stop(&failure))
    }

    /// Waits until the peer's kernel has all that was taken, at most until `deadline`, and disconnects.
    ///
    /// Returns how many records are not known to have arrived. They were counted as written.
    pub fn close(&mut self, deadline: Instant) -> usize {
        match &mut self.link {
            Link::Datagrams(datagrams) => {
                datagrams.close();
                0
            }
            Link::Stream(stream) => stream.close(&self.target, deadline),
        }
    }

    /// After [`Forward::close`]: the records that are not known to have arrived, to be sent again.
    pub fn take_back(&mut self) -> Block {
        match &mut self.link {
            Link::Datagrams(_) => Block::default(),
            Link::Stream(stream) => stream.take_back(),
        }
    }

    fn stop(&mut self, failure: &Failure) -> Stop {
        let target = &self.target;
        let (loss, sentence) = match failure {
            Failure::Refused => return Stop::Drop(Loss::Io),
            Failure::Stalled => {
                return Stop::Retry(Trouble {
                    after: Duration::from_millis(100),
                    loss: Loss::Timeout,
                    sentence: format!("{target} is connected but reads nothing"),
                });
            }
            Failure::Unresolved(error) => (
                Loss::Unresolved,
                format!("cannot find the address of {target}: {}", reason(error)),
            ),
            Failure::Connect(error) => (
                loss_of(error),
                format!("cannot connect to {target}: {}", reason(error)),
            ),
            Failure::Send(error) => (
                loss_of(error),
                format!("cannot send to {target}: {}", reason(error)),
            ),
        };
        Stop::Retry(Trouble {
            after: self.backoff.next(),
            loss,
            sentence,
        })
    }
}

fn loss_of(error: &io::Error) -> Loss {
    if error.kind() == io::ErrorKind::TimedOut {
        Loss::Timeout
    } else {
        Loss::Io
    }
}

/// How long to wait between tries: 1 s, doubled up to 60 s, less a random quarter.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    seed: foldhash::fast::RandomState,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(60);

    fn next(&mut self) -> Duration {
        use std::hash::BuildHasher as _;
        let whole = Duration::from_secs(1 << self.failures.min(6)).min(Self::LONGEST);
        // Jitter: a thousand hosts must not come back in the same second.
        let percent = self.seed.hash_one(self.failures) % 26;
        self.failures = self.failures.saturating_add(1);
        let jitter = whole * u32::try_from(percent).unwrap_or(0) / 100;
        whole.saturating_sub(jitter).max(Duration::from_secs(1))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests;
