//! Rows derived from entries: what makes walls, threads and edits quick to read. A pure
//! function of one entry and where it stands, so the rows of a set of entries do not
//! depend on the order in which they came, and can be dropped and built again.

use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind};
use crate::hash::{ChangeId, DeviceId, DocumentId, Incarnation, derive};
use crate::limits::HEAD_AHEAD_MAX;
use crate::model::entry::{Attachment, BodyRef, Entry, PrivateWhat};
use crate::store::keys;

/// Where an entry (or a change of a map or text) stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRow {
    /// The document.
    pub doc: DocumentId,
    /// The writing device.
    pub device: DeviceId,
    /// Its writing life.
    pub incarnation: Incarnation,
    /// Position in the chain.
    pub n: u64,
    /// Claimed time; 0 for changes of maps and texts.
    pub time_ms: u64,
    /// Entry kind byte; [`MAP_CHANGE`] or [`TEXT_CHANGE`] for changes that are no entries.
    pub kind: u8,
}

/// Bytes of a row at most in which the chain has a name: less than any other has.
const SHORT_BYTES_MAX: usize = 8 + 10 + 10 + 1;

/// In the place of an entry's kind: a change of a map.
pub const MAP_CHANGE: u8 = 0x00;
/// In the place of an entry's kind: a change of a text.
pub const TEXT_CHANGE: u8 = 0x09;

/// The kind of what a change of a document without entries is shown as.
#[must_use]
pub const fn change_kind(kind: DocumentKind) -> u8 {
    if matches!(kind, DocumentKind::Text) { TEXT_CHANGE } else { MAP_CHANGE }
}

impl EntryRow {
    /// Encodes the row's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(self.doc.as_bytes()).raw(self.device.as_bytes()).raw(self.incarnation.as_bytes());
        w.varint(self.n).u64(self.time_ms).u8(self.kind);
        w.finish()
    }

    /// Encodes the row's value where the chain has a name.
    #[must_use]
    pub fn encode_short(&self, name: &ChainName) -> Vec<u8> {
        let mut w = Writer::with_capacity(SHORT_BYTES_MAX);
        w.raw(&name.0).varint(self.n).varint(self.time_ms).u8(self.kind);
        w.finish()
    }

    /// The chain's name, if the value has it in its place.
    #[must_use]
    pub fn name_in(bytes: &[u8]) -> Option<ChainName> {
        (bytes.len() <= SHORT_BYTES_MAX).then(|| bytes.first_chunk().copied().map(ChainName))?
    }

    /// Decodes a value in which the chain has a name.
    ///
    /// # Errors
    /// If the bytes are not a row.
    pub fn decode_short(bytes: &[u8], chain: &ChainKey) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let _: [u8; 8] = r.array("row chain")?;
        let row = Self {
            doc: chain.doc,
            device: chain.device,
            incarnation: chain.incarnation,
            n: r.varint(HEAD_AHEAD_MAX, "row n")?,
            time_ms: r.varint(u64::MAX, "row time")?,
            kind: r.u8("row kind")?,
        };
        r.end()?;
        Ok(row)
    }

    /// The chain it stands in.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        ChainKey { doc: self.doc, device: self.device, incarnation: self.incarnation }
    }

    /// Decodes a row's value.
    ///
    /// # Errors
    /// If the bytes are not a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let row = Self {
            doc: DocumentId::from_bytes(r.array("row document")?),
            device: DeviceId::from_bytes(r.array("row device")?),
            incarnation: Incarnation::from_bytes(r.array("row incarnation")?),
            n: r.varint(HEAD_AHEAD_MAX, "row n")?,
            time_ms: r.u64("row time")?,
            kind: r.u8("row kind")?,
        };
        r.end()?;
        Ok(row)
    }
}

/// The short name of a chain, within one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainName(pub [u8; 8]);

impl ChainName {
    /// The name that a chain has, unless another has it.
    #[must_use]
    pub fn of(chain: &ChainKey) -> Self {
        let parts =
            [chain.doc.as_bytes(), chain.device.as_bytes(), &chain.incarnation.as_bytes()[..]];
        let hash = derive("mosaic chain name 1", &[&parts.concat()]);
        let mut name = [0; 8];
        name.copy_from_slice(hash.first_chunk::<8>().unwrap_or(&[0; 8]));
        Self(name)
    }
}

/// Returns the rows of one entry: keys and values of the Rows table. Those that came together may
/// say less where they are, and share the row of the wall.
#[must_use]
pub fn rows_of(
    description: &Description,
    id: &ChangeId,
    row: &EntryRow,
    entry: &Entry,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = vec![(keys::entry(id), row.encode())];
    rows.extend(other_rows_of(description, id, row, entry));
    if description.kind == DocumentKind::Wall
        && matches!(entry, Entry::Post { .. } | Entry::Repost { .. })
    {
        rows.push((keys::wall(&description.account, row.time_ms, id), vec![row.kind]));
    }
    rows
}

/// As [`rows_of`], without the row that says where the entry is, and that of the wall.
#[must_use]
pub fn other_rows_of(
    description: &Description,
    id: &ChangeId,
    row: &EntryRow,
    entry: &Entry,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let kind = vec![row.kind];
    let mut rows = Vec::new();
    match entry {
        Entry::Post { origin, text, .. } if description.kind == DocumentKind::Wall => {
            if let Some(label) = text {
                let doc = Description::text(description.account, label).id();
                rows.push((keys::text_post(&doc, id), kind.clone()));
            }
            if let Some(origin) = origin {
                let key = keys::origin(&description.account, &origin_of(&origin.id), id);
                rows.push((key, kind));
            }
        }
        Entry::Edit { target, .. }
        | Entry::Tombstone { target }
        | Entry::Hide { target }
        | Entry::Unhide { target }
        | Entry::ClosePoll { target, .. } => rows.push((keys::modification(target, id), kind)),
        Entry::Reply { target, .. }
        | Entry::Reaction { target, .. }
        | Entry::Vote { poll: target, .. } => rows.push((keys::response(target, id), kind)),
        Entry::Seen { links } => {
            let value = links.iter().flat_map(|link| *link.as_bytes()).collect();
            rows.push((keys::seen(&row.chain(), row.n), value));
        }
        Entry::Message(message) => {
            if let Some(target) = &message.target {
                rows.push((keys::response(target, id), kind.clone()));
            }
            if let Some(claimed) = &message.claimed {
                let key = keys::origin(&description.account, &origin_of(&claimed.origin.id), id);
                rows.push((key, kind.clone()));
            }
            rows.extend(channel_row(description, row, id, kind));
        }
        Entry::Poll(_) => rows.extend(channel_row(description, row, id, kind)),
        Entry::Private(private) => match private.what {
            PrivateWhat::Message { target, .. } => {
                rows.extend(target.map(|target| (keys::response(&target, id), kind.clone())));
                rows.extend(channel_row(description, row, id, kind));
            }
            PrivateWhat::Reaction { target } => rows.push((keys::response(&target, id), kind)),
            PrivateWhat::Edit { target, .. } => rows.push((keys::modification(&target, id), kind)),
        },
        Entry::Epoch { .. } => {
            let channel = description.channel_id();
            rows.extend(channel.map(|channel| (keys::channel_key(&channel, id), kind)));
        }
        _ => {}
    }
    rows
}

/// The row by which a channel is listed.
fn channel_row(
    description: &Description,
    row: &EntryRow,
    id: &ChangeId,
    kind: Vec<u8>,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let channel = description.channel_id()?;
    Some((keys::message(&channel, row.time_ms, &description.account, id), kind))
}

/// What the id of an imported post is found by.
#[must_use]
pub fn origin_of(id: &str) -> [u8; 32] {
    derive("mosaic origin 1", &[id.as_bytes()])
}

/// Returns the bodies an entry names: its text first, then attachments.
#[must_use]
pub fn bodies_of(entry: &Entry) -> Vec<BodyRef> {
    fn all(body: &BodyRef, attachments: &[Attachment]) -> Vec<BodyRef> {
        std::iter::once(*body).chain(attachments.iter().map(|a| a.body)).collect()
    }
    match entry {
        Entry::Post { body, attachments, .. } | Entry::Reply { body, attachments, .. } => {
            all(body, attachments)
        }
        Entry::Message(message) => all(&message.body, &message.attachments),
        Entry::Poll(poll) => vec![poll.body],
        Entry::Edit { body, .. } => vec![*body],
        Entry::Sealed(sealed) => sealed.bodies.clone(),
        Entry::Private(private) => private.what.body().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether this kind of entry may stand in this kind of document.
#[must_use]
pub const fn fits(kind: DocumentKind, entry: &Entry) -> bool {
    match entry {
        Entry::PageStart { .. } | Entry::Cut { .. } => kind.is_log(),
        Entry::Post { .. } | Entry::Repost { .. } | Entry::Hide { .. } | Entry::Unhide { .. } => {
            matches!(kind, DocumentKind::Wall)
        }
        Entry::Reply { .. } => matches!(kind, DocumentKind::Guest),
        Entry::Reaction { .. } => matches!(kind, DocumentKind::Guest | DocumentKind::Channel),
        Entry::Edit { .. } => {
            matches!(kind, DocumentKind::Wall | DocumentKind::Guest | DocumentKind::Channel)
        }
        Entry::Tombstone { .. } => matches!(
            kind,
            DocumentKind::Wall
                | DocumentKind::Guest
                | DocumentKind::Channel
                | DocumentKind::Conversation
        ),
        Entry::Sealed(_) | Entry::Membership(_) => matches!(kind, DocumentKind::Conversation),
        Entry::Epoch { .. } => {
            matches!(
                kind,
                DocumentKind::AccountLog | DocumentKind::Conversation | DocumentKind::Channel
            )
        }
        Entry::Seen { .. }
        | Entry::Message(_)
        | Entry::Private(_)
        | Entry::Poll(_)
        | Entry::Vote { .. }
        | Entry::ClosePoll { .. } => matches!(kind, DocumentKind::Channel),
        Entry::Hub(_) => matches!(kind, DocumentKind::HubLog),
        _ => matches!(kind, DocumentKind::AccountLog),
    }
}
