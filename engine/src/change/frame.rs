//! What all changes have in common: the chunk's frame and the fields before the columns.

use crate::change::columns::signed;
use crate::change::malformed::Malformed;
use crate::change::{Actor, CHUNK_CHANGE, CHUNK_MAGIC, checksum, chunk_hash};
use crate::codec::Reader;
use crate::hash::ChangeHash;
use crate::limits::{CHANGE_BYTES_MAX, CHANGE_DEPENDENCIES_MAX};

/// The fields before the columns, read and bounded.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) hash: ChangeHash,
    pub(super) actor: Actor,
    pub(super) sequence: u64,
    pub(super) start_operation: u64,
    pub(super) dependencies: Vec<ChangeHash>,
    /// Claimed time, milliseconds since 1970.
    pub(super) time_ms: u64,
    /// The actor and the others that operations name.
    pub(super) actors: Vec<Actor>,
}

/// Whether changes of a kind say when they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Never: the time is 0.
    None,
    /// Milliseconds since 1970, at most this many.
    UpTo(u64),
}

/// Reads everything before the columns; the reader stands at their number.
pub(super) fn read_header(bytes: &[u8], times: Times) -> Result<(Header, Reader<'_>), Malformed> {
    let (body, hash) = chunk(bytes)?;
    let mut r = Reader::new(body);
    let dependencies = read_dependencies(&mut r)?;
    let actor = read_actor(&mut r)?;
    let sequence = number(&mut r)?;
    let start_operation = number(&mut r)?;
    let time = signed(&mut r)?;
    let max = match times {
        Times::None => 0,
        Times::UpTo(max) => max,
    };
    let time_ms = u64::try_from(time).ok().filter(|time| *time <= max).ok_or(Malformed::Time)?;
    let len = number(&mut r)?;
    if len != 0 {
        return Err(Malformed::Message { len });
    }
    let mut actors = vec![actor];
    for _ in 0..number(&mut r)? {
        actors.push(read_actor(&mut r)?);
    }
    let header = Header { hash, actor, sequence, start_operation, dependencies, time_ms, actors };
    Ok((header, r))
}

impl Header {
    /// Checks that the operations' counters are numbers from 1 to `max`.
    pub(super) fn check_counters(&self, operations: usize, max: u64) -> Result<(), Malformed> {
        let last = self.start_operation.checked_add(operations as u64 - 1);
        if self.start_operation == 0 || last.is_none_or(|last| last > max) {
            return Err(Malformed::Counter);
        }
        Ok(())
    }
}

/// Checks the chunk's frame and returns its body.
fn chunk(bytes: &[u8]) -> Result<(&[u8], ChangeHash), Malformed> {
    if bytes.len() > CHANGE_BYTES_MAX {
        return Err(Malformed::Size { len: bytes.len() });
    }
    let mut r = Reader::new(bytes);
    if r.array("magic")? != CHUNK_MAGIC {
        return Err(Malformed::Magic);
    }
    let claimed: [u8; 4] = r.array("checksum")?;
    let typed = r.rest();
    let found = r.u8("chunk type")?;
    if found != CHUNK_CHANGE {
        return Err(Malformed::ChunkType { found });
    }
    let len = usize::try_from(number(&mut r)?).map_err(|_| Malformed::Short)?;
    let body = r.take(len, "change")?;
    if !r.is_empty() {
        return Err(Malformed::Trailing { count: r.rest().len() });
    }
    let hash = chunk_hash(typed);
    if checksum(&hash) == claimed { Ok((body, hash)) } else { Err(Malformed::Checksum) }
}

fn read_dependencies(r: &mut Reader<'_>) -> Result<Vec<ChangeHash>, Malformed> {
    let count = number(r)?;
    if count > CHANGE_DEPENDENCIES_MAX as u64 {
        return Err(Malformed::Dependencies { count });
    }
    let mut out: Vec<ChangeHash> = Vec::new();
    for _ in 0..count {
        let next = ChangeHash::from_bytes(r.array("dependency")?);
        if out.last().is_some_and(|last| *last >= next) {
            return Err(Malformed::DependencyOrder);
        }
        out.push(next);
    }
    Ok(out)
}

fn read_actor(r: &mut Reader<'_>) -> Result<Actor, Malformed> {
    let len = number(r)?;
    if len != Actor::LEN as u64 {
        return Err(Malformed::ActorLength { len });
    }
    Ok(Actor::from_bytes(r.array("actor")?))
}

pub(super) fn number(r: &mut Reader<'_>) -> Result<u64, Malformed> {
    Ok(r.varint(u64::MAX, "number")?)
}
