//! Every limit of the protocol, on one page. Changing one changes what is valid.

/// Bytes of one stored change: an entry fits a QUIC flight, a bomb does not.
pub const CHANGE_BYTES_MAX: usize = 64 * 1024;
/// Operations in one map change.
pub const CHANGE_OPERATIONS_MAX: usize = 4096;
/// Dependencies of one map change.
pub const CHANGE_DEPENDENCIES_MAX: usize = 64;
/// Bytes of one key of a map document.
pub const MAP_KEY_BYTES_MAX: usize = 256;
/// Bytes of one entry value: header fields only, bodies are detached.
pub const ENTRY_BYTES_MAX: usize = 32 * 1024;
/// Entries of one chain in one page: a page opens in a few milliseconds.
pub const PAGE_ENTRIES_MAX: u64 = 1024;
/// Modifications (edits, tombstones, hides, cuts) of one chain in one page.
pub const PAGE_MODIFICATIONS_MAX: u64 = 1024;
/// Entry value bytes of one chain in one page: what may wait for one signed link.
pub const PAGE_BYTES_MAX: u64 = 256 * 1024;
/// Changes of one chain in one map document.
pub const MAP_CHANGES_MAX: u64 = 2048;
/// Stored bytes of one chain in one map document.
pub const MAP_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a text body, salt not counted.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the text of a draft: it is the value of a map, and with its seal it fits a change.
pub const DRAFT_BYTES_MAX: usize = 48 * 1024;
/// Bytes of a note about somebody whom one blocks.
pub const BLOCK_NOTE_BYTES_MAX: usize = 1024;
/// Bytes of the picture of a profile, salt not counted.
pub const PICTURE_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a body's salt: a deleted "yes" cannot be guessed from its hash.
pub const BODY_SALT_BYTES: usize = 16;
/// Attachments of one entry.
pub const ATTACHMENTS_MAX: usize = 16;
/// Bytes of one attachment, salt not counted.
pub const ATTACHMENT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of the description of an attachment.
pub const ALT_BYTES_MAX: usize = 2000;
/// Bytes of the media type of an attachment.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Bytes of one pack.
pub const PACK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one control message.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Certificates between genesis and a device.
pub const CERTIFICATES_MAX: usize = 8;
/// Times that an account's recovery words can be replaced: each makes every certificate by
/// words longer, and a path of the longest kind still fits a control message's slot.
pub const ROTATIONS_MAX: usize = 4;
/// Devices recovered by words that a rotation of these words names.
pub const ROTATION_DEVICES_MAX: usize = 64;
/// Devices that an account's log ever adds, revoked ones included: who would add more
/// makes every fold dear.
pub const DEVICES_EVER_MAX: usize = 256;
/// Devices of one account.
pub const DEVICES_MAX: usize = 64;
/// Bytes of a device name.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;
/// Bytes of an emoji of a reaction: a family with skin tones fits.
pub const EMOJI_BYTES_MAX: usize = 64;
/// Bytes of the name of what a post was imported from.
pub const ORIGIN_SOURCE_BYTES_MAX: usize = 255;
/// Bytes of the id, and of the link, that an imported post had where it comes from.
pub const ORIGIN_ID_BYTES_MAX: usize = 2000;
/// Tips that the first entry of a page names.
pub const PAGE_TIPS_MAX: usize = 64;
/// Items of one cut entry: 256 times 115 bytes stay under the entry limit.
pub const CUT_ITEMS_MAX: usize = 256;
/// Bytes of a document label.
pub const LABEL_BYTES_MAX: usize = 64;
/// Pages of one row of pages.
pub const PAGE_NUMBER_MAX: u64 = 1 << 32;
/// A known head this far beyond what is held stays known, nothing more is fetched for it.
pub const HEAD_AHEAD_MAX: u64 = PAGE_ENTRIES_MAX + PAGE_MODIFICATIONS_MAX;
/// Bytes up to which a blob lives in the database instead of a file.
pub const BLOB_INLINE_BYTES_MAX: usize = 16 * 1024;
/// Predecessors of all operations of one map change: four conflicting values a key.
pub const CHANGE_PREDECESSORS_MAX: usize = 4 * CHANGE_OPERATIONS_MAX;
/// Highest operation counter: half of what Automerge can count, so that no legal change
/// brings a document near the end.
pub const OPERATION_COUNTER_MAX: u64 = 1 << 31;
/// Operations in one text change: as many as in a map change; a longer text is several changes.
pub const TEXT_OPERATIONS_MAX: usize = CHANGE_OPERATIONS_MAX;
/// Changes of one chain in one text document: what a head may count to on the wire.
pub const TEXT_CHANGES_MAX: u64 = MAP_CHANGES_MAX;
/// Stored bytes of one chain in one text document: what may wait for one signed link.
pub const TEXT_BYTES_MAX: u64 = MAP_BYTES_MAX;
/// Highest operation counter of a text document, and so the characters ever written one
/// after the other: each of them, deleted or not, costs every later change a little. A book
/// fits; what is typed at the same time on several devices counts side by side.
pub const TEXT_COUNTER_MAX: u64 = 1 << 20;
/// Stored bytes of all chains of one text document that are kept: what loading it may take.
pub const TEXT_DOCUMENT_BYTES_MAX: u64 = 16 * TEXT_BYTES_MAX;
/// Latest time that a text change can claim, in milliseconds since 1970: what a program that
/// counts in doubles can still tell.
pub const TEXT_TIME_MS_MAX: u64 = 1 << 53;
/// Bytes of a text that is written in one go: with what says where each character stands it
/// fits one chain.
pub const LONG_TEXT_BYTES_MAX: usize = 512 * 1024;
/// Bytes of the label of a text document; the device that creates it chooses them at random.
pub const TEXT_LABEL_BYTES: usize = 16;
/// Versions of other hub logs that one hub operation names: who sees more names the rest by
/// his next one.
pub const HUB_SEEN_MAX: usize = 64;
/// Owners of a hub: more than half of them sign a change of owners, each in a log of his own.
pub const HUB_OWNERS_MAX: usize = 64;
/// Joins that one operation of a hub vouches for.
pub const VOUCHED_JOINS_MAX: usize = 256;
/// Highest rank of a role; owners stand above it.
pub const RANK_MAX: u16 = 1000;
/// Bytes of the name of a role, a channel, a category or a hub.
pub const HUB_NAME_BYTES_MAX: usize = 64;
/// Bytes of the topic of a channel, and of what a hub says about itself.
pub const TOPIC_BYTES_MAX: usize = 1024;
/// Bytes of the reason of a hub operation.
pub const HUB_REASON_BYTES_MAX: usize = 256;
/// Bytes of the sealed texts of a hub operation: those of a channel with a reason, padded.
pub const HUB_TEXTS_BYTES_MAX: usize = 1536;
/// Devices that one report to moderators of a hub is sealed to.
pub const HUB_REPORT_DEVICES_MAX: usize = 64;
/// Bytes of the reason of a report.
pub const HUB_REPORT_REASON_BYTES_MAX: usize = 1024;
/// Bytes of a message's text, salt not counted, up to which a report carries it along.
pub const HUB_REPORT_TEXT_BYTES_MAX: usize = 2048;
/// Bytes of what a report says, sealed.
pub const HUB_REPORT_BYTES_MAX: usize = 4096;
/// Accounts that one invitation admits, if it is not open to any number: each join is held
/// against all others of its invitation.
pub const INVITE_USES_MAX: u32 = 1000;
/// Pins of one channel that are shown.
pub const PINS_MAX: usize = 50;
/// Members and roles that one message of a private channel mentions.
pub const PRIVATE_MENTIONS_MAX: usize = 16;
/// Roles whose holders read a private channel.
pub const CHANNEL_READER_ROLES_MAX: usize = 16;
/// Devices of the readers of a private channel.
pub const CHANNEL_DEVICES_MAX: usize = 1024;
/// Members and roles that one message mentions.
pub const MENTIONS_MAX: usize = 32;
/// Options of a poll.
pub const POLL_OPTIONS_MAX: usize = 32;
/// Bytes of one option.
pub const POLL_OPTION_BYTES_MAX: usize = 100;
/// How long a key of a conversation is sealed with: a week, in milliseconds.
pub const EPOCH_AGE_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// How long a key of texts that expire is sealed with: a day, in milliseconds.
pub const EXPIRING_EPOCH_AGE_MS_MAX: u64 = 24 * 3_600_000;
/// How long a device is sealed to with one prekey: 30 days, in milliseconds.
pub const PREKEY_AGE_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// How long the half of a prekey is kept after another took its place: 60 days, in milliseconds.
pub const PREKEY_KEPT_MS: u64 = 60 * 24 * 3_600_000;
/// Prekeys of one device that are told apart: its latest.
pub const PREKEYS_KNOWN_MAX: usize = 64;
/// Longest time after which texts of a conversation are dropped: ten years, in milliseconds.
pub const EXPIRY_MS_MAX: u64 = 3650 * 24 * 3_600_000;
/// Texts of conversations that are dropped in one commit.
pub const EXPIRED_AT_ONCE_MAX: usize = 1024;
/// Entries that are sealed with one key of a conversation.
pub const EPOCH_ENTRIES_MAX: u64 = 10_000;
/// Members of one conversation: each of their devices gets each new key.
pub const CONVERSATION_MEMBERS_MAX: usize = 64;
/// Bytes of a text that is sealed: padded and with its seal it is a text body.
pub const SEALED_TEXT_BYTES_MAX: usize = 252 * 1024 - 1;
/// Members of one audience: each of their devices gets each new key, in 112 bytes.
pub const AUDIENCE_MEMBERS_MAX: usize = 512;
/// Audiences of one author that are kept by somebody else.
pub const AUDIENCES_MAX: usize = 64;
/// Bytes of the name of a list of readers.
pub const AUDIENCE_NAME_BYTES_MAX: usize = 64;
/// Times that a member of a conversation comes and goes.
pub const MEMBERSHIP_ROUNDS_MAX: u64 = 1 << 32;
/// Messages, each of another chain, up to which one entry of a conversation says that it was read.
pub const READ_TARGETS_MAX: usize = 16;
/// Bodies of one sealed entry: the text.
pub const SEALED_BODIES_MAX: usize = 1;
/// Bytes of what one sealed entry says, sealed; its text is a body of its own.
pub const SEALED_BYTES_MAX: usize = 1024;
