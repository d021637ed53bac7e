//! Putting it together: the only place that knows all parts.

pub mod host;
