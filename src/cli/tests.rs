//! The command line as tables: what is written, and what it means.

use super::*;

fn argv(line: &str) -> Vec<OsString> {
    let words = std::iter::once("syslogd").chain(line.split_whitespace());
    words.map(OsString::from).collect()
}

fn parsed(line: &str) -> Arguments {
    parse(argv(line)).unwrap_or_else(|usage| panic!("{line}: {usage}"))
}

#[test]
fn sysklogd_short_options_become_long_ones() {
    for (line, want) in [
        ("-4 -6 -8", "--ipv4 --ipv6 --eight-bit"),
        ("-a 10.0.0.0/8:*", "--allow=10.0.0.0/8:*"),
        ("-b 192.0.2.1:514", "--bind=192.0.2.1:514"),
        ("-C /run/cache", "--kmsg-cache=/run/cache"),
        ("-C/run/cache", "--kmsg-cache=/run/cache"),
        ("-c", "--no-folding"),
        ("-d", "--debug"),
        ("-F", "--foreground"),
        ("-f a.conf", "--config=a.conf"),
        ("-H", "--hostname-from-message"),
        ("-K -k", "--no-kernel-log --keep-kern"),
        ("-M 1024", "--max-forward=1024"),
        ("-m 0", "--mark=0"),
        ("-n", "--no-dns"),
        ("-P /run/x.pid", "--pid-file=/run/x.pid"),
        ("-p a -p b", "--socket=a --socket=b"),
        ("-r 10M:10", "--rotate=10M:10"),
        ("-s", "--secure"),
        ("-T", "--receive-time"),
        ("-v", "--version"),
        ("-?", "--help"),
        // clusters
        ("-ss", "--secure --secure"),
        ("-cc", "--no-folding --no-folding"),
        ("-ssm0", "--secure --secure --mark=0"),
        ("-r10M:10", "--rotate=10M:10"),
        ("-r:5", "--rotate=:5"),
        ("-nFfa.conf", "--no-dns --foreground --config=a.conf"),
        ("-f -F", "--config=-F"), // getopt(3) takes what follows, whatever it looks like
        // conflicts, by shape
        ("-C -s", "--secure"),
        ("-Cs", "--secure"),
        ("-C128", ""),
        ("-r -f a.conf -n", "--bind=:514 --config=a.conf --no-dns"),
        ("-rn", "--bind=:514 --no-dns"),
        ("-l /srv/dev/log", "--listen=unixgram:///srv/dev/log"),
        ("-l 0666:/srv/dev/log", "--listen=unixgram:///srv/dev/log"),
        ("-l -s", "--secure"),
        ("-v -s", "--secure"),
        // ours, and what is left to clap
        ("--config=a -- -s", "--config=a -- -s"),
        ("-sx", "--secure -x"),
        ("-f", "--config"),
    ] {
        let (got, _) = translate(argv(line));
        assert_eq!(got, argv(want), "{line}");
    }
}

#[test]
fn options_without_effect_say_so() {
    for (line, want) in [
        ("-A", "option -A has no effect here: a forward uses"),
        ("-l", "option -l has no effect here: the kernel's console"),
        ("-t", "option -t has no effect here: kernel messages"),
        ("-C128", "option -C has no effect here: there is no log in"),
        ("-F -v", "option -v has no effect here: facility"),
        ("-l 600:/x", "option -l has no effect here: the mode"),
    ] {
        let warnings = parsed(line).warnings;
        assert_eq!(warnings.len(), 1, "{line}");
        assert!(warnings[0].starts_with(want), "{line}: {}", warnings[0]);
    }
    assert_eq!(parsed("-F -ss -m0").warnings, [""; 0]);
}

#[test]
fn start_lines_of_init_systems_parse() {
    for line in [
        "-F",                               // sysklogd's unit
        "-m 0 -F",                          // Buildroot, unit
        "-n -m 0",                          // Buildroot, script
        "-F -m 0 -s -s -r 10M:10",          // Gentoo
        "-r -f /etc/syslog.conf -n",        // NixOS
        "-n -C128",                         // Debian's busybox
        "-n -t",                            // Alpine's busybox
        "-s",                               // FreeBSD
        "-ss -a 10.0.0.0/8 -b 10.0.0.1 -C", // FreeBSD, jail
        "-s -cc -vv",
    ] {
        parsed(line);
    }
}

#[test]
fn nothing_said_means_the_defaults_of_sysklogd() {
    let arguments = parsed("");
    assert!(!arguments.foreground);
    assert_eq!(arguments.config, PathBuf::from("/etc/syslog.conf"));
    assert_eq!(arguments.sockets, [PathBuf::from("/dev/log")]);
    assert_eq!(arguments.pid_file, PathBuf::from("/run/syslogd.pid"));
    assert_eq!(arguments.kmsg_cache, PathBuf::from("/run/syslogd.cache"));
    assert_eq!(
        (arguments.secure, arguments.folding, arguments.mark),
        (0, 0, 20)
    );
    assert_eq!(arguments.families(), Families::Both);
    assert!(arguments.kernel_log);
    assert_eq!(arguments.try_dir, None);
}

#[test]
fn options_reach_their_fields() {
    let arguments = parsed("-ssc -p a -p b -b x:1 -b y --listen tcp://[::1]:0 -M512 -K -4 -6 -a h");
    assert_eq!((arguments.secure, arguments.folding), (2, 1));
    assert_eq!(arguments.sockets, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!(arguments.bind, ["x:1", "y"]);
    assert_eq!(arguments.listen, ["tcp://[::1]:0"]);
    assert_eq!(arguments.max_forward, Some(512));
    assert!(!arguments.kernel_log);
    assert_eq!(arguments.families(), Families::Ipv6);
    assert_eq!(arguments.allowed_peers, ["h"]);
    assert!(!arguments.foreground);
}

#[test]
fn the_last_of_a_repeated_option_counts() {
    let arguments = parsed("-F -F -f a -f b -m 1 -m 2");
    assert_eq!(arguments.config, PathBuf::from("b"));
    assert_eq!(arguments.mark, 2);
}

#[test]
fn try_takes_its_directory_after_an_equals_sign_and_stays_in_the_foreground() {
    for (line, want) in [("--try", "./syslogd-try"), ("--try=/tmp/x", "/tmp/x")] {
        let arguments = parsed(line);
        assert_eq!(arguments.try_dir, Some(PathBuf::from(want)), "{line}");
        assert!(arguments.foreground, "{line}");
    }
    assert!(parsed("-d").foreground);
}

#[test]
fn mistakes_exit_64_and_questions_exit_0() {
    for (line, want) in [
        ("--help", 0),
        ("-?", 0),
        ("-v", 0),
        ("-x", 64),
        ("-sx", 64),
        ("-f", 64),
        ("-m often", 64),
        ("-m -1", 64),
        ("-M 100", 64),
        ("-M 65536", 64),
        ("--chekc", 64),
        ("--check --try", 64),
        ("--try dir", 64),
        ("stray", 64),
    ] {
        let usage = parse(argv(line)).expect_err(line);
        assert_eq!(usage.code(), want, "{line}");
    }
}

#[test]
fn a_value_need_not_be_utf_8_where_it_is_a_path() {
    let mut line = argv("-f");
    line.push(OsString::from_vec(b"/etc/\xff.conf".to_vec()));
    let arguments = parse(line).expect("a path is any octets");
    assert_eq!(arguments.config.as_os_str().as_bytes(), b"/etc/\xff.conf");
}

#[test]
fn the_declaration_is_consistent() {
    use clap::CommandFactory as _;
    Arguments::command().debug_assert();
}

#[test]
fn every_option_of_sysklogd_is_known() {
    for letter in b"468Aa:b:C:cdHFf:Kklm:M:nP:p:r:sTtv?" {
        let known = short(*letter).is_some();
        assert_eq!(known, *letter != b':', "{}", char::from(*letter));
    }
}
