//! Several changes of a group: all of them, or none if one is refused.

use std::collections::BTreeMap;

use super::members::Member;
use super::write::check_title;
use crate::hash::{AccountId, ConversationId};
use crate::replica::{EngineError, Replica};

/// What is changed about a conversation of several, in this order.
#[derive(Debug, Clone, Default)]
pub struct GroupChange {
    /// Who comes.
    pub add: Vec<AccountId>,
    /// Who goes.
    pub remove: Vec<AccountId>,
    /// A new title.
    pub title: Option<String>,
    /// The own account goes.
    pub leave: bool,
}

impl Replica {
    /// Changes a conversation of several.
    ///
    /// # Errors
    /// As [`Replica::change_member`] and [`Replica::title_group`], of the first that is refused:
    /// then nothing is changed; or if the store fails.
    pub fn change_group(
        &self,
        id: &ConversationId,
        change: &GroupChange,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.check_group_change(id, change)?;
        for account in &change.add {
            self.change_member(id, *account, true, now_ms)?;
        }
        for account in &change.remove {
            self.change_member(id, *account, false, now_ms)?;
        }
        if let Some(title) = &change.title {
            self.title_group(id, title, now_ms)?;
        }
        if change.leave {
            self.change_member(id, self.account()?, false, now_ms)?;
        }
        Ok(())
    }

    /// Whether all of it would be written.
    fn check_group_change(
        &self,
        id: &ConversationId,
        change: &GroupChange,
    ) -> Result<(), EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (kept, talk) = self.known_conversation(&mut state, id)?;
        let mut members: BTreeMap<AccountId, Member> = talk.members.clone();
        let comes = change.add.iter().map(|account| (*account, true));
        for (account, present) in comes.chain(change.remove.iter().map(|gone| (*gone, false))) {
            kept.check_membership(&members, (&me, &account), present)?;
            let member = members.entry(account).or_default();
            (member.present, member.left) = (present, false);
        }
        if let Some(title) = &change.title {
            check_title(title)?;
            if kept.genesis.founder.is_none() {
                return Err(EngineError::Denied("a conversation of two has no title".into()));
            }
            if !members.get(&me).is_some_and(Member::takes_part) {
                return Err(EngineError::Denied(
                    "you take part in this conversation no more".into(),
                ));
            }
            // Whoever takes part then has to be sealed to.
            let readers = members.iter().filter(|(_, member)| member.takes_part());
            for account in readers.map(|(account, _)| account).filter(|account| **account != me) {
                let log = self.authority_of(&mut state, account)?;
                if log.is_none_or(|log| log.devices.is_empty()) {
                    return Err(EngineError::Denied(format!(
                        "the devices of {} are not known here yet, so the title cannot be sealed to \
                         them",
                        account.short()
                    )));
                }
            }
        }
        if change.leave {
            kept.check_membership(&members, (&me, &me), false)?;
        }
        Ok(())
    }
}
