//! Log changes as they are stored: of each its id and all that it says. The bytes are built of it
//! and compared with the id whenever they are read, as a receiver builds them. What comes alone is
//! a row, what comes together is one row (see [`super::runs`]).
//!
//! Before store format 2 a row held the id alone, and the bytes were a blob. Both are read.

use bytes::Bytes;

use super::{EngineError, Replica};
use crate::chain::ChainKey;
use crate::change::{Actor, BuiltChange, log};
use crate::codec::{DecodeError, Reader, Writer};
use crate::hash::{ChangeHash, ChangeId};
use crate::limits::ENTRY_BYTES_MAX;
use crate::model::entry::Entry;

/// A log change as its row says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredChange {
    pub id: ChangeId,
    pub previous: Option<ChangeHash>,
    pub tag: u32,
    pub time_ms: u64,
    /// The encoded entry.
    pub value: Bytes,
}

impl StoredChange {
    /// Bytes that it takes as a row of its own.
    pub const fn row_bytes(&self) -> usize {
        let previous = if self.previous.is_some() { 32 } else { 0 };
        let size = Writer::varint_len(self.value.len() as u64);
        ChangeId::LEN + 4 + 8 + 1 + previous + size + self.value.len()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.row_bytes());
        w.raw(self.id.as_bytes()).u32(self.tag).u64(self.time_ms);
        match &self.previous {
            None => w.u8(0),
            Some(hash) => w.u8(1).raw(hash.as_bytes()),
        };
        w.bytes(&self.value);
        w.finish()
    }

    /// Reads a row; `None` if it holds an id alone.
    fn decode(row: &Bytes) -> Result<Option<Self>, DecodeError> {
        if row.len() == ChangeId::LEN {
            return Ok(None);
        }
        let mut r = Reader::new(row);
        let id = ChangeId::from_bytes(r.array("stored id")?);
        let (tag, time_ms) = (r.u32("stored tag")?, r.u64("stored time")?);
        let previous = match r.u8("stored previous")? {
            0 => None,
            _ => Some(ChangeHash::from_bytes(r.array("stored previous")?)),
        };
        let value = row.slice_ref(r.bytes(ENTRY_BYTES_MAX, "stored entry")?);
        r.end()?;
        Ok(Some(Self { id, previous, tag, time_ms, value }))
    }

    /// Builds the bytes; an error if they are not those of the id.
    fn build(&self, actor: Actor, n: u64) -> Result<BuiltChange, EngineError> {
        let built = log::build(actor, n, self.previous, self.tag, self.time_ms, &self.value);
        let built = built.map_err(EngineError::corrupt)?;
        if built.id == self.id {
            Ok(built)
        } else {
            Err(EngineError::Corrupt(format!("blob {} does not match its hash", self.id)))
        }
    }
}

/// One change of a chain as it is stored.
#[derive(Debug, Clone)]
pub(super) struct ChainItem {
    pub id: ChangeId,
    /// All that it says; none if only its id is kept here, or its bytes are a blob.
    pub stored: Option<StoredChange>,
}

impl ChainItem {
    /// Reads a row of one change.
    pub fn decode(row: &Bytes) -> Result<Self, DecodeError> {
        let stored = StoredChange::decode(row)?;
        let id = match &stored {
            Some(stored) => stored.id,
            None => ChangeId::from_bytes(Reader::new(row).array("stored id")?),
        };
        Ok(Self { id, stored })
    }
}

/// A log change that was read and found whole.
#[derive(Debug, Clone)]
pub(super) struct ReadChange {
    pub id: ChangeId,
    pub n: u64,
    pub time_ms: u64,
    pub value: Bytes,
    /// Bytes of the chunk.
    pub bytes: Bytes,
    /// Automerge's name of it.
    pub hash: ChangeHash,
}

impl Replica {
    /// The log change that a chain item stands for; `None` if its bytes are not here.
    fn read_change(
        &self,
        actor: Actor,
        n: u64,
        item: ChainItem,
    ) -> Result<Option<ReadChange>, EngineError> {
        let id = item.id;
        let Some(stored) = item.stored else {
            let Some(bytes) = self.blob_row(&id.blob())? else { return Ok(None) };
            let (fields, hash) = log::LogFields::parse(&bytes).map_err(EngineError::corrupt)?;
            let (time_ms, value) = (fields.time_ms, bytes.slice_ref(fields.value));
            return Ok(Some(ReadChange { id, n, time_ms, value, bytes, hash }));
        };
        let built = stored.build(actor, n)?;
        let StoredChange { id, time_ms, value, .. } = stored;
        Ok(Some(ReadChange { id, n, time_ms, value, bytes: built.bytes.into(), hash: built.hash }))
    }

    /// Log changes `first..=last` of a chain, as far as they are listed; each with its id, and
    /// whether it is whole.
    pub(super) fn read_changes(
        &self,
        key: &ChainKey,
        first: u64,
        last: u64,
    ) -> Result<
        impl Iterator<Item = (ChangeId, Result<Option<ReadChange>, EngineError>)>,
        EngineError,
    > {
        let actor = Actor::of(key);
        let items = self.chain_items(key, first, last)?;
        Ok((first..).zip(items).map(move |(n, item)| (item.id, self.read_change(actor, n, item))))
    }

    /// One log change of a chain.
    pub(super) fn change_at(
        &self,
        key: &ChainKey,
        n: u64,
    ) -> Result<Option<ReadChange>, EngineError> {
        match self.chain_item(key, n)? {
            Some(item) => self.read_change(Actor::of(key), n, item),
            None => Ok(None),
        }
    }

    /// The bytes of a log change that is found by its id.
    pub(super) fn change_by_id(&self, id: &ChangeId) -> Result<Option<ReadChange>, EngineError> {
        let Some(place) = self.entry_row(id)?.filter(|row| row.kind != 0) else { return Ok(None) };
        let change = self.change_at(&place.chain(), place.n)?;
        Ok(change.filter(|change| change.id == *id))
    }
}

/// Reads an entry that was checked when it came.
pub(super) fn entry_of(change: &ReadChange) -> Result<Entry, EngineError> {
    Entry::decode(&change.value).map_err(EngineError::corrupt)
}
