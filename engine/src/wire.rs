//! Messages and packs as bytes: the one place that knows their format.
//!
//! Certificate paths and signed heads are carried as opaque encoded bytes; who reads
//! them verifies them.

mod range;

pub use range::{ChainKey, ChainRange, Changes, Content, LogItem, Part};

/// Bytes of an encoded signed head.
pub const HEAD_BYTES: usize = 217;
/// Bytes of an encoded certificate path.
pub const PATH_BYTES_MAX: usize = 4096;

/// An encoded signed head, not verified.
pub type HeadBytes = [u8; HEAD_BYTES];
