use super::*;
use crate::cli::Dialect;

fn after(lines: &[&str]) -> String {
    after_as(LoadOptions::default(), lines)
}

fn after_as(options: LoadOptions, lines: &[&str]) -> String {
    let (mut blocks, mut problems) = (Blocks::default(), Vec::new());
    for line in lines {
        assert!(
            blocks
                .read(Piece::new(line), options, &mut problems)
                .is_some(),
            "{line}"
        );
    }
    let conditions = blocks.conditions().map(|all| format!("{all:?}"));
    conditions.unwrap_or_else(|| format!("{}: {}", problems[0].code, problems[0].message))
}

#[test]
fn section_4_blocks_are_sticky_and_independent() {
    for (lines, want) in [
        (
            &["!foo,bar"][..],
            r#"[Program { names: [Exact("foo"), Exact("bar")], exclude: false }]"#,
        ),
        (
            &["!+foo"],
            r#"[Program { names: [Exact("foo")], exclude: false }]"#,
        ),
        (
            &["!-foo"],
            r#"[Program { names: [Exact("foo")], exclude: true }]"#,
        ),
        (
            &["#!foo"],
            r#"[Program { names: [Exact("foo")], exclude: false }]"#,
        ),
        (
            &["!foo # bar"],
            r#"[Program { names: [Exact("foo")], exclude: false }]"#,
        ),
        (&["!foo", "!*"], "[]"),
        (&["!foo", "!"], "[]"),
        (&["+h", "+*"], "[]"),
        (&["+h", "-*"], "[]"),
        (&[":msg,contains,\"x\"", ":*"], "[]"),
        (
            &["-H,@"],
            r#"[Host { names: [Named("h"), Local], exclude: true }]"#,
        ),
        (
            &["!p", "+h"],
            concat!(
                r#"[Program { names: [Exact("p")], exclude: false }, "#,
                r#"Host { names: [Named("h")], exclude: false }]"#
            ),
        ),
        (
            &["!p", "+h", "!*"],
            r#"[Host { names: [Named("h")], exclude: false }]"#,
        ),
    ] {
        assert_eq!(after(lines), want, "{lines:?}");
    }
}

#[test]
fn section_4_openbsd_has_patterns_and_quick_blocks() {
    let openbsd = LoadOptions::from(Dialect::Openbsd);
    for (line, want) in [
        (
            "!post*",
            r#"[Program { names: [Pattern(Regex("\\Apost.*\\z"))], exclude: false }]"#,
        ),
        (
            "!!ppp",
            r#"[Program { names: [Exact("ppp")], exclude: false }]"#,
        ),
        (
            "++gw?",
            r#"[Host { names: [Pattern(Regex("\\Agw.\\z"))], exclude: false }]"#,
        ),
    ] {
        assert_eq!(after_as(openbsd, &[line]), want, "{line}");
    }
    for (lines, want) in [
        (&["!!ppp"][..], Then::Stop),
        (&["++gw"], Then::Stop),
        (&["!ppp"], Then::Continue),
        (&["!!ppp", "!*"], Then::Continue),
        (&["!!ppp", ":*"], Then::Stop),
    ] {
        let mut blocks = Blocks::default();
        for line in lines {
            _ = blocks.read(Piece::new(line), openbsd, &mut Vec::new());
        }
        assert_eq!(blocks.then(), want, "{lines:?}");
    }
}

#[test]
fn section_4_filter_values_know_two_escapes() {
    for (line, octets) in [
        (r#":msg, contains, "a b""#, r"97, 32, 98"),
        (r#":msg,contains,"\"\\""#, r"34, 92"),
        (r#":msg,contains,"\n""#, r"92, 110"),
        (r#":msg, icase_contains, "AB""#, r"97, 98"),
    ] {
        assert!(
            after(&[line]).contains(&format!("octets: [{octets}]")),
            "{line}"
        );
    }
}

#[test]
fn section_4_operators_and_properties() {
    for property in [
        "msg",
        "programname",
        "hostname",
        "source",
        "msgid",
        "sd",
        "data",
        "MSG",
    ] {
        for operator in OPERATORS {
            for prefix in ["", "!", "icase_", "!icase_"] {
                let got = after(&[&format!(":{property}, {prefix}{operator}, \"x\"")]);
                let negate = format!("negate: {}", prefix.starts_with('!'));
                assert!(
                    got.contains(&negate),
                    "{property} {prefix}{operator}: {got}"
                );
            }
        }
    }
}

#[test]
fn a_broken_block_lets_nothing_through_until_the_next() {
    for line in [
        ":msg",
        ":msg, contains",
        ":msg, contains, x",
        ":msg, contains, \"x",
        ":msg, contains, \"x\" /var/log/x",
        ":mgs, contains, \"x\"",
        ":msg, contain, \"x\"",
        r#":msg, regex, "\(a\)\1""#,
        "!a b",
        "!a,,b",
        "!!a",
        "++a",
        "+",
        "-/var/log/x",
    ] {
        assert!(
            after(&[line]).starts_with("E104: "),
            "{line}: {}",
            after(&[line])
        );
    }
    assert_eq!(after(&["!a b", "!*"]), "[]");
}
