//! The vocabulary: every word that a configuration may use, so that its manual can be held against it.

use super::action::{ESCAPES, LAYOUTS, SYNCS, VALUED};
use super::condition::{OPERATORS, PROPERTIES};
use super::grammar::FACILITY_ALIASES;
use super::keyword::KEYWORDS;
use super::rotation::{COMPRESSIONS, PERIODS};
use super::selector::SEVERITIES;
use crate::pri::Facility;

/// Keywords, options and their values, properties, operators, facilities and severities, aliases included.
///
/// Names of options are in lower case, and those without a value come without `=`.
pub fn vocabulary() -> impl Iterator<Item = &'static str> {
    let facilities = Facility::ALL.into_iter().map(Facility::name);
    KEYWORDS
        .into_iter()
        .chain(LAYOUTS.map(|(name, _)| name))
        .chain(["pri"])
        .chain(VALUED)
        .chain(SYNCS)
        .chain(ESCAPES)
        .chain(PERIODS.map(|(name, _)| name))
        .chain(COMPRESSIONS)
        .chain(PROPERTIES.map(|(name, _)| name))
        .chain(OPERATORS)
        .chain(["icase_"])
        .chain(facilities)
        .chain(FACILITY_ALIASES.map(|(name, _)| name))
        .chain(["mark"])
        .chain(SEVERITIES.map(|(name, _)| name))
        .chain(["none"])
}
