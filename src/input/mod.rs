//! Octets in: one file for each transport, and the loop that all of them share.

pub mod acl;
pub mod denials;
pub mod kernel;
pub mod peer;
