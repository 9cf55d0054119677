//! Records about the store and its documents.

use serde::{Deserialize, Serialize};

use super::{Flag, Omit};
use crate::api::types::schema::{self, Field, Part, Shape};

records! {
    /// Size of the store.
    StoreSize {
        /// Documents held.
        documents: u64,
        /// Changes held.
        changes: u64,
        /// Bodies and attachments held.
        blobs: u64,
        /// Their bytes, whether they are rows of the database or files beside it.
        blob_bytes: u64,
        /// Bytes of the write-once table.
        truth_bytes: u64,
        /// Bytes of the rebuildable rows.
        rows_bytes: u64,
        /// Bytes of the small mutable state.
        meta_bytes: u64,
        /// Commits since it was opened.
        commits: u64,
        /// fsyncs since it was opened.
        fsyncs: u64,
        /// Format version.
        format: u32,
    }
    /// One fault found.
    Damage {
        /// `change`, `body`, `blob`, `head`, `row`, `database`, ...
        what: String,
        /// Its id, hash or key.
        id: String,
        /// What is wrong.
        reason: String,
    }
    /// Outcome of a check.
    Verify {
        /// Whether nothing is damaged.
        ok: bool,
        /// Heads whose signature was checked.
        heads: u64,
        /// Changes hashed and linked.
        changes: u64,
        /// Bodies and attachments hashed.
        blobs: u64,
        /// Rows compared.
        rows: u64,
        /// Bytes read.
        read_bytes: u64,
        /// Faults.
        damaged: u64,
        /// Duration.
        elapsed_ms: u64,
    }
    /// Outcome of building the rows again.
    Rebuild {
        /// Rows dropped.
        rows_before: u64,
        /// Rows built.
        rows_after: u64,
        /// Whether they are equal, byte for byte.
        equal: bool,
        /// Duration.
        elapsed_ms: u64,
    }
    /// One thing that takes room and serves nothing.
    Garbage {
        /// `file` or `row` that nothing names, `partial` file that nothing wants, `damaged` remains.
        what: String,
        /// Hash of the blob it is, or is a part of.
        id: String,
        /// Bytes that it takes: of files as the disk counts them, of rows their keys and values.
        freed_bytes: u64,
    }
    /// Outcome of giving room back.
    Gc {
        /// Things removed, or that would be.
        items: u64,
        /// Their bytes.
        freed_bytes: u64,
        /// Whether nothing was removed.
        dry_run: bool,
        /// Duration.
        elapsed_ms: u64,
    }
    /// One key of the store.
    Row {
        /// `truth`, `rows` or `meta`.
        table: String,
        /// Key as hex.
        key: String,
        /// BLAKE3 of the value.
        hash: String,
        /// Bytes of the value.
        size_bytes: u64,
        /// Value as hex, if asked for.
        value: Option<String>,
    }
    /// A document.
    Document {
        /// Document id.
        id: String,
        /// Account in whose space it stands.
        space: String,
        /// Account that writes it.
        account: String,
        /// `account`, `profile`, `wall`, `guest` or `private`.
        kind: String,
        /// Page of a row of pages.
        page: u64,
        /// Chains known.
        chains: u64,
        /// Changes known.
        known_changes: u64,
        /// Changes held.
        held_changes: u64,
        /// Bytes of the held changes.
        held_bytes: u64,
    }
    /// A known head.
    Head {
        /// Document id.
        doc: String,
        /// `account`, `profile`, `wall`, `guest` or `private`.
        kind: String,
        /// Account that writes it.
        account: String,
        /// Page of a row of pages.
        page: u64,
        /// Device whose chain it is.
        device: String,
        /// Its writing life, 32 hex digits.
        incarnation: String,
        /// Number of changes.
        n: u64,
        /// Running hash after them.
        link: String,
    }
    /// The pack of a full page: the same bytes on every replica that holds the page.
    Pack {
        /// Document id.
        doc: String,
        /// `account`, `wall` or `guest`.
        kind: String,
        /// Page of a row of pages.
        page: u64,
        /// BLAKE3 of the pack, by which any iroh-blobs client may fetch it.
        hash: String,
        /// Its bytes.
        size_bytes: u64,
        /// Chains in it.
        chains: u64,
        /// Changes in it.
        changes: u64,
    }
    /// A stored change.
    Change {
        /// BLAKE3 of the stored bytes.
        id: String,
        /// Document id.
        doc: String,
        /// Device whose chain it is in.
        device: String,
        /// Its writing life, 32 hex digits.
        incarnation: String,
        /// Number in the chain, from 1.
        n: u64,
        /// Automerge's SHA-256 name of it; absent if it is sealed and we have no key.
        hash: Option<String>,
        /// Automerge names of what it builds on.
        deps: Option<Vec<String>>,
        /// Bytes stored.
        size_bytes: u64,
        /// `ok`, `deferred`, `invalid`, `void`.
        standing: String,
        /// The stored bytes as hex, if asked for.
        raw: Option<String>,
    }
    /// A document's values, as a stock Automerge shows them.
    DocumentValue {
        /// Document id.
        doc: String,
        /// What kind of document it is.
        kind: String,
        /// Automerge heads, in order.
        heads: Vec<String>,
        /// Root map; bytes are `{"bytes":"hex"}`.
        value: serde_json::Map<String, serde_json::Value>,
    }
    /// A text that was edited.
    TextEdited {
        /// Document id.
        doc: String,
        /// The last change that it took.
        id: String,
        /// Characters that were inserted.
        inserted: u64,
        /// Characters that were deleted.
        deleted: u64,
        /// Automerge heads from now on, in order.
        heads: Vec<String>,
    }
    /// What one change did.
    History {
        /// Document id.
        doc: String,
        /// The change.
        id: String,
        /// Device that wrote it.
        device: String,
        /// Its writing life, 32 hex digits.
        incarnation: String,
        /// Number in the chain.
        n: u64,
        /// When it claims to be made; map changes carry no time.
        created_at: Option<String>,
        /// `post`, `reply`, `edit`, `put`, `delete`, ...
        action: String,
        /// What it acts on: an entry id, a device id, a key.
        target: Option<String>,
        /// `ok`, `deferred`, `invalid`, `void`.
        standing: String,
    }
    /// A backup that was written.
    Backup {
        /// The file.
        path: String,
        /// The last commit that is in it.
        commit: u64,
        /// Its size.
        size_bytes: u64,
        /// Whether the keys are in it.
        keys: bool,
    }
    /// A backup that was put back.
    Restored {
        /// Whose home it is.
        account: String,
        /// Its device.
        device: String,
        /// When the backup was made.
        created_at: String,
        /// The last commit that was in it.
        commit: u64,
        /// Whether the keys were in it.
        keys: bool,
        /// Changes that were verified.
        changes: u64,
        /// Bodies that were verified.
        blobs: u64,
    }
    /// An archive of an account that was written.
    AccountExported {
        /// The file.
        path: String,
        /// The last commit that is in it.
        commit: u64,
        /// Its size.
        size_bytes: u64,
        /// Whether the keys are in it.
        keys: bool,
        /// Whether it is sealed.
        sealed: bool,
        /// Documents in it.
        documents: u64,
        /// Texts and attachments in it.
        blobs: u64,
        /// Texts and attachments that it names, and that were not here.
        missing: u64,
    }
    /// An account that was taken in from an archive, or was only verified.
    AccountImported {
        /// Whose it is.
        account: String,
        /// The device of this home.
        device: String,
        /// When the archive was made.
        created_at: String,
        /// The last commit that was in it.
        commit: u64,
        /// Whether the keys were in it.
        keys: bool,
        /// Documents that were verified.
        documents: u64,
        /// Changes that were verified.
        changes: u64,
        /// Texts and attachments that were verified.
        blobs: u64,
        /// Texts and attachments that are named, and were not in it.
        missing: u64,
        /// Chains of which not everything is kept here: of revoked devices, of blocked accounts, or in
        /// conversations that others began.
        left_out: u64,
        /// Whether nothing was kept.
        dry_run: bool,
    }
    /// The format of a store, and what it becomes when it is opened.
    Migration {
        /// The format that it has.
        from: u32,
        /// The format that this program writes.
        to: u32,
        /// Whether it was changed now.
        migrated: Flag,
    }
    /// Versions of program, API and store.
    VersionInfo {
        /// Version of the program.
        version: String,
        /// Version of the API.
        api: u32,
        /// Format version of the store.
        store_format: u32,
        /// Commit that the program was built from, if its build was told.
        commit: Option<String>,
    }
    /// What a benchmark measured.
    Bench {
        /// `merge`, `sync` or `live`.
        suite: String,
        /// What was done.
        case: String,
        /// How often.
        runs: u64,
        /// Changes in one run.
        changes: u64,
        /// Half of the runs took no longer.
        median_us: u64,
        /// 95 % of the runs took no longer.
        p95_us: u64,
        /// Bytes on the wire of one run, if there is one.
        wire_bytes: Option<u64>,
        /// Where the data came from.
        seed: u64,
    }
}
