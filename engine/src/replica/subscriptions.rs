//! What this replica keeps: its own space, what the account follows, what the node was
//! told to subscribe to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{EngineError, Replica, State};
use crate::change::value::Value;
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{SectionClass, Space};
use crate::hash::{AccountId, SpaceId};
use crate::limits::BLOCK_NOTE_BYTES_MAX;
use crate::store::{Batch, Table, keys};
use crate::sync::exchange::Section;

/// How much of a space is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Everything.
    Full,
    /// Pages younger than this many milliseconds, and the newest one.
    Recent(u64),
    /// Only heads; pages on demand.
    Heads,
}

/// A subscription to an account's space, local to this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Whose space.
    pub account: AccountId,
    /// How much history.
    pub history: History,
    /// Largest body fetched by itself, in bytes; 0 for none.
    pub body_bytes_max: u64,
    /// Limit for changes and bodies together, in bytes.
    pub bytes_max: u64,
}

impl Subscription {
    /// Keeps everything.
    #[must_use]
    pub const fn whole(account: AccountId) -> Self {
        Self { account, history: History::Full, body_bytes_max: u64::MAX, bytes_max: u64::MAX }
    }

    /// Whether pages are left out: their number or age is limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.history != History::Full || self.bytes_max != u64::MAX
    }

    /// Whether anything may be left out: pages, or files for their size.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_limited() || self.body_bytes_max != u64::MAX
    }

    /// The space it is about.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        Space::Account(self.account).id()
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, age) = match self.history {
            History::Full => (0, 0),
            History::Recent(age) => (1, age),
            History::Heads => (2, 0),
        };
        let mut w = Writer::new();
        w.u8(kind).u64(age).u64(self.body_bytes_max).u64(self.bytes_max);
        w.finish()
    }

    fn decode(account: AccountId, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8("history")?;
        let age = r.u64("age")?;
        let history = match kind {
            0 => History::Full,
            1 => History::Recent(age),
            _ => History::Heads,
        };
        let (body_bytes_max, bytes_max) = (r.u64("body limit")?, r.u64("limit")?);
        Ok(Self { account, history, body_bytes_max, bytes_max })
    }
}

/// Names of private maps.
pub const FOLLOWS: &str = "follows";
/// Accounts whose entries are neither shown nor stored here.
pub const BLOCKS: &str = "blocks";
/// Accounts and words that are not shown.
pub const MUTES: &str = "mutes";
/// Local names of accounts.
pub const PETNAMES: &str = "petnames";
/// What was read, by wall.
pub const READ_MARKS: &str = "read";

impl Replica {
    /// Adds or changes a subscription.
    ///
    /// # Errors
    /// If the store fails.
    pub fn subscribe(&self, subscription: Subscription) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        let key = keys::subscription(&subscription.account);
        batch.put(Table::Meta, key, subscription.encode());
        self.change_kept(batch)
    }

    /// Ends a subscription; what is here stays until it is evicted.
    ///
    /// # Errors
    /// If there is none or the store fails.
    pub fn unsubscribe(&self, account: &AccountId) -> Result<(), EngineError> {
        if self.subscription(account)?.is_none() {
            return Err(EngineError::NotFound { what: "subscription", text: account.to_string() });
        }
        let mut batch = Batch::new();
        batch.delete(Table::Meta, keys::subscription(account));
        self.change_kept(batch)
    }

    /// Adds or changes subscriptions, and ends others, if there are such; one commit.
    ///
    /// # Errors
    /// If the store fails.
    pub fn change_subscriptions(
        &self,
        add: &[Subscription],
        end: &[AccountId],
    ) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        for subscription in add {
            let key = keys::subscription(&subscription.account);
            batch.put(Table::Meta, key, subscription.encode());
        }
        for account in end {
            batch.delete(Table::Meta, keys::subscription(account));
        }
        if batch.is_empty() { Ok(()) } else { self.change_kept(batch) }
    }

    pub(super) fn change_kept(&self, batch: Batch) -> Result<(), EngineError> {
        let pending = {
            let _state = self.lock();
            self.store.submit(batch)?
        };
        let durable = pending.wait();
        // Whoever asked meanwhile was told what was on the disk.
        let mut state = self.lock();
        (state.kept, state.conversations) = (None, None);
        state.limits = None;
        state.forget_missing(None);
        drop(state);
        durable?;
        Ok(())
    }

    /// All subscriptions of this replica.
    ///
    /// # Errors
    /// If the store fails.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>, EngineError> {
        let mut out = Vec::new();
        for (key, value) in self.scan_all(Table::Meta, keys::SUBSCRIPTIONS)? {
            let Some(account) = key.last_chunk::<32>() else { continue };
            let account = AccountId::from_bytes(*account);
            out.push(Subscription::decode(account, &value).map_err(EngineError::corrupt)?);
        }
        Ok(out)
    }

    /// One subscription.
    ///
    /// # Errors
    /// If the store fails.
    pub fn subscription(&self, account: &AccountId) -> Result<Option<Subscription>, EngineError> {
        match self.store.get(Table::Meta, &keys::subscription(account))? {
            Some(bytes) => {
                Ok(Some(Subscription::decode(*account, &bytes).map_err(EngineError::corrupt)?))
            }
            None => Ok(None),
        }
    }

    /// Follows an account: privately, for all own devices, with a local name.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn follow(
        &self,
        account: AccountId,
        alias: Option<&str>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let key = account.to_string();
        if self.accounts_in(FOLLOWS)?.contains(&account) {
            if let Some(alias) = alias {
                return self.set_petname(account, Some(alias), now_ms);
            }
            return Ok(());
        }
        self.edit_private(FOLLOWS, vec![(key, Some(Value::Bool(true)))], now_ms)?;
        match alias {
            Some(alias) => self.set_petname(account, Some(alias), now_ms),
            None => Ok(()),
        }
    }

    /// Adds an account to a private list, or takes it out; doing it twice changes nothing.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn set_listed(
        &self,
        list: &str,
        account: AccountId,
        listed: bool,
        now_ms: u64,
    ) -> Result<bool, EngineError> {
        if self.accounts_in(list)?.contains(&account) == listed {
            return Ok(false);
        }
        let value = listed.then_some(Value::Bool(true));
        self.edit_private(list, vec![(account.to_string(), value)], now_ms)?;
        Ok(true)
    }

    /// Blocks an account, with a note that own devices alone can read; `None` leaves the note that
    /// there is as it is, and an empty one takes it away.
    ///
    /// # Errors
    /// As [`Replica::edit_private`], and if the note is longer than [`BLOCK_NOTE_BYTES_MAX`].
    pub fn block(
        &self,
        account: AccountId,
        note: Option<&str>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let Some(note) = note else {
            return self.set_listed(BLOCKS, account, true, now_ms).map(drop);
        };
        if note.len() > BLOCK_NOTE_BYTES_MAX {
            return Err(EngineError::Invalid(format!(
                "a note of {} bytes, limit {BLOCK_NOTE_BYTES_MAX}",
                note.len()
            )));
        }
        let blocked = self.accounts_in(BLOCKS)?.contains(&account);
        if !blocked || self.block_note(&account)?.unwrap_or_default() != note {
            let value = if note.is_empty() { Value::Bool(true) } else { Value::from(note) };
            self.edit_private(BLOCKS, vec![(account.to_string(), Some(value))], now_ms)?;
        }
        Ok(())
    }

    /// What own devices noted about somebody who is blocked.
    ///
    /// # Errors
    /// If the store fails.
    pub fn block_note(&self, account: &AccountId) -> Result<Option<String>, EngineError> {
        self.text_about(BLOCKS, account)
    }

    /// Gives an account a local name, known to own devices only.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn set_petname(
        &self,
        account: AccountId,
        name: Option<&str>,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        let current = self.petname(&account)?;
        if current.as_deref() == name {
            return Ok(());
        }
        self.edit_private(PETNAMES, vec![(account.to_string(), name.map(Value::from))], now_ms)?;
        Ok(())
    }

    /// The local name of an account.
    ///
    /// # Errors
    /// If the store fails.
    pub fn petname(&self, account: &AccountId) -> Result<Option<String>, EngineError> {
        self.text_about(PETNAMES, account)
    }

    /// The text that a private map has of an account.
    fn text_about(&self, name: &str, account: &AccountId) -> Result<Option<String>, EngineError> {
        let key = account.to_string();
        let fields = self.private_map(name)?;
        let found = fields.into_iter().find(|field| field.key == key);
        Ok(found.and_then(|field| field.value.as_text().map(str::to_owned)))
    }

    /// Accounts in a private list.
    ///
    /// # Errors
    /// If the store fails.
    pub fn accounts_in(&self, list: &str) -> Result<BTreeSet<AccountId>, EngineError> {
        self.listed(&mut self.lock(), list)
    }

    pub(crate) fn listed(
        &self,
        state: &mut State,
        list: &str,
    ) -> Result<BTreeSet<AccountId>, EngineError> {
        let Some(description) = self.private_description(state, list)? else {
            return Ok(BTreeSet::new());
        };
        let fields = self.fields(state, &description)?;
        Ok(fields.iter().filter_map(|field| AccountId::parse_hex(&field.key)).collect())
    }

    pub(crate) fn is_blocked(
        &self,
        state: &mut State,
        account: &AccountId,
    ) -> Result<bool, EngineError> {
        let blocked = match &state.blocked {
            Some(blocked) => blocked.clone(),
            None => {
                let blocked = Arc::new(self.listed(state, BLOCKS)?);
                state.blocked = Some(blocked.clone());
                blocked
            }
        };
        Ok(blocked.contains(account))
    }

    /// Sections this replica keeps. Guests of kept spaces add their authority section:
    /// without it nobody could tell a guest's revoked device.
    pub(crate) fn sections_kept(
        &self,
        state: &mut State,
    ) -> Result<Arc<BTreeSet<Section>>, EngineError> {
        if let Some(kept) = &state.kept {
            return Ok(kept.clone());
        }
        let mut accounts = self.listed(state, FOLLOWS)?;
        let subscriptions = self.subscriptions()?;
        accounts.extend(subscriptions.iter().map(|subscription| subscription.account));
        let whole = whole_of(&subscriptions);
        let own = state.own.as_ref().map(|own| own.account);
        accounts.extend(own);
        let mut guests = BTreeSet::new();
        let mut quiet: BTreeMap<AccountId, BTreeSet<SpaceId>> = BTreeMap::new();
        let mut kept = BTreeSet::new();
        for account in &accounts {
            let space = Space::Account(*account).id();
            for class in [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors] {
                kept.insert(Section { space, class });
            }
            // Whoever keeps all of somebody else's keeps the sealed part too, for the day on
            // which he has lost his devices.
            if own == Some(*account) || whole.contains(account) {
                kept.insert(Section { space, class: SectionClass::Private });
            }
            for (_, description) in self.documents(state, &space)? {
                guests.insert(description.account);
            }
        }
        for hub in self.hubs_kept(state)? {
            let space = Space::Hub(hub.id).id();
            for class in [SectionClass::Authority, SectionClass::Public] {
                kept.insert(Section { space, class });
            }
            let private = self.is_private_hub(state, &hub.id)?;
            for (_, description) in self.documents(state, &space)? {
                match private {
                    true => quiet.entry(description.account).or_default().insert(space),
                    false => guests.insert(description.account),
                };
            }
        }
        let mut talked_with = self.keep_conversations(state, &mut kept)?;
        for (account, spaces) in quiet {
            talked_with.entry(account).or_default().extend(spaces);
        }
        state.discreet.clear();
        for (account, because) in talked_with {
            if !guests.contains(&account) && !accounts.contains(&account) {
                let space = Space::Account(account).id();
                state.discreet.insert(space, (account, Arc::new(because)));
                kept.insert(Section { space, class: SectionClass::Authority });
            }
        }
        for guest in guests.difference(&accounts) {
            let space = Space::Account(*guest).id();
            kept.insert(Section { space, class: SectionClass::Authority });
        }
        let kept = Arc::new(kept);
        state.kept = Some(kept.clone());
        Ok(kept)
    }

    /// Accounts that this replica keeps whole, for their own sake.
    pub(super) fn whole_accounts(&self) -> Result<BTreeSet<AccountId>, EngineError> {
        Ok(whole_of(&self.subscriptions()?))
    }

    pub(crate) fn keeps(&self, state: &mut State, section: &Section) -> Result<bool, EngineError> {
        Ok(self.sections_kept(state)?.contains(section))
    }
}

fn whole_of(subscriptions: &[Subscription]) -> BTreeSet<AccountId> {
    let whole = subscriptions.iter().filter(|subscription| !subscription.is_limited());
    whole.map(|subscription| subscription.account).collect()
}
