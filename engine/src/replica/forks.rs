//! Chains with two histories: which branch is followed, and evidence of the others.

use super::receive::{Arrival, Stop, deferred, refused};
use super::steps::{Step, StepData};
use super::{EngineError, Replica, State, Work};
use crate::chain::{ChainKey, extend};
use crate::codec::{Reader, Writer};
use crate::hash::{BlobHash, ChangeId, Link};
use crate::store::{Table, keys};
use crate::sync::exchange::{ForkReport, Reason, Receipt, Verdict};
use crate::wire::HeadBytes;

/// Other branches of one chain that are kept as evidence.
const BRANCHES_MAX: usize = 4;

/// The other branch of a forked chain, kept as evidence: its head and all its ids.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub head: HeadBytes,
    pub n: u64,
    pub link: Link,
    pub ids: Vec<ChangeId>,
}

impl Replica {
    /// Other branches of a chain that are known here.
    pub(crate) fn branches(
        &self,
        state: &mut State,
        key: &ChainKey,
    ) -> Result<Vec<Branch>, EngineError> {
        if let Some(known) = state.forks.get(key) {
            return Ok(known.clone());
        }
        let mut branches = Vec::new();
        for (_, value) in self.scan_all(Table::Meta, &keys::fork_prefix(key))? {
            let mut r = Reader::new(&value);
            let head = r.array("head").map_err(EngineError::corrupt)?;
            let n = r.u64("n").map_err(EngineError::corrupt)?;
            let link = Link::from_bytes(r.array("link").map_err(EngineError::corrupt)?);
            let ids = r.rest().chunks_exact(32).filter_map(|id| id.try_into().ok());
            branches.push(Branch { head, n, link, ids: ids.map(ChangeId::from_bytes).collect() });
        }
        state.forks.insert(*key, branches.clone());
        Ok(branches)
    }

    /// Whether a head is of no version of the chain that is followed here.
    pub(super) fn is_unknown(&self, arrival: &Arrival) -> Result<bool, EngineError> {
        let (head, chain) = (&arrival.head, &arrival.chain);
        if head.n >= chain.known {
            return Ok(head.n > chain.known || head.link != chain.known_link);
        }
        let ids = self.change_ids(&arrival.key, 1, head.n)?;
        let origin = arrival.key.origin(&arrival.section.space);
        Ok(ids.len() as u64 == head.n && link_after(origin, &ids) != head.link)
    }

    /// Keeps a second branch of a chain as evidence: its head and the ids that lead to it.
    pub(super) fn take_fork(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        steps: &[Step],
        receipt: &mut Receipt,
    ) -> Result<(u64, Verdict), Stop> {
        let chain = &arrival.chain;
        let ids: Vec<ChangeId> = steps.iter().map(|step| step.id).collect();
        let ours = self.change_ids(&arrival.key, 1, chain.held)?;
        let origin = arrival.key.origin(&arrival.section.space);
        let differs = ids.iter().zip(&ours).any(|(id, our)| id != our)
            || ids
                .get(..place(chain.known))
                .is_some_and(|ids| chain.known > 0 && link_after(origin, ids) != chain.known_link);
        let proven = ids.len() as u64 == arrival.head.n && differs;
        let Ok(head) = arrival.head.bytes.as_slice().try_into() else {
            return Err(refused(Reason::Malformed));
        };
        if !proven {
            // Not a branch: a longer version of ours, or nothing that shows one.
            return Err(deferred(Reason::Moved));
        }
        let mut branches = self.branches(state, &arrival.key)?;
        let known = branches.iter().any(|branch| branch.ids.starts_with(&ids));
        // A branch that went on takes the place of its shorter self.
        let outgrown = branches.iter().any(|branch| ids.starts_with(&branch.ids));
        let new = !known && !outgrown;
        if !known && (outgrown || branches.len() < BRANCHES_MAX) {
            for old in branches.iter().filter(|branch| ids.starts_with(&branch.ids)) {
                Self::forget_branch(work, &arrival.key, old);
            }
            let (n, link) = (arrival.head.n, arrival.head.link);
            branches.retain(|branch| !ids.starts_with(&branch.ids));
            let branch_ids = ids.clone();
            let branch = Branch { head, n, link, ids };
            Self::note_branch(work, &arrival.key, &branch);
            branches.push(branch);
            work.spaces.insert(arrival.section.space);
            state.dirty = true;
            self.take_back_head(state, work, arrival, &branch_ids)?;
            state.forks.insert(arrival.key, branches);
            self.judge_again(state, work, arrival);
        }
        receipt.forks.push(ForkReport { chain: arrival.key, new });
        Ok((1, Verdict::Accepted { held_n: chain.held }))
    }

    /// Whether a whole branch, with data, is the one that is followed here: a newcomer follows
    /// the first of which the changes come. Where the newest head is a bare one, nobody
    /// knows yet whose it is.
    pub(super) fn goes_on(&self, arrival: &Arrival, steps: &[Step]) -> Result<bool, EngineError> {
        let chain = &arrival.chain;
        let next = steps.get(place(chain.held));
        if next.is_none_or(|step| matches!(step.data, StepData::Id)) {
            return Ok(false);
        }
        let ids: Vec<ChangeId> = steps.iter().map(|step| step.id).collect();
        let origin = arrival.key.origin(&arrival.section.space);
        let reaches = |n: u64, link: Link| {
            ids.get(..place(n)).is_some_and(|ids| link_after(origin, ids) == link)
        };
        if !reaches(chain.held, chain.link) {
            return Ok(false);
        }
        if arrival.head.n < chain.known {
            return Ok(self.bridge(&arrival.key, chain)?.is_none());
        }
        Ok(reaches(chain.known, chain.known_link))
    }

    /// Whether a head that seems newer than ours is one of a branch that is evidence already, and
    /// must not take the place of the branch that is followed.
    pub(super) fn is_known_branch(
        &self,
        state: &mut State,
        arrival: &Arrival,
    ) -> Result<bool, EngineError> {
        let head = &arrival.head;
        if head.n <= arrival.chain.known {
            return Ok(false);
        }
        let origin = arrival.key.origin(&arrival.section.space);
        let leads_there = |branch: &Branch| {
            let ids = branch.ids.get(..place(head.n));
            ids.is_some_and(|ids| link_after(origin, ids) == head.link)
        };
        Ok(self.branches(state, &arrival.key)?.iter().any(leads_there))
    }

    /// Where the newest known head turns out to be of another branch than what is held, the
    /// last head of the own branch takes its place again.
    fn take_back_head(
        &self,
        state: &mut State,
        work: &mut Work,
        arrival: &Arrival,
        ids: &[ChangeId],
    ) -> Result<(), EngineError> {
        let chain = &arrival.chain;
        let origin = arrival.key.origin(&arrival.section.space);
        let reaches = |n: u64, link: Link| {
            ids.get(..place(n)).is_some_and(|ids| link_after(origin, ids) == link)
        };
        if !reaches(chain.known, chain.known_link) || reaches(chain.held, chain.link) {
            return Ok(());
        }
        if let Some((head, n, link)) = self.proof(&arrival.key, chain)?
            && (n, link) == (chain.held, chain.link)
        {
            let mut chain = chain.clone();
            chain.head = head.to_vec();
            chain.known = n;
            chain.known_link = link;
            state.dirty = true;
            state.chains.insert(arrival.key, chain);
            work.chains.insert(arrival.key);
        }
        Ok(())
    }

    /// A branch that became known may be the one that a cut names.
    fn judge_again(&self, state: &mut State, work: &mut Work, arrival: &Arrival) {
        let account = arrival.description.account;
        state.agreed.retain(|tip, _| tip.doc != arrival.key.doc);
        state.unsettled = true;
        state.settled.remove(&account);
        work.accounts.insert(account);
        work.batch.put(Table::Meta, keys::unsettled(&account), Vec::new());
    }

    /// Keeps a branch as evidence.
    pub(super) fn note_branch(work: &mut Work, key: &ChainKey, branch: &Branch) {
        let mut w = Writer::new();
        w.raw(&branch.head).u64(branch.n).raw(branch.link.as_bytes());
        for id in &branch.ids {
            w.raw(id.as_bytes());
        }
        let evidence = keys::fork(key, &BlobHash::of(&branch.head));
        work.batch.put(Table::Meta, evidence, w.finish());
    }

    /// Takes a branch out of the evidence: it went on, or is followed now.
    pub(super) fn forget_branch(work: &mut Work, key: &ChainKey, branch: &Branch) {
        work.batch.delete(Table::Meta, keys::fork(key, &BlobHash::of(&branch.head)));
    }
}

fn link_after(origin: Link, ids: &[ChangeId]) -> Link {
    (1..).zip(ids).fold(origin, |link, (n, id)| extend(&link, n, id))
}

/// A number of changes as a place in a list.
pub(super) fn place(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
