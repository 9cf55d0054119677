//! Mosaic's engine: signed, single-account Automerge documents, chained, stored by hash,
//! reconciled by known heads. No network, no printing, no globals, no clock.

pub mod authority;
pub mod chain;
pub mod change;
pub mod codec;
pub mod description;
pub mod document;
pub mod entropy;
pub mod hash;
pub mod hub;
pub mod identity;
pub mod limits;
pub mod model;
pub mod replica;
pub mod seal;
pub mod search;
pub mod sketch;
pub mod store;
pub mod sync;
pub mod view;
pub mod wire;
