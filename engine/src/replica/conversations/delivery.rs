//! How far own messages have come, by what devices showed and what others answered.

use std::collections::BTreeSet;

use super::read::{Delivery, DirectMessage, MessageStanding, Opened};
use super::{Devices, Talk};
use crate::chain::ChainKey;
use crate::description::{Section, SectionClass};
use crate::hash::{AccountId, ChangeId, DeviceId, SpaceId};
use crate::replica::{EngineError, Replica};
use crate::store::{Table, keys};

/// How far a chain came.
pub(super) struct Came {
    chain: ChainKey,
    n: u64,
    far: Delivery,
    /// Whose device has it, if that matters: of what he cannot read nothing follows.
    of: Option<AccountId>,
}

/// How far own chains came, as others show who answered what stands in them: who names a message has it,
/// and what stands before it in its chain. What is refused shows nothing.
pub(super) fn answered(messages: &[(&Opened, DirectMessage)], me: &AccountId) -> Vec<Came> {
    let shows = |opened: &Opened, message: &DirectMessage| {
        opened.account != *me && !matches!(message.standing, MessageStanding::Refused(_))
    };
    let answers = messages.iter().filter(|(opened, message)| shows(opened, message));
    let answered: BTreeSet<ChangeId> = answers.filter_map(|(_, message)| message.target).collect();
    let own = messages
        .iter()
        .filter(|(opened, _)| opened.account == *me && answered.contains(&opened.id));
    let came =
        |opened: &Opened| Came { chain: opened.key, n: opened.n, far: Delivery::Fetched, of: None };
    own.map(|(opened, _)| came(opened)).collect()
}

/// How far an own message has come. Who came later has what was said before, and reads none of it.
pub(super) fn how_far<'a>(
    opened: &Opened,
    (talk, devices): (&Talk, &Devices),
    came: impl Iterator<Item = &'a Came>,
) -> Delivery {
    let key = opened.what.as_ref().ok().map(|(_, key)| key.id());
    let epoch = key.and_then(|key| talk.epochs.get(&key).or_else(|| talk.lost.get(&key)));
    let readers = epoch.map(|epoch| devices.accounts(epoch));
    let for_whom = |of: AccountId| readers.as_ref().is_none_or(|readers| readers.contains(&of));
    let has = came.filter(|came| came.chain == opened.key && came.n >= opened.n);
    let has = has.filter(|came| came.of.is_none_or(for_whom));
    has.map(|came| came.far).max().unwrap_or(Delivery::Queued)
}

impl Replica {
    /// What devices showed that they have, and what that comes to.
    pub(super) fn fetched(
        &self,
        space: &SpaceId,
        me: &AccountId,
        talk: &Talk,
    ) -> Result<Vec<Came>, EngineError> {
        let section = Section { space: *space, class: SectionClass::Private };
        let mut devices = Vec::new();
        let mut state = self.lock();
        let own = state.own.as_ref().map(|own| own.device());
        for account in talk.members.keys() {
            let (far, of) = match account == me {
                true => (Delivery::Stored, None),
                false => (Delivery::Fetched, Some(*account)),
            };
            let authority = self.authority_of(&mut state, account)?;
            let known = authority.iter().flat_map(|authority| authority.devices.keys());
            devices.extend(known.map(|device| (*device, far, of)));
        }
        drop(state);
        for (key, _) in self.scan_all(Table::Meta, keys::KEEPERS)? {
            let Some(device) = key.last_chunk::<32>() else { continue };
            devices.push((DeviceId::from_bytes(*device), Delivery::Stored, None));
        }
        let mut out = Vec::new();
        for (device, far, of) in devices {
            if Some(device) != own {
                let tips = self.peer_tips(&device, &section)?;
                out.extend(tips.into_iter().map(|(chain, n)| Came { chain, n, far, of }));
            }
        }
        Ok(out)
    }
}
