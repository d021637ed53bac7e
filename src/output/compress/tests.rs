use super::super::place::Place;
use super::*;
use std::fs;
use std::path::Path;

fn series(dir: &Path) -> Arc<Series> {
    Series::at(Place::resolve(&dir.join("log")).expect("a place")).expect("a directory")
}

fn text(octets: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(octets)
        .collect()
}

/// What a compressed file holds, by its name.
fn content(path: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    let is_zstd = path.extension().is_some_and(|found| found == "zst");
    let form = if is_zstd { Form::Zstd } else { Form::Gzip };
    let file = File::open(path).expect("a file");
    unpacked(form, &file)
        .and_then(|mut reader| reader.read_to_end(&mut all))
        .expect("whole");
    all
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().display().to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn s9_every_plain_file_but_the_newest_is_compressed() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = text(2_500_000);
    for (name, octets) in [
        ("log", &text[..]),
        ("log.0", &text),
        ("log.1", &text),
        ("log.2", b""),
    ] {
        fs::write(dir.path().join(name), octets).expect("a file");
    }
    Compressor::default()
        .compress(&series(dir.path()), Compression::default())
        .expect("compressed");
    assert_eq!(names(dir.path()), ["log", "log.0", "log.1.gz", "log.2.gz"]);
    assert_eq!(content(&dir.path().join("log.1.gz")), text);
    assert_eq!(content(&dir.path().join("log.2.gz")), b"");
}

#[test]
fn s9_the_result_takes_the_name_that_the_file_has_by_then() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("log.1"), "one").expect("a file");
    let series = series(dir.path());
    let (aged, raw) = oldest_plain(&series).expect("a list").expect("log.1");
    fs::rename(dir.path().join("log.1"), dir.path().join("log.2")).expect("shifted");
    fs::write(dir.path().join("log.1"), "two").expect("a file");
    let done = Compressor::default().compress_one(&series, aged, &raw, Codec::Gzip(6));
    assert!(done.expect("compressed"));
    assert_eq!(names(dir.path()), ["log.1", "log.2.gz"]);
}

#[test]
fn s9_of_both_forms_the_whole_one_stays() {
    let whole = Codec::Gzip(6).pack(b"one").expect("memory");
    for gz in [&whole[..], &whole[..whole.len() - 3], b""] {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("log.1"), "one").expect("a file");
        fs::write(dir.path().join("log.1.gz"), gz).expect("a file");
        Compressor::default()
            .compress(&series(dir.path()), Compression::default())
            .expect("compressed");
        assert_eq!(names(dir.path()), ["log.1.gz"], "{}", gz.escape_ascii());
        assert_eq!(content(&dir.path().join("log.1.gz")), b"one");
    }
}

#[test]
fn s9_a_crash_costs_one_member() {
    let text = text(5 * 1024 * 1024 / 2);
    for codec in [Codec::Gzip(6), Codec::Zstd(3)] {
        let member = |n: usize| {
            let length = 1024 * 1024;
            let end = text.len().min((n + 1) * length);
            codec.pack(&text[n * length..end]).expect("memory")
        };
        let (first, second) = (member(0), member(1));
        let all = [&first[..], &second].concat();
        let mut other = all.clone();
        other[10] ^= 1;
        let foreign = codec.pack(b"of another file").expect("memory");
        for (case, left, want) in [
            ("nothing", &b""[..], 0),
            ("half a member", &first[..first.len() / 2], 0),
            ("one", &first, first.len()),
            ("one and a half", &all[..all.len() - 9], first.len()),
            ("two", &all, all.len()),
            ("a broken one", &other, 0),
            ("another file's", &foreign, 0),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("log.1"), &text).expect("a file");
            let series = series(dir.path());
            let (aged, raw) = oldest_plain(&series).expect("a list").expect("log.1");
            let temporary = temporary(series.place(), codec.form());
            let path = dir.path().join(&temporary);
            fs::write(&path, left).expect("a file");
            let mode = raw.metadata().expect("a file").permissions();
            fs::set_permissions(&path, mode).expect("chmod");
            let (packed, (_, length)) =
                resume(series.place(), &temporary, codec.form(), &raw).expect("a file");
            let kept = packed.metadata().expect("a file").len();
            assert_eq!(kept, want as u64, "{codec:?}: {case}");
            assert_eq!(length > 0, want > 0, "{codec:?}: {case}");
            (&raw).rewind().expect("a file");
            let done = Compressor::default().compress_one(&series, aged, &raw, codec);
            assert!(done.expect("compressed"), "{codec:?}: {case}");
            let name = format!("log.1{}", codec.form().suffix());
            assert_eq!(names(dir.path()), [name.as_str()], "{codec:?}: {case}");
            assert!(content(&dir.path().join(name)) == text, "{codec:?}: {case}");
        }
    }
}

#[test]
fn s9_a_leftover_that_others_may_read_or_write_is_not_used() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    for case in ["mode", "link", "hard link"] {
        let dir = tempfile::tempdir().expect("a directory");
        let left = dir.path().join(".log.gz.tmp");
        let other = dir.path().join("other");
        fs::write(dir.path().join("log.1"), "one").expect("a file");
        let whole = Codec::Gzip(6).pack(b"one").expect("memory");
        fs::write(&other, &whole).expect("a file");
        match case {
            "mode" => {
                fs::rename(&other, &left).expect("renamed");
                fs::set_permissions(&left, fs::Permissions::from_mode(0o666)).expect("chmod");
            }
            "link" => symlink(&other, &left).expect("a link"),
            _ => fs::hard_link(&other, &left).expect("a link"),
        }
        let series = series(dir.path());
        let done = Compressor::default().compress(&series, Compression::default());
        done.expect("compressed");
        let mode = |name: &str| {
            let meta = fs::symlink_metadata(dir.path().join(name));
            meta.expect("a file").permissions().mode()
        };
        assert_eq!(mode("log.1.gz") & 0o666, 0o644, "{case}");
        if case != "mode" {
            assert_eq!(fs::read(&other).expect("a file"), whole, "{case}");
        }
    }
}

#[test]
fn archives_of_every_form_make_one_series() {
    let dir = tempfile::tempdir().expect("a directory");
    let series = series(dir.path());
    let forms = [
        Compression::default(),
        Compression::Zstd(3),
        Compression::None,
        Compression::Zstd(19),
        Compression::Gzip(1),
    ];
    for (index, form) in forms.into_iter().enumerate() {
        fs::write(dir.path().join("log"), format!("{index}\n")).expect("a file");
        let log = File::open(dir.path().join("log")).expect("a file");
        let rotated = series.rotate(std::os::fd::AsFd::as_fd(&log), 4);
        rotated.expect("rotated");
        let done = Compressor::default().compress(&series, form);
        done.expect("compressed");
    }
    // log.2 waited, as it was to stay plain, and was compressed after all.
    let want = ["log", "log.0", "log.1.gz", "log.2.zst", "log.3.zst"];
    assert_eq!(names(dir.path()), want);
    let texts = ["log.1.gz", "log.2.zst", "log.3.zst"].map(|name| content(&dir.path().join(name)));
    assert_eq!(texts, [b"3\n", b"2\n", b"1\n"]);
}

#[test]
fn a_compressed_file_has_the_time_of_its_last_record() {
    use std::time::{Duration, SystemTime};
    let dir = tempfile::tempdir().expect("a directory");
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let raw = File::create(dir.path().join("log.1")).expect("a file");
    raw.set_modified(then).expect("a file");
    Compressor::default()
        .compress(&series(dir.path()), Compression::Zstd(1))
        .expect("compressed");
    let packed = fs::metadata(dir.path().join("log.1.zst")).expect("a file");
    assert_eq!(packed.modified().expect("a time"), then);
}

#[test]
fn f41_a_broken_archive_beside_the_plain_file_goes_and_another_text_stays() {
    let broken = |whole: &[u8]| {
        let mut broken = whole.to_vec();
        broken[whole.len() / 2] ^= 0x55;
        broken
    };
    for (suffix, codec) in [("gz", Codec::Gzip(6)), ("zst", Codec::Zstd(3))] {
        let one = codec.pack(b"one, one, one").expect("memory");
        let other = codec.pack(b"two").expect("memory");
        for (packed, both) in [(broken(&one), false), (other, true)] {
            let dir = tempfile::tempdir().expect("a directory");
            let archive = format!("log.1.{suffix}");
            fs::write(dir.path().join("log.1"), "one, one, one").expect("a file");
            fs::write(dir.path().join(&archive), &packed).expect("a file");
            settle(&series(dir.path()), || false).expect("settled");
            let want = if both {
                vec!["log.1", archive.as_str()]
            } else {
                vec!["log.1"]
            };
            assert_eq!(names(dir.path()), want);
            Compressor::default()
                .compress(&series(dir.path()), Compression::default())
                .expect("done what can be");
            if both {
                assert_eq!(names(dir.path()), want);
            } else {
                assert_eq!(names(dir.path()), ["log.1.gz"]);
            }
        }
    }
}

#[test]
fn s9_what_a_power_cut_took_of_the_plain_file_is_in_the_archive() {
    let text = text(200_000).repeat(2);
    let whole: Vec<u8> = text.iter().map(|octet| octet | 1).collect();
    let with_hole = |mut octets: Vec<u8>| {
        octets[70_000..90_000].fill(0);
        octets
    };
    // What the plain file is, what the archive holds, and whether both stay.
    for (raw, packed, both) in [
        (vec![], whole.clone(), false),
        (whole[..100_001].to_vec(), whole.clone(), false),
        (with_hole(whole.clone()), whole.clone(), false),
        (with_hole(whole[..100_001].to_vec()), whole.clone(), false),
        (whole.clone(), whole[..100_001].to_vec(), false),
        (with_hole(whole.clone()), whole[..100_001].to_vec(), true),
        (whole[1..].to_vec(), whole.clone(), true),
    ] {
        for codec in [Codec::Gzip(6), Codec::Zstd(3)] {
            let dir = tempfile::tempdir().expect("a directory");
            let archive = format!("log.1{}", codec.form().suffix());
            fs::write(dir.path().join("log.1"), &raw).expect("a file");
            let octets = codec.pack(&packed).expect("memory");
            fs::write(dir.path().join(&archive), octets).expect("a file");
            Compressor::default()
                .compress(&series(dir.path()), Compression::default())
                .expect("done what can be");
            let names = names(dir.path());
            if both {
                assert_eq!(names, ["log.1", &archive]);
                continue;
            }
            assert_eq!(names.len(), 1, "{names:?}");
            assert!(content(&dir.path().join(&names[0])) == whole, "{names:?}");
        }
    }
}

#[test]
fn a_stop_leaves_the_plain_file_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("log.1"), text(10)).expect("a file");
    let compressor = Compressor::default();
    compressor.stop();
    compressor
        .compress(&series(dir.path()), Compression::default())
        .expect("nothing done");
    assert_eq!(names(dir.path()), ["log.1"]);
}
