//! Tests of the authority of a hub: a slow evaluator that shares no function with the engine,
//! the properties that both have, and the rules row by row.

use super::*;

mod compare;
mod cost;
mod properties;
mod random;
pub(crate) mod reference;
mod rules;
mod vouches;
mod world;
