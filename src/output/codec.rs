//! Members: the pieces of a compressed file, each whole in itself (RFC 1952 2.2, RFC 8878 3).
//!
//! ```text
//! log.1      |   1 MiB   |   1 MiB   |  rest |
//! log.1.gz   |  member   | member |  member  |     a frame each in log.1.zst, with a check sum
//! ```
//!
//! Any number of them is one file for gzip(1) and zstd(1), so that a job may go on behind a whole one. The
//! limit: records are not looked at; a member begins in the middle of a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;

use super::rotate::Form;
use crate::config::Compression;

/// So much of a file goes into one member.
pub const MEMBER: u64 = 1024 * 1024;

/// The longest window that is read back, as a power of two; ours are no longer than a member.
const WINDOW_LOG: u32 = 23;

/// How to compress.
#[derive(Clone, Copy, Debug)]
pub enum Codec {
    /// RFC 1952.
    Gzip(u8),
    /// RFC 8878.
    Zstd(u8),
}

impl Codec {
    /// The one that a configuration asks for; `None` if files stay plain.
    pub fn of(compression: Compression) -> Option<Self> {
        match compression {
            Compression::None => None,
            Compression::Gzip(level) => Some(Self::Gzip(level)),
            Compression::Zstd(level) => Some(Self::Zstd(level)),
        }
    }

    /// What its files are.
    pub fn form(self) -> Form {
        match self {
            Self::Gzip(_) => Form::Gzip,
            Self::Zstd(_) => Form::Zstd,
        }
    }

    /// One member.
    ///
    /// # Errors
    /// If the compressor fails.
    pub fn pack(self, octets: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(level) => {
                let level = flate2::Compression::new(level.into());
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(octets)?;
                encoder.finish()
            }
            Self::Zstd(level) => {
                let mut encoder = zstd::bulk::Compressor::new(level.into())?;
                encoder.include_checksum(true)?;
                encoder.compress(octets)
            }
        }
    }
}

/// What a file of this form holds, from all its members.
///
/// # Errors
/// If the decompressor fails; that a member is broken shows when it is read.
pub fn unpacked(form: Form, file: &File) -> io::Result<Box<dyn Read + '_>> {
    let reader = BufReader::new(file);
    Ok(match form {
        Form::Plain => Box::new(reader),
        Form::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Form::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// What the next member holds; the reader is then behind it. An empty one is the end of the file.
///
/// # Errors
/// As read(2); `InvalidData` and the like for a member that is broken, cut off, or longer than ours.
pub fn next_member(form: Form, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    if form == Form::Plain || reader.fill_buf()?.is_empty() {
        return Ok(octets);
    }
    if form == Form::Gzip {
        let decoder = GzDecoder::new(reader);
        decoder.take(MEMBER + 1).read_to_end(&mut octets)?;
    } else {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?.single_frame();
        decoder.window_log_max(WINDOW_LOG)?;
        decoder.take(MEMBER + 1).read_to_end(&mut octets)?;
    }
    if octets.len() as u64 > MEMBER {
        return Err(io::Error::other("a member of somebody else"));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Seek};

    const CODECS: [Codec; 4] = [
        Codec::Gzip(1),
        Codec::Gzip(9),
        Codec::Zstd(1),
        Codec::Zstd(19),
    ];

    #[test]
    fn members_are_read_one_by_one_and_as_one_file() {
        for codec in CODECS {
            let form = codec.form();
            let mut packed = codec.pack(b"one\n").expect("memory");
            let first = packed.len() as u64;
            packed.extend(codec.pack(b"two\n").expect("memory"));
            let mut reader = Cursor::new(&packed);
            assert_eq!(next_member(form, &mut reader).expect("whole"), b"one\n");
            assert_eq!(reader.position(), first, "{codec:?}");
            assert_eq!(next_member(form, &mut reader).expect("whole"), b"two\n");
            assert_eq!(next_member(form, &mut reader).expect("the end"), b"");

            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&packed).expect("written");
            file.rewind().expect("a file");
            let mut all = Vec::new();
            unpacked(form, &file)
                .and_then(|mut reader| reader.read_to_end(&mut all))
                .expect("whole");
            assert_eq!(all, b"one\ntwo\n", "{codec:?}");
        }
    }

    #[test]
    fn a_member_that_is_cut_off_or_changed_is_an_error() {
        for codec in CODECS {
            let whole = codec.pack(b"some text, some text").expect("memory");
            for end in 1..whole.len() {
                let got = next_member(codec.form(), &mut &whole[..end]);
                assert!(got.is_err(), "{codec:?} {end} {got:?}");
            }
            let mut changed = whole.clone();
            if let Some(last) = changed.iter_mut().rev().nth(1) {
                *last ^= 1;
            }
            assert!(next_member(codec.form(), &mut &changed[..]).is_err());
        }
    }
}
