//! The same documents as maps of another library: the same keys, the same values.

use std::collections::BTreeMap;

use mosaic_engine::hash::DocumentId;
use yrs::updates::decoder::Decode;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact, Update};

use crate::floor::Documents;
use crate::measure::cpu;

/// What another library takes for a first copy of all documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Who.
    pub name: &'static str,
    /// Bytes of all documents as they travel whole.
    pub bytes: u64,
    /// Processor time of encoding and applying them, in nanoseconds.
    pub ns: u64,
}

/// Lets every library copy the documents that Automerge holds.
///
/// # Panics
/// If a library refuses its own bytes.
#[must_use]
pub fn copies(documents: &Documents) -> Vec<Copied> {
    let docs: BTreeMap<&DocumentId, Doc> =
        documents.iter().map(|(name, document)| (name, as_yrs(document))).collect();
    let (ns, bytes) = cpu(|| {
        let mut bytes = 0;
        for doc in docs.values() {
            let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
            bytes += update.len() as u64;
            let copy = Doc::new();
            let update = Update::decode_v1(&update).expect("an update");
            copy.transact_mut().apply_update(update).expect("a copy");
        }
        bytes
    });
    vec![Copied { name: "yrs", bytes, ns }]
}

fn as_yrs(document: &automerge::Automerge) -> Doc {
    use automerge::ReadDoc;
    let doc = Doc::new();
    let map = doc.get_or_insert_map("log");
    let mut entries: Vec<(String, Vec<u8>)> = document
        .map_range(automerge::ROOT, ..)
        .filter_map(|item| {
            let (value, _) = document.get(automerge::ROOT, &*item.key).ok()??;
            Some((item.key.to_string(), value.as_bytes().map_or_else(Vec::new, <[u8]>::to_vec)))
        })
        .collect();
    // Keys count down: the first written is the last key.
    entries.reverse();
    for (key, value) in entries {
        map.insert(&mut doc.transact_mut(), key, yrs::Any::from(value));
    }
    doc
}
