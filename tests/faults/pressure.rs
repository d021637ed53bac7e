//! Too much at once: stopped outputs, floods on every input, unfinished frames (F25 to F27, F44).

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use super::sequence::{Verdict, message};
use crate::support::{Daemon, Setup, sum, wait_for};

/// What the program itself takes with debug assertions and symbols, besides its budget.
const FIXED_KIB: u64 = 40 * 1024;

/// A debug message of `octets`; its number keeps it from being folded.
fn bulk(number: u64, octets: usize) -> String {
    let head = format!("<15>bulk: {number:06} ");
    format!("{head}{}", "x".repeat(octets - head.len()))
}

/// A relay that accepts one connection and reads nothing until it is told.
pub(super) struct Relay(TcpListener);

impl From<TcpListener> for Relay {
    fn from(listener: TcpListener) -> Self {
        Self(listener)
    }
}

impl Relay {
    pub(super) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().expect("it is bound").port()
    }

    /// The next connection, unread.
    pub(super) fn accept(&self) -> TcpStream {
        self.0.accept().expect("the forward has connected").0
    }

    /// Reads what was sent to it, in lines, until one holds `last`.
    pub(super) fn read_until(&self, last: &str) -> Vec<String> {
        read_on(&mut self.accept(), last)
    }
}

/// Reads lines until one holds `last`.
pub(super) fn read_on(stream: &mut TcpStream, last: &str) -> Vec<String> {
    let mut octets = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = stream.read(&mut buffer).expect("it sends");
        octets.extend_from_slice(&buffer[..count]);
        let tail = octets.len().saturating_sub(count + last.len());
        if count == 0 || String::from_utf8_lossy(&octets[tail..]).contains(last) {
            break;
        }
    }
    let text = String::from_utf8(octets).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a counter")
}

#[track_caller]
fn stays_within(daemon: &Daemon, budget_kib: u64) {
    let peak = daemon.memory_kib("VmHWM:");
    assert!(peak < budget_kib + FIXED_KIB, "{peak} KiB were resident");
}

#[test]
fn f25_every_input_floods_and_an_output_stands_still_and_the_memory_holds() {
    let relay = Relay::new();
    let daemon = Daemon::start(&format!(
        "memory 8M\nuser.*\t@@127.0.0.1:{}\nuser.*\t-{{dir}}/good\n",
        relay.port()
    ));
    let rounds = 1000;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..rounds {
                daemon.unix(bulk(number, 8000));
                daemon.unix(message("unix", number));
            }
        });
        scope.spawn(|| {
            let mut stream = daemon.tcp();
            for number in 0..rounds {
                let frames = format!("{}\n{}\n", bulk(number, 8000), message("tcp", number));
                stream.write_all(frames.as_bytes()).expect("it is read");
            }
        });
        scope.spawn(|| {
            for number in 0..rounds {
                daemon.udp(bulk(number, 8000));
            }
        });
    });
    daemon.unix("<13>app: after the flood");
    daemon.file("good").wait_for("after the flood");
    let lines = wait_for_last(&daemon, &["tcp"], rounds);
    // The senders of a stream wait, and what must go is of the least severity.
    let sent = [("tcp", rounds), ("unix", rounds)];
    let mut verdict = Verdict::of(&lines, &sent);
    let lost = verdict
        .missing
        .remove("unix")
        .map_or(0, |lost| lost.len() as u64);
    assert_eq!(verdict, Verdict::default());
    stays_within(&daemon, 8 * 1024);
    let counters = daemon.counters();
    let remote = counters.output("127.0.0.1");
    assert!(count(&remote["queued"]) > 0, "{remote}");
    assert!(sum(&remote["dropped"]) > 0, "{remote}");
    let good = counters.output("good");
    assert!(lost <= count(&good["dropped"]["share"]), "{good}");
    daemon.prove();
    // Not finished: for what is queued it would try for five seconds.
    daemon.crash();
}

#[test]
fn f25_all_outputs_stand_still_and_no_more_is_resident_than_the_budget_and_16_mib() {
    let relays = [Relay::new(), Relay::new()];
    let [one, other] = relays.each_ref().map(Relay::port);
    let daemon = Daemon::start(&format!(
        "memory 8M\nuser.*\t/dev/full\nuser.*\t@@127.0.0.1:{one}\nuser.*\t@@127.0.0.1:{other}\n"
    ));
    // Of all severities and lengths, so that what is given up leaves holes of all sizes.
    let some = |round: usize| -> Vec<String> {
        let lengths = [80, 8000, 700, 8000, 2000];
        let all = lengths.into_iter().enumerate();
        let text = |(number, octets): (usize, usize)| {
            let head = format!("<{}>bulk: {round} ", 8 + (round + number) % 8);
            format!("{head}{}", "x".repeat(octets - head.len()))
        };
        all.map(text).collect()
    };
    let mut stream = daemon.tcp();
    let mut round = 0;
    wait_for("each output to drop something", || {
        for _ in 0..200 {
            for text in some(round) {
                daemon.unix(&text);
                stream
                    .write_all(format!("{text}\n").as_bytes())
                    .expect("it is read");
            }
            round += 1;
        }
        let counters = daemon.counters();
        let outputs = ["/dev/full".to_owned(), one.to_string(), other.to_string()];
        let dropped = outputs.map(|output| sum(&counters.output(&output)["dropped"]));
        dropped.iter().all(|dropped| *dropped > 0)
    });
    let resident = daemon.memory_kib("RssAnon:");
    assert!(resident < (8 + 16) * 1024, "{resident} KiB were resident");
    daemon.crash();
}

/// Waits until the last message of each source is in the good file; returns its lines.
#[track_caller]
fn wait_for_last(daemon: &Daemon, sources: &[&str], count: u64) -> Vec<String> {
    for source in sources {
        let last = message(source, count - 1);
        let last = last.split_once(' ').expect("it has a tag").1;
        daemon.file("good").wait_for(last);
    }
    daemon.file("good").lines()
}

#[test]
fn f25_unfinished_frames_count_and_the_oldest_make_room() {
    let daemon = Daemon::start("memory 8M\nuser.*\t-{dir}/good\n");
    // A quarter of the budget holds 262 of these.
    let mut streams: Vec<TcpStream> = (0..400).map(|_| daemon.tcp()).collect();
    for (stream, number) in streams.iter_mut().zip(0..) {
        let unfinished = bulk(number, 8000);
        stream.write_all(unfinished.as_bytes()).expect("it is open");
    }
    let closed = |stream: &TcpStream| {
        let mut octet = [0];
        stream.set_nonblocking(true).expect("a socket");
        let peeked = stream.peek(&mut octet);
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    let gone = || streams.iter().filter(|stream| closed(stream)).count() as u64;
    wait_for("the oldest to go", || gone() >= 400 - 262);
    daemon.tcp_stream("<13>app: there is room for the others\n");
    daemon.file("good").wait_for("there is room for the others");
    let counters = daemon.quiet();
    let tcp = counters.input("tcp://");
    assert_eq!(count(&tcp["noted"]["crowded_out"]), gone(), "{tcp}");
    assert_eq!(count(&tcp["received"]), gone() + 1, "{tcp}");
    assert!(
        daemon
            .stderr()
            .wait_for("no memory for its unfinished frame")
            .contains("tcp://")
    );
    stays_within(&daemon, 8 * 1024);
    for stream in &mut streams {
        stream.set_nonblocking(false).expect("a socket");
        // Those that were closed cannot be finished.
        _ = stream.write_all(b"\n").is_ok();
    }
    drop(streams);
    // What had come of the frames that were never finished is there, too.
    daemon.file("good").wait_for_lines(401);
    daemon.finish();
}

#[test]
fn f26_a_flood_over_udp_costs_other_inputs_nothing() {
    let daemon = Daemon::start("user.*\t-{dir}/good\n");
    let (flood, canaries) = (20_000, 300);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..flood {
                daemon.udp("<13>bulk: a flood");
            }
        });
        let mut stream = daemon.tcp();
        for number in 0..canaries {
            daemon.unix(message("unix", number));
            let line = format!("{}\n", message("tcp", number));
            stream.write_all(line.as_bytes()).expect("it is read");
        }
    });
    let lines = wait_for_last(&daemon, &["unix", "tcp"], canaries);
    let verdict = Verdict::of(&lines, &[("unix", canaries), ("tcp", canaries)]);
    assert_eq!(verdict, Verdict::default());
    // The kernel says what it dropped once the socket is empty.
    wait_for("every datagram to be counted", || {
        let counters = daemon.counters();
        let udp = counters.input("udp://");
        count(&udp["received"]) + count(&udp["kernel_dropped"]) == flood
    });
    daemon.finish();
}

/// A process that sends every line of a file to the unix socket.
fn flooder(setup: &Setup, lines: &str) -> Child {
    fs::write(setup.path("flood.txt"), lines).expect("it can be written");
    let mut logger = Command::new("logger");
    logger.arg("-u").arg(setup.path("log.sock"));
    logger.args(["-t", "flood", "-p", "user.notice", "-f"]);
    logger.arg(setup.path("flood.txt")).stderr(Stdio::null());
    logger.spawn().expect("logger is installed")
}

/// The sender is beyond its share, too, but the cure is room on the disk.
#[test]
fn f7_what_a_flood_loses_to_a_full_disk_is_lost_for_want_of_space() {
    let daemon = Daemon::start("memory 8M\nuser.*\t/dev/full\n");
    daemon.unix("<13>app: the first");
    let told = daemon.stderr().wait_for("No space left on device");
    assert!(told.ends_with("held, next try in 250 ms"), "{told}");
    let line = |number: usize| format!("{number:06} {}\n", "x".repeat(900));
    let lines: String = (0..15_000).map(line).collect();
    let mut flooder = flooder(daemon.setup(), &lines);
    daemon.stderr().wait_for("an output is behind");
    assert!(flooder.wait().expect("our child").success());
    let counters = daemon.counters();
    let dropped = &counters.output("/dev/full")["dropped"];
    assert!(count(&dropped["nospace"]) > 0, "{dropped}");
    assert_eq!(sum(dropped), count(&dropped["nospace"]), "{dropped}");
    daemon.finish();
}

#[test]
fn f27_one_process_that_floods_costs_the_others_nothing() {
    let relay = Relay::new();
    let daemon = Daemon::start(&format!(
        "memory 12M\nuser.*\t@@127.0.0.1:{}\nuser.*\t-{{dir}}/good\n",
        relay.port()
    ));
    // Twice what there is memory for.
    let flood = 30_000;
    let line = |number: usize| format!("{number:06} {}\n", "x".repeat(900));
    let lines: String = (0..flood).map(line).collect();
    let mut flooder = flooder(daemon.setup(), &lines);
    daemon.stderr().wait_for("an output is behind");
    let canaries = 500;
    for number in 0..canaries {
        daemon.unix(message("canary", number));
    }
    assert!(flooder.wait().expect("our child").success());
    daemon.unix("<13>app: after the flood");
    let lines = relay.read_until("after the flood");
    let verdict = Verdict::of(&lines, &[("canary", canaries)]);
    assert_eq!(verdict, Verdict::default());
    let counters = daemon.quiet();
    let output = counters.output("127.0.0.1");
    let dropped = count(&output["dropped"]["share"]);
    assert!(dropped > 0, "{output}");
    assert_eq!(sum(&output["dropped"]), dropped, "{output}");
    let count_of = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains(" flood: "))
            .count()
    };
    assert_eq!(count_of(&lines) as u64 + dropped, flood as u64, "{output}");
    // The other output gets everything, unless this machine has no time for it.
    let good = count(&counters.output("good")["dropped"]["share"]);
    assert_eq!(
        count_of(&daemon.file("good").lines()) as u64 + good,
        flood as u64
    );
    let told = daemon.stderr().wait_for("an output is behind");
    assert!(
        told.contains(&format!("process {} (logger)", flooder.id())),
        "{told}"
    );
    stays_within(&daemon, 12 * 1024);
    daemon.finish();
}

/// Starts a process for each line of the file `$1`, which sends it to the socket `$0`.
const A_PROCESS_EACH: &str = r#"
    while read -r line; do
        logger -u "$0" -t seq -p user.notice -- "$line" || exit
    done <"$1"
"#;

#[test]
fn f27_a_new_process_for_each_message_costs_nobody_anything() {
    let daemon = Daemon::start("user.*\t{dir}/good\nuser.*\t-{dir}/other\n");
    let (shells, each, canaries) = (["p", "q", "r", "s"], 25, 200);
    let starters = shells.map(|source| {
        let name = format!("lines-{source}");
        let text = |number| {
            let whole = message(source, number);
            let (_, text) = whole.split_once(": ").expect("it has a tag");
            text.to_owned() + "\n"
        };
        let lines: String = (0..each).map(text).collect();
        fs::write(daemon.setup().path(&name), lines).expect("it can be written");
        let mut shell = Command::new("sh");
        shell.args(["-c", A_PROCESS_EACH]);
        shell.arg(daemon.setup().path("log.sock"));
        shell.arg(daemon.setup().path(&name));
        shell.spawn().expect("a shell")
    });
    for number in 0..canaries {
        daemon.unix(message("canary", number));
    }
    for mut starter in starters {
        assert!(starter.wait().expect("our child").success());
    }
    let mut sent = vec![("canary", canaries)];
    sent.extend(shells.map(|source| (source, each)));
    let all: u64 = sent.iter().map(|(_, count)| count).sum();
    for name in ["good", "other"] {
        let whole = usize::try_from(all).expect("a few");
        let lines = daemon.file(name).wait_for_lines(whole);
        assert_eq!(Verdict::of(&lines, &sent), Verdict::default(), "{name}");
    }
    let counters = daemon.quiet();
    assert_eq!(count(&counters.input("log.sock")["received"]), all);
    daemon.finish();
}

#[test]
fn f44_the_longest_and_the_shortest_messages_mix_on_all_inputs() {
    let daemon = Daemon::start("user.*\t-{dir}/good;RFC3164\n");
    let rounds = 200;
    // What is past 8192 octets is cut; a stream goes on behind it.
    let longest = bulk(0, 9000);
    let mut stream = daemon.tcp();
    for number in 0..rounds {
        for short in ["x", "<13>", &longest] {
            daemon.unix(short);
            daemon.udp(short);
            stream
                .write_all(format!("{short}\n").as_bytes())
                .expect("it is read");
        }
        daemon.unix(message("unix", number));
        daemon.udp(message("udp", number));
        let line = format!("{}\n", message("tcp", number));
        stream.write_all(line.as_bytes()).expect("it is read");
    }
    let lines = wait_for_last(&daemon, &["unix", "tcp"], rounds);
    let verdict = Verdict::of(
        &lines,
        &[("unix", rounds), ("tcp", rounds), ("udp", rounds)],
    );
    let counters = daemon.quiet();
    let udp_lost = count(&counters.input("udp://")["kernel_dropped"]);
    assert!(verdict.lost() as u64 <= udp_lost, "{verdict:?}");
    assert_eq!((verdict.doubled, verdict.out_of_order), (0, 0));
    for input in ["log.sock", "tcp://"] {
        let input = counters.input(input);
        assert_eq!(count(&input["truncated"]), rounds, "{input}");
        assert_eq!(count(&input["received"]), 4 * rounds, "{input}");
    }
    daemon.finish();
}
