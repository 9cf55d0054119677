//! Attachments: files of any size, streamed in and out, durable before they count.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::damage::is_damage;
use super::{BodyState, EngineError, Replica};
use crate::hash::{BlobHash, ChangeId, DocumentId};
use crate::limits::{BLOB_INLINE_BYTES_MAX, BODY_SALT_BYTES};
use crate::model::entry::{Attachment, BodyRef};
use crate::store::{BLOB_READ_BYTES_MAX, Batch, BlobWriter, PartialBlob, StoreError, Table, keys};

/// Files removed in one step.
const REMOVED_AT_ONCE: usize = 1024;

/// A wanted file on its way in. What came before the last [`FileIntake::checkpoint`] is there
/// when it is begun again; what came after is lost when this is dropped.
#[derive(Debug)]
pub struct FileIntake {
    partial: Box<dyn PartialBlob>,
    body: BodyRef,
    missing: u64,
}

impl FileIntake {
    /// The file.
    #[must_use]
    pub const fn body(&self) -> BodyRef {
        self.body
    }

    /// Byte ranges that are not here, salt counted; all but the end of the last are multiples of
    /// 16 KiB.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.partial.missing()
    }

    /// Bytes that are not here.
    #[must_use]
    pub const fn missing_bytes(&self) -> u64 {
        self.missing
    }

    /// Takes 16 KiB that were verified, or as many as are left at the end; returns whether they
    /// were not here.
    ///
    /// # Errors
    /// If they are not such a group, or the store fails.
    pub fn write(&mut self, offset: u64, group: &[u8]) -> Result<bool, EngineError> {
        let new = self.partial.write(offset, group)?;
        if new {
            self.missing = self.missing.saturating_sub(group.len() as u64);
        }
        Ok(new)
    }

    /// Makes durable what came.
    ///
    /// # Errors
    /// If the store fails.
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        Ok(self.partial.checkpoint()?)
    }
}

/// Files that were added and that no entry names yet.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// Held while a file becomes known, until it is counted below.
    settling: RwLock<()>,
    files: Mutex<BTreeMap<BlobHash, usize>>,
}

impl Added {
    /// Keeps files from becoming known while `act` runs.
    pub(crate) fn while_settled<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        let _settled = self.settling.write().unwrap_or_else(PoisonError::into_inner);
        act(self)
    }

    pub(crate) fn contains(&self, hash: &BlobHash) -> bool {
        self.files().contains_key(hash)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<BlobHash, usize>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new blob as somewhere to write to.
struct Salted {
    writer: Box<dyn BlobWriter>,
    failure: Option<StoreError>,
}

impl Write for Salted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.writer.write(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let told = std::io::Error::other(error.to_string());
                self.failure = Some(error);
                Err(told)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Replica {
    /// Streams a file into a salted blob; durable when it returns. Nothing removes it before
    /// [`Replica::release_file`].
    ///
    /// # Errors
    /// If it is larger than `size_max` bytes, or reading or the store fails.
    pub fn add_file(&self, source: &mut dyn Read, size_max: u64) -> Result<BodyRef, EngineError> {
        self.add_file_by(size_max, |out| std::io::copy(source, out).map(drop))
    }

    /// As [`Replica::add_file`], for bytes that `produce` writes.
    ///
    /// # Errors
    /// As [`Replica::add_file`]; an error of `produce` itself is a [`StoreError::Io`].
    pub fn add_file_by(
        &self,
        size_max: u64,
        produce: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<BodyRef, EngineError> {
        let writer = self.store.blob_create(size_max + BODY_SALT_BYTES as u64)?;
        let mut out = Salted { writer, failure: None };
        let mut salt = [0u8; BODY_SALT_BYTES];
        self.entropy.fill(&mut salt);
        let produced = out.write_all(&salt).and_then(|()| produce(&mut out));
        if let Some(failure) = out.failure {
            return Err(failure.into());
        }
        produced.map_err(|error| StoreError::io("read", "attachment", error))?;
        let _settling = self.added.settling.read().unwrap_or_else(PoisonError::into_inner);
        let info = out.writer.finish(None)?;
        *self.added.files().entry(info.hash).or_default() += 1;
        Ok(BodyRef { hash: info.hash, size: info.size })
    }

    /// Lets go of a file that was added: it stays if an entry names it by now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn release_file(&self, body: &BodyRef) -> Result<(), EngineError> {
        let mut files = self.added.files();
        match files.get_mut(&body.hash) {
            Some(count) if *count > 1 => {
                *count -= 1;
                return Ok(());
            }
            _ => files.remove(&body.hash),
        };
        drop(files);
        self.remove_files(&[body.hash])
    }

    /// Begins to take in a wanted file, or goes on with it; `None` if nothing here wants it.
    ///
    /// # Errors
    /// If somebody is taking it in, there is no room for it, or the store fails.
    pub fn begin_file(&self, body: &BodyRef) -> Result<Option<FileIntake>, EngineError> {
        let places = self.scan_all(Table::Meta, &keys::body_places(&body.hash))?;
        let wanted = |value: &[u8]| BodyState::parse(value) == Some(BodyState::Wanted);
        if !places.iter().any(|(_, value)| wanted(value)) {
            return Ok(None);
        }
        let partial = self.store.partial_open(&body.hash, body.size)?;
        let missing = partial.missing().iter().map(|range| range.end - range.start).sum();
        Ok(Some(FileIntake { partial, body: *body, missing }))
    }

    /// Gives up what came of a file so far.
    ///
    /// # Errors
    /// If the store fails.
    pub fn drop_file(&self, intake: FileIntake) -> Result<(), EngineError> {
        let body = intake.body;
        drop(intake);
        self.store.partial_remove(&body.hash, body.size)?;
        Ok(())
    }

    /// Makes a file that is complete durable and known; other bytes than its hash names
    /// leave nothing behind.
    ///
    /// # Errors
    /// If the bytes are not those, or the store fails.
    pub fn finish_file(&self, intake: FileIntake) -> Result<(), EngineError> {
        let hash = intake.body.hash;
        intake.partial.finish()?;
        self.hold_file(&hash)
    }

    /// Takes in a wanted file that `from` has whole; `false` if nothing here wants it. Other bytes
    /// than its hash names leave nothing behind.
    ///
    /// # Errors
    /// If the bytes are not those, there is no room, or reading or the store fails.
    pub fn take_file(&self, body: &BodyRef, from: &mut dyn Read) -> Result<bool, EngineError> {
        let mut wanted = false;
        for (key, value) in self.scan_all(Table::Meta, &keys::body_places(&body.hash))? {
            let Some(doc) = keys::parse_space_document(&key) else { continue };
            let size = self.store.get(Table::Meta, &keys::wanted(&doc, &body.hash))?;
            wanted |= BodyState::parse(&value) == Some(BodyState::Wanted)
                && size.as_deref() == Some(&body.size.to_be_bytes()[..]);
        }
        if !wanted {
            return Ok(false);
        }
        let mut out = Salted { writer: self.store.blob_create(body.size)?, failure: None };
        let copied = std::io::copy(&mut from.take(body.size), &mut out);
        if let Some(failure) = out.failure {
            return Err(failure.into());
        }
        copied.map_err(|error| StoreError::io("read", body.hash.to_string(), error))?;
        out.writer.finish(Some(&body.hash))?;
        self.hold_file(&body.hash)?;
        Ok(true)
    }

    /// Notes that the bytes of a file are here for everything that wants it.
    fn hold_file(&self, hash: &BlobHash) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        let mut docs = Vec::new();
        let mut used = false;
        let mut state = self.lock();
        for (key, value) in self.scan_all(Table::Meta, &keys::body_places(hash))? {
            let Some(doc) = keys::parse_space_document(&key) else { continue };
            let known = BodyState::parse(&value);
            used |= matches!(known, Some(BodyState::Wanted | BodyState::Held));
            if known == Some(BodyState::Wanted) {
                batch.put(Table::Meta, key, vec![BodyState::Held as u8]);
                batch.delete(Table::Meta, keys::wanted(&doc, hash));
                self.note_held(&mut state, &mut batch, &doc, hash)?;
                docs.push(doc);
            }
        }
        batch.delete(Table::Meta, keys::damaged(hash));
        self.note_text(&mut batch, hash)?;
        if !used {
            // Withdrawn while it was on its way.
            self.store.blob_remove(hash)?;
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

    /// Removes blob files that nothing named, unless something has come to name them since, and
    /// what is here of them on its way in, unless something wants it.
    pub(super) fn remove_files(&self, hashes: &[BlobHash]) -> Result<(), EngineError> {
        // Others may write between.
        for some in hashes.chunks(REMOVED_AT_ONCE) {
            let _state = self.lock();
            // What others have handed to the store must be readable there first.
            self.store.commit(Batch::new())?;
            let partials = self.store.partials()?;
            let mut unnamed = Vec::with_capacity(some.len());
            for hash in some {
                let states = self.body_states(hash)?;
                let change = ChangeId::from_bytes(*hash.as_bytes());
                let named = states.contains(&BodyState::Held) || self.added.contains(hash);
                if !named && self.entry_row(&change)?.is_none() {
                    unnamed.push(*hash);
                }
                if !states.contains(&BodyState::Wanted) {
                    for partial in partials.iter().filter(|partial| partial.hash == *hash) {
                        self.store.partial_remove(hash, partial.size)?;
                    }
                }
            }
            self.store.blobs_remove(&unnamed)?;
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
