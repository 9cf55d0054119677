//! Messages and polls.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{AccountId, ChangeId, HubId};
use mosaic_engine::model::entry::{Permissions, PollKind, RoleRef, Who};
use mosaic_engine::replica::{
    EngineError, MessageDraft, MessageState, MessageView, PollView, Replica, Sealing, Text,
};

use super::name;
use crate::api::answer::blocking;
use crate::api::attach::Added;
use crate::api::create::{creating, once};
use crate::api::types::{
    Deleted, ErrorKind, ErrorRecord, Message, MessageDelete, MessageEdit, MessageList,
    MessageReact, MessageSend, MessageThread, Origin, PollClose, PollCount, PollCreate, PollVote,
    Record, rfc3339,
};
use crate::api::{resolve, view};
use crate::app::App;
use crate::clock;

/// Messages read from the store at once.
const STEP: usize = 256;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = creating::<MessageSend>(router, send);
    let router = blocking::<MessageList, _>(router, list);
    let router = blocking::<MessageThread, _>(router, thread);
    let router = blocking::<MessageEdit, _>(router, |app, r: MessageEdit| {
        let replica = app.replica()?;
        let id = resolve::entry(&replica, &r.id)?;
        let hub = replica.message(&id)?.hub;
        replica
            .edit(id, &r.text, clock::now_ms())
            .map_err(name::refused(hub, "mosaic hub message edit --help"))?;
        shown(&replica, &id, false)
    });
    let router = blocking::<MessageDelete, _>(router, |app, r: MessageDelete| {
        let replica = app.replica()?;
        let id = resolve::entry(&replica, &r.id)?;
        let of = replica.message(&id)?;
        let deleted = replica.delete(id, clock::now_ms());
        deleted.map_err(|error| not_deleted(&replica, &of, error))?;
        Ok(Record::Deleted(Deleted { id: id.to_string() }))
    });
    let router = blocking::<MessageReact, _>(router, |app, r: MessageReact| {
        let replica = app.replica()?;
        let id = resolve::entry(&replica, &r.id)?;
        let hub = replica.message(&id)?.hub;
        let done = match r.remove {
            true => replica.unreact(id, &r.emoji, clock::now_ms()),
            false => replica.react(id, &r.emoji, clock::now_ms()).map(drop),
        };
        done.map_err(name::refused(hub, "mosaic hub message react --help"))?;
        shown(&replica, &id, false)
    });
    let router = blocking::<PollCreate, _>(router, ask);
    let router = blocking::<PollVote, _>(router, vote);
    blocking::<PollClose, _>(router, |app, r: PollClose| {
        let replica = app.replica()?;
        let id = resolve::entry(&replica, &r.id)?;
        let hub = replica.message(&id)?.hub;
        replica
            .close_poll(id, clock::now_ms())
            .map_err(name::refused(hub, "mosaic hub poll close --help"))?;
        shown(&replica, &id, false)
    })
}

/// Somebody whom a message can mention: who reads it as a member.
fn mentioned(
    replica: &Replica,
    (hub, channel): (&HubId, &ChangeId),
    who: &str,
) -> Result<AccountId, ErrorRecord> {
    let account = resolve::account(replica, Some(who))?;
    let reads = replica.hub(hub, |hub| match hub.readers(channel) {
        Some(readers) => readers.contains(&account),
        None => hub.members().contains_key(&account),
    })?;
    if reads {
        return Ok(account);
    }
    let message = format!(
        "{} does not read this channel: members who do can be mentioned, and role:ROLE",
        account.short()
    );
    Err(ErrorRecord::new(ErrorKind::Usage, message)
        .with_hint(format!("mosaic hub member list {}", hub.short())))
}

/// A refusal to delete a message, with what can be done about one that somebody else wrote.
fn not_deleted(replica: &Replica, of: &MessageView, error: EngineError) -> ErrorRecord {
    let EngineError::Denied(_) = error else { return error.into() };
    let me = replica.account().ok();
    let hides = replica.hub(&of.hub, |hub| {
        me.is_some_and(|me| hub.permissions(&me, Some(&of.channel)).contains(Permissions::HIDE))
    });
    let (what, hint) = match hides {
        Ok(true) => ("you may hide it", format!("mosaic hub mod hide {}", of.id.short())),
        _ => ("moderators can be told", format!("mosaic hub report message {}", of.id.short())),
    };
    ErrorRecord::new(ErrorKind::Denied, format!("{error}: {what}")).with_hint(hint)
}

fn send(app: &App, request: MessageSend) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let once = once(&request)?;
    if let Some(once) = &once
        && let Some(written) = replica.written_once(once)?
    {
        return shown(&replica, &written, false);
    }
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let target = request.reply_to.as_deref().map(|id| resolve::entry(&replica, id)).transpose()?;
    let mut mentions = Vec::with_capacity(request.mentions.len());
    for who in &request.mentions {
        mentions.push(match who.strip_prefix("role:") {
            Some(role) => Who::Role(name::role(&replica, &hub, Some(role))?),
            None => Who::Account(mentioned(&replica, (&hub, &channel), who)?),
        });
    }
    let added = Added::new(&replica, &request.attachments)?;
    let draft = MessageDraft {
        text: request.text,
        attachments: added.attachments(),
        target,
        mentions,
        claimed: None,
    };
    let id = replica.say(once.as_ref(), &hub, &channel, draft, clock::now_ms());
    shown(&replica, &id.map_err(name::refused(hub, "mosaic hub send --help"))?, false)
}

fn list(app: &App, request: MessageList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let limit = request.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut cursor = match &request.before {
        Some(id) => Some(replica.message(&resolve::entry(&replica, id)?)?.cursor()),
        None => None,
    };
    let mut records = Vec::new();
    while records.len() < limit {
        let step = STEP.min(limit - records.len());
        let views = replica.channel(&hub, &channel, cursor, step, request.all)?;
        let Some(last) = views.last() else { break };
        cursor = Some(last.cursor());
        for view in &views {
            records.push(record(&replica, view, request.names, request.all)?);
        }
    }
    Ok(records)
}

fn thread(app: &App, request: MessageThread) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let views = replica.thread(&id)?;
    let mut records = Vec::with_capacity(views.len());
    for (depth, view) in views {
        records.push(match record(&replica, &view, request.names, false)? {
            Record::Message(message) => {
                Record::Message(Message { depth: Some(depth as u64), ..message })
            }
            other => other,
        });
    }
    Ok(records)
}

fn ask(app: &App, request: PollCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, channel) = name::channel(&replica, &request.channel)?;
    let kind = match request.kind.as_deref() {
        None | Some("single") => PollKind::Single,
        Some("multiple") => PollKind::Multiple,
        Some("ranked") => PollKind::Ranked,
        Some(other) => {
            let message = format!(
                "'{}' is no kind of poll: single, multiple or ranked",
                other.escape_debug()
            );
            return Err(ErrorRecord::new(ErrorKind::Usage, message)
                .with_hint("mosaic hub poll create --help"));
        }
    };
    let now_ms = clock::now_ms();
    let id = replica.ask(&hub, &channel, &request.text, kind, request.options, now_ms);
    shown(&replica, &id.map_err(name::refused(hub, "mosaic hub poll create --help"))?, false)
}

fn vote(app: &App, request: PollVote) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let view = replica.message(&id)?;
    let hub = view.hub;
    let options = view.poll.map(|poll| poll.options).unwrap_or_default();
    let mut choices = Vec::with_capacity(request.choices.len());
    for choice in &request.choices {
        let named = options.iter().position(|option| option == choice);
        let numbered = || choice.parse::<usize>().ok().filter(|n| (1..=options.len()).contains(n));
        let Some(at) = named.or_else(|| numbered().map(|n| n - 1)) else {
            let message = format!(
                "'{}' is no option of this poll; there are {}",
                choice.escape_debug(),
                options.join(", ")
            );
            let hint = format!("mosaic hub read --thread {}", id.short());
            return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
        };
        choices.push(u8::try_from(at).unwrap_or(u8::MAX));
    }
    replica
        .vote(id, choices, clock::now_ms())
        .map_err(name::refused(hub, "mosaic hub poll vote --help"))?;
    shown(&replica, &id, false)
}

/// A message as a record.
pub(super) fn shown(replica: &Replica, id: &ChangeId, names: bool) -> Result<Record, ErrorRecord> {
    record(replica, &replica.message(id)?, names, false)
}

pub(super) fn record(
    replica: &Replica,
    view: &MessageView,
    names: bool,
    all: bool,
) -> Result<Record, ErrorRecord> {
    let name = if names { resolve::name(replica, &view.account)? } else { None };
    let (state, why) = match view.state {
        MessageState::Shown => ("shown", None),
        MessageState::Hidden { by } => ("hidden", Some(by.to_string())),
        MessageState::Purged { by } => ("purged", Some(by.to_string())),
        MessageState::Unproven => ("unproven", None),
        MessageState::Deferred => ("deferred", None),
        MessageState::Void { why } => ("void", Some(why.name().to_owned())),
    };
    let why = match view.sealed {
        Some(Sealing::Refused(refused)) => why.or_else(|| Some(refused.to_owned())),
        _ => why,
    };
    let told = all || matches!(view.state, MessageState::Shown | MessageState::Unproven);
    let origin = view.claimed.as_ref().map(|claimed| &claimed.origin);
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(Record::Message(Message {
        id: view.id.to_string(),
        hub: view.hub.to_string(),
        channel: view.channel.to_string(),
        author: view.account.to_string(),
        author_name: name,
        text: view::text(&view.text).filter(|_| told),
        created_at: rfc3339(view.time_ms),
        edited_at: view.edited_ms.map(rfc3339),
        reply_to: view.target.map(|target| target.to_string()),
        depth: None,
        attachments: view.attachments.iter().filter(|_| told).map(view::attachment).collect(),
        mentions: view.mentions.iter().filter(|_| told).map(mention).collect(),
        origin: origin.filter(|_| told).map(|origin| Origin {
            source: origin.source.clone(),
            id: origin.id.clone(),
            link: some(&origin.link),
        }),
        origin_author: view
            .claimed
            .as_ref()
            .filter(|_| told)
            .and_then(|claimed| some(&claimed.author)),
        poll: view.poll.as_ref().filter(|_| told).map(poll),
        reactions: view
            .reactions
            .iter()
            .map(|(emoji, accounts)| (emoji.clone(), accounts.len() as u64))
            .collect(),
        replies: view.replies,
        state: state.to_owned(),
        why,
        late: view.late.into(),
        deleted: view.deleted.into(),
        disputed: view.disputed.into(),
        sealed: view.sealed.map(|sealed| sealed.name().to_owned()),
        missing: (view.sealed.is_none() && matches!(view.text, Text::Missing | Text::Damaged))
            .into(),
    }))
}

fn mention(who: &Who) -> String {
    match who {
        Who::Account(account) => account.to_string(),
        Who::Role(RoleRef::Everyone) => "everyone".to_owned(),
        Who::Role(RoleRef::Role(role)) => role.to_string(),
    }
}

fn poll(poll: &PollView) -> PollCount {
    let kind = match poll.kind {
        PollKind::Single => "single",
        PollKind::Multiple => "multiple",
        PollKind::Ranked => "ranked",
    };
    let option = |at: &u8| poll.options.get(usize::from(*at)).cloned();
    PollCount {
        kind: kind.to_owned(),
        options: poll.options.clone(),
        counts: poll.counts.clone(),
        voters: poll.votes.len() as u64,
        winners: poll.winners.iter().filter_map(option).collect(),
        closed: poll.closed.into(),
    }
}
