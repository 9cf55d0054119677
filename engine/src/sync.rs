//! Synchronisation as a pure state machine: no I/O, no clock, no network.
//!
//! A [`exchange::Exchange`] is what a session needs from a replica.

pub mod exchange;
pub mod keys;
pub mod outcome;
