//! Who holds a role: grants, and the removals that bite them.
//!
//! A grant of rank r counts if its author is above r. A removal by rank k bites each grant
//! of its subject below k, except those by somebody who had seen it; after a ban he has to be
//! of at least the ban's rank. What the subject did under a bitten grant counts as far as
//! every removal that bites it had seen it. That region is kept with the grant, as a position
//! in each of the subject's strands: a removal at the frontier moves no position that an
//! operation has reached, and then nothing is judged anew.

use super::Hub;
use super::owners::Reign;
use super::past::Past;
use super::table::{AccountIx, OpIx, RoleIx, StrandIx};
use super::verdict::Verdict;
use crate::hash::AccountId;
use crate::model::entry::{HubAction, Permissions, Rank};

/// Everything that is about one account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub id: Option<AccountId>,
    /// What it writes.
    pub strands: Vec<StrandIx>,
    pub grants: Vec<Grant>,
    /// Operations that take roles from it.
    pub removals: Vec<OpIx>,
    /// Operations that undo what it did.
    pub undos: Vec<OpIx>,
    /// When it owned the hub.
    pub reigns: Vec<Reign>,
}

/// A role of one account.
#[derive(Debug)]
pub(super) struct Grant {
    /// The grant, or the account's own join.
    pub op: OpIx,
    pub role: RoleIx,
    /// The rank by which it counts: its author's, or that of the invitation.
    pub power: Option<Rank>,
    /// Which operations of the account it still carries.
    pub limit: Limit,
    /// The removals that bite it.
    pub biters: Vec<OpIx>,
}

impl Grant {
    /// Whether the account holds the role now.
    pub(super) fn is_held(&self) -> bool {
        self.power.is_some() && self.biters.is_empty()
    }
}

/// How far a grant carries the operations of its subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Limit {
    /// It does not count.
    #[default]
    Nothing,
    /// Nothing bites it.
    Open,
    /// Up to these positions; of other strands nothing.
    Upto(Vec<(StrandIx, u32)>),
}

impl Limit {
    /// The last number of a strand that is carried.
    pub(super) fn of(&self, strand: StrandIx) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Open => u32::MAX,
            Self::Upto(ends) => {
                let found = ends.binary_search_by_key(&strand, |(strand, _)| *strand);
                found.ok().and_then(|at| ends.get(at)).map_or(0, |(_, n)| *n)
            }
        }
    }
}

/// A role.
#[derive(Debug)]
pub(super) struct Role {
    pub rank: Rank,
    /// The operation that names it; everybody's role has none.
    pub object: Option<OpIx>,
    /// What it gave at first.
    pub gives: Permissions,
    /// The operation that defines it, and those that adopt it.
    pub definers: Vec<OpIx>,
    /// Changes in the order in which they were placed, and whether each had seen all before
    /// it: most have, and then nobody need look further back.
    pub changes: Vec<(OpIx, bool)>,
    /// Grants of it.
    pub grants: Vec<(AccountIx, usize)>,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            rank: Rank::EVERYONE,
            object: None,
            gives: Permissions::NONE,
            definers: Vec::new(),
            changes: Vec::new(),
            grants: Vec::new(),
        }
    }
}

impl Hub {
    /// Adds a grant that was just placed.
    pub(super) fn add_grant(&mut self, op: OpIx, account: AccountIx, role: RoleIx) {
        let ledger = &mut self.accounts[account];
        let at = ledger.grants.len();
        let (power, limit) = (None, Limit::Nothing);
        ledger.grants.push(Grant { op, role, power, limit, biters: Vec::new() });
        self.roles[role].grants.push((account, at));
        self.grant_of.insert(op, (account, at));
    }

    /// Adds a role, or one more operation that defines it.
    pub(super) fn add_role(&mut self, op: OpIx, object: OpIx, rank: Rank, gives: Permissions) {
        let role = match self.role_of.get(&object) {
            Some(role) => *role,
            None => {
                let role = Role { rank, object: Some(object), gives, ..Role::default() };
                let role = self.roles.push(role);
                self.role_of.insert(object, role);
                role
            }
        };
        self.roles[role].definers.push(op);
    }

    /// Adds a change of a role.
    pub(super) fn add_change(&mut self, op: OpIx, role: RoleIx) {
        let changes = &self.roles[role].changes;
        let follows = match changes.last() {
            Some((last, true)) => self.graph.sees(op, *last),
            _ => changes.iter().all(|(change, _)| self.graph.sees(op, *change)),
        };
        self.roles[role].changes.push((op, follows));
    }

    /// Finds out whether a grant counts and what bites it; returns what was before.
    pub(super) fn weigh(&mut self, account: AccountIx, at: usize) -> Option<Weighed> {
        let grant = self.accounts[account].grants.get(at)?;
        let op = grant.op;
        let (power, verdict) = self.grant_power(op);
        let mut biters = Vec::new();
        let mut limit = Limit::Nothing;
        if let Some(power) = power {
            let rank = self.roles[grant.role].rank;
            let removals = self.accounts[account].removals.iter().copied();
            biters.extend(removals.filter(|v| self.bites(*v, op, grant.role, rank, power)));
            limit = self.limit(account, &biters);
        }
        let old = self.graph.ops[op].verdict;
        if let Some(verdict) = verdict {
            self.graph.ops[op].verdict = verdict;
        }
        let grant = self.accounts[account].grants.get_mut(at)?;
        let moved = grant.limit != limit;
        let bitten = grant.biters != biters;
        grant.power = power;
        grant.biters = biters;
        let before = std::mem::replace(&mut grant.limit, limit);
        let judged = verdict.is_some_and(|verdict| verdict != old);
        Some(Weighed { before, changed: moved || bitten, bitten, judged })
    }

    /// The rank by which a grant counts, and what is concluded about a join.
    fn grant_power(&self, op: OpIx) -> (Option<Rank>, Option<Verdict>) {
        let Some(deed) = &self.graph.ops[op].deed else { return (None, None) };
        if matches!(*deed.action, HubAction::Join { .. }) {
            let verdict = self.judge(op);
            let Verdict::Counts(rank) = verdict else { return (None, Some(verdict)) };
            return (Some(rank), Some(verdict));
        }
        let defined = deed.role.is_some_and(|role| self.is_defined(role, op));
        (self.power(op).filter(|_| defined), None)
    }

    /// Whether the author of `x` had seen that a role was defined, by an operation that counts.
    pub(super) fn is_defined(&self, role: RoleIx, x: OpIx) -> bool {
        let role = &self.roles[role];
        role.object.is_none()
            || role.definers.iter().any(|op| self.power(*op).is_some() && self.graph.sees(x, *op))
    }

    /// Whether a removal acts on a grant of its subject.
    fn bites(&self, v: OpIx, grant: OpIx, role: RoleIx, rank: Rank, power: Rank) -> bool {
        let Some(deed) = &self.graph.ops[v].deed else { return false };
        let Some(by) = self.power(v) else { return false };
        match *deed.action {
            // One's own word, whatever the rank.
            HubAction::Leave { .. } => !self.graph.sees(grant, v),
            HubAction::Revoke { .. } => {
                deed.role == Some(role) && by > rank && !self.graph.sees(grant, v)
            }
            HubAction::Kick { .. } => by > rank && !self.graph.sees(grant, v),
            HubAction::Ban { .. } => by > rank && !self.pardons(grant, v, power, by),
            _ => false,
        }
    }

    /// Whether a grant was given in knowledge of a ban, by somebody who is not below it. An
    /// invitation is meant for somebody only if it names him.
    fn pardons(&self, grant: OpIx, ban: OpIx, power: Rank, by: Rank) -> bool {
        let Some(deed) = &self.graph.ops[grant].deed else { return false };
        let knowing = match *deed.action {
            HubAction::Join { .. } => deed
                .target
                .is_some_and(|invite| self.is_bound(invite) && self.graph.sees(invite, ban)),
            _ => self.graph.sees(grant, ban),
        };
        knowing && power >= by
    }

    /// What removals leave: the least that any of them had seen, in each strand.
    fn limit(&self, account: AccountIx, biters: &[OpIx]) -> Limit {
        if biters.is_empty() {
            return Limit::Open;
        }
        let pasts: Vec<Past> = biters.iter().map(|v| self.covered(*v)).collect();
        let strands = self.accounts[account].strands.iter();
        let ends = strands.filter_map(|strand| {
            let end = pasts.iter().map(|past| past.of(*strand)).min().unwrap_or(0);
            (end > 0).then_some((*strand, end))
        });
        Limit::Upto(ends.collect())
    }

    /// What a removal leaves of its subject's operations: what its author had seen, and what
    /// was added to that by his equals and those above.
    fn covered(&self, v: OpIx) -> Past {
        let mut past = self.graph.ops[v].seen.clone();
        for extension in self.counting_extensions(v) {
            let deed = self.graph.ops[extension].deed.as_ref();
            if let Some(HubAction::ExtendCut { operations, .. }) = deed.map(|d| d.action.as_ref()) {
                for op in self.named(extension, operations) {
                    past = past.joined(&self.graph.ops[op].seen);
                }
            }
        }
        past
    }

    /// Whether a removal leaves an operation of its subject.
    pub(super) fn covers(&self, v: OpIx, x: OpIx) -> bool {
        self.graph.holds(&self.covered(v), x)
    }

    /// Extensions of a removal's cut by at least its rank.
    pub(super) fn counting_extensions(&self, v: OpIx) -> impl Iterator<Item = OpIx> + '_ {
        let power = self.power(v);
        let extensions = self.extensions.get(&v).map(Vec::as_slice).unwrap_or_default();
        extensions.iter().copied().filter(move |extension| {
            let by = self.power(*extension);
            by.is_some() && by >= power
        })
    }
}

/// What came of weighing a grant.
pub(super) struct Weighed {
    /// The limit before.
    pub before: Limit,
    /// Whether anything is different.
    pub changed: bool,
    /// Whether other removals bite it.
    pub bitten: bool,
    /// Whether a join is judged differently.
    pub judged: bool,
}
