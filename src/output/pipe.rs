//! The writing end of a pipe: whole records or none, and never a wait for its reader.
//!
//! Up to `PIPE_BUF` octets are written whole or not at all; a longer record is written only if there is
//! surely room, for which the pipe is made larger if need be.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::write;

use crate::block::Block;

/// So many octets are written at once or not at all (`PIPE_BUF` of Linux, and its page).
const ATOMIC: usize = 4096;

/// One end, non-blocking.
#[derive(Debug)]
pub(super) struct Pipe {
    end: OwnedFd,
    /// What another writer left us no room for, in the middle of a record: it goes first.
    rest: Vec<u8>,
}

/// Why a record was not written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Obstacle {
    /// There is no room for all of it.
    Full,
    /// The pipe is of no use any longer.
    Broken(Errno),
}

impl Pipe {
    /// Takes an end, which must be non-blocking.
    pub(super) fn new(end: OwnedFd) -> Self {
        let rest = Vec::new();
        Self { end, rest }
    }

    /// The descriptor.
    pub(super) fn end(&self) -> &OwnedFd {
        &self.end
    }

    /// Writes the records from number `next` on, which it moves; stops at one that does not fit.
    pub(super) fn write(&mut self, block: &Block, next: &mut usize) -> Result<(), Obstacle> {
        while *next < block.len() {
            self.finish_rest()?;
            let start = block.start_of(*next);
            let ends = block.records()[*next..].iter();
            let fits = ends.take_while(|record| record.end as usize - start <= ATOMIC);
            let several = fits.count();
            // If several do not fit, the first may.
            for count in [several.max(1), 1] {
                let octets = &block.octets()[start..block.start_of(*next + count)];
                if self.write_whole(octets)? {
                    *next += count;
                    break;
                }
                if count == 1 {
                    return Err(Obstacle::Full);
                }
            }
        }
        Ok(())
    }

    /// Whether there was room.
    fn write_whole(&mut self, octets: &[u8]) -> Result<bool, Obstacle> {
        if octets.len() > ATOMIC && !has_room(&self.end, octets.len()) {
            return Ok(false);
        }
        match self.write_once(octets)? {
            0 => Ok(false),
            count => {
                self.rest.extend_from_slice(&octets[count..]);
                Ok(true)
            }
        }
    }

    fn finish_rest(&mut self) -> Result<(), Obstacle> {
        while !self.rest.is_empty() {
            let count = self.write_once(&self.rest)?;
            self.rest.drain(..count);
            if count == 0 {
                return Err(Obstacle::Full);
            }
        }
        Ok(())
    }

    fn write_once(&self, octets: &[u8]) -> Result<usize, Obstacle> {
        loop {
            match write(&self.end, octets) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(0),
                Err(errno) => return Err(Obstacle::Broken(errno)),
            }
        }
    }
}

/// Whether so many octets fit for certain. A pipe holds pages, and two neighbours hold more than one page
/// together, so that it uses at most twice the pages that its octets need, and one. Where it has less than the
/// octets need it is made larger.
fn has_room(pipe: &OwnedFd, octets: usize) -> bool {
    let pages = octets.div_ceil(ATOMIC);
    let capacity = match capacity(pipe, FcntlArg::F_GETPIPE_SZ) {
        Some(capacity) if capacity / ATOMIC < pages => larger(pipe, octets),
        capacity => capacity,
    };
    let (Some(capacity), Some(unread)) = (capacity, crate::sys::unread_octets(pipe.as_fd())) else {
        return false;
    };
    let used = match unread {
        0 => 0,
        unread => 2 * unread.div_ceil(ATOMIC) + 1,
    };
    pages + used <= capacity / ATOMIC
}

/// The capacity of a pipe that is made larger: room for two such records, within the 1 MiB that pipe(7) allows
/// everybody.
fn larger(pipe: &OwnedFd, octets: usize) -> Option<usize> {
    let wanted = octets.checked_mul(2)?.checked_next_power_of_two()?;
    capacity(pipe, FcntlArg::F_SETPIPE_SZ(wanted.try_into().ok()?))
}

/// The capacity of a pipe, as this call answers it.
fn capacity(pipe: &OwnedFd, call: FcntlArg<'_>) -> Option<usize> {
    usize::try_from(fcntl(pipe, call).ok()?).ok()
}
