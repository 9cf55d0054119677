//! What a request is, and the operations of all tables, one after the other.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audience::{AUDIENCE_OPERATIONS, AUDIENCE_PATHS};
use super::dm::{DM_OPERATIONS, DM_PATHS};
use super::hub::{HUB_OPERATIONS, HUB_PATHS};
use super::privacy::{PRIVACY_OPERATIONS, PRIVACY_PATHS};
use super::profile::{PROFILE_OPERATIONS, PROFILE_PATHS};
use super::{OWN_OPERATIONS, OWN_PATHS};
use crate::api::types::schema::Operation;

/// An operation of the API, named by its arguments.
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it is posted to, for example `/v1/post/create`.
    const PATH: &'static str;
    /// Whether it only means something in a running node.
    const NEEDS_NODE: bool;
}

/// Path of every operation.
pub const PATHS: &[&str] =
    &join::<_, { SMALL_PATHS.len() + HUB_PATHS.len() }>(SMALL_PATHS, HUB_PATHS);
const SMALL_PATHS: &[&str] =
    &join::<_, { READER_PATHS.len() + PRIVACY_PATHS.len() }>(READER_PATHS, PRIVACY_PATHS);
const READER_PATHS: &[&str] =
    &join::<_, { PEOPLE_PATHS.len() + AUDIENCE_PATHS.len() }>(PEOPLE_PATHS, AUDIENCE_PATHS);
const PEOPLE_PATHS: &[&str] =
    &join::<_, { OWN_AND_DM_PATHS.len() + PROFILE_PATHS.len() }>(OWN_AND_DM_PATHS, PROFILE_PATHS);
const OWN_AND_DM_PATHS: &[&str] =
    &join::<_, { OWN_PATHS.len() + DM_PATHS.len() }>(OWN_PATHS, DM_PATHS);
/// Every operation with its arguments.
pub const OPERATIONS: &[Operation] =
    &join::<_, { SMALL.len() + HUB_OPERATIONS.len() }>(SMALL, HUB_OPERATIONS);
const SMALL: &[Operation] =
    &join::<_, { READERS.len() + PRIVACY_OPERATIONS.len() }>(READERS, PRIVACY_OPERATIONS);
const READERS: &[Operation] =
    &join::<_, { PEOPLE.len() + AUDIENCE_OPERATIONS.len() }>(PEOPLE, AUDIENCE_OPERATIONS);
const PEOPLE: &[Operation] =
    &join::<_, { OWN_AND_DM.len() + PROFILE_OPERATIONS.len() }>(OWN_AND_DM, PROFILE_OPERATIONS);
const OWN_AND_DM: &[Operation] =
    &join::<_, { OWN_OPERATIONS.len() + DM_OPERATIONS.len() }>(OWN_OPERATIONS, DM_OPERATIONS);

/// Joins two tables, neither of which is empty.
#[expect(clippy::indexing_slicing, reason = "worked out when this is compiled, or not at all")]
const fn join<T: Copy, const N: usize>(first: &[T], second: &[T]) -> [T; N] {
    let mut all = [first[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}
