//! The line that says in an output how many messages are missing from it.
//!
//! ```text
//! Nov 22 11:01:00 host syslogd[7]: dropped 124 messages here between 2026-11-22T11:00:00.…+00:00 and …: no space left
//! ```
//!
//! It is a line of ours, as that of repeats: in no counter but that of octets, so that those of messages
//! stay exact. Each lost message is in one such line. The limit: users on terminals get none.

use std::time::SystemTime;

use crate::block::Block;
use crate::format::{Escaping, Formatter, Layout, Received, Shown, Template};
use crate::message::{Message, Sender};
use crate::pri::{Facility, Pri, Severity};
use crate::route::loss::Gap;

/// The line about a gap, in the form of the lines of its output.
pub fn line(gap: &Gap, layout: Layout) -> Block {
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    let hostname = hostname.to_string_lossy();
    let hostname = hostname.split('.').next().unwrap_or_default().as_bytes();
    let pri = Pri::of(Facility::Syslog, Severity::Warning);
    let text = format!("<{}>syslogd[{}]: {gap}", pri.value(), std::process::id());
    let message = Message::parse(text.as_bytes(), Sender::Local { hostname });
    let shown = Shown {
        hostname,
        received: Received::from(SystemTime::now()),
        always_received: true,
    };
    let template = Template {
        layout,
        escaping: Escaping::Line,
    };
    let mut block = Block::default();
    block.push(pri, |octets| {
        Formatter::default().write(octets, &message, shown, template)
    });
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Loss;

    #[test]
    fn it_looks_like_the_other_lines_of_its_output() {
        let gap = Gap::new(7, Loss::Io, SystemTime::now());
        for (layout, begins, ends) in [
            (Layout::Short, "", "input/output error\n"),
            (Layout::Rfc5424LinePri, "<44>1 ", "input/output error\n"),
            (Layout::ForwardRfc3164, "<44>", "input/output error"),
            (Layout::ForwardBsd, "<44>syslogd[", "input/output error"),
        ] {
            let block = line(&gap, layout);
            let text = String::from_utf8_lossy(block.octets()).into_owned();
            assert!(text.starts_with(begins), "{text}");
            assert!(text.contains("dropped 7 messages here between "), "{text}");
            assert!(text.ends_with(ends), "{text}");
        }
    }
}
