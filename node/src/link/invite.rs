//! The side that invites.

use std::sync::{Arc, Mutex, PoisonError};

use iroh::endpoint::Connection;
use iroh::protocol::{AcceptError, ProtocolHandler};
use mosaic_engine::codec::{Reader, Writer};
use mosaic_engine::entropy::{Entropy, random};
use mosaic_engine::hash::{DeviceId, SealKey};
use mosaic_engine::identity::{Certificate, CertificateOffer, CertificatePath};
use mosaic_engine::limits::DEVICE_NAME_BYTES_MAX;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::frame::{Frames, Refusal};
use super::{
    Hello, KIND_CERTIFICATE, KIND_CHALLENGE, KIND_HELLO, KIND_OFFER, KIND_PROOF, KIND_WELCOME,
    MESSAGE_TIMEOUT, Transcript, VERSION,
};
use crate::clock;
use crate::error::NodeError;
use crate::ticket::{LinkTicket, NodeTicket};

/// Invitations kept at once, spent ones included; the oldest goes first.
const INVITES_MAX: usize = 64;

/// What an account does for a new device. Calls may block.
pub trait Account: Send + Sync + std::fmt::Debug + 'static {
    /// Returns the certificate path of this device and an offer for the new one.
    ///
    /// # Errors
    /// Why the account does not take it.
    fn offer(
        &self,
        device: DeviceId,
        seal_key: SealKey,
    ) -> Result<(CertificatePath, CertificateOffer), String>;

    /// Writes the device into the account log and returns what it needs to begin; committed.
    ///
    /// # Errors
    /// Why the account does not take it.
    fn admit(&self, certificate: Certificate, name: &str) -> Result<Vec<u8>, String>;
}

/// A device that has been linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The new device.
    pub device: DeviceId,
    /// The name it gave itself.
    pub name: String,
    /// What both screens show.
    pub code: String,
}

#[derive(Debug)]
struct Pending {
    secret: [u8; 16],
    expires_ms: u64,
    used: bool,
    done: Option<oneshot::Sender<Invite>>,
}

/// The open and spent invitations of this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Invites {
    pending: Arc<Mutex<Vec<Pending>>>,
}

impl Invites {
    /// Opens an invitation; the receiver learns who used it.
    #[must_use]
    pub fn open(
        &self,
        node: NodeTicket,
        ttl_ms: u64,
        entropy: &dyn Entropy,
    ) -> (LinkTicket, oneshot::Receiver<Invite>) {
        let (secret, expires_ms) = (random(entropy), clock::now_ms().saturating_add(ttl_ms));
        let (done, used) = oneshot::channel();
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push(Pending { secret, expires_ms, used: false, done: Some(done) });
        let surplus = pending.len().saturating_sub(INVITES_MAX);
        pending.drain(..surplus);
        (LinkTicket { node, secret, expires_ms }, used)
    }

    /// Marks the invitation that `fits` as used and returns its secret and who waits for it.
    fn take(
        &self,
        fits: impl Fn(&[u8; 16]) -> bool,
    ) -> Result<([u8; 16], Option<oneshot::Sender<Invite>>), Refusal> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pending.iter_mut().find(|one| fits(&one.secret)).ok_or(Refusal::Unknown)?;
        if found.used {
            return Err(Refusal::Used);
        }
        if found.expires_ms <= clock::now_ms() {
            return Err(Refusal::Expired);
        }
        found.used = true;
        Ok((found.secret, found.done.take()))
    }
}

/// The handler for [`super::LINK_ALPN`].
#[derive(Clone, Debug)]
pub struct LinkHandler {
    account: Arc<dyn Account>,
    device: DeviceId,
    invites: Invites,
    entropy: Arc<dyn Entropy>,
}

impl LinkHandler {
    /// Links devices that hold one of `invites` to `account`, of which `device` is this one.
    #[must_use]
    pub fn new(
        account: Arc<dyn Account>,
        device: DeviceId,
        invites: Invites,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { account, device, invites, entropy }
    }

    async fn link(&self, connection: &Connection) -> Result<(), NodeError> {
        let device = DeviceId::from_bytes(*connection.remote_id().as_bytes());
        let peer = device.short();
        let opened = timeout(MESSAGE_TIMEOUT, connection.accept_bi()).await;
        let Ok(Ok((send, recv))) = opened else {
            return Err(NodeError::Peer { peer, reason: "opened no stream".to_owned() });
        };
        let mut frames = Frames { peer, send, recv };
        let hello = self.hello(device, &mut frames).await?;
        let challenge = random::<16>(&*self.entropy);
        frames.write(KIND_CHALLENGE, &challenge).await?;
        let transcript = Transcript::new(&hello, &challenge);
        let proof = frames.read(KIND_PROOF).await?;
        let proof: [u8; 32] = proof.try_into().map_err(|_| frames.broken(&"a bad proof"))?;
        let proof = blake3::Hash::from_bytes(proof);
        let (secret, done) =
            match self.invites.take(|secret| transcript.device_proof(secret) == proof) {
                Ok(taken) => taken,
                Err(refusal) => {
                    frames.refuse(refusal).await;
                    return Err(frames.broken(&"its ticket is not open"));
                }
            };
        let proof = transcript.inviter_proof(&secret);
        let certificate = self.certify(&hello, &proof, &mut frames).await?;
        let welcome = self.admit(certificate, hello.name.clone(), &mut frames).await?;
        frames.write(KIND_WELCOME, &welcome).await?;
        let _ = frames.send.finish();
        if let Some(done) = done {
            let _ = done.send(Invite { device, name: hello.name, code: transcript.code(&secret) });
        }
        // the new device closes once it has read everything
        let _ = timeout(MESSAGE_TIMEOUT, connection.closed()).await;
        Ok(())
    }

    async fn hello(&self, device: DeviceId, frames: &mut Frames) -> Result<Hello, NodeError> {
        let inviter = self.device;
        let body = frames.read(KIND_HELLO).await?;
        let mut reader = Reader::new(&body);
        let parsed = (|| {
            let version = reader.u8("link version")?;
            let nonce = reader.array("nonce")?;
            let seal_key = SealKey::from_bytes(reader.array("seal key")?);
            let name = reader.text(DEVICE_NAME_BYTES_MAX, "device name")?.to_owned();
            reader.end()?;
            Ok::<_, mosaic_engine::codec::DecodeError>((version, nonce, seal_key, name))
        })();
        let (version, nonce, seal_key, name) = parsed.map_err(|error| frames.broken(&error))?;
        if version != VERSION {
            return Err(frames.broken(&"it speaks a newer version"));
        }
        Ok(Hello { inviter, device, nonce, seal_key, name })
    }

    /// Offers a certificate and returns it signed by both.
    async fn certify(
        &self,
        hello: &Hello,
        proof: &blake3::Hash,
        frames: &mut Frames,
    ) -> Result<Certificate, NodeError> {
        let (account, device, seal_key) = (self.account.clone(), hello.device, hello.seal_key);
        let offered = tokio::task::spawn_blocking(move || account.offer(device, seal_key)).await;
        let (path, offer) = match offered {
            Ok(Ok(offered)) => offered,
            Ok(Err(reason)) => return Err(deny(frames, &reason).await),
            Err(error) => return Err(deny(frames, &error.to_string()).await),
        };
        let mut writer = Writer::new();
        writer.raw(proof.as_bytes());
        path.encode(&mut writer);
        writer.raw(&offer.encode());
        frames.write(KIND_OFFER, &writer.finish()).await?;
        let body = frames.read(KIND_CERTIFICATE).await?;
        let certificate = Certificate::from_bytes(&body).map_err(|error| frames.broken(&error))?;
        // the signatures are checked where it is written into the log
        if certificate.device != hello.device || certificate.seal_key != hello.seal_key {
            return Err(frames.broken(&"it signed another certificate"));
        }
        Ok(certificate)
    }

    async fn admit(
        &self,
        certificate: Certificate,
        name: String,
        frames: &mut Frames,
    ) -> Result<Vec<u8>, NodeError> {
        let account = self.account.clone();
        let admitted = tokio::task::spawn_blocking(move || account.admit(certificate, &name)).await;
        match admitted {
            Ok(Ok(welcome)) => Ok(welcome),
            Ok(Err(reason)) => Err(deny(frames, &reason).await),
            Err(error) => Err(deny(frames, &error.to_string()).await),
        }
    }
}

async fn deny(frames: &mut Frames, reason: &str) -> NodeError {
    frames.refuse(Refusal::Denied).await;
    NodeError::Peer { peer: frames.peer.clone(), reason: format!("is not taken: {reason}") }
}

impl ProtocolHandler for LinkHandler {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        if let Err(error) = self.link(&connection).await {
            tracing::info!(%error, "no device was linked");
        }
        Ok(())
    }
}
