//! What a replica keeps in memory: caches over the store, and the work of one commit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::budget::DocumentUse;
use super::conversations::{Circle, KeptConversation, KnownTalk, OpenedPosts, Talk};
use super::digests::Digest;
use super::forks::Branch;
use super::hubs::{Guests, HubRoom, KnownHub};
use super::keyring::HeldKey;
use super::prekeys::Half;
use super::visitors::VisitorUse;
use super::witness::Admitted;
use super::{Event, Subscription};
use crate::authority::Authority;
use crate::chain::{ChainKey, SignedHead};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, Space};
use crate::document::{MapDocument, TextDocument};
use crate::hash::{
    AccountId, BlobHash, ChangeHash, ChangeId, ConversationId, DeviceId, DocumentId, EpochId,
    HubId, Incarnation, Link, SpaceId,
};
use crate::identity::{CertificatePath, DeviceSecret, VerifiedDevice};
use crate::limits::HEAD_AHEAD_MAX;
use crate::model::entry::{Entry, Tip};
use crate::seal::EpochKey;
use crate::store::Batch;
use crate::sync::exchange::Section;
use crate::view::{ChainName, EntryRow};

/// What is stored about one chain: its newest known head and what is held of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainState {
    /// Newest known head, verified when it came; empty if none.
    pub head: Vec<u8>,
    /// Its position; 0 if none.
    pub known: u64,
    /// Its link.
    pub known_link: Link,
    /// Changes held, from 1 without a hole.
    pub held: u64,
    /// Link after the held changes.
    pub link: Link,
    /// Automerge hash of the last held change.
    pub last: Option<ChangeHash>,
    /// Entries among the held changes.
    pub entries: u64,
    /// Modifications among the held changes.
    pub modifications: u64,
    /// Value bytes (log) or stored bytes (map) of the held changes.
    pub bytes: u64,
    /// The bytes were here and were evicted; fetched again on demand only.
    pub evicted: bool,
    /// Position from which the chain is invalid for ever; 0 if it is not.
    pub invalid_from: u64,
}

impl ChainState {
    /// A chain of which nothing is known.
    #[must_use]
    pub const fn fresh(origin: Link) -> Self {
        Self {
            head: Vec::new(),
            known: 0,
            known_link: origin,
            held: 0,
            link: origin,
            last: None,
            entries: 0,
            modifications: 0,
            bytes: 0,
            evicted: false,
            invalid_from: 0,
        }
    }

    /// Encodes the head row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.head).varint(self.known).raw(self.known_link.as_bytes());
        w.varint(self.held).raw(self.link.as_bytes());
        match &self.last {
            None => w.u8(0),
            Some(hash) => w.u8(1).raw(hash.as_bytes()),
        };
        w.varint(self.entries).varint(self.modifications).varint(self.bytes);
        w.u8(u8::from(self.evicted)).varint(self.invalid_from);
        w.finish()
    }

    /// Decodes a head row.
    ///
    /// # Errors
    /// If the bytes are not a head row.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let state = Self {
            head: r.bytes(SignedHead::LEN, "head")?.to_vec(),
            known: r.varint(HEAD_AHEAD_MAX, "known")?,
            known_link: Link::from_bytes(r.array("known link")?),
            held: r.varint(HEAD_AHEAD_MAX, "held")?,
            link: Link::from_bytes(r.array("link")?),
            last: match r.u8("last flag")? {
                0 => None,
                _ => Some(ChangeHash::from_bytes(r.array("last")?)),
            },
            entries: r.varint(u64::MAX, "entries")?,
            modifications: r.varint(u64::MAX, "modifications")?,
            bytes: r.varint(u64::MAX, "bytes")?,
            evicted: r.u8("evicted")? != 0,
            invalid_from: r.varint(u64::MAX, "invalid from")?,
        };
        r.end()?;
        Ok(state)
    }
}

/// A device whose certificate path verified here.
#[derive(Debug, Clone)]
pub struct KnownDevice {
    /// What the path proved.
    pub device: VerifiedDevice,
    /// The path, to pass on.
    pub path: CertificatePath,
}

impl KnownDevice {
    /// The device that brought it in; `None` for the first one.
    pub(crate) fn issuer(&self) -> Option<DeviceId> {
        self.path.certificates.last().map(|certificate| certificate.issuer)
    }
}

/// The account and device that write here.
#[derive(Debug)]
pub struct Own {
    /// Keys of this device.
    pub secret: DeviceSecret,
    /// The account.
    pub account: AccountId,
    /// Writing life in force.
    pub incarnation: Incarnation,
    /// Epoch keys of the private sector that this device could open.
    pub ring: HashMap<EpochId, EpochKey>,
    /// Halves of the prekeys of this device, the newest first; read when they are asked for.
    pub(crate) halves: Option<Vec<Half>>,
}

impl Own {
    /// This device's id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.secret.id()
    }

    /// The half of the prekey that this device published last.
    pub(crate) fn newest_half(&self) -> Option<&Half> {
        self.halves.iter().flatten().find(|half| half.replaced_ms == 0)
    }
}

/// Caches over the store; whoever holds the lock may write.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub own: Option<Own>,
    pub chains: BTreeMap<ChainKey, ChainState>,
    /// Documents of which all chains are in `chains`.
    pub whole: HashSet<DocumentId>,
    pub descriptions: HashMap<DocumentId, Arc<Description>>,
    pub devices: HashMap<DeviceId, Arc<KnownDevice>>,
    pub authorities: HashMap<AccountId, Arc<Authority>>,
    /// Maps of all changes held: what new changes are checked against.
    pub maps: HashMap<DocumentId, MapDocument>,
    /// Maps without what counts for nothing, where that makes a difference.
    pub shown: HashMap<DocumentId, MapDocument>,
    /// Texts, as maps are kept.
    pub texts: HashMap<DocumentId, TextDocument>,
    /// Texts without what is not shown, where that makes a difference.
    pub shown_texts: HashMap<DocumentId, TextDocument>,
    /// Changes that changes which count build on and that are not here.
    pub awaited: HashMap<DocumentId, BTreeSet<ChangeHash>>,
    /// Chains that went on, while what lies before was not kept here; and since when.
    pub gapped: BTreeMap<ChainKey, u64>,
    pub digests: HashMap<Section, Digest>,
    /// What is missing of sections, and when it was counted.
    pub missing: HashMap<Section, (u64, u64)>,
    /// Grows with each commit that may change it.
    pub missing_epoch: u64,
    pub spaces: HashMap<SpaceId, Space>,
    /// Hubs as their operations make them, worked out when they are asked for.
    pub hubs: HashMap<HubId, KnownHub>,
    /// Which are private.
    pub private_hubs: HashMap<HubId, bool>,
    /// Who is invited to private ones.
    pub guests: Guests,
    /// Counts how often any of them changed.
    pub hub_changes: u64,
    /// Hubs of which it is to be looked at what is purged.
    pub purges_due: BTreeSet<HubId>,
    /// What own chains in channels say was seen of the hub.
    pub seen: HashMap<ChainKey, BTreeSet<Link>>,
    /// Documents of each space, loaded once.
    pub docs: HashMap<SpaceId, BTreeSet<DocumentId>>,
    /// How much of the branch that a cut names is followed, once that much is held.
    pub agreed: HashMap<Tip, u64>,
    /// Cuts that stand in a document itself, worked out lately.
    pub cuts: HashMap<DocumentId, Arc<Vec<Tip>>>,
    /// Newest page of rows of pages, by their page 0.
    pub pages: HashMap<DocumentId, u64>,
    /// Last page of unbroken rows of pages, as far as it was followed.
    pub row_ends: HashMap<DocumentId, u64>,
    /// Other branches of forked chains.
    pub forks: HashMap<ChainKey, Vec<Branch>>,
    /// Certificates and whether they verified.
    pub admitted: Admitted,
    /// Sections kept; worked out again when something about it changes.
    pub kept: Option<Arc<BTreeSet<Section>>>,
    /// Accounts whose logs are kept only because of conversations, by their spaces, with those;
    /// worked out with `kept`.
    pub discreet: BTreeMap<SpaceId, (AccountId, Arc<Vec<SpaceId>>)>,
    /// Conversations that are kept; worked out again with `kept`.
    pub conversations: Option<Arc<BTreeMap<SpaceId, KeptConversation>>>,
    /// Who told of conversations that the own account has left: he has not heard of that.
    pub parting_with: BTreeMap<AccountId, VecDeque<(DeviceId, ConversationId)>>,
    /// Groups of which somebody known says that the own account came to them later.
    pub told: BTreeSet<ConversationId>,
    /// How often somebody came to a conversation or went, since this replica was opened.
    pub moves: u64,
    /// Until when texts that expire were dropped last, by the clock here.
    pub expired_ms: u64,
    /// Who takes part in conversations, worked out when it is asked for.
    pub talks: HashMap<ConversationId, KnownTalk>,
    /// Keys of conversations and private channels that this device could open.
    pub circle_keys: HashMap<(Circle, EpochId), HeldKey>,
    /// Rows of the keyring that no commit took along yet.
    pub unsaved_keys: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Who reads private channels and what is told of their keys, as of so many changes of hubs.
    pub channel_talks: HashMap<Circle, (u64, Arc<Talk>)>,
    /// Counts how often keys of circles in hubs may have become known.
    pub key_changes: u64,
    /// As of which changes of hubs and keys the texts of a hub were opened last.
    pub texts_opened: HashMap<HubId, (u64, u64)>,
    /// What opens of audiences, worked out when it is asked for.
    pub audiences: HashMap<ConversationId, Arc<OpenedPosts>>,
    /// Accounts that are blocked; worked out again with `kept`.
    pub blocked: Option<Arc<BTreeSet<AccountId>>>,
    /// What visitors have on each wall.
    pub visitors: HashMap<SpaceId, BTreeMap<AccountId, VisitorUse>>,
    /// What members of hubs have here, and may have.
    pub hub_rooms: HashMap<HubId, HubRoom>,
    /// What documents use, worked out lately, with the largest body counted as wanted.
    pub uses: HashMap<DocumentId, (DocumentUse, u64)>,
    /// Subscriptions that keep only a part; worked out again when one changes.
    pub limits: Option<HashMap<SpaceId, Subscription>>,
    /// Pages asked for again after eviction.
    pub demanded: BTreeSet<(AccountId, u64)>,
    /// The time that the last exchange was told.
    pub now_ms: u64,
    /// Somebody's tombstones are to be looked at again.
    pub unsettled: bool,
    /// What peers showed and no commit took along yet: rows, and the highest n.
    pub peers_showed: BTreeMap<Vec<u8>, u64>,
    /// Accounts whose marks in the store were worked off; no commit took them away yet.
    pub settled: BTreeSet<AccountId>,
    pub journal: u64,
    pub failed: Option<String>,
    /// Caches were changed for a commit that has not been handed to the store.
    pub dirty: bool,
}

/// Chains, and descriptions, kept in memory; small in unit tests, so that all of them meet it.
const CACHED_MAX: usize = if cfg!(test) { 48 } else { 65_536 };
/// Devices kept in memory, each with its certificate path.
const DEVICES_CACHED_MAX: usize = CACHED_MAX / 4;
/// Texts kept in memory.
const TEXTS_CACHED_MAX: usize = if cfg!(test) { 2 } else { 64 };
/// Stored bytes of the texts kept in memory, which take some times as much there.
const TEXT_BYTES_CACHED_MAX: u64 = 4 * 1024 * 1024;

impl State {
    /// Whether some cache is larger than it may be. One operation can go beyond; the next
    /// one begins with less.
    pub(crate) fn is_full(&self) -> bool {
        self.chains.len() > CACHED_MAX
            || self.descriptions.len() > CACHED_MAX
            || self.uses.len() > CACHED_MAX
            || self.devices.len() > DEVICES_CACHED_MAX
            || self.texts.len() > TEXTS_CACHED_MAX
            || self.texts.values().map(TextDocument::weight).sum::<u64>() > TEXT_BYTES_CACHED_MAX
    }

    /// Drops every other entry of caches that are full. What they hold must be in the store.
    pub(crate) fn trim(&mut self) {
        let mut turn = false;
        let mut every_other = || {
            turn = !turn;
            turn
        };
        if self.chains.len() > CACHED_MAX {
            self.chains.retain(|_, _| every_other());
            // Of no document it is known any more that all of them are here.
            self.whole.clear();
        }
        if self.descriptions.len() > CACHED_MAX {
            self.descriptions.retain(|_, _| every_other());
        }
        if self.uses.len() > CACHED_MAX {
            self.uses.retain(|_, _| every_other());
        }
        if self.devices.len() > DEVICES_CACHED_MAX {
            self.devices.retain(|_, _| every_other());
        }
        let heavy = self.texts.values().map(TextDocument::weight).sum::<u64>();
        if self.texts.len() > TEXTS_CACHED_MAX || heavy > TEXT_BYTES_CACHED_MAX {
            self.texts.clear();
            self.shown_texts.clear();
        }
    }

    /// Chains of a document that are in memory.
    pub(crate) fn chains_in(
        &self,
        doc: &DocumentId,
    ) -> impl Iterator<Item = (&ChainKey, &ChainState)> {
        let first = ChainKey {
            doc: *doc,
            device: DeviceId::from_bytes([0; 32]),
            incarnation: Incarnation::from_bytes([0; 16]),
        };
        let doc = *doc;
        self.chains.range(first..).take_while(move |(key, _)| key.doc == doc)
    }

    /// Drops what was worked out about the use of documents.
    pub(crate) fn forget_uses(&mut self, docs: &BTreeSet<DocumentId>) {
        for doc in docs {
            self.uses.remove(doc);
        }
    }

    /// Drops every cache; the own identity too if the store knows none.
    pub(crate) fn forget_caches(&mut self, no_account: bool) {
        let mut own = self.own.take().filter(|_| !no_account);
        // One that was made for a commit that failed is not in the store.
        if let Some(own) = &mut own {
            own.halves = None;
        }
        *self = Self {
            own,
            journal: self.journal,
            now_ms: self.now_ms,
            expired_ms: self.expired_ms,
            demanded: std::mem::take(&mut self.demanded),
            admitted: std::mem::take(&mut self.admitted),
            awaited: std::mem::take(&mut self.awaited),
            peers_showed: std::mem::take(&mut self.peers_showed),
            told: std::mem::take(&mut self.told),
            gapped: std::mem::take(&mut self.gapped),
            failed: self.failed.take(),
            missing_epoch: self.missing_epoch + 1,
            unsettled: true,
            ..Self::default()
        };
    }
}

/// One commit in the making. Reads see the store, so what this commit adds and later
/// steps of it must see is kept here too.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub batch: Batch,
    /// Log changes that are not in the batch yet.
    pub(super) runs: super::runs::Runs,
    /// Rows of bodies that this commit takes some out of.
    pub(super) edited: super::gathered::Edited,
    /// Chains of which this commit keeps ids in the place of changes.
    pub bridged: BTreeSet<ChainKey>,
    /// Blobs of this commit that are kept as files.
    pub large: Vec<(BlobHash, Bytes)>,
    /// Chains whose head rows change.
    pub chains: BTreeSet<ChainKey>,
    /// Chains written here, to be signed at the end.
    pub signed: BTreeMap<ChainKey, Arc<Description>>,
    /// Accounts whose authority must be folded again.
    pub accounts: BTreeSet<AccountId>,
    /// Members of hubs who have more or less here than before.
    pub hub_uses: BTreeSet<(HubId, AccountId)>,
    /// Documents of which nothing is stored before this commit.
    pub documents: HashSet<DocumentId>,
    /// Changes of texts that this commit adds, by chain.
    pub text_changes: BTreeMap<ChainKey, Vec<ChangeId>>,
    /// Maps and texts that have to be made again.
    pub maps: BTreeSet<DocumentId>,
    /// Profiles that change, and whether a picture was chosen here.
    pub profiles: BTreeMap<DocumentId, bool>,
    /// Documents that got cuts.
    pub cuts: BTreeSet<DocumentId>,
    /// Spaces whose digests change.
    pub spaces: BTreeSet<SpaceId>,
    /// Entries added.
    pub entries: HashMap<ChangeId, (EntryRow, Entry)>,
    /// Entries withdrawn, with the document that says so.
    pub withdrawn: HashMap<ChangeId, DocumentId>,
    /// Bodies that entries of this commit name.
    pub named: HashSet<(DocumentId, BlobHash)>,
    /// Those that other entries of their document name too.
    pub shared: HashSet<(DocumentId, BlobHash)>,
    /// Bodies that came along with the changes, until one wants them.
    pub arriving: HashMap<BlobHash, Bytes>,
    /// Those that were wanted.
    pub arrived: u64,
    /// Names of chains that this commit asked for.
    pub chain_names: HashMap<ChainKey, Option<ChainName>>,
    /// Blobs that this commit relies on: changes, and bodies with their documents.
    pub needed: BTreeSet<(BlobHash, Option<DocumentId>)>,
    /// Bodies that this commit gives up, with the documents that named them.
    pub given_up: BTreeSet<(BlobHash, DocumentId)>,
    /// Messages that are purged no more.
    pub unpurged: BTreeSet<ChangeId>,
    /// Bodies that this commit drops.
    pub dropped: BTreeSet<BlobHash>,
    pub events: Vec<Event>,
    /// Whoever asks next under the same idempotency key must find this commit.
    pub once: bool,
    /// This commit publishes a prekey.
    pub prekey: bool,
    /// Keys that this commit seals texts of hubs with.
    pub text_keys: HashMap<Circle, EpochKey>,
    /// The time, where it is known when something is written here.
    pub now_ms: u64,
    /// Blob files that nothing names any more once this is durable.
    pub files: Vec<BlobHash>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::DocumentKind;
    use crate::hash::SpaceId;

    #[test]
    fn caches_do_not_grow_beyond_their_bound() {
        let mut state = State::default();
        for number in 0..200u8 {
            let key = ChainKey {
                doc: DocumentId::from_bytes([number; 32]),
                device: DeviceId::from_bytes([1; 32]),
                incarnation: Incarnation::from_bytes([2; 16]),
            };
            let origin = key.origin(&SpaceId::from_bytes([3; 32]));
            state.chains.insert(key, ChainState::fresh(origin));
            let account = AccountId::from_bytes([number; 32]);
            let description = Description::own(account, DocumentKind::Wall, 0);
            state.descriptions.insert(description.id(), Arc::new(description));
            state.whole.insert(key.doc);
            if state.is_full() {
                state.trim();
            }
            assert!(!state.is_full());
            assert!(state.whole.iter().all(|doc| state.chains_in(doc).count() == 1));
        }
        assert!(state.chains.len() >= CACHED_MAX / 2 && state.chains.len() <= CACHED_MAX);
        assert!(state.descriptions.len() >= CACHED_MAX / 2);
    }
}
