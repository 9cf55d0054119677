//! What operations ask for.

use super::*;
use crate::model::entry::{Permissions, RoleRef, Who};

/// One operation with what it asks for.
pub(super) struct Act {
    pub action: HubAction,
    /// Index of the operation that names what this makes.
    pub object: usize,
    pub need: Permissions,
    pub floor: Option<Rank>,
    /// Index of the operation that it is about.
    pub target: Option<usize>,
    /// Index of the role's definition; `None` is everybody's.
    pub role: Option<usize>,
    pub subject: Option<AccountId>,
}

impl Act {
    fn bare(action: HubAction, object: usize) -> Self {
        let (need, floor, target, role, subject) = (Permissions::NONE, None, None, None, None);
        Self { action, object, need, floor, target, role, subject }
    }
}

impl Reference<'_> {
    pub(super) fn understand(&self, x: usize) -> Option<Act> {
        let action = operation(self.items[x]).action.clone();
        let (none, roles) = (Permissions::NONE, Permissions::MANAGE_ROLES);
        let mut act = Act::bare(action.clone(), x);
        let mut named = None;
        match &action {
            HubAction::DefineRole { rank, permissions, .. } => {
                act.need = roles | *permissions;
                act.floor = Some(*rank);
            }
            HubAction::ChangeRole { role, permissions, .. } => {
                act.need = roles | *permissions;
                named = Some(*role);
            }
            HubAction::Grant { account, role } => {
                act.need = if *role == RoleRef::Everyone { Permissions::INVITE } else { roles };
                act.subject = Some(*account);
                named = Some(*role);
            }
            HubAction::Revoke { account, role, .. } => {
                act.need = roles;
                act.subject = Some(*account);
                named = Some(*role);
            }
            HubAction::Kick { account, .. } => {
                act.need = Permissions::KICK;
                act.subject = Some(*account);
            }
            HubAction::Ban { account, purge, .. } => {
                act.need = Permissions::BAN | if *purge { Permissions::PURGE } else { none };
                act.subject = Some(*account);
            }
            HubAction::Undo { account, .. } => {
                act.need = roles;
                act.subject = Some(*account);
            }
            HubAction::Leave { .. } => {
                act.subject = Some(self.author(x));
                self.holds_something(x)?;
            }
            HubAction::Invite { role, .. } => {
                act.need =
                    Permissions::INVITE | if *role == RoleRef::Everyone { none } else { roles };
                named = Some(*role);
            }
            HubAction::Adopt { operation } => return self.adopted(x, *operation),
            HubAction::Set(_) => act.need = Permissions::MANAGE_HUB,
            HubAction::CreateChannel(_)
            | HubAction::Hide { .. }
            | HubAction::Purge { .. }
            | HubAction::ChannelRules { .. }
            | HubAction::ChangeChannel { .. }
            | HubAction::Pin { .. } => named = self.understand_channel(x, &mut act)?,
            HubAction::Succession { .. } | HubAction::Report(_) | HubAction::Vouch { .. } => {}
            HubAction::Checkpoint { .. } => return None,
            _ => self.understand_target(x, &mut act)?,
        }
        if let Some(RoleRef::Role(id)) = named {
            let found = self.acts[self.find(x, id)?].as_ref()?;
            let HubAction::DefineRole { rank, .. } = found.action else { return None };
            act.floor = Some(rank);
            act.role = Some(found.object);
        } else if named.is_some() {
            act.floor = Some(Rank::EVERYONE);
        }
        Some(act)
    }

    /// Moderation, and what is about a channel; returns the role that it names.
    fn understand_channel(&self, x: usize, act: &mut Act) -> Option<Option<RoleRef>> {
        let mut named = None;
        match &act.action {
            HubAction::Hide { entry } => {
                act.need = Permissions::HIDE;
                act.subject = Some(entry.account);
            }
            HubAction::Purge { entry } => {
                act.need = Permissions::PURGE;
                act.subject = Some(entry.account);
            }
            HubAction::ChannelRules { who, allow, .. } => {
                act.need = Permissions::MANAGE_CHANNELS | *allow;
                match who {
                    Who::Role(role) => named = Some(*role),
                    Who::Account(account) => act.subject = Some(*account),
                }
            }
            HubAction::Pin { .. } => act.need = Permissions::PIN,
            _ => act.need = Permissions::MANAGE_CHANNELS,
        }
        if let HubAction::ChangeChannel { channel, .. }
        | HubAction::ChannelRules { channel, .. }
        | HubAction::Pin { channel, .. } = &act.action
        {
            let created = self.acts[self.find(x, *channel)?].as_ref()?;
            let HubAction::CreateChannel(_) = created.action else { return None };
            act.target = Some(created.object);
        }
        Some(named)
    }

    /// Finds a grant that the author had seen and none of his earlier leavings had.
    fn holds_something(&self, x: usize) -> Option<usize> {
        let author = self.author(x);
        let leaves = |w: &usize| {
            self.author(*w) == author
                && self.acts[*w]
                    .as_ref()
                    .is_some_and(|act| matches!(act.action, HubAction::Leave { .. }))
        };
        let left = |g: usize| self.past[x].iter().filter(|w| leaves(w)).any(|w| self.sees(*w, g));
        self.past[x].iter().copied().find(|g| self.gives_to(*g, author) && !left(*g))
    }

    /// Whether an operation would give an account a role.
    fn gives_to(&self, g: usize, account: AccountId) -> bool {
        self.acts[g].as_ref().is_some_and(|act| {
            matches!(act.action, HubAction::Grant { .. } | HubAction::Join { .. })
                && act.subject == Some(account)
        })
    }

    /// What is done by who makes it his own.
    fn adopted(&self, x: usize, operation: ChangeId) -> Option<Act> {
        let target = self.find(x, operation)?;
        let other = self.acts[target].as_ref()?;
        if matches!(
            other.action,
            HubAction::Leave { .. }
                | HubAction::Join { .. }
                | HubAction::Succession { .. }
                | HubAction::Report(_)
                | HubAction::Vouch { .. }
        ) {
            return None;
        }
        Some(Act { action: other.action.clone(), ..*other })
    }

    /// What is about another operation.
    fn understand_target(&self, x: usize, act: &mut Act) -> Option<()> {
        let (HubAction::Lift { operation: id }
        | HubAction::ExtendCut { removal: id, .. }
        | HubAction::CloseInvite { invite: id }
        | HubAction::Dismiss { report: id }
        | HubAction::Join { invite: id, .. }) = &act.action
        else {
            return None;
        };
        let target = self.find(x, *id)?;
        let other = self.acts[target].as_ref()?;
        act.target = Some(target);
        match (&act.action, &other.action) {
            (
                HubAction::Lift { .. },
                HubAction::Revoke { .. }
                | HubAction::Kick { .. }
                | HubAction::Ban { .. }
                | HubAction::Undo { .. }
                | HubAction::Hide { .. }
                | HubAction::Pin { .. }
                | HubAction::CloseInvite { .. }
                | HubAction::Dismiss { .. },
            ) => act.need = other.need,
            (HubAction::ExtendCut { .. }, HubAction::Revoke { .. } | HubAction::Kick { .. }) => {
                act.need = other.need;
                act.subject = other.subject;
            }
            (HubAction::ExtendCut { .. }, HubAction::Ban { .. }) => {
                act.need = Permissions::BAN;
                act.subject = other.subject;
            }
            (HubAction::Dismiss { .. }, HubAction::Report(_)) => act.need = Permissions::HIDE,
            (HubAction::CloseInvite { .. }, HubAction::Invite { .. }) => {
                act.need = Permissions::INVITE;
                act.target = Some(other.object);
            }
            (HubAction::Join { proof, .. }, HubAction::Invite { key, expires_ms, account, .. }) => {
                let item = self.items[x];
                if account.is_some_and(|account| account != item.account)
                    || proof.is_some() != key.is_some()
                    || (*expires_ms != 0 && item.time_ms > *expires_ms)
                {
                    return None;
                }
                act.target = Some(other.object);
                act.role = other.role;
                act.subject = Some(item.account);
            }
            _ => return None,
        }
        Some(())
    }
}
