//! The compiled policy: which messages go to which outputs, and the queues in front of these.

pub mod inbox;
mod loss;
