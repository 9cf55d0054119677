//! Versions of what is compared, as the lock file has them.

use std::collections::BTreeMap;

const LOCK: &str = include_str!("../../../Cargo.lock");
/// Crates whose version decides about a figure.
const CRATES: &[&str] = &[
    "automerge",
    "blake3",
    "ed25519-dalek",
    "fjall",
    "iroh",
    "iroh-blobs",
    "negentropy",
    "sedimentree_core",
    "yrs",
];

/// Returns the versions by crate.
#[must_use]
pub fn all() -> BTreeMap<String, String> {
    let version = |name: &str| {
        let at = LOCK.find(&format!("name = \"{name}\"\nversion = \""))?;
        LOCK[at..].split('"').nth(3).map(str::to_owned)
    };
    let known = CRATES.iter().filter_map(|name| Some(((*name).to_owned(), version(name)?)));
    known.collect()
}
