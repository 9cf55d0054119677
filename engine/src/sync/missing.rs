//! What is known and wanted but not held.

use crate::description::SectionClass;
use crate::sync::exchange::{Exchange, ExchangeResult, Section};
use crate::sync::session::Session;

/// What is known and wanted but not held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// All of it: what is asked for.
    pub all: u64,
    /// What is missing in sections that count.
    pub counted: u64,
}

/// Whether a section counts in what is said about both sides: a stranger who gives a head
/// and keeps the rest to himself must not make anybody look incomplete.
pub(super) fn counts(section: &Section) -> bool {
    section.class != SectionClass::Visitors
}

impl Session {
    /// Bodies and chains of all common sections known, wanted and not held here.
    pub(super) fn missing(&self, exchange: &dyn Exchange) -> ExchangeResult<Missing> {
        let mut missing = Missing::default();
        for (_, section) in self.sections() {
            let here = exchange.missing_count(&section)?;
            missing.all += here;
            missing.counted += if counts(&section) { here } else { 0 };
        }
        Ok(missing)
    }
}
