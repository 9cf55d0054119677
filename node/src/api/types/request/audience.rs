//! Requests that post, and about who reads that. An audience is named `followers`, `me` or `list:NAME`; of a list
//! the name alone does, too.

use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::{Field, Operation, Request, Shape};
use crate::api::types::AttachFile;

requests! { AUDIENCE_PATHS AUDIENCE_OPERATIONS;
    /// Posts to our wall. Answers one `post`.
    "/v1/post/create" any PostCreate {
        /// The text; may be empty if there are attachments or a quote.
        text: String,
        /// Files, in order.
        attachments: Vec<AttachFile>,
        /// Entry to quote: id prefix of a post or comment held here.
        quote: Option<String>,
        /// Keep the text as a document of its own, up to 512 KiB, in which edits merge.
        long: bool,
        /// Whom it is for: `public` (by default), `followers`, `me` or `list:NAME`. What is not
        /// public is sealed to devices of those it is for, has a text and nothing else, and takes
        /// no comments.
        audience: Option<String>,
        /// Under a key that was used before with the same arguments nothing new is written, and
        /// the answer is what was written then; with other arguments it is the error `conflict`.
        /// The newest 10,000 keys of this home are remembered.
        idempotency_key: Option<String>,
        /// Wait until so many peers have committed it too; it is answered before.
        wait_replicas: Option<u64>,
        /// How long to wait for them, two minutes by default; then `timeout`.
        timeout_ms: Option<u64>,
    }
    /// Answers our audiences as `audience`, by name.
    "/v1/audience/list" any AudienceList {}
    /// Makes an audience, unless there is one of that name. Answers one `audience`.
    "/v1/audience/create" any AudienceCreate {
        /// What it is called; our own devices alone learn it.
        name: String,
    }
    /// Lets accounts read what is posted to an audience, or no more. `followers` is made when
    /// somebody is added. Answers one `audience`. Errors: `denied` if somebody's devices are not
    /// known here yet.
    "/v1/audience/change" any AudienceChange {
        /// Which.
        name: String,
        /// Who reads what is posted from now on.
        add: Vec<String>,
        /// Who reads nothing new.
        remove: Vec<String>,
        /// Who is added reads what was posted before, too.
        past: bool,
    }
    /// Answers who reads an audience as `reader`.
    "/v1/audience/members" any AudienceMembers {
        /// Which.
        name: String,
        /// Add names as this home calls people.
        names: bool,
    }
}
