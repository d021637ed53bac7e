//! Taking a memory buffer: its lines are forgotten once the client has them, and not before.
//!
//! ```text
//! take debug              answer ──► all of it read by the client ──► forgotten, closed
//! take debug confirm      answer, end ──► the client: taken LF ─────► forgotten, closed
//! ```
//!
//! A client that dies within its answer has taken nothing. The limit of the first form: what a client has read
//! and did not keep is gone; [`ask`](mod@super::ask) uses the second, and confirms when all is printed. Either way lines
//! may be shown twice, to the next client, and none is lost on the way.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::{PATIENCE, line, write};
use crate::output::memory::Ring;
use crate::sys::unacked_octets;

/// What a client sends when it has kept what it got.
pub(super) const TAKEN: &[u8] = b"taken\n";

/// Pause between two looks whether a client has read its answer: there is no event for it.
const LOOK: Duration = Duration::from_millis(5);

/// When the lines of an answer may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    /// The client has read them.
    Read,
    /// The client says so.
    Confirmed,
}

/// Writes `head` and what is in the ring, and forgets it when there is the `proof`.
pub(super) async fn take(
    stream: &UnixStream,
    head: Vec<u8>,
    ring: Arc<Ring>,
    proof: Proof,
) -> io::Result<()> {
    let found = ring.since(ring.oldest());
    // The output alone keeps it alive while the client takes its time.
    let weak = Arc::downgrade(&ring);
    drop(ring);
    write(stream, &head).await?;
    write(stream, &found.octets).await?;
    match proof {
        Proof::Read => until_read(stream).await?,
        Proof::Confirmed => {
            shutdown(stream.as_raw_fd(), Shutdown::Write)?;
            let said = timeout(PATIENCE, line(stream)).await??;
            if said != TAKEN {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }
    if let Some(ring) = weak.upgrade() {
        ring.forget(&found);
    }
    Ok(())
}

/// Waits until nothing of the answer is unread.
///
/// # Errors
/// If the client went away before, or took nothing for too long.
async fn until_read(stream: &UnixStream) -> io::Result<()> {
    let mut before = usize::MAX;
    let mut since = Instant::now();
    loop {
        let unread = unacked_octets(stream.as_fd())?;
        // After the look: a client that goes leaves its error first, and then nothing unread (unix(7)).
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        if unread == 0 {
            return Ok(());
        }
        if unread != before {
            (before, since) = (unread, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(LOOK).await;
    }
}
