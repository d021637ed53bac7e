//! What one process leaves to the next: descriptors, and a memory file that says what they are.
//!
//! ```text
//! "syslogd handover 3" LF
//! sockets       descriptor, wanted and bound address, name in the store, place, drops known
//! connections   descriptor, listener, peer, state of its frames, octets of the unfinished one
//! queues        destination, records
//! rings         name, octets, lines overwritten, and whether some were since it was cleared
//! kernel        number of the last record
//! pid file      descriptor, locked
//! arguments     the command line of the old program
//! ```
//!
//! Numbers are eight octets, little-endian; octets stand behind their length. Reading is total: whatever the
//! file holds, the answer is a [`State`] or `None`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::inherited::Passed;
use crate::block::Block;
use crate::config::{Endpoint, ListenAddress};
use crate::frame::Framer;
use crate::input::stream::Suspended;
use crate::input::{MAX_MESSAGE, unix};
use crate::output::memory::Content;
use crate::sys;

/// The format of the file; another number is another format, which is refused.
pub(super) const FORMAT: u64 = 3;

const MAGIC: &[u8] = b"syslogd handover 3\n";

/// Everything that is handed over.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The sockets that messages arrive at.
    pub(super) sockets: Vec<Passed>,
    /// Established connections.
    pub(super) connections: Vec<Suspended>,
    /// What outputs could not write yet, by their destinations.
    pub(super) queues: Vec<(String, Vec<Block>)>,
    /// What memory buffers hold, by their names.
    pub(super) rings: Vec<(String, Content)>,
    /// The number of the last record of the kernel's log that was taken.
    pub(super) kernel: Option<u64>,
    /// The locked pid file.
    pub(super) pid_file: Option<OwnedFd>,
    /// The command line of the old program, its name first.
    pub(super) arguments: Vec<OsString>,
}

impl State {
    /// Every descriptor that must stay open.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let sockets = self.sockets.iter().map(|passed| &passed.socket);
        let connections = self.connections.iter().map(|open| &open.socket);
        sockets.chain(connections).chain(&self.pid_file)
    }

    /// Writes it to a new memory file.
    ///
    /// # Errors
    /// If there is no memory or no descriptor left.
    pub(super) fn write(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("syslogd handover", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&self.encoded())?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.list(&self.sockets, |out, passed| {
            out.descriptor(&passed.socket);
            out.address(&passed.wanted);
            out.address(&passed.bound);
            out.option(passed.stored.as_ref(), |out, name| {
                out.octets(name.as_bytes());
            });
            out.number(u64::from(passed.is_units));
            out.option(passed.place.as_ref(), |out, place| {
                let (path, device, inode) = place.parts();
                out.octets(path.as_os_str().as_bytes());
                out.number(device);
                out.number(inode);
            });
            out.option(passed.drops_known.as_ref(), |out, drops| {
                out.number(u64::from(*drops));
            });
        });
        out.list(&self.connections, |out, open| {
            out.descriptor(&open.socket);
            out.address(&open.listener);
            out.option(open.peer.as_ref(), |out, peer| {
                out.octets(peer.to_string().as_bytes());
            });
            for number in open.framer.state() {
                out.number(number);
            }
            out.octets(&open.rest);
            out.octets(&open.head);
            out.option(open.age.as_ref(), |out, age| {
                out.number(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            });
        });
        out.list(&self.queues, |out, (destination, blocks)| {
            out.octets(destination.as_bytes());
            out.list(blocks, |out, block| block.encode(&mut out.0));
        });
        out.list(&self.rings, |out, (name, content)| {
            out.octets(name.as_bytes());
            out.octets(&content.octets);
            out.number(content.overwritten);
            out.number(u64::from(content.overflowed));
        });
        out.option(self.kernel.as_ref(), |out, last| out.number(*last));
        out.option(self.pid_file.as_ref(), Writer::descriptor);
        out.list(&self.arguments, |out, one| out.octets(one.as_bytes()));
        out.0
    }

    /// Reads the file that [`State::write`] made, and takes the descriptors in it over; returns their numbers,
    /// too.
    ///
    /// # Errors
    /// If it is no such file, or a descriptor is not open. Nothing was taken over then.
    pub(super) fn read(mut file: &File) -> io::Result<(Self, Vec<RawFd>)> {
        let mut octets = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut octets)?;
        Self::decoded(&octets, |numbers| sys::all_inherited(numbers).ok())
            .ok_or_else(|| io::Error::other("what was handed over cannot be read"))
    }

    /// `open` is asked for all descriptors at once, after everything else could be read.
    fn decoded(
        octets: &[u8],
        open: impl FnOnce(&[RawFd]) -> Option<Vec<OwnedFd>>,
    ) -> Option<(Self, Vec<RawFd>)> {
        let mut from = Reader(octets.strip_prefix(MAGIC)?, Vec::new());
        let sockets = from.list(|from| {
            from.descriptor()?;
            let wanted = from.address()?;
            let bound = from.address()?;
            let stored = from.option(Reader::text)?;
            let is_units = from.number()? != 0;
            let place = from.option(|from| {
                let path = PathBuf::from(OsString::from_vec(from.octets()?.to_vec()));
                Some(unix::Place::of(path, from.number()?, from.number()?))
            })?;
            let drops_known = from.option(|from| u32::try_from(from.number()?).ok())?;
            Some(move |socket| Passed {
                socket,
                wanted,
                bound,
                stored,
                is_units,
                place,
                drops_known,
            })
        })?;
        let connections = from.list(|from| {
            from.descriptor()?;
            let listener = from.address()?;
            let peer = from.option(|from| from.text()?.parse::<SocketAddr>().ok())?;
            let state = [
                from.number()?,
                from.number()?,
                from.number()?,
                from.number()?,
            ];
            let framer = Framer::resume(MAX_MESSAGE, state)?;
            let (rest, head) = (from.octets()?.to_vec(), from.octets()?.to_vec());
            let age = from.option(|from| Some(Duration::from_millis(from.number()?)))?;
            Some(move |socket| Suspended {
                socket,
                listener,
                peer,
                framer,
                rest,
                head,
                age,
            })
        })?;
        let queues = from.list(|from| Some((from.text()?, from.list(Reader::block)?)))?;
        let rings = from.list(|from| {
            let content = |from: &mut Reader<'_>| {
                Some(Content {
                    octets: from.octets()?.to_vec(),
                    overwritten: from.number()?,
                    overflowed: from.number()? != 0,
                })
            };
            Some((from.text()?, content(from)?))
        })?;
        let kernel = from.option(Reader::number)?;
        let pid_file = from.option(Reader::descriptor)?;
        let arguments = from.list(|from| Some(OsString::from_vec(from.octets()?.to_vec())))?;
        let Reader([], numbers) = from else {
            return None;
        };
        // In the order in which they were named.
        let mut descriptors = open(&numbers)?.into_iter();
        let state = Self {
            sockets: sockets
                .into_iter()
                .map(|make| descriptors.next().map(make))
                .collect::<Option<_>>()?,
            connections: connections
                .into_iter()
                .map(|make| descriptors.next().map(make))
                .collect::<Option<_>>()?,
            queues,
            rings,
            kernel,
            pid_file: pid_file.and(descriptors.next()),
            arguments,
        };
        Some((state, numbers))
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.0.extend_from_slice(octets);
    }

    fn descriptor(&mut self, descriptor: &OwnedFd) {
        self.number(u64::from(descriptor.as_raw_fd().unsigned_abs()));
    }

    fn address(&mut self, address: &ListenAddress) {
        let (kind, text) = match address {
            ListenAddress::Udp(address) => (0, address.to_string().into_bytes()),
            ListenAddress::Tcp(address) => (1, address.to_string().into_bytes()),
            ListenAddress::UnixDatagram(path) => (2, path.as_os_str().as_bytes().to_vec()),
            ListenAddress::UnixStream(path) => (3, path.as_os_str().as_bytes().to_vec()),
        };
        self.number(kind);
        self.octets(&text);
    }

    fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, list: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as u64);
        for member in list {
            write(self, member);
        }
    }
}

/// What is left to be read, and the numbers of the descriptors so far.
struct Reader<'a>(&'a [u8], Vec<RawFd>);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(octets)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.octets()?.to_vec()).ok()
    }

    fn descriptor(&mut self) -> Option<()> {
        let number = RawFd::try_from(self.number()?).ok()?;
        self.1.push(number);
        Some(())
    }

    fn address(&mut self) -> Option<ListenAddress> {
        let (kind, octets) = (self.number()?, self.octets()?);
        let network = || {
            let text = std::str::from_utf8(octets).ok()?;
            let (address, shard) = text.split_once('#').unwrap_or((text, "0"));
            Some(Endpoint {
                address: address.parse().ok()?,
                shard: shard.parse().ok()?,
            })
        };
        let path = || PathBuf::from(OsString::from_vec(octets.to_vec()));
        Some(match kind {
            0 => ListenAddress::Udp(network()?),
            1 => ListenAddress::Tcp(network()?),
            2 => ListenAddress::UnixDatagram(path()),
            3 => ListenAddress::UnixStream(path()),
            _ => return None,
        })
    }

    fn block(&mut self) -> Option<Block> {
        let (block, rest) = Block::decode(self.0)?;
        self.0 = rest;
        Some(block)
    }

    #[expect(
        clippy::option_option,
        reason = "what is not there and what cannot be read are two answers of one private function"
    )]
    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.number()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.number()? {
            list.push(read(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;
    use crate::pri::{Facility, Pri, Severity};

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").expect("it is there").into()
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a function that may fail")]
    fn opened(numbers: &[RawFd]) -> Option<Vec<OwnedFd>> {
        Some(numbers.iter().map(|_| descriptor()).collect())
    }

    fn state() -> State {
        let mut block = Block::default();
        for text in ["t one\n", "t two\n"] {
            block.push(Pri::of(Facility::User, Severity::Notice), |out| {
                out.extend_from_slice(text.as_bytes());
                2
            });
        }
        let udp: SocketAddr = "127.0.0.1:514".parse().expect("an address");
        let path = PathBuf::from("/dev/log");
        State {
            sockets: vec![
                Passed {
                    socket: descriptor(),
                    wanted: ListenAddress::Udp(Endpoint {
                        address: udp,
                        shard: 2,
                    }),
                    bound: ListenAddress::Udp(udp.into()),
                    stored: Some("syslogd-x".into()),
                    is_units: true,
                    place: None,
                    drops_known: Some(7),
                },
                Passed {
                    socket: descriptor(),
                    wanted: ListenAddress::UnixDatagram(path.clone()),
                    bound: ListenAddress::UnixDatagram(path.clone()),
                    stored: None,
                    is_units: false,
                    place: Some(unix::Place::of(path.clone(), 1, 2)),
                    drops_known: None,
                },
            ],
            connections: vec![Suspended {
                socket: descriptor(),
                listener: ListenAddress::UnixStream(path),
                peer: Some(udp),
                framer: Framer::resume(MAX_MESSAGE, [1, 2, 1, 9]).expect("a state"),
                rest: b"half".to_vec(),
                head: b"head".to_vec(),
                age: Some(Duration::from_millis(1500)),
            }],
            queues: vec![("/var/log/x".into(), vec![block])],
            rings: vec![(
                "debug".into(),
                Content {
                    octets: b"one\ntwo\n".to_vec(),
                    overwritten: 3,
                    overflowed: true,
                },
            )],
            kernel: Some(4711),
            pid_file: Some(descriptor()),
            arguments: vec!["syslogd".into(), "-F".into()],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let octets = state().encoded();
        let (read, numbers) = State::decoded(&octets, opened).expect("it is ours");
        assert_eq!(numbers.len(), 4);
        // Descriptors are other numbers; everything else is the same.
        let same = |state: &State| {
            let text = format!("{state:?}");
            let parts = text.split("OwnedFd { fd: ");
            let plain = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
            plain.collect::<String>()
        };
        assert_eq!(same(&read), same(&state()));
    }

    #[test]
    fn whatever_the_file_holds_is_a_state_or_none() {
        let octets = state().encoded();
        for length in 0..octets.len() {
            assert!(
                State::decoded(&octets[..length], opened).is_none(),
                "{length}"
            );
        }
        for at in MAGIC.len()..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 0x80;
            // Some of these are states of their own; none may panic or take the memory of the machine.
            _ = State::decoded(&changed, opened);
        }
        assert!(
            State::decoded(&octets, |_| None).is_none(),
            "no such descriptor"
        );
    }

    #[test]
    fn what_cannot_be_read_leaves_every_descriptor_as_it_is() {
        let state = state();
        let mut octets = state.encoded();
        octets.push(0);
        let is_asked = Cell::new(false);
        let ask = |numbers: &[RawFd]| {
            is_asked.set(true);
            opened(numbers)
        };
        assert!(State::decoded(&octets, ask).is_none() && !is_asked.get());
        for wrong in [
            vec![state.sockets[0].socket.as_raw_fd(); 2],
            vec![0],
            vec![RawFd::MAX],
        ] {
            let refused = sys::all_inherited(&wrong);
            refused.expect_err("twice, a standard one, or not open");
        }
        for descriptor in state.descriptors() {
            let flags = fcntl(descriptor, FcntlArg::F_GETFD).expect("it is open");
            assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
        }
    }
}
