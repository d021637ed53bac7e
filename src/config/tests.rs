use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::diagnostic::Severity;
use super::*;
use crate::cli::Dialect;

fn errors(loaded: &Loaded) -> Vec<String> {
    let found = loaded.diagnostics.iter();
    found
        .filter(|found| found.severity == Severity::Error)
        .map(|found| found.render(&loaded.sources, false))
        .collect()
}

fn codes(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|found| found.code).collect()
}

fn destinations(loaded: &Loaded) -> Vec<String> {
    let rules = loaded.config.rules.iter();
    rules.map(|rule| rule.destination.to_string()).collect()
}

#[test]
fn section_3_a_comment_may_follow_any_action() {
    for (text, want) in [
        ("syslog.* /var/log/x #errors", "/var/log/x"),
        ("syslog.* /var/log/x\t# errors", "/var/log/x"),
        ("syslog.* root # errors", "root"),
        ("syslog.* @h # errors", "@h:514"),
        ("syslog.* /var/log/a#b", "/var/log/a#b"),
    ] {
        assert_eq!(destinations(&parse_str("t", text)), [want], "{text}");
    }
}

#[test]
fn section_2_a_blank_in_a_selector_is_no_list_of_users() {
    for text in [
        "mail.info; news.info /f",
        "mail.info ;news.info /f",
        "mail.info ; news.info /f",
    ] {
        let loaded = parse_str("t", text);
        assert_eq!(codes(&loaded), ["E101"], "{text}");
        assert_eq!(
            loaded.sources.position(loaded.diagnostics[0].span),
            (1, text.find(' ').unwrap() + 1)
        );
    }
    assert_eq!(codes(&parse_str("t", "mail.info; /f")), [""; 0]);
}

#[test]
fn section_4_an_included_file_begins_without_blocks_and_gives_them_back() {
    let loaded = parse_files(&[
        ("main", "!sshd\nauth.* /a\ninclude sub.conf\nauth.* /c\n"),
        ("sub.conf", "mail.* /b\n!ppp\n"),
    ]);
    let counts: Vec<usize> = loaded
        .config
        .rules
        .iter()
        .map(|rule| rule.conditions.len())
        .collect();
    assert_eq!(destinations(&loaded), ["/a", "/b", "/c"]);
    assert_eq!(counts, [1, 0, 1]);
    let last = format!("{:?}", loaded.config.rules[2].conditions);
    assert!(last.contains("sshd"), "{last}");
}

#[test]
fn section_5_includes_are_sorted_and_circles_end() {
    let loaded = parse_files(&[
        (
            "/etc/s.conf",
            "include d/*.conf\ninclude /etc/d/none*.conf\n",
        ),
        ("/etc/d/b.conf", "mail.* /b\n"),
        ("/etc/d/a.conf", "mail.* /a\n"),
        ("/etc/d/.hidden.conf", "mail.* /h\n"),
        ("/etc/d/c.txt", "mail.* /c\n"),
    ]);
    assert_eq!(
        (destinations(&loaded), codes(&loaded)),
        (vec!["/a".into(), "/b".into()], vec![])
    );

    let circle = parse_files(&[
        ("a.conf", "include b.conf\nmail.* /a\n"),
        ("b.conf", "include a.conf\n"),
    ]);
    let text = errors(&circle).join("");
    assert!(text.contains("a.conf -> b.conf -> a.conf"), "{text}");
    assert_eq!(destinations(&circle), ["/a"]);
}

#[test]
fn architecture_12_18_a_missing_include_is_an_error_only_if_it_names_one_file() {
    for (text, want) in [
        ("include /x/y.conf", &["E106"][..]),
        ("include /x/y", &["W005"]),
        ("include /x/*.conf", &[]),
        ("include /x\ninclude /y\ninclude /z", &["W005"]),
        ("include /x\ninclude /y.conf", &["W005", "E106"]),
    ] {
        assert_eq!(codes(&parse_str("t", text)), want, "{text}");
    }
    let loaded = parse_str("t", "include /x\ninclude /y");
    let only = loaded.diagnostics.first().expect("the warning");
    assert_eq!(only.message, "/x does not exist, nor does /y");
}

#[test]
fn files_that_others_can_write_are_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("syslog.conf");
    let sub = directory.path().join("sub");
    fs::create_dir(&sub).expect("a directory");
    fs::write(&main, "mail.* /a\ninclude sub\n").expect("written");
    for name in ["1.conf", "2.conf", ".3.conf", "4.txt"] {
        fs::write(sub.join(name), format!("mail.* /{name}\n")).expect("written");
    }
    let loaded = load(&main, None, LoadOptions::default()).expect("readable");
    assert_eq!(destinations(&loaded), ["/a", "/1.conf", "/2.conf"]);

    fs::set_permissions(sub.join("1.conf"), fs::Permissions::from_mode(0o666)).expect("changed");
    let loaded = load(&main, None, LoadOptions::default()).expect("readable");
    assert_eq!(
        (destinations(&loaded), codes(&loaded)),
        (vec!["/a".into(), "/2.conf".into()], vec!["E106"])
    );

    fs::set_permissions(&main, fs::Permissions::from_mode(0o666)).expect("changed");
    assert!(matches!(
        load(&main, None, LoadOptions::default()),
        Err(LoadError::Untrusted { .. })
    ));
    assert!(matches!(
        load(&directory.path().join("no"), None, LoadOptions::default()),
        Err(LoadError::Unreadable { .. })
    ));
    assert!(
        load(
            std::path::Path::new("/dev/null"),
            None,
            LoadOptions::default()
        )
        .is_ok(),
        "an empty configuration on purpose"
    );
}

#[test]
fn includes_and_directories_may_have_any_name() {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["with a blank", "[a-z] # * \n"] {
        let directory = directory.path().join(name);
        fs::create_dir(&directory).expect("a directory");
        fs::write(
            directory.join("a b.conf"),
            format!("mail.* /{}\n", name.len()),
        )
        .expect("written");
    }
    let main = directory.path().join("[m]ain # .conf");
    let text =
        "include with a blank\ninclude with a blank/a b.conf # once more\ninclude with*/* b.conf\n";
    fs::write(&main, text).expect("written");
    let more = directory.path().join("[a-z] # * \n");
    let options = LoadOptions::default();
    let loaded = load(&main, Some(&more), options).expect("readable");
    assert_eq!(destinations(&loaded), ["/12", "/12", "/12", "/11"]);

    let file = more.join("a b.conf");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("changed");
    let loaded = load(&main, Some(&more), options).expect("readable");
    let found = loaded.diagnostics.iter().find(|found| found.code == "E106");
    let said = found.map(|found| found.sentence(&loaded.sources));
    let said = said.unwrap_or_default();
    assert!(
        said.starts_with("--include-directory:1:1: error E106: "),
        "{said}"
    );
    assert!(said.contains("everybody can write it"), "{said}");
}

#[test]
fn lines_that_are_not_text_are_left_out_one_by_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("syslog.conf");
    fs::write(
        &main,
        b"# caf\xe9\nmail.* /caf\xe9\nnews.* /\xc3\xa9\nkern.* /a\0b\nauht.* /x\n",
    )
    .expect("written");
    let loaded = load(&main, None, LoadOptions::default()).expect("readable");
    assert_eq!(
        (destinations(&loaded), codes(&loaded)),
        (vec!["/é".into()], vec!["E107", "E107", "E101"])
    );
    let place = loaded.sources.position(loaded.diagnostics[2].span);
    assert_eq!(place, (5, 1));
}

#[test]
fn without_a_file_errors_go_to_the_console_and_panics_to_everyone() {
    let loaded = builtin();
    assert_eq!(
        (destinations(&loaded), codes(&loaded)),
        (vec!["/dev/console".into(), "*".into()], vec![])
    );
}

#[test]
fn rules_of_one_destination_agree_on_its_settings() {
    for (text, codes_wanted, rotation, sync) in [
        ("mail.=err -/f\nnews.=err /f", &[][..], None, Sync::Second),
        ("mail.=err -/f\nnews.=err -/f", &[], None, Sync::None),
        (
            "mail.=err /f;rotate=1k\nnews.=err /f",
            &[],
            Some((1024, 5)),
            Sync::Second,
        ),
        (
            "mail.=err /f;1k:2\nnews.=err /f;1k:3",
            &["E108"],
            Some((1024, 2)),
            Sync::Second,
        ),
        (
            "mail.=err /f;rotate=:3\nrotate_size 2k",
            &[],
            Some((2048, 3)),
            Sync::Second,
        ),
        (
            "mail.=err /f;rotate=1k\nrotate_count 9",
            &[],
            Some((1024, 9)),
            Sync::Second,
        ),
        ("mail.=err /f;rotate=:3", &["W011"], None, Sync::Second),
        ("mail.=err /f;age=3d", &["W011"], None, Sync::Second),
        (
            "mail.=err /f;1k,total=1k",
            &["E103"],
            Some((1024, 9999)),
            Sync::Second,
        ),
        (
            "mail.=err /f;compress=gzip\nnews.=err /f;compress=zstd",
            &["E108"],
            None,
            Sync::Second,
        ),
        (
            "mail.=err /f;sync=durable\nnews.=err /f",
            &[],
            None,
            Sync::Durable,
        ),
        (
            "mail.=err /f;RFC5424\nnews.=err /f",
            &[],
            None,
            Sync::Second,
        ),
        ("mail.err /f\nmail.crit /f", &["W003"], None, Sync::Second),
        ("!a\nmail.err /f\n!b\nmail.crit /f", &[], None, Sync::Second),
    ] {
        let loaded = parse_str("t", text);
        assert_eq!(codes(&loaded), codes_wanted, "{text}");
        for rule in &loaded.config.rules {
            let got = rule
                .settings
                .rotation
                .map(|rotation| (rotation.size.unwrap_or_default(), rotation.count));
            assert_eq!((got, rule.settings.sync), (rotation, sync), "{text}");
        }
    }
}

#[test]
fn directories_are_looked_at_only_when_asked() {
    let loaded = parse_str(
        "t",
        "mail.* /no/such/place/mail\nnews.* /tmp/news\nkern.* root\n",
    );
    assert_eq!(codes(&loaded), [""; 0]);
    let found = warnings_for_check(&loaded);
    assert_eq!(
        found.iter().map(|found| found.code).collect::<Vec<_>>(),
        ["W006"]
    );
}

#[test]
fn a_destination_that_is_shown_can_be_read_again() {
    for text in [
        "/f",
        "|/f",
        "/dev/tty1",
        "*",
        "joe,root",
        "@h:514",
        "@[::1]:5",
        "@tcp://h:601",
        "@@h:1",
    ] {
        let loaded = parse_str("t", &format!("mail.* {text}"));
        assert_eq!(destinations(&loaded), [text]);
        assert!(!loaded.has_errors(), "{text}");
    }
}

fn read_as(dialect: Dialect, text: &str) -> Loaded {
    parse_files_as(dialect.into(), &[("t", text)])
}

#[test]
fn section_3_what_a_bsd_does_not_read_is_an_error_and_no_surprise() {
    use Dialect::{Freebsd, Inetutils, Netbsd, Openbsd, Sysklogd};
    for (dialect, text, codes_wanted, want) in [
        (Sysklogd, "  mail.* /f", &[][..], &["/f"][..]),
        (Freebsd, "  mail.* /f", &["E101"], &[]),
        (Netbsd, "\tmail.* /f", &["E101"], &[]),
        (Freebsd, "mail.*;\\\n news.* /f", &["E101", "E101"], &[]),
        (Freebsd, "mail.* /f# note", &[], &["/f"]),
        (Freebsd, "mail.* /f\\#1", &[], &["/f#1"]),
        (Openbsd, "mail.* /f # note", &["W014"], &["/f"]),
        (Inetutils, "mail.* /f # note", &["W014"], &["/f"]),
        (Netbsd, "mail.* |cat # note", &[], &["|cat # note"]),
        (Sysklogd, "mail.* |/f", &[], &["|/f"]),
        (Inetutils, "mail.* |cat", &["E109"], &[]),
        (Openbsd, "mail.=info /f", &["E101"], &[]),
        (Inetutils, "ntp.info /f", &["E101"], &[]),
    ] {
        let loaded = read_as(dialect, text);
        assert_eq!(codes(&loaded), codes_wanted, "{dialect:?} {text}");
        assert_eq!(destinations(&loaded), want, "{dialect:?} {text}");
    }
}

#[test]
fn architecture_12_2_openbsd_makes_one_rule_of_two_for_one_target() {
    for (dialect, text, rules, count) in [
        (Dialect::Openbsd, "mail.err /f\nmail.crit /f", 1, 3),
        (
            Dialect::Openbsd,
            "mail.err /f\nmail.none;news.crit /f",
            1,
            7,
        ),
        (Dialect::Openbsd, "mail.err /f\n!x\nmail.crit /f", 2, 4),
        (Dialect::Openbsd, "!!x\nmail.err /f\nnews.crit /f", 2, 4),
        (Dialect::Openbsd, "mail.err /f\nmail.crit /f;RFC5424", 2, 4),
        (Dialect::Openbsd, "mail.err root\nmail.crit root", 2, 4),
        (Dialect::Freebsd, "mail.err /f\nmail.crit /f", 2, 4),
    ] {
        let loaded = read_as(dialect, text);
        let first = loaded.config.rules[0].selector.iter().count();
        let got = (loaded.config.rules.len(), first);
        assert_eq!(got, (rules, count), "{dialect:?} {text}");
    }
}

#[test]
fn architecture_12_4_check_names_selectors_that_differ_between_the_algebras() {
    for (dialect, selector, want) in [
        (
            Dialect::Sysklogd,
            "*.=info;*.=notice",
            Some("does not take kern.info on the BSDs"),
        ),
        (
            Dialect::Sysklogd,
            "mail.!=info",
            Some("takes mail.emerg on the BSDs"),
        ),
        (
            Dialect::Freebsd,
            "*.notice;mail.crit",
            Some("takes mail.err on Linux"),
        ),
        (Dialect::Sysklogd, "*.info;mail.none", None),
    ] {
        let loaded = read_as(dialect, &format!("{selector} root"));
        let found = loaded.suspicions.first();
        let message = found.map(|found| found.message.trim_start_matches("this selector "));
        assert_eq!(message, want, "{selector}");
        let shown = loaded.diagnostics.iter().all(|found| found.code != "W013");
        assert!(shown, "only --check tells");
    }
}

#[test]
fn a_rule_that_no_message_reaches_is_named() {
    for (text, want) in [
        ("!!a\n*.* /f\n!a\nmail.* /g", &["W016"][..]),
        ("!!a\nmail.* /f\n!a\n*.* /g", &[]),
        ("!!a\n*.* /f\n!b\nmail.* /g", &[]),
        ("!a\n:programname, isequal, \"b\"\n*.* /f", &["W016"]),
        ("!-b\n:programname, isequal, \"b\"\n*.* /f", &["W016"]),
        ("!a,b\n:programname, isequal, \"b\"\n*.* /f", &[]),
    ] {
        assert_eq!(codes(&read_as(Dialect::Openbsd, text)), want, "{text}");
    }
}

#[test]
fn a_fifo_that_nobody_reads_is_named_by_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    nix::unistd::mkfifo(path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    fs::write(path("file"), "").expect("written");
    for (name, want) in [
        ("fifo", "nobody reads FIFO"),
        ("none", "does not exist"),
        ("file", "is no FIFO"),
    ] {
        let found = warnings_for_check(&parse_str("t", &format!("mail.* |{}", path(name))));
        let [only] = &found[..] else {
            panic!("{name}: {found:?}");
        };
        assert!(only.message.contains(want), "{}", only.message);
        assert_eq!(only.code, "W015");
    }
}

/// Lines of fragments that mean something, so that the property reaches deep.
fn any_configuration() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "mail",
        ".",
        "info",
        ";",
        ",",
        "*",
        "!",
        "=",
        "none",
        " ",
        "\t",
        "\n",
        "\\\n",
        "/f",
        "-/f",
        "|/f",
        "@",
        "[::1]",
        ":514",
        "root",
        "rotate=1k",
        "#",
        "#!",
        "+",
        "-",
        ":msg, regex, \"",
        "\\(",
        "a*",
        "\"",
        "é",
        "include a.conf",
        "listen ",
        "udp://",
        "escape ",
        "\r",
        "\0",
        "\u{feff}",
        "{2}",
        "[",
        "]",
    ]);
    let fragments = prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat());
    prop_oneof![fragments, any::<String>()]
}

proptest! {
    #[test]
    fn any_text_gives_spans_in_range_and_diagnostics_that_render(
        text in any_configuration(),
        (dialect, _) in prop::sample::select(&Dialect::ALL[..]),
    ) {
        let loaded = parse_files_as(dialect.into(), &[("t.conf", &text), ("a.conf", &text)]);
        for rule in &loaded.config.rules {
            for span in [rule.span, rule.action_span] {
                prop_assert!(loaded.sources.text(span.file).get(span.start as usize..span.end as usize).is_some());
            }
        }
        for found in &loaded.diagnostics {
            let span = found.span;
            prop_assert!(loaded.sources.text(span.file).get(span.start as usize..span.end as usize).is_some());
            prop_assert!(found.render(&loaded.sources, false).contains(&found.message));
            prop_assert!(!found.render(&loaded.sources, true).is_empty());
        }
    }
}
