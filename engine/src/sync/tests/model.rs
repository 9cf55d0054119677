//! A replica small enough to be seen through: no signatures, no gate, no disk.

mod taking;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use crate::chain::{ChainKey, extend};
use crate::description::{Audience, Description, DocumentKind, SectionClass, Space};
use crate::hash::{AccountId, BlobHash, ChangeId, DeviceId, DocumentId, Incarnation, Link, derive};
use crate::model::entry::BodyRef;
use crate::sync::News;
use crate::sync::exchange::*;
use crate::sync::sim::Party;
use crate::wire::{ChangePacker, Changes, Content, HEAD_BYTES, HeadBytes, LogItem, Part, Reason};

/// Changes of a page before the next one begins.
pub const PAGE_CHANGES: usize = 6;

#[derive(Debug, Clone)]
struct Branch {
    items: Vec<LogItem>,
    links: Vec<Link>,
    head: HeadBytes,
    n: u64,
    link: Link,
}

#[derive(Debug, Default)]
pub struct State {
    kept: BTreeSet<Section>,
    chains: BTreeMap<ChainKey, Vec<Branch>>,
    about: BTreeMap<DocumentId, (Section, Description)>,
    bodies: HashMap<BlobHash, Bytes>,
    deleted: HashSet<BlobHash>,
    packs: HashMap<BlobHash, (Section, Bytes)>,
    shown: HashMap<(DeviceId, Section), BTreeMap<ChainKey, u64>>,
    agreed: HashMap<(DeviceId, bool), Bytes>,
    news: Vec<News>,
    pub refused: HashSet<DeviceId>,
    pub store_fails: bool,
    pub page_packs: bool,
    /// Serves packs with a bit turned.
    pub spoilt: bool,
    pub revoked: HashSet<DeviceId>,
    /// Shows another digest each time it is asked.
    pub restless: bool,
    pub receives: u64,
    /// Says of its packs that nobody fetched them.
    pub unfetched: bool,
    pub announced_bytes: u64,
    pub announced_bytes_max: u64,
    pub crowded: bool,
}

#[derive(Debug)]
pub struct Model {
    pub device: DeviceId,
    pub account: AccountId,
    pub incarnation: Incarnation,
    pub state: RefCell<State>,
}

pub fn space_of(account: AccountId) -> Space {
    Space::Account(account)
}

pub fn section_of(description: &Description) -> Section {
    let class = match description.kind {
        DocumentKind::AccountLog => SectionClass::Authority,
        DocumentKind::Guest => SectionClass::Visitors,
        DocumentKind::Private => SectionClass::Private,
        _ => SectionClass::Public,
    };
    Section { space: description.space.id(), class }
}

pub fn body(text: &str) -> Bytes {
    Bytes::from([&[7u8; 16][..], text.as_bytes()].concat())
}

fn sign(unsigned: &[u8]) -> [u8; 64] {
    let half = derive("model signature", &[unsigned]);
    let mut out = [0; 64];
    out[..32].copy_from_slice(&half);
    out[32..].copy_from_slice(&half);
    out
}

fn head(space: &Space, chain: &ChainKey, n: u64, link: &Link) -> HeadBytes {
    let mut out = [0; HEAD_BYTES];
    out[0] = 0x10;
    out[1..33].copy_from_slice(space.id().as_bytes());
    out[33..65].copy_from_slice(chain.doc.as_bytes());
    out[65..97].copy_from_slice(chain.device.as_bytes());
    out[97..113].copy_from_slice(chain.incarnation.as_bytes());
    out[113..121].copy_from_slice(&n.to_be_bytes());
    out[121..153].copy_from_slice(link.as_bytes());
    let signature = sign(&out[..153]);
    out[153..].copy_from_slice(&signature);
    out
}

fn id_of(item: &LogItem) -> ChangeId {
    ChangeId::of(&[&item.time_ms.to_be_bytes()[..], &item.value].concat())
}

fn body_of(item: &LogItem) -> Option<BodyRef> {
    let hash: [u8; 32] = item.value.get(..32)?.try_into().ok()?;
    Some(BodyRef { hash: BlobHash::from_bytes(hash), size: 0 })
}

impl Model {
    pub fn new(device: u8, account: u8) -> Self {
        let state = State { page_packs: true, ..State::default() };
        Self {
            device: DeviceId::from_bytes([device; 32]),
            account: AccountId::from_bytes([account; 32]),
            incarnation: Incarnation::from_bytes([device; 16]),
            state: RefCell::new(state),
        }
    }

    pub fn keep(&self, account: u8, classes: &[SectionClass]) -> &Self {
        let space = space_of(AccountId::from_bytes([account; 32])).id();
        let sections = classes.iter().map(|class| Section { space, class: *class });
        self.state.borrow_mut().kept.extend(sections);
        self
    }

    /// Writes one change to the last page of a document of its own.
    pub fn write(&self, kind: DocumentKind, text: &str, time_ms: u64) -> ChainKey {
        let mut description = match kind {
            DocumentKind::Private => Description::private(self.account, vec![1; 32]),
            kind => Description::own(self.account, kind, 0),
        };
        assert_eq!(description.audience == Audience::OwnDevices, kind == DocumentKind::Private);
        let state = &mut *self.state.borrow_mut();
        loop {
            let chain = self.chain(&description);
            let full = state.chains.get(&chain).is_some_and(|b| b[0].items.len() >= PAGE_CHANGES);
            if !full || !kind.is_log() {
                break;
            }
            description.page += 1;
        }
        let chain = self.chain(&description);
        let body = body(text);
        let hash = BlobHash::of(&body);
        let value = Bytes::from([hash.as_bytes(), text.as_bytes()].concat());
        state.bodies.insert(hash, body);
        let section = section_of(&description);
        state.about.insert(chain.doc, (section, description.clone()));
        let branches =
            state.chains.entry(chain).or_insert_with(|| vec![empty(&description, &chain)]);
        let branch = &mut branches[0];
        push(branch, &chain, &description.space, LogItem { time_ms, value });
        let n = branch.n;
        branch.head = head(&description.space, &chain, n, &branch.link);
        state.news.push(News { section, chain, from_n: n });
        chain
    }

    fn chain(&self, description: &Description) -> ChainKey {
        ChainKey { doc: description.id(), device: self.device, incarnation: self.incarnation }
    }

    pub fn drop_body(&self, text: &str, for_ever: bool) {
        let hash = BlobHash::of(&body(text));
        let mut state = self.state.borrow_mut();
        state.bodies.remove(&hash);
        if for_ever {
            state.deleted.insert(hash);
        }
    }

    /// Forgets what others showed: as if nobody had met before.
    pub fn forget_shown(&self) {
        self.state.borrow_mut().shown.clear();
    }

    /// Forgets what was written here and not told anybody.
    pub fn forget_news(&self) {
        self.state.borrow_mut().news.clear();
    }

    /// Takes all that another one has written, without a session.
    pub fn take_all(&self, other: &Self) -> &Self {
        let (other, mut state) = (other.state.borrow(), self.state.borrow_mut());
        state.chains.extend(other.chains.iter().map(|(chain, b)| (*chain, b.clone())));
        state.about.extend(other.about.iter().map(|(doc, about)| (*doc, about.clone())));
        state.bodies.extend(other.bodies.iter().map(|(hash, body)| (*hash, body.clone())));
        drop(state);
        self
    }

    /// Takes of what another one has written what is kept here.
    pub fn take_kept(&self, other: &Self) -> &Self {
        let kept = self.state.borrow().kept.clone();
        self.take_all(other);
        let state = &mut *self.state.borrow_mut();
        state.chains.retain(|chain, _| kept.contains(&state.about[&chain.doc].0));
        self
    }

    /// Everything held, for comparison: chains with their links and values, bodies.
    pub fn held(&self, section: &Section) -> BTreeSet<(ChainKey, u64, Link, usize, usize)> {
        let state = self.state.borrow();
        let mut out = BTreeSet::new();
        for (chain, branches) in &state.chains {
            if state.about[&chain.doc].0 != *section {
                continue;
            }
            for branch in branches {
                let bodies = branch.items.iter().filter_map(body_of);
                let bodies = bodies.filter(|b| state.bodies.contains_key(&b.hash)).count();
                out.insert((*chain, branch.n, branch.link, branch.items.len(), bodies));
            }
        }
        out
    }

    pub fn sections(&self) -> Vec<Section> {
        self.state.borrow().kept.iter().copied().collect()
    }

    /// Goes back to fewer changes: an older head.
    pub fn roll_back(&self, chain: &ChainKey, n: usize) {
        let state = &mut *self.state.borrow_mut();
        let (_, description) = state.about[&chain.doc].clone();
        let branch = &mut state.chains.get_mut(chain).unwrap()[0];
        branch.items.truncate(n);
        branch.links.truncate(n);
        branch.n = n as u64;
        branch.link = *branch.links.last().unwrap();
        branch.head = head(&description.space, chain, branch.n, &branch.link);
    }
}

fn empty(description: &Description, chain: &ChainKey) -> Branch {
    let link = chain.origin(&description.space.id());
    let head = head(&description.space, chain, 0, &link);
    Branch { items: Vec::new(), links: Vec::new(), head, n: 0, link }
}

fn push(branch: &mut Branch, chain: &ChainKey, space: &Space, item: LogItem) {
    let origin = chain.origin(&space.id());
    let before = *branch.links.last().unwrap_or(&origin);
    let n = branch.items.len() as u64 + 1;
    let link = extend(&before, n, &id_of(&item));
    branch.items.push(item);
    branch.links.push(link);
    branch.n = branch.n.max(n);
    if branch.n == n {
        branch.link = link;
    }
}

fn tip(chain: &ChainKey, branch: &Branch, page: u64) -> KnownTip {
    let held_n = branch.items.len() as u64;
    KnownTip { chain: *chain, n: branch.n, link: branch.link, held_n, page }
}

impl State {
    fn branch(&self, tip: &KnownTip) -> Option<&Branch> {
        let branches = self.chains.get(&tip.chain)?;
        let exact = branches.iter().find(|branch| branch.n == tip.n && branch.link == tip.link);
        exact.or_else(|| branches.first().filter(|_| branches.len() == 1))
    }
}

impl Exchange for Model {
    fn own_device(&self) -> DeviceId {
        self.device
    }

    fn kept_sections(&self) -> ExchangeResult<Vec<Section>> {
        Ok(self.sections())
    }

    fn held_sections(&self) -> ExchangeResult<Vec<Section>> {
        Ok(self.sections())
    }

    fn may_read(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<bool> {
        // Devices 10 to 19 are account 1's, 20 to 29 account 2's, and so on.
        let account = AccountId::from_bytes([remote.as_bytes()[0] / 10; 32]);
        let private = section.class == SectionClass::Private;
        let own = space_of(account).id() == section.space;
        Ok(!private || (own && !self.state.borrow().revoked.contains(remote)))
    }

    fn digest(&self, section: &Section) -> ExchangeResult<[u8; 32]> {
        let mut tips = self.tips(section)?;
        tips.sort_by_key(|tip| (tip.chain, tip.n, tip.link));
        let mut hasher = blake3::Hasher::new();
        let mut state = self.state.borrow_mut();
        if state.restless {
            state.receives += 1;
            hasher.update(&state.receives.to_be_bytes());
        }
        for tip in tips {
            hasher.update(tip.chain.doc.as_bytes()).update(tip.chain.device.as_bytes());
            hasher.update(tip.chain.incarnation.as_bytes());
            hasher.update(&tip.n.to_be_bytes()).update(tip.link.as_bytes());
        }
        Ok(*hasher.finalize().as_bytes())
    }

    fn tips(&self, section: &Section) -> ExchangeResult<Vec<KnownTip>> {
        let state = self.state.borrow();
        let mut out = Vec::new();
        for (chain, branches) in &state.chains {
            let (of, description) = &state.about[&chain.doc];
            if of == section {
                out.extend(branches.iter().map(|branch| tip(chain, branch, description.page)));
            }
        }
        Ok(out)
    }

    fn agreed(&self, remote: &DeviceId, opener: bool) -> ExchangeResult<Option<Bytes>> {
        Ok(self.state.borrow().agreed.get(&(*remote, opener)).cloned())
    }

    fn record_agreed(&self, remote: &DeviceId, opener: bool, list: Bytes) -> ExchangeResult<()> {
        self.state.borrow_mut().agreed.insert((*remote, opener), list);
        Ok(())
    }

    fn chain_tips(&self, chain: &ChainKey) -> ExchangeResult<Vec<(Section, KnownTip)>> {
        let state = self.state.borrow();
        let Some(branches) = state.chains.get(chain) else { return Ok(Vec::new()) };
        let (section, description) = &state.about[&chain.doc];
        Ok(branches.iter().map(|b| (*section, tip(chain, b, description.page))).collect())
    }

    fn links(&self, chain: &ChainKey, n: u64) -> ExchangeResult<Vec<Link>> {
        let state = self.state.borrow();
        let at = (n as usize).wrapping_sub(1);
        let branches = state.chains.get(chain).into_iter().flatten();
        let mut links: Vec<Link> = branches
            .filter_map(|b| {
                let head = (b.n == n).then_some(b.link);
                b.links.get(at).copied().or(head)
            })
            .collect();
        links.dedup();
        Ok(links)
    }

    fn leads_to(&self, chain: &ChainKey, n: u64, parts: &[Part]) -> ExchangeResult<Option<Link>> {
        Ok(self.state.borrow().leads_to(chain, n, parts))
    }

    fn introduce(&self, tip: &KnownTip) -> ExchangeResult<Option<Introduction>> {
        let state = self.state.borrow();
        Ok(state.branch(tip).map(|branch| Introduction {
            description: state.about[&tip.chain.doc].1.clone(),
            path: Bytes::from(vec![tip.chain.device.as_bytes()[0]; 146]),
            head: branch.head,
        }))
    }

    fn ids(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        self.part(tip, first_n, bytes_max)
    }

    fn part(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>> {
        let state = self.state.borrow();
        let Some(branch) = state.branch(tip) else { return Ok(None) };
        let mut bytes = 0;
        let items = branch.items.iter().skip(first_n as usize - 1).take_while(|item| {
            bytes += item.value.len();
            bytes <= bytes_max
        });
        let changes = Changes::Log(items.cloned().collect());
        Ok(Some(Part { first_n, content: Content::Changes(changes) }))
    }

    fn page_pack(&self, section: &Section, doc: &DocumentId) -> ExchangeResult<Option<PagePack>> {
        let state = &mut *self.state.borrow_mut();
        if !state.page_packs || !state.about[doc].1.kind.is_log() {
            return Ok(None);
        }
        let (mut packer, mut chains) = (ChangePacker::new(), Vec::new());
        for (chain, branches) in state.chains.iter().filter(|(chain, _)| chain.doc == *doc) {
            let [branch] = branches.as_slice() else { return Ok(None) };
            if branch.items.len() < PAGE_CHANGES || branch.n as usize != branch.items.len() {
                return Ok(None);
            }
            let changes = Changes::Log(branch.items.clone());
            packer.add(*chain, &[Part { first_n: 1, content: Content::Changes(changes) }]);
            chains.push((*chain, branch.n));
        }
        let bytes = packer.finish();
        let pack = PackRef { hash: BlobHash::of(&bytes), size: bytes.len() as u64 };
        state.packs.insert(pack.hash, (*section, bytes));
        Ok(Some(PagePack { pack, chains }))
    }

    fn register_pack(&self, section: &Section, bytes: Bytes) -> ExchangeResult<PackRef> {
        let pack = PackRef { hash: BlobHash::of(&bytes), size: bytes.len() as u64 };
        let mut state = self.state.borrow_mut();
        state.packs.insert(pack.hash, (*section, bytes));
        state.announced_bytes += pack.size;
        state.announced_bytes_max = state.announced_bytes.max(state.announced_bytes_max);
        Ok(pack)
    }

    fn release_pack(&self, pack: &PackRef) -> ExchangeResult<bool> {
        let mut state = self.state.borrow_mut();
        state.announced_bytes = state.announced_bytes.saturating_sub(pack.size);
        Ok(!state.unfetched)
    }

    fn is_crowded(&self) -> bool {
        self.state.borrow().crowded
    }

    fn receive_with(
        &self,
        remote: &DeviceId,
        chains: Vec<Received>,
        bodies: Vec<Bytes>,
        _now_ms: u64,
    ) -> ExchangeResult<Receipt> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.store_fails {
            return Err(ExchangeError::Store("no space".into()));
        }
        state.receives += 1;
        let mut receipt = Receipt::default();
        for received in chains {
            receipt.signatures_checked += 1;
            let (chain, changes, fork) = state.take(received).unwrap_or((
                ChainReceipt {
                    chain: None,
                    section: None,
                    from_n: 0,
                    verdict: Verdict::Refused(Reason::Malformed),
                },
                0,
                None,
            ));
            receipt.chains.push(chain);
            receipt.changes += changes;
            receipt.forks.extend(fork);
        }
        drop(guard);
        receipt.bodies = self.receive_bodies(remote, bodies)?.stored;
        Ok(receipt)
    }

    fn bodies_of(&self, tip: &KnownTip, first_n: u64, last_n: u64) -> ExchangeResult<Vec<BodyRef>> {
        let state = self.state.borrow();
        let Some(branch) = state.branch(tip) else { return Ok(Vec::new()) };
        let wanted = branch.items.iter().take(last_n as usize).skip(first_n as usize - 1);
        let bodies = wanted.filter_map(body_of);
        Ok(bodies.filter(|b| state.bodies.contains_key(&b.hash)).collect())
    }

    fn missing_bodies(
        &self,
        section: &Section,
        after: Option<BlobHash>,
        limit: usize,
    ) -> ExchangeResult<Vec<BodyRef>> {
        let state = self.state.borrow();
        let mut all = BTreeMap::new();
        for (chain, branches) in &state.chains {
            if state.about[&chain.doc].0 == *section {
                let items = branches.iter().flat_map(|branch| &branch.items);
                all.extend(items.filter_map(body_of).map(|body| (body.hash, body)));
            }
        }
        let lacks = |h: &BlobHash| !state.bodies.contains_key(h) && !state.deleted.contains(h);
        let later = all.into_iter().filter(|(h, _)| lacks(h) && after.is_none_or(|a| *h > a));
        Ok(later.map(|(_, body)| body).take(limit).collect())
    }

    fn missing_bodies_count(&self, section: &Section) -> ExchangeResult<u64> {
        Ok(self.missing_bodies(section, None, usize::MAX)?.len() as u64)
    }

    fn body(&self, _: &DeviceId, hash: &BlobHash) -> ExchangeResult<Option<Bytes>> {
        Ok(self.state.borrow().bodies.get(hash).cloned())
    }

    fn receive_bodies(&self, _: &DeviceId, bodies: Vec<Bytes>) -> ExchangeResult<BodyReceipt> {
        let mut wanted = HashSet::new();
        for section in self.sections() {
            let missing = self.missing_bodies(&section, None, usize::MAX)?;
            wanted.extend(missing.into_iter().map(|body| body.hash));
        }
        let mut receipt = BodyReceipt::default();
        let mut state = self.state.borrow_mut();
        for body in bodies {
            let hash = BlobHash::of(&body);
            if wanted.contains(&hash) {
                receipt.stored += 1;
                receipt.bytes += body.len() as u64;
                state.bodies.insert(hash, body);
            } else {
                receipt.refused += 1;
            }
        }
        Ok(receipt)
    }

    fn incomplete(&self, section: &Section, limit: usize) -> ExchangeResult<Vec<Incomplete>> {
        let tips = self.tips(section)?.into_iter().filter(|tip| tip.held_n < tip.n);
        Ok(tips.take(limit).map(|tip| Incomplete { tip, section: *section }).collect())
    }

    fn shown(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<Vec<(ChainKey, u64)>> {
        let state = self.state.borrow();
        let shown = state.shown.get(&(*remote, *section)).into_iter().flatten();
        Ok(shown.map(|(chain, n)| (*chain, *n)).collect())
    }

    fn record_shown(
        &self,
        remote: &DeviceId,
        section: &Section,
        tips: &[(ChainKey, u64)],
    ) -> ExchangeResult<()> {
        let mut state = self.state.borrow_mut();
        let shown = state.shown.entry((*remote, *section)).or_default();
        for (chain, n) in tips {
            let before = shown.entry(*chain).or_insert(0);
            *before = *n.max(before);
        }
        Ok(())
    }
}

impl Party for Model {
    fn exchange(&self) -> &dyn Exchange {
        self
    }

    fn serve(&self, remote: &DeviceId, hash: &BlobHash) -> Option<Bytes> {
        let state = self.state.borrow();
        let (section, bytes) = state.packs.get(hash)?;
        let mut bytes = bytes.to_vec();
        *bytes.last_mut()? ^= u8::from(state.spoilt);
        self.may_read(remote, section).ok()?.then(|| bytes.into())
    }

    fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.state.borrow_mut().news)
    }
}
