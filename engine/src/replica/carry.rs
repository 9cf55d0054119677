//! A whole account as objects that prove themselves: out of one replica, into another, with no
//! network between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::bodies::BodyState;
use super::body_rows::bytes_in;
use super::receive::Source;
use super::{EngineError, Replica, ReplicaOptions};
use crate::chain::SignedHead;
use crate::codec::Writer;
use crate::description::{Description, DocumentKind};
use crate::entropy::Entropy;
use crate::hash::{AccountId, BlobHash, DocumentId, derive};
use crate::model::entry::BodyRef;
use crate::store::Store;
use crate::sync::exchange::{Exchange, ExchangeError, KnownTip, Received, Verdict};
use crate::wire::{CarriedChain, head_route};

/// Bytes of one piece of a chain.
const PIECE_BYTES_MAX: usize = 1024 * 1024;
/// Pieces of one chain: what a bundle takes.
const PIECES_MAX: usize = 64;

/// A tip to carry; `fork` if it is another branch of the chain before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedTip {
    /// The tip.
    pub tip: KnownTip,
    /// Whether it is of another branch.
    pub fork: bool,
}

/// A chain that was not taken whole, and the last thing said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftChain {
    /// The chain.
    pub chain: CarriedChain,
    /// Why.
    pub verdict: Verdict,
}

/// What became of chains that were handed to [`Replica::take_carried`]; committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedReceipt {
    /// Changes that were stored.
    pub changes: u64,
    /// Chains that may wait for others.
    pub left: Vec<LeftChain>,
}

/// Bodies of an account that are here and that are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CarriedBodies {
    /// Here: texts and small files.
    pub bodies: u64,
    /// Their bytes, salts included.
    pub body_bytes: u64,
    /// Here: files of more than a text has.
    pub files: u64,
    /// Their bytes, salts included.
    pub file_bytes: u64,
    /// Named, wanted, not here.
    pub missing: u64,
}

impl Replica {
    /// Opens a replica over a store that is only read, and settles nothing in it.
    ///
    /// # Errors
    /// If the store fails or its own rows do not decode.
    pub fn open_reading(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, EngineError> {
        let replica = Self::over(store, entropy);
        replica.load_own(ReplicaOptions { secret: None, fresh_incarnation: false })?;
        Ok(replica)
    }

    /// Documents that an account consists of, in the order in which they are best taken in: its
    /// log; logs of accounts that it met here; what is private; its profile and its wall, newest
    /// page first, with what others left there; what it wrote on walls of others.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn account_documents(
        &self,
        account: &AccountId,
    ) -> Result<Vec<(DocumentId, Description)>, EngineError> {
        let all = self.document_list()?;
        let own = |d: &Description| d.account == *account || d.space.account() == Some(*account);
        let mut met = BTreeSet::from([*account]);
        for (_, description) in all.iter().filter(|(_, description)| own(description)) {
            met.insert(description.account);
            met.extend(description.space.account());
        }
        let log = |d: &Description| d.kind == DocumentKind::AccountLog && met.contains(&d.account);
        let mut found: Vec<_> = all.into_iter().filter(|(_, d)| own(d) || log(d)).collect();
        found.sort_by_key(|(doc, d)| {
            let page = match d.kind {
                DocumentKind::AccountLog => d.page,
                _ => u64::MAX - d.page,
            };
            (order(account, d), page, *doc)
        });
        Ok(found)
    }

    /// The known heads of a document, with those of revoked devices last: what counts of them is
    /// said by others.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn carried_tips(&self, doc: &DocumentId) -> Result<Vec<CarriedTip>, EngineError> {
        let mut state = self.lock();
        let Some(description) = self.description(&mut state, doc)? else { return Ok(Vec::new()) };
        let mut out: Vec<CarriedTip> = Vec::new();
        for tip in self.document_tips(&mut state, doc, description.page)? {
            let fork = out.last().is_some_and(|before| before.tip.chain == tip.chain);
            out.push(CarriedTip { tip, fork });
        }
        if let Some(authority) = self.authority_of(&mut state, &description.account)? {
            let revoked = |tip: &CarriedTip| {
                let standing = authority.devices.get(&tip.tip.chain.device);
                standing.is_some_and(|standing| standing.revoked.is_some())
            };
            out.sort_by_key(revoked);
        }
        Ok(out)
    }

    /// A chain with everything that verifies it. Two, if an older head proves what is held.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn carry(&self, carried: &CarriedTip) -> Result<Vec<CarriedChain>, EngineError> {
        let tip = carried.tip;
        let older = match tip.held_n < tip.n && !carried.fork {
            true => Exchange::proof(self, &tip).map_err(failed)?,
            false => None,
        };
        let mut out = Vec::new();
        for tip in older.into_iter().chain([tip]) {
            let Some(known) = self.introduce(&tip).map_err(failed)? else { continue };
            let head_n = head_route(&known.head).map_or(0, |route| route.n);
            let (mut parts, mut next) = (Vec::new(), 1);
            while next <= head_n && parts.len() < PIECES_MAX {
                let Some(mut part) = self.tip_part(&tip, next, PIECE_BYTES_MAX)? else { break };
                part.truncate(head_n);
                if part.content.is_empty() || part.first_n != next {
                    break;
                }
                next = part.last_n() + 1;
                parts.push(part);
            }
            if !carried.fork && next <= tip.held_n.min(head_n) {
                let chain = tip.chain;
                let device = chain.device.short();
                let message = format!("change {next} of device {device} in document {}", chain.doc);
                return Err(EngineError::Corrupt(format!("{message} is gone or altered")));
            }
            let (path, description, head) = (known.path, known.description, known.head);
            out.push(CarriedChain { path, description, head, fork: carried.fork, parts });
        }
        Ok(out)
    }

    /// Hash over all known heads of some documents, and over heads of which nothing is here:
    /// replicas with equal ones know the same.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn heads_digest(
        &self,
        docs: impl IntoIterator<Item = DocumentId>,
        others: &[SignedHead],
    ) -> Result<[u8; 32], EngineError> {
        let mut tips: Vec<_> = others
            .iter()
            .map(|head| (head.claimed_chain(), head.claimed_n(), head.claimed_link()))
            .collect();
        for doc in docs {
            let known = self.document_tips(&mut self.lock(), &doc, 0)?;
            tips.extend(known.into_iter().map(|tip| (tip.chain, tip.n, tip.link)));
        }
        tips.sort_unstable();
        let mut w = Writer::new();
        for (chain, n, link) in &tips {
            chain.encode(&mut w);
            w.u64(*n).raw(link.as_bytes());
        }
        Ok(derive("mosaic archive heads 1", &[&w.finish()]))
    }

    /// Calls `visit` for each body that is here for one of some documents, once, with its size;
    /// returns how many there are, and how many are missing. It ends where `visit` says false.
    ///
    /// # Errors
    /// If the store fails or is damaged.
    pub fn carried_bodies(
        &self,
        docs: &BTreeSet<DocumentId>,
        text_bytes_max: u64,
        visit: &mut dyn FnMut(BodyRef) -> bool,
    ) -> Result<CarriedBodies, EngineError> {
        let mut found = CarriedBodies::default();
        let mut last = None;
        self.each_body(&mut |hash, doc, row| {
            if !docs.contains(&doc) {
                return Ok(true);
            }
            match BodyState::parse(row) {
                Some(BodyState::Wanted) => found.missing += 1,
                Some(BodyState::Held) if last != Some(hash) => {
                    last = Some(hash);
                    let size = match bytes_in(row) {
                        Some(bytes) => bytes.len() as u64,
                        None => self.held_size(&hash)?.ok_or(EngineError::MissingBlob(hash))?,
                    };
                    let body = BodyRef { hash, size };
                    let (count, bytes) = match body.size > text_bytes_max {
                        true => (&mut found.files, &mut found.file_bytes),
                        false => (&mut found.bodies, &mut found.body_bytes),
                    };
                    *count += 1;
                    *bytes = bytes.saturating_add(body.size);
                    return Ok(visit(body));
                }
                Some(BodyState::Held | BodyState::Dropped | BodyState::Evicted) | None => {}
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// The bytes of a body that is here, hashed again.
    ///
    /// # Errors
    /// If it is not here or damaged, or larger than a pack; or the store fails.
    pub fn carried_body(&self, hash: &BlobHash) -> Result<Bytes, EngineError> {
        self.blob_bytes(hash)?.ok_or(EngineError::MissingBlob(*hash))
    }

    /// Verifies and stores chains as if a peer had given them; durable when it returns. Those
    /// that build on each other may come in any order.
    ///
    /// # Errors
    /// If the store fails.
    pub fn take_carried(
        &self,
        chains: Vec<CarriedChain>,
        now_ms: u64,
    ) -> Result<CarriedReceipt, EngineError> {
        self.lock().now_ms = now_ms;
        let mut receipt = CarriedReceipt::default();
        let mut waiting = chains;
        loop {
            let received = waiting.iter().map(received).collect();
            let done = self.take_chains(Source::Hand, received, Vec::new())?;
            receipt.changes += done.changes;
            let mut left = Vec::new();
            for (chain, told) in waiting.into_iter().zip(done.chains) {
                if !self.is_whole(&chain, told.verdict)? {
                    left.push(LeftChain { chain, verdict: told.verdict });
                }
            }
            if left.is_empty() || done.changes == 0 {
                receipt.left = left;
                return Ok(receipt);
            }
            waiting = left.into_iter().map(|left| left.chain).collect();
        }
    }

    /// Whether everything that came of a chain is here: its head, and the changes before it.
    fn is_whole(&self, carried: &CarriedChain, verdict: Verdict) -> Result<bool, EngineError> {
        if carried.fork {
            return Ok(matches!(verdict, Verdict::Accepted { .. }));
        }
        let Ok(route) = head_route(&carried.head) else { return Ok(false) };
        let space = carried.description.space.id();
        let known = self.chain(&mut self.lock(), &space, &route.chain)?;
        Ok(known.known >= route.n && known.held >= carried.held())
    }
}

/// The order in which documents are taken in.
fn order(account: &AccountId, description: &Description) -> u8 {
    let own = description.account == *account;
    let here = description.space.account() == Some(*account);
    match description.kind {
        DocumentKind::AccountLog if own => 0,
        DocumentKind::AccountLog => 1,
        DocumentKind::Private => 2,
        DocumentKind::Profile => 3,
        DocumentKind::Wall | DocumentKind::Guest | DocumentKind::Text if own && here => 4,
        DocumentKind::Wall | DocumentKind::Guest | DocumentKind::Text if own => 5,
        DocumentKind::Wall | DocumentKind::Guest | DocumentKind::Text => 6,
        DocumentKind::HubLog => 7,
        DocumentKind::Channel => 8,
        DocumentKind::Conversation => 9,
    }
}

fn received(carried: &CarriedChain) -> Received {
    Received {
        path: carried.path.clone(),
        description: Some(carried.description.clone()),
        head: carried.head,
        fork: carried.fork,
        parts: carried.parts.clone(),
    }
}

fn failed(error: ExchangeError) -> EngineError {
    EngineError::Corrupt(error.to_string())
}
