//! Who owns the hub. Owners are replaced as a whole: each signs the new set in a log of his
//! own, naming the set it follows, and it takes place when more than half of that set have.
//! If two sets followed one, owners signed twice and neither takes place.

use std::collections::{BTreeMap, BTreeSet};

use super::Hub;
use super::past::Past;
use super::table::{AccountIx, OpIx};
use super::verdict::{Verdict, Why};
use crate::hash::{AccountId, OwnersId};
use crate::model::entry::Rank;

/// What accounts signed about one set of owners: the new owners, and by whom.
type Proposals = BTreeMap<Vec<AccountId>, Consents>;

/// Operations that say the same, by author.
type Consents = BTreeMap<AccountIx, Vec<OpIx>>;

/// One set of owners.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Era {
    id: OwnersId,
    owners: BTreeSet<AccountIx>,
    /// The operations that brought it about, by owner of the era before; empty for the first.
    consents: Consents,
    /// How many owners had to consent.
    quorum: usize,
}

impl Era {
    /// How many owners have to want another set: more than half.
    fn quorum_to_follow(&self) -> usize {
        self.owners.len() / 2 + 1
    }
}

/// A time in which one account owned the hub without a break, as numbers of eras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reign {
    first: usize,
    /// The first era without it; `None` for those who own the hub now.
    end: Option<usize>,
}

/// All sets of owners, oldest first, and what was signed about them.
#[derive(Debug, Default)]
pub(super) struct Owners {
    eras: Vec<Era>,
    /// Whether two sets got a majority to follow the last one.
    contested: bool,
    proposals: BTreeMap<OwnersId, Proposals>,
    /// All operations about owners.
    operations: Vec<OpIx>,
}

impl Owners {
    /// Whether an account is in some set of owners that followed on the first.
    pub(super) fn ever(&self, account: AccountIx) -> bool {
        self.eras.iter().any(|era| era.owners.contains(&account))
    }
}

impl Hub {
    /// Sets up the first owners.
    pub(super) fn found(&mut self) {
        let names = self.genesis.owners.clone();
        let owners: BTreeSet<AccountIx> = names.iter().map(|owner| self.account(owner)).collect();
        let id = self.genesis.owners_id();
        self.owners.eras.push(Era { id, owners, consents: BTreeMap::new(), quorum: 0 });
        self.crown();
    }

    /// The name of the present set of owners, which the next one follows.
    #[must_use]
    pub fn owners_id(&self) -> OwnersId {
        self.owners.eras.last().map_or_else(|| self.genesis.owners_id(), |era| era.id)
    }

    /// The owners, by id.
    #[must_use]
    pub fn owners(&self) -> BTreeSet<AccountId> {
        let owners = self.owners.eras.last().map(|era| &era.owners);
        owners.into_iter().flatten().filter_map(|owner| self.accounts[*owner].id).collect()
    }

    /// Adds an operation about owners.
    pub(super) fn add_proposal(&mut self, op: OpIx, from: OwnersId, owners: Vec<AccountId>) {
        let author = self.graph.ops[op].account;
        let proposals = self.owners.proposals.entry(from).or_default();
        proposals.entry(owners).or_default().entry(author).or_default().push(op);
        self.owners.operations.push(op);
        let known =
            self.owners.eras.iter().any(|era| era.id == from && era.owners.contains(&author));
        if known {
            self.succeed();
        }
    }

    /// Follows the sets of owners from the first; where that leads elsewhere than before, what
    /// the accounts concerned did is judged anew.
    pub(super) fn succeed(&mut self) {
        let mut eras: Vec<Era> = self.owners.eras.first().cloned().into_iter().collect();
        let mut contested = false;
        while let Some(era) = eras.last() {
            let mut next = self.followers(era);
            contested = next.len() > 1;
            let (Some((names, consents)), false) = (next.pop(), contested) else { break };
            let (id, quorum) = (era.id.followed_by(&names), era.quorum_to_follow());
            let owners = names.iter().map(|name| self.account(name)).collect();
            eras.push(Era { id, owners, consents, quorum });
        }
        if eras == self.owners.eras && contested == self.owners.contested {
            return;
        }
        let old = std::mem::replace(&mut self.owners.eras, eras);
        self.owners.contested = contested;
        let concerned: BTreeSet<AccountIx> =
            old.iter().chain(&self.owners.eras).flat_map(|era| &era.owners).copied().collect();
        self.crown();
        for account in concerned {
            self.judge_all_of(account, Rank::OWNER);
        }
        for op in self.owners.operations.clone() {
            self.agenda.operation(Rank::OWNER, op);
        }
    }

    /// The sets that a majority of an era's owners signed, and by what.
    fn followers(&self, era: &Era) -> Vec<(Vec<AccountId>, Consents)> {
        let Some(proposals) = self.owners.proposals.get(&era.id) else { return Vec::new() };
        let mut followers = Vec::new();
        for (names, signed) in proposals {
            let mut consents = Consents::new();
            for owner in &era.owners {
                let operations = signed.get(owner).map(Vec::as_slice).unwrap_or_default();
                let counting: Vec<OpIx> =
                    operations.iter().copied().filter(|op| self.device_counts(*op)).collect();
                if !counting.is_empty() {
                    consents.insert(*owner, counting);
                }
            }
            if consents.len() >= era.quorum_to_follow() {
                followers.push((names.clone(), consents));
            }
        }
        followers
    }

    /// Notes in the ledgers who owned the hub when.
    fn crown(&mut self) {
        let mut reigns: BTreeMap<AccountIx, Vec<Reign>> = BTreeMap::new();
        for (at, era) in self.owners.eras.iter().enumerate() {
            for owner in &era.owners {
                let reigns = reigns.entry(*owner).or_default();
                match reigns.last_mut() {
                    Some(reign) if reign.end == Some(at) => reign.end = Some(at + 1),
                    _ => reigns.push(Reign { first: at, end: Some(at + 1) }),
                }
            }
        }
        let now = self.owners.eras.len();
        for account in self.accounts.iter().map(|(account, _)| account).collect::<Vec<_>>() {
            let mut own = reigns.remove(&account).unwrap_or_default();
            if let Some(last) = own.last_mut().filter(|last| last.end == Some(now)) {
                last.end = None;
            }
            self.accounts[account].reigns = own;
        }
    }

    /// Whether the author of `x` wrote it as an owner: he had seen that he became one, and
    /// those who replaced him, if they did, had seen this.
    pub(super) fn owns(&self, x: OpIx, author: AccountIx) -> bool {
        self.accounts[author].reigns.iter().any(|reign| {
            let end = reign.end.unwrap_or(self.owners.eras.len());
            let eras = self.owners.eras.get(reign.first..end).unwrap_or_default();
            eras.iter().any(|era| self.knows_era(&self.graph.ops[x].seen, era))
                && reign
                    .end
                    .and_then(|end| self.owners.eras.get(end))
                    .is_none_or(|successor| self.was_seen_by(x, author, successor))
        })
    }

    /// Whether an account owns the hub now.
    pub(super) fn rules_now(&self, account: AccountIx) -> bool {
        self.accounts[account].reigns.last().is_some_and(|reign| reign.end.is_none())
    }

    /// Whether an account owned the hub at some time that a past knows of.
    pub(super) fn ruled(&self, account: AccountIx, past: &Past) -> bool {
        self.accounts[account].reigns.iter().any(|reign| {
            let end = reign.end.unwrap_or(self.owners.eras.len());
            let eras = self.owners.eras.get(reign.first..end).unwrap_or_default();
            eras.iter().any(|era| self.knows_era(past, era))
        })
    }

    /// Whether a past holds that a majority had brought an era about.
    fn knows_era(&self, past: &Past, era: &Era) -> bool {
        let seen = era
            .consents
            .values()
            .filter(|consents| consents.iter().any(|consent| self.graph.holds(past, *consent)));
        seen.count() >= era.quorum
    }

    /// Whether those who replaced the author had seen `x`: one who stays in all that he
    /// signed, or if none stays, one of the others, himself only if he was alone.
    fn was_seen_by(&self, x: OpIx, author: AccountIx, era: &Era) -> bool {
        let staying = era.consents.keys().any(|owner| era.owners.contains(owner));
        let alone = era.consents.len() == 1;
        era.consents.iter().any(|(owner, consents)| {
            let entitled =
                if staying { era.owners.contains(owner) } else { alone || *owner != author };
            entitled && consents.iter().all(|consent| *consent == x || self.graph.sees(*consent, x))
        })
    }

    /// What is concluded about one owner's word for a change.
    pub(super) fn succession_verdict(
        &self,
        x: OpIx,
        from: &OwnersId,
        owners: &[AccountId],
    ) -> Verdict {
        let author = self.graph.ops[x].account;
        let eras = &self.owners.eras;
        let Some(at) = eras.iter().position(|era| era.id == *from) else {
            return Verdict::Void(Why::NotOwner);
        };
        let Some(era) = eras.get(at).filter(|era| era.owners.contains(&author)) else {
            return Verdict::Void(Why::NotOwner);
        };
        let id = era.id.followed_by(owners);
        match eras.get(at + 1) {
            Some(next) if next.id == id => Verdict::Counts(Rank::OWNER),
            None if self.owners.contested => Verdict::Void(Why::Contested),
            _ => Verdict::Void(Why::Consent),
        }
    }
}
