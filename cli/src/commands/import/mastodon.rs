//! What Mastodon lets people take with them: an outbox of ActivityStreams, and files beside it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use mosaic_node::api::types::parse_rfc3339;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::archive::Media;
use super::{File, Found, Item, text};
use crate::error::Failure;

/// How its public is called.
const PUBLIC: [&str; 3] = ["https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"];

/// What an outbox holds, as it stands: values of all of it would take several times its bytes.
struct Outbox<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Outbox<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Items)
    }
}

/// Gathers the items. Some versions of Mastodon write an empty list of that name before the full
/// one, which a derived form would refuse.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Outbox<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with orderedItems")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Option<Vec<&'de RawValue>> = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "orderedItems" {
                found.get_or_insert_default().append(&mut map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.map(Outbox).ok_or_else(|| de::Error::missing_field("orderedItems"))
    }
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
    let outbox: Outbox<'_> =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let mut found = Found { media, ..Found::default() };
    let mut notes = Vec::new();
    for item in outbox.0 {
        let Ok(activity) = serde_json::from_str::<Activity>(item.get()) else {
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
        created_at: note.published.as_deref().map(time),
        after,
        files: files.collect(),
    }
}

/// Milliseconds since 1970; what is no time is before it.
fn time(text: &str) -> i64 {
    parse_rfc3339(text).and_then(|time| i64::try_from(time).ok()).unwrap_or(-1)
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
