//! Searching what is here, and catching up with what was not read yet.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::replica::{Cursor, GroupKind, Hit, Item, PostView, Replica};
use mosaic_engine::search::{Filter, Inside, Query, QueryError};

use super::answer::blocking;
use super::types::{
    Catchup, CatchupList, ErrorKind, ErrorRecord, Notice, Reaction, Record, SearchFind,
    parse_rfc3339, rfc3339,
};
use super::view::{self, Extras};
use super::{hub, resolve, wall};
use crate::app::App;
use crate::clock;

/// Entries listed of each group unless told otherwise.
const GROUP_LIMIT: u64 = 20;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<SearchFind, _>(router, find);
    blocking::<CatchupList, _>(router, catchup)
}

impl From<QueryError> for ErrorRecord {
    fn from(error: QueryError) -> Self {
        Self::new(ErrorKind::Usage, error.to_string()).with_hint(error.hint)
    }
}

fn find(app: &App, request: SearchFind) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let filter = filter(&replica, &request)?;
    let mut cursor = match &request.before {
        Some(id) => Some(replica.cursor_at(&resolve::entry(&replica, id)?)?),
        None => None,
    };
    let limit = request.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let extras = Extras { conflicts: false, names: request.names };
    let mut records = Vec::new();
    loop {
        let found = replica.search(&filter, cursor, limit.unwrap_or(usize::MAX))?;
        for hit in &found.hits {
            records.push(match hit {
                Hit::Wall(view) => text(&replica, view, extras)?,
                Hit::Channel(view) => hub::message(&replica, view, request.names)?,
            });
        }
        let Some(stopped) = found.stopped else { break };
        cursor = Some(stopped);
        if limit.is_some() {
            records.push(Record::Notice(Notice { message: unfinished(stopped) }));
            break;
        }
    }
    Ok(records)
}

/// Who asked for a few and may have to wait long for them decides himself.
fn unfinished(stopped: Cursor) -> String {
    format!(
        "Looked back to {} only, that is much to read; --before {} goes on from there.",
        rfc3339(stopped.time_ms),
        stopped.id
    )
}

fn filter(replica: &Replica, request: &SearchFind) -> Result<Filter, ErrorRecord> {
    let since = wall::time(request.since.as_deref())?;
    let until = wall::time(request.until.as_deref())?;
    let bounded = since.is_some() || until.is_some();
    let mut filter = if bounded && request.query.trim().is_empty() {
        Filter::default()
    } else {
        let told = |at: usize| {
            move |error: ErrorRecord| {
                let message = format!("character {at} of the query: {}", error.message);
                ErrorRecord { message, ..error }
            }
        };
        Query::parse(&request.query)?.resolve(
            |who, at| resolve::account(replica, Some(who)).map_err(told(at)),
            |place, at| inside(replica, place).map_err(told(at)),
            |time, at| {
                parse_rfc3339(time).ok_or_else(|| {
                    let message =
                        format!("character {at} of the query: '{time}' is no time of RFC 3339");
                    ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help search")
                })
            },
        )?
    };
    filter.since_ms = filter.since_ms.max(since.unwrap_or(0));
    filter.until_ms = filter.until_ms.into_iter().chain(until).min();
    Ok(filter)
}

/// `HUB/CHANNEL`, or `HUB` with all of its channels.
fn inside(replica: &Replica, text: &str) -> Result<Inside, ErrorRecord> {
    Ok(match text.contains('/') {
        true => Inside::Channel(hub::resolved_channel(replica, text)?.1),
        false => Inside::Hub(hub::resolved(replica, text)?),
    })
}

fn text(replica: &Replica, view: &PostView, extras: Extras) -> Result<Record, ErrorRecord> {
    match view.target {
        None => view::post(replica, view, extras),
        Some(_) => view::comment(replica, &view::root(replica, view)?, view, extras),
    }
}

fn catchup(app: &App, request: CatchupList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let limit = usize::try_from(request.limit.unwrap_or(GROUP_LIMIT)).unwrap_or(usize::MAX);
    let unread = replica.catchup(limit)?;
    let extras = Extras { conflicts: false, names: true };
    let mut records = Vec::new();
    for group in &unread.groups {
        records.push(Record::Catchup(Catchup {
            group: name(group.kind).to_owned(),
            count: group.count,
            at_least: group.at_least.into(),
            listed: group.items.len() as u64,
            since: (group.since_ms > 0).then(|| rfc3339(group.since_ms)),
        }));
        for item in &group.items {
            records.push(match item {
                Item::Text(view) => text(&replica, view, extras)?,
                Item::Reaction { id, target, account, emoji } => Record::Reaction(Reaction {
                    id: Some(id.to_string()),
                    target: target.to_string(),
                    author: account.to_string(),
                    emoji: emoji.clone(),
                    removed: false.into(),
                }),
            });
        }
    }
    for kept in replica.hubs()?.into_iter().filter(|kept| kept.listed) {
        records.extend(hub::unread(&replica, &kept.id, request.mark_read)?);
    }
    if request.mark_read {
        replica.mark_caught_up(&unread, clock::now_ms())?;
    }
    Ok(records)
}

const fn name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Posts => "posts",
        GroupKind::Replies => "replies",
        GroupKind::Mentions => "mentions",
        GroupKind::Quotes => "quotes",
        GroupKind::Reactions => "reactions",
    }
}
