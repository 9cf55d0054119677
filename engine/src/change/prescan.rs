//! The bounded look at a map change, before Automerge sees a byte of it.
//!
//! Reads every field, expands nothing beyond the limits, and knows only what a map change
//! may hold: puts of scalars and deletes under text keys of the root.

use std::collections::BTreeSet;

use crate::change::Actor;
use crate::change::columns::spec::{
    ACTION, ACTION_DELETE, ACTION_PUT, DEFLATED, EXPAND, INSERT, KEY, KEY_ACTOR, KEY_COUNTER,
    MARK_NAME, OBJECT_ACTOR, OBJECT_COUNTER, PREDECESSOR_ACTOR, PREDECESSOR_COUNTER, PREDECESSORS,
    VALUE, VALUE_META,
};
use crate::change::columns::{Column, signed};
use crate::change::frame::{Header, Times, number, read_header};
use crate::change::malformed::Malformed;
use crate::change::value::Value;
use crate::codec::Reader;
use crate::hash::ChangeHash;
use crate::limits::{
    CHANGE_OPERATIONS_MAX, CHANGE_PREDECESSORS_MAX, MAP_KEY_BYTES_MAX, OPERATION_COUNTER_MAX,
};

/// Automerge's name of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    /// Counter, from 1.
    pub counter: u64,
    /// Who made it.
    pub actor: Actor,
}

/// One operation on a key of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The key, 1 to [`MAP_KEY_BYTES_MAX`] bytes.
    pub key: String,
    /// The new value; none for a delete.
    pub value: Option<Value>,
    /// The values it replaces.
    pub predecessors: Vec<OperationId>,
}

/// What a map change claims; its form holds, its claims are not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Automerge's name of the change.
    pub hash: ChangeHash,
    /// Who claims to write.
    pub actor: Actor,
    /// Claimed number in the chain.
    pub sequence: u64,
    /// Counter of the first operation.
    pub start_operation: u64,
    /// What it depends on, sorted.
    pub dependencies: Vec<ChangeHash>,
    /// What it does; 1 to [`CHANGE_OPERATIONS_MAX`], no key twice.
    pub operations: Vec<Operation>,
}

/// Looks at the bytes of a map change.
///
/// # Errors
/// The first thing that no map change may be or hold.
pub fn prescan(bytes: &[u8]) -> Result<Scan, Malformed> {
    let (header, mut r) = read_header(bytes, Times::None)?;
    let columns = Columns::read(&mut r)?;
    if !r.is_empty() {
        return Err(Malformed::ExtraBytes { len: r.rest().len() });
    }
    let operations = columns.operations(&header.actors)?;
    header.check_counters(operations.len(), OPERATION_COUNTER_MAX)?;
    let Header { hash, actor, sequence, start_operation, dependencies, .. } = header;
    Ok(Scan { hash, actor, sequence, start_operation, dependencies, operations })
}

/// The columns that a map change may have.
#[derive(Debug, Default)]
struct Columns<'a> {
    key: &'a [u8],
    insert: &'a [u8],
    action: &'a [u8],
    value_meta: &'a [u8],
    value: &'a [u8],
    predecessors: &'a [u8],
    predecessor_actor: &'a [u8],
    predecessor_counter: &'a [u8],
}

impl<'a> Columns<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut specs: Vec<(u64, u64)> = Vec::new();
        for _ in 0..number(r)? {
            let (spec, len) = (number(r)?, number(r)?);
            Self::check_spec(spec)?;
            if specs.last().is_some_and(|(last, _)| *last >= spec) {
                return Err(Malformed::ColumnOrder);
            }
            specs.push((spec, len));
        }
        let mut columns = Self::default();
        for (spec, len) in specs {
            let len = usize::try_from(len).map_err(|_| Malformed::Short)?;
            let data = r.take(len, "column")?;
            let place = match spec {
                KEY => &mut columns.key,
                INSERT => &mut columns.insert,
                ACTION => &mut columns.action,
                VALUE_META => &mut columns.value_meta,
                VALUE => &mut columns.value,
                PREDECESSORS => &mut columns.predecessors,
                PREDECESSOR_ACTOR => &mut columns.predecessor_actor,
                PREDECESSOR_COUNTER => &mut columns.predecessor_counter,
                column => return Err(Malformed::Column { column }),
            };
            *place = data;
        }
        Ok(columns)
    }

    const fn check_spec(column: u64) -> Result<(), Malformed> {
        if column & DEFLATED != 0 {
            return Err(Malformed::Deflated { column });
        }
        match column {
            OBJECT_ACTOR | OBJECT_COUNTER => Err(Malformed::Object),
            KEY_ACTOR | KEY_COUNTER => Err(Malformed::ListKey),
            EXPAND | MARK_NAME => Err(Malformed::Mark),
            KEY | INSERT | ACTION | VALUE_META | VALUE | PREDECESSORS | PREDECESSOR_ACTOR
            | PREDECESSOR_COUNTER => Ok(()),
            _ => Err(Malformed::Column { column }),
        }
    }

    fn operations(&self, actors: &[Actor]) -> Result<Vec<Operation>, Malformed> {
        let max = CHANGE_OPERATIONS_MAX;
        let over = Malformed::Operations;
        let column = |spec, data| Column { spec, data };
        let actions = column(ACTION, self.action).numbers(max, over)?;
        let count = actions.len();
        if count == 0 {
            return Err(Malformed::Empty);
        }
        let fits = |found: usize, column| {
            if found == count { Ok(()) } else { Err(Malformed::ColumnLength { column }) }
        };
        if let Some(action) = actions.iter().find(|a| !matches!(**a, ACTION_PUT | ACTION_DELETE)) {
            return Err(Malformed::Action { action: *action });
        }
        fits(column(INSERT, self.insert).all_false(max, over)?, INSERT)?;
        let keys = column(KEY, self.key).runs(max, over, read_key).map_err(null_is_no_key)?;
        fits(keys.len(), KEY)?;
        if keys.iter().collect::<BTreeSet<_>>().len() != count {
            return Err(Malformed::DuplicateKey);
        }
        let metas = column(VALUE_META, self.value_meta).numbers(max, over)?;
        fits(metas.len(), VALUE_META)?;
        let groups = column(PREDECESSORS, self.predecessors).numbers(max, over)?;
        fits(groups.len(), PREDECESSORS)?;
        let mut predecessors = self.predecessors(&groups, actors)?.into_iter();
        let mut values = Reader::new(self.value);
        let mut out = Vec::with_capacity(count);
        for (((key, action), meta), group) in keys.into_iter().zip(actions).zip(metas).zip(groups) {
            let value = read_value(meta, &mut values)?;
            let group = usize::try_from(group).map_err(|_| Malformed::Predecessors)?;
            let predecessors: Vec<_> = predecessors.by_ref().take(group).collect();
            if !predecessors.is_sorted_by(|a, b| a < b) {
                return Err(Malformed::PredecessorOrder);
            }
            let value = match (action, value) {
                (ACTION_PUT, value) => Some(value),
                (_, Value::Null) if predecessors.is_empty() => {
                    return Err(Malformed::DeleteNothing);
                }
                (_, Value::Null) => None,
                _ => return Err(Malformed::DeleteValue),
            };
            out.push(Operation { key: key.to_owned(), value, predecessors });
        }
        if values.is_empty() { Ok(out) } else { Err(Malformed::ColumnLength { column: VALUE }) }
    }

    fn predecessors(
        &self,
        groups: &[u64],
        actors: &[Actor],
    ) -> Result<Vec<OperationId>, Malformed> {
        let over = Malformed::Predecessors;
        let total = groups.iter().try_fold(0u64, |sum, n| sum.checked_add(*n)).ok_or(over)?;
        let total = usize::try_from(total).map_err(|_| over)?;
        if total > CHANGE_PREDECESSORS_MAX {
            return Err(over);
        }
        let column = |spec, data| Column { spec, data };
        let unfit = |column| Malformed::ColumnLength { column };
        let by = column(PREDECESSOR_ACTOR, self.predecessor_actor)
            .numbers(total, unfit(PREDECESSOR_ACTOR))?;
        let counters = column(PREDECESSOR_COUNTER, self.predecessor_counter)
            .deltas(total, unfit(PREDECESSOR_COUNTER))?;
        for (found, column) in
            [(by.len(), PREDECESSOR_ACTOR), (counters.len(), PREDECESSOR_COUNTER)]
        {
            if found != total {
                return Err(unfit(column));
            }
        }
        by.into_iter()
            .zip(counters)
            .map(|(index, counter)| {
                let actor = usize::try_from(index).ok().and_then(|i| actors.get(i));
                let actor = *actor.ok_or(Malformed::ActorIndex { index })?;
                if counter == 0 || counter > OPERATION_COUNTER_MAX {
                    return Err(Malformed::Counter);
                }
                Ok(OperationId { counter, actor })
            })
            .collect()
    }
}

fn read_key<'a>(r: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let len = number(r)?;
    let len = usize::try_from(len).ok().filter(|len| (1..=MAP_KEY_BYTES_MAX).contains(len));
    let key = r.take(len.ok_or(Malformed::Key)?, "key")?;
    std::str::from_utf8(key).map_err(|_| Malformed::Key)
}

/// A run of nulls in the key column says that the operation has no text key.
const fn null_is_no_key(error: Malformed) -> Malformed {
    if matches!(error, Malformed::Run { .. }) { Malformed::Key } else { error }
}

fn read_value(meta: u64, r: &mut Reader<'_>) -> Result<Value, Malformed> {
    let len = usize::try_from(meta >> 4).map_err(|_| Malformed::Value)?;
    let kind = u8::try_from(meta & 0x0f).map_err(|_| Malformed::Value)?;
    let bytes = r.take(len, "value").map_err(|_| Malformed::Value)?;
    let mut number_bytes = Reader::new(bytes);
    let value = match kind {
        0 => Value::Null,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Uint(number(&mut number_bytes)?),
        4 => Value::Int(signed(&mut number_bytes)?),
        6 => Value::Text(std::str::from_utf8(bytes).map_err(|_| Malformed::Value)?.to_owned()),
        7 => Value::Bytes(bytes.to_vec()),
        9 => Value::Timestamp(signed(&mut number_bytes)?),
        _ => return Err(Malformed::ValueKind { kind }),
    };
    let whole = matches!(kind, 6 | 7) || number_bytes.is_empty();
    if whole { Ok(value) } else { Err(Malformed::Value) }
}

#[cfg(test)]
mod tests;
