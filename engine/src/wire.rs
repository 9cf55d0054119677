//! Messages and packs as bytes: the one place that knows their format.
//!
//! Certificate paths and signed heads are carried as opaque encoded bytes; who reads
//! them verifies them. Decoders are total and bounded: no input panics, none makes
//! them allocate more than a small multiple of its own length.

mod carried;
mod decode;
mod encode;
mod excerpt;
mod hold;
mod known;
mod message;
mod pack;
mod range;
mod reason;

pub use carried::{CarriedChain, ChainBundler, read_bundle};
pub use excerpt::{Excerpt, Newest};
pub use hold::{HOLDS_MAX, Hold, PROBE_BYTES_MAX, Probe, TaggedHold};
pub use known::KnownHead;
pub use message::{
    AnswerEntry, ChainCause, ChainGive, Done, GivenHead, Message, Offer, OpenEntry, PackRef, Scope,
    ScopeKind, SectionDigest, SectionRef, ShortTag, Tag, Then, TipGroup, Told, WantItem, WantName,
};
pub use pack::{BodyPacker, ChangePacker, Pack};
pub use range::{ChainRange, Changes, Content, LogItem, Part};
pub use reason::Reason;

use bytes::Bytes;

use crate::chain::ChainKey;
use crate::codec::{DecodeError, Reader};
use crate::hash::SpaceId;
use crate::limits::MESSAGE_BYTES_MAX;

/// The protocol's name in the TLS handshake.
pub const ALPN: &[u8] = b"mosaic/sync/1";
/// Version of the messages, in the first frame of a session.
pub const VERSION: u8 = 6;
/// Bytes of an encoded signed head.
pub const HEAD_BYTES: usize = 217;
/// Bytes of an encoded certificate path.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes of the length in front of each frame.
pub const FRAME_PREFIX_BYTES: usize = 4;
/// Certificate paths that a receiver remembers; a slot is overwritten in turn.
pub const PATH_SLOTS: usize = 256;
/// Hashes in one request for bodies.
pub const WANT_BODIES_MAX: usize = 1024;
/// Ends of chains in one frame.
pub const EXCERPTS_MAX: usize = 128;
/// Causes spelled out in one [`Message::Done`]; the others are counted.
pub const CAUSES_MAX: usize = 64;

/// Conversations that one message introduces.
pub const INTRODUCED_MAX: usize = 16;
/// Bytes of what a conversation began with.
pub const INTRODUCED_BYTES_MAX: usize = 4096;
/// An encoded certificate path, and what each conversation began with.
pub type Introduced = (Bytes, Vec<Bytes>);

/// An encoded signed head, not verified.
pub type HeadBytes = [u8; HEAD_BYTES];

/// What is needed of a head to route it; nothing of it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRoute {
    /// The space it claims.
    pub space: SpaceId,
    /// The chain it claims.
    pub chain: ChainKey,
    /// The number of changes it claims.
    pub n: u64,
}

/// Reads the routing fields of a head: `kind ‖ space ‖ doc ‖ device ‖ incarnation ‖ n`.
///
/// # Errors
/// Never for a whole head; the type is that of the reader.
pub fn head_route(head: &HeadBytes) -> Result<HeadRoute, DecodeError> {
    let mut r = Reader::new(head);
    r.u8("head kind")?;
    let space = SpaceId::from_bytes(r.array("space")?);
    let chain = ChainKey::decode(&mut r)?;
    let n = r.u64("n")?;
    Ok(HeadRoute { space, chain, n })
}

/// Reads the length in front of a frame: bytes that follow, type byte included.
///
/// # Errors
/// If it is zero or over [`MESSAGE_BYTES_MAX`]; nothing was allocated for it.
pub fn frame_length(prefix: [u8; FRAME_PREFIX_BYTES]) -> Result<usize, DecodeError> {
    let length = u32::from_be_bytes(prefix);
    let value = u64::from(length);
    let max = MESSAGE_BYTES_MAX as u64;
    if value == 0 {
        return Err(DecodeError::Rule("an empty frame"));
    }
    if value > max {
        return Err(DecodeError::TooLarge { reading: "frame length", value, max });
    }
    usize::try_from(length).map_err(|_| DecodeError::TooLarge {
        reading: "frame length",
        value,
        max,
    })
}

#[cfg(test)]
mod tests;
