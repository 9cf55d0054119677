//! Messages skimmed: what counting needs of each, read once for all that stand together.
//!
//! A row of a chain holds up to 64 changes, and whoever reads one of them reads them all. So entries
//! are read by the window in which they stand, and kept until the counting is over; that a page has
//! nothing withdrawn is asked of its chains once, and what is concluded about an entry holds for the
//! others of its chain whose author had seen as much, unless a removal has a cut through it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::page::{Reading, Seen, entry_needs};
use crate::chain::ChainKey;
use crate::description::Description;
use crate::hash::{ChangeId, DocumentId};
use crate::hub::{ContentStanding, Hub};
use crate::model::entry::{Entry, EntryRef, Permissions, Said, Who};
use crate::replica::{EngineError, Replica, State};
use crate::view::EntryRow;

/// Changes in a window.
const WINDOW: u64 = 64;
/// Windows kept at once.
const WINDOWS_MAX: usize = 8192;

/// What counting needs of an entry.
#[derive(Debug, Clone, Copy)]
struct Glance {
    id: ChangeId,
    need: Permissions,
    /// It mentions whom the reader goes by.
    mentions: bool,
    /// Whom it mentions is sealed.
    sealed: bool,
}

/// What was read so far of a channel.
pub(super) struct Skimmed<'a> {
    /// Whom the reader goes by.
    named: &'a [Who],
    windows: HashMap<(ChainKey, u64), Vec<(u64, Glance)>>,
    /// Pages on which something may be withdrawn, and pages on which nothing is.
    withdrawn: HashMap<DocumentId, bool>,
    /// Chains as they were when something of them was read.
    held: HashMap<ChainKey, u64>,
    seen: Seen,
    /// By chain, how much its author had seen, and need.
    standings: HashMap<(ChainKey, usize, Permissions), ContentStanding>,
    /// Chains that a cut goes through, or may.
    cut: HashSet<ChainKey>,
    /// What of hubs was changed by then.
    hub_changes: u64,
}

impl<'a> Skimmed<'a> {
    pub(super) fn new(named: &'a [Who]) -> Self {
        Self {
            named,
            windows: HashMap::new(),
            withdrawn: HashMap::new(),
            held: HashMap::new(),
            seen: Seen::new(),
            standings: HashMap::new(),
            cut: HashSet::new(),
            hub_changes: 0,
        }
    }

    /// Forgets what was read of a chain that went on since.
    fn refresh(&mut self, reading: &mut Reading, key: &ChainKey, held: u64) {
        let known = self.held.insert(*key, held);
        if known.is_some_and(|known| known != held) {
            self.windows.remove(&(*key, held.saturating_sub(1) / WINDOW));
            self.withdrawn.remove(&key.doc);
            reading.seen.remove(key);
        }
    }
}

/// A step of skimming, while the hub does not change.
pub(super) struct Skimming<'a, 'b> {
    reading: Reading,
    skimmed: &'a mut Skimmed<'b>,
}

impl<'a, 'b> Skimming<'a, 'b> {
    /// Begins a step in a hub as it is now.
    pub(super) fn of(hub: Arc<Hub>, hub_changes: u64, skimmed: &'a mut Skimmed<'b>) -> Self {
        if skimmed.hub_changes != hub_changes {
            skimmed.standings.clear();
            skimmed.cut.clear();
            skimmed.hub_changes = hub_changes;
        }
        let mut reading = Reading::of(hub);
        reading.seen = std::mem::take(&mut skimmed.seen);
        Self { reading, skimmed }
    }

    /// Ends the step: the hub is let go of.
    pub(super) fn end(self) {
        self.skimmed.seen = self.reading.seen;
    }
}

impl Replica {
    /// Whether a message counts and is shown, and then whether it mentions the reader.
    pub(super) fn skim(
        &self,
        state: &mut State,
        skimming: &mut Skimming<'_, '_>,
        named: &EntryRef,
    ) -> Result<Option<bool>, EngineError> {
        let Some(row) = self.entry_row(&named.entry)? else { return Ok(None) };
        let Some(page) = self.description(state, &row.doc)? else { return Ok(None) };
        let key = row.chain();
        let held = self.chain(state, &page.space.id(), &key)?.held;
        skimming.skimmed.refresh(&mut skimming.reading, &key, held);
        let Some(glance) = self.glance(skimming, &named.entry, &row)? else { return Ok(None) };
        let channel = page.channel_id();
        if channel
            .is_some_and(|channel| Self::is_misplaced(&skimming.reading.hub, &channel, row.kind))
        {
            return Ok(None);
        }
        let standing = self.standing_by_chain(state, skimming, &page, &row, glance.need)?;
        let shown = matches!(standing, ContentStanding::Counts { .. })
            && skimming.reading.hub.moderation(named).is_none()
            && !self.was_taken_back(state, skimming, &named.entry, &row)?;
        if !(shown && glance.sealed) {
            return Ok(shown.then_some(glance.mentions));
        }
        Ok(Some(self.mentions_sealed(state, skimming, &page, &named.entry)?))
    }

    /// Whether a sealed message mentions the reader, as far as it opens.
    fn mentions_sealed(
        &self,
        state: &mut State,
        skimming: &mut Skimming<'_, '_>,
        page: &Description,
        id: &ChangeId,
    ) -> Result<bool, EngineError> {
        let Some((row, Entry::Private(private))) = self.entry(id)? else { return Ok(false) };
        let said = self.said(state, &mut skimming.reading, page, (&row, &private))?;
        let Ok((Said::Message { mentions }, _)) = &said else { return Ok(false) };
        let mentions = match self.private_text(page, &private, &said)? {
            Ok(opened) if mentions.is_empty() => opened.mentions,
            _ => mentions.clone(),
        };
        Ok(mentions.iter().any(|who| skimming.skimmed.named.contains(who)))
    }

    fn glance(
        &self,
        skimming: &mut Skimming<'_, '_>,
        id: &ChangeId,
        row: &EntryRow,
    ) -> Result<Option<Glance>, EngineError> {
        let key = row.chain();
        let number = row.n.saturating_sub(1) / WINDOW;
        if !skimming.skimmed.windows.contains_key(&(key, number)) {
            if skimming.skimmed.windows.len() >= WINDOWS_MAX {
                skimming.skimmed.windows.clear();
            }
            let first = number * WINDOW + 1;
            // What is damaged in it is told of where it is asked for.
            let items = self.log_items(&key, first, first + WINDOW - 1).unwrap_or_default();
            let named = skimming.skimmed.named;
            let glances = items.iter().map(|item| (item.n, glance_of(item.id, &item.entry, named)));
            skimming.skimmed.windows.insert((key, number), glances.collect());
        }
        let window =
            skimming.skimmed.windows.get(&(key, number)).map(Vec::as_slice).unwrap_or_default();
        let found = window.binary_search_by_key(&row.n, |(n, _)| *n).ok();
        if let Some((_, glance)) = found.and_then(|at| window.get(at))
            && glance.id == *id
        {
            return Ok(Some(*glance));
        }
        let entry = self.entry(id)?;
        Ok(entry.map(|(_, entry)| glance_of(*id, &entry, skimming.skimmed.named)))
    }

    /// [`Replica::standing_of`], worked out once for entries of a chain of which it is the same.
    fn standing_by_chain(
        &self,
        state: &mut State,
        skimming: &mut Skimming<'_, '_>,
        page: &Arc<Description>,
        row: &EntryRow,
        need: Permissions,
    ) -> Result<ContentStanding, EngineError> {
        let key = row.chain();
        if skimming.skimmed.cut.contains(&key) {
            return self.standing_of(state, &mut skimming.reading, page, row, need);
        }
        let seen = skimming.reading.seen_by(&key, row.n);
        if let Some(standing) =
            seen.and_then(|seen| skimming.skimmed.standings.get(&(key, seen, need)))
        {
            return Ok(*standing);
        }
        let standing = self.standing_of(state, &mut skimming.reading, page, row, need)?;
        let uncut = !skimming.reading.hub.was_removed(&page.account)
            && !self.may_be_cut(state, page, &key)?;
        match skimming.reading.seen_by(&key, row.n).filter(|_| uncut) {
            Some(seen) => {
                skimming.skimmed.standings.insert((key, seen, need), standing);
            }
            None => {
                skimming.skimmed.cut.insert(key);
            }
        }
        Ok(standing)
    }

    /// Whether changes of a chain may be judged by their numbers: its device was revoked, or is
    /// suspended.
    fn may_be_cut(
        &self,
        state: &mut State,
        page: &Description,
        key: &ChainKey,
    ) -> Result<bool, EngineError> {
        let Some(authority) = self.authority_of(state, &page.account)? else { return Ok(true) };
        let device = authority.devices.get(&key.device);
        Ok(device.is_none_or(|device| device.revoked.is_some() || device.held_back.is_some()))
    }

    fn was_taken_back(
        &self,
        state: &mut State,
        skimming: &mut Skimming<'_, '_>,
        id: &ChangeId,
        row: &EntryRow,
    ) -> Result<bool, EngineError> {
        let may = match skimming.skimmed.withdrawn.get(&row.doc) {
            Some(may) => *may,
            None => {
                let mut may = false;
                for (key, chain) in self.chains_of(state, &row.doc)? {
                    // That something was seen counts as a modification too.
                    may |= chain.modifications > self.seen_rows(&key)?.len() as u64;
                }
                skimming.skimmed.withdrawn.insert(row.doc, may);
                may
            }
        };
        if may { self.is_taken_back(state, id, row) } else { Ok(false) }
    }
}

fn glance_of(id: ChangeId, entry: &Entry, named: &[Who]) -> Glance {
    let mentions = match entry {
        Entry::Message(message) => message.mentions.iter().any(|who| named.contains(who)),
        _ => false,
    };
    let sealed = matches!(entry, Entry::Private(_));
    Glance { id, need: entry_needs(entry), mentions, sealed }
}
