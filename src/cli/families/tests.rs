//! Every option of every family: what it is among ours, or the sentence about it.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::super::translate::translate;
use super::super::{Dialect, parse_with};
use super::family;
use Outcome::{Honoured, Refused, Warned};

#[derive(Clone, Copy)]
enum Outcome {
    /// It becomes these of ours; nothing if it is so anyway.
    Honoured(&'static str),
    /// It is accepted, and the operator reads this.
    Warned(&'static str),
    /// It is a mistake, and the operator reads this.
    Refused(&'static str),
}

type Table = &'static [(&'static str, Outcome)];

const SYSKLOGD: Table = &[
    ("-4", Honoured("--ipv4")),
    ("-6", Honoured("--ipv6")),
    ("-8", Honoured("--eight-bit")),
    ("-A", Honoured("--all-addresses")),
    ("-a 10.0.0.0/8:*", Honoured("--allow=10.0.0.0/8:*")),
    ("-b 10.0.0.1:515", Honoured("--bind=10.0.0.1:515")),
    ("-C cache", Honoured("--kmsg-cache=cache")),
    ("-cc", Honoured("--no-folding --no-folding")),
    ("-d", Honoured("--debug")),
    ("-H", Honoured("--hostname-from-message")),
    ("-F", Honoured("--foreground")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-K", Honoured("--no-kernel-log")),
    ("-k", Honoured("--keep-kern")),
    ("-l", Honoured("--keep-console")),
    ("-M 512", Honoured("--max-forward=512")),
    ("-m 5", Honoured("--mark=5")),
    ("-n", Honoured("--no-dns")),
    ("-P pid", Honoured("--pid-file=pid")),
    ("-p log", Honoured("--socket=log")),
    ("-r 10M:10", Honoured("--rotate=10M:10")),
    ("-ss", Honoured("--secure --secure")),
    ("-T", Honoured("--receive-time")),
    ("-t", Honoured("--kernel-time")),
    ("-v", Honoured("--version")),
    ("-?", Honoured("--help")),
];

const FREEBSD: Table = &[
    ("-4", Honoured("--ipv4")),
    ("-6", Honoured("--ipv6")),
    ("-8", Honoured("--eight-bit")),
    ("-A", Honoured("--all-addresses")),
    ("-a 10.0.0.0/8:*", Honoured("--allow=10.0.0.0/8:*")),
    ("-b 10.0.0.1", Honoured("--bind=10.0.0.1")),
    ("-C", Honoured("")),
    ("-cc", Honoured("--no-folding --no-folding")),
    ("-d", Honoured("--debug")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-F", Honoured("--foreground")),
    ("-H", Honoured("--hostname-from-message")),
    ("-k", Honoured("--keep-kern")),
    ("-l 0666:/j/log", Honoured("--extra-socket=0666:/j/log")),
    ("-M 512", Honoured("--max-forward=512")),
    ("-m 5", Honoured("--mark=5")),
    ("-n", Honoured("--no-dns")),
    ("-N", Honoured("--no-udp")),
    ("-o", Warned("tagged kernel:")),
    ("-O rfc5424", Honoured("--output-format=rfc5424")),
    ("-O syslog", Honoured("--output-format=syslog")),
    ("-O bsd", Honoured("--output-format=bsd")),
    ("-p 0622:/l", Honoured("--socket=0622:/l")),
    ("-P pid", Honoured("--pid-file=pid")),
    ("-S /priv", Honoured("--extra-socket=0600:/priv")),
    ("-s", Honoured("--secure")),
    ("-T", Honoured("--receive-time")),
    ("-u", Honoured("--exact")),
    ("-vv", Honoured("--verbose --verbose")),
];

const OPENBSD: Table = &[
    ("-4", Honoured("--ipv4")),
    ("-6", Honoured("--ipv6")),
    ("-a /c/dev/log", Honoured("--extra-socket=/c/dev/log")),
    ("-C ca.pem", Refused("TLS is not there yet")),
    ("-c cert.pem", Refused("TLS is not there yet")),
    ("-d", Honoured("--debug")),
    ("-F", Honoured("--foreground")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-h", Honoured("")),
    ("-K ca.pem", Refused("TLS is not there yet")),
    ("-k key.pem", Refused("TLS is not there yet")),
    ("-m 5", Honoured("--mark=5")),
    ("-n", Honoured("--no-dns")),
    ("-P 10.0.0.1", Refused("its own child")),
    ("-p /l", Honoured("--socket=/l")),
    ("-rr", Honoured("--no-folding --no-folding")),
    ("-S 127.0.0.1", Refused("TLS is not there yet")),
    ("-s /ctl", Honoured("--control=/ctl")),
    ("-T 127.0.0.1:601", Honoured("--listen=tcp://127.0.0.1:601")),
    ("-U 127.0.0.1", Honoured("--listen=udp://127.0.0.1")),
    ("-u", Honoured("--bind=:514")),
    ("-V", Warned("without TLS")),
    ("-Z", Honoured("--utc-time")),
];

const NETBSD: Table = &[
    ("-b 10.0.0.1", Honoured("--bind=10.0.0.1")),
    ("-B 65536", Warned("as large as the kernel allows")),
    ("-d", Honoured("--debug")),
    ("-d~kevent", Honoured("--debug")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-g wheel", Warned("the user and group stay")),
    ("-k", Honoured("--keep-kern")),
    ("-m 5", Honoured("--mark=5")),
    ("-n", Honoured("--no-dns")),
    ("-o syslog", Honoured("--output-format=syslog")),
    ("-p /l -p /m", Honoured("--socket=/l --socket=/m")),
    ("-P list", Honoured("--socket-list=list")),
    ("-r", Honoured("--no-folding --no-folding")),
    ("-S", Honoured("--sync")),
    ("-s", Honoured("--secure")),
    ("-T", Honoured("--receive-time")),
    ("-t /chroot", Warned("root directory stays")),
    ("-U", Honoured("--exact")),
    ("-u syslog", Warned("the user and group stay")),
    ("-v", Honoured("--verbose")),
    ("-X", Warned("always counted")),
];

const INETUTILS: Table = &[
    ("-4", Honoured("--ipv4")),
    ("--ipv4", Honoured("--ipv4")),
    ("-6", Honoured("--ipv6")),
    ("--ipv6", Honoured("--ipv6")),
    ("--ipany", Honoured("--ipany")),
    ("-a /c/log", Honoured("--extra-socket=/c/log")),
    ("-b 10.0.0.1 -r", Honoured("--bind=10.0.0.1:514")),
    ("-b 10.0.0.1", Warned("without -r")),
    ("--bind=::1 --inet", Honoured("--bind=[::1]:514")),
    ("-B 515 -r", Honoured("--bind=:515")),
    ("--bind-port 515 -r", Honoured("--bind=:515")),
    ("-D /d", Honoured("--include-directory=/d")),
    ("--rcdir=/d", Honoured("--include-directory=/d")),
    ("-d", Honoured("--debug")),
    ("--debug", Honoured("--debug")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("--rcfile a.conf", Honoured("--config=a.conf")),
    ("-h", Honoured("--forward-all")),
    ("--hop", Honoured("--forward-all")),
    ("-?", Honoured("--help")),
    ("-l h1:h2", Honoured("--short-host=h1:h2")),
    ("-m 5", Honoured("--mark=5")),
    ("--mark=5", Honoured("--mark=5")),
    ("-n", Honoured("--foreground")),
    ("--no-detach", Honoured("--foreground")),
    ("--no-forward", Honoured("--no-forward")),
    ("--no-klog", Honoured("--no-kernel-log")),
    ("--no-unixaf", Honoured("--no-unix-sockets")),
    ("-P pid", Honoured("--pid-file=pid")),
    ("--pidfile=pid", Honoured("--pid-file=pid")),
    ("-p /l", Honoured("--socket=/l")),
    ("--socket=/l", Honoured("--socket=/l")),
    ("-r", Honoured("--bind=:514")),
    ("--inet", Honoured("--bind=:514")),
    ("-s example.org", Honoured("--strip-domain=example.org")),
    ("-S", Honoured("--sync")),
    ("--sync", Honoured("--sync")),
    ("-T", Honoured("--receive-time")),
    ("--local-time", Honoured("--receive-time")),
    ("-V", Honoured("--version")),
    ("--version", Honoured("--version")),
];

const SYSKLOGD1: Table = &[
    ("-a /c/log", Honoured("--extra-socket=/c/log")),
    ("-d", Honoured("--debug")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-h", Honoured("--forward-all")),
    ("-?", Honoured("--help")),
    ("-l h1:h2", Honoured("--short-host=h1:h2")),
    ("-m 5", Honoured("--mark=5")),
    ("-n", Honoured("--foreground")),
    ("-p /l", Honoured("--socket=/l")),
    ("-r", Honoured("--bind=:514")),
    ("-s example.org", Honoured("--strip-domain=example.org")),
    ("-v", Honoured("--version")),
    ("-x", Honoured("--no-dns")),
];

const BUSYBOX: Table = &[
    ("-n", Honoured("--foreground")),
    ("-O /l", Honoured("--log-file=/l")),
    ("-l 4", Honoured("--log-priority=4")),
    ("-S", Honoured("--line-style=short")),
    ("-R loghost:515", Honoured("--forward=loghost:515")),
    ("-L", Honoured("--log-locally")),
    ("-C", Warned("no log in shared memory")),
    ("-C128", Warned("no log in shared memory")),
    ("-D", Honoured("--fold")),
    ("-K", Warned("not to the kernel")),
    ("-s 100", Honoured("--log-size=100")),
    ("-b 5", Honoured("--log-count=5")),
    ("-t", Honoured("--receive-time")),
    ("-f a.conf", Honoured("--config=a.conf")),
    ("-m 5", Honoured("--mark=5")),
];

/// What only the default knows, beside the options of sysklogd.
const DEFAULT: Table = &[
    ("-C", Honoured("")),
    ("-C /run/cache", Honoured("--kmsg-cache=/run/cache")),
    ("-C128", Warned("no log in shared memory")),
    ("-iNONE", Warned("always a pid file")),
    ("-i /run/r.pid", Honoured("--pid-file=/run/r.pid")),
    ("-i r.pid", Refused("with a value is rsyslog's")),
    ("-i", Honoured("--inetd")),
    ("-l 600:/j/log", Honoured("--extra-socket=600:/j/log")),
    ("-N", Honoured("--no-udp")),
    ("-O syslog", Honoured("--output-format=syslog")),
    ("-o", Warned("tagged kernel:")),
    ("-o rfc5424", Honoured("--output-format=rfc5424")),
    ("-r", Honoured("--bind=:514")),
    ("-S /priv", Honoured("--extra-socket=0600:/priv")),
    ("-u", Honoured("--exact")),
    ("-v -F", Honoured("--verbose --foreground")),
    ("-vv", Honoured("--verbose --verbose")),
    ("-h", Honoured("--help")),
];

const FAMILIES: [(Dialect, &str, Table); 7] = [
    (
        Dialect::Sysklogd,
        "468Aa:b:C:cdHFf:Kklm:M:nP:p:r:sTtv?",
        SYSKLOGD,
    ),
    (
        Dialect::Freebsd,
        "468Aa:b:cCdf:FHkl:M:m:nNoO:p:P:sS:Tuv",
        FREEBSD,
    ),
    (
        Dialect::Openbsd,
        "46a:C:c:dFf:hK:k:m:nP:p:rS:s:T:U:uVZ",
        OPENBSD,
    ),
    (Dialect::Netbsd, "b:B:d::nsSf:g:km:o:p:P:rt:Tu:UvX", NETBSD),
    (
        Dialect::Inetutils,
        "46a:b:B:D:df:h?l:m:nP:p:rs:STV",
        INETUTILS,
    ),
    (Dialect::Busybox, "nO:l:SR:LC::DKs:b:tf:m:", BUSYBOX),
    (Dialect::Sysklogd1, "a:dh?f:l:m:np:rs:vx", SYSKLOGD1),
];

fn argv(line: &str) -> Vec<OsString> {
    let words = std::iter::once("syslogd").chain(line.split_whitespace());
    words.map(OsString::from).collect()
}

/// The option that a line is about: `-x`, or `--name` without its value.
fn option(line: &str) -> &str {
    let word = line.split([' ', '=']).next().unwrap_or_default();
    if word.starts_with("--") {
        word
    } else {
        &word[..2]
    }
}

/// Checks one line; returns 0 for honoured, 1 for warned, 2 for refused.
fn check(dialect: Option<Dialect>, line: &str, want: Outcome) -> usize {
    let name = dialect.map_or("default", Dialect::name);
    let mut whole = line.to_owned();
    if dialect.is_some() {
        whole = format!("{line} --compat={name}");
    }
    let parsed = parse_with(argv(&whole), None);
    match want {
        Honoured(ours) => {
            let translation = translate(argv(line), dialect);
            let got = &translation.argv[1 + family(dialect).presets.len()..];
            assert_eq!(got, &argv(ours)[1..], "{name} {line}");
            let is_question = ours == "--help" || ours == "--version";
            let warnings = parsed.map(|arguments| arguments.warnings);
            match warnings {
                Ok(warnings) => assert_eq!(warnings, [""; 0], "{name} {line}"),
                Err(usage) => assert!(is_question && usage.code() == 0, "{name} {line}: {usage}"),
            }
            0
        }
        Warned(words) => {
            let arguments = parsed.unwrap_or_else(|usage| panic!("{name} {line}: {usage}"));
            let warnings = arguments.warnings.join("\n");
            assert!(warnings.contains(words), "{name} {line}: {warnings}");
            1
        }
        Refused(words) => {
            let usage = parsed.expect_err(line);
            assert_eq!(usage.code(), 64, "{name} {line}");
            assert!(usage.to_string().contains(words), "{name} {line}: {usage}");
            2
        }
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the table of counts is for readers of the test's output"
)]
fn every_option_of_every_family_is_honoured_or_told_of() {
    for (dialect, getopt, table) in FAMILIES {
        let mut counts = [0; 3];
        let mut seen = BTreeSet::new();
        for (line, want) in table {
            let outcome = check(Some(dialect), line, *want);
            if seen.insert(option(line)) {
                counts[outcome] += 1;
            }
        }
        let [honoured, warned, refused] = counts;
        println!(
            "{:<10} {:>2} options: {honoured} honoured, {warned} accepted with a warning, {refused} refused",
            dialect.name(),
            seen.len()
        );
        for letter in getopt.bytes().filter(|letter| *letter != b':') {
            let short = [b'-', letter];
            let is_tested = table
                .iter()
                .any(|(line, _)| line.as_bytes().starts_with(&short));
            assert!(is_tested, "{} -{}", dialect.name(), char::from(letter));
        }
        for (letter, _) in family(Some(dialect)).short {
            let is_known = getopt.as_bytes().contains(letter);
            assert!(is_known, "{} -{}", dialect.name(), char::from(*letter));
        }
    }
}

#[test]
fn the_default_is_sysklogd_and_freebsd_at_once() {
    for (line, want) in DEFAULT {
        check(None, line, *want);
    }
    let resolved = ["-C cache", "-l", "-r 10M:10", "-v"];
    for (line, want) in SYSKLOGD.iter().filter(|(line, _)| !resolved.contains(line)) {
        check(None, line, *want);
    }
    let resolved = ["-o", "-vv"];
    for (line, want) in FREEBSD.iter().filter(|(line, _)| !resolved.contains(line)) {
        check(None, line, *want);
    }
}

#[test]
fn an_option_of_another_family_is_a_mistake() {
    for (dialect, line) in [
        (Dialect::Openbsd, "-H"),
        (Dialect::Freebsd, "-K"),
        (Dialect::Inetutils, "-k"),
        (Dialect::Busybox, "-F"),
        (Dialect::Sysklogd, "-N"),
        (Dialect::Sysklogd1, "-P pid"),
    ] {
        check(
            Some(dialect),
            line,
            Refused("is no option of a syslogd with"),
        );
    }
    for dialect in Dialect::ALL.map(|(dialect, _)| dialect) {
        check(
            Some(dialect),
            "--no-such-thing",
            Refused("unexpected argument"),
        );
    }
}
