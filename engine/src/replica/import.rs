//! Posts that were written elsewhere, with the time they had there.
//!
//! What a post was called where it comes from is a row derived from its entry, so that importing
//! again adds nothing, on whichever device of the account, once they agree.

use super::bodies::check_body;
use super::posts::check_draft;
use super::{Draft, EngineError, Replica, State, Work};
use crate::description::DocumentKind;
use crate::hash::{AccountId, BlobHash, ChangeId};
use crate::limits::BODY_BYTES_MAX;
use crate::model::entry::{BodyRef, Entry, EntryRef, Origin};
use crate::store::{Table, keys};
use crate::view::origin_of;

/// Posts of one import: they are one commit, and memory holds them all.
pub const IMPORT_POSTS_MAX: usize = 256;

/// A post to import.
#[derive(Debug, Clone)]
pub struct Import {
    /// Text and files.
    pub draft: Draft,
    /// Where it comes from.
    pub origin: Origin,
    /// The id, there, of an imported post that this one goes on from.
    pub after: Option<String>,
    /// The time it had there.
    pub time_ms: u64,
}

/// What became of a post to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The entry.
    pub id: ChangeId,
    /// Whether it was not there before.
    pub added: bool,
}

impl Replica {
    /// Returns what the own account imported before as `id`, be it deleted since.
    ///
    /// # Errors
    /// [`EngineError::NoIdentity`]; if the store fails.
    pub fn imported(&self, id: &str) -> Result<Option<ChangeId>, EngineError> {
        let state = self.lock();
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        self.find_origin(&me, id)
    }

    /// Writes posts to the own wall, all or none; those that are there already are not written
    /// again. Durable when it returns.
    ///
    /// # Errors
    /// If there are more than [`IMPORT_POSTS_MAX`], or as [`Replica::post`].
    pub fn import(&self, posts: Vec<Import>, now_ms: u64) -> Result<Vec<Imported>, EngineError> {
        if posts.len() > IMPORT_POSTS_MAX {
            let message = format!("{} posts to import, limit {IMPORT_POSTS_MAX}", posts.len());
            return Err(EngineError::Invalid(message));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let mut work = Work::default();
        self.mend_epochs(&mut state, &mut work, now_ms)?;
        let mut done: Vec<(String, Imported)> = Vec::with_capacity(posts.len());
        for post in posts {
            let id = post.origin.id.clone();
            let imported = match find(self, &me, &done, &id)? {
                Some(id) => Imported { id, added: false },
                None => {
                    let before = match &post.after {
                        Some(after) => find(self, &me, &done, after)?,
                        None => None,
                    };
                    let quote = before.map(|entry| EntryRef { account: me, entry });
                    Imported { id: self.write(&mut state, &mut work, post, quote)?, added: true }
                }
            };
            done.push((id, imported));
        }
        // The next import looks for what this one wrote.
        work.once = true;
        if done.iter().any(|(_, imported)| imported.added) {
            self.finish(state, work)?;
        }
        Ok(done.into_iter().map(|(_, imported)| imported).collect())
    }

    /// Tells whether [`Replica::import`] can write a post.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] says why not.
    pub fn check_import(post: &Import) -> Result<(), EngineError> {
        check_draft(&post.draft)?;
        check_body(post.draft.text.as_bytes())?;
        // Of what is not known yet the longest.
        let body = BodyRef { hash: BlobHash::of(&[]), size: BODY_BYTES_MAX as u64 };
        let quote = EntryRef {
            account: AccountId::from_bytes([0; 32]),
            entry: ChangeId::from_bytes([0; 32]),
        };
        let (attachments, origin) = (post.draft.attachments.clone(), Some(post.origin.clone()));
        let entry = Entry::Post { body, attachments, quote: Some(quote), origin, text: None };
        let read = Entry::decode(&entry.encode());
        read.map(drop).map_err(|error| EngineError::Invalid(error.to_string()))
    }

    fn write(
        &self,
        state: &mut State,
        work: &mut Work,
        post: Import,
        quote: Option<EntryRef>,
    ) -> Result<ChangeId, EngineError> {
        check_draft(&post.draft)?;
        let body = self.put_body(work, post.draft.text.as_bytes())?;
        let (attachments, origin) = (post.draft.attachments, Some(post.origin));
        let entry = Entry::Post { body, attachments, quote, origin, text: None };
        self.append_to_pages(state, work, DocumentKind::Wall, entry, post.time_ms)
    }

    fn find_origin(&self, me: &AccountId, id: &str) -> Result<Option<ChangeId>, EngineError> {
        let rows = self.scan_all(Table::Rows, &keys::origins(me, &origin_of(id)))?;
        // Messages in channels have such rows too.
        let post = rows.iter().find(|(_, kind)| kind.as_ref() == [0x02]);
        Ok(post.and_then(|(key, _)| keys::parse_last(key)))
    }
}

/// Looks among what is there, and among what is about to be.
fn find(
    replica: &Replica,
    me: &AccountId,
    done: &[(String, Imported)],
    id: &str,
) -> Result<Option<ChangeId>, EngineError> {
    match done.iter().find(|(known, _)| known == id) {
        Some((_, imported)) => Ok(Some(imported.id)),
        None => replica.find_origin(me, id),
    }
}
