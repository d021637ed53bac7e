use std::path::Path;

use super::*;
use crate::config::{Period, Rotation};
use crate::pri::{Facility, Pri, Severity};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

fn block<S: AsRef<str>>(lines: &[S]) -> Block {
    let mut block = Block::default();
    for line in lines {
        block.push(Pri::of(Facility::User, Severity::Notice), |octets| {
            octets.extend_from_slice(line.as_ref().as_bytes());
            0
        });
    }
    block
}

fn file(path: &Path, settings: OutputSettings) -> File {
    let compressor = Arc::new(Compressor::default());
    File::new(path.to_owned(), settings, compressor)
}

fn rotating(size: u64, count: u32) -> OutputSettings {
    OutputSettings {
        rotation: Some(Rotation::by_size(size, count)),
        ..OutputSettings::default()
    }
}

fn sentence(written: Written) -> String {
    match written.stopped {
        Some(Stop::Retry(Trouble { sentence, .. })) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s6_what_is_at_the_path_decides_whether_it_is_written() {
    for (case, want) in [
        ("absent", ""),
        ("regular", ""),
        ("trusted link", ""),
        ("hard link", "it has 2 hard links"),
        ("directory", "Is a directory"),
        ("fifo", "refused to open"),
        ("fifo", "it is a FIFO (write |/path)"),
        ("socket", "it is a socket"),
        ("no parent", "No such file or directory"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut path = dir.path().join("log");
        let target = dir.path().join("target");
        match case {
            "regular" => fs::write(&path, "").expect("a file"),
            "trusted link" => symlink(&target, &path).expect("a link"),
            "hard link" => {
                fs::write(&target, "").expect("a file");
                fs::hard_link(&target, &path).expect("a link");
            }
            "directory" => fs::create_dir(&path).expect("a directory"),
            "fifo" => {
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
            }
            "socket" => drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket")),
            "no parent" => path = dir.path().join("none/log"),
            _ => {}
        }
        let written = file(&path, OutputSettings::default()).write(&block(&["a\n"]), 0);
        if want.is_empty() {
            assert_eq!(written.records, 1, "{case}: {:?}", written.stopped);
            assert_eq!(fs::read(&path).expect("a file"), b"a\n", "{case}");
        } else {
            let got = sentence(written);
            assert!(got.contains(want), "{case}: {got}");
        }
    }
}

#[test]
fn v25_a_link_in_a_directory_of_others_is_refused_and_its_target_untouched() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).expect("chmod");
    fs::write(dir.path().join("target"), "").expect("a file");
    symlink("target", dir.path().join("log")).expect("a link");
    let path = dir.path().join("log");
    let got = sentence(file(&path, OutputSettings::default()).write(&block(&["a\n"]), 0));
    assert!(got.starts_with("refused to open"), "{got}");
    assert_eq!(fs::read(dir.path().join("target")).expect("a file"), b"");
}

#[test]
fn v24_a_new_file_has_its_mode_whatever_the_umask_is_and_an_old_one_keeps_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = dir.path().join("old");
    fs::write(&old, "").expect("a file");
    fs::set_permissions(&old, Permissions::from_mode(0o666)).expect("chmod");
    for (name, mode, want) in [
        ("new", None, 0o640),
        ("open", Some(0o666), 0o666),
        ("old", Some(0o600), 0o666),
    ] {
        let path = dir.path().join(name);
        let settings = OutputSettings {
            mode,
            ..OutputSettings::default()
        };
        assert!(file(&path, settings).prepare().is_ok(), "{name}");
        let got = fs::metadata(&path).expect("a file").permissions().mode() & 0o7777;
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn s6_a_torn_tail_is_ended_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    fs::write(&path, "whole\nto").expect("a file");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    assert_eq!(fs::read(&path).expect("a file"), b"whole\nto\na\n");
    assert_eq!(file.torn_tails(), 1);
}

#[test]
fn s6_a_short_write_is_finished_only_if_nobody_wrote_meanwhile() {
    for (meanwhile, want) in [
        ("", "one\ntwo\n"),
        ("else", "one\ntwelse\ntwo\n"),
        ("else\n", "one\ntwelse\ntwo\n"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut file = file(&path, OutputSettings::default());
        let block = block(&["one\n", "two\n"]);
        assert!(file.prepare().is_ok());
        // As if write(2) had taken 6 of 8 octets before the disk was full.
        fs::write(&path, "one\ntw").expect("a file");
        file.torn = Some(Torn {
            written: 2,
            size: 6,
        });
        let mut now = fs::read(&path).expect("a file");
        now.extend_from_slice(meanwhile.as_bytes());
        fs::write(&path, now).expect("a file");
        assert_eq!(file.write(&block, 1).records, 1, "{meanwhile:?}");
        let got = fs::read_to_string(&path).expect("a file");
        assert_eq!(got, want, "{meanwhile:?}");
    }
}

#[test]
fn s6_whatever_fails_is_tried_again_within_a_second() {
    for (path, want) in [
        ("/dev/full", Loss::NoSpace),
        ("/nonexistent/log", Loss::Io),
        ("/proc/log", Loss::Io),
    ] {
        let mut file = file(Path::new(path), OutputSettings::default());
        for _ in 0..7 {
            let written = file.write(&block(&["a\n"]), 0);
            assert_eq!(written.records, 0, "{path}");
            assert!(
                matches!(
                    &written.stopped,
                    Some(Stop::Retry(Trouble { after, loss, .. })) if *after == RETRY && *loss == want
                ),
                "{path}: {written:?}"
            );
        }
    }
}

#[test]
fn a_moved_file_is_left_when_asked_and_a_truncated_one_has_no_hole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    fs::rename(&path, dir.path().join("moved")).expect("moved");
    file.reopen();
    file.write(&block(&["b\n"]), 0);
    assert_eq!(fs::read(&path).expect("a file"), b"b\n");
    fs::File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .expect("truncated");
    file.write(&block(&["c\n"]), 0);
    assert_eq!(fs::read(&path).expect("a file"), b"c\n");
}

#[test]
fn s6_a_removed_file_is_noticed_by_the_next_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    fs::remove_file(&path).expect("removed");
    file.write(&block(&["b\n"]), 0);
    assert_eq!(fs::read(&path).expect("a file"), b"b\n");
}

#[test]
fn a_forgotten_sighup_is_noticed_after_a_second() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    fs::rename(&path, dir.path().join("moved")).expect("moved");
    let open = file.open.as_mut().expect("it is open");
    open.checked = open
        .checked
        .checked_sub(CHECK)
        .expect("the clock is past one second");
    file.write(&block(&["b\n"]), 0);
    assert_eq!(fs::read(&path).expect("a file"), b"b\n");
}

#[test]
fn s8_rotation_falls_between_records_and_never_on_an_empty_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, rotating(10, 4));
    let written = file.write(
        &block(&["aaa\n", "bbb\n", "ccc\n", "longer than the limit\n", "d\n"]),
        0,
    );
    assert_eq!(written.records, 5, "{:?}", written.stopped);
    file.compressor.stop();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
    assert_eq!(read("log").as_deref(), Some("d\n"));
    assert_eq!(read("log.0").as_deref(), Some("longer than the limit\n"));
}

#[test]
fn devices_are_never_rotated() {
    let mut file = file(Path::new("/dev/null"), rotating(1, 1));
    let written = file.write(&block(&["aaa\n", "bbb\n"]), 0);
    assert_eq!(written.records, 2);
}

#[test]
fn s8_without_a_new_file_the_renamed_one_is_written_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, rotating(4, 4));
    // Nothing can be created under the temporary name.
    fs::create_dir(dir.path().join(".log.new")).expect("a directory");
    let written = file.write(&block(&["aaa\n", "bbb\n"]), 0);
    assert_eq!(written.records, 2, "{:?}", written.stopped);
    let got = fs::read_to_string(dir.path().join("log.0")).expect("a file");
    assert_eq!(got, "aaa\nbbb\n");
}

#[test]
fn s7_a_file_whose_sync_failed_is_never_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    file.condemn();
    file.write(&block(&["a\n", "b\n"]), 0);
    let aside = dir.path().join("log.unsynced-0");
    assert_eq!(fs::read(&aside).expect("set aside"), b"a\n");
    assert_eq!(fs::read(&path).expect("a new file"), b"a\nb\n");
    // All of it is written again, so that a second failure leaves nothing behind.
    file.condemn();
    file.write(&block(&["a\n", "b\n"]), 0);
    assert!(file.sync().is_ok());
    assert_eq!(fs::read(&path).expect("a new file"), b"a\nb\n");
    assert!(!dir.path().join("log.unsynced-1").exists());
    // It has proved itself.
    file.condemn();
    file.write(&block(&["c\n"]), 0);
    assert!(dir.path().join("log.unsynced-1").exists());
}

#[test]
fn s7_a_sync_that_failed_unseen_is_told_before_the_next_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["a\n"]), 0);
    file.unsure = Some(Errno::EIO.into());
    let written = file.write(&block(&["b\n"]), 0);
    assert_eq!(written.records, 0);
    assert!(
        matches!(written.stopped, Some(Stop::Unsynced(_))),
        "{written:?}"
    );
    assert_eq!(file.write(&block(&["b\n"]), 0).records, 1);
}

#[test]
fn s6_what_was_given_up_half_way_does_not_cut_the_next_record() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    assert!(file.prepare().is_ok());
    fs::write(&path, "one\ntw").expect("a file");
    file.torn = Some(Torn {
        written: 2,
        size: 6,
    });
    file.give_up();
    assert_eq!(file.write(&block(&["three\n"]), 0).records, 1);
    assert_eq!(fs::read(&path).expect("a file"), b"one\ntw\nthree\n");
}

#[test]
fn a_file_that_is_rotated_from_now_on_finds_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let mut file = file(&path, OutputSettings::default());
    file.write(&block(&["aaa\n"]), 0);
    file.update(rotating(4, 4));
    file.write(&block(&["bbb\n"]), 0);
    file.compressor.stop();
    assert_eq!(
        fs::read(dir.path().join("log.0")).expect("rotated"),
        b"aaa\n"
    );
}

/// As [`rotating`], every week.
fn weekly(size: Option<u64>) -> OutputSettings {
    OutputSettings {
        rotation: Some(Rotation {
            size,
            every: Some(Period::Weekly),
            ..Rotation::by_size(0, 5)
        }),
        ..OutputSettings::default()
    }
}

/// As if it had last been written so many days ago.
fn age(path: &Path, days: u64) {
    let then = std::time::SystemTime::now() - Duration::from_secs(days * 86_400);
    let file = fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(then))
        .expect("a time");
}

#[test]
fn f33_a_file_of_an_earlier_period_is_rotated_once_before_it_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    fs::write(&path, "old\n").expect("a file");
    age(&path, 8);
    let mut file = file(&path, weekly(Some(1000)));
    for text in ["new\n", "newer\n"] {
        assert_eq!(file.write(&block(&[text]), 0).records, 1, "{text}");
        file.on_time();
    }
    file.compressor.stop();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
    assert_eq!(read("log").as_deref(), Some("new\nnewer\n"));
    assert_eq!(read("log.0").as_deref(), Some("old\n"));
    assert_eq!(read("log.1"), None);
}

#[test]
fn a_period_begins_for_an_idle_file_and_for_an_empty_one_nothing_happens() {
    for (text, rotated) in [("old\n", true), ("", false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut file = file(&path, weekly(None));
        assert_eq!(file.look_at(), None, "nothing is open");
        fs::write(&path, text).expect("a file");
        age(&path, 8);
        assert!(file.prepare().is_ok());
        assert_eq!(dir.path().join("log.0").exists(), rotated, "{text:?}");
        let week = Duration::from_secs(8 * 86_400);
        let look_at = file.look_at().expect("once a week");
        assert!(look_at <= Instant::now() + week, "{look_at:?}");
        file.on_time();
        assert!(file.look_at().is_some());
        assert!(!dir.path().join("log.1").exists(), "{text:?}");
        file.compressor.stop();
    }
}

#[test]
fn new_settings_know_how_old_the_file_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    fs::write(&path, "old\n").expect("a file");
    let mut file = file(&path, OutputSettings::default());
    assert!(file.prepare().is_ok());
    age(&path, 8);
    file.update(weekly(None));
    file.on_time();
    file.compressor.stop();
    let rotated = fs::read_to_string(dir.path().join("log.0"));
    assert_eq!(rotated.expect("a file"), "old\n");
}

#[test]
fn the_total_counts_the_file_that_is_to_grow() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    let settings = OutputSettings {
        rotation: Some(Rotation {
            total: Some(30),
            ..Rotation::by_size(8, 9999)
        }),
        compression: Some(crate::config::Compression::None),
        ..OutputSettings::default()
    };
    let mut file = file(&path, settings);
    for number in 0..20 {
        file.write(&block(&[format!("{number:03}\n")]), 0);
        let files = fs::read_dir(dir.path()).expect("a directory");
        let sizes = files.map(|file| file.and_then(|file| file.metadata()).expect("a file").len());
        let total: u64 = sizes.sum();
        assert!(total <= 30, "{total} after {number}");
    }
    file.compressor.stop();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
    assert_eq!(read("log.1").as_deref(), Some("014\n015\n"));
    assert_eq!(read("log.2"), None);
}
