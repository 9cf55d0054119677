//! How this home stands with a device that meets it.

use mosaic_engine::hash::{AccountId, DeviceId};
use mosaic_engine::replica::{EngineError, Replica};

/// Whose device it is, as far as certificates kept here say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// A device of our account that may write.
    Own,
    /// Such a device of an account that is kept here.
    Kept,
    /// Anybody else, revoked devices among them.
    Stranger,
}

impl Standing {
    /// Looks it up. May block.
    pub(crate) fn of(replica: &Replica, device: &DeviceId) -> Result<Self, EngineError> {
        let own = replica.account()?;
        if may_write(replica, &own, device)? {
            return Ok(Self::Own);
        }
        for subscription in replica.subscriptions()? {
            if may_write(replica, &subscription.account, device)? {
                return Ok(Self::Kept);
            }
        }
        Ok(Self::Stranger)
    }
}

fn may_write(
    replica: &Replica,
    account: &AccountId,
    device: &DeviceId,
) -> Result<bool, EngineError> {
    Ok(replica.authority(account)?.is_some_and(|authority| authority.may_write(device)))
}
