//! The kernel's lines, put together from fragments.
//!
//! The kernel joins what it prints piece by piece, unless somebody else prints in between:
//!
//! ```text
//! 6,1,10,-,caller=T7;disk: found    ─┐
//! 6,2,11,-,caller=T8;net: up         │  one line: disk: found 2 partitions
//! 4,3,12,c,caller=T7; 2 partitions  ─┘
//! ```
//!
//! `c` says that a record is a fragment, not of what. The caller does, where the kernel was built to name it
//! (`CONFIG_PRINTK_CALLER`). Without one only Linux before 4.9 leaves no doubt, where `c` begins a line and
//! `+` goes on with the record right before it. Any other fragment stays a line of its own: glued to the
//! wrong line it would get that line's PRI, and may be missing where it belongs.

use std::collections::VecDeque;

use super::kmsg::{Fragment, KernelLog, KernelRecord};

/// Lines that may still grow, in the order in which they began; bounded in number, size and time.
#[derive(Debug, Default)]
pub struct Fragments {
    lines: VecDeque<Line>,
    /// Lines that were given out, for their memory.
    spare: Vec<Line>,
}

/// A line as far as it is known.
#[derive(Debug)]
struct Line {
    record: KernelRecord<'static>,
    /// The number and time of its last record.
    last: (u64, u64),
    text: Vec<u8>,
}

/// Lines that are held at most; the oldest goes when there are more.
const MOST_LINES: usize = 16;

/// A fragment that comes so much later, in microseconds, belongs to something else.
const LONGEST_PAUSE: u64 = 1_000_000;

impl Fragments {
    /// Takes a record in, and gives out every line that is complete now.
    pub fn take(&mut self, record: &KernelRecord<'_>, mut give: impl FnMut(KernelRecord<'_>)) {
        if !self.join(record) {
            if self.lines.is_empty() && !may_grow(record) {
                return give(*record);
            }
            self.push(record);
        }
        while self.lines.len() > MOST_LINES || self.is_first_complete() {
            self.give_first(&mut give);
        }
    }

    /// Gives out all lines: nothing more comes at present, or what came next is lost.
    pub fn end(&mut self, mut give: impl FnMut(KernelRecord<'_>)) {
        while !self.lines.is_empty() {
            self.give_first(&mut give);
        }
    }

    /// Whether no line is held.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Puts a fragment behind the line that it goes on with; false if there is none.
    fn join(&mut self, record: &KernelRecord<'_>) -> bool {
        let continued = match (record.fragment, record.caller) {
            (Fragment::No, _) | (Fragment::Begun, None) => None,
            (Fragment::Begun | Fragment::Continued, Some(_)) => {
                let mut latest = self.lines.iter_mut().rev();
                latest.find(|line| line.record.caller == record.caller)
            }
            (Fragment::Continued, None) => self.lines.back_mut().filter(|line| {
                line.record.fragment != Fragment::No
                    && line.last.0.checked_add(1) == Some(record.sequence)
            }),
        };
        let fits = |line: &&mut Line| {
            line.record.pri.facility() == record.pri.facility()
                && line.text.len().saturating_add(record.text.len()) <= KernelLog::BUFFER
                && record.micros.saturating_sub(line.last.1) <= LONGEST_PAUSE
        };
        let Some(line) = continued.filter(fits) else {
            return false;
        };
        line.text.extend_from_slice(record.text);
        line.last = (record.sequence, record.micros);
        true
    }

    fn push(&mut self, record: &KernelRecord<'_>) {
        let mut text = self.spare.pop().map(|line| line.text).unwrap_or_default();
        text.clear();
        text.extend_from_slice(record.text);
        self.lines.push_back(Line {
            record: KernelRecord {
                text: &[],
                ..*record
            },
            last: (record.sequence, record.micros),
            text,
        });
    }

    /// Whether nothing can go on with the oldest line: it has no caller, and is whole or not the latest.
    fn is_first_complete(&self) -> bool {
        let is_latest = self.lines.len() == 1;
        self.lines.front().is_some_and(|line| {
            line.record.caller.is_none() && !(is_latest && may_grow(&line.record))
        })
    }

    fn give_first(&mut self, give: &mut impl FnMut(KernelRecord<'_>)) {
        if let Some(line) = self.lines.pop_front() {
            give(KernelRecord {
                text: &line.text,
                ..line.record
            });
            self.spare.push(line);
        }
    }
}

/// Whether another record could go on with this one.
fn may_grow(record: &KernelRecord<'_>) -> bool {
    record.caller.is_some() || record.fragment != Fragment::No
}

#[cfg(test)]
mod tests {
    use super::super::kmsg::parse_record;
    use super::*;

    /// The lines that these records give until the log is idle, and how many came before that.
    fn lines(records: &[&str]) -> (Vec<String>, usize) {
        let mut fragments = Fragments::default();
        let mut lines = Vec::new();
        let mut give = |line: KernelRecord<'_>| {
            let text = String::from_utf8_lossy(line.text);
            lines.push(format!("{} {} {text}", line.pri.value(), line.micros));
        };
        for record in records {
            let record = parse_record(record.as_bytes()).expect("a record");
            fragments.take(&record, &mut give);
        }
        let mut late = 0;
        fragments.end(|line| {
            late += 1;
            give(line);
        });
        assert!(fragments.is_empty());
        let early = lines.len() - late;
        (lines, early)
    }

    #[test]
    fn a_fragment_joins_the_line_of_its_caller_or_the_one_that_began() {
        for (records, want, early) in [
            // By caller, whatever was printed in between; order, PRI and time are those of the beginning.
            (
                &[
                    "6,1,10,-,caller=T7;disk: found",
                    "3,2,11,-,caller=T8;net: down",
                    "4,3,12,c,caller=T7; 2",
                    "4,4,13,c,caller=T7; partitions",
                    "6,5,14,-,caller=C7;other",
                ][..],
                &[
                    "6 10 disk: found 2 partitions",
                    "3 11 net: down",
                    "6 14 other",
                ][..],
                0,
            ),
            // The latest line of a caller grows.
            (
                &[
                    "6,1,0,-,caller=T7;a",
                    "6,2,0,-,caller=T7;b",
                    "4,3,0,c,caller=T7;c",
                ],
                &["6 0 a", "6 0 bc"],
                0,
            ),
            // Linux before 4.9: c begins, + goes on.
            (
                &[
                    "6,1,0,-;a",
                    "6,2,0,c;b",
                    "6,3,0,+;c",
                    "6,4,0,+;d",
                    "6,5,0,-;e",
                ],
                &["6 0 a", "6 0 bcd", "6 0 e"],
                3,
            ),
            // Whoever goes on is not known: nothing is glued to a stranger.
            (
                &["6,1,0,-;a", "4,2,0,c;b", "4,3,0,c;c"],
                &["6 0 a", "4 0 b", "4 0 c"],
                2,
            ),
            (&["6,1,0,c;a", "6,3,0,+;c"], &["6 0 a", "6 0 c"], 1),
            (&["4,1,0,c,caller=T7;a"], &["4 0 a"], 0),
            (&["6,1,0,-;a", "4,2,0,+;b"], &["6 0 a", "4 0 b"], 1),
            // A process's text is not the kernel's.
            (
                &["30,1,0,-,caller=T7;a", "4,2,0,c,caller=T7;b"],
                &["30 0 a", "4 0 b"],
                0,
            ),
            // Too late.
            (
                &["6,1,0,-,caller=T7;a", "4,2,1000001,c,caller=T7;b"],
                &["6 0 a", "4 1000001 b"],
                0,
            ),
        ] {
            let (got, before) = lines(records);
            assert_eq!(got, want, "{records:?}");
            assert_eq!(before, early, "{records:?}");
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let records: Vec<String> = (0..100)
            .map(|number| format!("6,{number},0,-,caller=T{number};x"))
            .collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let (all, early) = lines(&records);
        assert_eq!((all.len(), early), (100, 100 - MOST_LINES));

        let piece = format!("4,2,0,c,caller=T1;{}", "x".repeat(1000));
        let mut endless = vec![piece.as_str(); 100];
        endless.insert(0, "6,1,0,-,caller=T1;");
        let (all, _) = lines(&endless);
        assert!(all.iter().all(|line| line.len() <= KernelLog::BUFFER + 10));
        let octets: usize = all.iter().map(|line| line.matches('x').count()).sum();
        assert_eq!(octets, 100 * 1000);
    }
}
