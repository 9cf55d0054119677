//! Feeds: Atom, RSS and JSON Feed.

use std::path::Path;

use feed_rs::model::{Entry, Feed, Link, Text};
use feed_rs::parser::Builder;
use mosaic_engine::hash::BlobHash;

use super::{Found, Item, Skipped, bytes_of, text};
use crate::error::Failure;

/// Bytes of a feed: it is held in memory.
const FEED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a feed.
///
/// # Errors
/// If the file cannot be read, is too large, or is no feed.
pub(super) fn read(path: &Path) -> Result<Found, Failure> {
    let bytes = bytes_of(path, FEED_BYTES_MAX)?;
    // Those of entries that have none must be the same each time.
    let parser = Builder::new()
        .id_generator(|links, title, _| {
            let link = links.first().map(|link| link.href.as_str()).unwrap_or_default();
            let title = title.as_ref().map(|title| title.content.as_str()).unwrap_or_default();
            if title.is_empty() { link.to_owned() } else { format!("{link}#{title}") }
        })
        .build();
    let feed = parser.parse(bytes.as_slice()).map_err(|error| {
        let message = format!("{}: not a feed, or a damaged one: {error}", path.display());
        Failure::usage(message, "mosaic help import feed")
    })?;
    Ok(found(feed))
}

fn found(feed: Feed) -> Found {
    let title = feed.title.as_ref().map(plain).unwrap_or_default();
    let home = feed.links.iter().find(|link| link.rel.as_deref() != Some("self"));
    let home = home.or(feed.links.first()).map(|link| link.href.clone());
    let base = home.clone().unwrap_or_else(|| feed.id.clone());
    let source = [title, base.clone()].into_iter().find(|name| !name.trim().is_empty());
    let source = one_line(&source.unwrap_or_else(|| "a feed".to_owned()));
    let mut skipped = Skipped::new();
    let files: usize = feed.entries.iter().map(files).sum();
    if files > 0 {
        skipped.insert("files elsewhere on the web", files as u64);
    }
    let items = feed.entries.into_iter().map(|entry| item(entry, &base)).collect();
    Found { source, items, skipped, ..Found::default() }
}

/// How many files an entry only points to.
fn files(entry: &Entry) -> usize {
    let file = |link: &&Link| match (link.rel.as_deref(), link.media_type.as_deref()) {
        (Some("enclosure"), _) => true,
        (None, Some(kind)) => !kind.contains("html"),
        _ => false,
    };
    let media = entry.media.iter().map(|media| media.content.len());
    media.sum::<usize>() + entry.links.iter().filter(file).count()
}

fn item(entry: Entry, base: &str) -> Item {
    let link =
        entry.links.iter().find(|link| matches!(link.rel.as_deref(), None | Some("alternate")));
    let link = link.or(entry.links.first()).map(|link| link.href.clone());
    let title = entry.title.as_ref().map(|title| one_line(&plain(title))).unwrap_or_default();
    let content = entry.content.as_ref().and_then(|content| {
        let body = content.body.as_ref()?;
        let html = matches!(content.content_type.subty().as_str(), "html" | "xhtml" | "xhtml+xml");
        let readable = html || content.content_type.ty() == "text";
        readable.then(|| if html { text::of_html(body, true) } else { text::of_plain(body) })
    });
    let content = content.filter(|content| !content.is_empty());
    let content = content.or_else(|| entry.summary.as_ref().map(plain)).unwrap_or_default();
    let text = match (title.is_empty(), content.is_empty()) {
        (true, _) => content,
        (false, true) => title,
        // A title that is only how the text begins says nothing.
        (false, false) if content.starts_with(title.trim_end_matches(['…', '.'])) => content,
        (false, false) => format!("{title}\n\n{content}"),
    };
    let created = entry.published.or(entry.updated);
    let created_at = created.map(|time| time.timestamp_millis());
    let id = match entry.id.trim() {
        "" => BlobHash::of(text.as_bytes()).to_string(),
        id if id.contains("://") || id.starts_with("urn:") || id.starts_with("tag:") => id.into(),
        // Only unique within the feed.
        id => format!("{base}#{id}"),
    };
    Item { id, link, text, created_at, ..Item::default() }
}

fn plain(of: &Text) -> String {
    let html = matches!(of.content_type.subty().as_str(), "html" | "xhtml" | "xhtml+xml");
    if html { text::of_html(&of.content, true) } else { text::of_plain(&of.content) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
