//! What was written elsewhere into a channel of a hub.
//!
//! The file is read twice: once to see what is in it and what answers what, and once to write it, so
//! that what is answered is there before its answers, in whatever order the file has them. Of each
//! message only its place is remembered in between.

mod write;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mosaic_node::api::types::{ErrorKind, MessageImport, Progress};

use super::Skipped;
use super::archive::Folder;
use crate::context::Context;
use crate::error::Failure;
use write::Writing;

/// Messages that one may answer, of which the nearest that is there counts.
pub(super) const PARENTS_MAX: usize = 8;
/// Messages that are told by number when they cannot be read.
const TOLD_MAX: usize = 100;
const BROKEN: &str = "that cannot be read";
const TELL_EVERY: Duration = Duration::from_millis(200);

/// A message as it stands in the file.
pub(super) struct Raw<'a> {
    /// Which one it is, from 1.
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) bytes: Result<&'a [u8], Left>,
}

/// Whoever is given what stands in the file.
pub(super) type Take<'a> = &'a mut dyn FnMut(Raw<'_>) -> io::Result<()>;

/// Why a message is left out.
#[derive(Debug)]
pub(super) enum Left {
    /// It cannot be read.
    Broken(String),
    /// It is of a kind that is not imported.
    Kind(&'static str),
}

/// What is needed to put messages in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outline {
    /// What it is called.
    pub(super) id: String,
    /// What it may answer, the nearest first.
    pub(super) after: Vec<String>,
}

/// A message of another place.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) after: Vec<String>,
    pub(super) author: String,
    pub(super) text: String,
    /// Milliseconds since 1970.
    pub(super) created_at: Option<i64>,
    pub(super) link: Option<String>,
    pub(super) files: Vec<Part>,
    pub(super) left_out: Skipped,
}

/// A file of it.
#[derive(Debug)]
pub(super) enum Part {
    /// In the message.
    Bytes { name: String, media_type: Option<String>, bytes: Vec<u8> },
    /// Beside the file that is imported.
    Beside { name: String, path: String },
}

/// How a file holds messages.
pub(super) trait Format: Send + Sync + 'static {
    /// How it is called on the command line.
    const NAME: &'static str;

    /// What helps with it.
    const HINT: &'static str;

    /// What is said of a file of another format.
    const WRONG: &'static str;

    /// Calls `take` for each message in the file. False if it is of another format.
    fn each(&mut self, from: &mut dyn BufRead, take: Take<'_>) -> io::Result<bool>;

    /// Looks at a message; the bytes are those that `each` gave.
    fn outline(bytes: &[u8]) -> Result<Outline, Left>;

    /// Makes the bytes that `each` gave of those in the file.
    fn again(bytes: Vec<u8>) -> Vec<u8>;

    /// Reads a message; the bytes are those that `each` gave.
    fn message(&self, bytes: &[u8]) -> Result<Message, Left>;

    /// The name of what it all comes from, if the file says.
    fn source(&self) -> Option<String>;
}

/// What to import, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Into {
    /// The file; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The channel
    #[arg(long, value_name = "HUB/CHANNEL")]
    hub: String,
    /// Only say what would be imported
    #[arg(long)]
    dry_run: bool,
    /// Attach images as they are, with their metadata
    #[arg(long)]
    keep_metadata: bool,
}

/// Where a message stands in the file.
struct Place {
    number: u64,
    offset: u64,
    length: u64,
    id: u64,
    parents: Box<[u64]>,
}

/// What stands in a file.
#[derive(Default)]
struct Contents {
    places: Vec<Place>,
    /// All messages, those too that are left out.
    found: u64,
    left: LeftOut,
}

/// What is left out and why.
#[derive(Default)]
struct LeftOut {
    counts: Skipped,
    /// Number, offset and reason.
    told: Vec<(u64, u64, String)>,
}

impl LeftOut {
    fn add(&mut self, number: u64, offset: u64, left: Left) {
        let reason = match left {
            Left::Kind(reason) => reason,
            Left::Broken(why) => {
                if self.told.len() < TOLD_MAX {
                    self.told.push((number, offset, why));
                }
                BROKEN
            }
        };
        self.count(reason, 1);
    }

    fn count(&mut self, reason: &'static str, number: u64) {
        if number > 0 {
            *self.counts.entry(reason).or_default() += number;
        }
    }
}

impl Into {
    pub(super) async fn run<F: Format>(
        self,
        context: &mut Context<'_>,
        mut format: F,
    ) -> Result<(), Failure> {
        // The channel is looked at first: a large file takes its time.
        let ask = MessageImport { channel: self.hub.clone(), messages: Vec::new(), dry_run: true };
        context.records(&ask).await?;
        let (state, path) = (context.paths.state.clone(), self.file.clone());
        let done = Arc::new(AtomicU64::new(0));
        let counted = done.clone();
        let work = move || {
            let folder = Folder::new(&state)?;
            let file = open::<F>(&path, &folder)?;
            let contents = contents(&mut format, &file, &path, &counted)?;
            Ok((folder, file, format, contents))
        };
        let tell = || {
            let (op, done_bytes) = ("read".to_owned(), done.load(Ordering::Relaxed));
            context.output.progress(&Progress { op, done_bytes, ..Progress::default() });
        };
        let (folder, file, format, contents) = crate::apart_telling(work, TELL_EVERY, tell).await?;
        let mut writing = Writing::new(self, format, file, folder);
        let places = writing.begin(contents);
        writing.all(context, &places).await?;
        writing.tell(context)
    }
}

/// Opens a file in which one can go back; what comes through a pipe is put into one.
fn open<F: Format>(path: &Path, folder: &Folder) -> Result<File, Failure> {
    let cannot = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Error,
        };
        let message = format!("cannot read {}: {error}", path.display());
        Failure::hinted(kind, message, F::HINT)
    };
    // A pipe that is opened twice loses what was in it.
    let stdin = path == Path::new("-");
    if !stdin && std::fs::metadata(path).map_err(cannot)?.is_file() {
        return File::open(path).map_err(cannot);
    }
    let place = folder.path().join("input");
    let mut copy =
        File::options().read(true).write(true).create_new(true).open(place).map_err(cannot)?;
    match stdin {
        true => io::copy(&mut io::stdin().lock(), &mut copy),
        false => File::open(path).and_then(|mut from| io::copy(&mut from, &mut copy)),
    }
    .map_err(cannot)?;
    Ok(copy)
}

/// Counts what is read of a file.
struct Counted<'a> {
    from: &'a File,
    done: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Looks at all messages of a file.
fn contents<F: Format>(
    format: &mut F,
    mut file: &File,
    path: &Path,
    done: &AtomicU64,
) -> Result<Contents, Failure> {
    let shown = path.display();
    let cannot = |error: io::Error| {
        let message = format!("cannot read {shown}: {error}");
        Failure::hinted(ErrorKind::Error, message, F::HINT)
    };
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    let hash = RandomState::new();
    let mut contents = Contents::default();
    let mut from = BufReader::with_capacity(256 * 1024, Counted { from: file, done });
    let outlines = F::outline;
    let mut take = |raw: Raw<'_>| {
        let Raw { number, offset, length, bytes } = raw;
        contents.found += 1;
        match bytes.and_then(outlines) {
            Ok(Outline { id, after }) => {
                let parents = after.iter().map(|id| hash.hash_one(id)).collect();
                let id = hash.hash_one(&id);
                contents.places.push(Place { number, offset, length, id, parents });
            }
            Err(left) => contents.left.add(number, offset, left),
        }
        Ok(())
    };
    let fits = format.each(&mut from, &mut take).map_err(cannot)?;
    match fits {
        true => Ok(contents),
        false => {
            let message = format!("{shown}: {}", F::WRONG);
            Err(Failure::usage(message, F::HINT))
        }
    }
}

/// Puts messages in the order of the file, but for what they answer, which comes before them.
/// Those that are there twice are only counted.
fn order(places: Vec<Place>) -> (Vec<Place>, u64) {
    let count = places.len();
    let mut known = HashMap::with_capacity(count);
    let mut first = Vec::with_capacity(count);
    for place in places {
        let next = first.len();
        if *known.entry(place.id).or_insert(next) == next {
            first.push(Some(place));
        }
    }
    let again = (count - first.len()) as u64;
    let mut ordered = Vec::with_capacity(first.len());
    let mut met = vec![false; first.len()];
    // Its parents, up to one that was met: it has its place, or is its own ancestor.
    let mut unmet = |at: Option<usize>| {
        let at = at?;
        let met = met.get_mut(at).filter(|met| !**met)?;
        *met = true;
        Some(at)
    };
    for at in 0..first.len() {
        let mut chain = Vec::new();
        let mut next = unmet(Some(at));
        while let Some(at) = next {
            chain.push(at);
            let parents = first.get(at).and_then(Option::as_ref).map(|place| &place.parents);
            let nearest = parents.and_then(|ids| ids.iter().find_map(|id| known.get(id).copied()));
            next = unmet(nearest);
        }
        for at in chain.into_iter().rev() {
            let place = first.get_mut(at).and_then(Option::take);
            ordered.extend(place.map(|place| Place { parents: Box::default(), ..place }));
        }
    }
    (ordered, again)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(places: &[(u64, &[u64])]) -> (Vec<u64>, u64) {
        let place = |(at, (id, parents)): (usize, &(u64, &[u64]))| Place {
            number: at as u64,
            offset: 0,
            length: 0,
            id: *id,
            parents: parents.to_vec().into(),
        };
        let (places, again) = order(places.iter().enumerate().map(place).collect());
        (places.iter().map(|place| place.id).collect(), again)
    }

    #[test]
    fn what_is_answered_comes_first_and_the_rest_stays() {
        assert_eq!(ordered(&[]), (vec![], 0));
        assert_eq!(ordered(&[(1, &[]), (2, &[1]), (3, &[2])]), (vec![1, 2, 3], 0));
        assert_eq!(ordered(&[(3, &[2]), (9, &[]), (2, &[1]), (1, &[])]), (vec![1, 2, 3, 9], 0));
        // Of what is not there the next; twice is once; a circle is broken somewhere.
        assert_eq!(ordered(&[(3, &[7, 1]), (1, &[]), (3, &[])]), (vec![1, 3], 1));
        let (mut circle, _) = ordered(&[(1, &[2]), (2, &[3]), (3, &[1]), (4, &[4])]);
        circle.sort_unstable();
        assert_eq!(circle, [1, 2, 3, 4]);
    }

    #[test]
    fn a_long_thread_from_its_end_is_put_in_order_at_once() {
        let count = 200_000;
        let parents: Vec<[u64; 1]> = (0..count).map(|n| [n + 1]).collect();
        let places: Vec<(u64, &[u64])> = (0..count).zip(parents.iter().map(|p| &p[..])).collect();
        let (ids, _) = ordered(&places);
        assert!(ids.is_sorted_by(|a, b| a > b) && ids.len() as u64 == count);
    }
}
