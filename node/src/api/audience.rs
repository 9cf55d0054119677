//! Audiences: whom posts are for.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{ChangeId, ConversationId};
use mosaic_engine::replica::{
    AUDIENCE_FOLLOWERS, AUDIENCE_LIST, AUDIENCE_ME, AudienceView, EngineError, Once, Replica,
};

use super::answer::blocking;
use super::resolve;
use super::types::{
    Audience, AudienceChange, AudienceCreate, AudienceList, AudienceMembers, ErrorKind,
    ErrorRecord, PostCreate, Reader, Record,
};
use crate::app::App;
use crate::clock;

/// Name of the audience of everybody.
const PUBLIC: &str = "public";

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<AudienceList, _>(router, |app, _: AudienceList| {
        Ok(app.replica()?.audiences()?.iter().map(record).collect::<Vec<_>>())
    });
    let router = blocking::<AudienceCreate, _>(router, |app, request: AudienceCreate| {
        let replica = app.replica()?;
        let made = replica.create_audience(&full_name(&request.name), clock::now_ms());
        let id = made.map_err(|error| match error {
            EngineError::Invalid(_) => {
                ErrorRecord::from(error).with_hint("mosaic audience create NAME")
            }
            other => other.into(),
        })?;
        one(&replica, &id)
    });
    let router = blocking::<AudienceChange, _>(router, change);
    blocking::<AudienceMembers, _>(router, members)
}

/// What an audience is called, where the name of a list may stand alone.
fn full_name(name: &str) -> String {
    match name {
        AUDIENCE_FOLLOWERS | AUDIENCE_ME => name.to_owned(),
        _ if name.starts_with(AUDIENCE_LIST) => name.to_owned(),
        _ => format!("{AUDIENCE_LIST}{name}"),
    }
}

fn record(view: &AudienceView) -> Record {
    Record::Audience(Audience {
        id: view.id.to_string(),
        name: view.name.clone(),
        members: view.members.len() as u64,
        posts: view.posts,
    })
}

fn view(replica: &Replica, id: &ConversationId) -> Result<AudienceView, ErrorRecord> {
    let found = replica.audiences()?.into_iter().find(|view| view.id == *id);
    found.ok_or_else(|| ErrorRecord::new(ErrorKind::NotFound, "there is no such audience"))
}

fn one(replica: &Replica, id: &ConversationId) -> Result<Record, ErrorRecord> {
    Ok(record(&view(replica, id)?))
}

fn change(app: &App, request: AudienceChange) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let name = full_name(&request.name);
    let AudienceChange { add, remove, past, .. } = request;
    if add.is_empty() && remove.is_empty() {
        return Err(ErrorRecord::new(ErrorKind::Usage, "nobody was named")
            .with_hint("mosaic help audience add"));
    }
    let now_ms = clock::now_ms();
    // All are looked up before anything is changed.
    let accounts = |names: &[String]| {
        let found = names.iter().map(|who| resolve::account(&replica, Some(who)));
        found.collect::<Result<_, _>>()
    };
    let (add, remove): (BTreeSet<_>, BTreeSet<_>) = (accounts(&add)?, accounts(&remove)?);
    if let Some(both) = add.intersection(&remove).next() {
        let message = format!("{} is to be added and removed", both.short());
        return Err(ErrorRecord::new(ErrorKind::Usage, message));
    }
    let id = match replica.audience(&name) {
        Err(EngineError::NotFound { .. }) if name == AUDIENCE_FOLLOWERS && !add.is_empty() => {
            replica.create_audience(&name, now_ms)?
        }
        found => found?,
    };
    let known = view(&replica, &id)?.members;
    for (account, present) in add.iter().map(|a| (a, true)).chain(remove.iter().map(|a| (a, false)))
    {
        // Doing it twice changes nothing.
        if known.contains(account) != present || (present && past) {
            let changed = replica.change_reader(&id, *account, present, past, now_ms);
            changed.map_err(|error| match (&error, name.as_str()) {
                (EngineError::Denied(_), AUDIENCE_ME) => {
                    ErrorRecord::from(error).with_hint("mosaic audience create NAME")
                }
                (EngineError::Denied(_), _) => ErrorRecord::from(error).with_hint("mosaic sync"),
                _ => error.into(),
            })?;
        }
    }
    app.kept_changed();
    one(&replica, &id)
}

fn members(app: &App, request: AudienceMembers) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let view = view(&replica, &replica.audience(&full_name(&request.name))?)?;
    let mut records = Vec::new();
    for account in &view.members {
        let name = if request.names { resolve::name(&replica, account)? } else { None };
        let (audience, account) = (view.name.clone(), account.to_string());
        records.push(Record::Reader(Reader { audience, account, name }));
    }
    Ok(records)
}

/// Writes a post that is not for everybody; `None` if it is.
pub(super) fn post(
    replica: &Replica,
    once: Option<&Once>,
    request: &PostCreate,
) -> Result<Option<ChangeId>, ErrorRecord> {
    let Some(name) = request.audience.as_deref().filter(|name| *name != PUBLIC) else {
        return Ok(None);
    };
    let refused = if !request.attachments.is_empty() {
        Some((
            "files are not sealed yet: a post to an audience has a text alone",
            "mosaic help post",
        ))
    } else if request.quote.is_some() {
        Some(("a post to an audience quotes nothing", "mosaic help post"))
    } else if request.long {
        Some(("a long text is for everybody; up to 256 KiB --file does", "mosaic help post"))
    } else {
        None
    };
    if let Some((message, hint)) = refused {
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
    }
    let now_ms = clock::now_ms();
    let id = match replica.audience(name) {
        Err(EngineError::NotFound { .. }) if name == AUDIENCE_ME => {
            replica.create_audience(name, now_ms)?
        }
        Err(error @ EngineError::NotFound { .. }) => {
            let hint = match name.strip_prefix(AUDIENCE_LIST) {
                Some(list) => format!("mosaic audience create {list}"),
                None => format!("mosaic audience add {name} WHO"),
            };
            return Err(ErrorRecord::from(error).with_hint(hint));
        }
        Err(error @ EngineError::Invalid(_)) => {
            return Err(ErrorRecord::from(error).with_hint("mosaic audience list"));
        }
        found => found?,
    };
    // Devices that were linked since read it, too.
    replica.mend_conversations(now_ms)?;
    let posted = replica.post_to(once, &id, &request.text, now_ms);
    posted.map(Some).map_err(|error| match error {
        EngineError::TextTooLong { .. } => {
            let message = format!("{error}: post it in parts");
            ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint(format!("mosaic post TEXT --audience {name}"))
        }
        other => other.into(),
    })
}
