//! What a session needs from a replica.
//!
//! Everything given here is already verified; everything taken is not. All calls may
//! block on the store; none may call back into a session.

use std::collections::HashMap;

use bytes::Bytes;
use thiserror::Error;

use crate::chain::ChainKey;
use crate::description::Description;
use crate::hash::{BlobHash, DeviceId, DocumentId, Link, SpaceId};
use crate::model::entry::BodyRef;
use crate::wire::{HeadBytes, Part};

pub use crate::description::{Section, Spaces};
pub use crate::wire::{Hold, Introduced, Newest, PackRef, Probe, Reason};

/// The newest known head of a chain. Where a chain is forked each branch has one, with
/// the same `chain` and another `link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KnownTip {
    /// The chain.
    pub chain: ChainKey,
    /// Changes the head covers.
    pub n: u64,
    /// The head's link.
    pub link: Link,
    /// Changes whose bytes are held without a gap, from the first.
    pub held_n: u64,
    /// Page of the document, the greatest number where there are none: newest pages travel
    /// first.
    pub page: u64,
}

/// What a stranger to a chain needs to verify its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The document.
    pub description: Description,
    /// Encoded certificate path of the chain's device.
    pub path: Bytes,
    /// Encoded signed head of exactly the tip asked for, or a newer one of its branch.
    pub head: HeadBytes,
}

/// The pack of a closed page: every chain of it from its first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePack {
    /// The pack.
    pub pack: PackRef,
    /// The chains in it and how many changes of each.
    pub chains: Vec<(ChainKey, u64)>,
}

/// One chain as it came from a peer; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Encoded certificate path of the head's device.
    pub path: Bytes,
    /// The document's description if the sender thinks we lack it.
    pub description: Option<Description>,
    /// The encoded head.
    pub head: HeadBytes,
    /// The sender says that we and it follow different branches; then `parts` hold its
    /// whole branch from change 1, so that the receiver can build the proof itself.
    pub fork: bool,
    /// The data, consecutive, by rising number, up to the head's n at most; may be
    /// empty (head only).
    pub parts: Vec<Part>,
}

/// A chain that somebody is given of a conversation that both talk about no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// The conversation.
    pub section: Section,
    /// A section that the remote may read, through which packs go.
    pub through: Section,
    /// The chain.
    pub tip: KnownTip,
    /// What it showed of it ends before this change.
    pub first_n: u64,
    /// The last change that is for it: of the rest it is given the ids, which prove these.
    pub last_n: u64,
}

/// What became of one received chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Head known; bytes held up to `held_n`.
    Accepted {
        /// Bytes held up to here without a gap.
        held_n: u64,
    },
    /// Not taken, and will not be.
    Refused(Reason),
    /// Head known or not; the rest may be taken later.
    Deferred(Reason),
}

impl Verdict {
    /// Whether it says that what came was made falsely: none of that is due to where two replicas
    /// stand.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        let Self::Refused(reason) = self else { return false };
        matches!(reason, Reason::Signature | Reason::Certificate | Reason::Malformed | Reason::Link)
    }
}

/// What became of one received chain, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainReceipt {
    /// The chain, if its head could be read.
    pub chain: Option<ChainKey>,
    /// The section it belongs to, if known.
    pub section: Option<Section>,
    /// From which change on the verdict speaks, from 1.
    pub from_n: u64,
    /// The verdict.
    pub verdict: Verdict,
}

/// A chain of which two branches exist; the replica keeps the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkReport {
    /// The chain.
    pub chain: ChainKey,
    /// Whether it was unknown until now.
    pub new: bool,
}

/// A page that later pages name but that the peer does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapReport {
    /// The chain named.
    pub chain: ChainKey,
    /// Changes of it that were named.
    pub n: u64,
}

/// What became of everything handed to one [`Exchange::receive`]; committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// One for each [`Received`], in order.
    pub chains: Vec<ChainReceipt>,
    /// Ed25519 verifications done.
    pub signatures_checked: u64,
    /// Changes stored that were not held before.
    pub changes: u64,
    /// Bodies stored.
    pub bodies: u64,
    /// Forks seen.
    pub forks: Vec<ForkReport>,
    /// Gaps seen.
    pub gaps: Vec<GapReport>,
}

/// What became of bodies handed to [`Exchange::receive_bodies`]; committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyReceipt {
    /// Stored, and wanted by some change held.
    pub stored: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Not wanted: unknown, deleted, never to be stored, over quota.
    pub refused: u64,
}

/// A chain whose head is known but whose bytes are not all held, and that the replica
/// would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete {
    /// The chain's tip.
    pub tip: KnownTip,
    /// The section.
    pub section: Section,
}

/// Why the replica could not answer; ends the session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// The replica is closed.
    #[error("the replica is closed")]
    Closed,
}

/// Answer of a replica.
pub type ExchangeResult<T> = Result<T, ExchangeError>;

/// A probe, and the only right answer.
pub type Look = (Probe, [u8; 32]);

/// A replica as a session sees it.
pub trait Exchange {
    /// This device.
    fn own_device(&self) -> DeviceId;

    /// Sections this replica keeps: wants whole, stores, accepts pushes for.
    ///
    /// # Errors
    /// If the store fails; so for all methods below.
    fn kept_sections(&self) -> ExchangeResult<Vec<Section>>;

    /// Whether only a part of a kept section is kept: then heads are learnt first, and data
    /// is asked for, page by page, as far as it is wanted.
    ///
    /// # Errors
    /// If the store fails.
    fn spares(&self, _section: &Section) -> ExchangeResult<bool> {
        Ok(false)
    }

    /// Whether files, or more, of a kept section may be left out by choice: it is then no whole
    /// copy, whatever is held of it.
    ///
    /// # Errors
    /// If the store fails.
    fn is_partial(&self, _section: &Section) -> ExchangeResult<bool> {
        Ok(false)
    }

    /// Sections of which anything is held, kept ones included.
    ///
    /// # Errors
    /// If the store fails.
    fn held_sections(&self) -> ExchangeResult<Vec<Section>>;

    /// Whether `remote` may read the section (and so know that it exists).
    ///
    /// # Errors
    /// If the store fails.
    fn may_read(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<bool>;

    /// The own certificate path, and what conversations began with that `remote` may read and has not:
    /// which are none of `common`, or before that is known, of which it never showed anything.
    ///
    /// # Errors
    /// If the store fails.
    fn introductions(&self, _: &DeviceId, _: Option<&Spaces>) -> ExchangeResult<Introduced> {
        Ok((Bytes::new(), Vec::new()))
    }

    /// A number that is another one once there may be more to introduce to somebody.
    fn introductions_epoch(&self) -> u64 {
        0
    }

    /// Takes what `remote` introduces, as far as it is anything to this replica and there is room;
    /// whether more is kept since. Strangers' bytes: nothing in them is an error.
    ///
    /// # Errors
    /// If the store fails.
    fn take_introductions(
        &self,
        _remote: &DeviceId,
        _path: &[u8],
        _spaces: &[Bytes],
    ) -> ExchangeResult<bool> {
        Ok(false)
    }

    /// What `remote` is to be given of conversations of which both talk no more.
    ///
    /// # Errors
    /// If the store fails.
    fn partings(&self, _remote: &DeviceId) -> ExchangeResult<Vec<Parting>> {
        Ok(Vec::new())
    }

    /// Digest over all known heads of the section: a pure function of the set of
    /// (chain, n, link), the same on every replica that knows the same heads.
    ///
    /// # Errors
    /// If the store fails.
    fn digest(&self, section: &Section) -> ExchangeResult<[u8; 32]>;

    /// All known heads of the section, in any order.
    ///
    /// # Errors
    /// If the store fails.
    fn tips(&self, section: &Section) -> ExchangeResult<Vec<KnownTip>>;

    /// How many known heads the section has.
    ///
    /// # Errors
    /// If the store fails.
    fn tips_count(&self, section: &Section) -> ExchangeResult<usize> {
        Ok(self.tips(section)?.len())
    }

    /// In how many heads this replica and `remote` differ, as far as it showed which it has: one
    /// for each of these of which it showed nothing, two for each that it showed another of.
    ///
    /// # Errors
    /// If the store fails.
    fn unshown(&self, remote: &DeviceId, tips: &[(Section, KnownTip)]) -> ExchangeResult<usize> {
        let mut count = 0;
        for of_section in tips.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((section, _)) = of_section.first() else { continue };
            let shown: HashMap<_, _> = self.shown(remote, section)?.into_iter().collect();
            let apart = |tip: &KnownTip| match shown.get(&tip.chain) {
                None => 1,
                Some(n) if *n < tip.n => 2,
                Some(_) => 0,
            };
            count += of_section.iter().map(|(_, tip)| apart(tip)).sum::<usize>();
        }
        Ok(count)
    }

    /// What this replica noted of the list of sections that it and `remote` talk about, in the
    /// part of the opener or not.
    ///
    /// # Errors
    /// If the store fails.
    fn agreed(&self, _remote: &DeviceId, _opener: bool) -> ExchangeResult<Option<Bytes>> {
        Ok(None)
    }

    /// Notes the list of sections that both talk about, in place of the one before. It may be lost
    /// in a crash.
    ///
    /// # Errors
    /// If the store fails.
    fn record_agreed(&self, _remote: &DeviceId, _opener: bool, _list: Bytes) -> ExchangeResult<()> {
        Ok(())
    }

    /// The known heads of one chain: none, one, or one a branch. With the section.
    ///
    /// # Errors
    /// If the store fails.
    fn chain_tips(&self, chain: &ChainKey) -> ExchangeResult<Vec<(Section, KnownTip)>>;

    /// Links after change `n` of the chain, one a branch; empty where unknown.
    ///
    /// # Errors
    /// If the store fails.
    fn links(&self, chain: &ChainKey, n: u64) -> ExchangeResult<Vec<Link>>;

    /// The link after change `n` to which given changes lead from what is held, if they do.
    ///
    /// # Errors
    /// If the store fails.
    fn leads_to(&self, chain: &ChainKey, n: u64, parts: &[Part]) -> ExchangeResult<Option<Link>>;

    /// Description, certificate path and head of a tip; `None` if it is not known.
    ///
    /// # Errors
    /// If the store fails.
    fn introduce(&self, tip: &KnownTip) -> ExchangeResult<Option<Introduction>>;

    /// An older head of the tip's branch that proves changes held here, where nothing here
    /// leads from them to the tip itself.
    ///
    /// # Errors
    /// If the store fails.
    fn proof(&self, _tip: &KnownTip) -> ExchangeResult<Option<KnownTip>> {
        Ok(None)
    }

    /// The changes of the tip's branch from `first_n` on, whole changes of at most
    /// about `bytes_max` bytes; ids where the bytes are not held. Fewer than all means
    /// there is more. `None` if nothing is known there.
    ///
    /// # Errors
    /// If the store fails.
    fn part(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>>;

    /// As [`Exchange::part`], the ids alone.
    ///
    /// # Errors
    /// If the store fails.
    fn ids(&self, tip: &KnownTip, first_n: u64, bytes_max: usize) -> ExchangeResult<Option<Part>>;

    /// The deterministic changes pack of a closed page that is held whole, servable to
    /// who may read the section; `None` for open pages and documents without pages.
    ///
    /// # Errors
    /// If the store fails.
    fn page_pack(&self, section: &Section, doc: &DocumentId) -> ExchangeResult<Option<PagePack>>;

    /// Makes an ad hoc pack servable by hash to who may read the section, until it is
    /// released as often as it was registered.
    ///
    /// # Errors
    /// If the store fails.
    fn register_pack(&self, section: &Section, bytes: Bytes) -> ExchangeResult<PackRef>;

    /// Says that the peer is through with a pack given by this session. Returns whether it
    /// was fetched, as far as that is known.
    ///
    /// # Errors
    /// If the store fails.
    fn release_pack(&self, pack: &PackRef) -> ExchangeResult<bool>;

    /// Whether so many packs wait to be fetched that each session should give only one
    /// message with packs at a time.
    fn is_crowded(&self) -> bool {
        false
    }

    /// Verifies and stores chains, with those of `bodies` that their changes or changes
    /// held before want; durable when it returns.
    ///
    /// # Errors
    /// If the store fails: then nothing of it is stored.
    fn receive_with(
        &self,
        remote: &DeviceId,
        chains: Vec<Received>,
        bodies: Vec<Bytes>,
        now_ms: u64,
    ) -> ExchangeResult<Receipt>;

    /// The newest of the space of a section, for `remote`, which asked for much of it: what people
    /// look at first, in messages.
    ///
    /// # Errors
    /// If the store fails.
    fn newest(&self, _remote: &DeviceId, _section: &Section) -> ExchangeResult<Vec<Newest>> {
        Ok(Vec::new())
    }

    /// Takes the newest of a space before the rest comes. Returns how many signatures were
    /// checked, and how much of it was false.
    ///
    /// # Errors
    /// If the store fails: then nothing of it is kept.
    fn receive_newest(&self, _newest: Newest, _now_ms: u64) -> ExchangeResult<(u64, u32)> {
        Ok((0, 0))
    }

    /// Lets go of what was taken as the newest of spaces of which all the rest is here. Called when
    /// a round is over.
    ///
    /// # Errors
    /// If the store fails.
    fn settle_newest(&self) -> ExchangeResult<()> {
        Ok(())
    }

    /// Spaces of which a receipt of `remote` is wanted: that it holds what the own account wrote, or a
    /// hub that it is in. With `first` also those of which there is a good one.
    ///
    /// # Errors
    /// If the store fails.
    fn holds_due(
        &self,
        _remote: &DeviceId,
        _first: bool,
        _now_ms: u64,
    ) -> ExchangeResult<Vec<SpaceId>> {
        Ok(Vec::new())
    }

    /// Signs for `remote` what is held here of a space; `None` if it is not all of it, or not for
    /// `remote`.
    ///
    /// # Errors
    /// If the store fails.
    fn hold(
        &self,
        _remote: &DeviceId,
        _space: &SpaceId,
        _now_ms: u64,
    ) -> ExchangeResult<Option<Hold>> {
        Ok(None)
    }

    /// Notes what `remote` signed that it holds; whether it is good for anything. Then also what to
    /// look at there, and what it has to answer.
    ///
    /// # Errors
    /// If the store fails.
    fn take_hold(
        &self,
        _remote: &DeviceId,
        _space: &SpaceId,
        _hold: &Hold,
        _now_ms: u64,
    ) -> ExchangeResult<Option<Option<Look>>> {
        Ok(None)
    }

    /// What to answer where `remote` asks for a part of a body: `None` where it may not read it, it is
    /// not here, or it is larger than any that a receipt is looked at with.
    ///
    /// # Errors
    /// If the store fails.
    fn answer(&self, _remote: &DeviceId, _probe: &Probe) -> ExchangeResult<Option<[u8; 32]>> {
        Ok(None)
    }

    /// Notes whether `remote` held what it was asked for.
    ///
    /// # Errors
    /// If the store fails.
    fn note_probed(
        &self,
        _remote: &DeviceId,
        _space: &SpaceId,
        _held: bool,
        _now_ms: u64,
    ) -> ExchangeResult<()> {
        Ok(())
    }

    /// [`Exchange::receive_with`] without bodies.
    ///
    /// # Errors
    /// If the store fails: then nothing of it is stored.
    fn receive(
        &self,
        remote: &DeviceId,
        chains: Vec<Received>,
        now_ms: u64,
    ) -> ExchangeResult<Receipt> {
        self.receive_with(remote, chains, Vec::new(), now_ms)
    }

    /// Bodies (not attachments) named by changes `first_n..=last_n` of the tip's branch
    /// in the order of the changes; one or the other may not be here.
    ///
    /// # Errors
    /// If the store fails.
    fn bodies_of(&self, tip: &KnownTip, first_n: u64, last_n: u64) -> ExchangeResult<Vec<BodyRef>>;

    /// Bodies of the section that are wanted here and not held; at most `limit`, those
    /// after `after` in an order of the replica's own.
    ///
    /// # Errors
    /// If the store fails.
    fn missing_bodies(
        &self,
        section: &Section,
        after: Option<BlobHash>,
        limit: usize,
    ) -> ExchangeResult<Vec<BodyRef>>;

    /// Number of bodies of the section that are wanted here and not held.
    ///
    /// # Errors
    /// If the store fails.
    fn missing_bodies_count(&self, section: &Section) -> ExchangeResult<u64>;

    /// A body that came through a section `remote` may read; `None` otherwise, with the
    /// same answer for unknown and forbidden ones.
    ///
    /// # Errors
    /// If the store fails.
    fn body(&self, remote: &DeviceId, hash: &BlobHash) -> ExchangeResult<Option<Bytes>>;

    /// Stores bodies (`salt ‖ bytes`, hashed here) that held changes want; durable when
    /// it returns. Others are refused.
    ///
    /// # Errors
    /// If the store fails.
    fn receive_bodies(&self, remote: &DeviceId, bodies: Vec<Bytes>) -> ExchangeResult<BodyReceipt>;

    /// Chains of the section with bytes missing that would be taken; at most `limit`.
    /// Refused ones do not come again. Where a part is kept, those to ask for next.
    ///
    /// # Errors
    /// If the store fails.
    fn incomplete(&self, section: &Section, limit: usize) -> ExchangeResult<Vec<Incomplete>>;

    /// Number of bodies and chains (of these at most 1,024) of the section that are wanted
    /// here and not held.
    ///
    /// # Errors
    /// If the store fails.
    fn missing_count(&self, section: &Section) -> ExchangeResult<u64> {
        Ok(self.missing_bodies_count(section)? + self.incomplete(section, 1024)?.len() as u64)
    }

    /// What `remote` showed of the section before: the highest n of each chain.
    ///
    /// # Errors
    /// If the store fails.
    fn shown(&self, remote: &DeviceId, section: &Section) -> ExchangeResult<Vec<(ChainKey, u64)>>;

    /// Notes what `remote` showed of the section; keeps the higher n of each chain.
    ///
    /// # Errors
    /// If the store fails.
    fn record_shown(
        &self,
        remote: &DeviceId,
        section: &Section,
        tips: &[(ChainKey, u64)],
    ) -> ExchangeResult<()>;
}
