//! Who can open what stands in private channels and hubs, and who is known to hold it.

use std::collections::BTreeMap;

use crate::description::{Section, SectionClass, Space};
use crate::hash::{AccountId, ChangeId, DeviceId, HubId};
use crate::hub::texts_of_hub;
use crate::model::entry::{Entry, HubAction};
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
    /// The channel that an operation is about, or a message in it.
    pub about: Option<ChangeId>,
    /// It is a report to moderators.
    pub report: bool,
}

impl Replica {
    /// Where an entry of a hub stands; `None` if it stands in none, or is not here.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn place_in_hub(&self, id: &ChangeId) -> Result<Option<HubPlace>, EngineError> {
        let Some((row, entry)) = self.entry(id)? else { return Ok(None) };
        let page = self.description(&mut self.lock(), &row.doc)?;
        let Some((hub, channel)) =
            page.and_then(|page| Some((page.space.hub()?, page.channel_id())))
        else {
            return Ok(None);
        };
        let sealed = matches!(entry, Entry::Private(_));
        let mut place = HubPlace { hub, channel, sealed, about: None, report: false };
        if let Entry::Hub(operation) = &entry {
            place.sealed = operation.texts.is_some();
            place.report = matches!(operation.action, HubAction::Report(_));
            place.about = self.channel_about(id, &operation.action)?;
        }
        Ok(Some(place))
    }

    /// The channel that an operation is about; of one that lifts or adopts another, that of the other.
    fn channel_about(
        &self,
        id: &ChangeId,
        action: &HubAction,
    ) -> Result<Option<ChangeId>, EngineError> {
        match action {
            HubAction::Lift { operation } | HubAction::Adopt { operation } => {
                match self.entry(operation)? {
                    Some((_, Entry::Hub(other))) => self.channel_named(operation, &other.action),
                    _ => Ok(None),
                }
            }
            action => self.channel_named(id, action),
        }
    }

    fn channel_named(
        &self,
        id: &ChangeId,
        action: &HubAction,
    ) -> Result<Option<ChangeId>, EngineError> {
        match action {
            HubAction::CreateChannel(_) => Ok(Some(*id)),
            HubAction::ChangeChannel { channel, .. }
            | HubAction::ChannelRules { channel, .. }
            | HubAction::Pin { channel, .. } => Ok(Some(*channel)),
            HubAction::Hide { entry } | HubAction::Purge { entry } => {
                let Some(row) = self.entry_row(&entry.entry)? else { return Ok(None) };
                let page = self.description(&mut self.lock(), &row.doc)?;
                Ok(page.and_then(|page| page.channel_id()))
            }
            _ => Ok(None),
        }
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
