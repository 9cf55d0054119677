//! For tests: chunks put together by hand, right or wrong.
#![cfg_attr(not(test), expect(clippy::unwrap_used, reason = "for tests only"))]

use crate::change::{Actor, checksum, chunk_hash};
use crate::codec::Writer;
use crate::hash::ChangeHash;

/// A signed LEB128 number in its shortest form.
#[must_use]
pub fn signed(mut value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// An unsigned LEB128 number in its shortest form.
#[must_use]
pub fn unsigned(value: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.varint(value);
    w.finish()
}

/// A run of `count` times the same encoded value.
#[must_use]
pub fn run(count: i64, value: &[u8]) -> Vec<u8> {
    [&signed(count), value].concat()
}

/// A literal run.
#[must_use]
pub fn literals(values: &[Vec<u8>]) -> Vec<u8> {
    let count = -i64::try_from(values.len()).unwrap();
    [signed(count), values.concat()].concat()
}

/// Text with its length.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    let mut w = Writer::new();
    w.text(text);
    w.finish()
}

/// Puts magic, checksum, type and length before a body.
#[must_use]
pub fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(kind).bytes(body);
    seal_checksum(w.finish())
}

/// Puts magic and checksum before type, length and body.
#[must_use]
pub fn seal_checksum(typed: Vec<u8>) -> Vec<u8> {
    [&[0x85, 0x6f, 0x4a, 0x83], &checksum(&chunk_hash(&typed))[..], &typed].concat()
}

/// The fields of a change chunk, each as it is written.
#[derive(Debug, Clone)]
pub struct RawChange {
    /// Changes it builds on.
    pub dependencies: Vec<ChangeHash>,
    /// Who makes its operations; of any length.
    pub actor: Vec<u8>,
    /// Its number among the actor's changes.
    pub sequence: u64,
    /// Counter of its first operation.
    pub start_operation: u64,
    /// Claimed time.
    pub time: i64,
    /// Message.
    pub message: Vec<u8>,
    /// Other actors that its operations name.
    pub others: Vec<Vec<u8>>,
    /// Column specifications and data, in the order written.
    pub columns: Vec<(u64, Vec<u8>)>,
    /// What stands behind the columns.
    pub extra: Vec<u8>,
}

impl RawChange {
    /// A first change that puts the text "v" under "k".
    #[must_use]
    pub fn put(actor: Actor) -> Self {
        Self {
            dependencies: vec![],
            actor: actor.as_bytes().to_vec(),
            sequence: 1,
            start_operation: 1,
            time: 0,
            message: vec![],
            others: vec![],
            columns: vec![
                (0x15, literals(&[text("k")])),
                (0x34, vec![1]),
                (0x42, vec![0x7f, 1]),
                (0x56, vec![0x7f, 0x16]),
                (0x57, b"v".to_vec()),
                (0x70, vec![0x7f, 0]),
            ],
            extra: vec![],
        }
    }

    /// Replaces or adds a column, in order.
    #[must_use]
    pub fn with(mut self, spec: u64, data: Vec<u8>) -> Self {
        self.columns.retain(|(known, _)| *known != spec);
        self.columns.push((spec, data));
        self.columns.sort();
        self
    }

    /// Leaves a column out.
    #[must_use]
    pub fn without(mut self, spec: u64) -> Self {
        self.columns.retain(|(known, _)| *known != spec);
        self
    }

    /// The body of the chunk.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.varint(self.dependencies.len() as u64);
        for dependency in &self.dependencies {
            w.raw(dependency.as_bytes());
        }
        w.bytes(&self.actor).varint(self.sequence).varint(self.start_operation);
        w.raw(&signed(self.time)).bytes(&self.message).varint(self.others.len() as u64);
        for other in &self.others {
            w.bytes(other);
        }
        w.varint(self.columns.len() as u64);
        for (spec, data) in &self.columns {
            w.varint(*spec).varint(data.len() as u64);
        }
        for (_, data) in &self.columns {
            w.raw(data);
        }
        w.raw(&self.extra);
        w.finish()
    }

    /// The whole chunk.
    #[must_use]
    pub fn chunk(&self) -> Vec<u8> {
        chunk(1, &self.body())
    }
}
