use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::block::Block;
use crate::pri::{Facility, Pri, Severity};

const OUTPUT: &str = "/var/log/x";

/// Segments of little more than 500 octets, which is nine short blocks.
const SMALL: u64 = 8000;

/// No bound, and segments of 4 kB.
const LARGE: u64 = 64 * 1024;

/// A directory in memory where there is one: a sync costs nothing there.
fn temporary() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}

fn block(numbers: impl IntoIterator<Item = u64>) -> Block {
    let mut block = Block::default();
    for number in numbers {
        block.push(Pri::of(Facility::User, Severity::Notice), |out| {
            out.extend_from_slice(format!("t {number}\n").as_bytes());
            2
        });
    }
    block
}

fn numbers(block: &Block) -> Vec<u64> {
    let number = |body: &[u8]| String::from_utf8_lossy(body).trim_end().parse().ok();
    block
        .iter()
        .filter_map(|entry| number(entry.body))
        .collect()
}

fn open(directory: &TempDir, limit: u64) -> Queue {
    let spool = Spool::open(&directory.path().join("spool"), limit).expect("it is ours");
    let mut queue = Queue::new(Arc::new(spool), OUTPUT);
    queue.open().expect("it can be opened");
    queue
}

fn place(directory: &TempDir) -> PathBuf {
    directory.path().join("spool").join(directory_name(OUTPUT))
}

fn segments(directory: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(place(directory)).expect("it is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

/// Everything that is left: the numbers, and how many are said to be lost.
fn drain(queue: &mut Queue) -> (Vec<u64>, u64) {
    let (mut seen, mut lost) = (Vec::new(), 0);
    while let Some(taken) = queue.read() {
        lost += taken.lost;
        assert_eq!(taken.surplus, 0);
        seen.extend(taken.block.iter().flat_map(numbers));
    }
    assert!(queue.is_empty());
    (seen, lost)
}

/// So many messages.
const COUNT: u64 = 22;

/// Three segments with [`COUNT`] messages, left in good order.
fn filled() -> TempDir {
    let directory = temporary();
    let mut queue = open(&directory, SMALL);
    for number in 0..COUNT {
        queue.append(&block([number])).expect("there is room");
    }
    let left = queue.leave(Vec::new(), Vec::new(), Outstanding::default());
    assert_eq!((left.0.len(), left.1.len()), (0, 0));
    drop(queue);
    assert_eq!(segments(&directory).len(), 3);
    directory
}

#[test]
fn s10_what_was_appended_is_read_in_order_after_any_number_of_starts() {
    let directory = filled();
    for round in 0..COUNT {
        let mut queue = open(&directory, SMALL);
        assert_eq!(queue.len(), COUNT - round);
        let taken = queue.read().expect("there is more");
        assert_eq!(taken.block.as_ref().map(numbers), Some(vec![round]));
        queue.acknowledge(0).expect("the disk works");
    }
    let mut queue = open(&directory, SMALL);
    assert!(queue.read().is_none());
    assert_eq!(segments(&directory).len(), 0, "nothing is left");
    assert_eq!(queue.spool().used(), 0);
    queue.append(&block([COUNT])).expect("there is room");
    assert_eq!(drain(&mut queue), (vec![COUNT], 0));
}

#[test]
fn s10_a_part_of_a_block_that_is_not_delivered_comes_again_and_no_more() {
    let directory = temporary();
    let mut queue = open(&directory, SMALL);
    for start in [0, 5] {
        queue.append(&block(start..start + 5)).expect("room");
    }
    let (seen, _) = drain(&mut queue);
    assert_eq!(seen.len(), 10);
    queue.acknowledge(7).expect("the disk works");
    drop(queue);
    let mut queue = open(&directory, SMALL);
    assert_eq!(drain(&mut queue), ((3..10).collect(), 0));
}

#[test]
fn what_an_output_has_in_its_hands_is_left_in_its_place() {
    // What came from memory, and how much of it was not delivered; what was read here, and so on.
    for (memory_before, read, memory_after, outstanding) in [
        (3, 0, 0, 3),
        (3, 2, 0, 5),
        (3, 2, 0, 2),
        (3, 2, 0, 1),
        (0, 4, 0, 3),
        (0, 4, 3, 5),
        (0, 4, 3, 2),
        (0, 4, 3, 7),
        (0, 0, 3, 3),
        (0, 0, 0, 0),
    ] {
        let directory = temporary();
        let mut queue = open(&directory, SMALL);
        let mut number = 0;
        let mut next = |count: u64| {
            number += count;
            number - count..number
        };
        let mut held: Vec<Block> = Vec::new();
        held.extend(next(memory_before).map(|number| block([number])));
        for number in next(read) {
            queue.append(&block([number])).expect("room");
        }
        if memory_after > 0 {
            while let Some(taken) = queue.read() {
                held.extend(taken.block);
            }
            held.extend(next(memory_after).map(|number| block([number])));
        }
        for number in next(6) {
            queue.append(&block([number])).expect("room");
        }
        while held.len() < usize::try_from(memory_before + read + memory_after).expect("few") {
            held.extend(queue.read().expect("it was appended").block);
        }
        let from = held.len() - usize::try_from(outstanding).expect("few");
        let held = held.split_off(from);
        let first = held.first().map_or(number - 6, |block| numbers(block)[0]);
        let left = queue.leave(
            held,
            vec![block([number])],
            Outstanding {
                messages: outstanding,
                since_read: if read > 0 {
                    memory_after
                } else {
                    memory_before + memory_after
                },
                is_folded: false,
            },
        );
        let case = (memory_before, read, memory_after, outstanding);
        assert_eq!((left.0.len(), left.1.len()), (0, 0), "{case:?}");
        drop(queue);
        let mut queue = open(&directory, SMALL);
        let (mut seen, mut lost) = (Vec::new(), 0);
        while let Some(taken) = queue.read() {
            seen.extend(taken.block.iter().flat_map(numbers));
            lost += taken.lost;
        }
        assert_eq!((seen, lost), ((first..=number).collect(), 0), "{case:?}");
    }
}

#[test]
fn of_folded_messages_those_that_were_read_here_are_read_again_and_others_keep_their_line() {
    for (since_read, want) in [(0, vec![1, 2, 3, 9]), (5, vec![77, 9])] {
        let directory = temporary();
        let mut queue = open(&directory, SMALL);
        queue.append(&block(0..4)).expect("room");
        assert!(queue.read().is_some());
        // One of the four was written, or all, and five from memory stand in one line.
        let messages = if since_read == 0 { 3 } else { 5 };
        let outstanding = Outstanding {
            messages,
            since_read,
            is_folded: true,
        };
        let left = queue.leave(vec![block([77])], vec![block([9])], outstanding);
        assert_eq!((left.0.len(), left.1.len()), (0, 0));
        drop(queue);
        assert_eq!(
            drain(&mut open(&directory, SMALL)),
            (want, 0),
            "{since_read}"
        );
    }
}

#[test]
fn f22_the_directory_of_an_output_that_is_not_ours_is_refused_and_stays() {
    let directory = filled();
    let spool = Spool::open(&directory.path().join("spool"), SMALL).expect("it is ours");
    let mut queue = Queue::new(Arc::new(spool), OUTPUT);
    let open_to_all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(place(&directory), open_to_all).expect("ours");
    assert_eq!(queue.open().err(), Some(Refusal::Open));
    assert_eq!(queue.append(&block([0])).err(), Some(Refusal::Open));
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(place(&directory), private).expect("ours");
    assert_eq!(queue.open(), Ok(COUNT));
}

#[test]
fn f22_whatever_octet_is_wrong_the_others_are_read_and_the_loss_is_exact() {
    let directory = filled();
    let mut files = segments(&directory);
    files.push(place(&directory).join("cursor"));
    files.push(place(&directory).join("name"));
    for path in files {
        let good = fs::read(&path).expect("it can be read");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, &bad).expect("it is ours");
            let (seen, lost) = drain(&mut open(&directory, SMALL));
            assert!(
                seen.is_sorted() && seen.iter().all(|number| *number < COUNT),
                "{seen:?}"
            );
            assert_eq!(seen.len() as u64 + lost, COUNT, "{path:?} {at}");
            assert!(lost <= 9, "{path:?} {at}: one segment at most: {lost}");
            restore(&path, &good);
        }
    }
}

/// Puts a file back that was changed or set aside.
fn restore(path: &Path, good: &[u8]) {
    let directory = path.parent().expect("it has one");
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "unreadable")
        {
            fs::remove_file(path).expect("it is ours");
        }
    }
    fs::write(path, good).expect("it is ours");
}

#[test]
fn f22_a_file_may_be_cut_zeroed_removed_doubled_or_of_the_future() {
    type Damage = fn(&Path, &[u8], usize);
    let cut: Damage = |path, good, at| fs::write(path, &good[..at]).expect("ours");
    let zero: Damage = |path, good, at| {
        let mut bad = good.to_vec();
        let end = bad.len().min(at + 64);
        bad[at..end].fill(0);
        fs::write(path, bad).expect("ours");
    };
    let double: Damage = |path, good, at| {
        let other = path.with_file_name(format!("{:016x}.seg", (1_u64 << 32) + at as u64));
        if !other.exists() {
            fs::write(other, good).expect("ours");
        }
    };
    let remove: Damage = |path, _, _| fs::remove_file(path).expect("ours");
    let future: Damage = |path, good, _| {
        let mut bad = good.to_vec();
        bad[8] = 2;
        fs::write(path, bad).expect("ours");
    };
    for (name, damage, step) in [
        ("cut", cut, 1),
        ("zero", zero, 64),
        ("double", double, 37),
        ("remove", remove, usize::MAX),
        ("future", future, usize::MAX),
    ] {
        let directory = filled();
        let mut files = segments(&directory);
        files.push(place(&directory).join("cursor"));
        for path in files {
            let good = fs::read(&path).expect("it can be read");
            for at in (0..good.len()).step_by(step) {
                damage(&path, &good, at);
                let (seen, lost) = drain(&mut open(&directory, SMALL));
                assert!(seen.is_sorted(), "{name} {path:?} {at}: {seen:?}");
                let is_cursor = path.ends_with("cursor");
                if !is_cursor || lost > 0 {
                    assert_eq!(seen.len() as u64 + lost, COUNT, "{name} {path:?} {at}");
                } else {
                    assert_eq!(seen.len() as u64, COUNT, "{name} {path:?} {at}");
                }
                restore(&path, &good);
            }
        }
    }
}

#[test]
fn f22_what_is_not_ours_or_no_file_is_set_aside_and_nothing_is_removed() {
    let directory = filled();
    let all = segments(&directory);
    let target = directory.path().join("target");
    fs::rename(&all[1], &target).expect("ours");
    symlink(&target, &all[1]).expect("a link");
    let (seen, lost) = drain(&mut open(&directory, SMALL));
    assert_eq!(seen.len() as u64 + lost, COUNT);
    assert!(lost > 0 && target.exists());
    let aside = all[1].with_extension("seg.unreadable");
    assert!(aside.is_symlink(), "{aside:?}");
    fs::remove_file(&aside).expect("ours");
    fs::rename(&target, &all[1]).expect("ours");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&all[1], Some(1), None).expect("root may");
        let (_, lost) = drain(&mut open(&directory, SMALL));
        assert!(lost > 0);
    }
}

#[test]
fn f37_a_directory_that_is_not_ours_alone_or_was_swapped_is_refused() {
    let directory = temporary();
    let path = directory.path().join("spool");
    let open = || Spool::open(&path, SMALL);
    symlink("/tmp", &path).expect("a link");
    assert_eq!(open().err(), Some(Refusal::Link));
    fs::remove_file(&path).expect("ours");
    fs::create_dir(&path).expect("ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("ours");
    assert_eq!(open().err(), Some(Refusal::Open));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
    let spool = open().expect("it is ours");
    assert_eq!(open().err(), Some(Refusal::InUse));
    let mut queue = Queue::new(Arc::new(spool), OUTPUT);
    queue.append(&block([0])).expect("there is room");
    let moved = directory.path().join("moved");
    fs::rename(&path, &moved).expect("ours");
    assert_eq!(queue.append(&block([1])), Err(Refusal::Replaced));
    symlink(&moved, &path).expect("a link");
    assert_eq!(queue.append(&block([1])), Err(Refusal::Link));
    fs::remove_file(&path).expect("ours");
    fs::rename(&moved, &path).expect("ours");
    queue.append(&block([1])).expect("it is back");
    assert_eq!(drain(&mut queue), (vec![0, 1], 0));
}

#[test]
fn the_limit_is_exact_and_room_is_freed_as_segments_are_delivered() {
    let directory = temporary();
    let mut queue = open(&directory, SMALL);
    let mut appended = 0;
    while queue.append(&block([appended])).is_ok() {
        appended += 1;
    }
    let on_disk = || -> u64 {
        let length = |path: &PathBuf| fs::metadata(path).expect("it is there").len();
        segments(&directory).iter().map(length).sum()
    };
    assert_eq!(queue.spool().used(), on_disk());
    assert!((SMALL - 100..=SMALL).contains(&on_disk()), "{}", on_disk());
    for _ in 0..10 {
        assert!(queue.read().is_some());
    }
    queue.acknowledge(0).expect("the disk works");
    assert_eq!(queue.spool().used(), on_disk());
    queue
        .append(&block([appended]))
        .expect("there is room again");
}

#[test]
fn outputs_that_nobody_names_are_told_and_not_touched() {
    let directory = filled();
    let path = directory.path().join("spool");
    let look = |name: &str| unused(&path, [name].into_iter()).expect("it is ours");
    let before: Vec<_> = segments(&directory)
        .iter()
        .map(fs::read)
        .map(Result::ok)
        .collect();
    let octets = before
        .iter()
        .flatten()
        .map(|octets| octets.len() as u64)
        .sum();
    let found = look("/other");
    let [one] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((one.output.as_str(), one.octets), (OUTPUT, octets));
    assert_eq!(one.directory, directory_name(OUTPUT));
    assert!(one.since.is_some());
    assert_eq!(look(OUTPUT), []);
    let after: Vec<_> = segments(&directory)
        .iter()
        .map(fs::read)
        .map(Result::ok)
        .collect();
    assert_eq!(before, after);
    // As many as there are, while somebody has it at work, and in the end none.
    let mut queue = open(&directory, SMALL);
    assert_eq!(one.messages, queue.len());
    queue.read();
    queue.acknowledge(0).expect("written");
    assert_eq!(look("/other")[0].messages, queue.len());
    drain(&mut queue);
    queue.acknowledge(0).expect("written");
    assert_eq!(look("/other"), []);
    // Nothing is made where there is nothing.
    let missing = directory.path().join("missing");
    assert_eq!(unused(&missing, std::iter::empty()), Ok(Vec::new()));
    assert!(!missing.exists());
}

#[test]
fn f2_what_is_damaged_is_set_aside_also_if_the_one_who_read_past_it_was_killed() {
    // Killed behind the first record, behind the damage, and behind the whole segment.
    for reads in [1, 3, 12] {
        let directory = filled();
        let path = segments(&directory).remove(0);
        let mut octets = fs::read(&path).expect("ours");
        octets[150] ^= 1;
        fs::write(&path, &octets).expect("ours");
        let mut queue = open(&directory, SMALL);
        for _ in 0..reads {
            assert!(queue.read().is_some());
        }
        if reads > 11 {
            // The cursor is written, and nothing removed.
            let here = queue.here();
            queue.write_cursor(here).expect("written");
        } else {
            queue.acknowledge(0).expect("written");
        }
        drop(queue);
        let mut queue = open(&directory, SMALL);
        drain(&mut queue);
        queue.acknowledge(0).expect("written");
        assert_eq!(segments(&directory), Vec::<PathBuf>::new());
        let aside = path.with_extension("seg.unreadable");
        assert_eq!(fs::read(&aside).ok(), Some(octets), "{reads}");
    }
}

#[test]
fn f2_what_was_begun_and_never_written_is_no_damage() {
    let directory = filled();
    let (seen, _) = drain(&mut open(&directory, SMALL));
    let place = place(&directory);
    let next = place.join("00000009ffffffff.seg");
    for cursor in [&[][..], &[0; 1024]] {
        fs::write(&next, "").expect("ours");
        fs::write(place.join("cursor"), cursor).expect("ours");
        let mut queue = open(&directory, SMALL);
        assert_eq!(drain(&mut queue), (seen.clone(), 0));
        assert!(!next.exists());
        let aside = fs::read_dir(&place).expect("it is there").flatten();
        let mut aside = aside.map(|entry| entry.path());
        assert!(aside.all(|path| path.extension().is_none_or(|what| what != "unreadable")));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Read,
    Acknowledge(u64),
    Crash,
    Tear(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..60_u64).prop_map(Step::Append),
        4 => Just(Step::Read),
        2 => (0..100_u64).prop_map(Step::Acknowledge),
        1 => Just(Step::Crash),
        1 => (0..2000_u64).prop_map(Step::Tear),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_out_of_order_nothing_lost_after_an_append_and_twice_only_after_a_crash(steps in steps()) {
        let directory = temporary();
        let mut queue = open(&directory, LARGE);
        // What was appended, read and acknowledged: numbers of messages.
        let (mut appended, mut read, mut delivered) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Append(count) => {
                    if queue.append(&block(appended..appended + count)).is_ok() {
                        appended += count;
                    }
                }
                Step::Read => {
                    let before = read;
                    if let Some(taken) = queue.read() {
                        let seen = taken.block.as_ref().map(numbers).unwrap_or_default();
                        let first = before + taken.lost;
                        read = first + seen.len() as u64;
                        prop_assert_eq!(taken.surplus, 0);
                        prop_assert_eq!(taken.lost, 0);
                        prop_assert_eq!(seen, (first..read).collect::<Vec<_>>());
                    } else {
                        prop_assert_eq!(read, appended);
                    }
                }
                Step::Acknowledge(outstanding) => {
                    queue.acknowledge(outstanding).expect("the disk works");
                    delivered = delivered.max(read.saturating_sub(outstanding));
                }
                Step::Crash | Step::Tear(_) => {
                    drop(queue);
                    if let Step::Tear(octets) = step
                        && let Some(last) = place(&directory).exists().then(|| segments(&directory)).and_then(|mut all| all.pop())
                    {
                        let file = File::options().write(true).open(&last).expect("ours");
                        let length = file.metadata().expect("ours").len();
                        file.set_len(length.saturating_sub(octets)).expect("ours");
                    }
                    queue = open(&directory, LARGE);
                    let left = queue.len();
                    if let Step::Tear(_) = step {
                        // What was not read and is gone: no number is free again.
                        let (seen, lost) = drain(&mut queue);
                        prop_assert_eq!(seen.len() as u64 + lost, left);
                        let first = seen.first().copied().unwrap_or(delivered);
                        prop_assert!(seen.is_empty() || first <= delivered + lost, "{} {}", first, delivered);
                        prop_assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                        queue.acknowledge(0).expect("the disk works");
                        (read, delivered) = (appended, appended);
                        prop_assert!(queue.is_empty());
                    } else {
                        prop_assert_eq!(left, appended - delivered);
                        read = delivered;
                    }
                }
            }
            prop_assert_eq!(queue.len(), appended - read);
        }
    }

    #[test]
    fn damage_anywhere_costs_no_order_and_is_counted(flips in proptest::collection::vec((0..3_usize, 0..600_usize, 1..=255_u8), 1..20)) {
        let directory = filled();
        let files = segments(&directory);
        for (file, at, mask) in flips {
            let mut octets = fs::read(&files[file]).expect("ours");
            let at = at % octets.len();
            octets[at] ^= mask;
            fs::write(&files[file], octets).expect("ours");
        }
        let (seen, lost) = drain(&mut open(&directory, SMALL));
        prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen);
        prop_assert_eq!(seen.len() as u64 + lost, COUNT);
    }
}
