//! Hash pairs of large blobs: built once and kept a while.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use bao_tree::BaoTree;
use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::{ReadAt, outboard};
use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};
use bytes::Bytes;
use iroh_blobs::store::IROH_BLOCK_SIZE;
use mosaic_engine::hash::BlobHash;

use super::{BlobSource, OpenBlob};

/// Bytes of hash pairs kept for blobs that are asked for again: those of one 4 GiB blob and some.
const CACHE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Bytes read at once while hash pairs are built.
const READ_BYTES: u64 = 256 * 1024;

/// Values of groups asked for at once.
const GROUPS_AT_ONCE: usize = 16 * 1024;

/// A blob of the source, as `bao_tree` reads it.
pub(super) struct Reader<'a> {
    pub(super) source: &'a dyn BlobSource,
    pub(super) hash: BlobHash,
    pub(super) open: OpenBlob,
}

impl Reader<'_> {
    pub(super) const fn size(&self) -> u64 {
        self.open.size()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        match &self.open {
            OpenBlob::Stored(_) => self.source.read(&self.hash, offset, length),
            OpenBlob::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(length);
                let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
                bytes.get(start..end).map(|part| bytes.slice_ref(part)).ok_or_else(short)
            }
        }
    }
}

impl ReadAt for Reader<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size().saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = self.read(offset, length)?;
        let (head, _) = buffer
            .split_at_mut_checked(bytes.len())
            .ok_or_else(|| io::Error::other("the store returned more than was asked for"))?;
        head.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Recently used hash pairs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outboards {
    kept: Mutex<VecDeque<(BlobHash, Bytes)>>,
}

impl Outboards {
    /// Returns the hash pairs of a blob; `None` if its bytes are not those its hash names.
    pub(super) fn pairs(
        &self,
        blob: &Reader<'_>,
    ) -> io::Result<Option<PreOrderMemOutboard<Bytes>>> {
        let tree = BaoTree::new(blob.size(), IROH_BLOCK_SIZE);
        let root = blake3::Hash::from_bytes(*blob.hash.as_bytes());
        let wrap = |data| Some(PreOrderMemOutboard { root, tree, data });
        if tree.outboard_size() == 0 {
            return Ok(wrap(Bytes::new()));
        }
        if let Some(data) = self.find(&blob.hash) {
            return Ok(wrap(data));
        }
        if let Some(data) = from_groups(blob, &tree, &root) {
            self.keep(blob.hash, data.clone());
            return Ok(wrap(data));
        }
        let size = usize::try_from(tree.outboard_size()).map_err(io::Error::other)?;
        let mut built = PreOrderMemOutboard { root, tree, data: vec![0u8; size] };
        let found =
            outboard(Sequential { blob, offset: 0, piece: Bytes::new() }, tree, &mut built)?;
        if found != root {
            return Ok(None);
        }
        let data = Bytes::from(built.data);
        self.keep(blob.hash, data.clone());
        Ok(wrap(data))
    }

    fn find(&self, hash: &BlobHash) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, _)| of == hash).map(|(_, data)| data.clone())
    }

    fn keep(&self, hash: BlobHash, data: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((hash, data));
        while kept.iter().map(|(_, data)| data.len()).sum::<usize>() > CACHE_BYTES_MAX {
            kept.pop_front();
        }
    }
}

/// Hash pairs out of the values that the source keeps beside the bytes; `None` if there are none, or
/// they are not those of the hash.
fn from_groups(blob: &Reader<'_>, tree: &BaoTree, root: &blake3::Hash) -> Option<Bytes> {
    let total = usize::try_from(tree.blocks()).ok()?;
    let mut values: Vec<[u8; 32]> = Vec::new();
    while values.len() < total {
        let (first, left) = (u64::try_from(values.len()).ok()?, total - values.len());
        let more = blob.source.groups(&blob.hash, first, left.min(GROUPS_AT_ONCE)).ok()??;
        if more.is_empty() {
            return None;
        }
        values.extend(more);
    }
    let mut data = Vec::with_capacity(usize::try_from(tree.outboard_size()).ok()?);
    let (left, right) = pair(&values, &mut data)?;
    let found = merge_subtrees_root(&left, &right, Mode::Hash);
    (found == *root).then(|| data.into())
}

/// Appends the pairs of the tree over these values, its top first; returns what is at the top.
fn pair(values: &[[u8; 32]], data: &mut Vec<u8>) -> Option<([u8; 32], [u8; 32])> {
    if values.len() < 2 {
        return None;
    }
    let middle = values.len().div_ceil(2).next_power_of_two();
    let (left, right) = values.split_at_checked(middle)?;
    let at = data.len();
    data.resize(at + 64, 0);
    let mut below = |values: &[[u8; 32]]| match values {
        [value] => Some(*value),
        _ => pair(values, data).map(|(l, r)| merge_subtrees_non_root(&l, &r, Mode::Hash)),
    };
    let top = (below(left)?, below(right)?);
    data.get_mut(at..at + 64)?.copy_from_slice(&[top.0, top.1].concat());
    Some(top)
}

struct Sequential<'a> {
    blob: &'a Reader<'a>,
    offset: u64,
    piece: Bytes,
}

impl io::Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let left = self.blob.size().saturating_sub(self.offset).min(READ_BYTES);
            let length = usize::try_from(left).map_err(io::Error::other)?;
            self.piece = self.blob.read(self.offset, length)?;
            self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        let count = buffer.len().min(self.piece.len());
        let taken = self.piece.split_to(count);
        for (to, from) in buffer.iter_mut().zip(taken) {
            *to = from;
        }
        Ok(count)
    }
}
