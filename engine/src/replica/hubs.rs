//! Hubs that are kept here: what their members' logs come to, and which hubs these are.
//!
//! The logs are documents like others. What they say is settled by [`crate::hub`], in memory, when
//! somebody asks: from all logs the first time, and then from what came since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{EngineError, Replica, State, Work};
use crate::authority::LogItem;
use crate::chain::{ChainKey, extend};
use crate::change::value::Value;
use crate::codec::{Reader, Writer};
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, HubId, Link};
use crate::hub::{Hub, HubItem};
use crate::model::entry::{Entry, HubAction, HubGenesis};
use crate::store::{Batch, Table, keys};

mod access;
mod admission;
mod glimpses;
mod guests;
mod import;
mod messages;
mod newest;
mod operations;
mod page;
mod polls;
mod private;
mod purges;
mod refusals;
mod reports;
mod room;
mod search;
mod skim;
mod texts;
mod unread;
mod vouch;

pub use self::access::HubPlace;
pub(super) use self::glimpses::Glimpses;
pub(crate) use self::guests::Guests;
pub use self::import::MessageImport;
pub use self::messages::MessageDraft;
pub use self::operations::{HubStart, Ticket};
pub use self::page::{ChannelCursor, MessageState, MessageView};
pub use self::polls::PollView;
pub use self::private::Sealing;
pub(in crate::replica) use self::private::{Plain, PlainWhat};
pub use self::reports::{OpenedReport, Reports};
pub(crate) use self::room::HubRoom;
pub use self::room::{HubLimits, HubUse, MemberUse};
pub use self::texts::INVITATION_KEYS_MAX;
pub use self::unread::UnreadChannel;

/// Name of the private map of hubs that this account is in, with its own names for them.
pub const HUBS: &str = "hubs";

/// Hubs kept in memory.
const HUBS_CACHED_MAX: usize = 64;

/// A hub as it is known here.
#[derive(Debug)]
pub(crate) struct KnownHub {
    hub: Arc<Hub>,
    /// How much of each chain the hub has, and the link there.
    fed: BTreeMap<ChainKey, (u64, Link)>,
    /// Chains that went on since.
    grown: BTreeSet<ChainKey>,
    /// Accounts of which it changed since what counts of their devices.
    judged: BTreeSet<AccountId>,
}

impl KnownHub {
    /// A hub that has nothing yet.
    fn new(hub: Arc<Hub>) -> Self {
        let (fed, grown, judged) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { hub, fed, grown, judged }
    }
}

/// A hub that is kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHub {
    /// The hub.
    pub id: HubId,
    /// What the own account calls it; empty if it has no name for it.
    pub alias: String,
    /// Whether the own account lists it, on all its devices.
    pub listed: bool,
    /// Whether this node was told to keep it.
    pub served: bool,
}

impl Replica {
    /// Notes what an entry of a hub's log changes, if this is one.
    pub(super) fn note_hub(work: &mut Work, description: &Description, entry: &Entry) {
        let (Space::Hub(hub), DocumentKind::HubLog) = (description.space, description.kind) else {
            return;
        };
        if let Entry::Hub(operation) = entry
            && let HubAction::Begin(genesis) = &operation.action
            && genesis.id() == hub
        {
            let mut w = Writer::new();
            genesis.encode(&mut w);
            work.batch.put(Table::Meta, keys::hub_genesis(&hub), w.finish());
        }
    }

    /// Notes what a commit changes about hubs that are in memory.
    pub(super) fn mark_hubs(state: &mut State, work: &Work) {
        for key in &work.chains {
            let description = state.descriptions.get(&key.doc);
            let Some(hub) = description.and_then(|d| log_of(d)) else { continue };
            state.purges_due.insert(hub);
            if let Some(known) = state.hubs.get_mut(&hub) {
                known.grown.insert(*key);
            }
        }
        let begins = |(_, entry): &(_, Entry)| matches!(entry, Entry::Hub(operation) if matches!(operation.action, HubAction::Begin(_)));
        if work.entries.values().any(begins) {
            // Whether it is private says whom its members' logs are shown to.
            state.kept = None;
        }
        let mut judged = work.accounts.clone();
        let cut = work.cuts.iter().filter_map(|doc| state.descriptions.get(doc));
        judged.extend(cut.map(|description| description.account));
        for known in state.hubs.values_mut() {
            let KnownHub { hub, judged: due, .. } = known;
            due.extend(judged.iter().filter(|account| hub.knows(account)));
        }
    }

    /// A hub, settled; `None` while its beginning is not here.
    pub(crate) fn hub_of(
        &self,
        state: &mut State,
        hub: &HubId,
    ) -> Result<Option<Arc<Hub>>, EngineError> {
        // Taken out: what fails on the way is worked out from the beginning.
        let mut known = match state.hubs.remove(hub) {
            Some(known) => known,
            None => match self.load_hub(state, hub)? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        let news = !known.grown.is_empty() || !known.judged.is_empty();
        state.hub_changes += u64::from(news);
        if news && !self.feed_hub(state, hub, &mut known)? {
            let Some(mut again) = self.load_hub(state, hub)? else { return Ok(None) };
            self.feed_hub(state, hub, &mut again)?;
            known = again;
        }
        if state.hubs.len() >= HUBS_CACHED_MAX {
            let other = state.hubs.keys().next().copied();
            other.and_then(|other| state.hubs.remove(&other));
        }
        let settled = known.hub.clone();
        state.hubs.insert(*hub, known);
        Ok(Some(settled))
    }

    /// A hub of which nothing is fed yet.
    fn load_hub(&self, state: &mut State, hub: &HubId) -> Result<Option<KnownHub>, EngineError> {
        let Some(bytes) = self.store.get(Table::Meta, &keys::hub_genesis(hub))? else {
            return Ok(None);
        };
        let genesis = HubGenesis::decode(&mut Reader::new(&bytes)).map_err(EngineError::corrupt)?;
        let (mut grown, mut judged) = (BTreeSet::new(), BTreeSet::new());
        for (doc, description) in self.documents(state, &Space::Hub(*hub).id())? {
            if description.kind == DocumentKind::HubLog {
                grown.extend(self.chains_of(state, &doc)?.into_iter().map(|(key, _)| key));
                judged.insert(description.account);
            }
        }
        state.purges_due.insert(*hub);
        let hub = Arc::new(Hub::new(genesis));
        Ok(Some(KnownHub { hub, fed: BTreeMap::new(), grown, judged }))
    }

    /// Gives a hub what came since. False if it has to be built again: what it was fed is here
    /// no more, or somebody else still looks at it.
    fn feed_hub(
        &self,
        state: &mut State,
        id: &HubId,
        known: &mut KnownHub,
    ) -> Result<bool, EngineError> {
        let space = Space::Hub(*id).id();
        let mut items = Vec::new();
        for key in &known.grown {
            let chain = self.chain(state, &space, key)?;
            let (fed, link) =
                known.fed.get(key).copied().unwrap_or_else(|| (0, key.origin(&space)));
            if chain.held < fed || (chain.held == fed && chain.link != link) {
                return Ok(false);
            }
            let Some(description) = self.description(state, &key.doc)? else { continue };
            let more = self.items_since(key, &description.account, (fed, link), chain.held)?;
            // What a commit under way adds cannot be read yet; it marks the chain when it ends.
            if let Some(last) = more.last() {
                known.fed.insert(*key, (last.n, last.link));
            }
            items.extend(more);
        }
        let mut cuts = Vec::new();
        let judged = std::mem::take(&mut known.judged);
        let grown = std::mem::take(&mut known.grown);
        let chains: Vec<ChainKey> = match judged.is_empty() {
            true => grown.iter().copied().collect(),
            false => known.fed.keys().copied().collect(),
        };
        for key in chains {
            let Some(description) = self.description(state, &key.doc)? else { continue };
            // A chain that went on may have reached what a cut names.
            if judged.contains(&description.account)
                || (grown.contains(&key) && self.is_hidden(state, &description, &key, u64::MAX)?)
            {
                cuts.push((key, self.kept_of(state, &description, &key)?));
            }
        }
        let Some(hub) = Arc::get_mut(&mut known.hub) else { return Ok(false) };
        hub.insert(items, &self.verifier);
        for (key, kept) in cuts {
            hub.cut_device(key, kept, &self.verifier);
        }
        Ok(true)
    }

    /// Entries of a chain of a hub's log after a version, up to a number.
    fn items_since(
        &self,
        key: &ChainKey,
        account: &AccountId,
        (fed, mut link): (u64, Link),
        last: u64,
    ) -> Result<Vec<HubItem>, EngineError> {
        let mut items = Vec::new();
        for LogItem { id, n, time_ms, entry, .. } in self.log_items(key, fed + 1, last)? {
            let previous = link;
            link = extend(&previous, n, &id);
            let account = *account;
            items.push(HubItem { id, chain: *key, n, previous, link, account, time_ms, entry });
        }
        Ok(items)
    }

    /// All that is here of the logs of a hub.
    #[cfg(test)]
    pub(crate) fn hub_items(&self, hub: &HubId) -> Vec<HubItem> {
        let space = Space::Hub(*hub).id();
        let mut state = self.lock();
        let mut items = Vec::new();
        for (doc, description) in self.documents(&mut state, &space).unwrap() {
            if description.kind == DocumentKind::HubLog {
                for (key, chain) in self.chains_of(&mut state, &doc).unwrap() {
                    let start = (0, key.origin(&space));
                    items.extend(
                        self.items_since(&key, &description.account, start, chain.held).unwrap(),
                    );
                }
            }
        }
        items
    }

    /// The versions up to which a chain of a revoked device counts; `None` is all of it.
    fn kept_of(
        &self,
        state: &mut State,
        description: &Description,
        key: &ChainKey,
    ) -> Result<Option<Vec<Link>>, EngineError> {
        if !self.is_void(state, description, key, u64::MAX)? {
            // What a suspended device writes counts for nothing until it is restored.
            return match self.held_back_from(state, description, key)? {
                None => Ok(None),
                Some(0) => Ok(Some(Vec::new())),
                Some(n) => Ok(Some(vec![self.link_at(description, key, n)?])),
            };
        }
        let Some(cut) = self.cut_of(state, description, key)? else { return Ok(Some(Vec::new())) };
        Ok(Some(vec![cut.link]))
    }

    /// Reads a hub that is here.
    ///
    /// # Errors
    /// If its beginning is not here, or the store fails.
    pub fn hub<T>(&self, hub: &HubId, read: impl FnOnce(&Hub) -> T) -> Result<T, EngineError> {
        let mut state = self.lock();
        let known = self.known_hub(&mut state, hub)?;
        self.open_texts(&mut state, hub, &known)?;
        let read = read(&known);
        drop(known);
        Ok(read)
    }

    /// A hub that has to be here.
    pub(crate) fn known_hub(
        &self,
        state: &mut State,
        hub: &HubId,
    ) -> Result<Arc<Hub>, EngineError> {
        self.hub_of(state, hub)?
            .ok_or_else(|| EngineError::NotFound { what: "hub", text: hub.to_string() })
    }

    /// Hubs that are kept here, by id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn hubs(&self) -> Result<Vec<KeptHub>, EngineError> {
        self.hubs_kept(&mut self.lock())
    }

    pub(crate) fn hubs_kept(&self, state: &mut State) -> Result<Vec<KeptHub>, EngineError> {
        let mut kept: BTreeMap<HubId, KeptHub> = BTreeMap::new();
        fn entry(kept: &mut BTreeMap<HubId, KeptHub>, id: HubId) -> &mut KeptHub {
            kept.entry(id).or_insert(KeptHub {
                id,
                alias: String::new(),
                listed: false,
                served: false,
            })
        }
        if let Some(description) = self.private_description(state, HUBS)? {
            for field in self.fields(state, &description)? {
                let Some(id) = HubId::parse_hex(&field.key) else { continue };
                let hub = entry(&mut kept, id);
                hub.listed = true;
                hub.alias = field.value.as_text().unwrap_or_default().to_owned();
            }
        }
        for (key, _) in self.scan_all(Table::Meta, keys::HUBS)? {
            let Some(id) = key.last_chunk::<32>() else { continue };
            entry(&mut kept, HubId::from_bytes(*id)).served = true;
        }
        Ok(kept.into_values().collect())
    }

    /// Has this node keep a hub and serve it to whoever asks, or not any more. What is here
    /// stays.
    ///
    /// # Errors
    /// If the store fails.
    pub fn serve_hub(&self, hub: &HubId, serves: bool) -> Result<(), EngineError> {
        let mut batch = Batch::new();
        match serves {
            true => batch.put(Table::Meta, keys::hub(hub), Vec::new()),
            false => {
                self.drop_glimpses(hub);
                batch.delete(Table::Meta, keys::hub(hub));
            }
        };
        self.change_kept(batch)
    }

    /// Lists a hub on all own devices, which keep it from then on, or takes it off; an alias is
    /// what the account calls it. Its ticket is shown to nobody from then on.
    ///
    /// # Errors
    /// As [`Replica::edit_private`].
    pub fn list_hub(
        &self,
        hub: &HubId,
        listed: bool,
        alias: &str,
        now_ms: u64,
    ) -> Result<(), EngineError> {
        self.end_showing(hub);
        let known = self.hubs()?.into_iter().find(|kept| kept.id == *hub && kept.listed);
        if known.as_ref().map(|known| known.alias.as_str()) == listed.then_some(alias) {
            return Ok(());
        }
        let value = listed.then(|| Value::from(alias));
        self.edit_private(HUBS, vec![(hub.to_string(), value)], now_ms)?;
        Ok(())
    }
}

/// The hub whose log this is.
fn log_of(description: &Description) -> Option<HubId> {
    description.space.hub().filter(|_| description.kind == DocumentKind::HubLog)
}
