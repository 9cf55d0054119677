//! The bytes of a post.

use super::{
    BODY_SIZE_MAX, Entry, Origin, read_attachments, read_body, read_ref, write_attachments,
    write_body, write_ref,
};
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{ORIGIN_ID_BYTES_MAX, ORIGIN_SOURCE_BYTES_MAX};

/// Flags of a post, in the order of what follows them.
const QUOTES: u8 = 1;
const IMPORTED: u8 = 2;
const IS_LONG: u8 = 4;

/// Appends the fields of a post; of other entries nothing.
pub(super) fn write(w: &mut Writer, entry: &Entry) {
    let Entry::Post { body, attachments, quote, origin, text } = entry else { return };
    write_body(w, body);
    write_attachments(w, attachments);
    let flag = |set, flag| if set { flag } else { 0 };
    w.u8(flag(quote.is_some(), QUOTES)
        | flag(origin.is_some(), IMPORTED)
        | flag(text.is_some(), IS_LONG));
    if let Some(target) = quote {
        write_ref(w, target);
    }
    if let Some(origin) = origin {
        write_origin(w, origin);
    }
    if let Some(label) = text {
        w.raw(label);
    }
}

/// Reads the fields of a post.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let body = read_body(r, BODY_SIZE_MAX)?;
    let attachments = read_attachments(r)?;
    let flags = r.u8("flags of a post")?;
    if flags & !(QUOTES | IMPORTED | IS_LONG) != 0 {
        return Err(DecodeError::Unknown { reading: "flags of a post", value: flags });
    }
    let quote = if flags & QUOTES == 0 { None } else { Some(read_ref(r)?) };
    let origin = if flags & IMPORTED == 0 { None } else { Some(read_origin(r)?) };
    let text = if flags & IS_LONG == 0 { None } else { Some(r.array("label of a text")?) };
    Ok(Entry::Post { body, attachments, quote, origin, text })
}

pub(super) fn write_origin(w: &mut Writer, origin: &Origin) {
    w.text(&origin.source).text(&origin.id).text(&origin.link);
}

pub(super) fn read_origin(r: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    let source = r.text(ORIGIN_SOURCE_BYTES_MAX, "source of an imported post")?.to_owned();
    let id = r.text(ORIGIN_ID_BYTES_MAX, "id of an imported post")?.to_owned();
    let link = r.text(ORIGIN_ID_BYTES_MAX, "link of an imported post")?.to_owned();
    if id.is_empty() {
        return Err(DecodeError::Rule("an imported post without the id it had"));
    }
    Ok(Origin { source, id, link })
}
