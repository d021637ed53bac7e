//! The command line as tables: what is written, and what it means.

use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::*;
use proptest::prelude::*;

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
        ("-l /srv/dev/log", "--extra-socket=/srv/dev/log"),
        ("-l 0666:/srv/dev/log", "--extra-socket=0666:/srv/dev/log"),
        ("-l -s", "--keep-console --secure"),
        ("-v -s", "--verbose --secure"),
        ("-vv", "--verbose --verbose"),
        ("-S /p", "--extra-socket=0600:/p"),
        ("-o bsd -o -s", "--output-format=bsd --secure"),
        // ours, and what is left to clap
        ("--config=a -- -s", "--config=a -- -s"),
        ("-sx", "--secure -x"),
        ("-f", "--config"),
    ] {
        let got = translate(argv(line), None).argv;
        assert_eq!(got, argv(want), "{line}");
    }
}

#[test]
fn options_without_effect_say_so() {
    for (line, want) in [
        ("-C128", "option -C has no effect here: there is no log in"),
        ("-o", "option -o has no effect here: messages of the kernel"),
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
        "-s -O rfc5424 -a 10.0.0.0/8",              // FreeBSD, often
        "-a /var/unbound/dev/log --compat=openbsd", // OpenBSD
        "--no-forward --compat=inetutils",          // Debian's inetutils
        "-n -C128 --compat=busybox",
        "-n -t --compat=busybox",
        "-r -f /etc/syslog.conf -n --compat=sysklogd1",
    ] {
        parsed(line);
    }
}

#[test]
fn nothing_said_means_the_defaults_of_sysklogd() {
    let arguments = parsed("");
    assert!(!arguments.foreground);
    assert_eq!(arguments.config, PathBuf::from("/etc/syslog.conf"));
    assert_eq!(arguments.sockets, [PathBuf::from("/dev/log").into()]);
    assert_eq!(arguments.pid_file, PathBuf::from("/run/syslogd.pid"));
    assert_eq!(arguments.kmsg_cache, PathBuf::from("/run/syslogd.cache"));
    assert_eq!(
        (arguments.secure, arguments.folding, arguments.mark),
        (0, 0, Duration::from_secs(20 * 60))
    );
    assert_eq!(arguments.families(), Families::Both);
    assert!(arguments.kernel_log);
    assert_eq!(arguments.try_dir, None);
}

#[test]
fn marks_come_every_so_many_minutes_unless_a_unit_is_named() {
    for (line, want) in [
        ("-m0", Some(0)),
        ("-m 20", Some(1200)),
        ("--mark=30s", Some(30)),
        ("--mark 5m", Some(300)),
        ("--mark=2h", Some(7200)),
        ("--mark=", None),
        ("--mark=s", None),
        ("--mark=-1", None),
        ("--mark=1.5", None),
        ("--mark=1d", None),
        ("--mark=4294967296", None),
    ] {
        let got = parse_with(argv(line), None).ok();
        let got = got.map(|arguments| arguments.mark.as_secs());
        assert_eq!(got, want, "{line}");
    }
}

#[test]
fn options_reach_their_fields() {
    let arguments = parsed("-ssc -p a -p b -b x:1 -b y --listen tcp://[::1]:0 -M512 -K -4 -6 -a h");
    assert_eq!((arguments.secure, arguments.folding), (2, 1));
    let sockets = ["a", "b"].map(|path| PathBuf::from(path).into());
    assert_eq!(arguments.sockets, sockets);
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
    assert_eq!(arguments.mark, Duration::from_secs(2 * 60));
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
fn the_command_line_chooses_the_dialect_before_the_environment_before_the_name() {
    for (program, environment, line, want) in [
        ("/sbin/syslogd", None, "", None),
        ("/sbin/syslogd.openbsd", None, "", Some(Dialect::Openbsd)),
        ("/sbin/syslogd.old", None, "", None),
        ("syslogd.openbsd", Some("netbsd"), "", Some(Dialect::Netbsd)),
        ("syslogd.openbsd", Some(""), "", Some(Dialect::Openbsd)),
        (
            "syslogd.openbsd",
            Some("netbsd"),
            "-n --compat=busybox",
            Some(Dialect::Busybox),
        ),
        (
            "syslogd",
            None,
            "--compat inetutils",
            Some(Dialect::Inetutils),
        ),
        (
            "syslogd",
            None,
            "--compat=sysklogd",
            Some(Dialect::Sysklogd),
        ),
    ] {
        let mut argv = argv(line);
        argv[0] = program.into();
        let arguments = parse_with(argv, environment.map(OsString::from))
            .unwrap_or_else(|usage| panic!("{program} {line}: {usage}"));
        let chosen = arguments.is_compat_chosen.then_some(arguments.compat);
        assert_eq!(chosen, want, "{program} {environment:?} {line}");
    }
}

#[test]
fn a_dialect_that_does_not_exist_is_a_mistake_wherever_it_is_named() {
    let usage = parse(argv("--compat=hpux")).expect_err("no such family");
    assert_eq!(usage.code(), 64);
    let usage = parse_with(argv(""), Some("hpux".into())).expect_err("no such family");
    assert_eq!(usage.code(), 64);
    let sentence = usage.to_string();
    assert!(sentence.contains("SYSLOGD_COMPAT=hpux"), "{sentence}");
    assert!(sentence.contains("openbsd"), "{sentence}");
}

#[test]
fn the_defaults_are_those_of_the_family() {
    for (compat, pid_file) in [
        ("sysklogd", "/run/syslogd.pid"),
        ("freebsd", "/var/run/syslog.pid"),
        ("openbsd", "/var/run/syslog.pid"),
        ("netbsd", "/var/run/syslogd.pid"),
        ("inetutils", "/run/syslog.pid"),
        ("busybox", "/var/run/syslogd.pid"),
        ("sysklogd1", "/run/syslogd.pid"),
    ] {
        let arguments = parsed(&format!("--compat={compat}"));
        assert_eq!(arguments.pid_file, PathBuf::from(pid_file), "{compat}");
    }
    let busybox = parsed("--compat=busybox");
    assert_eq!((busybox.mark, busybox.folding), (Duration::ZERO, 2));
    assert!(busybox.keep_kern && !busybox.kernel_log);
    assert_eq!(parsed("--compat=busybox -D").folding, 0);
    let inetutils = parsed("--compat=inetutils");
    assert_eq!(inetutils.families(), Families::Ipv4);
    assert!(inetutils.forward_local);
    assert!(!parsed("--compat=inetutils --hop").forward_local);
    assert_eq!(
        parsed("--compat=inetutils --ipany").families(),
        Families::Both
    );
}

#[test]
fn only_a_chosen_sysklogd_or_freebsd_receives_unasked() {
    for (line, want) in [
        ("", false),
        ("-n", false),
        ("--compat=sysklogd", true),
        ("--compat=freebsd", true),
        ("--compat=freebsd -N", false),
        ("--compat=openbsd", false),
        ("--compat=netbsd", false),
        ("--compat=inetutils", false),
    ] {
        assert_eq!(parsed(line).receives_unasked(), want, "{line}");
    }
}

#[test]
fn lists_of_names_are_divided_at_colons() {
    let arguments = parsed("--compat=inetutils -s a.org:b.org -s c.org -l h.d.org");
    assert_eq!(arguments.strip_domains, ["a.org", "b.org", "c.org"]);
    assert_eq!(arguments.short_hosts, ["h.d.org"]);
}

#[test]
fn a_list_of_sockets_stands_for_the_default_one() {
    assert!(parsed("--compat=netbsd -P list").sockets.is_empty());
    assert_eq!(parsed("--compat=netbsd -P list -p /l").sockets.len(), 1);
}

#[test]
fn n_may_mean_the_foreground_in_the_default_dialect_only() {
    for (line, want) in [
        ("-n", (true, false)),
        ("--no-dns", (false, false)),
        ("-n --compat=sysklogd", (false, false)),
        ("-n --compat=busybox", (false, true)),
        ("-n --compat=inetutils", (false, true)),
        ("-n --compat=sysklogd1", (false, true)),
    ] {
        let arguments = parsed(line);
        assert_eq!((arguments.may_stay, arguments.foreground), want, "{line}");
    }
}

#[test]
fn a_long_option_may_be_shortened_while_it_stands_for_one() {
    for (line, want) in [
        ("--foreg", "--foreground"),
        ("--conf=a", "--config=a"),
        ("--mar=5 --no-dn", "--mark=5 --no-dns"),
        ("--sec --secure", "--secure --secure"),
    ] {
        assert_eq!(translate(argv(line), None).argv, argv(want), "{line}");
    }
    assert_eq!(parsed("--comp=busybox -n").compat, Dialect::Busybox);
    assert_eq!(parsed("--comp busybox -n").compat, Dialect::Busybox);
    assert!(parsed("--compat=inetutils --no-f").no_forward);
    let inetutils = parsed("--compat=inetutils --rcf=a --loc");
    assert!(inetutils.receive_time && inetutils.config == Path::new("a"));
}

#[test]
fn a_mistake_is_told_with_what_was_probably_meant() {
    for (line, want) in [
        (
            "--no-f",
            "--no-f is the beginning of several options: --no-folding, --no-forward",
        ),
        ("--compat=inetutils --rc=x", "--rcdir, --rcfile"),
        (
            "-R loghost",
            "no option -R here; it is one with --compat=busybox",
        ),
        ("-Z", "it is one with --compat=openbsd"),
        (
            "-s example.org",
            "nothing is known of \"example.org\"; it takes one with --compat=",
        ),
        ("-F extra", "unexpected argument 'extra'"),
        ("--check my.conf", "named with -f: -f my.conf"),
        ("--no-such-option", "unexpected argument '--no-such-option'"),
        ("-i r.pid", "with a value is rsyslog's"),
    ] {
        let usage = parse_with(argv(line), None).expect_err(line);
        assert_eq!(usage.code(), 64, "{line}");
        assert!(usage.to_string().contains(want), "{line}: {usage}");
    }
    let odd = OsString::from_vec(b"--listen=udp://\xff".to_vec());
    let usage = parse_with(vec!["syslogd".into(), odd], None).expect_err("no text");
    assert!(
        usage.to_string().contains("--listen=udp://\\xff"),
        "{usage}"
    );
}

#[test]
fn a_rotation_that_is_none_is_not_taken_for_reception() {
    for line in ["-r 10X", "-r10X", "-r 10M:"] {
        let rotation = parsed(line).rotation.unwrap_or_default();
        assert!(rotation.starts_with("10"), "{line}: {rotation}");
    }
}

#[test]
fn a_port_behind_r_is_not_taken_for_a_size() {
    for line in ["-r514", "-r 514", "-r 10514"] {
        let usage = parse(argv(line)).expect_err("a port").to_string();
        assert!(
            usage.contains("would rotate every file at"),
            "{line}: {usage}"
        );
        assert!(usage.contains("-b :"), "{line}: {usage}");
    }
    for line in ["-r 0", "-r 514:5", "-r 514k", "-r 65536", "--rotate=514"] {
        assert!(parsed(line).rotation.is_some(), "{line}");
    }
    assert!(parsed("--compat=sysklogd -r 514").rotation.is_some());
}

/// Options, known and not, attached and not, and what may follow them.
fn any_word() -> impl Strategy<Value = OsString> {
    let names: Vec<String> = Arguments::command()
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .map(str::to_owned)
        .collect();
    let name = prop::sample::select(names);
    let value = prop::sample::select(vec![
        "", "0", "5", "10M:5", ":3", "10X", "/l", "600:/l", "bsd", "NONE", "a.b:c", "-", "=",
        "[::1]:5",
    ]);
    prop_oneof![
        ("-[ -~]{1,4}", value.clone()).prop_map(|(letters, value)| letters + value),
        (name.clone(), value.clone()).prop_map(|(name, value)| format!("--{name}={value}")),
        (name, any::<prop::sample::Index>()).prop_map(|(name, at)| {
            let (beginning, _) = name.split_at(at.index(name.len() + 1));
            format!("--{beginning}")
        }),
        value.prop_map(str::to_owned),
        "--[a-z-]{0,8}",
        Just("--".to_owned()),
    ]
    .prop_map(OsString::from)
    .boxed()
    .prop_union(
        prop::collection::vec(any::<u8>(), 0..12)
            .prop_map(OsString::from_vec)
            .boxed(),
    )
}

/// Whether a refusal names something of the command line, as written or as translated.
fn names_its_cause(said: &str, argv: &[OsString], translated: &[OsString]) -> bool {
    let mut words = argv.iter().chain(translated).skip(1);
    words.any(|word| {
        let text = word.as_bytes().escape_ascii().to_string();
        let option = text.split('=').next().unwrap_or_default().to_owned();
        let letters = text.strip_prefix('-').unwrap_or_default().chars();
        let mut short = letters.map(|letter| format!("-{letter}"));
        let whole = word.to_str().unwrap_or(&text);
        let quoted = [format!("'{whole}'"), format!("\"{whole}\"")];
        let is_telling = |word: &&str| word.len() > 1 && *word != "--";
        let mut plain = [whole, &text, &option].into_iter().filter(is_telling);
        quoted.iter().any(|quoted| said.contains(quoted))
            || plain.any(|word| said.contains(word))
            || short.any(|short| said.contains(&short))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_command_line_is_obeyed_or_refused_by_name(
        words in prop::collection::vec(any_word(), 0..6),
        dialect in prop::sample::select(
            Dialect::ALL.iter().map(|(_, name)| *name).chain([""]).collect::<Vec<_>>()),
    ) {
        let mut line = vec![OsString::from("syslogd")];
        if !dialect.is_empty() {
            line.push(format!("--compat={dialect}").into());
        }
        line.extend(words);
        if let Err(usage) = parse_with(line.clone(), None)
            && usage.code() != 0
        {
            let dialect = Dialect::choose(&line, None).unwrap_or_default();
            let translated = translate(line.clone(), dialect).argv;
            let said = usage.to_string();
            prop_assert!(names_its_cause(&said, &line, &translated), "{:?}: {}", line, said);
        }
    }
}
