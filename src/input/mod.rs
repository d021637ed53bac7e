//! Octets in: one file for each transport, and the way to the open blocks that all of them share.
//!
//! | what | runs on | file |
//! |---|---|---|
//! | unix datagrams, UDP | a thread for each socket | [`datagram`] |
//! | TCP, unix streams | one current-thread runtime for all | [`stream`] |
//! | `/dev/kmsg` | a thread | [`kernel`] |
//! | our own words, MARK | the thread that speaks | [`internal`] |

pub mod acl;
pub mod backlog;
pub mod bell;
mod connection;
pub mod datagram;
pub mod denials;
pub mod fairness;
pub mod fragments;
pub mod internal;
pub mod kernel;
pub mod kmsg;
pub mod peer;
mod relief;
pub mod shard;
pub mod stream;
pub mod tcp;
pub mod udp;
mod unfinished;
pub mod unix;

use crate::message;
use crate::route::Policy;

/// The longest message that is kept whole unless the configuration says, in octets.
pub const MAX_MESSAGE: usize = Policy::MAX_MESSAGE;

/// The part of a datagram that is kept, at most `most` octets, and how many octets are cut off.
///
/// `octets` is what was received of it, `length` how long it was. A line end past the limit is no part
/// of the message. The cut never falls into a UTF-8 character.
fn limited(octets: &[u8], length: usize, most: usize) -> (&[u8], u32) {
    let whole = octets.len() == length;
    let octets = if whole { message::trim(octets) } else { octets };
    if whole && octets.len() <= most {
        return (octets, 0);
    }
    let length = if whole { octets.len() } else { length };
    let kept = message::utf8_cut(octets, most);
    let cut = length.saturating_sub(kept);
    (
        octets.get(..kept).unwrap_or(octets),
        u32::try_from(cut).unwrap_or(u32::MAX),
    )
}
