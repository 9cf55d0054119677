//! What moderators purge: texts are dropped, and wanted again where the purge turns out to be void.

use std::collections::BTreeMap;

use crate::hash::{AccountId, ChangeId, DocumentId, HubId};
use crate::replica::{EngineError, Replica, State, Work};
use crate::store::{Table, keys};

impl Replica {
    /// Drops the texts of what is purged now, and looks for those again that are not any more,
    /// in hubs whose operations changed.
    pub(crate) fn settle_purges(&self) -> Result<(), EngineError> {
        loop {
            let mut state = self.lock();
            let Some(hub) = state.purges_due.pop_first() else { return Ok(()) };
            let Some(known) = self.hub_of(&mut state, &hub)? else { continue };
            let purged: BTreeMap<ChangeId, AccountId> =
                known.purged().into_iter().map(|named| (named.entry, named.account)).collect();
            drop(known);
            // Loading it says that it is due.
            state.purges_due.remove(&hub);
            let mut before = BTreeMap::new();
            for (key, value) in self.scan_all(Table::Meta, &keys::purges(&hub))? {
                let (Some(entry), Ok(account)) =
                    (keys::parse_last(&key), value.as_ref().try_into())
                else {
                    continue;
                };
                before.insert(entry, AccountId::from_bytes(account));
            }
            if before == purged {
                continue;
            }
            let mut work = Work::default();
            for entry in before.keys().filter(|entry| !purged.contains_key(entry)) {
                work.unpurged.insert(*entry);
                work.batch.delete(Table::Meta, keys::purged(&hub, entry));
            }
            for (entry, account) in
                purged.iter().filter(|(entry, by)| before.get(entry) != Some(by))
            {
                let value = account.as_bytes().to_vec();
                work.batch.put(Table::Meta, keys::purged(&hub, entry), value);
            }
            let changed: Vec<(ChangeId, AccountId)> = purged
                .iter()
                .chain(&before)
                .filter(|(entry, _)| !(purged.contains_key(entry) && before.contains_key(entry)))
                .map(|(entry, account)| (*entry, *account))
                .collect();
            for (entry, account) in changed {
                self.settle_purge(&mut state, &mut work, &hub, &entry, &account)?;
            }
            self.finish(state, work)?;
        }
    }

    fn settle_purge(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        entry: &ChangeId,
        account: &AccountId,
    ) -> Result<(), EngineError> {
        let Some(row) = self.entry_row(entry)? else { return Ok(()) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(()) };
        let named = description.space.hub() == Some(*hub) && description.account == *account;
        if !named || description.channel_id().is_none() {
            return Ok(());
        }
        match work.unpurged.contains(entry) {
            true => self.settle(state, work, entry, &row.doc),
            false => self.drop_bodies(state, work, entry, &row.doc),
        }
    }

    /// Whether a moderator had an entry of this document purged.
    pub(crate) fn is_purged(
        &self,
        state: &mut State,
        work: &Work,
        id: &ChangeId,
        doc: &DocumentId,
    ) -> Result<bool, EngineError> {
        let Some(description) = self.description(state, doc)? else { return Ok(false) };
        let (Some(hub), Some(_)) = (description.space.hub(), description.channel_id()) else {
            return Ok(false);
        };
        if work.unpurged.contains(id) {
            return Ok(false);
        }
        let row = self.store.get(Table::Meta, &keys::purged(&hub, id))?;
        Ok(row.is_some_and(|account| account.as_ref() == description.account.as_bytes()))
    }
}
