//! The operations of a hub as a graph: who had seen what.
//!
//! ```text
//! chain of Ada's laptop   1 ── 2 ── 3 ── 4          one strand
//!                              ╲       ╱ seen
//! chain of Ben's phone          1 ── 2 ── 3         two strands: it was forked after 2
//!                                     ╲── 3'
//! ```
//!
//! An operation is placed when all that it names is placed; until then it waits. Each branch
//! of a forked chain is a strand of its own, and what two branches do counts as concurrent.
//! Which branch came first here has no meaning: outside, operations have ids.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::HubItem;
use super::deed::Deed;
use super::past::Past;
use super::table::{AccountIx, OpIx, StrandIx, Table};
use super::verdict::Verdict;
use crate::chain::ChainKey;
use crate::hash::{ChangeId, Link};

/// One operation, or another entry of a hub log, which only stands for what it had seen.
#[derive(Debug)]
pub(super) struct Op {
    pub id: ChangeId,
    /// Link of its chain with it.
    pub link: Link,
    pub account: AccountIx,
    pub strand: StrandIx,
    /// Its number in the chain.
    pub n: u32,
    /// What its author had seen, and itself.
    pub seen: Past,
    /// Claimed time.
    pub time_ms: u64,
    /// Claimed time raised to that of everything seen.
    pub at_ms: u64,
    /// What it does; `None` for other entries of a hub log.
    pub deed: Option<Deed>,
    pub verdict: Verdict,
}

impl Default for Op {
    fn default() -> Self {
        Self {
            id: ChangeId::from_bytes([0; 32]),
            link: Link::from_bytes([0; 32]),
            account: AccountIx::default(),
            strand: StrandIx::default(),
            n: 0,
            seen: Past::default(),
            time_ms: 0,
            at_ms: 0,
            deed: None,
            verdict: Verdict::Silent,
        }
    }
}

/// One branch of a chain.
#[derive(Debug, Default)]
pub(super) struct Strand {
    /// The chain, among those of [`Graph::chains`].
    pub chain: Option<ChainKey>,
    /// Where it leaves another branch.
    pub base: Option<(StrandIx, u32)>,
    /// Its operations, the first of which follows the base.
    pub ops: Vec<OpIx>,
}

impl Strand {
    /// Number of the last operation before this strand.
    pub(super) fn before(&self) -> u32 {
        self.base.map_or(0, |(_, n)| n)
    }

    /// Number of its last operation.
    pub(super) fn end(&self) -> u32 {
        self.before().saturating_add(u32::try_from(self.ops.len()).unwrap_or(u32::MAX))
    }

    /// Operations with numbers over `after` and at most `upto`.
    pub(super) fn between(&self, after: u32, upto: u32) -> &[OpIx] {
        let before = self.before();
        let end = (upto.min(self.end())).saturating_sub(before) as usize;
        let start = (after.saturating_sub(before) as usize).min(end);
        self.ops.get(start..end).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    pub ops: Table<OpIx, Op>,
    pub strands: Table<StrandIx, Strand>,
    /// Strands of each chain: more than one of a forked one.
    pub chains: HashMap<ChainKey, Vec<StrandIx>>,
    links: HashMap<Link, OpIx>,
    ids: HashMap<ChangeId, OpIx>,
    /// Items that wait, by one link that is missing.
    waiting: HashMap<Link, Vec<HubItem>>,
    waiting_links: HashSet<Link>,
    /// Operations of members that no other of theirs has seen. What others write is not named: a
    /// replica may not have it, and all that names it would wait there.
    frontier: BTreeSet<OpIx>,
}

/// Where an item was put.
pub(super) enum Placing {
    Placed(OpIx),
    /// Something it names is not here yet.
    Waits,
    /// It is here already, or does not fit the chain that it claims to continue.
    Refused,
}

impl Graph {
    pub(super) fn by_link(&self, link: &Link) -> Option<OpIx> {
        self.links.get(link).copied()
    }

    pub(super) fn by_id(&self, id: &ChangeId) -> Option<OpIx> {
        self.ids.get(id).copied()
    }

    /// Whether the author of `x` had seen `y` when he wrote it.
    pub(super) fn sees(&self, x: OpIx, y: OpIx) -> bool {
        x != y && self.holds(&self.ops[x].seen, y)
    }

    /// Whether a past holds an operation.
    pub(super) fn holds(&self, past: &Past, y: OpIx) -> bool {
        let op = &self.ops[y];
        past.of(op.strand) >= op.n
    }

    /// Whether `x` is on the way from the beginning of the chain to `end`, `end` included.
    pub(super) fn leads_to(&self, x: OpIx, end: OpIx) -> bool {
        let op = &self.ops[x];
        let (mut strand, mut n) = (self.ops[end].strand, self.ops[end].n);
        loop {
            if strand == op.strand {
                return op.n <= n;
            }
            let Some((base, upto)) = self.strands[strand].base else { return false };
            (strand, n) = (base, upto);
        }
    }

    /// Whether the chain was forked before this operation.
    pub(super) fn is_disputed(&self, x: OpIx) -> bool {
        let op = &self.ops[x];
        let Some(chain) = &self.strands[op.strand].chain else { return false };
        let Some(strands) = self.chains.get(chain) else { return false };
        let forks = strands.iter().skip(1).map(|strand| self.strands[*strand].before());
        forks.min().is_some_and(|fork| op.n > fork)
    }

    /// Operations that no other has seen.
    pub(super) fn frontier(&self) -> impl Iterator<Item = OpIx> + '_ {
        self.frontier.iter().copied()
    }

    /// Links that items wait for.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Link> {
        self.waiting.keys().filter(|link| !self.waiting_links.contains(link))
    }

    /// Items that wait.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting_links.len()
    }

    /// Takes out what waits for a link.
    pub(super) fn release(&mut self, link: &Link) -> Vec<HubItem> {
        let items = self.waiting.remove(link).unwrap_or_default();
        for item in &items {
            self.waiting_links.remove(&item.link);
        }
        items
    }

    /// Has the ends of strands named from now on, as far as nothing else that is named has seen
    /// them.
    pub(super) fn name_ends(&mut self, strands: &[StrandIx]) {
        for strand in strands {
            let Some(end) = self.strands[*strand].ops.last().copied() else { continue };
            if self.frontier.contains(&end) || self.frontier.iter().any(|op| self.sees(*op, end)) {
                continue;
            }
            let seen: Vec<OpIx> =
                self.frontier.iter().copied().filter(|op| self.sees(end, *op)).collect();
            for op in seen {
                self.frontier.remove(&op);
            }
            self.frontier.insert(end);
        }
    }

    /// Places an item, or keeps it until what it names is here.
    pub(super) fn place(
        &mut self,
        item: HubItem,
        account: AccountIx,
        seen: &[Link],
        citable: bool,
    ) -> Placing {
        if self.links.contains_key(&item.link) || self.waiting_links.contains(&item.link) {
            return Placing::Refused;
        }
        let previous = (item.n > 1).then_some(&item.previous);
        let missing = previous.into_iter().chain(seen).find(|link| !self.links.contains_key(*link));
        if let Some(link) = missing.copied() {
            self.waiting_links.insert(item.link);
            self.waiting.entry(link).or_default().push(item);
            return Placing::Waits;
        }
        let Ok(n) = u32::try_from(item.n) else { return Placing::Refused };
        let previous = previous.and_then(|link| self.by_link(link));
        let Some(strand) = self.strand_for(&item.chain, n, previous, account) else {
            return Placing::Refused;
        };
        let mut past = previous.map(|op| self.ops[op].seen.clone()).unwrap_or_default();
        let mut at_ms = previous.map_or(item.time_ms, |op| self.ops[op].at_ms.max(item.time_ms));
        for op in seen.iter().filter_map(|link| self.by_link(link)).collect::<Vec<_>>() {
            past = past.joined(&self.ops[op].seen);
            at_ms = at_ms.max(self.ops[op].at_ms);
            if citable {
                self.frontier.remove(&op);
            }
        }
        let op = self.ops.push(Op {
            id: item.id,
            link: item.link,
            account,
            strand,
            n,
            seen: past.with(strand, n),
            time_ms: item.time_ms,
            at_ms,
            ..Op::default()
        });
        if citable {
            if let Some(previous) = previous {
                self.frontier.remove(&previous);
            }
            self.frontier.insert(op);
        }
        self.strands[strand].ops.push(op);
        self.links.insert(item.link, op);
        self.ids.insert(item.id, op);
        Placing::Placed(op)
    }

    /// The strand that an operation continues: that of the one before if that is its last,
    /// else a new one. `None` if the one before is of another chain or number.
    fn strand_for(
        &mut self,
        chain: &ChainKey,
        n: u32,
        previous: Option<OpIx>,
        account: AccountIx,
    ) -> Option<StrandIx> {
        let base = match previous {
            None if n == 1 => None,
            None => return None,
            Some(previous) => {
                let before = &self.ops[previous];
                let strand = &self.strands[before.strand];
                let fits = strand.chain.as_ref() == Some(chain)
                    && before.n.checked_add(1) == Some(n)
                    && before.account == account;
                if !fits {
                    return None;
                }
                if strand.ops.last() == Some(&previous) {
                    return Some(before.strand);
                }
                Some((before.strand, before.n))
            }
        };
        let strand = Strand { chain: Some(*chain), base, ops: Vec::new() };
        let strand = self.strands.push(strand);
        self.chains.entry(*chain).or_default().push(strand);
        Some(strand)
    }
}
