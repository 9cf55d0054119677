//! Opening the texts of sealed entries.

use crate::hash::{ChangeId, DocumentId, SpaceId};
use crate::model::entry::BodyRef;
use crate::replica::{BodyState, EngineError, Replica, Text};
use crate::seal::{EpochKey, SealForm, open_body};
use crate::store::{Table, keys};

impl Replica {
    /// The text of a sealed body of a document, which answers nothing.
    pub(in crate::replica) fn open_text(
        &self,
        place: (&SpaceId, &DocumentId),
        body: (&BodyRef, SealForm),
        key: &EpochKey,
    ) -> Result<Text, EngineError> {
        Ok(match self.open_message(place, body, key)? {
            (_, Some(_)) => Text::Damaged,
            (text, None) => text,
        })
    }

    /// The text of a sealed body of a document, and what it answers.
    pub(super) fn open_message(
        &self,
        (space, doc): (&SpaceId, &DocumentId),
        (body, form): (&BodyRef, SealForm),
        key: &EpochKey,
    ) -> Result<(Text, Option<ChangeId>), EngineError> {
        let row = self.store.get(Table::Meta, &keys::body(&body.hash, doc))?.unwrap_or_default();
        match BodyState::parse(&row) {
            Some(BodyState::Dropped) => return Ok((Text::Deleted, None)),
            Some(BodyState::Held) => {}
            _ => return Ok((Text::Missing, None)),
        }
        // Its hash is all that proves a body of the second form: it is looked at each time.
        let blob = self.held_bytes_in(&row, &body.hash)?;
        let Some(blob) = blob else { return Ok((Text::Damaged, None)) };
        // It has its hash, so whoever wrote it sealed something else.
        let Ok(opened) = open_body(key, (space, doc), form, &blob) else {
            return Ok((Text::Damaged, None));
        };
        Ok(match String::from_utf8(opened.text) {
            Ok(text) => (Text::Here(text), opened.answers),
            Err(_) => (Text::Damaged, None),
        })
    }
}
