use super::super::Period;
use super::*;
use crate::cli::Dialect;
use std::time::Duration;

fn read(text: &str) -> Result<Action, Problem> {
    parse(Piece::new(text), LoadOptions::default(), &mut Vec::new())
}

#[test]
fn section_5_options_follow_a_semicolon_touching_or_not() {
    for text in [
        "/f;RFC5424",
        "/f ;RFC5424",
        "/f\t; rfc5424",
        "/f;RFC5424,",
        "@h;RFC5424",
    ] {
        let action = read(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
        assert_eq!(action.format.layout, Some(LayoutDecl::Rfc5424), "{text}");
    }
    let action = read("/f;RFC5424,pri").expect("valid");
    assert_eq!(action.format.layout, Some(LayoutDecl::Rfc5424Pri));
    let action = read("/f;mode=0640,owner=root,group=adm,sync=durable,escape=hex").expect("valid");
    assert_eq!(action.settings.mode, Some(0o640));
    assert_eq!(action.settings.owner.as_deref(), Some("root"));
    assert_eq!(action.settings.group.as_deref(), Some("adm"));
    assert_eq!(action.settings.sync, Sync::Durable);
    assert_eq!(action.format.escape, Some(Escape::Hex));
}

#[test]
fn section_5_rotation_is_a_size_and_a_count() {
    for (text, size, count) in [
        ("/f;rotate=10M:5", Some(10 << 20), Some(5)),
        ("/f;rotate=100k", Some(100 << 10), None),
        ("/f;rotate=:7", None, Some(7)),
        ("/f;1G:2", Some(1 << 30), Some(2)),
        ("/f ; 4096", Some(4096), None),
    ] {
        let found = read(text).ok().and_then(|action| action.rotation);
        let want = RotationDecl {
            size,
            count,
            ..RotationDecl::default()
        };
        assert_eq!(found, Some(want), "{text}");
    }
}

#[test]
fn a_rotation_by_period_size_total_and_age_adds_up() {
    let day = Duration::from_secs(86_400);
    let want = RotationDecl {
        size: Some(10 << 20),
        every: Some(Period::Daily),
        count: Some(7),
        total: Some(2 << 30),
        age: Some(14 * day),
    };
    for text in [
        "/f;rotate=daily,10M:7,total=2G,age=14d",
        "/f;age=2w,total=2G,rotate=10M,rotate=daily:7",
    ] {
        let found = read(text).ok().and_then(|action| action.rotation);
        assert_eq!(found, Some(want), "{text}");
    }
}

#[test]
fn section_5_a_group_has_an_interface_and_a_ttl() {
    for text in [
        "@239.1.2.3:514;iface=eth0,ttl=255",
        "@[ff02::1]:514;iface=eth0",
        "@h:1;ttl=1",
    ] {
        let action = read(text).unwrap_or_else(|problem| panic!("{text}: {}", problem.message));
        assert_eq!(action.destination.to_string(), text);
    }
}

#[test]
fn section_3_a_semicolon_in_a_command_is_the_shells() {
    let read = |dialect: Dialect, text| {
        let action = parse(Piece::new(text), dialect.into(), &mut Vec::new());
        action.map(|action| action.destination.to_string()).ok()
    };
    let text = "|read x; echo \"$x\"";
    assert_eq!(read(Dialect::Freebsd, text).as_deref(), Some(text));
    assert_eq!(read(Dialect::Sysklogd, text), None);
}

#[test]
fn an_option_that_replaces_an_earlier_one_is_a_warning() {
    for (text, want) in [
        ("/f;rotate=10M:5,rotate=1M", 1),
        ("/f;rotate=10M,1M", 1),
        ("/f;rotate=daily,rotate=hourly", 1),
        ("/f;rotate=daily:7,rotate=10M:5", 1),
        ("/f;total=2G,total=1G", 1),
        ("/f;sync=none,sync=durable", 1),
        ("/f;mode=0640,owner=root,MODE=0600", 1),
        ("@239.1.2.3;ttl=1,ttl=2,ttl=3", 2),
        ("/f;rotate=10M:5,rotate=daily", 0),
        ("/f;rotate=10M,rotate=:5", 0),
        ("/f;mode=0640,mode=0640", 0),
    ] {
        let mut warnings = Vec::new();
        let action = parse(Piece::new(text), LoadOptions::default(), &mut warnings);
        assert!(action.is_ok(), "{text}");
        let codes: Vec<&str> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(codes, vec!["W022"; want], "{text}");
    }
    let last = read("/f;rotate=10M:5,rotate=1M").ok();
    let rotation = last.and_then(|action| action.rotation).expect("one");
    assert_eq!((rotation.size, rotation.count), (Some(1 << 20), Some(5)));
}

#[test]
fn an_option_that_cannot_be_is_refused() {
    for (text, code) in [
        ("root;rotate=1M", "E103"),
        ("*;RFC5424", "E103"),
        ("@h;mode=0640", "E103"),
        ("|/f;sync=durable", "E103"),
        ("/dev/console;1M", "E103"),
        (":64:debug;rotate=1M", "E103"),
        (":64:debug;ttl=1", "E103"),
        ("-/f;sync=durable", "E103"),
        ("/f;mode=4755", "E103"),
        ("/f;mode=640x", "E103"),
        ("/f;mode=0o640", "E103"),
        ("/f;mode=rw", "E103"),
        ("/f;owner=", "E103"),
        ("/f;rotate", "E103"),
        ("/f;rotate=", "E103"),
        ("/f;rotate=0", "E103"),
        ("/f;rotate=10X", "E103"),
        ("/f;rotate=99999999999G", "E103"),
        ("/f;RFC5424,RFC3164", "E103"),
        ("/f;pri", "E103"),
        ("/f;RFC3164,pri", "E103"),
        ("/f;sync=always", "E103"),
        ("/f;rotat=1M", "E103"),
        ("/f;rotate=monthly", "E110"),
        ("/f;rotate=day", "E103"),
        ("/f;total=0", "E103"),
        ("/f;age=14", "E103"),
        ("/f;compress=xz", "E103"),
        ("/f;compress=zstd:99", "E103"),
        ("@h;compress=zstd", "E103"),
        ("root;age=1d", "E103"),
        ("@h;ttl=0", "E103"),
        ("@h;ttl=256", "E103"),
        ("@h;ttl=+3", "E103"),
        ("@h;ttl", "E103"),
        ("@h;iface=", "E103"),
        ("@h;iface=eth0/1", "E103"),
        ("@tcp://h;ttl=3", "E103"),
        ("@192.0.2.1;ttl=3", "E103"),
        ("/f;iface=eth0", "E103"),
        ("/f;RSYSLOG_FileFormat", "E109"),
        (";RFC5424", "E102"),
    ] {
        assert_eq!(
            read(text).map_err(|problem| problem.code).err(),
            Some(code),
            "{text}"
        );
    }
}
