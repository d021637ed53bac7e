//! Any octets and any prefix of them are a message, and its fields are parts of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syslogd::message::{Form, Message, Sender};

fuzz_target!(|octets: &[u8]| {
    let local = Sender::Local {
        hostname: b"loghost",
    };
    for end in 0..=octets.len().min(300) {
        check(&octets[..end], Sender::Remote);
    }
    check(octets, Sender::Remote);
    check(octets, local);
});

fn check(octets: &[u8], sender: Sender<'_>) {
    let message = Message::parse(octets, sender);
    let outer = octets.as_ptr_range();
    let fields = [
        message.timestamp_octets(),
        message.hostname(),
        message.app_name(),
        message.proc_id(),
        message.msg_id(),
        Some(message.structured_data().octets()),
        Some(message.msg()),
    ];
    for field in fields
        .into_iter()
        .flatten()
        .filter(|field| !field.is_empty())
    {
        let inner = field.as_ptr_range();
        assert!(outer.start <= inner.start && inner.end <= outer.end);
    }
    assert!(octets.ends_with(message.text()));
    assert!(message.text().ends_with(message.msg()));
    assert_eq!(
        message.timestamp().is_some(),
        message.timestamp_octets().is_some()
    );
    if message.form() != Form::Rfc3164 {
        assert_eq!(message.text(), message.msg());
    }
    // The elements are the whole of STRUCTURED-DATA: brackets, names, values and nothing else.
    let structured_data = message.structured_data();
    let elements = structured_data.elements().count();
    assert_eq!(elements == 0, structured_data.octets().is_empty());
    for element in structured_data.elements() {
        assert!(!element.id().is_empty());
        for param in element.params() {
            assert!(param.value().len() <= structured_data.octets().len());
        }
    }
    assert_eq!(
        message.flags().iter().count() == 0,
        message.flags().is_empty()
    );
}
