//! The power of one operation: what its author held when he wrote it, as far as no removal
//! took it away unseen.

use super::Hub;
use super::roles::{Grant, Ledger};
use super::table::{AccountIx, OpIx, RoleIx};
use super::verdict::{Verdict, Why};
use crate::hash::ChangeId;
use crate::model::entry::{HubAction, Permissions, Rank};

impl Hub {
    /// Judges one operation by what is concluded about all that could change it.
    pub(super) fn judge(&self, x: OpIx) -> Verdict {
        let op = &self.graph.ops[x];
        let Some(deed) = &op.deed else { return Verdict::Silent };
        if !self.device_counts(x) {
            return Verdict::Void(Why::Device);
        }
        if let Some(why) = deed.fault {
            return Verdict::Void(why);
        }
        match deed.action.as_ref() {
            HubAction::Begin(_) => Verdict::Silent,
            // Everybody may go.
            HubAction::Leave { .. } => Verdict::Counts(Rank::EVERYONE),
            HubAction::Join { .. } => self.join_verdict(x),
            HubAction::Vouch { joins } => self.vouch_verdict(x, joins),
            HubAction::Succession { from, owners } => self.succession_verdict(x, from, owners),
            _ => self.power_of(x, deed.need, deed.floor),
        }
    }

    /// The rank with which an operation counts now; `None` if it is void or lifted.
    pub(super) fn power(&self, x: OpIx) -> Option<Rank> {
        let Verdict::Counts(rank) = self.graph.ops[x].verdict else { return None };
        if self.lifted_by(x, rank).is_some() { None } else { Some(rank) }
    }

    /// The operation that takes back `x`, whose rank is given.
    pub(super) fn lifted_by(&self, x: OpIx, rank: Rank) -> Option<ChangeId> {
        let lifts = self.lifts.get(&x)?;
        let counting = lifts.iter().filter(|lift| match self.graph.ops[**lift].verdict {
            Verdict::Counts(other) => other >= rank,
            Verdict::Void(_) | Verdict::Silent => false,
        });
        counting.map(|lift| self.graph.ops[*lift].id).min()
    }

    /// An operation that needs permissions and a rank above `floor`.
    fn power_of(&self, x: OpIx, need: Permissions, floor: Option<Rank>) -> Verdict {
        let author = self.graph.ops[x].account;
        if self.owns(x, author) {
            // Nothing is above an owner: no rank is out of his reach, and nobody undoes him.
            return Verdict::Counts(Rank::OWNER);
        }
        let ledger = &self.accounts[author];
        let held: Vec<&Grant> = ledger
            .grants
            .iter()
            .filter(|grant| grant.power.is_some() && self.graph.sees(x, grant.op))
            .collect();
        let left = held.iter().copied().filter(|grant| self.permits(grant, x));
        let Some(rank) = self.highest_rank(x, left, need) else {
            let all = held.iter().copied();
            if self.highest_rank(x, all, need).is_none() {
                return Verdict::Void(Why::NotAllowed);
            }
            let removals = held.iter().flat_map(|grant| &grant.biters);
            let unseen = removals.filter(|v| !self.covers(**v, x));
            return match unseen.map(|v| self.graph.ops[*v].id).min() {
                Some(by) => Verdict::Void(Why::Removed { by }),
                None => Verdict::Void(Why::NotAllowed),
            };
        };
        if floor.is_some_and(|floor| rank <= floor) {
            return Verdict::Void(Why::OutOfRank);
        }
        match self.undone_by(x, ledger, rank) {
            Some(by) => Verdict::Void(Why::Undone { by }),
            None => Verdict::Counts(rank),
        }
    }

    /// Whether no removal that bites a grant takes it from `x`.
    pub(super) fn permits(&self, grant: &Grant, x: OpIx) -> bool {
        let op = &self.graph.ops[x];
        op.n <= grant.limit.of(op.strand)
    }

    /// The highest rank such that the grants of at least this rank carry all of `need`. What
    /// everybody may do comes with any grant, at the lowest rank.
    fn highest_rank<'a>(
        &self,
        x: OpIx,
        grants: impl Iterator<Item = &'a Grant>,
        need: Permissions,
    ) -> Option<Rank> {
        let mut ranked: Vec<(Rank, RoleIx)> =
            grants.map(|grant| (self.roles[grant.role].rank, grant.role)).collect();
        if ranked.is_empty() {
            return None;
        }
        ranked.push((Rank::EVERYONE, RoleIx(0)));
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        ranked.dedup();
        let mut carried = Permissions::NONE;
        for (rank, role) in ranked {
            carried = carried | self.role_gives(role, x);
            if carried.contains(need) {
                return Some(rank);
            }
        }
        None
    }

    /// What a role gives to `x`: what its author knew of, without what was taken from the role
    /// unseen. Of changes that did not know of each other all have to agree.
    fn role_gives(&self, role: RoleIx, x: OpIx) -> Permissions {
        let role = &self.roles[role];
        let mut known: Vec<OpIx> = Vec::new();
        let (mut said, mut unseen) = (None, Permissions::ALL);
        for (change, follows_all) in role.changes.iter().rev().copied() {
            if change == x || self.power(change).is_none() {
                continue;
            }
            let gives = self.change_gives(change);
            if !self.graph.sees(x, change) {
                if !self.graph.sees(change, x) {
                    unseen = unseen & gives;
                }
                continue;
            }
            if !known.iter().any(|later| self.graph.sees(*later, change)) {
                known.push(change);
                said = Some(said.unwrap_or(Permissions::ALL) & gives);
            }
            if follows_all {
                break;
            }
        }
        said.unwrap_or(role.gives) & unseen
    }

    /// What a role gives now.
    pub(super) fn role_gives_now(&self, role: RoleIx) -> Permissions {
        self.role_gives_among(role, &|_| true)
    }

    /// What a role gives by the changes that `known` takes.
    pub(super) fn role_gives_among(
        &self,
        role: RoleIx,
        known: &dyn Fn(OpIx) -> bool,
    ) -> Permissions {
        let role = &self.roles[role];
        let changes = role.changes.iter().map(|(change, _)| *change);
        let latest = self.latest(changes.filter(|change| known(*change)));
        if latest.is_empty() {
            return role.gives;
        }
        latest.iter().fold(Permissions::ALL, |all, change| all & self.change_gives(*change))
    }

    fn change_gives(&self, change: OpIx) -> Permissions {
        match self.graph.ops[change].deed.as_ref().map(|deed| deed.action.as_ref()) {
            Some(HubAction::ChangeRole { permissions, .. }) => *permissions,
            _ => Permissions::NONE,
        }
    }

    /// Of the operations that count those that no other of them had seen.
    pub(super) fn latest(&self, operations: impl DoubleEndedIterator<Item = OpIx>) -> Vec<OpIx> {
        let mut latest: Vec<OpIx> = Vec::new();
        for op in operations.rev().filter(|op| self.power(*op).is_some()) {
            if !latest.iter().any(|later| self.graph.sees(*later, op)) {
                latest.push(op);
            }
        }
        latest
    }

    /// The undoing of a higher rank that takes `x`.
    fn undone_by(&self, x: OpIx, ledger: &Ledger, rank: Rank) -> Option<ChangeId> {
        let undoing = ledger.undos.iter().filter(|undo| {
            self.power(**undo).is_some_and(|power| power > rank)
                && !self.graph.sees(x, **undo)
                && !self.keeps(**undo, x)
        });
        undoing.map(|undo| self.graph.ops[*undo].id).min()
    }

    /// Whether an undoing names `x`, or what had seen it, as what stays.
    fn keeps(&self, undo: OpIx, x: OpIx) -> bool {
        let deed = self.graph.ops[undo].deed.as_ref();
        let Some(HubAction::Undo { keep, .. }) = deed.map(|deed| deed.action.as_ref()) else {
            return false;
        };
        self.named(undo, keep).any(|kept| self.graph.holds(&self.graph.ops[kept].seen, x))
    }

    /// The operations of the subject that an undoing or an extension names, as far as its
    /// author had seen them.
    pub(super) fn named<'a>(
        &'a self,
        by: OpIx,
        links: &'a [crate::hash::Link],
    ) -> impl Iterator<Item = OpIx> + 'a {
        let subject = self.graph.ops[by].deed.as_ref().and_then(|deed| deed.subject);
        links
            .iter()
            .filter_map(|link| self.graph.by_link(link))
            .filter(move |op| Some(self.graph.ops[*op].account) == subject)
            .filter(move |op| self.graph.sees(by, *op))
    }

    /// Whether the author's account leaves an operation of a device that it revoked.
    pub(super) fn device_counts(&self, x: OpIx) -> bool {
        let chain = self.graph.strands[self.graph.ops[x].strand].chain.as_ref();
        let Some(kept) = chain.and_then(|chain| self.device_cuts.get(chain)) else { return true };
        let ends = kept.iter().filter_map(|link| self.graph.by_link(link));
        ends.into_iter().any(|end| self.graph.leads_to(x, end))
    }

    /// The account's row; a new one for who is named for the first time.
    pub(super) fn account(&mut self, id: &crate::hash::AccountId) -> AccountIx {
        if let Some(account) = self.account_of.get(id) {
            return *account;
        }
        let account = self.accounts.push(Ledger { id: Some(*id), ..Ledger::default() });
        self.account_of.insert(*id, account);
        account
    }
}
