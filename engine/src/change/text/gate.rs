//! The row of checks of a text change but the trial, and building one of our own.

use std::num::NonZeroU64;
use std::panic::catch_unwind;

use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ExpandedChange, ObjType, ScalarValue};

use super::past::{Past, Seen};
use super::{TEXT_KEY, TextOperation, TextScan, prescan_text};
use crate::change::ChainPosition;
use crate::change::gate::{
    GateError, TrialFailure, automerge_hash, check_position, parse_canonical,
};
use crate::change::malformed::Malformed;
use crate::change::prescan::OperationId;
use crate::hash::ChangeHash;

/// A text change that passed every check but the trial. Only [`examine`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct ExaminedText {
    pub(crate) scan: TextScan,
    pub(crate) change: automerge::Change,
}

/// Checks a change against what the document holds, and adds nothing.
pub(crate) fn examine(
    past: &Past,
    bytes: &[u8],
    expected: &ChainPosition,
) -> Result<ExaminedText, GateError> {
    let scan = prescan_text(bytes)?;
    let change = parse_canonical(bytes)?;
    check_position(&scan.actor, scan.sequence, &scan.dependencies, expected)?;
    check_past(past, &scan, expected)?;
    Ok(ExaminedText { scan, change })
}

fn check_past(past: &Past, scan: &TextScan, expected: &ChainPosition) -> Result<(), GateError> {
    let mut missing = Vec::new();
    for dependency in &scan.dependencies {
        let Some((actor, n)) = past.place_of(dependency) else {
            missing.push(*dependency);
            continue;
        };
        let own = actor == expected.actor;
        if own && Some(*dependency) != expected.previous {
            return Err(Malformed::OwnBranch.into());
        }
        if Some(*dependency) == expected.previous && !(own && n + 1 == expected.n) {
            return Err(Malformed::Previous.into());
        }
    }
    let seen = past.seen(&scan.dependencies).filter(|_| missing.is_empty());
    let Some(seen) = seen else { return Err(GateError::Deferred { missing }) };
    let (expected_start, found) = (seen.highest + 1, scan.start_operation);
    if found != expected_start {
        return Err(Malformed::StartOperation { expected: expected_start, found }.into());
    }
    if past.length(&scan.actor) >= scan.sequence && past.place_of(&scan.hash).is_none() {
        return Err(GateError::Forked { n: scan.sequence });
    }
    let whole = Whole { past, seen: &seen, scan };
    let fits = scan.operations.iter().enumerate().all(|(at, operation)| whole.fits(at, operation));
    if fits { Ok(()) } else { Err(Malformed::Element.into()) }
}

/// What an operation may name: what the past has, and what the same change has made before.
struct Whole<'a> {
    past: &'a Past,
    seen: &'a Seen,
    scan: &'a TextScan,
}

impl Whole<'_> {
    fn fits(&self, at: usize, operation: &TextOperation) -> bool {
        match operation {
            TextOperation::Make => true,
            TextOperation::Insert { object, after, .. } => {
                self.has_text(at, object)
                    && after.is_none_or(|after| {
                        self.inserts(at, object, &after)
                            || self.past.has_character(self.seen, object, &after)
                    })
            }
            TextOperation::Delete { object, element } => {
                self.past.has_text(self.seen, object)
                    && self.past.has_character(self.seen, object, element)
            }
        }
    }

    fn own(&self, at: usize, id: &OperationId) -> Option<&TextOperation> {
        let own = id.actor == self.scan.actor;
        let place = id.counter.checked_sub(self.scan.start_operation).filter(|_| own)?;
        let place = usize::try_from(place).ok().filter(|place| *place < at)?;
        self.scan.operations.get(place)
    }

    fn has_text(&self, at: usize, object: &OperationId) -> bool {
        self.own(at, object) == Some(&TextOperation::Make) || self.past.has_text(self.seen, object)
    }

    /// Whether an operation before inserts this character into this text.
    fn inserts(&self, at: usize, text: &OperationId, element: &OperationId) -> bool {
        let before = self.own(at, element);
        matches!(before, Some(TextOperation::Insert { object, .. }) if object == text)
    }
}

/// What a change of our own is to hold.
#[derive(Debug, Clone)]
pub(crate) struct TextDraft<'a> {
    pub(crate) position: ChainPosition,
    pub(crate) dependencies: Vec<ChangeHash>,
    pub(crate) start_operation: u64,
    pub(crate) time_ms: u64,
    pub(crate) operations: &'a [TextOperation],
}

impl TextDraft<'_> {
    /// Builds the chunk.
    pub(crate) fn build(&self) -> Result<Vec<u8>, GateError> {
        let start_op = NonZeroU64::new(self.start_operation).ok_or(Malformed::Counter)?;
        let mut dependencies = self.dependencies.clone();
        dependencies.sort_unstable();
        let expanded = ExpandedChange {
            operations: self.operations.iter().map(expand).collect(),
            actor_id: ActorId::from(self.position.actor.as_bytes()),
            author: None,
            hash: None,
            seq: self.position.n,
            start_op,
            time: i64::try_from(self.time_ms).map_err(|_| Malformed::Time)?,
            message: None,
            deps: dependencies.iter().map(automerge_hash).collect(),
            extra_bytes: Vec::new(),
        };
        catch_unwind(|| automerge::Change::from(expanded).raw_bytes().to_vec())
            .map_err(|_| GateError::Quarantined(TrialFailure::Panic))
    }
}

fn expand(operation: &TextOperation) -> Op {
    match operation {
        TextOperation::Make => Op {
            action: OpType::Make(ObjType::Text),
            obj: ObjectId::Root,
            key: Key::Map(TEXT_KEY.into()),
            pred: Vec::new().into(),
            insert: false,
        },
        TextOperation::Insert { object, after, character } => Op {
            action: OpType::Put(ScalarValue::Str(character.encode_utf8(&mut [0; 4]).into())),
            obj: ObjectId::Id(operation_id(object)),
            key: Key::Seq(after.map_or(ElementId::Head, |id| ElementId::Id(operation_id(&id)))),
            pred: Vec::new().into(),
            insert: true,
        },
        TextOperation::Delete { object, element } => Op {
            action: OpType::Delete,
            obj: ObjectId::Id(operation_id(object)),
            key: Key::Seq(ElementId::Id(operation_id(element))),
            pred: vec![operation_id(element)].into(),
            insert: false,
        },
    }
}

fn operation_id(id: &OperationId) -> OpId {
    OpId(id.counter, ActorId::from(id.actor.as_bytes()))
}
