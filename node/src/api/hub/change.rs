//! What owners and those who manage a hub change about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::HubId;
use mosaic_engine::hub::{ChannelView, RoleView};
use mosaic_engine::limits::{HUB_REASON_BYTES_MAX, TOPIC_BYTES_MAX};
use mosaic_engine::model::entry::{
    ChannelFields, HubAction, HubSetting, Permissions, Rank, RoleRef, Who,
};
use mosaic_engine::replica::{HubStart, Replica};

use super::govern::{act, act_all, found, member, operation, roles};
use super::{name, of_id};
use crate::api::answer::blocking;
use crate::api::resolve;
use crate::api::types::{
    ChannelRules, ErrorKind, ErrorRecord, HubChange, HubOwners, ModerationExtend, Record,
    RoleChange,
};
use crate::app::App;
use crate::clock;

/// The least that a hub gives each member.
const MEMBER_BYTES_MIN: u64 = 64 * 1024;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<HubChange, _>(router, change);
    let router = blocking::<HubOwners, _>(router, owners);
    let router = blocking::<RoleChange, _>(router, change_role);
    let router = blocking::<ChannelRules, _>(router, rules);
    blocking::<ModerationExtend, _>(router, |app, r: ModerationExtend| {
        let replica = app.replica()?;
        let hub = name::hub(&replica, &r.hub)?;
        let removal = found(&replica, &hub, &r.id)?;
        let extensions = replica.extend_cut(&hub, &removal, &r.reason, clock::now_ms());
        let extensions = extensions.map_err(name::refused(hub, "mosaic hub mod extend --help"))?;
        extensions.iter().map(|id| operation(&replica, &hub, id)).collect::<Result<Vec<_>, _>>()
    })
}

fn change(app: &App, request: HubChange) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    if let Some(name) = &request.name {
        name::check(name, "hub")?;
    }
    check_length("text about a hub", request.about.as_deref(), TOPIC_BYTES_MAX)?;
    check_length("reason", Some(&request.reason), HUB_REASON_BYTES_MAX)?;
    if let Some(bytes) = request.member_bytes.filter(|bytes| (1..MEMBER_BYTES_MIN).contains(bytes))
    {
        let message = format!(
            "{bytes} bytes are too few for anybody to write: give each member {MEMBER_BYTES_MIN} at \
             least, or 0 to leave it to nodes"
        );
        return Err(
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub mod set --help")
        );
    }
    let settings = [
        request.name.map(HubSetting::Name),
        request.about.map(HubSetting::About),
        request.joins_closed.map(HubSetting::JoinsClosed),
        request.member_bytes.map(HubSetting::MemberQuotaBytes),
    ];
    let settings: Vec<HubSetting> = settings.into_iter().flatten().collect();
    if settings.is_empty() {
        let message = "nothing to change was named";
        return Err(
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub mod set --help")
        );
    }
    let actions = settings.into_iter().map(HubAction::Set).collect();
    let written = replica.hub_operations(&hub, actions, &request.reason, clock::now_ms());
    written.map_err(name::refused(hub, "mosaic hub mod set --help"))?;
    of_id(&replica, &hub)
}

fn check_length(what: &str, text: Option<&str>, most: usize) -> Result<(), ErrorRecord> {
    if text.is_none_or(|text| text.len() <= most) {
        return Ok(());
    }
    let message = format!("the {what} is longer than {most} bytes");
    Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub mod set --help"))
}

fn owners(app: &App, request: HubOwners) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let mut owners = BTreeSet::new();
    for who in &request.owners {
        owners.insert(member(&replica, &request.hub, who)?.1);
    }
    if owners.is_empty() {
        let message = "a hub has one owner at least";
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic hub member owners --help"));
    }
    let (from, known) = replica.hub(&hub, |hub| (hub.owners_id(), hub.owners()))?;
    if known == owners {
        return Ok(vec![of_id(&replica, &hub)?]);
    }
    let action = HubAction::Succession { from, owners: owners.into_iter().collect() };
    Ok(vec![act(&replica, &hub, action, &request.reason)?, of_id(&replica, &hub)?])
}

fn change_role(app: &App, request: RoleChange) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let role = name::role(&replica, &hub, Some(&request.role))?;
    let known = replica.hub(&hub, |hub| hub.roles())?.into_iter().find(|view| view.role == role);
    let known = known
        .ok_or_else(|| ErrorRecord::new(ErrorKind::NotFound, "the role is not there any more"))?;
    if request.name.is_none() && request.allow.is_none() {
        let message = "nothing to change was named";
        return Err(
            ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub role change --help")
        );
    }
    let name = match request.name {
        Some(_) if role == RoleRef::Everyone => {
            let message = "the role of every member has no name of its own";
            return Err(ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint("mosaic hub role change --help"));
        }
        Some(name) => {
            name::check(&name, "role")?;
            name
        }
        None if known.closed => return Err(no_name_yet(&hub)),
        None => known.name,
    };
    let permissions = match &request.allow {
        Some(allow) => name::parse_permissions(allow)?,
        None => known.permissions,
    };
    act(&replica, &hub, HubAction::ChangeRole { role, name, permissions }, "")?;
    let id = match role {
        RoleRef::Everyone => "everyone".to_owned(),
        RoleRef::Role(id) => id.to_string(),
    };
    let all = roles(&replica, &hub)?;
    let changed = all.into_iter().find(|role| matches!(role, Record::Role(role) if role.id == id));
    changed.ok_or_else(|| ErrorRecord::new(ErrorKind::Error, "the role was not changed"))
}

fn rules(app: &App, request: ChannelRules) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let who = match request.who.strip_prefix("role:") {
        Some(role) => Who::Role(name::role(&replica, &hub, Some(role))?),
        None => {
            let account = resolve::account(&replica, Some(&request.who)).or_else(|error| {
                let found = member(&replica, &hub.to_string(), &request.who);
                found.map(|(_, account)| account).map_err(|_| error)
            })?;
            Who::Account(account)
        }
    };
    let allow = name::parse_permissions(&request.allow)?;
    let deny = name::parse_permissions(&request.deny)?;
    if (allow & deny) != Permissions::NONE {
        let both = name::permissions(allow & deny).join(", ");
        let message = format!("{both}: allowed and denied at once");
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic hub channel rules --help"));
    }
    let action = HubAction::ChannelRules { channel, who, allow, deny };
    act(&replica, &hub, action, &request.reason)
}

/// What a hub that is split off from another begins with, and the roles it gets.
pub(super) fn split_off(
    replica: &Replica,
    from: &HubId,
    start: HubStart,
) -> Result<(HubStart, Vec<RoleView>), ErrorRecord> {
    let (settings, channels, roles) =
        replica.hub(from, |hub| (hub.settings(), hub.channels(), hub.roles()))?;
    let everyone = roles.iter().find(|view| view.role == RoleRef::Everyone);
    let everyone = everyone.map_or(start.everyone, |view| view.permissions);
    if start.about.is_empty() && settings.closed {
        return Err(no_name_yet(from));
    }
    let about = if start.about.is_empty() { settings.about } else { start.about };
    let fields = |view: ChannelView| ChannelFields {
        name: view.name,
        topic: view.topic,
        category: view.category,
        read_only: view.read_only,
        readers: view.readers.into_iter().next(),
    };
    let mut all = start.channels;
    // The roles of the other hub are not those of this one: what they alone read is left out.
    let for_roles = |view: &ChannelView| view.readers.iter().any(|one| !one.roles.is_empty());
    let some = channels.into_iter().filter(|view| !view.archived && !for_roles(view));
    let some: Vec<ChannelView> = some.collect();
    if some.iter().any(|view| view.closed) {
        return Err(no_name_yet(from));
    }
    for channel in some.into_iter().map(fields) {
        if all.iter().all(|known| known.name != channel.name) {
            all.push(channel);
        }
    }
    let roles = roles.into_iter().filter(|view| view.role != RoleRef::Everyone);
    let roles: Vec<RoleView> = roles.filter(|view| view.rank != Rank::OWNER).collect();
    if roles.iter().any(|view| view.closed) {
        return Err(no_name_yet(from));
    }
    let start = HubStart { about, everyone, channels: all, forked_from: Some(*from), ..start };
    Ok((start, roles))
}

/// Why something cannot be written that says a name again.
fn no_name_yet(hub: &HubId) -> ErrorRecord {
    let message = "names of this hub are sealed, and the key is not here yet: sync with a member";
    ErrorRecord::new(ErrorKind::Retry, message)
        .with_hint(format!("mosaic hub show {}", hub.short()))
}

/// Defines roles of another hub in this one.
pub(super) fn take_over(
    replica: &Replica,
    hub: &HubId,
    roles: Vec<RoleView>,
) -> Result<(), ErrorRecord> {
    let define = |RoleView { name, rank, permissions, .. }: RoleView| HubAction::DefineRole {
        name,
        rank,
        permissions,
    };
    act_all(replica, hub, roles.into_iter().map(define).collect(), "").map(drop)
}
