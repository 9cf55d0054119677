//! The running Mosaic: the network endpoint, sessions with peers, blobs, and the local API.
//!
//! The engine below knows no network, no clock and no system randomness; this crate gives it all
//! three. Nothing here decides what is valid.
//!
//! - [`home`]: the folder of one identity; [`config`]: its settings; [`ticket`]: text to connect.
//! - [`endpoint`]: the network, silent unless told otherwise; [`blobs`]: content-addressed
//!   transfer on the stock iroh-blobs wire.
//! - [`api`]: the local API, the same in process and over the node's socket.
//! - [`client`]: calls of the local API, over the socket or in process.
//! - [`keys`], [`unlock`], [`seal`]: the keys of a home, under a passphrase or not.
//! - [`words`], [`kept`]: the recovery words, and where they are until somebody has them on paper.
//! - [`archive`]: a whole account as a sealed file, and back.
//! - [`backup`]: the store at one commit as a stream, and back.
//! - [`doctor`]: what may be wrong with a home.
//! - [`clock`]: the only place that asks the time.

pub mod api;
mod app;
pub mod archive;
pub mod backup;
pub mod blobs;
pub mod client;
pub mod clock;
pub mod config;
pub mod doctor;
mod drafts;
pub mod endpoint;
pub mod entropy;
pub mod error;
pub mod home;
mod indexing;
pub mod kept;
pub mod keys;
pub mod link;
mod media;
mod mending;
mod network;
mod peers;
mod places;
mod recovery;
mod refusals;
mod reload;
pub mod seal;
mod serve;
mod service;
pub mod session;
mod socket;
mod source;
mod standing;
mod tarball;
pub mod ticket;
pub mod unlock;
pub mod words;

pub use api::types::ErrorRecord as ApiError;
pub use app::{App, AppOptions};
pub use error::NodeError;
pub use home::socket_path;
pub use reload::Apply;
pub use serve::{ServeOptions, serve};
pub use unlock::Unlock;

#[cfg(test)]
mod tests;
