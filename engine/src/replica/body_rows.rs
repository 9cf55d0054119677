//! Rows of bodies: what is known of a body in one document and, of a small one that an entry names,
//! its bytes. They go with the state: a body that is withdrawn or given up leaves nothing behind.
//!
//! ```text
//! key    r ‖ hash ‖ doc
//! value  state u8 ‖ [bytes, where it is held and at most 1 KiB]
//! ```
//!
//! Larger ones, and those that came before store format 4, are blobs under their hash.

use bytes::Bytes;

use super::bodies::BodyState;
use super::{EngineError, Replica};
use crate::hash::{BlobHash, DocumentId};
use crate::store::{Table, keys};

/// Bodies up to this size are in the row of their state: whoever asks for the state of one reads
/// them along.
pub(super) const BODY_ROW_BYTES_MAX: usize = 1024;
/// Rows of bodies that are read at once.
const STEP: usize = 1024;

/// The row of a body that is held, if it has room for its bytes.
pub(super) fn held_row(blob: &[u8]) -> Option<Vec<u8>> {
    let fits = !blob.is_empty() && blob.len() <= BODY_ROW_BYTES_MAX;
    fits.then(|| [&[BodyState::Held as u8], blob].concat())
}

/// The bytes that a row holds.
pub(super) fn bytes_in(row: &Bytes) -> Option<Bytes> {
    let held = BodyState::parse(row) == Some(BodyState::Held);
    (held && row.len() > 1).then(|| row.slice(1..))
}

impl Replica {
    /// The bytes of a body that should be here for a document, hashed again, if `row` says so;
    /// `None`, and noted, if they are not sound.
    pub(super) fn held_bytes_in(
        &self,
        row: &Bytes,
        hash: &BlobHash,
    ) -> Result<Option<Bytes>, EngineError> {
        match bytes_in(row) {
            Some(bytes) if BlobHash::of(&bytes) == *hash => Ok(Some(bytes)),
            // A damaged one may be whole for another document.
            _ => self.held_bytes(hash),
        }
    }

    /// The bytes of a body from the rows of the documents that name it: the first that are whole,
    /// or any if none are.
    pub(super) fn bytes_in_rows(&self, hash: &BlobHash) -> Result<Option<Bytes>, EngineError> {
        let rows = self.scan_all(Table::Meta, &keys::body_places(hash))?;
        let mut found = rows.iter().filter_map(|(_, row)| bytes_in(row));
        let first = found.next();
        Ok(match first {
            Some(bytes) if BlobHash::of(&bytes) != *hash => {
                found.find(|other| BlobHash::of(other) == *hash).or(Some(bytes))
            }
            first => first,
        })
    }

    /// The size of a body or blob that is here, a row or a file.
    pub(super) fn held_size(&self, hash: &BlobHash) -> Result<Option<u64>, EngineError> {
        if let Some(row) = self.store.get(Table::Truth, &keys::blob(hash))? {
            return Ok(Some(row.len() as u64));
        }
        if let Some(bytes) = self.bytes_in_rows(hash)? {
            return Ok(Some(bytes.len() as u64));
        }
        Ok(self.store.blob_info(hash)?.map(|info| info.size))
    }

    /// Calls `visit` with hash, document and row of each body that a document names, in steps.
    pub(super) fn each_body(
        &self,
        visit: &mut dyn FnMut(BlobHash, DocumentId, &Bytes) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let mut start: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(Table::Meta, keys::BODIES, start.as_deref(), false, STEP)?;
            for (key, row) in &rows {
                let hash = key.get(1..).and_then(|rest| rest.first_chunk::<32>());
                let doc = keys::parse_space_document(key);
                if let (Some(hash), Some(doc)) = (hash, doc)
                    && !visit(BlobHash::from_bytes(*hash), doc, row)?
                {
                    return Ok(());
                }
            }
            let Some((last, _)) = rows.last().filter(|_| rows.len() == STEP) else { return Ok(()) };
            start = Some([last.as_ref(), &[0]].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_held_row_has_bytes() {
        let row = Bytes::from(held_row(b"some bytes").unwrap());
        assert_eq!(BodyState::parse(&row), Some(BodyState::Held));
        assert_eq!(bytes_in(&row).as_deref(), Some(&b"some bytes"[..]));
        for state in [BodyState::Wanted, BodyState::Dropped, BodyState::Evicted] {
            let row = Bytes::from(vec![state as u8]);
            assert_eq!((BodyState::parse(&row), bytes_in(&row)), (Some(state), None));
            assert_eq!(BodyState::parse(&[state as u8, 7]), None);
        }
        assert_eq!(bytes_in(&Bytes::from(vec![BodyState::Held as u8])), None);
        assert_eq!(held_row(b""), None);
        assert!(held_row(&[7; BODY_ROW_BYTES_MAX]).is_some());
        assert_eq!(held_row(&[7; BODY_ROW_BYTES_MAX + 1]), None);
    }
}
