//! Arguments that are more than a text or a number.

use serde::{Deserialize, Serialize};

/// Who may reply to a wall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyRule {
    /// Everybody who is not refused.
    #[default]
    Everyone,
    /// Accounts the owner admitted.
    Admitted,
    /// Nobody but the owner.
    Nobody,
}

/// Which blobs a subscription keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobRule {
    /// All of them.
    All,
    /// None: text only, media on demand.
    None,
    /// Those up to so many bytes each.
    UpToBytes(u64),
}

/// A file to attach. The path is read by the program that answers the request, which runs as
/// the same user; the command line sends absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachFile {
    /// Absolute path of the file.
    pub path: String,
    /// Description for those who cannot see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// Label, no path; by default the last part of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Media type; by default by what it is, or guessed from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Attach an image as it is, with what it says about who took it where.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_metadata: bool,
}

/// A post that was written elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportPost {
    /// The text; if it is empty and no file is attached, it is the link or the id.
    #[serde(default)]
    pub text: String,
    /// When it was written, RFC 3339; absent or yet to come = now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Name of what it comes from, for people.
    pub source: String,
    /// What it is called there: under the same one nothing is written again.
    pub id: String,
    /// Where it was read there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// `id` of an imported post that this one goes on from; it is quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Files, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachFile>,
}

/// A message of a channel that was written elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportMessage {
    /// The text; if it is empty and no file is attached, it is the link or the id.
    #[serde(default)]
    pub text: String,
    /// When it was written, RFC 3339; absent or yet to come = now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Who wrote it there, for people.
    #[serde(default)]
    pub author: String,
    /// Name of what it comes from, for people.
    pub source: String,
    /// What it is called there: under the same one nothing is written again in this channel.
    pub id: String,
    /// Where it was read there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// `id`s of messages that it may answer; it answers the first that was imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Files, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachFile>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
