//! The kernel's log, from a `/dev/kmsg` that the test writes: a FIFO that gives one record for each read.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use crate::support::{Setup, is_inside, wait_for};

/// The `/dev/kmsg` of this namespace.
struct Kernel(File);

impl Kernel {
    fn new() -> Self {
        nix::unistd::mkfifo("/dev/kmsg", Mode::S_IRUSR | Mode::S_IWUSR).expect("a /dev of our own");
        let open = OpenOptions::new().read(true).write(true).open("/dev/kmsg");
        let fifo = open.expect("both ends");
        // pipe(2): each write is a packet of its own.
        fcntl(&fifo, FcntlArg::F_SETFL(OFlag::O_DIRECT)).expect("packets");
        Self(fifo)
    }

    fn says(&mut self, records: &[&str]) {
        for record in records {
            let line = format!("{record}\n");
            self.0.write_all(line.as_bytes()).expect("there is room");
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        std::fs::remove_file("/dev/kmsg").expect("it is ours");
    }
}

/// When a line of the form of RFC 5424 says that it was sent.
fn time_of(line: &str) -> SystemTime {
    let stamp = line.split(' ').next().unwrap_or_default();
    let time: DateTime<Utc> = stamp.parse().expect("it begins with RFC 3339");
    time.into()
}

#[test]
fn records_from_before_the_start_keep_their_time_and_later_ones_get_ours() {
    if !is_inside("kernel::records_from_before_the_start_keep_their_time_and_later_ones_get_ours") {
        return;
    }
    let up = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    let up = Duration::from(up);
    let begin = SystemTime::now();
    let mut kernel = Kernel::new();
    let half = (up / 2).as_micros();
    kernel.says(&[&format!("6,7,{half},-;disk: found\n SUBSYSTEM=block")]);
    let setup = Setup::new("kern.*\t{dir}/kern\t;RFC5424\n").kernel_log();
    let daemon = setup.start();
    let line = daemon.file("kern").wait_for("disk: found");
    let shown = time_of(&line);
    assert!(shown < begin - up / 4, "{line}");
    assert!(shown > begin - up, "{line}");

    kernel.says(&[&format!("6,8,{half},-;disk: gone")]);
    let line = daemon.file("kern").wait_for("disk: gone");
    assert!(time_of(&line) >= begin, "{line}");
    daemon.finish();
}

#[test]
fn with_t_every_record_keeps_its_time() {
    if !is_inside("kernel::with_t_every_record_keeps_its_time") {
        return;
    }
    let begin = SystemTime::now();
    let mut kernel = Kernel::new();
    let config = "kern.*\t{dir}/kern\t;RFC5424\n";
    let daemon = Setup::new(config).arguments(&["-t"]).kernel_log().start();
    for record in ["6,1,0,-;one", "6,2,0,-;two"] {
        kernel.says(&[record]);
        let line = daemon.file("kern").wait_for(&record[8..]);
        assert!(time_of(&line) < begin, "{line}");
    }
    daemon.finish();
}

#[test]
fn fragments_are_one_line_and_none_waits_for_what_never_comes() {
    if !is_inside("kernel::fragments_are_one_line_and_none_waits_for_what_never_comes") {
        return;
    }
    let mut kernel = Kernel::new();
    kernel.says(&[
        "6,1,10,-,caller=T7;disk: found",
        "3,2,11,-,caller=T8;net: down",
        "4,3,12,c,caller=T7; 2 partitions",
        "6,4,13,c;old: one",
        "6,5,14,+;, two",
        "6,6,15,-;whole",
    ]);
    let config = "kern.*\t{dir}/kern\nkern.=warning\t{dir}/warning\n";
    let daemon = Setup::new(config).kernel_log().start();
    let texts = |count| {
        let lines = daemon.file("kern").wait_for_lines(count);
        let text = |line: &String| line.split_once("kernel: ").map(|(_, text)| text.to_owned());
        lines.iter().filter_map(text).collect::<Vec<_>>()
    };
    let mut want = vec![
        "disk: found 2 partitions",
        "net: down",
        "old: one, two",
        "whole",
    ];
    assert_eq!(texts(4), want);
    // Nothing comes after these, and nobody waits for it.
    kernel.says(&["4,7,20,c,caller=T7;alone"]);
    want.push("alone");
    assert_eq!(texts(5), want);
    kernel.says(&["6,8,30,c;begun"]);
    want.push("begun");
    assert_eq!(texts(6), want);
    assert_eq!(
        daemon.file("warning").lines().len(),
        1,
        "a line has one PRI"
    );
    wait_for("the counters", || {
        daemon.counters().input("/dev/kmsg")["received"] == 6
    });
    daemon.finish();
}

#[test]
fn on_freebsd_a_program_block_takes_the_tag_of_the_kernels_text() {
    if !is_inside("kernel::on_freebsd_a_program_block_takes_the_tag_of_the_kernels_text") {
        return;
    }
    let config = "!ipfw\n*.*\t{dir}/ipfw\n!kernel\n*.*\t{dir}/kernel\n!*\n*.*\t{dir}/all\n";
    for (family, ipfw, rest) in [("freebsd", 2, 2), ("sysklogd", 1, 3)] {
        let mut kernel = Kernel::new();
        let setup = Setup::new(config).arguments(&["--compat", family]);
        let daemon = setup.kernel_log().start();
        daemon.unix("<13>ipfw: a process");
        daemon.file("ipfw").wait_for("a process");
        kernel.says(&[
            "6,1,0,-;ipfw: 100 Deny",
            "6,2,0,-;usb 1-1: new device",
            "6,3,0,-;no tag",
        ]);
        let line = daemon.file("all").wait_for("no tag");
        assert!(line.ends_with(" kernel: no tag"), "{line}");
        daemon.quiet();
        let lines = |file: &str| daemon.file(file).lines().len();
        assert_eq!((lines("ipfw"), lines("kernel")), (ipfw, rest), "{family}");
        daemon.finish();
    }
}

#[test]
fn an_upgrade_goes_on_behind_the_last_record() {
    if !is_inside("kernel::an_upgrade_goes_on_behind_the_last_record") {
        return;
    }
    let mut kernel = Kernel::new();
    let daemon = Setup::new("kern.*\t{dir}/kern\n").kernel_log().start();
    kernel.says(&["6,1,10,-;one", "6,2,20,-;two"]);
    daemon.file("kern").wait_for("two");
    crate::faults::upgrade::upgrade_well(&daemon);
    // Whoever opens it anew is given the first records again.
    kernel.says(&["6,1,10,-;one", "6,2,20,-;two", "6,3,30,-;three"]);
    daemon.file("kern").wait_for("three");
    let lines = daemon.file("kern").lines();
    let texts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    daemon.finish();
}
