//! The format file: which version wrote the store, and the store's own id. Read before anything
//! else is touched.
//!
//! ```text
//! mosaic store
//! format 5
//! id 6f0c…  (16 bytes)
//! check 91ab…  (8 bytes of BLAKE3 over the lines above)
//! ```

use std::{fs, path::Path};

use crate::hash::derive;

use super::{StoreError, files::replace_file};

/// The format that this program writes.
pub const STORE_FORMAT: u32 = 5;

const TITLE: &str = "mosaic store";

/// Random name of one store: rows and marks of another are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoreId(pub(super) [u8; 16]);

/// What the format file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) version: u32,
    pub(super) id: StoreId,
}

/// Takes a store from one format to the next, on a copy; `from` is the format it reads.
pub(super) struct Migration {
    pub(super) from: u32,
    pub(super) apply: fn(store: &Path) -> Result<(), StoreError>,
}

/// Every migration, oldest first. Formats 2 to 5 add forms of rows, and read those before them.
const MIGRATIONS: &[Migration] = &[
    Migration { from: 1, apply: |_| Ok(()) },
    Migration { from: 2, apply: |_| Ok(()) },
    Migration { from: 3, apply: |_| Ok(()) },
    Migration { from: 4, apply: |_| Ok(()) },
];

impl Format {
    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StoreError::corrupt(path, "the format file is missing"),
            _ => StoreError::io("read", path, error),
        })?;
        let damaged = || StoreError::corrupt(path, "the format file does not match its check");
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        Self::parse(text).ok_or_else(damaged)
    }

    /// Writes the file durably.
    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        replace_file(path, self.text().as_bytes())
    }

    /// Refuses formats of the future.
    pub(super) fn check_known(&self) -> Result<(), StoreError> {
        if self.version > STORE_FORMAT {
            return Err(StoreError::FormatTooNew { found: self.version, supported: STORE_FORMAT });
        }
        Ok(())
    }

    fn text(&self) -> String {
        let body = format!("{TITLE}\nformat {}\nid {}\n", self.version, hex(&self.id.0));
        let check = hex(&check_of(&body));
        format!("{body}check {check}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let (body, check) = text.split_at_checked(text.rfind("check ")?)?;
        if check.strip_prefix("check ")?.strip_suffix('\n')? != hex(&check_of(body)) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let version = lines.next()?.strip_prefix("format ")?.parse().ok()?;
        // a later format may say more, or say it otherwise: only the version is read then
        let id = lines.next().and_then(|line| line.strip_prefix("id ")).and_then(unhex);
        match id {
            Some(id) => Some(Self { version, id: StoreId(id) }),
            None if version > STORE_FORMAT => Some(Self { version, id: StoreId([0; 16]) }),
            None => None,
        }
    }
}

/// Brings a store to [`STORE_FORMAT`]; returns the format it had if that was an older one.
pub(super) fn migrate(store: &Path, format: &mut Format) -> Result<Option<u32>, StoreError> {
    migrate_with(store, format, MIGRATIONS, STORE_FORMAT)
}

fn migrate_with(
    store: &Path,
    format: &mut Format,
    migrations: &[Migration],
    target: u32,
) -> Result<Option<u32>, StoreError> {
    let before = format.version;
    while format.version < target {
        let Some(step) = migrations.iter().find(|step| step.from == format.version) else {
            let detail = format!("no way from format {} to {target}", format.version);
            return Err(StoreError::corrupt(store, detail));
        };
        (step.apply)(store)?;
        format.version += 1;
        format.write(&store.join("format"))?;
    }
    Ok((before != format.version).then_some(before))
}

fn check_of(body: &str) -> [u8; 8] {
    let mut check = [0; 8];
    let digest = derive("mosaic store format 1", &[body.as_bytes()]);
    check.copy_from_slice(digest.first_chunk::<8>().unwrap_or(&[0; 8]));
    check
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { version: 1, id: StoreId([7; 16]) };

    #[test]
    fn any_flipped_bit_of_the_format_file_is_noticed() {
        let text = FORMAT.text();
        assert_eq!(Format::parse(&text), Some(FORMAT));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(String::from_utf8(bytes).ok().and_then(|text| Format::parse(&text)).is_none());
        }
    }

    #[test]
    fn a_future_format_is_named_with_both_versions() {
        let next = Format { version: STORE_FORMAT + 1, ..FORMAT };
        assert_eq!(Format::parse(&next.text()), Some(next));
        assert!(matches!(
            next.check_known(),
            Err(StoreError::FormatTooNew { found: 6, supported: 5 })
        ));
    }

    #[test]
    fn migrations_run_in_order_and_are_recorded_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let steps = [
            Migration { from: 1, apply: |store| replace_file(&store.join("a"), b"1") },
            Migration { from: 2, apply: |store| replace_file(&store.join("b"), b"2") },
        ];
        let mut format = FORMAT;
        let before = migrate_with(dir.path(), &mut format, &steps, 3).unwrap();
        assert_eq!((before, format.version), (Some(1), 3));
        assert_eq!(Format::read(&dir.path().join("format")).unwrap(), format);
        assert!(dir.path().join("a").exists() && dir.path().join("b").exists());
        assert_eq!(migrate_with(dir.path(), &mut format, &steps, 3).unwrap(), None);
        let lost = migrate_with(dir.path(), &mut Format { version: 0, ..FORMAT }, &steps, 3);
        assert!(lost.is_err());
    }
}
