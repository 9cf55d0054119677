//! The whole row of checks of a map change, cheapest first.
//!
//! ```text
//! prescan ─► parse ─► canonical ─► position ─► causal past ─► trial on a copy
//!    └────────────── Invalid ──────────┴──► Deferred ─┴──────► Quarantined
//! ```
//!
//! *Invalid* is the same on every replica: it follows from the bytes and the causal past.
//! *Deferred* ends when the missing changes arrive. *Quarantined* says that this version of
//! Automerge cannot take the change, and nothing about the change.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, Automerge, AutomergeError, ExpandedChange, ObjId, ROOT, ReadDoc};
use thiserror::Error;

use crate::change::malformed::Malformed;
use crate::change::prescan::{Operation, OperationId, Scan, prescan};
use crate::change::{Actor, ChainPosition};
use crate::hash::{ChangeHash, ChangeId};

pub(crate) use run::Run;

/// Why a change is not let in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GateError {
    /// Malformed, here and everywhere, now and for ever.
    #[error("invalid change: {0}")]
    Invalid(#[from] Malformed),
    /// It depends on changes that are not in the document.
    #[error("{} dependencies are missing", missing.len())]
    Deferred {
        /// Which; not empty, sorted.
        missing: Vec<ChangeHash>,
    },
    /// The document holds another change of this actor and number.
    #[error("another change holds number {n} of its chain")]
    Forked {
        /// The number.
        n: u64,
    },
    /// This version of Automerge cannot take it.
    #[error("quarantined: {0}")]
    Quarantined(TrialFailure),
}

impl GateError {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(reason) => reason.name(),
            Self::Deferred { .. } => "deferred",
            Self::Forked { .. } => "forked",
            Self::Quarantined(failure) => failure.name(),
        }
    }
}

/// What went wrong on a copy of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrialFailure {
    /// Automerge panicked.
    #[error("automerge panicked")]
    Panic,
    /// Automerge refused to apply it.
    #[error("automerge refused it")]
    Refused,
    /// The document gave back other bytes, or none.
    #[error("the document does not give it back")]
    ReadBack,
}

impl TrialFailure {
    /// Returns a stable name for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Panic => "trial_panic",
            Self::Refused => "trial_refused",
            Self::ReadBack => "trial_read_back",
        }
    }
}

/// A change that passed every check but the trial. Only [`examine`] makes one.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) scan: Scan,
    pub(crate) id: ChangeId,
    pub(crate) change: automerge::Change,
}

/// Checks a change against the document it is for, and applies nothing.
pub(crate) fn examine(
    doc: &Automerge,
    bytes: &[u8],
    expected: &ChainPosition,
) -> Result<Examined, GateError> {
    let scan = prescan(bytes)?;
    let change = parse_canonical(bytes)?;
    check_position(&scan.actor, scan.sequence, &scan.dependencies, expected)?;
    check_past(doc, &scan, expected)?;
    Ok(Examined { scan, id: ChangeId::of(bytes), change })
}

/// Applies a change to a copy of the document, and returns the copy if it is sound.
pub(crate) fn trial(doc: &Automerge, examined: &Examined) -> Result<Automerge, GateError> {
    let mut copy = doc.clone();
    catch_unwind(AssertUnwindSafe(|| apply(&mut copy, examined)))
        .map_err(|_| GateError::Quarantined(TrialFailure::Panic))??;
    Ok(copy)
}

/// Applies a change in place. The document is lost if this fails or panics.
pub(crate) fn apply(doc: &mut Automerge, examined: &Examined) -> Result<(), GateError> {
    match doc.apply_changes([examined.change.clone()]) {
        Ok(()) => {}
        Err(AutomergeError::DuplicateSeqNumber(n, _)) => return Err(GateError::Forked { n }),
        Err(_) => return Err(GateError::Quarantined(TrialFailure::Refused)),
    }
    let back = doc.get_change_by_hash(&automerge_hash(&examined.scan.hash));
    if back.is_some_and(|back| back.raw_bytes() == examined.change.raw_bytes()) {
        Ok(())
    } else {
        Err(GateError::Quarantined(TrialFailure::ReadBack))
    }
}

/// Lets Automerge parse what the prescan found bounded, and encode it again.
pub(crate) fn parse_canonical(bytes: &[u8]) -> Result<automerge::Change, GateError> {
    let encoded = catch_unwind(|| {
        let change = automerge::Change::from_bytes(bytes.to_vec()).ok()?;
        let again = automerge::Change::from(ExpandedChange::from(&change));
        Some((change, again))
    });
    let parsed = encoded.map_err(|_| GateError::Quarantined(TrialFailure::Panic))?;
    let (change, again) = parsed.ok_or(Malformed::Parser)?;
    if again.raw_bytes() == bytes { Ok(change) } else { Err(Malformed::NotCanonical.into()) }
}

/// Checks that a change claims the place that its chain's links prove.
pub(crate) fn check_position(
    actor: &Actor,
    sequence: u64,
    dependencies: &[ChangeHash],
    expected: &ChainPosition,
) -> Result<(), Malformed> {
    if *actor != expected.actor {
        return Err(Malformed::Actor);
    }
    if sequence != expected.n {
        return Err(Malformed::Sequence { expected: expected.n, found: sequence });
    }
    match expected.previous {
        Some(previous) if !dependencies.contains(&previous) => Err(Malformed::Previous),
        None if expected.n != 1 => Err(Malformed::Previous),
        _ => Ok(()),
    }
}

fn check_past(doc: &Automerge, scan: &Scan, expected: &ChainPosition) -> Result<(), GateError> {
    let mut missing = Vec::new();
    let mut highest = 0;
    for dependency in &scan.dependencies {
        let Some(meta) = doc.get_change_meta_by_hash(&automerge_hash(dependency)) else {
            missing.push(*dependency);
            continue;
        };
        highest = highest.max(meta.max_op);
        let own = meta.actor.to_bytes() == expected.actor.as_bytes();
        if own && Some(*dependency) != expected.previous {
            return Err(Malformed::OwnBranch.into());
        }
        if Some(*dependency) == expected.previous && !(own && meta.seq + 1 == expected.n) {
            return Err(Malformed::Previous.into());
        }
    }
    if !missing.is_empty() {
        return Err(GateError::Deferred { missing });
    }
    let (expected, found) = (highest + 1, scan.start_operation);
    if found != expected {
        return Err(Malformed::StartOperation { expected, found }.into());
    }
    let heads: Vec<_> = scan.dependencies.iter().map(automerge_hash).collect();
    for operation in &scan.operations {
        if visible(doc, &operation.key, &heads)? != operation.predecessors {
            return Err(Malformed::NotVisible.into());
        }
    }
    Ok(())
}

/// Returns the operations whose values are visible under `key` at `heads`, sorted.
fn visible(
    doc: &Automerge,
    key: &str,
    heads: &[automerge::ChangeHash],
) -> Result<Vec<OperationId>, GateError> {
    let refused = GateError::Quarantined(TrialFailure::Refused);
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let values = doc.get_all_at(ROOT, key, heads).map_err(|_| refused.clone())?;
    let ids = values.iter().map(|(_, id)| operation_id(id)).collect::<Option<BTreeSet<_>>>();
    Ok(ids.ok_or(refused)?.into_iter().collect())
}

/// Names the operation behind an object id; `None` for the root and for foreign actors.
pub(crate) fn operation_id(id: &ObjId) -> Option<OperationId> {
    match id {
        ObjId::Id(counter, actor, _) => {
            let actor = Actor::from_bytes(actor.to_bytes().try_into().ok()?);
            Some(OperationId { counter: *counter, actor })
        }
        ObjId::Root => None,
    }
}

/// What a change of our own is to hold; the rest follows from the document.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) position: ChainPosition,
    pub(crate) dependencies: Vec<ChangeHash>,
    pub(crate) edits: &'a [(&'a str, Option<crate::change::value::Value>)],
}

impl Draft<'_> {
    /// Builds the chunk; `None` if there is nothing to do, or Automerge fails.
    ///
    /// Deletes of absent keys are left out; of two edits of one key the later counts.
    pub(crate) fn build(&self, doc: &Automerge) -> Result<Option<Vec<u8>>, GateError> {
        let heads: Vec<_> = self.dependencies.iter().map(automerge_hash).collect();
        let highest = heads
            .iter()
            .filter_map(|hash| doc.get_change_meta_by_hash(hash))
            .map(|meta| meta.max_op)
            .max();
        let edits: std::collections::BTreeMap<_, _> =
            self.edits.iter().map(|(key, value)| (*key, value)).collect();
        let mut operations = Vec::new();
        for (key, value) in edits {
            let predecessors = visible(doc, key, &heads)?;
            if value.is_some() || !predecessors.is_empty() {
                let value = value.clone();
                operations.push(Operation { key: key.to_owned(), value, predecessors });
            }
        }
        let start = highest.unwrap_or(0).checked_add(1).and_then(NonZeroU64::new);
        let Some(start_op) = start.filter(|_| !operations.is_empty()) else { return Ok(None) };
        let expanded = ExpandedChange {
            operations: operations.into_iter().map(expand).collect(),
            actor_id: ActorId::from(self.position.actor.as_bytes()),
            author: None,
            hash: None,
            seq: self.position.n,
            start_op,
            time: 0,
            message: None,
            deps: heads,
            extra_bytes: Vec::new(),
        };
        catch_unwind(|| automerge::Change::from(expanded).raw_bytes().to_vec())
            .map(Some)
            .map_err(|_| GateError::Quarantined(TrialFailure::Panic))
    }
}

fn expand(operation: Operation) -> Op {
    Op {
        action: operation.value.map_or(OpType::Delete, |value| OpType::Put(value.into())),
        obj: ObjectId::Root,
        key: Key::Map(operation.key.into()),
        pred: operation
            .predecessors
            .iter()
            .map(|id| OpId(id.counter, ActorId::from(id.actor.as_bytes())))
            .collect(),
        insert: false,
    }
}

/// Our name of a change hash as Automerge's type.
pub(crate) const fn automerge_hash(hash: &ChangeHash) -> automerge::ChangeHash {
    automerge::ChangeHash(*hash.as_bytes())
}

/// Automerge's change hash as our type.
pub(crate) const fn change_hash(hash: &automerge::ChangeHash) -> ChangeHash {
    ChangeHash::from_bytes(hash.0)
}

mod run;
#[cfg(test)]
mod tests;
