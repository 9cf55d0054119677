//! Records about copies, peers and the node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Flag, Omit};
use crate::api::types::BlobRule;
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// A space that is kept here.
    Sub {
        /// Account whose space it is.
        target: String,
        /// What we call it, without `@`.
        petname: Option<String>,
        /// Whether it is our own: always kept whole.
        own: bool,
        /// Only what is younger than this; 0 = the newest page and no older one; absent = all.
        history_ms: Option<u64>,
        /// Which blobs; absent = all.
        blobs: Option<BlobRule>,
        /// Limit.
        max_bytes: Option<u64>,
        /// Bytes held now.
        held_bytes: u64,
        /// Documents held.
        documents: u64,
        /// Changes known of, wanted and not held.
        missing_changes: u64,
        /// Bodies named, wanted and not held.
        missing_bodies: u64,
        /// Changes known of and left out: beyond the limits, or of somebody blocked or revoked.
        left_out_changes: u64,
        /// `partial` if something wanted is missing here, else `limited` if something was left
        /// out, else `whole`.
        state: String,
        /// Whether it ends with this operation.
        removed: Flag,
    }
    /// A device that signed that it holds all of a space.
    Holder {
        /// The account or hub whose space it is.
        target: String,
        /// The device.
        peer: String,
        /// What we call it.
        peer_name: Option<String>,
        /// The account that it belongs to, if that is known here.
        account: Option<String>,
        /// When it said so.
        signed_at: String,
        /// Until when it means to hold it.
        until: String,
        /// `whole` if that is all that is known here, `behind` if more came since, here or there, and
        /// `failed` if it could not show that it has what it signed for.
        state: String,
        /// It says that it holds what is private too, sealed.
        private: Flag,
        /// When it last showed that it has a part of it, or can get it.
        checked_at: Option<String>,
        /// When it could not, if it has not shown it since.
        failed_at: Option<String>,
    }
    /// Sums over an open session, both ways unless named otherwise.
    SessionTotals {
        /// Legs there and back.
        round_trips: u64,
        /// Bytes of control messages.
        control_bytes: u64,
        /// Bytes of changes sent inline.
        inline_bytes: u64,
        /// Bytes of packs by blob transfer.
        blob_bytes: u64,
        /// Bytes of bodies and attachments.
        body_bytes: u64,
        /// Signatures this side checked.
        signatures_checked: u64,
        /// Changes received.
        in_changes: u64,
        /// Changes sent.
        out_changes: u64,
    }
    /// Outcome of one session with one peer. The numbers are of what moved from the moment the
    /// command was given, over a session that was open before too; `session` has the sums since
    /// that session was opened.
    SyncResult {
        /// Device id of the peer, or the text it was asked for by if that is all we know.
        peer: String,
        /// Local name of the peer.
        peer_name: Option<String>,
        /// `in-sync`, `differs`, `failed` or `unreachable`.
        state: String,
        /// Legs there and back.
        round_trips: u64,
        /// Bytes of control messages, both ways.
        control_bytes: u64,
        /// Bytes of changes sent inline, both ways.
        inline_bytes: u64,
        /// Bytes of packs by blob transfer, both ways.
        blob_bytes: u64,
        /// Bytes of bodies and attachments, both ways; those of an attachment that did not come
        /// whole count too.
        body_bytes: u64,
        /// Changes exchanged, both ways.
        changes: u64,
        /// Signatures this side checked.
        signatures_checked: u64,
        /// Changes received.
        in_changes: u64,
        /// Changes sent.
        out_changes: u64,
        /// Bodies still missing here.
        missing_bodies: u64,
        /// Bodies the peer says it still lacks.
        peer_missing_bodies: Option<u64>,
        /// What keeps us from being in sync, one line each.
        reasons: Vec<String>,
        /// Sums since the session was opened; absent if none was.
        session: Option<SessionTotals>,
        /// Duration.
        elapsed_ms: u64,
    }
    /// What is known of one section at one peer.
    SyncState {
        /// Device id of the peer.
        peer: String,
        /// Local name of the peer.
        peer_name: Option<String>,
        /// Account or hub whose space it is.
        target: String,
        /// `authority`, `public`, `visitors` or `private`.
        section: String,
        /// `in-sync`, `differs`, `failed` or `unknown` (never compared since our last write).
        state: String,
        /// Whether the peer said that all of it is fsynced there.
        durable: Option<bool>,
        /// Changes we have and the peer lacked.
        unsent_changes: u64,
        /// Changes the peer has and we lack.
        missing_changes: u64,
        /// Bodies we lack.
        missing_bodies: u64,
        /// Bodies the peer said it lacks.
        peer_missing_bodies: u64,
        /// Why, one line each.
        reasons: Vec<String>,
        /// When it was last compared.
        checked_at: Option<String>,
    }
    /// Everything on one page.
    Status {
        /// Our account.
        account: Option<String>,
        /// Name from our profile.
        name: Option<String>,
        /// This device.
        device: Option<String>,
        /// Its name.
        device_name: Option<String>,
        /// Our devices that may write.
        devices: u64,
        /// Folder of this home.
        home: String,
        /// Whether a node answers.
        node_running: bool,
        /// Since when.
        node_started_at: Option<String>,
        /// Peers with an open connection.
        peers_connected: u64,
        /// Other known peers.
        peers_away: u64,
        /// `in-sync`, `differs` or `unknown`, over all peers and sections.
        sync_state: String,
        /// Changes that no peer is known to have.
        unsent_changes: u64,
        /// Changes known of but not held.
        missing_changes: u64,
        /// Bodies named but not held.
        missing_bodies: u64,
        /// Documents held.
        documents: u64,
        /// Bytes of the store on disk.
        store_bytes: u64,
        /// Things the user should know, one line each.
        warnings: Vec<String>,
    }
    /// Something that happened.
    Event {
        /// Rises by one; a jump means that events were missed.
        seq: u64,
        /// When.
        time: String,
        /// `post.created`, `comment.created`, `device.linked`, ...
        event: String,
        /// Account that did it.
        actor: Option<String>,
        /// Document it happened in.
        doc: Option<String>,
        /// More, by event.
        data: serde_json::Map<String, serde_json::Value>,
    }
    /// The running node.
    Node {
        /// `running` or `stopping`.
        state: String,
        /// Process.
        pid: u32,
        /// Since when.
        started_at: String,
        /// Version of the program.
        version: String,
        /// Version of the API.
        api: u32,
        /// Folder of the home.
        home: String,
        /// Path of the socket.
        socket: String,
        /// Device id, also the endpoint id.
        device: Option<String>,
        /// UDP addresses it listens on.
        addresses: Vec<String>,
        /// UDP addresses that it was asked to listen on, if any.
        listen: Vec<String>,
        /// Relay, if one is configured.
        relay: Option<String>,
        /// Whether it looks for peers in the local network.
        lan: bool,
        /// Whether a service manager runs it.
        supervised: bool,
        /// What needs attention, in words.
        warnings: Vec<String>,
        /// What was refused since the start, by reason.
        refused: BTreeMap<String, u64>,
        /// What was put off since the start, by reason; each time that it was offered.
        deferred: BTreeMap<String, u64>,
    }
    /// A peer of the node.
    Peer {
        /// Device id.
        device: String,
        /// Account, if known.
        account: Option<String>,
        /// Local name.
        name: Option<String>,
        /// `connected` or `away`.
        state: String,
        /// Address in use, or last used.
        address: Option<String>,
        /// Round trip time.
        rtt_ms: Option<u64>,
        /// Bytes received.
        in_bytes: Option<u64>,
        /// Bytes sent.
        out_bytes: Option<u64>,
        /// Bytes of attachments fetched from it since the start of the node.
        file_in_bytes: Option<u64>,
        /// Bytes of attachments given to it since then.
        file_out_bytes: Option<u64>,
        /// `in-sync`, `differs` or `unknown`.
        sync_state: String,
        /// What was refused from it since the start of the node, by reason.
        refused: BTreeMap<String, u64>,
        /// What was put off since then, by reason; each time that it was offered.
        deferred: BTreeMap<String, u64>,
        /// When it was last connected.
        seen_at: Option<String>,
        /// Whether it is forgotten with this operation.
        forgotten: Flag,
    }
}
