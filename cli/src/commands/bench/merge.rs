//! Two devices edited one profile apart; one takes in what the other wrote, through the whole
//! gate.

use mosaic_engine::chain::ChainKey;
use mosaic_engine::change::Actor;
use mosaic_engine::change::value::Value;
use mosaic_engine::document::{MapDocument, StoredChange};
use mosaic_engine::hash::{DeviceId, DocumentId, Incarnation, derive};
use mosaic_node::api::types::ErrorKind;

use super::{Options, Sample, Size, report, timed};
use crate::error::Failure;
use crate::output::Output;

/// Fields of the profile that are edited in turn.
const FIELDS: u64 = 16;

pub(super) async fn run(options: &Options, output: &mut Output) -> Result<(), Failure> {
    let edits = match options.size {
        Size::Small => 100,
        Size::Medium => 500,
        Size::Large => 2000,
    };
    let (seed, runs) = (options.seed, options.runs);
    let samples = crate::apart(move || measure(seed, runs, edits)).await?;
    let case = format!("profile-two-devices-{edits}-edits-each");
    report("merge", &case, options, &samples, output)
}

fn measure(seed: u64, runs: u64, edits: u64) -> Result<Vec<Sample>, Failure> {
    let (own, own_changes) = write(seed, b"laptop", edits)?;
    let (other, other_changes) = write(seed, b"phone", edits)?;
    let doc = document(seed);
    let mut samples = Vec::new();
    for _ in 0..runs {
        let stored =
            (1..).zip(&own_changes).map(|(n, bytes)| StoredChange { actor: own, n, bytes });
        let mut document = MapDocument::load(doc, stored).map_err(wrong)?;
        let (elapsed_us, merged) = timed(|| -> Result<(), Failure> {
            for bytes in &other_changes {
                let position = document.next_position(other);
                let change = document.gate(bytes, position).map_err(wrong)?;
                document.apply_vetted(change).map_err(wrong)?;
            }
            Ok(())
        });
        merged?;
        samples.push(Sample { elapsed_us, changes: edits, wire_bytes: None });
    }
    Ok(samples)
}

fn document(seed: u64) -> DocumentId {
    DocumentId::from_bytes(derive("mosaic bench document 1", &[&seed.to_be_bytes()]))
}

/// Returns `edits` changes by a device that saw nothing of the other.
fn write(seed: u64, name: &[u8], edits: u64) -> Result<(Actor, Vec<Vec<u8>>), Failure> {
    let bytes = derive("mosaic bench device 1", &[&seed.to_be_bytes(), name]);
    let doc = document(seed);
    let incarnation = Incarnation::from_bytes(seed_bytes(&bytes));
    let actor = Actor::of(&ChainKey { doc, device: DeviceId::from_bytes(bytes), incarnation });
    let mut document = MapDocument::new(doc);
    let mut changes = Vec::new();
    for n in 0..edits {
        let (key, value) = (format!("fields/{}", n % FIELDS), Value::Text(format!("value {n}")));
        let edits = [(key.as_str(), Some(value))];
        let change = document.author(document.next_position(actor), &edits).map_err(wrong)?;
        changes.push(change.bytes().to_vec());
        document.apply_vetted(change).map_err(wrong)?;
    }
    Ok((actor, changes))
}

fn seed_bytes(bytes: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(bytes) {
        *to = *from;
    }
    half
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Error, format!("the benchmark failed: {error}"))
}
