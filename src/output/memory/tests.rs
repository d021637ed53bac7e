use super::*;
use crate::pri::{Facility, Pri, Severity};
use proptest::collection::vec;
use proptest::prelude::*;

fn block(lines: &[&str]) -> Block {
    let mut block = Block::default();
    for line in lines {
        block.push(Pri::of(Facility::User, Severity::Debug), |octets| {
            octets.extend_from_slice(line.as_bytes());
            0
        });
    }
    block
}

fn text(ring: &Ring) -> String {
    String::from_utf8(ring.since(Position::default()).octets).expect("UTF-8")
}

#[test]
fn the_oldest_records_go_whole_and_are_counted() {
    let rings = Rings::default();
    let ring = rings.open("debug", 8);
    let mut memory = Memory::new(Arc::clone(&ring));
    for (lines, want, overwritten) in [
        (&["a\n", "bb\n"][..], "a\nbb\n", 0),
        (&["ccc\n"], "bb\nccc\n", 1),
        (&["d\n", "eeeee\n"], "d\neeeee\n", 3),
        (&["1234567\n"], "1234567\n", 5),
        (&["\n"], "\n", 6),
    ] {
        let written = memory.write(&block(lines), 0);
        assert_eq!(written.records, lines.len());
        assert_eq!(text(&ring), want, "after {lines:?}");
        assert_eq!(ring.usage().overwritten, overwritten, "after {lines:?}");
        assert_eq!(ring.usage().overflowed, overwritten > 0, "after {lines:?}");
    }
}

#[test]
fn a_record_that_is_longer_than_the_ring_is_dropped_and_nothing_else_is() {
    let ring = Rings::default().open("debug", 4);
    let mut memory = Memory::new(Arc::clone(&ring));
    let long = block(&["a\n", "12345\n", "b\n"]);
    let written = memory.write(&long, 0);
    assert_eq!(written.records, 1);
    assert!(matches!(written.stopped, Some(Stop::Drop(Loss::NoSpace))));
    assert_eq!(memory.write(&long, 2).records, 1);
    assert_eq!(text(&ring), "a\nb\n");
}

#[test]
fn a_reader_who_comes_back_gets_what_is_new_and_hears_what_it_missed() {
    let ring = Rings::default().open("debug", 6);
    let mut memory = Memory::new(Arc::clone(&ring));
    memory.write(&block(&["a\n", "b\n"]), 0);
    let found = ring.since(ring.oldest());
    assert_eq!((found.octets, found.missed), (b"a\nb\n".to_vec(), 0));
    memory.write(&block(&["c\n"]), 0);
    let found = ring.since(found.next);
    assert_eq!((found.octets, found.missed), (b"c\n".to_vec(), 0));
    memory.write(&block(&["d\n", "e\n", "f\n", "g\n"]), 0);
    let found = ring.since(found.next);
    assert_eq!((found.octets, found.missed), (b"e\nf\ng\n".to_vec(), 1));
    assert_eq!(ring.since(found.next).octets, b"");
    ring.clear();
    memory.write(&block(&["h\n"]), 0);
    let found = ring.since(found.next);
    assert_eq!((found.octets, found.missed), (b"h\n".to_vec(), 0));
}

#[test]
fn a_ring_keeps_what_it_holds_while_an_output_has_it_and_no_longer() {
    let rings = Rings::default();
    let mut memory = Memory::new(rings.open("debug", 8));
    memory.write(&block(&["a\n", "b\n", "c\n"]), 0);
    let again = rings.open("debug", 4);
    assert_eq!(text(&again), "b\nc\n");
    memory.resize(8);
    memory.write(&block(&["d\n", "e\n"]), 0);
    assert_eq!(text(&again), "b\nc\nd\ne\n");
    drop((memory, again));
    assert!(rings.find("debug").is_none());
    assert_eq!(text(&rings.open("debug", 4)), "");
}

/// What may happen to a ring.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<String>),
    Resize(usize),
    Take(Vec<String>),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec("[a-z]{0,9}\n", 1..5).prop_map(Step::Write),
        1 => (10..40_usize).prop_map(Step::Resize),
        1 => vec("[a-z]{0,9}\n", 0..5).prop_map(Step::Take),
        2 => Just(Step::Read),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_list_of_lines_would(steps in vec(step(), 0..60)) {
        let ring = Rings::default().open("debug", 20);
        let mut memory = Memory::new(Arc::clone(&ring));
        let (mut list, mut capacity) = (VecDeque::<String>::new(), 20);
        let (mut written, mut overwritten) = (0, 0);
        let (mut position, mut seen) = (Position::default(), 0_u64);
        for step in steps {
            match step {
                Step::Write(lines) => {
                    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
                    prop_assert_eq!(memory.write(&block(&texts), 0).records, lines.len());
                    written += lines.len() as u64;
                    list.extend(lines);
                }
                Step::Resize(octets) => {
                    memory.resize(octets);
                    capacity = octets;
                }
                Step::Take(meanwhile) => {
                    let found = ring.since(ring.oldest());
                    let all: String = list.iter().map(String::as_str).collect();
                    prop_assert_eq!(&found.octets, all.as_bytes());
                    let taken = written;
                    let texts: Vec<&str> = meanwhile.iter().map(String::as_str).collect();
                    memory.write(&block(&texts), 0);
                    written += meanwhile.len() as u64;
                    list.extend(meanwhile);
                    while list.iter().map(String::len).sum::<usize>() > capacity {
                        list.pop_front();
                        overwritten += 1;
                    }
                    ring.forget(&found);
                    let later = usize::try_from(written - taken).expect("few");
                    while list.len() > later {
                        list.pop_front();
                    }
                }
                Step::Read => {
                    let found = ring.since(position);
                    let oldest = written - list.len() as u64;
                    let known = usize::try_from(seen.saturating_sub(oldest)).expect("few");
                    let new = list.iter().skip(known);
                    let new: String = new.map(String::as_str).collect();
                    prop_assert_eq!(found.octets, new.into_bytes());
                    prop_assert_eq!(found.missed, oldest.saturating_sub(seen));
                    (position, seen) = (found.next, written);
                }
            }
            while list.iter().map(String::len).sum::<usize>() > capacity {
                list.pop_front();
                overwritten += 1;
            }
            let usage = ring.usage();
            prop_assert_eq!(usage.octets, list.iter().map(String::len).sum::<usize>());
            prop_assert_eq!(usage.lines, list.len() as u64);
            prop_assert_eq!(usage.overwritten, overwritten);
        }
    }
}

#[test]
fn another_ring_goes_on_with_the_content_even_if_it_is_smaller() {
    let rings = Rings::default();
    let ring = rings.open("debug", 12);
    Memory::new(Arc::clone(&ring)).write(&block(&["gone\n", "1234567\n", "b\n", "c\n"]), 0);
    for (capacity, want, overwritten) in
        [(12, "1234567\nb\nc\n", 1), (5, "b\nc\n", 2), (2, "c\n", 3)]
    {
        let next = Rings::default().open("debug", capacity);
        next.go_on(&ring.content());
        assert_eq!(text(&next), want, "{capacity}");
        assert_eq!(next.usage().overwritten, overwritten, "{capacity}");
        assert!(next.usage().overflowed, "{capacity}");
    }
}

#[test]
fn clearing_forgets_the_overflow_and_not_the_count() {
    let ring = Rings::default().open("debug", 2);
    Memory::new(Arc::clone(&ring)).write(&block(&["a\n", "b\n"]), 0);
    ring.clear();
    let usage = ring.usage();
    assert_eq!((usage.octets, usage.lines), (0, 0));
    assert_eq!((usage.overwritten, usage.overflowed), (1, false));
}
