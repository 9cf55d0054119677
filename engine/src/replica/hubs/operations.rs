//! Writing operations of a hub: refused here, with the reason, if they would count for nothing.

use std::sync::Arc;

use super::refusals::{check_open, denied};
use super::texts::TextKey;
use super::{HUBS, KnownHub};
use crate::change::value::Value;
use crate::description::{Description, Space};
use crate::entropy::random;
use crate::hash::{AccountId, ChangeId, HubId};
use crate::hub::{Hub, HubItem, Verdict, Why};
use crate::identity::{DeviceSecret, Domain};
use crate::limits::ENTRY_BYTES_MAX;
use crate::model::entry::{
    ChannelFields, Entry, HubAction, HubGenesis, HubOperation, HubSetting, Permissions, Rank,
    Readers, Tip,
};
use crate::replica::accounts::tip;
use crate::replica::{EngineError, Replica, State, Work};
use crate::seal::EpochKey;

/// Versions that one removal names: with what was seen they fit one entry.
const CUT_PART: usize = 240;

/// What a hub begins with.
#[derive(Debug, Clone)]
pub struct HubStart {
    /// Its name.
    pub name: String,
    /// What it says about itself.
    pub about: String,
    /// What every member may do.
    pub everyone: Permissions,
    /// Channels that it has from the beginning.
    pub channels: Vec<ChannelFields>,
    /// The hub that it is split off from.
    pub forked_from: Option<HubId>,
    /// Nobody but its members may know of it, and all its channels are private.
    pub private: bool,
}

/// What lets an account join: the invitation, and the key of the ticket if it has one.
#[derive(Debug)]
pub struct Ticket<'a> {
    /// The hub.
    pub hub: HubId,
    /// The invitation.
    pub invite: ChangeId,
    /// The ticket's key.
    pub key: Option<&'a DeviceSecret>,
    /// Keys of names of a private hub: [`Replica::invitation_keys`].
    pub texts: &'a [EpochKey],
}

impl Replica {
    /// Creates a hub that this account owns, and lists it; durable when it returns.
    ///
    /// # Errors
    /// If a name is unusable, this device may not write, or the store fails.
    pub fn create_hub(&self, start: HubStart, now_ms: u64) -> Result<HubId, EngineError> {
        let me = self.account()?;
        let genesis = HubGenesis {
            owners: vec![me],
            everyone: start.everyone,
            nonce: random(&*self.entropy),
            created_ms: now_ms,
            forked_from: start.forked_from,
            private: start.private,
        };
        let id = genesis.id();
        let mut actions = vec![HubAction::Begin(genesis.clone())];
        actions.push(HubAction::Set(HubSetting::Name(start.name.clone())));
        if !start.about.is_empty() {
            actions.push(HubAction::Set(HubSetting::About(start.about)));
        }
        let private = start.private;
        let closed = |fields: ChannelFields| ChannelFields {
            readers: fields.readers.or_else(|| private.then(Readers::of_all)),
            ..fields
        };
        actions.extend(start.channels.into_iter().map(closed).map(HubAction::CreateChannel));
        self.govern(|state, work| {
            state.hubs.insert(id, KnownHub::new(Arc::new(Hub::new(genesis))));
            for action in actions {
                self.operate(state, work, &id, action, "", now_ms)?;
            }
            self.note_listed(state, work, &id, now_ms)
        })?;
        Ok(id)
    }

    /// Writes operations as one commit, and drops what they purge.
    pub(super) fn govern<T>(
        &self,
        write: impl FnOnce(&mut State, &mut Work) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let mut work = Work::default();
        let written = write(&mut state, &mut work)?;
        self.finish(state, work)?;
        self.settle_purges()?;
        Ok(written)
    }

    /// Writes one operation into the own log of a hub; durable when it returns.
    ///
    /// # Errors
    /// [`EngineError::Denied`] with the reason if it would count for nothing; if the hub is not
    /// here, this device may not write, or the store fails.
    pub fn hub_operation(
        &self,
        hub: &HubId,
        action: HubAction,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.govern(|state, work| self.operate(state, work, hub, action, reason, now_ms))
    }

    /// Writes several operations as one commit: all of them, or none.
    ///
    /// # Errors
    /// As [`Replica::hub_operation`], of the first that is refused.
    pub fn hub_operations(
        &self,
        hub: &HubId,
        actions: Vec<HubAction>,
        reason: &str,
        now_ms: u64,
    ) -> Result<Vec<ChangeId>, EngineError> {
        self.govern(|state, work| {
            let mut ids = Vec::with_capacity(actions.len());
            for action in actions {
                ids.push(self.operate(state, work, hub, action, reason, now_ms)?);
            }
            Ok(ids)
        })
    }

    /// Joins a hub by an invitation, and lists it. Who takes an invitation that others took as
    /// well, unseen, may have to wait for a human: see [`Hub::invites`].
    ///
    /// # Errors
    /// As [`Replica::hub_operation`].
    pub fn join_hub(&self, ticket: &Ticket<'_>, now_ms: u64) -> Result<ChangeId, EngineError> {
        let me = self.account()?;
        let Ticket { hub, invite, key, texts } = ticket;
        self.govern(|state, work| {
            let settled = self.known_hub(state, hub)?;
            check_open(&settled, &me, invite, now_ms)?;
            drop(settled);
            self.keep_text_keys(state, hub, texts);
            let message = HubAction::join_message(hub, invite, &me);
            let proof = key.map(|key| key.sign(Domain::Invite, &message));
            let action = HubAction::Join { invite: *invite, proof };
            let id = self.operate(state, work, hub, action, "", now_ms)?;
            self.note_listed(state, work, hub, now_ms)?;
            Ok(id)
        })
    }

    /// Gives up all own roles in a hub: what was written stays. The hub stays listed.
    ///
    /// # Errors
    /// As [`Replica::hub_operation`].
    pub fn leave_hub(&self, hub: &HubId, now_ms: u64) -> Result<ChangeId, EngineError> {
        let me = self.account()?;
        self.govern(|state, work| {
            if self.known_hub(state, hub)?.rank(&me) == Some(Rank::OWNER) {
                let why = "you own this hub: owners do not leave it";
                return Err(EngineError::Denied(why.into()));
            }
            self.remove(state, work, hub, &me, "", now_ms, |cut| HubAction::Leave { cut })
        })
    }

    /// Removes a member for good. What is here of his channel pages stays, or (`purge`) nothing
    /// does.
    ///
    /// # Errors
    /// As [`Replica::hub_operation`].
    pub fn ban(
        &self,
        hub: &HubId,
        account: &AccountId,
        purge: bool,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let account = *account;
        self.govern(|state, work| match purge {
            true => {
                let action = HubAction::Ban { account, cut: Vec::new(), purge };
                self.operate(state, work, hub, action, reason, now_ms)
            }
            false => self.remove(state, work, hub, &account, reason, now_ms, |cut| {
                HubAction::Ban { account, cut, purge }
            }),
        })
    }

    /// Takes all roles from a member, who may be invited again. What is here of his stays.
    ///
    /// # Errors
    /// As [`Replica::hub_operation`].
    pub fn kick(
        &self,
        hub: &HubId,
        account: &AccountId,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let account = *account;
        self.govern(|state, work| {
            self.remove(state, work, hub, &account, reason, now_ms, |cut| HubAction::Kick {
                account,
                cut,
            })
        })
    }

    /// Takes one role from a member. What he wrote under it and is here stays.
    ///
    /// # Errors
    /// As [`Replica::hub_operation`].
    pub fn revoke_role(
        &self,
        hub: &HubId,
        account: &AccountId,
        role: crate::model::entry::RoleRef,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let account = *account;
        self.govern(|state, work| {
            self.remove(state, work, hub, &account, reason, now_ms, |cut| HubAction::Revoke {
                account,
                role,
                cut,
            })
        })
    }

    /// Has a removal leave all that is here of what its subject wrote.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if the operation removes nobody; as [`Replica::hub_operation`].
    pub fn extend_cut(
        &self,
        hub: &HubId,
        removal: &ChangeId,
        reason: &str,
        now_ms: u64,
    ) -> Result<Vec<ChangeId>, EngineError> {
        self.govern(|state, work| {
            let known = self.known_hub(state, hub)?;
            let subject = known.record_of(removal).and_then(|record| match record.action {
                HubAction::Revoke { account, .. }
                | HubAction::Kick { account, .. }
                | HubAction::Ban { account, purge: false, .. } => Some(*account),
                HubAction::Leave { .. } => Some(record.account),
                _ => None,
            });
            drop(known);
            let subject = subject.ok_or_else(|| {
                EngineError::Invalid(format!("{} removes nobody", removal.short()))
            })?;
            let tips = self.channel_tips(state, hub, &subject)?;
            if tips.is_empty() {
                let message = format!("nothing of {} is here", subject.short());
                return Err(EngineError::Invalid(message));
            }
            let mut extensions = Vec::new();
            for cut in tips.chunks(CUT_PART) {
                let (removal, operations) = (*removal, Vec::new());
                let action = HubAction::ExtendCut { removal, operations, cut: cut.to_vec() };
                extensions.push(self.operate(state, work, hub, action, reason, now_ms)?);
            }
            Ok(extensions)
        })
    }

    /// Writes a removal with its cut: what does not fit into one operation extends it.
    #[expect(clippy::too_many_arguments, reason = "four removals differ in their action alone")]
    fn remove(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        account: &AccountId,
        reason: &str,
        now_ms: u64,
        removal: impl FnOnce(Vec<Tip>) -> HubAction,
    ) -> Result<ChangeId, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let all = self.channel_tips(state, hub, account)?;
        if *account == me && all.len() > CUT_PART {
            let message = format!(
                "you wrote on {} pages of this hub, and leaving leaves {CUT_PART} of them: ask a \
                 moderator to remove you instead",
                all.len()
            );
            return Err(EngineError::Denied(message));
        }
        let mut parts = all.chunks(CUT_PART).map(<[Tip]>::to_vec);
        let first = removal(parts.next().unwrap_or_default());
        let removal = self.operate(state, work, hub, first, reason, now_ms)?;
        for cut in parts {
            let action = HubAction::ExtendCut { removal, operations: Vec::new(), cut };
            self.operate(state, work, hub, action, reason, now_ms)?;
        }
        Ok(removal)
    }

    /// Versions of an account's channel pages in a hub, as they are held here; newest pages
    /// first where there are more than one operation names.
    fn channel_tips(
        &self,
        state: &mut State,
        hub: &HubId,
        account: &AccountId,
    ) -> Result<Vec<Tip>, EngineError> {
        let known = self.known_hub(state, hub)?;
        let mut tips = Vec::new();
        for (doc, description) in self.documents(state, &Space::Hub(*hub).id())? {
            // Pages of channels that do not exist leave nothing to keep.
            let of_channel = description
                .channel_id()
                .is_some_and(|id| known.channel(&id).is_some() || known.is_for_texts(&id));
            if description.account != *account || !of_channel {
                continue;
            }
            for (key, chain) in self.chains_of(state, &doc)? {
                if chain.held > 0 {
                    tips.push((description.page, tip(&key, chain.held, chain.link)));
                }
            }
        }
        tips.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut tips: Vec<Tip> = tips.into_iter().map(|(_, tip)| tip).collect();
        for part in tips.chunks_mut(CUT_PART) {
            part.sort_unstable();
        }
        Ok(tips)
    }

    /// Adds one operation to a commit, and to the hub in memory.
    pub(super) fn operate(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        action: HubAction,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let result = self.try_operate(state, work, hub, action, reason, now_ms);
        if result.is_err() {
            // What it was given is not going to be stored.
            state.dirty = true;
            state.hubs.remove(hub);
        }
        result
    }

    fn try_operate(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        action: HubAction,
        reason: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        drop(self.known_hub(state, hub)?);
        let reason = reason.to_owned();
        let mut operation =
            HubOperation { seen: Vec::new(), reason, action: action.clone(), texts: None };
        // A key may have to be opened first, which can begin a new life of this device.
        let texts = self.text_key(state, work, hub, &operation, now_ms)?;
        let row = Description::hub_log(*hub, me, 0);
        let (description, start) = self.page_for(state, &row, ENTRY_BYTES_MAX)?;
        if let Some(start) = start {
            self.append_fed(state, work, hub, &description, start, now_ms)?;
        }
        let (_, chain) = self.own_chain(state, &description)?;
        // It counts whatever its author had seen, and so waits for nothing.
        if !matches!(action, HubAction::Vouch { .. }) {
            operation.seen = self.known_hub(state, hub)?.cite(Some(&chain.link));
        }
        if let Some(TextKey { key, .. }) = &texts {
            self.seal_texts(state, &description, &mut operation, key)?;
        }
        let entry = Entry::Hub(Box::new(operation));
        let id = self.append_fed(state, work, hub, &description, entry, now_ms)?;
        if !action.only_names() {
            // Others read what is said from now on.
            work.text_keys.clear();
        }
        let verdict = self.known_hub(state, hub)?.verdict(&id);
        match verdict {
            // Who joins may have to wait for a human, and an owner for the others.
            Some(Verdict::Counts(_) | Verdict::Void(Why::Surplus | Why::Consent)) => {
                if let Some(TextKey { key, of_new: true }) = texts {
                    self.give_text_key(state, work, (hub, &id), key, now_ms)?;
                }
                Ok(id)
            }
            Some(Verdict::Void(why)) => {
                let known = self.known_hub(state, hub)?;
                Err(EngineError::Denied(denied(&known, &me, &action, why)))
            }
            Some(Verdict::Silent) if matches!(action, HubAction::Begin(_)) => Ok(id),
            Some(Verdict::Silent) | None => {
                Err(EngineError::corrupt("an own operation of a hub was not placed"))
            }
        }
    }

    /// Writes an operation as a liar does: whether it counts or not.
    #[cfg(test)]
    pub(crate) fn write_unasked(&self, hub: &HubId, action: HubAction, now_ms: u64) {
        let (seen, reason) = (Vec::new(), String::new());
        self.write_operation(hub, HubOperation { seen, reason, action, texts: None }, now_ms);
    }

    /// As [`Replica::write_unasked`], having seen what there is.
    #[cfg(test)]
    pub(crate) fn write_knowing(&self, hub: &HubId, action: HubAction, now_ms: u64) -> ChangeId {
        let (seen, reason) = (self.hub(hub, |hub| hub.cite(None)).unwrap(), String::new());
        self.write_operation(hub, HubOperation { seen, reason, action, texts: None }, now_ms)
    }

    /// As [`Replica::write_unasked`], to the byte.
    #[cfg(test)]
    pub(crate) fn write_operation(
        &self,
        hub: &HubId,
        operation: HubOperation,
        now_ms: u64,
    ) -> ChangeId {
        let me = self.account().unwrap();
        let mut state = self.lock();
        let mut work = Work::default();
        let row = Description::hub_log(*hub, me, 0);
        let entry = Entry::Hub(Box::new(operation));
        let id = self.append(&mut state, &mut work, &row, entry, now_ms).unwrap();
        self.finish(state, work).unwrap();
        id
    }

    /// Where the next operation of the own log is going to stand.
    #[cfg(test)]
    pub(crate) fn next_in_hub_log(&self, hub: &HubId) -> crate::seal::SealPlace {
        let row = Description::hub_log(*hub, self.account().unwrap(), 0);
        let (key, chain) = self.own_chain(&mut self.lock(), &row).unwrap();
        super::private::place_of(&row, key, chain.held + 1)
    }

    /// Appends to a page of the own log, and gives the hub in memory what was written.
    fn append_fed(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        description: &Description,
        entry: Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let (before, chain) = self.own_chain(state, description)?;
        let id = self.append(state, work, description, entry.clone(), now_ms)?;
        // A chain without room is followed by one of a new life.
        let (key, grown) = self.own_chain(state, description)?;
        let space = description.space.id();
        let previous = if key == before { chain.link } else { key.origin(&space) };
        let item = HubItem {
            id,
            chain: key,
            n: grown.held,
            previous,
            link: grown.link,
            account: description.account,
            time_ms: now_ms,
            entry,
        };
        let known = state.hubs.get_mut(hub).and_then(|known| {
            known.fed.insert(key, (item.n, item.link));
            Arc::get_mut(&mut known.hub)
        });
        let known = known.ok_or_else(|| EngineError::corrupt("a hub that is looked at changes"))?;
        known.insert([item], &self.verifier);
        state.hub_changes += 1;
        Ok(id)
    }

    /// Puts a hub on the list of this account's hubs.
    fn note_listed(
        &self,
        state: &mut State,
        work: &mut Work,
        hub: &HubId,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        if self.hubs_kept(state)?.iter().any(|kept| kept.id == *hub && kept.listed) {
            return Ok(());
        }
        self.mend_epochs(state, work, now_ms)?;
        let description = self.writable_private(state, HUBS)?;
        let edits = vec![(hub.to_string(), Some(Value::from("")))];
        self.edit_map(state, work, &description, &edits, now_ms)?;
        Ok(())
    }
}
