//! What an operation asks for: which permissions, which rank, and what it is about. All this
//! depends on the operation and what its author had seen alone, so it is found out once.

use std::sync::Arc;

use super::Hub;
use super::table::{AccountIx, OpIx, RoleIx};
use super::verdict::Why;
use crate::hash::ChangeId;
use crate::model::entry::{HubAction, HubOperation, Permissions, Rank, RoleRef, Who};

/// An operation, understood.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    /// What it does: its own action, or that of the operation it adopts.
    pub action: Arc<HubAction>,
    /// Why, for people.
    pub reason: String,
    /// What is wrong with it whatever else is known.
    pub fault: Option<Why>,
    /// The permissions that its author needs.
    pub need: Permissions,
    /// The rank that its author has to be above.
    pub floor: Option<Rank>,
    /// The operation whose id names what this creates: itself, or the one adopted.
    pub object: OpIx,
    /// The account that it is about.
    pub subject: Option<AccountIx>,
    /// The role that it is about.
    pub role: Option<RoleIx>,
    /// The operation that it is about: what is lifted or extended, the invitation, the channel.
    pub target: Option<OpIx>,
    /// The operation that it adopts.
    pub adopts: Option<OpIx>,
}

impl Deed {
    fn of(object: OpIx, action: HubAction, reason: String) -> Self {
        Self {
            action: Arc::new(action),
            reason,
            fault: None,
            need: Permissions::NONE,
            floor: None,
            object,
            subject: None,
            role: None,
            target: None,
            adopts: None,
        }
    }

    pub(super) fn faulty(mut self, why: Why) -> Self {
        self.fault = Some(why);
        self
    }

    /// Whether it takes roles from its subject.
    pub(super) fn is_removal(&self) -> bool {
        matches!(
            *self.action,
            HubAction::Revoke { .. }
                | HubAction::Kick { .. }
                | HubAction::Ban { .. }
                | HubAction::Leave { .. }
        )
    }

    /// Whether it can be lifted.
    const fn can_be_lifted(action: &HubAction) -> bool {
        matches!(
            action,
            HubAction::Revoke { .. }
                | HubAction::Kick { .. }
                | HubAction::Ban { .. }
                | HubAction::Undo { .. }
                | HubAction::Hide { .. }
                | HubAction::Pin { .. }
                | HubAction::CloseInvite { .. }
                | HubAction::Dismiss { .. }
        )
    }

    /// Whether another can make it his own: what speaks for its author alone cannot be.
    const fn can_be_adopted(action: &HubAction) -> bool {
        !matches!(
            action,
            HubAction::Begin(_)
                | HubAction::Adopt { .. }
                | HubAction::Leave { .. }
                | HubAction::Join { .. }
                | HubAction::Succession { .. }
                | HubAction::Checkpoint { .. }
                | HubAction::Report(_)
                | HubAction::Vouch { .. }
        )
    }
}

impl Hub {
    /// Understands an operation that was just placed.
    pub(super) fn deed(&mut self, op: OpIx, operation: &HubOperation) -> Deed {
        let deed = Deed::of(op, operation.action.clone(), operation.reason.clone());
        let action = Arc::clone(&deed.action);
        match action.as_ref() {
            HubAction::Begin(genesis) if *genesis != self.genesis => deed.faulty(Why::OtherHub),
            HubAction::Checkpoint { .. } => deed.faulty(Why::Reserved),
            // Every member may report. Whose joins they are is asked when they are here.
            HubAction::Begin(_)
            | HubAction::Succession { .. }
            | HubAction::Report(_)
            | HubAction::Vouch { .. } => deed,
            HubAction::Dismiss { report } => match self.known(op, report) {
                Some(about) if matches!(*about.action, HubAction::Report(_)) => {
                    Deed { need: Permissions::HIDE, target: self.graph.by_id(report), ..deed }
                }
                _ => deed.faulty(Why::Unseen),
            },
            HubAction::Lift { operation } => match self.known(op, operation) {
                Some(about) if Deed::can_be_lifted(&about.action) => {
                    Deed { need: about.need, target: self.graph.by_id(operation), ..deed }
                }
                _ => deed.faulty(Why::Unseen),
            },
            HubAction::Adopt { operation } => match self.known(op, operation) {
                Some(about) if Deed::can_be_adopted(&about.action) => Deed {
                    reason: deed.reason,
                    adopts: self.graph.by_id(operation),
                    ..about.clone()
                },
                _ => deed.faulty(Why::Unseen),
            },
            HubAction::Leave { .. } => self.leave_deed(op, deed),
            HubAction::ExtendCut { removal, .. } => match self.known(op, removal) {
                // Who left cut for himself: nobody else has a say in it.
                Some(about) if about.is_removal() && about.need != Permissions::NONE => Deed {
                    need: about.need.without(Permissions::PURGE),
                    subject: about.subject,
                    target: self.graph.by_id(removal),
                    ..deed
                },
                _ => deed.faulty(Why::Unseen),
            },
            HubAction::Invite { .. } | HubAction::CloseInvite { .. } | HubAction::Join { .. } => {
                self.invitation_deed(op, deed)
            }
            HubAction::CreateChannel(_)
            | HubAction::ChangeChannel { .. }
            | HubAction::ChannelRules { .. }
            | HubAction::Pin { .. } => self.channel_deed(op, deed),
            _ => self.member_deed(op, deed),
        }
    }

    /// Roles, removals, and what has no other references.
    fn member_deed(&mut self, op: OpIx, deed: Deed) -> Deed {
        let action = Arc::clone(&deed.action);
        match action.as_ref() {
            HubAction::DefineRole { rank, permissions, .. } => {
                Deed { need: Permissions::MANAGE_ROLES | *permissions, floor: Some(*rank), ..deed }
            }
            HubAction::ChangeRole { role, permissions, .. } => {
                self.with_role(op, deed, role, Permissions::MANAGE_ROLES | *permissions)
            }
            HubAction::Grant { account, role } => {
                let subject = Some(self.account(account));
                self.with_role(op, Deed { subject, ..deed }, role, admitting(role))
            }
            HubAction::Revoke { account, role, .. } => {
                let subject = Some(self.account(account));
                self.with_role(op, Deed { subject, ..deed }, role, Permissions::MANAGE_ROLES)
            }
            HubAction::Kick { account, .. } => {
                Deed { subject: Some(self.account(account)), need: Permissions::KICK, ..deed }
            }
            HubAction::Ban { account, purge, .. } => {
                let extra = if *purge { Permissions::PURGE } else { Permissions::NONE };
                let subject = Some(self.account(account));
                Deed { subject, need: Permissions::BAN | extra, ..deed }
            }
            HubAction::Undo { account, .. } => Deed {
                subject: Some(self.account(account)),
                need: Permissions::MANAGE_ROLES,
                ..deed
            },
            HubAction::Set(_) => Deed { need: Permissions::MANAGE_HUB, ..deed },
            HubAction::Hide { entry } => Deed {
                subject: Some(self.account(&entry.account)),
                need: Permissions::HIDE,
                ..deed
            },
            HubAction::Purge { entry } => Deed {
                subject: Some(self.account(&entry.account)),
                need: Permissions::PURGE,
                ..deed
            },
            _ => deed.faulty(Why::Reserved),
        }
    }

    /// One leaves what one has not left already.
    fn leave_deed(&self, op: OpIx, deed: Deed) -> Deed {
        let author = self.graph.ops[op].account;
        let ledger = &self.accounts[author];
        let left: Vec<OpIx> = ledger
            .removals
            .iter()
            .copied()
            .filter(|v| self.graph.sees(op, *v) && self.graph.ops[*v].account == author)
            .filter(|v| {
                let about = self.graph.ops[*v].deed.as_ref();
                about.is_some_and(|about| matches!(*about.action, HubAction::Leave { .. }))
            })
            .collect();
        let holds = ledger.grants.iter().map(|grant| grant.op).any(|grant| {
            self.graph.sees(op, grant) && !left.iter().any(|leave| self.graph.sees(*leave, grant))
        });
        let deed = Deed { subject: Some(author), ..deed };
        if holds { deed } else { deed.faulty(Why::NotAllowed) }
    }

    fn channel_deed(&mut self, op: OpIx, deed: Deed) -> Deed {
        let action = Arc::clone(&deed.action);
        let manage = Permissions::MANAGE_CHANNELS;
        let (channel, deed) = match action.as_ref() {
            HubAction::ChangeChannel { channel, .. } => (channel, Deed { need: manage, ..deed }),
            HubAction::Pin { channel, .. } => (channel, Deed { need: Permissions::PIN, ..deed }),
            HubAction::ChannelRules { channel, who, allow, .. } => {
                let need = manage | *allow;
                let deed = match who {
                    Who::Role(role) => self.with_role(op, deed, role, need),
                    Who::Account(account) => {
                        Deed { subject: Some(self.account(account)), need, ..deed }
                    }
                };
                (channel, deed)
            }
            _ => return self.with_readers(op, None, Deed { need: manage, ..deed }),
        };
        let created = self.known(op, channel).and_then(|about| {
            matches!(*about.action, HubAction::CreateChannel(_)).then_some(about.object)
        });
        match created {
            Some(object) => {
                let deed = Deed { target: Some(object), ..deed };
                self.with_readers(op, Some(object), deed)
            }
            None => deed.faulty(Why::Unseen),
        }
    }

    fn invitation_deed(&mut self, op: OpIx, deed: Deed) -> Deed {
        let action = Arc::clone(&deed.action);
        let invite = match action.as_ref() {
            HubAction::CloseInvite { invite } | HubAction::Join { invite, .. } => invite,
            HubAction::Invite { role, .. } => {
                let need = Permissions::INVITE | admitting(role);
                return self.with_role(op, deed, role, need);
            }
            _ => return deed,
        };
        let Some(about) = self.known(op, invite) else { return deed.faulty(Why::Unseen) };
        let (object, role) = (about.object, about.role);
        let about = Arc::clone(&about.action);
        let HubAction::Invite { key, expires_ms, account, .. } = about.as_ref() else {
            return deed.faulty(Why::Unseen);
        };
        let deed = Deed { target: Some(object), role, ..deed };
        let HubAction::Join { proof, .. } = action.as_ref() else {
            return Deed { need: Permissions::INVITE, ..deed };
        };
        let author = self.graph.ops[op].account;
        let name = self.accounts[author].id;
        let deed = Deed { subject: Some(author), ..deed };
        if account.is_some() && *account != name {
            return deed.faulty(Why::Bound);
        }
        if *expires_ms != 0 && self.graph.ops[op].time_ms > *expires_ms {
            return deed.faulty(Why::Expired);
        }
        match (key, proof) {
            (None, None) => deed,
            (Some(key), Some(_)) => {
                self.note_proof(op, *key, object);
                deed
            }
            _ => deed.faulty(Why::Proof),
        }
    }

    /// Adds role, rank and permissions to a deed; a fault if the author had not seen the role.
    fn with_role(&self, op: OpIx, deed: Deed, role: &RoleRef, need: Permissions) -> Deed {
        let role = match role {
            RoleRef::Everyone => Some(RoleIx(0)),
            RoleRef::Role(id) => {
                self.known(op, id).and_then(|about| self.role_of.get(&about.object)).copied()
            }
        };
        match role {
            Some(role) => {
                let floor = Some(self.roles[role].rank);
                Deed { role: Some(role), floor, need, ..deed }
            }
            None => deed.faulty(Why::Unseen),
        }
    }

    /// What an operation does that the author of `op` had seen, unless something is wrong
    /// with it.
    pub(super) fn known(&self, op: OpIx, id: &ChangeId) -> Option<&Deed> {
        let about = self.graph.by_id(id)?;
        let deed = self.graph.ops[about].deed.as_ref()?;
        (self.graph.sees(op, about) && deed.fault.is_none()).then_some(deed)
    }
}

/// What is needed to give a role: to bring somebody in, or to raise him.
fn admitting(role: &RoleRef) -> Permissions {
    match role {
        RoleRef::Everyone => Permissions::INVITE,
        RoleRef::Role(_) => Permissions::MANAGE_ROLES,
    }
}
