//! An account that writes, and what others get of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::chain::ChainKey;
use mosaic_engine::description::{SectionClass, Space};
use mosaic_engine::entropy::{SeededEntropy, random};
use mosaic_engine::hash::{AccountId, ChangeId, DeviceId};
use mosaic_engine::identity::DeviceSecret;
use mosaic_engine::replica::{Draft, Replica, Subscription};
use mosaic_engine::store::memory::MemoryStore;
use mosaic_engine::sync::exchange::{Exchange, KnownTip, Received, Section, Verdict};

use crate::TIME_MS;

/// Bytes of one piece of a chain on its way.
const PIECE_BYTES: usize = 1024 * 1024;

/// What was written since the last parcel, as a peer would give it.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// Chains of account logs.
    pub logs: Vec<Received>,
    /// All others.
    pub chains: Vec<Received>,
    /// Bodies that their changes name.
    pub bodies: Vec<Bytes>,
    /// Changes in it.
    pub changes: u64,
}

impl Parcel {
    /// Puts another one behind this one.
    pub fn append(&mut self, other: Self) {
        self.logs.extend(other.logs);
        self.chains.extend(other.chains);
        self.bodies.extend(other.bodies);
        self.changes += other.changes;
    }

    /// Hands everything to a replica that keeps its sections. A guest's log comes after his
    /// replies: who is nobody's guest is not kept.
    ///
    /// # Panics
    /// If the replica does not take all of it.
    pub fn give(&self, from: &DeviceId, to: &Replica) {
        for (chains, bodies) in [(&self.chains, self.bodies.clone()), (&self.logs, Vec::new())] {
            if chains.is_empty() && bodies.is_empty() {
                continue;
            }
            let receipt =
                to.receive_with(from, chains.clone(), bodies, TIME_MS).expect("a receipt");
            for told in &receipt.chains {
                assert!(matches!(told.verdict, Verdict::Accepted { .. }), "{told:?}");
            }
        }
    }
}

/// An account with one device, in memory.
#[derive(Debug)]
pub struct Author {
    /// Its replica.
    pub replica: Replica,
    /// Its account.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    sent: BTreeMap<ChainKey, u64>,
    now_ms: u64,
}

impl Author {
    /// Creates account number `number` of a seed.
    ///
    /// # Panics
    /// If the engine refuses to.
    #[must_use]
    pub fn new(seed: u64, number: u64) -> Self {
        let replica = crate::replica(Arc::new(MemoryStore::new()), seed ^ (number << 20) ^ 0xa11c);
        let entropy = SeededEntropy::new(seed ^ (number << 24) ^ 0x5ec7);
        let now_ms = TIME_MS + number;
        let secret = DeviceSecret::generate(&entropy);
        let account =
            replica.create_account(secret, "laptop", random(&entropy), now_ms).expect("an account");
        let device = replica.device().expect("a device");
        Self { replica, account, device, sent: BTreeMap::new(), now_ms }
    }

    /// Posts a text, some seconds after what was written before.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn post(&mut self, text: String) -> ChangeId {
        let now_ms = self.later();
        let draft = Draft { text, ..Draft::default() };
        self.replica.post(draft, None, now_ms).expect("a post")
    }

    /// Replies to a post that is here.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn reply(&mut self, target: ChangeId, text: String) -> ChangeId {
        let now_ms = self.later();
        let draft = Draft { text, ..Draft::default() };
        self.replica.reply(target, draft, now_ms).expect("a reply")
    }

    /// Keeps an account's wall and takes what is on it.
    ///
    /// # Panics
    /// If the engine refuses to.
    pub fn meet(&self, account: AccountId, device: &DeviceId, parcel: &Parcel) {
        self.replica.subscribe(Subscription::whole(account)).expect("a subscription");
        parcel.give(device, &self.replica);
    }

    /// Seconds between texts are uneven, as people are, and seeded by what went before.
    fn later(&mut self) -> u64 {
        self.now_ms += 1_000 + (self.now_ms.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50);
        self.now_ms
    }

    /// Returns everything public that this account wrote since the last call.
    ///
    /// # Panics
    /// If the engine cannot read its own store.
    pub fn parcel(&mut self) -> Parcel {
        let own = Space::Account(self.account).id();
        let mut parcel = Parcel::default();
        for section in self.replica.held_sections().expect("sections") {
            if section.class == SectionClass::Private {
                continue;
            }
            for tip in self.replica.tips(&section).expect("tips") {
                let before = self.sent.get(&tip.chain).copied().unwrap_or(0);
                if tip.chain.device == self.device && tip.n > before {
                    self.pack(&section, &tip, before, &mut parcel);
                    self.sent.insert(tip.chain, tip.n);
                }
            }
        }
        debug_assert!(
            parcel
                .logs
                .iter()
                .all(|log| { log.description.as_ref().is_some_and(|d| d.space.id() == own) })
        );
        parcel
    }

    fn pack(&self, section: &Section, tip: &KnownTip, before: u64, parcel: &mut Parcel) {
        let known = self.replica.introduce(tip).expect("a store").expect("a known tip");
        let (mut parts, mut next) = (Vec::new(), before + 1);
        while next <= tip.n {
            let part = self.replica.part(tip, next, PIECE_BYTES).expect("a store");
            let part = part.expect("a held chain");
            next = part.last_n() + 1;
            parts.push(part);
        }
        for body in self.replica.bodies_of(tip, before + 1, tip.n).expect("a store") {
            let bytes = self.replica.body(&self.device, &body.hash).expect("a store");
            parcel.bodies.push(bytes.expect("an own body"));
        }
        parcel.changes += tip.n - before;
        let chain = Received {
            path: known.path,
            description: Some(known.description),
            head: known.head,
            fork: false,
            parts,
        };
        match section.class {
            SectionClass::Authority => parcel.logs.push(chain),
            _ => parcel.chains.push(chain),
        }
    }
}
