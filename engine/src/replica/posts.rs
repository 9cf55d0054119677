//! Writing walls: posts, replies, reactions, edits, withdrawals, hiding.

use super::hubs::{Plain, PlainWhat};
use super::{EngineError, Once, Replica, State, Work};
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, ChangeId, HubId};
use crate::limits::{ATTACHMENTS_MAX, EMOJI_BYTES_MAX};
use crate::model::entry::{Attachment, Entry, EntryRef, Said};
use crate::store::{Table, keys};
use crate::view::bodies_of;

/// What a post or reply is made of.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The text; at most 256 KiB.
    pub text: String,
    /// Files, stored before by [`Replica::add_file`].
    pub attachments: Vec<Attachment>,
}

/// The wall page an entry belongs to.
struct Place {
    owner: AccountId,
    page: u64,
}

impl Replica {
    /// Writes a post to the own wall; durable when it returns.
    ///
    /// # Errors
    /// If the draft is over a limit, this device may not write, or the store fails; so for
    /// all writing below.
    pub fn post(
        &self,
        draft: Draft,
        quote: Option<EntryRef>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.post_once(None, draft, quote, now_ms)
    }

    /// As [`Replica::post`], but what was written under the same key before is not written again.
    ///
    /// # Errors
    /// [`EngineError::KeyUsed`], or as [`Replica::post`].
    pub fn post_once(
        &self,
        once: Option<&Once>,
        draft: Draft,
        quote: Option<EntryRef>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.write_post(once, draft, quote, false, now_ms)
    }

    /// Writes a post, its text in a body or (`long`) in a document of its own.
    pub(super) fn write_post(
        &self,
        once: Option<&Once>,
        draft: Draft,
        quote: Option<EntryRef>,
        long: bool,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_draft(&draft)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        if let Some(quote) = &quote {
            self.check_open(&mut state, &quote.entry)?;
        }
        let mut work = Work::default();
        self.mend_epochs(&mut state, &mut work, now_ms)?;
        let Draft { text: words, attachments } = draft;
        let (text, body) = if long {
            let (label, _) = self.begin_text(&mut state, &mut work, &words, now_ms)?;
            (Some(label), self.put_body(&mut work, b"")?)
        } else {
            (None, self.put_body(&mut work, words.as_bytes())?)
        };
        let entry = Entry::Post { body, attachments, quote, origin: None, text };
        let id = self.append_to_pages(&mut state, &mut work, DocumentKind::Wall, entry, now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Shows somebody else's post to the own readers; once under a key.
    ///
    /// # Errors
    /// If the post is not here, or as [`Replica::post_once`].
    pub fn repost(
        &self,
        once: Option<&Once>,
        target: ChangeId,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        let (description, _) = self.target(&mut state, &target)?;
        self.check_open(&mut state, &target)?;
        let target = EntryRef { account: description.account, entry: target };
        let mut work = Work::default();
        let entry = Entry::Repost { target };
        let id = self.append_to_pages(&mut state, &mut work, DocumentKind::Wall, entry, now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Replies to a post or to another reply.
    ///
    /// # Errors
    /// If the target is not here or its owner does not take replies from this account, or
    /// as [`Replica::post`].
    pub fn reply(
        &self,
        target: ChangeId,
        draft: Draft,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        self.reply_once(None, target, draft, now_ms)
    }

    /// As [`Replica::reply`], but what was written under the same key before is not written again.
    ///
    /// # Errors
    /// [`EngineError::KeyUsed`], or as [`Replica::reply`].
    pub fn reply_once(
        &self,
        once: Option<&Once>,
        target: ChangeId,
        draft: Draft,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_draft(&draft)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        let description = self.guest_page(&mut state, &target)?;
        let mut work = Work::default();
        let body = self.put_body(&mut work, draft.text.as_bytes())?;
        let entry = Entry::Reply { target, body, attachments: draft.attachments };
        let id = self.append(&mut state, &mut work, &description, entry, now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Puts an emoji on a post or reply; doing it twice gives the first one's id.
    ///
    /// # Errors
    /// As [`Replica::reply`].
    pub fn react(
        &self,
        target: ChangeId,
        emoji: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if emoji.len() > EMOJI_BYTES_MAX || !is_one_emoji(emoji) {
            return Err(EngineError::Invalid(format!(
                "'{}' is no reaction: give one emoji",
                emoji.escape_debug()
            )));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(known) = self.own_reaction(&mut state, &target, emoji)? {
            return Ok(known);
        }
        let mut work = Work::default();
        let description = match self.channel_of(&mut state, &target)? {
            Some((hub, channel)) => {
                self.reaction_page(&mut state, &mut work, &hub, &channel, now_ms)?
            }
            None => self.guest_page(&mut state, &target)?,
        };
        let place = description.space.hub().zip(description.channel_id());
        let id = match self.private_place(&mut state, place)? {
            Some((hub, channel)) => {
                let said = Said::Reaction { emoji: emoji.to_owned() };
                let plain = Plain { what: PlainWhat::Reaction(target), text: None, said };
                let place = (&hub, &channel);
                self.write_private(&mut state, &mut work, place, None, &plain, now_ms)?
            }
            None => {
                let entry = Entry::Reaction { target, emoji: emoji.to_owned() };
                if let Some((hub, _)) = place {
                    self.check_hub_room(&mut state, &hub, &entry)?;
                }
                self.append(&mut state, &mut work, &description, entry, now_ms)?
            }
        };
        self.finish(state, work)?;
        Ok(id)
    }

    /// Takes an own reaction back.
    ///
    /// # Errors
    /// If there is none, or as [`Replica::post`].
    pub fn unreact(&self, target: ChangeId, emoji: &str, now_ms: u64) -> Result<(), EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let Some(own) = self.own_reaction(&mut state, &target, emoji)? else {
            return Err(EngineError::NotFound { what: "reaction of yours", text: emoji.into() });
        };
        let mut work = Work::default();
        self.modify(&mut state, &mut work, &own, |target| Entry::Tombstone { target }, now_ms)?;
        self.finish(state, work)
    }

    /// Gives an own post or reply a new text.
    ///
    /// # Errors
    /// If it is not an own post or reply, or is withdrawn, or as [`Replica::post`].
    pub fn edit(&self, target: ChangeId, text: &str, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if self.is_sealed_post(&mut state, &target)? {
            drop(state);
            return self.edit_directly(&target, text, now_ms);
        }
        let (_, entry) = self.target(&mut state, &target)?;
        if bodies_of(&entry).is_empty() || entry.edits().is_some() {
            return Err(EngineError::Invalid(format!("entry {} has no text", target.short())));
        }
        if self.shown(&mut state, &target)?.is_some_and(|view| view.deleted) {
            return Err(EngineError::Invalid(format!("{} is deleted", target.short())));
        }
        let mut work = Work::default();
        if let Entry::Post { text: Some(label), .. } = &entry {
            self.check_own(&mut state, &target)?;
            let id = self.edit_long(&mut state, &mut work, label, text, now_ms)?;
            self.finish(state, work)?;
            return Ok(id);
        }
        if let Entry::Private(_) = &entry {
            let id = self.edit_private_message(&mut state, &mut work, &target, text, now_ms)?;
            self.finish(state, work)?;
            return Ok(id);
        }
        let body = self.put_body(&mut work, text.as_bytes())?;
        if let Some((hub, _)) = self.channel_of(&mut state, &target)? {
            self.check_hub_room(&mut state, &hub, &Entry::Edit { target, body })?;
        }
        let id = self.modify(
            &mut state,
            &mut work,
            &target,
            |target| Entry::Edit { target, body },
            now_ms,
        )?;
        self.finish(state, work)?;
        Ok(id)
    }

    fn edit_private_message(
        &self,
        state: &mut State,
        work: &mut Work,
        target: &ChangeId,
        text: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let page = self.check_own(state, target)?;
        let place = page.space.hub().zip(page.channel_id());
        let (hub, channel) = self
            .private_place(state, place)?
            .ok_or_else(|| EngineError::Invalid(format!("{} cannot be changed", target.short())))?;
        let now_ms = self.after_what_is_known(state, target, now_ms)?;
        self.prepare_modification(state, work, &page, false, now_ms)?;
        let what = PlainWhat::Edit(*target);
        let plain = Plain { what, text: Some(text), said: Said::Edit };
        self.write_private(state, work, (&hub, &channel), Some(&page), &plain, now_ms)
    }

    /// A hub and channel, if the channel is private.
    fn private_place(
        &self,
        state: &mut State,
        place: Option<(HubId, ChangeId)>,
    ) -> Result<Option<(HubId, ChangeId)>, EngineError> {
        let Some((hub, channel)) = place else { return Ok(None) };
        let private = self.is_private_channel(state, &hub, &channel)?;
        Ok(private.then_some((hub, channel)))
    }

    /// Withdraws an own post, reply or reaction: bodies are dropped here at once, and by
    /// every honest replica that learns of it.
    ///
    /// # Errors
    /// As [`Replica::edit`].
    pub fn delete(&self, target: ChangeId, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if self.is_sealed_post(&mut state, &target)? {
            drop(state);
            return self.delete_directly(&target, now_ms);
        }
        let mut work = Work::default();
        let id = self.modify(
            &mut state,
            &mut work,
            &target,
            |target| Entry::Tombstone { target },
            now_ms,
        )?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Hides a guest's reply or reaction on the own wall from everybody, or shows it again.
    ///
    /// # Errors
    /// If it is not a guest's entry on the own wall, or as [`Replica::post`].
    pub fn hide(
        &self,
        target: ChangeId,
        hidden: bool,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (description, _) = self.target(&mut state, &target)?;
        if description.kind != DocumentKind::Guest || description.space != Space::Account(me) {
            return Err(EngineError::Denied(format!(
                "{} is not a reply on your wall",
                target.short()
            )));
        }
        let page = Description::own(me, DocumentKind::Wall, description.page);
        let entry = if hidden { Entry::Hide { target } } else { Entry::Unhide { target } };
        let mut work = Work::default();
        let now_ms = self.after_what_is_known(&mut state, &target, now_ms)?;
        let id = self.append(&mut state, &mut work, &page, entry, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Writes a modification into the target's own document.
    fn modify(
        &self,
        state: &mut State,
        work: &mut Work,
        target: &ChangeId,
        entry: impl FnOnce(ChangeId) -> Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let description = self.check_own(state, target)?;
        if !matches!(
            description.kind,
            DocumentKind::Wall | DocumentKind::Guest | DocumentKind::Channel
        ) {
            return Err(EngineError::Denied(format!("{} cannot be changed", target.short())));
        }
        let now_ms = self.after_what_is_known(state, target, now_ms)?;
        let entry = entry(*target);
        let withdraws = matches!(entry, Entry::Tombstone { .. });
        self.prepare_modification(state, work, &description, withdraws, now_ms)?;
        self.append(state, work, &description, entry, now_ms)
    }

    /// The document of an own entry.
    fn check_own(
        &self,
        state: &mut State,
        target: &ChangeId,
    ) -> Result<std::sync::Arc<Description>, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (description, _) = self.target(state, target)?;
        if description.account != me {
            return Err(EngineError::Denied(format!("{} is not yours", target.short())));
        }
        Ok(description)
    }

    /// The time to claim for a modification: later than that of each one known here, whatever
    /// the clocks of their devices said. Who changes what he sees means it to be seen.
    fn after_what_is_known(
        &self,
        state: &mut State,
        target: &ChangeId,
        now_ms: u64,
    ) -> Result<u64, EngineError> {
        let Some((row, _)) = self.entry(target)? else { return Ok(now_ms) };
        let newest = self.modifications(state, target, &row)?.pop();
        Ok(newest.map_or(now_ms, |known| now_ms.max(known.row.time_ms.saturating_add(1))))
    }

    /// An entry with its document.
    fn target(
        &self,
        state: &mut State,
        id: &ChangeId,
    ) -> Result<(std::sync::Arc<Description>, Entry), EngineError> {
        let missing = || EngineError::NotFound { what: "post", text: id.to_string() };
        let (row, entry) = self.entry(id)?.ok_or_else(missing)?;
        let description = self.description(state, &row.doc)?.ok_or_else(missing)?;
        Ok((description, entry))
    }

    /// The own guest page beside the wall page that an entry belongs to.
    fn guest_page(&self, state: &mut State, target: &ChangeId) -> Result<Description, EngineError> {
        self.check_writer(state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let place = self.place(state, target)?;
        if place.owner != me
            && let Some(authority) = self.authority_of(state, &place.owner)?
            && !authority.admits(&me)
        {
            return Err(EngineError::Denied("this wall takes no replies from you".into()));
        }
        Ok(Description::guest(place.owner, me, place.page))
    }

    fn place(&self, state: &mut State, target: &ChangeId) -> Result<Place, EngineError> {
        let (description, entry) = self.target(state, target)?;
        if self.is_sealed_post(state, target)? {
            return Err(EngineError::Denied(format!(
                "{} is not for everybody: nobody replies or reacts to it in public",
                target.short()
            )));
        }
        let fits = matches!(entry, Entry::Post { .. } | Entry::Repost { .. } | Entry::Reply { .. });
        let Some(owner) = description.space.account().filter(|_| fits) else {
            return Err(EngineError::Invalid(format!(
                "{} is nothing to reply or react to",
                target.short()
            )));
        };
        Ok(Place { owner, page: description.page })
    }

    /// Checks that an entry may be named where everybody reads.
    fn check_open(&self, state: &mut State, target: &ChangeId) -> Result<(), EngineError> {
        let row = self.entry_row(target)?;
        let page = row.map(|row| self.description(state, &row.doc)).transpose()?.flatten();
        if page.is_some_and(|page| page.space.conversation().is_some()) {
            return Err(EngineError::Denied(format!(
                "{} is not for everybody: it cannot be quoted where everybody reads",
                target.short()
            )));
        }
        Ok(())
    }

    fn own_reaction(
        &self,
        state: &mut State,
        target: &ChangeId,
        emoji: &str,
    ) -> Result<Option<ChangeId>, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        for (key, _) in self.scan_all(Table::Rows, &keys::responses(target))? {
            let Some(id) = keys::parse_last(&key) else { continue };
            let Some((row, entry)) = self.entry(&id)? else { continue };
            let Some(page) = self.description(state, &row.doc)?.filter(|page| page.account == me)
            else {
                continue;
            };
            let found = match entry {
                Entry::Reaction { emoji, .. } => Some(emoji),
                Entry::Private(private) => self.private_emoji(state, &page, (&row, &private))?,
                _ => None,
            };
            if found.as_deref() == Some(emoji)
                && !self.is_withdrawn(state, &Work::default(), &id, &row.doc)?
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

pub(super) fn check_draft(draft: &Draft) -> Result<(), EngineError> {
    if draft.attachments.len() > ATTACHMENTS_MAX {
        return Err(EngineError::Invalid(format!(
            "{} attachments, limit {ATTACHMENTS_MAX}",
            draft.attachments.len()
        )));
    }
    if draft.text.is_empty() && draft.attachments.is_empty() {
        return Err(EngineError::Invalid("nothing to write: the text is empty".into()));
    }
    Ok(())
}

/// Whether a text looks like one emoji: a picture with what varies it, pictures that are joined
/// to one, a flag of two letters, or a keycap. What others react with is taken as it is.
fn is_one_emoji(text: &str) -> bool {
    const JOINER: char = '\u{200d}';
    const KEYCAP: char = '\u{20e3}';
    let flag_letter = |c: char| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    // Variation selectors, skin tones, tags of regional flags.
    let varies = |c: char| matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
    let picture =
        |c: char| !c.is_ascii() && !c.is_alphanumeric() && !c.is_control() && !c.is_whitespace();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    if matches!(first, '0'..='9' | '#' | '*') {
        return matches!(chars.as_str(), "\u{fe0f}\u{20e3}" | "\u{20e3}");
    }
    if flag_letter(first) {
        return chars.next().is_some_and(flag_letter) && chars.next().is_none();
    }
    let mut before = first;
    for c in chars {
        let joined = before == JOINER && picture(c);
        if !(joined || varies(c) || c == KEYCAP || c == JOINER) {
            return false;
        }
        before = c;
    }
    picture(first) && !varies(first) && first != JOINER && before != JOINER
}

#[cfg(test)]
mod tests {
    use super::is_one_emoji;

    #[test]
    fn a_reaction_is_one_emoji() {
        for one in ["👍", "👍🏽", "❤", "❤️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇮🇸", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "1️⃣", "#⃣", "☂", "★", "🌧"]
        {
            assert!(is_one_emoji(one), "{one}");
        }
        for other in [
            "",
            "+1",
            ":)",
            "ok",
            "é",
            "中",
            "👍👍",
            "👍 ",
            "👍 but",
            "🇮",
            "🇮🇸🇮",
            "1",
            "\n",
            "\u{fe0f}",
            "👩\u{200d}",
        ] {
            assert!(!is_one_emoji(other), "{other:?}");
        }
    }
}
