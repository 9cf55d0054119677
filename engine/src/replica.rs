//! The front door: open, write, receive, read, close.
//!
//! A replica is what one machine holds of some documents. All writing goes through one
//! lock and one commit queue; a call returns after its batch is fsynced. Reads go to the
//! store. There is no I/O here but the store's, no clock and no randomness but the
//! caller's.

use std::collections::HashMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::chain::ChainKey;
use crate::codec::Reader;
use crate::description::Description;
use crate::entropy::Entropy;
use crate::hash::{AccountId, DeviceId, DocumentId, Incarnation, SpaceId};
use crate::identity::{CertificatePath, DeviceSecret, Verifier};
use crate::store::{Batch, Store, Table, keys};

mod accounts;
mod append;
mod bodies;
mod body_rows;
mod bridges;
mod budget;
mod carry;
mod catchup;
mod changes;
mod check;
mod commit;
mod conversations;
mod cuts;
mod damage;
mod digests;
mod drafts;
mod entry_rows;
mod epochs;
mod error;
mod exchange;
mod files;
mod find;
mod follow;
mod forks;
mod garbage;
mod gathered;
mod holds;
mod hubs;
mod import;
mod index;
mod journal;
mod keyring;
mod long_posts;
mod map_runs;
mod maps;
mod missing;
mod offered;
mod once;
mod packs;
mod parts;
mod peers;
mod pictures;
mod posts;
mod prekeys;
mod private;
mod prove;
mod quota;
mod read;
mod receive;
mod recover;
mod runs;
mod state;
mod steps;
mod stored;
mod subscriptions;
mod texts;
mod visitors;
mod wall_rows;
mod walls;
mod wanted;
mod withdrawals;
mod witness;

pub use crate::sync::exchange::Section;
pub use accounts::LINKED_DEVICE_RANK;
pub use bodies::{BodyState, Text};
pub use budget::PageUse;
pub use carry::{CarriedBodies, CarriedReceipt, CarriedTip, LeftChain};
pub use catchup::{Catchup, Group, GroupKind, Item};
pub use changes::{ChangeView, Values};
pub use check::{ChainView, DumpVisitor, Rebuilt, Verification};
#[cfg(test)]
pub(crate) use conversations::Circle;
#[cfg(test)]
pub(crate) use conversations::Taking;
pub use conversations::{
    AUDIENCE_FOLLOWERS, AUDIENCE_LIMITED, AUDIENCE_LIST, AUDIENCE_ME, AUDIENCES, AudienceView,
    BUNDLE_BYTES_MAX, BundleFile, BundleReceipt, CONVERSATIONS, ConversationStanding,
    ConversationView, DamagedPart, Delivery, DirectDraft, DirectMessage, GroupChange,
    MessageStanding, SealedAccess,
};
pub use damage::DamageListener;
pub use drafts::{DRAFT_TURN_MS, DraftEdit, DueDrafts, SavedDraft};
pub use error::EngineError;
pub use files::FileIntake;
pub use find::{Found, Hit};
pub use garbage::{Garbage, GarbageKind};
pub use holds::Holder;
pub use hubs::{
    ChannelCursor, HUBS, HubLimits, HubPlace, HubStart, HubUse, INVITATION_KEYS_MAX, KeptHub,
    MemberUse, MessageDraft, MessageImport, MessageState, MessageView, OpenedReport, PollView,
    Reports, Sealing, Ticket, UnreadChannel,
};
pub use import::{IMPORT_POSTS_MAX, Import, Imported};
pub use index::IndexRebuilt;
pub use journal::{Event, JOURNAL_EVENTS_MAX, JournalPart, Journaled};
pub use maps::{Edits, Field};
pub use once::{ONCE_KEY_BYTES_MAX, ONCE_KEYS_MAX, Once};
pub use pictures::{PICTURE, parse_picture, picture_value};
pub use posts::Draft;
pub use recover::{Recoverable, TakenOut};
pub use state::{ChainState, KnownDevice, Own};
pub(crate) use state::{State, Work};
pub use subscriptions::{BLOCKS, FOLLOWS, History, MUTES, PETNAMES, READ_MARKS, Subscription};
pub use texts::{TextEdit, TextEdited, TextView};
pub use walls::{Cursor, PostView, Version};

/// Called after each commit, outside all locks.
pub type Listener = Box<dyn Fn(&[Event]) + Send + Sync>;

/// Listeners as they are at one moment.
type Listeners = Arc<Vec<Arc<Listener>>>;

/// The lock for writing. What waits for it gets it in time: work in the background takes it again
/// the moment it gave it back, and the lock of the standard library lets it, however many wait.
type StateGuard<'a> = parking_lot::MutexGuard<'a, State>;

/// How to open a replica.
#[derive(Debug)]
pub struct ReplicaOptions {
    /// Keys of this device, if it has an identity.
    pub secret: Option<DeviceSecret>,
    /// Start a new writing life: the store is a restored or copied one.
    pub fresh_incarnation: bool,
}

/// What one machine holds of some documents.
pub struct Replica {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) verifier: Verifier,
    state: parking_lot::Mutex<State>,
    listeners: Mutex<Listeners>,
    pub(crate) packs: packs::Packs,
    lately: Mutex<Option<parts::Lately>>,
    offered: offered::Offered,
    glimpses: Mutex<hubs::Glimpses>,
    chain_names: entry_rows::ChainNames,
    pub(crate) damage: damage::Damage,
    pub(crate) added: files::Added,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Bytes of one commit at which a long operation begins the next one; what one chain adds
/// stays far below the store's limit.
const COMMIT_BYTES_WISHED: usize = 4 * 1024 * 1024;

const SETTING_ACCOUNT: &str = "account";
const SETTING_DEVICE: &str = "device";
const SETTING_INCARNATION: &str = "incarnation";
const SETTING_JOURNAL: &str = "journal";

impl Replica {
    /// Opens a replica over a store.
    ///
    /// # Errors
    /// If the store fails or its own rows do not decode.
    pub fn open(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        options: ReplicaOptions,
    ) -> Result<Self, EngineError> {
        let replica = Self::over(store, entropy);
        replica.load_own(options)?;
        replica.lock().unsettled = true;
        replica.settle_withdrawals()?;
        replica.look_at_files();
        Ok(replica)
    }

    fn over(store: Arc<dyn Store>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            store,
            entropy,
            verifier: Verifier::default(),
            state: parking_lot::Mutex::new(State::default()),
            listeners: Mutex::default(),
            packs: packs::Packs::default(),
            lately: Mutex::default(),
            offered: offered::Offered::default(),
            glimpses: Mutex::default(),
            chain_names: entry_rows::ChainNames::default(),
            damage: damage::Damage::default(),
            added: files::Added::default(),
        }
    }

    fn load_own(&self, options: ReplicaOptions) -> Result<(), EngineError> {
        let mut state = self.lock();
        if let Some(number) = self.setting(SETTING_JOURNAL)? {
            state.journal = Reader::new(&number).u64("journal").map_err(EngineError::corrupt)?;
        }
        let (Some(secret), Some(account)) = (options.secret, self.owner()?) else {
            return Ok(());
        };
        self.check_keys(&mut state, &secret, &account)?;
        let kept = match self.setting(SETTING_INCARNATION)? {
            Some(bytes) if !options.fresh_incarnation => Some(Incarnation::from_bytes(
                bytes.as_slice().try_into().map_err(EngineError::corrupt)?,
            )),
            _ => None,
        };
        state.own = Some(Own {
            secret,
            account,
            incarnation: kept.unwrap_or_else(|| self.random_incarnation()),
            ring: HashMap::new(),
            halves: None,
        });
        if kept.is_none() {
            self.write_incarnation(&state)?;
        }
        self.load_ring(&mut state)
    }

    /// Compares keys with what the store knows of its device: a key file has no check of its own,
    /// and each of its bits makes another device.
    fn check_keys(
        &self,
        state: &mut State,
        secret: &DeviceSecret,
        account: &AccountId,
    ) -> Result<(), EngineError> {
        let found = secret.id();
        let expected = match self.setting(SETTING_DEVICE)? {
            Some(id) => {
                DeviceId::from_bytes(id.as_slice().try_into().map_err(EngineError::corrupt)?)
            }
            None => found,
        };
        let known = self.known_device(state, &expected)?;
        let fits = known.is_some_and(|known| {
            known.device.account() == *account && known.device.seal_key() == secret.seal_key()
        });
        if expected == found && fits { Ok(()) } else { Err(EngineError::WrongKeys { expected }) }
    }

    /// The account that writes in this store, whether its keys were given at opening or not.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn owner(&self) -> Result<Option<AccountId>, EngineError> {
        let Some(account) = self.setting(SETTING_ACCOUNT)? else { return Ok(None) };
        let account: [u8; 32] = account.as_slice().try_into().map_err(EngineError::corrupt)?;
        Ok(Some(AccountId::from_bytes(account)))
    }

    /// Whether these are the keys of the device that writes here.
    ///
    /// # Errors
    /// If there is no identity.
    pub fn has_keys(&self, secret: &DeviceSecret) -> Result<bool, EngineError> {
        let state = self.lock();
        let own = state.own.as_ref().ok_or(EngineError::NoIdentity)?;
        Ok(*own.secret.to_bytes() == *secret.to_bytes())
    }

    /// Starts a new writing life as part of a commit: the own chains may have gone on
    /// elsewhere.
    pub(crate) fn start_new_life(
        &self,
        state: &mut State,
        work: &mut Work,
    ) -> Result<(), EngineError> {
        let fresh = self.random_incarnation();
        state.own.as_mut().ok_or(EngineError::NoIdentity)?.incarnation = fresh;
        let value = fresh.as_bytes().to_vec();
        work.batch.put(Table::Meta, keys::setting(SETTING_INCARNATION), value);
        Ok(())
    }

    fn write_incarnation(&self, state: &State) -> Result<(), EngineError> {
        let Some(own) = &state.own else { return Ok(()) };
        let mut batch = Batch::new();
        batch.put(
            Table::Meta,
            keys::setting(SETTING_INCARNATION),
            own.incarnation.as_bytes().to_vec(),
        );
        self.store.commit(batch)?;
        Ok(())
    }

    fn random_incarnation(&self) -> Incarnation {
        let mut bytes = [0u8; 16];
        self.entropy.fill(&mut bytes);
        Incarnation::from_bytes(bytes)
    }

    /// Calls `listener` after each commit.
    pub fn listen(&self, listener: Listener) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut listeners).push(Arc::new(listener));
    }

    /// The account that writes here.
    ///
    /// # Errors
    /// If there is none.
    pub fn account(&self) -> Result<AccountId, EngineError> {
        Ok(self.lock().own.as_ref().ok_or(EngineError::NoIdentity)?.account)
    }

    /// This device.
    ///
    /// # Errors
    /// If there is no identity.
    pub fn device(&self) -> Result<DeviceId, EngineError> {
        Ok(self.lock().own.as_ref().ok_or(EngineError::NoIdentity)?.device())
    }

    /// Certificate path of a device known here.
    ///
    /// # Errors
    /// If the store fails.
    pub fn path(&self, device: &DeviceId) -> Result<Option<CertificatePath>, EngineError> {
        let mut state = self.lock();
        Ok(self.known_device(&mut state, device)?.map(|known| known.path.clone()))
    }

    /// How many signatures were checked since opening.
    #[must_use]
    pub fn signatures_checked(&self) -> u64 {
        self.verifier.checked()
    }

    /// Makes everything durable and closes the store.
    ///
    /// # Errors
    /// If the store fails.
    pub fn close(&self) -> Result<(), EngineError> {
        // It is of help, and lost in a crash as well: closing does not hang on it.
        let _ = self.write_along();
        Ok(self.store.close()?)
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The lock for writing. What an operation that failed half-way left in the caches is
    /// dropped: the store is the truth.
    pub(crate) fn lock(&self) -> StateGuard<'_> {
        let mut state = self.state.lock();
        if state.dirty {
            // What was handed to the store before must be readable there first.
            if let Err(error) = self.store.commit(Batch::new()) {
                state.failed.get_or_insert(error.to_string());
            }
            let no_account = self.setting(SETTING_ACCOUNT).is_ok_and(|found| found.is_none());
            state.forget_caches(no_account);
        } else if state.is_full() && self.store.commit(Batch::new()).is_ok() {
            // After what others have handed to the store: only what is there may go.
            state.trim();
        }
        state
    }

    pub(crate) fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.store.get(Table::Meta, &keys::setting(name))?.map(|value| value.to_vec()))
    }

    pub(crate) fn description(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<Option<Arc<Description>>, EngineError> {
        if let Some(known) = state.descriptions.get(doc) {
            return Ok(Some(known.clone()));
        }
        let Some(bytes) = self.store.get(Table::Truth, &keys::description(doc))? else {
            return Ok(None);
        };
        let description =
            Description::decode(&mut Reader::new(&bytes)).map_err(EngineError::corrupt)?;
        if description.id() != *doc {
            return Err(EngineError::Corrupt(format!("description of document {doc}")));
        }
        let description = Arc::new(description);
        state.descriptions.insert(*doc, description.clone());
        Ok(Some(description))
    }

    pub(crate) fn known_device(
        &self,
        state: &mut State,
        device: &DeviceId,
    ) -> Result<Option<Arc<KnownDevice>>, EngineError> {
        if let Some(known) = state.devices.get(device) {
            return Ok(Some(known.clone()));
        }
        let Some(bytes) = self.store.get(Table::Meta, &keys::path(device))? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&bytes);
        let path = CertificatePath::decode(&mut reader).map_err(EngineError::corrupt)?;
        let verified = path.verify(&self.verifier).map_err(EngineError::corrupt)?;
        let known = Arc::new(KnownDevice { device: verified, path });
        state.devices.insert(*device, known.clone());
        Ok(Some(known))
    }

    /// State of a chain; fresh if nothing is known.
    pub(crate) fn chain(
        &self,
        state: &mut State,
        space: &SpaceId,
        key: &ChainKey,
    ) -> Result<ChainState, EngineError> {
        Ok(self.chain_mut(state, space, key)?.clone())
    }

    /// State of a chain where it is kept.
    pub(crate) fn chain_mut<'a>(
        &self,
        state: &'a mut State,
        space: &SpaceId,
        key: &ChainKey,
    ) -> Result<&'a mut ChainState, EngineError> {
        match state.chains.entry(*key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                Ok(place.insert(match self.store.get(Table::Meta, &keys::head(key))? {
                    Some(bytes) => ChainState::decode(&bytes).map_err(EngineError::corrupt)?,
                    None => ChainState::fresh(key.origin(space)),
                }))
            }
        }
    }

    /// All chains of a document with their states.
    pub(crate) fn chains_of(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<Vec<(ChainKey, ChainState)>, EngineError> {
        if !state.whole.contains(doc) {
            self.load_chains(state, doc)?;
        }
        let known = state.chains_in(doc).filter(|(_, chain)| chain.known > 0);
        Ok(known.map(|(key, chain)| (*key, chain.clone())).collect())
    }

    /// Reads all chains of a document, but for those that are in memory already.
    pub(crate) fn load_chains(
        &self,
        state: &mut State,
        doc: &DocumentId,
    ) -> Result<(), EngineError> {
        for (key, value) in self.scan_all(Table::Meta, &keys::heads_of(doc))? {
            let Some(chain) = keys::parse_head(&key) else { continue };
            // One that is here without a head was only asked for.
            let here = state.chains.get(&chain).is_some_and(|known| known.known > 0);
            if !here {
                let read = ChainState::decode(&value).map_err(EngineError::corrupt)?;
                state.chains.insert(chain, read);
            }
        }
        state.whole.insert(*doc);
        Ok(())
    }

    /// All rows below a prefix, read in steps.
    pub(crate) fn scan_all(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, EngineError> {
        const STEP: usize = 4096;
        let mut all = Vec::new();
        let mut start: Option<Vec<u8>> = None;
        loop {
            let rows = self.store.scan(table, prefix, start.as_deref(), false, STEP)?;
            let full = rows.len() == STEP;
            if let Some((last, _)) = rows.last() {
                let mut next = last.to_vec();
                next.push(0);
                start = Some(next);
            }
            all.extend(rows);
            if !full {
                return Ok(all);
            }
        }
    }

    pub(crate) fn load_documents(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<(), EngineError> {
        if !state.docs.contains_key(space) {
            let rows = self.scan_all(Table::Meta, &keys::space_documents(space))?;
            let docs = rows.iter().filter_map(|(key, _)| keys::parse_space_document(key));
            state.docs.insert(*space, docs.collect());
        }
        Ok(())
    }

    /// Documents of a space, with their descriptions.
    pub(crate) fn documents(
        &self,
        state: &mut State,
        space: &SpaceId,
    ) -> Result<Vec<(DocumentId, Arc<Description>)>, EngineError> {
        self.load_documents(state, space)?;
        let docs: Vec<DocumentId> = state.docs.get(space).into_iter().flatten().copied().collect();
        let mut out = Vec::with_capacity(docs.len());
        for doc in docs {
            if let Some(description) = self.description(state, &doc)? {
                out.push((doc, description));
            }
        }
        Ok(out)
    }
}
