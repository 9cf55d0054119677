//! What is remembered of peers: what they showed, so that an older copy is noticed, and
//! what they said is committed there.
//!
//! What a peer showed is worth no fsync of its own: it waits in memory, is written with the next
//! commit, and at closing. What a crash takes of it is shown again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{EngineError, Replica, State};
use crate::chain::ChainKey;
use crate::codec::{Reader, Writer};
use crate::description::SectionClass;
use crate::hash::{DeviceId, DocumentId};
use crate::limits::HEAD_AHEAD_MAX;
use crate::store::{Batch, Table, keys};
use crate::sync::exchange::{KnownTip, Section};

/// Chains of which it waits in memory what peers showed.
const WAITING_MAX: usize = 16_384;
/// Rows that a commit takes along.
pub(super) const ALONG_MAX: usize = 512;

impl State {
    /// Some of what waits for the next commit to take it along: what peers showed, marks
    /// that were worked off, and keys that opened.
    pub(super) fn take_along(&mut self, rows_max: usize) -> Batch {
        let mut batch = Batch::new();
        while batch.len() < rows_max
            && let Some(account) = self.settled.pop_first()
        {
            batch.delete(Table::Meta, keys::unsettled(&account));
        }
        while batch.len() < rows_max
            && let Some((key, row)) = self.unsaved_keys.pop_first()
        {
            batch.put(Table::Meta, key, row);
        }
        while batch.len() < rows_max
            && let Some((key, n)) = self.peers_showed.pop_first()
        {
            let mut w = Writer::new();
            w.varint(n);
            batch.put(Table::Meta, key, w.finish());
        }
        batch
    }

    fn shown_below(&self, prefix: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let from = self.peers_showed.range(prefix.to_vec()..);
        let below = from.take_while(|(key, _)| key.starts_with(prefix));
        below.map(|(key, n)| (key.clone(), *n)).collect()
    }
}

impl Replica {
    pub(crate) fn peer_tips(
        &self,
        remote: &DeviceId,
        section: &Section,
    ) -> Result<Vec<(ChainKey, u64)>, EngineError> {
        let mut tips: BTreeMap<ChainKey, u64> = BTreeMap::new();
        for class in sources(section.class) {
            let noted = Section { space: section.space, class: *class };
            let prefix = keys::shown_prefix(remote, &noted);
            // Before what is written: it may be just on its way there.
            let waiting = self.lock().shown_below(&prefix);
            let written = self.scan_all(Table::Meta, &prefix)?.into_iter();
            let written = written.filter_map(|(key, value)| Some((key, shown_n(&value)?)));
            let waiting = waiting.into_iter().map(|(key, n)| (Bytes::from(key), n));
            for (key, n) in written.chain(waiting) {
                let Some(chain) = keys::parse_chain_suffix(&key) else { continue };
                if self.section_now(&chain, &noted)? == *section {
                    let known = tips.entry(chain).or_default();
                    *known = n.max(*known);
                }
            }
        }
        Ok(tips.into_iter().collect())
    }

    /// See [`Exchange::unshown`](crate::sync::exchange::Exchange::unshown).
    pub(crate) fn unshown_to(
        &self,
        remote: &DeviceId,
        tips: &[(Section, KnownTip)],
    ) -> Result<usize, EngineError> {
        // Of each chain the place of its head, and what was shown.
        let mut heads: HashMap<ChainKey, (u64, u64)> = HashMap::with_capacity(tips.len());
        for (_, tip) in tips {
            let known = heads.entry(tip.chain).or_default();
            known.0 = known.0.max(tip.n);
        }
        let mut note = |key: &[u8], n: u64| {
            let chain = keys::parse_chain_suffix(key);
            if let Some((_, shown)) = chain.and_then(|chain| heads.get_mut(&chain)) {
                *shown = n.max(*shown);
            }
        };
        let prefix = keys::shown_by(remote);
        // Before what is written: it may be just on its way there.
        for (key, n) in self.lock().shown_below(&prefix) {
            note(&key, n);
        }
        for (key, value) in self.scan_all(Table::Meta, &prefix)? {
            note(&key, shown_n(&value).unwrap_or(0));
        }
        let apart = heads.values().map(|(n, shown)| match shown {
            0 => 1,
            shown if shown < n => 2,
            _ => 0,
        });
        Ok(apart.sum())
    }

    /// The section that a chain is in by now; the one it was noted in if nothing is known of it.
    fn section_now(&self, chain: &ChainKey, noted: &Section) -> Result<Section, EngineError> {
        if sources(noted.class).len() == 1 {
            return Ok(*noted);
        }
        let mut state = self.lock();
        match self.description(&mut state, &chain.doc)? {
            Some(description) => self.section_of(&mut state, &description),
            None => Ok(*noted),
        }
    }

    pub(crate) fn record_peer_tips(
        &self,
        remote: &DeviceId,
        section: &Section,
        tips: &[(ChainKey, u64)],
    ) -> Result<(), EngineError> {
        let mut news = Vec::new();
        for (chain, n) in tips {
            let key = keys::shown(remote, section, chain);
            let n = (*n).min(HEAD_AHEAD_MAX);
            let known = self.store.get(Table::Meta, &key)?;
            if known.and_then(|known| shown_n(&known)).is_none_or(|known| known < n) {
                news.push((key, n));
            }
        }
        let mut state = self.lock();
        for (key, n) in news {
            let waiting = state.peers_showed.entry(key).or_default();
            *waiting = n.max(*waiting);
        }
        if state.peers_showed.len() > WAITING_MAX {
            let batch = state.take_along(usize::MAX);
            // Nobody waits for it.
            drop(self.store.submit(batch)?);
        }
        Ok(())
    }

    /// Writes what waits for a commit; durable when it returns.
    pub(crate) fn write_along(&self) -> Result<(), EngineError> {
        let batch = self.lock().take_along(usize::MAX);
        if !batch.is_empty() {
            self.store.commit(batch)?;
        }
        Ok(())
    }

    /// Notes what sections are talked about with a peer. Nobody waits for it: lost in a crash, they
    /// are listed again.
    pub(crate) fn record_list(
        &self,
        remote: &DeviceId,
        opener: bool,
        list: Vec<u8>,
    ) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, keys::agreed(remote, opener), list);
        drop(self.store.submit(batch)?);
        Ok(())
    }

    /// Stores an opaque record about a peer.
    ///
    /// # Errors
    /// If the store fails.
    pub fn put_peer(&self, device: &DeviceId, record: Vec<u8>) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, keys::peer(device), record);
        self.store.commit(batch)?;
        Ok(())
    }

    /// Forgets a peer: its record, and what it showed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_peer(&self, device: &DeviceId) -> Result<(), EngineError> {
        self.forget_but(device, &BTreeSet::new())
    }

    /// Forgets what a device showed of which there is no record, but for what it has of what the own
    /// account said in conversations with it: how far that came stays known.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_visitor(&self, device: &DeviceId) -> Result<(), EngineError> {
        let mut state = self.lock();
        let own = self.own_pages_for(&mut state, device)?;
        drop(state);
        self.forget_but(device, &own)
    }

    /// Forgets a peer, but for what it showed of some documents.
    fn forget_but(&self, device: &DeviceId, but: &BTreeSet<DocumentId>) -> Result<(), EngineError> {
        self.write_along()?;
        let mut batch = Batch::new();
        for (key, _) in self.scan_all(Table::Meta, &keys::shown_by(device))? {
            if keys::parse_chain_suffix(&key).is_none_or(|chain| !but.contains(&chain.doc)) {
                batch.delete(Table::Meta, key);
            }
        }
        self.forget_receipts(device, &mut batch)?;
        for row in [keys::peer(device), keys::agreed(device, false), keys::agreed(device, true)] {
            if self.store.get(Table::Meta, &row)?.is_some() {
                batch.delete(Table::Meta, row);
            }
        }
        if !batch.is_empty() {
            self.store.commit(batch)?;
        }
        Ok(())
    }

    /// All records about peers.
    ///
    /// # Errors
    /// If the store fails.
    pub fn peers(&self) -> Result<Vec<(DeviceId, Vec<u8>)>, EngineError> {
        let rows = self.scan_all(Table::Meta, keys::PEERS)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let device = key.last_chunk::<32>()?;
                Some((DeviceId::from_bytes(*device), value.to_vec()))
            })
            .collect())
    }
}

/// The classes in which a chain of this one may have been noted before its guest was admitted, or
/// refused.
const fn sources(class: SectionClass) -> &'static [SectionClass] {
    match class {
        SectionClass::Authority => &[SectionClass::Authority],
        SectionClass::Private => &[SectionClass::Private],
        SectionClass::Public | SectionClass::Visitors => {
            &[SectionClass::Public, SectionClass::Visitors]
        }
    }
}

/// Reads what a peer showed of a chain. A row that does not read is as good as none: it only
/// helps to notice a peer that went back.
fn shown_n(row: &[u8]) -> Option<u64> {
    Reader::new(row).varint(HEAD_AHEAD_MAX, "shown n").ok()
}
