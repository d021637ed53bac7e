//! Streams to cut.

use syslogd::frame::{Framer, Step};
use syslogd::input::MAX_MESSAGE;

/// A framer for a new connection.
pub(crate) fn framer() -> Framer {
    Framer::new(MAX_MESSAGE)
}

/// Cuts whole frames off `unread` until it is empty.
pub(crate) fn for_each_frame(framer: &mut Framer, mut unread: &[u8], mut take: impl FnMut(&[u8])) {
    loop {
        let consumed = match framer.next(unread) {
            Step::Frame { octets, consumed } => {
                take(&unread[octets]);
                consumed
            }
            Step::Skip { consumed, .. } => consumed,
            Step::More | Step::Oversize { .. } | Step::Broken(_) => break,
        };
        unread = &unread[consumed..];
    }
    assert!(unread.is_empty(), "a frame is not whole");
}

/// The way to frame a message in a stream (RFC 6587).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// 3.4.1
    Counted,
    /// 3.4.2
    Lines,
}

/// As many frames of `octets` as one read brings, and how many they are.
pub(crate) fn one_read(octets: &[u8], framing: Framing) -> (Vec<u8>, usize) {
    let frame = match framing {
        Framing::Counted => [format!("{} ", octets.len()).as_bytes(), octets].concat(),
        Framing::Lines => [octets, b"\n"].concat(),
    };
    let count = READ / frame.len();
    (frame.repeat(count), count)
}

/// Octets of one read.
const READ: usize = 64 << 10;
