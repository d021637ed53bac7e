//! System calls that no safe crate wraps: the only file with `unsafe`.
#![expect(
    unsafe_code,
    reason = "each call states why it is sound; the rest of the crate has none"
)]

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Pid};

/// Sets `TZ`, for us and for what we start.
///
/// # Errors
/// If the process has other threads, which might be reading the environment. Nothing has happened then.
pub fn set_zone(zone: &str) -> io::Result<()> {
    if threads() > 1 {
        return Err(io::Error::other("other threads are running"));
    }
    // SAFETY: the environment may be written while no other thread reads it, and there is none; without
    // /proc the caller answers for it, `daemon::zone`, which runs before anything starts a thread.
    unsafe { std::env::set_var("TZ", zone) };
    Ok(())
}

/// Which of the two processes is running after [`fork`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fork {
    /// The old one, and the id of the new one.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Splits the process in two.
///
/// # Errors
/// If the process has other threads, whose locks the child would hold for ever, or if the kernel
/// refuses. Nothing has happened then.
pub fn fork() -> io::Result<Fork> {
    if threads() > 1 {
        return Err(io::Error::other("other threads are running"));
    }
    // SAFETY: the child of a process with one thread may do whatever its parent may. We have just
    // counted one, and only that one could start another. Without /proc the count is not known;
    // the one caller, `daemonise`, then answers for it: it runs before anything starts a thread.
    let forked = unsafe { nix::unistd::fork() }?;
    Ok(match forked {
        ForkResult::Parent { child } => Fork::Parent(child),
        ForkResult::Child => Fork::Child,
    })
}

/// How many threads this process has; 1 if /proc is not mounted.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// The descriptor of this number, which whoever started us left open for us. It is closed on exec from now on.
///
/// # Errors
/// If it is not open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD on any number is harmless; it tells whether the descriptor is open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and ours alone: whoever started us says that it was passed to this process, and the
    // callers take each number once, before anything of ours could have got it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The descriptors of these numbers, as [`inherited`]: all of them, or none, and nothing has happened then.
///
/// # Errors
/// If one is not open, is a standard one, or is named twice.
pub fn all_inherited(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    let mut seen = HashSet::new();
    for number in numbers {
        // SAFETY: F_GETFD on any number is harmless; it tells whether the descriptor is open.
        let is_open = unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0;
        if *number <= libc::STDERR_FILENO || !is_open || !seen.insert(*number) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
    }
    numbers.iter().copied().map(inherited).collect()
}

/// Lets the descriptor of this number survive exec(2), or not.
///
/// # Errors
/// If it is not open.
pub fn survive_exec(number: RawFd, survives: bool) -> io::Result<()> {
    let flags = if survives { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: F_SETFD takes integers only, and neither closes nor moves a descriptor.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Holds these signals back from the calling thread, and from the program that it becomes, or lets them
/// through again.
///
/// # Errors
/// If the kernel refuses.
pub fn hold(signals: &[libc::c_int], held: Hold) -> io::Result<()> {
    let how = match held {
        Hold::Back => libc::SIG_BLOCK,
        Hold::No => libc::SIG_UNBLOCK,
    };
    // SAFETY: the set is made by sigemptyset before anything reads it, and lives until after the call.
    let status = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut())
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(status))
    }
}

/// Whether signals are held back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// They wait.
    Back,
    /// They come through.
    No,
}

/// Sends a signal by its number, real-time ones too; 0 only asks whether the process is there.
///
/// # Errors
/// If there is no such process, or it is not ours to signal.
pub fn send_signal(process: u32, signal: libc::c_int) -> io::Result<()> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    if process <= 0 {
        return Err(io::Error::other("no process has this number"));
    }
    // SAFETY: kill(2) takes integers only, and the number is that of one process.
    if unsafe { libc::kill(process, signal) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A descriptor that is readable once this process has ended (`pidfd_open(2)`, Linux 5.3).
///
/// # Errors
/// If there is no such process, or the kernel is older.
pub fn process_end(process: u32) -> io::Result<OwnedFd> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    // SAFETY: the call takes two integers and returns a descriptor that is closed on exec, or less than 0.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made by the call above, and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Whether a process has a handler for this signal, which would end it otherwise; false if /proc does not tell.
pub fn catches(process: u32, signal: libc::c_int) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| (1..=64).contains(&signal) && mask >> (signal - 1) & 1 == 1)
}

/// Ignores a signal from now on.
///
/// # Errors
/// If the signal cannot be ignored.
pub fn ignore(which: Signal) -> io::Result<()> {
    // SAFETY: no handler runs, and nobody else installs one for a signal that is ignored.
    unsafe { signal(which, SigHandler::SigIgn) }?;
    Ok(())
}

/// How many octets of a connected TCP socket the peer's kernel has not acknowledged (`SIOCOUTQ`).
///
/// Octets that were not yet sent count too. Works until the socket is closed, also after the
/// connection broke (tcp(7)).
///
/// # Errors
///
/// When the socket is not TCP or the kernel does not know the request.
pub fn unacked_octets(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut octets: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, thus open; the request (SIOCOUTQ is TIOCOUTQ) writes one
    // c_int, and the pointer is to one that outlives the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut octets) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(octets).map_err(io::Error::other)
}

/// Has the multicast datagrams of a socket leave by an interface, by its number (ip(7), ipv6(7)).
///
/// # Errors
///
/// When the socket is not of this family, or there is no such interface.
pub fn set_multicast_interface(
    socket: BorrowedFd<'_>,
    family: IpAddr,
    index: u32,
) -> io::Result<()> {
    let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
    let any = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn {
        imr_multiaddr: any,
        imr_address: any,
        imr_ifindex: index,
    };
    let (level, option, value, length) = match family {
        IpAddr::V4(_) => (
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            (&raw const request).cast(),
            size_of_val(&request),
        ),
        IpAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MULTICAST_IF,
            (&raw const index).cast(),
            size_of_val(&index),
        ),
    };
    let length = libc::socklen_t::try_from(length).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed, thus open; the value is of the size given with it, and lives
    // until after the call, which only reads it.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Who is logged in where, as utmp(5) has it: the user, and the line below `/dev`.
pub fn utmp_terminals() -> Vec<(OsString, OsString)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut terminals = Vec::new();
    // SAFETY: getutxent(3) keeps one position and one entry for the process; the lock is held until
    // endutxent(3), nobody else calls these, and the entry is copied before the next call.
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

/// Gives the calling thread this nice value (setpriority(2)): from -20, the most urgent, to 19. Best effort:
/// below its own it needs `CAP_SYS_NICE`.
pub fn set_nice(value: i32) {
    // SAFETY: setpriority(2) takes integers only; 0 is the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, value);
    }
}

/// How many datagrams the kernel dropped since a socket was made, since its receive buffer was full or their
/// checksum wrong (`SO_MEMINFO`, sock(7)): a count that wraps. `None` if the system does not tell.
///
/// It is the same count as `SO_RXQ_OVFL` sends along, without a control message for each datagram.
pub fn dropped_datagrams(socket: BorrowedFd<'_>) -> Option<u32> {
    /// How many figures the kernel may give (`linux/sock_diag.h`), and which of them it is.
    const FIGURES: usize = 9;
    const DROPS: usize = 8;
    let mut figures = [0_u32; FIGURES];
    let mut length = libc::socklen_t::try_from(size_of_val(&figures)).ok()?;
    // SAFETY: the descriptor is borrowed, thus open; the kernel writes at most `length` octets to `figures`,
    // and how many to `length`; both outlive the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let whole = usize::try_from(length).ok()? >= size_of_val(&figures);
    (status == 0 && whole).then(|| figures[DROPS])
}

/// Has memory that a thread has freed serve all threads.
///
/// Blocks are not given back to the system one by one: taking them again costs a fault for each page, a fifth
/// of all time in a flood over TCP (measured). What is free at the end of the heap is, beyond 4 MiB.
///
/// Otherwise each thread keeps what it once had for itself: three inputs that flooded one after the other
/// took 171 MiB of memory for 64 MiB of messages (measured). To be called before there are threads.
pub fn share_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes integers only, and no other thread is there to allocate meanwhile; with
    // glibc it would be safe even then. A value that it does not like changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1024 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4 * 1024 * 1024);
    }
}

/// What a file has grown to, and how many names lead to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// In octets.
    pub size: u64,
    /// Hard links; 0 once it was removed.
    pub links: u64,
}

/// The extent of an open file; `None` if the system does not tell.
///
/// Unlike fstat(2) it does not ask when the file was changed last: whoever was told that has the next write(2) note
/// a finer time in the inode (Linux 6.13): 2.5 µs for a write, and 1.8 without (measured).
pub fn extent(file: BorrowedFd<'_>) -> Option<Extent> {
    let mut found = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the descriptor is borrowed, thus open, and the empty path ends with its NUL; the kernel writes one
    // `statx`, which outlives the call.
    let status = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_SIZE | libc::STATX_NLINK,
            found.as_mut_ptr(),
        )
    };
    if status < 0 {
        // A sandbox may know the older call only.
        let stat = nix::sys::stat::fstat(file).ok()?;
        let size = u64::try_from(stat.st_size).ok()?;
        #[expect(
            clippy::useless_conversion,
            reason = "not 64 bits wide on every processor"
        )]
        let links = u64::from(stat.st_nlink);
        return Some(Extent { size, links });
    }
    // SAFETY: all zeros are a `statx`, and the kernel has written what it knows over them.
    let found = unsafe { found.assume_init() };
    Some(Extent {
        size: found.stx_size,
        links: found.stx_nlink.into(),
    })
}

/// How many octets wait to be read from a pipe; `None` if the system does not tell.
pub fn unread_octets(pipe: BorrowedFd<'_>) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, which lives until after the call.
    let result = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    usize::try_from(count).ok().filter(|_| result == 0)
}

/// Runs `work` with the widest vectors that this processor has and that the compiler uses well (AVX2).
///
/// What `work` calls is compiled for them only as far as it is inlined into it. Asking the processor is one load.
#[inline]
pub fn with_wide_vectors<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<T>(work: impl FnOnce() -> T) -> T {
            work()
        }

        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor was just asked for what the function is compiled for.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_extent_of_a_file_is_what_fstat_says_and_no_link_once_it_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        std::fs::write(&path, [0; 5000]).expect("a file");
        std::fs::hard_link(&path, dir.path().join("other")).expect("a link");
        let file = std::fs::File::open(&path).expect("a file");
        let is = |size, links| assert_eq!(extent(file.as_fd()), Some(Extent { size, links }));
        is(5000, 2);
        std::fs::remove_file(&path).expect("it is there");
        is(5000, 1);
        std::fs::remove_file(dir.path().join("other")).expect("it is there");
        is(5000, 0);
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test harness runs each test on a thread of its own.
        if threads() > 1 {
            let refused = fork().expect_err("locks of other threads would stay held");
            assert_eq!(refused.to_string(), "other threads are running");
        }
    }
}
