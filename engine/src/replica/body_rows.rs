//! Rows of bodies: what is known of a body in one document and, of a small one that an entry names,
//! its bytes. They go with the state: a body that is withdrawn or given up leaves nothing behind.
//!
//! ```text
//! key    r ‖ hash ‖ doc
//! value  state u8 ‖ [bytes, where it is held and at most 1 KiB]
//! ```
//!
//! Larger ones, and those that came before store format 4, are blobs under their hash. Small ones of
//! posts and comments that came together share rows instead (see [`super::gathered`]).

use std::collections::VecDeque;

use bytes::Bytes;

use super::bodies::BodyState;
use super::{EngineError, Replica};
use crate::hash::{BlobHash, DocumentId};
use crate::store::{Row, Table, keys};

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
        let rows = self.body_rows(hash)?;
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

    /// Calls `visit` with hash, document and row of each body that a document names, in the order of
    /// hashes, until it says false.
    pub(super) fn each_body(
        &self,
        visit: &mut dyn FnMut(BlobHash, DocumentId, &Bytes) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let (mut own, mut shared) = (Walk::of(keys::BODIES), Walk::of(keys::GATHERED));
        let (mut one, mut other) = (None, None);
        loop {
            while one.is_none()
                && let Some((key, row)) = own.next(self)?
            {
                one = keys::parse_body_place(&key).map(|(hash, doc)| (hash, doc, row));
            }
            while other.is_none()
                && let Some(row) = shared.next(self)?
            {
                other = self.gathered_body(&row)?;
            }
            let first = match (&one, &other) {
                (None, None) => return Ok(()),
                (Some(_), None) => one.take(),
                (Some((hash, ..)), Some((than, ..))) if hash <= than => one.take(),
                _ => other.take(),
            };
            if let Some((hash, doc, row)) = first
                && !visit(hash, doc, &row)?
            {
                return Ok(());
            }
        }
    }
}

/// Rows of a kind, read in steps.
struct Walk {
    prefix: &'static [u8],
    start: Option<Vec<u8>>,
    rows: VecDeque<Row>,
    done: bool,
}

impl Walk {
    const fn of(prefix: &'static [u8]) -> Self {
        Self { prefix, start: None, rows: VecDeque::new(), done: false }
    }

    fn next(&mut self, replica: &Replica) -> Result<Option<Row>, EngineError> {
        if self.rows.is_empty() && !self.done {
            let start = self.start.as_deref();
            let rows = replica.store.scan(Table::Meta, self.prefix, start, false, STEP)?;
            self.done = rows.len() < STEP;
            self.start = rows.last().map(|(last, _)| [last.as_ref(), &[0]].concat());
            self.rows = rows.into();
        }
        Ok(self.rows.pop_front())
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
