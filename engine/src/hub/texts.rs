//! Texts of operations that are sealed: names, topics and reasons of a private hub, and those of a
//! private channel. Nothing that is concluded depends on them, so a hub settles without; who can open
//! them puts them in their places.
//!
//! They are sealed for a *circle of readers* that is named like a channel: all members of the hub, or
//! the readers of one channel. Its keys stand where those of a channel by this name would. Who comes
//! later gets all of them, whatever he gets of messages: what has a name is to be called by it.

use std::sync::OnceLock;

use super::Hub;
use super::table::OpIx;
use crate::chain::ChainKey;
use crate::hash::{ChangeId, HubId, derive};
use crate::model::entry::{ChannelFields, HubAction, HubOperation, OpenedTexts};
use crate::seal::EPOCH_HINT_BYTES;

/// An operation with sealed texts.
#[derive(Debug)]
pub(super) struct SealedTexts {
    operation: HubOperation,
    opened: OnceLock<OpenedTexts>,
}

/// Texts that are not open yet.
#[derive(Debug)]
pub struct ClosedTexts<'a> {
    /// The operation.
    pub id: ChangeId,
    /// Where it stands.
    pub chain: ChainKey,
    /// Its number there.
    pub n: u64,
    /// The operation, without its texts.
    pub operation: &'a HubOperation,
    /// Circles whose keys may open them.
    pub circles: Vec<ChangeId>,
}

/// Whom texts are sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextCircle {
    /// All members.
    Members,
    /// The readers of a channel.
    Readers(ChangeId),
    /// The readers of the channel that the operation creates.
    NewReaders,
}

/// Those who share keys in a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circle {
    /// The readers of a channel, for what is said there.
    Channel(OpIx),
    /// All members, for texts.
    MemberTexts,
    /// The readers of a channel, for its texts.
    ChannelTexts(OpIx),
}

impl Circle {
    /// The operation that names the channel.
    pub(super) const fn channel(self) -> Option<OpIx> {
        match self {
            Self::Channel(object) | Self::ChannelTexts(object) => Some(object),
            Self::MemberTexts => None,
        }
    }

    pub(super) const fn is_for_texts(self) -> bool {
        !matches!(self, Self::Channel(_))
    }
}

/// Returns the name of the circle of all members: `derive_key("mosaic hub texts 1", hub)`.
#[must_use]
pub fn texts_of_hub(hub: &HubId) -> ChangeId {
    ChangeId::from_bytes(derive("mosaic hub texts 1", &[hub.as_bytes()]))
}

/// Returns the name of the circle of a channel's readers: `derive_key("mosaic channel texts 1", channel)`.
#[must_use]
pub fn texts_of_channel(channel: &ChangeId) -> ChangeId {
    ChangeId::from_bytes(derive("mosaic channel texts 1", &[channel.as_bytes()]))
}

impl Hub {
    /// Notes what an operation seals, and the circle of a channel that it creates.
    pub(super) fn note_texts(&mut self, op: OpIx, operation: HubOperation) {
        let private = match &operation.action {
            HubAction::CreateChannel(ChannelFields { readers, .. }) => {
                readers.is_some() || self.genesis.private
            }
            _ => false,
        };
        if private {
            let name = texts_of_channel(&self.graph.ops[op].id);
            self.text_circles.insert(name, Circle::ChannelTexts(op));
        }
        if operation.texts.is_some() {
            self.sealed.insert(op, SealedTexts { operation, opened: OnceLock::new() });
        }
    }

    /// Whom a name stands for.
    pub(super) fn circle(&self, name: &ChangeId) -> Option<Circle> {
        match self.graph.by_id(name).filter(|op| self.channels.contains_key(op)) {
            Some(channel) => Some(Circle::Channel(channel)),
            None => self.text_circles.get(name).copied(),
        }
    }

    /// Whether a name is that of a circle of texts.
    #[must_use]
    pub fn is_for_texts(&self, name: &ChangeId) -> bool {
        self.text_circles.contains_key(name)
    }

    /// Whom the texts of a new operation are to be sealed for; `None` if they stand in the clear.
    #[must_use]
    pub fn text_circle(&self, action: &HubAction) -> Option<TextCircle> {
        let members = self.genesis.private.then_some(TextCircle::Members);
        match action {
            HubAction::CreateChannel(ChannelFields { readers: Some(readers), .. })
                if members.is_none() || !readers.roles.is_empty() =>
            {
                Some(TextCircle::NewReaders)
            }
            HubAction::ChangeChannel { channel, .. }
            | HubAction::ChannelRules { channel, .. }
            | HubAction::Pin { channel, .. } => {
                let object = self.graph.by_id(channel);
                let said = object.and_then(|object| self.readers_said(object, &|_| true));
                match said {
                    Some(said) if members.is_none() || said.iter().any(|r| !r.roles.is_empty()) => {
                        Some(TextCircle::Readers(*channel))
                    }
                    _ => members,
                }
            }
            _ => members,
        }
    }

    /// Texts that are not open yet.
    pub fn closed_texts(&self) -> impl Iterator<Item = ClosedTexts<'_>> {
        let closed = self.sealed.iter().filter(|(_, sealed)| sealed.opened.get().is_none());
        closed.filter_map(|(op, sealed)| {
            let row = &self.graph.ops[*op];
            Some(ClosedTexts {
                id: row.id,
                chain: self.graph.strands[row.strand].chain?,
                n: u64::from(row.n),
                operation: &sealed.operation,
                circles: self.circles_of(*op, sealed).collect(),
            })
        })
    }

    /// Circles whose keys may open the texts of an operation.
    fn circles_of(&self, op: OpIx, sealed: &SealedTexts) -> impl Iterator<Item = ChangeId> {
        let of_hub = self.genesis.private.then(|| texts_of_hub(&self.id));
        let of_channel = match &sealed.operation.action {
            HubAction::CreateChannel(_) => Some(self.graph.ops[op].id),
            HubAction::ChangeChannel { channel, .. }
            | HubAction::ChannelRules { channel, .. }
            | HubAction::Pin { channel, .. } => Some(*channel),
            _ => None,
        };
        of_hub.into_iter().chain(of_channel.map(|channel| texts_of_channel(&channel)))
    }

    /// Puts texts in their places that were opened.
    pub fn open_texts(&self, id: &ChangeId, texts: OpenedTexts) {
        if let Some(sealed) = self.graph.by_id(id).and_then(|op| self.sealed.get(&op)) {
            let _ = sealed.opened.set(texts);
        }
    }

    /// What operations that count tell of the keys that their texts are sealed with, of those that a circle
    /// may open.
    pub fn text_hints<'a>(
        &'a self,
        circle: &'a ChangeId,
    ) -> impl Iterator<Item = [u8; EPOCH_HINT_BYTES]> + 'a {
        let counting = self.sealed.iter().filter(|(op, sealed)| {
            self.power(**op).is_some() && self.circles_of(**op, sealed).any(|of| of == *circle)
        });
        counting.filter_map(|(_, sealed)| Some(sealed.operation.texts.as_ref()?.epoch))
    }

    /// What the operation that names the hub tells of the key of its texts; `None` if they stand in the
    /// clear.
    #[must_use]
    pub fn name_hint(&self) -> Option<[u8; EPOCH_HINT_BYTES]> {
        let op = self.named_by()?;
        let adopted = self.graph.ops[op].deed.as_ref().and_then(|deed| deed.adopts);
        let sealed = self.sealed.get(&adopted.unwrap_or(op))?;
        Some(sealed.operation.texts.as_ref()?.epoch)
    }

    /// What an operation does, for people: with its texts, as far as they are open. What it adopts is
    /// shown as that.
    pub(super) fn shown(&self, op: OpIx) -> Option<&HubAction> {
        let deed = self.graph.ops[op].deed.as_ref()?;
        let sealed = self.sealed.get(&deed.adopts.unwrap_or(op));
        let opened = sealed.and_then(|sealed| sealed.opened.get());
        Some(opened.map_or(deed.action.as_ref(), |opened| &opened.action))
    }

    /// Why, for people.
    pub(super) fn reason(&self, op: OpIx) -> &str {
        let opened = self.sealed.get(&op).and_then(|sealed| sealed.opened.get());
        let deed = self.graph.ops[op].deed.as_ref();
        match opened {
            Some(opened) => &opened.reason,
            None => deed.map(|deed| deed.reason.as_str()).unwrap_or_default(),
        }
    }

    /// Whether texts of an operation, or of the one that it adopts, do not open here.
    pub(super) fn is_closed(&self, op: OpIx) -> bool {
        let adopted = self.graph.ops[op].deed.as_ref().and_then(|deed| deed.adopts);
        let mut sealed =
            [Some(op), adopted].into_iter().flatten().filter_map(|op| self.sealed.get(&op));
        sealed.any(|sealed| sealed.opened.get().is_none())
    }
}
