//! Octets as the vector files write them: escaped as in Rust.

/// The octets that a line of a vector file stands for.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let (octet, length) = match &rest.as_bytes()[at + 1..] {
            [b'x', high, low, ..] => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16).expect("two digits");
                let value = digit(high) << 4 | digit(low);
                (u8::try_from(value).expect("two digits"), 4)
            }
            [b'n', ..] => (b'\n', 2),
            [b't', ..] => (b'\t', 2),
            [b'r', ..] => (b'\r', 2),
            [other, ..] => (*other, 2),
            [] => (b'\\', 1),
        };
        octets.push(octet);
        rest = &rest[at + length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
