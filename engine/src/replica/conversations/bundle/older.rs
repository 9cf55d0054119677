//! Files of an earlier version: without hashes, so what was altered and still decodes is not noticed.
//!
//! ```text
//! "MOD1" ‖ count ‖ genesis bytes each ‖ count ‖ (0 chains | 1 bodies ‖ bytes) each
//! ```

use bytes::Bytes;

use super::{BundleFile, read_genesis};
use crate::codec::{DecodeError, Reader};
use crate::limits::PACK_BYTES_MAX;
use crate::wire::Pack;

pub(super) const MAGIC: &[u8; 4] = b"MOD1";
const PIECES_MAX: usize = 4096;

/// Reads one behind its magic, whole or not at all.
pub(super) fn read(file: &Bytes, mut r: Reader<'_>) -> Result<BundleFile, DecodeError> {
    let genesis = read_genesis(&mut r)?;
    let parts = r.count(PIECES_MAX, "pieces")?;
    let mut found = BundleFile::new(genesis, parts);
    for _ in 0..parts {
        let kind = r.u8("piece")?;
        let bytes = file.slice_ref(r.bytes(PACK_BYTES_MAX, "piece")?);
        match kind {
            0 => found.add_chains(&bytes)?,
            1 => match Pack::decode(&bytes)? {
                Pack::Bodies(pack) => found.bodies.extend(pack),
                Pack::Changes(_) => return Err(DecodeError::Rule("changes in place of bodies")),
            },
            value => return Err(DecodeError::Unknown { reading: "piece", value }),
        }
    }
    r.end()?;
    Ok(found)
}
