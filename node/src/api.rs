//! The local API: HTTP over the node's socket, or the same router in process.

pub mod types;
