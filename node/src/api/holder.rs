//! Who signed that he holds what is ours, or a hub.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::description::Space;
use mosaic_engine::replica::Holder as Signed;

use super::answer::blocking;
use super::sync_status::{peers, root};
use super::types::{ErrorRecord, Holder, Record, SyncHolders, rfc3339};
use super::{hub, names};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking::<SyncHolders, _>(router, list)
}

fn list(app: &App, request: SyncHolders) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let space = match &request.hub {
        Some(text) => Space::Hub(hub::resolved(&replica, text)?),
        None => Space::Account(replica.account()?),
    };
    let known = peers(app, &replica)?;
    let record = |holder: Signed| {
        let name = match known.get(&holder.device) {
            Some(record) => names::peer_name(&replica, &holder.device, record),
            None => names::own_device_name(&replica, &holder.device),
        };
        let state = match (holder.failed_ms, holder.complete) {
            (Some(_), _) => "failed",
            (None, true) => "whole",
            (None, false) => "behind",
        };
        Record::Holder(Holder {
            target: root(&space),
            peer: holder.device.to_string(),
            peer_name: name,
            account: names::account_of(&replica, &holder.device).map(|id| id.to_string()),
            signed_at: rfc3339(holder.at_ms),
            until: rfc3339(holder.until_ms),
            state: state.to_owned(),
            private: holder.private.into(),
            checked_at: holder.checked_ms.map(rfc3339),
            failed_at: holder.failed_ms.map(rfc3339),
        })
    };
    Ok(replica.holders(&space, clock::now_ms())?.into_iter().map(record).collect())
}
