//! Attachments: files of any size, streamed in and out, durable before they count.

use std::io::Write;

use super::damage::is_damage;
use super::{BodyState, EngineError, Replica};
use crate::hash::{BlobHash, ChangeId, DocumentId};
use crate::limits::{BLOB_INLINE_BYTES_MAX, BODY_SALT_BYTES};
use crate::model::entry::{Attachment, BodyRef};
use crate::store::{BLOB_READ_BYTES_MAX, Batch, BlobWriter, Table, keys};

/// A wanted file on its way in. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct FileIntake {
    writer: Box<dyn BlobWriter>,
    body: BodyRef,
}

impl FileIntake {
    /// Appends bytes.
    ///
    /// # Errors
    /// If there are more than announced, or the store fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        Ok(self.writer.write(bytes)?)
    }
}

impl Replica {
    /// Begins to take in a wanted file; `None` if nothing here wants it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn begin_file(&self, body: &BodyRef) -> Result<Option<FileIntake>, EngineError> {
        let places = self.scan_all(Table::Meta, &keys::body_places(&body.hash))?;
        let wanted = |value: &[u8]| BodyState::parse(value) == Some(BodyState::Wanted);
        if !places.iter().any(|(_, value)| wanted(value)) {
            return Ok(None);
        }
        let writer = self.store.blob_create(body.size)?;
        Ok(Some(FileIntake { writer, body: *body }))
    }

    /// Makes a file that is complete durable and known; other bytes than its hash names
    /// leave nothing behind.
    ///
    /// # Errors
    /// If the bytes are not those, or the store fails.
    pub fn finish_file(&self, intake: FileIntake) -> Result<(), EngineError> {
        let hash = intake.body.hash;
        intake.writer.finish(Some(&hash))?;
        let mut batch = Batch::new();
        let mut docs = Vec::new();
        let mut used = false;
        let state = self.lock();
        for (key, value) in self.scan_all(Table::Meta, &keys::body_places(&hash))? {
            let Some(doc) = keys::parse_space_document(&key) else { continue };
            let known = BodyState::parse(&value);
            used |= matches!(known, Some(BodyState::Wanted | BodyState::Held));
            if known == Some(BodyState::Wanted) {
                batch.put(Table::Meta, key, vec![BodyState::Held as u8]);
                batch.delete(Table::Meta, keys::wanted(&doc, &hash));
                batch.put(Table::Meta, keys::held(&doc, &hash), Vec::new());
                docs.push(doc);
            }
        }
        batch.delete(Table::Meta, keys::damaged(&hash));
        self.note_text(&mut batch, &hash)?;
        if !used {
            // Withdrawn while it was on its way.
            self.store.blob_remove(&hash)?;
        }
        let pending = self.store.submit(batch)?;
        drop(state);
        let durable = pending.wait();
        self.recount_missing();
        self.forget_documents(&docs);
        durable?;
        self.enforce_limits()?;
        Ok(())
    }

    /// Removes a blob file that nothing named, unless something has come to name it since.
    pub(super) fn remove_file(&self, hash: &BlobHash) -> Result<(), EngineError> {
        let _state = self.lock();
        // What others have handed to the store must be readable there first.
        self.store.commit(Batch::new())?;
        let places = self.scan_all(Table::Meta, &keys::body_places(hash))?;
        let held = |value: &[u8]| BodyState::parse(value) == Some(BodyState::Held);
        let change = ChangeId::from_bytes(*hash.as_bytes());
        let named = places.iter().any(|(_, value)| held(value));
        if !named && self.entry_row(&change)?.is_none() {
            self.store.blob_remove(hash)?;
        }
        Ok(())
    }

    /// Drops what was counted in documents of which the bodies changed.
    pub(crate) fn forget_documents(&self, docs: &[DocumentId]) {
        let mut state = self.lock();
        for doc in docs {
            state.uses.remove(doc);
        }
    }

    /// Copies an attachment's bytes, without the salt, to `out`; returns how many.
    ///
    /// # Errors
    /// [`EngineError::MissingBlob`] if it is not here; if `out` or the store fails.
    pub fn copy_file(
        &self,
        attachment: &Attachment,
        out: &mut dyn Write,
    ) -> Result<u64, EngineError> {
        let copied = self.copy(attachment, out);
        match &copied {
            Err(error) if is_damage(error) && self.is_held_anywhere(&attachment.body.hash)? => {
                self.note_damage(&attachment.body.hash, &error.to_string());
                self.set_damaged_aside()?;
                Err(EngineError::MissingBlob(attachment.body.hash))
            }
            _ => copied,
        }
    }

    fn copy(&self, attachment: &Attachment, out: &mut dyn Write) -> Result<u64, EngineError> {
        let hash = attachment.body.hash;
        let failed = |error: std::io::Error| EngineError::Invalid(format!("cannot write: {error}"));
        if attachment.body.size <= BLOB_INLINE_BYTES_MAX as u64
            && let Some(blob) = self.blob_bytes(&hash)?
        {
            let bytes = blob.get(BODY_SALT_BYTES..).unwrap_or_default();
            out.write_all(bytes).map_err(failed)?;
            return Ok(bytes.len() as u64);
        }
        self.copy_blob(&hash, out, failed)
    }

    fn copy_blob(
        &self,
        hash: &BlobHash,
        out: &mut dyn Write,
        failed: impl Fn(std::io::Error) -> EngineError,
    ) -> Result<u64, EngineError> {
        let missing = || EngineError::MissingBlob(*hash);
        let info = self.store.blob_info(hash)?.ok_or_else(missing)?;
        let mut offset = BODY_SALT_BYTES as u64;
        while offset < info.size {
            let part = self.store.blob_read(hash, offset, BLOB_READ_BYTES_MAX)?;
            let bytes = part.filter(|bytes| !bytes.is_empty()).ok_or_else(missing)?;
            out.write_all(&bytes).map_err(&failed)?;
            offset += bytes.len() as u64;
        }
        Ok(info.size.saturating_sub(BODY_SALT_BYTES as u64))
    }
}
