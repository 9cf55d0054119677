//! What the whole-node tests share, the liar, and what goes over the wire.

pub mod api;
pub mod archives;
pub mod binary;
pub mod home;
pub mod liar;
pub mod people;
pub mod schema;
pub mod source;
pub mod wire;
