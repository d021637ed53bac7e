//! (in work)

// ---- for outputs ----

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Mutex, PoisonError};

/// Who is logged in where, as utmp(5) has it: the user, and the line below `/dev`.
pub fn utmp_terminals() -> Vec<(OsString, OsString)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut terminals = Vec::new();
    // SAFETY: getutxent(3) keeps one position and one entry for the process; the lock is held until
    // endutxent(3), nobody else calls these, and the entry is copied before the next call.
    #[expect(unsafe_code, reason = "nix has no getutxent(3)")]
    unsafe {
        libc::setutxent();
        while let Some(entry) = libc::getutxent().as_ref() {
            if entry.ut_type == libc::USER_PROCESS {
                terminals.push((text(&entry.ut_user), text(&entry.ut_line)));
            }
        }
        libc::endutxent();
    }
    terminals
}

fn text(field: &[libc::c_char]) -> OsString {
    let octets = field.iter().map(|octet| octet.cast_unsigned());
    OsString::from_vec(octets.take_while(|octet| *octet != 0).collect())
}

/// Gives the calling thread the lowest priority, as nice(1) 19. Best effort.
pub fn lower_priority() {
    // SAFETY: setpriority(2) takes integers only; 0 is the calling thread.
    #[expect(unsafe_code, reason = "nix has no setpriority(2)")]
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// How many octets wait to be read from a pipe; `None` if the system does not tell.
pub fn unread_octets(pipe: BorrowedFd<'_>) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which lives until after the call.
    #[expect(unsafe_code, reason = "nix offers ioctl(2) by unsafe macros only")]
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    usize::try_from(count).ok().filter(|_| result == 0)
}
