//! Synchronisation as a pure state machine: no I/O, no clock, no network.
//!
//! An [`exchange::Exchange`] is what a [`Session`] needs from a replica; a session says
//! what to send and fetch, and what each round came to. It never knows what a post is.

mod agreed;
mod check;
pub mod digest;
pub mod exchange;
mod finish;
mod give;
mod holds;
mod introduce;
pub mod keys;
mod known;
mod ledger;
mod list;
mod meet;
mod meter;
mod missing;
mod newest;
mod outbox;
pub mod outcome;
mod plan;
mod push;
mod round;
mod session;
#[cfg(any(test, feature = "test-utils"))]
pub mod sim;
mod take;
mod tally;
mod tips;

pub use give::{INLINE_BODIES_MAX, INLINE_CHANGES_MAX, WINDOW};
pub use round::{SPACES_MAX, TIPS_MAX};
pub use session::{CloseReason, Input, News, Options, Output, Role, Session};
pub use tally::Tally;

#[cfg(test)]
mod tests;
