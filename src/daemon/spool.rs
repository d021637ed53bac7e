//! The spool of the configuration, opened; a daemon without it works as well.

use super::plan::Plan;
use crate::config::Destination;
use crate::route::spooler::Spooler;
use crate::spool::Spool;

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
    let names: Vec<String> = plan
        .outputs
        .iter()
        .map(|output| output.destination.to_string())
        .collect();
    let others = spool.kept_for_others(names.iter().map(String::as_str));
    if !others.is_empty() {
        let others = others.join(", ");
        tracing::warn!("spool {path}: messages for {others} stay there: no rule names it any more");
    }
    match Spooler::start(spool) {
        Ok(started) => *spooler = Some(started),
        Err(error) => tracing::error!("spool {path}: {error}; going on without it"),
    }
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
