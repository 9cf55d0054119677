//! Ids of changes whose bytes are not kept: void, invalid, or not to be had. They stand in
//! for them, so that what is kept of a chain can still be proven by its newest head.

use super::maps::names_of;
use super::receive::Arrival;
use super::steps::Step;
use super::{ChainState, EngineError, Replica, State, Work};
use crate::chain::{ChainKey, SignedHead, extend};
use crate::description::Description;
use crate::hash::{ChangeHash, ChangeId, DocumentId, Link};
use crate::store::{Table, keys};
use crate::wire::HeadBytes;

impl Replica {
    /// Keeps the ids of changes from `first_n` on in the place of their bytes.
    pub(super) fn keep_ids(work: &mut Work, key: &ChainKey, first_n: u64, ids: &[ChangeId]) {
        if !ids.is_empty() {
            work.bridged.insert(*key);
        }
        for (n, id) in (first_n..).zip(ids) {
            work.batch.put(Table::Truth, keys::chain_change(key, n), id.as_bytes().to_vec());
        }
    }

    /// The ids that lead from the held changes of a chain to its newest known head, if they
    /// are all here.
    pub(super) fn bridge(
        &self,
        key: &ChainKey,
        chain: &ChainState,
    ) -> Result<Option<Vec<ChangeId>>, EngineError> {
        let first = chain.held + 1;
        let ids = self.change_ids(key, first, chain.known)?;
        let whole = ids.len() as u64 == chain.known.saturating_sub(chain.held);
        let link = (first..).zip(&ids).fold(chain.link, |link, (n, id)| extend(&link, n, id));
        Ok((whole && link == chain.known_link).then_some(ids))
    }

    /// Keeps the head that proves what is held, when one takes its place of which nobody
    /// gave what lies between.
    pub(super) fn keep_proof(
        &self,
        work: &mut Work,
        arrival: &Arrival,
        chain: &ChainState,
    ) -> Result<(), EngineError> {
        let before = &arrival.chain;
        if chain.held == chain.known || self.bridge(&arrival.key, chain)?.is_some() {
            return Ok(());
        }
        let proof = if arrival.head.n == chain.held && arrival.head.link == chain.link {
            &arrival.head.bytes
        } else if before.held == before.known && before.held > 0 {
            &before.head
        } else {
            return Ok(());
        };
        work.batch.put(Table::Meta, keys::proven(&arrival.key), proof.clone());
        Ok(())
    }

    /// The newest head here that proves held changes of a chain, where the newest known one
    /// does not: with its number and link.
    pub(super) fn proof(
        &self,
        key: &ChainKey,
        chain: &ChainState,
    ) -> Result<Option<(HeadBytes, u64, Link)>, EngineError> {
        if chain.held == chain.known || self.bridge(key, chain)?.is_some() {
            return Ok(None);
        }
        let Some(bytes) = self.store.get(Table::Meta, &keys::proven(key))? else {
            return Ok(None);
        };
        let head = SignedHead::from_bytes(&bytes).map_err(EngineError::corrupt)?;
        let Ok(bytes) = bytes.as_ref().try_into() else { return Ok(None) };
        Ok((head.claimed_n() <= chain.held).then_some((
            bytes,
            head.claimed_n(),
            head.claimed_link(),
        )))
    }

    /// Notes what a change that counts builds on and what is not here: it is wanted
    /// even if its author was revoked since.
    pub(super) fn await_dependencies(
        state: &mut State,
        doc: DocumentId,
        missing: impl IntoIterator<Item = ChangeHash>,
    ) {
        let awaited = state.awaited.entry(doc).or_default();
        for hash in missing {
            if awaited.len() < AWAITED_MAX {
                awaited.insert(hash);
            }
        }
        if awaited.is_empty() {
            state.awaited.remove(&doc);
        }
    }

    /// How many changes of a chain lead up to the last one that is waited for.
    pub(super) fn awaited_up_to(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        chain: &ChainState,
        steps: &[Step],
    ) -> Result<u64, EngineError> {
        let Some(awaited) = state.awaited.get(&key.doc).cloned() else { return Ok(0) };
        let (mut link, mut last) = (chain.link, 0);
        for (n, step) in (chain.held + 1..).zip(steps) {
            if let Some(bytes) = step.raw()
                && let Some(plain) = self.opened(state, description, key, n, link, bytes)?
                && names_of(description.kind, &plain)
                    .is_some_and(|names| awaited.contains(&names.hash))
            {
                last = n;
            }
            link = extend(&link, n, &step.id);
        }
        Ok(last)
    }

    /// Whether change `n` of a chain would be kept: it counts, or what counts may build on it.
    pub(super) fn is_wanted(
        &self,
        state: &mut State,
        key: &ChainKey,
        n: u64,
    ) -> Result<bool, EngineError> {
        if Self::awaits(state, &key.doc) {
            return Ok(true);
        }
        let Some(page) = self.description(state, &key.doc)? else { return Ok(false) };
        // What somebody wrote after he was taken out nobody misses.
        if self.heard_up_to(state, &page, key)?.is_some_and(|limit| n > limit) {
            return Ok(false);
        }
        Ok(!self.is_void(state, &page, key, n)?)
    }

    /// Whether a chain went on lately without what comes before. If nobody gives that, it is
    /// not asked for again and again.
    pub(super) fn is_gapped(state: &State, key: &ChainKey) -> bool {
        let since = state.gapped.get(key);
        since.is_some_and(|since| state.now_ms.saturating_sub(*since) < GAP_ASKED_MS)
    }

    /// Whether changes of a map are waited for that only void chains can hold.
    pub(super) fn awaits(state: &State, doc: &DocumentId) -> bool {
        state.awaited.contains_key(doc)
    }

    /// Notes that a change is here now.
    pub(super) fn arrived(state: &mut State, doc: &DocumentId, hash: &ChangeHash) {
        if let Some(awaited) = state.awaited.get_mut(doc) {
            awaited.remove(hash);
            if awaited.is_empty() {
                state.awaited.remove(doc);
            }
        }
    }
}

/// How long the changes before a gap are asked for.
const GAP_ASKED_MS: u64 = 120_000;

/// Changes waited for in one document: what 64 waiting changes may depend on.
const AWAITED_MAX: usize = 64 * crate::limits::CHANGE_DEPENDENCIES_MAX;
