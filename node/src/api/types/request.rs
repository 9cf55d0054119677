//! Requests: one type an operation. Unknown fields are refused.

mod absent;
#[macro_use]
mod table;
mod audience;
mod dm;
mod hub;
mod joined;
mod privacy;
mod profile;

use serde::{Deserialize, Serialize};

use absent::Absent;
pub use joined::{OPERATIONS, PATHS, Request};
pub use {audience::*, dm::*, hub::*, privacy::*, profile::*};

use super::schema::{Field, Operation, Shape};
use super::{AttachFile, BlobRule, ImportPost, ReplyRule};

requests! { OWN_PATHS OWN_OPERATIONS;
    /// Makes the identity of this home: keys, account, this device. Answers one `identity`.
    "/v1/identity/create" any IdentityCreate {
        /// Name for the profile.
        name: Option<String>,
        /// Name of this device; by default the host's.
        device_name: Option<String>,
        /// An identity that is already there is no error, nothing changes.
        if_missing: bool,
    }
    /// Answers one `identity`: ours, or another account's.
    "/v1/identity/show" any IdentityShow {
        /// Account id prefix or `@petname`; absent = ours.
        who: Option<String>,
    }
    /// Answers every account whose log is held here as `identity`, ours first.
    "/v1/identity/list" any IdentityList {}
    /// Answers an archive of the whole own account as it is now, as `application/octet-stream`;
    /// writes go on meanwhile. It is sealed in the format of `age`. Errors: `usage` if it has keys
    /// and nothing seals it.
    "/v1/identity/export" any IdentityExport {
        /// Leave out the keys of the device; the archive may then be unsealed.
        without_keys: bool,
        /// Seal it with this passphrase.
        passphrase: Option<String>,
        /// Or seal it for these recipients of `age`, `age1…` each.
        recipients: Vec<String>,
    }
    /// Makes this empty home a device of the account that the recovery words claim, and takes
    /// out the devices of before. Answers `notice`s, then one `recovered`. Asked again, it goes
    /// on where it was broken off. Errors: `usage` says which word is wrong, `not_found` that no
    /// peer knows an account with these words, `partial` that none keeps the private part.
    "/v1/identity/recover" any IdentityRecover {
        /// The words.
        words: String,
        /// Tickets of nodes that keep the account; what all of them have is fetched first.
        peers: Vec<String>,
        /// Name of this device; by default the host's.
        device_name: Option<String>,
        /// Take out the devices of before even if no peer keeps what they had in private:
        /// follows, blocks, petnames and read marks are then lost.
        without_private: bool,
    }
    /// Replaces the recovery words: the new ones are on this device until they are shown.
    /// Answers one `identity`. Errors: `usage` says which word is wrong, `denied` that they are
    /// not those in force.
    "/v1/identity/rotate" any IdentityRotate {
        /// The words in force; absent if they are still on this device.
        words: Option<String>,
        /// The profile's name, or the first 8 digits of the account id, so that nobody does it
        /// by mistake.
        confirm: String,
    }
    /// Makes a link ticket. Answers one `ticket`; if `wait`, then one `linked` when a device
    /// has used it, or the error `timeout` when it expires.
    "/v1/device/invite" any DeviceInvite {
        /// How long the ticket is good for; default ten minutes.
        ttl_ms: Option<u64>,
        /// Keep the answer open until a device has linked. Without a running node this is the
        /// only way: nobody would answer the other device.
        wait: bool,
    }
    /// Links this home to the account that made the ticket. Answers `notice`s, then one
    /// `linked`. Errors: `conflict` if used or expired or if this home has an identity.
    "/v1/device/link" any DeviceLink {
        /// The ticket.
        ticket: String,
        /// Name of this device; by default the host's.
        name: Option<String>,
    }
    /// Answers the account's devices as `device`, oldest first.
    "/v1/device/list" any DeviceList {
        /// Account id prefix or `@petname`; absent = ours.
        who: Option<String>,
    }
    /// Renames a device of ours. Answers one `device`.
    "/v1/device/rename" any DeviceRename {
        /// Device id prefix or name.
        device: String,
        /// The new name.
        name: String,
    }
    /// Suspends a device of ours. Answers one `device`.
    "/v1/device/suspend" any DeviceSuspend {
        /// Device id prefix or name.
        device: String,
    }
    /// Ends a suspension. Answers one `device`.
    "/v1/device/restore" any DeviceRestore {
        /// Device id prefix or name.
        device: String,
    }
    /// Revokes a device of ours for ever, with cuts at what this device has verified of it.
    /// Answers one `device`.
    "/v1/device/revoke" any DeviceRevoke {
        /// Device id prefix or name.
        device: String,
        /// The device's name, typed again; anything else is refused with `usage`.
        confirm: String,
        /// Why; read by the account's own devices.
        reason: Option<String>,
    }
    /// Keeps a draft for our own devices, sealed. Answers one `draft`.
    "/v1/draft/create" any DraftCreate {
        /// The text.
        text: String,
        /// Entry to quote: id prefix of a post or comment held here.
        quote: Option<String>,
        /// When it goes out by itself, from whichever of our devices runs a node then: a time to
        /// come. Absent = never.
        at: Option<String>,
    }
    /// Answers the drafts as `draft`, the last changed first.
    "/v1/draft/list" any DraftList {}
    /// Answers one `draft`.
    "/v1/draft/show" any DraftShow {
        /// Draft, by id prefix.
        id: String,
    }
    /// Changes a draft. Answers one `draft`.
    "/v1/draft/edit" any DraftEdit {
        /// Draft, by id prefix.
        id: String,
        /// The new text; a text that had lost against a concurrent edit becomes a draft of its
        /// own.
        text: Option<String>,
        /// When it goes out by itself: a time to come.
        at: Option<String>,
        /// It does not go out by itself any more.
        unschedule: bool,
    }
    /// Deletes drafts, on all our devices. Answers a `deleted` or an `error` for each, and
    /// `partial` at the end if only some failed.
    "/v1/draft/delete" any DraftDelete {
        /// Id prefixes.
        ids: Vec<String>,
    }
    /// Posts drafts now and removes them. Answers a `post` or an `error` for each, and
    /// `partial` at the end if only some failed.
    "/v1/draft/post" any DraftPost {
        /// Id prefixes.
        ids: Vec<String>,
    }
    /// Writes posts that were written elsewhere to our wall, in one commit, at most 256. Answers
    /// one `imported` for each, in order. What is there already is not written again, be it
    /// deleted since. A file that cannot be attached is left out, and a post that cannot be
    /// written is refused; the others are written.
    "/v1/post/import" any PostImport {
        /// The posts; those that others go on from first.
        posts: Vec<ImportPost>,
        /// Write nothing, only say what would become of them; files are not looked at.
        dry_run: bool,
    }
    /// Answers posts of a wall, newest first, as `post`. A pure function of the signed set
    /// unless `names` is asked for.
    "/v1/wall/list" any WallList {
        /// Account id prefix or `@petname`; absent = ours.
        who: Option<String>,
        /// At most so many; absent = all.
        limit: Option<u64>,
        /// Only posts that sort after (are older than) this one.
        before: Option<String>,
        /// Only posts made at this time or later.
        since: Option<String>,
        /// Only posts made before this time.
        until: Option<String>,
        /// Also texts that lost against a concurrent edit.
        conflicts: bool,
        /// Also deleted posts, with `"deleted":true` and no text.
        deleted: bool,
        /// Also `author_name` as this home calls people.
        names: bool,
    }
    /// Answers one `post`, then its `comment`s, oldest first; or one `comment`.
    "/v1/wall/show" any WallShow {
        /// Post or comment, by id prefix.
        id: String,
        /// Also texts that lost against a concurrent edit.
        conflicts: bool,
        /// Also hidden and refused comments, marked.
        hidden: bool,
        /// Also `author_name` as this home calls people.
        names: bool,
    }
    /// Gives a post or comment of ours a new text. Answers the `post` or `comment`.
    "/v1/wall/edit" any WallEdit {
        /// Post or comment, by id prefix.
        id: String,
        /// The new text.
        text: String,
    }
    /// Deletes posts or comments of ours. Answers a `deleted` or an `error` for each, and
    /// `partial` at the end if only some failed.
    "/v1/wall/delete" any WallDelete {
        /// Id prefixes.
        ids: Vec<String>,
    }
    /// Comments on a post or comment. Answers one `comment`.
    "/v1/wall/comment" any WallComment {
        /// Post or comment answered, by id prefix.
        id: String,
        /// The text.
        text: String,
        /// Files, in order.
        attachments: Vec<AttachFile>,
        /// Under a key that was used before with the same arguments nothing new is written, and
        /// the answer is what was written then; with other arguments it is the error `conflict`.
        /// The newest 10,000 keys of this home are remembered.
        idempotency_key: Option<String>,
        /// Wait until so many peers have committed it too; it is answered before.
        wait_replicas: Option<u64>,
        /// How long to wait for them, two minutes by default; then `timeout`.
        timeout_ms: Option<u64>,
    }
    /// Adds a reaction; adding it twice changes nothing. Answers one `reaction`.
    "/v1/wall/react" any WallReact {
        /// Post or comment, by id prefix.
        id: String,
        /// The emoji.
        emoji: String,
    }
    /// Takes our reaction back; one that is not there is no error. Answers one `reaction`.
    "/v1/wall/unreact" any WallUnreact {
        /// Post or comment, by id prefix.
        id: String,
        /// The emoji.
        emoji: String,
    }
    /// Hides a guest's comment or reaction on our wall. Answers one `comment`.
    "/v1/wall/hide" any WallHide {
        /// Comment, by id prefix.
        id: String,
    }
    /// Shows it again. Answers one `comment`.
    "/v1/wall/unhide" any WallUnhide {
        /// Comment, by id prefix.
        id: String,
    }
    /// Answers every text of a post or comment, oldest first, as `version`.
    "/v1/wall/history" any WallHistory {
        /// Post or comment, by id prefix.
        id: String,
    }
    /// Reads or changes who may reply. Answers one `policy`.
    "/v1/wall/policy" any WallPolicy {
        /// Whose wall; absent = ours. Only ours can be changed.
        who: Option<String>,
        /// The new rule; absent = read only.
        reply: Option<ReplyRule>,
    }
    /// Makes a guest part of our wall. Answers one `guest`.
    "/v1/wall/admit" any WallAdmit {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Shows nothing of a guest on our wall any more. Answers one `guest`.
    "/v1/wall/refuse" any WallRefuse {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Writes an attachment to a file, fetching it from a peer if it is not here. Answers
    /// one `saved`.
    "/v1/wall/save" any WallSave {
        /// Post or comment, by id prefix.
        id: String,
        /// Which attachment, from 0; default the first.
        index: Option<u64>,
        /// Absolute path of a folder, or of a new file: one that exists is a `conflict`.
        path: String,
    }

    /// Answers posts of the walls we follow and of ours, strictly newest first, as `post`, and
    /// with them what stands in some channels, as `message`.
    "/v1/feed/list" any FeedList {
        /// Only by this account.
        from: Option<String>,
        /// Channels whose messages stand among the posts: `HUB/CHANNEL`, or `HUB` with all of its.
        channels: Vec<String>,
        /// At most so many; absent = all.
        limit: Option<u64>,
        /// Only posts that sort after (are older than) this one.
        before: Option<String>,
        /// Only posts made at this time or later.
        since: Option<String>,
        /// Only posts made before this time.
        until: Option<String>,
        /// Only what was not listed with `mark_read` before.
        unread: bool,
        /// Remember the newest listed post, and the newest message of each channel, as read.
        mark_read: bool,
    }

    /// Searches posts, comments and messages of hubs that are here, strictly newest first. Answers
    /// each as `post`, `comment` or `message`; a `notice` if it stopped before the end.
    "/v1/search/find" any SearchFind {
        /// Words, "phrases", beginnings*, -excluded, `from:WHO`, `in:HUB/CHANNEL`, `has:link`,
        /// `is:comment`, `before:TIME`, `after:TIME`.
        query: String,
        /// At most so many; absent = all.
        limit: Option<u64>,
        /// Only what sorts after (is older than) this entry.
        before: Option<String>,
        /// Only what was written at this time or later.
        since: Option<String>,
        /// Only what was written before this time.
        until: Option<String>,
        /// Add authors' names as this home calls them.
        names: bool,
    }
    /// Answers what was not read yet: for each group one `catchup`, then its newest entries as
    /// `post`, `comment` or `reaction`; then an `unread` for each channel with something, of the
    /// hubs that we list.
    "/v1/catchup/list" any CatchupList {
        /// At most so many of each group; absent = 20.
        limit: Option<u64>,
        /// Remember all that was counted as read, on every own device.
        mark_read: bool,
    }

    /// Follows an account and subscribes to its space. Answers one `follow`; doing it twice
    /// changes at most the petname.
    "/v1/follow/add" any FollowAdd {
        /// Account: full id, or prefix of a known one.
        who: String,
        /// Petname, without `@`.
        name: Option<String>,
    }
    /// Stops following. Answers one `follow`.
    "/v1/follow/remove" any FollowRemove {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Answers whom we follow as `follow`.
    "/v1/follow/list" any FollowList {}
    /// Blocks: nothing of the account is shown or kept; nobody else learns it. One `block`.
    "/v1/block/add" any BlockAdd {
        /// Account id prefix or `@petname`.
        who: String,
        /// One line about it that own devices alone can read; up to 1,024 bytes, none if empty.
        note: Option<String>,
    }
    /// Ends a block. Answers one `block`.
    "/v1/block/remove" any BlockRemove {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Answers whom we block as `block`.
    "/v1/block/list" any BlockList {}
    /// Mutes: kept, but not in the feed. Answers one `mute`.
    "/v1/mute/add" any MuteAdd {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Ends a mute. Answers one `mute`.
    "/v1/mute/remove" any MuteRemove {
        /// Account id prefix or `@petname`.
        who: String,
    }
    /// Answers whom we mute as `mute`.
    "/v1/mute/list" any MuteList {}

    /// Keeps an account's space here; a second time changes the limits that are given.
    /// Answers one `sub`.
    "/v1/sub/add" any SubAdd {
        /// Account: full id, or prefix of a known one, or `@petname`.
        target: String,
        /// Keep what is younger than this; 0 = the newest page and no older one; absent = as
        /// before, at first all; the greatest number = all.
        history_ms: Option<u64>,
        /// Which blobs to keep; absent = all.
        blobs: Option<BlobRule>,
        /// Hold at most so many bytes of it, and a page; absent = as before, at first no limit;
        /// the greatest number = no limit.
        max_bytes: Option<u64>,
    }
    /// Answers what is kept here as `sub`, our own space first.
    "/v1/sub/list" any SubList {}
    /// Answers one `sub`.
    "/v1/sub/show" any SubShow {
        /// Account id prefix or `@petname`.
        target: String,
    }
    /// Stops keeping it, and gives up what is here unless it is followed. Answers one `sub`.
    "/v1/sub/remove" any SubRemove {
        /// Account id prefix or `@petname`.
        target: String,
    }

    /// Syncs now. Answers a `sync_result` for each peer as it finishes, `progress` between.
    /// At the end `partial` if some peers failed, `retry` if none could be reached.
    "/v1/sync/run" any SyncRun {
        /// Accounts whose spaces have to be in sync at the end, whatever else moves; empty = all
        /// that are kept.
        targets: Vec<String>,
        /// Peers: node ticket, device id prefix or name of a known peer; empty = all known.
        peers: Vec<String>,
        /// Succeed as soon as so many peers are in sync.
        replicas: Option<u64>,
        /// Give up after so long with `timeout`.
        timeout_ms: Option<u64>,
    }
    /// Answers what is known of each peer and section as `sync_status`, without asking them.
    "/v1/sync/status" any SyncStatus {
        /// Accounts; empty = all that are kept.
        targets: Vec<String>,
    }
    /// Answers one `status`.
    "/v1/status/show" any StatusShow {}
    /// Answers `event` records as they happen.
    "/v1/event/watch" node EventWatch {
        /// Only these event names; empty = all.
        types: Vec<String>,
        /// Replay what came after this number first.
        since: Option<u64>,
        /// End after so many.
        count: Option<u64>,
    }

    /// Answers one `node`.
    "/v1/node/status" node NodeStatus {}
    /// Answers the figures of the node as `application/openmetrics-text`, which Prometheus reads; so
    /// does `GET /metrics`.
    "/v1/node/metrics" node NodeMetrics {}
    /// Stops the node cleanly. Answers one `node` before it goes.
    "/v1/node/stop" node NodeStop {}
    /// Has the node read its settings again. Answers a `setting` for each that changed, with the
    /// state `applied` or `needs_restart`.
    "/v1/node/reload" node NodeReload {}
    /// Answers peers as `peer`.
    "/v1/node/peers" node NodePeers {
        /// Only those with an open connection.
        connected: bool,
    }
    /// Connects to a node and remembers it as a peer. Answers one `peer`.
    "/v1/node/connect" node NodeConnect {
        /// Its ticket.
        ticket: String,
        /// Local name for it.
        name: Option<String>,
    }
    /// Forgets a peer: its address and name, and how it stood. A device of an account that is kept
    /// here is remembered again when it calls. Answers one `peer`.
    "/v1/node/forget" any NodeForget {
        /// Its name, or a prefix of its device id.
        peer: String,
    }
    /// Answers the address of the node as one `ticket`, of the kind for nodes.
    "/v1/node/ticket" node NodeTicket {}

    /// Answers one `store_stats`.
    "/v1/store/stats" any StoreStats {}
    /// Reads and checks everything. Answers `damage` for each fault, then one `verify`; the
    /// error `corrupt` follows if there was damage.
    "/v1/store/verify" any StoreVerify {}
    /// Drops all rebuildable rows and builds them again. Answers one `rebuild`.
    "/v1/store/rebuild" any StoreRebuild {}
    /// Removes what takes room and serves nothing, but never what anything names. Answers `garbage`
    /// for each thing, then one `gc`.
    "/v1/store/gc" any StoreGc {
        /// Remove nothing; the answer is the same.
        dry_run: bool,
    }
    /// Answers a backup of the store as it is now, as `application/zstd`; writes go on meanwhile.
    "/v1/store/backup" any StoreBackup {
        /// Also the keys of the device.
        include_keys: bool,
    }
    /// Answers every key as `row`, in order of table and key.
    "/v1/store/dump" any StoreDump {
        /// Only this table: `truth`, `rows` or `meta`.
        table: Option<String>,
        /// Also the values, as hex.
        values: bool,
    }

    /// Answers documents as `document`, in order of space, kind, account, page.
    "/v1/doc/list" any DocList {
        /// Only in this account's space; absent = all that are held.
        who: Option<String>,
        /// Only this kind: `account`, `profile`, `wall`, `guest`, `private`.
        kind: Option<String>,
    }
    /// Answers the known heads as `head`, in order of document, device, incarnation. A pure
    /// function of the signed set.
    "/v1/doc/heads" any DocHeads {
        /// Documents, by id prefix; empty = all public ones of `who`'s space.
        docs: Vec<String>,
        /// Whose space, if no documents are named; absent = ours.
        who: Option<String>,
    }
    /// Answers held changes as `change`, oldest first within each chain.
    "/v1/doc/changes" any DocChanges {
        /// Document, by id prefix.
        doc: String,
        /// Only changes after this one in its chain (change id prefix).
        since: Option<String>,
        /// Also the stored bytes, as hex.
        raw: bool,
    }
    /// Answers the packs of full pages that are held whole as `pack`.
    "/v1/doc/packs" any DocPacks {
        /// Documents, by id prefix; empty = all public ones of `who`'s space.
        docs: Vec<String>,
        /// Whose space, if no documents are named; absent = ours.
        who: Option<String>,
    }
    /// Answers one `document_value`: what a stock Automerge shows of it.
    "/v1/doc/cat" any DocCat {
        /// Document, by id prefix, or the post whose text it is.
        doc: String,
    }
    /// Changes one of our texts by the fewest characters. Answers one `text_edited`.
    "/v1/doc/edit" any DocEdit {
        /// Document, by id prefix, or the post whose text it is.
        doc: String,
        /// The new text; up to 512 KiB.
        text: String,
        /// Heads at which it was read: what was written since stays. Absent = now.
        heads: Vec<String>,
    }
    /// Answers what each change did, in plain words, as `history`, oldest first.
    "/v1/doc/history" any DocHistory {
        /// Document, by id prefix.
        doc: String,
    }
    /// Answers one `version_info`. Needs no identity.
    "/v1/meta/version" any MetaVersion {}
}

#[cfg(test)]
mod tests;
