//! What the whole-node tests share.

pub mod binary;
pub mod source;
