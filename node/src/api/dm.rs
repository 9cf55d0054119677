//! Direct messages.

mod bundle;

use std::sync::Arc;

use axum::Router;
use mosaic_engine::description::Space;
use mosaic_engine::hash::{AccountId, ChangeId, ConversationId};
use mosaic_engine::model::entry::ConversationGenesis;
use mosaic_engine::replica::{
    BLOCKS, ConversationStanding, ConversationView, DirectDraft, DirectMessage as Message,
    EngineError, FOLLOWS, GroupChange, MessageStanding, Replica, Text,
};

use super::answer::blocking;
use super::create::{creating, once};
use super::resolve;
use super::types::{
    Conversation, Deleted, DirectMessage, DmAnswer, DmChange, DmDelete, DmEdit, DmExpire, DmGroup,
    DmList, DmRead, DmSend, ErrorKind, ErrorRecord, Record, rfc3339,
};
use crate::app::App;
use crate::clock;
use crate::mending::mend_keys;

/// Messages that are looked through for one that was just written.
const LATELY: usize = usize::MAX;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = creating::<DmSend>(router, send);
    let router = blocking::<DmList, _>(router, list);
    let router = blocking::<DmRead, _>(router, read);
    let router = blocking::<DmEdit, _>(router, |app, r: DmEdit| {
        let replica = app.replica()?;
        let id = message(&replica, &r.id)?;
        let edited = replica.edit_directly(&id, &r.text, clock::now_ms());
        edited.map_err(|error| refused_change(&replica, &id, error))?;
        shown(&replica, &id)
    });
    let router = blocking::<DmDelete, _>(router, |app, r: DmDelete| {
        let replica = app.replica()?;
        let id = message(&replica, &r.id)?;
        let deleted = replica.delete_directly(&id, clock::now_ms());
        deleted.map_err(|error| refused_change(&replica, &id, error))?;
        Ok(Record::Deleted(Deleted { id: id.to_string() }))
    });
    let router = blocking::<DmExpire, _>(router, |app, r: DmExpire| {
        let replica = app.replica()?;
        let id = conversation(&replica, &r.who)?.id;
        replica.expire_conversation(&id, r.after_ms.unwrap_or(0), clock::now_ms())?;
        record(&replica, &conversation(&replica, &id.to_string())?, false)
    });
    let router = blocking::<DmAnswer, _>(router, answer);
    let router = blocking::<DmGroup, _>(router, group);
    let router = blocking::<DmChange, _>(router, change);
    bundle::routes(router)
}

/// A refusal to change a message, with what can be said instead: of one that somebody else wrote
/// an answer, in place of one that is gone another.
fn refused_change(replica: &Replica, id: &ChangeId, error: EngineError) -> ErrorRecord {
    let of = replica.space_of_entry(id).ok().flatten().and_then(|space| space.conversation());
    let Some(of) = of else { return error.into() };
    let view = replica.conversations().ok();
    let view = view.and_then(|views| views.into_iter().find(|view| view.id == of));
    let of_others =
        replica.author_of(id).is_some_and(|author| replica.account().ok() != Some(author));
    match (error, view) {
        (error @ EngineError::Denied(_), Some(view)) if view.present && of_others => {
            let message = format!("{error}: who wrote a message changes and deletes it");
            let hint = format!("mosaic dm send {} TEXT --reply-to {}", of.short(), id.short());
            ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint)
        }
        (error, Some(view)) => refused(replica, &view, error),
        (error, None) => error.into(),
    }
}

/// A refusal to write into a conversation.
fn refused(replica: &Replica, view: &ConversationView, error: EngineError) -> ErrorRecord {
    let again = format!("mosaic dm send {} TEXT", view.id.short());
    match error {
        EngineError::TextTooLong { .. } => {
            let message = format!("{error}: send it in parts");
            ErrorRecord::new(ErrorKind::Usage, message).with_hint(again)
        }
        EngineError::Invalid(_) => ErrorRecord::from(error).with_hint(again),
        EngineError::Denied(_) if !view.present => {
            let founder = view.founder.filter(|founder| replica.account().ok() != Some(*founder));
            let Some(founder) = founder else {
                let hint = "mosaic dm group create TITLE --with WHO";
                return ErrorRecord::from(error).with_hint(hint);
            };
            let message = format!("{error}; {} began it and can add you", founder.short());
            let hint = format!("mosaic dm send {} TEXT", founder.short());
            ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint)
        }
        other => other.into(),
    }
}

fn send(app: &App, request: DmSend) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let once = once(&request)?;
    if let Some(once) = &once
        && let Some(written) = replica.written_once(once)?
    {
        return shown(&replica, &written);
    }
    let now_ms = clock::now_ms();
    let id = receiver(&replica, &request.who, now_ms)?;
    let target = request.reply_to.as_deref().map(|id| message(&replica, id)).transpose()?;
    // Where no node runs nobody else looks.
    mend_keys(&replica, now_ms)?;
    let draft = DirectDraft { text: request.text, target, expires_after_ms: request.expires_ms };
    let written = replica.say_directly(once.as_ref(), &id, &draft, now_ms);
    app.kept_changed();
    let written = match written {
        Ok(written) => written,
        Err(error) => {
            return Err(match conversation(&replica, &id.to_string()) {
                Ok(view) => refused(&replica, &view, error),
                Err(_) => error.into(),
            });
        }
    };
    shown(&replica, &written)
}

fn list(app: &App, request: DmList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let mut records = Vec::new();
    for view in replica.conversations()? {
        let wanted = match view.standing {
            ConversationStanding::Accepted => !request.requests,
            ConversationStanding::Requested => request.requests,
            ConversationStanding::Ignored => request.ignored,
            ConversationStanding::Carried => false,
        };
        // What was announced and brought nothing yet is nothing to answer.
        let empty = view.standing == ConversationStanding::Requested && !view.begun;
        if wanted && !empty {
            records.push(record(&replica, &view, request.names)?);
        }
    }
    Ok(records)
}

fn read(app: &App, request: DmRead) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    // Damage is told of what is read, not of what else is due.
    if let Err(error) = replica.expire(clock::now_ms()) {
        tracing::warn!(%error, "texts whose time is over were not dropped");
    }
    replica.mend_conversations(clock::now_ms())?;
    let id = conversation(&replica, &request.who)?.id;
    let limit = request.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let messages = replica.conversation(&id, limit)?;
    let records = messages.iter().map(|message| told(&replica, &id, message, request.names));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    if request.mark_read {
        match replica.mark_conversation_read(&id, request.tell, clock::now_ms()) {
            // Who may write nothing any more reads what is here all the same.
            Err(EngineError::Revoked(_) | EngineError::Suspended(_) | EngineError::Frozen(_)) => {}
            marked => marked?,
        }
    }
    Ok(records)
}

fn answer(app: &App, request: DmAnswer) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let view = conversation(&replica, &request.who)?;
    let now_ms = clock::now_ms();
    match request.act.as_str() {
        "accept" => replica.answer_request(&view.id, true, now_ms)?,
        "ignore" => replica.answer_request(&view.id, false, now_ms)?,
        "block" => {
            let me = replica.account()?;
            let by = view.founder.filter(|founder| *founder != me);
            let Some(account) = by.or_else(|| view.others.first().copied()) else {
                return Err(ErrorRecord::new(ErrorKind::Denied, "there is nobody to block")
                    .with_hint("mosaic dm list"));
            };
            // Of one between two the block speaks: it is back when that is taken away.
            if view.founder.is_some() {
                replica.answer_request(&view.id, false, now_ms)?;
            }
            replica.set_listed(BLOCKS, account, true, now_ms)?;
            replica.bar_reader(&account, now_ms)?;
            app.kept_changed();
            return Ok(Vec::new());
        }
        other => {
            let message =
                format!("'{}' is no answer: accept, ignore or block", other.escape_debug());
            return Err(
                ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help dm requests")
            );
        }
    }
    app.kept_changed();
    Ok(vec![record(&replica, &conversation(&replica, &request.who)?, false)?])
}

fn group(app: &App, request: DmGroup) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let members = request.members.iter().map(|who| resolve::account(&replica, Some(who)));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    check_known(&replica, &members)?;
    let id = replica.found_group(&request.title, &members, clock::now_ms())?;
    app.kept_changed();
    record(&replica, &conversation(&replica, &id.to_string())?, false)
}

/// Nobody is taken into a group to whom nothing can be sealed: nobody could write there.
fn check_known(replica: &Replica, accounts: &[AccountId]) -> Result<(), ErrorRecord> {
    for account in accounts {
        if replica.authority(account)?.is_none_or(|log| log.devices.is_empty()) {
            let message = format!(
                "the devices of {} are not known here yet, so nothing can be sealed to them: sync with \
                 somebody who knows that account",
                account.short()
            );
            let hint = format!("mosaic follow {account}");
            return Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint));
        }
    }
    Ok(())
}

fn change(app: &App, request: DmChange) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = conversation(&replica, &request.who)?.id;
    let DmChange { title, add, remove, leave, .. } = request;
    if title.is_none() && add.is_empty() && remove.is_empty() && !leave {
        return Err(ErrorRecord::new(ErrorKind::Usage, "nothing to change was named")
            .with_hint("mosaic help dm group change"));
    }
    let now_ms = clock::now_ms();
    // All are found before anything is changed.
    let found = |named: &[String]| -> Result<Vec<AccountId>, ErrorRecord> {
        named.iter().map(|who| resolve::account(&replica, Some(who))).collect()
    };
    let change = GroupChange { add: found(&add)?, remove: found(&remove)?, title, leave };
    check_known(&replica, &change.add)?;
    replica.change_group(&id, &change, now_ms).map_err(|error| match error {
        EngineError::Denied(_) | EngineError::Invalid(_) => {
            ErrorRecord::from(error).with_hint("mosaic help dm group change")
        }
        other => other.into(),
    })?;
    app.kept_changed();
    record(&replica, &conversation(&replica, &id.to_string())?, false)
}

/// Where a message goes: to somebody, or into a conversation that was accepted. What others call
/// their groups is nobody's name.
fn receiver(replica: &Replica, who: &str, now_ms: u64) -> Result<ConversationId, ErrorRecord> {
    let view = match conversation(replica, who) {
        Ok(view) => view,
        // There is none yet with somebody who is known.
        Err(fault) if fault.code == ErrorKind::NotFound.code() => {
            let account = resolve::account(replica, Some(who))?;
            check_devices(replica, &account)?;
            return converse(replica, account, now_ms);
        }
        Err(fault) => return Err(fault),
    };
    if let (None, [other]) = (view.founder, view.others.as_slice()) {
        // Whoever writes takes part, whatever he said of it before.
        return converse(replica, *other, now_ms);
    }
    if view.standing == ConversationStanding::Accepted {
        return Ok(view.id);
    }
    let message = format!("{} is a request that you did not accept", view.id.short());
    let hint = format!("mosaic dm accept {}", view.id.short());
    Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint))
}

/// Begins to talk with somebody who is not blocked.
fn converse(
    replica: &Replica,
    account: AccountId,
    now_ms: u64,
) -> Result<ConversationId, ErrorRecord> {
    let blocked = replica.accounts_in(BLOCKS)?.contains(&account);
    replica.converse_with(account, now_ms).map_err(|error| match error {
        EngineError::Denied(_) if blocked => {
            ErrorRecord::from(error).with_hint(format!("mosaic unblock {account}"))
        }
        other => other.into(),
    })
}

/// Whether something can be sealed to somebody: nothing is begun with whom nothing can be said to.
fn check_devices(replica: &Replica, account: &AccountId) -> Result<(), ErrorRecord> {
    let known = replica.authority(account)?.is_some_and(|log| !log.devices.is_empty());
    if known || replica.account()? == *account || replica.accounts_in(BLOCKS)?.contains(account) {
        return Ok(());
    }
    let message = format!(
        "the devices of {} are not known here yet, so nothing can be sealed to them",
        account.short()
    );
    let follows = replica.accounts_in(FOLLOWS)?.contains(account);
    let hint = match follows {
        true => "mosaic dm bundle import FILE".to_owned(),
        false => format!("mosaic follow {account}"),
    };
    Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint))
}

/// A message by its id, whole or its beginning.
fn message(replica: &Replica, text: &str) -> Result<ChangeId, ErrorRecord> {
    let missing = || {
        let message = format!("there is no message '{}'", text.escape_debug());
        ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic dm read WHO --json")
    };
    let id = match replica.resolve_entry(text) {
        Ok(id) => id,
        Err(EngineError::NotFound { .. }) => return Err(missing()),
        Err(error) => return Err(error.into()),
    };
    match replica.space_of_entry(&id)? {
        Some(Space::Conversation(_)) => Ok(id),
        _ => Err(missing()),
    }
}

/// A conversation by the other account, by its id, or by its title.
pub(super) fn conversation(replica: &Replica, who: &str) -> Result<ConversationView, ErrorRecord> {
    let views = replica.conversations()?;
    if let Some(exact) = views.iter().find(|view| view.id.to_string() == who.trim()) {
        return Ok(exact.clone());
    }
    let account = resolve::account(replica, Some(who));
    if let Ok(account) = &account {
        let me = replica.account()?;
        let id = ConversationGenesis::between(me, *account).id();
        return views.iter().find(|view| view.id == id).cloned().ok_or_else(|| {
            let message = format!("there is no conversation with {} yet", account.short());
            ErrorRecord::new(ErrorKind::NotFound, message)
                .with_hint(format!("mosaic dm send {} TEXT", account.short()))
        });
    }
    let prefix = who.trim().to_ascii_lowercase();
    let named = |view: &&ConversationView| {
        view.title.as_deref() == Some(who)
            || (prefix.len() >= 4 && view.id.to_string().starts_with(&prefix))
    };
    let found: Vec<_> = views.iter().filter(named).collect();
    match (found.as_slice(), account) {
        ([only], _) => Ok((*only).clone()),
        ([], Ok(_)) => Err(ErrorRecord::new(ErrorKind::NotFound, "there is no such conversation")),
        ([], Err(error)) if who.starts_with('@') => Err(error),
        ([], Err(error)) => Err(error.with_hint("mosaic dm list")),
        (several, _) => {
            let message = format!("'{who}' fits {} conversations", several.len());
            let candidates = several.iter().map(|view| view.id.to_string()).collect();
            let error = ErrorRecord::new(ErrorKind::Ambiguous, message);
            Err(ErrorRecord { candidates, ..error }.with_hint("mosaic dm list"))
        }
    }
}

fn record(replica: &Replica, view: &ConversationView, names: bool) -> Result<Record, ErrorRecord> {
    let who = view.others.first().filter(|_| view.founder.is_none());
    let who_name = match who {
        Some(who) if names => resolve::name(replica, who)?,
        _ => None,
    };
    Ok(Record::Conversation(Conversation {
        id: view.id.to_string(),
        who: who.map(ToString::to_string),
        who_name,
        title: view.title.clone(),
        standing: view.standing.name().to_owned(),
        founder: view.founder.map(|founder| founder.to_string()),
        members: view.others.iter().map(ToString::to_string).collect(),
        left: (!view.present).into(),
        expires_after_ms: Some(view.expires_after_ms).filter(|after_ms| *after_ms != 0),
        messages: view.messages,
        unread: view.unread,
        waiting: view.waiting,
        newest_at: (view.newest_ms != 0).then(|| rfc3339(view.newest_ms)),
    }))
}

/// A message by its entry.
fn shown(replica: &Replica, id: &ChangeId) -> Result<Record, ErrorRecord> {
    let missing = || ErrorRecord::new(ErrorKind::NotFound, format!("no message is {}", id.short()));
    let place = replica.space_of_entry(id)?;
    let Some(Space::Conversation(of)) = place else { return Err(missing()) };
    let messages = replica.conversation(&of, LATELY)?;
    let message = messages.iter().find(|message| message.id == *id).ok_or_else(missing)?;
    told(replica, &of, message, false)
}

fn told(
    replica: &Replica,
    of: &ConversationId,
    message: &Message,
    names: bool,
) -> Result<Record, ErrorRecord> {
    let author_name = if names { resolve::name(replica, &message.account)? } else { None };
    let (state, why) = match (message.standing, &message.text) {
        (MessageStanding::Open, Text::Here(_)) => ("shown", None),
        (MessageStanding::Open, Text::Deleted) | (MessageStanding::Deleted, _) => ("deleted", None),
        (MessageStanding::Expired, _) => ("expired", None),
        (MessageStanding::Open, _) => ("missing", None),
        (MessageStanding::Waiting | MessageStanding::ToOthers, _) => ("waiting", None),
        (MessageStanding::Refused(why), _) => ("refused", Some(why.to_owned())),
    };
    let text = match &message.text {
        Text::Here(text) if state == "shown" => Some(text.clone()),
        _ => None,
    };
    let mut reactions = std::collections::BTreeMap::new();
    for (emoji, _) in &message.reactions {
        *reactions.entry(emoji.clone()).or_insert(0) += 1;
    }
    Ok(Record::DirectMessage(DirectMessage {
        id: message.id.to_string(),
        conversation: of.to_string(),
        author: message.account.to_string(),
        author_name,
        text,
        created_at: rfc3339(message.time_ms),
        edited_at: message.edited_ms.map(rfc3339),
        expires_at: (message.expires_ms != 0).then(|| rfc3339(message.expires_ms)),
        reply_to: message.target.map(|target| target.to_string()),
        reactions,
        state: state.to_owned(),
        why,
        delivery: message.delivery.map(|delivery| delivery.name().to_owned()),
        read_by: message.read_by.iter().map(ToString::to_string).collect(),
    }))
}
