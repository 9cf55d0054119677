//! The texts of hub operations: names, topics and reasons. In a private hub, and of a private channel,
//! they are sealed, all of one operation together, and the rest of it stands in the clear.

use super::bytes::SEALED_TEXTS;
use super::{ChannelChange, ChannelFields, HubAction, HubOperation, HubSetting};
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{HUB_NAME_BYTES_MAX, HUB_REASON_BYTES_MAX, TOPIC_BYTES_MAX};

/// What a text of an operation may be.
pub(super) struct TextLimit {
    bytes: usize,
    reading: &'static str,
    may_be_empty: bool,
}

pub(super) const REASON: TextLimit = TextLimit::text(HUB_REASON_BYTES_MAX, "reason");
pub(super) const HUB_NAME: TextLimit = TextLimit::name("name of a hub");
pub(super) const ABOUT: TextLimit = TextLimit::text(TOPIC_BYTES_MAX, "text about a hub");
pub(super) const ROLE_NAME: TextLimit = TextLimit::name("name of a role");
pub(super) const CHANNEL_NAME: TextLimit = TextLimit::name("name of a channel");
pub(super) const TOPIC: TextLimit = TextLimit::text(TOPIC_BYTES_MAX, "topic");
pub(super) const CATEGORY: TextLimit = TextLimit::text(HUB_NAME_BYTES_MAX, "category");

impl TextLimit {
    const fn text(bytes: usize, reading: &'static str) -> Self {
        Self { bytes, reading, may_be_empty: true }
    }

    const fn name(reading: &'static str) -> Self {
        Self { bytes: HUB_NAME_BYTES_MAX, reading, may_be_empty: false }
    }

    pub(super) fn read(&self, r: &mut Reader<'_>) -> Result<String, DecodeError> {
        let text = r.text(self.bytes, self.reading)?;
        if text.is_empty() && !self.may_be_empty {
            return Err(DecodeError::Rule("an empty name"));
        }
        Ok(text.to_owned())
    }
}

/// What the sealed texts of an operation say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedTexts {
    /// Why, for people.
    pub reason: String,
    /// The action, with its texts.
    pub action: HubAction,
}

impl HubAction {
    /// Whether its texts, or the reason beside them, can be sealed.
    pub(super) const fn takes_sealed_texts(&self) -> bool {
        !matches!(self, Self::Begin(_) | Self::Checkpoint { .. } | Self::Report(_))
    }

    /// Whether it leaves who is in the hub, and who reads what, as they are.
    #[must_use]
    pub const fn only_names(&self) -> bool {
        match self {
            Self::DefineRole { .. } | Self::ChangeRole { .. } | Self::Set(_) => true,
            Self::CreateChannel(_) => true,
            Self::ChangeChannel { change, .. } => !matches!(change, ChannelChange::Readers(_)),
            _ => false,
        }
    }

    /// Returns its texts in the order of its bytes, with what each may be.
    fn texts_mut(&mut self) -> Vec<(&mut String, TextLimit)> {
        match self {
            Self::DefineRole { name, .. } | Self::ChangeRole { name, .. } => {
                vec![(name, ROLE_NAME)]
            }
            Self::CreateChannel(ChannelFields { name, topic, category, .. }) => {
                vec![(name, CHANNEL_NAME), (topic, TOPIC), (category, CATEGORY)]
            }
            Self::ChangeChannel { change, .. } => match change {
                ChannelChange::Name(name) => vec![(name, CHANNEL_NAME)],
                ChannelChange::Topic(topic) => vec![(topic, TOPIC)],
                ChannelChange::Category(category) => vec![(category, CATEGORY)],
                _ => Vec::new(),
            },
            Self::Set(HubSetting::Name(name)) => vec![(name, HUB_NAME)],
            Self::Set(HubSetting::About(about)) => vec![(about, ABOUT)],
            _ => Vec::new(),
        }
    }
}

impl HubOperation {
    /// Returns the kind byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self.texts {
            None => self.action.kind(),
            Some(_) => SEALED_TEXTS,
        }
    }

    /// Takes the texts out, for a seal; `None` if there are none, or it is of a kind that keeps its own.
    #[must_use]
    pub fn take_texts(&mut self) -> Option<Vec<u8>> {
        if !self.action.takes_sealed_texts() {
            return None;
        }
        let mut w = Writer::new();
        let mut found = !self.reason.is_empty();
        w.text(&std::mem::take(&mut self.reason));
        for (text, _) in self.action.texts_mut() {
            found |= !text.is_empty();
            w.text(&std::mem::take(text));
        }
        found.then(|| w.finish())
    }

    /// Returns what stands in the clear beside sealed texts, and is sealed along: the kind byte, and
    /// all fields but the texts.
    #[must_use]
    pub fn clear(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(SEALED_TEXTS);
        self.encode_clear(&mut w);
        w.finish()
    }

    /// Puts opened texts in their places.
    ///
    /// # Errors
    /// If they are not those of this action, or one is what it may not be.
    pub fn with_texts(&self, plain: &[u8]) -> Result<OpenedTexts, DecodeError> {
        let mut r = Reader::new(plain);
        let reason = REASON.read(&mut r)?;
        let mut action = self.action.clone();
        for (text, limit) in action.texts_mut() {
            *text = limit.read(&mut r)?;
        }
        r.end()?;
        Ok(OpenedTexts { reason, action })
    }
}
