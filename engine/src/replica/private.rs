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
        if section.class != SectionClass::Private {
            return Ok(true);
        }
        let mut state = self.lock();
        if let Some(kept) = self.conversations_kept(&mut state)?.get(&section.space) {
            return self.may_converse(&mut state, remote, kept);
        }
        if let Some(Space::Conversation(_)) = self.space_of(&mut state, &section.space)? {
            // It is kept no more: nobody is told of it.
            return Ok(false);
        }
        let own = state.own.as_ref().map(|own| own.account);
        let Some(owner) = self.owner_of(&mut state, &section.space)? else {
            // Nothing of it is here that anybody could read.
            return Ok(own.is_some());
        };
        let authority = self.authority_of(&mut state, &owner)?;
        if authority.is_some_and(|authority| authority.may_write(remote)) {
            return Ok(true);
        }
        Ok(own == Some(owner) && self.store.get(Table::Meta, &keys::keeper(remote))?.is_some())
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
