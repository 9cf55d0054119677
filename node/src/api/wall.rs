//! Walls and the feed.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{AccountId, ChangeId};
use mosaic_engine::model::entry::{EntryRef, ReplyPolicy};
use mosaic_engine::replica::{Cursor, Draft, EngineError, PostView, Replica, Text};

use super::answer::{blocking, route};
use super::attach::Added;
use super::create::{creating, once};
use super::types::{
    Deleted, ErrorKind, ErrorRecord, FeedList, Guest, Notice, Policy, PostCreate, Reaction, Record,
    ReplyRule, Version, WallAdmit, WallComment, WallDelete, WallEdit, WallHide, WallHistory,
    WallList, WallPolicy, WallReact, WallRefuse, WallShow, WallUnhide, WallUnreact, parse_rfc3339,
    rfc3339,
};
use super::view::{self, Extras};
use super::{older, resolve};
use crate::app::App;
use crate::clock;

/// Posts read from the store at once.
const STEP: usize = 256;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = creating::<PostCreate>(router, create);
    let router = route::<WallList, _, _>(router, older::list);
    let router = route::<WallShow, _, _>(router, older::show);
    let router = blocking::<WallEdit, _>(router, edit);
    let router = blocking::<WallDelete, _>(router, delete);
    let router = creating::<WallComment>(router, comment);
    let router = blocking::<WallReact, _>(router, react);
    let router = blocking::<WallUnreact, _>(router, unreact);
    let router = blocking::<WallHide, _>(router, |app, r: WallHide| hide(app, &r.id, true));
    let router = blocking::<WallUnhide, _>(router, |app, r: WallUnhide| hide(app, &r.id, false));
    let router = blocking::<WallHistory, _>(router, history);
    let router = blocking::<WallPolicy, _>(router, policy);
    let router = blocking::<WallAdmit, _>(router, |app, r: WallAdmit| guest(app, &r.who, true));
    let router = blocking::<WallRefuse, _>(router, |app, r: WallRefuse| guest(app, &r.who, false));
    blocking::<FeedList, _>(router, feed)
}

fn create(app: &App, request: PostCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let once = once(&request)?;
    if let Some(once) = &once
        && let Some(written) = replica.written_once(once)?
    {
        return view::either(&replica, &written, Extras::default());
    }
    if let Some(id) = super::audience::post(&replica, once.as_ref(), &request)? {
        return view::either(&replica, &id, Extras::default());
    }
    let quote = match &request.quote {
        Some(id) => {
            let entry = resolve::entry(&replica, id)?;
            Some(EntryRef { account: replica.show(&entry)?.account, entry })
        }
        None => None,
    };
    let now_ms = clock::now_ms();
    let id = match quote {
        Some(quote) if request.text.is_empty() && request.attachments.is_empty() => {
            replica.repost(once.as_ref(), quote.entry, now_ms)?
        }
        quote => {
            let added = Added::new(&replica, &request.attachments)?;
            let draft = Draft { text: request.text, attachments: added.attachments() };
            match request.long {
                true => replica.post_long(once.as_ref(), draft, quote, now_ms)?,
                false => replica.post_once(once.as_ref(), draft, quote, now_ms)?,
            }
        }
    };
    view::either(&replica, &id, Extras::default())
}

/// Bounds of a list.
pub(super) struct Window {
    pub(super) limit: usize,
    pub(super) since_ms: u64,
    pub(super) until_ms: u64,
}

impl Window {
    pub(super) fn new(
        limit: Option<u64>,
        since: Option<&str>,
        until: Option<&str>,
    ) -> Result<Self, ErrorRecord> {
        Ok(Self {
            limit: limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            since_ms: time(since)?.unwrap_or(0),
            until_ms: time(until)?.unwrap_or(u64::MAX),
        })
    }

    /// Collects posts of `step` until the window or the wall ends.
    fn collect(
        &self,
        mut cursor: Option<Cursor>,
        wanted: impl Fn(&PostView) -> bool,
        step: impl Fn(Option<Cursor>) -> Result<Vec<PostView>, ErrorRecord>,
    ) -> Result<Vec<PostView>, ErrorRecord> {
        let mut out = Vec::new();
        while out.len() < self.limit {
            let views = step(cursor)?;
            let Some(last) = views.last() else { break };
            cursor = Some(Cursor { time_ms: last.time_ms, id: last.id });
            for view in views {
                if view.time_ms < self.since_ms {
                    return Ok(out);
                }
                if view.time_ms < self.until_ms && wanted(&view) && out.len() < self.limit {
                    out.push(view);
                }
            }
        }
        Ok(out)
    }
}

/// A time of a request.
pub(super) fn time(text: Option<&str>) -> Result<Option<u64>, ErrorRecord> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || ErrorRecord::new(ErrorKind::Usage, format!("'{text}' is no RFC 3339 time"));
    parse_rfc3339(text).map(Some).ok_or_else(wrong)
}

/// Where a list begins: after the named post.
pub(super) fn cursor(
    replica: &Replica,
    before: Option<&str>,
) -> Result<Option<Cursor>, ErrorRecord> {
    let Some(text) = before else { return Ok(None) };
    let view = replica.show(&resolve::entry(replica, text)?)?;
    Ok(Some(Cursor { time_ms: view.time_ms, id: view.id }))
}

/// Posts of a wall after `start`, whether what `start` names is still here or not.
pub(super) fn list(
    app: &App,
    request: &WallList,
    start: Option<Cursor>,
) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    let window = Window::new(request.limit, request.since.as_deref(), request.until.as_deref())?;
    let views = window.collect(
        start,
        |view| request.deleted || !view.deleted,
        |cursor| Ok(replica.wall(&account, cursor, STEP.min(window.limit.max(1)))?),
    )?;
    let extras = Extras { conflicts: request.conflicts, names: request.names };
    let mut records = posts(app, &replica, &views, extras)?;
    if start.is_none() {
        records.extend(sealed(&replica, &BTreeSet::from([account]))?);
    }
    Ok(records)
}

/// Says once, beside the first page, how much is there that does not open: posts, and edits of them, as
/// nothing tells which.
fn sealed(replica: &Replica, by: &BTreeSet<AccountId>) -> Result<Option<Record>, ErrorRecord> {
    let message = match replica.posts_without_key(by)? {
        0 => return Ok(None),
        1 => "1 entry is sealed, and its key not here yet".to_owned(),
        count => format!("{count} entries are sealed, and their keys not here yet"),
    };
    let message = format!("{message}: a device that has them passes them on: mosaic node start");
    Ok(Some(Record::Notice(Notice { message })))
}

/// The same of the feed, or of what one account wrote in it.
pub(super) fn sealed_in_feed(
    replica: &Replica,
    from: Option<AccountId>,
) -> Result<Option<Record>, ErrorRecord> {
    let mut by = replica.feed_accounts()?;
    by.retain(|account| from.is_none_or(|from| *account == from));
    sealed(replica, &by)
}

fn feed(app: &App, request: FeedList) -> Result<Vec<Record>, ErrorRecord> {
    if !request.channels.is_empty() {
        return super::feed::with_channels(app, &request);
    }
    let replica = app.replica()?;
    let from = match &request.from {
        Some(who) => Some(resolve::account(&replica, Some(who))?),
        None => None,
    };
    let window = Window::new(request.limit, request.since.as_deref(), request.until.as_deref())?;
    let start = cursor(&replica, request.before.as_deref())?;
    let read_ms = if request.unread { replica.feed_read_ms()? } else { 0 };
    let views = window.collect(
        start,
        |view| {
            let wanted = from.is_none_or(|from| view.account == from);
            wanted && !view.deleted && (!request.unread || view.time_ms > read_ms)
        },
        |cursor| Ok(replica.feed(cursor, STEP.min(window.limit.max(1)))?),
    )?;
    if request.mark_read
        && let Some(newest) = views.first().filter(|view| view.time_ms > read_ms)
    {
        replica.mark_feed_read(newest.time_ms, clock::now_ms())?;
    }
    let extras = Extras { conflicts: false, names: true };
    let mut records = posts(app, &replica, &views, extras)?;
    if start.is_none() {
        records.extend(sealed_in_feed(&replica, from)?);
    }
    Ok(records)
}

pub(super) fn posts(
    app: &App,
    replica: &Replica,
    views: &[PostView],
    extras: Extras,
) -> Result<Vec<Record>, ErrorRecord> {
    let posts = views.iter().map(|view| view::post(replica, view, extras));
    let mut records = posts.collect::<Result<Vec<_>, _>>()?;
    records.extend(view::damage(app, views)?);
    Ok(records)
}

pub(super) fn show(app: &App, request: &WallShow) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let extras = Extras { conflicts: request.conflicts, names: request.names };
    let mut views = vec![replica.show(&id)?];
    let mut records = vec![view::either(&replica, &id, extras)?];
    if views.iter().all(|view| view.target.is_none()) {
        let replies = replica.replies(&id, request.hidden, true)?;
        for reply in &replies {
            records.push(view::comment(&replica, &id, reply, extras)?);
        }
        views.extend(replies);
    }
    records.extend(view::damage(app, &views)?);
    Ok(records)
}

fn edit(app: &App, request: WallEdit) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let edited = replica.edit(id, &request.text, clock::now_ms());
    edited.map_err(|error| refused_change(&replica, &id, error))?;
    view::either(&replica, &id, Extras::default())
}

/// A refusal to change what somebody else wrote, with what can be done instead: it is hidden on one's
/// own wall, or not looked at.
fn refused_change(replica: &Replica, id: &ChangeId, error: EngineError) -> ErrorRecord {
    let me = replica.account().ok();
    let author = replica.author_of(id).filter(|author| Some(*author) != me);
    let (EngineError::Denied(_), Some(author)) = (&error, author) else { return error.into() };
    let here = replica.space_of_entry(id).ok().flatten().and_then(|space| space.account());
    let hint = match here == me {
        true => format!("mosaic wall hide {}", id.short()),
        false => format!("mosaic mute {}", author.short()),
    };
    let message = format!("{error}: who wrote something changes and deletes it");
    ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint)
}

fn delete(app: &App, request: WallDelete) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    if request.ids.is_empty() {
        return Err(
            ErrorRecord::new(ErrorKind::Usage, "no post named").with_hint("mosaic wall list")
        );
    }
    let mut records = Vec::new();
    let mut failed = 0;
    for text in &request.ids {
        let done = resolve::entry(&replica, text).and_then(|id| {
            let deleted = replica.show(&id)?.deleted;
            if !deleted {
                let done = replica.delete(id, clock::now_ms());
                done.map_err(|error| refused_change(&replica, &id, error))?;
            }
            Ok(id)
        });
        match done {
            Ok(id) => records.push(Record::Deleted(Deleted { id: id.to_string() })),
            Err(error) if request.ids.len() == 1 => return Err(error),
            Err(error) => {
                failed += 1;
                records.push(Record::Error(error));
            }
        }
    }
    if failed > 0 && failed < request.ids.len() {
        let message = format!("{failed} of {} were not deleted", request.ids.len());
        records.push(Record::Error(ErrorRecord::new(ErrorKind::Partial, message)));
    }
    Ok(records)
}

fn comment(app: &App, request: WallComment) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let once = once(&request)?;
    if let Some(once) = &once
        && let Some(written) = replica.written_once(once)?
    {
        return view::either(&replica, &written, Extras::default());
    }
    let target = resolve::entry(&replica, &request.id)?;
    let added = Added::new(&replica, &request.attachments)?;
    let draft = Draft { text: request.text, attachments: added.attachments() };
    let id = replica
        .reply_once(once.as_ref(), target, draft, clock::now_ms())
        .map_err(|error| refused(&replica, &target, error))?;
    view::either(&replica, &id, Extras::default())
}

/// Whom a wall admits stands in its policy.
fn refused(replica: &Replica, target: &ChangeId, error: EngineError) -> ErrorRecord {
    let post = match &error {
        EngineError::Denied(_) => replica.show(target).ok(),
        _ => None,
    };
    if let EngineError::TextTooLong { .. } = error {
        let hint = format!("mosaic wall comment {} TEXT --attach FILE", target.short());
        return ErrorRecord::from(error).with_hint(hint);
    }
    let error = ErrorRecord::from(error);
    match post.map(|post| (post.account, post.audience)) {
        Some((account, Some(_))) if replica.account().ok() == Some(account) => {
            error.with_hint(format!("mosaic wall edit {}", target.short()))
        }
        Some((account, Some(_))) => {
            error.with_hint(format!("mosaic dm send {} TEXT", account.short()))
        }
        Some((account, None)) => error.with_hint(format!("mosaic wall policy --who {account}")),
        None => error,
    }
}

fn react(app: &App, request: WallReact) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let target = resolve::entry(&replica, &request.id)?;
    let id = replica
        .react(target, &request.emoji, clock::now_ms())
        .map_err(|error| refused(&replica, &target, error))?;
    Ok(Record::Reaction(Reaction {
        id: Some(id.to_string()),
        target: target.to_string(),
        author: replica.account()?.to_string(),
        emoji: request.emoji,
        removed: false.into(),
    }))
}

fn unreact(app: &App, request: WallUnreact) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let target = resolve::entry(&replica, &request.id)?;
    match replica.unreact(target, &request.emoji, clock::now_ms()) {
        // Taking back what is not there changes nothing.
        Ok(()) | Err(EngineError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Record::Reaction(Reaction {
        id: None,
        target: target.to_string(),
        author: replica.account()?.to_string(),
        emoji: request.emoji,
        removed: true.into(),
    }))
}

fn hide(app: &App, id: &str, hidden: bool) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, id)?;
    let is_hidden = replica.show(&id)?.hidden;
    if !hidden && !is_hidden {
        let message = format!("{} is not hidden", id.short());
        let hint = format!("mosaic wall show {}", id.short());
        return Err(ErrorRecord::new(ErrorKind::Conflict, message).with_hint(hint));
    }
    if is_hidden != hidden {
        replica.hide(id, hidden, clock::now_ms())?;
    }
    view::either(&replica, &id, Extras::default())
}

fn history(app: &App, request: WallHistory) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let view = replica.show(&id)?;
    let versions = replica.history(&id)?;
    let shown = versions.iter().rev().find(|version| version.text == view.text).map(|v| v.id);
    Ok(versions
        .into_iter()
        .map(|version| {
            Record::Version(Version {
                id: version.id.to_string(),
                target: id.to_string(),
                device: Some(version.device.to_string()),
                created_at: rfc3339(version.time_ms),
                text: if let Text::Here(text) = version.text { Some(text) } else { None },
                shown: shown == Some(version.id),
            })
        })
        .collect())
}

fn policy(app: &App, request: WallPolicy) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = resolve::account(&replica, request.who.as_deref())?;
    if let Some(reply) = request.reply {
        if account != replica.account()? {
            let message = "only the owner of a wall changes who may reply";
            return Err(ErrorRecord::new(ErrorKind::Denied, message));
        }
        let reply = match reply {
            ReplyRule::Everyone => ReplyPolicy::Everyone,
            ReplyRule::Admitted => ReplyPolicy::Admitted,
            ReplyRule::Nobody => ReplyPolicy::Nobody,
        };
        if replica.authority(&account)?.is_none_or(|authority| authority.policy != reply) {
            replica.set_reply_policy(reply, clock::now_ms())?;
        }
    }
    let authority = replica.authority(&account)?.ok_or_else(|| {
        ErrorRecord::new(ErrorKind::NotFound, format!("account {account} is not known here"))
    })?;
    let guests = |admitted: bool| {
        let chosen = authority.guests.iter().filter(move |(_, state)| **state == admitted);
        chosen.map(|(account, _)| account.to_string()).collect()
    };
    Ok(Record::Policy(Policy {
        account: account.to_string(),
        reply: match authority.policy {
            ReplyPolicy::Everyone => ReplyRule::Everyone,
            ReplyPolicy::Admitted => ReplyRule::Admitted,
            ReplyPolicy::Nobody => ReplyRule::Nobody,
        },
        admitted: guests(true),
        refused: guests(false),
    }))
}

fn guest(app: &App, who: &str, admitted: bool) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account: AccountId = resolve::account(&replica, Some(who))?;
    let own = replica.account()?;
    if account == own {
        return Err(ErrorRecord::new(ErrorKind::Usage, "that is your own account"));
    }
    let known = replica.authority(&own)?;
    if known.and_then(|authority| authority.guests.get(&account).copied()) != Some(admitted) {
        replica.admit_guest(account, admitted, clock::now_ms())?;
    }
    let state = if admitted { "admitted" } else { "refused" };
    Ok(Record::Guest(Guest { account: account.to_string(), state: state.into() }))
}
