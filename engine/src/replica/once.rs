//! Writing once under a key, so that whoever heard no answer can ask again.
//!
//! The key is remembered in the batch of what was written under it: there is never one without
//! the other. The newest [`ONCE_KEYS_MAX`] keys of a home are remembered.

use super::{EngineError, Replica, Work};
use crate::codec::{Reader, Writer};
use crate::hash::{ChangeId, derive};
use crate::store::{Table, keys};

/// Keys remembered: a script that posts once a minute may repeat itself for a week.
pub const ONCE_KEYS_MAX: u64 = 10_000;
/// Bytes of a key.
pub const ONCE_KEY_BYTES_MAX: usize = 256;

const SETTING_ONCE: &str = "once";

/// A key, and what is asked for under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    key: String,
    arguments: [u8; 32],
}

impl Once {
    /// Names something to be written once; `arguments` is what makes it the same again.
    ///
    /// # Errors
    /// If the key is empty or longer than [`ONCE_KEY_BYTES_MAX`].
    pub fn new(key: &str, arguments: &[u8]) -> Result<Self, EngineError> {
        if key.is_empty() || key.len() > ONCE_KEY_BYTES_MAX {
            return Err(EngineError::Invalid(format!(
                "an idempotency key has 1 to {ONCE_KEY_BYTES_MAX} bytes, this one {}",
                key.len()
            )));
        }
        let arguments = derive("mosaic idempotency 1", &[arguments]);
        Ok(Self { key: key.to_owned(), arguments })
    }
}

impl Replica {
    /// Returns what was written under the key; durable if it is there.
    ///
    /// # Errors
    /// [`EngineError::KeyUsed`] if something else was asked for under this key; if the store fails.
    pub fn written_once(&self, once: &Once) -> Result<Option<ChangeId>, EngineError> {
        let _state = self.lock();
        self.find_once(Some(once))
    }

    /// As [`Replica::written_once`], for those who hold the lock: none of these commits is under
    /// way while they do.
    pub(crate) fn find_once(&self, once: Option<&Once>) -> Result<Option<ChangeId>, EngineError> {
        let Some(once) = once else { return Ok(None) };
        let Some(row) = self.store.get(Table::Meta, &keys::once(&once.key))? else {
            return Ok(None);
        };
        let mut r = Reader::new(&row);
        let arguments: [u8; 32] = r.array("arguments").map_err(EngineError::corrupt)?;
        let id = ChangeId::from_bytes(r.array("entry").map_err(EngineError::corrupt)?);
        r.end().map_err(EngineError::corrupt)?;
        if arguments != once.arguments {
            return Err(EngineError::KeyUsed { key: once.key.clone(), entry: id });
        }
        Ok(Some(id))
    }

    /// Remembers the key as part of the commit that writes `id`; the oldest one makes room.
    pub(crate) fn note_once(
        &self,
        work: &mut Work,
        once: Option<&Once>,
        id: &ChangeId,
    ) -> Result<(), EngineError> {
        let Some(once) = once else { return Ok(()) };
        let last = match self.setting(SETTING_ONCE)? {
            Some(bytes) => {
                Reader::new(&bytes).u64("idempotency keys").map_err(EngineError::corrupt)?
            }
            None => 0,
        };
        let number = last + 1;
        if let Some(old) = number.checked_sub(ONCE_KEYS_MAX) {
            let order = keys::once_order(old);
            if let Some(key) = self.store.get(Table::Meta, &order)? {
                work.batch.delete(Table::Meta, keys::once(&String::from_utf8_lossy(&key)));
                work.batch.delete(Table::Meta, order);
            }
        }
        let mut row = Writer::new();
        row.raw(&once.arguments).raw(id.as_bytes());
        work.batch.put(Table::Meta, keys::once(&once.key), row.finish());
        work.batch.put(Table::Meta, keys::once_order(number), once.key.clone().into_bytes());
        let count = number.to_be_bytes().to_vec();
        work.batch.put(Table::Meta, keys::setting(SETTING_ONCE), count);
        work.once = true;
        Ok(())
    }
}
