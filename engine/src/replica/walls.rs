//! Reading walls, threads and the feed: rows turned into what people see.

use std::collections::{BTreeMap, BTreeSet};

use super::{EngineError, FOLLOWS, Replica, State, Text};
use crate::description::{Description, DocumentKind, TextLabel};
use crate::hash::{AccountId, ChangeId, DeviceId, DocumentId, Incarnation};
use crate::model::entry::{Attachment, BodyRef, Entry, EntryRef, Origin};
use crate::store::{Table, keys};
use crate::view::EntryRow;

/// One version of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The edit (or the post itself).
    pub id: ChangeId,
    /// Which device wrote it.
    pub device: DeviceId,
    /// When, as claimed.
    pub time_ms: u64,
    /// The text.
    pub text: Text,
}

/// A post, repost or reply as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostView {
    /// Its id.
    pub id: ChangeId,
    /// Who wrote it.
    pub account: AccountId,
    /// The document it stands in.
    pub doc: DocumentId,
    /// Which device wrote it.
    pub device: DeviceId,
    /// When, as claimed; of a reply, not before what it answers.
    pub time_ms: u64,
    /// What it answers, of a reply.
    pub target: Option<ChangeId>,
    /// The entry quoted.
    pub quote: Option<EntryRef>,
    /// The entry reposted.
    pub repost: Option<EntryRef>,
    /// Where it was imported from, as claimed.
    pub origin: Option<Origin>,
    /// The text shown.
    pub text: Text,
    /// The document that holds its text, if its text is not a body.
    pub text_document: Option<DocumentId>,
    /// When it was last edited, as claimed.
    pub edited_ms: Option<u64>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Withdrawn by its author.
    pub deleted: bool,
    /// Hidden by the wall's owner.
    pub hidden: bool,
    /// Newest edits of other chains that lost to the shown one.
    pub conflicts: Vec<Version>,
    /// Emoji and who gave them.
    pub reactions: BTreeMap<String, Vec<AccountId>>,
    /// Replies that are shown under it.
    pub replies: u64,
    /// The chain it stands in has another branch.
    pub disputed: bool,
    /// Whom it is for, unless for everybody: as the author calls it, or `limited`.
    pub audience: Option<String>,
}

/// Where a list goes on: strictly after this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Time of the last entry seen.
    pub time_ms: u64,
    /// Its id.
    pub id: ChangeId,
}

/// A modification of an entry that counts.
pub(super) struct Modification {
    id: ChangeId,
    pub(super) row: EntryRow,
    pub(super) entry: Entry,
}

impl Replica {
    /// Posts of one wall, newest first, strictly after `cursor`.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn wall(
        &self,
        account: &AccountId,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<PostView>, EngineError> {
        let (mut out, mut from) = (Vec::new(), cursor);
        while out.len() < limit {
            let count = limit.min(256);
            let posts = self.listed_after(account, from, count)?;
            let posts = self.with_sealed_posts(account, from, count, posts)?;
            let Some(last) = posts.last() else { break };
            from = Some(*last);
            for Cursor { id, .. } in &posts {
                if let Some(view) = self.shown(&mut self.lock(), id)? {
                    out.push(view);
                    if out.len() == limit {
                        break;
                    }
                }
            }
        }
        Ok(out)
    }

    /// Walls of followed accounts and the own one, newest first, strictly after `cursor`.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn feed(&self, cursor: Option<Cursor>, limit: usize) -> Result<Vec<PostView>, EngineError> {
        let accounts = self.feed_accounts()?;
        let mut all = Vec::new();
        let last = cursor.and_then(|cursor| self.author_of(&cursor.id));
        for account in accounts {
            // Entries of one time are ordered by account and id, across walls.
            let from = cursor.and_then(|cursor| match last {
                Some(last) if account == last => Some(cursor),
                Some(last) if account > last => before(cursor.time_ms),
                _ => Some(Cursor { id: LAST_ID, ..cursor }),
            });
            all.extend(self.wall(&account, from, limit)?);
        }
        all.sort_by_key(|view| (!view.time_ms, view.account, view.id));
        all.truncate(limit);
        Ok(all)
    }

    /// Whose walls the feed shows: the own one, and those of whom one follows, but for blocked and
    /// muted ones.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn feed_accounts(&self) -> Result<BTreeSet<AccountId>, EngineError> {
        let mut accounts = self.accounts_in(FOLLOWS)?;
        accounts.insert(self.account()?);
        for hidden in [super::BLOCKS, super::MUTES] {
            for account in self.accounts_in(hidden)? {
                accounts.remove(&account);
            }
        }
        Ok(accounts)
    }

    /// Whose document an entry stands in, if it is here.
    #[must_use]
    pub fn author_of(&self, id: &ChangeId) -> Option<AccountId> {
        let row = self.entry_row(id).ok()??;
        self.description(&mut self.lock(), &row.doc).ok()?.map(|d| d.account)
    }

    /// One post or reply.
    ///
    /// # Errors
    /// If it is not here, counts for nothing, or the store fails.
    pub fn show(&self, id: &ChangeId) -> Result<PostView, EngineError> {
        self.shown(&mut self.lock(), id)?
            .ok_or_else(|| EngineError::NotFound { what: "post", text: id.to_string() })
    }

    /// Replies below an entry, oldest first, each followed by its own; hidden ones only if
    /// asked for. Blocked and muted accounts are left out where `own_view` is set.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn replies(
        &self,
        target: &ChangeId,
        with_hidden: bool,
        own_view: bool,
    ) -> Result<Vec<PostView>, EngineError> {
        let mut unseen = Vec::new();
        if own_view {
            for list in [super::BLOCKS, super::MUTES] {
                unseen.extend(self.accounts_in(list)?);
            }
        }
        let mut state = self.lock();
        let Some(root) = self.entry_row(target)? else { return Ok(Vec::new()) };
        let Some(wall) = self.description(&mut state, &root.doc)? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        let mut seen = BTreeSet::from([*target]);
        let mut waiting = vec![(*target, root.time_ms)];
        while let Some((above, above_ms)) = waiting.pop() {
            let mut level = Vec::new();
            for (key, value) in self.scan_all(Table::Rows, &keys::responses(&above))? {
                let (Some(id), [0x04]) = (keys::parse_last(&key), value.as_ref()) else { continue };
                let Some(mut view) = self.shown(&mut state, &id)? else { continue };
                // On another wall its owner's word counts, not this one's.
                let page = self.description(&mut state, &view.doc)?;
                let here = page.is_some_and(|p| p.space == wall.space && p.page == wall.page);
                let wanted = (with_hidden || !view.hidden) && !unseen.contains(&view.account);
                if here && wanted && seen.insert(id) {
                    view.time_ms = view.time_ms.max(above_ms);
                    level.push(view);
                }
            }
            level.sort_by_key(|view| (view.time_ms, view.account, view.id));
            waiting.extend(level.iter().rev().map(|view| (view.id, view.time_ms)));
            out.extend(level);
        }
        Ok(out)
    }

    /// All versions of a text that are here, oldest first.
    ///
    /// # Errors
    /// If the entry is not here or the store fails.
    pub fn history(&self, id: &ChangeId) -> Result<Vec<Version>, EngineError> {
        let mut state = self.lock();
        let missing = || EngineError::NotFound { what: "post", text: id.to_string() };
        let (row, entry) = self.entry(id)?.ok_or_else(missing)?;
        if let Entry::Post { text: Some(label), .. } = &entry {
            let account = self.description(&mut state, &row.doc)?.ok_or_else(missing)?.account;
            return self.long_versions(&mut state, &account, label);
        }
        let page = self.description(&mut state, &row.doc)?.ok_or_else(missing)?;
        if let Some(versions) = self.versions_of_sealed_post(&mut state, &page, id)? {
            return Ok(versions);
        }
        let mut versions = Vec::new();
        if let Some(body) = crate::view::bodies_of(&entry).first() {
            versions.push(self.version(*id, &row, body)?);
        }
        for edit in self.modifications(&mut state, id, &row)? {
            if let Entry::Edit { body, .. } = &edit.entry {
                versions.push(self.version(edit.id, &edit.row, body)?);
            }
        }
        Ok(versions)
    }

    fn version(
        &self,
        id: ChangeId,
        row: &EntryRow,
        body: &BodyRef,
    ) -> Result<Version, EngineError> {
        let text = self.text(body, &row.doc)?;
        Ok(Version { id, device: row.device, time_ms: row.time_ms, text })
    }

    /// What people see of an entry; `None` if it is not here or counts for nothing.
    pub(crate) fn shown(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<Option<PostView>, EngineError> {
        let Some(mut view) = self.shown_alone(state, id)? else { return Ok(None) };
        self.add_responses(state, &mut view)?;
        Ok(Some(view))
    }

    /// What people see of an entry, without what others say to it.
    pub(super) fn shown_alone(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<Option<PostView>, EngineError> {
        let Some((row, entry)) = self.entry(id)? else { return Ok(None) };
        let Some(description) = self.description(state, &row.doc)? else { return Ok(None) };
        let key = row.chain();
        if self.is_hidden(state, &description, &key, row.n)? {
            return Ok(None);
        }
        if !self.is_admitted_guest(state, &description)? {
            return Ok(None);
        }
        let Some(mut view) = self.bare(&description, id, &row, &entry)? else { return Ok(None) };
        view.disputed = !self.branches(state, &key)?.is_empty();
        if matches!(entry, Entry::Sealed(_)) {
            return self.shown_sealed_post(state, &description, view);
        }
        if let Entry::Post { text: Some(label), .. } = &entry {
            self.show_long(state, &mut view, label)?;
        }
        let modifications = self.modifications(state, id, &row)?;
        self.apply_modifications(&mut view, &modifications)?;
        Ok(Some(view))
    }

    /// Puts the text of its document into a view.
    fn show_long(
        &self,
        state: &mut State,
        view: &mut PostView,
        label: &TextLabel,
    ) -> Result<(), EngineError> {
        let (text, changed_ms) = self.long_text(state, &view.account, label)?;
        view.text = text;
        view.text_document = Some(Self::text_of_label(&view.account, label));
        view.edited_ms = Some(changed_ms).filter(|changed| *changed > view.time_ms);
        Ok(())
    }

    pub(super) fn is_admitted_guest(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<bool, EngineError> {
        let (DocumentKind::Guest, Some(owner)) = (description.kind, description.space.account())
        else {
            return Ok(true);
        };
        let authority = self.authority_of(state, &owner)?;
        Ok(authority.is_none_or(|authority| authority.admits(&description.account)))
    }

    fn bare(
        &self,
        description: &Description,
        id: &ChangeId,
        row: &EntryRow,
        entry: &Entry,
    ) -> Result<Option<PostView>, EngineError> {
        let mut view = PostView {
            id: *id,
            account: description.account,
            doc: row.doc,
            device: row.device,
            time_ms: row.time_ms,
            target: None,
            quote: None,
            origin: None,
            repost: None,
            text: Text::Here(String::new()),
            text_document: None,
            edited_ms: None,
            attachments: Vec::new(),
            deleted: false,
            hidden: false,
            conflicts: Vec::new(),
            reactions: BTreeMap::new(),
            replies: 0,
            disputed: false,
            audience: None,
        };
        match entry {
            Entry::Sealed(_) => {}
            Entry::Post { body, attachments, quote, origin, .. } => {
                view.text = self.text(body, &row.doc)?;
                view.attachments.clone_from(attachments);
                view.quote = *quote;
                view.origin.clone_from(origin);
            }
            Entry::Reply { target, body, attachments } => {
                view.text = self.text(body, &row.doc)?;
                view.attachments.clone_from(attachments);
                view.target = Some(*target);
            }
            Entry::Repost { target } => view.repost = Some(*target),
            _ => return Ok(None),
        }
        Ok(Some(view))
    }

    /// Modifications of an entry that count, by claimed time and id.
    pub(super) fn modifications(
        &self,
        state: &mut State,
        target: &ChangeId,
        row: &EntryRow,
    ) -> Result<Vec<Modification>, EngineError> {
        let Some(description) = self.description(state, &row.doc)? else { return Ok(Vec::new()) };
        let wall = description
            .space
            .account()
            .map(|owner| Description::own(owner, DocumentKind::Wall, description.page).id());
        let mut out = Vec::new();
        for (key, _) in self.scan_all(Table::Rows, &keys::modifications(target))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some((by, entry)) = self.entry(&id)? else { continue };
            let counts = match entry {
                Entry::Edit { .. }
                | Entry::Private(_)
                | Entry::Tombstone { .. }
                | Entry::ClosePoll { .. } => by.doc == row.doc,
                Entry::Hide { .. } | Entry::Unhide { .. } => Some(by.doc) == wall,
                _ => false,
            };
            let Some(place) = self.description(state, &by.doc)? else { continue };
            if counts && !self.is_hidden(state, &place, &by.chain(), by.n)? {
                out.push(Modification { id, row: by, entry });
            }
        }
        out.sort_by_key(|modification| (modification.row.time_ms, modification.id));
        Ok(out)
    }

    fn apply_modifications(
        &self,
        view: &mut PostView,
        modifications: &[Modification],
    ) -> Result<(), EngineError> {
        // The newest edit of each chain; the newest of all is shown, the others lost.
        let mut newest: BTreeMap<(DeviceId, Incarnation), Version> = BTreeMap::new();
        for modification in modifications {
            let row = &modification.row;
            match &modification.entry {
                Entry::Edit { body, .. } => {
                    let version = self.version(modification.id, row, body)?;
                    newest.insert((row.device, row.incarnation), version);
                }
                Entry::Tombstone { .. } => view.deleted = true,
                Entry::Hide { .. } => view.hidden = true,
                Entry::Unhide { .. } => view.hidden = false,
                _ => {}
            }
        }
        let mut versions: Vec<Version> = newest.into_values().collect();
        versions.sort_by_key(|version| (version.time_ms, version.id));
        if let Some(shown) = versions.pop() {
            view.text = shown.text;
            view.edited_ms = Some(shown.time_ms);
            view.conflicts = versions;
        }
        if view.deleted {
            view.text = Text::Deleted;
            view.attachments.clear();
            view.conflicts.clear();
        }
        Ok(())
    }

    pub(super) fn add_responses(
        &self,
        state: &mut State,
        view: &mut PostView,
    ) -> Result<(), EngineError> {
        for (key, value) in self.scan_all(Table::Rows, &keys::responses(&view.id))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some((row, entry)) = self.entry(&id)? else { continue };
            let Some(description) = self.description(state, &row.doc)? else { continue };
            let counts = !self.is_hidden(state, &description, &row.chain(), row.n)?
                && self.is_admitted_guest(state, &description)?
                && self.same_page(state, view, &description)?;
            if !counts {
                continue;
            }
            let modifications = self.modifications(state, &id, &row)?;
            let gone = modifications.iter().any(|m| matches!(m.entry, Entry::Tombstone { .. }));
            let hidden = modifications.iter().fold(false, |hidden, m| match m.entry {
                Entry::Hide { .. } => true,
                Entry::Unhide { .. } => false,
                _ => hidden,
            });
            if gone || hidden {
                continue;
            }
            match entry {
                Entry::Reaction { emoji, .. } => {
                    let accounts = view.reactions.entry(emoji).or_default();
                    if !accounts.contains(&description.account) {
                        accounts.push(description.account);
                        accounts.sort_unstable();
                    }
                }
                Entry::Reply { .. } if value.as_ref() == [0x04] => view.replies += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a guest page lies beside the page that the entry stands in.
    pub(super) fn same_page(
        &self,
        state: &mut State,
        view: &PostView,
        guest: &Description,
    ) -> Result<bool, EngineError> {
        let Some(target) = self.description(state, &view.doc)? else { return Ok(false) };
        Ok(target.space == guest.space && target.page == guest.page)
    }

    /// Entries and documents whose ids start with these hex digits.
    ///
    /// # Errors
    /// If nothing or more than one thing fits.
    pub fn resolve_entry(&self, text: &str) -> Result<ChangeId, EngineError> {
        let what = "post";
        let text = text.trim();
        if let Some(id) = ChangeId::parse_hex(text) {
            return Ok(id);
        }
        let found = self.matching(Table::Rows, b"e", text)?;
        let ids: Vec<ChangeId> = found.iter().filter_map(|key| keys::parse_last(key)).collect();
        one(what, text, ids)
    }

    /// Keys of one kind whose id starts with the hex digits; at least 4 digits.
    pub(crate) fn matching(
        &self,
        table: Table,
        kind: &[u8],
        text: &str,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let digits = text.to_ascii_lowercase();
        let usable = digits.len() >= 4
            && digits.len() <= 64
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !usable {
            let short = (1..4).contains(&digits.len());
            if short && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                let why = format!("'{text}' is too short: a prefix of an id has at least 4 digits");
                return Err(EngineError::Invalid(why));
            }
            return Ok(Vec::new());
        }
        let even = digits.len() / 2 * 2;
        let mut prefix = kind.to_vec();
        for at in (0..even).step_by(2) {
            let byte = digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            prefix.extend(byte);
        }
        let rows = self.scan_all(table, &prefix)?;
        let kind_len = kind.len();
        Ok(rows
            .into_iter()
            .map(|(key, _)| key.to_vec())
            .filter(|key| {
                let id = key.get(kind_len..kind_len + 32);
                let hex: Option<String> =
                    id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect());
                hex.is_some_and(|hex| hex.starts_with(&digits))
            })
            .collect())
    }
}

const LAST_ID: ChangeId = ChangeId::from_bytes([0xff; 32]);

/// Where the entries of one time begin.
fn before(time_ms: u64) -> Option<Cursor> {
    time_ms.checked_add(1).map(|time_ms| Cursor { time_ms, id: LAST_ID })
}

/// The one id that fits, or why not.
pub(crate) fn one<T: Copy + Ord + std::fmt::Display>(
    what: &'static str,
    text: &str,
    mut ids: Vec<T>,
) -> Result<T, EngineError> {
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [only] => Ok(*only),
        [] => Err(EngineError::NotFound { what, text: text.to_owned() }),
        several => Err(EngineError::Ambiguous {
            what,
            text: text.to_owned(),
            candidates: several.iter().map(ToString::to_string).collect(),
        }),
    }
}
