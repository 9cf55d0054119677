//! Requests about who sees what.

use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::{Field, Operation, Request, Shape};

requests! { PRIVACY_PATHS PRIVACY_OPERATIONS;
    /// Answers what is known of who can read something, who has it, what those see who cannot
    /// read it, what deleting it does and what a thief gets, as `claim`. Each sentence is one of a
    /// fixed set, and a test holds it.
    "/v1/privacy/explain" any PrivacyExplain {
        /// A post, comment, message, draft, conversation, hub, channel or account by its id, an
        /// audience by its name; or `wall`, `profile`, `wall:WHO`, `profile:WHO`, `dm:WHO`,
        /// `follow:WHO`, `block:WHO`, `mute:WHO`.
        item: String,
        /// Add names as this home calls people.
        names: bool,
    }
}
