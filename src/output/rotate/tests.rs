use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn series(dir: &Path) -> Arc<Series> {
    Series::at(Place::resolve(&dir.join("log")).expect("a place")).expect("a directory")
}

/// What all files hold, the oldest first.
fn stream(series: &Series) -> Vec<u8> {
    let mut all = Vec::new();
    for aged in series.list().expect("a list").into_iter().rev() {
        let path = series.place().directory().join(series.name_of(aged));
        all.extend(fs::read(path).expect("a file"));
    }
    all.extend(fs::read(series.path()).unwrap_or_default());
    all
}

/// Does the first `steps` steps of a rotation, as a crash would leave it.
fn rotate_until(series: &Series, count: u32, steps: usize) {
    let aged = series.list().expect("a list");
    let like = Ownership {
        mode: 0o640,
        owner: None,
        group: None,
    };
    let mut created = None;
    for step in plan(series.place().name(), &aged, count).iter().take(steps) {
        series
            .perform(step, &like, &mut created)
            .expect("nothing is in the way");
    }
}

fn append(series: &Series, text: &str) {
    use std::io::Write;
    let file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(series.path());
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("written");
}

#[test]
fn s8_the_steps_are_in_this_order() {
    let aged = [
        (0, Form::Plain),
        (1, Form::Gzip),
        (2, Form::Gzip),
        (7, Form::Plain),
    ]
    .map(|(number, form)| Aged { number, form });
    let rename = |from: &str, to: &str| Step::Rename(from.into(), to.into());
    assert_eq!(
        plan(OsStr::new("log"), &aged, 3),
        [
            Step::Unlink("log.7".into()),
            Step::Unlink("log.2.gz".into()),
            rename("log.1.gz", "log.2.gz"),
            rename("log.0", "log.1"),
            rename("log", "log.0"),
            Step::Create,
            Step::Install,
            Step::SyncDirectory,
        ]
    );
}

#[test]
fn count_is_the_number_of_rotated_files_kept() {
    for count in 0..4 {
        let dir = tempfile::tempdir().expect("a directory");
        let series = series(dir.path());
        for text in ["a", "b", "c", "d", "e", "f"] {
            append(&series, text);
            rotate_until(&series, count, usize::MAX);
        }
        let kept = series.list().expect("a list").len();
        assert_eq!(kept, count as usize, "count {count}");
        assert_eq!(
            fs::read(series.path()).expect("a log"),
            b"",
            "count {count}"
        );
    }
}

#[test]
fn a_new_file_has_the_mode_of_the_one_it_replaces() {
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let series = series(dir.path());
    append(&series, "a");
    fs::set_permissions(series.path(), fs::Permissions::from_mode(0o604)).expect("chmod");
    let old = fs::File::open(series.path()).expect("the log");
    series.rotate(old.as_fd(), 2).expect("rotated");
    let new = fs::metadata(series.path()).expect("the new log");
    assert_eq!(new.permissions().mode() & 0o7777, 0o604);
}

#[test]
fn what_is_past_the_total_or_too_old_goes_the_oldest_first() {
    let hour = 3600;
    let now = 2_000_000_000;
    for (octets, hours, want) in [
        (None, None, 5),
        (Some(50), None, 5),
        (Some(49), None, 4),
        (Some(20), None, 2),
        (Some(9), None, 0),
        (Some(0), None, 0),
        (None, Some(5), 5),
        (None, Some(3), 4),
        (None, Some(0), 1),
        (None, Some(-1), 0),
        (Some(20), Some(3), 2),
        (Some(49), Some(1), 2),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let names = ["log.0", "log.1", "log.2.gz", "log.3.zst", "log.4"];
        for (age, name) in (0_u64..).zip(names) {
            let path = dir.path().join(name);
            fs::write(&path, "0123456789").expect("a file");
            let written = u64::try_from(now).expect("past 1970") - age * 3600;
            let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(written);
            let file = fs::File::options().write(true).open(&path);
            file.and_then(|file| file.set_modified(written))
                .expect("a time");
        }
        for name in ["log", "log.7", "log.x", "other.1"] {
            fs::write(dir.path().join(name), "0123456789").expect("a file");
        }
        let keep = Keep {
            octets,
            written_since: hours.map(|hours: i64| now - hours * hour),
        };
        let series = series(dir.path());
        series.prune(keep).expect("pruned");
        let left = names.iter().filter(|name| dir.path().join(name).exists());
        let left: Vec<_> = left.copied().collect();
        assert_eq!(left, names[..want], "{keep:?}");
        for name in ["log", "log.7", "log.x", "other.1"] {
            assert!(dir.path().join(name).exists(), "{name}: {keep:?}");
        }
    }
}

#[test]
fn what_is_not_a_number_is_not_ours() {
    let dir = tempfile::tempdir().expect("a directory");
    let series = series(dir.path());
    for name in [
        "log.01",
        "log.x",
        "log.1.bz2",
        "log.-1",
        "log.",
        "logs.1",
        "log.+1",
    ] {
        fs::write(dir.path().join(name), name).expect("a file");
    }
    assert_eq!(series.list().expect("a list"), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn s8_a_crash_at_any_step_loses_nothing_and_repeats_nothing(
        stops in proptest::collection::vec(0_usize..12, 1..12),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let series = series(dir.path());
        let mut want = Vec::new();
        for (index, stop) in stops.iter().enumerate() {
            let text = format!("{index}\n");
            append(&series, &text);
            want.extend_from_slice(text.as_bytes());
            rotate_until(&series, 99, *stop);
            prop_assert_eq!(stream(&series), want.clone());
            series.recover().expect("recovered");
            prop_assert_eq!(stream(&series), want.clone());
            let numbers: Vec<_> = series.list().expect("a list");
            for (at, aged) in numbers.iter().filter(|aged| aged.number > 0).enumerate() {
                prop_assert_eq!(aged.number as usize, at + 1);
            }
        }
    }
}
