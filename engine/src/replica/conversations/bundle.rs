//! Conversations in a file that is carried by hand: sealed as they are, with what verifies them.
//! It is taken in as from a peer.
//!
//! ```text
//! "MOD2" ‖ list bytes ‖ hash of the list 32 ‖ parts, one behind the other
//! list = count ‖ genesis bytes each ‖ count ‖ (kind u8 ‖ of ‖ length ‖ hash 32) each
//! ```
//!
//! A part is one chain or one text: what is damaged of a file leaves out that and nothing else. `of`
//! counts the conversations from 1, 0 for what is of none. [`older`] reads what had no hashes.

mod older;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::meet::Taking;
use super::{ConversationStanding, Talk};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, BlobHash, ConversationId, DocumentId};
use crate::limits::PACK_BYTES_MAX;
use crate::model::entry::ConversationGenesis;
use crate::replica::carry::{CarriedReceipt, LeftChain};
use crate::replica::{EngineError, FOLLOWS, PETNAMES, Replica};
use crate::sync::exchange::{Reason, Verdict};
use crate::wire::{CarriedChain, ChainBundler, INTRODUCED_BYTES_MAX, read_bundle};

/// Bytes of a file.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024 * 1024;

const MAGIC: &[u8; 4] = b"MOD2";
const CONVERSATIONS_MAX: usize = 4096;
/// Parts of a file.
const PARTS_MAX: usize = 1 << 20;
/// Fewest bytes of a part in the list: bounds their count further.
const LISTED_BYTES_MIN: usize = 3 + 32;
/// Damaged texts of a file whose conversation is looked for.
const DAMAGED_FOUND_MAX: usize = 16;
/// Changes of a file: small ones must not unfold to many times its size.
const CHANGES_MAX: usize = BUNDLE_BYTES_MAX / 64;
/// Groups of a file that are looked at for a page of their founder that names the own account.
const CLAIMED_MAX: usize = 64;

const CHAIN: u8 = 0;
const TEXT: u8 = 1;

/// What became of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleReceipt {
    /// Conversations in it that are kept here.
    pub conversations: u64,
    /// Those that are nothing to this account, that it blocks, or for which there is no room.
    pub refused: u64,
    /// Of them, those by accounts that the own one blocks.
    pub blocked: u64,
    /// Of them, those for which there is no room now.
    pub full: u64,
    /// Changes that are new here.
    pub changes: u64,
    /// Texts that are new here.
    pub bodies: u64,
    /// Chains that were not taken whole.
    pub left: u64,
    /// Of them, those that were not taken for a reason, by that.
    pub left_by: BTreeMap<Reason, u64>,
    /// What was damaged, and left out.
    pub damaged: Vec<DamagedPart>,
}

/// A part of a file that is not what it was when the file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedPart {
    /// Whether it was a text; changes otherwise.
    pub text: bool,
    /// Of which conversation, if of one, and as far as it is known.
    pub of: Option<ConversationId>,
    /// Where it begins in the file, in bytes.
    pub at: u64,
}

/// A file that was read; nothing in it is verified, but that it is as it was written.
#[derive(Debug)]
pub struct BundleFile {
    genesis: Vec<ConversationGenesis>,
    chains: Vec<CarriedChain>,
    /// Of all chains.
    changes: usize,
    bodies: Vec<Bytes>,
    /// With the hash that it should have.
    damaged: Vec<(DamagedPart, BlobHash)>,
    parts: usize,
}

impl BundleFile {
    /// Reads a file: what is whole of it.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if it is no such file, [`EngineError::Corrupt`] if it was cut off, or
    /// altered so that nothing of it is whole.
    pub fn read(file: &Bytes) -> Result<Self, EngineError> {
        let no_file = |error: DecodeError| {
            EngineError::Invalid(format!("no bundle of conversations: {error}"))
        };
        let (value, max) = (file.len() as u64, BUNDLE_BYTES_MAX as u64);
        if value > max {
            return Err(no_file(DecodeError::TooLarge { reading: "file", value, max }));
        }
        let mut r = Reader::new(file);
        match r.array::<4>("magic").map_err(no_file)? {
            magic if magic == *MAGIC => {}
            magic if magic == *older::MAGIC => return older::read(file, r).map_err(no_file),
            _ => return Err(no_file(DecodeError::Rule("it begins with other bytes"))),
        }
        let broken = |error: DecodeError| match error {
            DecodeError::Short { .. } => corrupt("it ends within the list of what is in it"),
            _ => corrupt("the list of what is in it is altered"),
        };
        let list = r.bytes(BUNDLE_BYTES_MAX, "list").map_err(broken)?;
        let hash = BlobHash::from_bytes(r.array("hash of the list").map_err(broken)?);
        if BlobHash::of(list) != hash {
            return Err(corrupt("the list of what is in it is altered"));
        }
        let (genesis, listed) = read_list(list).map_err(no_file)?;
        let here = r.rest().len() as u64;
        let named = listed.iter().fold(0u64, |sum, part| sum.saturating_add(part.length));
        if here != named {
            let length = (file.len() as u64 - here).saturating_add(named);
            let what = format!("it has {} bytes, and {length} when it was written", file.len());
            return Err(corrupt(&what));
        }
        let mut found = Self::new(genesis, listed.len());
        found.read_parts(file, r, &listed).map_err(no_file)?;
        if found.parts > 0 && found.damaged.len() == found.parts {
            return Err(corrupt("each part of it is altered"));
        }
        Ok(found)
    }

    fn new(genesis: Vec<ConversationGenesis>, parts: usize) -> Self {
        let (chains, bodies) = (Vec::new(), Vec::new());
        Self { genesis, chains, changes: 0, bodies, damaged: Vec::new(), parts }
    }

    fn add_chains(&mut self, bytes: &Bytes) -> Result<(), DecodeError> {
        let chains = read_bundle(bytes)?;
        let parts = chains.iter().flat_map(|chain| &chain.parts);
        self.changes += parts.map(|part| part.content.len()).sum::<usize>();
        if self.changes > CHANGES_MAX {
            let (value, max) = (self.changes as u64, CHANGES_MAX as u64);
            return Err(DecodeError::TooLarge { reading: "changes of a file", value, max });
        }
        self.chains.extend(chains);
        Ok(())
    }

    /// How many parts it has, damaged ones among them.
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.parts
    }

    /// What of it is damaged.
    pub fn damaged(&self) -> impl Iterator<Item = &DamagedPart> {
        self.damaged.iter().map(|(part, _)| part)
    }

    fn read_parts(
        &mut self,
        file: &Bytes,
        mut r: Reader<'_>,
        listed: &[Listed],
    ) -> Result<(), DecodeError> {
        for part in listed {
            let at = (file.len() - r.rest().len()) as u64;
            let length = usize::try_from(part.length).unwrap_or(usize::MAX);
            let bytes = file.slice_ref(r.take(length, "part")?);
            if BlobHash::of(&bytes) != part.hash {
                let of = part.of.and_then(|of| self.genesis.get(of)).map(ConversationGenesis::id);
                self.damaged.push((DamagedPart { text: part.text, of, at }, part.hash));
            } else if part.text {
                self.bodies.push(bytes);
            } else {
                self.add_chains(&bytes)?;
            }
        }
        r.end()
    }
}

/// A part as the list names it.
struct Listed {
    text: bool,
    of: Option<usize>,
    length: u64,
    hash: BlobHash,
}

fn read_list(list: &[u8]) -> Result<(Vec<ConversationGenesis>, Vec<Listed>), DecodeError> {
    let mut r = Reader::new(list);
    let genesis = read_genesis(&mut r)?;
    let count = r.count(PARTS_MAX.min(list.len() / LISTED_BYTES_MIN), "parts")?;
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let text = match r.u8("part")? {
            CHAIN => false,
            TEXT => true,
            value => return Err(DecodeError::Unknown { reading: "part", value }),
        };
        let of = r.count(genesis.len(), "conversation of a part")?.checked_sub(1);
        let length = r.varint(PACK_BYTES_MAX as u64, "length of a part")?;
        if length == 0 {
            return Err(DecodeError::Rule("a part is empty"));
        }
        let hash = BlobHash::from_bytes(r.array("hash of a part")?);
        parts.push(Listed { text, of, length, hash });
    }
    r.end()?;
    Ok((genesis, parts))
}

fn read_genesis(r: &mut Reader<'_>) -> Result<Vec<ConversationGenesis>, DecodeError> {
    let mut genesis = Vec::new();
    for _ in 0..r.count(CONVERSATIONS_MAX, "conversations")? {
        let bytes = r.bytes(INTRODUCED_BYTES_MAX, "conversation")?;
        genesis.push(ConversationGenesis::decode(bytes)?);
    }
    Ok(genesis)
}

fn corrupt(what: &str) -> EngineError {
    EngineError::Corrupt(what.to_owned())
}

impl Replica {
    /// Writes conversations that the own account takes part in, these or all accepted ones, and
    /// whose devices are who takes part: with none at all, what others need to write to us.
    ///
    /// # Errors
    /// If one is not here, they are too much for a file, or the store fails or is damaged.
    pub fn bundle_conversations(&self, ids: &[ConversationId]) -> Result<Vec<u8>, EngineError> {
        let me = self.account()?;
        let mut state = self.lock();
        let kept = self.conversations_kept(&mut state)?;
        let mut chosen: Vec<(ConversationGenesis, std::sync::Arc<Talk>)> = Vec::new();
        if ids.is_empty() {
            for kept in kept.values().filter(|kept| !kept.genesis.audience) {
                let talk = self.talk_of(&mut state, &kept.id, &kept.genesis)?;
                if kept.standing == ConversationStanding::Accepted && talk.is_member(&me) {
                    chosen.push((kept.genesis.clone(), talk));
                }
            }
        }
        for id in ids {
            let (kept, talk) = self.known_conversation(&mut state, id)?;
            chosen.push((kept.genesis, talk));
        }
        drop(state);
        let mut people: BTreeSet<AccountId> =
            chosen.iter().flat_map(|(_, talk)| talk.members.keys().copied()).collect();
        // Who has this can seal to us.
        people.insert(me);
        let spaces: BTreeSet<Space> =
            chosen.iter().map(|(genesis, _)| Space::Conversation(genesis.id())).collect();
        let mut list = Writer::new();
        list.varint(chosen.len() as u64);
        for (genesis, _) in &chosen {
            list.bytes(&genesis.encode());
        }
        let numbered = (1u64..).zip(&chosen);
        let numbers = numbered.map(|(number, (genesis, _))| (genesis.id(), number)).collect();
        let mut documents: Vec<(DocumentId, Description)> = self.document_list()?;
        documents.retain(|(_, d)| {
            let log = d.kind == DocumentKind::AccountLog && people.contains(&d.account);
            log || spaces.contains(&d.space)
        });
        // Whose devices count is said first, and the oldest pages say who takes part.
        documents.sort_by_key(|(doc, d)| (d.kind, d.page, *doc));
        let parts = self.parts_of(&documents, &numbers)?;
        list.varint(parts.len() as u64);
        for (kind, of, part) in &parts {
            list.u8(*kind).varint(*of).varint(part.len() as u64);
            list.raw(BlobHash::of(part).as_bytes());
        }
        let list = list.finish();
        let mut w = Writer::new();
        w.raw(MAGIC).bytes(&list).raw(BlobHash::of(&list).as_bytes());
        for (.., part) in &parts {
            w.raw(part);
        }
        match w.len() {
            0..=BUNDLE_BYTES_MAX => Ok(w.finish()),
            length => Err(EngineError::Invalid(format!(
                "{length} bytes, limit {BUNDLE_BYTES_MAX}: choose some conversations"
            ))),
        }
    }

    /// Each with its kind, and the number of its conversation.
    fn parts_of(
        &self,
        documents: &[(DocumentId, Description)],
        numbers: &BTreeMap<ConversationId, u64>,
    ) -> Result<Vec<(u8, u64, Bytes)>, EngineError> {
        let mut parts = Vec::new();
        let mut chains = ChainBundler::new();
        for (doc, description) in documents {
            let conversation = description.space.conversation();
            let of = conversation.and_then(|id| numbers.get(&id)).copied().unwrap_or(0);
            for tip in self.carried_tips(doc)? {
                for chain in self.carry(&tip)? {
                    chains.add(&chain);
                    parts.push((CHAIN, of, chains.take()));
                }
            }
        }
        let mut hashes = Vec::new();
        let docs = documents.iter().map(|(doc, _)| *doc).collect();
        self.carried_bodies(&docs, u64::MAX, &mut |body| {
            hashes.push(body.hash);
            true
        })?;
        for hash in &hashes {
            // Whose it is its hash says once the chains are there.
            parts.push((TEXT, 0, self.carried_body(hash)?));
        }
        Ok(parts)
    }

    /// Takes in what is whole of a file that somebody else wrote. Doing it twice changes nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub fn take_bundle(&self, file: BundleFile, now_ms: u64) -> Result<BundleReceipt, EngineError> {
        let mut receipt = BundleReceipt::default();
        let (mut just, mut refused) = (BTreeSet::new(), BTreeMap::new());
        for genesis in &file.genesis {
            match self.take_up_by_hand(genesis, None, &just)? {
                Taking::Kept => drop(just.insert(genesis.id())),
                taking => drop(refused.insert(genesis.id(), (genesis, taking))),
            }
        }
        let mut done = self.take_carried(file.chains, now_ms)?;
        let maybe: Vec<(&ConversationGenesis, Taking)> = refused.values().copied().collect();
        for id in self.take_proven(&maybe, &mut done, now_ms)? {
            refused.remove(&id);
            just.insert(id);
        }
        receipt.conversations = just.len() as u64;
        receipt.refused = refused.len() as u64;
        for (_, taking) in refused.values() {
            match taking {
                Taking::Full => receipt.full += 1,
                Taking::Blocked => receipt.blocked += 1,
                Taking::Kept | Taking::NotOurs => {}
            }
        }
        receipt.changes = done.changes;
        receipt.left = done.left.len() as u64;
        for left in &done.left {
            if let Verdict::Refused(reason) | Verdict::Deferred(reason) = left.verdict {
                *receipt.left_by.entry(reason).or_default() += 1;
            }
        }
        for (number, (mut part, hash)) in file.damaged.into_iter().enumerate() {
            if part.text && number < DAMAGED_FOUND_MAX {
                part.of = self.conversation_of_body(&hash)?;
            }
            receipt.damaged.push(part);
        }
        receipt.bodies = self.take_bodies(file.bodies)?.0;
        Ok(receipt)
    }

    /// Takes up groups that did not begin with the own account, and those of accounts it knows that found the
    /// box of requests full, if pages of their founders in the file prove that it takes part; returns which
    /// are kept.
    fn take_proven(
        &self,
        maybe: &[(&ConversationGenesis, Taking)],
        done: &mut CarriedReceipt,
        now_ms: u64,
    ) -> Result<Vec<ConversationId>, EngineError> {
        let mut known = self.accounts_in(FOLLOWS)?;
        known.extend(self.accounts_in(PETNAMES)?);
        let by = |left: &LeftChain| (left.chain.description.space, left.chain.description.account);
        let here: BTreeSet<(Space, AccountId)> = done.left.iter().map(by).collect();
        let mut take = |which: &dyn Fn(&LeftChain) -> bool| {
            let chosen = done.left.extract_if(.., |left| which(left));
            let chosen = chosen.map(|left| left.chain).collect();
            let more = self.take_carried(chosen, now_ms)?;
            done.changes += more.changes;
            done.left.extend(more.left);
            Ok::<(), EngineError>(())
        };
        let (mut proven, mut looked) = (Vec::new(), 0);
        for (genesis, taking) in maybe {
            let Some(founder) = genesis.founder else { continue };
            let is_known = known.contains(&founder);
            if *taking == Taking::Blocked || (*taking == Taking::Full && !is_known) {
                continue;
            }
            let id = genesis.id();
            let his = (Space::Conversation(id), founder);
            if !here.contains(&his) || looked >= CLAIMED_MAX {
                continue;
            }
            looked += 1;
            if self.take_up_by_hand(genesis, Some(founder), &BTreeSet::new())? != Taking::Kept {
                continue;
            }
            take(&|left| by(left) == his)?;
            if self.keeps_proven(genesis, &founder, is_known)? {
                proven.push(id);
            }
        }
        if !proven.is_empty() {
            take(&|_| true)?;
        }
        Ok(proven)
    }

    /// The conversation in which something wants or has a text.
    fn conversation_of_body(&self, hash: &BlobHash) -> Result<Option<ConversationId>, EngineError> {
        for doc in self.places_of_body(hash)? {
            let described = self.description(&mut self.lock(), &doc)?;
            if let Some(id) = described.and_then(|description| description.space.conversation()) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}
