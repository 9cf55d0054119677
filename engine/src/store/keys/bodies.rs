//! Keys of the rows of bodies.

use super::join;
use crate::chain::ChainKey;
use crate::hash::{BlobHash, DocumentId, derive};

/// Bytes of a hash or a document that a key of a body with others has of it.
const SHORT: usize = 16;

/// State of a body in one document.
#[must_use]
pub fn body(hash: &BlobHash, doc: &DocumentId) -> Vec<u8> {
    join(b'r', &[hash.as_bytes(), doc.as_bytes()])
}

/// All documents that name a body.
#[must_use]
pub fn body_places(hash: &BlobHash) -> Vec<u8> {
    join(b'r', &[hash.as_bytes()])
}

/// A body that a document names and that is not here.
#[must_use]
pub fn wanted(doc: &DocumentId, hash: &BlobHash) -> Vec<u8> {
    join(b'v', &[doc.as_bytes(), hash.as_bytes()])
}

/// All wanted bodies of one document.
#[must_use]
pub fn wanted_prefix(doc: &DocumentId) -> Vec<u8> {
    join(b'v', &[doc.as_bytes()])
}

/// A body that is here for a map.
#[must_use]
pub fn held(doc: &DocumentId, hash: &BlobHash) -> Vec<u8> {
    join(b'u', &[doc.as_bytes(), hash.as_bytes()])
}

/// All bodies that are here for a map.
#[must_use]
pub fn held_prefix(doc: &DocumentId) -> Vec<u8> {
    join(b'u', &[doc.as_bytes()])
}

/// A body that several entries of a document name.
#[must_use]
pub fn shared(doc: &DocumentId, hash: &BlobHash) -> Vec<u8> {
    join(b'i', &[doc.as_bytes(), hash.as_bytes()])
}

/// All states of bodies, but of those that share a row.
pub const BODIES: &[u8] = b"r";

/// All bodies that share a row with others.
pub const GATHERED: &[u8] = b"b";

/// Reads hash and document out of the key of a body's state.
#[must_use]
pub fn parse_body_place(key: &[u8]) -> Option<(BlobHash, DocumentId)> {
    let (hash, doc) = key.strip_prefix(BODIES)?.split_first_chunk::<32>()?;
    Some((BlobHash::from_bytes(*hash), DocumentId::from_bytes(doc.try_into().ok()?)))
}

/// A body of a document that shares a row with others.
#[must_use]
pub fn body_in_run(hash: &BlobHash, doc: &DocumentId) -> Vec<u8> {
    join(b'b', &[short(hash.as_bytes()), short(doc.as_bytes())])
}

/// All documents of which the body shares a row with others.
#[must_use]
pub fn gathered_places(hash: &BlobHash) -> Vec<u8> {
    join(b'b', &[short(hash.as_bytes())])
}

/// Reads the beginnings of hash and document out of such a key.
#[must_use]
pub fn parse_gathered(key: &[u8]) -> Option<(&[u8; SHORT], &[u8; SHORT])> {
    let (hash, doc) = key.strip_prefix(GATHERED)?.split_first_chunk::<SHORT>()?;
    Some((hash, doc.try_into().ok()?))
}

/// The name of a chain among those of its document that have bodies in rows together. Who makes two
/// chains of one name harms the texts of his own document alone.
#[must_use]
pub fn body_chain(chain: &ChainKey) -> [u8; 8] {
    let parts = [chain.device.as_bytes(), &chain.incarnation.as_bytes()[..]];
    let hash = derive("mosaic bodies of a chain 1", &parts);
    let mut name = [0; 8];
    name.copy_from_slice(hash.first_chunk::<8>().unwrap_or(&[0; 8]));
    name
}

/// The row of bodies that came with changes of a chain from `first` on; of the document its
/// beginning.
#[must_use]
pub fn body_run(doc: &[u8; SHORT], chain: &[u8; 8], first: u64) -> Vec<u8> {
    join(b'A', &[doc, chain, &first.to_be_bytes()])
}

/// All rows of bodies of one chain.
#[must_use]
pub fn body_runs(doc: &[u8; SHORT], chain: &[u8; 8]) -> Vec<u8> {
    join(b'A', &[doc, chain])
}

/// Reads the number of the first change out of the key of such a row.
#[must_use]
pub fn parse_body_run(key: &[u8]) -> Option<u64> {
    key.get(25..)?.try_into().ok().map(u64::from_be_bytes)
}

/// Descriptions of documents that begin so.
#[must_use]
pub fn descriptions(doc: &[u8; SHORT]) -> Vec<u8> {
    join(b'd', &[doc])
}

/// The beginning of a document's id.
#[must_use]
pub fn short_document(doc: &DocumentId) -> [u8; SHORT] {
    let mut start = [0; SHORT];
    start.copy_from_slice(short(doc.as_bytes()));
    start
}

fn short(bytes: &[u8; 32]) -> &[u8] {
    bytes.first_chunk::<SHORT>().map_or(&[], |start| start)
}
