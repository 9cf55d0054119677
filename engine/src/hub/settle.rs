//! Settling: what changed is judged anew from the top rank down.
//!
//! What an operation of rank r can do acts on ranks below r alone. So the agenda is worked
//! off by falling rank: when a rank comes to its turn everything above is final, its grants
//! are weighed, the operations that these carry are judged, and what they do is put on the
//! agenda further down. No rank is visited twice, nothing goes in circles, and the order in
//! which operations came has no part in it.

use std::collections::{BTreeMap, BTreeSet};

use super::Hub;
use super::graph::Strand;
use super::roles::Weighed;
use super::table::{AccountIx, OpIx, RoleIx};
use super::verdict::Verdict;
use crate::model::entry::{HubAction, Rank};

/// What is to be looked at, by rank.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    ranks: BTreeMap<Rank, Work>,
}

#[derive(Debug, Default)]
struct Work {
    grants: BTreeSet<(AccountIx, usize)>,
    operations: BTreeSet<OpIx>,
}

impl Agenda {
    pub(super) fn grant(&mut self, rank: Rank, account: AccountIx, at: usize) {
        self.ranks.entry(rank).or_default().grants.insert((account, at));
    }

    pub(super) fn operation(&mut self, rank: Rank, op: OpIx) {
        self.ranks.entry(rank).or_default().operations.insert(op);
    }
}

/// How much was done to settle something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Operations placed: those given, and those that had waited for them.
    pub placed: usize,
    /// Operations judged, the placed ones included.
    pub judged: usize,
    /// Grants weighed.
    pub weighed: usize,
    /// Operations that were here before and are judged differently now.
    pub changed: usize,
}

impl Hub {
    /// Works off the agenda.
    pub(super) fn settle(&mut self) {
        while let Some((rank, work)) = self.agenda.ranks.pop_last() {
            for (account, at) in work.grants {
                self.weigh_again(rank, account, at);
            }
            let mut operations = work.operations;
            if let Some(more) = self.agenda.ranks.remove(&rank) {
                operations.extend(more.operations);
            }
            for op in operations {
                self.judge_again(op);
            }
        }
    }

    fn weigh_again(&mut self, rank: Rank, account: AccountIx, at: usize) {
        self.settled.weighed += 1;
        let Some(Weighed { before, changed, bitten, judged }) = self.weigh(account, at) else {
            return;
        };
        if judged {
            self.settled.judged += 1;
            self.settled.changed += 1;
        }
        let Some(grant) = self.accounts[account].grants.get(at).filter(|_| changed) else { return };
        for strand in &self.accounts[account].strands {
            let (old, new) = (before.of(*strand), grant.limit.of(*strand));
            if old == new && !bitten {
                continue;
            }
            // Beyond the end other removals are named as the reason, perhaps.
            let upto = if bitten { u32::MAX } else { old.max(new) };
            let row: &Strand = &self.graph.strands[*strand];
            let knows = row.ops.partition_point(|op| !self.graph.sees(*op, grant.op));
            let knows = row.before().saturating_add(u32::try_from(knows).unwrap_or(u32::MAX));
            for op in row.between(old.min(new).max(knows), upto) {
                self.agenda.operation(rank, *op);
            }
        }
    }

    fn judge_again(&mut self, op: OpIx) {
        self.settled.judged += 1;
        let new = self.judge(op);
        let old = std::mem::replace(&mut self.graph.ops[op].verdict, new);
        if old == new {
            return;
        }
        if old != Verdict::Silent {
            self.settled.changed += 1;
        }
        let rank = |verdict| match verdict {
            Verdict::Counts(rank) => Some(rank),
            Verdict::Void(_) | Verdict::Silent => None,
        };
        if let Some(power) = rank(old).max(rank(new)) {
            self.touch(op, power);
        }
    }

    /// Puts on the agenda what an operation of this power acts on.
    fn touch(&mut self, op: OpIx, power: Rank) {
        let Some(deed) = &self.graph.ops[op].deed else { return };
        let (subject, role, target) = (deed.subject, deed.role, deed.target);
        match *deed.action {
            HubAction::Grant { .. } => {
                if let Some((account, at)) = self.grant_of.get(&op).copied() {
                    let rank = self.roles[role.unwrap_or_default()].rank;
                    self.agenda.grant(rank, account, at);
                }
            }
            HubAction::Leave { .. } => self.weigh_all_of(subject, Rank::OWNER),
            HubAction::Revoke { .. }
            | HubAction::Kick { .. }
            | HubAction::Ban { .. }
            | HubAction::ExtendCut { .. } => self.weigh_all_of(subject, power),
            HubAction::DefineRole { .. } => {
                let role = self.role_of.get(&deed.object).copied();
                let Some(role) = role else { return };
                let rank = self.roles[role].rank;
                for (account, at) in self.roles[role].grants.clone() {
                    self.agenda.grant(rank, account, at);
                }
            }
            HubAction::ChangeRole { .. } => self.judge_holders(op, role.unwrap_or_default()),
            HubAction::Undo { .. } => {
                if let (Some(subject), Some(below)) = (subject, power.below()) {
                    self.judge_all_of(subject, below);
                }
            }
            HubAction::Lift { .. } => {
                let Some(target) = target else { return };
                if let Verdict::Counts(power) = self.graph.ops[target].verdict {
                    self.touch(target, power);
                }
            }
            HubAction::Invite { .. } => self.weigh_joins(Some(deed.object)),
            HubAction::CloseInvite { .. } => self.weigh_joins(target),
            _ => {}
        }
    }

    /// Weighs the grants of an account below a rank.
    fn weigh_all_of(&mut self, account: Option<AccountIx>, below: Rank) {
        let Some(account) = account else { return };
        let mut invitations = BTreeSet::new();
        for (at, grant) in self.accounts[account].grants.iter().enumerate() {
            let rank = self.roles[grant.role].rank;
            if rank < below {
                self.agenda.grant(rank, account, at);
                invitations.extend(self.limited_invitation(grant.op));
            }
        }
        // Who is banned takes no place of an invitation that others may want.
        for invitation in invitations {
            self.weigh_joins(Some(invitation));
        }
    }

    /// Judges everything that an account wrote.
    pub(super) fn judge_all_of(&mut self, account: AccountIx, rank: Rank) {
        for strand in &self.accounts[account].strands {
            for op in &self.graph.strands[*strand].ops {
                self.agenda.operation(rank, *op);
            }
        }
    }

    /// Judges what the holders of a role wrote and the author of a change had not seen.
    fn judge_holders(&mut self, change: OpIx, role: RoleIx) {
        let rank = self.roles[role].rank;
        let holders: BTreeSet<AccountIx> = if self.roles[role].object.is_some() {
            self.roles[role].grants.iter().map(|(account, _)| *account).collect()
        } else {
            let members = self.accounts.iter().filter(|(_, ledger)| !ledger.grants.is_empty());
            members.map(|(account, _)| account).collect()
        };
        let seen = self.graph.ops[change].seen.clone();
        for account in holders {
            for strand in &self.accounts[account].strands {
                for op in self.graph.strands[*strand].between(seen.of(*strand), u32::MAX) {
                    self.agenda.operation(rank, *op);
                }
            }
        }
    }

    /// Weighs what joins an invitation.
    pub(super) fn weigh_joins(&mut self, invite: Option<OpIx>) {
        let invitation = invite.and_then(|invite| self.invitations.get(&invite));
        let joins = invitation.map(|invitation| invitation.joins.clone()).unwrap_or_default();
        for join in joins {
            self.weigh_join(join);
        }
    }

    /// Weighs the grant that a join is.
    pub(super) fn weigh_join(&mut self, join: OpIx) {
        let Some((account, at)) = self.grant_of.get(&join).copied() else { return };
        let grant = self.accounts[account].grants.get(at);
        let role = grant.map(|grant| grant.role).unwrap_or_default();
        let rank = self.roles[role].rank;
        self.agenda.grant(rank, account, at);
    }
}
