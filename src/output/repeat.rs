//! Folding: a message that comes again and again is written once, and then counted.
//!
//! ```text
//! Nov 22 11:00:00 host app[7]: link down
//! Nov 22 11:00:30 host app[7]: last message repeated 41 times
//! ```
//!
//! A folded record waits with its output until the line that counts it is written, and is counted as
//! written then, or as lost if that line is.
//!
//! Never for `err` and more urgent. The count is written when another message comes, or 30, 120 and then
//! every 600 seconds after the last line, as BSD does. Its line is ours: it is no record of any input.
//! The limit: only neighbours are compared.

use std::time::{Duration, Instant, SystemTime};

use crate::block::{Block, Entry};
use crate::format::{Layout, bsd_stamp, rfc3339_stamp, utc_stamp};
use crate::pri::{Pri, Severity};

/// How the line that tells the count begins.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The timestamp, with the space after it.
    pub stamp: fn(SystemTime) -> String,
    /// What follows it.
    pub head: Head,
}

impl Style {
    /// The style that goes with the lines of an output.
    pub fn of(layout: Option<Layout>) -> Self {
        let (stamp, head): (fn(SystemTime) -> String, Head) = match layout {
            // Forwards never fold.
            Some(
                Layout::Traditional
                | Layout::ForwardBsd
                | Layout::ForwardRfc3164
                | Layout::ForwardRfc5424,
            )
            | None => (bsd_stamp, Head::Traditional),
            Some(Layout::Numeric | Layout::Named | Layout::Busybox) => (bsd_stamp, Head::Prefixed),
            Some(Layout::Short) => (bsd_stamp, Head::Short),
            Some(Layout::Utc) => (utc_stamp, Head::Traditional),
            Some(Layout::Rfc5424Line) => (rfc3339_stamp, Head::Rfc5424),
            Some(Layout::Rfc5424LinePri) => (rfc3339_stamp, Head::Rfc5424Pri),
        };
        Self { stamp, head }
    }
}

/// Which part of the repeated message names its sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Head {
    /// `host tag[pid]: `, or `host ` where there is no tag.
    Traditional,
    /// `<1.5> host tag[pid]: ` or `host user.notice tag[pid]: `, or without the tag.
    Prefixed,
    /// `tag[pid]: `, or nothing.
    Short,
    /// `host app-name procid - - `
    Rfc5424,
    /// The same, with `<PRI>1 ` before the timestamp.
    Rfc5424Pri,
}

/// Whether an output folds repeats.
#[derive(Clone, Copy, Debug)]
pub enum Folding {
    /// Every message is written.
    Off,
    /// Repeats are counted.
    On(Style),
}

/// After the last line, the count is told after so many seconds, then more slowly.
const SCHEDULE: [Duration; 3] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];

/// The last message of an output, and how often it came again.
#[derive(Debug)]
pub struct Repeats {
    style: Style,
    body: Vec<u8>,
    pri: Option<Pri>,
    count: u64,
    written: Instant,
    told: usize,
}

/// What is left of a block to write.
#[derive(Debug, Default)]
pub struct Folded {
    /// The records to write.
    pub block: Block,
    /// Which of them are lines of ours, in ascending order, and how many records each stands for.
    pub own: Vec<(usize, u64)>,
}

impl Folded {
    /// How many records of inputs the records `from..to` stand for.
    pub fn inputs(&self, from: usize, to: usize) -> u64 {
        let own = self
            .own
            .iter()
            .filter(|(index, _)| (from..to).contains(index));
        own.fold((to - from) as u64, |sum, (_, count)| sum - 1 + count)
    }
}

impl Repeats {
    /// Nothing was seen yet.
    pub fn new(style: Style, now: Instant) -> Self {
        Self {
            style,
            body: Vec::new(),
            pri: None,
            count: 0,
            written: now,
            told: 0,
        }
    }

    /// Takes the repeats out of a block. One without any passes as it is, nothing copied.
    pub fn fold(&mut self, block: Block, now: Instant) -> Folded {
        let pending = self.count > 0;
        if !pending && !self.any_repeat(&block) {
            if let Some(last) = block.len().checked_sub(1).and_then(|last| block.get(last)) {
                self.remember(last, now);
            }
            return Folded {
                block,
                ..Folded::default()
            };
        }
        let mut folded = Folded::default();
        for entry in block.iter() {
            if self.is_repeat(entry, now) {
                self.count += 1;
            } else {
                if let Some(count) = self.push_count(&mut folded.block) {
                    folded.own.push((folded.block.len() - 1, count));
                }
                folded.block.push(entry.pri, |octets| copy(octets, entry));
                self.remember(entry, now);
            }
        }
        folded
    }

    /// The line that tells the count, if there is one to tell, and the count.
    pub fn flush(&mut self, now: Instant) -> Option<(Block, u64)> {
        let mut block = Block::default();
        let count = self.push_count(&mut block)?;
        self.written = now;
        self.told = (self.told + 1).min(SCHEDULE.len() - 1);
        Some((block, count))
    }

    /// How many messages wait for a line that counts them.
    pub fn pending(&self) -> u64 {
        self.count
    }

    /// The line could not be written: its count is to be told later.
    pub fn put_back(&mut self, count: u64) {
        self.count += count;
    }

    /// The last message was lost after all: nothing is folded onto it, and what was is lost with it.
    pub fn forget(&mut self) -> u64 {
        self.pri = None;
        std::mem::take(&mut self.count)
    }

    /// Writes its lines in another style from now on.
    pub fn restyle(&mut self, style: Style) {
        self.style = style;
    }

    /// When [`flush`](Self::flush) is due, if there is something to tell.
    pub fn due(&self) -> Option<Instant> {
        (self.count > 0).then(|| self.written + SCHEDULE[self.told])
    }

    fn any_repeat(&self, block: &Block) -> bool {
        let mut before = (self.pri, self.body.as_slice());
        block.iter().any(|entry| {
            let same = before == (Some(entry.pri), entry.body) && can_fold(entry.pri);
            before = (Some(entry.pri), entry.body);
            same
        })
    }

    /// A repeat that comes late is written: the count would be told at once, and say less.
    fn is_repeat(&self, entry: Entry<'_>, now: Instant) -> bool {
        self.pri == Some(entry.pri)
            && can_fold(entry.pri)
            && self.body == entry.body
            && (self.count > 0 || now < self.written + SCHEDULE[self.told])
    }

    fn remember(&mut self, entry: Entry<'_>, now: Instant) {
        if self.pri != Some(entry.pri) || self.body != entry.body {
            self.told = 0;
        }
        self.pri = Some(entry.pri);
        self.body.clear();
        self.body.extend_from_slice(entry.body);
        self.written = now;
    }

    fn push_count(&mut self, block: &mut Block) -> Option<u64> {
        let pri = self.pri?;
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return None;
        }
        let mut stamp = (self.style.stamp)(SystemTime::now());
        if self.style.head == Head::Rfc5424Pri {
            stamp.insert_str(0, &format!("<{}>1 ", pri.value()));
        }
        let head = head(&self.body, self.style.head);
        block.push(pri, |octets| {
            octets.extend_from_slice(stamp.as_bytes());
            octets.extend_from_slice(&head);
            octets.extend_from_slice(format!("last message repeated {count} times\n").as_bytes());
            stamp.len()
        });
        Some(count)
    }
}

fn can_fold(pri: Pri) -> bool {
    pri.severity() > Severity::Error
}

fn copy(octets: &mut bytes::BytesMut, entry: Entry<'_>) -> usize {
    octets.extend_from_slice(entry.octets);
    entry.octets.len() - entry.body.len()
}

/// The part of a body that names the sender; a tag is recognised by the colon and space that end it.
fn head(body: &[u8], style: Head) -> Vec<u8> {
    let line = body.strip_suffix(b"\n").unwrap_or(body);
    let mut words = line.splitn(4, |octet| *octet == b' ');
    let mut word = || words.next().unwrap_or(b"-");
    let before = match style {
        Head::Rfc5424 | Head::Rfc5424Pri => {
            return [word(), b" ", word(), b" ", word(), b" - - "].concat();
        }
        Head::Traditional => [word(), b" "].concat(),
        Head::Prefixed => [word(), b" ", word(), b" "].concat(),
        Head::Short => Vec::new(),
    };
    let tag = word();
    if tag.ends_with(b":") {
        [&before, tag, b" "].concat()
    } else {
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pri::Facility;

    const STYLE: Style = Style {
        stamp: |_| "T ".to_owned(),
        head: Head::Traditional,
    };

    fn block(lines: &[(&str, Severity)]) -> Block {
        let mut block = Block::default();
        for (line, severity) in lines {
            block.push(Pri::of(Facility::User, *severity), |octets| {
                octets.extend_from_slice(format!("t {line}\n").as_bytes());
                2
            });
        }
        block
    }

    fn fold(lines: &[(&str, Severity)]) -> (String, Vec<usize>, u64) {
        let now = Instant::now();
        let mut repeats = Repeats::new(STYLE, now);
        let folded = repeats.fold(block(lines), now);
        let text = String::from_utf8_lossy(folded.block.octets()).into_owned();
        let own = folded.own.iter().map(|(index, _)| *index).collect();
        (
            text,
            own,
            repeats.count + folded.own.iter().map(|(_, count)| count).sum::<u64>(),
        )
    }

    #[test]
    fn a_different_message_tells_the_count_of_the_last() {
        let got = fold(&[
            ("h a: x", Severity::Notice),
            ("h a: x", Severity::Notice),
            ("h a: x", Severity::Notice),
            ("h b: y", Severity::Notice),
        ]);
        let text = "t h a: x\nT h a: last message repeated 2 times\nt h b: y\n";
        assert_eq!(got, (text.to_owned(), vec![1], 2));
    }

    #[test]
    fn what_is_urgent_or_of_another_pri_is_never_folded() {
        for (first, second) in [
            (Severity::Error, Severity::Error),
            (Severity::Emergency, Severity::Emergency),
            (Severity::Notice, Severity::Debug),
        ] {
            let (text, own, folded) = fold(&[("h a: x", first), ("h a: x", second)]);
            assert_eq!((text.as_str(), folded), ("t h a: x\nt h a: x\n", 0));
            assert!(own.is_empty());
        }
    }

    #[test]
    fn the_line_names_the_sender_as_far_as_it_can_be_told() {
        for (body, style, want) in [
            ("host a[1]: x: y\n", Head::Traditional, "host a[1]: "),
            ("host no tag: x\n", Head::Traditional, "host "),
            ("host\n", Head::Traditional, "host "),
            ("<1.5> host a: x\n", Head::Prefixed, "<1.5> host a: "),
            (
                "host user.notice no tag\n",
                Head::Prefixed,
                "host user.notice ",
            ),
            ("a[1]: x y\n", Head::Short, "a[1]: "),
            ("no tag\n", Head::Short, ""),
            ("host a 1 - - x\n", Head::Rfc5424, "host a 1 - - "),
            ("host\n", Head::Rfc5424, "host - - - - "),
        ] {
            let got = head(body.as_bytes(), style);
            assert_eq!(String::from_utf8_lossy(&got), want, "{body:?}");
        }
    }

    #[test]
    fn the_count_is_told_after_30_120_and_600_seconds() {
        let start = Instant::now();
        let mut repeats = Repeats::new(STYLE, start);
        let lines = [("h a: x", Severity::Notice)];
        repeats.fold(block(&lines), start);
        assert_eq!(repeats.due(), None);
        let mut now = start;
        for seconds in [30, 120, 600, 600] {
            let before = repeats.count;
            repeats.fold(block(&lines), now);
            assert_eq!(repeats.count, before + 1);
            assert_eq!(repeats.due(), Some(now + Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert!(repeats.flush(now).is_some());
            assert!(repeats.flush(now).is_none());
        }
    }

    #[test]
    fn a_late_repeat_is_written_again() {
        let start = Instant::now();
        let mut repeats = Repeats::new(STYLE, start);
        let lines = [("h a: -- MARK --", Severity::Notice)];
        repeats.fold(block(&lines), start);
        let folded = repeats.fold(block(&lines), start + Duration::from_secs(1200));
        assert_eq!(folded.block.len(), 1);
    }
}
