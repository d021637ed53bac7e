//! The kernel's log: one record for each read of `/dev/kmsg`.
//!
//! ```text
//! 6,339,5140900,-,caller=T1;NET: Registered protocol family 10 LF
//! │ │   │       │ │          SUBSYSTEM=net LF        (with a blank before each KEY=value)
//! │ │   │       │ └ thread or CPU, if the kernel was built so
//! │ │   │       └ flags: c and + are fragments, see fragments.rs
//! │ │   └ microseconds since boot
//! │ └ sequence
//! └ PRI
//! ```
//!
//! The format is Documentation/ABI/testing/dev-kmsg. The cache (`-C`) holds `BOOT-ID SP SEQUENCE LF`:
//! a restart goes on after that record, a reboot begins anew. Records that the kernel overwrote before
//! they were read are counted by their sequence numbers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use crate::format::rfc3339_stamp;
use crate::pri::{Facility, Pri, Severity};

/// One record of the kernel's log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KernelRecord<'a> {
    /// Its PRI; a facility other than `kern` was written by a process.
    pub pri: Pri,
    /// Its number since boot.
    pub sequence: u64,
    /// When it was written, in microseconds since boot (`CLOCK_MONOTONIC`).
    pub micros: u64,
    /// Whether it is a part of a line.
    pub fragment: Fragment,
    /// Who printed it, if the kernel tells.
    pub caller: Option<Caller>,
    /// Its text, with `\xNN` for what is not printable.
    pub text: &'a [u8],
}

/// What the flags of a record say about lines that were printed piece by piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fragment {
    /// It is a line.
    No,
    /// `c`: a part of a line; of the first part only Linux before 4.9 says so.
    Begun,
    /// `+`: it goes on with the record before it.
    Continued,
}

/// Who printed a record: a thread (`T`) or, outside of any, a CPU (`C`), and its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller(u8, u32);

impl Caller {
    /// Reads a header field `caller=T1`; any other is none.
    fn read(field: &str) -> Option<Self> {
        let (kind, number) = field.strip_prefix("caller=")?.split_at_checked(1)?;
        Some(Self(*kind.as_bytes().first()?, number.parse().ok()?))
    }
}

/// Which time a message carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Time {
    /// None, thus that of reception.
    Reception,
    /// When the kernel wrote it, counted from this moment of boot.
    ///
    /// The kernel's clock stands still while the machine sleeps: after a suspend it is behind.
    SinceBoot(SystemTime),
}

impl Time {
    /// The kernel's own time; that of reception if the clocks cannot be read.
    pub fn since_boot() -> Self {
        let up = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let boot = up.ok().and_then(|up| SystemTime::now().checked_sub(up));
        boot.map_or(Self::Reception, Self::SinceBoot)
    }
}

/// What [`KernelLog::next`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'a> {
    /// A record.
    Record {
        /// The record.
        record: KernelRecord<'a>,
        /// How many before it were overwritten, or too long for the buffer.
        lost: u64,
    },
    /// Nothing more at present.
    Idle,
}

/// Takes one read of `/dev/kmsg` apart; `None` if it has not that form.
///
/// The `KEY=value` lines after the text are left out; unknown header fields are ignored, as the ABI asks.
pub fn parse_record(octets: &[u8]) -> Option<KernelRecord<'_>> {
    let semicolon = memchr::memchr(b';', octets)?;
    let (header, text) = octets.split_at_checked(semicolon)?;
    let text = text.get(1..)?;
    let mut fields = std::str::from_utf8(header).ok()?.split(',');
    let pri = fields.next()?.parse().ok()?;
    let sequence = fields.next()?.parse().ok()?;
    let micros = fields.next()?.parse().ok()?;
    let flags = fields.next().unwrap_or_default();
    let fragment = if flags.contains('+') {
        Fragment::Continued
    } else if flags.contains('c') {
        Fragment::Begun
    } else {
        Fragment::No
    };
    Some(KernelRecord {
        pri: Pri::new(pri)?,
        sequence,
        micros,
        fragment,
        caller: fields.find_map(Caller::read),
        text: first_line(text),
    })
}

fn first_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text)
        .and_then(|end| text.get(..end))
        .unwrap_or(text)
}

impl KernelRecord<'_> {
    /// Appends it as a message: `<PRI>kernel: text`, with a timestamp (RFC 3339) before the tag if it has one.
    ///
    /// What a process wrote (any facility but `kern`) brings its own tag: `<30>systemd[1]: text`.
    pub fn message(&self, time: Time, out: &mut Vec<u8>) {
        out.push(b'<');
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(self.pri.value()).as_bytes());
        out.push(b'>');
        if let Time::SinceBoot(boot) = time
            && let Some(at) = boot.checked_add(Duration::from_micros(self.micros))
        {
            out.extend_from_slice(rfc3339_stamp(at).as_bytes());
        }
        if self.pri.facility() == Facility::Kern {
            out.extend_from_slice(b"kernel: ");
        }
        unescape(self.text, out);
    }
}

/// Appends `text` with each `\xNN` as the octet that it stands for.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        let (plain, escape) = text.split_at(at);
        out.extend_from_slice(plain);
        if let Some(([b'\\', b'x', high, low], rest)) = escape.split_first_chunk()
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            text = rest;
        } else {
            out.push(b'\\');
            text = escape.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(text);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// The open kernel log, and how far it was read.
#[derive(Debug)]
pub struct KernelLog {
    device: OwnedFd,
    cache: Option<Cache>,
    last: Option<u64>,
}

/// Where the position is kept over a restart.
#[derive(Debug)]
struct Cache {
    path: PathBuf,
    boot_id: String,
    saved: Option<u64>,
    saved_at: Option<Instant>,
}

/// The position is saved at most so often.
const SAVE_PAUSE: Duration = Duration::from_secs(5);

/// Errors in a row that [`KernelLog::next`] steps over: overwritten or too long records.
const MOST_STEPS: usize = 64;

impl KernelLog {
    /// A buffer of this size takes every record (the kernel's `CONSOLE_EXT_LOG_MAX`).
    pub const BUFFER: usize = 8192;

    /// Opens `/dev/kmsg` and goes on after the record that `cache` names, or at the oldest there is.
    ///
    /// # Errors
    ///
    /// When it cannot be opened: in a container it often does not exist, or is not allowed.
    pub fn open(path: &Path, cache: Option<PathBuf>) -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let boot_id = match cache {
            None => String::new(),
            Some(_) => fs::read_to_string("/proc/sys/kernel/random/boot_id")?,
        };
        Ok(Self::resume(device.into(), cache, boot_id.trim()))
    }

    fn resume(device: OwnedFd, cache: Option<PathBuf>, boot_id: &str) -> Self {
        let cache = cache.map(|path| Cache::load(path, boot_id));
        let last = cache.as_ref().and_then(|cache| cache.saved);
        Self {
            device,
            cache,
            last,
        }
    }

    /// The next record; never waits. `buffer` should have [`KernelLog::BUFFER`] octets.
    ///
    /// # Errors
    ///
    /// When the device cannot be read, which will not pass: `EPERM` in many containers.
    pub fn next<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Step<'b>> {
        let mut steps = 0;
        let (length, sequence, lost) = loop {
            let length = match nix::unistd::read(&self.device, buffer) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(Step::Idle),
                Ok(length) => length,
                // EPIPE: overwritten, EINVAL: too long. Either way the next read gives a later record,
                // whose sequence number tells how many are missing.
                Err(Errno::EINTR | Errno::EPIPE | Errno::EINVAL) if steps < MOST_STEPS => {
                    steps += 1;
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            let expected = self.last.map(|last| last.saturating_add(1));
            let sequence = parse_record(&buffer[..length])
                .map_or(expected.unwrap_or(0), |record| record.sequence);
            if expected.is_some_and(|expected| sequence < expected) {
                continue;
            }
            let lost = expected.map_or(0, |expected| sequence - expected);
            break (length, sequence, lost);
        };
        self.last = Some(sequence);
        let octets = &buffer[..length];
        let record = parse_record(octets).unwrap_or(KernelRecord {
            pri: Pri::of(Facility::Kern, Severity::Notice),
            sequence,
            micros: 0,
            fragment: Fragment::No,
            caller: None,
            text: first_line(octets),
        });
        Ok(Step::Record { record, lost })
    }

    /// The number of the last record that was read.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Goes on after this record, whatever the cache says: another process has read so far.
    #[must_use]
    pub fn after(self, last: Option<u64>) -> Self {
        Self {
            last: last.or(self.last),
            ..self
        }
    }

    /// Saves the position if it changed and was not saved in the last seconds.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written; the old one is left as it was.
    pub fn save(&mut self, now: Instant) -> io::Result<()> {
        let Some(cache) = &mut self.cache else {
            return Ok(());
        };
        if cache.saved_at.is_some_and(|at| now < at + SAVE_PAUSE) {
            return Ok(());
        }
        cache.saved_at = Some(now);
        cache.store(self.last)
    }

    /// Saves the position and closes the device.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written; the old one is left as it was.
    pub fn close(self) -> io::Result<()> {
        self.cache
            .map_or(Ok(()), |mut cache| cache.store(self.last))
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl Cache {
    fn load(path: PathBuf, boot_id: &str) -> Self {
        let saved = match fs::read(&path) {
            Ok(octets) => parse_cache(&octets, boot_id).unwrap_or_else(|| {
                let shown = path.display();
                tracing::warn!(
                    "{shown}: not a kernel log position, reading from the oldest record"
                );
                None
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let shown = path.display();
                tracing::warn!("cannot read {shown}: {error}, reading from the oldest record");
                None
            }
        };
        Self {
            path,
            boot_id: boot_id.to_owned(),
            saved,
            saved_at: None,
        }
    }

    fn store(&mut self, last: Option<u64>) -> io::Result<()> {
        let Some(last) = last.filter(|_| last != self.saved) else {
            return Ok(());
        };
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary)?;
        file.write_all(format!("{} {last}\n", self.boot_id).as_bytes())?;
        fs::rename(&temporary, &self.path)?;
        self.saved = Some(last);
        Ok(())
    }
}

/// The position in a cache: `Some(None)` if it is of another boot, `None` if it is damaged.
#[expect(
    clippy::option_option,
    reason = "damaged, of another boot, and a position are three answers of one private function"
)]
fn parse_cache(octets: &[u8], boot_id: &str) -> Option<Option<u64>> {
    let line = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let (boot, sequence) = line.split_once(' ')?;
    let sequence = sequence.parse().ok()?;
    Some((boot == boot_id).then_some(sequence))
}

#[cfg(test)]
mod tests;
