//! Channels of a hub.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{ChangeId, HubId};
use mosaic_engine::hub::ChannelView;
use mosaic_engine::limits::CHANNEL_READER_ROLES_MAX;
use mosaic_engine::model::entry::{
    ChannelChange, ChannelFields, EntryRef, History, HubAction, Readers, RoleRef,
};
use mosaic_engine::replica::{EngineError, Replica};

use super::name;
use crate::api::answer::blocking;
use crate::api::types::{
    Channel, ChannelCreate, ChannelEdit, ChannelList, ChannelReaders, ErrorKind, ErrorRecord,
    HubUnread, Record, Unread, rfc3339,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<ChannelList, _>(router, |app, r: ChannelList| {
        let replica = app.replica()?;
        let hub = name::hub(&replica, &r.hub)?;
        all(&replica, &hub)
    });
    let router = blocking::<HubUnread, _>(router, unread);
    let router = blocking::<ChannelCreate, _>(router, create);
    let router = blocking::<ChannelReaders, _>(router, readers);
    blocking::<ChannelEdit, _>(router, edit)
}

/// All channels of a hub.
pub(super) fn all(replica: &Replica, hub: &HubId) -> Result<Vec<Record>, ErrorRecord> {
    let channels = replica.hub(hub, |known| {
        let pinned = |channel: ChannelView| (known.pins(&channel.id), channel);
        known.channels().into_iter().map(pinned).collect::<Vec<_>>()
    })?;
    Ok(channels.iter().map(|(pins, channel)| record(hub, channel, pins)).collect())
}

fn record(hub: &HubId, channel: &ChannelView, pins: &[EntryRef]) -> Record {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Record::Channel(Channel {
        id: channel.id.to_string(),
        hub: hub.to_string(),
        name: channel.name.clone(),
        ambiguous: channel.ambiguous.into(),
        topic: some(&channel.topic),
        category: some(&channel.category),
        by: channel.by.to_string(),
        created_at: rfc3339(channel.created_ms),
        read_only: channel.read_only.into(),
        archived: channel.archived.into(),
        slow_ms: Some(channel.slow_ms).filter(|ms| *ms != 0),
        private: (!channel.readers.is_empty()).into(),
        sealed: channel.closed.into(),
        readers: roles_of(channel),
        history: history_of(channel).map(|history| history.name().to_owned()),
        pins: pins.iter().map(|pin| pin.entry.to_string()).collect(),
    })
}

fn of_id(replica: &Replica, hub: &HubId, id: &ChangeId) -> Result<Record, ErrorRecord> {
    let all = replica.hub(hub, |known| {
        let found = known.channels().into_iter().find(|channel| channel.id == *id);
        found.map(|channel| (known.pins(&channel.id), channel))
    })?;
    let (pins, channel) = all.ok_or_else(|| {
        ErrorRecord::new(ErrorKind::NotFound, format!("no channel has the id {id}"))
    })?;
    Ok(record(hub, &channel, &pins))
}

fn unread(app: &App, request: HubUnread) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hubs = match &request.hub {
        Some(hub) => vec![name::hub(&replica, hub)?],
        None => replica.hubs()?.into_iter().map(|kept| kept.id).collect(),
    };
    let mut records = Vec::new();
    for hub in hubs {
        records.extend(unread_of(&replica, &hub, request.mark_read)?);
    }
    Ok(records)
}

/// What is unread in the channels of a hub, which counts as read from now on if that is asked.
pub(super) fn unread_of(
    replica: &Replica,
    hub: &HubId,
    mark_read: bool,
) -> Result<Vec<Record>, ErrorRecord> {
    let counted = match replica.unread_channels(hub) {
        // Listed, and its beginning is not here yet.
        Err(EngineError::NotFound { .. }) => return Ok(Vec::new()),
        counted => counted?,
    };
    let (of, channels) = replica.hub(hub, |hub| (hub.settings().name, hub.channels()))?;
    let mut records = Vec::new();
    for unread in counted.iter().filter(|unread| unread.messages > 0) {
        let found = channels.iter().find(|channel| channel.id == unread.channel);
        let channel = found.map(|channel| channel.name.clone()).unwrap_or_default();
        // What has a sealed name goes by its id.
        let channel = if channel.is_empty() { unread.channel.short() } else { channel };
        let of = if of.is_empty() { hub.short() } else { of.clone() };
        records.push(Record::Unread(Unread {
            hub: hub.to_string(),
            channel: unread.channel.to_string(),
            name: format!("{of}/{channel}"),
            messages: unread.messages,
            mentions: unread.mentions,
            since: (unread.since_ms != 0).then(|| rfc3339(unread.since_ms)),
        }));
        if mark_read {
            replica.mark_channel_read(&unread.channel, unread.newest_ms, clock::now_ms())?;
        }
    }
    Ok(records)
}

fn create(app: &App, request: ChannelCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (of, called) = name::split(&request.channel)?;
    let hub = name::hub(&replica, of)?;
    name::check(called, "channel")?;
    let private = request.private || replica.hub(&hub, |hub| hub.genesis().private)?;
    if !private && (!request.roles.is_empty() || request.history.is_some()) {
        let message = "roles and history are said of private channels";
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic hub channel create --help"));
    }
    let history = parse_history(request.history.as_deref())?.unwrap_or(History::FromJoin);
    let readers = match private {
        true => Some(Readers { roles: named_roles(&replica, &hub, &request.roles)?, history }),
        false => None,
    };
    let action = HubAction::CreateChannel(ChannelFields {
        readers,
        name: called.to_owned(),
        topic: request.topic,
        category: request.category,
        read_only: request.read_only,
    });
    let id = replica.hub_operation(&hub, action, "", clock::now_ms());
    of_id(&replica, &hub, &id.map_err(name::refused(hub, "mosaic hub channel create --help"))?)
}

fn readers(app: &App, request: ChannelReaders) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let known = replica.hub(&hub, |hub| hub.channel(&channel))?;
    let Some(was) = known.as_ref().and_then(history_of) else {
        let message = "this channel is not private, and stays so: create another one";
        return Err(ErrorRecord::new(ErrorKind::Denied, message)
            .with_hint("mosaic hub channel create --help"));
    };
    let history = parse_history(request.history.as_deref())?.unwrap_or(was);
    let roles = match (&request.roles[..], known.as_ref().map(|view| &view.readers[..])) {
        // Nobody is let in unsaid.
        ([], Some([only])) if request.history.is_some() => only.roles.clone(),
        ([], _) => {
            let message = "say who reads it: --role ROLE, or --role everyone for every member";
            return Err(ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint("mosaic hub channel readers --help"));
        }
        (named, _) => named_roles(&replica, &hub, named)?,
    };
    let change = ChannelChange::Readers(Readers { roles, history });
    let action = HubAction::ChangeChannel { channel, change };
    let done = replica.hub_operation(&hub, action, "", clock::now_ms());
    done.map_err(name::refused(hub, "mosaic hub channel readers --help"))?;
    of_id(&replica, &hub, &channel)
}

/// Roles by their names, rising; that of every member is none.
fn named_roles(
    replica: &Replica,
    hub: &HubId,
    names: &[String],
) -> Result<Vec<ChangeId>, ErrorRecord> {
    let mut roles = BTreeSet::new();
    for named in names {
        if let RoleRef::Role(role) = name::role(replica, hub, Some(named))? {
            roles.insert(role);
        }
    }
    if roles.len() > CHANNEL_READER_ROLES_MAX {
        let message = format!("{} roles, limit {CHANNEL_READER_ROLES_MAX}", roles.len());
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic hub channel create --help"));
    }
    Ok(roles.into_iter().collect())
}

fn parse_history(text: Option<&str>) -> Result<Option<History>, ErrorRecord> {
    match text {
        None => Ok(None),
        Some("all") => Ok(Some(History::All)),
        Some("from-join") => Ok(Some(History::FromJoin)),
        Some(other) => {
            let message = format!("'{}' is no history: all or from-join", other.escape_debug());
            Err(ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint("mosaic hub channel create --help"))
        }
    }
}

/// Roles that read a private channel.
fn roles_of(channel: &ChannelView) -> Vec<String> {
    let roles: BTreeSet<&ChangeId> = channel.readers.iter().flat_map(|one| &one.roles).collect();
    roles.into_iter().map(ToString::to_string).collect()
}

/// What is given to who becomes a reader; `None` if it is not private.
fn history_of(channel: &ChannelView) -> Option<History> {
    channel.readers.iter().map(|one| one.history).min()
}

fn edit(app: &App, request: ChannelEdit) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let ChannelEdit { name, topic, category, read_only, archived, slow_ms, .. } = request;
    if let Some(name) = &name {
        name::check(name, "channel")?;
    }
    let changes = [
        name.map(ChannelChange::Name),
        topic.map(ChannelChange::Topic),
        category.map(ChannelChange::Category),
        read_only.map(ChannelChange::ReadOnly),
        archived.map(ChannelChange::Archived),
        slow_ms.map(ChannelChange::SlowMs),
    ];
    let changes: Vec<ChannelChange> = changes.into_iter().flatten().collect();
    if changes.is_empty() {
        let message = "nothing to change was named";
        return Err(ErrorRecord::new(ErrorKind::Usage, message)
            .with_hint("mosaic hub channel change --help"));
    }
    let change = |change| HubAction::ChangeChannel { channel, change };
    let actions = changes.into_iter().map(change).collect();
    let done = replica.hub_operations(&hub, actions, "", clock::now_ms());
    done.map_err(name::refused(hub, "mosaic hub channel change --help"))?;
    of_id(&replica, &hub, &channel)
}
