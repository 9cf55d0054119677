//! Audiences: posts for those alone whom their author chose.
//!
//! An audience is a conversation in which one account writes. Its name stands in a private map of
//! the author's devices and nowhere else; who is in it stands in the clear, as in a conversation,
//! for those who carry it.

use super::{CONVERSATIONS, ConversationStanding, KeptConversation, standing_byte};
use crate::change::value::Value;
use crate::description::Space;
use crate::hash::{AccountId, ChangeId, ConversationId, DeviceId, derive};
use crate::limits::{AUDIENCE_NAME_BYTES_MAX, AUDIENCES_MAX};
use crate::model::entry::{ConversationGenesis, Spoken};
use crate::replica::{BLOCKS, EngineError, FOLLOWS, Once, Replica, State, Work};
use crate::store::{Table, keys};

/// Name of the private map of the own audiences: what each is called, by its id.
pub const AUDIENCES: &str = "audiences";
/// Name of the audience of accounts that the author lets follow.
pub const AUDIENCE_FOLLOWERS: &str = "followers";
/// Name of the audience of the author's own devices.
pub const AUDIENCE_ME: &str = "me";
/// What the name of a list of readers begins with.
pub const AUDIENCE_LIST: &str = "list:";

/// Audiences that are kept here at most, but for the own ones.
const KEPT_MAX: usize = 16_384;

/// An own audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceView {
    /// Which.
    pub id: ConversationId,
    /// What the author calls it: `followers`, `me` or `list:NAME`.
    pub name: String,
    /// Who reads what is posted now, besides the author.
    pub members: Vec<AccountId>,
    /// Posts in it that were not withdrawn.
    pub posts: u64,
}

/// Checks what an audience is called.
fn check_name(name: &str) -> Result<(), EngineError> {
    if [AUDIENCE_FOLLOWERS, AUDIENCE_ME].contains(&name) {
        return Ok(());
    }
    let list = name.strip_prefix(AUDIENCE_LIST).unwrap_or_default();
    // A list called `public` would be taken for everybody, or everybody for it.
    let reserved = ["public", "limited", AUDIENCE_FOLLOWERS, AUDIENCE_ME].contains(&list);
    let fits = !reserved
        && (1..=AUDIENCE_NAME_BYTES_MAX).contains(&list.len())
        && list.trim() == list
        && !list.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(EngineError::Invalid(format!(
        "'{}' is no audience: followers, me, or list: with a name of 1 to \
         {AUDIENCE_NAME_BYTES_MAX} bytes of its own",
        name.escape_debug()
    )))
}

impl Replica {
    /// The own audiences, by name.
    ///
    /// # Errors
    /// If there is no identity, or the store fails or is damaged.
    pub fn audiences(&self) -> Result<Vec<AudienceView>, EngineError> {
        let me = self.account()?;
        let mut out = Vec::new();
        for (name, id) in self.audience_names()? {
            let mut state = self.lock();
            let Ok((kept, talk)) = self.known_conversation(&mut state, &id) else { continue };
            let members = talk.present().filter(|account| **account != me).copied().collect();
            let posts = self.posts_in(&mut state, &kept)?;
            out.push(AudienceView { id, name, members, posts });
        }
        out.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(out)
    }

    /// What the own audiences are called.
    fn audience_names(&self) -> Result<Vec<(String, ConversationId)>, EngineError> {
        let fields = self.private_map(AUDIENCES)?.into_iter();
        let named = fields.filter_map(|field| {
            let name = field.value.as_text()?.to_owned();
            Some((name, ConversationId::parse_hex(&field.key)?))
        });
        Ok(named.collect())
    }

    /// The own audience that is called so.
    ///
    /// # Errors
    /// If it is no name of one, there is no such audience, or the store fails or is damaged.
    pub fn audience(&self, name: &str) -> Result<ConversationId, EngineError> {
        check_name(name)?;
        let named = self.audience_names()?.into_iter();
        let found = named.filter(|(other, _)| other == name).map(|(_, id)| id).min();
        found.ok_or_else(|| EngineError::NotFound { what: "audience", text: name.to_owned() })
    }

    /// Makes an audience, unless there is one of that name; for all own devices. Two of them that
    /// make one of the same name make the same one.
    ///
    /// # Errors
    /// If it is no name of one, or as [`Replica::edit_private`].
    pub fn create_audience(&self, name: &str, now_ms: u64) -> Result<ConversationId, EngineError> {
        match self.audience(name) {
            Err(EngineError::NotFound { .. }) => {}
            known => return known,
        }
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let me = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let audiences = self.writable_private(&mut state, AUDIENCES)?;
        let conversations = self.writable_private(&mut state, CONVERSATIONS)?;
        let Some(root) = self.root_epoch(&mut state)? else { return Err(EngineError::NoIdentity) };
        let secret = derive("mosaic audience 1", &[&root.to_bytes()[..], name.as_bytes()]);
        let nonce = secret.first_chunk().copied().unwrap_or_default();
        let genesis = ConversationGenesis::audience(nonce, me);
        let id = genesis.id();
        let accepted = standing_byte(ConversationStanding::Accepted);
        let chosen = Value::Bytes([&[accepted][..], &genesis.encode()].concat());
        let mut work = Work::default();
        for (map, value) in [(audiences, Value::from(name)), (conversations, chosen)] {
            let edits = vec![(id.to_string(), Some(value))];
            self.edit_map(&mut state, &mut work, &map, &edits, now_ms)?;
        }
        self.finish(state, work)?;
        Ok(id)
    }

    /// Lets somebody read what is posted to an own audience from now on, or no more. With `past`,
    /// who comes reads what was posted before, too. Nobody is told who was not in it.
    ///
    /// # Errors
    /// [`EngineError::Denied`] if it is the audience of the own devices, or his devices are not
    /// known here; or as [`Replica::change_member`].
    pub fn change_reader(
        &self,
        id: &ConversationId,
        account: AccountId,
        present: bool,
        past: bool,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let of_own_devices = |(name, other): &(String, _)| name == AUDIENCE_ME && other == id;
        if self.audience_names()?.iter().any(of_own_devices) {
            let why = "what you post to 'me' is for your own devices alone";
            return Err(EngineError::Denied(why.into()));
        }
        let talk = {
            let mut state = self.lock();
            if present && self.listed(&mut state, BLOCKS)?.contains(&account) {
                let why = format!("you block {}", account.short());
                return Err(EngineError::Denied(why));
            }
            self.known_conversation(&mut state, id)?.1
        };
        if present {
            let authority = self.authority_of(&mut self.lock(), &account)?;
            if authority.is_none_or(|authority| authority.devices.is_empty()) {
                return Err(EngineError::Denied(format!(
                    "the devices of {} are not known here yet, so nothing can be sealed to them: \
                     sync with somebody who knows that account",
                    account.short()
                )));
            }
        }
        // Who is in it already may be given what was posted before he was.
        if !(present && past && talk.present().any(|reader| *reader == account)) {
            self.change_member(id, account, present, now_ms)?;
        }
        if !(present && past) {
            return Ok(());
        }
        let mut state = self.lock();
        let (kept, talk) = self.known_conversation(&mut state, id)?;
        let mut work = Work::default();
        self.share_keys(&mut state, &mut work, (&kept, &talk), &account, now_ms)?;
        if work.events.is_empty() {
            return Ok(());
        }
        self.finish(state, work)
    }

    /// Takes somebody out of all own audiences.
    ///
    /// # Errors
    /// As [`Replica::change_reader`].
    pub fn bar_reader(&self, account: &AccountId, now_ms: u64) -> Result<(), EngineError> {
        for view in self.audiences()? {
            if view.members.contains(account) {
                self.change_member(&view.id, *account, false, now_ms)?;
            }
        }
        Ok(())
    }

    /// Takes out of an own audience whom the account blocks: another device may have blocked him
    /// without knowing of it.
    fn bar_blocked(&self, id: &ConversationId, now_ms: u64) -> Result<(), EngineError> {
        let barred: Vec<AccountId> = {
            let mut state = self.lock();
            let blocked = self.listed(&mut state, BLOCKS)?;
            let (_, talk) = self.known_conversation(&mut state, id)?;
            talk.present().filter(|account| blocked.contains(*account)).copied().collect()
        };
        for account in barred {
            self.change_member(id, account, false, now_ms)?;
        }
        Ok(())
    }

    /// Posts to an own audience; durable when it returns. Once under a key.
    ///
    /// # Errors
    /// If the text is empty or too long, or as [`Replica::say_directly`].
    pub fn post_to(
        &self,
        once: Option<&Once>,
        id: &ConversationId,
        text: &str,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        if text.is_empty() {
            return Err(EngineError::Invalid("nothing to write: the text is empty".into()));
        }
        self.bar_blocked(id, now_ms)?;
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        if let Some(written) = self.find_once(once)? {
            return Ok(written);
        }
        let mut work = Work::default();
        let spoken = Spoken::Message { target: None };
        let id = self.speak(&mut state, &mut work, id, &spoken, Some((text, 0)), now_ms)?;
        self.note_once(&mut work, once, &id)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// How the own account stands to an audience of somebody else of which it is a reader: it
    /// reads what those post whom it follows.
    pub(super) fn standing_of_reader(
        &self,
        state: &mut State,
        genesis: &ConversationGenesis,
    ) -> Result<ConversationStanding, EngineError> {
        let follows = self.listed(state, FOLLOWS)?;
        Ok(match genesis.founder.is_some_and(|founder| follows.contains(&founder)) {
            true => ConversationStanding::Accepted,
            false => ConversationStanding::Carried,
        })
    }

    /// Whether a conversation, if it is an audience of somebody else, is kept: one of an account
    /// that is followed or kept whole, or for one that is kept whole. Until a page is here nobody
    /// can tell for whom it is.
    pub(super) fn keeps_audience(
        &self,
        state: &mut State,
        genesis: &ConversationGenesis,
    ) -> Result<bool, EngineError> {
        let Some(founder) = genesis.founder.filter(|_| genesis.audience) else { return Ok(true) };
        let mut wanted = self.whole_accounts()?;
        if wanted.contains(&founder) || self.listed(state, FOLLOWS)?.contains(&founder) {
            return Ok(true);
        }
        let id = genesis.id();
        if self.documents(state, &Space::Conversation(id).id())?.is_empty() {
            return Ok(true);
        }
        wanted.extend(state.own.as_ref().map(|own| own.account));
        let talk = self.talk_of(state, &id, genesis)?;
        let own = state.own.as_ref().map(|own| own.account);
        Ok(talk.present().any(|account| own != Some(*account) && wanted.contains(account)))
    }

    /// Whether an audience that somebody tells of is one to keep, and there is room. Strangers tell
    /// of nothing, and nobody is asked: what is posted by somebody who is not followed is told of
    /// again once he is.
    pub(super) fn takes_up_audience(
        &self,
        state: &mut State,
        work: &mut Work,
        genesis: &ConversationGenesis,
        (teller, keeper): (Option<AccountId>, bool),
        taken: usize,
    ) -> Result<bool, EngineError> {
        let own = state.own.as_ref().map(|own| own.account);
        let Some(founder) = genesis.founder.filter(|founder| own != Some(*founder)) else {
            // The own ones stand in the private map.
            return Ok(false);
        };
        let kept = self.conversations_kept(state)?;
        let space = Space::Conversation(genesis.id()).id();
        let known = self.store.get(Table::Meta, &keys::conversation(&genesis.id()))?.is_some();
        if known || kept.contains_key(&space) {
            return Ok(false);
        }
        let blocked = self.listed(state, BLOCKS)?;
        if blocked.contains(&founder) || teller.is_some_and(|teller| blocked.contains(&teller)) {
            return Ok(false);
        }
        let near = match teller {
            Some(teller) => {
                teller == founder || own == Some(teller) || self.is_near(state, &teller)?
            }
            None => false,
        };
        let told = keeper || near;
        let whole = self.whole_accounts()?;
        let carries = teller.is_some_and(|teller| whole.contains(&teller));
        let for_somebody = carries || self.is_near(state, &founder)?;
        if !told || !for_somebody {
            return Ok(false);
        }
        self.has_room_for_audience(state, work, &founder, kept.values(), taken)
    }

    /// Whether a remote may bring the first page of an audience that was told of here. Until then
    /// nobody knows who is in it; those are asked whose word was taken for it.
    pub(super) fn may_bring_audience(
        &self,
        state: &mut State,
        remote: &DeviceId,
        id: &ConversationId,
    ) -> Result<bool, EngineError> {
        if !self.documents(state, &Space::Conversation(*id).id())?.is_empty() {
            return Ok(false);
        }
        if self.store.get(Table::Meta, &keys::keeper(remote))?.is_some() {
            return Ok(true);
        }
        let Some(known) = self.known_device(state, remote)? else { return Ok(false) };
        let account = known.device.account();
        let authority = self.authority_of(state, &account)?;
        let stands = authority.is_some_and(|authority| authority.may_write(remote));
        let own = state.own.as_ref().map(|own| own.account);
        Ok(stands && (own == Some(account) || self.is_near(state, &account)?))
    }

    /// Whether an account is followed or kept whole.
    fn is_near(&self, state: &mut State, account: &AccountId) -> Result<bool, EngineError> {
        Ok(self.listed(state, FOLLOWS)?.contains(account)
            || self.whole_accounts()?.contains(account))
    }

    /// Whether there is room for another audience of somebody. Anybody can name him as the author of
    /// one, so one that brought nothing makes room.
    fn has_room_for_audience<'a>(
        &self,
        state: &mut State,
        work: &mut Work,
        founder: &AccountId,
        kept: impl Iterator<Item = &'a KeptConversation>,
        taken: usize,
    ) -> Result<bool, EngineError> {
        // What the same message brought counts as his: it may be.
        let (mut all, mut his, mut empty) = (taken, taken, None);
        for other in kept.filter(|other| other.genesis.audience) {
            all += 1;
            if other.genesis.founder != Some(*founder) {
                continue;
            }
            his += 1;
            if self.documents(state, &Space::Conversation(other.id).id())?.is_empty() {
                empty = Some(other.id);
            }
        }
        if his < AUDIENCES_MAX && all < KEPT_MAX {
            return Ok(true);
        }
        // One makes room for one.
        let Some(empty) = empty.filter(|_| taken == 0) else { return Ok(false) };
        work.batch.delete(Table::Meta, keys::conversation(&empty));
        Ok(true)
    }
}
