//! Accounts and their devices.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::authority::{Authority, DeviceStanding};
use mosaic_engine::hash::{AccountId, DeviceId};
use mosaic_engine::replica::Replica;

use super::answer::blocking;
use super::resolve;
use super::types::{
    Device, DeviceList, DeviceRename, DeviceRestore, DeviceRevoke, DeviceSuspend, ErrorKind,
    ErrorRecord, Identity, IdentityList, IdentityShow, Record, rfc3339,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<IdentityShow, _>(router, show);
    let router = blocking::<IdentityList, _>(router, list);
    let router = blocking::<DeviceList, _>(router, devices);
    let router = blocking::<DeviceRename, _>(router, rename);
    let router = blocking::<DeviceSuspend, _>(router, suspend);
    let router = blocking::<DeviceRestore, _>(router, restore);
    blocking::<DeviceRevoke, _>(router, revoke)
}

/// The record of an account.
pub(super) fn identity(replica: &Replica, account: &AccountId) -> Result<Record, ErrorRecord> {
    let own = replica.account()? == *account;
    let authority = replica.authority(account)?;
    let standings = || authority.iter().flat_map(|authority| authority.devices.values());
    let this = if own { Some(replica.device()?) } else { None };
    let device_name = standings().find(|s| Some(s.verified.device()) == this);
    let genesis = standings().next().map(|standing| &standing.path.genesis);
    let recovery = authority.as_ref().map(|authority| match &authority.recovery {
        recovery if recovery.frozen => "frozen",
        recovery if recovery.policy.is_some() => "words",
        _ => "none",
    });
    Ok(Record::Identity(Identity {
        account: account.to_string(),
        name: resolve::profile_name(replica, account)?,
        petname: replica.petname(account)?,
        own,
        device: this.map(|device| device.to_string()),
        device_name: device_name.map(|standing| standing.name.clone()),
        devices: standings().filter(|s| s.revoked.is_none() && !s.suspended).count() as u64,
        created_at: genesis.map(|genesis| rfc3339(genesis.created_ms)),
        recovery: recovery.map(str::to_owned),
    }))
}

fn show(app: &App, request: IdentityShow) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    if replica.authority(&account)?.is_none() {
        let message = format!("nothing is known here of account {account}");
        return Err(ErrorRecord::new(ErrorKind::NotFound, message)
            .with_hint(format!("mosaic follow {account}")));
    }
    identity(&replica, &account)
}

fn list(app: &App, _: IdentityList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let own = replica.account()?;
    let mut accounts: Vec<AccountId> = replica
        .document_list()?
        .into_iter()
        .filter(|(_, description)| description.kind.name() == "account")
        .map(|(_, description)| description.account)
        .collect();
    accounts.sort_unstable_by_key(|account| (*account != own, *account));
    accounts.dedup();
    accounts.iter().map(|account| identity(&replica, account)).collect()
}

fn device_record(
    authority: &Authority,
    standing: &DeviceStanding,
    this: Option<DeviceId>,
) -> Record {
    let prekeys = authority.prekeys.get(&standing.verified.device());
    let prekey = prekeys.and_then(|all| all.last());
    let state = match (&standing.revoked, standing.suspended) {
        (Some(_), _) => "revoked",
        (None, true) => "suspended",
        (None, false) => "active",
    };
    Record::Device(Device {
        id: standing.verified.device().to_string(),
        account: authority.account.to_string(),
        name: standing.name.clone(),
        rank: standing.verified.rank(),
        state: state.into(),
        this_device: Some(standing.verified.device()) == this,
        linked_at: Some(rfc3339(standing.added_ms)),
        prekey_at: prekey.map(|prekey| rfc3339(prekey.since_ms)),
        issuer: standing.added_by.map(|issuer| issuer.to_string()),
        brought_in: None,
    })
}

fn devices(app: &App, request: DeviceList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    let this = replica.device().ok();
    let Some(authority) = replica.authority(&account)? else { return Ok(Vec::new()) };
    let mut standings: Vec<&DeviceStanding> = authority.devices.values().collect();
    standings.sort_by_key(|s| (s.added_by.is_some(), s.added_ms, s.verified.device()));
    Ok(standings.into_iter().map(|standing| device_record(&authority, standing, this)).collect())
}

/// A device of ours after an operation on it.
fn own_device(replica: &Replica, device: &DeviceId) -> Result<Record, ErrorRecord> {
    let account = replica.account()?;
    let missing = || ErrorRecord::new(ErrorKind::NotFound, format!("no device {device}"));
    let authority = replica.authority(&account)?.ok_or_else(missing)?;
    let standing = authority.devices.get(device).ok_or_else(missing)?;
    Ok(device_record(&authority, standing, replica.device().ok()))
}

fn rename(app: &App, request: DeviceRename) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let device = resolve::device(&replica, &replica.account()?, &request.device)?;
    replica.rename_device(device, &request.name, clock::now_ms())?;
    own_device(&replica, &device)
}

fn suspend(app: &App, request: DeviceSuspend) -> Result<Record, ErrorRecord> {
    set_suspended(app, &request.device, true)
}

fn restore(app: &App, request: DeviceRestore) -> Result<Record, ErrorRecord> {
    set_suspended(app, &request.device, false)
}

fn set_suspended(app: &App, device: &str, suspended: bool) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = replica.account()?;
    let device = resolve::device(&replica, &account, device)?;
    let authority = replica.authority(&account)?;
    let standing = authority.as_ref().and_then(|authority| authority.devices.get(&device));
    if standing.is_some_and(|standing| standing.suspended != suspended) {
        replica.suspend_device(device, suspended, clock::now_ms())?;
    }
    own_device(&replica, &device)
}

fn revoke(app: &App, request: DeviceRevoke) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = replica.account()?;
    let device = resolve::device(&replica, &account, &request.device)?;
    let authority = replica.authority(&account)?;
    let standing = authority.as_ref().and_then(|authority| authority.devices.get(&device));
    let name = standing.map(|standing| standing.name.clone()).unwrap_or_default();
    if request.confirm != name {
        let message = format!("revoking is for ever: confirm with the device's name, '{name}'");
        let hint = format!("mosaic device revoke {} --confirm '{name}'", device.short());
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
    }
    if standing.is_some_and(|standing| standing.revoked.is_none()) {
        replica.revoke_device(device, &request.reason.unwrap_or_default(), clock::now_ms())?;
    }
    let mut record = own_device(&replica, &device)?;
    if let (Record::Device(record), Some(authority)) = (&mut record, replica.authority(&account)?) {
        let stay = authority.brought_in(&device);
        let stay: Vec<String> = stay.iter().map(ToString::to_string).collect();
        record.brought_in = (!stay.is_empty()).then_some(stay);
    }
    Ok(record)
}
