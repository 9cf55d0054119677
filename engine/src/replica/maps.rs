//! Map documents: the public profile and the sealed private maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::pictures::{PICTURE, has_picture};
use super::{ChainState, EngineError, Event, Replica, State, Work};
use crate::chain::{ChainKey, extend};
use crate::change::gate::GateError;
use crate::change::prescan::prescan;
use crate::change::text::prescan_text;
use crate::change::value::Value;
use crate::change::{Actor, ChainPosition};
use crate::description::{Description, DocumentKind};
use crate::document::{Candidate, DocumentError, GatedChange, MapDocument, StoredChange};
use crate::hash::{AccountId, ChangeHash, ChangeId, DocumentId, Link, derive};
use crate::limits::{MAP_BYTES_MAX, MAP_CHANGES_MAX};
use crate::seal::{EpochKey, SealPlace, SealedChange, seal};
use crate::store::{Table, keys};
use crate::sync::exchange::{Reason, Verdict};
use crate::view::{EntryRow, change_kind};

/// Edits of a map: `Some` puts, `None` deletes.
pub type Edits = Vec<(String, Option<Value>)>;

/// A value with those that lost to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// The value shown.
    pub value: Value,
    /// Values of concurrent edits that lost.
    pub conflicts: Vec<Candidate>,
}

/// One stored change of a map or text, opened.
pub(super) struct Loaded {
    pub(super) key: ChainKey,
    pub(super) n: u64,
    pub(super) plain: Vec<u8>,
    pub(super) names: Names,
}

/// Automerge's names of a change and of what it builds on.
pub(super) struct Names {
    pub(super) hash: ChangeHash,
    pub(super) dependencies: Vec<ChangeHash>,
}

/// Reads the names that a change of a map or text goes by; `None` if it is none.
pub(super) fn names_of(kind: DocumentKind, plain: &[u8]) -> Option<Names> {
    if kind == DocumentKind::Text {
        let scan = prescan_text(plain).ok()?;
        return Some(Names { hash: scan.hash, dependencies: scan.dependencies });
    }
    let scan = prescan(plain).ok()?;
    Some(Names { hash: scan.hash, dependencies: scan.dependencies })
}

/// A change of our own, not yet stored.
struct AuthoredMap {
    gated: GatedChange,
    /// What is stored and sent of it: sealed or plain.
    stored: Vec<u8>,
}

impl Replica {
    /// The description of one of the own private maps.
    pub(crate) fn private_description(
        &self,
        state: &mut State,
        name: &str,
    ) -> Result<Option<Description>, EngineError> {
        let Some(account) = state.own.as_ref().map(|own| own.account) else { return Ok(None) };
        let Some(root) = self.root_epoch(state)? else { return Ok(None) };
        let key = root.to_bytes();
        let label = derive("mosaic private label 1", &[&key[..], name.as_bytes()]);
        Ok(Some(Description::private(account, label.to_vec())))
    }

    /// Fields of an account's profile, by key.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn profile(&self, account: &AccountId) -> Result<Vec<Field>, EngineError> {
        let description = Description::own(*account, DocumentKind::Profile, 0);
        self.fields(&mut self.lock(), &description)
    }

    /// Fields of an own private map.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn private_map(&self, name: &str) -> Result<Vec<Field>, EngineError> {
        let mut state = self.lock();
        match self.private_description(&mut state, name)? {
            Some(description) => self.fields(&mut state, &description),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn fields(
        &self,
        state: &mut State,
        description: &Description,
    ) -> Result<Vec<Field>, EngineError> {
        let doc = description.id();
        let Some(description) = self.description(state, &doc)? else { return Ok(Vec::new()) };
        let Some(map) = self.shown_map(state, &description)? else { return Ok(Vec::new()) };
        let entries = map.entries();
        Ok(entries
            .into_iter()
            .map(|(key, value)| Field { conflicts: map.conflicts(&key), key, value })
            .collect())
    }

    /// Edits the own profile.
    ///
    /// # Errors
    /// If the edits change nothing, are over a limit, this device may not write, or the
    /// store fails.
    pub fn edit_profile(&self, edits: Edits, now_ms: u64) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let account = state.own.as_ref().ok_or(EngineError::NoIdentity)?.account;
        let description = Description::own(account, DocumentKind::Profile, 0);
        let mut work = Work::default();
        let id = self.edit_map(&mut state, &mut work, &description, &edits, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// Edits an own private map; sealed before it is stored.
    ///
    /// # Errors
    /// As [`Replica::edit_profile`].
    pub fn edit_private(
        &self,
        name: &str,
        edits: Edits,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        let mut state = self.lock();
        self.check_writer(&mut state)?;
        let description = self.writable_private(&mut state, name)?;
        let mut work = Work::default();
        let id = self.edit_map(&mut state, &mut work, &description, &edits, now_ms)?;
        self.finish(state, work)?;
        Ok(id)
    }

    /// The description of an own private map that is about to be written.
    pub(crate) fn writable_private(
        &self,
        state: &mut State,
        name: &str,
    ) -> Result<Description, EngineError> {
        self.private_description(state, name)?.ok_or_else(|| {
            EngineError::Denied(
                "the private sector's key has not arrived yet; sync with another device first"
                    .into(),
            )
        })
    }

    pub(crate) fn edit_map(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Description,
        edits: &Edits,
        now_ms: u64,
    ) -> Result<ChangeId, EngineError> {
        work.now_ms = work.now_ms.max(now_ms);
        let description = self.ensure_document(state, work, description)?;
        let sealing = match description.kind {
            DocumentKind::Private => Some(self.current_epoch(state, work, now_ms)?),
            _ => None,
        };
        let (mut key, mut chain) = self.own_chain(state, &description)?;
        let mut built = self.author_map(state, &description, key, &chain, edits, &sealing)?;
        if !has_room(&chain, built.stored.len()) {
            self.start_new_life(state, work)?;
            (key, chain) = self.own_chain(state, &description)?;
            built = self.author_map(state, &description, key, &chain, edits, &sealing)?;
        }
        let AuthoredMap { gated, stored } = built;
        let hash = gated.hash();
        state.dirty = true;
        match state.shown.get_mut(&key.doc) {
            Some(shown) => {
                shown.apply_vetted(gated).map_err(EngineError::corrupt)?;
                work.maps.insert(key.doc);
            }
            None => {
                if let Some(map) = state.maps.get_mut(&key.doc) {
                    map.apply_vetted(gated).map_err(EngineError::corrupt)?;
                }
            }
        }
        let id = self.add_map_change(state, work, &description, key, stored, Some(hash), true)?;
        let chosen = edits.iter().any(|(key, value)| key == PICTURE && value.is_some());
        if let Some(local) = work.profiles.get_mut(&key.doc) {
            *local = chosen;
        }
        work.signed.insert(key, description);
        Ok(id)
    }

    /// Builds the next change of an own map chain, sealed if `sealing` has a key.
    fn author_map(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        key: ChainKey,
        chain: &ChainState,
        edits: &Edits,
        sealing: &Option<EpochKey>,
    ) -> Result<AuthoredMap, EngineError> {
        let map = self.shown_map(state, description)?;
        let map = map.ok_or(EngineError::MissingDocument(key.doc))?;
        let n = chain.held + 1;
        let position = ChainPosition { actor: Actor::of(&key), n, previous: chain.last };
        let edits: Vec<_> =
            edits.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let gated = map.author(position, &edits).map_err(author_error)?;
        let stored = match sealing {
            None => gated.bytes().to_vec(),
            Some(epoch) => {
                let space = description.space.id();
                let place = SealPlace { space, chain: key, n, previous_link: chain.link };
                seal(epoch, &place, gated.bytes(), &*self.entropy)
                    .map_err(|error| EngineError::Invalid(error.to_string()))?
            }
        };
        Ok(AuthoredMap { gated, stored })
    }

    /// Adds one change of a map or text that is known to be right.
    #[expect(clippy::too_many_arguments, reason = "one place adds map changes, from two sides")]
    pub(super) fn add_map_change(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Arc<Description>,
        key: ChainKey,
        stored: Vec<u8>,
        hash: Option<ChangeHash>,
        local: bool,
    ) -> Result<ChangeId, EngineError> {
        let space = description.space.id();
        let mut chain: ChainState = self.chain(state, &space, &key)?;
        let n = chain.held + 1;
        let id = ChangeId::of(&stored);
        let row = EntryRow {
            doc: key.doc,
            device: key.device,
            incarnation: key.incarnation,
            n,
            time_ms: 0,
            kind: change_kind(description.kind),
        };
        chain.held = n;
        chain.entries += 1;
        chain.bytes += stored.len() as u64;
        chain.link = extend(&chain.link, n, &id);
        chain.last = hash;
        Self::put_change(work, &id, stored);
        work.batch.put(Table::Truth, keys::chain_change(&key, n), id.as_bytes().to_vec());
        work.batch.put(Table::Rows, keys::entry(&id), row.encode());
        let own = state.own.as_ref().map(|own| own.account);
        work.events.push(match description.kind {
            // When somebody else wrote in private is not for the journal of whoever keeps it.
            DocumentKind::Private if own != Some(description.account) => Event::Head { chain: key },
            _ => Event::Entry {
                id,
                kind: row.kind,
                account: description.account,
                doc: key.doc,
                local,
                target: None,
            },
        });
        if has_picture(description) {
            work.profiles.insert(key.doc, false);
        }
        if description.kind == DocumentKind::Text {
            Self::note_text_change(work, key, id);
        }
        work.spaces.insert(space);
        work.chains.insert(key);
        state.dirty = true;
        state.chains.insert(key, chain);
        Ok(id)
    }

    /// Takes one received map change whose place in the chain is proven. `Some` is why not.
    pub(crate) fn store_map(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Arc<Description>,
        key: ChainKey,
        stored: &[u8],
    ) -> Result<Option<Verdict>, EngineError> {
        let space = description.space.id();
        let chain = self.chain(state, &space, &key)?;
        if !has_room(&chain, stored.len()) {
            return Ok(Some(Verdict::Refused(Reason::Limit)));
        }
        let n = chain.held + 1;
        let plain = match self.open_change(state, description, &key, n, chain.link, stored)? {
            Opened::Plain(plain) => plain,
            Opened::NoKey => {
                return self.keep_unopened(state, work, description, key, stored);
            }
            Opened::Invalid => return Ok(Some(Verdict::Refused(Reason::InvalidChange))),
        };
        self.load_map(state, description)?;
        let void = self.is_void(state, description, &key, n)?;
        let map = state.maps.entry(key.doc).or_insert_with(|| MapDocument::new(key.doc));
        let actor = Actor::of(&key);
        let (before, previous) = map.tip(&actor).map_or((0, None), |(n, hash)| (n, Some(hash)));
        if before != chain.held && description.kind == DocumentKind::Private {
            // It follows changes that are not open yet.
            return self.keep_unopened(state, work, description, key, stored);
        }
        let gated = match map.gate(&plain, ChainPosition { actor, n, previous }) {
            Ok(gated) => gated,
            Err(GateError::Deferred { missing }) => {
                let counts = !void || Self::awaits(state, &key.doc);
                Self::await_dependencies(state, key.doc, missing.into_iter().filter(|_| counts));
                return Ok(Some(Verdict::Deferred(Reason::Gap)));
            }
            Err(GateError::Quarantined(_)) => {
                return Ok(Some(Verdict::Deferred(Reason::Deferred)));
            }
            Err(_) => return Ok(Some(Verdict::Refused(Reason::InvalidChange))),
        };
        let hash = gated.hash();
        let hidden = void || self.is_hidden(state, description, &key, n)?;
        let map = state.maps.entry(key.doc).or_insert_with(|| MapDocument::new(key.doc));
        if hidden || state.shown.contains_key(&key.doc) {
            // What is shown is worked out again after the commit.
            let before = map.clone();
            state.shown.entry(key.doc).or_insert(before);
            work.maps.insert(key.doc);
        }
        map.apply_vetted(gated).map_err(EngineError::corrupt)?;
        Self::arrived(state, &key.doc, &hash);
        self.add_map_change(state, work, description, key, stored.to_vec(), Some(hash), false)?;
        Ok(None)
    }

    /// Proven and sealed: kept until the keys are here.
    fn keep_unopened(
        &self,
        state: &mut State,
        work: &mut Work,
        description: &Arc<Description>,
        key: ChainKey,
        stored: &[u8],
    ) -> Result<Option<Verdict>, EngineError> {
        self.add_map_change(state, work, description, key, stored.to_vec(), None, false)?;
        state.maps.remove(&key.doc);
        work.maps.insert(key.doc);
        Ok(None)
    }

    /// The Automerge chunk behind stored bytes; `None` if it is sealed and does not open.
    pub(crate) fn opened(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
        previous_link: Link,
        stored: &[u8],
    ) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(match self.open_change(state, description, key, n, previous_link, stored)? {
            Opened::Plain(plain) => Some(plain),
            Opened::NoKey | Opened::Invalid => None,
        })
    }

    pub(super) fn open_change(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
        n: u64,
        previous_link: Link,
        stored: &[u8],
    ) -> Result<Opened, EngineError> {
        if description.kind != DocumentKind::Private {
            return Ok(Opened::Plain(stored.to_vec()));
        }
        let Ok(sealed) = SealedChange::parse(stored) else { return Ok(Opened::Invalid) };
        self.load_ring(state)?;
        let Some(epoch) = state.own.as_ref().and_then(|own| own.ring.get(&sealed.epoch())) else {
            return Ok(Opened::NoKey);
        };
        let place = SealPlace { space: description.space.id(), chain: *key, n, previous_link };
        Ok(sealed.open(epoch, &place).map_or(Opened::Invalid, Opened::Plain))
    }

    /// The map as people see it.
    pub(crate) fn shown_map<'a>(
        &self,
        state: &'a mut State,
        description: &Arc<Description>,
    ) -> Result<Option<&'a MapDocument>, EngineError> {
        self.load_map(state, description)?;
        let doc = description.id();
        Ok(state.shown.get(&doc).or_else(|| state.maps.get(&doc)))
    }

    /// Puts the merged map into the cache: of all held changes; and, where that differs, of
    /// those that are not void and those beyond a cut that a kept one depends on.
    pub(super) fn load_map(
        &self,
        state: &mut State,
        description: &Arc<Description>,
    ) -> Result<(), EngineError> {
        let doc = description.id();
        if state.maps.contains_key(&doc) {
            return Ok(());
        }
        let (loaded, orphans) = drop_orphans(self.merged_changes(state, description, &doc)?);
        let kept = self.kept(state, description, &loaded)?;
        let whole = load_changes(description, doc, loaded.iter())?;
        if kept.len() < loaded.len() {
            let kept = kept.iter().filter_map(|index| loaded.get(*index));
            state.shown.insert(doc, load_changes(description, doc, kept)?);
        }
        state.maps.insert(doc, whole);
        self.await_orphans(state, description, &orphans)
    }

    /// Places of changes that are shown, and of those beyond a cut that they build on.
    pub(super) fn kept(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        loaded: &[Loaded],
    ) -> Result<BTreeSet<usize>, EngineError> {
        let mut kept: BTreeSet<usize> = BTreeSet::new();
        let by_hash: HashMap<ChangeHash, usize> =
            loaded.iter().enumerate().map(|(index, change)| (change.names.hash, index)).collect();
        let mut waiting = Vec::new();
        for (index, change) in loaded.iter().enumerate() {
            if !self.is_hidden(state, description, &change.key, change.n)? {
                waiting.push(index);
            }
        }
        while let Some(index) = waiting.pop() {
            if !kept.insert(index) {
                continue;
            }
            let Some(change) = loaded.get(index) else { continue };
            waiting.extend(change.names.dependencies.iter().filter_map(|hash| by_hash.get(hash)));
        }
        Ok(kept)
    }

    /// Opened changes that count may build on what a revoked device wrote after its cut.
    fn await_orphans(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        orphans: &[Loaded],
    ) -> Result<(), EngineError> {
        let doc = description.id();
        let here: BTreeSet<ChangeHash> = orphans.iter().map(|change| change.names.hash).collect();
        for orphan in orphans {
            if self.is_void(state, description, &orphan.key, orphan.n)? {
                continue;
            }
            let map = state.maps.get(&doc);
            let known = |hash: &ChangeHash| {
                here.contains(hash) || map.is_some_and(|map| map.contains(hash))
            };
            let missing: Vec<ChangeHash> =
                orphan.names.dependencies.iter().filter(|hash| !known(hash)).copied().collect();
            Self::await_dependencies(state, doc, missing);
        }
        Ok(())
    }

    /// The held changes of a map or text, opened, chain by chain.
    pub(super) fn merged_changes(
        &self,
        state: &mut State,
        description: &Arc<Description>,
        doc: &DocumentId,
    ) -> Result<Vec<Loaded>, EngineError> {
        let mut loaded = Vec::new();
        let space = description.space.id();
        for (key, chain) in self.chains_of(state, doc)? {
            let mut link = key.origin(&space);
            for (n, id) in (1..).zip(self.change_ids(&key, 1, chain.held)?) {
                let stored = self
                    .blob_bytes(&id.blob())?
                    .ok_or_else(|| EngineError::Corrupt(format!("change {id} is missing")))?;
                let opened = self.open_change(state, description, &key, n, link, &stored)?;
                let Opened::Plain(plain) = opened else { break };
                // What was sealed when it came may be anything: it ends its chain here.
                let Some(names) = names_of(description.kind, &plain) else { break };
                loaded.push(Loaded { key, n, plain, names });
                link = extend(&link, n, &id);
            }
        }
        Ok(loaded)
    }
}

fn load_changes<'a>(
    description: &Description,
    doc: DocumentId,
    loaded: impl Iterator<Item = &'a Loaded>,
) -> Result<MapDocument, EngineError> {
    let stored: Vec<StoredChange<'_>> = loaded
        .map(|change| StoredChange {
            actor: Actor::of(&change.key),
            n: change.n,
            bytes: &change.plain,
        })
        .collect();
    match MapDocument::load(doc, stored.iter().copied()) {
        Ok(map) => Ok(map),
        Err(_) if description.kind == DocumentKind::Private => {
            Ok(MapDocument::load_sound(doc, &stored))
        }
        Err(error) => Err(EngineError::corrupt(error)),
    }
}

/// Sets apart changes that depend on something not here: a sealed change not opened yet.
pub(super) fn drop_orphans(loaded: Vec<Loaded>) -> (Vec<Loaded>, Vec<Loaded>) {
    let mut here: BTreeMap<ChangeHash, Vec<ChangeHash>> =
        loaded.iter().map(|c| (c.names.hash, c.names.dependencies.clone())).collect();
    loop {
        let missing: Vec<ChangeHash> = here
            .iter()
            .filter(|(_, dependencies)| dependencies.iter().any(|hash| !here.contains_key(hash)))
            .map(|(hash, _)| *hash)
            .collect();
        if missing.is_empty() {
            break;
        }
        for hash in missing {
            here.remove(&hash);
        }
    }
    loaded.into_iter().partition(|change| here.contains_key(&change.names.hash))
}

/// Whether a chain may take a change of so many stored bytes: the same rule for our own as for
/// what others wrote, else nobody takes what we wrote.
pub(super) const fn has_room(chain: &ChainState, bytes: usize) -> bool {
    chain.held < MAP_CHANGES_MAX && chain.bytes.saturating_add(bytes as u64) <= MAP_BYTES_MAX
}

pub(super) enum Opened {
    Plain(Vec<u8>),
    NoKey,
    Invalid,
}

fn author_error(error: DocumentError) -> EngineError {
    match error {
        DocumentError::Nothing => EngineError::Invalid("nothing to change".into()),
        other => EngineError::Invalid(other.to_string()),
    }
}
