//! Files into the store, for an entry that is yet to be written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use mosaic_engine::limits::{
    ALT_BYTES_MAX, ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, MEDIA_TYPE_BYTES_MAX, PICTURE_BYTES_MAX,
};
use mosaic_engine::model::entry::Attachment;
use mosaic_engine::replica::{EngineError, Replica};
use mosaic_engine::store::StoreError;

use super::label;
use super::types::{AttachFile, ErrorKind, ErrorRecord};
use crate::media::{CopyError, Image, MAGIC_BYTES};

/// What files are for.
#[derive(Clone, Copy)]
enum Purpose {
    Attachment,
    Picture,
}

impl Purpose {
    /// Bytes that a file may have in the store.
    const fn bytes_max(self) -> u64 {
        match self {
            Self::Attachment => ATTACHMENT_BYTES_MAX,
            Self::Picture => PICTURE_BYTES_MAX,
        }
    }

    /// Shows what is taken.
    const fn hint(self) -> &'static str {
        match self {
            Self::Attachment => "mosaic help post",
            Self::Picture => "mosaic help profile set",
        }
    }
}

/// Files that were added. Dropped after the entry was written they stay; before, they go.
pub(super) struct Added<'a> {
    replica: &'a Replica,
    files: Vec<Attachment>,
}

impl<'a> Added<'a> {
    /// Looks at all files, then adds one after the other; all or none.
    pub(super) fn new(replica: &'a Replica, files: &[AttachFile]) -> Result<Self, ErrorRecord> {
        if files.len() > ATTACHMENTS_MAX {
            let message = format!("{} files, limit {ATTACHMENTS_MAX}", files.len());
            let hint = Purpose::Attachment.hint();
            return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
        }
        let opened = files.iter().map(|file| Opened::new(file, Purpose::Attachment));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        check_room(replica, &opened)?;
        let mut added = Self { replica, files: Vec::new() };
        for file in opened {
            added.files.push(file.add(replica)?);
        }
        Ok(added)
    }

    /// Adds those of the files that can be attached; says why the others cannot.
    ///
    /// # Errors
    /// If the disk is full, or the store fails.
    pub(super) fn those_that_can_be(
        replica: &'a Replica,
        files: &[AttachFile],
    ) -> Result<(Self, Vec<String>), ErrorRecord> {
        let mut left_out = Vec::new();
        // Whoever gave a file a name knows it by that.
        let said = |file: &AttachFile, error: &ErrorRecord| match &file.name {
            Some(name) => error.message.replace(&file.path, &name.escape_debug().to_string()),
            None => error.message.clone(),
        };
        let (those, more) = files.split_at(files.len().min(ATTACHMENTS_MAX));
        let mut opened = Vec::new();
        for file in those {
            match Opened::new(file, Purpose::Attachment) {
                Ok(file) => opened.push(file),
                Err(error) if error.kind() == ErrorKind::Usage => left_out.push(said(file, &error)),
                Err(error) => return Err(error),
            }
        }
        check_room(replica, &opened)?;
        let mut added = Self { replica, files: Vec::new() };
        for file in opened {
            let asked = file.asked;
            match file.add(replica) {
                Ok(file) => added.files.push(file),
                Err(error) if error.kind() == ErrorKind::Usage => {
                    left_out.push(said(asked, &error));
                }
                Err(error) => return Err(error),
            }
        }
        if !more.is_empty() {
            left_out.push(format!("{} files more than {ATTACHMENTS_MAX}", more.len()));
        }
        Ok((added, left_out))
    }

    /// Adds the picture of a profile.
    pub(super) fn picture(replica: &'a Replica, file: &AttachFile) -> Result<Self, ErrorRecord> {
        let opened = Opened::new(file, Purpose::Picture)?;
        if opened.image.and_then(Image::media_type).is_none() {
            let kind = match opened.image {
                Some(Image::Other(kind)) => kind,
                _ => "no picture",
            };
            let message = format!("{} is {kind}: a JPEG, PNG, WebP or GIF is needed", file.path);
            let hint = Purpose::Picture.hint();
            return Err(ErrorRecord::new(ErrorKind::Usage, message).with_hint(hint));
        }
        let files = vec![opened.add(replica)?];
        Ok(Self { replica, files })
    }

    /// What the entry names.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        self.files.clone()
    }
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            if let Err(error) = self.replica.release_file(&file.body) {
                tracing::warn!(%error, "an attachment that nothing names was not removed");
            }
        }
    }
}

/// Checks that the disk has room for all of them.
fn check_room(replica: &Replica, files: &[Opened<'_>]) -> Result<(), ErrorRecord> {
    let wanted: u64 = files.iter().map(|file| file.size).sum();
    let Some(room) = replica.store().room().filter(|room| *room < wanted) else { return Ok(()) };
    let message = format!("{wanted} bytes to attach, and the disk has room for {room}");
    Err(ErrorRecord::new(ErrorKind::Error, message).with_hint("mosaic store gc --dry-run"))
}

/// A file that may be attached.
struct Opened<'a> {
    asked: &'a AttachFile,
    purpose: Purpose,
    file: File,
    size: u64,
    image: Option<Image>,
    label: String,
}

impl<'a> Opened<'a> {
    fn new(asked: &'a AttachFile, purpose: Purpose) -> Result<Self, ErrorRecord> {
        let (path, shown) = (Path::new(&asked.path), &asked.path);
        let refused =
            |message: String| ErrorRecord::new(ErrorKind::Usage, message).with_hint(purpose.hint());
        let failed = |error: io::Error| refused(format!("cannot attach {shown}: {error}"));
        // a pipe would be waited for
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(refused(format!("cannot attach {shown}: not a file")));
        }
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        // a picture may be larger as long as it has its metadata
        if size > ATTACHMENT_BYTES_MAX {
            let limit = purpose.bytes_max();
            return Err(refused(format!("{shown}: {size} bytes, limit {limit}")));
        }
        if let Some((name, fault)) = asked.name.as_deref().and_then(|n| Some((n, label::fault(n)?)))
        {
            let message = format!("'{}' cannot name a file: {fault}", name.escape_debug());
            return Err(refused(message));
        }
        for (what, text, max) in [
            ("description", &asked.alt, ALT_BYTES_MAX),
            ("media type", &asked.media_type, MEDIA_TYPE_BYTES_MAX),
        ] {
            if let Some(bytes) = text.as_ref().map(String::len).filter(|bytes| *bytes > max) {
                return Err(refused(format!("{shown}: a {what} of {bytes} bytes, limit {max}")));
            }
        }
        let mut magic = Vec::with_capacity(MAGIC_BYTES);
        (&mut file).take(MAGIC_BYTES as u64).read_to_end(&mut magic).map_err(failed)?;
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let label = match &asked.name {
            Some(name) => name.clone(),
            None => label::label(&own.unwrap_or_default()),
        };
        Ok(Self { asked, purpose, file, size, image: Image::of(&magic), label })
    }

    fn add(mut self, replica: &Replica) -> Result<Attachment, ErrorRecord> {
        let (size_max, hint) = (self.purpose.bytes_max(), self.purpose.hint());
        let mut fault = None;
        let cleaned = self.image.filter(|_| !self.asked.keep_metadata);
        let file = &mut self.file;
        let added = replica.add_file_by(size_max, |out| match cleaned {
            None => {
                file.seek(SeekFrom::Start(0))?;
                io::copy(file, out).map(drop)
            }
            Some(image) => match image.copy(file, out) {
                Ok(()) => Ok(()),
                Err(CopyError::Io(error)) => Err(error),
                Err(CopyError::Malformed(why)) => {
                    fault = Some(why);
                    Err(io::ErrorKind::InvalidData.into())
                }
            },
        });
        let shown = &self.asked.path;
        let refused = |message| Err(ErrorRecord::new(ErrorKind::Usage, message));
        let body = match added {
            Ok(body) => body,
            Err(EngineError::Store(StoreError::Refused { .. })) => {
                let message = format!("{shown}: more than {size_max} bytes");
                return refused(message).map_err(|error| error.with_hint(hint));
            }
            Err(_) if fault.is_some() => {
                let kind = match self.image {
                    Some(Image::Other(kind)) => kind,
                    Some(image) => image.media_type().unwrap_or_default(),
                    None => "image",
                };
                let why = fault.unwrap_or_default();
                let message = format!(
                    "cannot remove the metadata of {shown} ({kind}): {why}; --keep-metadata attaches \
                     it as it is"
                );
                return refused(message).map_err(|error| error.with_hint(hint));
            }
            Err(error) => return Err(error.into()),
        };
        let known = self.image.and_then(Image::media_type);
        let media_type = self.asked.media_type.clone();
        let media_type = media_type.unwrap_or_else(|| known.unwrap_or(guess(&self.label)).into());
        let alt = self.asked.alt.clone().unwrap_or_default();
        Ok(Attachment { body, media_type, name: self.label, alt })
    }
}

/// The media type that a name suggests; only a claim.
fn guess(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("svg") => "image/svg+xml",
        Some("txt" | "md") => "text/plain",
        Some("pdf") => "application/pdf",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        _ => "application/octet-stream",
    }
}
