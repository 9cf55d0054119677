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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
