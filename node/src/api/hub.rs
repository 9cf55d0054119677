//! Hubs: making, listing, leaving and serving them.

mod change;
mod channel;
mod govern;
mod import;
mod invite;
mod message;
mod name;
mod quota;
mod report;

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::model::entry::{ChannelFields, Permissions, Rank};
use mosaic_engine::replica::{EngineError, HubStart, KeptHub, MessageView, Replica};

use super::answer::blocking;
use super::types::{
    ErrorKind, ErrorRecord, Hub, HubCreate, HubLeave, HubList, HubServe, HubShow, Record, rfc3339,
};
use crate::app::App;
use crate::clock;

/// What every member of a new hub may do.
fn everyone() -> Permissions {
    Permissions::SEND | Permissions::REACT | Permissions::ATTACH
}

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<HubCreate, _>(router, create);
    let router = blocking::<HubList, _>(router, |app, _: HubList| {
        let replica = app.replica()?;
        let kept = replica.hubs()?;
        kept.iter().map(|kept| record(&replica, kept)).collect::<Result<Vec<_>, _>>()
    });
    let router = blocking::<HubShow, _>(router, show);
    let router = blocking::<HubLeave, _>(router, leave);
    let router = blocking::<HubServe, _>(router, serve);
    let router = invite::routes(router);
    let router = change::routes(router);
    let router = channel::routes(router);
    let router = message::routes(router);
    let router = import::routes(router);
    let router = quota::routes(router);
    let router = report::routes(router);
    govern::routes(router)
}

fn create(app: &App, request: HubCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let from = request.from.as_deref().map(|from| name::hub(&replica, from)).transpose()?;
    let names = match request.channels.is_empty() && from.is_none() {
        true => vec!["general".to_owned()],
        false => request.channels,
    };
    let mut channels = Vec::with_capacity(names.len());
    for name in names {
        name::check(&name, "channel")?;
        let (topic, category) = (String::new(), String::new());
        channels.push(ChannelFields { name, topic, category, read_only: false, readers: None });
    }
    name::check(&request.name, "hub")?;
    if let Some(from) = &from
        && !request.private
        && replica.hub(from, |hub| hub.genesis().private)?
    {
        let message = "that hub is private: one that is split off from it and is not tells of it";
        return Err(ErrorRecord::new(ErrorKind::Denied, message)
            .with_hint("mosaic hub create --private --from HUB NAME"));
    }
    let (name, about) = (request.name, request.about);
    let (everyone, private) = (everyone(), request.private);
    let mut start = HubStart { name, about, everyone, channels, forked_from: None, private };
    let mut roles = Vec::new();
    if let Some(from) = &from {
        (start, roles) = change::split_off(&replica, from, start)?;
    }
    let hub = replica.create_hub(start, clock::now_ms())?;
    change::take_over(&replica, &hub, roles)?;
    app.kept_changed();
    of_id(&replica, &hub)
}

fn show(app: &App, request: HubShow) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let mut records = vec![of_id(&replica, &hub)?];
    records.extend(channel::all(&replica, &hub)?);
    Ok(records)
}

fn leave(app: &App, request: HubLeave) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let me = replica.account()?;
    let member = replica.hub(&hub, |hub| hub.rank(&me)).ok().flatten();
    let mut hidden = Ok(());
    if member.is_some() {
        replica
            .leave_hub(&hub, clock::now_ms())
            .map_err(name::refused(hub, "mosaic hub leave --help"))?;
        // It is left whether the profile can be written or not.
        hidden = super::profile::hide_hub(&replica, &hub);
    } else if !request.forget {
        let message = "you are no member of this hub";
        return Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint("mosaic hub list"));
    }
    let left = of_id(&replica, &hub)?;
    if request.forget {
        replica.list_hub(&hub, false, "", clock::now_ms())?;
        replica.serve_hub(&hub, false)?;
        app.kept_changed();
    }
    hidden?;
    Ok(left)
}

fn serve(app: &App, request: HubServe) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = match HubId::parse_hex(request.hub.trim()) {
        Some(id) => id,
        None => name::hub(&replica, &request.hub)?,
    };
    replica.serve_hub(&hub, !request.stop)?;
    app.kept_changed();
    of_id(&replica, &hub)
}

/// A hub as a record, whether it is listed or not.
fn of_id(replica: &Replica, hub: &HubId) -> Result<Record, ErrorRecord> {
    let kept = replica.hubs()?.into_iter().find(|kept| kept.id == *hub);
    let unlisted = || KeptHub { id: *hub, alias: String::new(), listed: false, served: false };
    record(replica, &kept.unwrap_or_else(unlisted))
}

fn record(replica: &Replica, kept: &KeptHub) -> Result<Record, ErrorRecord> {
    let me = replica.account()?;
    let base = Hub {
        id: kept.id.to_string(),
        alias: Some(kept.alias.clone()).filter(|alias| !alias.is_empty()),
        listed: kept.listed,
        served: kept.served,
        standing: "unknown".to_owned(),
        ..Hub::default()
    };
    let read = replica.hub(&kept.id, |hub| {
        let settings = hub.settings();
        let rank = hub.rank(&me);
        let standing = match rank {
            Some(Rank::OWNER) => "owner",
            Some(_) => "member",
            None if hub.is_banned(&me) => "banned",
            None => "none",
        };
        Hub {
            name: settings.name,
            about: Some(settings.about).filter(|about| !about.is_empty()),
            created_at: Some(rfc3339(hub.genesis().created_ms)),
            owners: hub.owners().iter().map(ToString::to_string).collect(),
            members: hub.members().len() as u64,
            channels: hub.channels().len() as u64,
            standing: standing.to_owned(),
            rank: rank.filter(|rank| *rank != Rank::OWNER).map(|rank| u64::from(rank.number())),
            permissions: name::permissions(hub.permissions(&me, None)),
            joins_closed: settings.joins_closed.into(),
            private: hub.genesis().private.into(),
            sealed: settings.closed.into(),
            forked_from: hub.genesis().forked_from.map(|hub| hub.to_string()),
            ..base.clone()
        }
    });
    match read {
        Ok(hub) => Ok(Record::Hub(hub)),
        Err(EngineError::NotFound { .. }) => Ok(Record::Hub(base)),
        Err(error) => Err(error.into()),
    }
}

/// A hub that is kept here, as people name it.
pub(super) fn resolved(replica: &Replica, text: &str) -> Result<HubId, ErrorRecord> {
    name::hub(replica, text)
}

/// A channel of one, as people name it.
pub(super) fn resolved_channel(
    replica: &Replica,
    text: &str,
) -> Result<(HubId, ChangeId), ErrorRecord> {
    name::channel(replica, text)
}

/// A message as a record.
pub(super) fn message(
    replica: &Replica,
    view: &MessageView,
    names: bool,
) -> Result<Record, ErrorRecord> {
    message::record(replica, view, names, false)
}

/// What is unread in the channels of a hub.
pub(super) fn unread(
    replica: &Replica,
    hub: &HubId,
    mark_read: bool,
) -> Result<Vec<Record>, ErrorRecord> {
    channel::unread_of(replica, hub, mark_read)
}

/// The channels that `HUB/CHANNEL` or `HUB` names.
pub(super) fn places(replica: &Replica, text: &str) -> Result<(HubId, Vec<ChangeId>), ErrorRecord> {
    if text.contains('/') {
        let (hub, channel) = name::channel(replica, text)?;
        return Ok((hub, vec![channel]));
    }
    let hub = name::hub(replica, text)?;
    let channels = replica.hub(&hub, |hub| hub.channels())?;
    Ok((hub, channels.into_iter().map(|view| view.id).collect()))
}
