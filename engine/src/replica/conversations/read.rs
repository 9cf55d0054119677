//! Reading conversations: what opens, in the order of time, and why the rest does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delivery::{answered, how_far};
use super::{Circle, KeptConversation, Talk};
use crate::chain::{ChainKey, extend};
use crate::codec::DecodeError;
use crate::description::{Description, Space};
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, SpaceId};
use crate::model::entry::{BodyRef, Entry, Sealed, Spoken};
use crate::replica::{EngineError, Replica, State, Text, Work};
use crate::seal::{
    EPOCH_HINT_BYTES, EpochKey, SealError, SealForm, SealPlace, SealedEntry, hint_of,
};

/// Whether a message can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStanding {
    /// It is open.
    Open,
    /// Its author withdrew it.
    Deleted,
    /// Its time was over.
    Expired,
    /// Its key is not here yet.
    Waiting,
    /// It was said to others: before the own account came, or after it had gone.
    ToOthers,
    /// It is not shown, for this reason.
    Refused(&'static str),
}

/// How far an own message has come. Nothing is claimed of which nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// On this device alone.
    Queued,
    /// On another own device, or on a node that carries it.
    Stored,
    /// On a device of somebody it is for: one showed that it knows of it, or somebody answered it.
    /// Whether its text was kept there nobody says: who blocked the author keeps none.
    Fetched,
    /// Somebody it is for says that he read it.
    Read,
}

impl Delivery {
    /// Stable name for JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Stored => "stored",
            Self::Fetched => "fetched",
            Self::Read => "read",
        }
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectMessage {
    /// The entry.
    pub id: ChangeId,
    /// Who wrote it.
    pub account: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// When, as claimed.
    pub time_ms: u64,
    /// Whether it can be shown.
    pub standing: MessageStanding,
    /// The text in force, if it can.
    pub text: Text,
    /// When its text is dropped, 0 for never.
    pub expires_ms: u64,
    /// When it was edited last, as claimed.
    pub edited_ms: Option<u64>,
    /// The message that it answers.
    pub target: Option<ChangeId>,
    /// Reactions: emoji and who.
    pub reactions: Vec<(String, AccountId)>,
    /// How far it has come, if it is an own one.
    pub delivery: Option<Delivery>,
    /// Who read it, if it is an own one.
    pub read_by: Vec<AccountId>,
}

/// What is known of a key.
pub(in crate::replica) enum KeyHere {
    Open(EpochKey),
    Waiting,
    /// It was erased when all under it was over.
    Erased,
    /// It is no key of the own account.
    ToOthers,
}

/// Why an entry does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) enum Closed {
    /// Nobody named its key yet.
    Unknown,
    /// Its key is for the own account, and not here.
    Waiting,
    /// Its key was erased when all under it was over.
    Erased,
    /// Its key is not for the own account.
    ToOthers,
    /// It was made with another key than it names.
    OtherKey,
    /// It has its key and does not open: for ever.
    Broken,
}

/// What is said of an entry that was made with another key than it names.
pub(in crate::replica) const OTHER_KEY: &str = "made with another key than it names";

/// Keys by what entries tell of them.
pub(in crate::replica) type Keys = BTreeMap<[u8; EPOCH_HINT_BYTES], Vec<KeyHere>>;

/// A sealed entry, and what came of opening it.
pub(super) struct Opened {
    pub(super) id: ChangeId,
    pub(super) key: ChainKey,
    pub(super) n: u64,
    pub(super) account: AccountId,
    pub(super) time_ms: u64,
    bodies: Vec<BodyRef>,
    form: SealForm,
    expires_ms: u64,
    pub(super) what: Result<(Spoken, EpochKey), MessageStanding>,
}

impl Replica {
    /// All sealed entries of a conversation that count, oldest first.
    pub(super) fn open_all(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        talk: &Talk,
    ) -> Result<Vec<Opened>, EngineError> {
        let mut out = Vec::new();
        let circle = Circle::Conversation(kept.id);
        let by_hint = self.keys_by_hint(state, &circle, talk)?;
        let mut edits = BTreeSet::new();
        for (epoch, _) in
            talk.epochs.iter().chain(&talk.lost).filter(|(_, k)| k.until_ms < u64::MAX)
        {
            let erased = self.erased(state, &circle, epoch)?;
            edits.extend(erased.iter().flat_map(|erased| erased.edits.iter()));
        }
        for (doc, description) in self.documents(state, &Space::Conversation(kept.id).id())? {
            let account = &description.account;
            if !talk.members.contains_key(account) || !kept.genesis.lets_write(account) {
                continue;
            }
            for (key, chain) in self.chains_of(state, &doc)? {
                let known = (talk, &by_hint, &edits);
                self.open_chain(state, &description, &key, chain.held, known, &mut out)?;
            }
        }
        out.sort_by_key(|opened: &Opened| (opened.time_ms, opened.id));
        Ok(out)
    }

    /// Keys of a circle by what entries tell of them.
    pub(in crate::replica) fn keys_by_hint(
        &self,
        state: &mut State,
        circle: &Circle,
        talk: &Talk,
    ) -> Result<Keys, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let devices = self.devices_of(state, talk)?;
        let mut keys = Keys::new();
        for (epoch, known) in talk.epochs.iter().chain(&talk.lost) {
            let key = match self.circle_key(state, circle, epoch, known) {
                Some(key) => KeyHere::Open(key),
                None if self.is_erased(state, circle, epoch, known.until_ms)? => KeyHere::Erased,
                None if devices.accounts(known).contains(&me) => KeyHere::Waiting,
                None => KeyHere::ToOthers,
            };
            keys.entry(hint_of(epoch)).or_default().push(key);
        }
        Ok(keys)
    }

    fn open_chain(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        key: &ChainKey,
        held: u64,
        (talk, by_hint, edits): (&Talk, &Keys, &BTreeSet<ChangeId>),
        out: &mut Vec<Opened>,
    ) -> Result<(), EngineError> {
        let space = description.space.id();
        let mut link = key.origin(&space);
        let mut broken = false;
        let account = description.account;
        let now_ms = state.expired_ms;
        let over = |sealed: &Sealed| sealed.expires_ms > 0 && sealed.expires_ms <= now_ms;
        for item in self.log_items(key, 1, held)? {
            let previous_link = link;
            link = extend(&link, item.n, &item.id);
            let Entry::Sealed(sealed) = item.entry else { continue };
            if self.is_hidden(state, description, key, item.n)? {
                continue;
            }
            let place = SealPlace { space, chain: *key, n: item.n, previous_link };
            let what = if !talk.hears(&account, key, item.n) {
                Err(MessageStanding::Refused("written after its author was taken out"))
            } else if broken {
                Err(MessageStanding::Refused("follows one that does not open"))
            } else {
                open_entry(&sealed, &place, by_hint.get(&sealed.entry.epoch))
            };
            if let (Ok((_, key)), Some(id)) = (&what, description.space.conversation()) {
                self.keep_key(state, &Circle::Conversation(id), key);
            }
            let what = match what {
                // It was over before its key came here.
                Err(MessageStanding::Waiting) if over(&sealed) => Err(MessageStanding::Expired),
                what => what,
            };
            if what.as_ref().err() == Some(&MessageStanding::Expired) && edits.contains(&item.id) {
                continue;
            }
            broken |= what.as_ref().err() == Some(&BROKEN);
            let (id, n, time_ms) = (item.id, item.n, item.time_ms);
            let form = sealed.entry.form();
            let Sealed { bodies, expires_ms, .. } = *sealed;
            let key = *key;
            out.push(Opened { id, key, n, account, time_ms, bodies, form, expires_ms, what });
        }
        Ok(())
    }

    /// What entries that are heard tell of the keys that they were sealed with.
    pub(in crate::replica) fn hints_used(
        &self,
        state: &mut State,
        kept: &KeptConversation,
        talk: &Talk,
    ) -> Result<BTreeSet<[u8; EPOCH_HINT_BYTES]>, EngineError> {
        let mut used = BTreeSet::new();
        for (doc, description) in self.documents(state, &Space::Conversation(kept.id).id())? {
            for (key, chain) in self.chains_of(state, &doc)? {
                for item in self.log_items(&key, 1, chain.held)? {
                    if let Entry::Sealed(sealed) = item.entry
                        && talk.hears(&description.account, &key, item.n)
                        && !self.is_hidden(state, &description, &key, item.n)?
                    {
                        used.insert(sealed.entry.epoch);
                    }
                }
            }
        }
        Ok(used)
    }

    /// The text that a sealed entry brings.
    pub(super) fn sealed_text(
        &self,
        space: &SpaceId,
        opened: &Opened,
        key: &EpochKey,
    ) -> Result<Text, EngineError> {
        let Some(body) = opened.bodies.first() else { return Ok(Text::Missing) };
        self.open_text((space, &opened.key.doc), (body, opened.form), key)
    }

    /// The conversation and the page of an own message.
    pub(super) fn own_message(
        &self,
        state: &mut State,
        target: &ChangeId,
    ) -> Result<(ConversationId, Arc<Description>), EngineError> {
        let missing = || EngineError::NotFound { what: "message", text: target.to_string() };
        let row = self.entry_row(target)?.ok_or_else(missing)?;
        let page = self.description(state, &row.doc)?.ok_or_else(missing)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        match page.space.conversation() {
            Some(id) if row.kind == 0x0b && page.account == me => Ok((id, page)),
            Some(_) => Err(EngineError::Denied(format!("{} is not yours", target.short()))),
            None => Err(missing()),
        }
    }

    /// The space that an entry stands in, if it is here.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn space_of_entry(&self, id: &ChangeId) -> Result<Option<Space>, EngineError> {
        let Some(row) = self.entry_row(id)? else { return Ok(None) };
        let page = self.description(&mut self.lock(), &row.doc)?;
        Ok(page.map(|page| page.space))
    }

    /// Own edits of an own message.
    pub(super) fn edits_of(
        &self,
        state: &mut State,
        id: &ConversationId,
        target: &ChangeId,
    ) -> Result<Vec<ChangeId>, EngineError> {
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (kept, talk) = self.known_conversation(state, id)?;
        let all = self.open_all(state, &kept, &talk)?.into_iter();
        let edits = all.filter(|opened| {
            let edit = matches!(&opened.what, Ok((Spoken::Edit { target: of }, _)) if of == target);
            opened.account == me && edit
        });
        Ok(edits.map(|opened| opened.id).collect())
    }

    /// The messages of a conversation, oldest first: at most the newest `limit`.
    ///
    /// # Errors
    /// If it is not here, or the store fails or is damaged.
    pub fn conversation(
        &self,
        id: &ConversationId,
        limit: usize,
    ) -> Result<Vec<DirectMessage>, EngineError> {
        let mut state = self.lock();
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let (kept, talk) = self.known_conversation(&mut state, id)?;
        let all = self.open_all(&mut state, &kept, &talk)?;
        let mut gone = BTreeSet::new();
        for opened in &all {
            if self.is_withdrawn(&mut state, &Work::default(), &opened.id, &opened.key.doc)? {
                gone.insert(opened.id);
            }
        }
        drop(state);
        let shown = shown_of(&all);
        let reading = Reading::of(&all);
        let space = Space::Conversation(*id).id();
        let fetched = self.fetched(&space, &me, &talk)?;
        let mut out = Vec::new();
        let skip = shown.len().saturating_sub(limit);
        for opened in shown.into_iter().skip(skip) {
            let message = self.message_of(&space, opened, &reading, gone.contains(&opened.id))?;
            out.push((opened, message));
        }
        let answered = answered(&out, &me);
        let devices = self.devices_of(&mut self.lock(), &talk)?;
        for (opened, message) in &mut out {
            // What is refused is on no way to anybody.
            if opened.account == me && !matches!(message.standing, MessageStanding::Refused(_)) {
                message.read_by = reading.read_by(opened);
                message.read_by.retain(|account| *account != me);
                let far = how_far(opened, (&talk, &devices), fetched.iter().chain(&answered));
                let read = !message.read_by.is_empty();
                message.delivery = Some(if read { Delivery::Read } else { far });
            }
        }
        Ok(out.into_iter().map(|(_, message)| message).collect())
    }

    fn message_of(
        &self,
        space: &SpaceId,
        opened: &Opened,
        reading: &Reading<'_>,
        gone: bool,
    ) -> Result<DirectMessage, EngineError> {
        let mut message = DirectMessage {
            id: opened.id,
            account: opened.account,
            device: opened.key.device,
            time_ms: opened.time_ms,
            standing: MessageStanding::Open,
            text: Text::Missing,
            expires_ms: 0,
            edited_ms: None,
            target: None,
            reactions: Vec::new(),
            delivery: None,
            read_by: Vec::new(),
        };
        let (spoken, key) = match &opened.what {
            Ok(open) => open,
            Err(standing) => {
                message.standing = *standing;
                if *standing == MessageStanding::Expired {
                    (message.text, message.expires_ms) = (Text::Deleted, opened.expires_ms);
                }
                return Ok(message);
            }
        };
        if let Spoken::Message { target } = spoken {
            message.target = *target;
        }
        if gone {
            (message.standing, message.text) = (MessageStanding::Deleted, Text::Deleted);
            return Ok(message);
        }
        if let Some(body) = opened.bodies.first() {
            let place = (space, &opened.key.doc);
            let said = self.open_message(place, (body, opened.form), key)?;
            // Nobody is mentioned in a conversation.
            let fits = said.mentions.is_empty();
            message.text = if fits { said.text } else { Text::Damaged };
            message.target = message.target.or(said.answers);
        }
        if let Some((edit, key)) = reading.edits.get(&(opened.id, opened.account)) {
            message.edited_ms = Some(edit.time_ms);
            message.text = self.sealed_text(space, edit, key)?;
        }
        message.expires_ms = opened.expires_ms;
        if opened.expires_ms > 0 && message.text == Text::Deleted {
            message.standing = MessageStanding::Expired;
        }
        if message.text == Text::Damaged {
            message.standing = MessageStanding::Refused("its text is not what was sealed");
        }
        message.reactions = reading.reactions.get(&opened.id).cloned().unwrap_or_default();
        Ok(message)
    }
}

const BROKEN: MessageStanding = MessageStanding::Refused("does not open");
/// It says what this version does not know: what follows it may be known.
const LATER: MessageStanding = MessageStanding::Refused("of a later version");

/// Opens an entry with the key that it names, of those that are known by this name.
pub(in crate::replica) fn open_with(
    entry: &SealedEntry,
    place: &SealPlace,
    header: &[u8],
    keys: Option<&Vec<KeyHere>>,
) -> Result<(Vec<u8>, EpochKey), Closed> {
    let keys = keys.ok_or(Closed::Unknown)?;
    let mut why = Closed::OtherKey;
    for key in keys {
        match key {
            KeyHere::Open(key) => match entry.open(key, place, header) {
                Ok(plain) => return Ok((plain, key.clone())),
                Err(SealError::KeyCheck | SealError::OtherEpoch { .. }) => {}
                Err(_) => return Err(Closed::Broken),
            },
            KeyHere::Erased => why = Closed::Erased,
            KeyHere::Waiting => why = Closed::Waiting,
            KeyHere::ToOthers if why == Closed::OtherKey => why = Closed::ToOthers,
            KeyHere::ToOthers => {}
        }
    }
    Err(why)
}

pub(super) fn open_entry(
    sealed: &Sealed,
    place: &SealPlace,
    keys: Option<&Vec<KeyHere>>,
) -> Result<(Spoken, EpochKey), MessageStanding> {
    let (plain, key) = match open_with(&sealed.entry, place, &sealed.clear(), keys) {
        Ok(open) => open,
        // A key that was never named may still come.
        Err(Closed::Unknown | Closed::Waiting) => return Err(MessageStanding::Waiting),
        Err(Closed::Erased) => return Err(MessageStanding::Expired),
        Err(Closed::ToOthers) => return Err(MessageStanding::ToOthers),
        Err(Closed::OtherKey) => return Err(MessageStanding::Refused(OTHER_KEY)),
        Err(Closed::Broken) => return Err(BROKEN),
    };
    let spoken = Spoken::decode(&plain, sealed.entry.form(), sealed.bodies.len());
    let spoken = spoken.map_err(|error| match error {
        DecodeError::Unknown { .. } => LATER,
        _ => BROKEN,
    })?;
    Ok((spoken, key))
}

/// What edits, reactions and receipts of a conversation say.
pub(super) struct Reading<'a> {
    edits: BTreeMap<(ChangeId, AccountId), (&'a Opened, &'a EpochKey)>,
    reactions: BTreeMap<ChangeId, Vec<(String, AccountId)>>,
    /// Up to which change of each chain somebody read.
    read: BTreeMap<AccountId, BTreeMap<ChainKey, u64>>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(all: &'a [Opened]) -> Self {
        let places: BTreeMap<ChangeId, (ChainKey, u64)> =
            all.iter().map(|opened| (opened.id, (opened.key, opened.n))).collect();
        let mut edits = BTreeMap::new();
        let mut read: BTreeMap<AccountId, BTreeMap<ChainKey, u64>> = BTreeMap::new();
        let mut reactions: BTreeMap<ChangeId, Vec<(String, AccountId)>> = BTreeMap::new();
        for opened in all {
            let Ok((spoken, key)) = &opened.what else { continue };
            match spoken {
                // By rising time: the latest stays.
                Spoken::Edit { target } => {
                    edits.insert((*target, opened.account), (opened, key));
                }
                Spoken::Reaction { target, emoji } => {
                    let known = reactions.entry(*target).or_default();
                    let reaction = (emoji.clone(), opened.account);
                    if !known.contains(&reaction) {
                        known.push(reaction);
                    }
                }
                Spoken::Read { targets } => {
                    let known = read.entry(opened.account).or_default();
                    for (key, n) in targets.iter().filter_map(|target| places.get(target)) {
                        let upto = known.entry(*key).or_insert(0);
                        *upto = (*upto).max(*n);
                    }
                }
                Spoken::Message { .. } | Spoken::Title { .. } | Spoken::Expiry { .. } => {}
            }
        }
        Self { edits, reactions, read }
    }

    fn read_by(&self, opened: &Opened) -> Vec<AccountId> {
        let upto = |read: &BTreeMap<ChainKey, u64>| read.get(&opened.key).copied().unwrap_or(0);
        let read = self.read.iter().filter(|(_, read)| upto(read) >= opened.n);
        read.map(|(account, _)| *account).collect()
    }

    /// Up to which change of a chain somebody said that he read.
    pub(super) fn read_upto(&self, account: &AccountId, key: &ChainKey) -> u64 {
        self.read.get(account).and_then(|read| read.get(key)).copied().unwrap_or(0)
    }
}

/// Messages, and what does not open and so may be one, but for what was said to others.
pub(super) fn shown_of(all: &[Opened]) -> Vec<&Opened> {
    let message = |opened: &&Opened| match &opened.what {
        Ok((spoken, _)) => matches!(spoken, Spoken::Message { .. }),
        Err(standing) => *standing != MessageStanding::ToOthers,
    };
    all.iter().filter(message).collect()
}
