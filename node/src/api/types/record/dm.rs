//! Records about direct messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Flag, Omit};
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// A conversation.
    Conversation {
        /// Its id.
        id: String,
        /// The other account, if it is one of two.
        who: Option<String>,
        /// As this home calls the other; only if asked for.
        who_name: Option<String>,
        /// Its title, if it is one of several.
        title: Option<String>,
        /// `accepted`, `requested` or `ignored`.
        standing: String,
        /// Who began it, if it is one of several.
        founder: Option<String>,
        /// Who takes part besides us.
        members: Vec<String>,
        /// We take part no more.
        left: Flag,
        /// After how many milliseconds texts that are written now are dropped.
        expires_after_ms: Option<u64>,
        /// Messages that are open.
        messages: u64,
        /// Messages of others since the last that was read.
        unread: u64,
        /// Messages whose key is not here yet.
        waiting: u64,
        /// When the newest message was written, as claimed.
        newest_at: Option<String>,
    }
    /// A message of a conversation.
    DirectMessage {
        /// The entry: id of the change that carries it.
        id: String,
        /// The conversation.
        conversation: String,
        /// Account of the author.
        author: String,
        /// As this home calls the author; only if asked for.
        author_name: Option<String>,
        /// The text; absent if it is not here or not shown.
        text: Option<String>,
        /// When its author claims to have made it.
        created_at: String,
        /// When the shown text claims to be made, if it was edited.
        edited_at: Option<String>,
        /// When its text is dropped.
        expires_at: Option<String>,
        /// The message that it answers.
        reply_to: Option<String>,
        /// Accounts that reacted, by emoji.
        reactions: BTreeMap<String, u64>,
        /// `shown`, `deleted`, `expired`, `missing` (its text is not here yet), `waiting` (its key is not here
        /// yet) or `refused`.
        state: String,
        /// Why it is refused.
        why: Option<String>,
        /// Of an own one how far it is known to have come: `queued` (here alone), `stored` (on
        /// another device of ours, or on a node that carries it), `fetched` (a device of somebody it is for
        /// showed that it knows of it, or he answered it) or `read` (he says so).
        delivery: Option<String>,
        /// Who says that he read it, of an own one.
        read_by: Vec<String>,
    }
    /// What was taken from a file of conversations.
    BundleImported {
        /// Conversations in it that are kept here now.
        conversations: u64,
        /// Those that are nothing to us, or for which there is no room.
        refused: u64,
        /// Changes that are new here.
        changes: u64,
        /// Texts that are new here.
        texts: u64,
        /// Chains of which not everything was taken.
        left: u64,
        /// Parts of it that are damaged, and left out.
        damaged: u64,
    }
    /// A file of conversations that was written.
    BundleExported {
        /// Where.
        path: String,
        /// Its bytes.
        size_bytes: u64,
    }
}
