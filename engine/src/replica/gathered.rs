//! Bodies of changes that came together: small ones of one chain share a row in the order of their
//! changes, so that who gives a page reads them in one go, and each has a short row under its hash.
//!
//! ```text
//! key    A ‖ doc, 16 bytes ‖ chain, 8 bytes ‖ first n
//! value  count u8 ‖ lengths u16 ‖ bytes
//! key    b ‖ hash, 16 bytes ‖ doc, 16 bytes
//! value  chain, 8 bytes ‖ first n varint ‖ place in the row u8
//! ```
//!
//! A body is here for a document either so or as its own row says (see [`super::body_rows`]), never
//! both. One that is withdrawn or given up goes out of the row: its length is 0 then, and the bytes
//! of the others move up.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::bodies::BodyState;
use super::body_rows::held_row;
use super::{EngineError, Replica, Work};
use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{BlobHash, DocumentId};
use crate::model::entry::Entry;
use crate::store::{Batch, Row, Table, keys};
use crate::view::bodies_of;

/// Bodies that share a row: as many as changes do.
const BODIES_MAX: usize = 64;
/// Rows that are read at once: at most 1 MiB.
const STEP: usize = 16;

/// Rows of bodies that a commit takes some out of, by their keys.
pub(super) type Edited = BTreeMap<Vec<u8>, Vec<Bytes>>;

/// Where a body is among others.
struct Place {
    run: Vec<u8>,
    index: usize,
}

impl Place {
    fn parse((key, value): (&[u8], &[u8])) -> Option<Self> {
        let (_, doc) = keys::parse_gathered(key)?;
        let (chain, first, index) = parse_place(value)?;
        Some(Self { run: keys::body_run(doc, &chain, first), index })
    }
}

/// The name of the chain, the first change of the row, and the place in it.
fn parse_place(value: &[u8]) -> Option<([u8; 8], u64, usize)> {
    let mut r = Reader::new(value);
    let chain = r.array("chain of a body").ok()?;
    let first = r.varint(u64::MAX, "first change of a body").ok()?;
    let index = usize::from(r.u8("place of a body").ok()?);
    r.end().ok()?;
    Some((chain, first, index))
}

fn encode(bodies: &[Bytes]) -> Vec<u8> {
    let bytes: usize = bodies.iter().map(|body| 2 + body.len()).sum();
    let mut w = Writer::with_capacity(1 + bytes);
    w.u8(u8::try_from(bodies.len()).unwrap_or(u8::MAX));
    for body in bodies {
        w.raw(&u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    for body in bodies {
        w.raw(body);
    }
    w.finish()
}

fn decode(row: &Bytes) -> Result<Vec<Bytes>, DecodeError> {
    let mut r = Reader::new(row);
    let count = r.u8("bodies of a run")?;
    let mut lengths = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        lengths.push(u16::from_be_bytes(r.array("length of a body")?));
    }
    let mut bodies = Vec::with_capacity(lengths.len());
    for length in lengths {
        bodies.push(row.slice_ref(r.take(usize::from(length), "body of a run")?));
    }
    r.end()?;
    Ok(bodies)
}

/// One body of a row.
fn nth(row: &Bytes, index: usize) -> Option<Bytes> {
    let count = usize::from(*row.first()?);
    let (lengths, bodies) = row.get(1..)?.split_at_checked(2 * count)?;
    let length = |pair: &[u8; 2]| usize::from(u16::from_be_bytes(*pair));
    let pairs = lengths.as_chunks::<2>().0;
    let before: usize = pairs.iter().take(index).map(length).sum();
    let body = bodies.get(before..)?.get(..length(pairs.get(index)?))?;
    Some(row.slice_ref(body))
}

/// Puts bodies of changes that share a row, of which `first` is the first. Those of which only one
/// is left, or that are too many, get rows of their own.
pub(super) fn put_gathered(
    batch: &mut Batch,
    chain: &ChainKey,
    first: u64,
    bodies: &[(BlobHash, Bytes)],
) {
    if !(2..=BODIES_MAX).contains(&bodies.len()) {
        for (hash, blob) in bodies {
            put_single(batch, hash, &chain.doc, blob);
        }
        return;
    }
    let (doc, name) = (keys::short_document(&chain.doc), keys::body_chain(chain));
    let blobs: Vec<Bytes> = bodies.iter().map(|(_, blob)| blob.clone()).collect();
    batch.put(Table::Meta, keys::body_run(&doc, &name, first), encode(&blobs));
    for (index, (hash, _)) in (0u8..).zip(bodies) {
        let mut w = Writer::with_capacity(19);
        w.raw(&name).varint(first).u8(index);
        batch.put(Table::Meta, keys::body_in_run(hash, &chain.doc), w.finish());
    }
}

/// Puts a small body into a row of its own.
pub(super) fn put_single(batch: &mut Batch, hash: &BlobHash, doc: &DocumentId, blob: &[u8]) {
    let row = held_row(blob).unwrap_or_else(|| vec![BodyState::Held as u8]);
    batch.put(Table::Meta, keys::body(hash, doc), row);
}

/// Puts rows as they are without what was taken out of them.
pub(super) fn put_edited(batch: &mut Batch, edited: Edited) {
    for (key, bodies) in edited {
        if bodies.iter().all(Bytes::is_empty) {
            batch.delete(Table::Meta, key);
        } else {
            batch.put(Table::Meta, key, encode(&bodies));
        }
    }
}

impl Replica {
    /// What is known of a body in one document: its state, and the bytes of a small one that is
    /// held.
    pub(super) fn body_row(
        &self,
        hash: &BlobHash,
        doc: &DocumentId,
    ) -> Result<Option<Bytes>, EngineError> {
        let key = keys::body_in_run(hash, doc);
        if let Some(value) = self.store.get(Table::Meta, &key)? {
            let row = self.gathered_row(hash, doc, (&key, &value))?;
            let whole = row.as_ref().is_some_and(|row| row.len() > 1);
            // It may have been taken out between the two looks.
            if whole || (row.is_some() && self.store.get(Table::Meta, &key)?.is_some()) {
                return Ok(row);
            }
        }
        Ok(self.store.get(Table::Meta, &keys::body(hash, doc))?)
    }

    /// As a row of its own would say it; `None` if it is another body, of which the hash only begins
    /// alike: anybody can ask for one. Where the row of all is damaged, the body is held and has no
    /// bytes, or not its own: who reads it notices.
    fn gathered_row(
        &self,
        hash: &BlobHash,
        doc: &DocumentId,
        (key, value): (&[u8], &[u8]),
    ) -> Result<Option<Bytes>, EngineError> {
        let row = self.stored_row(key, value)?;
        let whole = BlobHash::of(row.get(1..).unwrap_or_default()) == *hash;
        let meant = whole || self.named_at(doc, (key, value))? == Some(*hash);
        Ok(meant.then_some(row))
    }

    /// A body as it is in the row of all, whatever it is.
    fn stored_row(&self, key: &[u8], value: &[u8]) -> Result<Bytes, EngineError> {
        let held = || Bytes::from(vec![BodyState::Held as u8]);
        let Some(place) = Place::parse((key, value)) else { return Ok(held()) };
        let Some(row) = self.store.get(Table::Meta, &place.run)? else { return Ok(held()) };
        let own = nth(&row, place.index).and_then(|body| held_row(&body));
        Ok(own.map_or_else(held, Bytes::from))
    }

    /// The hash that begins as the key says, from the entry that names it: one of the changes whose
    /// bodies share the row.
    fn named_at(
        &self,
        doc: &DocumentId,
        (key, value): (&[u8], &[u8]),
    ) -> Result<Option<BlobHash>, EngineError> {
        let Some((start, _)) = keys::parse_gathered(key) else { return Ok(None) };
        let Some((name, first, _)) = parse_place(value) else { return Ok(None) };
        let last = first.saturating_add(BODIES_MAX as u64 - 1);
        let heads = self.scan_all(Table::Meta, &keys::heads_of(doc))?;
        let chains = heads.iter().filter_map(|(key, _)| keys::parse_head(key));
        for chain in chains.filter(|chain| keys::body_chain(chain) == name) {
            // An entry that is damaged itself names nothing.
            let items = self.chain_items(&chain, first, last).unwrap_or_default().into_iter();
            for stored in items.filter_map(|item| item.stored) {
                let Ok(entry) = Entry::decode(&stored.value) else { continue };
                let mut hashes = bodies_of(&entry).into_iter().map(|body| body.hash);
                if let Some(hash) = hashes.find(|hash| hash.as_bytes().starts_with(start)) {
                    return Ok(Some(hash));
                }
            }
        }
        Ok(None)
    }

    /// What is known of a body in all documents that name it.
    pub(super) fn body_rows(
        &self,
        hash: &BlobHash,
    ) -> Result<Vec<(DocumentId, Bytes)>, EngineError> {
        let own = self.scan_all(Table::Meta, &keys::body_places(hash))?.into_iter();
        let own = own.filter_map(|(key, row)| Some((keys::parse_body_place(&key)?.1, row)));
        let mut rows: Vec<(DocumentId, Bytes)> = own.collect();
        for (key, value) in self.scan_all(Table::Meta, &keys::gathered_places(hash))? {
            if let Some(doc) = self.gathered_doc(&key)?
                && let Some(row) = self.gathered_row(hash, &doc, (&key, &value))?
            {
                rows.push((doc, row));
            }
        }
        Ok(rows)
    }

    /// The document of which the key of a body says the beginning.
    fn gathered_doc(&self, key: &[u8]) -> Result<Option<DocumentId>, EngineError> {
        let Some((_, start)) = keys::parse_gathered(key) else { return Ok(None) };
        let found = self.store.scan(Table::Truth, &keys::descriptions(start), None, false, 1)?;
        let id = found.first().and_then(|(key, _)| key.last_chunk::<32>());
        Ok(id.map(|id| DocumentId::from_bytes(*id)))
    }

    /// Hash, document and row of a body among others. The hash is that of the bytes; where they are
    /// not those that the key names, that of the entry which does.
    pub(super) fn gathered_body(
        &self,
        (key, value): &Row,
    ) -> Result<Option<(BlobHash, DocumentId, Bytes)>, EngineError> {
        let Some((start, _)) = keys::parse_gathered(key) else { return Ok(None) };
        let Some(doc) = self.gathered_doc(key)? else { return Ok(None) };
        let row = self.stored_row(key, value)?;
        let hash = BlobHash::of(row.get(1..).unwrap_or_default());
        if hash.as_bytes().starts_with(start) {
            return Ok(Some((hash, doc, row)));
        }
        let hash = self.named_at(&doc, (key, value))?;
        Ok(hash.map(|hash| (hash, doc, row)))
    }

    /// Whether bodies of a chain may be where those from change `n` on would go.
    pub(super) fn are_bodies_in_the_way(
        &self,
        work: &Work,
        chain: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        if work.documents.contains(&chain.doc) {
            return Ok(false);
        }
        let (doc, name) = (keys::short_document(&chain.doc), keys::body_chain(chain));
        let (prefix, start) = (keys::body_runs(&doc, &name), keys::body_run(&doc, &name, n));
        Ok(!self.store.scan(Table::Meta, &prefix, Some(&start), false, 1)?.is_empty())
    }

    /// Says in the commit what is known of a body from now on: not that it is held.
    pub(super) fn put_body_state(
        &self,
        work: &mut Work,
        hash: &BlobHash,
        doc: &DocumentId,
        state: BodyState,
    ) -> Result<(), EngineError> {
        work.batch.put(Table::Meta, keys::body(hash, doc), vec![state as u8]);
        let key = keys::body_in_run(hash, doc);
        let Some(value) = self.store.get(Table::Meta, &key)? else { return Ok(()) };
        if self.gathered_row(hash, doc, (&key, &value))?.is_none() {
            return Ok(());
        }
        if let Some(place) = Place::parse((&key, &value)) {
            self.take_out(&mut work.edited, &place)?;
        }
        work.batch.delete(Table::Meta, key);
        Ok(())
    }

    /// As [`Replica::put_body_state`] of a body in all documents that hold it, outside of a commit.
    pub(super) fn take_out_everywhere(
        &self,
        batch: &mut Batch,
        hash: &BlobHash,
    ) -> Result<(), EngineError> {
        let mut edited = Edited::new();
        for (key, value) in self.scan_all(Table::Meta, &keys::gathered_places(hash))? {
            let Some(doc) = self.gathered_doc(&key)? else { continue };
            if self.gathered_row(hash, &doc, (&key, &value))?.is_none() {
                continue;
            }
            if let Some(place) = Place::parse((&key, &value)) {
                self.take_out(&mut edited, &place)?;
            }
            batch.delete(Table::Meta, key);
        }
        put_edited(batch, edited);
        Ok(())
    }

    fn take_out(&self, edited: &mut Edited, place: &Place) -> Result<(), EngineError> {
        if !edited.contains_key(&place.run) {
            let Some(row) = self.store.get(Table::Meta, &place.run)? else { return Ok(()) };
            // Of one that is damaged nothing can be kept.
            edited.insert(place.run.clone(), decode(&row).unwrap_or_default());
        }
        let body = edited.get_mut(&place.run).and_then(|bodies| bodies.get_mut(place.index));
        if let Some(body) = body {
            *body = Bytes::new();
        }
        Ok(())
    }

    /// Bodies of changes `first..=last` of a chain that share rows, each with the hash that its
    /// bytes have: the first of them, up to so many bytes. More may come along.
    pub(super) fn gathered_of(
        &self,
        chain: &ChainKey,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<(BlobHash, Bytes)>, EngineError> {
        let (doc, name) = (keys::short_document(&chain.doc), keys::body_chain(chain));
        let prefix = keys::body_runs(&doc, &name);
        let before = first.saturating_sub(BODIES_MAX as u64);
        let mut start = keys::body_run(&doc, &name, before);
        let (mut found, mut left) = (Vec::new(), bytes_max);
        // Where rows are full; where they are not, more are looked for.
        let wanted =
            usize::try_from(last.saturating_sub(before) / BODIES_MAX as u64).unwrap_or(STEP);
        let step = STEP.min(wanted.saturating_add(2));
        loop {
            let rows = self.store.scan(Table::Meta, &prefix, Some(&start), false, step)?;
            for (key, row) in &rows {
                if keys::parse_body_run(key).is_none_or(|n| n > last) || row.len() > left {
                    return Ok(found);
                }
                left -= row.len();
                // A damaged row is noticed by who asks for one of it.
                let bodies = decode(row).unwrap_or_default().into_iter();
                let bodies = bodies.filter(|body| !body.is_empty());
                found.extend(bodies.map(|body| (BlobHash::of(&body), body)));
            }
            let Some((last, _)) = rows.last().filter(|_| rows.len() == step) else {
                return Ok(found);
            };
            start = [last.as_ref(), &[0]].concat();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_counts_the_rows_that_it_writes_anew() {
        let mut work = Work::default();
        work.edited.insert(vec![1], vec![Bytes::from(vec![7; 1000]); BODIES_MAX]);
        assert_eq!(work.bytes(), 1000 * BODIES_MAX);
    }

    #[test]
    fn a_row_gives_back_what_went_in_and_nothing_else() {
        let bodies: Vec<Bytes> = [&b"one"[..], b"", b"three"].map(Bytes::from_static).to_vec();
        let row = Bytes::from(encode(&bodies));
        assert_eq!(decode(&row).unwrap(), bodies);
        let each: Vec<_> = (0..4).map(|index| nth(&row, index)).collect();
        assert_eq!(
            each,
            [Some(bodies[0].clone()), Some(Bytes::new()), Some(bodies[2].clone()), None]
        );
        assert_eq!(nth(&row.slice(..row.len() - 1), 2), None);
        assert!(decode(&row.slice(..row.len() - 1)).is_err());
        assert!(decode(&Bytes::from([&row[..], &[0]].concat())).is_err());
        assert!(decode(&Bytes::new()).is_err());
    }
}
