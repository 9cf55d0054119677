//! JSON Feed: <https://www.jsonfeed.org/version/1.1/>.

use std::io;

use mosaic_node::api::types::Post;
use serde_json::{Value, json};

use super::{Wall, body, title, web};

/// Writes a wall as a feed.
pub(super) fn write(wall: &Wall) -> io::Result<Vec<u8>> {
    let mut feed = json!({
        "version": "https://jsonfeed.org/version/1.1",
        "title": wall.title(),
        "authors": [{ "name": wall.title(), "url": wall.urn() }],
        "items": wall.posts.iter().map(item).collect::<Vec<_>>(),
    });
    if let (Some(bio), Some(feed)) = (&wall.profile.bio, feed.as_object_mut()) {
        feed.insert("description".to_owned(), Value::from(bio.as_str()));
    }
    let mut bytes = serde_json::to_vec_pretty(&feed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn item(post: &Post) -> Value {
    let mut item = json!({
        "id": format!("urn:mosaic:{}", post.id),
        "title": title(post),
        "content_text": body(post),
        "date_published": post.created_at,
    });
    let Some(fields) = item.as_object_mut() else { return item };
    if let Some(edited) = &post.edited_at {
        fields.insert("date_modified".to_owned(), Value::from(edited.as_str()));
    }
    let origin = post.origin.as_ref();
    if let Some(link) = origin.and_then(|origin| web(origin.link.as_ref().unwrap_or(&origin.id))) {
        fields.insert("external_url".to_owned(), Value::from(link));
    }
    item
}
