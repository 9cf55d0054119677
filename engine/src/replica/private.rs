//! Who may have what is sealed: the private section of an account its own devices, and whoever
//! keeps it for them; a conversation the devices of those who take part, and who carries it.

use super::{EngineError, Replica, State};
use crate::description::{SectionClass, Space};
use crate::hash::{AccountId, DeviceId, SpaceId};
use crate::store::{Batch, Table, keys};
use crate::sync::exchange::Section;

impl Replica {
    /// Says whether a peer may keep what is private here: it is given the sealed changes, and
    /// gives them to own devices only. Doing it twice changes nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_keeper(&self, device: &DeviceId, keeps: bool) -> Result<(), EngineError> {
        let key = keys::keeper(device);
        let known = self.store.get(Table::Meta, &key)?.is_some();
        if known == keeps {
            return Ok(());
        }
        let mut batch = Batch::new();
        if keeps {
            batch.put(Table::Meta, key, Vec::new());
        } else {
            batch.delete(Table::Meta, key);
        }
        self.store.commit(batch)?;
        Ok(())
    }

    /// Whether a remote may read a section, or give to it.
    pub(crate) fn readable(
        &self,
        remote: &DeviceId,
        section: &Section,
    ) -> Result<bool, EngineError> {
        self.readable_in(&mut self.lock(), Some(remote), section)
    }

    /// [`Replica::readable`], with the lock in hand; without a remote whether everybody may.
    pub(super) fn readable_in(
        &self,
        state: &mut State,
        remote: Option<&DeviceId>,
        section: &Section,
    ) -> Result<bool, EngineError> {
        if let Some(hub) = self.private_hub(state, &section.space)? {
            let Some(remote) = remote else { return Ok(false) };
            return self.may_enter(state, remote, &hub);
        }
        if section.class == SectionClass::Authority {
            return self.may_know_of(state, remote, &section.space);
        }
        if section.class != SectionClass::Private {
            return Ok(true);
        }
        let Some(remote) = remote else { return Ok(false) };
        if let Some(kept) = self.conversations_kept(state)?.get(&section.space) {
            return self.may_converse(state, remote, kept);
        }
        if let Some(Space::Conversation(_)) = self.space_of(state, &section.space)? {
            // It is kept no more: nobody is told of it.
            return Ok(false);
        }
        let own = state.own.as_ref().map(|own| own.account);
        let Some(owner) = self.owner_of(state, &section.space)? else {
            // Nothing of it is here that anybody could read.
            return Ok(own.is_some());
        };
        let authority = self.authority_of(state, &owner)?;
        if authority.is_some_and(|authority| authority.may_write(remote)) {
            return Ok(true);
        }
        Ok(own == Some(owner) && self.store.get(Table::Meta, &keys::keeper(remote))?.is_some())
    }

    /// Whether a remote may know that the log of an account is here. Of one that is kept only because
    /// of conversations and private hubs those alone may who may know of one of them, and its own devices.
    fn may_know_of(
        &self,
        state: &mut State,
        remote: Option<&DeviceId>,
        space: &SpaceId,
    ) -> Result<bool, EngineError> {
        self.sections_kept(state)?;
        let Some((account, because)) = state.discreet.get(space).cloned() else { return Ok(true) };
        let Some(remote) = remote else { return Ok(false) };
        let known = self.known_device(state, remote)?;
        let own = state.own.as_ref().map(|own| own.account);
        if known.is_some_and(|known| {
            let of = known.device.account();
            of == account || own == Some(of)
        }) {
            return Ok(true);
        }
        for space in because.iter() {
            if let Some(hub) = self.private_hub(state, space)?
                && self.may_enter(state, remote, &hub)?
            {
                return Ok(true);
            }
        }
        let kept = self.conversations_kept(state)?;
        for conversation in because.iter().filter_map(|space| kept.get(space)) {
            if self.may_converse(state, remote, conversation)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whose space it is, once a document of it is here.
    fn owner_of(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<Option<AccountId>, EngineError> {
        Ok(self.space_of(state, space)?.and_then(|space| space.account()))
    }

    /// What a space is, once a document of it is here.
    pub(crate) fn space_of(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<Option<Space>, EngineError> {
        if let Some(known) = state.spaces.get(space) {
            return Ok(Some(*known));
        }
        let Some(value) = self.store.get(Table::Meta, &keys::space(space))? else {
            return Ok(None);
        };
        let known = keys::parse_space(&value).ok_or_else(|| EngineError::corrupt("space row"))?;
        state.spaces.insert(*space, known);
        Ok(Some(known))
    }
}
