//! The counters for readers: a JSON file, and a sentence for the log.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pid_file;
use crate::counters::{InputCounters, Loss, OutputCounters, Rejection};
use crate::message::Flag;

/// The counters of everything that runs, by name.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// The inputs.
    pub inputs: Vec<(String, Arc<InputCounters>)>,
    /// The outputs.
    pub outputs: Vec<(String, Arc<OutputCounters>)>,
}

impl Statistics {
    /// One object with the lists `inputs` and `outputs`; every counter is a number of messages but
    /// `octets`.
    pub fn json(&self) -> String {
        let mut json = format!("{{\n  \"pid\": {},\n  \"inputs\": [", std::process::id());
        for (index, (name, counters)) in self.inputs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let rejected = Rejection::ALL.map(|(why, name)| (name, counters.rejected(why).get()));
            _ = write!(
                json,
                "{comma}\n    {{\"name\": {}, \"received\": {}, \"routed\": {}, \"unmatched\": {}, \
                 \"rejected\": {}, \"truncated\": {}, \"kernel_dropped\": {}, \"noted\": {}}}",
                quoted(name),
                counters.received.get(),
                counters.routed.get(),
                counters.unmatched.get(),
                object(&rejected),
                counters.truncated.get(),
                counters.kernel_dropped.get(),
                object(&noted(counters)),
            );
        }
        json.push_str("\n  ],\n  \"outputs\": [");
        for (index, (name, counters)) in self.outputs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let dropped = Loss::ALL.map(|(why, name)| (name, counters.dropped(why).get()));
            _ = write!(
                json,
                "{comma}\n    {{\"name\": {}, \"enqueued\": {}, \"written\": {}, \"octets\": {}, \
                 \"dropped\": {}, \"queued\": {}, \"torn_tails\": {}, \"rewritten\": {}, \
                 \"spooled\": {}, \"in_spool\": {}}}",
                quoted(name),
                counters.enqueued.get(),
                counters.written.get(),
                counters.octets.get(),
                object(&dropped),
                counters.queued(),
                counters.torn_tails.get(),
                counters.rewritten.get(),
                counters.spooled.get(),
                counters.in_spool(),
            );
        }
        json.push_str("\n  ]\n}\n");
        json
    }

    /// `received 12, routed 10, …`: the sums over all inputs and outputs.
    pub fn summary(&self) -> String {
        format!(
            "{}; enqueued {} (written {}, dropped {}, queued {})",
            self.received(),
            self.outputs(|counters| counters.enqueued.get()),
            self.outputs(|counters| counters.written.get()),
            self.outputs(OutputCounters::dropped_in_all),
            self.outputs(OutputCounters::queued),
        )
    }

    /// The sums when no more is received and the outputs still write: what is queued says nothing then, unless
    /// one of them writes `in_vain`.
    pub fn farewell(&self, in_vain: bool) -> String {
        let dropped = self.outputs(OutputCounters::dropped_in_all);
        let farewell = format!("{}; dropped {dropped}", self.received());
        match self.outputs(OutputCounters::queued) {
            queued @ 1.. if in_vain => format!("{farewell}, still queued {queued}"),
            _ => farewell,
        }
    }

    fn received(&self) -> String {
        format!(
            "received {} (routed {}, unmatched {}, rejected {}), kernel dropped {}",
            self.inputs(|counters| counters.received.get()),
            self.inputs(|counters| counters.routed.get()),
            self.inputs(|counters| counters.unmatched.get()),
            self.inputs(InputCounters::rejected_in_all),
            self.inputs(|counters| counters.kernel_dropped.get()),
        )
    }

    fn inputs(&self, count: fn(&InputCounters) -> u64) -> u64 {
        self.inputs
            .iter()
            .map(|(_, counters)| count(counters))
            .sum()
    }

    fn outputs(&self, count: fn(&OutputCounters) -> u64) -> u64 {
        self.outputs
            .iter()
            .map(|(_, counters)| count(counters))
            .sum()
    }

    /// Whether somebody has asked for the counters of this pid file before: what he finds is kept true at the end.
    pub fn were_asked_for(pid_file: &Path) -> bool {
        pid_file::beside(pid_file, FILE).exists()
    }

    /// Puts the JSON beside the pid file, in one piece; returns where.
    ///
    /// # Errors
    /// If the directory does not let us write.
    pub fn write(&self, pid_file: &Path) -> io::Result<PathBuf> {
        pid_file::write_beside(pid_file, FILE, &self.json())
    }
}

/// What the name of the file ends in, behind that of the pid file.
const FILE: &str = "stats";

/// The oddities that occurred.
fn noted(counters: &InputCounters) -> Vec<(&'static str, u64)> {
    let flags = Flag::ALL
        .into_iter()
        .map(|flag| (flag.name(), counters.noted(flag).get()));
    let remapped = ("kern_remapped", counters.kern_remapped.get());
    let crowded_out = ("crowded_out", counters.crowded_out.get());
    let refused = ("connections_refused", counters.connections_refused.get());
    flags
        .chain([remapped, crowded_out, refused])
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn object(members: &[(&str, u64)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}: {value}", quoted(name)))
        .collect();
    format!("{{{}}}", members.join(", "))
}

/// A JSON string (RFC 8259 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_can_be_read_whatever_a_path_is_called() {
        let counters = Arc::new(OutputCounters::default());
        counters.enqueue(3);
        counters.write(1, 20);
        counters.lose(1, Loss::NoSpace);
        let statistics = Statistics {
            inputs: vec![("udp://[::1]:514".into(), Arc::default())],
            outputs: vec![("/var/log/\"odd\\name\u{7}\n".into(), Arc::clone(&counters))],
        };
        let json: serde_json::Value =
            serde_json::from_str(&statistics.json()).expect("it is valid JSON");
        let output = &json["outputs"][0];
        assert_eq!(output["name"], "/var/log/\"odd\\name\u{7}\n");
        assert_eq!(output["dropped"]["nospace"], 1);
        assert_eq!(output["queued"], 1);
        assert!(counters.balance());
        assert_eq!(json["inputs"][0]["rejected"]["acl"], 0);
    }
}
