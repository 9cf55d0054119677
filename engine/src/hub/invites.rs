//! Invitations: members who let others in without being there.
//!
//! A join is a grant that the subject writes himself, by the rank of whoever invited him. If
//! more accounts take an invitation than it is for, those that did not know of fewer than
//! that wait for a human: no clock and no hash says who came first.

use std::collections::BTreeSet;

use super::Hub;
use super::table::{AccountIx, OpIx};
use super::verdict::{Verdict, Why};
use crate::hash::AccountId;
use crate::model::entry::{HubAction, Rank};

/// Everything about one invitation.
#[derive(Debug, Default)]
pub(super) struct Invitation {
    /// The operation, and those that adopt it.
    pub issuers: Vec<OpIx>,
    /// Operations that close it.
    pub closers: Vec<OpIx>,
    /// Operations that take it.
    pub joins: Vec<OpIx>,
}

impl Hub {
    /// What is concluded about a join in which nothing is wrong by itself.
    pub(super) fn join_verdict(&self, join: OpIx) -> Verdict {
        if !self.is_proven(join) {
            return Verdict::Void(Why::Proof);
        }
        let deed = self.graph.ops[join].deed.as_ref();
        let object = deed.and_then(|deed| deed.target);
        let Some((object, invitation)) =
            object.and_then(|object| self.invitations.get(&object).map(|found| (object, found)))
        else {
            return Verdict::Void(Why::NoInvite);
        };
        let role = deed.and_then(|deed| deed.role).unwrap_or_default();
        let rank = self.roles[role].rank;
        let mut best: Option<Rank> = None;
        let mut closed = None;
        for issuer in invitation.issuers.iter().copied() {
            let Some(power) = self.power(issuer).filter(|power| *power > rank) else { continue };
            if !self.graph.sees(join, issuer) || !self.is_defined(role, issuer) {
                continue;
            }
            match self.closed_by(invitation, join, power) {
                Some(by) => closed = closed.max(Some(by)),
                None => best = best.max(Some(power)),
            }
        }
        match (best, closed) {
            (Some(_), _) if self.is_surplus(object, invitation, join) => {
                Verdict::Void(Why::Surplus)
            }
            (Some(power), _) => Verdict::Counts(power),
            (None, Some(by)) => Verdict::Void(Why::Closed { by }),
            (None, None) => Verdict::Void(Why::NoInvite),
        }
    }

    /// The closing of an invitation that a join missed.
    fn closed_by(
        &self,
        invitation: &Invitation,
        join: OpIx,
        power: Rank,
    ) -> Option<crate::hash::ChangeId> {
        let closing = invitation.closers.iter().copied().filter(|closer| {
            self.power(*closer).is_some_and(|by| by >= power) && !self.graph.sees(*closer, join)
        });
        closing.map(|closer| self.graph.ops[closer].id).min()
    }

    /// Whether as many other accounts as the invitation is for took it before or without
    /// knowing of this.
    fn is_surplus(&self, object: OpIx, invitation: &Invitation, join: OpIx) -> bool {
        let Some(uses) = self.uses(object) else { return false };
        let role = self.graph.ops[join].deed.as_ref().and_then(|deed| deed.role);
        let rank = self.roles[role.unwrap_or_default()].rank;
        let own = self.graph.ops[join].account;
        let mut others = BTreeSet::new();
        for other in invitation.joins.iter().copied() {
            let op = &self.graph.ops[other];
            if op.account != own
                && self.is_proven(other)
                && self.device_counts(other)
                && !self.graph.sees(other, join)
                && !self.is_barred(op.account, rank)
            {
                others.insert(op.account);
                if others.len() >= uses {
                    return true;
                }
            }
        }
        false
    }

    /// For how many accounts an invitation is; `None` if for any number.
    fn uses(&self, object: OpIx) -> Option<usize> {
        match self.graph.ops[object].deed.as_ref().map(|deed| deed.action.as_ref()) {
            Some(HubAction::Invite { uses, .. }) if *uses > 0 => Some(*uses as usize),
            _ => None,
        }
    }

    /// The invitation of a join, if it is for a number of accounts.
    pub(super) fn limited_invitation(&self, join: OpIx) -> Option<OpIx> {
        let deed = self.graph.ops[join].deed.as_ref()?;
        let joins = matches!(*deed.action, HubAction::Join { .. });
        deed.target.filter(|invite| joins && self.uses(*invite).is_some())
    }

    /// Weighs joins of an invitation that may be too many now, because of one that they did
    /// not know of. Those that are too many already stay it.
    pub(super) fn weigh_rivals(&mut self, join: OpIx, invite: OpIx) {
        let Some(invitation) = self.invitations.get(&invite) else { return };
        let rivals = invitation.joins.iter().copied().filter(|rival| {
            self.graph.ops[*rival].verdict != Verdict::Void(Why::Surplus)
                && !self.graph.sees(join, *rival)
        });
        for rival in rivals.collect::<Vec<_>>() {
            self.weigh_join(rival);
        }
    }

    /// Whether a ban by more than a rank is on an account. Nobody takes such a ban back by
    /// letting in whoever comes.
    fn is_barred(&self, account: AccountIx, rank: Rank) -> bool {
        self.accounts[account].removals.iter().any(|v| {
            let deed = self.graph.ops[*v].deed.as_ref();
            deed.is_some_and(|deed| matches!(*deed.action, HubAction::Ban { .. }))
                && self.power(*v).is_some_and(|power| power > rank)
        })
    }

    /// Whether an invitation names the account that it is for.
    pub(super) fn is_bound(&self, invite: OpIx) -> bool {
        let deed = self.graph.ops[invite].deed.as_ref();
        matches!(
            deed.map(|deed| deed.action.as_ref()),
            Some(HubAction::Invite { account: Some(_), .. })
        )
    }

    /// Accounts that joined by invitations of an account, and those that these invited, and so
    /// on: whom a raid brought in. Joins that do not count any more are followed as well.
    #[must_use]
    pub fn invited_by(&self, account: &AccountId) -> BTreeSet<AccountId> {
        let mut found = BTreeSet::new();
        let mut waiting: Vec<_> = self.account_of.get(account).copied().into_iter().collect();
        while let Some(inviter) = waiting.pop() {
            for invitation in self.invitations.values() {
                let issues = |op: &OpIx| self.graph.ops[*op].account == inviter;
                if !invitation.issuers.iter().any(issues) {
                    continue;
                }
                for join in &invitation.joins {
                    let op = &self.graph.ops[*join];
                    let fits = |name: &AccountId| self.is_proven(*join) && name != account;
                    let name = self.accounts[op.account].id.filter(fits);
                    if name.is_some_and(|name| found.insert(name)) {
                        waiting.push(op.account);
                    }
                }
            }
        }
        found
    }
}
