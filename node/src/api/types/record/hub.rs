//! Records about hubs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Attachment, Flag, Omit, Origin};
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// A hub.
    Hub {
        /// Hub id.
        id: String,
        /// Its name; empty while its beginning is not here, or the key to it (`sealed`).
        name: String,
        /// What we call it, on all our devices.
        alias: Option<String>,
        /// What it says about itself.
        about: Option<String>,
        /// When it began, as claimed.
        created_at: Option<String>,
        /// Accounts of its owners.
        owners: Vec<String>,
        /// Members, owners included.
        members: u64,
        /// Channels.
        channels: u64,
        /// `owner`, `member`, `banned` or `none`; `unknown` while its beginning is not here.
        standing: String,
        /// Our rank, if we are a member.
        rank: Option<u64>,
        /// What we may do, by name.
        permissions: Vec<String>,
        /// All our devices keep it.
        listed: bool,
        /// This node was told to keep it.
        served: bool,
        /// Nobody is let in by invitation at the moment.
        joins_closed: Flag,
        /// Nobody but its members may know of it.
        private: Flag,
        /// Its name, or what it says about itself, is sealed, and the key is not here: it is left out.
        sealed: Flag,
        /// The hub that it was split off from.
        forked_from: Option<String>,
    }
    /// An invitation to a hub.
    Invite {
        /// Its id.
        id: String,
        /// The hub.
        hub: String,
        /// Who invites.
        by: String,
        /// How many accounts it is for; absent = any number.
        uses: Option<u64>,
        /// When it ends; absent = never.
        expires_at: Option<String>,
        /// The only account that it is for.
        account: Option<String>,
        /// It was closed.
        closed: Flag,
        /// Whether somebody can still join by it, as far as is known here: `open`, `closed`, `expired` or
        /// `used`.
        state: String,
        /// Who joined by it.
        joined: Vec<String>,
        /// Who took it when it was taken too often, and waits for a human.
        waiting: Vec<String>,
    }
    /// A channel of a hub.
    Channel {
        /// Its id.
        id: String,
        /// The hub.
        hub: String,
        /// Its name.
        name: String,
        /// Another channel has the same name: say the id.
        ambiguous: Flag,
        /// What it is about.
        topic: Option<String>,
        /// The heading that it stands under.
        category: Option<String>,
        /// Who created it.
        by: String,
        /// When, as claimed.
        created_at: String,
        /// Only who manages channels writes there.
        read_only: Flag,
        /// Nobody writes there.
        archived: Flag,
        /// Time that a member waits between two messages.
        slow_ms: Option<u64>,
        /// Its readers alone can read what is written there.
        private: Flag,
        /// Its name, topic or heading is sealed, and not for us or the key is not here: it is left out.
        sealed: Flag,
        /// Roles whose holders read it, if it is private; none = every member.
        readers: Vec<String>,
        /// What of a private channel is given to who becomes a reader: `from-join` or `all`.
        history: Option<String>,
        /// Messages that are pinned, the latest first.
        pins: Vec<String>,
    }
    /// A message or a poll in a channel.
    Message {
        /// The entry: id of the change that carries it.
        id: String,
        /// The hub.
        hub: String,
        /// The channel.
        channel: String,
        /// Account of the author.
        author: String,
        /// As this home calls the author; only if asked for.
        author_name: Option<String>,
        /// The text; absent if deleted, hidden or purged, or if the body is not here (`missing`).
        text: Option<String>,
        /// When its author claims to have made it.
        created_at: String,
        /// When the shown text claims to be made, if it was edited.
        edited_at: Option<String>,
        /// The message that it answers.
        reply_to: Option<String>,
        /// How deep it stands in a thread; absent outside of one.
        depth: Option<u64>,
        /// Files, in order.
        attachments: Vec<Attachment>,
        /// Accounts and roles that it mentions: ids, `everyone` for all members.
        mentions: Vec<String>,
        /// Where it was imported from, as whoever imported it claims.
        origin: Option<Origin>,
        /// Who wrote it there, as claimed.
        origin_author: Option<String>,
        /// Of a poll: what one can choose from.
        poll: Option<PollCount>,
        /// Accounts that reacted, by emoji.
        reactions: BTreeMap<String, u64>,
        /// Messages that answer it.
        replies: u64,
        /// `shown`, `hidden`, `purged`, `unproven` (signed, and its author's role is still on its
        /// way), `deferred` (what it builds on is not here), `void`.
        state: String,
        /// Why it is void, the operation that hid or purged it, or why it does not open.
        why: Option<String>,
        /// Of a sealed message that shows no text: `waiting` (its key is on its way), `to_others` (it
        /// is not for us) or `refused` (it does not open).
        sealed: Option<String>,
        /// Written without knowing of a change that does not allow it any more.
        late: Flag,
        /// The author withdrew it.
        deleted: Flag,
        /// It stands in one branch of a forked chain.
        disputed: Flag,
        /// The body is not here yet.
        missing: Flag,
    }
    /// What a poll comes to.
    PollCount {
        /// `single`, `multiple` or `ranked`.
        kind: String,
        /// The options, in order.
        options: Vec<String>,
        /// Votes for each; of a ranked poll those of the last round of the runoff.
        counts: Vec<u64>,
        /// Accounts that voted.
        voters: u64,
        /// Options with most votes.
        winners: Vec<String>,
        /// No other vote counts any more.
        closed: Flag,
    }
    /// What was not read in a channel.
    Unread {
        /// The hub.
        hub: String,
        /// The channel.
        channel: String,
        /// Names of both, with a slash between.
        name: String,
        /// Messages of others that count.
        messages: u64,
        /// Those among them that mention us or a role of ours.
        mentions: u64,
        /// Read up to this time; absent if nothing was read.
        since: Option<String>,
    }
    /// What the members of a hub have on this node.
    HubUse {
        /// The hub.
        hub: String,
        /// Bytes of what they wrote into channels, with texts and files; what was withdrawn is
        /// left out.
        bytes: u64,
        /// Bytes that this node takes of one member; absent if it was not told.
        member_limit: Option<u64>,
        /// Bytes that it takes of all members; absent if it was not told.
        all_limit: Option<u64>,
        /// Bytes that the hub gives each member; absent if it leaves that to nodes.
        rule: Option<u64>,
    }
    /// What one member of a hub has on this node.
    MemberUse {
        /// The hub.
        hub: String,
        /// The account.
        account: String,
        /// As this home calls the account.
        name: Option<String>,
        /// Bytes, as in `hub_use`.
        bytes: u64,
        /// More of it is known and was not taken, for want of room.
        full: Flag,
    }
    /// A member of a hub.
    Member {
        /// The hub.
        hub: String,
        /// The account.
        account: String,
        /// As this home calls the account.
        name: Option<String>,
        /// The highest rank; absent for owners.
        rank: Option<u64>,
        /// An owner.
        owner: Flag,
        /// Names of the roles.
        roles: Vec<String>,
    }
    /// A role in a hub.
    Role {
        /// Its id; `everyone` is that of every member.
        id: String,
        /// The hub.
        hub: String,
        /// Its name.
        name: String,
        /// How high it stands.
        rank: u64,
        /// What it allows, by name.
        permissions: Vec<String>,
        /// Its name is sealed, and the key is not here: it is left out.
        sealed: Flag,
    }
    /// An operation of a hub: one line of its audit log.
    HubOperation {
        /// Its id.
        id: String,
        /// The hub.
        hub: String,
        /// Who.
        by: String,
        /// When, as claimed.
        created_at: String,
        /// What: `grant`, `ban`, `create-channel` and so on.
        action: String,
        /// The account or message that it is about.
        about: Option<String>,
        /// What else it says: a name, a role, a channel.
        detail: Option<String>,
        /// The operation that it makes its own.
        adopts: Option<String>,
        /// Why, as its author says.
        reason: Option<String>,
        /// Its names, topics and reason are sealed, and not for us or the key is not here: they are left
        /// out.
        sealed: Flag,
        /// It counts.
        counts: bool,
        /// By what rank; absent for owners and where it does not count.
        rank: Option<u64>,
        /// Why it does not count.
        why: Option<String>,
        /// The operation that took it back.
        lifted: Option<String>,
        /// It stands in one branch of a forked chain.
        disputed: Flag,
    }
    /// A report to moderators of a hub.
    Report {
        /// Its id.
        id: String,
        /// The hub.
        hub: String,
        /// Who reports.
        by: String,
        /// As this home calls him; only if asked for.
        by_name: Option<String>,
        /// When, as claimed.
        created_at: String,
        /// `message` or `member`.
        about: String,
        /// The message that it is about.
        message: Option<String>,
        /// The channel that the message stands in, if it is here.
        channel: Option<String>,
        /// Its author, or the member that it is about.
        account: String,
        /// As this home calls him; only if asked for.
        account_name: Option<String>,
        /// The message is not here: that it is his, and of this hub, its reporter alone says.
        author_unproven: Flag,
        /// The text of the message, as it was when it was reported where that is known.
        text: Option<String>,
        /// Its author withdrew or changed the text, or it is not here: this is what the report brought
        /// along, and its author had signed.
        text_kept: Flag,
        /// Why, as who reports says.
        reason: Option<String>,
        /// `open` or `handled`.
        state: String,
        /// What was done about it: `purge`, `hide`, `ban`, `kick` or `dismiss`.
        handled_act: Option<String>,
        /// Who did that.
        handled_by: Option<String>,
        /// Why.
        handled_reason: Option<String>,
        /// The operation, as the log lists it.
        operation: Option<String>,
    }
}
