//! Who reads a FIFO, as /proc shows it: opening it to find out would wake a reader, and end it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a process that we may look at has this FIFO open for reading alone.
///
/// Our own daemon holds it open for both, and is no reader. A reader that still waits for the first writer
/// has nothing open yet, and is not seen.
pub(super) fn has_reader(fifo: &Path) -> bool {
    let Ok(wanted) = fs::metadata(fifo) else {
        return false;
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbered = processes.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    numbered.any(|process| {
        let process = process.path();
        let open = fs::read_dir(process.join("fd")).into_iter().flatten();
        open.flatten().any(|descriptor| {
            let is_it = fs::metadata(descriptor.path())
                .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()));
            is_it && reads_only(&process.join("fdinfo").join(descriptor.file_name()))
        })
    })
}

/// Whether the flags of a descriptor, octal in proc(5), are those of reading.
fn reads_only(fdinfo: &Path) -> bool {
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| libc::c_int::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & ACCESS_MODE == libc::O_RDONLY)
}

const ACCESS_MODE: libc::c_int = libc::O_ACCMODE;

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn a_fifo_has_a_reader_while_somebody_reads_it_and_does_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let both = fs::OpenOptions::new().read(true).write(true).open(&fifo);
        let _both = both.expect("it does not wait for anybody");
        assert!(!has_reader(&fifo));
        let _reader = fs::File::open(&fifo).expect("there is a writer");
        assert!(has_reader(&fifo));
    }
}
