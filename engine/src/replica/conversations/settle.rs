//! What is looked at again where somebody came to a conversation or went: what he withdrew, and which of
//! his texts are wanted.

use crate::chain::ChainKey;
use crate::description::{Description, Space};
use crate::hash::{AccountId, SpaceId};
use crate::model::entry::ConversationGenesis;
use crate::replica::damage::is_damage;
use crate::replica::{BodyState, EngineError, Replica, State, Work};
use crate::store::{Table, keys};
use crate::view::bodies_of;

impl Replica {
    /// Whether what a page says of somebody's membership may count: its founder's, or his own.
    pub(in crate::replica) fn tells_of(
        &self,
        state: &mut State,
        page: &Description,
        account: &AccountId,
    ) -> Result<bool, EngineError> {
        let kept = self.conversations_kept(state)?;
        let founder = kept.get(&page.space.id()).and_then(|kept| kept.genesis.founder);
        Ok(founder.is_some_and(|founder| founder == page.account || *account == page.account))
    }

    /// Who takes part or did in conversations that an account founded, with their spaces.
    pub(in crate::replica) fn members_of_founded(
        &self,
        state: &mut State,
        account: &AccountId,
    ) -> Result<Vec<(SpaceId, AccountId)>, EngineError> {
        let mut out = Vec::new();
        let kept = self.conversations_kept(state)?;
        let groups = kept.iter().filter(|(_, kept)| !kept.genesis.audience);
        for (space, kept) in groups.filter(|(_, kept)| kept.genesis.founder == Some(*account)) {
            let talk = self.talk_of(state, &kept.id, &kept.genesis)?;
            let others = talk.members.keys().filter(|member| *member != account);
            out.extend(others.map(|member| (*space, *member)));
        }
        Ok(out)
    }

    /// Looks again at what counts of those who came or went. What is damaged is named elsewhere, and
    /// keeps nobody from opening the store.
    pub(in crate::replica) fn settle_talks(&self) -> Result<(), EngineError> {
        let marks = self.scan_all(Table::Meta, keys::UNSETTLED_TALKS)?;
        let named = |key: &[u8]| {
            let (rest, account) = key.split_last_chunk::<32>()?;
            let space = SpaceId::from_bytes(*rest.last_chunk::<32>()?);
            Some((space, AccountId::from_bytes(*account)))
        };
        let all: Vec<_> = marks.iter().filter_map(|(key, _)| named(key)).collect();
        if all.is_empty() {
            return Ok(());
        }
        // Which texts are wanted depends on what is withdrawn, as it is stored.
        for wants in [false, true] {
            let mut state = self.lock();
            let mut work = Work::default();
            for (space, account) in &all {
                match self.settle_member(&mut state, &mut work, (space, account), wants) {
                    Err(error) if !is_damage(&error) => return Err(error),
                    _ => {}
                }
                state = self.commit_large(state, &mut work)?;
            }
            if wants {
                for (key, _) in &marks {
                    work.batch.delete(Table::Meta, key.to_vec());
                }
            }
            self.finish(state, work)?;
        }
        Ok(())
    }

    fn settle_member(
        &self,
        state: &mut State,
        work: &mut Work,
        (space, account): (&SpaceId, &AccountId),
        wants: bool,
    ) -> Result<(), EngineError> {
        let pages = self.documents(state, space)?.into_iter();
        for (doc, page) in pages.filter(|(_, page)| page.account == *account) {
            if wants {
                for (key, chain) in self.chains_of(state, &doc)? {
                    self.want_what_counts(state, work, &page, (&key, chain.held))?;
                }
                continue;
            }
            for target in self.targets(state, &doc)? {
                self.settle(state, work, &target, &doc)?;
            }
        }
        Ok(())
    }

    /// Texts that are not here and stand beyond what counts of whom the founder took out are wanted from
    /// nobody, until he is back.
    fn want_what_counts(
        &self,
        state: &mut State,
        work: &mut Work,
        page: &Description,
        (key, held): (&ChainKey, u64),
    ) -> Result<(), EngineError> {
        let limit = self.heard_up_to(state, page, key)?;
        for item in self.log_items(key, limit.unwrap_or(0) + 1, held)? {
            for body in bodies_of(&item.entry) {
                let place = keys::body(&body.hash, &key.doc);
                let known = self.body_row(&body.hash, &key.doc)?;
                let wanted = keys::wanted(&key.doc, &body.hash);
                match (limit, known.as_deref().and_then(BodyState::parse)) {
                    (Some(_), Some(BodyState::Wanted)) => {
                        self.give_back_room(state, work, &key.doc, &place, body.size)?;
                        self.put_body_state(work, &body.hash, &key.doc, BodyState::Evicted)?;
                        work.batch.delete(Table::Meta, wanted);
                    }
                    (None, Some(BodyState::Evicted)) => {
                        self.take_back_room(state, work, &key.doc, body.size)?;
                        work.batch.put(Table::Meta, place, vec![BodyState::Wanted as u8]);
                        work.batch.put(Table::Meta, wanted, body.size.to_be_bytes().to_vec());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// How many groups are stored that began without the own account, and are kept no more.
    pub(super) fn unkept_groups(&self, state: &mut State) -> Result<usize, EngineError> {
        let kept = self.conversations_kept(state)?;
        let mut count = 0;
        for (_, value) in self.scan_all(Table::Meta, keys::CONVERSATIONS)? {
            let genesis = ConversationGenesis::decode(&value);
            let genesis = genesis.map_err(EngineError::corrupt)?;
            let space = Space::Conversation(genesis.id()).id();
            count += usize::from(!genesis.audience && !kept.contains_key(&space));
        }
        Ok(count)
    }
}
