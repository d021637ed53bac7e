//! Octets out: one file for each kind of destination, and one worker for each output.
//!
//! ```text
//! let sink = Sink::open(&destination, &settings, &surroundings)?;
//! let ended = output::spawn(name, sink, orders, &settings, folding, before, &hands)?;
//! ```
//!
//! A destination that cannot be opened is no error here: its worker tries again, and says so.

pub mod aside;
pub mod codec;
pub mod command;
pub mod compress;
pub mod fifo;
pub mod file;
pub mod forward;
pub mod gap;
mod hands;
pub mod memory;
mod pipe;
pub mod place;
pub mod repeat;
pub mod retained;
pub mod rotate;
pub mod schedule;
pub mod space;
pub mod terminal;
pub mod users;
pub mod worker;

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::block::Block;
use crate::cli::Families;
use crate::config::{Destination, ListenAddress, OutputSettings};
use crate::counters::Loss;
use crate::route::inbox::Orders;
use crate::route::whereabouts::Whereabouts;

pub use hands::Hands;

/// How far a sink came with a block.
#[derive(Debug)]
pub struct Written {
    /// Records that it took whole, from the first that it was offered.
    pub records: usize,
    /// Why it stopped before the end of the block, if it did.
    pub stopped: Option<Stop>,
}

/// Why a sink stopped at a record.
#[derive(Debug)]
pub enum Stop {
    /// Not now: offer the same record again after a while.
    Retry(Trouble),
    /// This record is lost; go on with the next.
    Drop(Loss),
    /// What was written since the last sync may be lost: write it again, then the rest.
    Unsynced(io::Error),
}

/// Why a sink cannot write at present.
#[derive(Debug)]
pub struct Trouble {
    /// How long to wait before the next try.
    pub after: Duration,
    /// What a record counts as if it must be given up.
    pub loss: Loss,
    /// What the operator reads: where and what, lower case, no full stop.
    pub sentence: String,
}

/// What all outputs of a daemon share.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The thread that compresses rotated files.
    pub compressor: Arc<compress::Compressor>,
    /// Over which internet protocols forwards go.
    pub families: Families,
    /// The memory buffers.
    pub rings: memory::Rings,
    /// Where we listen ourselves, as configured: a forward may lead there.
    pub listens: Arc<ArcSwap<Vec<ListenAddress>>>,
}

/// Where records go in the end.
#[derive(Debug)]
pub enum Sink {
    /// A file or device.
    File(Box<file::File>),
    /// A named pipe.
    Fifo(fifo::Fifo),
    /// A program that reads from a pipe.
    Command(command::Command),
    /// A terminal, by its path.
    Terminal(terminal::Terminal),
    /// The terminals of some or all users.
    Users(users::Users),
    /// Another host.
    Forward(Box<forward::Forward>),
    /// A memory buffer.
    Memory(memory::Memory),
}

impl Sink {
    /// The sink of a destination. Nothing is opened yet.
    pub fn open(
        destination: &Destination,
        settings: &OutputSettings,
        limits: forward::Limits,
        surroundings: &Surroundings,
    ) -> Self {
        match destination {
            Destination::File(path) => Self::File(Box::new(file::File::new(
                path.clone(),
                settings.clone(),
                Arc::clone(&surroundings.compressor),
            ))),
            Destination::Fifo(path) => Self::Fifo(fifo::Fifo::new(path.clone())),
            Destination::Command(command) => Self::Command(command::Command::new(command.clone())),
            Destination::Terminal(path) => Self::Terminal(terminal::Terminal::new(path.clone())),
            Destination::Users(names) => Self::Users(users::Users::named(names.clone())),
            Destination::Everyone => Self::Users(users::Users::everyone()),
            Destination::Forward(remote) => Self::Forward(Box::new(forward::Forward::new(
                remote.clone(),
                limits,
                surroundings.families,
                Arc::clone(&surroundings.listens),
            ))),
            Destination::Memory(name) => Self::Memory(memory::Memory::new(
                surroundings.rings.open(name, settings.capacity),
            )),
        }
    }

    /// Writes the records of a block from number `from` on, as many as it can.
    pub fn write(&mut self, block: &Block, from: usize) -> Written {
        match self {
            Self::File(file) => file.write(block, from),
            Self::Fifo(fifo) => fifo.write(block, from),
            Self::Command(command) => command.write(block, from),
            Self::Terminal(terminal) => terminal.write(block, from),
            Self::Users(users) => users.write(block, from),
            Self::Forward(forward) => forward.write(block, from),
            Self::Memory(memory) => memory.write(block, from),
        }
    }

    /// Opens a file early, so that it is there before its first message. Errors wait for that.
    pub fn prepare(&mut self) {
        match self {
            // The first write meets the same obstacle, and tells of it.
            Self::File(file) => drop(file.prepare()),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => {}
        }
    }

    /// Where it leads, if to another host.
    pub fn whereabouts(&self) -> Option<Arc<Whereabouts>> {
        match self {
            Self::Forward(forward) => Some(forward.whereabouts()),
            Self::File(_)
            | Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => None,
        }
    }

    /// Opens again what is not the same any longer (SIGHUP).
    pub fn reopen(&mut self) {
        match self {
            Self::File(file) => {
                file.reopen();
                // logrotate without `create` expects the file to be there again after SIGHUP.
                drop(file.prepare());
            }
            Self::Fifo(fifo) => fifo.reopen(),
            Self::Command(command) => command.reopen(),
            Self::Terminal(terminal) => terminal.reopen(),
            Self::Forward(forward) => forward.look_around(),
            Self::Users(_) | Self::Memory(_) => {}
        }
    }

    /// Rotates now, where there is something to rotate.
    pub fn rotate(&mut self) {
        match self {
            Self::File(file) => file.rotate(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => {}
        }
    }

    /// Takes new settings.
    pub fn update(&mut self, settings: OutputSettings) {
        match self {
            Self::File(file) => file.update(settings),
            Self::Memory(memory) => memory.resize(settings.capacity),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_) => {}
        }
    }

    /// Waits until the disk has what was written.
    ///
    /// # Errors
    /// As fdatasync(2).
    pub fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => Ok(()),
        }
    }

    /// When to look after it although nothing is written; then call [`on_time`](Self::on_time).
    pub fn look_at(&self) -> Option<Instant> {
        match self {
            Self::File(file) => file.look_at(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_)
            | Self::Forward(_) => None,
        }
    }

    /// Does what civil time asks for.
    pub fn on_time(&mut self) {
        match self {
            Self::File(file) => file.on_time(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_)
            | Self::Forward(_) => {}
        }
    }

    /// How many records are on their way that may have to be sent again; to be settled a second later.
    pub fn unsettled(&mut self) -> usize {
        match self {
            Self::Forward(forward) => forward.unsettled(),
            Self::File(_)
            | Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => 0,
        }
    }

    /// Sends again what a broken connection may have lost.
    pub fn settle(&mut self) -> Option<Stop> {
        match self {
            Self::Forward(forward) => forward.settle(),
            Self::File(_)
            | Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => None,
        }
    }

    /// How long it is worth trying at the end, where trying has failed before.
    pub fn last_patience(&self) -> Duration {
        match self {
            // A disk or a remote may come back, and their records are meant to last.
            Self::File(_) | Self::Forward(_) => Duration::MAX,
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => Duration::from_millis(100),
        }
    }

    /// Ends; returns how many of the records that counted as written may not have arrived.
    pub fn close(&mut self, deadline: Instant) -> usize {
        match self {
            Self::Forward(forward) => forward.close(deadline),
            Self::Command(command) => {
                command.close(deadline);
                0
            }
            Self::File(_)
            | Self::Fifo(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => 0,
        }
    }

    /// After the end: takes back what counted as written and may not have arrived.
    pub fn take_back(&mut self) -> Block {
        match self {
            Self::Forward(forward) => forward.take_back(),
            Self::File(_)
            | Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Memory(_) => Block::default(),
        }
    }

    /// Whether it has a disk under it, so that a sync means something.
    pub fn has_disk(&self) -> bool {
        match self {
            Self::File(file) => file.is_regular(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => false,
        }
    }

    /// A sync has failed: what is open is written no more, and the next write begins a new file.
    pub fn condemn(&mut self) {
        match self {
            Self::File(file) => file.condemn(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => {}
        }
    }

    /// The record that was refused is not offered again: whatever is written next is another one.
    pub fn give_up(&mut self) {
        match self {
            Self::File(file) => file.give_up(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => {}
        }
    }

    /// How often a line feed had to be added, since the last line of the file had none.
    pub fn torn_tails(&self) -> u64 {
        match self {
            Self::File(file) => file.torn_tails(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => 0,
        }
    }

    /// Takes the records out that `keep_free` leaves no room for; returns how many.
    pub fn shed(&mut self, block: &mut Block) -> usize {
        match self {
            Self::File(file) => file.shed(block),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => 0,
        }
    }

    /// Whether `keep_free` takes records out at present.
    pub fn is_shedding(&self) -> bool {
        match self {
            Self::File(file) => file.is_shedding(),
            Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Users(_)
            | Self::Forward(_)
            | Self::Memory(_) => false,
        }
    }

    /// Whether its readers are told of gaps in line: all but users on terminals.
    pub fn tells_gaps(&self) -> bool {
        match self {
            Self::File(_)
            | Self::Fifo(_)
            | Self::Command(_)
            | Self::Terminal(_)
            | Self::Forward(_)
            | Self::Memory(_) => true,
            Self::Users(_) => false,
        }
    }
}

/// Whether a worker has ended.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<(Mutex<bool>, Condvar)>);

impl Ended {
    /// Waits until it has.
    pub fn wait(&self) {
        let (ended, told) = &*self.0;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        drop(told.wait_while(ended, |ended| !*ended));
    }

    /// Waits until it has, or until `deadline`; tells whether it has.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let (ended, told) = &*self.0;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited = told.wait_timeout_while(ended, patience, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether it has by now.
    pub fn is_so(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let (ended, told) = &*self.0;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.notify_all();
    }
}

/// Starts the worker of an output. It ends when its inbox is closed and empty. Files share the threads of
/// `hands`; every other output has one of its own.
///
/// With a predecessor, it begins when that has ended: two writers of one file would rotate it under each
/// other, and mix the order.
///
/// # Errors
/// If the system has no room for another thread.
pub fn spawn(
    name: String,
    sink: Sink,
    orders: Orders,
    settings: &OutputSettings,
    folding: repeat::Folding,
    after: Option<Ended>,
    hands: &Hands,
) -> io::Result<Ended> {
    let shares = matches!(sink, Sink::File(_));
    let worker = worker::Worker::new(name, sink, orders, settings, folding);
    if shares {
        return hands.work_for(worker, after);
    }
    let ended = Ended::default();
    let tell = ended.clone();
    let work = move || {
        after.iter().for_each(Ended::wait);
        worker.run();
        tell.tell();
    };
    std::thread::Builder::new()
        .name("output".into())
        .spawn(work)?;
    Ok(ended)
}
