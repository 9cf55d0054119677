//! The columns of a text change, read into operations.

use std::collections::BTreeSet;

use super::{Column, TEXT_KEY, TextOperation};
use crate::change::Actor;
use crate::change::columns::signed;
use crate::change::columns::spec::{
    ACTION, ACTION_DELETE, ACTION_PUT, DEFLATED, EXPAND, INSERT, KEY, KEY_ACTOR, KEY_COUNTER,
    MARK_NAME, OBJECT_ACTOR, OBJECT_COUNTER, PREDECESSOR_ACTOR, PREDECESSOR_COUNTER, PREDECESSORS,
    VALUE, VALUE_META,
};
use crate::change::frame::number;
use crate::change::malformed::Malformed;
use crate::change::prescan::OperationId;
use crate::codec::Reader;
use crate::limits::{OPERATION_COUNTER_MAX, TEXT_OPERATIONS_MAX};

const ACTION_MAKE_TEXT: u64 = 4;
const META_NULL: u64 = 0;
const KIND_TEXT: u64 = 6;
/// Bytes of the longest character.
const CHARACTER_BYTES_MAX: u64 = 4;

/// The columns that a text change may have, in their order.
const KNOWN: [u64; 12] = [
    OBJECT_ACTOR,
    OBJECT_COUNTER,
    KEY_ACTOR,
    KEY_COUNTER,
    KEY,
    INSERT,
    ACTION,
    VALUE_META,
    VALUE,
    PREDECESSORS,
    PREDECESSOR_ACTOR,
    PREDECESSOR_COUNTER,
];

/// The columns, as they stand in the chunk.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    data: Vec<Column<'a>>,
}

/// One operation as the columns say it.
struct Row<'a> {
    object: Option<OperationId>,
    key: Option<&'a str>,
    element: Element,
    insert: bool,
    action: u64,
    meta: u64,
    predecessor: Option<OperationId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    None,
    Head,
    Id(OperationId),
}

impl<'a> Columns<'a> {
    pub(super) fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut specs: Vec<(u64, u64)> = Vec::new();
        for _ in 0..number(r)? {
            let (spec, len) = (number(r)?, number(r)?);
            if spec & DEFLATED != 0 {
                return Err(Malformed::Deflated { column: spec });
            }
            if matches!(spec, EXPAND | MARK_NAME) {
                return Err(Malformed::Mark);
            }
            if !KNOWN.contains(&spec) {
                return Err(Malformed::Column { column: spec });
            }
            if specs.last().is_some_and(|(last, _)| *last >= spec) {
                return Err(Malformed::ColumnOrder);
            }
            specs.push((spec, len));
        }
        let mut data = Vec::with_capacity(specs.len());
        for (spec, len) in specs {
            let len = usize::try_from(len).map_err(|_| Malformed::Short)?;
            data.push(Column { spec, data: r.take(len, "column")? });
        }
        Ok(Self { data })
    }

    fn column(&self, spec: u64) -> Column<'a> {
        let found = self.data.iter().find(|column| column.spec == spec);
        found.copied().unwrap_or(Column { spec, data: &[] })
    }

    /// Reads a column of one value or nothing an operation; without it there are no values.
    fn optional<T: Clone>(
        &self,
        spec: u64,
        count: usize,
        read: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<Option<T>>, Malformed> {
        let column = self.column(spec);
        if column.data.is_empty() {
            return Ok(vec![None; count]);
        }
        let found = column.optional(count, Malformed::ColumnLength { column: spec }, read)?;
        if found.len() == count { Ok(found) } else { Err(Malformed::ColumnLength { column: spec }) }
    }

    /// Reads a column of one number an operation.
    fn required(&self, spec: u64, count: usize) -> Result<Vec<u64>, Malformed> {
        let found = self.column(spec).numbers(count, Malformed::ColumnLength { column: spec })?;
        if found.len() == count { Ok(found) } else { Err(Malformed::ColumnLength { column: spec }) }
    }

    pub(super) fn operations(&self, actors: &[Actor]) -> Result<Vec<TextOperation>, Malformed> {
        let over = Malformed::Operations;
        let actions = self.column(ACTION).numbers(TEXT_OPERATIONS_MAX, over)?;
        let count = actions.len();
        if count == 0 {
            return Err(Malformed::Empty);
        }
        let object_actors = self.optional(OBJECT_ACTOR, count, number)?;
        let object_counters = self.optional(OBJECT_COUNTER, count, number)?;
        let keys = self.optional(KEY, count, read_key)?;
        let element_actors = self.optional(KEY_ACTOR, count, number)?;
        let element_counters = self.element_counters(count)?;
        let inserts =
            self.column(INSERT).booleans(count, Malformed::ColumnLength { column: INSERT })?;
        let metas = self.required(VALUE_META, count)?;
        let predecessors = self.predecessors(count, actors)?;
        let mut values = Reader::new(self.column(VALUE).data);
        let mut operations = Vec::with_capacity(count);
        let mut deleted = BTreeSet::new();
        for (at, action) in actions.into_iter().enumerate() {
            let part = |column| Malformed::ColumnLength { column };
            let pick = |column: &[Option<u64>]| column.get(at).copied().flatten();
            let (actor, counter) = (pick(&object_actors), pick(&object_counters));
            let row = Row {
                object: optional_id(actors, actor, counter, Malformed::Object)?,
                key: keys.get(at).copied().flatten(),
                element: element(actors, pick(&element_actors), pick(&element_counters))?,
                insert: *inserts.get(at).ok_or(part(INSERT))?,
                action,
                meta: *metas.get(at).ok_or(part(VALUE_META))?,
                predecessor: predecessors.get(at).copied().flatten(),
            };
            let operation = row.operation(&mut values)?;
            if let TextOperation::Delete { element, .. } = operation
                && !deleted.insert(element)
            {
                return Err(Malformed::DuplicateKey);
            }
            operations.push(operation);
        }
        if values.is_empty() {
            Ok(operations)
        } else {
            Err(Malformed::ColumnLength { column: VALUE })
        }
    }

    /// Counters of elements are written as differences between those that are there.
    fn element_counters(&self, count: usize) -> Result<Vec<Option<u64>>, Malformed> {
        let mut last = 0i64;
        self.optional(KEY_COUNTER, count, signed)?
            .into_iter()
            .map(|step| {
                let Some(step) = step else { return Ok(None) };
                last = last.checked_add(step).ok_or(Malformed::Counter)?;
                Ok(Some(u64::try_from(last).map_err(|_| Malformed::Counter)?))
            })
            .collect()
    }

    /// Reads the predecessors; an operation has one or none.
    fn predecessors(
        &self,
        count: usize,
        actors: &[Actor],
    ) -> Result<Vec<Option<OperationId>>, Malformed> {
        let groups = self.required(PREDECESSORS, count)?;
        if groups.iter().any(|group| *group > 1) {
            return Err(Malformed::Predecessors);
        }
        let total = groups.iter().filter(|group| **group == 1).count();
        let unfit = |column| Malformed::ColumnLength { column };
        let by = self.required(PREDECESSOR_ACTOR, total)?;
        let column = self.column(PREDECESSOR_COUNTER);
        let counters = column.deltas(total, unfit(PREDECESSOR_COUNTER))?;
        if counters.len() != total {
            return Err(unfit(PREDECESSOR_COUNTER));
        }
        let mut ids = by.into_iter().zip(counters);
        groups
            .into_iter()
            .map(|group| {
                if group == 0 {
                    return Ok(None);
                }
                let (actor, counter) = ids.next().ok_or(unfit(PREDECESSOR_ACTOR))?;
                id(actors, actor, counter).map(Some)
            })
            .collect()
    }
}

impl Row<'_> {
    fn operation(self, values: &mut Reader<'_>) -> Result<TextOperation, Malformed> {
        let Some(object) = self.object else { return self.make() };
        if self.key.is_some() {
            return Err(Malformed::Key);
        }
        match (self.action, self.insert, self.element) {
            (_, _, Element::None) => Err(Malformed::ListKey),
            (ACTION_PUT, true, after) => {
                if self.predecessor.is_some() {
                    return Err(Malformed::Predecessors);
                }
                let character = read_character(self.meta, values)?;
                let after = if let Element::Id(id) = after { Some(id) } else { None };
                Ok(TextOperation::Insert { object, after, character })
            }
            (ACTION_DELETE, false, Element::Id(element)) => {
                if self.meta != META_NULL {
                    return Err(Malformed::DeleteValue);
                }
                match self.predecessor {
                    None => Err(Malformed::DeleteNothing),
                    // A character is never replaced, so what stands there is its insertion.
                    Some(other) if other != element => Err(Malformed::NotVisible),
                    Some(_) => Ok(TextOperation::Delete { object, element }),
                }
            }
            (ACTION_PUT | ACTION_DELETE, ..) => Err(Malformed::Insert),
            (action, ..) => Err(Malformed::Action { action }),
        }
    }

    /// The one operation on the root.
    fn make(self) -> Result<TextOperation, Malformed> {
        if self.action != ACTION_MAKE_TEXT {
            return Err(Malformed::Action { action: self.action });
        }
        if self.key != Some(TEXT_KEY) || self.element != Element::None {
            return Err(Malformed::Key);
        }
        if self.insert {
            return Err(Malformed::Insert);
        }
        if self.meta != META_NULL {
            return Err(Malformed::Value);
        }
        if self.predecessor.is_some() {
            return Err(Malformed::Predecessors);
        }
        Ok(TextOperation::Make)
    }
}

fn id(actors: &[Actor], index: u64, counter: u64) -> Result<OperationId, Malformed> {
    let actor = usize::try_from(index).ok().and_then(|index| actors.get(index));
    let actor = *actor.ok_or(Malformed::ActorIndex { index })?;
    if counter == 0 || counter > OPERATION_COUNTER_MAX {
        return Err(Malformed::Counter);
    }
    Ok(OperationId { counter, actor })
}

fn optional_id(
    actors: &[Actor],
    actor: Option<u64>,
    counter: Option<u64>,
    half: Malformed,
) -> Result<Option<OperationId>, Malformed> {
    match (actor, counter) {
        (None, None) => Ok(None),
        (Some(actor), Some(counter)) => id(actors, actor, counter).map(Some),
        _ => Err(half),
    }
}

/// A counter of 0 without an actor is the start of the text.
fn element(
    actors: &[Actor],
    actor: Option<u64>,
    counter: Option<u64>,
) -> Result<Element, Malformed> {
    if (actor, counter) == (None, Some(0)) {
        return Ok(Element::Head);
    }
    let found = optional_id(actors, actor, counter, Malformed::ListKey)?;
    Ok(found.map_or(Element::None, Element::Id))
}

fn read_key<'a>(r: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let len = usize::try_from(number(r)?).ok().filter(|len| *len == TEXT_KEY.len());
    let key = r.take(len.ok_or(Malformed::Key)?, "key")?;
    std::str::from_utf8(key).map_err(|_| Malformed::Key)
}

fn read_character(meta: u64, r: &mut Reader<'_>) -> Result<char, Malformed> {
    let (len, kind) = (meta >> 4, meta & 0x0f);
    if kind != KIND_TEXT {
        let kind = u8::try_from(kind).map_err(|_| Malformed::Value)?;
        return Err(Malformed::ValueKind { kind });
    }
    if len == 0 || len > CHARACTER_BYTES_MAX {
        return Err(Malformed::Character);
    }
    let len = usize::try_from(len).map_err(|_| Malformed::Character)?;
    let bytes = r.take(len, "value").map_err(|_| Malformed::Value)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Value)?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(Malformed::Character),
    }
}
