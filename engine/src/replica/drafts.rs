//! Drafts: posts that are not made yet, in a private map of the own devices. One with a time
//! goes out by itself, once, from whichever own device runs a node then.
//!
//! ```text
//! ID.text     the text                       posted.ID.DEVICE   the post that DEVICE made of it
//! ID.at       time(8, big endian) ‖ device   ID.quote           account(32) ‖ entry(32)
//! ID.edited   when somebody last changed it
//! ```
//!
//! Fields merge one by one; a text edited on two devices at once leaves both, and the next edit
//! makes a draft of its own of the one that lost. A device posts a draft and marks it as posted
//! in one commit. Two that could not see each other may both post: as soon as one device holds
//! both marks, it withdraws all but the earliest, and every device chooses the same.

use std::collections::{BTreeMap, BTreeSet};

use super::walls::one;
use super::{EngineError, Field, Replica, StateGuard, Work};
use crate::change::value::Value;
use crate::description::{Description, DocumentKind};
use crate::entropy::random;
use crate::hash::{AccountId, ChangeId, DeviceId, DraftId, derive};
use crate::limits::DRAFT_BYTES_MAX;
use crate::model::entry::{Entry, EntryRef};
use crate::sync::exchange::Exchange;

/// Name of the private map.
const DRAFTS: &str = "drafts";
/// How long a device waits for those before it to post a draft, in milliseconds.
pub const DRAFT_TURN_MS: u64 = 30_000;

/// A post that is not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDraft {
    /// Its id.
    pub id: DraftId,
    /// The text.
    pub text: String,
    /// Texts of concurrent edits that lost.
    pub others: Vec<String>,
    /// The entry it quotes.
    pub quote: Option<EntryRef>,
    /// When it was last changed, as claimed.
    pub edited_ms: u64,
    /// When it goes out by itself, and the device that said so.
    pub scheduled: Option<(u64, DeviceId)>,
    /// It went out, and was changed elsewhere before that was known there: it does not go out
    /// by itself again.
    pub posted: bool,
}

/// What to change about a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DraftEdit {
    /// The new text.
    pub text: Option<String>,
    /// The entry it quotes.
    pub quote: Option<EntryRef>,
    /// When it goes out by itself; `Some(None)` takes the time back.
    pub at_ms: Option<Option<u64>>,
}

/// What is to go out by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueDrafts {
    /// Drafts whose turn it is for this device.
    pub now: Vec<DraftId>,
    /// When the next turn comes.
    pub next_ms: Option<u64>,
}

/// The private map, read.
#[derive(Debug, Default)]
struct Drafts {
    open: BTreeMap<DraftId, SavedDraft>,
    posted: BTreeMap<DraftId, BTreeSet<ChangeId>>,
    /// Keys in use, by draft.
    keys: BTreeMap<DraftId, Vec<String>>,
}

impl Replica {
    /// Drafts, the last changed first.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn drafts(&self) -> Result<Vec<SavedDraft>, EngineError> {
        let drafts = Drafts::read(self.private_map(DRAFTS)?);
        let mut open: Vec<_> = drafts.open.into_values().collect();
        open.sort_by_key(|draft| std::cmp::Reverse((draft.edited_ms, draft.id)));
        Ok(open)
    }

    /// A draft by a prefix of its id of at least four digits.
    ///
    /// # Errors
    /// If none or several fit, or the store fails.
    pub fn resolve_draft(&self, text: &str) -> Result<DraftId, EngineError> {
        let prefix = text.trim().to_ascii_lowercase();
        let ids = self.drafts()?.into_iter().map(|draft| draft.id);
        let fits = |id: &DraftId| prefix.len() >= 4 && id.to_string().starts_with(&prefix);
        one("draft", text.trim(), ids.filter(fits).collect())
    }

    /// Keeps a new draft, or changes one; a text that had lost against a concurrent edit
    /// becomes a draft of its own when there is a new text.
    ///
    /// # Errors
    /// If there is no such draft, the text is empty or over [`DRAFT_BYTES_MAX`], this device
    /// may not write, or the store fails; so for all writing below.
    pub fn save_draft(
        &self,
        id: Option<DraftId>,
        edit: DraftEdit,
        now_ms: u64,
    ) -> Result<DraftId, EngineError> {
        let text = edit.text.as_deref();
        if id.is_none() && text.is_none() || text.is_some_and(|text| text.trim().is_empty()) {
            return Err(EngineError::Invalid("nothing to keep: the text is empty".into()));
        }
        if let Some(text) = text.filter(|text| text.len() > DRAFT_BYTES_MAX) {
            let (bytes, bytes_max) = (text.len(), DRAFT_BYTES_MAX);
            return Err(EngineError::TextTooLong { bytes, bytes_max });
        }
        let (state, drafts, description) = self.open_drafts()?;
        let mut edits = Vec::new();
        let id = match id {
            Some(id) => {
                let known = drafts.open.get(&id).ok_or_else(|| missing(&id))?;
                if edit.text.is_some() {
                    keep_others(known, &mut edits);
                }
                id
            }
            None => DraftId::from_bytes(random(&*self.entropy)),
        };
        let device = state.own.as_ref().ok_or(EngineError::NoIdentity)?.device();
        if let Some(text) = edit.text {
            edits.push((key(&id, "text"), Some(Value::Text(text))));
        }
        if let Some(quote) = edit.quote {
            let bytes = [&quote.account.as_bytes()[..], quote.entry.as_bytes()].concat();
            edits.push((key(&id, "quote"), Some(Value::Bytes(bytes))));
        }
        match edit.at_ms {
            Some(Some(at_ms)) => {
                let bytes = [&at_ms.to_be_bytes()[..], device.as_bytes()].concat();
                edits.push((key(&id, "at"), Some(Value::Bytes(bytes))));
            }
            Some(None) => edits.extend(drafts.removal(&id, |name| name == "at")),
            None => {}
        }
        edits.push((key(&id, "edited"), Some(Value::Uint(now_ms))));
        self.write_drafts(state, &description, edits, now_ms)?;
        Ok(id)
    }

    /// Removes a draft, on every own device; what another device changed before it knew stays.
    ///
    /// # Errors
    /// As [`Replica::save_draft`].
    pub fn delete_draft(&self, id: DraftId, now_ms: u64) -> Result<(), EngineError> {
        let (state, drafts, description) = self.open_drafts()?;
        drafts.open.get(&id).ok_or_else(|| missing(&id))?;
        let edits = drafts.removal(&id, |_| true).collect();
        self.write_drafts(state, &description, edits, now_ms)
    }

    /// Posts a draft and removes it, in one commit.
    ///
    /// # Errors
    /// As [`Replica::save_draft`] and [`Replica::post`].
    pub fn post_draft(&self, id: DraftId, now_ms: u64) -> Result<ChangeId, EngineError> {
        let (mut state, drafts, description) = self.open_drafts()?;
        let draft = drafts.open.get(&id).ok_or_else(|| missing(&id))?;
        let device = state.own.as_ref().ok_or(EngineError::NoIdentity)?.device();
        let mut work = Work::default();
        let body = self.put_body(&mut work, draft.text.as_bytes())?;
        let entry = Entry::Post {
            body,
            attachments: Vec::new(),
            quote: draft.quote,
            origin: None,
            text: None,
        };
        let post =
            self.append_to_pages(&mut state, &mut work, DocumentKind::Wall, entry, now_ms)?;
        let mut edits: Vec<_> = drafts.removal(&id, |_| true).collect();
        keep_others(draft, &mut edits);
        let mark = Value::Bytes(post.as_bytes().to_vec());
        edits.push((format!("posted.{id}.{device}"), Some(mark)));
        self.edit_map(&mut state, &mut work, &description, &edits, now_ms)?;
        self.finish(state, work)?;
        Ok(post)
    }

    /// What is to go out by itself from this device, whose node runs since `started_ms`. The
    /// device that set the time is first; each further one waits [`DRAFT_TURN_MS`] longer, and
    /// all wait that long after their start, for news of what went out meanwhile.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn due_drafts(&self, started_ms: u64, now_ms: u64) -> Result<DueDrafts, EngineError> {
        let drafts = Drafts::read(self.private_map(DRAFTS)?);
        let own = self.own_device();
        let authority = self.authority(&self.account()?)?;
        let devices: Vec<DeviceId> = authority
            .iter()
            .flat_map(|account| account.devices.keys().filter(|id| account.may_write(id)))
            .copied()
            .collect();
        let mut due = DueDrafts::default();
        if !devices.contains(&own) {
            return Ok(due);
        }
        for draft in drafts.open.values().filter(|draft| !draft.posted) {
            let Some((at_ms, holder)) = draft.scheduled else { continue };
            let turn_ms = turn(at_ms, &holder, &own, &devices, started_ms);
            if turn_ms <= now_ms {
                due.now.push(draft.id);
            } else {
                due.next_ms = Some(due.next_ms.map_or(turn_ms, |next| next.min(turn_ms)));
            }
        }
        Ok(due)
    }

    /// Withdraws posts that were made of one draft by devices that did not see each other, all
    /// but the earliest. Returns how many.
    ///
    /// # Errors
    /// As [`Replica::delete`].
    pub fn settle_drafts(&self, now_ms: u64) -> Result<u64, EngineError> {
        let drafts = Drafts::read(self.private_map(DRAFTS)?);
        let mut withdrawn = 0;
        for posts in drafts.posted.values().filter(|posts| posts.len() > 1) {
            let mut here = Vec::new();
            for post in posts {
                match self.show(post) {
                    Ok(view) => here.push((view.time_ms, view.id, view.deleted)),
                    Err(EngineError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            here.sort_unstable();
            for (_, post, deleted) in here.into_iter().skip(1) {
                if !deleted {
                    self.delete(post, now_ms)?;
                    withdrawn += 1;
                }
            }
        }
        Ok(withdrawn)
    }

    fn open_drafts(&self) -> Result<(StateGuard<'_>, Drafts, Description), EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let description = self.writable_private(&mut state, DRAFTS)?;
        let drafts = Drafts::read(self.fields(&mut state, &description)?);
        Ok((state, drafts, description))
    }

    fn write_drafts(
        &self,
        mut state: StateGuard<'_>,
        description: &Description,
        edits: super::Edits,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let mut work = Work::default();
        self.edit_map(&mut state, &mut work, description, &edits, now_ms)?;
        self.finish(state, work)
    }
}

impl Drafts {
    /// Reads what is well formed; own devices wrote it, perhaps newer ones than this.
    fn read(fields: Vec<Field>) -> Self {
        let mut drafts = Self::default();
        let mut parts: BTreeMap<DraftId, BTreeMap<String, Field>> = BTreeMap::new();
        for field in fields {
            if let Some(mark) = field.key.strip_prefix("posted.") {
                let id = mark.split('.').next().and_then(DraftId::parse_hex);
                let lost = field.conflicts.iter().map(|lost| &lost.value);
                let posts = std::iter::once(&field.value).chain(lost).filter_map(post_of);
                if let Some(id) = id {
                    drafts.posted.entry(id).or_default().extend(posts);
                }
            } else if let Some((id, name)) = field.key.split_once('.')
                && let Some(id) = DraftId::parse_hex(id)
            {
                drafts.keys.entry(id).or_default().push(field.key.clone());
                parts.entry(id).or_default().insert(name.to_owned(), field);
            }
        }
        for (id, mut fields) in parts {
            // Without its text it is what is left of one that was removed elsewhere.
            let Some(text) = fields.remove("text") else { continue };
            let Some(shown) = text.value.as_text().map(str::to_owned) else { continue };
            let lost = text.conflicts.iter().filter_map(|lost| lost.value.as_text());
            let others: BTreeSet<String> = lost.map(str::to_owned).collect();
            let uint = |field: &Field| match field.value {
                Value::Uint(ms) => Some(ms),
                _ => None,
            };
            let draft = SavedDraft {
                id,
                others: others.into_iter().filter(|other| *other != shown).collect(),
                text: shown,
                quote: fields.get("quote").and_then(|field| quote_of(&field.value)),
                edited_ms: fields.get("edited").and_then(uint).unwrap_or(0),
                scheduled: fields.get("at").and_then(|field| time_of(&field.value)),
                posted: drafts.posted.contains_key(&id),
            };
            drafts.open.insert(id, draft);
        }
        drafts
    }

    /// Edits that remove the keys of a draft whose name is wanted.
    fn removal(
        &self,
        id: &DraftId,
        wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (String, Option<Value>)> {
        let keys = self.keys.get(id).into_iter().flatten();
        let named = |key: &&String| key.split_once('.').is_some_and(|(_, name)| wanted(name));
        keys.filter(named).map(|key| (key.clone(), None)).collect::<Vec<_>>().into_iter()
    }
}

/// Makes drafts of their own of the texts that lost. Devices that do so at once write the same.
fn keep_others(draft: &SavedDraft, edits: &mut super::Edits) {
    for other in &draft.others {
        let hash = derive("mosaic draft other 1", &[draft.id.as_bytes(), other.as_bytes()]);
        let mut id = [0; DraftId::LEN];
        id.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        let id = DraftId::from_bytes(id);
        edits.push((key(&id, "text"), Some(Value::Text(other.clone()))));
        edits.push((key(&id, "edited"), Some(Value::Uint(draft.edited_ms))));
    }
}

/// When it is the turn of device `own`.
fn turn(
    at_ms: u64,
    holder: &DeviceId,
    own: &DeviceId,
    devices: &[DeviceId],
    started_ms: u64,
) -> u64 {
    let mut others = devices.iter().filter(|device| *device != holder);
    let before = match own == holder {
        true => 0,
        false => others.position(|device| device == own).unwrap_or(0) as u64 + 1,
    };
    let heard_ms = started_ms.saturating_add(if devices.len() > 1 { DRAFT_TURN_MS } else { 0 });
    at_ms.max(heard_ms).saturating_add(before.saturating_mul(DRAFT_TURN_MS))
}

fn key(id: &DraftId, name: &str) -> String {
    format!("{id}.{name}")
}

fn missing(id: &DraftId) -> EngineError {
    EngineError::NotFound { what: "draft", text: id.to_string() }
}

fn post_of(value: &Value) -> Option<ChangeId> {
    Some(ChangeId::from_bytes(value.as_bytes()?.try_into().ok()?))
}

fn quote_of(value: &Value) -> Option<EntryRef> {
    let (account, entry) = value.as_bytes()?.split_first_chunk::<32>()?;
    let entry = ChangeId::from_bytes(entry.try_into().ok()?);
    Some(EntryRef { account: AccountId::from_bytes(*account), entry })
}

fn time_of(value: &Value) -> Option<(u64, DeviceId)> {
    let (time, device) = value.as_bytes()?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*time), DeviceId::from_bytes(device.try_into().ok()?)))
}
