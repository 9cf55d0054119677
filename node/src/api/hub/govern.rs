//! Members, roles, moderation, and the audit log.

use std::sync::Arc;

use axum::Router;
use mosaic_engine::hash::{AccountId, ChangeId, HubId};
use mosaic_engine::hub::{Record as Logged, RoleView, Verdict, Why};
use mosaic_engine::model::entry::{
    ChannelChange, EntryRef, HubAction, HubSetting, Rank, Readers, RoleRef, Who,
};
use mosaic_engine::replica::Replica;

use super::name;
use crate::api::answer::blocking;
use crate::api::resolve;
use crate::api::types::{
    ErrorKind, ErrorRecord, HubOperation, Member, MemberBan, MemberGrant, MemberKick, MemberList,
    MemberRevoke, MemberUnban, ModerationAct, ModerationAdopt, ModerationLog, ModerationUndo,
    Record, Role, RoleCreate, RoleList, rfc3339,
};
use crate::app::App;
use crate::clock;

pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let router = blocking::<MemberList, _>(router, members);
    let router = blocking::<MemberGrant, _>(router, |app, r: MemberGrant| {
        let replica = app.replica()?;
        let (hub, account) = member(&replica, &r.hub, &r.who)?;
        let role = name::role(&replica, &hub, r.role.as_deref())?;
        act(&replica, &hub, HubAction::Grant { account, role }, "")
    });
    let router = blocking::<MemberRevoke, _>(router, |app, r: MemberRevoke| {
        let replica = app.replica()?;
        let (hub, account) = member(&replica, &r.hub, &r.who)?;
        let role = name::role(&replica, &hub, r.role.as_deref())?;
        let id = replica.revoke_role(&hub, &account, role, &r.reason, clock::now_ms());
        operation(
            &replica,
            &hub,
            &id.map_err(name::refused(hub, "mosaic hub member revoke --help"))?,
        )
    });
    let router = blocking::<MemberKick, _>(router, |app, r: MemberKick| {
        let replica = app.replica()?;
        let (hub, account) = member(&replica, &r.hub, &r.who)?;
        check_member(&replica, &hub, &account)?;
        check_above(&replica, &hub, &account)?;
        let id = replica.kick(&hub, &account, &r.reason, clock::now_ms());
        operation(&replica, &hub, &id.map_err(name::refused(hub, "mosaic hub member kick --help"))?)
    });
    let router = blocking::<MemberBan, _>(router, ban);
    let router = blocking::<MemberUnban, _>(router, unban);
    let router = blocking::<RoleList, _>(router, |app, r: RoleList| {
        let replica = app.replica()?;
        roles(&replica, &name::hub(&replica, &r.hub)?)
    });
    let router = blocking::<RoleCreate, _>(router, define);
    let router = blocking::<ModerationAct, _>(router, moderate);
    let router = blocking::<ModerationUndo, _>(router, undo);
    let router = blocking::<ModerationAdopt, _>(router, |app, r: ModerationAdopt| {
        let replica = app.replica()?;
        let hub = name::hub(&replica, &r.hub)?;
        let adopted = found(&replica, &hub, &r.id)?;
        act(&replica, &hub, HubAction::Adopt { operation: adopted }, &r.reason)
    });
    blocking::<ModerationLog, _>(router, |app, r: ModerationLog| {
        let replica = app.replica()?;
        let hub = name::hub(&replica, &r.hub)?;
        let limit = r.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(replica.hub(&hub, |known| {
            let (records, roles) = (known.audit(), known.roles());
            let newest = records.iter().rev().take(limit);
            newest.map(|record| logged(&hub, &roles, record)).collect::<Vec<_>>()
        })?)
    })
}

pub(super) fn member(
    replica: &Replica,
    hub: &str,
    who: &str,
) -> Result<(HubId, AccountId), ErrorRecord> {
    let hub = name::hub(replica, hub)?;
    // Of members of a hub no more than their ids may be known here.
    let prefix = who.trim().to_ascii_lowercase();
    let members = replica.hub(&hub, |hub| hub.members())?;
    let mut fitting = members.keys().filter(|account| account.to_string().starts_with(&prefix));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) if prefix.len() >= 4 => Ok((hub, *only)),
        _ => Ok((hub, resolve::account(replica, Some(who))?)),
    }
}

pub(super) fn act(
    replica: &Replica,
    hub: &HubId,
    action: HubAction,
    reason: &str,
) -> Result<Record, ErrorRecord> {
    let help = name::help_of(&action);
    let id = replica.hub_operation(hub, action, reason, clock::now_ms());
    operation(replica, hub, &id.map_err(name::refused(*hub, help))?)
}

/// As [`act`], several in one commit: all of them, or none.
pub(super) fn act_all(
    replica: &Replica,
    hub: &HubId,
    actions: Vec<HubAction>,
    reason: &str,
) -> Result<Vec<Record>, ErrorRecord> {
    let help = actions.first().map_or("mosaic hub mod --help", name::help_of);
    let ids = replica.hub_operations(hub, actions, reason, clock::now_ms());
    let ids = ids.map_err(name::refused(*hub, help))?;
    ids.iter().map(|id| operation(replica, hub, id)).collect()
}

/// One operation as the audit log shows it.
pub(super) fn operation(
    replica: &Replica,
    hub: &HubId,
    id: &ChangeId,
) -> Result<Record, ErrorRecord> {
    let record = replica
        .hub(hub, |known| known.record_of(id).map(|record| logged(hub, &known.roles(), &record)))?;
    record.ok_or_else(|| {
        ErrorRecord::new(ErrorKind::NotFound, format!("no operation has the id {id}"))
    })
}

fn members(app: &App, request: MemberList) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let (members, roles) = replica.hub(&hub, |hub| (hub.members(), hub.roles()))?;
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by(|a, b| b.1.rank.cmp(&a.1.rank).then(a.0.cmp(&b.0)));
    let mut records = Vec::with_capacity(members.len());
    for (account, member) in members {
        let owner = member.rank == Rank::OWNER;
        let held = roles
            .iter()
            .filter(|role| matches!(role.role, RoleRef::Role(id) if member.roles.contains(&id)));
        records.push(Record::Member(Member {
            hub: hub.to_string(),
            account: account.to_string(),
            name: resolve::name(&replica, &account)?,
            rank: (!owner).then(|| u64::from(member.rank.number())),
            owner: owner.into(),
            roles: held.map(called).collect(),
        }));
    }
    Ok(records)
}

/// What a role is called; its id while the key of its name is not here.
fn called(role: &RoleView) -> String {
    match role.role {
        RoleRef::Role(id) if role.name.is_empty() => id.to_string(),
        _ => role.name.clone(),
    }
}

pub(super) fn roles(replica: &Replica, hub: &HubId) -> Result<Vec<Record>, ErrorRecord> {
    let roles = replica.hub(hub, |hub| hub.roles())?;
    let records = roles.into_iter().map(|role| {
        let (id, name) = match role.role {
            RoleRef::Everyone => ("everyone".to_owned(), "everyone".to_owned()),
            RoleRef::Role(id) => (id.to_string(), role.name),
        };
        Record::Role(Role {
            id,
            hub: hub.to_string(),
            name,
            rank: u64::from(role.rank.number()),
            permissions: name::permissions(role.permissions),
            sealed: role.closed.into(),
        })
    });
    Ok(records.collect())
}

fn define(app: &App, request: RoleCreate) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    name::check(&request.name, "role")?;
    let asked = request.rank.unwrap_or(1);
    let rank = u16::try_from(asked).ok().filter(|rank| *rank > 0).and_then(Rank::of_role);
    let rank = rank.ok_or_else(|| {
        let message = format!("a role has a rank of 1 to 1000, not {asked}");
        ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub role create --help")
    })?;
    let permissions = name::parse_permissions(&request.allow)?;
    let action = HubAction::DefineRole { name: request.name, rank, permissions };
    let id = replica.hub_operation(&hub, action, "", clock::now_ms());
    let id = id.map_err(name::refused(hub, "mosaic hub role create --help"))?.to_string();
    let all = roles(&replica, &hub)?;
    let made = all.into_iter().find(|role| matches!(role, Record::Role(role) if role.id == id));
    made.ok_or_else(|| ErrorRecord::new(ErrorKind::Error, "the role was not made"))
}

fn ban(app: &App, request: MemberBan) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, account) = member(&replica, &request.hub, &request.who)?;
    check_above(&replica, &hub, &account)?;
    let mut all = vec![account];
    if request.with_invitees {
        all.extend(replica.hub(&hub, |hub| hub.invited_by(&account))?);
    }
    let me = replica.account()?;
    all.retain(|account| *account != me);
    let mut records = Vec::with_capacity(all.len());
    for account in all {
        let now_ms = clock::now_ms();
        let done = replica.ban(&hub, &account, request.purge, &request.reason, now_ms);
        match done {
            Ok(id) => records.push(operation(&replica, &hub, &id)?),
            Err(error) if records.is_empty() => {
                return Err(name::refused(hub, "mosaic hub member ban --help")(error));
            }
            Err(error) => records.push(Record::Error(error.into())),
        }
    }
    Ok(records)
}

fn unban(app: &App, request: MemberUnban) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let hub = name::hub(&replica, &request.hub)?;
    let account = resolve::account(&replica, Some(&request.who))
        .or_else(|_| member(&replica, &request.hub, &request.who).map(|(_, account)| account))?;
    let removals = replica.hub(&hub, |known| {
        let of = |action: &HubAction| match action {
            HubAction::Ban { account: who, .. } | HubAction::Kick { account: who, .. } => {
                *who == account
            }
            _ => false,
        };
        let audit = known.audit();
        let standing = audit.iter().filter(|record| {
            of(record.action)
                && matches!(record.verdict, Verdict::Counts(_))
                && record.lifted.is_none()
        });
        standing.map(|record| record.id).collect::<Vec<_>>()
    })?;
    if removals.is_empty() {
        let message = format!("{} is not banned from this hub", account.short());
        let hint = format!("mosaic hub mod log {}", hub.short());
        return Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint));
    }
    let lift = |operation| HubAction::Lift { operation };
    act_all(&replica, &hub, removals.into_iter().map(lift).collect(), &request.reason)
}

/// The operations that are in force and do this to a message.
fn in_force(
    replica: &Replica,
    hub: &HubId,
    does: impl Fn(&HubAction) -> bool,
) -> Result<Vec<ChangeId>, ErrorRecord> {
    Ok(replica.hub(hub, |known| {
        let audit = known.audit();
        let found = audit.iter().filter(|record| {
            does(record.action)
                && matches!(record.verdict, Verdict::Counts(_))
                && record.lifted.is_none()
        });
        found.map(|record| record.id).collect()
    })?)
}

fn moderate(app: &App, request: ModerationAct) -> Result<Record, ErrorRecord> {
    let replica = app.replica()?;
    let id = resolve::entry(&replica, &request.id)?;
    let view = replica.message(&id)?;
    let (hub, entry) = (view.hub, EntryRef { account: view.account, entry: id });
    if matches!(request.act.as_str(), "hide" | "purge") {
        check_above(&replica, &hub, &view.account)?;
    }
    let taken_back: Box<dyn Fn(&HubAction) -> bool> = match request.act.as_str() {
        "hide" => return act(&replica, &hub, HubAction::Hide { entry }, &request.reason),
        "purge" => return act(&replica, &hub, HubAction::Purge { entry }, &request.reason),
        "pin" => {
            let pin = HubAction::Pin { channel: view.channel, entry };
            return act(&replica, &hub, pin, &request.reason);
        }
        "restore" => Box::new(move |a| matches!(a, HubAction::Hide { entry: e } if *e == entry)),
        "unpin" => Box::new(move |a| matches!(a, HubAction::Pin { entry: e, .. } if *e == entry)),
        other => {
            let message =
                format!("'{}' is none of hide, restore, purge, pin, unpin", other.escape_debug());
            return Err(
                ErrorRecord::new(ErrorKind::Usage, message).with_hint("mosaic hub mod --help")
            );
        }
    };
    let standing = in_force(&replica, &hub, taken_back)?.into_iter();
    let lifts = standing.map(|operation| HubAction::Lift { operation }).collect();
    let done = act_all(&replica, &hub, lifts, &request.reason)?;
    done.into_iter().next_back().ok_or_else(|| {
        let state = if request.act == "restore" { "hidden" } else { "pinned" };
        let message = format!("{} is not {state}", id.short());
        ErrorRecord::new(ErrorKind::NotFound, message)
            .with_hint(format!("mosaic hub mod log {}", hub.short()))
    })
}

/// Who is not in a hub is not taken out of it.
fn check_member(replica: &Replica, hub: &HubId, account: &AccountId) -> Result<(), ErrorRecord> {
    if replica.hub(hub, |known| known.rank(account))?.is_some() {
        return Ok(());
    }
    let message = format!("{} is no member of this hub", account.short());
    let hint = format!("mosaic hub member list {}", hub.short());
    Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint))
}

/// What one does to equals and to those above would have no effect.
fn check_above(replica: &Replica, hub: &HubId, author: &AccountId) -> Result<(), ErrorRecord> {
    let me = replica.account()?;
    let (mine, his) = replica.hub(hub, |known| (known.rank(&me), known.rank(author)))?;
    if mine > his {
        return Ok(());
    }
    let message = "you act on members of lower rank alone, and this one's rank is not below yours";
    let hint = format!("mosaic hub member list {}", hub.short());
    Err(ErrorRecord::new(ErrorKind::Denied, message).with_hint(hint))
}

fn undo(app: &App, request: ModerationUndo) -> Result<Vec<Record>, ErrorRecord> {
    let replica = app.replica()?;
    let (hub, account) = member(&replica, &request.hub, &request.who)?;
    check_above(&replica, &hub, &account)?;
    let action = HubAction::Undo { account, keep: Vec::new() };
    let id = replica.hub_operation(&hub, action, &request.reason, clock::now_ms());
    let id = id.map_err(name::refused(hub, "mosaic hub mod undo --help"))?;
    let mut records = vec![operation(&replica, &hub, &id)?];
    // What was dropped stays dropped, and what counts still was done by a higher rank.
    records.extend(replica.hub(&hub, |known| {
        let (audit, roles) = (known.audit(), known.roles());
        let his = audit.iter().filter(|record| record.account == account);
        let stays = his.filter(|record| {
            let undone = matches!(record.verdict, Verdict::Void(Why::Undone { by }) if by == id);
            !undone || matches!(record.action, HubAction::Purge { .. })
        });
        stays.map(|record| logged(&hub, &roles, record)).collect::<Vec<_>>()
    })?);
    Ok(records)
}

/// An operation by its id prefix.
pub(super) fn found(replica: &Replica, hub: &HubId, text: &str) -> Result<ChangeId, ErrorRecord> {
    let prefix = text.trim().to_ascii_lowercase();
    let ids = replica.hub(hub, |known| {
        let audit = known.audit();
        let fitting = audit.iter().map(|record| record.id);
        fitting.filter(|id| id.to_string().starts_with(&prefix)).collect::<Vec<_>>()
    })?;
    match ids.as_slice() {
        [only] if prefix.len() >= 4 => Ok(*only),
        _ => {
            let message =
                format!("{} operations begin with '{}'", ids.len(), prefix.escape_debug());
            let hint = format!("mosaic hub mod log {}", hub.short());
            Err(ErrorRecord::new(ErrorKind::NotFound, message).with_hint(hint))
        }
    }
}

fn logged(hub: &HubId, roles: &[RoleView], record: &Logged<'_>) -> Record {
    let (about, detail) = subject(record.action, roles);
    // What does not open says nothing.
    let detail = detail.filter(|detail| !record.closed || !detail.ends_with(NOTHING));
    let (counts, rank, why) = match record.verdict {
        Verdict::Counts(rank) => {
            (true, Some(u64::from(rank.number())).filter(|_| rank != Rank::OWNER), None)
        }
        Verdict::Void(why) => (false, None, Some(why.name().to_owned())),
        Verdict::Silent => (true, None, None),
    };
    Record::Operation(HubOperation {
        id: record.id.to_string(),
        hub: hub.to_string(),
        by: record.account.to_string(),
        created_at: rfc3339(record.time_ms),
        action: record.action.name().to_owned(),
        about,
        detail,
        adopts: record.adopts.map(|id| id.to_string()),
        reason: Some(record.reason.to_owned()).filter(|reason| !reason.is_empty()),
        sealed: record.closed.into(),
        counts,
        rank,
        why,
        lifted: record.lifted.map(|id| id.to_string()),
        disputed: record.disputed.into(),
    })
}

fn role(role: &RoleRef) -> String {
    match role {
        RoleRef::Everyone => "everyone".to_owned(),
        RoleRef::Role(id) => id.to_string(),
    }
}

fn said(setting: &HubSetting) -> String {
    match setting {
        HubSetting::Name(name) => name.clone(),
        HubSetting::About(about) => format!("about: {about}"),
        HubSetting::JoinsClosed(true) => "joins closed".to_owned(),
        HubSetting::JoinsClosed(false) => "joins open".to_owned(),
        HubSetting::MemberQuotaBytes(0) => "as many bytes a member as nodes take".to_owned(),
        HubSetting::MemberQuotaBytes(bytes) => format!("{bytes} bytes a member"),
        _ => String::new(),
    }
}

/// What a text is changed to that is taken away.
const NOTHING: &str = ": none";

/// What a change of a channel says.
fn changed(change: &ChannelChange, all: &[RoleView]) -> String {
    let text = |what: &str, text: &str| match text {
        "" => format!("{what}{NOTHING}"),
        text => format!("{what}: {text}"),
    };
    match change {
        ChannelChange::Name(name) => text("name", name),
        ChannelChange::Topic(topic) => text("topic", topic),
        ChannelChange::Category(category) => text("category", category),
        ChannelChange::ReadOnly(true) => "read-only".to_owned(),
        ChannelChange::ReadOnly(false) => "not read-only".to_owned(),
        ChannelChange::Archived(true) => "archived".to_owned(),
        ChannelChange::Archived(false) => "not archived".to_owned(),
        ChannelChange::SlowMs(0) => "not slow".to_owned(),
        ChannelChange::SlowMs(ms) => format!("a message each {ms} ms"),
        ChannelChange::Readers(Readers { roles, history }) => {
            let roles: Vec<String> = roles.iter().map(|id| role_name(id, all)).collect();
            let of = if roles.is_empty() { "everyone".to_owned() } else { roles.join(" ") };
            format!("read by {of}, history {}", history.name())
        }
        _ => "more than this version knows".to_owned(),
    }
}

/// What a role is called now; what has no name, or a sealed one, goes by its id.
fn role_name(id: &ChangeId, all: &[RoleView]) -> String {
    let view = all.iter().find(|view| view.role == RoleRef::Role(*id));
    let name = view.map(|view| view.name.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| id.short())
}

/// Whom or what an operation is about, and what else it says.
fn subject(action: &HubAction, roles: &[RoleView]) -> (Option<String>, Option<String>) {
    match action {
        HubAction::Grant { account, role: of } | HubAction::Revoke { account, role: of, .. } => {
            (Some(account.to_string()), Some(role(of)))
        }
        HubAction::Kick { account, .. } | HubAction::Undo { account, .. } => {
            (Some(account.to_string()), None)
        }
        HubAction::Ban { account, purge, .. } => {
            (Some(account.to_string()), purge.then(|| "purge".to_owned()))
        }
        HubAction::DefineRole { name, .. } => (None, Some(name.clone())),
        HubAction::ChangeRole { role: of, name, .. } => (Some(role(of)), Some(name.clone())),
        HubAction::ExtendCut { removal: id, .. }
        | HubAction::Lift { operation: id }
        | HubAction::CloseInvite { invite: id }
        | HubAction::Join { invite: id, .. } => (Some(id.to_string()), None),
        HubAction::ChangeChannel { channel, change } => {
            (Some(channel.to_string()), Some(changed(change, roles)))
        }
        HubAction::ChannelRules { channel, who, allow, deny } => {
            let who = match who {
                Who::Role(of) => role(of),
                Who::Account(account) => account.to_string(),
            };
            let sign = |sign: &str, of| {
                name::permissions(of)
                    .iter()
                    .map(|name| format!(" {sign}{name}"))
                    .collect::<String>()
            };
            let rules = format!("{who}{}{}", sign("+", *allow), sign("-", *deny));
            (Some(channel.to_string()), Some(rules))
        }
        HubAction::CreateChannel(fields) => (None, Some(fields.name.clone())),
        HubAction::Set(setting) => (None, Some(said(setting))),
        HubAction::Dismiss { report } => (Some(report.to_string()), None),
        HubAction::Pin { entry, .. } | HubAction::Hide { entry } | HubAction::Purge { entry } => {
            (Some(entry.entry.to_string()), None)
        }
        HubAction::Invite { role: of, .. } => (None, Some(role(of))),
        HubAction::Vouch { joins } if joins.len() == 1 => (None, Some("for 1 join".to_owned())),
        HubAction::Vouch { joins } => (None, Some(format!("for {} joins", joins.len()))),
        HubAction::Succession { owners, .. } => {
            let owners: Vec<String> = owners.iter().map(ToString::to_string).collect();
            (None, Some(owners.join(" ")))
        }
        _ => (None, None),
    }
}
