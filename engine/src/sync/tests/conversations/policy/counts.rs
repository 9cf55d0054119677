//! Which messages count, by what was known to whoever revoked a device or took somebody out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fact, Policy};
use crate::description::Space;
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, EpochId};
use crate::model::entry::Entry;
use crate::sync::tests::replicas::Home;

/// A message, as it was written.
#[derive(Debug)]
pub(super) struct Said {
    pub id: ChangeId,
    pub epoch: EpochId,
    pub text: String,
    pub device: DeviceId,
}

/// Where a conversation says of a device up to what it is heard, as somebody has it.
pub(super) fn cuts_of(home: &Home, id: &ConversationId, device: &DeviceId) -> BTreeSet<ChangeId> {
    let mut state = home.replica.lock();
    let mut out = BTreeSet::new();
    for (doc, _) in home.replica.documents(&mut state, &Space::Conversation(*id).id()).unwrap() {
        for (key, chain) in home.replica.chains_of(&mut state, &doc).unwrap() {
            for item in home.replica.log_items(&key, 1, chain.held).unwrap() {
                if matches!(item.entry, Entry::Cut { device: of, .. } if of == *device) {
                    out.insert(item.id);
                }
            }
        }
    }
    out
}

fn has(home: &Home, id: &ChangeId) -> bool {
    home.replica.entry_row(id).unwrap().is_some()
}

impl Policy {
    /// What is left of a device that was revoked, as a home knows; `None` if it was not. Whether the
    /// conversation itself says so.
    fn kept_of(&self, home: &Home, device: &DeviceId) -> Option<(BTreeSet<ChangeId>, bool)> {
        let mut left: Option<(BTreeSet<ChangeId>, bool)> = None;
        for (log, fact) in &self.facts {
            let Fact::Revoked { device: of, kept, cuts } = fact else { continue };
            if of != device || log.as_ref().is_some_and(|log| !has(home, log)) {
                continue;
            }
            let (all, said) = left.get_or_insert_default();
            if cuts.iter().any(|cut| has(home, cut)) {
                all.extend(kept);
                *said = true;
            }
        }
        left
    }

    /// What a home has of somebody and shows.
    pub(super) fn heard_of(&self, home: &Home, account: &AccountId) -> BTreeSet<ChangeId> {
        let his =
            self.messages.iter().filter(|said| self.devices.get(&said.device) == Some(account));
        let heard = his.filter(|said| {
            let left = self.kept_of(home, &said.device);
            has(home, &said.id) && left.is_none_or(|(kept, _)| kept.contains(&said.id))
        });
        heard.map(|said| said.id).collect()
    }

    /// Messages that count where everything is known that counts.
    pub(super) fn counting(&self, home: &Home) -> BTreeSet<ChangeId> {
        let void = |id: &Option<ChangeId>| {
            let Some(by) = id.as_ref().and_then(|id| self.by.get(id)) else { return false };
            let mut left = self.facts.iter().filter_map(|(_, fact)| match fact {
                Fact::Revoked { device, kept, .. } if device == by => Some(kept),
                _ => None,
            });
            left.any(|kept| id.as_ref().is_some_and(|id| !kept.contains(id)))
        };
        let facts: Vec<&Fact> =
            self.facts.iter().filter(|(id, _)| !void(id)).map(|(_, fact)| fact).collect();
        // Of each account the founder's last word, and what he had heard.
        let mut last: BTreeMap<AccountId, ((u64, bool), BTreeSet<ChangeId>)> = BTreeMap::new();
        for fact in &facts {
            let Fact::Member { account, round, present, heard } = fact else { continue };
            let (word, all) = last.entry(*account).or_insert_with(|| {
                let word = (0, !self.founders.contains(account));
                (word, BTreeSet::new())
            });
            if (*round, !present) > *word {
                (*word, *all) = ((*round, !present), BTreeSet::new());
            }
            if (*round, !present) == *word && !present {
                all.extend(heard);
            }
        }
        let mut gone: BTreeMap<AccountId, BTreeSet<ChangeId>> = BTreeMap::new();
        for (account, ((_, out), heard)) in &last {
            if *out {
                gone.insert(*account, heard.clone());
            }
        }
        for fact in &facts {
            let Fact::Left { account, round, heard } = fact else { continue };
            let word = last.get(account).map_or((0, false), |(word, _)| *word);
            if word == (*round, false) {
                gone.entry(*account).or_default().extend(heard);
            }
        }
        let counts = self.messages.iter().filter(|said| {
            let account = self.devices[&said.device];
            let left = self.kept_of(home, &said.device);
            match (gone.get(&account), left) {
                (None, None) => true,
                (None, Some((kept, _))) => kept.contains(&said.id),
                (Some(heard), Some((kept, true))) => {
                    heard.contains(&said.id) && kept.contains(&said.id)
                }
                (Some(heard), _) => heard.contains(&said.id),
            }
        });
        counts.map(|said| said.id).collect()
    }
}
