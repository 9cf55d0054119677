//! Which grants count, what bites them, and what they carry.

use super::*;
use crate::model::entry::Permissions;

impl Reference<'_> {
    /// Grants of an account that count, with their rank and role, down to a rank.
    pub(super) fn grants(&self, to: AccountId, down_to: Rank) -> Vec<(usize, Rank, Option<usize>)> {
        let mut grants = Vec::new();
        for g in 0..self.items.len() {
            let Some(act) = &self.acts[g] else { continue };
            let rank = self.rank_of(act.role);
            let counts = match act.action {
                HubAction::Grant { .. } => self.stands(g).is_some() && self.defined(act.role, g),
                HubAction::Join { .. } => self.counts[g].is_some(),
                _ => false,
            };
            if counts && act.subject == Some(to) && rank >= down_to {
                grants.push((g, rank, act.role));
            }
        }
        grants
    }

    /// Removals that bite a grant.
    pub(super) fn biters(&self, g: usize) -> Vec<usize> {
        let grant = self.acts[g].as_ref().unwrap();
        let rank = self.rank_of(grant.role);
        let joined = matches!(grant.action, HubAction::Join { .. });
        let mut biters = Vec::new();
        for v in 0..self.items.len() {
            let Some(act) = &self.acts[v] else { continue };
            let Some(by) = self.stands(v) else { continue };
            if act.subject != grant.subject {
                continue;
            }
            let above = by > rank || self.fault == Some(Fault::EqualsRemove) && by == rank;
            let bites = match act.action {
                HubAction::Leave { .. } => !self.sees(g, v),
                HubAction::Revoke { .. } => above && act.role == grant.role && !self.sees(g, v),
                HubAction::Kick { .. } => above && !self.sees(g, v),
                HubAction::Ban { .. } => {
                    let knowing = if joined {
                        let invite = grant.target.unwrap();
                        let HubAction::Invite { account, .. } =
                            &self.acts[invite].as_ref().unwrap().action
                        else {
                            unreachable!()
                        };
                        account.is_some() && self.sees(invite, v)
                    } else {
                        self.sees(g, v)
                    };
                    let strong = self.counts[g] >= Some(by) || self.fault == Some(Fault::WeakBan);
                    above && !(knowing && strong)
                }
                _ => false,
            };
            if bites {
                biters.push(v);
            }
        }
        biters
    }

    /// Whether a removal had seen an operation, or somebody added it since.
    fn leaves(&self, v: usize, x: usize) -> bool {
        if self.fault == Some(Fault::NoStrongRemoval) && !self.sees(x, v) {
            return true;
        }
        self.sees(v, x)
            || self
                .operations(|act| matches!(act.action, HubAction::ExtendCut { .. }))
                .filter(|e| self.acts[*e].as_ref().unwrap().target == Some(v))
                .filter(|e| {
                    let (by, removal) = (self.stands(*e), self.stands(v));
                    by.is_some() && (by >= removal || self.fault == Some(Fault::ExtendFromBelow))
                })
                .any(|e| {
                    let act = self.acts[e].as_ref().unwrap();
                    let HubAction::ExtendCut { operations, .. } = &act.action else {
                        unreachable!()
                    };
                    self.names(e, act.subject, operations, x)
                })
    }

    /// Whether links name `x`, or an operation of the subject that had seen it.
    fn names(&self, by: usize, subject: Option<AccountId>, links: &[Link], x: usize) -> bool {
        (0..self.items.len()).any(|o| {
            links.contains(&self.items[o].link)
                && Some(self.author(o)) == subject
                && self.sees(by, o)
                && (o == x || self.sees(o, x))
        })
    }

    fn alive(&self, x: usize, down_to: Rank) -> Vec<(usize, Rank, Option<usize>)> {
        let mut grants = self.grants(self.author(x), down_to);
        grants.retain(|(g, _, _)| {
            self.sees(x, *g) && self.biters(*g).iter().all(|v| self.leaves(*v, x))
        });
        grants
    }

    pub(super) fn carries_any(&self, x: usize, rank: Rank) -> bool {
        !self.alive(x, rank).is_empty()
    }

    /// All that the living grants of at least a rank give to `x`.
    pub(super) fn carried(&self, x: usize, rank: Rank) -> Permissions {
        let alive = self.alive(x, rank);
        let mut carried = Permissions::NONE;
        for (_, _, role) in &alive {
            carried = carried | self.gives(*role, x);
        }
        if rank == Rank::EVERYONE && !alive.is_empty() {
            carried = carried | self.gives(None, x);
        }
        carried
    }

    /// What a role gives to `x`.
    fn gives(&self, role: Option<usize>, x: usize) -> Permissions {
        let mut gives = match role.and_then(|role| self.acts[role].as_ref()).map(|a| &a.action) {
            Some(HubAction::DefineRole { permissions, .. }) => *permissions,
            _ => self.genesis.everyone,
        };
        let changes: Vec<(usize, Permissions)> = (0..self.items.len())
            .filter(|c| *c != x && self.stands(*c).is_some())
            .filter_map(|c| match self.acts[c].as_ref() {
                Some(Act {
                    action: HubAction::ChangeRole { permissions, .. }, role: of, ..
                }) if *of == role => Some((c, *permissions)),
                _ => None,
            })
            .collect();
        let seen: Vec<_> = changes.iter().filter(|(c, _)| self.sees(x, *c)).collect();
        let latest = seen.iter().filter(|(c, _)| !seen.iter().any(|(d, _)| self.sees(*d, *c)));
        if let Some(said) = latest.map(|(_, permissions)| *permissions).reduce(|a, b| a & b) {
            gives = said;
        }
        for (c, permissions) in &changes {
            if !self.sees(x, *c) && !self.sees(*c, x) {
                gives = gives & *permissions;
            }
        }
        gives
    }

    pub(super) fn undone(&self, x: usize, rank: Rank) -> bool {
        self.operations(|act| matches!(act.action, HubAction::Undo { .. })).any(|u| {
            let act = self.acts[u].as_ref().unwrap();
            let HubAction::Undo { keep, .. } = &act.action else { unreachable!() };
            let equal = self.fault == Some(Fault::UndoEquals)
                && self.author(u) != self.author(x)
                && self.carried(u, rank).contains(act.need);
            let above = equal || self.stands(u).is_some_and(|by| by > rank);
            above
                && act.subject == Some(self.author(x))
                && !self.sees(x, u)
                && !self.names(u, act.subject, keep, x)
        })
    }

    /// Whether an operation vouches for a join, as far as who wrote it may.
    pub(super) fn vouches(&self, v: usize, j: usize) -> bool {
        let HubAction::Vouch { joins } = &operation(self.items[v]).action else { return false };
        let Some(Act { action: HubAction::Join { proof: Some(_), .. }, target, .. }) =
            self.acts[j].as_ref()
        else {
            return false;
        };
        let issuer = self.author(target.unwrap());
        joins.contains(&self.items[j].id)
            && (self.author(v) == issuer || self.fault == Some(Fault::AnybodyVouches))
    }

    /// Whether a join showed the ticket, if its invitation has one.
    fn proven(&self, j: usize) -> bool {
        match &operation(self.items[j]).action {
            HubAction::Join { proof: Some(proof), .. } => {
                *proof.as_bytes() != [0; 64] || (0..self.items.len()).any(|v| self.vouches(v, j))
            }
            _ => true,
        }
    }

    /// The rank by which a join counts.
    pub(super) fn join(&self, j: usize, rank: Rank) -> Option<Rank> {
        let act = self.acts[j].as_ref()?;
        let invite = act.target?;
        if !self.proven(j) {
            return None;
        }
        let closers: Vec<usize> = self
            .operations(|other| {
                matches!(other.action, HubAction::CloseInvite { .. })
                    && other.target == Some(invite)
            })
            .filter(|c| !self.sees(*c, j))
            .collect();
        let best = self
            .operations(|other| {
                matches!(other.action, HubAction::Invite { .. }) && other.object == invite
            })
            .filter(|i| self.sees(j, *i) && self.defined(act.role, *i))
            .filter_map(|i| self.stands(i))
            .filter(|power| *power > rank)
            .filter(|power| !closers.iter().any(|c| self.stands(*c) >= Some(*power)))
            .max()?;
        let HubAction::Invite { uses, .. } = self.acts[invite].as_ref()?.action else {
            return None;
        };
        let others: BTreeSet<AccountId> = self
            .operations(|other| {
                matches!(other.action, HubAction::Join { .. }) && other.target == Some(invite)
            })
            .filter(|o| !self.sees(*o, j) && self.author(*o) != self.author(j) && self.proven(*o))
            .map(|o| self.author(o))
            .filter(|who| !self.barred(*who, rank))
            .collect();
        let surplus =
            uses > 0 && others.len() >= uses as usize && self.fault != Some(Fault::NoSurplus);
        (!surplus).then_some(best)
    }

    fn barred(&self, who: AccountId, rank: Rank) -> bool {
        self.operations(|act| {
            matches!(act.action, HubAction::Ban { .. }) && act.subject == Some(who)
        })
        .any(|v| self.stands(v).is_some_and(|by| by > rank))
    }
}
