//! What Mastodon lets people take with them: an outbox of ActivityStreams, and files beside it.

use std::collections::BTreeSet;
use std::path::Path;

use mosaic_node::api::types::{parse_rfc3339, rfc3339};
use serde::Deserialize;
use serde_json::Value;

use super::archive::Media;
use super::{File, Found, Item, text};
use crate::error::Failure;

/// How its public is called.
const PUBLIC: [&str; 3] = ["https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"];

#[derive(Deserialize)]
struct Outbox {
    #[serde(rename = "orderedItems")]
    items: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    actor: Value,
    #[serde(default)]
    published: Option<String>,
    #[serde(default)]
    to: Value,
    #[serde(default)]
    cc: Value,
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    published: Option<String>,
    #[serde(default)]
    in_reply_to: Value,
    #[serde(default)]
    attachment: Value,
    #[serde(default)]
    one_of: Vec<Choice>,
    #[serde(default)]
    any_of: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    url: String,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// Reads an outbox, or an archive that has one.
///
/// # Errors
/// If it cannot be read, is too large, or is neither.
pub(super) fn read(path: &Path, replies: bool) -> Result<Found, Failure> {
    let (bytes, media) = Media::open(path)?;
    let wrong = |what: String| {
        let message =
            format!("{}: not an outbox of Mastodon, or a damaged one: {what}", path.display());
        Failure::usage(message, "mosaic help import mastodon")
    };
    let outbox: Outbox =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let mut found = Found { media, ..Found::default() };
    let mut notes = Vec::new();
    for item in outbox.items {
        let Ok(activity) = serde_json::from_value::<Activity>(item) else {
            *found.skipped.entry("not understood").or_default() += 1;
            continue;
        };
        if found.source.is_empty()
            && let Some(actor) = activity.actor.as_str()
        {
            found.source = account(actor);
        }
        match note(activity) {
            Ok(note) => notes.push(note),
            Err(reason) => *found.skipped.entry(reason).or_default() += 1,
        }
    }
    if found.source.is_empty() {
        found.source = "Mastodon".to_owned();
    }
    let own: BTreeSet<String> = notes.iter().map(|note| note.id.clone()).collect();
    for note in notes {
        let after = note.in_reply_to.as_str().map(str::to_owned);
        let thread = after.as_ref().is_some_and(|after| own.contains(after));
        if !thread && !replies && !note.in_reply_to.is_null() {
            *found.skipped.entry("answers to others").or_default() += 1;
            continue;
        }
        found.items.push(item(note, after.filter(|_| thread)));
    }
    Ok(found)
}

fn note(activity: Activity) -> Result<Note, &'static str> {
    match activity.kind.as_str() {
        "Create" => {}
        "Announce" => return Err("boosts"),
        _ => return Err("not posts"),
    }
    let public = [&activity.to, &activity.cc].into_iter().any(|to| match to {
        Value::String(one) => PUBLIC.contains(&one.as_str()),
        Value::Array(many) => many.iter().filter_map(Value::as_str).any(|to| PUBLIC.contains(&to)),
        _ => false,
    });
    if !public {
        return Err("for followers or some people only");
    }
    if activity.object.is_string() {
        return Err("without their text in the file");
    }
    let mut note: Note = serde_json::from_value(activity.object).map_err(|_| "not understood")?;
    if !matches!(note.kind.as_str(), "Note" | "Question" | "Article") {
        return Err("not posts");
    }
    note.published = note.published.or(activity.published);
    Ok(note)
}

fn item(note: Note, after: Option<String>) -> Item {
    let mut words = Vec::new();
    if let Some(warning) = note.summary.filter(|summary| !summary.trim().is_empty()) {
        words.push(format!("[{}]", warning.trim()));
    }
    words.push(text::of_html(&note.content.unwrap_or_default(), false));
    let choices: Vec<_> =
        note.one_of.iter().chain(&note.any_of).map(|choice| format!("- {}", choice.name)).collect();
    words.push(choices.join("\n"));
    words.retain(|part| !part.is_empty());
    let documents = match note.attachment {
        Value::Array(many) => many,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let files = documents.into_iter().filter_map(|document| {
        let document: Document = serde_json::from_value(document).ok()?;
        let alt = document.name.filter(|alt| !alt.trim().is_empty());
        Some(File { path: document.url, media_type: document.media_type, alt })
    });
    Item {
        link: note.url.as_str().map(str::to_owned),
        id: note.id,
        text: words.join("\n\n"),
        created_at: note.published.as_deref().and_then(parse_rfc3339).map(rfc3339),
        after,
        files: files.collect(),
    }
}

/// `https://host/users/name` as people write it.
fn account(actor: &str) -> String {
    let rest = actor.split_once("://").map_or(actor, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match rest.rsplit('/').next().filter(|name| *name != host && !name.is_empty()) {
        Some(name) => format!("Mastodon @{}@{host}", name.trim_start_matches('@')),
        None => format!("Mastodon {rest}"),
    }
}
