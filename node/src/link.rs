//! Linking a new device to an account, over `mosaic/link/1`.
//!
//! The new device holds a ticket and dials. TLS proves to each side the key of the other; both
//! then prove that they know the ticket's secret, and show the same short code. The inviter
//! vouches for the new key, the new device signs the certificate as well, and the inviter writes
//! it into the account log before it says that all is done.
//!
//! ```text
//! new -> inviter   hello      version, nonce, seal key, device name
//! new <- inviter   challenge  nonce
//! new -> inviter   proof
//! new <- inviter   offer      proof, certificate path of the inviter, certificate offer
//! new -> inviter   certificate
//! new <- inviter   welcome    what the new device needs to begin
//! ```
//! Each message is `u32be length ‖ kind ‖ body`; a refusal is kind 0 with a reason byte.

mod code;
mod frame;
mod invite;
mod join;

#[cfg(test)]
mod tests;

use std::time::Duration;

use mosaic_engine::hash::{DeviceId, SealKey, derive};

pub use invite::{Account, Invite, Invites, LinkHandler};
pub use join::{Joined, join};

/// The protocol name.
pub const LINK_ALPN: &[u8] = b"mosaic/link/1";
/// How long each message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one message: the welcome may hold a small account log.
const LINK_MESSAGE_BYTES_MAX: usize = 64 * 1024;

const VERSION: u8 = 1;
const KIND_REFUSAL: u8 = 0;
const KIND_HELLO: u8 = 1;
const KIND_CHALLENGE: u8 = 2;
const KIND_PROOF: u8 = 3;
const KIND_OFFER: u8 = 4;
const KIND_CERTIFICATE: u8 = 5;
const KIND_WELCOME: u8 = 6;

/// What both sides have seen; proofs and the short code come from it.
struct Transcript {
    hash: [u8; 32],
}

/// The first message, as both sides know it.
struct Hello {
    inviter: DeviceId,
    device: DeviceId,
    nonce: [u8; 16],
    seal_key: SealKey,
    name: String,
}

impl Transcript {
    fn new(hello: &Hello, challenge: &[u8; 16]) -> Self {
        let parts: [&[u8]; 7] = [
            &[VERSION],
            hello.inviter.as_bytes(),
            hello.device.as_bytes(),
            &hello.nonce,
            challenge,
            hello.seal_key.as_bytes(),
            hello.name.as_bytes(),
        ];
        Self { hash: derive("mosaic link transcript 1", &parts) }
    }

    fn proof(&self, secret: &[u8; 16], role: &str) -> blake3::Hash {
        let key = derive("mosaic link secret 1", &[secret]);
        blake3::Hasher::new_keyed(&key).update(role.as_bytes()).update(&self.hash).finalize()
    }

    fn device_proof(&self, secret: &[u8; 16]) -> blake3::Hash {
        self.proof(secret, "device")
    }

    fn inviter_proof(&self, secret: &[u8; 16]) -> blake3::Hash {
        self.proof(secret, "inviter")
    }

    fn code(&self, secret: &[u8; 16]) -> String {
        code::short_code(self.proof(secret, "code").as_bytes())
    }
}
