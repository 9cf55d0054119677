//! Messages that were written elsewhere, with the author and the time that they had there.
//!
//! As with posts, what a message was called there is a row derived from its entry. It is looked up
//! within one channel: the same archive can be imported into several.

use super::messages::MessageDraft;
use crate::description::DocumentKind;
use crate::hash::{BlobHash, ChangeId, HubId};
use crate::limits::BODY_BYTES_MAX;
use crate::model::entry::{BodyRef, Entry, Message, Permissions};
use crate::replica::bodies::check_body;
use crate::replica::posts::check_draft;
use crate::replica::{Draft, EngineError, IMPORT_POSTS_MAX, Imported, Replica, State, Work};
use crate::store::{Table, keys};
use crate::view::origin_of;

/// A message to import.
#[derive(Debug, Clone, Default)]
pub struct MessageImport {
    /// Text, files, and in `claimed` where it comes from; `target` is found by `after`.
    pub draft: MessageDraft,
    /// Ids, there, of messages that it may answer: it answers the first that is here.
    pub after: Vec<String>,
    /// The time it had there.
    pub time_ms: u64,
}

impl Replica {
    /// Returns what the own account imported into a channel before as `id`, be it deleted since.
    ///
    /// # Errors
    /// [`EngineError::NoIdentity`]; if the store fails.
    pub fn imported_message(
        &self,
        channel: &ChangeId,
        id: &str,
    ) -> Result<Option<ChangeId>, EngineError> {
        self.find_message(&mut self.lock(), channel, id)
    }

    /// Writes messages to a channel, all or none; those that are there already are not written
    /// again. Durable when it returns.
    ///
    /// # Errors
    /// If there are more than [`IMPORT_POSTS_MAX`], one says nothing of where it comes from, or
    /// as [`Replica::say`].
    pub fn import_messages(
        &self,
        hub: &HubId,
        channel: &ChangeId,
        messages: Vec<MessageImport>,
        now_ms: u64,
    ) -> Result<Vec<Imported>, EngineError> {
        if messages.len() > IMPORT_POSTS_MAX {
            let message =
                format!("{} messages to import, limit {IMPORT_POSTS_MAX}", messages.len());
            return Err(EngineError::Invalid(message));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        self.check_member(&mut state, hub, channel, Permissions::SEND)?;
        let mut work = Work { now_ms, once: true, ..Work::default() };
        let mut done: Vec<(String, Imported)> = Vec::with_capacity(messages.len());
        for MessageImport { mut draft, after, time_ms } in messages {
            let Some(claimed) = &draft.claimed else {
                return Err(EngineError::Invalid("a message without an origin".to_owned()));
            };
            let origin = claimed.origin.id.clone();
            let imported = match self.known_as(&mut state, channel, &done, &origin)? {
                Some(id) => Imported { id, added: false },
                None => {
                    for id in &after {
                        draft.target = self.known_as(&mut state, channel, &done, id)?;
                        if draft.target.is_some() {
                            break;
                        }
                    }
                    let id =
                        self.write_message(&mut state, &mut work, hub, channel, draft, time_ms)?;
                    Imported { id, added: true }
                }
            };
            done.push((origin, imported));
        }
        if done.iter().any(|(_, imported)| imported.added) {
            self.finish(state, work)?;
        }
        Ok(done.into_iter().map(|(_, imported)| imported).collect())
    }

    /// Tells whether [`Replica::import_messages`] can write a message, as far as its own limits go.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] says why not.
    pub fn check_message(draft: &MessageDraft) -> Result<(), EngineError> {
        let MessageDraft { text, attachments, mentions, claimed, .. } = draft.clone();
        check_body(text.as_bytes())?;
        check_draft(&Draft { text, attachments: attachments.clone() })?;
        // Of what is not known yet the longest.
        let body = BodyRef { hash: BlobHash::of(&[]), size: BODY_BYTES_MAX as u64 };
        let target = Some(ChangeId::from_bytes([0; 32]));
        let message = Message { target, body, attachments, mentions, claimed };
        let read = Entry::decode(&Entry::Message(Box::new(message)).encode());
        read.map(drop).map_err(|error| EngineError::Invalid(error.to_string()))
    }

    /// Looks among what is there, and among what is about to be.
    fn known_as(
        &self,
        state: &mut State,
        channel: &ChangeId,
        done: &[(String, Imported)],
        id: &str,
    ) -> Result<Option<ChangeId>, EngineError> {
        match done.iter().find(|(known, _)| known == id) {
            Some((_, imported)) => Ok(Some(imported.id)),
            None => self.find_message(state, channel, id),
        }
    }

    fn find_message(
        &self,
        state: &mut State,
        channel: &ChangeId,
        id: &str,
    ) -> Result<Option<ChangeId>, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        for (key, _) in self.scan_all(Table::Rows, &keys::origins(&me, &origin_of(id)))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some(row) = self.entry_row(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)? else { continue };
            if page.kind == DocumentKind::Channel && page.channel_id() == Some(*channel) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}
