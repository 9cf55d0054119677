//! A peer that lies: it signs anything, offers anything, and serves anything.
//!
//! - [`author`]: a device that signs any bytes as a change and any chain as a head;
//! - [`table`]: every lie, and what an honest node says to it;
//! - [`ground`]: where it lies: on a wall, in a conversation, in a private channel;
//! - [`homes`]: devices of homes that lie, and what nodes say of it;
//! - [`hub`]: a replica that shows something else than it holds;
//! - [`line`](mod@line): how lies reach a replica of this process; [`net`]: a running node.

pub mod author;
pub mod ground;
pub mod heads;
pub mod homes;
pub mod hub;
pub mod line;
pub mod net;
pub mod odd;
pub mod pump;
pub mod table;
