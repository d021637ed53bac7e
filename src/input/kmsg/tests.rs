use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use std::os::fd::AsRawFd as _;

use super::*;
use crate::message::{Message, Sender};

#[test]
fn a_message_carries_the_time_of_the_kernel_if_asked() {
    let record = parse_record(b"6,1,5000001,-;text\n").expect("a record");
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut out = Vec::new();
    record.message(Time::SinceBoot(boot), &mut out);
    let message = Message::parse(&out, Sender::Local { hostname: b"host" });
    let text = out.escape_ascii().to_string();
    assert!(text.ends_with(" kernel: text"), "{text}");
    let stamp = rfc3339_stamp(boot + Duration::from_micros(5_000_001));
    let got = message.timestamp_octets().map(<[u8]>::escape_ascii);
    let got = got.map(|octets| octets.to_string());
    assert_eq!(got.as_deref(), Some(stamp.trim_end()), "{text}");
}

#[test]
fn a_record_is_pri_sequence_micros_flags_and_text() {
    use Fragment::{Begun, Continued, No};
    for (octets, want) in [
        (
            &b"6,339,5140900,-;NET: family 10\n"[..],
            Some((6, 339, 5_140_900, (No, None), "NET: family 10")),
        ),
        (
            b"30,340,5690716,-;udevd[80]: x\n",
            Some((30, 340, 5_690_716, (No, None), "udevd[80]: x")),
        ),
        (
            b"4,1,2,-,new=3;a;b\n KEY=v\n K2=w\n",
            Some((4, 1, 2, (No, None), "a;b")),
        ),
        (b"4,1,2,c;more\n", Some((4, 1, 2, (Begun, None), "more"))),
        (
            b"4,1,2,+,x=1,caller=C3;more\n",
            Some((4, 1, 2, (Continued, Some(Caller(b'C', 3))), "more")),
        ),
        (b"4,1,2,-,caller=;x\n", Some((4, 1, 2, (No, None), "x"))),
        (b"4,1,2,-;\n", Some((4, 1, 2, (No, None), ""))),
        (b"4,1,2;old\n", Some((4, 1, 2, (No, None), "old"))),
        (b"4,1,2,-;cut off", Some((4, 1, 2, (No, None), "cut off"))),
        (b"192,1,2,-;x\n", None),
        (b"4,x,2,-;x\n", None),
        (b"4,1;x\n", None),
        (b"no semicolon", None),
        (b"", None),
    ] {
        let got = parse_record(octets);
        let got = got.as_ref().map(|r| {
            let text = std::str::from_utf8(r.text).expect("the cases are UTF-8");
            (
                r.pri.value(),
                r.sequence,
                r.micros,
                (r.fragment, r.caller),
                text,
            )
        });
        assert_eq!(got, want, "{}", octets.escape_ascii());
    }
}

#[test]
fn a_message_has_the_tag_kernel_and_its_own_octets() {
    for (octets, want) in [
        (&b"6,1,2,-;eth0: up\n"[..], &b"<6>kernel: eth0: up"[..]),
        (b"30,1,2,-;systemd[1]: up\n", b"<30>systemd[1]: up"),
        (b"6,1,2,-;a\\x09b\\x5cx\n", b"<6>kernel: a\tb\\x"),
        (b"6,1,2,-;\\xc3\\xa5\n", b"<6>kernel: \xc3\xa5"),
        (b"6,1,2,-;\\x0\n", b"<6>kernel: \\x0"),
        (b"6,1,2,-;\\xzz\\\n", b"<6>kernel: \\xzz\\"),
    ] {
        let mut out = Vec::new();
        parse_record(octets)
            .expect("a record")
            .message(Time::Reception, &mut out);
        assert_eq!(out, want, "{}", octets.escape_ascii());
    }
}

/// A socket that gives one record for each read, as the device does.
fn device() -> (OwnedFd, OwnedFd) {
    socketpair(
        AddressFamily::Unix,
        SockType::Datagram,
        None,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
    )
    .expect("a socket pair")
}

fn feed(kernel: &OwnedFd, records: &[&str]) {
    for record in records {
        send(kernel.as_raw_fd(), record.as_bytes(), MsgFlags::empty()).expect("room");
    }
}

/// What the log gives until it is idle: sequence, lost, text.
fn drain(log: &mut KernelLog) -> Vec<(u64, u64, String)> {
    let mut all = Vec::new();
    let mut buffer = [0; KernelLog::BUFFER];
    while let Step::Record { record, lost } = log.next(&mut buffer).expect("readable") {
        let text = String::from_utf8_lossy(record.text).into_owned();
        all.push((record.sequence, lost, text));
    }
    all
}

#[test]
fn a_gap_in_the_sequence_is_counted_as_lost() {
    let (kernel, device) = device();
    let mut log = KernelLog::resume(device, None, "");
    assert_eq!(drain(&mut log), []);
    feed(
        &kernel,
        &[
            "6,7,0,-;a\n",
            "6,8,0,-;b\n",
            "6,12,0,-;c\n",
            "odd\n",
            "6,14,0,-;d\n",
        ],
    );
    let got = drain(&mut log);
    let want = [
        (7, 0, "a"),
        (8, 0, "b"),
        (12, 3, "c"),
        (13, 0, "odd"),
        (14, 0, "d"),
    ];
    assert_eq!(got, want.map(|(s, l, t)| (s, l, t.to_owned())));
}

#[test]
fn a_restart_goes_on_after_the_saved_record_of_this_boot() {
    let all = ["6,1,0,-;a\n", "6,2,0,-;b\n", "6,3,0,-;c\n"];
    for (cache, want) in [
        (Some("boot-1 2\n"), vec![3]),
        (Some("boot-1 3\n"), vec![]),
        (Some("boot-0 2\n"), vec![1, 2, 3]), // of another boot
        (Some("boot-1 2"), vec![1, 2, 3]),   // cut off: it may have been 25
        (Some("boot-1 x\n"), vec![1, 2, 3]),
        (Some(""), vec![1, 2, 3]),
        (None, vec![1, 2, 3]),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cache");
        if let Some(cache) = cache {
            fs::write(&path, cache).expect("written");
        }
        let (kernel, device) = device();
        feed(&kernel, &all);
        let mut log = KernelLog::resume(device, Some(path.clone()), "boot-1");
        let got: Vec<u64> = drain(&mut log).into_iter().map(|one| one.0).collect();
        assert_eq!(got, want, "{cache:?}");
        log.close().expect("saved");
        assert_eq!(
            fs::read_to_string(&path).expect("there"),
            "boot-1 3\n",
            "{cache:?}"
        );
    }
}

#[test]
fn the_position_is_saved_at_most_every_few_seconds() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cache");
    let (kernel, device) = device();
    let mut log = KernelLog::resume(device, Some(path.clone()), "b");
    let start = Instant::now();
    for (record, at, want) in [
        ("6,1,0,-;a\n", start, "b 1\n"),
        ("6,2,0,-;a\n", start + SAVE_PAUSE / 2, "b 1\n"),
        ("6,3,0,-;a\n", start + SAVE_PAUSE, "b 3\n"),
    ] {
        feed(&kernel, &[record]);
        drain(&mut log);
        log.save(at).expect("saved");
        assert_eq!(fs::read_to_string(&path).expect("there"), want, "{record}");
    }
}

#[test]
fn a_missing_device_is_an_error() {
    let missing = Path::new("/nonexistent/kmsg");
    assert!(KernelLog::open(missing, None).is_err());
}
