//! Faults: what becomes of numbered messages when disks, processes and peers fail.
//!
//! Stories as those beside `tests/daemon`, whose harness they share and in whose test binary they run:
//! `cargo test --test daemon faults::`. What takes long is `long.sh`.

mod boot;
mod clock;
mod crash;
mod disk;
mod fifo;
mod injection;
pub(crate) mod load;
mod mixed;
mod names;
mod network;
mod nospace;
mod peers;
mod pressure;
mod relays;
mod remotes;
pub(crate) mod restart;
mod rotation;
pub(crate) mod sequence;
mod slow;
mod spool;
mod supervisor;
pub(crate) mod upgrade;
