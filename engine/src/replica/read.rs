//! Reading entries and chains back from the store; every byte is hashed again.

use bytes::Bytes;

use super::stored::entry_of;
use super::{EngineError, Replica, Section};
use crate::authority::LogItem;
use crate::chain::ChainKey;
use crate::hash::{BlobHash, ChangeId, SpaceId};
use crate::model::entry::Entry;
use crate::store::{Table, keys};
use crate::view::{EntryRow, MAP_CHANGE, TEXT_CHANGE};

impl Replica {
    /// A blob that lives in the database or in a file, hashed again.
    pub(crate) fn blob_bytes(&self, hash: &BlobHash) -> Result<Option<Bytes>, EngineError> {
        if let Some(bytes) = self.blob_row(hash)? {
            return Ok(Some(bytes));
        }
        let change = self.change_by_id(&ChangeId::from_bytes(*hash.as_bytes()))?;
        Ok(change.map(|change| change.bytes))
    }

    /// A blob that is kept under its hash.
    pub(crate) fn blob_row(&self, hash: &BlobHash) -> Result<Option<Bytes>, EngineError> {
        let found = match self.store.get(Table::Truth, &keys::blob(hash))? {
            Some(bytes) => Some(bytes),
            None => match self.bytes_in_rows(hash)? {
                Some(bytes) => Some(bytes),
                None => self.file_bytes(hash)?,
            },
        };
        match found {
            Some(bytes) if BlobHash::of(&bytes) != *hash => {
                Err(EngineError::Corrupt(format!("blob {hash} does not match its hash")))
            }
            other => Ok(other),
        }
    }

    /// A blob file of moderate size, read whole.
    fn file_bytes(&self, hash: &BlobHash) -> Result<Option<Bytes>, EngineError> {
        let Some(info) = self.store.blob_info(hash)? else { return Ok(None) };
        let size = usize::try_from(info.size).unwrap_or(usize::MAX);
        if size > crate::limits::PACK_BYTES_MAX {
            return Err(EngineError::Invalid(format!("blob {hash} of {size} bytes is too large")));
        }
        let mut out = Vec::with_capacity(size);
        while out.len() < size {
            let part = self.store.blob_read(hash, out.len() as u64, size - out.len())?;
            match part {
                Some(bytes) if !bytes.is_empty() => out.extend_from_slice(&bytes),
                _ => return Err(EngineError::MissingBlob(*hash)),
            }
        }
        Ok(Some(out.into()))
    }

    /// An entry and where it stands; `None` if it is not here.
    pub(crate) fn entry(&self, id: &ChangeId) -> Result<Option<(EntryRow, Entry)>, EngineError> {
        let Some(row) = self.entry_row(id)? else { return Ok(None) };
        if matches!(row.kind, MAP_CHANGE | TEXT_CHANGE) {
            return Ok(None);
        }
        match self.change_at(&row.chain(), row.n)? {
            Some(change) if change.id == *id => Ok(Some((row, entry_of(&change)?))),
            _ => Ok(None),
        }
    }

    /// Where an entry, or a change of a map or text, stands.
    pub(crate) fn entry_row(&self, id: &ChangeId) -> Result<Option<EntryRow>, EngineError> {
        match self.store.get(Table::Rows, &keys::entry(id))? {
            Some(bytes) => Ok(Some(self.read_entry_row(&bytes)?)),
            None => Ok(None),
        }
    }

    /// Where an entry stands: its section, its chain, and its number there.
    ///
    /// # Errors
    /// If it is not here, or the store fails.
    pub fn place_of(&self, id: &ChangeId) -> Result<(Section, ChainKey, u64), EngineError> {
        let missing = || EngineError::NotFound { what: "post", text: id.to_string() };
        let row = self.entry_row(id)?.ok_or_else(missing)?;
        let mut state = self.lock();
        let description = self.description(&mut state, &row.doc)?.ok_or_else(missing)?;
        let section = self.section_of(&mut state, &description)?;
        let EntryRow { doc, device, incarnation, n, .. } = row;
        Ok((section, ChainKey { doc, device, incarnation }, n))
    }

    /// Ids of changes `first..=last` of a chain, as far as they are held.
    pub(crate) fn change_ids(
        &self,
        key: &ChainKey,
        first: u64,
        last: u64,
    ) -> Result<Vec<ChangeId>, EngineError> {
        Ok(self.chain_items(key, first, last)?.into_iter().map(|item| item.id).collect())
    }

    /// Entries `first..=last` of a log chain.
    pub(crate) fn log_items(
        &self,
        key: &ChainKey,
        first: u64,
        last: u64,
    ) -> Result<Vec<LogItem>, EngineError> {
        let mut items = Vec::new();
        for (id, change) in self.read_changes(key, first, last)? {
            let Some(change) = change? else {
                return Err(EngineError::Corrupt(format!("change {id} is missing")));
            };
            items.push(LogItem {
                id,
                doc: key.doc,
                device: key.device,
                incarnation: key.incarnation,
                n: change.n,
                time_ms: change.time_ms,
                entry: entry_of(&change)?,
            });
        }
        Ok(items)
    }

    /// All spaces of which anything is here.
    pub(crate) fn known_spaces(&self) -> Result<Vec<SpaceId>, EngineError> {
        let rows = self.scan_all(Table::Meta, keys::SPACES)?;
        Ok(rows
            .iter()
            .filter_map(|(key, _)| key.last_chunk::<32>().map(|id| SpaceId::from_bytes(*id)))
            .collect())
    }
}
