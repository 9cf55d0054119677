//! Rows that say where an entry is. A chain of several entries gets a short name, so that the row of
//! each does not say all of it again.
//!
//! ```text
//! key    e ‖ id
//! value  doc ‖ device ‖ incarnation ‖ n varint ‖ time u64 ‖ kind u8
//!     or name of the chain, 8 bytes ‖ n varint ‖ time varint ‖ kind u8
//! key    n ‖ name
//! value  doc ‖ device ‖ incarnation
//! ```
//!
//! A name is the beginning of a hash over the chain. Where two chains have the same one, the second
//! does without.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{EngineError, Replica, Work};
use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader};
use crate::hash::{ChangeId, DeviceId, DocumentId, Incarnation};
use crate::store::{Table, keys};
use crate::view::{ChainName, EntryRow};

/// Entries of a chain that are few enough to say each where it is.
const FEW: u64 = 3;
/// Chains whose names are remembered.
const NAMES_MAX: usize = 4096;

/// Chains by their names, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct ChainNames {
    known: Mutex<HashMap<ChainName, ChainKey>>,
}

impl Replica {
    /// Puts the row of an entry into the commit.
    pub(super) fn put_entry_row(
        &self,
        work: &mut Work,
        id: &ChangeId,
        row: &EntryRow,
    ) -> Result<(), EngineError> {
        let name = if row.n > FEW { self.name_of(work, &row.chain())? } else { None };
        let value = name.map_or_else(|| row.encode(), |name| row.encode_short(&name));
        work.batch.put(Table::Rows, keys::entry(id), value);
        Ok(())
    }

    /// The name of a chain, which is given to it now if it has none; `None` if another has it.
    fn name_of(&self, work: &mut Work, chain: &ChainKey) -> Result<Option<ChainName>, EngineError> {
        if let Some(name) = work.chain_names.get(chain) {
            return Ok(*name);
        }
        let name = ChainName::of(chain);
        let place = keys::chain_name(&name.0);
        let value = keys::chain_bytes(chain);
        let name = match self.store.get(Table::Rows, &place)? {
            Some(other) => (other == value).then_some(name),
            None => {
                // Of two that one commit brings the first has it.
                let taken = work.chain_names.values().any(|other| *other == Some(name));
                (!taken).then(|| work.batch.put(Table::Rows, place, value)).map(|()| name)
            }
        };
        work.chain_names.insert(*chain, name);
        Ok(name)
    }

    /// Reads the row of an entry.
    pub(super) fn read_entry_row(&self, value: &[u8]) -> Result<EntryRow, EngineError> {
        let Some(name) = EntryRow::name_in(value) else {
            return EntryRow::decode(value).map_err(EngineError::corrupt);
        };
        let known = {
            let known = self.chain_names.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&name).copied()
        };
        let chain = match known {
            Some(chain) => chain,
            None => {
                let row = self.store.get(Table::Rows, &keys::chain_name(&name.0))?;
                let row = row.ok_or_else(|| EngineError::corrupt("a chain has lost its name"))?;
                let chain = read_chain(&row).map_err(EngineError::corrupt)?;
                let names = &self.chain_names.known;
                let mut known = names.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= NAMES_MAX {
                    known.clear();
                }
                known.insert(name, chain);
                chain
            }
        };
        EntryRow::decode_short(value, &chain).map_err(EngineError::corrupt)
    }

    /// Forgets names that were read: rows are built again.
    pub(super) fn forget_names(&self) {
        self.chain_names.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Whether a row names the chain that has this name.
pub(super) fn is_name(key: &[u8], value: &Bytes) -> bool {
    read_chain(value).is_ok_and(|chain| keys::chain_name(&ChainName::of(&chain).0) == key)
}

fn read_chain(row: &Bytes) -> Result<ChainKey, DecodeError> {
    let mut r = Reader::new(row);
    let chain = ChainKey {
        doc: DocumentId::from_bytes(r.array("named document")?),
        device: DeviceId::from_bytes(r.array("named device")?),
        incarnation: Incarnation::from_bytes(r.array("named incarnation")?),
    };
    r.end()?;
    Ok(chain)
}
