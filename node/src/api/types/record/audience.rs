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
    /// What is known of who sees what of something.
    Claim {
        /// Id of what was asked about; of an account for what is in a list or a profile.
        item: String,
        /// What it is: `post`, `limited_post`, `audience`, `direct_message`, `conversation`,
        /// `draft`, `list`, `account`, `message`, `hub`, `private_channel`, `private_message`,
        /// `private_hub`, `private_hub_message`, `report` or `private_report`.
        kind: String,
        /// What the sentence is about: `now` (its text was dropped), `reader`, `holder`, `holders_see`, `readers_see`,
        /// `strangers_see`, `deleting` or `thief`.
        about: String,
        /// Stable name of the sentence.
        claim: String,
        /// The sentence.
        text: String,
        /// The account that it names.
        account: Option<String>,
        /// The device that it names.
        device: Option<String>,
        /// That account or device as this home calls it; only if asked for.
        name: Option<String>,
    }
}
