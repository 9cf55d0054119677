//! Requests about hubs. A hub is named by an id prefix, its alias here, or its name if only one
//! has it; a channel by `HUB/CHANNEL`, its part by id prefix or name.

use serde::{Deserialize, Serialize};

use super::absent::Absent;
use super::{Field, Operation, Request, Shape};
use crate::api::types::{AttachFile, ImportMessage};

requests! { HUB_PATHS HUB_OPERATIONS;
    /// Creates a hub of ours. Answers one `hub`.
    "/v1/hub/create" any HubCreate {
        /// Its name, 1 to 64 bytes.
        name: String,
        /// What it says about itself.
        about: String,
        /// Names of the channels that it begins with; `general` if there are none.
        channels: Vec<String>,
        /// Split it off from this hub: it begins with the channels and roles of that one, and says
        /// where it came from. Nobody is in it but us, and what was written stays there.
        from: Option<String>,
        /// Nobody but its members may know of it: it is given to their devices and to who shows an
        /// invitation, and all its channels are private. It stays so.
        private: bool,
    }
    /// Changes a hub. Answers one `hub`.
    "/v1/hub/change" any HubChange {
        /// The hub.
        hub: String,
        /// A new name.
        name: Option<String>,
        /// What it says about itself.
        about: Option<String>,
        /// Whether nodes let nobody join, whatever invitation he has: the answer to a raid.
        joins_closed: Option<bool>,
        /// Bytes that nodes keep of each member; 0 leaves it to them.
        member_bytes: Option<u64>,
        /// Why, for the audit log.
        reason: String,
    }
    /// Says who is to own a hub from now on. It takes place when more than half of the owners have
    /// said the same. Answers one `operation`, then one `hub`.
    "/v1/hub/owners" any HubOwners {
        /// The hub.
        hub: String,
        /// All owners that it is to have.
        owners: Vec<String>,
        /// Why, for the audit log.
        reason: String,
    }
    /// Answers the hubs that are kept here as `hub`.
    "/v1/hub/list" any HubList {}
    /// Answers one `hub`, then its `channel`s.
    "/v1/hub/show" any HubShow {
        /// The hub.
        hub: String,
    }
    /// Joins a hub by a ticket: fetches it from the node that the ticket names if it is not here
    /// yet, and tells that node. Answers `notice`s, then one `hub`. Asked again, it goes on where
    /// it was broken off. Errors: `retry` if no node answers, `denied` with the reason.
    "/v1/hub/join" any HubJoin {
        /// The ticket.
        ticket: String,
        /// What we call it, on all our devices.
        alias: Option<String>,
    }
    /// Gives up all our roles in a hub; what we wrote stays. Answers one `hub`.
    "/v1/hub/leave" any HubLeave {
        /// The hub.
        hub: String,
        /// Do not keep it on our devices any more.
        forget: bool,
    }
    /// Has this node keep a hub and serve it to whoever asks, member or not. Answers one `hub`.
    "/v1/hub/serve" any HubServe {
        /// The hub; the full id of one that is not here yet.
        hub: String,
        /// Not any more.
        stop: bool,
    }
    /// Answers what the members of a hub have on this node as `hub_use`, then a `member_use` for
    /// each who has something, most first; changes what this node takes, if that is named. What is
    /// here already stays.
    "/v1/hub/quota" any HubQuota {
        /// The hub.
        hub: String,
        /// Bytes of one member from now on; 0 = no limit.
        member_bytes: Option<u64>,
        /// Bytes of all members from now on; 0 = no limit.
        all_bytes: Option<u64>,
    }
    /// Makes an invitation and the ticket for it. Answers one `ticket`. Without a running node
    /// the ticket names no address.
    "/v1/hub/invite" any HubInvite {
        /// The hub.
        hub: String,
        /// The role that it gives, by name or id prefix; absent = that of every member.
        role: Option<String>,
        /// How many accounts it is for; absent or 0 = any number.
        uses: Option<u64>,
        /// How long it is good for; absent = for ever.
        expires_ms: Option<u64>,
        /// The only account that it is for.
        who: Option<String>,
    }
    /// Answers the invitations of a hub as `invite`.
    "/v1/hub/invites" any HubInvites {
        /// The hub.
        hub: String,
    }
    /// Closes an invitation. Answers one `operation`.
    "/v1/hub/uninvite" any HubUninvite {
        /// The hub.
        hub: String,
        /// The invitation, by id prefix.
        id: String,
    }
    /// Counts what of the channels of a hub, or of all that are kept here, was not read. Answers
    /// an `unread` for each channel with something.
    "/v1/hub/unread" any HubUnread {
        /// The hub; absent = all of them.
        hub: Option<String>,
        /// Count it as read from now on, on all our devices.
        mark_read: bool,
    }
    /// Answers the channels of a hub as `channel`, by heading and name.
    "/v1/channel/list" any ChannelList {
        /// The hub.
        hub: String,
    }
    /// Creates a channel. Answers one `channel`.
    "/v1/channel/create" any ChannelCreate {
        /// The hub, a slash, and the name.
        channel: String,
        /// What it is about.
        topic: String,
        /// The heading that it stands under.
        category: String,
        /// Only who manages channels writes there.
        read_only: bool,
        /// Its readers alone can read what is written there; it stays so.
        private: bool,
        /// Roles whose holders read it, by name or id prefix, if it is private; none = every member.
        roles: Vec<String>,
        /// What is given to who becomes a reader: `from-join`, which is the default, or `all`.
        history: Option<String>,
    }
    /// Says who reads a private channel from now on. Answers one `channel`.
    "/v1/channel/readers" any ChannelReaders {
        /// The channel.
        channel: String,
        /// Roles whose holders read it, by name or id prefix; `everyone` = every member; none = as it was,
        /// where the history is said.
        roles: Vec<String>,
        /// What is given to who becomes a reader: `from-join` or `all`; absent = as it was.
        history: Option<String>,
    }
    /// Changes a channel. Answers one `channel`.
    "/v1/channel/change" any ChannelEdit {
        /// The channel.
        channel: String,
        /// A new name.
        name: Option<String>,
        /// What it is about.
        topic: Option<String>,
        /// The heading that it stands under.
        category: Option<String>,
        /// Whether only who manages channels writes there.
        read_only: Option<bool>,
        /// Whether nobody writes there any more.
        archived: Option<bool>,
        /// Time that a member waits between two messages.
        slow_ms: Option<u64>,
    }
    /// Says what some may and may not do in one channel, whatever their roles say, in place of what
    /// was said before. Answers one `operation`.
    "/v1/channel/rules" any ChannelRules {
        /// The channel.
        channel: String,
        /// `role:NAME`, where `role:everyone` are all members, or a member.
        who: String,
        /// Permissions that they have there.
        allow: Vec<String>,
        /// Permissions that they lack there.
        deny: Vec<String>,
        /// Why, for the audit log.
        reason: String,
    }
    /// Writes a message into a channel. Answers one `message`.
    "/v1/message/send" any MessageSend {
        /// The channel.
        channel: String,
        /// The text; may be empty if there are attachments.
        text: String,
        /// Files, in order.
        attachments: Vec<AttachFile>,
        /// The message that it answers, by id prefix.
        reply_to: Option<String>,
        /// Whom it mentions: account id prefixes, `@petname`s, or `role:NAME`; `role:everyone`
        /// are all members.
        mentions: Vec<String>,
        /// Under a key that was used before with the same arguments nothing new is written, and
        /// the answer is what was written then; with other arguments it is the error `conflict`.
        idempotency_key: Option<String>,
        /// Wait until so many peers have committed it too; it is answered before.
        wait_replicas: Option<u64>,
        /// How long to wait for them, two minutes by default; then `timeout`.
        timeout_ms: Option<u64>,
    }
    /// Writes messages that were written elsewhere into a channel, in one commit, at most 256.
    /// Answers one `imported` for each, in order. What is there already is not written again, be
    /// it deleted since. A file that cannot be attached is left out, and a message that cannot be
    /// written is refused; the others are written. Errors: `denied` if we may not write there.
    "/v1/message/import" any MessageImport {
        /// The channel.
        channel: String,
        /// The messages; those that others answer first.
        messages: Vec<ImportMessage>,
        /// Write nothing, only say what would become of them; files are not looked at.
        dry_run: bool,
    }
    /// Answers the messages of a channel that count, newest first, as `message`. A pure function
    /// of the signed set unless `names` is asked for.
    "/v1/message/list" any MessageList {
        /// The channel.
        channel: String,
        /// At most so many; absent = all.
        limit: Option<u64>,
        /// Only messages that sort after (are older than) this one.
        before: Option<String>,
        /// Also those that count for nothing, with the reason, and texts that were hidden.
        all: bool,
        /// Also `author_name` as this home calls people.
        names: bool,
    }
    /// Answers a `message` and those that answer it and each other, oldest first, each followed by
    /// its own.
    "/v1/message/thread" any MessageThread {
        /// The message, by id prefix.
        id: String,
        /// Also `author_name` as this home calls people.
        names: bool,
    }
    /// Gives a message of ours a new text. Answers one `message`.
    "/v1/message/edit" any MessageEdit {
        /// The message, by id prefix.
        id: String,
        /// The new text.
        text: String,
    }
    /// Deletes a message, poll or reaction of ours. Answers one `deleted`.
    "/v1/message/delete" any MessageDelete {
        /// Its id prefix.
        id: String,
    }
    /// Reacts to a message, or takes it back. Answers one `message`.
    "/v1/message/react" any MessageReact {
        /// The message, by id prefix.
        id: String,
        /// The emoji.
        emoji: String,
        /// Take it back.
        remove: bool,
    }
    /// Answers the members of a hub as `member`, the highest first.
    "/v1/member/list" any MemberList {
        /// The hub.
        hub: String,
    }
    /// Lets an account in, or gives a member a role. Answers one `operation`.
    "/v1/member/grant" any MemberGrant {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// The role, by name or id prefix; absent = that of every member.
        role: Option<String>,
    }
    /// Takes a role from a member. Answers one `operation`.
    "/v1/member/revoke" any MemberRevoke {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// The role; absent = that of every member.
        role: Option<String>,
        /// Why, for the audit log.
        reason: String,
    }
    /// Removes a member, who may be invited again. Answers one `operation`.
    "/v1/member/kick" any MemberKick {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// Why, for the audit log.
        reason: String,
    }
    /// Removes a member for good: what is here of his stays. Answers one `operation`.
    "/v1/member/ban" any MemberBan {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// Nothing of his stays.
        purge: bool,
        /// Ban as well who came in by his invitations, and by theirs.
        with_invitees: bool,
        /// Why, for the audit log.
        reason: String,
    }
    /// Ends the bans and removals of an account. Answers an `operation` for each.
    "/v1/member/unban" any MemberUnban {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// Why, for the audit log; at most 256 bytes.
        reason: String,
    }
    /// Answers the roles of a hub as `role`, the highest first.
    "/v1/role/list" any RoleList {
        /// The hub.
        hub: String,
    }
    /// Defines a role of a rank for ever. Answers one `role`.
    "/v1/role/create" any RoleCreate {
        /// The hub.
        hub: String,
        /// Its name.
        name: String,
        /// 1 to 1000, by default 1: its holders act on lower ranks only.
        rank: Option<u64>,
        /// Permissions, by name.
        allow: Vec<String>,
    }
    /// Has a role give other permissions, to all who hold it. Answers one `role`.
    "/v1/role/change" any RoleChange {
        /// The hub.
        hub: String,
        /// The role, by name or id prefix; `everyone` is that of every member.
        role: String,
        /// A new name.
        name: Option<String>,
        /// All permissions that it gives from now on; absent = as before.
        allow: Option<Vec<String>>,
    }
    /// Hides a message from everybody, shows it again, drops its text, pins it or takes it down.
    /// Answers one `operation`.
    "/v1/moderation/act" any ModerationAct {
        /// The message, by id prefix.
        id: String,
        /// `hide`, `restore`, `purge`, `pin` or `unpin`.
        act: String,
        /// Why, for the audit log.
        reason: String,
    }
    /// Makes all that a member of lower rank did count for nothing. Answers one `operation`, then
    /// one for each of his that stays, with the reason.
    "/v1/moderation/undo" any ModerationUndo {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// Why, for the audit log.
        reason: String,
    }
    /// Makes an operation of another our own: it counts by our power too. Answers one
    /// `operation`.
    "/v1/moderation/adopt" any ModerationAdopt {
        /// The hub.
        hub: String,
        /// The operation, by id prefix.
        id: String,
        /// Why, for the audit log.
        reason: String,
    }
    /// Has a removal leave all that is here of the one it removed: what came since, or was not here
    /// when it was written. Answers an `operation` for each part.
    "/v1/moderation/extend" any ModerationExtend {
        /// The hub.
        hub: String,
        /// The ban, kick or revocation, by id prefix.
        id: String,
        /// Why, for the audit log.
        reason: String,
    }
    /// Answers every operation of a hub, valid or not, newest first, as `operation`.
    "/v1/moderation/log" any ModerationLog {
        /// The hub.
        hub: String,
        /// At most so many; absent = all.
        limit: Option<u64>,
    }
    /// Reports a message to those who may hide messages of its hub. Answers one `report`. Everybody
    /// who keeps the hub sees that we report something; what opens for moderators alone, and not
    /// for whom it is about. Errors: `denied` if we are no member, or reported it already and
    /// nobody dealt with it.
    "/v1/report/message" any ReportMessage {
        /// The message, by id prefix.
        id: String,
        /// Why; at most 1,024 bytes.
        reason: String,
    }
    /// Reports a member to those who may hide messages of a hub, like `report/message`. Answers one
    /// `report`.
    "/v1/report/member" any ReportMember {
        /// The hub.
        hub: String,
        /// Who.
        who: String,
        /// Why; at most 1,024 bytes.
        reason: String,
    }
    /// Answers the open reports of a hub that this device can read as `report`, the latest first:
    /// of one account at most 16. Errors: `denied` if we may not hide messages there.
    "/v1/report/list" any ReportList {
        /// The hub.
        hub: String,
        /// Those that we made instead, dealt with or not.
        own: bool,
        /// Also those that were dealt with.
        all: bool,
        /// Also `by_name` and `account_name` as this home calls people.
        names: bool,
    }
    /// Says that a report needs nothing more, or takes that back. Answers an `operation` for each
    /// that it makes.
    "/v1/report/dismiss" any ReportDismiss {
        /// The hub.
        hub: String,
        /// The report, by id prefix.
        id: String,
        /// Open it again.
        reopen: bool,
        /// Why; everybody can read it.
        reason: String,
    }
    /// Asks a question in a channel. Answers one `message`.
    "/v1/poll/create" any PollCreate {
        /// The channel.
        channel: String,
        /// The question.
        text: String,
        /// The options, two or more.
        options: Vec<String>,
        /// `single`, `multiple` or `ranked`; `single` if absent.
        kind: Option<String>,
    }
    /// Votes in a poll; the vote before is replaced. Answers one `message`.
    "/v1/poll/vote" any PollVote {
        /// The poll, by id prefix.
        id: String,
        /// Options by their text, or by number from 1; the best first in a ranked poll. None
        /// takes the vote back.
        choices: Vec<String>,
    }
    /// Closes a poll of ours: the votes that are here count, and no others. Answers one
    /// `message`.
    "/v1/poll/close" any PollClose {
        /// The poll, by id prefix.
        id: String,
    }
    /// Answers who signed that he holds all of what we wrote, or of a hub, and until when, as `holder`,
    /// the latest first. Nobody is asked.
    "/v1/sync/holders" any SyncHolders {
        /// The hub; absent = what is ours.
        hub: Option<String>,
    }
}
