//! Whom we follow, block and mute, and what is kept of whom.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::description::{SectionClass, Space};
use mosaic_engine::hash::AccountId;
use mosaic_engine::limits::BLOCK_NOTE_BYTES_MAX;
use mosaic_engine::replica::{BLOCKS, FOLLOWS, History, MUTES, Replica, Section, Subscription};
use mosaic_engine::sync::exchange::Exchange;

use super::answer::blocking;
use super::resolve;
use super::sync_status::failed;
use super::types::{
    BlobRule, BlockAdd, BlockList, BlockRemove, ErrorKind, ErrorRecord, FollowAdd, FollowList,
    FollowRemove, MuteAdd, MuteList, MuteRemove, Record, Relation, Sub, SubAdd, SubList, SubRemove,
    SubShow,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<FollowAdd, _>(router, follow);
    let router = blocking::<FollowRemove, _>(router, unfollow);
    let router = blocking::<FollowList, _>(router, |app, _: FollowList| list(app, FOLLOWS));
    let router = blocking::<BlockAdd, _>(router, block);
    let router =
        blocking::<BlockRemove, _>(router, |app, r: BlockRemove| set(app, BLOCKS, &r.who, false));
    let router = blocking::<BlockList, _>(router, |app, _: BlockList| list(app, BLOCKS));
    let router = blocking::<MuteAdd, _>(router, |app, r: MuteAdd| set(app, MUTES, &r.who, true));
    let router =
        blocking::<MuteRemove, _>(router, |app, r: MuteRemove| set(app, MUTES, &r.who, false));
    let router = blocking::<MuteList, _>(router, |app, _: MuteList| list(app, MUTES));
    let router = blocking::<SubAdd, _>(router, subscribe);
    let router = blocking::<SubList, _>(router, subscriptions);
    let router = blocking::<SubShow, _>(router, |app, r: SubShow| {
        let replica = app.replica()?;
        let account = resolve::account(&replica, Some(&r.target))?;
        kept(&replica, account)
    });
    blocking::<SubRemove, _>(router, unsubscribe)
}

fn relation(
    replica: &Replica,
    kind: &str,
    account: AccountId,
    removed: bool,
) -> Result<Record, ErrorRecord> {
    let relation = Relation {
        account: account.to_string(),
        petname: replica.petname(&account)?,
        name: resolve::profile_name(replica, &account)?,
        note: if kind == BLOCKS { replica.block_note(&account)? } else { None },
        since: None,
        removed: removed.into(),
    };
    Ok(match kind {
        BLOCKS => Record::Block(relation),
        MUTES => Record::Mute(relation),
        _ => Record::Follow(relation),
    })
}

fn other(replica: &Replica, who: &str) -> Result<AccountId, ErrorRecord> {
    let account = resolve::account(replica, Some(who))?;
    if account == replica.account()? {
        return Err(ErrorRecord::new(ErrorKind::Usage, "that is your own account")
            .with_hint("mosaic identity list"));
    }
    Ok(account)
}

fn follow(app: &App, request: FollowAdd) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, &request.who)?;
    if let Some((name, why)) = request.name.as_ref().and_then(|n| Some((n, petname_fault(n)?))) {
        let message = format!("'{}' is no petname: {why}", name.escape_default());
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help follow"));
    }
    replica.follow(account, request.name.as_deref(), clock::now_ms())?;
    app.kept_changed();
    relation(&replica, FOLLOWS, account, false)
}

/// What is wrong with a petname; `None` if it is fine.
fn petname_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.starts_with('@') {
        Some("the @ is not part of it")
    } else if name.chars().any(char::is_control) {
        Some("it has control characters")
    } else {
        None
    }
}

fn unfollow(app: &App, request: FollowRemove) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, &request.who)?;
    replica.set_listed(FOLLOWS, account, false, clock::now_ms())?;
    app.kept_changed();
    relation(&replica, FOLLOWS, account, true)
}

fn block(app: &App, request: BlockAdd) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, &request.who)?;
    let note = request.note.as_deref().unwrap_or_default();
    let fault = if note.chars().any(char::is_control) {
        Some("a note is one line".to_owned())
    } else {
        let over = note.len() > BLOCK_NOTE_BYTES_MAX;
        over.then(|| format!("a note of {} bytes, limit {BLOCK_NOTE_BYTES_MAX}", note.len()))
    };
    if let Some(message) = fault {
        return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic help block"));
    }
    replica.block(account, request.note.as_deref(), clock::now_ms())?;
    // Nothing more is sealed to him.
    replica.bar_reader(&account, clock::now_ms())?;
    relation(&replica, BLOCKS, account, false)
}

fn set(app: &App, kind: &'static str, who: &str, listed: bool) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, who)?;
    replica.set_listed(kind, account, listed, clock::now_ms())?;
    relation(&replica, kind, account, !listed)
}

fn list(app: &App, kind: &'static str) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let accounts = replica.accounts_in(kind)?;
    accounts.into_iter().map(|account| relation(&replica, kind, account, false)).collect()
}

fn subscribe(app: &App, request: SubAdd) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, &request.target)?;
    let known = replica.subscription(&account)?;
    let mut subscription = known.unwrap_or_else(|| Subscription::whole(account));
    if let Some(age) = request.history_ms {
        subscription.history = match age {
            0 => History::Heads,
            u64::MAX => History::Full,
            age => History::Recent(age),
        };
    }
    if let Some(rule) = request.blobs {
        subscription.body_bytes_max = match rule {
            BlobRule::All => u64::MAX,
            BlobRule::None => 0,
            BlobRule::UpToBytes(bytes) => bytes,
        };
    }
    if let Some(bytes) = request.max_bytes {
        subscription.bytes_max = bytes;
    }
    if known != Some(subscription) {
        replica.subscribe(subscription)?;
        app.kept_changed();
    }
    replica.enforce_limits()?;
    kept(&replica, account)
}

fn unsubscribe(app: &App, request: SubRemove) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let account = other(&replica, &request.target)?;
    let record = kept(&replica, account)?;
    replica.unsubscribe(&account)?;
    if !replica.accounts_in(FOLLOWS)?.contains(&account) {
        replica.evict_wall(&account)?;
    }
    app.kept_changed();
    Ok(match record {
        Record::Sub(sub) => Record::Sub(Sub { removed: true.into(), ..sub }),
        other => other,
    })
}

fn subscriptions(app: &App, _: SubList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let own = replica.account()?;
    let mut accounts = replica.accounts_in(FOLLOWS)?;
    accounts.extend(replica.subscriptions()?.into_iter().map(|s| s.account));
    accounts.remove(&own);
    let mut records = vec![kept(&replica, own)?];
    for account in accounts {
        records.push(kept(&replica, account)?);
    }
    Ok(records)
}

/// What is kept of an account's space.
fn kept(replica: &Replica, account: AccountId) -> Result<Record, ErrorRecord> {
    let own = replica.account()? == account;
    let found = replica.subscription(&account)?;
    if found.is_none() && !own && !replica.accounts_in(FOLLOWS)?.contains(&account) {
        let message = format!("nothing is kept here of account {account}");
        return Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint("mosaic sub list"));
    }
    let subscription = found.unwrap_or_else(|| Subscription::whole(account));
    let space = Space::Account(account).id();
    let documents = replica.document_list()?;
    let in_space = documents.iter().filter(|(_, d)| d.space == Space::Account(account));
    let (mut missing_changes, mut missing_bodies, mut absent) = (0u64, 0u64, 0u64);
    for class in [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors] {
        let section = Section { space, class };
        for tip in replica.tips(&section).map_err(failed)? {
            absent += tip.n.saturating_sub(tip.held_n);
        }
        for open in replica.incomplete(&section, usize::MAX).map_err(failed)? {
            missing_changes += open.tip.n.saturating_sub(open.tip.held_n);
        }
        missing_bodies += replica.missing_bodies_count(&section).map_err(failed)?;
    }
    let state = match (missing_changes + missing_bodies, absent) {
        (0, 0) => "whole",
        (0, _) => "limited",
        _ => "partial",
    };
    let limit = |value: u64| Some(value).filter(|value| *value != u64::MAX);
    Ok(Record::Sub(Sub {
        target: account.to_string(),
        petname: replica.petname(&account)?,
        own,
        history_ms: match subscription.history {
            History::Full => None,
            History::Recent(age) => Some(age),
            History::Heads => Some(0),
        },
        blobs: match subscription.body_bytes_max {
            u64::MAX => None,
            0 => Some(BlobRule::None),
            bytes => Some(BlobRule::UpToBytes(bytes)),
        },
        max_bytes: limit(subscription.bytes_max),
        held_bytes: replica.pages_used(&account)?.iter().map(|page| page.bytes).sum(),
        documents: in_space.count() as u64,
        missing_changes,
        missing_bodies,
        left_out_changes: absent.saturating_sub(missing_changes),
        state: state.into(),
        removed: false.into(),
    }))
}
