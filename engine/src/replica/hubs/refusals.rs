//! Why operations of one's own would count for nothing, in words.

use crate::hash::{AccountId, ChangeId};
use crate::hub::{Hub, Why};
use crate::model::entry::{ChannelChange, ChannelFields, HubAction, Rank, Readers, RoleRef};
use crate::replica::EngineError;

/// Refuses to take up an invitation that an honest program does not take up.
pub(super) fn check_open(
    hub: &Hub,
    me: &AccountId,
    invite: &ChangeId,
    now_ms: u64,
) -> Result<(), EngineError> {
    if hub.rank(me).is_some() {
        return Err(EngineError::Denied("you are a member of this hub already".into()));
    }
    if hub.is_banned(me) {
        let why =
            "you are banned from this hub, as far as is known here: ask a moderator to end that";
        return Err(EngineError::Denied(why.into()));
    }
    if hub.settings().joins_closed {
        let why = "this hub lets nobody join at the moment; ask a moderator to let you in";
        return Err(EngineError::Denied(why.into()));
    }
    let invitation = hub.invites().into_iter().find(|known| known.id == *invite);
    match invitation.map(|known| known.expires_ms) {
        Some(ends_ms) if ends_ms != 0 && now_ms > ends_ms => {
            Err(EngineError::Denied("the invitation has expired; ask for another".into()))
        }
        _ => Ok(()),
    }
}

/// Why an operation of one's own would count for nothing, in words.
pub(super) fn denied(hub: &Hub, me: &AccountId, action: &HubAction, why: Why) -> String {
    let what = action.name();
    match why {
        Why::NotAllowed => {
            format!("you may not do this in this hub ({what}): no role of yours allows it")
        }
        Why::OutOfRank => out_of_rank(hub, me, action),
        Why::Removed { by } => {
            format!("your role was taken from you by {}; {what} would not count", by.short())
        }
        Why::Undone { by } => {
            format!("{} undid what you do here; {what} would not count", by.short())
        }
        Why::Unseen if matches!(action, HubAction::Join { .. }) => {
            "nothing here knows the invitation of this ticket: its node lets you see no more of the \
             hub, or knows less of it; ask for another"
                .to_owned()
        }
        Why::Unseen => format!("{what} names something that this hub does not have"),
        Why::NotOwner => "only owners of the hub can change who owns it".to_owned(),
        Why::Contested => "the owners said two things about who is to own the hub".to_owned(),
        Why::NoInvite => "there is no such invitation in this hub".to_owned(),
        Why::Bound => "the invitation is for another account".to_owned(),
        Why::Proof => "the ticket does not fit the invitation; ask for another".to_owned(),
        Why::NotIssuer => "none of these joined by an invitation of yours".to_owned(),
        Why::Expired => "the invitation has expired; ask for another".to_owned(),
        Why::Closed { by } => {
            format!("the invitation was closed ({}); ask for another", by.short())
        }
        other => format!("{what} would not count: {}", other.name()),
    }
}

/// Says which ranks a refusal is about, as far as they are known.
fn out_of_rank(hub: &Hub, me: &AccountId, action: &HubAction) -> String {
    let what = action.name();
    let named = |rank: Rank| match rank {
        Rank::OWNER => "that of an owner".to_owned(),
        rank => rank.number().to_string(),
    };
    let yours = hub.rank(me).map_or_else(|| "that of nobody".to_owned(), named);
    match acted_on(hub, action) {
        Some(rank) => format!("{what} needs a rank above {}; yours is {yours}", named(rank)),
        None => format!("{what} needs a rank above the one it acts on; yours, {yours}, is not"),
    }
}

/// The highest rank that an operation acts on.
fn acted_on(hub: &Hub, action: &HubAction) -> Option<Rank> {
    let of_roles = |named: &[RoleRef]| {
        let roles = hub.roles().into_iter().filter(|view| named.contains(&view.role));
        roles.map(|view| view.rank).max()
    };
    let of_readers = |readers: &Readers| {
        let roles: Vec<RoleRef> = readers.roles.iter().copied().map(RoleRef::Role).collect();
        of_roles(&roles)
    };
    match action {
        HubAction::CreateChannel(ChannelFields { readers: Some(readers), .. })
        | HubAction::ChangeChannel { change: ChannelChange::Readers(readers), .. } => {
            of_readers(readers)
        }
        HubAction::Grant { role, .. }
        | HubAction::ChangeRole { role, .. }
        | HubAction::Invite { role, .. } => of_roles(&[*role]),
        HubAction::Revoke { role, account, .. } => of_roles(&[*role]).max(hub.rank(account)),
        HubAction::DefineRole { rank, .. } => Some(*rank),
        HubAction::Kick { account, .. }
        | HubAction::Ban { account, .. }
        | HubAction::Undo { account, .. } => hub.rank(account),
        _ => None,
    }
}
