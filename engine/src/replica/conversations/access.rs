//! Who can open what is sealed, and who is known to hold something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{KeptConversation, KnownEpoch, Talk};
use crate::description::{Section, SectionClass, Space};
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, DocumentId};
use crate::model::entry::Entry;
use crate::replica::{BodyState, EngineError, Replica, State};
use crate::seal::hint_of;
use crate::store::{Table, keys};
use crate::view::bodies_of;

/// Who can open something sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedAccess {
    /// The conversation or audience that it stands in.
    pub conversation: ConversationId,
    /// Whether that is an audience.
    pub audience: bool,
    /// Accounts whose devices were given its key, as far as is known here, with how many of them.
    /// Of a whole conversation, those who would be given that of what is said next.
    pub readers: BTreeMap<AccountId, u64>,
}

impl Replica {
    /// Who can open a message or a post to an audience, also where it is carried for others; `None` if it
    /// is no sealed entry.
    ///
    /// # Errors
    /// If its conversation is not kept here, or the store fails or is damaged.
    pub fn access_to(&self, id: &ChangeId) -> Result<Option<SealedAccess>, EngineError> {
        let Some((row, Entry::Sealed(sealed))) = self.entry(id)? else { return Ok(None) };
        let mut state = self.lock();
        let Some(page) = self.description(&mut state, &row.doc)? else { return Ok(None) };
        let Some(conversation) = page.space.conversation() else { return Ok(None) };
        let (kept, talk) = self.kept_conversation(&mut state, &conversation)?;
        let named = talk.epochs.iter().chain(&talk.lost);
        let named = named.filter(|(epoch, _)| hint_of(epoch) == sealed.entry.epoch);
        let epochs: Vec<&KnownEpoch> = named.map(|(_, known)| known).collect();
        let mut readers = BTreeMap::new();
        let devices = self.devices_of(&mut state, &talk)?;
        for device in epochs.iter().flat_map(|known| known.holders()) {
            if let Some(account) = devices.owner_of(&device) {
                *readers.entry(account).or_insert(0) += 1;
            }
        }
        Ok(Some(SealedAccess { conversation, audience: kept.genesis.audience, readers }))
    }

    /// Who reads what is said next in a conversation or an audience, also where it is carried for others.
    ///
    /// # Errors
    /// If it is not kept here, or the store fails or is damaged.
    pub fn access_to_conversation(&self, id: &ConversationId) -> Result<SealedAccess, EngineError> {
        let mut state = self.lock();
        let (kept, talk) = self.kept_conversation(&mut state, id)?;
        let readers = self.good_devices(&mut state, &talk)?;
        Ok(SealedAccess { conversation: *id, audience: kept.genesis.audience, readers })
    }

    /// Whether the text of an entry was here or known of, and was dropped: withdrawn, or its time over.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn is_text_dropped(&self, id: &ChangeId) -> Result<bool, EngineError> {
        let Some((row, entry)) = self.entry(id)? else { return Ok(false) };
        let Some(text) = bodies_of(&entry).into_iter().next() else { return Ok(false) };
        let state = self.body_row(&text.hash, &row.doc)?.and_then(|row| BodyState::parse(&row));
        Ok(state == Some(BodyState::Dropped))
    }

    /// A conversation that is kept here, for the own account or for others.
    fn kept_conversation(
        &self,
        state: &mut State,
        id: &ConversationId,
    ) -> Result<(KeptConversation, Arc<Talk>), EngineError> {
        let kept = self.conversations_kept(state)?;
        let missing = || EngineError::NotFound { what: "conversation", text: id.to_string() };
        let kept = kept.get(&Space::Conversation(*id).id()).cloned().ok_or_else(missing)?;
        let talk = self.talk_of(state, id, &kept.genesis)?;
        Ok((kept, talk))
    }

    pub(in crate::replica) fn good_devices(
        &self,
        state: &mut State,
        talk: &Talk,
    ) -> Result<BTreeMap<AccountId, u64>, EngineError> {
        let devices = self.devices_of(state, talk)?;
        let present = talk.present().map(|account| (*account, devices.count_of(account)));
        Ok(present.collect())
    }

    /// Other devices that showed that they have an entry: own ones, peers, and those of who takes
    /// part in its conversation.
    ///
    /// # Errors
    /// If it is not here, or the store fails or is damaged.
    pub fn holders_of(&self, id: &ChangeId) -> Result<Vec<DeviceId>, EngineError> {
        let (section, chain, n) = self.place_of(id)?;
        let mut holders = self.showed_of(&section)?;
        let mut failed = None;
        holders.retain(|device| match self.peer_tips(device, &section) {
            Ok(tips) => tips.iter().any(|(key, held)| *key == chain && *held >= n),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(holders), Err)
    }

    /// Own pages in conversations in which the account of a device takes part or did.
    pub(in crate::replica) fn own_pages_for(
        &self,
        state: &mut State,
        device: &DeviceId,
    ) -> Result<BTreeSet<DocumentId>, EngineError> {
        let mut pages = BTreeSet::new();
        let Some(own) = state.own.as_ref().map(|own| own.account) else { return Ok(pages) };
        let Some(account) = self.account_of(state, device)? else { return Ok(pages) };
        let kept = self.conversations_kept(state)?;
        for (space, kept) in kept.iter().filter(|(_, kept)| !kept.genesis.audience) {
            let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
            if talk.members.contains_key(&account) && talk.members.contains_key(&own) {
                let all = self.documents(state, space)?.into_iter();
                pages.extend(all.filter(|(_, page)| page.account == own).map(|(doc, _)| doc));
            }
        }
        Ok(pages)
    }

    /// Other devices that showed that they have something of a conversation.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn holders_of_conversation(
        &self,
        id: &ConversationId,
    ) -> Result<Vec<DeviceId>, EngineError> {
        let space = Space::Conversation(*id).id();
        self.showed_of(&Section { space, class: SectionClass::Private })
    }

    /// Devices that showed something of a section: of peers, own ones, and of who takes part.
    pub(in crate::replica) fn showed_of(
        &self,
        section: &Section,
    ) -> Result<Vec<DeviceId>, EngineError> {
        let mut devices: BTreeSet<DeviceId> =
            self.peers()?.into_iter().map(|(device, _)| device).collect();
        for (key, _) in self.scan_all(Table::Meta, keys::KEEPERS)? {
            devices.extend(key.last_chunk::<32>().map(|device| DeviceId::from_bytes(*device)));
        }
        let mut state = self.lock();
        let own = state.own.as_ref().map(|own| (own.account, own.device()));
        let mut accounts: BTreeSet<AccountId> = own.iter().map(|(account, _)| *account).collect();
        if let Some(kept) = self.conversations_kept(&mut state)?.get(&section.space) {
            let talk = self.talk_of(&mut state, &kept.id, &kept.genesis)?;
            accounts.extend(talk.members.keys());
        }
        for account in accounts {
            let authority = self.authority_of(&mut state, &account)?;
            devices.extend(authority.iter().flat_map(|authority| authority.devices.keys()));
        }
        drop(state);
        if let Some((_, device)) = own {
            devices.remove(&device);
        }
        let mut out = Vec::new();
        for device in devices {
            if !self.peer_tips(&device, section)?.is_empty() {
                out.push(device);
            }
        }
        Ok(out)
    }
}
