//! What we say about ourselves: `tracing` events become [`Report`]s for the log, and lines on stderr.
//!
//! ```text
//! warn!("cannot open /var/log/mail: …")  ─┬─► channel ─► the internal input ─► syslog.warning
//!                                         └─► stderr   "syslogd: warning: cannot open /var/log/mail: …"
//! ```
//!
//! Our own events count from `info` on (with `-d`, `debug` too), those of the libraries from `warn` on.
//! To report never blocks and never fails: what finds no room is counted ([`lost`]).

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::pri::Severity;

/// One thing that we have to say about ourselves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// How urgent it is; the facility is `syslog`.
    pub severity: Severity,
    /// The sentence, in lower case and without a full stop.
    pub text: String,
}

/// `1 message`, `2 messages`: a number with what is counted.
pub fn counted(number: impl fmt::Display, what: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Says one kind of thing at most once a minute, so that a peer cannot fill the log with it.
#[derive(Debug, Default)]
pub struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    const PAUSE: Duration = Duration::from_secs(60);

    /// Warns with `sentence`, or counts it for the next one that is said.
    pub fn warn(&mut self, sentence: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.said.is_some_and(|said| now < said + Self::PAUSE) {
            self.unsaid += 1;
            return;
        }
        self.said = Some(now);
        match std::mem::take(&mut self.unsaid) {
            0 => tracing::warn!("{}", sentence()),
            unsaid => tracing::warn!("{}; and {unsaid} more like it before", sentence()),
        }
    }
}

/// The kernel's words for an error, without Rust's "(os error 13)".
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Warnings and errors, for the person who starts a daemon; it closes stderr when it is ready.
    Background,
    /// Whatever we say.
    Foreground,
    /// `-d`: whatever we say, details included, in the log as well.
    Debug,
}

/// Begins to listen to our own events; the receiver gets each of them, up to 1,024 unread.
///
/// To be called once in a process: a later call gets a receiver that stays empty.
pub fn init(mode: Mode) -> Receiver<Report> {
    let (sender, receiver) = sync_channel(UNREAD);
    let subscriber = tracing_subscriber::registry().with(Reporter {
        mode,
        sender,
        stderr: Mutex::new(()),
    });
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        complain("reports go to the channel of an earlier call");
    }
    receiver
}

/// How many reports found no room since the start.
pub fn lost() -> u64 {
    LOST.load(Relaxed)
}

/// Says on stderr why the daemon ends or does not start.
pub fn fatal(error: &dyn Error) {
    complain(&error.to_string());
}

/// Writes a line on stderr whatever the mode is, for when nothing else is there yet, or any more.
pub fn complain(text: &str) {
    if writeln!(io::stderr().lock(), "syslogd: {text}").is_err() {
        LOST.fetch_add(1, Relaxed);
    }
}

/// How many reports wait for the internal input at most.
const UNREAD: usize = 1024;

static LOST: AtomicU64 = AtomicU64::new(0);

struct Reporter {
    mode: Mode,
    sender: SyncSender<Report>,
    /// Held while a report is written, so that the lines of two threads do not mix.
    stderr: Mutex<()>,
}

impl<S: Subscriber> Layer<S> for Reporter {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target() == "syslogd" || metadata.target().starts_with("syslogd::");
        let finest = match (ours, self.mode) {
            (false, _) => Level::WARN,
            (true, Mode::Debug) => Level::DEBUG,
            (true, Mode::Background | Mode::Foreground) => Level::INFO,
        };
        *metadata.level() <= finest
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut sentence = Sentence::default();
        event.record(&mut sentence);
        let report = Report {
            severity: severity(*event.metadata().level()),
            text: sentence.text,
        };
        if self.mode != Mode::Background || report.severity <= Severity::Warning {
            self.write(
                report.severity,
                sentence.picture.as_ref().unwrap_or(&report.text),
            );
        }
        match self.sender.try_send(report) {
            // At the very end nobody listens any more; stderr has it.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                LOST.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Reporter {
    /// Writes a report to stderr as far as it has room: a supervisor that does not read stops nobody.
    fn write(&self, severity: Severity, text: &str) {
        let line = format!("syslogd: {}{text}\n", prefix(severity));
        let _one_at_a_time = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let stderr = io::stderr();
        for piece in line.as_bytes().chunks(PIPE_BUF) {
            let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
            let has_room = poll(&mut ready, PollTimeout::ZERO) == Ok(1)
                && ready[0].revents() == Some(PollFlags::POLLOUT);
            if !has_room || stderr.lock().write_all(piece).is_err() {
                LOST.fetch_add(1, Relaxed);
                return;
            }
        }
    }
}

/// A pipe that poll(2) calls writable takes so many octets without blocking (POSIX's
/// `PIPE_BUF`, which is 4,096 on Linux).
const PIPE_BUF: usize = 4096;

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        Level::INFO => Severity::Informational,
        Level::DEBUG | Level::TRACE => Severity::Debug,
    }
}

/// How urgent a line on stderr is; plain news needs no word for it.
fn prefix(severity: Severity) -> &'static str {
    match severity {
        Severity::Emergency | Severity::Alert | Severity::Critical | Severity::Error => "error: ",
        Severity::Warning => "warning: ",
        Severity::Notice | Severity::Informational => "",
        Severity::Debug => "debug: ",
    }
}

/// The text of an event: its message, then ` name=value` for each other field. A field `picture` has
/// several lines and stands for the message on stderr.
#[derive(Default)]
struct Sentence {
    text: String,
    picture: Option<String>,
}

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            "picture" => write!(self.picture.get_or_insert_default(), "{value:?}"),
            name => write!(self.text, " {name}={value:?}"),
        };
        if written.is_err() {
            self.text.push('?');
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(mode: Mode, room: usize, say: impl FnOnce()) -> Vec<(Severity, String)> {
        let (sender, receiver) = sync_channel(room);
        let stderr = Mutex::new(());
        let subscriber = tracing_subscriber::registry().with(Reporter {
            mode,
            sender,
            stderr,
        });
        tracing::subscriber::with_default(subscriber, say);
        let reports = receiver.into_iter();
        reports
            .map(|report| (report.severity, report.text))
            .collect()
    }

    #[test]
    fn our_words_count_from_info_on_and_those_of_libraries_from_warn_on() {
        let got = heard(Mode::Background, 16, || {
            tracing::info!("listening on udp {}", "127.0.0.1:514");
            tracing::debug!("not heard");
            tracing::warn!(target: "mio::poll", "odd");
            tracing::info!(target: "mio::poll", "not heard");
            tracing::info!(target: "syslogdish", "not heard");
            tracing::error!(errno = 28, path = "/x", "cannot write");
        });
        let want = [
            (Severity::Informational, "listening on udp 127.0.0.1:514"),
            (Severity::Warning, "odd"),
            (Severity::Error, "cannot write errno=28 path=/x"),
        ];
        assert_eq!(
            got,
            want.map(|(severity, text)| (severity, text.to_owned()))
        );
    }

    #[test]
    fn debug_mode_hears_details() {
        let got = heard(Mode::Debug, 16, || tracing::debug!("a detail"));
        assert_eq!(got, [(Severity::Debug, "a detail".to_owned())]);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_does_not_block() {
        let before = lost();
        let got = heard(Mode::Background, 1, || {
            tracing::info!("kept");
            tracing::info!("lost");
        });
        assert_eq!(got, [(Severity::Informational, "kept".to_owned())]);
        assert!(lost() > before);
    }
}
