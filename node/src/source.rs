//! The replica behind the protocols of the network: blobs it may give, devices it takes.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mosaic_engine::hash::{BlobHash, DeviceId, SealKey};
use mosaic_engine::identity::{Certificate, CertificateOffer, CertificatePath};
use mosaic_engine::replica::{LINKED_DEVICE_RANK, Replica};
use mosaic_engine::store::{BLOB_READ_BYTES_MAX, StoreError};

use crate::blobs::{BlobSource, OpenBlob};
use crate::clock;
use crate::link::Account;
use crate::standing::Standing;

/// A replica as a source of blobs and as the account that links devices.
#[derive(Clone, Debug)]
pub(crate) struct Source(pub(crate) Arc<Replica>);

impl BlobSource for Source {
    fn open(&self, remote: DeviceId, hash: &BlobHash) -> io::Result<Option<OpenBlob>> {
        let file = self.0.store().blob_info(hash).map_err(io::Error::other)?;
        if let Some(file) = file {
            let allowed = self.0.may_fetch(&remote, hash).map_err(io::Error::other)?;
            return Ok(allowed.then_some(OpenBlob::Stored(file.size)));
        }
        let found = self.0.blob_for(&remote, hash).map_err(io::Error::other)?;
        Ok(found.map(OpenBlob::Memory))
    }

    fn read(&self, hash: &BlobHash, offset: u64, length: usize) -> io::Result<Bytes> {
        let length = length.min(BLOB_READ_BYTES_MAX);
        let read = self.0.store().blob_read(hash, offset, length);
        if let Err(StoreError::Corrupt(damage)) = &read {
            self.0.note_damage(hash, &damage.to_string());
        }
        let read = read.map_err(io::Error::other)?;
        let found = read.filter(|bytes| bytes.len() == length);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn groups(
        &self,
        hash: &BlobHash,
        first: u64,
        count: usize,
    ) -> io::Result<Option<Vec<[u8; 32]>>> {
        self.0.store().blob_groups(hash, first, count).map_err(io::Error::other)
    }

    fn knows(&self, remote: DeviceId) -> bool {
        Standing::of(&self.0, &remote).is_ok_and(|standing| standing != Standing::Stranger)
    }

    fn damaged(&self, hash: &BlobHash) {
        self.0.note_damage(hash, "the bytes do not match their hash");
    }
}

impl Account for Source {
    fn offer(
        &self,
        device: DeviceId,
        seal_key: SealKey,
    ) -> Result<(CertificatePath, CertificateOffer), String> {
        let now = clock::now_ms();
        let offer = self.0.offer_device(device, seal_key, LINKED_DEVICE_RANK, now);
        let offer = offer.map_err(|error| error.to_string())?;
        let own = self.0.device().map_err(|error| error.to_string())?;
        let path = self.0.path(&own).map_err(|error| error.to_string())?;
        Ok((path.ok_or("this device has no certificate path")?, offer))
    }

    fn admit(&self, certificate: Certificate, name: &str) -> Result<Vec<u8>, String> {
        let added = self.0.add_device(&certificate, name, clock::now_ms());
        // the account log that names the device and holds its keys comes by sync
        added.map(|_| Vec::new()).map_err(|error| error.to_string())
    }
}
