//! Records about who reads what.

use serde::{Deserialize, Serialize};

use super::Omit;
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// Whom posts are for.
    Audience {
        /// Its id.
        id: String,
        /// `followers`, `me` or `list:NAME`.
        name: String,
        /// Accounts that read what is posted now, besides us.
        members: u64,
        /// Posts in it that were not deleted.
        posts: u64,
    }
    /// Somebody who reads an audience.
    Reader {
        /// The name of the audience.
        audience: String,
        /// The account.
        account: String,
        /// As this home calls it; only if asked for.
        name: Option<String>,
    }
}
