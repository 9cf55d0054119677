//! Who can open what stands in private channels and hubs, and who is known to hold it.

use std::collections::BTreeMap;

use crate::description::{Section, SectionClass, Space};
use crate::hash::{AccountId, ChangeId, DeviceId, HubId};
use crate::hub::texts_of_hub;
use crate::model::entry::Entry;
use crate::replica::{EngineError, Replica};
use crate::seal::hint_of;

/// Where something of a hub stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubPlace {
    /// The hub.
    pub hub: HubId,
    /// The channel; `None` of an operation.
    pub channel: Option<ChangeId>,
    /// It is sealed, or has sealed texts.
    pub sealed: bool,
}

impl Replica {
    /// Where an entry of a hub stands; `None` if it stands in none, or is not here.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn place_in_hub(&self, id: &ChangeId) -> Result<Option<HubPlace>, EngineError> {
        let Some((row, entry)) = self.entry(id)? else { return Ok(None) };
        let page = self.description(&mut self.lock(), &row.doc)?;
        Ok(page.and_then(|page| {
            let sealed = match &entry {
                Entry::Hub(operation) => operation.texts.is_some(),
                entry => matches!(entry, Entry::Private(_)),
            };
            Some(HubPlace { hub: page.space.hub()?, channel: page.channel_id(), sealed })
        }))
    }

    /// Accounts whose devices were given the key of what stands in a private channel, as far as is known
    /// here, with how many of them; none if it is not sealed.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn access_to_private(
        &self,
        id: &ChangeId,
    ) -> Result<BTreeMap<AccountId, u64>, EngineError> {
        let Some((row, Entry::Private(private))) = self.entry(id)? else {
            return Ok(BTreeMap::new());
        };
        let mut state = self.lock();
        let page = self.description(&mut state, &row.doc)?;
        let place = page.and_then(|page| Some((page.space.hub()?, page.channel_id()?)));
        let Some((hub, channel)) = place else { return Ok(BTreeMap::new()) };
        let Some(talk) = self.channel_talk(&mut state, &hub, &channel)? else {
            return Ok(BTreeMap::new());
        };
        let devices = self.devices_of(&mut state, &talk)?;
        let named = talk.epochs.iter().chain(&talk.lost);
        let named = named.filter(|(epoch, _)| hint_of(epoch) == private.entry.epoch);
        let mut readers = BTreeMap::new();
        for device in named.flat_map(|(_, known)| known.holders()) {
            if let Some(account) = devices.owner_of(&device) {
                *readers.entry(account).or_insert(0) += 1;
            }
        }
        Ok(readers)
    }

    /// Who reads what is written next in a private channel, or, without one, the names of a private hub:
    /// its members.
    ///
    /// # Errors
    /// If the hub is not here, or the store fails or is damaged.
    pub fn access_to_channel(
        &self,
        hub: &HubId,
        channel: Option<&ChangeId>,
    ) -> Result<BTreeMap<AccountId, u64>, EngineError> {
        let mut state = self.lock();
        drop(self.known_hub(&mut state, hub)?);
        let circle = channel.copied().unwrap_or_else(|| texts_of_hub(hub));
        match self.channel_talk(&mut state, hub, &circle)? {
            Some(talk) => self.good_devices(&mut state, &talk),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Other devices that showed that they have something of a hub's channels.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn holders_of_hub(&self, hub: &HubId) -> Result<Vec<DeviceId>, EngineError> {
        let space = Space::Hub(*hub).id();
        self.showed_of(&Section { space, class: SectionClass::Public })
    }
}
