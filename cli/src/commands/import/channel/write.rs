//! Messages of a file, written in the order that was found.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use mosaic_engine::limits::{ATTACHMENTS_MAX, BODY_BYTES_MAX, ORIGIN_SOURCE_BYTES_MAX};
use mosaic_node::api::types::{
    AttachFile, ErrorKind, ImportMessage, MessageImport, Progress, Record, is_hidden, rfc3339,
};
use mosaic_node::clock;
use serde_json::{Value, json};

use super::super::archive::{Folder, Place as FilePlace};
use super::super::{Came, REFUSED_FILES, cut};
use super::{Contents, Format, Into, LeftOut, Message, Part, Place, TOLD_MAX, order};
use crate::context::{Context, Print};
use crate::error::Failure;

/// Messages of one call, which is one commit.
const AT_ONCE: usize = 256;
/// Bytes of the file that one call is about.
const AT_ONCE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of who wrote a message.
const AUTHOR_BYTES_MAX: usize = 255;
/// Bytes of a file's name.
const NAME_BYTES_MAX: usize = 255;
/// What a text ends with that is longer than a message may be.
const CUT: &str = "\n\n[cut here; the whole text is attached as text.txt]";

/// An import under way.
pub(super) struct Writing<F> {
    into: Into,
    format: F,
    file: File,
    folder: Folder,
    /// The folder of the file, and the name of the one in it that the exporter makes for what it
    /// downloads.
    beside: Option<(PathBuf, OsString)>,
    source: String,
    left: LeftOut,
    progress: Progress,
    found: u64,
    new: u64,
    added: u64,
    known: u64,
}

/// A message that was looked at, and its bytes.
struct Looked<'a> {
    place: &'a Place,
    id: String,
    bytes: Vec<u8>,
}

impl<F: Format> Writing<F> {
    pub(super) fn new(into: Into, format: F, file: File, folder: Folder) -> Self {
        let source = format.source().unwrap_or_else(|| match into.file.file_stem() {
            Some(stem) if into.file != Path::new("-") => stem.to_string_lossy().into_owned(),
            _ => F::NAME.to_owned(),
        });
        let mut source = source.split_whitespace().collect::<Vec<_>>().join(" ");
        cut(&mut source, ORIGIN_SOURCE_BYTES_MAX);
        // The node, which opens what is in it, may run elsewhere.
        let file_of = into.file.canonicalize().ok().filter(|_| into.file != Path::new("-"));
        let beside = file_of.as_deref().and_then(place_of_files);
        let (left, progress) = (LeftOut::default(), Progress::default());
        let (found, new, added, known) = (0, 0, 0, 0);
        Self {
            into,
            format,
            file,
            folder,
            beside,
            source,
            left,
            progress,
            found,
            new,
            added,
            known,
        }
    }

    /// Takes note of what the file holds; returns the order in which it is written.
    pub(super) fn begin(&mut self, contents: Contents) -> Vec<Place> {
        let (places, again) = order(contents.places);
        self.found = contents.found;
        self.left = contents.left;
        self.left.count("twice in the file", again);
        self.progress.op = "import".to_owned();
        self.progress.total_bytes = Some(places.iter().map(|place| place.length).sum());
        places
    }

    pub(super) async fn all(
        &mut self,
        context: &mut Context<'_>,
        mut places: &[Place],
    ) -> Result<(), Failure> {
        while !places.is_empty() {
            let mut bytes = 0;
            let fit = places.iter().take(AT_ONCE).take_while(|place| {
                bytes += place.length;
                bytes <= AT_ONCE_BYTES
            });
            let (batch, rest) = places.split_at(fit.count().max(1));
            places = rest;
            self.batch(context, batch).await?;
            self.progress.done_bytes += batch.iter().map(|place| place.length).sum::<u64>();
            context.output.progress(&self.progress);
        }
        Ok(())
    }

    async fn batch(&mut self, context: &mut Context<'_>, batch: &[Place]) -> Result<(), Failure> {
        let mut looked = Vec::with_capacity(batch.len());
        for place in batch {
            let bytes = self.read(place)?;
            match F::outline(&bytes) {
                Ok(outline) => looked.push(Looked { place, id: outline.id, bytes }),
                Err(left) => self.left.add(place.number, place.offset, left),
            }
        }
        let messages = looked.iter().map(|one| ImportMessage {
            id: one.id.clone(),
            source: self.source.clone(),
            ..ImportMessage::default()
        });
        let ask = self.request(messages.collect(), true);
        let mut known = BTreeSet::new();
        for record in context.records(&ask).await? {
            if let Record::Imported(one) = record
                && one.state == "known"
            {
                known.insert(one.origin);
            }
        }
        self.known += known.len() as u64;
        looked.retain(|one| !known.contains(&one.id));
        self.new += looked.len() as u64;
        if self.into.dry_run || looked.is_empty() {
            return Ok(());
        }
        let (mut messages, mut files) = (Vec::with_capacity(looked.len()), Vec::new());
        for Looked { place, bytes, .. } in looked {
            match self.format.message(&bytes) {
                Ok(message) => messages.push(self.import(message, &mut files)?),
                Err(left) => {
                    self.new -= 1;
                    self.left.add(place.number, place.offset, left);
                }
            }
        }
        self.write(context, messages).await?;
        for file in files {
            // What stays goes with the folder.
            let _ = std::fs::remove_file(file);
        }
        Ok(())
    }

    async fn write(
        &mut self,
        context: &mut Context<'_>,
        messages: Vec<ImportMessage>,
    ) -> Result<(), Failure> {
        let came = RefCell::new(Came::default());
        let say = |record: &Record| match record {
            Record::Imported(one) => came.borrow_mut().note(one),
            _ => None,
        };
        let request = self.request(messages, false);
        context.answer(&request, Print::Value, &say).await?;
        let came = came.into_inner();
        self.added += came.added;
        self.left.count("messages that cannot be written", came.refused);
        self.left.count(REFUSED_FILES, came.left_out);
        Ok(())
    }

    fn request(&self, messages: Vec<ImportMessage>, dry_run: bool) -> MessageImport {
        MessageImport { channel: self.into.hub.clone(), messages, dry_run }
    }

    /// The bytes of a message, as they were when it was looked at.
    fn read(&self, place: &Place) -> Result<Vec<u8>, Failure> {
        let read = || {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(place.offset))?;
            let mut bytes = Vec::new();
            file.take(place.length).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        let bytes = read().map_err(|error| {
            let message = format!("cannot read {}: {error}", self.into.file.display());
            Failure::hinted(ErrorKind::Error, message, F::HINT)
        })?;
        Ok(F::again(bytes))
    }

    /// A message as the node takes it; its files are written where the node can read them.
    fn import(
        &mut self,
        message: Message,
        written: &mut Vec<PathBuf>,
    ) -> Result<ImportMessage, Failure> {
        let Message { id, after, mut author, mut text, created_at, link, mut files, left_out } =
            message;
        for (reason, count) in left_out {
            self.left.count(reason, count);
        }
        cut(&mut author, AUTHOR_BYTES_MAX);
        if text.len() > BODY_BYTES_MAX {
            let (name, media_type) = ("text.txt".to_owned(), Some("text/plain".to_owned()));
            files.insert(0, Part::Bytes { name, media_type, bytes: text.clone().into_bytes() });
            cut(&mut text, BODY_BYTES_MAX - CUT.len());
            text.push_str(CUT);
            self.left.count("ends of long texts, which are attached", 1);
        }
        let mut attachments = Vec::new();
        for file in files {
            if attachments.len() == ATTACHMENTS_MAX {
                self.left.count("files more than a message may have", 1);
                continue;
            }
            attachments.extend(self.attach(file, written)?);
        }
        let now = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
        let dated = created_at.filter(|time| (0..=now).contains(time));
        self.left.count("dates before 1970, to come or missing", u64::from(dated.is_none()));
        let created_at = dated.and_then(|time| u64::try_from(time).ok()).map(rfc3339);
        let source = self.source.clone();
        Ok(ImportMessage { text, created_at, author, source, id, link, after, attachments })
    }

    fn attach(
        &mut self,
        file: Part,
        written: &mut Vec<PathBuf>,
    ) -> Result<Option<AttachFile>, Failure> {
        let (name, media_type, path) = match file {
            Part::Bytes { name, media_type, bytes } => {
                let path = self.folder.path().join(format!("part-{}", written.len()));
                std::fs::write(&path, bytes).map_err(|error| {
                    let message = format!("cannot write {}: {error}", path.display());
                    Failure::hinted(ErrorKind::Error, message, "mosaic status")
                })?;
                written.push(path.clone());
                (name, media_type, path)
            }
            Part::Beside { name, path } => {
                // Whoever made the export chose it, and what is imported is public.
                let beside = self.beside.as_ref();
                if beside.is_some_and(|(_, files)| !is_of_export(Path::new(&path), files)) {
                    self.left.count("files outside the folder of the export", 1);
                    return Ok(None);
                }
                match beside.and_then(|(root, _)| FilePlace::below(root, &path)) {
                    Some(FilePlace::Here(path)) => (name, None, path),
                    Some(FilePlace::TooLarge) => {
                        self.left.count("files larger than an attachment may be", 1);
                        return Ok(None);
                    }
                    Some(FilePlace::Linked) => {
                        self.left.count("files behind symbolic links", 1);
                        return Ok(None);
                    }
                    None => {
                        self.left.count("files that are not there", 1);
                        return Ok(None);
                    }
                }
            }
        };
        let Some(path) = path.to_str().map(str::to_owned) else {
            self.left.count("files that are not there", 1);
            return Ok(None);
        };
        let (name, keep_metadata) = (Some(plain(&name)), self.into.keep_metadata);
        Ok(Some(AttachFile { path, name, media_type, keep_metadata, ..AttachFile::default() }))
    }

    /// Says what became of all of it.
    pub(super) fn tell(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Self { into, source, left, found, new, added, known, .. } = self;
        if context.output.is_json() {
            let told = left.told.iter().map(|(number, offset, reason)| {
                json!({ "number": number, "offset": offset, "reason": reason })
            });
            let total = json!({
                "type": "import", "source": source, "found": found, "new": new, "added": added,
                "known": known, "skipped": left.counts, "dry_run": into.dry_run,
                "broken": told.collect::<Vec<Value>>(),
            });
            return context.output.line(total.to_string().as_bytes());
        }
        for (number, offset, reason) in &left.told {
            context
                .output
                .talk(&format!("Message {number}, at byte {offset}, is left out: {reason}"));
        }
        if left.told.len() == TOLD_MAX {
            context.output.talk("What else cannot be read is only counted.");
        }
        let (verb, count) = if into.dry_run { ("Would import", new) } else { ("Imported", added) };
        let file = into.file.display();
        let mut sentence = format!("{verb} {count} of {found} messages of {file} ({source}) ");
        sentence.push_str(&format!("into {}; {known} are here already", into.hub));
        if !left.counts.is_empty() {
            let reasons = left.counts.iter().map(|(reason, count)| format!("{count} {reason}"));
            let reasons: Vec<_> = reasons.collect();
            sentence.push_str(&format!("; left out: {}", reasons.join(", ")));
        }
        context.output.talk(&format!("{sentence}."));
        Ok(())
    }
}

/// Where the files of an export lie: its folder, and the name of theirs in it.
fn place_of_files(export: &Path) -> Option<(PathBuf, OsString)> {
    let mut files = export.file_name()?.to_owned();
    files.push("_Files");
    Some((export.parent()?.to_owned(), files))
}

/// Whether a path leads into the folder of files, and to nothing hidden there.
fn is_of_export(path: &Path, files: &OsStr) -> bool {
    let shown = |part: Component<'_>| match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => false,
    };
    let mut parts = path.components();
    parts.next() == Some(Component::Normal(files)) && parts.all(shown)
}

/// A name that can stand in a list.
fn plain(name: &str) -> String {
    let shown = |c: char| if matches!(c, '/' | '\\') || is_hidden(c) { '_' } else { c };
    let mut name: String = name.chars().map(shown).collect();
    cut(&mut name, NAME_BYTES_MAX);
    if matches!(name.as_str(), "" | "." | "..") { "file".to_owned() } else { name }
}
