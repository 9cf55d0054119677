//! Requests about profiles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::{Field, Operation, Request, Shape};
use crate::api::types::AttachFile;

requests! { PROFILE_PATHS PROFILE_OPERATIONS;
    /// Answers one `profile`.
    "/v1/profile/show" any ProfileShow {
        /// Account id prefix or `@petname`; absent = ours.
        who: Option<String>,
        /// Also the values that lost against a concurrent one.
        conflicts: bool,
    }
    /// Writes the picture of a profile to a file, fetching it from a peer if it is not here.
    /// Answers one `saved`.
    "/v1/profile/picture" any ProfilePicture {
        /// Account id prefix or `@petname`; absent = ours.
        who: Option<String>,
        /// Absolute path of a folder, or of a new file: one that exists is a `conflict`.
        path: String,
    }
    /// Changes fields of our profile, in one change. Answers one `profile`.
    "/v1/profile/set" any ProfileSet {
        /// Name.
        name: Option<String>,
        /// A few lines.
        bio: Option<String>,
        /// Picture.
        avatar: Option<AttachFile>,
        /// All links, in order; absent = unchanged.
        links: Option<Vec<String>>,
        /// Free fields to set.
        fields: BTreeMap<String, String>,
        /// Theme tokens to set.
        theme: BTreeMap<String, String>,
        /// Names to remove: `name`, `bio`, `avatar`, `links`, `fields.KEY`, `theme.KEY`.
        unset: Vec<String>,
        /// Hubs that we are in and show to everybody from now on.
        show_hubs: Vec<String>,
        /// Hubs that we show no more.
        hide_hubs: Vec<String>,
    }
}
