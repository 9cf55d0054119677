//! The contract of the local API: every request, every record, every error code.
//!
//! An operation is `POST /v1/<noun>/<verb>` with one JSON object of arguments. The answer is
//! `application/x-ndjson`: one JSON object a line, each with `"type"` first. A refusal before
//! the first record has a fitting HTTP status and one `error` record as its body. In a stream
//! that began well an `error` record may follow at any place; **the code of the last error
//! record is the outcome of the operation**, and a stream without one succeeded.
//! `notice` and `progress` records are talk: the command line prints them on stderr.
//!
//! Ids are full lower-case hex (64 digits) in records; in requests any unique prefix of at
//! least four digits is accepted, for people also `@petname`. Times are RFC 3339 in UTC with
//! milliseconds. `*_bytes` and `*_ms` are integers. An absent field is unknown or not asked
//! for; `null` is never used.

mod argument;
mod error;
mod line;
mod openapi;
mod record;
mod request;
pub mod schema;
mod time;

pub use argument::{AttachFile, BlobRule, ImportMessage, ImportPost, ReplyRule};
pub use error::{ErrorKind, ErrorRecord, Hint};
pub use line::is_hidden;
pub use openapi::{answers, media_type, openapi};
pub use record::*;
pub use request::*;
pub use time::{parse_rfc3339, rfc3339};

/// Version of the API: the first part of each path. Fields are only added within it.
pub const API_VERSION: u32 = 1;
/// Header of every answer: the version of the program that gave it.
pub const VERSION_HEADER: &str = "mosaic-version";
/// Media type of answers.
pub const NDJSON: &str = "application/x-ndjson";
/// Bytes of one request, or of one record.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
