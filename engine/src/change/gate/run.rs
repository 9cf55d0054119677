//! Many changes through the gate at once: each is looked at alone, Automerge applies them
//! together, on one copy.
//!
//! Where a change builds on all that came before it, which values are visible follows from the
//! changes themselves; only of keys that the run has not touched yet the document is asked. A
//! change that builds on less is looked at when what waits has been applied.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::{Automerge, ROOT, ReadDoc};

use super::{
    Examined, GateError, TrialFailure, automerge_hash, change_hash, check_past, check_position,
    operation_id, parse_canonical,
};
use crate::change::prescan::{OperationId, Scan, prescan};
use crate::change::{Actor, ChainPosition};
use crate::hash::{ChangeHash, ChangeId};

/// What is known of a change that nothing depends on yet.
#[derive(Debug, Clone, Copy)]
struct Head {
    actor: Actor,
    sequence: u64,
    highest: u64,
}

/// A copy of a document and the changes that it is to take.
#[derive(Debug)]
pub(crate) struct Run {
    doc: Automerge,
    heads: BTreeMap<ChangeHash, Head>,
    visible: HashMap<String, Vec<OperationId>>,
    waiting: Vec<Examined>,
    unsound: bool,
}

impl Run {
    /// Begins with a copy of a document; `None` if it holds what no gate lets in.
    pub(crate) fn new(doc: Automerge) -> Option<Self> {
        let mut heads = BTreeMap::new();
        for hash in doc.get_heads() {
            let meta = doc.get_change_meta_by_hash(&hash)?;
            let actor = Actor::from_bytes(meta.actor.to_bytes().try_into().ok()?);
            let head = Head { actor, sequence: meta.seq, highest: meta.max_op };
            heads.insert(change_hash(&hash), head);
        }
        let (visible, waiting) = (HashMap::new(), Vec::new());
        Some(Self { doc, heads, visible, waiting, unsound: false })
    }

    /// Looks at the next change, and lets it wait to be applied.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        expected: &ChainPosition,
    ) -> Result<ChangeHash, GateError> {
        let scan = prescan(bytes)?;
        let change = parse_canonical(bytes)?;
        check_position(&scan.actor, scan.sequence, &scan.dependencies, expected)?;
        let follows = self.follows(&scan, expected);
        if !follows {
            self.apply()?;
            check_past(&self.doc, &scan, expected)?;
        }
        let hash = scan.hash;
        let highest = scan.start_operation + scan.operations.len() as u64 - 1;
        self.heads.retain(|head, _| scan.dependencies.binary_search(head).is_err());
        let head = Head { actor: scan.actor, sequence: scan.sequence, highest };
        self.heads.insert(hash, head);
        if follows {
            for (counter, operation) in (scan.start_operation..).zip(&scan.operations) {
                let put = operation.value.is_some();
                let now = put.then_some(OperationId { counter, actor: scan.actor });
                self.visible.insert(operation.key.clone(), now.into_iter().collect());
            }
        }
        self.waiting.push(Examined { scan, id: ChangeId::of(bytes), change });
        if !follows {
            self.apply()?;
            self.visible.clear();
        }
        Ok(hash)
    }

    /// Applies what waits, and returns the document if it is sound.
    pub(crate) fn finish(mut self) -> Option<Automerge> {
        let applied = self.apply().is_ok();
        (applied && !self.unsound).then_some(self.doc)
    }

    /// Whether a change builds on all that is here, and rightly so.
    fn follows(&mut self, scan: &Scan, expected: &ChainPosition) -> bool {
        if !self.heads.keys().eq(&scan.dependencies) {
            return false;
        }
        let own = |head: &Head| head.actor == expected.actor;
        let placed = self.heads.iter().all(|(hash, head)| {
            let previous = Some(*hash) == expected.previous;
            own(head) == previous && (!previous || head.sequence + 1 == expected.n)
        });
        let highest = self.heads.values().map(|head| head.highest).max().unwrap_or(0);
        if !placed || scan.start_operation != highest + 1 {
            return false;
        }
        let doc = &self.doc;
        scan.operations.iter().all(|operation| {
            if let Some(visible) = self.visible.get(&operation.key) {
                return *visible == operation.predecessors;
            }
            // What waits has not touched this key.
            let Some(visible) = visible_now(doc, &operation.key) else { return false };
            let same = visible == operation.predecessors;
            self.visible.insert(operation.key.clone(), visible);
            same
        })
    }

    /// Applies what waits, and reads each change back, byte for byte.
    fn apply(&mut self) -> Result<(), GateError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.unsound = true;
        let doc = &mut self.doc;
        catch_unwind(AssertUnwindSafe(|| {
            let before = doc.get_heads();
            let changes: Vec<_> = waiting.iter().map(|examined| examined.change.clone()).collect();
            doc.apply_changes(changes)
                .map_err(|_| GateError::Quarantined(TrialFailure::Refused))?;
            let back: HashMap<_, _> =
                doc.get_changes(&before).into_iter().map(|back| (back.hash(), back)).collect();
            let whole = back.len() == waiting.len()
                && waiting.iter().all(|examined| {
                    let back = back.get(&automerge_hash(&examined.scan.hash));
                    back.is_some_and(|back| back.raw_bytes() == examined.change.raw_bytes())
                });
            if whole { Ok(()) } else { Err(GateError::Quarantined(TrialFailure::ReadBack)) }
        }))
        .map_err(|_| GateError::Quarantined(TrialFailure::Panic))??;
        self.unsound = false;
        Ok(())
    }
}

/// Names the operations whose values are visible under a key now, sorted.
fn visible_now(doc: &Automerge, key: &str) -> Option<Vec<OperationId>> {
    let values = doc.get_all(ROOT, key).ok()?;
    let mut ids: Vec<_> =
        values.iter().map(|(_, id)| operation_id(id)).collect::<Option<Vec<_>>>()?;
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}
