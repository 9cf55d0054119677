//! Requests about direct messages. A conversation is named by the other account (id prefix or
//! `@petname`), by its own id prefix, or by its title if only one has it.

use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::{Field, Operation, Request, Shape};

requests! { DM_PATHS DM_OPERATIONS;
    /// Writes to somebody, sealed to his devices and ours. Answers one `direct_message`. Errors:
    /// `denied` if his devices are not known here yet.
    "/v1/dm/send" any DmSend {
        /// To whom: account or conversation.
        who: String,
        /// The text.
        text: String,
        /// The message that it answers, by id prefix.
        reply_to: Option<String>,
        /// Drop its text after so many milliseconds, 0 for never, at everybody who has it; if absent,
        /// as the conversation has it.
        expires_ms: Option<u64>,
        /// Write it once: the same request with this key answers the same message.
        idempotency_key: Option<String>,
        /// Answer the message, then wait until so many peers hold it.
        wait_replicas: Option<u64>,
        /// How long to wait for them.
        timeout_ms: Option<u64>,
    }
    /// Answers conversations as `conversation`, newest first: those that we take part in, or
    /// those that strangers began and that wait for an answer.
    "/v1/dm/list" any DmList {
        /// What waits for an answer.
        requests: bool,
        /// What was ignored too.
        ignored: bool,
        /// Add names as this home calls people.
        names: bool,
    }
    /// Answers the newest messages of a conversation as `direct_message`, oldest first.
    "/v1/dm/read" any DmRead {
        /// With whom.
        who: String,
        /// At most so many; absent = all.
        limit: Option<u64>,
        /// Count it as read from now on, on all our devices.
        mark_read: bool,
        /// And tell those who take part.
        tell: bool,
        /// Add names as this home calls people.
        names: bool,
    }
    /// Has texts that are written into a conversation from now on dropped after some time, by
    /// everybody who has them. Who takes part may say so; the latest word counts. Answers one
    /// `conversation`.
    "/v1/dm/expire" any DmExpire {
        /// Which.
        who: String,
        /// After how many milliseconds, at most ten years; absent = never.
        after_ms: Option<u64>,
    }
    /// Gives a message of ours another text. Answers one `direct_message`.
    "/v1/dm/edit" any DmEdit {
        /// The message, by id prefix.
        id: String,
        /// The new text.
        text: String,
    }
    /// Withdraws a message of ours. Answers one `deleted`.
    "/v1/dm/delete" any DmDelete {
        /// The message, by id prefix.
        id: String,
    }
    /// Answers somebody who wanted to write to us; he is not told. Answers one `conversation`,
    /// none if he is blocked.
    "/v1/dm/answer" any DmAnswer {
        /// Who: account or conversation.
        who: String,
        /// `accept`, `ignore` or `block`.
        act: String,
    }
    /// Begins a conversation of several. Answers one `conversation`.
    "/v1/dm/group" any DmGroup {
        /// Its title, 1 to 64 bytes, which its members alone can read.
        title: String,
        /// Who takes part besides us.
        members: Vec<String>,
    }
    /// Changes a conversation of several. Answers one `conversation`.
    "/v1/dm/change" any DmChange {
        /// Which.
        who: String,
        /// A new title.
        title: Option<String>,
        /// Who comes: he reads what is written from then on.
        add: Vec<String>,
        /// Who goes: he reads nothing of it.
        remove: Vec<String>,
        /// We go.
        leave: bool,
    }
    /// Answers conversations with all that verifies them, sealed as they are, as
    /// `application/octet-stream`: to be carried by hand.
    "/v1/dm/export" any DmExport {
        /// Which.
        who: Vec<String>,
        /// All that we take part in, where none is named.
        all: bool,
    }
    /// Takes in what `dm/export` answered at another home. Answers one `bundle_imported`, and an
    /// error `partial` if some of it is damaged and left out. Errors: `corrupt` if nothing is whole.
    "/v1/dm/import" any DmImport {
        /// The file, where the node reads it.
        path: String,
    }
}
