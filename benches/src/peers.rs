//! Others at the same work, over the same changes. Automerge is in [`crate::floor`].

use std::collections::BTreeMap;

use mosaic_engine::replica::Replica;

/// What another took to find out what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who.
    pub name: &'static str,
    /// Bytes, both ways, without the changes themselves.
    pub bytes: u64,
    /// Messages one after the other.
    pub legs: u64,
    /// Processor time of both sides, in nanoseconds, from nothing kept.
    pub ns: u64,
}

/// Lets everybody who fits find out what differs between two replicas.
#[must_use]
pub fn find(nodes: [&Replica; 2]) -> Vec<Found> {
    let _ = nodes;
    Vec::new()
}

/// Returns who is not in the report, and why.
#[must_use]
pub fn not_run() -> BTreeMap<String, String> {
    let names = [
        "negentropy",
        "sedimentree_core",
        "yrs",
        "git",
        "iroh-blobs GetMany",
        "loro",
        "samod",
        "iroh-docs",
        "subduction",
    ];
    names.map(|name| (name.to_owned(), "not written yet".to_owned())).into()
}
