//! The rules that hold for every message, and the limits of its fields.

use proptest::prelude::*;

use super::*;

const LOCAL: Sender<'_> = Sender::Local {
    hostname: b"loghost.example.net",
};

fn text(octets: Option<&[u8]>) -> String {
    octets.map_or_else(|| "-".into(), |octets| octets.escape_ascii().to_string())
}

/// Whether `inner` is a part of `outer`, the same octets and not equal ones.
fn lies_in(inner: &[u8], outer: &[u8]) -> bool {
    let (inner, outer) = (inner.as_ptr_range(), outer.as_ptr_range());
    inner.start == inner.end || (outer.start <= inner.start && inner.end <= outer.end)
}

#[test]
fn rfc5424_6_2_1_pri_is_0_to_191_in_one_to_three_digits() {
    for (octets, want) in [
        (&b"<0>x"[..], Some(0)), // kern.emerg
        (b"<191>x", Some(191)),  // local7.debug
        (b"<013>x", Some(13)),   // a leading zero is taken, and flagged
        (b"<192>x", None),       // one past the last facility
        (b"<256>x", None),       // 0 in one octet
        (b"<0013>x", None),      // four digits
        (b"<1 3>x", None),
        (b"<13", None), // cut off
        (b"<>x", None),
    ] {
        let message = Message::parse(octets, Sender::Remote);
        let bad = message.flags().contains(Flag::BadPri);
        assert_eq!(
            (!bad).then(|| message.pri().value()),
            want,
            "{}",
            octets.escape_ascii()
        );
        assert_eq!(message.msg() == octets, want.is_none());
    }
}

#[test]
fn rfc3164_4_1_3_tag_separator_and_text_are_kept_octet_for_octet() {
    for (after_host, app_name, proc_id, msg) in [
        ("su: x", "su", "-", "x"),
        ("su:x", "su", "-", "x"),
        ("su  x", "su", "-", " x"),
        ("su[7]: x", "su", "7", "x"),
        ("su[7] x", "su", "7", "x"),
        ("su[7 x", "-", "-", "su[7 x"), // no TAG has a space
        (": x", "-", "-", "x"),         // no name
        ("{\"su\":1}", "-", "-", "{\"su\":1}"),
        ("CEF:0|x", "CEF", "-", "0|x"),
    ] {
        let octets = format!("<13>Feb  5 17:32:18 10.0.0.99 {after_host}");
        let message = Message::parse(octets.as_bytes(), Sender::Remote);
        assert_eq!(message.text(), after_host.as_bytes());
        assert_eq!(text(message.hostname()), "10.0.0.99");
        assert_eq!(text(message.app_name()), app_name, "{after_host}");
        assert_eq!(text(message.proc_id()), proc_id, "{after_host}");
        assert_eq!(message.msg(), msg.as_bytes(), "{after_host}");
    }
}

#[test]
fn a_local_process_sends_no_hostname_unless_it_is_our_own() {
    for (word, hostname, app_name) in [
        ("loghost", "loghost", "cron"),
        ("LOGHOST.example.net", "LOGHOST.example.net", "cron"),
        ("loghost.example.org", "-", "loghost.example.org"), // another domain
        ("other", "-", "other"),
    ] {
        let octets = format!("<13>Feb  5 17:32:18 {word} cron: x");
        let message = Message::parse(octets.as_bytes(), LOCAL);
        assert_eq!(text(message.hostname()), hostname, "{word}");
        assert_eq!(text(message.app_name()), app_name, "{word}");
    }
}

#[test]
fn rfc5424_6_2_a_field_over_its_limit_is_cut_to_it_and_flagged() {
    let long = "x".repeat(300);
    let octets = format!("<13>1 - {long} {long} {long} {long} - m");
    let message = Message::parse(octets.as_bytes(), Sender::Remote);
    let lengths = [
        message.hostname(),
        message.app_name(),
        message.proc_id(),
        message.msg_id(),
    ]
    .map(|field| field.map_or(0, <[u8]>::len));
    assert_eq!(lengths, [255, 48, 128, 32]);
    assert!(message.flags().contains(Flag::FieldTruncated));
    assert_eq!(message.msg(), b"m");
}

#[test]
fn rfc5424_6_4_a_bom_that_lies_is_flagged_and_nothing_is_changed() {
    let message = Message::parse(b"<13>1 - - - - - - \xef\xbb\xbfcaf\xe9", Sender::Remote);
    assert_eq!(message.msg(), b"caf\xe9");
    assert!(message.flags().contains(Flag::BadUtf8));
}

#[test]
fn trailing_lf_cr_and_nul_are_no_part_of_a_message() {
    for (octets, want) in [
        (&b"x\r\n"[..], &b"x"[..]),
        (b"x\n\0\n", b"x"),
        (b"x \n", b"x "), // a space is
        (b"\n\0", b""),
        (b"a\nb", b"a\nb"),
    ] {
        assert_eq!(trim(octets), want);
    }
}

#[test]
fn rfc3629_3_a_cut_splits_no_character() {
    for (octets, limit, want) in [
        (&b"abc"[..], 5, 3),
        (b"abc", 2, 2),
        ("a\u{e9}b".as_bytes(), 2, 1),   // in the middle of two octets
        ("a\u{e9}b".as_bytes(), 3, 3),   // after them
        ("\u{1f600}x".as_bytes(), 3, 0), // in the middle of four
        (b"\x80\x80\x80\x80\x80", 4, 4), // not UTF-8
        (b"a\x80\x80", 2, 2),            // a letter begins nothing longer
    ] {
        assert_eq!(utf8_cut(octets, limit), want, "{}", octets.escape_ascii());
    }
}

#[test]
fn each_flag_has_its_own_number_and_name() {
    for (number, flag) in Flag::ALL.into_iter().enumerate() {
        assert_eq!(flag as usize, number);
        let mut flags = Flags::EMPTY;
        flags.insert(flag);
        assert_eq!(flags.iter().collect::<Vec<_>>(), [flag]);
        assert_eq!(
            Flag::ALL
                .iter()
                .filter(|other| other.name() == flag.name())
                .count(),
            1
        );
    }
}

/// Octets that reach deep into the grammar more often than plain noise does.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 17] = [
        b"<13>",
        b"1 ",
        b"- ",
        b"2003-10-11T22:14:15.003Z ",
        b"Oct 11 22:14:15 ",
        b"UTC ",
        b"1987 ",
        b"46: ",
        b"host ",
        b"su[1]: ",
        b"[x@1 a=\"b\"]",
        b"\xef\xbb\xbf",
        b"2001:db8::1 ",
        b"\"",
        b"]",
        b":",
        b" ",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    let noise = proptest::collection::vec(any::<u8>(), 0..6);
    proptest::collection::vec(
        prop_oneof![4 => piece.prop_map(<[u8]>::to_vec), 1 => noise],
        0..12,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_octets_are_a_message_whose_fields_lie_in_them(octets in plausible(), local in any::<bool>()) {
        let sender = if local { LOCAL } else { Sender::Remote };
        for end in 0..=octets.len() {
            let octets = octets.get(..end).expect("in range");
            let message = Message::parse(octets, sender);
            let fields = [
                message.timestamp_octets(), message.hostname(), message.app_name(),
                message.proc_id(), message.msg_id(), Some(message.structured_data().octets()),
                Some(message.msg()),
            ];
            for field in fields.into_iter().flatten() {
                prop_assert!(lies_in(field, octets));
            }
            prop_assert!(octets.ends_with(message.text()));
            prop_assert!(message.text().ends_with(message.msg()));
            prop_assert_eq!(message.timestamp().is_some(), message.timestamp_octets().is_some());
            if message.form() == Form::Rfc5424 {
                prop_assert_eq!(message.text(), message.msg());
            }
        }
    }
}
