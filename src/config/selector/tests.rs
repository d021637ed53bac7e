use super::*;
use crate::cli::Dialect;

fn digits(selector: &str, facility: Facility) -> String {
    digits_as(Dialect::Sysklogd, selector, facility)
}

/// The severities that a selector takes of a facility; `rejected` if it is none.
fn digits_as(dialect: Dialect, selector: &str, facility: Facility) -> String {
    let selection = parse(Piece::new(selector), dialect.into(), &mut Vec::new());
    let Ok(selection) = selection else {
        return "rejected".to_owned();
    };
    let all = selection
        .pris
        .iter()
        .filter(|pri| pri.facility() == facility);
    all.map(|pri| (b'0' + pri.severity() as u8) as char)
        .collect()
}

fn codes(selector: &str) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    let outcome = parse(Piece::new(selector), LoadOptions::default(), &mut warnings);
    let error = outcome.err().map(|problem| problem.code);
    warnings
        .iter()
        .map(|problem| problem.code)
        .chain(error)
        .collect()
}

#[test]
fn section_2_the_linux_algebra_works_from_left_to_right() {
    use Facility::{Kern, Local6, Mail, News};
    for (selector, facility, want) in [
        ("*.info;mail.none", Mail, ""),
        ("*.info;mail.none", News, "0123456"),
        ("mail.none;*.info", Mail, "0123456"),
        ("*.=info;*.=notice", Mail, "56"),
        ("*.*;mail.!err", Mail, "4567"),
        ("kern.info;kern.!err", Kern, "456"),
        ("mail.!=info", Mail, ""),
        ("*.!err", Mail, ""),
        ("*.debug;local6.err", Local6, "01234567"),
        ("mail,news.crit;*.err", Mail, "0123"),
        ("mail.crit;*.err", Mail, "0123"),
        ("mail.crit,*.err", News, "0123"),
        ("*.*;mail.none;mail.=info", Mail, "6"),
        ("*.*;*,mail.none", News, ""),
        ("mail.!none", Mail, "01234567"),
        ("mail.=*", Mail, "01234567"),
        ("mail.6", Mail, "0123456"),
        ("2.info", Kern, "0123456"),
        ("16.info", Mail, "0123456"),
        ("MAIL.Info", Mail, "0123456"),
        ("mail.info;", Mail, "0123456"),
        ("mail.info;;news.err", News, "0123"),
        ("mail.panic", Mail, "0"),
        ("mail.error", Mail, "0123"),
        ("mail.warn", Mail, "01234"),
        ("mail.!*", Mail, ""),
        ("*.info;*.!warn", Mail, "56"),
    ] {
        assert_eq!(
            digits(selector, facility),
            want,
            "{selector} {}",
            facility.name()
        );
    }
}

#[test]
fn section_1_facility_names_are_sysklogds() {
    for (name, facility) in [
        ("security", Facility::Security),
        ("audit", Facility::Security),
        ("ntp", Facility::Ntp),
        ("console", Facility::Console),
        ("cron2", Facility::Clock),
        ("local7", Facility::Local7),
        ("184", Facility::Local7),
    ] {
        assert_eq!(digits(&format!("{name}.*"), facility), "01234567", "{name}");
    }
}

#[test]
fn section_2_a_star_takes_marks_too() {
    for (selector, want) in [
        ("*.*", true),
        ("*.info", true),
        ("*.notice", false),
        ("mark.*", true),
        ("mark.=info", true),
        ("mail.*", false),
        ("*.*;mark.none", false),
    ] {
        let selection = parse(
            Piece::new(selector),
            LoadOptions::default(),
            &mut Vec::new(),
        );
        let marks = selection.map(|selection| selection.marks);
        assert_eq!(marks.ok(), Some(want), "{selector}");
    }
}

#[test]
fn what_no_operator_means_is_an_error_or_a_warning() {
    for (selector, want) in [
        ("foo.info", &["E101"][..]),
        ("mail.foo", &["E101"]),
        ("mail", &["E101"]),
        ("mail.", &["E101"]),
        (".info", &["E101"]),
        (";", &["E101"]),
        ("mail.8", &["E101"]),
        ("192.info", &["E101"]),
        ("9999999.info", &["E101"]),
        ("99999999999999999999999.*", &["E101"]),
        ("mail.=!info", &["E101"]),
        ("mail.!=info", &["W001"]),
        ("*.!err", &["W001"]),
        ("mail.none;*.info", &["W002"]),
        ("mail.crit,*.err", &["W007"]),
        ("2.info", &["W008"]),
        ("mail.=*", &["W009"]),
        ("*.*;mail.none;mail.=info", &[]),
        ("mark.*", &[]),
    ] {
        assert_eq!(codes(selector), want, "{selector}");
    }
}

/// grammar.md 2, the whole table: Linux, FreeBSD and NetBSD, OpenBSD.
#[test]
fn section_2_the_two_algebras_as_measured() {
    use Facility::{Kern, Local6, Mail, News};
    const ALL: &str = "01234567";
    const NO: &str = "rejected";
    for (selector, facility, linux, freebsd, openbsd) in [
        ("*.info;mail.none", Mail, "", "", ""),
        ("mail.none;*.info", Mail, "0123456", "0123456", "0123456"),
        ("*.=info;*.=notice", Mail, "56", "5", NO),
        ("*.*;mail.!err", Mail, "4567", "4567", NO),
        ("kern.info;kern.!err", Kern, "456", "4567", NO),
        ("mail.!=info", Mail, "", "0123457", NO),
        ("*.!err", Mail, "", "4567", NO),
        ("*.debug;local6.err", Local6, ALL, "0123", "0123"),
        ("mail,news.crit;*.err", Mail, "0123", "0123", "0123"),
        ("mail.crit;*.err", Mail, "0123", "0123", "0123"),
        ("mail.crit,*.err", Mail, "0123", "0123", "0123"),
        ("mail.crit,*.err", News, "0123", "0123", "0123"),
        ("*.*;mail.none;mail.=info", Mail, "6", "6", NO),
        ("*.*;*,mail.none", Mail, "", "", ""),
        ("*.*;*,mail.none", News, "", "", ""),
        ("mail.!none", Mail, ALL, ALL, NO),
        ("mail.=*", Mail, ALL, ALL, NO),
        ("mail.6", Mail, "0123456", "0123456", NO),
        ("2.info", Kern, "0123456", "0123456", NO),
        ("16.info", Mail, "0123456", "0123456", NO),
        ("MAIL.Info", Mail, "0123456", "0123456", "0123456"),
        ("foo.info", Mail, NO, NO, NO),
        ("mail.foo", Mail, NO, NO, NO),
        ("mail", Mail, NO, NO, NO),
        ("mail.info;", Mail, "0123456", "0123456", "0123456"),
        ("mail.info;;news.err", News, "0123", "0123", "0123"),
        ("9999999.info", Mail, NO, NO, NO),
    ] {
        for (dialect, want) in [
            (Dialect::Sysklogd, linux),
            (Dialect::Inetutils, linux),
            (Dialect::Sysklogd1, linux),
            (Dialect::Busybox, linux),
            (Dialect::Freebsd, freebsd),
            (Dialect::Netbsd, freebsd),
            (Dialect::Openbsd, openbsd),
        ] {
            let got = digits_as(dialect, selector, facility);
            assert_eq!(got, want, "{dialect:?} {selector} {}", facility.name());
        }
    }
}

#[test]
fn section_1_comparisons_are_sets_of_priorities() {
    use Dialect::{Freebsd, Inetutils, Openbsd, Sysklogd};
    for (dialect, severity, want) in [
        (Freebsd, "<err", "4567"),
        (Freebsd, "<=err", "34567"),
        (Freebsd, "=<err", "34567"),
        (Freebsd, "=err", "3"),
        (Freebsd, ">err", "012"),
        (Freebsd, ">=err", "0123"),
        (Freebsd, "<>err", "0124567"),
        (Freebsd, "<=>err", "01234567"),
        (Freebsd, "!<=err", "012"),
        (Freebsd, "!<>err", "3"),
        (Freebsd, "!*", ""),
        (Sysklogd, "<=err", "34567"),
        (Sysklogd, "*;mail.!<err", "0123"),
        (Sysklogd, "!<err", ""),
        (Inetutils, "<err", "rejected"),
        (Inetutils, "=err", "3"),
        (Openbsd, "<err", "rejected"),
    ] {
        let got = digits_as(dialect, &format!("mail.{severity}"), Facility::Mail);
        assert_eq!(got, want, "{dialect:?} {severity}");
    }
}

#[test]
fn an_exact_priority_is_one_unless_an_operator_says_more() {
    let exact = LoadOptions {
        dialect: Dialect::Freebsd,
        exact: true,
    };
    for (selector, want) in [("mail.err", 1), ("mail.>=err", 4), ("mail.*", 8)] {
        let selection = parse(Piece::new(selector), exact, &mut Vec::new());
        let count = selection.map(|selection| selection.pris.iter().count());
        assert_eq!(count.ok(), Some(want), "{selector}");
    }
}

#[test]
fn section_2_a_bsds_star_takes_no_marks() {
    for (selector, want) in [("*.*", false), ("mark.*", true)] {
        let freebsd = LoadOptions::from(Dialect::Freebsd);
        let marks =
            parse(Piece::new(selector), freebsd, &mut Vec::new()).map(|selection| selection.marks);
        assert_eq!(marks.ok(), Some(want), "{selector}");
    }
}
