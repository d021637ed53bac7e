//! `syslogd.conf.example` is valid, and says what it seems to say, with the lines that are commented out
//! as well: a `#` and no blank stand before them.

use std::path::Path;
use std::time::Duration;

use syslogd::config::{self, Compression, Destination, Escape, Loaded, Period, Rotation, Sync};
use syslogd::pri::{Facility, Pri, Severity};

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("syslogd.conf.example");
    std::fs::read_to_string(path).expect("readable")
}

/// The example with every line in force.
fn example() -> Loaded {
    let whole: Vec<String> = text()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rule) if rule.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') => rule,
            Some(_) | None => line,
        })
        .map(str::to_owned)
        .collect();
    config::parse_str("syslogd.conf.example", &whole.join("\n"))
}

#[test]
fn the_example_has_no_mistake() {
    for loaded in [
        example(),
        config::parse_str("syslogd.conf.example", &text()),
    ] {
        let shown: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|found| found.render(&loaded.sources, false))
            .collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
    }
}

#[test]
fn the_example_as_it_is_suits_the_bsds_and_forwards_nothing() {
    let loaded = config::parse_str("syslogd.conf.example", &text());
    assert_eq!(loaded.suspicions, []);
    assert_eq!(loaded.config.listens, []);
    let mut rules = loaded.config.rules.iter();
    assert!(!rules.any(|rule| matches!(rule.destination, Destination::Forward(_))));
}

#[test]
fn the_example_sends_to_these_destinations() {
    let loaded = example();
    let got: Vec<String> = loaded
        .config
        .rules
        .iter()
        .map(|rule| rule.destination.to_string())
        .collect();
    let want = [
        "/var/log/auth.log",
        "/var/log/syslog",
        "/var/log/kern.log",
        "/var/log/messages",
        "/var/log/mail.log",
        "/var/log/mail.err",
        "/var/log/daemon.log",
        "/var/log/cron.log",
        "/var/log/audit.log",
        "*",
        "daemon,root",
        "/dev/console",
        "|/dev/xconsole",
        "@192.0.2.1:514",
        "@[2001:db8::1]:5514",
        "@tcp://192.0.2.2:601",
        "@@192.0.2.3:514",
        ":recent",
        "/var/log/logins.log",
        "/var/log/daemons-but-cron.log",
        "/var/log/network.log",
        "/var/log/oom.log",
        "/var/log/local1.log",
    ];
    assert_eq!(got, want);
    let listens: Vec<String> = loaded
        .config
        .listens
        .iter()
        .map(|listen| listen.address.to_string())
        .collect();
    let want = [
        "unixgram:///run/chroot/dev/log",
        "unix:///run/syslog.stream",
        "udp://0.0.0.0:514",
        "udp://[::]:514",
        "tcp://[::1]:601",
    ];
    assert_eq!(listens, want);
}

#[test]
fn the_example_selects_these_messages() {
    use Facility::{Auth, Authpriv, Cron, Daemon, Kern, Mail, News, User};
    use Severity::{Critical, Debug, Error, Informational, Notice, Warning};
    let loaded = example();
    for (destination, facility, severity, want) in [
        ("/var/log/auth.log", Authpriv, Debug, true),
        ("/var/log/auth.log", Mail, Critical, false),
        ("/var/log/syslog", User, Debug, true),
        ("/var/log/syslog", Auth, Critical, false),
        ("/var/log/messages", Kern, Warning, true),
        ("/var/log/messages", Kern, Error, true),
        ("/var/log/messages", Kern, Debug, false),
        ("/var/log/messages", Cron, Notice, false),
        ("/var/log/daemon.log", Daemon, Informational, true),
        ("/var/log/daemon.log", Daemon, Notice, false),
        ("|/dev/xconsole", News, Error, true),
        ("|/dev/xconsole", News, Critical, false),
    ] {
        let mut rules = loaded.config.rules.iter();
        let rule = rules
            .find(|rule| rule.destination.to_string() == destination)
            .expect("a rule");
        let got = rule.selector.contains(Pri::of(facility, severity));
        assert_eq!(
            got,
            want,
            "{destination} {}.{}",
            facility.name(),
            severity.name()
        );
    }
}

#[test]
fn the_example_sets_these_options() {
    let loaded = example();
    let settings_of = |destination: &str| {
        let mut rules = loaded.config.rules.iter();
        let rule = rules
            .find(|rule| rule.destination.to_string() == destination)
            .expect("a rule");
        (rule.settings.clone(), rule.format)
    };
    let (mail, _) = settings_of("/var/log/mail.log");
    let rotation = mail
        .rotation
        .map(|rotation| (rotation.size, rotation.count));
    assert_eq!(
        (mail.sync, rotation),
        (Sync::None, Some((Some(10 << 20), 5)))
    );
    let (cron, _) = settings_of("/var/log/cron.log");
    let want = Rotation {
        size: Some(10 << 20),
        every: Some(Period::Daily),
        count: 99,
        total: Some(200 << 20),
        age: Some(Duration::from_secs(28 * 86_400)),
    };
    assert_eq!(
        (cron.rotation, cron.compression),
        (Some(want), Some(Compression::Zstd(3)))
    );
    let (mail_err, _) = settings_of("/var/log/mail.err");
    assert_eq!(
        (mail_err.mode, mail_err.group.as_deref()),
        (Some(0o640), Some("adm"))
    );
    let (audit, format) = settings_of("/var/log/audit.log");
    assert_eq!(
        (audit.sync, format.escape),
        (Sync::Durable, Some(Escape::Lossless))
    );
    let settings = &loaded.config.settings;
    let general = settings
        .rotation
        .map(|rotation| (rotation.size, rotation.count));
    assert_eq!(
        (general, settings.secure_mode),
        (Some((Some(50 << 20), 7)), Some(1))
    );
}
