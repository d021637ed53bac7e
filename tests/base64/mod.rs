//! Base64 (RFC 4648 4), as the shared corpus writes octets.

/// The octets of a text without line ends; letters outside the alphabet count as `/`.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from((bits >> count) & 0xff).expect("masked"));
        }
    }
    octets
}
