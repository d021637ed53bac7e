//! The control socket: where a running daemon is asked about what it holds (`--control`).
//!
//! ```text
//! asked       read debug LF                    one line for each connection
//! answered    0 LF Nov 22 11:00:00 …           the exit status of who asked, then the text
//!             66 no memory buffer … LF         or why there is none
//! ```
//!
//! It has a thread of its own with its own runtime, on the way of no message. What a client can cost is
//! bounded: how many there are, how long they may be silent, and one copy of a buffer for each.

mod ask;
mod request;
mod take;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::input::unix::{self, Place};
use crate::output::memory::{Ring, Rings, Usage};
use crate::report::{Seldom, reason};
pub(super) use ask::ask;
use request::{LONGEST, Request, Verb};

/// So many are answered at a time; one more is told to come back.
const CLIENTS: usize = 16;

/// How long a client may take for its request.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may take nothing of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long accepting rests when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Only the user that the daemon runs as may ask.
const MODE: u32 = 0o600;

/// From sysexits(3).
const EX_USAGE: u8 = 64;
const EX_NOINPUT: u8 = 66;
const EX_TEMPFAIL: u8 = 75;

/// The bound socket, which nobody answers yet.
#[derive(Debug)]
pub(super) struct Bound {
    socket: OwnedFd,
    place: Place,
}

impl Bound {
    /// Binds the control socket.
    ///
    /// # Errors
    /// The sentence about a path that cannot be had.
    pub(super) fn new(path: &Path) -> Result<Self, String> {
        let opened = unix::open(path, unix::Kind::Stream, MODE);
        let (socket, place) = opened.map_err(|error| {
            let path = path.display();
            format!("cannot listen on {path}: {}", reason(&error))
        })?;
        Ok(Self { socket, place })
    }
}

/// The control socket at work.
#[derive(Debug)]
pub(super) struct Control {
    place: Place,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control {
    /// Begins to answer.
    ///
    /// # Errors
    /// If there is no room for another thread.
    pub(super) fn start(bound: Bound, rings: Rings) -> io::Result<Self> {
        let Bound { socket, place } = bound;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            UnixListener::from_std(socket.into())?
        };
        let (stop, stopped) = oneshot::channel();
        let answer = move || {
            runtime.block_on(async {
                tokio::select! {
                    // An error is the end of the sender, which is the same.
                    _ = stopped => {}
                    () = accept(listener, rings) => {}
                }
            });
        };
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(answer)?;
        Ok(Self {
            place,
            stop,
            thread,
        })
    }

    /// Closes all connections, and removes the socket.
    pub(super) fn stop(self) {
        self.place.remove();
        // It fails if the thread has ended before.
        _ = self.stop.send(());
        _ = self.thread.join();
    }
}

async fn accept(listener: UnixListener, rings: Rings) {
    let slots = Arc::new(Semaphore::new(CLIENTS));
    let mut complaint = Seldom::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                complaint.warn(|| format!("cannot accept on the control socket: {error}"));
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let slot = Arc::clone(&slots).try_acquire_owned();
        let rings = rings.clone();
        tokio::spawn(async move {
            // Whoever goes away, or takes nothing, does not want the rest.
            _ = if slot.is_ok() {
                answer(&stream, &rings).await
            } else {
                let sentence = format!("{CLIENTS} others are being answered, ask again later");
                write(&stream, &head(EX_TEMPFAIL, &sentence)).await
            };
            drop(slot);
        });
    }
}

async fn answer(stream: &UnixStream, rings: &Rings) -> io::Result<()> {
    let line = timeout(REQUEST_WITHIN, line(stream)).await??;
    let text = match Request::parse(&line) {
        Ok(Request::List) => list(rings),
        Ok(Request::Ring(verb, name)) => match rings.find(&name) {
            Some(ring) => return about(stream, verb, &name, ring).await,
            None => head(EX_NOINPUT, &format!("no memory buffer is called {name}")),
        },
        Err(sentence) => head(EX_USAGE, &sentence),
    };
    write(stream, &text).await
}

async fn about(stream: &UnixStream, verb: Verb, name: &str, ring: Arc<Ring>) -> io::Result<()> {
    let mut text = head(0, "");
    match verb {
        Verb::Read => text.extend(ring.since(ring.oldest()).octets),
        Verb::Take(proof) => return take::take(stream, text, ring, proof).await,
        Verb::Clear => ring.clear(),
        Verb::Overflowed if ring.usage().overflowed => {
            text = head(1, "");
            text.extend(format!("{name} has overflowed\n").bytes());
        }
        Verb::Overflowed => {}
        Verb::Follow => return follow(stream, text, ring).await,
    }
    // The ring itself is not needed while the client takes its time.
    drop(ring);
    write(stream, &text).await
}

/// Writes what is in a ring and what comes to it, until either side goes.
async fn follow(stream: &UnixStream, head: Vec<u8>, ring: Arc<Ring>) -> io::Result<()> {
    let mut growth = ring.growth();
    let mut position = ring.oldest();
    // The output alone keeps it alive.
    let weak = Arc::downgrade(&ring);
    drop(ring);
    write(stream, &head).await?;
    while let Some(ring) = weak.upgrade() {
        growth.mark_unchanged();
        let found = ring.since(position);
        drop(ring);
        position = found.next;
        if found.missed > 0 {
            let sentence = format!("[{} lines missed]\n", found.missed);
            write(stream, sentence.as_bytes()).await?;
        }
        write(stream, &found.octets).await?;
        tokio::select! {
            grown = growth.changed() => if grown.is_err() { break },
            _ = stream.readable() => match stream.try_read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The end, an error, or more than was asked for.
                Ok(_) | Err(_) => break,
            },
        }
    }
    Ok(())
}

fn list(rings: &Rings) -> Vec<u8> {
    let mut text = head(0, "");
    for (name, ring) in rings.all() {
        let Usage {
            capacity,
            octets,
            lines,
            overwritten,
            overflowed,
        } = ring.usage();
        let star = if overflowed { "*" } else { "" };
        let kib = capacity / 1024;
        let line = format!(
            "{name}{star} {kib} KiB: {octets} octets in {lines} lines, {overwritten} overwritten\n"
        );
        text.extend(line.bytes());
    }
    text
}

/// The first line of an answer.
fn head(status: u8, sentence: &str) -> Vec<u8> {
    let line = format!("{status} {sentence}");
    format!("{}\n", line.trim_end()).into_bytes()
}

/// The first line that a client sends, without its end.
async fn line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = vec![0; LONGEST];
    let mut length = 0;
    loop {
        let room = line.get_mut(length..).unwrap_or_default();
        stream.readable().await?;
        match stream.try_read(room) {
            Ok(0) => break,
            Ok(read) => {
                let end = length + read;
                let new = line.get(length..end).unwrap_or_default();
                if let Some(found) = memchr::memchr(b'\n', new) {
                    line.truncate(length + found + 1);
                    return Ok(line);
                }
                length = end;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    line.truncate(length);
    Ok(line)
}

async fn write(stream: &UnixStream, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        timeout(PATIENCE, stream.writable()).await??;
        match stream.try_write(octets) {
            Ok(written) => octets = octets.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
