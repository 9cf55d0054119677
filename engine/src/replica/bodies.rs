//! Bodies: the texts and files that entries name, each a salted blob of its own.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::body_rows::{BODY_ROW_BYTES_MAX, held_row};
use super::withdrawals::expires;
use super::{EngineError, Replica, State, Work};
use crate::description::DocumentKind;
use crate::hash::{BlobHash, ChangeId, DocumentId};
use crate::limits::{BLOB_INLINE_BYTES_MAX, BODY_BYTES_MAX, BODY_SALT_BYTES};
use crate::model::entry::{BodyRef, Entry};
use crate::store::{Batch, Table, keys};
use crate::view::{EntryRow, bodies_of};

/// What is known of a body in one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BodyState {
    /// Named, wanted, not here.
    Wanted = 0,
    /// Here, and it came through this document's section.
    Held = 1,
    /// Withdrawn by its author: never stored again.
    Dropped = 2,
    /// Was here; fetched again on demand only.
    Evicted = 3,
}

impl BodyState {
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [0] => Some(Self::Wanted),
            [1, ..] => Some(Self::Held),
            [2] => Some(Self::Dropped),
            [3] => Some(Self::Evicted),
            _ => None,
        }
    }
}

/// A text as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The text.
    Here(String),
    /// Not here yet.
    Missing,
    /// Was here and came to harm; wanted again.
    Damaged,
    /// Withdrawn by its author.
    Deleted,
}

/// Puts a small blob into the batch, and a large one where it waits to become a file.
fn put_blob(
    batch: &mut Batch,
    large: &mut Vec<(BlobHash, Bytes)>,
    hash: &BlobHash,
    blob: impl Into<Bytes>,
) {
    let blob = blob.into();
    if blob.len() <= BLOB_INLINE_BYTES_MAX {
        batch.put(Table::Truth, keys::blob(hash), blob);
    } else {
        large.push((*hash, blob));
    }
}

impl Work {
    /// Puts a blob into the commit.
    pub(super) fn put_blob(&mut self, hash: &BlobHash, blob: impl Into<Bytes>) {
        put_blob(&mut self.batch, &mut self.large, hash, blob);
    }

    /// Bytes of the commit so far.
    pub(super) fn bytes(&self) -> usize {
        self.batch.bytes()
            + self.runs.bytes()
            + self.edited.values().flatten().map(Bytes::len).sum::<usize>()
            + self.large.iter().map(|(_, blob)| blob.len()).sum::<usize>()
    }
}

impl Replica {
    /// Makes large blobs durable files, before the commit of the rows that name them.
    pub(super) fn store_large(&self, large: &[(BlobHash, Bytes)]) -> Result<(), EngineError> {
        if !large.is_empty() {
            self.store.blobs_put(large)?;
        }
        Ok(())
    }

    /// Salts a text: the entry of this commit that names it puts it into the commit.
    pub(crate) fn put_body(&self, work: &mut Work, text: &[u8]) -> Result<BodyRef, EngineError> {
        check_body(text)?;
        let mut blob = vec![0u8; BODY_SALT_BYTES];
        self.entropy.fill(&mut blob);
        blob.extend_from_slice(text);
        let body = BodyRef { hash: BlobHash::of(&blob), size: blob.len() as u64 };
        work.arriving.insert(body.hash, blob.into());
        Ok(body)
    }

    /// Puts a change's stored bytes into the commit.
    pub(crate) fn put_change(work: &mut Work, id: &ChangeId, bytes: impl Into<Bytes>) {
        work.needed.insert((id.blob(), None));
        work.put_blob(&id.blob(), bytes);
    }

    /// Notes the bodies that a new entry names or withdraws.
    pub(crate) fn note_bodies(
        &self,
        state: &mut State,
        work: &mut Work,
        id: &ChangeId,
        row: &EntryRow,
        entry: &Entry,
        local: bool,
    ) -> Result<(), EngineError> {
        let gone = self.is_gone(state, work, id, entry, &row.doc)?;
        if let Some(at_ms) = expires(entry).filter(|_| !gone) {
            work.batch.put(Table::Meta, keys::expiring(at_ms, id), Vec::new());
        }
        if gone {
            work.entries.insert(*id, (*row, entry.clone()));
            self.drop_long_text(state, work, &row.doc, entry)?;
        }
        for body in bodies_of(entry) {
            let place = keys::body(&body.hash, &row.doc);
            let known = self.note_naming(state, work, &body.hash, &row.doc)?;
            if gone {
                if !self.is_named_by_another(state, work, &body.hash, &row.doc, &[*id])? {
                    self.give_back_room(state, work, &row.doc, &place, body.size)?;
                    self.put_body_state(work, &body.hash, &row.doc, BodyState::Dropped)?;
                }
            } else if Self::is_held(work, &body.hash, &row.doc, known) {
                work.needed.insert((body.hash, Some(row.doc)));
            } else if let Some(blob) =
                work.arriving.remove(&body.hash).filter(|blob| blob.len() as u64 == body.size)
            {
                let with_others = known.is_none() && self.gathers(state, &row.doc)?;
                self.hold_arriving(work, &body.hash, row, blob, with_others)?;
            } else if local {
                work.batch.put(Table::Meta, place, vec![BodyState::Held as u8]);
                work.needed.insert((body.hash, Some(row.doc)));
            } else {
                work.batch.put(Table::Meta, place, vec![BodyState::Wanted as u8]);
                let size = body.size.to_be_bytes().to_vec();
                work.batch.put(Table::Meta, keys::wanted(&row.doc, &body.hash), size);
            }
        }
        if let Entry::Tombstone { target } = entry
            && !self.is_powerless(state, row)?
        {
            work.withdrawn.insert(*target, row.doc);
            self.drop_bodies(state, work, target, &row.doc)?;
        }
        Ok(())
    }

    /// Puts a body that came with the entry that names it into the commit.
    fn hold_arriving(
        &self,
        work: &mut Work,
        hash: &BlobHash,
        at: &EntryRow,
        blob: Bytes,
        with_others: bool,
    ) -> Result<(), EngineError> {
        let doc = &at.doc;
        if with_others && (1..=BODY_ROW_BYTES_MAX).contains(&blob.len()) {
            self.put_body_of(work, &at.chain(), at.n, (*hash, blob))?;
        } else {
            let row = held_row(&blob);
            if row.is_none() {
                work.put_blob(hash, blob);
            }
            let row = row.unwrap_or_else(|| vec![BodyState::Held as u8]);
            work.batch.put(Table::Meta, keys::body(hash, doc), row);
        }
        work.needed.insert((*hash, Some(*doc)));
        if work.shared.contains(&(*doc, *hash)) {
            self.note_text(&mut work.batch, hash)?;
        }
        work.arrived += 1;
        Ok(())
    }

    /// Whether a body is here for a document already, of which the store knows this much.
    fn is_held(work: &Work, hash: &BlobHash, doc: &DocumentId, known: Option<BodyState>) -> bool {
        let stored = known == Some(BodyState::Held) && !work.dropped.contains(hash);
        stored || work.needed.contains(&(*hash, Some(*doc)))
    }

    /// Lists a body that is here for a document of which the entries do not say what it names.
    pub(super) fn note_held(
        &self,
        state: &mut State,
        batch: &mut Batch,
        doc: &DocumentId,
        hash: &BlobHash,
    ) -> Result<(), EngineError> {
        if !self.is_log(state, doc)? {
            batch.put(Table::Meta, keys::held(doc, hash), Vec::new());
        }
        Ok(())
    }

    /// Whether small bodies of a document share rows where they come together.
    pub(super) fn gathers(&self, state: &mut State, doc: &DocumentId) -> Result<bool, EngineError> {
        let description = self.description(state, doc)?;
        let kind = description.map(|description| description.kind);
        Ok(matches!(kind, Some(DocumentKind::Wall | DocumentKind::Guest)))
    }

    fn is_log(&self, state: &mut State, doc: &DocumentId) -> Result<bool, EngineError> {
        Ok(self.description(state, doc)?.is_some_and(|description| description.kind.is_log()))
    }

    /// Bodies that a document names and that are held for it.
    pub(super) fn bodies_in(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<BTreeSet<BlobHash>, EngineError> {
        let mut held = BTreeSet::new();
        if !self.is_log(state, doc)? {
            let rows = self.scan_all(Table::Meta, &keys::held_prefix(doc))?;
            let hashes = rows.iter().filter_map(|(key, _)| key.last_chunk::<32>());
            held.extend(hashes.map(|hash| BlobHash::from_bytes(*hash)));
            return Ok(held);
        }
        for (key, chain) in self.chains_of(state, doc)? {
            for item in self.log_items(&key, 1, chain.held)? {
                for body in bodies_of(&item.entry) {
                    if self.is_body_held(&body.hash, doc)? {
                        held.insert(body.hash);
                    }
                }
            }
        }
        Ok(held)
    }

    /// Whether a body is here for a document.
    pub(super) fn is_body_held(
        &self,
        hash: &BlobHash,
        doc: &DocumentId,
    ) -> Result<bool, EngineError> {
        let state = self.body_row(hash, doc)?;
        Ok(state.as_deref().and_then(BodyState::parse) == Some(BodyState::Held))
    }

    pub(crate) fn remove_blob_unless_used(
        &self,
        work: &mut Work,
        hash: &BlobHash,
        but: &DocumentId,
    ) -> Result<(), EngineError> {
        // Whoever writes an entry chooses what it names: perhaps somebody else's change.
        let change = ChangeId::from_bytes(*hash.as_bytes());
        let mut needed = work.needed.range((*hash, None)..).take_while(|(other, _)| other == hash);
        if needed.any(|(_, doc)| *doc != Some(*but)) || self.entry_row(&change)?.is_some() {
            return Ok(());
        }
        // What shares a row with others is no blob.
        for (key, value) in self.scan_all(Table::Meta, &keys::body_places(hash))? {
            let place = keys::parse_space_document(&key);
            let elsewhere = place != Some(*but)
                && place.is_none_or(|doc| !work.given_up.contains(&(*hash, doc)));
            if elsewhere && BodyState::parse(&value) == Some(BodyState::Held) {
                return Ok(());
            }
        }
        work.batch.delete(Table::Truth, keys::blob(hash));
        let aside = self.is_set_aside(hash)?;
        if aside {
            work.batch.delete(Table::Meta, keys::damaged(hash));
        }
        if aside || self.store.blob_info(hash)?.is_some() || self.is_partial(hash)? {
            work.files.push(*hash);
        }
        Ok(())
    }

    /// Whether a part of a blob is here, on its way in.
    pub(super) fn is_partial(&self, hash: &BlobHash) -> Result<bool, EngineError> {
        Ok(self.store.partials()?.iter().any(|partial| partial.hash == *hash))
    }

    /// Reads a text body.
    pub(crate) fn text(&self, body: &BodyRef, doc: &DocumentId) -> Result<Text, EngineError> {
        let row = self.body_row(&body.hash, doc)?.unwrap_or_default();
        match BodyState::parse(&row) {
            Some(BodyState::Dropped) => return Ok(Text::Deleted),
            Some(BodyState::Held) => {}
            Some(BodyState::Wanted) if self.is_set_aside(&body.hash)? => return Ok(Text::Damaged),
            _ => return Ok(Text::Missing),
        }
        let Some(blob) = self.held_bytes_in(&row, &body.hash)? else { return Ok(Text::Damaged) };
        let text = blob.get(BODY_SALT_BYTES..).unwrap_or_default();
        Ok(Text::Here(String::from_utf8_lossy(text).into_owned()))
    }

    /// Documents that want a body.
    fn wanted_by(&self, hash: &BlobHash) -> Result<Vec<DocumentId>, EngineError> {
        let places = self.scan_all(Table::Meta, &keys::body_places(hash))?.into_iter();
        let wanted = places.filter(|(_, value)| BodyState::parse(value) == Some(BodyState::Wanted));
        Ok(wanted.filter_map(|(key, _)| keys::parse_space_document(&key)).collect())
    }

    /// The documents that name a body, whether it is here or not.
    pub(crate) fn places_of_body(&self, hash: &BlobHash) -> Result<Vec<DocumentId>, EngineError> {
        let places = self.scan_all(Table::Meta, &keys::body_places(hash))?.into_iter();
        Ok(places.filter_map(|(key, _)| keys::parse_space_document(&key)).collect())
    }

    /// Stores bodies that documents here want; returns how many and their bytes.
    pub(crate) fn take_bodies(&self, bodies: Vec<Bytes>) -> Result<(u64, u64, u64), EngineError> {
        let mut batch = Batch::new();
        let mut large = Vec::new();
        let mut docs = Vec::new();
        let (mut stored, mut bytes, mut refused) = (0, 0, 0);
        // What nobody wants is found out before the lock is taken: it must not keep anybody
        // waiting.
        let mut wanted = Vec::with_capacity(bodies.len());
        for blob in bodies {
            let hash = BlobHash::of(&blob);
            let by = self.wanted_by(&hash)?;
            if by.is_empty() {
                refused += 1;
            } else {
                wanted.push((hash, blob, by));
            }
        }
        if wanted.is_empty() {
            return Ok((stored, bytes, refused));
        }
        let mut guard = self.lock();
        let some = |table, prefix: &[u8]| self.store.scan(table, prefix, None, false, 1);
        let damage = !some(Table::Meta, keys::DAMAGED)?.is_empty();
        let awaited = !some(Table::Rows, keys::AWAITING_TEXT)?.is_empty();
        for (hash, blob, by) in wanted {
            let (mut wanted, mut apart) = (false, false);
            for doc in by {
                // Room was made for the size that the entry names; it may be wanted no more.
                let size = self.store.get(Table::Meta, &keys::wanted(&doc, &hash))?;
                if size.as_deref() != Some(&(blob.len() as u64).to_be_bytes()[..]) {
                    continue;
                }
                wanted = true;
                let log = self.is_log(&mut guard, &doc)?;
                let row = held_row(&blob).filter(|_| log);
                apart |= row.is_none();
                let row = row.unwrap_or_else(|| vec![BodyState::Held as u8]);
                batch.put(Table::Meta, keys::body(&hash, &doc), row);
                batch.delete(Table::Meta, keys::wanted(&doc, &hash));
                self.note_held(&mut guard, &mut batch, &doc, &hash)?;
                docs.push(doc);
            }
            if wanted {
                if damage {
                    batch.delete(Table::Meta, keys::damaged(&hash));
                }
                if awaited {
                    self.note_text(&mut batch, &hash)?;
                }
                stored += 1;
                bytes += blob.len() as u64;
                if apart {
                    put_blob(&mut batch, &mut large, &hash, blob);
                }
            } else {
                refused += 1;
            }
        }
        self.store_large(&large)?;
        let pending = self.store.submit(batch)?;
        drop(guard);
        let durable = pending.wait();
        self.recount_missing();
        self.forget_documents(&docs);
        durable?;
        Ok((stored, bytes, refused))
    }
}

/// Checks that a text can be a body.
pub(super) fn check_body(text: &[u8]) -> Result<(), EngineError> {
    if text.len() > BODY_BYTES_MAX {
        return Err(EngineError::TextTooLong { bytes: text.len(), bytes_max: BODY_BYTES_MAX });
    }
    Ok(())
}
