//! Two shapes of the same amount of history: many accounts that two hubs keep, and one wall
//! on which many guests reply.

use mosaic_engine::description::{Description, DocumentKind};
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId};
use mosaic_engine::limits::PAGE_ENTRIES_MAX;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;

use super::author::{Author, Parcel};
use super::hub::Base;
use super::{Seeded, prose, share};

/// Accounts that write what is new.
const ACTIVE: u64 = 20;
/// New replies of one guest, if there are enough guests: all fit the page they stand on.
const NEW_REPLIES: u64 = 100;
/// Replies of one guest on one page; the rest of the page is room for new ones.
const REPLIES_PER_PAGE: u64 = 800;
/// Replies of one guest: what one visitor may have is limited.
const REPLIES_MAX: u64 = 20_000;
/// Posts on the newest page of the wall: a guest takes it with him, and it should be small.
const NEWEST_PAGE_POSTS: u64 = 8;
/// Parcels taken in one go.
const PARCELS: u64 = 64;

/// What two hubs have in common, and what is new at each of them, one step after the other.
#[derive(Debug)]
pub struct Apart {
    /// What both have before the first step.
    pub base: Base,
    /// For each step what is new at the first and at the second hub.
    pub steps: Vec<[Parcel; 2]>,
    /// Changes that both have before the first step.
    pub common: u64,
}

impl Apart {
    /// Makes two hubs that differ by step `number` and by nothing before it; what is new in
    /// it is in the common history from now on.
    #[must_use]
    pub fn step(&self, number: usize) -> [Replica; 2] {
        let nodes = [self.base.node(), self.base.node()];
        self.part(number, &nodes);
        nodes
    }

    /// Gives the news of step `number` to both hubs, each its own, and all to the base.
    pub fn part(&self, number: usize, nodes: &[Replica; 2]) {
        let from = DeviceId::from_bytes([2; 32]);
        for (node, parcel) in nodes.iter().zip(&self.steps[number]) {
            parcel.give(&from, node);
        }
        for parcel in &self.steps[number] {
            self.base.take(parcel);
        }
    }
}

/// Returns the number of chains whose newest head is known to one of two replicas only.
///
/// # Panics
/// If a store fails.
#[must_use]
pub fn chains_moved(nodes: &[Replica; 2]) -> u64 {
    let mut moved = 0;
    let mut sections = nodes[0].kept_sections().expect("sections");
    sections.retain(|section| {
        let digest = |node: &Replica| node.digest(section).expect("a digest");
        digest(&nodes[0]) != digest(&nodes[1])
    });
    let others = nodes[1].kept_sections().expect("sections");
    for section in sections.iter().filter(|section| others.contains(section)) {
        let tips = |node: &Replica| -> std::collections::HashSet<_> {
            let tips = node.tips(section).expect("tips");
            tips.into_iter().map(|tip| (tip.chain, tip.n, tip.link)).collect()
        };
        let [a, b] = [tips(&nodes[0]), tips(&nodes[1])];
        let chains: std::collections::HashSet<_> =
            a.symmetric_difference(&b).map(|(chain, ..)| *chain).collect();
        moved += chains.len() as u64;
    }
    moved
}

/// Many accounts, each with a wall of its own: `changes` in all, then `news` new ones in each
/// step, by 20 accounts at most, half of them at one hub, half at the other.
pub fn accounts(
    seed: u64,
    authors: u64,
    changes: u64,
    news: &[u64],
    progress: &mut dyn FnMut(u64, u64),
) -> Apart {
    let base = Base::new(seed);
    let mut steps: Vec<[Parcel; 2]> = news.iter().map(|_| Default::default()).collect();
    let (mut common, mut batch, mut kept) = (0, Parcel::default(), Vec::new());
    for number in 0..authors {
        let mut seeded = Seeded::new(seed ^ (number << 8));
        let mut author = Author::new(seed, number);
        for n in 0..share(changes, authors, number) {
            author.post(prose::text(n, 24, &mut seeded));
        }
        let parcel = author.parcel();
        common += parcel.changes;
        kept.push(author.account);
        batch.append(parcel);
        if number % PARCELS == PARCELS - 1 || number + 1 == authors {
            base.keep(&std::mem::take(&mut kept));
            base.take(&std::mem::take(&mut batch));
            progress(number + 1, authors);
        }
        for (step, new) in steps.iter_mut().zip(news) {
            let active = authors.min(ACTIVE).min(*new);
            if number < active {
                for n in 0..share(*new, active, number) {
                    author.post(prose::text(n, 24, &mut seeded));
                }
                step[(number % 2) as usize].append(author.parcel());
            }
        }
    }
    Apart { base, steps, common }
}

/// One wall: its owner wrote most of it, `guests` replied with three in ten of the changes;
/// then guests reply `news` times in each step, half of them at one hub, half at the other.
///
/// # Panics
/// If the engine refuses what is written.
pub fn guests(
    seed: u64,
    guests: u64,
    changes: u64,
    news: &[u64],
    progress: &mut dyn FnMut(u64, u64),
) -> Apart {
    let base = Base::new(seed);
    let mut steps: Vec<[Parcel; 2]> = news.iter().map(|_| Default::default()).collect();
    let replies = (changes * 3 / 10).min(guests * REPLIES_MAX);
    let owner = Owner::write(seed, changes - replies);
    base.keep(&[owner.account]);
    base.take(&owner.parcel);
    let (mut common, mut batch) = (owner.parcel.changes, Parcel::default());
    for number in 0..guests {
        let mut guest = Guest::new(seed, number, &owner, share(replies, guests, number));
        guest.write(share(replies, guests, number), REPLIES_PER_PAGE);
        let parcel = guest.author.parcel();
        common += parcel.changes;
        batch.append(parcel);
        if number % PARCELS == PARCELS - 1 || number + 1 == guests {
            base.take(&std::mem::take(&mut batch));
            progress(number + 1, guests);
        }
        for (step, new) in steps.iter_mut().zip(news) {
            let active = (*new / NEW_REPLIES).max(ACTIVE).min(guests).min(*new);
            if number < active {
                guest.write(share(*new, active, number), PAGE_ENTRIES_MAX);
                step[(number % 2) as usize].append(guest.author.parcel());
            }
        }
    }
    Apart { base, steps, common }
}

struct Owner {
    account: AccountId,
    device: DeviceId,
    parcel: Parcel,
    /// A post of each page.
    targets: Vec<ChangeId>,
}

impl Owner {
    fn write(seed: u64, posts: u64) -> Self {
        let mut owner = Author::new(seed, u64::from(u32::MAX));
        let mut seeded = Seeded::new(seed);
        let pages = posts / PAGE_ENTRIES_MAX;
        let mut targets = Vec::new();
        for n in 0..pages * PAGE_ENTRIES_MAX + NEWEST_PAGE_POSTS {
            let id = owner.post(prose::text(n, 24, &mut seeded));
            if n % PAGE_ENTRIES_MAX == 0 {
                targets.push(id);
            }
        }
        let place = |id| owner.replica.place_of(id).expect("a place").1.doc;
        for (page, id) in (0..).zip(&targets) {
            let description = Description::own(owner.account, DocumentKind::Wall, page);
            assert_eq!(place(id), description.id(), "page {page}");
        }
        let parcel = owner.parcel();
        Self { account: owner.account, device: owner.device, parcel, targets }
    }

    /// The newest `count` pages and the account's log.
    fn newest(&self, count: u64) -> Parcel {
        let first = (self.targets.len() as u64).saturating_sub(count);
        let new = |page: u64| page >= first;
        let chains = self.parcel.chains.iter().filter(|chain| {
            chain.description.as_ref().is_some_and(|d| d.kind != DocumentKind::Wall || new(d.page))
        });
        let chains = chains.cloned().collect();
        Parcel { logs: self.parcel.logs.clone(), chains, ..Parcel::default() }
    }
}

struct Guest {
    author: Author,
    seeded: Seeded,
    /// A post of each page, the newest first, and the replies there.
    pages: Vec<(ChangeId, u64)>,
    written: u64,
}

impl Guest {
    fn new(seed: u64, number: u64, owner: &Owner, replies: u64) -> Self {
        let author = Author::new(seed, number);
        let pages = replies.div_ceil(REPLIES_PER_PAGE).max(1);
        author.meet(owner.account, &owner.device, &owner.newest(pages));
        let pages = owner.targets.iter().rev().take(pages as usize).map(|id| (*id, 0)).collect();
        Self { author, seeded: Seeded::new(seed ^ (number << 8)), pages, written: 0 }
    }

    fn write(&mut self, replies: u64, per_page: u64) {
        for _ in 0..replies {
            let page = self.pages.iter_mut().find(|(_, count)| *count < per_page);
            let (target, count) = page.expect("room on a page");
            *count += 1;
            let target = *target;
            let text = prose::text(self.written, 16, &mut self.seeded);
            self.written += 1;
            self.author.reply(target, text);
        }
    }
}
