//! Writing into conversations: everything is sealed before it is a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::age::KeyUse;
use super::expiry::check_expiry;
use super::members::Member;
use super::{ConversationStanding, KeptConversation, Talk};
use crate::description::{Description, Space};
use crate::hash::{AccountId, BlobHash, ChangeId, ConversationId};
use crate::limits::{
    CONVERSATION_MEMBERS_MAX, CUT_ITEMS_MAX, HUB_NAME_BYTES_MAX, SEALED_BYTES_MAX,
    SEALED_TEXT_BYTES_MAX,
};
use crate::model::entry::{
    BodyRef, ConversationGenesis, Entry, Membership, Sealed, Spoken, Tip, Who, with_mentions,
};
use crate::replica::accounts::tip;
use crate::replica::bodies::check_body;
use crate::replica::withdrawals::expires;
use crate::replica::{EngineError, Once, Replica, State, Work};
use crate::seal::{Beside, EpochKey, SealPlace, SealedEntry, seal_body};

/// Room that is made for a sealed entry.
const ROOM_BYTES: usize = SEALED_BYTES_MAX + 256;

/// What a message in a conversation is made of.
#[derive(Debug, Clone, Default)]
pub struct DirectDraft {
    /// The text; at most 252 KiB less one byte.
    pub text: String,
    /// The message that it answers.
    pub target: Option<ChangeId>,
    /// After how many milliseconds its text is dropped, 0 for never; if absent, as its
    /// conversation has it.
    pub expires_after_ms: Option<u64>,
}

impl Replica {
    /// Says something in a conversation; durable when it returns. Once under a key.
    ///
    /// # Errors
    /// [`EngineError::Denied`] if the own account takes no part (any more), or the devices of
    /// somebody who does are not known here; if the text is empty or too long, this device may
    /// not write, or the store fails.
    pub fn say_directly(
        &self,
        once: Option<&Once>,
        id: &ConversationId,
        draft: &DirectDraft,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if draft.text.is_empty() {
            return Err(EngineError::Invalid("a message without a text".into()));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        let after_ms = match draft.expires_after_ms {
            Some(after_ms) => after_ms,
            None => {
                let (kept, _) = self.known_conversation(&mut state, id)?;
                self.expiry_of(&mut state, &kept, now_ms)?
            }
        };
        check_expiry(after_ms)?;
        let expires_ms = if after_ms == 0 { 0 } else { now_ms.saturating_add(after_ms) };
        let mut work = Work::default();
        let spoken = Spoken::Message { target: draft.target };
        let text = Some((&*draft.text, expires_ms));
        let id = self.speak(&mut state, &mut work, id, &spoken, text, now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Gives an own message another text.
    ///
    /// # Errors
    /// If it is not an own message, or as [`Replica::say_directly`].
    pub fn edit_directly(
        &self,
        target: &ChangeId,
        text: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if text.is_empty() {
            return Err(EngineError::Invalid("a message without a text".into()));
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (id, _) = self.own_message(&mut state, target)?;
        if let Some(row) = self.entry_row(target)?
            && self.is_withdrawn(&mut state, &Work::default(), target, &row.doc)?
        {
            return Err(EngineError::Invalid(format!("{} is deleted", target.short())));
        }
        // It goes when the message goes.
        let expires_ms = self.entry(target)?.and_then(|(_, entry)| expires(&entry)).unwrap_or(0);
        if expires_ms > 0 && expires_ms <= now_ms {
            return Err(EngineError::Invalid(format!("{} has expired", target.short())));
        }
        let mut work = Work::default();
        let spoken = Spoken::Edit { target: *target };
        let text = Some((text, expires_ms));
        let written = self.speak(&mut state, &mut work, &id, &spoken, text, now_ms)?;
        self.finish(state, work)?;
        Ok(written)
    }

    /// Withdraws an own message with all its edits: its texts are dropped here at once, and by
    /// every honest replica that learns of it.
    ///
    /// # Errors
    /// If it is not an own message, this device may not write, or the store fails.
    pub fn delete_directly(&self, target: &ChangeId, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (id, page) = self.own_message(&mut state, target)?;
        let (_, talk) = self.known_conversation(&mut state, &id)?;
        if talk.members.get(&page.account).is_some_and(|me| !me.present && !me.left) {
            return Err(EngineError::Denied(
                "you take part in this conversation no more, and nobody would hear of it".into(),
            ));
        }
        let edits = self.edits_of(&mut state, &id, target)?;
        let mut work = Work::default();
        let mut written = None;
        // Who carries it does not know what belongs together, so each is named.
        for target in edits.into_iter().chain([*target]) {
            let Some(row) = self.entry_row(&target)? else { continue };
            let Some(page) = self.description(&mut state, &row.doc)? else { continue };
            let entry = Entry::Tombstone { target };
            written = Some(self.append(&mut state, &mut work, &page, entry, now_ms)?);
        }
        let written =
            written.ok_or(EngineError::NotFound { what: "message", text: target.to_string() })?;
        self.finish(state, work)?;
        Ok(written)
    }

    /// Begins a conversation of several, which the own account founds.
    ///
    /// # Errors
    /// If there are too many members, the title is too long, or as [`Replica::say_directly`].
    pub fn found_group(
        &self,
        title: &str,
        members: &[AccountId],
        now_ms: u64,
    ) -> Result<ConversationId, EngineError> {
        check_title(title)?;
        let me = self.account()?;
        let mut all = members.to_vec();
        all.push(me);
        all.sort_unstable();
        all.dedup();
        if all.len() > CONVERSATION_MEMBERS_MAX {
            return Err(EngineError::Invalid(format!(
                "{} members, limit {CONVERSATION_MEMBERS_MAX}",
                all.len()
            )));
        }
        let mut nonce = [0; 16];
        self.entropy.fill(&mut nonce);
        let genesis =
            ConversationGenesis { nonce, founder: Some(me), members: all, audience: false };
        self.choose_conversation(&genesis, ConversationStanding::Accepted, now_ms)?;
        let id = genesis.id();
        self.title_group(&id, title, now_ms)?;
        Ok(id)
    }

    /// Gives a conversation of several another title.
    ///
    /// # Errors
    /// If it is one of two people, the title is too long, or as [`Replica::say_directly`].
    pub fn title_group(
        &self,
        id: &ConversationId,
        title: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        check_title(title)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (kept, _) = self.known_conversation(&mut state, id)?;
        if kept.genesis.founder.is_none() {
            return Err(EngineError::Denied("a conversation of two has no title".into()));
        }
        let mut work = Work::default();
        let spoken = Spoken::Title { title: title.to_owned() };
        let written = self.speak(&mut state, &mut work, id, &spoken, None, now_ms)?;
        self.finish(state, work)?;
        Ok(written)
    }

    /// Brings somebody into a conversation of several, or takes him out of it; oneself, that is
    /// leaving. Who comes reads what is said from then on; who goes reads nothing of it.
    ///
    /// # Errors
    /// [`EngineError::Denied`] if the own account is not the founder, or as
    /// [`Replica::say_directly`].
    pub fn change_member(
        &self,
        id: &ConversationId,
        account: AccountId,
        present: bool,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (kept, talk) = self.known_conversation(&mut state, id)?;
        kept.check_membership(&talk.members, (&me, &account), present)?;
        let known = talk.members.get(&account).cloned().unwrap_or_default();
        let round = if present { known.round + 1 } else { known.round };
        let heard = if present { Vec::new() } else { self.heard_of(&mut state, id, &account)? };
        let mut work = Work::default();
        // What does not fit one entry stands in more of the same: they add up.
        let mut parts: Vec<Vec<Tip>> = heard.chunks(CUT_ITEMS_MAX).map(<[Tip]>::to_vec).collect();
        let mut cut = parts.pop().unwrap_or_default();
        loop {
            let change = Membership { account, round, present, cut };
            let entry = Entry::Membership(Box::new(change));
            let written = self.append_to_conversation(&mut state, &mut work, id, entry, now_ms)?;
            let Some(part) = parts.pop() else {
                self.finish(state, work)?;
                self.settle_withdrawals()?;
                return Ok(written);
            };
            cut = part;
        }
    }

    /// Versions of somebody's pages as they are here, as far as they count: what he took back of a
    /// device does not come back because he goes. What he holds back counts once it is restored, if a cut
    /// of his own says what that is; else it is left out.
    fn heard_of(
        &self,
        state: &mut State,
        id: &ConversationId,
        account: &AccountId,
    ) -> Result<Vec<Tip>, EngineError> {
        let mut tips = Vec::new();
        for (doc, description) in self.documents(state, &Space::Conversation(*id).id())? {
            if description.account == *account {
                for (key, chain) in self.chains_of(state, &doc)? {
                    if self.held_back_from(state, &description, &key)? == Some(0) {
                        continue;
                    }
                    let counts = self.counts_up_to(state, &description, &key, chain.held)?;
                    let link = match counts == chain.held {
                        true => chain.link,
                        false => self.link_at(&description, &key, counts)?,
                    };
                    tips.extend((counts > 0).then(|| tip(&key, counts, link)));
                }
            }
        }
        tips.sort_unstable();
        Ok(tips)
    }

    /// Seals what is said and writes it; a text with when it is dropped, 0 for never.
    pub(super) fn speak(
        &self,
        state: &mut State,
        work: &mut Work,
        id: &ConversationId,
        spoken: &Spoken,
        text: Option<(&str, u64)>,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (kept, talk) = self.known_conversation(state, id)?;
        if !kept.genesis.lets_write(&me) {
            return Err(EngineError::Denied("its author alone writes there".into()));
        }
        if !talk.is_member(&me) {
            return Err(EngineError::Denied("you take part in this conversation no more".into()));
        }
        let known: (&KeptConversation, &Arc<Talk>) = (&kept, &talk);
        let usage = match text {
            Some((_, 1..)) => KeyUse::Expiring,
            _ => KeyUse::Lasting,
        };
        let key = self.current_conversation_key(state, work, known, usage, now_ms)?;
        let page = self.conversation_page(state, work, id, ROOM_BYTES, now_ms)?;
        let answers = match spoken {
            Spoken::Message { target } => target.as_ref(),
            _ => None,
        };
        let bodies = match text {
            None => Vec::new(),
            Some((text, _)) => {
                vec![self.put_sealed_body(work, &key, &page, (text, answers, &[]))?]
            }
        };
        let (chain_key, chain) = self.own_chain(state, &page)?;
        let place = SealPlace {
            space: page.space.id(),
            chain: chain_key,
            n: chain.held + 1,
            previous_link: chain.link,
        };
        let expires_ms = text.map_or(0, |(_, expires_ms)| expires_ms);
        let header = Sealed::header(&bodies, expires_ms);
        let entry = SealedEntry::seal(&key, &place, &header, &spoken.encode(), &*self.entropy)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let entry = Entry::Sealed(Box::new(Sealed { bodies, expires_ms, entry }));
        self.append(state, work, &page, entry, now_ms)
    }

    pub(in crate::replica) fn put_sealed_body(
        &self,
        work: &mut Work,
        key: &EpochKey,
        page: &Description,
        (text, answers, mentions): (&str, Option<&ChangeId>, &[Who]),
    ) -> Result<BodyRef, EngineError> {
        if text.len() > SEALED_TEXT_BYTES_MAX {
            let (bytes, bytes_max) = (text.len(), SEALED_TEXT_BYTES_MAX);
            return Err(EngineError::TextTooLong { bytes, bytes_max });
        }
        let (space, doc) = (page.space.id(), page.id());
        let plain = match mentions {
            [] => text.as_bytes().to_vec(),
            _ => with_mentions(mentions, text),
        };
        let beside = match (answers, mentions) {
            (Some(target), _) => Beside::Answers(*target),
            (None, []) => Beside::Nothing,
            (None, _) => Beside::Mentions,
        };
        let blob = seal_body(key, (&space, &doc), &plain, &beside, &*self.entropy)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        check_body(blob.get(crate::limits::BODY_SALT_BYTES..).unwrap_or_default())?;
        let body = BodyRef { hash: BlobHash::of(&blob), size: blob.len() as u64 };
        work.arriving.insert(body.hash, Bytes::from(blob));
        Ok(body)
    }

    /// The own page to write to next, begun if it is a new one.
    fn conversation_page(
        &self,
        state: &mut State,
        work: &mut Work,
        id: &ConversationId,
        room: usize,
        now_ms: u64,
    ) -> Result<Description, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let row = Description::conversation(*id, me, 0);
        let (page, start) = self.page_for(state, &row, room)?;
        if let Some(start) = start {
            self.append(state, work, &page, start, now_ms)?;
        }
        Ok(page)
    }

    /// Writes a clear entry to the newest own page.
    pub(super) fn append_to_conversation(
        &self,
        state: &mut State,
        work: &mut Work,
        id: &ConversationId,
        entry: Entry,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let room = entry.encode().len();
        let page = self.conversation_page(state, work, id, room, now_ms)?;
        self.append(state, work, &page, entry, now_ms)
    }
}

impl KeptConversation {
    /// Whether somebody may come or go as `me` says.
    pub(super) fn check_membership(
        &self,
        members: &BTreeMap<AccountId, Member>,
        (me, account): (&AccountId, &AccountId),
        present: bool,
    ) -> Result<(), EngineError> {
        let leaves = account == me && !present;
        if self.genesis.audience && leaves {
            return Err(EngineError::Denied("you read what you write".into()));
        }
        if self.genesis.founder.is_none() {
            return Err(EngineError::Denied("nobody joins or leaves a conversation of two".into()));
        }
        if !leaves && self.genesis.founder != Some(*me) {
            return Err(EngineError::Denied("only who began it adds and removes members".into()));
        }
        let known = members.get(account).cloned().unwrap_or_default();
        // Who left can be taken out as well: then no more of him is kept.
        if known.present == present && (present || leaves || !known.left) {
            let is = if present { "already a member" } else { "no member" };
            return Err(EngineError::Invalid(format!("{} is {is}", account.short())));
        }
        let limit = self.genesis.members_max();
        if present && members.values().filter(|member| member.present).count() >= limit {
            return Err(EngineError::Invalid(format!("limit {limit} members")));
        }
        Ok(())
    }
}

pub(super) fn check_title(title: &str) -> Result<(), EngineError> {
    match title.len() {
        1..=HUB_NAME_BYTES_MAX => Ok(()),
        length => Err(EngineError::Invalid(format!(
            "a title has 1 to {HUB_NAME_BYTES_MAX} bytes, this one {length}"
        ))),
    }
}
