//! Backups: the whole store at one commit as a stream, and the way back.
//!
//! ```text
//! zstd ( tar (
//!   backup.json          what this is: format, commit, account, whether keys are in it
//!   home/config.toml     the settings, if there are any
//!   home/device.key      only if asked for
//!   rows/truth/0 …       rows of a table: (key len u32be ‖ value len u32be ‖ key ‖ value)*
//!   blobs/ab12…          large blobs under their hash
//!   end.json             number of entries before it, BLAKE3 over all of them
//! ))
//! ```
//!
//! What is restored is verified like what a peer sends: blobs by hash, changes by the signed
//! heads. The checksum at the end finds what is missing, not who altered it.

mod layout;
mod restore;
mod write;

pub(crate) use layout::header;
pub(crate) use restore::check_empty;
pub use restore::{Restored, restore};
pub(crate) use write::write;
