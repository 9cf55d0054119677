//! The replica as a sync session sees it.

use bytes::Bytes;

use super::bodies::BodyState;
use super::offered::WAITING_BYTES_MAX;
use super::receive::Source;
use super::wanted::PACKED_BODY_BYTES_MAX;
use super::{ChainState, EngineError, Replica, State};
use crate::chain::ChainKey;
use crate::codec::Writer;
use crate::description::{Description, DocumentKind, Spaces};
use crate::hash::{BlobHash, ChangeId, DeviceId, DocumentId, Link, SpaceId};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::model::entry::BodyRef;
use crate::store::{Batch, Table, keys};
use crate::sync::exchange::{
    BodyReceipt, Exchange, ExchangeError, ExchangeResult, Hold, Incomplete, Introduced,
    Introduction, KnownTip, Look, Newest, PackRef, PagePack, Parting, Receipt, Received, Section,
};
use crate::view::bodies_of;
use crate::wire::{ChangePacker, Content, HeadBytes, Part, Probe};

impl From<EngineError> for ExchangeError {
    fn from(error: EngineError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Replica {
    /// All known heads of a section.
    pub(crate) fn section_tips(
        &self,
        state: &mut State,
        section: &Section,
    ) -> Result<Vec<KnownTip>, EngineError> {
        let mut tips = Vec::new();
        for (doc, description) in self.documents(state, &section.space)? {
            if self.section_of(state, &description)?.class == section.class {
                tips.extend(self.document_tips(state, &doc, order(&description))?);
            }
        }
        Ok(tips)
    }

    /// A chain as others may see it. Of an own one that is what is on the disk: a head that a
    /// crash takes back must not be known elsewhere, or its number is signed twice.
    pub(super) fn durable(
        &self,
        state: &State,
        key: &ChainKey,
        chain: ChainState,
    ) -> Result<ChainState, EngineError> {
        if state.own.as_ref().is_none_or(|own| own.device() != key.device) {
            return Ok(chain);
        }
        match self.store.get(Table::Meta, &keys::head(key))? {
            Some(bytes) => ChainState::decode(&bytes).map_err(EngineError::corrupt),
            None => Ok(ChainState { head: Vec::new(), known: 0, held: 0, ..chain }),
        }
    }

    pub(super) fn document_tips(
        &self,
        state: &mut State,
        doc: &DocumentId,
        page: u64,
    ) -> Result<Vec<KnownTip>, EngineError> {
        let mut tips = Vec::new();
        for (chain, known) in self.chains_of(state, doc)? {
            let known = self.durable(state, &chain, known)?;
            if known.known > 0 {
                tips.push(KnownTip {
                    chain,
                    n: known.known,
                    link: known.known_link,
                    held_n: known.held.min(known.known),
                    page,
                });
            }
            for branch in self.branches(state, &chain)? {
                tips.push(KnownTip { chain, n: branch.n, link: branch.link, held_n: 0, page });
            }
        }
        Ok(tips)
    }

    /// The pack of a page that nobody will add entries to; from then on it is served by its
    /// hash. `None` for open pages, those not held whole, and documents without pages.
    ///
    /// # Errors
    /// If the store fails.
    pub fn closed_page(&self, doc: &DocumentId) -> Result<Option<PagePack>, EngineError> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, doc)? else { return Ok(None) };
        if !description.kind.is_log() {
            return Ok(None);
        }
        let mut chains = Vec::new();
        for (key, chain) in self.chains_of(&mut state, doc)? {
            let chain = self.durable(&state, &key, chain)?;
            if chain.known > 0 {
                chains.push((key, chain));
            }
        }
        let closed = !chains.is_empty()
            && chains.iter().any(|(_, chain)| chain.entries >= PAGE_ENTRIES_MAX)
            && chains.iter().all(|(_, chain)| chain.held == chain.known);
        let section = self.section_of(&mut state, &description)?;
        drop(state);
        if !closed {
            return Ok(None);
        }
        let mut packer = ChangePacker::new();
        let mut named = Vec::new();
        for (key, chain) in chains {
            let changes = self.held_changes(&key, true, 1, chain.held, usize::MAX)?;
            let part = Part { first_n: 1, content: Content::Changes(changes) };
            if part.content.len() as u64 != chain.held {
                return Ok(None);
            }
            packer.add(key, &[part]);
            named.push((key, chain.held));
        }
        let bytes = packer.finish();
        let hash = BlobHash::of(&bytes);
        let pack = PackRef { hash, size: bytes.len() as u64 };
        self.packs.insert_page(section, hash, bytes);
        let mut recipe = Batch::new();
        recipe.put(Table::Meta, keys::pack(&hash), doc.as_bytes().to_vec());
        if self.store.get(Table::Meta, &keys::pack(&hash))?.is_none() {
            // Nobody waits for it: lost in a crash, it is made again when it is asked for.
            drop(self.store.submit(recipe)?);
        }
        Ok(Some(PagePack { pack, chains: named }))
    }

    /// A blob that a remote may have: a change, a body or a pack that came through a
    /// section it may read. The same answer for unknown and forbidden.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn blob_for(
        &self,
        remote: &DeviceId,
        hash: &BlobHash,
    ) -> Result<Option<Bytes>, EngineError> {
        if let Some((section, bytes)) = self.packs.serve(hash) {
            return Ok(self.readable(remote, &section)?.then_some(bytes));
        }
        if let Some(doc) = self.store.get(Table::Meta, &keys::pack(hash))? {
            let doc: [u8; 32] = doc.as_ref().try_into().map_err(EngineError::corrupt)?;
            let rebuilt = self.closed_page(&DocumentId::from_bytes(doc))?;
            if rebuilt.is_some_and(|page| page.pack.hash == *hash)
                && let Some((section, bytes)) = self.packs.serve(hash)
            {
                return Ok(self.readable(remote, &section)?.then_some(bytes));
            }
        }
        if self.may_fetch(remote, hash)? { self.held_bytes(hash) } else { Ok(None) }
    }

    /// Whether a change or body came through a section the remote may read.
    ///
    /// # Errors
    /// If the store fails.
    pub fn may_fetch(&self, remote: &DeviceId, hash: &BlobHash) -> Result<bool, EngineError> {
        let id = ChangeId::from_bytes(*hash.as_bytes());
        let mut docs: Vec<DocumentId> =
            self.entry_row(&id)?.map(|row| row.doc).into_iter().collect();
        let places = self.body_rows(hash)?.into_iter();
        let held = places.filter(|(_, row)| BodyState::parse(row) == Some(BodyState::Held));
        docs.extend(held.map(|(doc, _)| doc));
        for doc in docs {
            if self.may_read_document(remote, &doc)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bodies (not attachments) that changes of a chain name. Whether they are here is seen when
    /// they are read.
    pub(super) fn chain_bodies(
        &self,
        key: &ChainKey,
        first_n: u64,
        last_n: u64,
    ) -> Result<Vec<BodyRef>, EngineError> {
        let entries = match self.entries_lately(key, first_n, last_n) {
            Some(entries) => entries,
            None => {
                let items = self.log_items(key, first_n, last_n)?.into_iter();
                items.map(|item| item.entry).collect()
            }
        };
        let first = entries.iter().filter_map(|entry| bodies_of(entry).into_iter().next());
        let out: Vec<BodyRef> = first.collect();
        let since = self.offered.times_forgotten();
        let bytes = match out.len() > 1 {
            true => self.gathered_of(key, first_n, last_n, WAITING_BYTES_MAX)?,
            false => Vec::new(),
        };
        self.offered.note(&key.doc, &out, bytes, since);
        Ok(out)
    }

    /// A body that a remote may have, where it is known in which document to look first.
    pub(super) fn given_body(
        &self,
        remote: &DeviceId,
        hash: &BlobHash,
    ) -> Result<Option<Bytes>, EngineError> {
        if let Some((doc, bytes)) = self.offered.take(hash)
            && self.may_read_document(remote, &doc)?
        {
            if bytes.is_some() {
                return Ok(bytes);
            }
            if let Some(row) = self.body_row(hash, &doc)?
                && BodyState::parse(&row) == Some(BodyState::Held)
            {
                return self.held_bytes_in(&row, hash);
            }
        }
        if self.may_fetch(remote, hash)? { self.held_bytes(hash) } else { Ok(None) }
    }

    fn may_read_document(&self, remote: &DeviceId, doc: &DocumentId) -> Result<bool, EngineError> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, doc)? else { return Ok(false) };
        let section = self.section_of(&mut state, &description)?;
        drop(state);
        self.readable(remote, &section)
    }
}

impl Exchange for Replica {
    fn own_device(&self) -> DeviceId {
        self.device().unwrap_or(DeviceId::from_bytes([0; 32]))
    }

    fn kept_sections(&self) -> ExchangeResult<Vec<Section>> {
        Ok(self.sections_kept(&mut self.lock())?.iter().copied().collect())
    }

    fn held_sections(&self) -> ExchangeResult<Vec<Section>> {
        let mut state = self.lock();
        let mut sections = Vec::new();
        for space in self.known_spaces()? {
            for (_, description) in self.documents(&mut state, &space)? {
                sections.push(self.section_of(&mut state, &description)?);
            }
        }
        sections.extend(self.sections_kept(&mut state)?.iter());
        sections.sort_unstable();
        sections.dedup();
        Ok(sections)
    }

    fn may_read(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<bool> {
        Ok(self.readable(remote, section)?)
    }

    fn introductions(
        &self,
        remote: &DeviceId,
        common: Option<&Spaces>,
    ) -> ExchangeResult<Introduced> {
        Ok(self.introductions_to(remote, common)?)
    }

    fn introductions_epoch(&self) -> u64 {
        self.lock().moves
    }

    fn take_introductions(
        &self,
        remote: &DeviceId,
        path: &[u8],
        spaces: &[Bytes],
    ) -> ExchangeResult<bool> {
        Ok(self.take_introductions_of(remote, path, spaces)?)
    }

    fn partings(&self, remote: &DeviceId) -> ExchangeResult<Vec<Parting>> {
        Ok(self.partings_to(remote)?)
    }

    fn digest(&self, section: &Section) -> ExchangeResult<[u8; 32]> {
        Ok(self.section_digest(&mut self.lock(), section)?)
    }

    fn tips(&self, section: &Section) -> ExchangeResult<Vec<KnownTip>> {
        Ok(self.section_tips(&mut self.lock(), section)?)
    }

    fn unshown(&self, remote: &DeviceId, tips: &[(Section, KnownTip)]) -> ExchangeResult<usize> {
        Ok(self.unshown_to(remote, tips)?)
    }

    fn agreed(&self, remote: &DeviceId, opener: bool) -> ExchangeResult<Option<Bytes>> {
        let row = self.store.get(Table::Meta, &keys::agreed(remote, opener));
        Ok(row.map_err(EngineError::from)?)
    }

    fn record_agreed(&self, remote: &DeviceId, opener: bool, list: Bytes) -> ExchangeResult<()> {
        Ok(self.record_list(remote, opener, list.into())?)
    }

    fn chain_tips(&self, chain: &ChainKey) -> ExchangeResult<Vec<(Section, KnownTip)>> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &chain.doc)? else {
            return Ok(Vec::new());
        };
        let section = self.section_of(&mut state, &description)?;
        let tips = self.document_tips(&mut state, &chain.doc, order(&description))?;
        Ok(tips.into_iter().filter(|tip| tip.chain == *chain).map(|tip| (section, tip)).collect())
    }

    fn links(&self, chain: &ChainKey, n: u64) -> ExchangeResult<Vec<Link>> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &chain.doc)? else {
            return Ok(Vec::new());
        };
        let space: SpaceId = description.space.id();
        let known = self.chain(&mut state, &space, chain)?;
        let known = self.durable(&state, chain, known)?;
        let branches = self.branches(&mut state, chain)?;
        drop(state);
        let mut links = Vec::new();
        if n == known.known {
            links.push(known.known_link);
        } else if n <= known.known {
            // What is not kept is known by its ids all the same.
            let ids = self.change_ids(chain, 1, n)?;
            let whole = ids.len() as u64 == n;
            if whole && (n <= known.held || self.bridge(chain, &known)?.is_some()) {
                links.push(run(chain.origin(&space), &ids));
            }
        }
        for branch in branches {
            let count = usize::try_from(n).unwrap_or(usize::MAX);
            if let Some(ids) = branch.ids.get(..count) {
                links.push(run(chain.origin(&space), ids));
            }
        }
        links.dedup();
        Ok(links)
    }

    fn leads_to(&self, chain: &ChainKey, n: u64, parts: &[Part]) -> ExchangeResult<Option<Link>> {
        Ok(self.led_to(chain, n, parts)?)
    }

    fn introduce(&self, tip: &KnownTip) -> ExchangeResult<Option<Introduction>> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &tip.chain.doc)? else {
            return Ok(None);
        };
        let Some(known) = self.known_device(&mut state, &tip.chain.device)? else {
            return Ok(None);
        };
        let mut w = Writer::new();
        known.path.encode(&mut w);
        let path = Bytes::from(w.finish());
        let chain = self.chain(&mut state, &description.space.id(), &tip.chain)?;
        let chain = self.durable(&state, &tip.chain, chain)?;
        let branches = self.branches(&mut state, &tip.chain)?;
        let other = branches.iter().find(|branch| branch.link == tip.link);
        let head: HeadBytes = match other {
            Some(branch) => branch.head,
            None if chain.known_link != tip.link
                && let Some((head, ..)) =
                    self.proof(&tip.chain, &chain)?.filter(|(_, _, link)| *link == tip.link) =>
            {
                head
            }
            None => match chain.head.as_slice().try_into() {
                Ok(head) => head,
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(Introduction { description: (*description).clone(), path, head }))
    }

    fn proof(&self, tip: &KnownTip) -> ExchangeResult<Option<KnownTip>> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &tip.chain.doc)? else {
            return Ok(None);
        };
        let chain = self.chain(&mut state, &description.space.id(), &tip.chain)?;
        if chain.known_link != tip.link {
            return Ok(None);
        }
        let proof = Self::proof(self, &tip.chain, &chain)?;
        Ok(proof.map(|(_, n, link)| KnownTip { n, link, held_n: n, ..*tip }))
    }

    fn part(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        Ok(self.tip_part(tip, first_n, bytes_max)?)
    }

    fn ids(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        Ok(self.tip_ids(tip, first_n, bytes_max)?)
    }

    fn page_pack(&self, _section: &Section, doc: &DocumentId) -> ExchangeResult<Option<PagePack>> {
        Ok(self.closed_page(doc)?)
    }

    fn register_pack(&self, section: &Section, bytes: Bytes) -> ExchangeResult<PackRef> {
        let pack = PackRef { hash: BlobHash::of(&bytes), size: bytes.len() as u64 };
        self.packs.announce(*section, pack.hash, bytes);
        Ok(pack)
    }

    fn release_pack(&self, pack: &PackRef) -> ExchangeResult<bool> {
        Ok(self.packs.release(&pack.hash))
    }

    fn is_crowded(&self) -> bool {
        self.packs.crowded()
    }

    fn newest(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<Vec<Newest>> {
        self.newest_of(remote, section)
    }

    fn receive_newest(&self, newest: Newest, now_ms: u64) -> ExchangeResult<(u64, u32)> {
        self.lock().now_ms = now_ms;
        Ok(self.take_newest(newest)?)
    }

    fn settle_newest(&self) -> ExchangeResult<()> {
        self.drop_settled_glimpses()
    }

    fn holds_due(
        &self,
        remote: &DeviceId,
        first: bool,
        now_ms: u64,
    ) -> ExchangeResult<Vec<SpaceId>> {
        // The first that a session says: what is over by then counts no more.
        self.lock().now_ms = now_ms;
        Ok(self.receipts_due(remote, first, now_ms)?)
    }

    fn hold(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        now_ms: u64,
    ) -> ExchangeResult<Option<Hold>> {
        Ok(self.sign_hold(remote, space, now_ms)?)
    }

    fn take_hold(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        hold: &Hold,
        now_ms: u64,
    ) -> ExchangeResult<Option<Option<Look>>> {
        Ok(self.note_hold(remote, space, hold, now_ms)?)
    }

    fn answer(&self, remote: &DeviceId, probe: &Probe) -> ExchangeResult<Option<[u8; 32]>> {
        Ok(self.answer_probe(remote, probe)?)
    }

    fn note_probed(
        &self,
        remote: &DeviceId,
        space: &SpaceId,
        held: bool,
        now_ms: u64,
    ) -> ExchangeResult<()> {
        Ok(self.note_probe(remote, space, held, now_ms)?)
    }

    fn receive_with(
        &self,
        remote: &DeviceId,
        chains: Vec<Received>,
        bodies: Vec<Bytes>,
        now_ms: u64,
    ) -> ExchangeResult<Receipt> {
        self.lock().now_ms = now_ms;
        let receipt = self.take_chains(Source::Peer(remote), chains, bodies)?;
        self.enforce_limits()?;
        Ok(receipt)
    }

    fn bodies_of(&self, tip: &KnownTip, first_n: u64, last_n: u64) -> ExchangeResult<Vec<BodyRef>> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, &tip.chain.doc)? else {
            return Ok(Vec::new());
        };
        let chain = self.chain(&mut state, &description.space.id(), &tip.chain)?;
        drop(state);
        if description.kind == DocumentKind::AccountLog || !description.kind.is_log() {
            return Ok(Vec::new());
        }
        Ok(self.chain_bodies(&tip.chain, first_n, last_n.min(chain.held))?)
    }

    fn missing_bodies(
        &self,
        section: &Section,
        after: Option<BlobHash>,
        limit: usize,
    ) -> ExchangeResult<Vec<BodyRef>> {
        let mut wanted = self.wanted_bodies(section, after, usize::MAX)?;
        wanted.retain(|body| body.size <= PACKED_BODY_BYTES_MAX);
        wanted.truncate(limit);
        Ok(wanted)
    }

    fn missing_bodies_count(&self, section: &Section) -> ExchangeResult<u64> {
        Ok(self.wanted_bodies(section, None, usize::MAX)?.len() as u64)
    }

    fn spares(&self, section: &Section) -> ExchangeResult<bool> {
        Ok(self.is_limited(&mut self.lock(), section)?)
    }

    fn is_partial(&self, section: &Section) -> ExchangeResult<bool> {
        Ok(self.may_lack(&mut self.lock(), section)?)
    }

    fn body(&self, remote: &DeviceId, hash: &BlobHash) -> ExchangeResult<Option<Bytes>> {
        Ok(self.given_body(remote, hash)?)
    }

    fn receive_bodies(
        &self,
        _remote: &DeviceId,
        bodies: Vec<Bytes>,
    ) -> ExchangeResult<BodyReceipt> {
        let (stored, bytes, refused) = self.take_bodies(bodies)?;
        self.enforce_limits()?;
        Ok(BodyReceipt { stored, bytes, refused })
    }

    fn incomplete(&self, section: &Section, limit: usize) -> ExchangeResult<Vec<Incomplete>> {
        let tips = self.open_chains(&mut self.lock(), section, limit)?;
        Ok(tips.into_iter().map(|tip| Incomplete { tip, section: *section }).collect())
    }

    fn missing_count(&self, section: &Section) -> ExchangeResult<u64> {
        self.section_missing(section)
    }

    fn shown(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<Vec<(ChainKey, u64)>> {
        Ok(self.peer_tips(remote, section)?)
    }

    fn record_shown(
        &self,
        remote: &DeviceId,
        section: &Section,
        tips: &[(ChainKey, u64)],
    ) -> ExchangeResult<()> {
        Ok(self.record_peer_tips(remote, section, tips)?)
    }
}

/// Page of a document, for the order in which documents travel.
pub(super) const fn order(description: &Description) -> u64 {
    if description.kind.is_log() { description.page } else { u64::MAX }
}

fn run(origin: Link, ids: &[ChangeId]) -> Link {
    (1..).zip(ids).fold(origin, |link, (n, id)| crate::chain::extend(&link, n, id))
}
