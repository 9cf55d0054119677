//! The end of a chain, for who has not got the rest of it yet.

use bytes::Bytes;

use super::range::{read_part, write_part};
use super::{HeadBytes, PATH_BYTES_MAX, Part};
use crate::codec::{DecodeError, Reader, Writer};
use crate::description::Description;
use crate::hash::{ChangeHash, Link};

/// The last changes of a chain with everything that verifies them; nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Encoded certificate path of the head's device.
    pub path: Bytes,
    /// The document.
    pub description: Description,
    /// The encoded head, over the last change of the part.
    pub head: HeadBytes,
    /// Link and Automerge's name of the change before the part; none if it begins with the first.
    pub previous: Option<(Link, ChangeHash)>,
    /// Changes up to the head.
    pub part: Part,
}

/// The newest of a space of which much is asked for, before all the rest of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newest {
    /// Ends of chains; at most [`super::EXCERPTS_MAX`].
    pub excerpts: Vec<Excerpt>,
    /// Bodies that they name.
    pub bodies: Vec<Bytes>,
}

impl Excerpt {
    /// Bytes it takes in a message.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new();
        self.write(&mut w);
        w.len()
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.path).raw(&self.description.encode()).raw(&self.head);
        write_part(w, &self.part);
        if let Some((link, hash)) = &self.previous {
            w.raw(link.as_bytes()).raw(hash.as_bytes());
        }
    }

    pub(super) fn read(frame: &Bytes, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let path = frame.slice_ref(r.bytes(PATH_BYTES_MAX, "certificate path")?);
        let description = Description::decode(r)?;
        let head = r.array("head")?;
        let part = read_part(frame, r)?;
        let previous = match part.first_n {
            1 => None,
            _ => {
                let link = Link::from_bytes(r.array("link")?);
                Some((link, ChangeHash::from_bytes(r.array("change before")?)))
            }
        };
        Ok(Self { path, description, head, previous, part })
    }
}
