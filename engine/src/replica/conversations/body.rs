//! Opening the texts of sealed entries.

use crate::hash::{ChangeId, DocumentId, SpaceId};
use crate::model::entry::{BodyRef, Who, without_mentions};
use crate::replica::{BodyState, EngineError, Replica, Text};
use crate::seal::{Beside, EpochKey, SealForm, open_body};
use crate::store::{Table, keys};

/// A text of a sealed body, and what it says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replica) struct OpenedText {
    pub(in crate::replica) text: Text,
    /// The message that it answers.
    pub(in crate::replica) answers: Option<ChangeId>,
    /// Whom it mentions.
    pub(in crate::replica) mentions: Vec<Who>,
}

impl From<Text> for OpenedText {
    fn from(text: Text) -> Self {
        Self { text, answers: None, mentions: Vec::new() }
    }
}

impl OpenedText {
    fn read(text: Vec<u8>, beside: &Beside) -> Option<Self> {
        let here = |bytes: Vec<u8>| Some(Text::Here(String::from_utf8(bytes).ok()?));
        Some(match beside {
            Beside::Nothing => here(text)?.into(),
            Beside::Answers(target) => Self { answers: Some(*target), ..here(text)?.into() },
            Beside::Mentions => {
                let (mentions, text) = without_mentions(&text).ok()?;
                Self { mentions, ..here(text.to_vec())?.into() }
            }
        })
    }
}

impl Replica {
    /// The text of a sealed body of a document, which says nothing beside it.
    pub(in crate::replica) fn open_text(
        &self,
        place: (&SpaceId, &DocumentId),
        body: (&BodyRef, SealForm),
        key: &EpochKey,
    ) -> Result<Text, EngineError> {
        let OpenedText { text, answers, mentions } = self.open_message(place, body, key)?;
        Ok(if answers.is_some() || !mentions.is_empty() { Text::Damaged } else { text })
    }

    /// The text of a sealed body of a document, and what it says beside it.
    pub(in crate::replica) fn open_message(
        &self,
        (space, doc): (&SpaceId, &DocumentId),
        (body, form): (&BodyRef, SealForm),
        key: &EpochKey,
    ) -> Result<OpenedText, EngineError> {
        let row = self.store.get(Table::Meta, &keys::body(&body.hash, doc))?.unwrap_or_default();
        match BodyState::parse(&row) {
            Some(BodyState::Dropped) => return Ok(Text::Deleted.into()),
            Some(BodyState::Held) => {}
            _ => return Ok(Text::Missing.into()),
        }
        // Its hash is all that proves a body of the second form: it is looked at each time.
        let blob = self.held_bytes_in(&row, &body.hash)?;
        let Some(blob) = blob else { return Ok(Text::Damaged.into()) };
        // It has its hash, so whoever wrote it sealed something else.
        let opened = open_body(key, (space, doc), form, &blob).ok();
        let read = opened.and_then(|opened| OpenedText::read(opened.text, &opened.beside));
        Ok(read.unwrap_or_else(|| Text::Damaged.into()))
    }
}
