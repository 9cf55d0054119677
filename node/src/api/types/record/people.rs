//! Records about people and what they write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Flag, Omit};
use crate::api::types::ReplyRule;
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// A sentence for people; printed on stderr.
    Notice {
        /// One line.
        message: String,
    }
    /// How far a long operation is; printed on stderr.
    Progress {
        /// `sync`, `verify`, `rebuild`, `link`.
        op: String,
        /// Peer, if there is one.
        peer: Option<String>,
        /// Bytes done.
        done_bytes: u64,
        /// Bytes in all.
        total_bytes: Option<u64>,
        /// Documents to go.
        docs_left: Option<u64>,
    }
    /// An account.
    Identity {
        /// Account id.
        account: String,
        /// Name from its profile.
        name: Option<String>,
        /// What we call it, without `@`.
        petname: Option<String>,
        /// Whether it is the account of this home.
        own: bool,
        /// This device, if it is ours.
        device: Option<String>,
        /// Name of this device.
        device_name: Option<String>,
        /// Devices that may write.
        devices: u64,
        /// When the account was made.
        created_at: Option<String>,
        /// How it comes back when all devices are lost: `words`, `none` if it began without
        /// them, or `frozen` if different words spoke for it: then nothing new of it is taken.
        recovery: Option<String>,
    }
    /// A device of an account.
    Device {
        /// Device id: Ed25519 public key, also the endpoint id.
        id: String,
        /// Account id.
        account: String,
        /// Name.
        name: String,
        /// 1..=254, over 200 if words brought it in; a device may revoke those below it.
        rank: u8,
        /// `active`, `suspended` or `revoked`.
        state: String,
        /// Whether it is this device.
        this_device: bool,
        /// When its certificate was issued.
        linked_at: Option<String>,
        /// Since when others seal to the key that it published last; absent if it published none.
        prekey_at: Option<String>,
        /// Device that issued the certificate; absent for the first one.
        issuer: Option<String>,
        /// Devices that it brought in and that stay, in the answer to a revocation.
        brought_in: Option<Vec<String>>,
    }
    /// Text that lets somebody connect.
    Ticket {
        /// `link` or `node`.
        kind: String,
        /// The ticket.
        ticket: String,
        /// When it stops to work; absent = never.
        expires_at: Option<String>,
    }
    /// A device has joined; both sides show the same code.
    Linked {
        /// Account id.
        account: String,
        /// The new device.
        device: String,
        /// Its name.
        name: String,
        /// Short code to compare by eye.
        code: String,
    }
    /// An account was recovered with its words.
    Recovered {
        /// Account id.
        account: String,
        /// This device.
        device: String,
        /// Its name.
        name: String,
        /// Devices that are out from now on.
        revoked: Vec<String>,
        /// Other devices that stay: words brought them in before, or they were linked by such.
        others: Vec<String>,
        /// Whether what the old devices had in private came back.
        private: bool,
    }
    /// A profile: a pure function of the signed set.
    Profile {
        /// Account id.
        account: String,
        /// Name.
        name: Option<String>,
        /// A few lines.
        bio: Option<String>,
        /// Picture.
        avatar: Option<Attachment>,
        /// Links, in order.
        links: Vec<String>,
        /// Free fields.
        fields: BTreeMap<String, String>,
        /// Theme tokens.
        theme: BTreeMap<String, String>,
        /// Hubs that the account says it is in; absent if it shows none.
        hubs: Option<Vec<ProfileHub>>,
        /// Fields with concurrent values, if asked for.
        conflicts: Option<Vec<FieldConflict>>,
    }
    /// A hub that a profile shows.
    ProfileHub {
        /// Its id.
        hub: String,
        /// Its name: as it is called here if it is kept here, else as it was when it was put there.
        name: String,
        /// Whether the account is a member, if the hub is kept here.
        member: Option<bool>,
    }
    /// A field with concurrent values.
    FieldConflict {
        /// `name`, `bio`, `fields.KEY`, ...
        field: String,
        /// All values, the one that is shown first.
        values: Vec<FieldValue>,
    }
    /// One of several concurrent values.
    FieldValue {
        /// The value.
        value: String,
        /// Device that wrote it.
        device: Option<String>,
        /// Whether it is the one that is shown.
        shown: bool,
    }
    /// A file of a post or comment. All claims of its author.
    Attachment {
        /// BLAKE3 of salt and bytes, as stored.
        hash: String,
        /// Bytes of the file.
        size_bytes: u64,
        /// Media type.
        media_type: String,
        /// Label, never a path.
        name: String,
        /// Description for those who cannot see it.
        alt: Option<String>,
    }
    /// A text that lost against a concurrent edit.
    TextConflict {
        /// The edit.
        id: String,
        /// Its text; absent if the body is not here.
        text: Option<String>,
        /// Device that wrote it.
        device: Option<String>,
        /// When it claims to be made.
        edited_at: String,
    }
    /// A post. Without names and conflicts: a pure function of the signed set.
    Post {
        /// The entry: id of the change that carries it.
        id: String,
        /// Account of the author.
        author: String,
        /// As this home calls the author; only if asked for.
        author_name: Option<String>,
        /// The text; absent if deleted, or if the body is not here (`missing`).
        text: Option<String>,
        /// The document that holds the text, if it has one of its own.
        text_doc: Option<String>,
        /// When its author claims to have made it.
        created_at: String,
        /// When the shown text claims to be made, if it was edited.
        edited_at: Option<String>,
        /// Entry that is quoted.
        quote: Option<Quote>,
        /// Where its author says to have imported it from; `created_at` is the time it had there.
        origin: Option<Origin>,
        /// Files, in order.
        attachments: Vec<Attachment>,
        /// Comments shown below it.
        replies: u64,
        /// Accounts that reacted, by emoji.
        reactions: BTreeMap<String, u64>,
        /// The author withdrew it.
        deleted: Flag,
        /// It stands in one branch of a forked chain.
        disputed: Flag,
        /// The body is not here yet.
        missing: Flag,
        /// It reached us before what it builds on: not proven whole yet.
        unproven: Flag,
        /// Texts that lost, if asked for.
        conflicts: Option<Vec<TextConflict>>,
        /// Whom it is for, if not for everybody: of our own `followers`, `me` or `list:NAME`, of
        /// others `limited`.
        audience: Option<String>,
    }
    /// Where an imported post comes from: claims of whoever imported it.
    Origin {
        /// Name of what it comes from.
        source: String,
        /// What it is called there.
        id: String,
        /// Where it was read there.
        link: Option<String>,
    }
    /// What became of a post or message to import.
    Imported {
        /// What it is called where it comes from.
        origin: String,
        /// `added`, `known`, `refused`, or `new` if nothing was to be written.
        state: String,
        /// The post or message.
        id: Option<String>,
        /// Why it is refused, or files of it are left out.
        reasons: Option<Vec<String>>,
    }
    /// Unread entries of one kind.
    Catchup {
        /// `posts` of followed walls; `replies` to ours, `mentions` of us, `quotes` of ours and
        /// `reactions` to ours.
        group: String,
        /// How many.
        count: u64,
        /// There may be more than were counted.
        at_least: Flag,
        /// How many of them follow.
        listed: u64,
        /// Up to when all was read; absent if nothing ever was.
        since: Option<String>,
    }
    /// A post that is not made yet; only our own devices have it.
    Draft {
        /// Its id.
        id: String,
        /// The text.
        text: String,
        /// When it was last changed.
        edited_at: String,
        /// When it goes out by itself; absent = never.
        at: Option<String>,
        /// Device that said so; it is the first to post it.
        device: Option<String>,
        /// Entry that it quotes.
        quote: Option<Quote>,
        /// Texts of concurrent edits that lost.
        conflicts: Option<Vec<String>>,
    }
    /// A quoted entry.
    Quote {
        /// Its author.
        author: String,
        /// The entry.
        id: String,
    }
    /// An answer to a post or comment.
    Comment {
        /// The entry: id of the change that carries it.
        id: String,
        /// The post it stands under.
        post: String,
        /// What it answers: the post or another comment.
        reply_to: String,
        /// Account of the author.
        author: String,
        /// As this home calls the author; only if asked for.
        author_name: Option<String>,
        /// The text; absent if deleted, or if the body is not here (`missing`).
        text: Option<String>,
        /// When its author claims to have made it.
        created_at: String,
        /// When the shown text claims to be made, if it was edited.
        edited_at: Option<String>,
        /// Files, in order.
        attachments: Vec<Attachment>,
        /// Accounts that reacted, by emoji.
        reactions: BTreeMap<String, u64>,
        /// The author withdrew it.
        deleted: Flag,
        /// The wall's owner hid it, or refuses its author.
        hidden: Flag,
        /// It stands in one branch of a forked chain.
        disputed: Flag,
        /// The body is not here yet.
        missing: Flag,
        /// It reached us before what it builds on: not proven whole yet.
        unproven: Flag,
        /// Texts that lost, if asked for.
        conflicts: Option<Vec<TextConflict>>,
    }
    /// A post or comment that was deleted.
    Deleted {
        /// The entry.
        id: String,
    }
    /// A reaction after it was added or removed.
    Reaction {
        /// The entry that carries it; absent if there was none.
        id: Option<String>,
        /// Entry reacted to.
        target: String,
        /// Account that reacts.
        author: String,
        /// The emoji.
        emoji: String,
        /// Whether it is gone now.
        removed: Flag,
    }
    /// One text of a post or comment.
    Version {
        /// The post, comment or edit that carries it.
        id: String,
        /// The post or comment.
        target: String,
        /// Device that wrote it.
        device: Option<String>,
        /// When it claims to be made.
        created_at: String,
        /// The text; absent if the body is not here.
        text: Option<String>,
        /// Whether it is the one that is shown.
        shown: bool,
    }
    /// Who may reply to a wall.
    Policy {
        /// Whose wall.
        account: String,
        /// The rule.
        reply: ReplyRule,
        /// Guests admitted.
        admitted: Vec<String>,
        /// Guests refused.
        refused: Vec<String>,
    }
    /// Standing of a guest on our wall.
    Guest {
        /// Who.
        account: String,
        /// `admitted` or `refused`.
        state: String,
    }
    /// A file that was written.
    Saved {
        /// Where.
        path: String,
        /// Bytes written.
        size_bytes: u64,
        /// BLAKE3 of salt and bytes, as stored.
        hash: String,
    }
    /// Somebody we follow, block or mute.
    Relation {
        /// Who.
        account: String,
        /// What we call it, without `@`.
        petname: Option<String>,
        /// Name from its profile.
        name: Option<String>,
        /// What we noted about somebody we block.
        note: Option<String>,
        /// Since when.
        since: Option<String>,
        /// Whether it ends with this operation.
        removed: Flag,
    }
}
