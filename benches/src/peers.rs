//! Others at the same work, over the same changes. Built with the feature `peers`; Automerge
//! alone is always there, in [`crate::floor`].

#[cfg(feature = "peers")]
mod blobs;
#[cfg(feature = "peers")]
mod git;
#[cfg(feature = "peers")]
mod maps;
#[cfg(feature = "peers")]
mod sets;
#[cfg(feature = "peers")]
mod texts;

use std::collections::BTreeMap;

use mosaic_engine::replica::Replica;

#[cfg(feature = "peers")]
pub use blobs::{Carried, carry, stock};
#[cfg(feature = "peers")]
pub use git::{Fetched, fetched};
#[cfg(feature = "peers")]
pub use maps::{Copied, copies};
#[cfg(feature = "peers")]
pub use texts::{TypedText, typed};

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
    #[cfg(feature = "peers")]
    return sets::find(nodes);
    #[cfg(not(feature = "peers"))]
    {
        let _ = nodes;
        Vec::new()
    }
}

/// Returns who is not in the report, and why.
#[must_use]
pub fn not_run() -> BTreeMap<String, String> {
    let always = [
        ("loro", "its crate `im` is under MPL-2.0, which is not among the licences of deny.toml"),
        ("samod", "a repository over its own transport: not written yet"),
        ("iroh-docs", "brings a second iroh-blobs (0.103); not written yet"),
        (
            "subduction",
            "sedimentree_core, its comparison, runs; the server around it is not written",
        ),
    ];
    let built = ["negentropy", "sedimentree_core", "yrs", "git", "iroh-blobs GetMany"];
    let mut out: BTreeMap<String, String> =
        always.map(|(name, why)| (name.to_owned(), why.to_owned())).into();
    if !cfg!(feature = "peers") {
        let why = "built without the feature `peers`";
        out.extend(built.map(|name| (name.to_owned(), why.to_owned())));
    }
    out
}
