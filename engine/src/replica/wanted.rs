//! Bodies that are known, wanted and not here.

use std::collections::HashMap;

use super::quota::Place;
use super::{EngineError, Replica, State};
use crate::hash::BlobHash;
use crate::limits::{BODY_BYTES_MAX, BODY_SALT_BYTES};
use crate::model::entry::BodyRef;
use crate::store::{Table, keys};
use crate::sync::exchange::Section;

/// Larger bodies travel as blobs of their own.
pub(super) const PACKED_BODY_BYTES_MAX: u64 = (BODY_BYTES_MAX + BODY_SALT_BYTES) as u64;

impl Replica {
    /// The first wanted bodies of a section after `after`.
    pub(super) fn wanted_bodies(
        &self,
        section: &Section,
        after: Option<BlobHash>,
        limit: usize,
    ) -> Result<Vec<BodyRef>, EngineError> {
        self.miss_damaged();
        let mut wanted = self.bodies_wanted(&mut self.lock(), section)?;
        wanted.retain(|body| after.is_none_or(|after| body.hash > after));
        wanted.truncate(limit);
        Ok(wanted)
    }

    fn bodies_wanted(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<Vec<BodyRef>, EngineError> {
        let mut wanted = Vec::new();
        let mut left: HashMap<u64, u64> = HashMap::new();
        for Place { doc, page, each_max, room } in self.documents_in_budget(state, section)? {
            // Documents of one page share its room.
            let left = left.entry(page).or_insert(room.bytes);
            for (key, value) in self.scan_all(Table::Meta, &keys::wanted_prefix(&doc))? {
                let Some(hash) = key.last_chunk::<32>() else { continue };
                let hash = BlobHash::from_bytes(*hash);
                let size = value.as_ref().try_into().map_or(0, u64::from_be_bytes);
                if size <= each_max && (size <= *left || size <= room.small_max) {
                    *left = left.saturating_sub(size);
                    wanted.push(BodyRef { hash, size });
                }
            }
        }
        wanted.sort_by_key(|body| body.hash);
        wanted.dedup_by_key(|body| body.hash);
        Ok(wanted)
    }

    /// Wanted bodies of a section that are too large for packs: attachments, to be
    /// fetched as blobs of their own.
    ///
    /// # Errors
    /// If the store fails.
    pub fn missing_files(&self, section: &Section) -> Result<Vec<BodyRef>, EngineError> {
        let mut wanted = self.wanted_bodies(section, None, usize::MAX)?;
        wanted.retain(|body| body.size > PACKED_BODY_BYTES_MAX);
        Ok(wanted)
    }
}
