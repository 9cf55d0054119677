//! Changes of chains as they are given to others.

use std::sync::PoisonError;

use super::forks::place;
use super::stored::ReadChange;
use super::{EngineError, Replica, State};
use crate::chain::ChainKey;
use crate::hash::ChangeId;
use crate::model::entry::Entry;
use crate::sync::exchange::KnownTip;
use crate::wire::{Changes, Content, LogItem, Part};

/// Entries of one chain that were read last, a page of them at most.
#[derive(Debug)]
pub(super) struct Lately {
    key: ChainKey,
    first_n: u64,
    items: Vec<LogItem>,
}

impl Replica {
    /// Changes of a chain from `first_n`, as they travel.
    pub(super) fn held_changes(
        &self,
        key: &ChainKey,
        log: bool,
        first_n: u64,
        last_n: u64,
        bytes_max: usize,
    ) -> Result<Changes, EngineError> {
        let (mut items, mut raws) = (Vec::new(), Vec::new());
        let mut total = 0;
        // What follows a damaged change cannot be given without it.
        if log {
            for (id, change) in self.read_changes(key, first_n, last_n)? {
                let change = self.note_unless_whole(&id.blob(), change)?;
                let Some(ReadChange { time_ms, value, .. }) = change else { break };
                total += value.len() + 8;
                items.push(LogItem { time_ms, value });
                if total >= bytes_max {
                    break;
                }
            }
        } else {
            for id in self.change_ids(key, first_n, last_n)? {
                let Some(bytes) = self.held_bytes(&id.blob())? else { break };
                total += bytes.len() + 4;
                raws.push(bytes);
                if total >= bytes_max {
                    break;
                }
            }
        }
        if log {
            self.read_lately(key, first_n, &items);
        }
        Ok(if log { Changes::Log(items) } else { Changes::Raw(raws) })
    }

    /// Remembers entries that were read to be given: their bodies are asked for next.
    fn read_lately(&self, key: &ChainKey, first_n: u64, items: &[LogItem]) {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *lately {
            Some(read) if read.key == *key && read.first_n + read.items.len() as u64 == first_n => {
                read.items.extend_from_slice(items);
            }
            _ => *lately = Some(Lately { key: *key, first_n, items: items.to_vec() }),
        }
    }

    /// Entries `first_n..=last_n` of a chain, if they were read just now.
    pub(super) fn entries_lately(
        &self,
        key: &ChainKey,
        first_n: u64,
        last_n: u64,
    ) -> Option<Vec<Entry>> {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let read = lately.as_ref().filter(|read| read.key == *key)?;
        let skip = place(first_n.checked_sub(read.first_n)?);
        let count = place((last_n + 1).checked_sub(first_n)?);
        let items = read.items.get(skip..skip.checked_add(count)?)?;
        items.iter().map(|item| Entry::decode(&item.value).ok()).collect()
    }

    fn branch_part(
        &self,
        state: &mut State,
        tip: &KnownTip,
        first_n: u64,
        bytes_max: usize,
    ) -> Result<Option<Part>, EngineError> {
        let branches = self.branches(state, &tip.chain)?;
        let Some(branch) = branches.iter().find(|branch| branch.link == tip.link) else {
            return Ok(None);
        };
        let skip = usize::try_from(first_n.saturating_sub(1)).unwrap_or(usize::MAX);
        let ids = branch.ids.iter().skip(skip).take(bytes_max / 32).copied().collect();
        Ok(Some(Part { first_n, content: Content::Ids(ids) }))
    }

    pub(super) fn tip_part(
        &self,
        tip: &KnownTip,
        first_n: u64,
        bytes_max: usize,
    ) -> Result<Option<Part>, EngineError> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &tip.chain.doc)? else {
            return Ok(None);
        };
        let chain = self.chain(&mut state, &description.space.id(), &tip.chain)?;
        let chain = self.durable(&state, &tip.chain, chain)?;
        if chain.known_link != tip.link
            && let Some(part) = self.branch_part(&mut state, tip, first_n, bytes_max)?
        {
            return Ok(Some(part));
        }
        drop(state);
        let last = chain.held;
        if last < chain.known {
            // What is kept is proven by the ids of what is not; without them by nothing.
            let Some(ids) = self.bridge(&tip.chain, &chain)? else {
                let proof =
                    self.proof(&tip.chain, &chain)?.filter(|(_, _, link)| *link == tip.link);
                let Some((_, n, _)) = proof.filter(|(_, n, _)| first_n > 0 && first_n <= *n) else {
                    return Ok(None);
                };
                let log = description.kind.is_log();
                let changes = self.held_changes(&tip.chain, log, first_n, n, bytes_max)?;
                return Ok(Some(Part { first_n, content: Content::Changes(changes) }));
            };
            let refused = first_n == last + 1 && chain.invalid_from == first_n;
            if refused && ids.first().is_some_and(|id| self.is_kept(id)) {
                let log = description.kind.is_log();
                let changes = self.held_changes(&tip.chain, log, first_n, first_n, bytes_max)?;
                return Ok(Some(Part { first_n, content: Content::Changes(changes) }));
            }
            if first_n > last {
                let skip = place(first_n - last - 1);
                let ids = ids.into_iter().skip(skip).take(bytes_max / 32).collect();
                return Ok(Some(Part { first_n, content: Content::Ids(ids) }));
            }
        }
        if first_n == 0 || first_n > last {
            return Ok(None);
        }
        let log = description.kind.is_log();
        let changes = self.held_changes(&tip.chain, log, first_n, last, bytes_max)?;
        Ok(Some(Part { first_n, content: Content::Changes(changes) }))
    }

    /// As [`Replica::tip_part`] of a log, the ids alone.
    pub(super) fn tip_ids(
        &self,
        tip: &KnownTip,
        first_n: u64,
        bytes_max: usize,
    ) -> Result<Option<Part>, EngineError> {
        let part = self.tip_part(tip, first_n, bytes_max)?;
        let Some(Part { content: Content::Changes(changes), .. }) = &part else { return Ok(part) };
        let last = first_n + (changes.len() as u64).saturating_sub(1);
        let items = self.log_items(&tip.chain, first_n, last)?;
        let ids = items.iter().map(|item| item.id).take(bytes_max / 32).collect();
        Ok(Some(Part { first_n, content: Content::Ids(ids) }))
    }

    /// Whether a change's bytes are here: of an invalid one they are kept, so that whoever
    /// gets the chain sees what is wrong with it.
    fn is_kept(&self, id: &ChangeId) -> bool {
        self.blob_bytes(&id.blob()).is_ok_and(|found| found.is_some())
    }
}
