//! The side that joins.

use mosaic_engine::codec::{DecodeError, Reader, Writer};
use mosaic_engine::entropy::{Entropy, random};
use mosaic_engine::identity::{CertificateOffer, CertificatePath, DeviceSecret, Verifier};

use super::frame::Frames;
use super::{
    Hello, KIND_CERTIFICATE, KIND_CHALLENGE, KIND_HELLO, KIND_OFFER, KIND_PROOF, KIND_WELCOME,
    LINK_ALPN, Transcript, VERSION,
};
use crate::endpoint::Net;
use crate::error::NodeError;
use crate::ticket::LinkTicket;

/// What a new device knows once it is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its own certificate path, verified.
    pub path: CertificatePath,
    /// What the inviter's account gave it to begin with.
    pub welcome: Vec<u8>,
    /// What both screens show.
    pub code: String,
}

/// Links the device of `secret`, whose endpoint is `net`, under the name `name`.
///
/// # Errors
/// [`NodeError::Unreachable`] if the inviter does not answer, [`NodeError::TicketSpent`] if the
/// ticket is used or expired, [`NodeError::Refused`] if the account does not take the device,
/// [`NodeError::Unconfirmed`] if it may have taken it: then the secret is to be kept;
/// [`NodeError::Peer`] if the inviter breaks the protocol.
pub async fn join(
    net: &Net,
    ticket: &LinkTicket,
    secret: &DeviceSecret,
    name: &str,
    entropy: &dyn Entropy,
) -> Result<Joined, NodeError> {
    let peer = ticket.node.device.short();
    let connection = net.connect(&ticket.node, LINK_ALPN).await?;
    let opened = connection.open_bi().await;
    let (send, recv) = opened.map_err(|error| {
        let reason = format!("broke off the link: {error}");
        NodeError::Peer { peer: peer.clone(), reason }
    })?;
    let hello = Hello {
        inviter: ticket.node.device,
        device: secret.id(),
        nonce: random(entropy),
        seal_key: secret.seal_key(),
        name: name.to_owned(),
    };
    let joined = speak(&mut Frames { peer, send, recv }, ticket, &hello, secret).await;
    connection.close(0u32.into(), b"linked");
    joined
}

async fn speak(
    frames: &mut Frames,
    ticket: &LinkTicket,
    hello: &Hello,
    secret: &DeviceSecret,
) -> Result<Joined, NodeError> {
    let mut writer = Writer::new();
    writer.u8(VERSION).raw(&hello.nonce).raw(hello.seal_key.as_bytes()).text(&hello.name);
    frames.write(KIND_HELLO, &writer.finish()).await?;
    let challenge = frames.read(KIND_CHALLENGE).await?;
    let challenge = challenge.try_into().map_err(|_| frames.broken(&"a bad challenge"))?;
    let transcript = Transcript::new(hello, &challenge);
    frames.write(KIND_PROOF, transcript.device_proof(&ticket.secret).as_bytes()).await?;
    let body = frames.read(KIND_OFFER).await?;
    let (proof, path, offer) = offer(&body).map_err(|error| frames.broken(&error))?;
    if proof != transcript.inviter_proof(&ticket.secret) {
        return Err(frames.broken(&"it does not know the ticket's secret"));
    }
    if path.claimed_device() != ticket.node.device || offer.account() != path.account() {
        return Err(frames.broken(&"it offers a certificate of somebody else"));
    }
    let certificate = offer.accept(secret).map_err(|error| frames.broken(&error))?;
    let path = path.with(certificate.clone());
    let verified = path.verify(&Verifier::new()).map_err(|error| frames.broken(&error))?;
    if verified.device() != secret.id() {
        return Err(frames.broken(&"it offers a certificate of somebody else"));
    }
    frames.write(KIND_CERTIFICATE, &certificate.encode()).await?;
    let welcome = frames.read(KIND_WELCOME).await.map_err(|error| match error {
        refused @ (NodeError::TicketSpent { .. } | NodeError::Refused { .. }) => refused,
        // it may be written into the account already
        lost => NodeError::Unconfirmed { peer: frames.peer.clone(), reason: lost.to_string() },
    })?;
    Ok(Joined { path, welcome, code: transcript.code(&ticket.secret) })
}

fn offer(body: &[u8]) -> Result<(blake3::Hash, CertificatePath, CertificateOffer), DecodeError> {
    let mut reader = Reader::new(body);
    let proof = blake3::Hash::from_bytes(reader.array("link proof")?);
    let path = CertificatePath::decode(&mut reader)?;
    let offer = CertificateOffer::decode(&mut reader)?;
    reader.end()?;
    Ok((proof, path, offer))
}
