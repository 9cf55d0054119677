//! What documents mean: entries and the documents that hold them.

pub mod entry;
