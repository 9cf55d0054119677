//! One page that needs nothing else: no script, no picture, nothing fetched.

use std::io;

use mosaic_node::api::types::Post;
use quick_xml::escape::escape;

use super::{Wall, body, fit_for_xml, web};

const STYLE: &str = "body{max-width:42rem;margin:2rem auto;padding:0 1rem;\
font:1rem/1.5 system-ui,sans-serif}article{border-top:1px solid #8888;padding:.5rem 0}\
p{white-space:pre-wrap;overflow-wrap:anywhere}small{opacity:.7}";

/// Writes a wall as a page.
pub(super) fn write(wall: &Wall) -> io::Result<Vec<u8>> {
    let title = safe(&wall.title());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"und\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    if let Some(bio) = &wall.profile.bio {
        page.push_str(&format!("<p>{}</p>\n", safe(bio)));
    }
    page.push_str(&format!("<small>{}</small>\n", safe(&wall.urn())));
    wall.posts.iter().for_each(|post| article(&mut page, post));
    page.push_str("</body>\n</html>\n");
    Ok(page.into_bytes())
}

fn article(page: &mut String, post: &Post) {
    let (id, time) = (safe(&post.id), safe(&post.created_at));
    page.push_str(&format!("<article id=\"{id}\">\n<p>{}</p>\n<small>", safe(&body(post))));
    page.push_str(&format!("<a href=\"#{id}\"><time datetime=\"{time}\">{time}</time></a>"));
    if let Some(edited) = &post.edited_at {
        page.push_str(&format!(", edited {}", safe(edited)));
    }
    if let Some(origin) = &post.origin {
        let (source, link) = (safe(&origin.source), origin.link.as_ref().unwrap_or(&origin.id));
        match web(link) {
            Some(link) => page.push_str(&format!(
                ", imported from <a rel=\"nofollow\" href=\"{}\">{source}</a>",
                safe(link)
            )),
            None => page.push_str(&format!(", imported from {source}")),
        }
    }
    page.push_str("</small>\n</article>\n");
}

fn safe(text: &str) -> String {
    escape(fit_for_xml(text)).into_owned()
}
