//! Looking at the changes of one document: what they say, and what Automerge shows.

use bytes::Bytes;

use super::body_rows::bytes_in;
use super::{BodyState, EngineError, Replica};
use crate::chain::{ChainKey, extend};
use crate::change::log::LogFields;
use crate::change::prescan::prescan;
use crate::change::text::{TEXT_KEY, prescan_text};
use crate::change::value::Value;
use crate::description::{Description, DocumentKind};
use crate::document::{LogPage, TextCounts};
use crate::hash::{ChangeHash, ChangeId, DocumentId};
use crate::model::entry::{Entry, PrivateWhat};

/// One held change.
#[derive(Debug, Clone)]
pub struct ChangeView {
    /// Its id.
    pub id: ChangeId,
    /// Its chain.
    pub key: ChainKey,
    /// Its place there, from 1.
    pub n: u64,
    /// Automerge's name of it; unknown while it is sealed.
    pub hash: Option<ChangeHash>,
    /// Automerge names of what it builds on.
    pub dependencies: Option<Vec<ChangeHash>>,
    /// Stored bytes.
    pub bytes: Bytes,
    /// The Automerge chunk, if the stored bytes are sealed and could be opened.
    pub plain: Option<Vec<u8>>,
    /// Claimed time; 0 for map changes, which claim none.
    pub time_ms: u64,
    /// The entry, of a log change.
    pub entry: Option<Entry>,
    /// Keys put (true) or deleted, of a map change.
    pub edits: Vec<(String, bool)>,
    /// Characters inserted and deleted, of a text change.
    pub text: Option<TextCounts>,
    /// Beyond the cut of a revoked device.
    pub void: bool,
}

impl ChangeView {
    /// `ok` or `void`.
    #[must_use]
    pub const fn standing(&self) -> &'static str {
        if self.void { "void" } else { "ok" }
    }

    /// What the change did: an action and what it acts on, one for each edit of a map.
    #[must_use]
    pub fn actions(&self) -> Vec<(&'static str, Option<String>)> {
        match (&self.entry, &self.text) {
            (Some(entry), _) => vec![action(entry)],
            (None, Some(TextCounts { inserted, deleted })) => {
                vec![("type", Some(format!("+{inserted} -{deleted}")))]
            }
            (None, None) if self.edits.is_empty() => vec![("sealed", None)],
            (None, None) => self
                .edits
                .iter()
                .map(|(key, put)| (if *put { "put" } else { "delete" }, Some(key.clone())))
                .collect(),
        }
    }
}

fn action(entry: &Entry) -> (&'static str, Option<String>) {
    match entry {
        Entry::PageStart { .. } => ("page-start", None),
        Entry::Post { .. } => ("post", None),
        Entry::Repost { target } => ("repost", Some(target.entry.to_string())),
        Entry::Reply { target, .. } => ("reply", Some(target.to_string())),
        Entry::Reaction { target, .. } => ("react", Some(target.to_string())),
        Entry::Edit { target, .. } => ("edit", Some(target.to_string())),
        Entry::Tombstone { target } => ("delete", Some(target.to_string())),
        Entry::Hide { target } => ("hide", Some(target.to_string())),
        Entry::Unhide { target } => ("unhide", Some(target.to_string())),
        Entry::Seen { .. } => ("seen", None),
        Entry::Message(message) => ("message", message.target.map(|target| target.to_string())),
        Entry::Poll(_) => ("poll", None),
        Entry::Vote { poll, .. } => ("vote", Some(poll.to_string())),
        Entry::ClosePoll { target, .. } => ("close-poll", Some(target.to_string())),
        Entry::Cut { device, .. } => ("cut", Some(device.to_string())),
        Entry::Hub(operation) => (operation.action.name(), None),
        Entry::Sealed(_) => ("sealed", None),
        Entry::Private(private) => {
            let what = match private.what {
                PrivateWhat::Message { .. } => "message",
                PrivateWhat::Reaction { .. } => "react",
                PrivateWhat::Edit { .. } => "edit",
            };
            (what, private.what.target().map(|target| target.to_string()))
        }
        Entry::Membership(change) => {
            let what = if change.present { "add-member" } else { "remove-member" };
            (what, Some(change.account.to_string()))
        }
        Entry::AddDevice { name, .. } => ("add-device", Some(name.clone())),
        Entry::RenameDevice { device, .. } => ("rename-device", Some(device.to_string())),
        Entry::Suspend { device } => ("suspend-device", Some(device.to_string())),
        Entry::Restore { device } => ("restore-device", Some(device.to_string())),
        Entry::Revoke { device, .. } => ("revoke-device", Some(device.to_string())),
        Entry::Admit { account } => ("admit", Some(account.to_string())),
        Entry::Refuse { account } => ("refuse", Some(account.to_string())),
        Entry::Policy { .. } => ("reply-policy", None),
        Entry::Epoch { epoch, .. } => ("epoch", Some(epoch.to_string())),
        Entry::Recovery { policy, .. } => ("recovery", Some(policy.id().to_string())),
        Entry::Recover { name, .. } => ("recover-device", Some(name.clone())),
        Entry::Rotate { .. } => ("rotate-recovery", None),
        Entry::Prekey { .. } => ("prekey", None),
    }
}

/// Keys and values of a document.
pub type Values = Vec<(String, Value)>;

impl Replica {
    /// Held changes of a document, chain by chain, oldest first.
    ///
    /// # Errors
    /// If the document is not here, or the store fails or is damaged.
    pub fn changes(&self, doc: &DocumentId) -> Result<Vec<ChangeView>, EngineError> {
        let mut state = self.lock();
        let description =
            self.description(&mut state, doc)?.ok_or(EngineError::MissingDocument(*doc))?;
        let chains = self.chains_of(&mut state, doc)?;
        drop(state);
        let mut out = Vec::new();
        for (key, chain) in chains {
            let mut link = key.origin(&description.space.id());
            for (n, id) in (1..).zip(self.change_ids(&key, 1, chain.held)?) {
                let bytes = self
                    .blob_bytes(&id.blob())?
                    .ok_or_else(|| EngineError::Corrupt(format!("change {id} is missing")))?;
                out.push(self.change_view(&description, key, n, id, link, bytes)?);
                link = extend(&link, n, &id);
            }
        }
        Ok(out)
    }

    fn change_view(
        &self,
        description: &Description,
        key: ChainKey,
        n: u64,
        id: ChangeId,
        previous: crate::hash::Link,
        bytes: Bytes,
    ) -> Result<ChangeView, EngineError> {
        let mut state = self.lock();
        let mut view = ChangeView {
            id,
            key,
            n,
            hash: None,
            dependencies: None,
            bytes,
            plain: None,
            time_ms: 0,
            entry: None,
            edits: Vec::new(),
            text: None,
            void: self.is_void(&mut state, description, &key, n)?,
        };
        if description.kind.is_log() {
            let (fields, hash) = LogFields::parse(&view.bytes).map_err(EngineError::corrupt)?;
            view.time_ms = fields.time_ms;
            view.hash = Some(hash);
            view.dependencies = Some(fields.previous.into_iter().collect());
            view.entry = Some(Entry::decode(fields.value).map_err(EngineError::corrupt)?);
            return Ok(view);
        }
        if description.kind == DocumentKind::Text {
            let scan = prescan_text(&view.bytes).map_err(EngineError::corrupt)?;
            let (inserted, deleted) = scan.counts();
            view.text = Some(TextCounts { inserted, deleted });
            view.time_ms = scan.time_ms;
            view.hash = Some(scan.hash);
            view.dependencies = Some(scan.dependencies);
            return Ok(view);
        }
        let plain = self.opened(&mut state, description, &key, n, previous, &view.bytes)?;
        if let Some(plain) = plain
            && let Ok(scan) = prescan(&plain)
        {
            view.hash = Some(scan.hash);
            view.dependencies = Some(scan.dependencies);
            view.edits =
                scan.operations.into_iter().map(|op| (op.key, op.value.is_some())).collect();
            view.plain = (plain != view.bytes.as_ref()).then_some(plain);
        }
        Ok(view)
    }

    /// Heads and values of a document as Automerge shows them, void changes left out.
    ///
    /// # Errors
    /// As [`Replica::changes`].
    pub fn values(&self, doc: &DocumentId) -> Result<(Vec<ChangeHash>, Values), EngineError> {
        let mut state = self.lock();
        let description =
            self.description(&mut state, doc)?.ok_or(EngineError::MissingDocument(*doc))?;
        if description.kind == DocumentKind::Text {
            drop(state);
            let view = self.read_text(doc)?;
            return Ok((view.heads, vec![(TEXT_KEY.to_owned(), Value::Text(view.text))]));
        }
        if !description.kind.is_log() {
            let map = self.shown_map(&mut state, &description)?;
            let map = map.ok_or(EngineError::MissingDocument(*doc))?;
            return Ok((map.heads(), map.entries()));
        }
        drop(state);
        let changes = self.changes(doc)?;
        let page = LogPage::load(changes.iter().map(|change| change.bytes.as_ref()))
            .map_err(EngineError::corrupt)?;
        let entries = page.entries();
        let values = entries.into_iter().map(|(key, value)| (key, Value::Bytes(value)));
        Ok((page.heads(), values.collect()))
    }

    /// Bodies and attachments whose bytes are here, and those bytes, salts included; each
    /// counted once, whether it is a row or a file.
    ///
    /// # Errors
    /// If the store fails.
    pub fn bodies_held(&self) -> Result<(u64, u64), EngineError> {
        let (mut count, mut total, mut last) = (0, 0u64, None);
        self.each_body(&mut |hash, _, row| {
            if BodyState::parse(row) == Some(BodyState::Held) && last != Some(hash) {
                last = Some(hash);
                count += 1;
                let size = match bytes_in(row) {
                    Some(bytes) => bytes.len() as u64,
                    None => self.held_size(&hash)?.unwrap_or(0),
                };
                total = total.saturating_add(size);
            }
            Ok(true)
        })?;
        Ok((count, total))
    }
}
