//! A hub over a real replica that shows something else than it holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mosaic_engine::chain::ChainKey;
use mosaic_engine::hash::{BlobHash, DeviceId, DocumentId, Link};
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::News;
use mosaic_engine::sync::digest::section_digest;
use mosaic_engine::sync::exchange::{
    BodyReceipt, Exchange, ExchangeResult, Incomplete, Introduction, KnownTip, PackRef, PagePack,
    Receipt, Received, Section,
};
use mosaic_engine::sync::sim::Party;
use mosaic_engine::wire::{Changes, Content, Part, head_route};

/// What a hub shows.
#[derive(Debug, Clone, Default)]
pub enum Show {
    /// What it holds.
    #[default]
    Truth,
    /// Bodies with one bit altered.
    AlteredBodies,
    /// No bodies at all.
    NoBodies,
    /// Changes with one bit altered.
    AlteredChanges,
    /// Every page of a document row but this one.
    WithoutPage(u64),
    /// Ids in place of changes.
    IdsOnly,
    /// Chains of somebody else beside its own.
    Also(Vec<Received>),
}

/// A hub that lies.
#[derive(Debug)]
pub struct Hub {
    replica: Mutex<Arc<Replica>>,
    show: Mutex<Show>,
}

impl Hub {
    /// Starts honest.
    #[must_use]
    pub fn new(replica: Arc<Replica>) -> Self {
        Self { replica: Mutex::new(replica), show: Mutex::new(Show::Truth) }
    }

    /// The replica shown.
    #[must_use]
    pub fn replica(&self) -> Arc<Replica> {
        self.lock().clone()
    }

    /// Shows another replica of the same device from now on: an older state, a branch.
    pub fn become_replica(&self, replica: Arc<Replica>) {
        *self.lock() = replica;
    }

    /// Begins to lie, or ends.
    pub fn set_show(&self, show: Show) {
        *self.show.lock().unwrap_or_else(PoisonError::into_inner) = show;
    }

    /// A blob as `remote` gets it by hash.
    #[must_use]
    pub fn blob(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes> {
        self.replica().blob_for(remote, hash).ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Replica>> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) -> Show {
        self.show.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn shows(&self, tip: &KnownTip) -> bool {
        !matches!(self.show(), Show::WithoutPage(page) if page == tip.page)
    }

    fn also(&self) -> Vec<Received> {
        if let Show::Also(more) = self.show() { more } else { Vec::new() }
    }

    fn also_of(&self, chain: &ChainKey) -> Option<Received> {
        self.also().into_iter().find(|more| tip_of(more).is_some_and(|tip| tip.chain == *chain))
    }

    /// Ids of the changes that a part stands for.
    fn ids(&self, tip: &KnownTip, part: &Part) -> Vec<mosaic_engine::hash::ChangeId> {
        let all = self.replica().changes(&tip.chain.doc).unwrap_or_default();
        let wanted = part.first_n..=part.last_n();
        all.into_iter()
            .filter(|change| change.key == tip.chain && wanted.contains(&change.n))
            .map(|change| change.id)
            .collect()
    }
}

fn tip_of(received: &Received) -> Option<KnownTip> {
    let route = head_route(&received.head).ok()?;
    let link = received.head.get(121 + 32..121 + 64)?;
    let page = received.description.as_ref().map_or(0, |description| description.page);
    let link = Link::from_bytes(link.try_into().ok()?);
    Some(KnownTip { chain: route.chain, n: route.n, link, held_n: route.n, page })
}

fn altered(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}

fn altered_part(mut part: Part) -> Part {
    match &mut part.content {
        Content::Changes(Changes::Log(items)) => {
            for item in items {
                item.time_ms ^= 1;
            }
        }
        Content::Changes(Changes::Raw(raws)) => {
            for raw in raws {
                *raw = altered(raw);
            }
        }
        Content::Ids(_) => {}
    }
    part
}

impl Exchange for Hub {
    fn own_device(&self) -> DeviceId {
        self.replica().own_device()
    }

    fn kept_sections(&self) -> ExchangeResult<Vec<Section>> {
        self.replica().kept_sections()
    }

    fn held_sections(&self) -> ExchangeResult<Vec<Section>> {
        self.replica().held_sections()
    }

    fn may_read(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<bool> {
        self.replica().may_read(remote, section)
    }

    fn digest(&self, section: &Section) -> ExchangeResult<[u8; 32]> {
        Ok(section_digest(self.tips(section)?))
    }

    fn tips(&self, section: &Section) -> ExchangeResult<Vec<KnownTip>> {
        let mut tips = self.replica().tips(section)?;
        tips.retain(|tip| self.shows(tip));
        let here = |more: &Received| {
            more.description.as_ref().is_some_and(|d| d.space.id() == section.space)
                && section.class == mosaic_engine::description::SectionClass::Public
        };
        tips.extend(self.also().iter().filter(|more| here(more)).filter_map(tip_of));
        Ok(tips)
    }

    fn chain_tips(&self, chain: &ChainKey) -> ExchangeResult<Vec<(Section, KnownTip)>> {
        let mut tips = self.replica().chain_tips(chain)?;
        tips.retain(|(_, tip)| self.shows(tip));
        Ok(tips)
    }

    fn links(&self, chain: &ChainKey, n: u64) -> ExchangeResult<Vec<Link>> {
        self.replica().links(chain, n)
    }

    fn leads_to(&self, chain: &ChainKey, n: u64, parts: &[Part]) -> ExchangeResult<Option<Link>> {
        self.replica().leads_to(chain, n, parts)
    }

    fn introduce(&self, tip: &KnownTip) -> ExchangeResult<Option<Introduction>> {
        if let Some(more) = self.also_of(&tip.chain) {
            let Received { path, description, head, .. } = more;
            return Ok(description.map(|description| Introduction { description, path, head }));
        }
        self.replica().introduce(tip)
    }

    fn ids(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        self.replica().ids(tip, first_n, bytes_max)
    }

    fn part(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        if let Some(more) = self.also_of(&tip.chain) {
            return Ok(more.parts.into_iter().find(|part| part.first_n == first_n));
        }
        let part = self.replica().part(tip, first_n, bytes_max)?;
        Ok(part.map(|part| match self.show() {
            Show::AlteredChanges => altered_part(part),
            Show::IdsOnly => {
                Part { first_n: part.first_n, content: Content::Ids(self.ids(tip, &part)) }
            }
            _ => part,
        }))
    }

    fn page_pack(&self, section: &Section, doc: &DocumentId) -> ExchangeResult<Option<PagePack>> {
        if matches!(self.show(), Show::AlteredChanges | Show::IdsOnly) {
            return Ok(None);
        }
        self.replica().page_pack(section, doc)
    }

    fn register_pack(&self, section: &Section, bytes: Bytes) -> ExchangeResult<PackRef> {
        self.replica().register_pack(section, bytes)
    }

    fn release_pack(&self, pack: &PackRef) -> ExchangeResult<bool> {
        self.replica().release_pack(pack)
    }

    fn receive_with(
        &self,
        remote: &DeviceId,
        chains: Vec<Received>,
        bodies: Vec<Bytes>,
        now_ms: u64,
    ) -> ExchangeResult<Receipt> {
        self.replica().receive_with(remote, chains, bodies, now_ms)
    }

    fn bodies_of(&self, tip: &KnownTip, first_n: u64, last_n: u64) -> ExchangeResult<Vec<BodyRef>> {
        self.replica().bodies_of(tip, first_n, last_n)
    }

    fn missing_bodies(
        &self,
        section: &Section,
        after: Option<BlobHash>,
        limit: usize,
    ) -> ExchangeResult<Vec<BodyRef>> {
        self.replica().missing_bodies(section, after, limit)
    }

    fn missing_bodies_count(&self, section: &Section) -> ExchangeResult<u64> {
        self.replica().missing_bodies_count(section)
    }

    fn body(&self, remote: &DeviceId, hash: &BlobHash) -> ExchangeResult<Option<Bytes>> {
        let body = self.replica().body(remote, hash)?;
        Ok(match self.show() {
            Show::AlteredBodies => body.as_ref().map(altered),
            Show::NoBodies => None,
            _ => body,
        })
    }

    fn receive_bodies(&self, remote: &DeviceId, bodies: Vec<Bytes>) -> ExchangeResult<BodyReceipt> {
        self.replica().receive_bodies(remote, bodies)
    }

    fn incomplete(&self, section: &Section, limit: usize) -> ExchangeResult<Vec<Incomplete>> {
        self.replica().incomplete(section, limit)
    }

    fn shown(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<Vec<(ChainKey, u64)>> {
        self.replica().shown(remote, section)
    }

    fn record_shown(
        &self,
        remote: &DeviceId,
        section: &Section,
        tips: &[(ChainKey, u64)],
    ) -> ExchangeResult<()> {
        self.replica().record_shown(remote, section, tips)
    }
}

impl Party for Hub {
    fn exchange(&self) -> &dyn Exchange {
        self
    }

    fn serve(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes> {
        self.blob(remote, hash)
    }

    fn take_news(&self) -> Vec<News> {
        Vec::new()
    }
}
