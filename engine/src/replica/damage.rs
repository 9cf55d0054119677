//! Damaged bodies: noticed when their files or bytes are looked at, set aside, and wanted again
//! like those that never came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::body_rows::bytes_in;
use super::{BodyState, EngineError, Replica, State};
use crate::hash::{BlobHash, ChangeId, DocumentId};
use crate::store::{Batch, StoreError, Table, keys};
use crate::view::bodies_of;

/// Blobs looked at in one go.
const STEP: usize = 256;

/// Called with each damaged blob and what is wrong with it. Must not call the replica.
pub type DamageListener = Box<dyn Fn(&BlobHash, &str) + Send + Sync>;

/// Damage that was noticed and not yet acted on.
#[derive(Default)]
pub(crate) struct Damage {
    noted: Mutex<BTreeMap<BlobHash, String>>,
    // What was just fetched again must not be set aside by whoever noticed the old damage later.
    acting: Mutex<()>,
    listener: OnceLock<DamageListener>,
}

/// Whether an error says that bytes are not what was stored.
pub(crate) const fn is_damage(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Corrupt(_)
            | EngineError::MissingBlob(_)
            | EngineError::Store(StoreError::Corrupt(_))
    )
}

impl Replica {
    /// Calls `listener` for each blob found damaged from now on; only the first one set is called.
    pub fn listen_damage(&self, listener: DamageListener) {
        let _ = self.damage.listener.set(listener);
    }

    /// Remembers that a blob is damaged, to be acted on by whoever holds no lock.
    pub fn note_damage(&self, hash: &BlobHash, why: &str) {
        let new = lock(&self.damage.noted).insert(*hash, why.to_owned()).is_none();
        if let (true, Some(listener)) = (new, self.damage.listener.get()) {
            listener(hash, why);
        }
    }

    /// The bytes of a blob that should be here; `None`, and noted, if they are not sound.
    pub(crate) fn held_bytes(&self, hash: &BlobHash) -> Result<Option<Bytes>, EngineError> {
        self.note_unless_whole(hash, self.blob_bytes(hash))
    }

    /// Notes what should be here and is not, or not as it was.
    pub(super) fn note_unless_whole<T>(
        &self,
        hash: &BlobHash,
        found: Result<Option<T>, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        match found {
            Ok(None) => self.note_damage(hash, "its bytes are gone"),
            Err(error) if is_damage(&error) => self.note_damage(hash, &error.to_string()),
            found => return found,
        }
        Ok(None)
    }

    /// Whether a body was set aside and has not come again.
    pub(crate) fn is_set_aside(&self, hash: &BlobHash) -> Result<bool, EngineError> {
        Ok(self.store.get(Table::Meta, &keys::damaged(hash))?.is_some())
    }

    /// Bodies that were set aside as damaged and have not come again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn damaged_bodies(&self) -> Result<Vec<BlobHash>, EngineError> {
        let rows = self.scan_all(Table::Meta, keys::DAMAGED)?;
        let mut damaged = Vec::new();
        for hash in rows.iter().filter_map(|(key, _)| key.last_chunk::<32>()) {
            let hash = BlobHash::from_bytes(*hash);
            for (key, _) in self.scan_all(Table::Meta, &keys::body_places(&hash))? {
                let Some(doc) = keys::parse_space_document(&key) else { continue };
                if self.store.get(Table::Meta, &keys::wanted(&doc, &hash))?.is_some() {
                    damaged.push(hash);
                    break;
                }
            }
        }
        Ok(damaged)
    }

    /// Sets aside the bodies whose damage was noted: they count as missing from then on, and are
    /// fetched from whoever has them. Returns how many there were.
    ///
    /// # Errors
    /// If the store fails; then the rest stays noted.
    pub fn set_damaged_aside(&self) -> Result<u64, EngineError> {
        if lock(&self.damage.noted).is_empty() {
            return Ok(0);
        }
        let _acting = lock(&self.damage.acting);
        let noted = std::mem::take(&mut *lock(&self.damage.noted));
        let mut done = (0, Ok(()));
        for (hash, why) in noted {
            match self.set_aside(&hash) {
                Ok(set_aside) => done.0 += u64::from(set_aside),
                Err(error) => {
                    lock(&self.damage.noted).insert(hash, why);
                    done.1 = Err(error);
                }
            }
        }
        done.1.map(|()| done.0)
    }

    /// Sets aside what was noted, before anybody counts what is missing. What the store does not
    /// take now is told of by whoever writes.
    pub(crate) fn miss_damaged(&self) {
        let _ = self.set_damaged_aside();
    }

    fn set_aside(&self, hash: &BlobHash) -> Result<bool, EngineError> {
        match self.verify_blob(hash) {
            Ok(()) => return Ok(false),
            Err(error) if !is_damage(&error) => return Err(error),
            Err(_) => {}
        }
        let mut state = self.lock();
        let mut left = self.store.get(Table::Truth, &keys::blob(hash)).ok().flatten();
        let mut batch = Batch::new();
        for (doc, value) in self.body_rows(hash)? {
            if BodyState::parse(&value) != Some(BodyState::Held) {
                continue;
            }
            left = left.or_else(|| bytes_in(&value));
            let size = self.named_size(&mut state, hash, &doc)?;
            self.note_text_gone(&mut state, &mut batch, hash, &doc)?;
            batch.put(Table::Meta, keys::body(hash, &doc), vec![BodyState::Wanted as u8]);
            batch.delete(Table::Meta, keys::held(&doc, hash));
            batch.put(Table::Meta, keys::wanted(&doc, hash), size.to_be_bytes().to_vec());
        }
        if batch.is_empty() {
            return Ok(false);
        }
        batch.delete(Table::Truth, keys::blob(hash));
        self.take_out_everywhere(&mut batch, hash)?;
        // First the mark: after a crash the next opening goes on from there. The file before the
        // states: nobody may take it for one that was fetched again.
        let mut mark = Batch::new();
        mark.put(Table::Meta, keys::damaged(hash), left.unwrap_or_default());
        self.store.commit(mark)?;
        self.store.blob_set_aside(hash)?;
        self.store.commit(batch)?;
        state.uses.clear();
        state.forget_missing(None);
        self.offered.forget();
        Ok(true)
    }

    /// The size that entries of a document give a body.
    fn named_size(
        &self,
        state: &mut State,
        hash: &BlobHash,
        doc: &DocumentId,
    ) -> Result<u64, EngineError> {
        if let Some(info) = self.store.blob_info(hash)? {
            return Ok(info.size);
        }
        for (key, chain) in self.chains_of(state, doc)? {
            for n in 1..=chain.held {
                // An entry that is damaged itself names nothing.
                let items = self.log_items(&key, n, n).unwrap_or_default();
                let bodies = items.iter().flat_map(|item| bodies_of(&item.entry));
                if let Some(body) = bodies.into_iter().find(|body| body.hash == *hash) {
                    return Ok(body.size);
                }
            }
        }
        Ok(0)
    }

    /// Looks at every blob file when the replica is opened: notes those that are not as long as
    /// they should be, and removes those that nothing names. What cannot be read here is told of
    /// by whoever needs it.
    pub(crate) fn look_at_files(&self) {
        let _ = self.look_for_damage();
        let _ = self.set_damaged_aside();
        let _ = self.collect_unnamed();
        let _ = self.collect_unwanted();
    }

    fn look_for_damage(&self) -> Result<(), EngineError> {
        for (key, _) in self.scan_all(Table::Meta, keys::DAMAGED)? {
            // An earlier run may have come no further than the mark.
            if let Some(hash) = key.last_chunk::<32>() {
                self.note_damage(&BlobHash::from_bytes(*hash), "it was being set aside");
            }
        }
        let mut after = None;
        loop {
            let blobs = self.store.blobs(after.as_ref(), STEP)?;
            let Some(last) = blobs.last() else { return Ok(()) };
            after = Some(last.hash);
            for blob in &blobs {
                if let Err(StoreError::Corrupt(damage)) = self.store.blob_check(blob) {
                    self.note_damage(&blob.hash, &damage.to_string());
                }
            }
        }
    }

    /// Removes blobs that nothing names: a crash came between a file and the commit that names or
    /// forgets it. Only when the replica is opened: nothing is being written then.
    fn collect_unnamed(&self) -> Result<(), EngineError> {
        let mut unnamed = BTreeSet::new();
        let mut after = None;
        loop {
            let blobs = self.store.blobs(after.as_ref(), STEP)?;
            let Some(last) = blobs.last() else { break };
            after = Some(last.hash);
            for blob in &blobs {
                let change = ChangeId::from_bytes(*blob.hash.as_bytes());
                if !self.is_needed(&blob.hash)? && self.entry_row(&change)?.is_none() {
                    unnamed.insert(blob.hash);
                }
            }
        }
        if unnamed.is_empty() {
            return Ok(());
        }
        // Rows can be missing; which changes are held is written beside them.
        for (doc, _) in self.document_list()? {
            let chains = self.chains_of(&mut self.lock(), &doc)?;
            for (key, chain) in chains {
                for id in self.change_ids(&key, 1, chain.held.max(chain.known))? {
                    unnamed.remove(&id.blob());
                }
            }
        }
        let unnamed: Vec<BlobHash> = unnamed.into_iter().collect();
        self.store.blobs_remove(&unnamed)?;
        Ok(())
    }

    /// Removes what came of files that nothing wants any more.
    fn collect_unwanted(&self) -> Result<(), EngineError> {
        for partial in self.store.partials()? {
            if !self.body_states(&partial.hash)?.contains(&BodyState::Wanted) {
                self.store.partial_remove(&partial.hash, partial.size)?;
            }
        }
        Ok(())
    }

    /// Whether a document holds or wants a body.
    pub(super) fn is_needed(&self, hash: &BlobHash) -> Result<bool, EngineError> {
        let states = self.body_states(hash)?;
        Ok(states.iter().any(|state| matches!(state, BodyState::Held | BodyState::Wanted)))
    }

    /// Whether a body should be here for some document.
    pub(crate) fn is_held_anywhere(&self, hash: &BlobHash) -> Result<bool, EngineError> {
        Ok(self.body_states(hash)?.contains(&BodyState::Held))
    }

    pub(super) fn body_states(&self, hash: &BlobHash) -> Result<Vec<BodyState>, EngineError> {
        let places = self.body_rows(hash)?;
        Ok(places.iter().filter_map(|(_, value)| BodyState::parse(value)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
