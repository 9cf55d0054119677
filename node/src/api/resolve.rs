//! What people type, resolved: accounts, devices and entries by prefix or name.

use std::collections::BTreeSet;

use mosaic_engine::hash::{AccountId, ChangeId, DeviceId};
use mosaic_engine::replica::{BLOCKS, EngineError, FOLLOWS, MUTES, PETNAMES, Replica};

use super::types::{ErrorKind, ErrorRecord};

/// An account by `@petname`, full id, or prefix of a known one; ours if absent.
pub(super) fn account(replica: &Replica, who: Option<&str>) -> Result<AccountId, ErrorRecord> {
    let Some(who) = who else { return Ok(replica.account()?) };
    let Some(name) = who.strip_prefix('@') else { return by_id(replica, who) };
    let mut found = Vec::new();
    for field in replica.private_map(PETNAMES)? {
        let fits = field.value.as_text().is_some_and(|petname| petname == name);
        found.extend(AccountId::parse_hex(&field.key).filter(|_| fits));
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(ErrorRecord::new(ErrorKind::NotFound, format!("nobody here is called '{who}'"))
            .with_hint("mosaic follow list")),
        several => {
            let message = format!("'{who}' fits {} accounts", several.len());
            let candidates = several.iter().map(ToString::to_string).collect();
            let error = ErrorRecord::new(ErrorKind::Ambiguous, message);
            Err(ErrorRecord { candidates, ..error }.with_hint("mosaic follow list"))
        }
    }
}

/// An account by id; also one that is only named in a list of ours, nothing of it being here yet.
fn by_id(replica: &Replica, who: &str) -> Result<AccountId, ErrorRecord> {
    let unknown = match replica.resolve_account(who) {
        Err(unknown @ EngineError::NotFound { .. }) => unknown,
        known => return Ok(known?),
    };
    let prefix = who.trim().to_ascii_lowercase();
    let mut found = BTreeSet::new();
    for list in [FOLLOWS, BLOCKS, MUTES] {
        let listed = replica.accounts_in(list)?.into_iter();
        found.extend(listed.filter(|account| account.to_string().starts_with(&prefix)));
    }
    match found.len() {
        0 => Err(unknown.into()),
        1 => found.pop_first().ok_or_else(|| unknown.into()),
        several => {
            let message = format!("'{who}' fits {several} accounts");
            let candidates = found.iter().map(ToString::to_string).collect();
            let error = ErrorRecord::new(ErrorKind::Ambiguous, message);
            Err(ErrorRecord { candidates, ..error }.with_hint("mosaic follow list"))
        }
    }
}

/// An entry by id prefix.
pub(super) fn entry(replica: &Replica, text: &str) -> Result<ChangeId, ErrorRecord> {
    Ok(replica.resolve_entry(text)?)
}

/// A device of an account by name, full id or prefix.
pub(super) fn device(
    replica: &Replica,
    account: &AccountId,
    text: &str,
) -> Result<DeviceId, ErrorRecord> {
    let authority = replica.authority(account)?;
    let devices = authority.iter().flat_map(|authority| authority.devices.values());
    let prefix = text.to_ascii_lowercase();
    let long = prefix.len() >= 4;
    let (mut named, mut fitting) = (Vec::new(), Vec::new());
    for standing in devices {
        let id = standing.verified.device();
        if standing.name == text {
            named.push(id);
        }
        if long && id.to_string().starts_with(&prefix) {
            fitting.push(id);
        }
    }
    let found = if named.is_empty() { fitting } else { named };
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(ErrorRecord::new(ErrorKind::NotFound, format!("no device is called '{text}'"))
            .with_hint("mosaic device list")),
        several => {
            let message = format!("'{text}' fits {} devices", several.len());
            let candidates = several.iter().map(ToString::to_string).collect();
            let error = ErrorRecord::new(ErrorKind::Ambiguous, message);
            Err(ErrorRecord { candidates, ..error }.with_hint("mosaic device list"))
        }
    }
}

/// What this home calls an account: petname, else the name of its profile.
pub(super) fn name(replica: &Replica, account: &AccountId) -> Result<Option<String>, ErrorRecord> {
    match replica.petname(account)? {
        Some(petname) => Ok(Some(petname)),
        None => profile_name(replica, account),
    }
}

/// The name in an account's profile.
pub(super) fn profile_name(
    replica: &Replica,
    account: &AccountId,
) -> Result<Option<String>, ErrorRecord> {
    let fields = replica.profile(account)?;
    let name = fields.into_iter().find(|field| field.key == "name");
    Ok(name.and_then(|field| field.value.as_text().map(str::to_owned)))
}
