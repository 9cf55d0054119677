//! Schemes that compare sets of ids: they know nothing of chains, and need all ids.

use std::collections::BTreeMap;

use mosaic_engine::chain::ChainKey;
use mosaic_engine::description::SectionClass;
use mosaic_engine::hash::{ChangeId, DocumentId};
use mosaic_engine::replica::Replica;
use mosaic_engine::sync::exchange::Exchange;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use sedimentree_core::blob::{Blob, BlobMeta};
use sedimentree_core::crypto::fingerprint::FingerprintSeed;
use sedimentree_core::id::SedimentreeId;
use sedimentree_core::loose_commit::LooseCommit;
use sedimentree_core::loose_commit::id::CommitId;
use sedimentree_core::sedimentree::Sedimentree;

use super::Found;
use crate::floor::changes_of;
use crate::measure::cpu;

/// Bytes of a fingerprint of sedimentree, of its seed, and of the name of a tree.
const FINGERPRINT_BYTES: u64 = 8;
const SEED_BYTES: u64 = 16;
const TREE_BYTES: u64 = 32;

/// A change: its place in time, its id, the one before it.
type Item = (u64, ChangeId, Option<ChangeId>);

pub(super) fn find(nodes: [&Replica; 2]) -> Vec<Found> {
    let items = nodes.map(items);
    vec![by_ranges([&items[0], &items[1]]), by_fingerprints([&items[0], &items[1]])]
}

type Items = BTreeMap<(DocumentId, ChainKey), Vec<Item>>;

/// All changes of a replica that anybody may read, by chain. Time is the number in the chain
/// after the time of its first change: what is new is newest, as these schemes like it.
fn items(replica: &Replica) -> Items {
    let mut out = Items::new();
    for section in replica.held_sections().expect("sections") {
        if section.class == SectionClass::Private {
            continue;
        }
        for tip in replica.tips(&section).expect("tips") {
            let mut previous = None;
            let mut chain = Vec::new();
            for (n, bytes) in (1u64..).zip(changes_of(replica, &section, &tip)) {
                let id = ChangeId::of(&bytes);
                chain.push((tip.page.wrapping_mul(1 << 20) % (1 << 40) + n, id, previous));
                previous = Some(id);
            }
            out.insert((tip.chain.doc, tip.chain), chain);
        }
    }
    out
}

/// Range-based set reconciliation. Counted: its own messages; not: asking for what it found.
fn by_ranges(items: [&Items; 2]) -> Found {
    let (ns, (bytes, legs)) = cpu(|| {
        let [client, server] = items.map(|items| {
            let mut storage = NegentropyStorageVector::new();
            for (time, id, _) in items.values().flatten() {
                storage.insert(*time, Id::from_byte_array(*id.as_bytes())).expect("an id");
            }
            storage.seal().expect("a sealed set");
            storage
        });
        let mut client = Negentropy::borrowed(&client, 0).expect("a client");
        let mut server = Negentropy::borrowed(&server, 0).expect("a server");
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut query = Some(client.initiate().expect("a query"));
        let (mut bytes, mut legs) = (0, 0);
        while let Some(asked) = query {
            let answer = server.reconcile(&asked).expect("an answer");
            bytes += asked.len() as u64 + answer.len() as u64;
            legs += 2;
            query = client.reconcile_with_ids(&answer, &mut have, &mut need).expect("a round");
        }
        (bytes, legs)
    });
    Found { name: "negentropy", bytes, legs, ns }
}

/// Fingerprints of all commits of all documents, as nothing of them is packed into fragments.
fn by_fingerprints(items: [&Items; 2]) -> Found {
    let (ns, bytes) = cpu(|| {
        let [ours, theirs] = items.map(trees);
        let seed = FingerprintSeed::new(1, 2);
        let mut bytes = 0;
        for (doc, tree) in &ours {
            let summary = tree.fingerprint_summarize(&seed);
            let count = summary.commit_fingerprints().len() as u64;
            bytes += TREE_BYTES + SEED_BYTES + FINGERPRINT_BYTES * count;
            let Some(other) = theirs.get(doc) else { continue };
            let diff = other.diff_remote_fingerprints(&summary);
            let echoed = diff.remote_only_commit_fingerprints.len() as u64;
            bytes += TREE_BYTES + FINGERPRINT_BYTES * echoed;
        }
        bytes
    });
    Found { name: "sedimentree, all loose", bytes, legs: 2, ns }
}

fn trees(items: &Items) -> BTreeMap<DocumentId, Sedimentree> {
    let meta = BlobMeta::new(&Blob::new(vec![0; 300]));
    let mut commits: BTreeMap<DocumentId, Vec<LooseCommit>> = BTreeMap::new();
    for ((doc, _), chain) in items {
        let tree = SedimentreeId::new(*doc.as_bytes());
        let commit = |(_, id, previous): &Item| {
            let parents = previous.iter().map(|id| CommitId::new(*id.as_bytes())).collect();
            LooseCommit::new(tree, CommitId::new(*id.as_bytes()), parents, meta)
        };
        commits.entry(*doc).or_default().extend(chain.iter().map(commit));
    }
    commits.into_iter().map(|(doc, commits)| (doc, Sedimentree::new(vec![], commits))).collect()
}
