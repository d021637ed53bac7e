//! Cuts a stream into frames (RFC 6587), looking only: it owns no octet and copies none.
//!
//! ```text
//! 19 <13>1 - h a - - - x      octet counting (3.4.1): MSG-LEN SP MSG
//! <13>1 - h a - - - x␊        non-transparent (3.4.2): a line
//! ```
//!
//! Which of the two is decided anew for each frame, by its first octets: 1 to 7 digits without leading
//! zero and then SP are a count, anything else is a line. The caller never needs to hold more than the
//! limit and nine octets.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::string_slice
)]

use std::ops::Range;

use memchr::memchr2;
use thiserror::Error;

/// The state of one connection.
#[derive(Clone, Debug)]
pub struct Framer {
    limit: usize,
    before: Before,
    skipping: Skipping,
    /// How many of the unread octets are known to hold no trailer: each octet is searched once.
    searched: usize,
}

/// What the last frame was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    Nothing,
    Counted,
    Line,
}

/// What is left of a frame that is longer than the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Skipping {
    No,
    Counted { left: usize, cut: u64 },
    Line { cut: u64, after_cr: bool },
}

/// What the unread octets begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// A whole frame.
    Frame {
        /// Where its octets lie; the trailer and one CR before it are not among them.
        octets: Range<usize>,
        /// How many octets to drop afterwards.
        consumed: usize,
    },
    /// Nothing yet: read more, keeping all that is unread.
    More,
    /// A frame longer than the limit: keep a copy of its head. [`Step::Skip`] tells when it ends.
    Oversize {
        /// Its first `limit` octets.
        head: Range<usize>,
        /// How many octets to drop afterwards.
        consumed: usize,
    },
    /// Octets that are no part of any record.
    Skip {
        /// How many octets to drop.
        consumed: usize,
        /// `Some` if the oversize frame ended here: how many octets were cut off it in all.
        cut: Option<u64>,
    },
    /// The stream cannot be followed: count it, say it, close the connection.
    Broken(FrameError),
}

/// What the end of the stream left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Last {
    /// Nothing: the stream ended between two frames.
    Nothing,
    /// A frame that is not whole, or a line without its LF: keep it.
    Partial {
        /// Where its octets lie; more than the limit if that was lowered since they were looked at.
        octets: Range<usize>,
    },
    /// The end of an oversize frame.
    Cut(u64),
}

/// Why a stream cannot be followed.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
pub enum FrameError {
    /// More digits than any count has.
    #[error("octet count has more than 7 digits")]
    CountTooLong,
    /// A count over the hard limit.
    #[error("octet count {count} is over the limit of {limit}")]
    CountTooLarge {
        /// What it says.
        count: usize,
        /// What we allow.
        limit: usize,
    },
    /// After a counted frame stands neither a count nor a PRI nor a line's end.
    #[error("octet count does not match the message before this one")]
    CountMismatch,
    /// A TLS handshake.
    #[error("TLS handshake on a port without TLS")]
    Tls,
    /// A Beats client.
    #[error("Beats protocol on a syslog port")]
    Beats,
    /// A gzip stream.
    #[error("compressed stream, which is not supported")]
    Compressed,
}

impl Framer {
    /// A framer for a new connection, which cuts frames longer than `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            before: Before::Nothing,
            skipping: Skipping::No,
            searched: 0,
        }
    }

    /// What it knows between two reads, for another process to go on with: see [`Framer::resume`].
    pub fn state(&self) -> [u64; 4] {
        let before = match self.before {
            Before::Nothing => 0,
            Before::Counted => 1,
            Before::Line => 2,
        };
        match self.skipping {
            Skipping::No => [before, 0, 0, 0],
            Skipping::Counted { left, cut } => [before, 1, wide(left), cut],
            Skipping::Line { cut, after_cr } => [before, 2, u64::from(after_cr), cut],
        }
    }

    /// Goes on where another one was, with the octets that it had not consumed; `None` if that is no
    /// state of a framer.
    pub fn resume(limit: usize, state: [u64; 4]) -> Option<Self> {
        let [before, skipping, detail, cut] = state;
        let before = match before {
            0 => Before::Nothing,
            1 => Before::Counted,
            2 => Before::Line,
            _ => return None,
        };
        let skipping = match skipping {
            0 => Skipping::No,
            1 => Skipping::Counted {
                left: usize::try_from(detail).ok()?,
                cut,
            },
            2 => Skipping::Line {
                cut,
                after_cr: detail != 0,
            },
            _ => return None,
        };
        Some(Self {
            limit,
            before,
            skipping,
            searched: 0,
        })
    }

    /// Cuts frames longer than `limit` octets from now on, the one that is unfinished among them.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// With so many octets unread [`Framer::next`] never wants more.
    pub fn most_unread(&self) -> usize {
        self.limit.saturating_add(LONGEST_HEADER).saturating_add(1)
    }

    /// Looks at the octets that were read and not yet consumed.
    ///
    /// Call again with what is left after `consumed`, until [`Step::More`]; then read and call again
    /// with the same octets and those that follow.
    pub fn next(&mut self, unread: &[u8]) -> Step {
        let step = self.step(unread);
        match &step {
            Step::More | Step::Broken(_) => {}
            Step::Frame { .. } | Step::Oversize { .. } | Step::Skip { .. } => self.searched = 0,
        }
        step
    }

    /// Whether the remainder of an oversize frame is to come, of which no octet stays unread.
    pub fn is_skipping(&self) -> bool {
        self.skipping != Skipping::No
    }

    /// What to do with the octets that [`Framer::next`] wanted more after, now that none will come.
    pub fn finish(&mut self, unread: &[u8]) -> Last {
        match std::mem::replace(&mut self.skipping, Skipping::No) {
            Skipping::Counted { cut, .. } => return Last::Cut(cut),
            Skipping::Line { cut, after_cr } => {
                return Last::Cut(cut.saturating_sub(u64::from(after_cr)));
            }
            Skipping::No => {}
        }
        let start = match count(unread) {
            Count::Is { header, .. } => header,
            Count::None | Count::Unfinished | Count::TooLong => 0,
        };
        let end = match unread.get(start..) {
            Some([text @ .., b'\r']) => start.saturating_add(text.len()),
            Some(_) | None => unread.len(),
        };
        if start < end {
            Last::Partial { octets: start..end }
        } else {
            Last::Nothing
        }
    }

    fn step(&mut self, unread: &[u8]) -> Step {
        if unread.is_empty() {
            return Step::More;
        }
        match self.skipping {
            Skipping::Counted { left, cut } => return self.skip_counted(unread, left, cut),
            Skipping::Line { cut, after_cr } => return self.skip_line(unread, cut, after_cr),
            Skipping::No => {}
        }
        if self.before == Before::Nothing
            && let Some(error) = foreign(unread)
        {
            return Step::Broken(error);
        }
        match count(unread) {
            Count::Is { count, header } => self.counted(unread, count, header),
            Count::TooLong => Step::Broken(FrameError::CountTooLong),
            Count::Unfinished => Step::More,
            Count::None => {
                // A count that was wrong puts us in the middle of a text, where a peer's words would be
                // read as frames of their own.
                let boundary = matches!(unread, [b'<' | b'\n' | b'\r' | 0 | b'1'..=b'9', ..]);
                if self.before == Before::Counted && !boundary {
                    return Step::Broken(FrameError::CountMismatch);
                }
                self.line(unread)
            }
        }
    }

    fn counted(&mut self, unread: &[u8], count: usize, header: usize) -> Step {
        let hard_limit = HARD_LIMIT.max(self.limit);
        if count > hard_limit {
            return Step::Broken(FrameError::CountTooLarge {
                count,
                limit: hard_limit,
            });
        }
        let end = header.saturating_add(count.min(self.limit));
        if unread.len() < end {
            return Step::More;
        }
        self.before = Before::Counted;
        let octets = header..end;
        if count <= self.limit {
            return Step::Frame {
                octets,
                consumed: end,
            };
        }
        self.skipping = Skipping::Counted {
            left: count.saturating_sub(self.limit),
            cut: 0,
        };
        Step::Oversize {
            head: octets,
            consumed: end,
        }
    }

    fn line(&mut self, unread: &[u8]) -> Step {
        let unsearched = unread.get(self.searched..).unwrap_or_default();
        let Some(end) = trailer(unsearched) else {
            self.searched = unread.len();
            // One more octet than the limit may be the CR before an LF.
            let room = self
                .limit
                .saturating_add(usize::from(unread.get(self.limit) == Some(&b'\r')));
            return if unread.len() <= room {
                Step::More
            } else {
                self.oversize_line()
            };
        };
        let end = end.saturating_add(self.searched);
        let consumed = end.saturating_add(1);
        let line = unread.get(..end).unwrap_or_default();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if text.len() > self.limit {
            return self.oversize_line();
        }
        if text.iter().all(|octet| matches!(octet, 0 | b'\r')) {
            // RFC 6587 3.4.2 knows no empty message; after a count a lone LF is a common slip. Where one is
            // there are often more, and a step for each would cost more than a whole line.
            self.before = Before::Line;
            let after = unread.get(consumed..).unwrap_or_default();
            let more = empty_lines(after, self.limit);
            return Step::Skip {
                consumed: consumed.saturating_add(more),
                cut: None,
            };
        }
        self.before = Before::Line;
        Step::Frame {
            octets: 0..text.len(),
            consumed,
        }
    }

    fn oversize_line(&mut self) -> Step {
        self.before = Before::Line;
        self.skipping = Skipping::Line {
            cut: 0,
            after_cr: false,
        };
        Step::Oversize {
            head: 0..self.limit,
            consumed: self.limit,
        }
    }

    fn skip_counted(&mut self, unread: &[u8], left: usize, cut: u64) -> Step {
        let consumed = left.min(unread.len());
        let left = left.saturating_sub(consumed);
        let cut = cut.saturating_add(wide(consumed));
        self.skipping = if left == 0 {
            Skipping::No
        } else {
            Skipping::Counted { left, cut }
        };
        Step::Skip {
            consumed,
            cut: (left == 0).then_some(cut),
        }
    }

    fn skip_line(&mut self, unread: &[u8], cut: u64, after_cr: bool) -> Step {
        let end = trailer(unread);
        let text = unread
            .get(..end.unwrap_or(unread.len()))
            .unwrap_or_default();
        let after_cr = text.last().map_or(after_cr, |octet| *octet == b'\r');
        let cut = cut.saturating_add(wide(text.len()));
        if end.is_some() {
            self.skipping = Skipping::No;
            Step::Skip {
                consumed: text.len().saturating_add(1),
                cut: Some(cut.saturating_sub(u64::from(after_cr))),
            }
        } else {
            self.skipping = Skipping::Line { cut, after_cr };
            Step::Skip {
                consumed: text.len(),
                cut: None,
            }
        }
    }
}

/// How many octets of empty lines are at the front. One that is over the limit is not empty, but cut.
fn empty_lines(octets: &[u8], limit: usize) -> usize {
    let (mut length, mut returns) = (0, 0_usize);
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'\r' => returns = returns.saturating_add(1),
            // One CR belongs to the end of its line.
            0 | b'\n' if returns.saturating_sub(1) <= limit => {
                (length, returns) = (at.saturating_add(1), 0);
            }
            _ => break,
        }
    }
    length
}

/// Where a line ends: at LF, or at NUL as some senders have it (RFC 6587 3.4.2).
fn trailer(octets: &[u8]) -> Option<usize> {
    memchr2(b'\n', 0, octets)
}

/// How a frame begins.
enum Count {
    /// With a count; `header` octets stand before the message.
    Is { count: usize, header: usize },
    /// With text.
    None,
    /// With digits, and what follows them decides.
    Unfinished,
    /// With more digits than we read: CVE-2022-24903 copied them all.
    TooLong,
}

fn count(octets: &[u8]) -> Count {
    if !matches!(octets, [b'1'..=b'9', ..]) {
        return Count::None;
    }
    let mut count: usize = 0;
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'0'..=b'9' if at < COUNT_DIGITS => {
                let digit = usize::from(octet.wrapping_sub(b'0'));
                count = count.saturating_mul(10).saturating_add(digit);
            }
            b'0'..=b'9' => return Count::TooLong,
            b' ' => {
                let header = at.saturating_add(1);
                return Count::Is { count, header };
            }
            _ => return Count::None,
        }
    }
    Count::Unfinished
}

/// Another protocol on our port, where its first octets leave no doubt.
fn foreign(octets: &[u8]) -> Option<FrameError> {
    match octets {
        [0x16, 0x03, ..] => Some(FrameError::Tls),
        [b'2', b'W', 0, ..] => Some(FrameError::Beats),
        [0x1f, 0x8b, ..] => Some(FrameError::Compressed),
        _ => None,
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Digits in a count.
const COUNT_DIGITS: usize = 7;

/// A count, the space behind it, and the CR of a line.
const LONGEST_HEADER: usize = COUNT_DIGITS + 2;

/// A larger count is no syslog message, and skipping that much would be a slow way to say so.
const HARD_LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
