//! Proving who signed what, before the lock for writing is taken: signatures are what costs
//! most, and whoever sends false ones must not keep anybody else waiting.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::receive::{Source, Stop, deferred, refused};
use super::{EngineError, KnownDevice, Replica, State};
use crate::chain::{ChainError, ChainKey, SignedHead};
use crate::codec::Reader;
use crate::description::{Description, SectionClass};
use crate::hash::{DeviceId, DocumentId, Link};
use crate::identity::CertificatePath;
use crate::sync::exchange::{Reason, Received, Section};

/// A head that is verified, now, when it was stored or when the end of its chain was shown.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub n: u64,
    pub link: Link,
    pub bytes: Vec<u8>,
}

/// A received head with everything that vouches for it.
#[derive(Clone)]
pub(super) struct Proof {
    pub key: ChainKey,
    pub description: Arc<Description>,
    pub device: Arc<KnownDevice>,
    pub head: Proven,
}

/// What is known here of a chain whose head came.
struct Looked {
    head: SignedHead,
    description: Arc<Description>,
    device: Option<Arc<KnownDevice>>,
    /// The head, if it is one that was verified before.
    known: Option<Proven>,
}

/// What is known of one batch on its way.
#[derive(Default)]
struct Batch {
    /// Descriptions that came along.
    claimed: HashMap<DocumentId, Arc<Description>>,
    /// Whether it may know of a section whoever gives it.
    readable: HashMap<Section, bool>,
}

/// Paths that came along and verified, by their bytes.
type Paths = HashMap<Bytes, Arc<KnownDevice>>;

impl Replica {
    /// Proves the heads of what came, in order.
    pub(super) fn prove(
        &self,
        source: Source<'_>,
        chains: &[(usize, Received)],
    ) -> Result<Vec<Result<Proof, Stop>>, EngineError> {
        let mut state = self.lock();
        let mut batch = Batch::default();
        let looked: Vec<_> = chains
            .iter()
            .map(|(_, received)| self.look(&mut state, source, received, &mut batch))
            .collect();
        drop(state);
        let mut paths = Paths::new();
        let mut proofs = Vec::with_capacity(chains.len());
        for ((_, received), looked) in chains.iter().zip(looked) {
            let proof = looked.and_then(|looked| self.prove_one(looked, received, &mut paths));
            match proof {
                Err(Stop::Engine(error)) => return Err(error),
                proof => proofs.push(proof),
            }
        }
        Ok(proofs)
    }

    /// Whether it may know of a section whoever gives something of it.
    fn may_give(
        &self,
        state: &mut State,
        source: Source<'_>,
        page: &Description,
        batch: &mut Batch,
    ) -> Result<bool, EngineError> {
        let section = self.section_of(state, page)?;
        if section.class == SectionClass::Private && page.space.account().is_some() {
            // What is private of an account comes from whoever keeps it; that it is here is no secret.
            return Ok(true);
        }
        let remote = match source {
            Source::Hand => return Ok(true),
            Source::Peer(remote) => Some(remote),
            Source::Anybody => None,
        };
        let may = match batch.readable.get(&section) {
            Some(known) => *known,
            None => self.readable_in(state, remote, &section)?,
        };
        batch.readable.insert(section, may);
        match remote {
            Some(remote) if !may => self.parts(state, remote, page),
            _ => Ok(may),
        }
    }

    /// Everything that is checked before the signatures. Of what whoever gives it may not know to be
    /// here, all is answered as if it were not.
    fn look(
        &self,
        state: &mut State,
        source: Source<'_>,
        received: &Received,
        batch: &mut Batch,
    ) -> Result<Looked, Stop> {
        let head =
            SignedHead::from_bytes(&received.head).map_err(|_| refused(Reason::Malformed))?;
        let key = head.claimed_chain();
        let mut known = self.description(state, &key.doc)?;
        if let Some(here) = &known
            && !self.may_give(state, source, here, batch)?
        {
            known = None;
        }
        let known = known.or_else(|| batch.claimed.get(&key.doc).cloned());
        let description = match (&received.description, known) {
            (_, Some(known)) => known,
            (Some(other), None) if other.id() == key.doc => Arc::new(other.clone()),
            (Some(_), None) => return Err(refused(Reason::Malformed)),
            (None, None) => return Err(deferred(Reason::Gap)),
        };
        batch.claimed.insert(key.doc, description.clone());
        let section = self.section_of(state, &description)?;
        if !self.may_give(state, source, &description, batch)? || !self.keeps(state, &section)? {
            return Err(refused(Reason::NotKept));
        }
        let device = self.known_device(state, &key.device)?;
        let chain = self.chain(state, &section.space, &key)?;
        let same = chain.head == received.head;
        let (n, link, bytes) = (chain.known, chain.known_link, chain.head);
        if n == 0 && chain.held == 0 {
            // Nobody has to remember what a stranger only named.
            state.chains.remove(&key);
        }
        let known = match same {
            true => Some(Proven { n, link, bytes }),
            false => self.glimpsed_head(&description, &key, &received.head),
        };
        Ok(Looked { head, description, device, known })
    }

    fn prove_one(
        &self,
        looked: Looked,
        received: &Received,
        paths: &mut Paths,
    ) -> Result<Proof, Stop> {
        let Looked { head, description, device, known } = looked;
        let key = head.claimed_chain();
        let device = match device {
            Some(device) => device,
            None => self.prove_device(&key.device, &received.path, paths)?,
        };
        if device.device.account() != description.account {
            return Err(refused(Reason::Certificate));
        }
        let head = match known {
            Some(head) => head,
            None => {
                let verified = head.verify(&description, &device.device, &self.verifier);
                let verified = verified.map_err(|error| refused(head_reason(&error)))?;
                let bytes = received.head.to_vec();
                Proven { n: verified.n(), link: verified.link(), bytes }
            }
        };
        Ok(Proof { key, description, device, head })
    }

    /// The device that a path proves. Anybody can write a first record that names a
    /// stranger's device, so a new path is remembered only when the device has signed a
    /// head of that account.
    fn prove_device(
        &self,
        device: &DeviceId,
        bytes: &Bytes,
        paths: &mut Paths,
    ) -> Result<Arc<KnownDevice>, Stop> {
        let known = match paths.get(bytes) {
            Some(known) => known.clone(),
            None => {
                let mut reader = Reader::new(bytes);
                let path =
                    CertificatePath::decode(&mut reader).map_err(|_| refused(Reason::Malformed))?;
                reader.end().map_err(|_| refused(Reason::Malformed))?;
                if path.claimed_device() != *device {
                    return Err(refused(Reason::Certificate));
                }
                let verified =
                    path.verify(&self.verifier).map_err(|_| refused(Reason::Certificate))?;
                let known = Arc::new(KnownDevice { device: verified, path });
                paths.insert(bytes.clone(), known.clone());
                known
            }
        };
        if known.path.claimed_device() == *device {
            Ok(known)
        } else {
            Err(refused(Reason::Certificate))
        }
    }
}

const fn head_reason(error: &ChainError) -> Reason {
    match error {
        ChainError::Identity(_) => Reason::Signature,
        ChainError::Length { .. } => Reason::Limit,
        ChainError::Writer => Reason::Certificate,
        _ => Reason::Malformed,
    }
}
