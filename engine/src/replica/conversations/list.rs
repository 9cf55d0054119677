//! Lists of conversations, and what of them was read.

use std::collections::{BTreeMap, BTreeSet};

use super::expiry::expiry_in;
use super::read::{Opened, Reading, shown_of};
use super::{ConversationStanding, KeptConversation, MessageStanding, Talk};
use crate::chain::ChainKey;
use crate::codec::Writer;
use crate::description::Space;
use crate::hash::{AccountId, ChangeId, ConversationId, SpaceId, derive};
use crate::limits::READ_TARGETS_MAX;
use crate::model::entry::Spoken;
use crate::replica::{EngineError, Replica, Text, Work};

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationView {
    /// Which.
    pub id: ConversationId,
    /// How the own account stands to it.
    pub standing: ConversationStanding,
    /// Who else takes part now.
    pub others: Vec<AccountId>,
    /// Who began it, if it is one of several.
    pub founder: Option<AccountId>,
    /// Whether the own account takes part now.
    pub present: bool,
    /// Its title, if it is one of several.
    pub title: Option<String>,
    /// After how long texts that are written now are dropped, in milliseconds; 0 for never.
    pub expires_after_ms: u64,
    /// Messages that open.
    pub messages: u64,
    /// Messages of others since the last that was read.
    pub unread: u64,
    /// Messages whose key is not here yet.
    pub waiting: u64,
    /// What was said to others: before the own account came, or after it had gone.
    pub to_others: u64,
    /// When the newest message was written, as claimed; 0 if there is none.
    pub newest_ms: u64,
    /// Whether something that is sealed is here: a message, or a title at least.
    pub begun: bool,
}

impl Replica {
    /// The conversations that the own account takes part in or is asked to, newest first.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn conversations(&self) -> Result<Vec<ConversationView>, EngineError> {
        let me = self.account()?;
        let blocked = self.accounts_in(crate::replica::BLOCKS)?;
        let kept = self.conversations_kept(&mut self.lock())?;
        let mut out = Vec::new();
        for kept in kept.values().filter(|kept| !kept.genesis.audience) {
            let two = kept.genesis.founder.is_none();
            if two && kept.genesis.members.iter().any(|member| blocked.contains(member)) {
                continue;
            }
            let marks = self.marks_of(&kept.id)?;
            let mut state = self.lock();
            let talk = self.talk_of(&mut state, &kept.id, &kept.genesis)?;
            if !talk.members.contains_key(&me) {
                continue;
            }
            let all = self.open_all(&mut state, kept, &talk)?;
            // Nobody has looked what is over yet: the clock is not known.
            let now_ms = if state.expired_ms == 0 { u64::MAX } else { state.expired_ms };
            let mut gone = BTreeSet::new();
            for opened in &all {
                if self.is_withdrawn(&mut state, &Work::default(), &opened.id, &opened.key.doc)? {
                    gone.insert(opened.id);
                }
            }
            drop(state);
            out.push(view_of(kept, &talk, &me, &marks, (&all, now_ms), &gone));
        }
        out.sort_by_key(|view| (std::cmp::Reverse(view.newest_ms), view.id));
        Ok(out)
    }

    /// Remembers the messages of a conversation that open here as read, on every own device; `tells`
    /// also says so to those who take part, of what was here without a gap.
    ///
    /// # Errors
    /// If it is not here, or as [`Replica::edit_private`].
    pub fn mark_conversation_read(
        &self,
        id: &ConversationId,
        tells: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let me = self.account()?;
        let mut state = self.lock();
        let (kept, talk) = self.known_conversation(&mut state, id)?;
        let mut all = self.open_all(&mut state, &kept, &talk)?;
        drop(state);
        all.retain(|opened| {
            opened.account != me || matches!(opened.what, Ok((Spoken::Read { .. }, _)))
        });
        let claimed = Reading::of(&all);
        let mut theirs: Vec<&Opened> = all.iter().filter(|opened| opened.account != me).collect();
        theirs.sort_by_key(|opened| (opened.key, opened.n));
        let (mut marks, mut claims) = (Vec::new(), Vec::new());
        for of_chain in theirs.chunk_by(|a, b| a.key == b.key) {
            let Some(first) = of_chain.first() else { continue };
            let messages = of_chain.iter().filter(|opened| is_message(opened));
            if let Some(last) = messages.map(|opened| opened.n).max() {
                marks.push((mark_of(id, &first.key), last));
            }
            if let Some((n, target)) =
                self.read_without_gap(&Space::Conversation(*id).id(), of_chain)?
                && n > claimed.read_upto(&me, &first.key)
            {
                claims.push(target);
            }
        }
        let marks: Vec<(&str, u64)> = marks.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        self.raise_marks(&marks, now_ms)?;
        if !tells || claims.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (_, talk) = self.known_conversation(&mut state, id)?;
        if !talk.is_member(&me) {
            return Ok(());
        }
        let mut work = Work::default();
        for targets in claims.chunks(READ_TARGETS_MAX) {
            let spoken = Spoken::Read { targets: targets.to_vec() };
            self.speak(&mut state, &mut work, id, &spoken, None, now_ms)?;
        }
        self.finish(state, work)
    }

    /// The last message of a chain before which each one is here with its text.
    fn read_without_gap(
        &self,
        space: &SpaceId,
        of_chain: &[&Opened],
    ) -> Result<Option<(u64, ChangeId)>, EngineError> {
        let mut last = None;
        for opened in of_chain {
            match &opened.what {
                Err(MessageStanding::Waiting) => break,
                Ok((Spoken::Message { .. }, key)) => {
                    if self.sealed_text(space, opened, key)? == Text::Missing {
                        break;
                    }
                    last = Some((opened.n, opened.id));
                }
                _ => {}
            }
        }
        Ok(last)
    }

    /// Marks of what was read of a conversation, by their names.
    fn marks_of(&self, id: &ConversationId) -> Result<BTreeMap<String, u64>, EngineError> {
        let prefix = format!("conversation {id} ");
        self.read_marks(&prefix)
    }
}

fn is_message(opened: &Opened) -> bool {
    matches!(opened.what, Ok((Spoken::Message { .. }, _)))
}

fn view_of(
    kept: &KeptConversation,
    talk: &Talk,
    me: &AccountId,
    marks: &BTreeMap<String, u64>,
    (all, now_ms): (&[Opened], u64),
    gone: &BTreeSet<ChangeId>,
) -> ConversationView {
    let titles = all.iter().rev().filter_map(|opened| match &opened.what {
        Ok((Spoken::Title { title }, _)) => Some(title.clone()),
        _ => None,
    });
    let group = kept.genesis.founder.is_some();
    let mut view = ConversationView {
        id: kept.id,
        standing: kept.standing,
        others: talk.present().filter(|account| *account != me).copied().collect(),
        founder: kept.genesis.founder,
        present: talk.is_member(me),
        expires_after_ms: expiry_in(all, now_ms).map_or(0, |(_, after_ms)| after_ms),
        title: titles.take(usize::from(group)).next(),
        messages: 0,
        unread: 0,
        waiting: 0,
        to_others: 0,
        newest_ms: 0,
        begun: !all.is_empty(),
    };
    let to_others = Some(MessageStanding::ToOthers);
    let others = all.iter().filter(|opened| opened.what.as_ref().err().copied() == to_others);
    view.to_others = others.count() as u64;
    for opened in shown_of(all) {
        match &opened.what {
            Err(MessageStanding::Waiting) => view.waiting += 1,
            Err(MessageStanding::Expired) => view.messages += 1,
            Err(_) => continue,
            Ok(_) if gone.contains(&opened.id) => continue,
            Ok(_) => view.messages += 1,
        }
        view.newest_ms = view.newest_ms.max(opened.time_ms);
        let read = || marks.get(&mark_of(&kept.id, &opened.key)).copied().unwrap_or(0);
        let theirs = opened.account != *me && opened.what.is_ok();
        view.unread += u64::from(theirs && opened.n > read());
    }
    view
}

/// The name of the mark of what was read of a chain.
fn mark_of(id: &ConversationId, key: &ChainKey) -> String {
    let mut w = Writer::new();
    key.encode(&mut w);
    let [a, b, c, d, e, f, g, h, ..] = derive("mosaic read mark 1", &[&w.finish()]);
    format!("conversation {id} {:016x}", u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}
