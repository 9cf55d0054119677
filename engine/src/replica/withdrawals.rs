//! What tombstones withdraw. Bodies are dropped at once; where a tombstone turns out to be
//! void, because its author was revoked with a cut before it, they are wanted again.

use std::collections::{BTreeMap, BTreeSet};

use super::{BodyState, EngineError, Replica, State, Work};
use crate::authority::Authority;
use crate::hash::{AccountId, BlobHash, ChangeId, DocumentId};
use crate::model::entry::Entry;
use crate::store::{Table, keys};
use crate::view::{EntryRow, bodies_of};

/// When the texts of an entry are dropped.
pub(super) fn expires(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Sealed(sealed) => Some(sealed.expires_ms).filter(|at_ms| *at_ms > 0),
        _ => None,
    }
}

impl Replica {
    /// Whether a tombstone in `doc` that counts withdraws the entry, or a moderator purged it.
    pub(crate) fn is_withdrawn(
        &self,
        state: &mut State,
        work: &Work,
        id: &ChangeId,
        doc: &DocumentId,
    ) -> Result<bool, EngineError> {
        if work.withdrawn.get(id) == Some(doc) {
            return Ok(true);
        }
        if self.is_purged(state, work, id, doc)? {
            return Ok(true);
        }
        if !self.is_modified(state, doc)? {
            return Ok(false);
        }
        for (key, value) in self.scan_all(Table::Rows, &keys::modifications(id))? {
            let (Some(by), [0x11]) = (keys::parse_last(&key), value.as_ref()) else { continue };
            let Some(row) = self.entry_row(&by)? else { continue };
            if row.doc == *doc && !self.is_powerless(state, &row)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any chain of a document modifies anything.
    fn is_modified(&self, state: &mut State, doc: &DocumentId) -> Result<bool, EngineError> {
        if !state.whole.contains(doc) {
            self.load_chains(state, doc)?;
        }
        Ok(state.chains_in(doc).any(|(_, chain)| chain.modifications > 0))
    }

    /// Whether an entry is withdrawn, or is an edit of one that is.
    pub(super) fn is_gone(
        &self,
        state: &mut State,
        work: &Work,
        id: &ChangeId,
        entry: &Entry,
        doc: &DocumentId,
    ) -> Result<bool, EngineError> {
        if let Some(target) = entry.edits()
            && self.is_withdrawn(state, work, &target, doc)?
        {
            return Ok(true);
        }
        Ok(expires(entry).is_some_and(|at_ms| at_ms <= state.expired_ms)
            || self.is_withdrawn(state, work, id, doc)?)
    }

    /// Whether an entry counts for nothing because its device was revoked or its author was taken out of
    /// the conversation before, or for nothing yet because the device is suspended. What the account's log does not say yet is no reason to keep a
    /// text that was withdrawn.
    pub(super) fn is_powerless(
        &self,
        state: &mut State,
        row: &EntryRow,
    ) -> Result<bool, EngineError> {
        let Some(description) = self.description(state, &row.doc)? else { return Ok(false) };
        let limit = self.heard_up_to(state, &description, &row.chain())?;
        if limit.is_some_and(|limit| row.n > limit) {
            return Ok(true);
        }
        let authority = self.authority_of(state, &description.account)?;
        let device = authority.as_ref().and_then(|known| known.devices.get(&row.device));
        if device.is_none() {
            return Ok(false);
        }
        self.is_hidden(state, &description, &row.chain(), row.n)
    }

    /// An entry with those that edit it, as far as they are here and in one document.
    fn with_edits(
        &self,
        work: &Work,
        target: &ChangeId,
        doc: &DocumentId,
    ) -> Result<Vec<(ChangeId, Entry)>, EngineError> {
        let mut ids = BTreeSet::from([*target]);
        for (key, value) in self.scan_all(Table::Rows, &keys::modifications(target))? {
            if matches!(value.as_ref(), [0x10 | 0x18]) {
                ids.extend(keys::parse_last(&key));
            }
        }
        let edits = work.entries.iter().filter(|(_, (_, entry))| entry.edits() == Some(*target));
        ids.extend(edits.map(|(id, _)| *id));
        let mut out = Vec::new();
        for id in ids {
            let found = match work.entries.get(&id) {
                Some((row, entry)) => Some((*row, entry.clone())),
                None => self.entry(&id)?,
            };
            out.extend(found.filter(|(row, _)| row.doc == *doc).map(|(_, entry)| (id, entry)));
        }
        Ok(out)
    }

    /// Drops the bodies of an entry and of its edits.
    pub(super) fn drop_bodies(
        &self,
        state: &mut State,
        work: &mut Work,
        target: &ChangeId,
        doc: &DocumentId,
    ) -> Result<(), EngineError> {
        let entries = self.with_edits(work, target, doc)?;
        for (_, entry) in &entries {
            self.drop_long_text(state, work, doc, entry)?;
        }
        let ids: Vec<ChangeId> = entries.iter().map(|(id, _)| *id).collect();
        for body in entries.iter().flat_map(|(_, entry)| bodies_of(entry)) {
            if self.is_named_by_another(state, work, &body.hash, doc, &ids)? {
                continue;
            }
            let place = keys::body(&body.hash, doc);
            if !work.dropped.contains(&body.hash) {
                self.give_back_room(state, work, doc, &place, body.size)?;
            }
            self.put_body_state(work, &body.hash, doc, BodyState::Dropped)?;
            work.batch.delete(Table::Meta, keys::wanted(doc, &body.hash));
            work.batch.delete(Table::Meta, keys::held(doc, &body.hash));
            work.needed.remove(&(body.hash, Some(*doc)));
            work.dropped.insert(body.hash);
            self.remove_blob_unless_used(work, &body.hash, doc)?;
        }
        Ok(())
    }

    /// Notes that one more entry of a document names a body; returns what the store knows of it
    /// there.
    pub(super) fn note_naming(
        &self,
        state: &mut State,
        work: &mut Work,
        hash: &BlobHash,
        doc: &DocumentId,
    ) -> Result<Option<BodyState>, EngineError> {
        let new = work.named.insert((*doc, *hash));
        // Of a document that is new itself nothing is stored.
        let stored = match work.documents.contains(doc) {
            true => None,
            false if self.gathers(state, doc)? => self.body_row(hash, doc)?,
            false => self.store.get(Table::Meta, &keys::body(hash, doc))?,
        };
        if !new || stored.is_some() {
            work.batch.put(Table::Meta, keys::shared(doc, hash), Vec::new());
            work.shared.insert((*doc, *hash));
        }
        Ok(stored.as_deref().and_then(BodyState::parse))
    }

    /// Whether an entry other than these, not withdrawn, names a body in the same document.
    pub(super) fn is_named_by_another(
        &self,
        state: &mut State,
        work: &Work,
        hash: &BlobHash,
        doc: &DocumentId,
        but: &[ChangeId],
    ) -> Result<bool, EngineError> {
        // Salts differ, so two entries name one body only if somebody means it.
        let shared = work.shared.contains(&(*doc, *hash))
            || self.store.get(Table::Meta, &keys::shared(doc, hash))?.is_some();
        if !shared {
            return Ok(false);
        }
        let mut named: Vec<(ChangeId, Entry)> = Vec::new();
        let names = |entry: &Entry| bodies_of(entry).iter().any(|body| body.hash == *hash);
        for (key, chain) in self.chains_of(state, doc)? {
            let items = self.log_items(&key, 1, chain.held)?.into_iter();
            named.extend(items.filter(|i| names(&i.entry)).map(|item| (item.id, item.entry)));
        }
        let fresh = work.entries.iter().filter(|(_, (row, _))| row.doc == *doc);
        named.extend(fresh.filter(|(_, (_, e))| names(e)).map(|(id, (_, e))| (*id, e.clone())));
        for (id, entry) in named {
            if !but.contains(&id) && !self.is_gone(state, work, &id, &entry, doc)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes accounts of which this commit may change what counts, until it is looked at
    /// what their tombstones withdraw.
    pub(super) fn mark_unsettled(
        &self,
        state: &mut State,
        work: &mut Work,
    ) -> Result<(), EngineError> {
        let (mut accounts, mut talks) = (BTreeMap::new(), Vec::new());
        for (row, entry) in work.entries.values() {
            if let Entry::Membership(change) = entry
                && let Some(page) = self.description(state, &row.doc)?
                && self.tells_of(state, &page, &change.account)?
            {
                talks.push((page.space.id(), change.account));
            }
            let restores = match entry {
                Entry::Revoke { .. }
                | Entry::Cut { .. }
                | Entry::AddDevice { .. }
                | Entry::Recover { .. }
                | Entry::Rotate { .. } => false,
                Entry::Suspend { .. } | Entry::Restore { .. } => true,
                _ => continue,
            };
            if let Some(description) = self.description(state, &row.doc)? {
                *accounts.entry(description.account).or_insert(false) |= restores;
            }
        }
        for (account, restores) in accounts {
            // What its devices said of others may count no more, or again.
            talks.extend(self.members_of_founded(state, &account)?);
            state.settled.remove(&account);
            state.unsettled = true;
            work.batch.put(Table::Meta, keys::unsettled(&account), vec![u8::from(restores)]);
        }
        for (space, account) in talks {
            state.unsettled = true;
            work.batch.put(Table::Meta, keys::unsettled_talk(&space, &account), Vec::new());
        }
        Ok(())
    }

    /// Looks again at what tombstones withdraw, where what counts has changed.
    pub(super) fn settle_withdrawals(&self) -> Result<(), EngineError> {
        let mut state = self.lock();
        if !std::mem::take(&mut state.unsettled) {
            return Ok(());
        }
        drop(state);
        self.settle_talks()?;
        for (key, value) in self.scan_all(Table::Meta, keys::UNSETTLED)? {
            let Some(account) = key.last_chunk::<32>() else { continue };
            let account = AccountId::from_bytes(*account);
            // Nobody may be suspended any more, and what was held back counts.
            let restores = value.as_ref() == [1];
            let mut state = self.lock();
            if state.settled.contains(&account) {
                continue;
            }
            let authority = self.authority_of(&mut state, &account)?;
            let judged = |a: &Authority| a.devices.values().any(|device| device.revoked.is_some());
            if restores || authority.is_some_and(|authority| judged(&authority)) {
                drop(state);
                self.settle_account(&account)?;
            } else {
                // Nothing was withdrawn that counts again: the mark goes with the next commit.
                state.settled.insert(account);
            }
        }
        Ok(())
    }

    fn settle_account(&self, account: &AccountId) -> Result<(), EngineError> {
        let mut state = self.lock();
        let mut work = Work::default();
        for space in self.known_spaces()? {
            for (doc, description) in self.documents(&mut state, &space)? {
                if description.account != *account || !description.kind.is_log() {
                    continue;
                }
                for (key, _) in self.chains_of(&mut state, &doc)? {
                    self.follow_cut(&mut state, &mut work, &description, &key)?;
                }
                for target in self.targets(&mut state, &doc)? {
                    self.settle(&mut state, &mut work, &target, &doc)?;
                }
                state = self.commit_large(state, &mut work)?;
            }
        }
        work.batch.delete(Table::Meta, keys::unsettled(account));
        self.finish(state, work)
    }

    /// Entries that tombstones of a document name, void ones too.
    pub(super) fn targets(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<BTreeSet<ChangeId>, EngineError> {
        let mut targets = BTreeSet::new();
        for (key, chain) in self.chains_of(state, doc)? {
            if chain.modifications == 0 {
                continue;
            }
            // A chain that is shortened by this very commit is looked at as it is stored.
            for item in self.log_items(&key, 1, chain.held)? {
                if let Entry::Tombstone { target } = item.entry {
                    targets.insert(target);
                }
            }
        }
        Ok(targets)
    }

    pub(super) fn settle(
        &self,
        state: &mut State,
        work: &mut Work,
        target: &ChangeId,
        doc: &DocumentId,
    ) -> Result<(), EngineError> {
        if self.is_withdrawn(state, work, target, doc)? {
            return self.drop_bodies(state, work, target, doc);
        }
        for (id, entry) in self.with_edits(work, target, doc)? {
            // What was dropped because its time was over comes back for no reason.
            if self.is_gone(state, work, &id, &entry, doc)? {
                continue;
            }
            if let Some(at_ms) = expires(&entry) {
                work.batch.put(Table::Meta, keys::expiring(at_ms, &id), Vec::new());
            }
            for body in bodies_of(&entry) {
                let place = keys::body(&body.hash, doc);
                let known = self.store.get(Table::Meta, &place)?;
                if known.as_deref().and_then(BodyState::parse) == Some(BodyState::Dropped) {
                    self.take_back_room(state, work, doc, body.size)?;
                    work.batch.put(Table::Meta, place, vec![BodyState::Wanted as u8]);
                    let size = body.size.to_be_bytes().to_vec();
                    work.batch.put(Table::Meta, keys::wanted(doc, &body.hash), size);
                }
            }
        }
        Ok(())
    }
}
