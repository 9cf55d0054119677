//! `import`: posts that were written elsewhere, read here and written by the node.

mod archive;
mod channel;
mod discord;
mod feed;
mod mail;
mod mastodon;
mod mbox;
mod mosaic;
mod objects;
mod tarball;
mod text;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mosaic_engine::limits::{
    ALT_BYTES_MAX, ATTACHMENTS_MAX, BODY_BYTES_MAX, ENTRY_BYTES_MAX, MEDIA_TYPE_BYTES_MAX,
    ORIGIN_ID_BYTES_MAX, ORIGIN_SOURCE_BYTES_MAX,
};
use mosaic_node::api::types::{
    AttachFile, ErrorKind, ImportPost, Imported, PostImport, Progress, Record, rfc3339,
};
use mosaic_node::clock;
use serde_json::json;

use crate::context::{Context, Print};
use crate::error::Failure;
use archive::Media;

/// Posts of one call while nothing is written.
const LOOK_AT_ONCE: usize = 256;
/// Posts of one call; they are one commit.
const WRITE_AT_ONCE: usize = 64;
/// Bytes of texts of one call.
const WRITE_BYTES: usize = 1024 * 1024;
/// Bytes of descriptions of one post: with all else that an entry has they fit in it.
const ALTS_BYTES_MAX: usize = ENTRY_BYTES_MAX - 12 * 1024;
/// What the node finds wrong.
const REFUSED_POSTS: &str = "posts that cannot be written";
const REFUSED_FILES: &str = "files that cannot be attached";

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Import a feed: Atom, RSS or JSON Feed
    #[command(after_help = FEED_HELP)]
    Feed(From),
    /// Import your posts of Mastodon: its archive, or the outbox.json in it
    #[command(after_help = OUTBOX_HELP)]
    Mastodon {
        /// The file.
        #[command(flatten)]
        from: From,
        /// Also what you answered to others
        #[arg(long)]
        replies: bool,
        /// Attach files as they are, with their metadata
        #[arg(long)]
        keep_metadata: bool,
    },
    /// Import mail into a channel of a hub
    #[command(after_help = MBOX_HELP)]
    Mbox {
        /// The file and the channel.
        #[command(flatten)]
        into: channel::Into,
        /// Show the addresses of authors beside their names
        #[arg(long)]
        addresses: bool,
    },
    /// Import a channel of Discord, as DiscordChatExporter writes it in JSON
    #[command(after_help = DISCORD_HELP)]
    Discord(channel::Into),
    /// Make this home, which must be empty, from an archive of your whole account
    #[command(after_help = mosaic::HELP)]
    Mosaic(mosaic::Account),
}

const FEED_HELP: &str = "\
Posts keep the date they had, as a claim, and say what they were imported from.
Importing again adds what is new; what you deleted here stays deleted.

Examples:
  mosaic import feed --dry-run blog.xml
  curl -s https://blog.example/feed | mosaic import feed -";

const OUTBOX_HELP: &str = "\
Public and unlisted posts become posts of your wall, with their pictures, their
date as a claim, and where they were. Threads of yours are linked by quotes.
What is for followers only, boosted or answered to others is counted and left out.
So is a picture whose metadata cannot be removed; its post comes in without it.

Examples:
  mosaic import mastodon --dry-run archive-20261122.zip
  mosaic import mastodon unpacked/outbox.json";

const MBOX_HELP: &str = "\
Mails become messages of yours that say who wrote them and when, as a claim.
What they answer is found by In-Reply-To and References; parts become files.
Importing again adds what is new. A mail that cannot be read is named and left out.

Examples:
  mosaic import mbox --dry-run list.mbox --hub 'Book club/mail'
  git log --pretty=mboxrd | mosaic import mbox - --hub 'Book club/code'";

const DISCORD_HELP: &str = "\
Messages become ones of yours that say who wrote them and when, as a claim.
Files come along if they lie where --media puts them, for general.json in the folder
general.json_Files beside it; else the link stays.
Reactions and notices are left out. Importing again adds what is new.

Examples:
  mosaic import discord --dry-run general.json --hub 'Book club/general'";

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// The file; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only say what would be imported
    #[arg(long)]
    dry_run: bool,
}

/// What was read.
#[derive(Debug, Default)]
struct Found {
    /// Name of what it comes from.
    source: String,
    /// Posts, in the order of the file.
    items: Vec<Item>,
    /// What was left out and why.
    skipped: Skipped,
    /// Where their files are.
    media: Media,
}

/// How much was left out, by reason.
type Skipped = BTreeMap<&'static str, u64>;

/// A post of another place.
#[derive(Debug, Default)]
struct Item {
    id: String,
    link: Option<String>,
    text: String,
    /// Milliseconds since 1970.
    created_at: Option<i64>,
    after: Option<String>,
    files: Vec<File>,
}

/// A file of it.
#[derive(Debug)]
struct File {
    /// Its path where it comes from.
    path: String,
    media_type: Option<String>,
    alt: Option<String>,
}

impl Import {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (from, replies, keep_metadata) = match self {
            Self::Feed(from) => (from, None, false),
            Self::Mastodon { from, replies, keep_metadata } => (from, Some(replies), keep_metadata),
            Self::Mbox { into, addresses } => {
                return into.run(context, mbox::Mbox { addresses }).await;
            }
            Self::Discord(into) => return into.run(context, discord::Discord::default()).await,
            Self::Mosaic(account) => return account.run(context).await,
        };
        let file = from.file.clone();
        let read = crate::apart(move || match replies {
            None => feed::read(&file),
            Some(replies) => mastodon::read(&file, replies),
        })
        .await?;
        let mut found = checked(read);
        found.media.keep_metadata = keep_metadata;
        let shown = from.file.display().to_string();
        bring_in(context, found, &shown, from.dry_run).await
    }
}

/// Puts posts in order, the oldest first, and leaves out what cannot be a post here.
fn checked(mut read: Found) -> Found {
    cut(&mut read.source, ORIGIN_SOURCE_BYTES_MAX);
    let mut seen = BTreeSet::new();
    let now = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
    let skipped = &mut read.skipped;
    read.items.retain_mut(|item| {
        let reason = if item.text.trim().is_empty() && item.files.is_empty() {
            "without text"
        } else if item.text.len() > BODY_BYTES_MAX {
            "longer than a post may be"
        } else if item.id.is_empty() || item.id.len() > ORIGIN_ID_BYTES_MAX {
            "without an id that can be kept"
        } else if !seen.insert(item.id.clone()) {
            "twice in the file"
        } else {
            item.link = item.link.take().filter(|link| link.len() <= ORIGIN_ID_BYTES_MAX);
            if item.created_at.take_if(|time| !(0..=now).contains(time)).is_some() {
                *skipped.entry("dates before 1970 or to come").or_default() += 1;
            }
            return true;
        };
        *skipped.entry(reason).or_default() += 1;
        false
    });
    // Those without a date are written now, after all others.
    read.items.sort_by_key(|item| (item.created_at.is_none(), item.created_at));
    read
}

/// Cuts a text at a character.
fn cut(text: &mut String, max: usize) {
    let at = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(at.unwrap_or(0));
}

async fn bring_in(
    context: &mut Context<'_>,
    read: Found,
    file: &str,
    dry_run: bool,
) -> Result<(), Failure> {
    let Found { source, items, mut skipped, media } = read;
    let found = items.len();
    let mut known = BTreeSet::new();
    for items in items.chunks(LOOK_AT_ONCE) {
        let posts = items.iter().map(|item| item.post(&source, Vec::new(), true)).collect();
        for record in context.records(&PostImport { posts, dry_run: true }).await? {
            if let Record::Imported(one) = record
                && one.state == "known"
            {
                known.insert(one.origin);
            }
        }
    }
    let new: Vec<Item> = items.into_iter().filter(|item| !known.contains(&item.id)).collect();
    let mut added = 0_u64;
    if !dry_run {
        let wanted = new.iter().flat_map(|item| item.files.iter().map(|file| file.path.clone()));
        let wanted = wanted.collect();
        let state = context.paths.state.clone();
        let media = crate::apart(move || media.unpack(&wanted, &state)).await?;
        added = write(context, &new, &source, &media, &mut skipped).await?;
    }
    let left: u64 = skipped.values().sum();
    if context.output.is_json() {
        let total = json!({
            "type": "import", "source": source, "found": found, "new": new.len(), "added": added,
            "known": known.len(), "skipped": skipped, "dry_run": dry_run,
        });
        return context.output.line(total.to_string().as_bytes());
    }
    let (verb, count) =
        if dry_run { ("Would import", new.len() as u64) } else { ("Imported", added) };
    let mut sentence = format!("{verb} {count} of {found} posts of {file} ({source}); ");
    sentence.push_str(&format!("{} are here already", known.len()));
    if left > 0 {
        let reasons = skipped.iter().map(|(reason, count)| format!("{count} {reason}"));
        let reasons: Vec<_> = reasons.collect();
        sentence.push_str(&format!("; left out: {}", reasons.join(", ")));
    }
    context.output.talk(&format!("{sentence}."));
    Ok(())
}

/// Writes posts, and returns how many are there now that were not.
async fn write(
    context: &mut Context<'_>,
    items: &[Item],
    source: &str,
    media: &Media,
    skipped: &mut Skipped,
) -> Result<u64, Failure> {
    let mut progress = Progress { op: "import".to_owned(), ..Progress::default() };
    progress.total_bytes = Some(items.iter().map(|item| item.text.len() as u64).sum());
    let (mut added, mut rest) = (0, items);
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_of(rest));
        rest = after;
        let posts = batch.iter().map(|item| item.with_files(source, media, skipped)).collect();
        let came = RefCell::new(Came::default());
        let say = |record: &Record| match record {
            Record::Imported(one) => came.borrow_mut().note(one),
            _ => None,
        };
        context.answer(&PostImport { posts, dry_run: false }, Print::Value, &say).await?;
        let came = came.into_inner();
        added += came.added;
        for (reason, count) in [(REFUSED_POSTS, came.refused), (REFUSED_FILES, came.left_out)] {
            if count > 0 {
                *skipped.entry(reason).or_default() += count;
            }
        }
        progress.done_bytes += batch.iter().map(|item| item.text.len() as u64).sum::<u64>();
        context.output.progress(&progress);
    }
    Ok(added)
}

/// What became of the posts of one call.
#[derive(Default)]
struct Came {
    added: u64,
    refused: u64,
    /// Files of posts.
    left_out: u64,
}

impl Came {
    /// Counts a post; returns what is to be said of it.
    fn note(&mut self, one: &Imported) -> Option<String> {
        let reasons = one.reasons.as_deref().unwrap_or_default();
        let what = match one.state.as_str() {
            "refused" => {
                self.refused += 1;
                "is left out"
            }
            state => {
                self.added += u64::from(state == "added");
                self.left_out += reasons.len() as u64;
                "comes in, but not all of it"
            }
        };
        (!reasons.is_empty()).then(|| format!("{} {what}: {}", one.origin, reasons.join("; ")))
    }
}

/// How many posts go into the next call.
fn batch_of(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fit = items.iter().take(WRITE_AT_ONCE).take_while(|item| {
        bytes += item.text.len();
        bytes <= WRITE_BYTES
    });
    fit.count().max(1)
}

impl Item {
    fn post(&self, source: &str, attachments: Vec<AttachFile>, bare: bool) -> ImportPost {
        ImportPost {
            text: if bare { String::new() } else { self.text.clone() },
            created_at: self.created_at.and_then(|time| u64::try_from(time).ok()).map(rfc3339),
            source: source.to_owned(),
            id: self.id.clone(),
            link: self.link.clone().filter(|link| *link != self.id),
            after: self.after.clone(),
            attachments,
        }
    }

    /// The post with its files, so that one that another place allows more ends nothing.
    fn with_files(&self, source: &str, media: &Media, skipped: &mut Skipped) -> ImportPost {
        let mut files = Vec::new();
        let mut skip = |reason| *skipped.entry(reason).or_default() += 1;
        let alt_max = ALTS_BYTES_MAX / self.files.len().clamp(1, ATTACHMENTS_MAX);
        let alt_max = alt_max.min(ALT_BYTES_MAX);
        for file in &self.files {
            let mut file = match media.attach(file) {
                Ok(_) if files.len() == ATTACHMENTS_MAX => {
                    skip("files more than a post may have");
                    continue;
                }
                Ok(file) => file,
                Err(reason) => {
                    skip(reason);
                    continue;
                }
            };
            if let Some(alt) = file.alt.as_mut().filter(|alt| alt.len() > alt_max) {
                cut(alt, alt_max);
                skip("ends of long descriptions");
            }
            if file.media_type.take_if(|kind| kind.len() > MEDIA_TYPE_BYTES_MAX).is_some() {
                skip("media types that are none");
            }
            files.push(file);
        }
        self.post(source, files, false)
    }
}

/// Reads a file of at most `max` bytes, or stdin for `-`.
fn bytes_of(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Error,
        };
        Failure::hinted(kind, format!("cannot read {shown}: {error}"), "mosaic help import")
    };
    let long = |size: String| {
        Failure::usage(format!("{shown}: {size} bytes, limit {max}"), "mosaic help import")
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        let file = std::fs::File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{shown} is a folder"), "mosaic help import"));
        }
        if metadata.len() > max {
            return Err(long(metadata.len().to_string()));
        }
        file.take(max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    }
    if bytes.len() as u64 > max {
        return Err(long(format!("more than {max}")));
    }
    Ok(bytes)
}
