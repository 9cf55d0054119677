//! Atom: <https://www.rfc-editor.org/rfc/rfc4287>.

use std::io;

use mosaic_node::api::types::Post;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Wall, body, fit_for_xml, title, web};

type Xml = Writer<Vec<u8>>;

/// Writes a wall as a feed.
pub(super) fn write(wall: &Wall) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    let feed = [("xmlns", "http://www.w3.org/2005/Atom")];
    xml.create_element("feed").with_attributes(feed).write_inner_content(|xml| {
        text(xml, "id", &wall.urn())?;
        text(xml, "title", &wall.title())?;
        if let Some(bio) = &wall.profile.bio {
            text(xml, "subtitle", bio)?;
        }
        text(xml, "updated", &wall.updated)?;
        author(xml, wall)?;
        for link in wall.profile.links.iter().filter_map(|link| web(link)) {
            let link = [("rel", "related"), ("href", link)];
            xml.create_element("link").with_attributes(link).write_empty()?;
        }
        wall.posts.iter().try_for_each(|post| entry(xml, post))
    })?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn author(xml: &mut Xml, wall: &Wall) -> io::Result<()> {
    xml.create_element("author").write_inner_content(|xml| {
        text(xml, "name", &wall.title())?;
        text(xml, "uri", &wall.urn())
    })?;
    Ok(())
}

fn entry(xml: &mut Xml, post: &Post) -> io::Result<()> {
    xml.create_element("entry").write_inner_content(|xml| {
        text(xml, "id", &format!("urn:mosaic:{}", post.id))?;
        text(xml, "title", &title(post))?;
        text(xml, "published", &post.created_at)?;
        text(xml, "updated", post.edited_at.as_ref().unwrap_or(&post.created_at))?;
        let link =
            post.origin.as_ref().and_then(|origin| web(origin.link.as_ref().unwrap_or(&origin.id)));
        if let Some(link) = link {
            let link = [("rel", "via"), ("href", link)];
            xml.create_element("link").with_attributes(link).write_empty()?;
        }
        let words = fit_for_xml(&body(post));
        let words = BytesText::new(&words);
        xml.create_element("content").with_attribute(("type", "text")).write_text_content(words)?;
        Ok(())
    })?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    let text = fit_for_xml(text);
    xml.create_element(name).write_text_content(BytesText::new(&text))?;
    Ok(())
}
