//! What members of a hub have on this node, and may have.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::replica::HubLimits;

use super::name;
use crate::api::answer::blocking;
use crate::api::resolve;
use crate::api::types::{ErrorRecord, Flag, HubQuota, HubUse, MemberUse, Record};
use crate::app::App;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    blocking::<HubQuota, _>(router, quota)
}

fn quota(app: &App, request: HubQuota) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let known = replica.hub_use(&hub)?.limits;
    let limits = HubLimits {
        member_bytes: request.member_bytes.unwrap_or(known.member_bytes),
        all_bytes: request.all_bytes.unwrap_or(known.all_bytes),
    };
    if limits != known {
        replica.limit_hub(&hub, limits)?;
        app.kept_changed();
    }
    let used = replica.hub_use(&hub)?;
    let some = |bytes: u64| Some(bytes).filter(|bytes| *bytes > 0);
    let mut records = vec![Record::HubUse(HubUse {
        hub: hub.to_string(),
        bytes: used.bytes,
        member_limit: some(used.limits.member_bytes),
        all_limit: some(used.limits.all_bytes),
        rule: some(used.rule_bytes),
    })];
    for member in used.members {
        records.push(Record::MemberUse(MemberUse {
            hub: hub.to_string(),
            account: member.account.to_string(),
            name: resolve::name(&replica, &member.account)?,
            bytes: member.bytes,
            full: Flag(member.full),
        }));
    }
    Ok(records)
}
