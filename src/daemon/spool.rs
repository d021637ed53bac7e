//! The spool of the configuration, opened; a daemon without it works as well.

use super::plan::Plan;
use crate::config::Destination;
use crate::format::rfc3339_stamp;
use crate::report::counted;
use crate::route::spooler::Spooler;
use crate::spool::{self, Spool, Unused};

/// Opens the spool that the plan asks for, if there is none yet, and names the outputs in it that no rule does.
pub(super) fn follow(spooler: &mut Option<Spooler>, plan: &Plan) {
    let Some(wanted) = &plan.spool else {
        if let Some(open) = spooler {
            let path = open.spool().path().display();
            tracing::warn!("spool {path}: it is used until syslogd is started again");
        }
        return;
    };
    let limit = wanted.limit.unwrap_or(Spool::DEFAULT);
    if let Some(open) = spooler {
        let path = open.spool().path();
        if path != wanted.path {
            let (path, other) = (path.display(), wanted.path.display());
            tracing::warn!(
                "spool {path}: it is used, and not {other}, until syslogd is started again"
            );
        }
        open.spool().set_limit(limit);
        return;
    }
    let path = wanted.path.display();
    let spool = match Spool::open(&wanted.path, limit) {
        Ok(spool) => spool,
        Err(refusal) => {
            tracing::error!("spool {path}: {refusal}; going on without it");
            return;
        }
    };
    for sentence in unused(plan) {
        tracing::warn!("{sentence}");
    }
    match Spooler::start(spool) {
        Ok(started) => *spooler = Some(started),
        Err(error) => tracing::error!("spool {path}: {error}; going on without it"),
    }
}

/// A sentence for each output that has messages in the spool of the plan and that no rule names. Nothing is touched.
pub(super) fn unused(plan: &Plan) -> Vec<String> {
    let Some(wanted) = &plan.spool else {
        return Vec::new();
    };
    let path = wanted.path.display();
    let outputs = plan.outputs.iter();
    let names: Vec<String> = outputs
        .map(|output| output.destination.to_string())
        .collect();
    let found = match spool::unused(&wanted.path, names.iter().map(String::as_str)) {
        Ok(found) => found,
        Err(refusal) => return vec![format!("spool {path}: {refusal}")],
    };
    let sentence = |one: Unused| {
        let since = one.since.map(rfc3339_stamp).unwrap_or_default();
        let since = match since.trim_end() {
            "" => String::new(),
            since => format!(" since {since}"),
        };
        format!(
            "spool {path}: {} ({}) for {} stay there{since}, and no rule names it any more: \
             name it again and they are sent, or remove {path}/{}",
            counted(one.messages, "message"),
            counted(one.octets, "octet"),
            one.output,
            one.directory,
        )
    };
    found.into_iter().map(sentence).collect()
}

/// Whether its messages are worth keeping: what people would have read on a terminal is not, hours later.
pub(super) fn takes(destination: &Destination) -> bool {
    match destination {
        Destination::File(_)
        | Destination::Fifo(_)
        | Destination::Command(_)
        | Destination::Forward(_) => true,
        Destination::Terminal(_)
        | Destination::Users(_)
        | Destination::Everyone
        | Destination::Memory(_) => false,
    }
}
