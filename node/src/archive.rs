//! A whole account as a file: out of one home, into another, with no network between them.
//!
//! ```text
//! age ( zstd ( tar (
//!   mosaic.json          what this is: format, account, device, how much, a hash over all heads
//!   device.path          the certificate path of the device
//!   device.key           its keys        ┐ unless they are left out,
//!   recovery.words       sealed to them  ┘ and then the outermost layer may be, too
//!   chains/0 …           bundles of chains, each with what verifies it
//!   bodies/0 …           packs of bodies: texts and small files
//!   files/ab12…          larger files, salted, under their hash
//!   end.json             number of entries before it, BLAKE3 over all of them
//! )))
//! ```
//!
//! Everything in it is an object of the protocol and is taken in as from a peer: what a stranger
//! could not make a node believe, an archive cannot either (decision 30).

mod building;
mod export;
mod import;
mod later;
mod layout;
mod taking;

pub(crate) use export::{Secrets, Source, check_sealed};
pub use import::{Imported, Importing, import};
pub use layout::Contents;

/// Looks whether something is sealed; what was read for that comes again.
///
/// # Errors
/// The reader fails.
pub fn peek<R: std::io::Read>(from: R) -> std::io::Result<(bool, impl std::io::Read)> {
    crate::seal::peek(from)
}
