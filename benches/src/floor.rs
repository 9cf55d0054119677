//! The same documents in plain Automerge: what `save()` gives, and what its own sync sends.

use std::collections::{BTreeMap, BTreeSet};

use automerge::sync::{Message, State, SyncDoc};
use automerge::{Automerge, Change};
use mosaic_engine::change::log::{build, tag};
use mosaic_engine::change::{Actor, BuiltChange};
use mosaic_engine::description::SectionClass;
use mosaic_engine::hash::DocumentId;
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::{Exchange, KnownTip, Section};
use mosaic_engine::wire::{Changes, Content};

/// Documents by their names.
pub type Documents = BTreeMap<DocumentId, Automerge>;

/// Returns the changes of a chain as Automerge reads them, in order.
///
/// # Panics
/// If the replica does not hold all of it.
#[must_use]
pub fn changes_of(replica: &Replica, section: &Section, tip: &KnownTip) -> Vec<Vec<u8>> {
    let origin = tip.chain.origin(&section.space);
    let (actor, tag) = (Actor::of(&tip.chain), tag(&origin));
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut previous = None;
    while (out.len() as u64) < tip.n {
        let n = out.len() as u64 + 1;
        let part = replica.part(tip, n, usize::MAX).expect("a store").expect("a chain");
        match part.content {
            Content::Changes(Changes::Log(items)) => {
                for (n, item) in (n..).zip(items) {
                    let built: BuiltChange =
                        build(actor, n, previous, tag, item.time_ms, &item.value)
                            .expect("a change");
                    previous = Some(built.hash);
                    out.push(built.bytes);
                }
            }
            Content::Changes(Changes::Raw(raw)) => out.extend(raw.iter().map(|b| b.to_vec())),
            Content::Ids(_) => panic!("not held"),
        }
    }
    out
}

/// Returns the log documents of all sections that anybody may read, as Automerge holds them.
///
/// # Panics
/// If a store fails or Automerge refuses a change.
#[must_use]
pub fn documents(replica: &Replica) -> Documents {
    let mut documents = BTreeMap::new();
    for section in replica.held_sections().expect("sections") {
        if section.class == SectionClass::Private {
            continue;
        }
        let mut tips = replica.tips(&section).expect("tips");
        tips.sort_by_key(|tip| tip.chain);
        for page in tips.chunk_by(|a, b| a.chain.doc == b.chain.doc) {
            let chunks = page.iter().flat_map(|tip| changes_of(replica, &section, tip));
            documents.insert(page[0].chain.doc, load(chunks));
        }
    }
    documents
}

/// Makes a document of stored changes.
///
/// # Panics
/// If Automerge refuses them.
pub fn load(chunks: impl IntoIterator<Item = Vec<u8>>) -> Automerge {
    let mut document = Automerge::new();
    let parse = |bytes| Change::from_bytes(bytes).expect("a change");
    let parsed: Vec<Change> = chunks.into_iter().map(parse).collect();
    document.apply_changes(parsed).expect("good changes");
    document
}

/// Returns the bytes of all documents as Automerge saves them.
#[must_use]
pub fn saved_bytes(documents: &Documents) -> u64 {
    documents.values().map(|document| document.save().len() as u64).sum()
}

/// What Automerge's own sync took for one document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Bytes of messages without the changes in them, both ways.
    pub control: u64,
    /// Bytes of all messages, both ways.
    pub total: u64,
    /// Messages one after the other until both were equal and knew it.
    pub legs: u64,
}

impl Synced {
    /// Adds what another document took: they go side by side.
    pub fn add(&mut self, other: &Self) {
        self.control += other.control;
        self.total += other.total;
        self.legs = self.legs.max(other.legs);
    }
}

/// Lets two copies of a document sync until both are silent. The states are those of peers
/// that never met, or what an earlier sync left.
///
/// # Panics
/// If Automerge refuses its own messages.
pub fn sync(docs: &mut [Automerge; 2], states: &mut [State; 2]) -> Synced {
    let mut told = Synced::default();
    let mut silent = [false; 2];
    let mut side = 0;
    while !(silent[0] && silent[1]) {
        match docs[side].generate_sync_message(&mut states[side]) {
            None => silent[side] = true,
            Some(message) => {
                silent = [false; 2];
                told.legs += 1;
                let changes: usize = message.changes.iter().map(<[u8]>::len).sum();
                let bytes = message.encode();
                told.total += bytes.len() as u64;
                told.control += bytes.len().saturating_sub(changes) as u64;
                let message = Message::decode(&bytes).expect("a message");
                let other = 1 - side;
                docs[other].receive_sync_message(&mut states[other], message).expect("a sync");
            }
        }
        side = 1 - side;
    }
    told
}

/// Returns the states of two peers that never met.
#[must_use]
pub fn strangers() -> [State; 2] {
    [State::new(), State::new()]
}

/// What automerge::sync takes for the documents of two replicas, side by side: of peers that
/// never met, and of peers that were equal, kept their states, and then wrote.
#[must_use]
pub fn sync_all(before: &Documents, after: [&Documents; 2]) -> [Synced; 2] {
    let mut told = [Synced::default(); 2];
    let empty = Automerge::new();
    let names: BTreeSet<&DocumentId> = after.iter().flat_map(|side| side.keys()).collect();
    for name in names {
        let docs = || after.map(|side| side.get(name).unwrap_or(&empty).clone());
        told[0].add(&sync(&mut docs(), &mut strangers()));
        let mut states = strangers();
        if let Some(document) = before.get(name) {
            sync(&mut [document.clone(), document.clone()], &mut states);
        }
        // What is kept over a restart.
        let mut kept = states.map(|state| State::decode(&state.encode()).expect("an own state"));
        told[1].add(&sync(&mut docs(), &mut kept));
    }
    told
}
