//! What the whole-node tests share, and the liar.

pub mod api;
pub mod archives;
pub mod binary;
pub mod home;
pub mod liar;
pub mod people;
pub mod schema;
pub mod source;
