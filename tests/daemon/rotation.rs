//! Rotation by size, compression, and what a crash leaves of them (reliability S8, S9).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::support::{DEADLINE, Daemon, Lines, Setup, gunzip, has_suffix, output_of, wait_for};

/// The rotated files of `log` and then itself: from the oldest to the newest.
fn generations(setup: &Setup) -> Vec<String> {
    let names = fs::read_dir(setup.directory())
        .expect("it is there")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let number = name
                .strip_prefix("log.")?
                .trim_end_matches(".gz")
                .parse::<u32>()
                .ok()?;
            Some((number, name))
        });
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    names
        .into_iter()
        .map(|(_, name)| name)
        .chain(["log".to_owned()])
        .collect()
}

/// Their numbers, the greatest first. A missing `log.0` is no hole: the next rotation makes it.
fn ages(setup: &Setup) -> Vec<u32> {
    let names = generations(setup);
    let number = |name: &String| {
        name.strip_prefix("log.")?
            .trim_end_matches(".gz")
            .parse()
            .ok()
    };
    names.iter().filter_map(number).collect()
}

/// What a generation holds.
fn content(setup: &Setup, name: &str) -> String {
    let path = setup.path(name);
    let octets = if has_suffix(name, "gz") {
        gunzip(&path)
    } else {
        fs::read(&path).unwrap_or_default()
    };
    String::from_utf8(octets).expect("log files are UTF-8")
}

/// The numbers of the messages in all generations, in the order of writing.
fn numbers(setup: &Setup) -> Vec<u32> {
    generations(setup)
        .iter()
        .flat_map(|name| numbers_in(&content(setup, name)))
        .collect()
}

fn numbers_in(text: &str) -> Vec<u32> {
    text.lines().filter_map(number_of).collect()
}

fn number_of(line: &str) -> Option<u32> {
    line.rsplit_once(" app: number ")?
        .1
        .trim_end_matches('.')
        .parse()
        .ok()
}

/// Waits until nothing is left to compress: `log.0` is plain, and all that are older are not.
fn wait_for_compression(setup: &Setup) {
    wait_for("the compressor", || {
        let hidden = fs::read_dir(setup.directory())
            .expect("it is there")
            .any(|entry| {
                entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(".log"))
            });
        let plain = |name: &String| name != "log" && name != "log.0" && !has_suffix(name, "gz");
        !hidden && !generations(setup).iter().any(plain)
    });
}

/// The `tail -F` of coreutils, killed at the end.
struct Tail {
    child: Child,
    lines: Lines,
}

impl Tail {
    fn follow(setup: &Setup) -> Self {
        let mut command = Command::new("tail");
        command.args(["-n", "+1", "-F"]).arg(setup.path("log"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tail");
        let lines = Lines::read(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It has no end of its own.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn nothing_is_lost_or_doubled_and_tail_misses_nothing() {
    let daemon = Daemon::start("user.*\t{dir}/log\t;rotate=4k:100\n");
    daemon.unix("<13>app: number 0.");
    daemon.file("log").wait_for("number 0.");
    let tail = Tail::follow(daemon.setup());
    for number in 1..1500 {
        daemon.unix(format!("<13>app: number {number}."));
        if number % 40 == 0 {
            // tail(1) looks at names: it must not be two rotations behind.
            tail.lines.wait_for(&format!("number {number}."));
        }
    }
    tail.lines.wait_for("number 1499.");
    wait_for_compression(daemon.setup());
    let want: Vec<_> = (0..1500).collect();
    assert_eq!(numbers(daemon.setup()), want, "in the files");
    assert_eq!(numbers_in(&tail.lines.all().join("\n")), want, "in tail -F");
    let names = generations(daemon.setup());
    assert!(names.len() > 10, "{names:?}");
    assert!(names.contains(&"log.0".to_owned()) && names.contains(&"log.1.gz".to_owned()));
    for name in &names[1..] {
        let length = content(daemon.setup(), name).len();
        assert!(length <= 4096, "{name} holds {length} octets");
        assert!(
            content(daemon.setup(), name).ends_with('\n'),
            "{name}: between records"
        );
    }
    daemon.finish();
}

#[test]
fn unpaced_load_loses_nothing_either() {
    let daemon = Daemon::start("user.*\t-{dir}/log\t;rotate=64k:200\n");
    for number in 0..20_000 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 19999.");
    wait_for_compression(daemon.setup());
    assert_eq!(numbers(daemon.setup()), (0..20_000).collect::<Vec<_>>());
    daemon.finish();
}

#[test]
fn as_many_old_files_are_kept_as_the_rule_says() {
    let daemon = Daemon::start("user.*\t-{dir}/log\t;rotate=4k:5\n");
    for number in 0..3000 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 2999.");
    wait_for_compression(daemon.setup());
    let want = [
        "log.4.gz", "log.3.gz", "log.2.gz", "log.1.gz", "log.0", "log",
    ];
    assert_eq!(generations(daemon.setup()), want);
    let numbers = numbers(daemon.setup());
    let first = 3000 - u32::try_from(numbers.len()).expect("few");
    assert_eq!(
        numbers,
        (first..3000).collect::<Vec<_>>(),
        "the newest, without a gap"
    );
    daemon.finish();
}

#[test]
fn a_rotated_file_keeps_its_mode() {
    let daemon = Daemon::start("user.*\t{dir}/log\t;rotate=4k:5,mode=0604\n");
    for number in 0..300 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 299.");
    wait_for_compression(daemon.setup());
    for name in generations(daemon.setup()) {
        let mode = fs::metadata(daemon.setup().path(&name))
            .expect("it is there")
            .mode();
        assert_eq!(mode & 0o7777, 0o604, "{name}");
    }
    daemon.finish();
}

#[test]
fn the_size_may_be_a_keyword_or_an_option() {
    for (arguments, keywords) in [
        (&[][..], "rotate_size 4k\nrotate_count 3\n"),
        (&["-r", "4k:3"], ""),
    ] {
        let daemon = Daemon::with(arguments, &format!("{keywords}user.*\t-{{dir}}/log\n"));
        for number in 0..1000 {
            daemon.unix(format!("<13>app: number {number}."));
        }
        daemon.file("log").wait_for("number 999.");
        wait_for_compression(daemon.setup());
        let want = ["log.2.gz", "log.1.gz", "log.0", "log"];
        assert_eq!(
            generations(daemon.setup()),
            want,
            "{keywords:?} {arguments:?}"
        );
        daemon.finish();
    }
}

#[test]
fn sigusr2_rotates_at_once() {
    let daemon = Daemon::start("user.*\t{dir}/log\t;rotate=1M:3\nuser.*\t{dir}/other\n");
    for number in 0..3 {
        daemon.unix(format!("<13>app: number {number}."));
        daemon.file("log").wait_for(&format!("number {number}."));
        daemon.signal(Signal::SIGUSR2);
        wait_for("a new file", || {
            daemon.setup().path("log").exists() && daemon.file("log").lines().is_empty()
        });
    }
    wait_for_compression(daemon.setup());
    assert_eq!(
        generations(daemon.setup()),
        ["log.2.gz", "log.1.gz", "log.0", "log"]
    );
    assert_eq!(numbers(daemon.setup()), [0, 1, 2]);
    assert_eq!(daemon.file("other").lines().len(), 3, "it has no rotation");
    daemon.finish();
}

#[test]
fn killed_under_load_it_loses_nothing_of_what_was_written() {
    let mut setup = Setup::new("user.*\t-{dir}/log\t;rotate=4k:500\n");
    let sent = AtomicU32::new(0);
    for life in 1..=4 {
        let daemon = setup.start();
        let socket = UnixDatagram::unbound().expect("a socket");
        socket
            .connect(daemon.setup().path("log.sock"))
            .expect("it is ready");
        socket.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        setup = thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || {
                let next = || format!("<13>app: number {}.", sent.load(Ordering::Acquire));
                while socket.send(next().as_bytes()).is_ok() {
                    sent.fetch_add(1, Ordering::AcqRel);
                }
            });
            let goal = sent.load(Ordering::Acquire) + 1500;
            let is_past = |line: &String| number_of(line).is_some_and(|number| number >= goal);
            wait_for("load", || daemon.file("log").lines().iter().any(is_past));
            daemon.crash()
        });
        let before = numbers_at_any_moment(&setup);
        assert!(!before.is_empty(), "life {life}");
        let daemon = setup.start();
        daemon.unix(format!("<13>app: life {life} goes on"));
        daemon.file("log").wait_for(&format!("life {life} goes on"));
        wait_for_compression(daemon.setup());
        let ages = ages(daemon.setup());
        let without_hole = ages.windows(2).all(|pair| pair[0] == pair[1] + 1);
        assert!(
            without_hole && ages.last() <= Some(&1),
            "life {life}: {ages:?}"
        );
        let after = numbers(daemon.setup());
        assert!(
            after.is_sorted_by(|a, b| a < b),
            "life {life}: each once, in order"
        );
        let lost: Vec<_> = before
            .iter()
            .filter(|number| !after.contains(number))
            .collect();
        assert_eq!(lost, Vec::<&u32>::new(), "life {life}");
        daemon.prove();
        setup = daemon.crash();
    }
}

/// As [`numbers`], when a file may be there both plain and compressed, or half compressed.
fn numbers_at_any_moment(setup: &Setup) -> Vec<u32> {
    let mut numbers = Vec::new();
    for name in generations(setup) {
        let plain = name.trim_end_matches(".gz");
        if name == plain || !setup.path(plain).exists() {
            numbers.extend(numbers_in(&content(setup, &name)));
        }
    }
    numbers
}

#[test]
fn a_start_closes_the_holes_that_a_crash_left_and_overwrites_nothing() {
    let setup = Setup::new("user.*\t{dir}/log\t;rotate=4k:9\n");
    for (name, text) in [
        ("log", "newest\n"),
        ("log.1", "plain one\n"),
        ("log.3", "three\n"),
    ] {
        setup.write(name, text);
    }
    setup.write("log.5", "five\n");
    output_of(Command::new("gzip").arg("-n").arg(setup.path("log.5")));
    setup.write(".log.gz.tmp", "half a file");
    let daemon = setup.start();
    daemon.unix("<13>app: goes on");
    daemon.file("log").wait_for("goes on");
    wait_for_compression(daemon.setup());
    let setup = daemon.setup();
    assert_eq!(
        generations(setup),
        ["log.3.gz", "log.2.gz", "log.1.gz", "log"]
    );
    let texts = ["log.3.gz", "log.2.gz", "log.1.gz"].map(|name| content(setup, name));
    assert_eq!(texts, ["five\n", "three\n", "plain one\n"]);
    assert!(
        content(setup, "log").starts_with("newest\n"),
        "it is appended to"
    );
    daemon.finish();
}

#[test]
fn a_last_line_that_was_torn_does_not_swallow_the_next_one() {
    let setup = Setup::new("user.*\t{dir}/log\n");
    setup.write("log", "Nov 22 11:00:00 host app: torn in the mid");
    let daemon = setup.start();
    daemon.unix("<13>app: next");
    let lines = daemon.file("log").wait_for_lines(2);
    assert_eq!(lines[0], "Nov 22 11:00:00 host app: torn in the mid");
    assert!(lines[1].ends_with(" app: next"), "{lines:?}");
    daemon.finish();
}

#[test]
fn files_that_do_not_follow_on_the_rotated_ones_are_left_alone() {
    let setup = Setup::new("user.*\t{dir}/log\t;rotate=1k:3\n");
    let foreign = ["log.2024", "log.20261101", "log.9.gz", "log-20261122"];
    for name in foreign {
        setup.write(name, "an archive of somebody else\n");
    }
    let daemon = setup.start();
    for number in 0..200 {
        daemon.unix(format!("<13>app: number {number}."));
    }
    daemon.file("log").wait_for("number 199.");
    wait_for("the oldest to be compressed", || {
        daemon.setup().path("log.2.gz").exists()
    });
    for name in foreign {
        let text = fs::read_to_string(daemon.setup().path(name)).expect("it is there");
        assert_eq!(text, "an archive of somebody else\n", "{name}");
    }
    daemon.finish();
}
