//! Hubs in the making: accounts, devices, and what each has seen.

use super::*;
use crate::chain::extend;
use crate::hash::{DocumentId, Incarnation, SpaceId};
use crate::model::entry::{HubOperation, Permissions, RoleRef, Tip};

/// Believes every proof but [`FALSE_PROOF`].
pub(super) struct Believing;

/// A proof that the key of no ticket signed.
pub(super) const FALSE_PROOF: Signature = Signature::from_bytes([0; 64]);

impl Witness for Believing {
    fn invited(&self, _: &DeviceId, _: &[u8], proof: &Signature) -> bool {
        *proof != FALSE_PROOF
    }
}

/// A small fast generator of numbers (SplitMix64): the same hubs on every machine.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(super) fn percent(&mut self, n: u64) -> bool {
        self.next() % 100 < n
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// Returns the id of the `n`th account.
pub(super) fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 32])
}

/// Where a device stands in its log.
#[derive(Clone)]
pub(super) struct Writer {
    pub account: u8,
    pub chain: ChainKey,
    /// Index of its last item.
    pub last: Option<usize>,
    /// Items that it has seen and no item of its own names yet.
    pub seen: Vec<usize>,
}

/// A hub that is being written: items in the order in which they were made.
#[derive(Clone)]
pub(super) struct World {
    pub genesis: HubGenesis,
    pub items: Vec<HubItem>,
    pub writers: Vec<Writer>,
    salt: u64,
    clock: u64,
}

impl World {
    /// A hub of some owners; each of the accounts has one device, numbered like it.
    pub(super) fn new(owners: &[u8], accounts: u8, salt: u64) -> Self {
        let genesis = HubGenesis {
            owners: owners.iter().map(|owner| account(*owner)).collect(),
            everyone: Permissions::SEND | Permissions::REACT,
            nonce: [7; 16],
            created_ms: 0,
            forked_from: None,
            private: false,
        };
        let mut world =
            Self { genesis, items: Vec::new(), writers: Vec::new(), salt, clock: 1_000 };
        for n in 0..accounts {
            world.add_device(n);
        }
        world
    }

    /// One more device of an account; returns its number.
    pub(super) fn add_device(&mut self, account: u8) -> usize {
        let device = u8::try_from(self.writers.len()).unwrap();
        let chain = ChainKey {
            doc: DocumentId::from_bytes([account; 32]),
            device: DeviceId::from_bytes([device; 32]),
            incarnation: Incarnation::from_bytes([1; 16]),
        };
        self.writers.push(Writer { account, chain, last: None, seen: Vec::new() });
        self.writers.len() - 1
    }

    /// The next page of a device's log: another chain, which has seen the one before.
    pub(super) fn turn_page(&mut self, writer: usize) -> usize {
        let Writer { account, chain, last, seen } = self.writers[writer].clone();
        let doc = DocumentId::from_bytes(*blake3::hash(chain.doc.as_bytes()).as_bytes());
        let seen = seen.into_iter().chain(last).collect();
        self.writers.push(Writer { account, chain: ChainKey { doc, ..chain }, last: None, seen });
        self.writers.len() - 1
    }

    /// An operation by a device that has seen what it was shown, and forgets nothing.
    pub(super) fn say(&mut self, writer: usize, action: HubAction) -> usize {
        let seen = std::mem::take(&mut self.writers[writer].seen);
        let last = self.writers[writer].last;
        let item = self.append(writer, last, &seen, action);
        self.writers[writer].last = Some(item);
        item
    }

    /// An operation after any item of the same device, having seen any items.
    pub(super) fn append(
        &mut self,
        writer: usize,
        after: Option<usize>,
        seen: &[usize],
        action: HubAction,
    ) -> usize {
        let mut links: Vec<Link> = seen.iter().map(|at| self.items[*at].link).collect();
        links.sort_unstable();
        links.dedup();
        let operation = HubOperation { seen: links, reason: String::new(), action, texts: None };
        let Writer { account: author, chain, .. } = self.writers[writer];
        let at = self.items.len() as u64;
        let id = ChangeId::of(&[self.salt.to_be_bytes(), at.to_be_bytes()].concat());
        let (n, previous) = match after {
            Some(after) => (self.items[after].n + 1, self.items[after].link),
            None => (1, chain.origin(&SpaceId::from_bytes([0; 32]))),
        };
        self.clock += 1;
        self.items.push(HubItem {
            id,
            chain,
            n,
            previous,
            link: extend(&previous, n, &id),
            account: account(author),
            time_ms: self.clock,
            entry: Entry::Hub(Box::new(operation)),
        });
        self.items.len() - 1
    }

    /// A device sees an item, and with it what that had seen.
    pub(super) fn show(&mut self, writer: usize, item: usize) {
        if !self.writers[writer].seen.contains(&item) {
            self.writers[writer].seen.push(item);
        }
    }

    /// A device sees everything that another has.
    pub(super) fn meet(&mut self, writer: usize, other: usize) {
        let theirs: Vec<usize> =
            self.writers[other].seen.iter().copied().chain(self.writers[other].last).collect();
        for item in theirs {
            self.show(writer, item);
        }
        // As many as an operation can name.
        let seen = &mut self.writers[writer].seen;
        let over = seen.len().saturating_sub(crate::limits::HUB_SEEN_MAX);
        seen.drain(..over);
    }

    /// A device sees everything there is.
    pub(super) fn show_all(&mut self, writer: usize) {
        let tips = self.tips();
        self.writers[writer].seen = tips;
    }

    /// Items that no other names or follows.
    pub(super) fn tips(&self) -> Vec<usize> {
        let mut named: std::collections::BTreeSet<Link> = std::collections::BTreeSet::new();
        for item in &self.items {
            named.insert(item.previous);
            if let Entry::Hub(operation) = &item.entry {
                named.extend(&operation.seen);
            }
        }
        (0..self.items.len()).filter(|at| !named.contains(&self.items[*at].link)).collect()
    }

    pub(super) fn id(&self, item: usize) -> ChangeId {
        self.items[item].id
    }

    pub(super) fn link(&self, item: usize) -> Link {
        self.items[item].link
    }

    /// A version of the chain of an item, with it.
    pub(super) fn role(&self, item: usize) -> RoleRef {
        RoleRef::Role(self.id(item))
    }

    /// Defines a role as a device, and shows it to all.
    pub(super) fn define(&mut self, writer: usize, rank: u16, permissions: Permissions) -> usize {
        let rank = Rank::of_role(rank).unwrap();
        let item =
            self.say(writer, HubAction::DefineRole { name: "role".into(), rank, permissions });
        self.show_everybody(item);
        item
    }

    /// Gives a role that everybody sees.
    pub(super) fn grant(&mut self, writer: usize, to: u8, role: usize) -> usize {
        let action = HubAction::Grant { account: account(to), role: self.role(role) };
        let item = self.say(writer, action);
        self.show_everybody(item);
        item
    }

    pub(super) fn show_everybody(&mut self, item: usize) {
        for writer in 0..self.writers.len() {
            self.show(writer, item);
        }
    }

    /// Settles all items at once.
    pub(super) fn hub(&self) -> Hub {
        settled(&self.genesis, &self.items)
    }
}

/// Settles items, as one delivery.
pub(super) fn settled(genesis: &HubGenesis, items: &[HubItem]) -> Hub {
    let mut hub = Hub::new(genesis.clone());
    hub.insert(items.iter().cloned(), &Believing);
    hub
}

/// Versions of chains that stay, for a cut.
pub(super) fn tip(chain: ChainKey, n: u64) -> Tip {
    let ChainKey { doc, device, incarnation } = chain;
    Tip { doc, device, incarnation, n, link: Link::from_bytes([9; 32]) }
}
