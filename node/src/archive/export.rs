//! An account as a stream, at one commit of the store.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use mosaic_engine::codec::Writer as Bytes;
use mosaic_engine::hash::{AccountId, DeviceId, DocumentId};
use mosaic_engine::model::entry::BodyRef;
use mosaic_engine::replica::{EngineError, Replica};
use mosaic_engine::store::StoreError;
use mosaic_engine::store::disk::Snapshot;
use mosaic_engine::wire::{BodyPacker, ChainBundler};
use zeroize::Zeroizing;

use super::layout::{
    BODIES, BODY_BYTES, CHAINS, Contents, FILES, FORMAT, HEADER, Header, KEYS, PART_BYTES, PATH,
    RING, WORDS,
};
use crate::api::types::{ErrorKind, ErrorRecord};
use crate::entropy::OsEntropy;
use crate::seal::Sealing;
use crate::tarball::Writer;

/// What is taken along beside the account itself.
#[derive(Default)]
pub(crate) struct Secrets {
    /// The keys of the device.
    pub keys: Zeroizing<Vec<u8>>,
    /// The recovery words if they are still here, sealed to the keys.
    pub words: Option<Vec<u8>>,
}

/// An account at one commit.
pub(crate) struct Source {
    snapshot: Arc<Snapshot>,
    replica: Replica,
    header: Header,
    docs: Vec<DocumentId>,
    path: Vec<u8>,
    secrets: Option<Secrets>,
}

impl Source {
    /// Looks at an account as it is now; writes go on meanwhile.
    ///
    /// # Errors
    /// `conflict` if it is frozen; the store is damaged, or there is no randomness.
    pub(crate) fn new(
        snapshot: Snapshot,
        account: &AccountId,
        device: &DeviceId,
        secrets: Option<Secrets>,
        created_at: String,
    ) -> Result<Self, ErrorRecord> {
        let snapshot = Arc::new(snapshot);
        let replica = Replica::open_reading(snapshot.clone(), Arc::new(OsEntropy::open()?))?;
        if replica.authority(account)?.is_some_and(|authority| authority.recovery.frozen) {
            let message = "this account is frozen: no home takes in an archive of it";
            let error = ErrorRecord::new(ErrorKind::Conflict, message);
            return Err(error.with_hint("mosaic store backup FILE"));
        }
        let documents = replica.account_documents(account)?;
        let docs: Vec<DocumentId> = documents.into_iter().map(|(doc, _)| doc).collect();
        let mut contents = Contents::default();
        for doc in &docs {
            let chains = replica.carried_tips(doc)?.len() as u64;
            contents.documents += u64::from(chains > 0);
            contents.chains += chains;
        }
        let set: BTreeSet<DocumentId> = docs.iter().copied().collect();
        let found = replica.carried_bodies(&set, BODY_BYTES, &mut |_| true)?;
        contents.bodies = found.bodies;
        contents.body_bytes = found.body_bytes;
        contents.files = found.files;
        contents.file_bytes = found.file_bytes;
        contents.missing = found.missing;
        let heads = blake3::Hash::from_bytes(replica.heads_digest(docs.iter().copied(), &[])?);
        let none = || EngineError::Corrupt("this device has no certificate path".to_owned());
        let mut path = Bytes::new();
        replica.path(device)?.ok_or_else(none)?.encode(&mut path);
        let header = Header {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            account: account.to_string(),
            device: device.to_string(),
            created_at,
            commit: snapshot.commit().0,
            keys: secrets.is_some(),
            heads: heads.to_hex().to_string(),
            contents,
        };
        Ok(Self { snapshot, replica, header, docs, path: path.finish(), secrets })
    }

    /// How much is in it.
    pub(crate) const fn contents(&self) -> Contents {
        self.header.contents
    }

    /// The commit that it shows.
    pub(crate) const fn commit(&self) -> u64 {
        self.header.commit
    }

    /// Writes it, sealed or, without keys, as it is; in bounded memory, whatever is in it.
    ///
    /// # Errors
    /// `to` takes no more, the store is damaged, or there are keys and nothing seals them.
    pub(crate) fn write(&self, sealing: Option<&Sealing>, to: impl Write) -> io::Result<()> {
        let Some(sealing) = sealing else {
            if self.secrets.is_some() {
                return Err(io::Error::other("keys are never written unsealed"));
            }
            return self.write_plain(to)?.flush();
        };
        let sealed = self.write_plain(sealing.writer(to)?)?;
        sealed.finish()?.flush()
    }

    fn write_plain<W: Write>(&self, to: W) -> io::Result<W> {
        let mut out = Writer::new(to)?;
        out.put(HEADER, &serde_json::to_vec(&self.header)?)?;
        out.put(PATH, &self.path)?;
        if let Some(secrets) = &self.secrets {
            out.put(KEYS, &secrets.keys)?;
            if let Some(words) = &secrets.words {
                out.put(WORDS, words)?;
            }
            self.write_ring(&mut out)?;
        }
        self.write_chains(&mut out)?;
        self.write_bodies(&mut out)?;
        out.finish()
    }

    fn write_ring(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        let (mut part, mut number) = (Bytes::new(), 0u64);
        for (key, row) in self.replica.carried_keys().map_err(failed)? {
            part.bytes(&key).bytes(&row);
            if part.len() >= PART_BYTES {
                out.put(&format!("{RING}{number}"), &std::mem::take(&mut part).finish())?;
                number += 1;
            }
        }
        match part.len() {
            0 => Ok(()),
            _ => out.put(&format!("{RING}{number}"), &part.finish()),
        }
    }

    fn write_chains(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        let (mut bundle, mut number) = (ChainBundler::new(), 0u64);
        for doc in &self.docs {
            for tip in self.replica.carried_tips(doc).map_err(failed)? {
                for chain in self.replica.carry(&tip).map_err(failed)? {
                    bundle.add(&chain);
                }
                if bundle.bytes() >= PART_BYTES {
                    out.put(&format!("{CHAINS}{number}"), &bundle.take())?;
                    number += 1;
                }
            }
        }
        if bundle.is_empty() {
            return Ok(());
        }
        out.put(&format!("{CHAINS}{number}"), &bundle.take())
    }

    fn write_bodies(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        let docs: BTreeSet<DocumentId> = self.docs.iter().copied().collect();
        let (mut pack, mut number) = (BodyPacker::new(), 0u64);
        let mut failure = Ok(());
        let mut visit = |body: BodyRef| {
            failure = self.write_body(out, &mut pack, &mut number, &body);
            failure.is_ok()
        };
        self.replica.carried_bodies(&docs, BODY_BYTES, &mut visit).map_err(failed)?;
        failure?;
        if pack.is_empty() {
            return Ok(());
        }
        out.put(&format!("{BODIES}{number}"), &pack.take())
    }

    fn write_body(
        &self,
        out: &mut Writer<impl Write>,
        pack: &mut BodyPacker,
        number: &mut u64,
        body: &BodyRef,
    ) -> io::Result<()> {
        let hash = &body.hash;
        if body.size <= BODY_BYTES {
            pack.add(&self.replica.carried_body(hash).map_err(failed)?);
            if pack.bytes() >= PART_BYTES {
                out.put(&format!("{BODIES}{number}"), &pack.take())?;
                *number += 1;
            }
            return Ok(());
        }
        let damaged = |why: &str| io::Error::other(StoreError::corrupt(hash.to_string(), why));
        let info = self.snapshot.find(hash).ok_or_else(|| damaged("the file is missing"))?;
        let file = self.snapshot.blob(info).map_err(io::Error::other)?;
        let found = out.stream(&format!("{FILES}{hash}"), info.size, file)?;
        if found.as_bytes() != hash.as_bytes() {
            return Err(damaged("the bytes do not match"));
        }
        Ok(())
    }
}

fn failed(error: EngineError) -> io::Error {
    io::Error::other(error)
}

/// What cannot be written as it is asked for.
///
/// # Errors
/// `usage` if there are keys and nothing seals them.
pub(crate) fn check_sealed(keys: bool, sealing: Option<&Sealing>) -> Result<(), ErrorRecord> {
    if !keys || sealing.is_some() {
        return Ok(());
    }
    let message = "an archive with keys is sealed: it needs a passphrase or recipients";
    Err(ErrorRecord::new(ErrorKind::Usage, message)
        .with_hint("mosaic export mosaic --archive-passphrase-file FILE --output FILE"))
}
