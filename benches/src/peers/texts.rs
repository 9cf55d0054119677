//! The same text, typed into another library.

use mosaic_engine::document::Splice;
use yrs::updates::decoder::Decode;
use yrs::{Doc, ReadTxn, StateVector, Text, Transact, Update};

use crate::measure::cpu;

/// What a text took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypedText {
    /// Processor time of typing it, in nanoseconds.
    pub typing_ns: u64,
    /// Bytes of all of it as it travels.
    pub bytes: u64,
    /// Processor time of encoding it whole and applying it elsewhere, in nanoseconds.
    pub copy_ns: u64,
}

/// Types edits of characters of one byte, so many a transaction, and copies the text.
///
/// # Panics
/// If a library refuses its own bytes.
#[must_use]
pub fn typed(edits: &[Splice], per_transaction: usize) -> TypedText {
    let doc = Doc::new();
    let text = doc.get_or_insert_text("text");
    let (typing_ns, ()) = cpu(|| {
        for edits in edits.chunks(per_transaction) {
            let mut transaction = doc.transact_mut();
            for Splice { at, deleted, inserted } in edits {
                let at = u32::try_from(*at).expect("a place");
                if *deleted > 0 {
                    let count = u32::try_from(*deleted).expect("a count");
                    text.remove_range(&mut transaction, at, count);
                }
                if !inserted.is_empty() {
                    text.insert(&mut transaction, at, inserted);
                }
            }
        }
    });
    let (copy_ns, bytes) = cpu(|| {
        let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
        let copy = Doc::new();
        let decoded = Update::decode_v1(&update).expect("an update");
        copy.transact_mut().apply_update(decoded).expect("a copy");
        update.len() as u64
    });
    TypedText { typing_ns, bytes, copy_ns }
}
