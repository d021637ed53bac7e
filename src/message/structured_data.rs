//! STRUCTURED-DATA (RFC 5424 6.3), read only when somebody asks.

/// The elements of a message, lazily.
#[derive(Clone, Copy, Debug)]
pub struct StructuredData<'a> {
    octets: &'a [u8],
}

impl<'a> StructuredData<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets }
    }

    /// The octets as they stand in the message; empty for NILVALUE.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }
}
