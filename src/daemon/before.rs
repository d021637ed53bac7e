//! What there was before a start, and what a start that fails leaves as it was.

use std::mem::ManuallyDrop;

use super::handover::State;
use super::inherited::Inherited;
use super::outputs::{self, Outputs};
use super::upgrade::Watch;
use crate::config::ListenAddress;
use crate::input::stream::Suspended;
use crate::output::Surroundings;
use crate::output::memory::Content;

/// What there was before a start: sockets that a service manager opened, or all that another program, or we
/// ourselves, left to go on with.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Whoever goes back to another program needs its descriptors: if a start fails they are forgotten, not closed.
    pub(super) inherited: ManuallyDrop<Inherited>,
    pub(super) connections: ManuallyDrop<Vec<Suspended>>,
    pub(super) queues: outputs::Suspended,
    pub(super) rings: Vec<(String, Content)>,
    pub(super) kernel: Option<u64>,
    pub(super) outputs: Outputs,
    pub(super) surroundings: Option<Surroundings>,
    pub(super) watch: Option<Watch>,
}

impl Before {
    /// Whether there was another program before.
    pub(super) fn is_resumed(&self) -> bool {
        self.inherited.is_resumed()
    }

    /// Sockets that a service manager opened.
    pub(super) fn inherited(inherited: Inherited) -> Self {
        Self {
            inherited: ManuallyDrop::new(inherited),
            ..Self::default()
        }
    }

    /// What another program left.
    pub(super) fn of(state: State) -> Self {
        Self {
            inherited: ManuallyDrop::new(Inherited::resumed(state.sockets)),
            connections: ManuallyDrop::new(state.connections),
            queues: state.queues,
            rings: state.rings,
            kernel: state.kernel,
            ..Self::default()
        }
    }

    /// Where the sockets of units are bound.
    pub(super) fn units(&self) -> impl Iterator<Item = &ListenAddress> {
        self.inherited.of_units()
    }

    /// Watched until messages are touched, if there is a way back until then.
    pub(super) fn watched(mut self, watch: Option<Watch>) -> Self {
        self.watch = watch;
        self
    }
}
