//! Chains that wait for others: on the disk, as nobody says how many there are.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mosaic_engine::chain::SignedHead;
use mosaic_engine::limits::PACK_BYTES_MAX;
use mosaic_engine::replica::{LeftChain, Replica};
use mosaic_engine::sync::exchange::{Reason, Verdict};
use mosaic_engine::wire::{ChainBundler, read_bundle};

use super::layout::PART_BYTES;
use crate::clock;
use crate::error::NodeError;
use crate::tarball::Fault;

/// Where they wait.
#[derive(Debug)]
pub(super) struct Later {
    path: PathBuf,
    out: Option<BufWriter<File>>,
}

/// Says why a chain may not be left, if so.
pub(super) type Judge<'a> = &'a dyn Fn(&LeftChain) -> Option<String>;

/// What became of those that waited.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Chains that are left.
    pub(super) left: u64,
    /// Changes that were taken.
    pub(super) changes: u64,
    /// Heads of chains of which nothing is kept here.
    pub(super) unknown: Vec<SignedHead>,
}

impl Settled {
    fn leave(&mut self, left: &[LeftChain]) {
        self.left += left.len() as u64;
        let unknown = |left: &&LeftChain| left.verdict == Verdict::Refused(Reason::NotKept);
        for left in left.iter().filter(unknown) {
            let Ok(head) = SignedHead::from_bytes(&left.chain.head) else { continue };
            // An older head of the same chain comes right before the newest.
            let older = self.unknown.last().is_some_and(|last| {
                !left.chain.fork && last.claimed_chain() == head.claimed_chain()
            });
            if older {
                self.unknown.pop();
            }
            self.unknown.push(head);
        }
    }
}

impl Later {
    /// Nothing waits yet.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, out: None }
    }

    /// Adds chains.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn add(&mut self, left: &[LeftChain]) -> Result<(), NodeError> {
        let mut bundle = ChainBundler::new();
        for left in left {
            bundle.add(&left.chain);
            if bundle.bytes() >= PART_BYTES {
                self.put(&bundle.take())?;
            }
        }
        if bundle.is_empty() { Ok(()) } else { self.put(&bundle.take()) }
    }

    fn put(&mut self, bundle: &Bytes) -> Result<(), NodeError> {
        if self.out.is_none() {
            let file = File::create(&self.path).map_err(NodeError::file("write", &self.path))?;
            self.out = Some(BufWriter::new(file));
        }
        let Some(out) = &mut self.out else { return Ok(()) };
        let len = u32::try_from(bundle.len()).unwrap_or(u32::MAX);
        let put = out.write_all(&len.to_be_bytes()).and_then(|()| out.write_all(bundle));
        put.map_err(NodeError::file("write", &self.path))
    }

    /// Takes them in, again and again, until no more is taken.
    ///
    /// # Errors
    /// One may not be left; the store or the disk fails.
    pub(super) fn settle(&mut self, replica: &Replica, judge: Judge<'_>) -> Result<Settled, Fault> {
        let mut changes = 0;
        loop {
            let Some(mut out) = self.out.take() else {
                return Ok(Settled { changes, ..Settled::default() });
            };
            out.flush().map_err(NodeError::file("write", &self.path))?;
            let waiting = self.path.with_extension("waiting");
            fs::rename(&self.path, &waiting).map_err(NodeError::file("write", &waiting))?;
            let (mut taken, mut settled, mut refused) = (0, Settled::default(), None);
            let mut from = Bundles::open(&waiting)?;
            while let Some(bundle) = from.next(&waiting)? {
                let chains = read_bundle(&bundle).map_err(Fault::damaged)?;
                let receipt = replica.take_carried(chains, clock::now_ms())?;
                taken += receipt.changes;
                settled.leave(&receipt.left);
                refused = refused.or_else(|| receipt.left.iter().find_map(judge));
                self.add(&receipt.left)?;
            }
            changes += taken;
            settled.changes = changes;
            if taken == 0 {
                return refused.map_or(Ok(settled), |why| Err(Fault::Damaged(why)));
            }
        }
    }
}

struct Bundles(BufReader<File>);

impl Bundles {
    fn open(path: &Path) -> Result<Self, NodeError> {
        Ok(Self(BufReader::new(File::open(path).map_err(NodeError::file("read", path))?)))
    }

    fn next(&mut self, path: &Path) -> Result<Option<Bytes>, NodeError> {
        let mut len = [0; 4];
        match self.0.read_exact(&mut len) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(NodeError::file("read", path))?,
        }
        let len = (u32::from_be_bytes(len) as usize).min(PACK_BYTES_MAX);
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).map_err(NodeError::file("read", path))?;
        Ok(Some(bytes.into()))
    }
}
