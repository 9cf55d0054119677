//! Look-alikes of the one form of a log change.

use crate::change::Actor;
use crate::change::log::LogFields;
use crate::change::raw::{self, RawChange};
use crate::hash::ChangeHash;

/// A first change of a log chain that is not in the one form.
#[derive(Debug, Clone)]
pub struct LogLie {
    /// What is wrong.
    pub what: &'static str,
    /// What would be stored.
    pub bytes: Vec<u8>,
}

/// Look-alikes of the first change that puts `value` at `time_ms` into a chain of `actor`
/// with `tag`. None of them parses as a log change.
#[must_use]
pub fn log_lies(actor: Actor, tag: u32, time_ms: u64, value: &[u8]) -> Vec<LogLie> {
    let fields = LogFields { actor, n: 1, previous: None, time_ms, tag, value };
    let honest = honest(&fields);
    let key = |key: &str| raw::literals(&[raw::text(key)]);
    let number = |n| LogFields { n, ..fields }.key();
    let mut cases: Vec<(&'static str, RawChange)> = vec![
        ("a key in capitals", honest.clone().with(0x15, key(&capitals(&fields.key())))),
        ("a key with a sign", honest.clone().with(0x15, key(&signed(&fields.key())))),
        ("a short key", honest.clone().with(0x15, key("short"))),
        ("the key of another number", honest.clone().with(0x15, key(&number(2)))),
        ("a text", honest.clone().with(0x56, vec![0x7f, 0x16])),
        ("a delete", honest.clone().with(0x42, vec![0x7f, 3])),
        ("an increment", honest.clone().with(0x42, vec![0x7f, 5])),
        ("an insertion", honest.clone().with(0x34, vec![0, 1])),
        ("a run for a literal", {
            honest.clone().with(0x15, raw::run(1, &raw::text(&fields.key())))
        }),
        ("an empty column", honest.clone().with(0x71, vec![])),
        ("a column less", honest.clone().without(0x70)),
        ("a second operation", two_operations(&fields)),
        ("an object", honest.clone().with(0x01, vec![0x7f, 0]).with(0x02, vec![0x7f, 9])),
    ];
    let hash = ChangeHash::from_bytes([1; 32]);
    let alterations: [(&'static str, &dyn Fn(&mut RawChange)); 11] = [
        ("a time", &|c| c.time = 1),
        ("a message", &|c| c.message = b"m".to_vec()),
        ("another actor named", &|c| c.others = vec![vec![1; 16]]),
        ("an extra byte", &|c| c.extra = vec![0]),
        ("an author", &|c| c.extra = vec![1, 1, 9]),
        ("another first operation", &|c| c.start_operation = 2),
        ("another number", &|c| c.sequence = 2),
        ("a short actor", &|c| c.actor = vec![1; 15]),
        ("a long actor", &|c| c.actor = vec![1; 17]),
        ("a dependency", &|c| c.dependencies = vec![hash]),
        ("two dependencies", &|c| {
            c.dependencies = vec![hash; 2];
            c.sequence = 2;
            c.start_operation = 2;
        }),
    ];
    for (what, alter) in alterations {
        let mut case = honest.clone();
        alter(&mut case);
        cases.push((what, case));
    }
    let mut lies: Vec<LogLie> =
        cases.into_iter().map(|(what, change)| LogLie { what, bytes: change.chunk() }).collect();
    for (what, kind) in [("a document", 0), ("a deflated change", 2), ("a bundle", 3)] {
        lies.push(LogLie { what, bytes: raw::chunk(kind, &honest.body()) });
    }
    lies.push(LogLie { what: "a byte behind it", bytes: [honest.chunk(), vec![0]].concat() });
    lies
}

/// The one form, as a chunk whose parts can be altered.
pub(crate) fn honest(fields: &LogFields<'_>) -> RawChange {
    let key = raw::literals(&[raw::text(&fields.key())]);
    let meta = ((fields.value.len() as u64) << 4) | 7;
    RawChange::put(fields.actor)
        .with(0x15, key)
        .with(0x56, raw::literals(&[raw::unsigned(meta)]))
        .with(0x57, fields.value.to_vec())
}

fn two_operations(fields: &LogFields<'_>) -> RawChange {
    let meta = raw::unsigned(((fields.value.len() as u64) << 4) | 7);
    let keys = [raw::text(&fields.key()), raw::text("another")];
    honest(fields)
        .with(0x15, raw::literals(&keys))
        .with(0x34, vec![2])
        .with(0x42, raw::run(2, &[1]))
        .with(0x56, raw::run(2, &meta))
        .with(0x57, [fields.value, fields.value].concat())
        .with(0x70, raw::run(2, &[0]))
}

fn capitals(key: &str) -> String {
    let capitals = key.to_uppercase();
    // A key of digits alone has none.
    if capitals == key { format!("{}F", &key[..key.len() - 1]) } else { capitals }
}

fn signed(key: &str) -> String {
    format!("+{}", &key[1..])
}
