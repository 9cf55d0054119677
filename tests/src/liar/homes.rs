//! Devices of homes that lie, and what nodes say of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use mosaic_engine::entropy::{Entropy, SeededEntropy};
use mosaic_engine::identity::{CertificatePath, DeviceSecret};
use mosaic_engine::replica::{Replica, ReplicaOptions};
use mosaic_engine::store::disk::{DiskOptions, DiskStore};
use serde_json::Value;

use super::author::Author;
use super::table::Answer;
use crate::home::{Home, Node};

/// A device that somebody enrolled: its keys are taken out of its home, with its path.
///
/// # Panics
/// If it is no home of a device.
#[must_use]
pub fn enrolled(home: &Home) -> Author {
    let bytes = std::fs::read(home.path.join("device.key")).expect("a home");
    let secret =
        || DeviceSecret::from_bytes(&bytes.as_slice().try_into().expect("a home")).expect("a home");
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(u64::from(std::process::id())));
    Author::enrolled(secret(), path_of(home, secret()), entropy)
}

fn path_of(home: &Home, secret: DeviceSecret) -> CertificatePath {
    let marks = tempfile::tempdir().expect("a home");
    let options = DiskOptions::new(&home.path, marks.path());
    let disk = DiskStore::open(&options).expect("a home");
    let options = ReplicaOptions { secret: Some(secret), fresh_incarnation: false };
    let entropy = Arc::new(SeededEntropy::new(1));
    let replica = Replica::open(Arc::new(disk.store.clone()), entropy, options).expect("a home");
    let path = replica.path(&replica.device().expect("a home")).expect("a home").expect("a path");
    replica.close().expect("a home");
    path
}

/// What a node says that it did not take, by reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// For good.
    pub refused: BTreeMap<String, u64>,
    /// For now.
    pub deferred: BTreeMap<String, u64>,
}

impl Counted {
    /// What the node of a home says.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        Self::in_record(&home.json(&["node", "status"])[0])
    }

    /// What a record says.
    ///
    /// # Panics
    /// If it says nothing of it.
    #[must_use]
    pub fn in_record(record: &Value) -> Self {
        let map = |name: &str| serde_json::from_value(record[name].clone()).expect("counts");
        Self { refused: map("refused"), deferred: map("deferred") }
    }

    /// Counts one more answer.
    pub fn add(&mut self, answer: &Answer) {
        let Some(reason) = answer.reason() else { return };
        let kind = if reason.is_refusal() { &mut self.refused } else { &mut self.deferred };
        *kind.entry(reason.name().to_owned()).or_default() += 1;
    }
}

/// Resident memory of a node, in bytes.
///
/// # Panics
/// If the system does not say.
#[must_use]
pub fn resident_bytes(node: &Node) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", node.pid())).expect("a number");
    statm.split(' ').nth(1).expect("a number").parse::<u64>().expect("a number") * 4096
}
