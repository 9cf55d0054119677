//! Adding changes to chains: what local writing and receiving have in common.

use std::sync::Arc;

use bytes::Bytes;

use super::stored::StoredChange;
use super::{ChainState, EngineError, Event, Replica, State, Work};
use crate::chain::{ChainKey, VerifiedHead, extend};
use crate::change::{Actor, log};
use crate::codec::Reader;
use crate::description::{Description, DocumentKind, Section, SectionClass, Space};
use crate::hash::{AccountId, ChangeHash, ChangeId, DocumentId};
use crate::limits::{
    ENTRY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, PAGE_MODIFICATIONS_MAX, PAGE_NUMBER_MAX,
};
use crate::model::entry::Entry;
use crate::store::{Table, keys};
use crate::view::{self, EntryRow};

/// One log change ready to be added.
#[derive(Debug)]
pub(crate) struct LogChange {
    pub time_ms: u64,
    pub entry: Entry,
    /// The encoded entry.
    pub value: Bytes,
    /// Tag of the chain.
    pub tag: u32,
    pub id: ChangeId,
    pub hash: ChangeHash,
}

impl Replica {
    /// Makes sure a document has its rows.
    pub(crate) fn ensure_document(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
    ) -> Result<Arc<Description>, EngineError> {
        let doc = description.id();
        if let Some(known) = self.description(state, &doc)? {
            return Ok(known);
        }
        // What nobody could read back would close the store for ever.
        Description::decode(&mut Reader::new(&description.encode()))
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let description = Arc::new(description.clone());
        let space = description.space.id();
        state.dirty = true;
        work.documents.insert(doc);
        work.batch.put(Table::Truth, keys::description(&doc), description.encode());
        work.batch.put(Table::Meta, keys::space_document(&space, &doc), Vec::new());
        work.batch.put(Table::Meta, keys::space(&space), keys::space_value(&description.space));
        state.spaces.insert(space, description.space);
        state.descriptions.insert(doc, description.clone());
        // Who writes in a kept space brings the section that says which devices are his.
        if let Some(kept) = &mut state.kept
            && kept.contains(&Section { space, class: SectionClass::Public })
        {
            let log = Space::Account(description.account).id();
            let class = SectionClass::Authority;
            let new = Arc::make_mut(kept).insert(Section { space: log, class });
            if self.private_hub(state, &space)?.is_none() {
                state.discreet.remove(&log);
            } else if new || state.discreet.contains_key(&log) {
                let account = description.account;
                let known = state.discreet.entry(log).or_insert_with(|| (account, Arc::default()));
                Arc::make_mut(&mut known.1).push(space);
            }
        }
        // Loaded before it is added to: what is loaded later would lack it.
        self.load_documents(state, &space)?;
        if let Some(docs) = state.docs.get_mut(&space) {
            docs.insert(doc);
        }
        if let Some(last) = state.pages.get_mut(&description.at_page(0).id()) {
            *last = description.page.max(*last);
        }
        Ok(description)
    }

    /// Writes one entry into an own log document; the head is signed when the work ends.
    pub(crate) fn append(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        entry: Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        work.now_ms = work.now_ms.max(now_ms);
        let value = entry.encode();
        // What nobody could read would end the chain for ever.
        Entry::decode(&value).map_err(|error| EngineError::Invalid(error.to_string()))?;
        let description = self.ensure_document(state, work, description)?;
        let (mut key, mut chain) = self.own_chain(state, &description)?;
        if !has_room(&chain, &entry, value.len()) {
            self.start_new_life(state, work)?;
            (key, chain) = self.own_chain(state, &description)?;
        }
        let n = chain.held + 1;
        let space = description.space.id();
        let tag = log::tag(&key.origin(&space));
        let built = log::build(Actor::of(&key), n, chain.last, tag, now_ms, &value)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let id = built.id;
        let (value, hash) = (Bytes::from(value), built.hash);
        let change = LogChange { time_ms: now_ms, entry, value, tag, id, hash };
        self.add_log_change(state, work, &description, key, change, true)?;
        work.signed.insert(key, description);
        Ok(id)
    }

    /// The own chain in force in a document. A chain that can take no more modifications
    /// is followed by one of a new writing life.
    pub(crate) fn own_chain(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<(ChainKey, ChainState), EngineError> {
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        let key =
            ChainKey { doc: description.id(), device: own.device(), incarnation: own.incarnation };
        let chain = self.chain(state, &description.space.id(), &key)?;
        Ok((key, chain))
    }

    /// Adds one change that is known to be right: rows, bodies, events, chain state.
    pub(crate) fn add_log_change(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Arc<Description>,
        key: ChainKey,
        change: LogChange,
        local: bool,
    ) -> Result<(), EngineError> {
        let space = description.space.id();
        let chain = self.chain_mut(state, &space, &key)?;
        let (n, before, ahead) = (chain.held + 1, chain.last, chain.known > chain.held);
        let id = change.id;
        let row = EntryRow {
            doc: key.doc,
            device: key.device,
            incarnation: key.incarnation,
            n,
            time_ms: change.time_ms,
            kind: change.entry.kind(),
        };
        let previous = if n == 1 { None } else { before };
        let LogChange { time_ms, tag, .. } = change;
        let stored = StoredChange { id, previous, tag, time_ms, value: change.value.clone() };
        let single = ahead && self.is_in_the_way(work, &key, n)?;
        let wall = (description.kind == DocumentKind::Wall).then_some(description.account);
        work.put_log_change(key, n, stored, single, wall);
        self.put_entry_row(work, &id, &row)?;
        for (key, value) in view::other_rows_of(description, &id, &row, &change.entry) {
            work.batch.put(Table::Rows, key, value);
        }
        self.use_hub_room(state, work, description, &change.entry)?;
        self.note_bodies(state, work, &id, &row, &change.entry, local)?;
        if description.kind == DocumentKind::AccountLog {
            work.accounts.insert(description.account);
        }
        Self::note_hub(work, description, &change.entry);
        if matches!(change.entry, Entry::Cut { .. }) {
            work.cuts.insert(key.doc);
        }
        if let Entry::Recovery { policy, claim } = &change.entry {
            self.note_claim(work, &description.account, policy, claim);
        }
        state.dirty = true;
        let chain = self.chain_mut(state, &space, &key)?;
        if change.entry.is_modification() {
            chain.modifications += 1;
        } else {
            chain.entries += 1;
        }
        chain.bytes += change.value.len() as u64;
        chain.evicted = false;
        chain.held = n;
        chain.link = extend(&chain.link, n, &id);
        chain.last = Some(change.hash);
        let target = self.target_of(work, &change.entry)?;
        // What comes from strangers, or is carried for others, is not for the journal.
        let quiet = description.kind == DocumentKind::Conversation
            && !(local || Self::is_heard(state, &space));
        work.events.push(match quiet {
            true => Event::Head { chain: key },
            false => Event::Entry {
                id,
                kind: row.kind,
                account: description.account,
                doc: key.doc,
                local,
                target,
            },
        });
        work.entries.insert(id, (row, change.entry));
        work.spaces.insert(space);
        work.chains.insert(key);
        Ok(())
    }

    /// What an entry is about, for those who are told of it.
    fn target_of(&self, work: &Work, entry: &Entry) -> Result<Option<(ChangeId, u8)>, EngineError> {
        let Some(target) = entry.target() else { return Ok(None) };
        let kind = match work.entries.get(&target) {
            Some((row, _)) => Some(row.kind),
            None => self.entry_row(&target)?.map(|row| row.kind),
        };
        Ok(Some((target, kind.unwrap_or(0))))
    }

    /// Signs what was written here and puts the head rows of all changed chains.
    pub(crate) fn sign_heads(&self, state: &mut State, work: &mut Work) -> Result<(), EngineError> {
        for (key, description) in std::mem::take(&mut work.signed) {
            let device = self
                .known_device(state, &key.device)?
                .ok_or_else(|| EngineError::corrupt("own certificate path is missing"))?;
            let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
            let chain = state.chains.get(&key).ok_or_else(|| EngineError::corrupt("own chain"))?;
            let head = VerifiedHead::sign(
                &description,
                &device.device,
                &own.secret,
                key.incarnation,
                chain.held,
                chain.link,
            )
            .map_err(|error| EngineError::Denied(error.to_string()))?;
            if let Some(chain) = state.chains.get_mut(&key) {
                chain.head = head.signed().encode();
                chain.known = chain.held;
                chain.known_link = chain.link;
            }
        }
        Self::put_hub_uses(state, work);
        for key in std::mem::take(&mut work.chains) {
            if let Some(chain) = state.chains.get(&key) {
                work.batch.put(Table::Meta, keys::head(&key), chain.encode());
            }
        }
        Ok(())
    }

    /// The page of an own row of pages to write the next entry to, and what a new one begins
    /// with: the tips of the page before. A row is named by its page 0.
    pub(crate) fn page_for(
        &self,
        state: &mut State,
        row: &Description,
        value_bytes: usize,
    ) -> Result<(Description, Option<Entry>), EngineError> {
        let Some(page) = self.row_end(state, row)? else { return Ok((row.clone(), None)) };
        let description = row.at_page(page);
        let (_, chain) = self.own_chain(state, &description)?;
        let full =
            chain.entries >= PAGE_ENTRIES_MAX || chain.bytes + value_bytes as u64 > PAGE_BYTES_MAX;
        let (description, turned) = if !full || page >= PAGE_NUMBER_MAX {
            let untouched = chain.held == 0 && !self.follows_on(state, row, page)?;
            (description, untouched)
        } else {
            let next = row.at_page(page + 1);
            let (_, chain) = self.own_chain(state, &next)?;
            (next, chain.held == 0)
        };
        if !turned {
            return Ok((description, None));
        }
        let before = row.at_page(description.page.saturating_sub(1)).id();
        let previous = self.page_tips(state, &before)?;
        Ok((description, Some(Entry::PageStart { previous })))
    }

    /// Writes an entry to the newest own page of a kind, turning the page when it is full.
    pub(crate) fn append_to_pages(
        &self,
        state: &mut State,
        work: &mut Work,
        kind: DocumentKind,
        entry: Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let row = Description::own(account, kind, 0);
        let (description, start) = self.page_for(state, &row, entry.encode().len())?;
        if let Some(start) = start {
            self.append(state, work, &description, start, now_ms)?;
        }
        self.append(state, work, &description, entry, now_ms)
    }

    /// The newest page of an account's own row of pages that is known here.
    pub(crate) fn last_page(
        &self,
        state: &mut State,
        account: &AccountId,
        kind: DocumentKind,
    ) -> Result<Option<u64>, EngineError> {
        let row = Description::own(*account, kind, 0);
        let name = row.id();
        if let Some(page) = state.pages.get(&name) {
            return Ok(Some(*page));
        }
        let last = self.pages_known(state, &row)?.into_iter().max();
        if let Some(page) = last {
            state.pages.insert(name, page);
        }
        Ok(last)
    }

    /// Pages of a row that are known here.
    fn pages_known(&self, state: &mut State, row: &Description) -> Result<Vec<u64>, EngineError> {
        let all = self.documents(state, &row.space.id())?;
        let of_row = |d: &&Description| d.kind == row.kind && **d == row.at_page(d.page);
        Ok(all.iter().map(|(_, d)| &**d).filter(of_row).map(|d| d.page).collect())
    }

    /// The last page of a row of pages: a page follows on one that is full. What a device
    /// wrote far ahead, by mistake or to use up the numbers, belongs to no row.
    fn row_end(&self, state: &mut State, row: &Description) -> Result<Option<u64>, EngineError> {
        let name = row.id();
        let known = state.row_ends.get(&name).copied();
        let mut end = match known {
            Some(page) => page,
            None if self.description(state, &name)?.is_some() => 0,
            None => match self.pages_known(state, row)?.into_iter().min() {
                Some(page) if self.follows_on(state, row, page)? => page,
                _ => return Ok(None),
            },
        };
        loop {
            if self.description(state, &row.at_page(end + 1).id())?.is_none() {
                break;
            }
            let chains = self.chains_of(state, &row.at_page(end).id())?;
            if !chains.iter().any(|(_, chain)| is_full(chain)) {
                break;
            }
            end += 1;
        }
        state.row_ends.insert(name, end);
        Ok(Some(end))
    }

    /// Whether the first page known here is the first of all, or says what stands in the one
    /// before, which is still on its way.
    fn follows_on(
        &self,
        state: &mut State,
        row: &Description,
        page: u64,
    ) -> Result<bool, EngineError> {
        let Some(before) = page.checked_sub(1) else { return Ok(true) };
        let before = row.at_page(before).id();
        for (key, chain) in self.chains_of(state, &row.at_page(page).id())? {
            for item in self.log_items(&key, 1, chain.held.min(1))? {
                if let Entry::PageStart { previous } = item.entry
                    && previous.iter().any(|tip| tip.doc == before)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn page_tips(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<Vec<crate::model::entry::Tip>, EngineError> {
        let mut tips: Vec<_> = self
            .chains_of(state, doc)?
            .into_iter()
            .filter(|(_, chain)| chain.held > 0)
            .map(|(key, chain)| super::accounts::tip(&key, chain.held, chain.link))
            .collect();
        tips.sort_unstable();
        tips.truncate(crate::limits::PAGE_TIPS_MAX);
        Ok(tips)
    }
}

/// Whether somebody may have turned the page because of this chain.
const fn is_full(chain: &ChainState) -> bool {
    chain.entries >= PAGE_ENTRIES_MAX || chain.bytes + ENTRY_BYTES_MAX as u64 > PAGE_BYTES_MAX
}

/// Whether a chain may take one more entry: part of validity.
pub(crate) fn has_room(chain: &ChainState, entry: &Entry, value_bytes: usize) -> bool {
    let counted = if entry.is_modification() {
        chain.modifications < PAGE_MODIFICATIONS_MAX
    } else {
        chain.entries < PAGE_ENTRIES_MAX
    };
    counted && chain.bytes + value_bytes as u64 <= PAGE_BYTES_MAX
}

/// Whether others may write while a commit is on its way to the disk: only plain new
/// entries, of which nothing but the chain states (which are in memory) is read again.
pub(super) fn may_pipeline(work: &Work, events: &[Event]) -> bool {
    let plain = |entry: &Entry| {
        matches!(
            entry,
            Entry::Post { .. } | Entry::Reply { .. } | Entry::Message(_) | Entry::Seen { .. }
        )
    };
    !events.is_empty()
        && !work.once
        && work.accounts.is_empty()
        && events.iter().all(|event| {
            matches!(event, Event::Entry { kind: 0x02..=0x05 | 0x07 | 0x16, local: true, .. })
        })
        && work.entries.values().all(|(_, entry)| plain(entry))
}
