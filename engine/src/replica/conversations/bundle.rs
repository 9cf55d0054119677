//! Conversations in a file that is carried by hand: sealed as they are, with what verifies them.
//! It is taken in as from a peer.
//!
//! ```text
//! "MOD1" ‖ count ‖ genesis bytes each ‖ count ‖ (0 chains | 1 bodies ‖ bytes) each
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{ConversationStanding, Talk};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::{Description, DocumentKind, Space};
use crate::hash::{AccountId, ConversationId, DocumentId};
use crate::model::entry::ConversationGenesis;
use crate::replica::{EngineError, Replica};
use crate::wire::{BodyPacker, ChainBundler, INTRODUCED_BYTES_MAX, Pack, read_bundle};

/// Bytes of a file.
pub const BUNDLE_BYTES_MAX: usize = 256 * 1024 * 1024;

const MAGIC: &[u8; 4] = b"MOD1";
const CONVERSATIONS_MAX: usize = 4096;
const PIECES_MAX: usize = 4096;
/// Bytes at which the next piece begins.
const PIECE_BYTES_WISHED: usize = 4 * 1024 * 1024;

/// What became of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BundleReceipt {
    /// Conversations in it that are kept here.
    pub conversations: u64,
    /// Those that are nothing to this account, or for which there is no room.
    pub refused: u64,
    /// Changes that are new here.
    pub changes: u64,
    /// Texts that are new here.
    pub bodies: u64,
    /// Chains that were not taken whole.
    pub left: u64,
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
        let mut w = Writer::new();
        w.raw(MAGIC).varint(chosen.len() as u64);
        for (genesis, _) in &chosen {
            w.bytes(&genesis.encode());
        }
        let mut documents: Vec<(DocumentId, Description)> = self.document_list()?;
        documents.retain(|(_, d)| {
            let log = d.kind == DocumentKind::AccountLog && people.contains(&d.account);
            log || spaces.contains(&d.space)
        });
        // Whose devices count is said first, and the oldest pages say who takes part.
        documents.sort_by_key(|(doc, d)| (d.kind, d.page, *doc));
        let pieces = self.pieces_of(&documents)?;
        w.varint(pieces.len() as u64);
        for (kind, piece) in pieces {
            w.u8(kind).bytes(&piece);
        }
        match w.len() {
            0..=BUNDLE_BYTES_MAX => Ok(w.finish()),
            length => Err(EngineError::Invalid(format!(
                "{length} bytes, limit {BUNDLE_BYTES_MAX}: choose some conversations"
            ))),
        }
    }

    fn pieces_of(
        &self,
        documents: &[(DocumentId, Description)],
    ) -> Result<Vec<(u8, Bytes)>, EngineError> {
        let mut pieces = Vec::new();
        let mut chains = ChainBundler::new();
        for (doc, _) in documents {
            for tip in self.carried_tips(doc)? {
                for chain in self.carry(&tip)? {
                    chains.add(&chain);
                }
                if chains.bytes() >= PIECE_BYTES_WISHED {
                    pieces.push((0, chains.take()));
                }
            }
        }
        if !chains.is_empty() {
            pieces.push((0, chains.take()));
        }
        let mut hashes = Vec::new();
        let docs = documents.iter().map(|(doc, _)| *doc).collect();
        self.carried_bodies(&docs, u64::MAX, &mut |body| {
            hashes.push(body.hash);
            true
        })?;
        let mut bodies = BodyPacker::new();
        for hash in &hashes {
            bodies.add(&self.carried_body(hash)?);
            if bodies.bytes() >= PIECE_BYTES_WISHED {
                pieces.push((1, bodies.take()));
            }
        }
        if bodies.bytes() > 0 {
            pieces.push((1, bodies.take()));
        }
        Ok(pieces)
    }

    /// Takes in what somebody else wrote so. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if it is no such file, or was cut or altered so that it does not
    /// decode: nothing of it is taken then; or the store fails.
    pub fn take_bundle(&self, file: &Bytes, now_ms: u64) -> Result<BundleReceipt, EngineError> {
        let (genesis, pieces) = read_file(file).map_err(|error| {
            EngineError::Invalid(format!("no bundle of conversations: {error}"))
        })?;
        let mut receipt = BundleReceipt::default();
        for genesis in &genesis {
            match self.take_by_hand(genesis)? {
                true => receipt.conversations += 1,
                false => receipt.refused += 1,
            }
        }
        let (mut chains, mut bodies) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Chains(piece) => chains.extend(piece),
                Piece::Bodies(piece) => bodies.extend(piece),
            }
        }
        let done = self.take_carried(chains, now_ms)?;
        receipt.changes = done.changes;
        receipt.left = done.left.len() as u64;
        receipt.bodies = self.take_bodies(bodies)?.0;
        Ok(receipt)
    }
}

enum Piece {
    Chains(Vec<crate::wire::CarriedChain>),
    Bodies(Vec<Bytes>),
}

fn read_file(file: &Bytes) -> Result<(Vec<ConversationGenesis>, Vec<Piece>), DecodeError> {
    let (value, max) = (file.len() as u64, BUNDLE_BYTES_MAX as u64);
    if value > max {
        return Err(DecodeError::TooLarge { reading: "file", value, max });
    }
    let mut r = Reader::new(file);
    if r.array::<4>("magic")? != *MAGIC {
        return Err(DecodeError::Rule("it begins with other bytes"));
    }
    let mut genesis = Vec::new();
    for _ in 0..r.count(CONVERSATIONS_MAX, "conversations")? {
        let bytes = r.bytes(INTRODUCED_BYTES_MAX, "conversation")?;
        genesis.push(ConversationGenesis::decode(bytes)?);
    }
    let mut pieces = Vec::new();
    for _ in 0..r.count(PIECES_MAX, "pieces")? {
        let kind = r.u8("piece")?;
        let bytes = file.slice_ref(r.bytes(crate::limits::PACK_BYTES_MAX, "piece")?);
        pieces.push(match kind {
            0 => Piece::Chains(read_bundle(&bytes)?),
            1 => match Pack::decode(&bytes)? {
                Pack::Bodies(bodies) => Piece::Bodies(bodies),
                Pack::Changes(_) => return Err(DecodeError::Rule("changes in place of bodies")),
            },
            value => return Err(DecodeError::Unknown { reading: "piece", value }),
        });
    }
    r.end()?;
    Ok((genesis, pieces))
}
