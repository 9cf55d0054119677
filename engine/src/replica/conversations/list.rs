//! Lists of conversations, and what of them was read.

use std::collections::BTreeSet;

use super::read::{Opened, shown_of};
use super::{ConversationStanding, DirectMessage, KeptConversation, MessageStanding, Talk};
use crate::hash::{AccountId, ChangeId, ConversationId};
use crate::model::entry::Spoken;
use crate::replica::{EngineError, Replica, Work};

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
        for kept in kept.values() {
            let two = kept.genesis.founder.is_none();
            if two && kept.genesis.members.iter().any(|member| blocked.contains(member)) {
                continue;
            }
            let since_ms = self.read_mark(&mark_of(&kept.id))?;
            let mut state = self.lock();
            let talk = self.talk_of(&mut state, &kept.id, &kept.genesis)?;
            if !talk.members.contains_key(&me) {
                continue;
            }
            let all = self.open_all(&mut state, kept, &talk)?;
            let mut gone = BTreeSet::new();
            for opened in &all {
                if self.is_withdrawn(&mut state, &Work::default(), &opened.id, &opened.key.doc)? {
                    gone.insert(opened.id);
                }
            }
            drop(state);
            out.push(view_of(kept, &talk, &me, since_ms, &all, &gone));
        }
        out.sort_by_key(|view| (std::cmp::Reverse(view.newest_ms), view.id));
        Ok(out)
    }

    /// Remembers a conversation as read up to its newest message, on every own device; `tells`
    /// also says so to those who take part.
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
        let messages = self.conversation(id, usize::MAX)?;
        let theirs = |message: &&DirectMessage| {
            message.account != me && message.standing == MessageStanding::Open
        };
        let Some(newest) = messages.iter().rev().find(theirs) else { return Ok(()) };
        if newest.time_ms <= self.read_mark(&mark_of(id))? {
            return Ok(());
        }
        self.raise_marks(&[(&mark_of(id), newest.time_ms)], now_ms)?;
        if !tells {
            return Ok(());
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let (_, talk) = self.known_conversation(&mut state, id)?;
        if !talk.is_member(&me) {
            return Ok(());
        }
        let mut work = Work::default();
        let spoken = Spoken::Read { target: newest.id };
        self.speak(&mut state, &mut work, id, &spoken, None, now_ms)?;
        self.finish(state, work)
    }
}

fn view_of(
    kept: &KeptConversation,
    talk: &Talk,
    me: &AccountId,
    since_ms: u64,
    all: &[Opened],
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
        title: titles.take(usize::from(group)).next(),
        messages: 0,
        unread: 0,
        waiting: 0,
        to_others: 0,
        newest_ms: 0,
    };
    let to_others = Some(MessageStanding::ToOthers);
    let others = all.iter().filter(|opened| opened.what.as_ref().err().copied() == to_others);
    view.to_others = others.count() as u64;
    for opened in shown_of(all) {
        match &opened.what {
            Err(MessageStanding::Waiting) => view.waiting += 1,
            Err(_) => continue,
            Ok(_) if gone.contains(&opened.id) => continue,
            Ok(_) => view.messages += 1,
        }
        view.newest_ms = view.newest_ms.max(opened.time_ms);
        let new = opened.account != *me && opened.time_ms > since_ms;
        view.unread += u64::from(new && opened.what.is_ok());
    }
    view
}

fn mark_of(id: &ConversationId) -> String {
    format!("conversation {id}")
}
