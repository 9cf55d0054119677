//! Pictures of profiles: the one kind of body that a map names.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{BodyState, EngineError, Replica, State, Work};
use crate::change::value::Value;
use crate::description::{Description, DocumentKind};
use crate::hash::{AccountId, BlobHash, DocumentId};
use crate::limits::{BODY_SALT_BYTES, PICTURE_BYTES_MAX};
use crate::model::entry::BodyRef;
use crate::store::{Table, keys};

/// The field that names the picture: `hash 32 ‖ size u64be`, salt counted. One field, so that of
/// two concurrent pictures one wins whole.
pub const PICTURE: &str = "avatar.body";

/// Returns the value of [`PICTURE`] for a body.
#[must_use]
pub fn picture_value(body: &BodyRef) -> Value {
    Value::Bytes([&body.hash.as_bytes()[..], &body.size.to_be_bytes()].concat())
}

/// Reads the value of [`PICTURE`]; `None` if it names nothing that would be kept.
#[must_use]
pub fn parse_picture(value: &Value) -> Option<BodyRef> {
    let Value::Bytes(bytes) = value else { return None };
    let (hash, size) = bytes.split_first_chunk::<32>()?;
    let body = BodyRef {
        hash: BlobHash::from_bytes(*hash),
        size: u64::from_be_bytes(size.try_into().ok()?),
    };
    let salt = BODY_SALT_BYTES as u64;
    (salt..=PICTURE_BYTES_MAX + salt).contains(&body.size).then_some(body)
}

impl Replica {
    /// The picture that an account's profile names.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn picture(&self, account: &AccountId) -> Result<Option<BodyRef>, EngineError> {
        let fields = self.profile(account)?;
        let field = fields.iter().find(|field| field.key == PICTURE);
        Ok(field.and_then(|field| parse_picture(&field.value)))
    }

    /// Wants, holds and drops the pictures of profiles that this commit changes.
    pub(super) fn note_pictures(
        &self,
        state: &mut State,
        work: &mut Work,
    ) -> Result<(), EngineError> {
        for (doc, local) in std::mem::take(&mut work.profiles) {
            if let Some(description) = self.description(state, &doc)? {
                self.note_picture(state, work, &description, local)?;
            }
        }
        Ok(())
    }

    fn note_picture(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Arc<Description>,
        local: bool,
    ) -> Result<(), EngineError> {
        let doc = description.id();
        self.shown_map(state, description)?;
        // What counts today may not count tomorrow, and the other way round.
        let maps = [state.maps.get(&doc), state.shown.get(&doc)].into_iter().flatten();
        let pictures = maps.filter_map(|map| parse_picture(&map.get(PICTURE)?));
        let named: BTreeSet<(BlobHash, u64)> =
            pictures.map(|body| (body.hash, body.size)).collect();
        let known = self.drop_pictures(work, &doc, &named)?;
        for (hash, size) in named.into_iter().filter(|(hash, _)| !known.contains(hash)) {
            // Only who chose the file may say that it may be read: it might be another's.
            let state = if local && self.store.blob_info(&hash)?.is_some() {
                work.needed.insert((hash, Some(doc)));
                work.batch.put(Table::Meta, keys::held(&doc, &hash), Vec::new());
                BodyState::Held
            } else {
                let size = size.to_be_bytes().to_vec();
                work.batch.put(Table::Meta, keys::wanted(&doc, &hash), size);
                BodyState::Wanted
            };
            work.batch.put(Table::Meta, keys::body(&hash, &doc), vec![state as u8]);
        }
        Ok(())
    }

    /// Drops pictures that are no longer named; returns those that are known already.
    fn drop_pictures(
        &self,
        work: &mut Work,
        doc: &DocumentId,
        named: &BTreeSet<(BlobHash, u64)>,
    ) -> Result<BTreeSet<BlobHash>, EngineError> {
        let mut known = BTreeSet::new();
        for prefix in [keys::wanted_prefix(doc), keys::held_prefix(doc)] {
            for (key, value) in self.scan_all(Table::Meta, &prefix)? {
                let Some(hash) = key.last_chunk::<32>().map(|hash| BlobHash::from_bytes(*hash))
                else {
                    continue;
                };
                let size = value.as_ref().try_into().map(u64::from_be_bytes).ok();
                let same = |(other, bytes): &(BlobHash, u64)| {
                    *other == hash && size.is_none_or(|size| size == *bytes)
                };
                if named.iter().any(same) {
                    known.insert(hash);
                    continue;
                }
                work.batch.delete(Table::Meta, key);
                work.batch.delete(Table::Meta, keys::body(&hash, doc));
                if size.is_none() {
                    self.remove_blob_unless_used(work, &hash, doc)?;
                }
            }
        }
        Ok(known)
    }
}

/// Whether a document is one whose pictures are looked after.
pub(super) fn has_picture(description: &Description) -> bool {
    description.kind == DocumentKind::Profile
}
