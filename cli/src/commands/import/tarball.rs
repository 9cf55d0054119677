//! `tar.gz`, with names of any length but none without a bound.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{EntryType, PaxExtensions};

/// Bytes of what stands before an entry about it, its long name for one.
const ABOUT_BYTES_MAX: u64 = 64 * 1024;

/// Looks at a file by its name and bytes; whether it is the last one wanted.
pub(super) type Look<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> io::Result<bool>;

/// Shows the files of an archive in their order, until one is the last.
///
/// # Errors
/// If the archive is damaged, or `look` fails.
pub(super) fn each(path: &Path, look: Look<'_>) -> io::Result<()> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(File::open(path)?)));
    let mut long: Option<String> = None;
    // Raw, as the library reads a long name however long.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let name = about(&mut entry)?;
                let name = name.strip_suffix(&[0]).unwrap_or(&name);
                long = Some(String::from_utf8_lossy(name).into_owned());
            }
            EntryType::XHeader => {
                let lines = about(&mut entry)?;
                for line in PaxExtensions::new(&lines) {
                    let line = line?;
                    match line.key() {
                        Ok("path") => {
                            long = Some(String::from_utf8_lossy(line.value_bytes()).into_owned());
                        }
                        // It would say where the next entry begins.
                        Ok("size") => return Err(other("a size that only pax can say")),
                        _ => {}
                    }
                }
            }
            EntryType::Regular | EntryType::Continuous => {
                let short = || String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
                let name = long.take().unwrap_or_else(short);
                if look(&name, &mut entry)? {
                    return Ok(());
                }
            }
            EntryType::XGlobalHeader | EntryType::GNULongLink => {}
            _ => long = None,
        }
    }
    Ok(())
}

fn about(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(ABOUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ABOUT_BYTES_MAX {
        return Err(other("a name longer than 65536 bytes"));
    }
    Ok(bytes)
}

fn other(what: &str) -> io::Error {
    io::Error::other(format!("an entry with {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn archive(fill: impl FnOnce(&mut tar::Builder<GzEncoder<File>>)) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap();
        let packed = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
        let mut archive = tar::Builder::new(packed);
        fill(&mut archive);
        archive.into_inner().unwrap().finish().unwrap().flush().unwrap();
        file.into_temp_path()
    }

    fn header(kind: EntryType, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_path("short").unwrap();
        header.set_cksum();
        header
    }

    fn names(path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        each(path, &mut |name, _| {
            names.push(name.to_owned());
            Ok(name == "last")
        })?;
        Ok(names)
    }

    #[test]
    fn long_names_are_read_in_both_ways() {
        let gnu = format!("gnu/{}", "x".repeat(300));
        let pax = format!("pax/{}", "é".repeat(300));
        let path = archive(|archive| {
            archive.append_data(&mut header(EntryType::Regular, 1), &gnu, &b"a"[..]).unwrap();
            archive.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
            archive.append(&header(EntryType::Regular, 1), &b"b"[..]).unwrap();
            archive.append(&header(EntryType::Directory, 0), &b""[..]).unwrap();
            archive.append(&header(EntryType::Regular, 1), &b"c"[..]).unwrap();
        });
        assert_eq!(names(&path).unwrap(), [gnu, pax, "short".to_owned()]);
    }

    #[test]
    fn names_without_a_bound_are_refused() {
        for kind in [EntryType::GNULongName, EntryType::XHeader] {
            let long = vec![b'x'; 70_000];
            let path = archive(|archive| {
                archive.append(&header(kind, long.len()), long.as_slice()).unwrap();
            });
            assert!(names(&path).unwrap_err().to_string().contains("65536"));
        }
    }
}
