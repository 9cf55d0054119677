//! The rules of a hub as directly as they can be written: sets of operations, and loops over
//! all of them from the top rank down. It shares types with the engine and no function.
//!
//! Each [`Fault`] leaves one rule out. The properties have to notice every one of them.

use std::collections::{BTreeMap, BTreeSet};

use self::acts::Act;
use super::*;
use crate::hash::OwnersId;
use crate::model::entry::HubOperation;

mod acts;
mod rules;

/// A rule left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Grants of one's own rank count.
    GrantAtOwnRank,
    /// Removals act on their own rank, and what is written later takes back what decided it.
    EqualsRemove,
    /// A removal does not void what it had not seen.
    NoStrongRemoval,
    /// Any later grant overcomes a ban.
    WeakBan,
    /// Positions in a chain are compared without looking at the branch.
    BranchesAlike,
    /// Half of the owners are enough.
    HalfOfOwners,
    /// Of two sets of owners the first in order wins.
    FirstSuccessor,
    /// Replaced owners keep what they sign on old versions.
    OwnersForEver,
    /// Equals undo each other.
    UndoEquals,
    /// The order of arrival decides which ranks come first.
    ArrivalOrder,
    /// Ranks are decided from the bottom up.
    BottomUp,
    /// The last of several joins counts whatever an invitation allows.
    NoSurplus,
    /// Anybody extends a cut.
    ExtendFromBelow,
    /// Anybody takes back what another did.
    LiftFromBelow,
    /// Anybody vouches for joins.
    AnybodyVouches,
}

/// What the rules come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The rank by which each operation counts, by id; what is void is not in it.
    pub counts: BTreeMap<ChangeId, Rank>,
    /// The operations by which each account holds roles.
    pub holds: BTreeMap<AccountId, BTreeSet<ChangeId>>,
    /// The highest rank of each member.
    pub ranks: BTreeMap<AccountId, Rank>,
}

/// Operations by which owners said the same, by owner.
type Signed = BTreeMap<AccountId, BTreeSet<usize>>;

pub(super) struct Reference<'a> {
    genesis: &'a HubGenesis,
    fault: Option<Fault>,
    /// Items whose past is complete.
    items: Vec<&'a HubItem>,
    /// What each had seen, itself excluded.
    past: Vec<BTreeSet<usize>>,
    /// `None` for what is wrong by itself.
    acts: Vec<Option<Act>>,
    /// Owners after each change, with who brought it about by what.
    eras: Vec<(Vec<AccountId>, Signed)>,
    /// Those of the past that name a change of owners which took place.
    successions: BTreeSet<usize>,
    counts: Vec<Option<Rank>>,
    void: BTreeSet<usize>,
}

/// Evaluates items with a rule left out, or none.
pub(crate) fn evaluate(genesis: &HubGenesis, items: &[HubItem], fault: Option<Fault>) -> Outcome {
    let mut reference = Reference::new(genesis, items, fault);
    reference.decide();
    reference.outcome()
}

impl<'a> Reference<'a> {
    fn new(genesis: &'a HubGenesis, items: &'a [HubItem], fault: Option<Fault>) -> Self {
        let mut reference = Self {
            genesis,
            fault,
            items: Vec::new(),
            past: Vec::new(),
            acts: Vec::new(),
            eras: Vec::new(),
            successions: BTreeSet::new(),
            counts: Vec::new(),
            void: BTreeSet::new(),
        };
        let mut index: BTreeMap<Link, usize> = BTreeMap::new();
        loop {
            let before = reference.items.len();
            for item in items {
                let mut needs: Vec<Link> = operation(item).seen.clone();
                if item.n > 1 {
                    needs.push(item.previous);
                }
                let complete = needs.iter().all(|link| index.contains_key(link));
                if index.contains_key(&item.link) || !complete {
                    continue;
                }
                let mut past = BTreeSet::new();
                for seen in needs.iter().map(|link| index[link]) {
                    past.extend(reference.past[seen].iter().copied());
                    past.insert(seen);
                }
                if fault == Some(Fault::BranchesAlike) {
                    reference.blur(&mut past);
                }
                index.insert(item.link, reference.items.len());
                reference.items.push(item);
                reference.past.push(past);
            }
            if reference.items.len() == before {
                break;
            }
        }
        for at in 0..reference.items.len() {
            let act = reference.understand(at);
            reference.acts.push(act);
        }
        reference.counts = vec![None; reference.items.len()];
        reference.follow_owners();
        reference
    }

    /// Sees all branches of what it has seen one of.
    fn blur(&self, past: &mut BTreeSet<usize>) {
        for seen in past.clone() {
            let item = self.items[seen];
            past.extend((0..self.items.len()).filter(|other| {
                self.items[*other].chain == item.chain && self.items[*other].n <= item.n
            }));
        }
    }

    fn sees(&self, x: usize, y: usize) -> bool {
        self.past[x].contains(&y)
    }

    fn author(&self, x: usize) -> AccountId {
        self.items[x].account
    }

    /// Finds an operation that is in order and that `x` had seen.
    fn find(&self, x: usize, id: ChangeId) -> Option<usize> {
        let found = (0..x.max(self.acts.len())).find(|at| self.items[*at].id == id)?;
        (self.sees(x, found) && self.acts[found].is_some()).then_some(found)
    }

    fn follow_owners(&mut self) {
        let mut id = self.genesis.owners_id();
        let mut owners = self.genesis.owners.clone();
        self.eras.push((owners.clone(), BTreeMap::new()));
        while let Some((next, consents)) = self.follower(id, &owners) {
            id = id.followed_by(&next);
            self.successions.extend(consents.values().flatten());
            owners = next.clone();
            self.eras.push((next, consents));
        }
    }

    /// The one set that more than half of the owners want after theirs.
    fn follower(&self, id: OwnersId, owners: &[AccountId]) -> Option<(Vec<AccountId>, Signed)> {
        let mut wishes: BTreeMap<Vec<AccountId>, Signed> = BTreeMap::new();
        for x in 0..self.items.len() {
            if let Some(HubAction::Succession { from, owners: next }) =
                self.acts[x].as_ref().map(|act| &act.action)
                && *from == id
                && owners.contains(&self.author(x))
            {
                let wish = wishes.entry(next.clone()).or_default();
                wish.entry(self.author(x)).or_default().insert(x);
            }
        }
        let half = self.fault == Some(Fault::HalfOfOwners);
        wishes.retain(|_, by| by.len() * 2 > owners.len() || half && by.len() * 2 >= owners.len());
        if wishes.len() > 1 && self.fault != Some(Fault::FirstSuccessor) {
            return None;
        }
        wishes.pop_first()
    }

    fn owns(&self, x: usize) -> bool {
        let author = self.author(x);
        let knows = |era: usize| {
            let (_, consents) = &self.eras[era];
            let before = if era == 0 { 0 } else { self.eras[era - 1].0.len() };
            let known = consents.values().filter(|c| c.iter().any(|c| self.sees(x, *c))).count();
            era == 0 || known * 2 > before
        };
        (0..self.eras.len()).any(|era| {
            self.eras[era].0.contains(&author) && knows(era) && self.not_replaced(x, era)
        })
    }

    /// Whether an owner of an era was not replaced since, or those who did it had seen `x`.
    fn not_replaced(&self, x: usize, era: usize) -> bool {
        let author = self.author(x);
        let replaced = (era..self.eras.len()).find(|at| !self.eras[*at].0.contains(&author));
        let Some(replaced) = replaced else { return true };
        if self.fault == Some(Fault::OwnersForEver) {
            return true;
        }
        let (owners, consents) = &self.eras[replaced];
        let stays = |owner: &AccountId| owners.contains(owner);
        let some_stay = consents.keys().any(stays);
        consents.iter().any(|(owner, signed)| {
            let may =
                if some_stay { stays(owner) } else { consents.len() == 1 || *owner != author };
            may && signed.iter().all(|signed| self.sees(*signed, x))
        })
    }

    /// Decides from the top rank down.
    fn decide(&mut self) {
        let mut ranks: BTreeSet<Rank> = BTreeSet::from([Rank::EVERYONE]);
        for act in self.acts.iter().flatten() {
            if let HubAction::DefineRole { rank, .. } = act.action {
                ranks.insert(rank);
            }
        }
        let mut ranks: Vec<Rank> = ranks.into_iter().rev().collect();
        match self.fault {
            Some(Fault::BottomUp) => ranks.reverse(),
            Some(Fault::ArrivalOrder) => {
                let by_arrival = self.acts.iter().flatten().filter_map(|act| match act.action {
                    HubAction::DefineRole { rank, .. } => Some(rank),
                    _ => None,
                });
                let mut seen = BTreeSet::new();
                ranks = by_arrival.filter(|rank| seen.insert(*rank)).collect();
                ranks.push(Rank::EVERYONE);
            }
            _ => {}
        }
        for x in 0..self.items.len() {
            let Some(act) = &self.acts[x] else { continue };
            match act.action {
                HubAction::Leave { .. } => self.counts[x] = Some(Rank::EVERYONE),
                HubAction::Vouch { .. } => {
                    let any = (0..self.items.len()).any(|j| self.vouches(x, j));
                    self.counts[x] = any.then_some(Rank::EVERYONE);
                }
                HubAction::Succession { .. } if self.successions.contains(&x) => {
                    self.counts[x] = Some(Rank::OWNER);
                }
                HubAction::Succession { .. } | HubAction::Join { .. } => {}
                _ if self.owns(x) => self.counts[x] = Some(Rank::OWNER),
                _ => {}
            }
        }
        for rank in ranks {
            self.decide_rank(rank);
        }
    }

    fn decide_rank(&mut self, rank: Rank) {
        for x in 0..self.items.len() {
            if let Some(act) = &self.acts[x]
                && matches!(act.action, HubAction::Join { .. })
                && self.rank_of(act.role) == rank
            {
                self.counts[x] = self.join(x, rank);
            }
        }
        let mut decided = Vec::new();
        for x in 0..self.items.len() {
            let Some(act) = &self.acts[x] else { continue };
            let by_itself = matches!(
                act.action,
                HubAction::Leave { .. }
                    | HubAction::Join { .. }
                    | HubAction::Succession { .. }
                    | HubAction::Vouch { .. }
            );
            if by_itself || self.counts[x].is_some() || self.void.contains(&x) {
                continue;
            }
            if !self.carried(x, rank).contains(act.need) || !self.carries_any(x, rank) {
                continue;
            }
            let above = act.floor.is_none_or(|floor| {
                rank > floor || self.fault == Some(Fault::GrantAtOwnRank) && rank == floor
            });
            decided.push((x, (above && !self.undone(x, rank)).then_some(rank)));
        }
        for (x, rank) in decided {
            self.counts[x] = rank;
            if rank.is_none() {
                self.void.insert(x);
            }
        }
    }

    /// Whether an operation counts and nobody took it back.
    fn stands(&self, x: usize) -> Option<Rank> {
        let rank = self.counts[x]?;
        let lifted = (0..self.items.len()).any(|lift| {
            self.acts[lift].as_ref().is_some_and(|act| {
                matches!(act.action, HubAction::Lift { .. })
                    && act.target == Some(x)
                    && self.counts[lift]
                        .is_some_and(|by| by >= rank || self.fault == Some(Fault::LiftFromBelow))
            })
        });
        (!lifted).then_some(rank)
    }

    fn rank_of(&self, role: Option<usize>) -> Rank {
        match role.and_then(|role| self.acts[role].as_ref()).map(|act| &act.action) {
            Some(HubAction::DefineRole { rank, .. }) => *rank,
            _ => Rank::EVERYONE,
        }
    }

    fn defined(&self, role: Option<usize>, x: usize) -> bool {
        role.is_none_or(|role| {
            self.operations(|act| {
                act.object == role && matches!(act.action, HubAction::DefineRole { .. })
            })
            .any(|d| self.stands(d).is_some() && self.sees(x, d))
        })
    }

    fn operations(&self, of: impl Fn(&Act) -> bool) -> impl Iterator<Item = usize> {
        (0..self.acts.len()).filter(move |at| self.acts[*at].as_ref().is_some_and(&of))
    }

    fn outcome(&self) -> Outcome {
        let mut outcome =
            Outcome { counts: BTreeMap::new(), holds: BTreeMap::new(), ranks: BTreeMap::new() };
        let mut accounts: BTreeSet<AccountId> = self.items.iter().map(|i| i.account).collect();
        accounts.extend(self.acts.iter().flatten().filter_map(|act| act.subject));
        let owners = &self.eras.last().unwrap().0;
        accounts.extend(owners);
        for account in accounts {
            let mut rank = owners.contains(&account).then_some(Rank::OWNER);
            for (g, of, _) in self.grants(account, Rank::EVERYONE) {
                if self.biters(g).is_empty() {
                    outcome.holds.entry(account).or_default().insert(self.items[g].id);
                    rank = rank.max(Some(of));
                }
            }
            if let Some(rank) = rank {
                outcome.ranks.insert(account, rank);
            }
        }
        for (x, counts) in self.counts.iter().enumerate() {
            if let Some(rank) = counts {
                outcome.counts.insert(self.items[x].id, *rank);
            }
        }
        outcome
    }
}

fn operation(item: &HubItem) -> &HubOperation {
    match &item.entry {
        Entry::Hub(operation) => operation,
        _ => unreachable!("the worlds of these tests hold operations alone"),
    }
}

/// What the engine comes to, in the same form.
pub(crate) fn outcome(hub: &Hub) -> Outcome {
    let mut outcome =
        Outcome { counts: BTreeMap::new(), holds: BTreeMap::new(), ranks: BTreeMap::new() };
    for record in hub.audit() {
        if let Verdict::Counts(rank) = record.verdict {
            outcome.counts.insert(record.id, rank);
        }
    }
    for (account, member) in hub.members() {
        outcome.ranks.insert(account, member.rank);
        if !member.grants.is_empty() {
            outcome.holds.insert(account, member.grants);
        }
    }
    outcome
}
