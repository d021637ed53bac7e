use super::*;

fn digits(selector: &str, facility: Facility) -> String {
    let selection = parse(Piece::new(selector), &mut Vec::new());
    let selection = selection.unwrap_or_else(|problem| panic!("{selector}: {}", problem.message));
    let all = selection
        .pris
        .iter()
        .filter(|pri| pri.facility() == facility);
    all.map(|pri| (b'0' + pri.severity() as u8) as char)
        .collect()
}

fn codes(selector: &str) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    let outcome = parse(Piece::new(selector), &mut warnings);
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
        let marks = parse(Piece::new(selector), &mut Vec::new()).map(|selection| selection.marks);
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
        ("mail.<=info", &["E101"]),
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
