//! Conversations: who takes part, which are kept here and how the own account stands to them.
//!
//! A conversation is a space of its own. Each participant writes pages of his own there: keys and
//! membership in the clear, since whoever carries them has to know whom they are for; all that is
//! said is sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{EngineError, FOLLOWS, PETNAMES, Replica, State, Work};
use crate::chain::{ChainKey, extend};
use crate::change::value::Value;
use crate::description::{Section, SectionClass, Space};
use crate::hash::{
    AccountId, ChangeId, ConversationId, DeviceId, EpochId, HubId, Link, SealKey, SpaceId, derive,
};
use crate::model::entry::{ConversationGenesis, Entry, Wrap};
use crate::seal::{SealPlace, hint_of};
use crate::store::{Table, keys};

mod access;
mod admission;
mod age;
mod audience;
mod body;
mod bundle;
mod carried;
mod delivery;
mod epochs;
mod expiry;
mod forget;
mod group;
mod list;
mod meet;
mod members;
mod parting;
mod posts;
mod read;
mod settle;
mod write;

pub use self::access::SealedAccess;
pub(in crate::replica) use self::age::KeyUse;
use self::age::{Ages, Sealings};
pub use self::audience::{AUDIENCE_FOLLOWERS, AUDIENCE_LIST, AUDIENCE_ME, AUDIENCES, AudienceView};
pub(in crate::replica) use self::body::OpenedText;
pub use self::bundle::{BUNDLE_BYTES_MAX, BundleFile, BundleReceipt, DamagedPart};
pub(in crate::replica) use self::epochs::{Devices, Hints};
use self::expiry::Asides;
pub(crate) use self::forget::Erased;
pub use self::group::GroupChange;
pub use self::list::ConversationView;
#[cfg(test)]
pub(crate) use self::meet::Taking;
pub(crate) use self::members::{Member, cut_at};
pub use self::posts::AUDIENCE_LIMITED;
pub(crate) use self::posts::OpenedPosts;
pub(in crate::replica) use self::read::{Closed, KeyHere, Keys, OTHER_KEY, open_with};
pub use self::read::{Delivery, DirectMessage, MessageStanding};
pub use self::write::DirectDraft;

/// Name of the private map of conversations that this account takes part in.
pub const CONVERSATIONS: &str = "conversations";

/// Conversations of which it is remembered who takes part.
const TALKS_CACHED_MAX: usize = 256;

/// How the own account stands to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConversationStanding {
    /// It takes part.
    Accepted,
    /// Somebody it does not know wrote to it.
    Requested,
    /// As that, and it does not want to hear of it.
    Ignored,
    /// It does not take part: this node carries it for others.
    Carried,
}

impl ConversationStanding {
    /// Stable name for JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Requested => "requested",
            Self::Ignored => "ignored",
            Self::Carried => "carried",
        }
    }
}

/// A conversation that is kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptConversation {
    pub id: ConversationId,
    pub genesis: ConversationGenesis,
    pub standing: ConversationStanding,
}

/// A key of a conversation, as its entries tell of it.
#[derive(Debug, Clone)]
pub(crate) struct KnownEpoch {
    /// When it was opened, as claimed.
    pub since_ms: u64,
    /// Devices that wrote copies of it: they hold it.
    pub openers: BTreeSet<DeviceId>,
    /// Copies, by the device that they are for, with who wrote them.
    pub wraps: BTreeMap<DeviceId, Vec<(DeviceId, Vec<u8>)>>,
    /// Devices that it is not for, as whoever opened it knew: they were revoked.
    pub excluded: BTreeSet<DeviceId>,
    /// When all that was sealed with it is over, [`u64::MAX`] if never.
    pub until_ms: u64,
    /// Devices for which no copy opened, with the prekeys under which they want one.
    pub asks: BTreeMap<DeviceId, BTreeSet<Option<SealKey>>>,
}

impl Default for KnownEpoch {
    fn default() -> Self {
        Self {
            since_ms: 0,
            openers: BTreeSet::new(),
            wraps: BTreeMap::new(),
            excluded: BTreeSet::new(),
            until_ms: u64::MAX,
            asks: BTreeMap::new(),
        }
    }
}

impl KnownEpoch {
    /// Devices that hold the key, as far as was said.
    pub(crate) fn holders(&self) -> BTreeSet<DeviceId> {
        self.wraps.keys().chain(&self.openers).copied().collect()
    }
}

/// Those who share keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Circle {
    /// Who takes part in a conversation.
    Conversation(ConversationId),
    /// The readers of a private channel.
    Channel(HubId, ChangeId),
}

impl Circle {
    /// What copies of its keys are bound to: nobody passes off a copy of one circle in another.
    pub(crate) fn bound_to(&self) -> SpaceId {
        match self {
            Self::Conversation(id) => Space::Conversation(*id).id(),
            Self::Channel(hub, channel) => {
                let parts: [&[u8]; 2] = [hub.as_bytes(), channel.as_bytes()];
                SpaceId::from_bytes(derive("mosaic channel keys 1", &parts))
            }
        }
    }
}

/// What the clear entries of a conversation come to, or what is told of a private channel's keys.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub members: BTreeMap<AccountId, Member>,
    pub epochs: BTreeMap<EpochId, KnownEpoch>,
    /// What those tell of keys who are not heard there. Somebody may have used such a key before he
    /// knew; and a copy that opens is one, whoever wrote it.
    pub lost: BTreeMap<EpochId, KnownEpoch>,
    /// How old keys are.
    pub ages: Ages,
    /// Up to which change chains of who has gone count, whichever of his devices he revokes.
    pub said: BTreeMap<ChainKey, u64>,
    /// Keys that nobody seals with: somebody gave copies of them who is not heard there, or who did not
    /// know of a removal.
    pub tainted: BTreeSet<EpochId>,
    /// Whether who comes is given older keys.
    pub shares_past: bool,
    /// Its keys are sealed to fixed keys of devices: who reads an audience cannot ask for another.
    pub fixed: bool,
}

impl Talk {
    /// Whether somebody takes part now.
    pub(crate) fn is_member(&self, account: &AccountId) -> bool {
        self.members.get(account).is_some_and(Member::takes_part)
    }

    /// Who takes part now, with those for whom there is no room.
    pub(crate) fn present(&self) -> impl Iterator<Item = &AccountId> {
        self.members.iter().filter(|(_, member)| member.present).map(|(account, _)| account)
    }

    /// Up to which change of a chain something counts of whom the founder took out; `None` of others. Of who
    /// went by himself all has come everywhere in the end.
    pub(crate) fn limit_of(&self, account: &AccountId, key: &ChainKey) -> Option<u64> {
        let taken_out = self.members.get(account).filter(|member| !member.present && !member.left);
        taken_out.map(|member| cut_at(&member.cut, key))
    }

    /// Whether change `n` of a chain of somebody is heard.
    pub(crate) fn hears(&self, account: &AccountId, key: &ChainKey, n: u64) -> bool {
        match self.members.get(account) {
            None => false,
            Some(member) if member.present => true,
            Some(member) => n <= cut_at(&member.cut, key),
        }
    }
}

/// A clear entry, and where it stands.
#[derive(Debug)]
struct TalkItem {
    account: AccountId,
    key: ChainKey,
    n: u64,
    time_ms: u64,
    entry: Entry,
}

/// What is remembered of a conversation.
#[derive(Debug, Default)]
pub(crate) struct KnownTalk {
    fed: BTreeMap<ChainKey, (u64, Link)>,
    items: Vec<TalkItem>,
    stale: bool,
    sealings: Sealings,
    asides: Asides,
    talk: Arc<Talk>,
}

impl Replica {
    /// Notes what a commit changes about conversations that are in memory.
    pub(super) fn mark_talks(state: &mut State, work: &Work) {
        Self::mark_channels(state, work);
        if !work.accounts.is_empty() || !work.cuts.is_empty() {
            state.talks.values_mut().for_each(|known| known.stale = true);
        }
        let moves = |entry: &Entry| matches!(entry, Entry::Membership(_));
        if work.entries.values().any(|(_, entry)| moves(entry)) {
            (state.kept, state.conversations) = (None, None);
            state.moves += 1;
        }
        for key in &work.chains {
            let description = state.descriptions.get(&key.doc);
            let id = description.and_then(|description| description.space.conversation());
            let Some(id) = id else { continue };
            // It may be a page of the founder's, who is known.
            let space = Space::Conversation(id).id();
            let asked = state.conversations.as_ref().and_then(|kept| kept.get(&space));
            if asked.is_some_and(|kept| kept.standing == ConversationStanding::Requested) {
                (state.kept, state.conversations) = (None, None);
            }
            if let Some(known) = state.talks.get_mut(&id) {
                known.stale = true;
            }
        }
    }

    /// Who takes part in a conversation, and its keys.
    pub(crate) fn talk_of(
        &self,
        state: &mut State,
        id: &ConversationId,
        genesis: &ConversationGenesis,
    ) -> Result<Arc<Talk>, EngineError> {
        if let Some(known) = state.talks.get(id).filter(|known| !known.stale) {
            return Ok(known.talk.clone());
        }
        // Taken out: what fails on the way is worked out from the beginning.
        let mut known = state.talks.remove(id).unwrap_or_default();
        if !self.feed_talk(state, id, &mut known)? {
            known = KnownTalk::default();
            self.feed_talk(state, id, &mut known)?;
        }
        let mut talk = self.fold_talk(state, genesis, &known.items)?;
        talk.ages = known.sealings.ages();
        talk.fixed = genesis.audience;
        for (epoch, told) in talk.epochs.iter_mut().chain(&mut talk.lost) {
            told.until_ms = talk.ages.over_ms(&hint_of(epoch));
        }
        known.talk = Arc::new(talk);
        known.stale = false;
        let talk = known.talk.clone();
        if state.talks.len() >= TALKS_CACHED_MAX {
            let other = state.talks.keys().next().copied();
            other.and_then(|other| state.talks.remove(&other));
        }
        state.talks.insert(*id, known);
        Ok(talk)
    }

    /// Reads what came since. False if it has to be read again from the beginning.
    fn feed_talk(
        &self,
        state: &mut State,
        id: &ConversationId,
        known: &mut KnownTalk,
    ) -> Result<bool, EngineError> {
        let space = Space::Conversation(*id).id();
        let own = state.own.as_ref().map(|own| (own.device(), own.incarnation));
        for (doc, description) in self.documents(state, &space)? {
            for (key, chain) in self.chains_of(state, &doc)? {
                let origin = (0, key.origin(&space));
                let (fed, mut link) = known.fed.get(&key).copied().unwrap_or(origin);
                if chain.held < fed || (chain.held == fed && chain.link != link) {
                    return Ok(false);
                }
                let mut last = fed;
                for item in self.log_items(&key, fed + 1, chain.held)? {
                    let previous_link = link;
                    link = extend(&link, item.n, &item.id);
                    last = item.n;
                    if let Entry::Sealed(sealed) = &item.entry {
                        let hint = sealed.entry.epoch;
                        known.sealings.note(hint, sealed.expires_ms);
                        known
                            .asides
                            .note(sealed, SealPlace { space, chain: key, n: last, previous_link });
                        if own == Some((key.device, key.incarnation)) {
                            let place = (description.page, key.incarnation, item.n);
                            known.sealings.note_own(place, item.time_ms, hint);
                        }
                        continue;
                    }
                    if matches!(item.entry, Entry::Epoch { .. } | Entry::Membership(_)) {
                        let (account, n, time_ms) = (description.account, item.n, item.time_ms);
                        known.items.push(TalkItem { account, key, n, time_ms, entry: item.entry });
                    }
                }
                known.fed.insert(key, (last, link));
            }
        }
        Ok(true)
    }

    fn fold_talk(
        &self,
        state: &mut State,
        genesis: &ConversationGenesis,
        items: &[TalkItem],
    ) -> Result<Talk, EngineError> {
        let mut told = Vec::with_capacity(items.len());
        for item in items.iter().filter(|item| genesis.lets_write(&item.account)) {
            let Some(page) = self.description(state, &item.key.doc)? else { continue };
            let hidden = self.is_hidden_by_account(state, &page, &item.key, item.n)?;
            told.push((item, page.clone(), !hidden));
        }
        let counting = told.iter().filter(|(.., counts)| *counts).map(|(item, ..)| *item);
        let mut talk = Talk { members: members::fold(genesis, counting), ..Talk::default() };
        talk.said = self.said_by_the_gone(state, &genesis.id(), &talk)?;
        for (item, _, counts) in told {
            if !talk.members.contains_key(&item.account) {
                continue;
            }
            let counts = counts || item.n <= talk.said.get(&item.key).copied().unwrap_or(0);
            let heard = counts && talk.hears(&item.account, &item.key, item.n);
            let epochs = if heard { &mut talk.epochs } else { &mut talk.lost };
            note_epoch(epochs, &item.key.device, item.time_ms, &item.entry);
        }
        Ok(talk)
    }

    /// Conversations that are kept here, by space.
    pub(crate) fn conversations_kept(
        &self,
        state: &mut State,
    ) -> Result<Arc<BTreeMap<SpaceId, KeptConversation>>, EngineError> {
        if let Some(kept) = &state.conversations {
            return Ok(kept.clone());
        }
        let own = state.own.as_ref().map(|own| own.account);
        let mut chosen: BTreeMap<ConversationId, (ConversationStanding, ConversationGenesis)> =
            BTreeMap::new();
        if let Some(description) = self.private_description(state, CONVERSATIONS)? {
            for field in self.fields(state, &description)? {
                let Some((standing, genesis)) = chosen_of(&field.value) else { continue };
                chosen.insert(genesis.id(), (standing, genesis));
            }
        }
        let mut kept = BTreeMap::new();
        for (key, value) in self.scan_all(Table::Meta, keys::CONVERSATIONS)? {
            let genesis = ConversationGenesis::decode(&value).map_err(EngineError::corrupt)?;
            let Some(id) = key.last_chunk::<32>().map(|id| ConversationId::from_bytes(*id)) else {
                continue;
            };
            if !chosen.contains_key(&id) && self.keeps_audience(state, &genesis)? {
                let standing = self.standing_of_stranger(state, own, &id, &genesis)?;
                let one = KeptConversation { id, genesis, standing };
                if !self.is_of_others(state, &one)? {
                    kept.insert(Space::Conversation(id).id(), one);
                }
            }
        }
        for (id, (standing, genesis)) in chosen {
            let space = Space::Conversation(id);
            state.spaces.insert(space.id(), space);
            kept.insert(space.id(), KeptConversation { id, genesis, standing });
        }
        let kept = Arc::new(kept);
        state.conversations = Some(kept.clone());
        Ok(kept)
    }

    /// How the own account stands to a conversation about which it said nothing.
    fn standing_of_stranger(
        &self,
        state: &mut State,
        own: Option<AccountId>,
        id: &ConversationId,
        genesis: &ConversationGenesis,
    ) -> Result<ConversationStanding, EngineError> {
        let Some(own) = own else { return Ok(ConversationStanding::Carried) };
        let takes_part = genesis.members.contains(&own)
            || self.talk_of(state, id, genesis)?.members.contains_key(&own);
        if !takes_part {
            return Ok(ConversationStanding::Carried);
        }
        if genesis.audience {
            return self.standing_of_reader(state, genesis);
        }
        let mut known = self.listed(state, FOLLOWS)?;
        known.extend(self.listed(state, PETNAMES)?);
        let by = genesis.founder.or_else(|| genesis.members.iter().copied().find(|m| *m != own));
        let proven = match genesis.founder {
            None => true,
            // Anybody can write that somebody founded a group: a page of his is proof.
            Some(founder) => self.has_page_of(state, &Space::Conversation(*id).id(), &founder)?,
        };
        Ok(match proven && by.is_some_and(|by| known.contains(&by)) {
            true => ConversationStanding::Accepted,
            false => ConversationStanding::Requested,
        })
    }

    /// Adds the sections of conversations to those that are kept; returns whose account logs they
    /// need, and which needs whose.
    pub(super) fn keep_conversations(
        &self,
        state: &mut State,
        kept: &mut BTreeSet<Section>,
    ) -> Result<BTreeMap<AccountId, Vec<SpaceId>>, EngineError> {
        let mut accounts: BTreeMap<AccountId, Vec<SpaceId>> = BTreeMap::new();
        let conversations = self.conversations_kept(state)?;
        for (space, conversation) in &*conversations {
            kept.insert(Section { space: *space, class: SectionClass::Private });
            let talk = self.talk_of(state, &conversation.id, &conversation.genesis)?;
            for account in talk.members.keys() {
                accounts.entry(*account).or_default().push(*space);
            }
        }
        Ok(accounts)
    }

    /// Whether the own account is told of what comes in a conversation.
    pub(crate) fn is_heard(state: &State, space: &SpaceId) -> bool {
        let kept = state.conversations.as_ref().and_then(|kept| kept.get(space));
        kept.is_some_and(|kept| kept.standing == ConversationStanding::Accepted)
    }

    /// A conversation that the own account takes part in.
    pub(crate) fn known_conversation(
        &self,
        state: &mut State,
        id: &ConversationId,
    ) -> Result<(KeptConversation, Arc<Talk>), EngineError> {
        let kept = self.conversations_kept(state)?;
        let found = kept.get(&Space::Conversation(*id).id()).cloned();
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        if let Some(found) = found {
            let talk = self.talk_of(state, id, &found.genesis)?;
            if talk.members.contains_key(&own) {
                return Ok((found, talk));
            }
        }
        Err(EngineError::NotFound { what: "conversation", text: id.to_string() })
    }

    /// Begins the conversation with somebody, if there is none yet, or accepts it; for all own
    /// devices.
    ///
    /// # Errors
    /// If it is the own account, or as [`Replica::edit_private`].
    pub fn converse_with(
        &self,
        account: AccountId,
        now_ms: u64,
    ) -> Result<ConversationId, EngineError> {
        let me = self.account()?;
        if account == me {
            return Err(EngineError::Invalid("there is no conversation with yourself".into()));
        }
        if self.accounts_in(super::BLOCKS)?.contains(&account) {
            return Err(EngineError::Denied(
                "you have blocked this account: unblock it first".into(),
            ));
        }
        let genesis = ConversationGenesis::between(me, account);
        self.choose_conversation(&genesis, ConversationStanding::Accepted, now_ms)?;
        Ok(genesis.id())
    }

    /// Takes part in a conversation that somebody began, or does not want to hear of it. Nobody
    /// else learns of either.
    ///
    /// # Errors
    /// If it is not known here, or as [`Replica::edit_private`].
    pub fn answer_request(
        &self,
        id: &ConversationId,
        accepts: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let (kept, _) = self.known_conversation(&mut self.lock(), id)?;
        let standing = match accepts {
            true => ConversationStanding::Accepted,
            false => ConversationStanding::Ignored,
        };
        self.choose_conversation(&kept.genesis, standing, now_ms)
    }

    /// Remembers how the own account stands to a conversation, on all its devices.
    pub(super) fn choose_conversation(
        &self,
        genesis: &ConversationGenesis,
        standing: ConversationStanding,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let id = genesis.id();
        let value = Value::Bytes([&[standing_byte(standing)][..], &genesis.encode()].concat());
        let known = self.private_map(CONVERSATIONS)?;
        let key = id.to_string();
        if known.iter().any(|field| field.key == key && field.value == value) {
            return Ok(());
        }
        self.edit_private(CONVERSATIONS, vec![(key, Some(value))], now_ms)?;
        Ok(())
    }
}

const fn standing_byte(standing: ConversationStanding) -> u8 {
    match standing {
        ConversationStanding::Accepted => 1,
        _ => 2,
    }
}

fn chosen_of(value: &Value) -> Option<(ConversationStanding, ConversationGenesis)> {
    let (standing, genesis) = value.as_bytes()?.split_first()?;
    let standing = match standing {
        1 => ConversationStanding::Accepted,
        _ => ConversationStanding::Ignored,
    };
    Some((standing, ConversationGenesis::decode(genesis).ok()?))
}

/// What tells of no copy and asks for one: nothing, or the prekey that it is wanted under in the place
/// of a copy for whoever asks.
fn ask_of(device: DeviceId, prekey: Option<SealKey>) -> Vec<Wrap> {
    let wrap = |prekey: SealKey| Wrap { device, sealed: prekey.as_bytes().to_vec() };
    prekey.map(wrap).into_iter().collect()
}

/// The prekey under which an entry asks for a key, if it does.
pub(in crate::replica) fn asked_under(by: &DeviceId, wraps: &[Wrap]) -> Option<Option<SealKey>> {
    match wraps {
        [] => Some(None),
        [one] if one.device == *by => {
            let prekey = one.sealed.as_slice().try_into().ok()?;
            Some(Some(SealKey::from_bytes(prekey)))
        }
        _ => None,
    }
}

/// Notes what an entry tells of a key, if it tells of one.
pub(in crate::replica) fn note_epoch(
    epochs: &mut BTreeMap<EpochId, KnownEpoch>,
    by: &DeviceId,
    time_ms: u64,
    entry: &Entry,
) {
    let Entry::Epoch { epoch, wraps } = entry else { return };
    let known = epochs
        .entry(*epoch)
        .or_insert_with(|| KnownEpoch { since_ms: time_ms, ..KnownEpoch::default() });
    known.since_ms = known.since_ms.min(time_ms);
    let by = *by;
    if let Some(prekey) = asked_under(&by, wraps) {
        known.asks.entry(by).or_default().insert(prekey);
        return;
    }
    for wrap in wraps {
        if wrap.sealed.is_empty() {
            known.excluded.insert(wrap.device);
            continue;
        }
        known.openers.insert(by);
        known.wraps.entry(wrap.device).or_default().push((by, wrap.sealed.clone()));
    }
}
