//! How much of a section is missing here, worked out once between two commits: anybody who
//! connects may ask for it.

use std::collections::BTreeSet;

use super::{Event, Replica, State, Work};
use crate::hash::{DocumentId, SpaceId};
use crate::sync::exchange::{Exchange, ExchangeResult, Section};

/// Milliseconds for which a count holds at most: limits by age depend on the time.
const COUNT_MS_MAX: u64 = 60_000;
/// Chains counted as missing in one section.
const CHAINS_MAX: usize = 1024;

impl State {
    /// Drops what was counted as missing: in these spaces, or everywhere.
    pub(crate) fn forget_missing(&mut self, spaces: Option<&BTreeSet<SpaceId>>) {
        // Nothing that is being counted right now is kept.
        self.missing_epoch += 1;
        match spaces {
            Some(spaces) => {
                for section in spaces.iter().flat_map(Section::all_of) {
                    self.missing.remove(&section);
                }
            }
            None => self.missing.clear(),
        }
    }
}

impl Replica {
    /// Drops what was counted as missing, after a commit that went by itself.
    pub(crate) fn recount_missing(&self) {
        self.lock().forget_missing(None);
    }

    pub(crate) fn section_missing(&self, section: &Section) -> ExchangeResult<u64> {
        self.miss_damaged();
        let state = self.lock();
        let (epoch, now_ms) = (state.missing_epoch, state.now_ms);
        if let Some((at_ms, count)) = state.missing.get(section)
            && now_ms.abs_diff(*at_ms) < COUNT_MS_MAX
        {
            return Ok(*count);
        }
        drop(state);
        let count = self.missing_bodies_count(section)?
            + self.incomplete(section, CHAINS_MAX)?.len() as u64;
        let mut state = self.lock();
        if state.missing_epoch == epoch {
            state.missing.insert(*section, (now_ms, count));
        }
        Ok(count)
    }

    /// Whether a commit may change what is wanted in spaces that it does not name.
    pub(crate) fn changes_wants(state: &State, work: &Work) -> bool {
        let judges = !work.accounts.is_empty();
        work.spaces.is_empty() || judges || Self::changes_lists(state, work)
    }

    /// Whether a commit may change whom this account follows or blocks.
    pub(crate) fn changes_lists(state: &State, work: &Work) -> bool {
        let own = state.own.as_ref().map(|own| own.account);
        // Own maps say who is blocked.
        let own_map = |event: &Event| matches!(event, Event::Entry { kind: 0, account, .. } if Some(*account) == own);
        own.is_none_or(|own| work.accounts.contains(&own))
            || !work.maps.is_empty()
            || !work.cuts.is_empty()
            || work.events.iter().any(own_map)
    }

    /// Drops what was derived from documents that this commit changes.
    pub(super) fn forget_derived(state: &mut State, work: &Work) {
        for account in &work.accounts {
            state.authorities.remove(account);
            let descriptions = &state.descriptions;
            let others = |doc: &DocumentId| {
                descriptions.get(doc).is_some_and(|description| description.account != *account)
            };
            state.maps.retain(|doc, _| others(doc));
            state.shown.retain(|doc, _| others(doc));
            state.texts.retain(|doc, _| others(doc));
            state.shown_texts.retain(|doc, _| others(doc));
            state.cuts.retain(|doc, _| others(doc));
            state.awaited.retain(|doc, _| others(doc));
        }
        for doc in &work.maps {
            state.maps.remove(doc);
            state.shown.remove(doc);
            state.texts.remove(doc);
            state.shown_texts.remove(doc);
        }
        for doc in &work.cuts {
            state.cuts.remove(doc);
            state.agreed.retain(|tip, _| tip.doc != *doc);
        }
        // Followed accounts come with an own map, guests with their documents: see there.
        if Self::changes_lists(state, work) {
            (state.kept, state.conversations) = (None, None);
            state.blocked = None;
        }
    }
}
