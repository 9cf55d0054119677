//! `export`: a wall as other programs read it, a whole account as another home does.

mod atom;
mod html;
mod json;
mod mosaic;

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{
    ErrorKind, Notice, Post, Profile, ProfileShow, Record, Saved, WallList, parse_rfc3339, rfc3339,
};
use mosaic_node::home;

use crate::context::Context;
use crate::error::Failure;
use crate::input;

/// How long the first line of a post may be as a title.
const TITLE_CHARS_MAX: usize = 80;

#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// Write a wall as an Atom feed (RFC 4287)
    Atom(What),
    /// Write a wall as a JSON Feed (version 1.1)
    Json(What),
    /// Write a wall as one HTML page
    Html(What),
    /// Write your whole account to a sealed archive, which another home takes in
    #[command(after_help = mosaic::HELP)]
    Mosaic(mosaic::Account),
}

/// What to export.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// Whose wall: id or @petname; default: yours
    #[arg(value_name = "WHO")]
    who: Option<String>,
    /// Write to a file, or replace it, whole or not at all; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Turns a wall into a file.
type Write = fn(&Wall) -> io::Result<Vec<u8>>;

/// A wall on its way out.
struct Wall {
    account: String,
    profile: Profile,
    /// Newest first; neither deleted ones nor those whose text is not here.
    posts: Vec<Post>,
    /// How many are left out because their text is not here.
    missing: u64,
    /// The newest change.
    updated: String,
}

impl Export {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (what, write): (What, Write) = match self {
            Self::Atom(what) => (what, atom::write),
            Self::Json(what) => (what, json::write),
            Self::Html(what) => (what, html::write),
            Self::Mosaic(account) => return account.run(context).await,
        };
        let wall = Wall::read(context, what.who).await?;
        let bytes = write(&wall)?;
        if what.output.as_os_str() == "-" {
            context.output.bytes(&bytes)?;
        } else {
            save(context, &what.output, &bytes)?;
            context.output.flush()?;
        }
        if wall.missing > 0 {
            let message = format!(
                "{} posts are not here, and not in it: mosaic sync, then export again",
                wall.missing
            );
            context.output.notice(&Notice { message });
        }
        Ok(())
    }
}

fn save(context: &mut Context<'_>, to: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    let path = input::absolute_text(to)?;
    let folder = std::path::Path::new(&path).parent().map(PathBuf::from).unwrap_or_default();
    // It is for others to read, as far as the umask goes: a web server for one.
    let mut builder = tempfile::Builder::new();
    let written = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(&folder);
    let written = written.and_then(|mut file| {
        file.write_all(bytes)?;
        home::share(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(&folder)?.sync_all()
    });
    written.map_err(|error| {
        let message = format!("cannot write {path}: {error}");
        Failure::new(ErrorKind::Error, message)
    })?;
    let size_bytes = bytes.len() as u64;
    let hash = mosaic_engine::hash::BlobHash::of(bytes).to_string();
    context.output.record(&Record::Saved(Saved { path, size_bytes, hash }))
}

impl Wall {
    async fn read(context: &mut Context<'_>, who: Option<String>) -> Result<Self, Failure> {
        let mut profile = Profile::default();
        let request = ProfileShow { who: who.clone(), ..ProfileShow::default() };
        for record in context.records(&request).await? {
            if let Record::Profile(found) = record {
                profile = found;
            }
        }
        let (mut posts, mut missing): (Vec<Post>, _) = (Vec::new(), 0);
        for record in context.records(&WallList { who, ..WallList::default() }).await? {
            match record {
                // What goes on the web is for everybody.
                Record::Post(post) if post.deleted.0 || post.audience.is_some() => {}
                Record::Post(post) if post.missing.0 => missing += 1,
                Record::Post(post) => posts.push(post),
                Record::Notice(notice) => context.output.notice(&notice),
                _ => {}
            }
        }
        let times = posts.iter().map(|post| post.edited_at.as_ref().unwrap_or(&post.created_at));
        let newest = times.filter_map(|time| parse_rfc3339(time)).max().unwrap_or(0);
        let (account, updated) = (profile.account.clone(), rfc3339(newest));
        Ok(Self { account, profile, posts, missing, updated })
    }

    /// What the wall is called.
    fn title(&self) -> String {
        match self.profile.name.as_deref().filter(|name| !name.trim().is_empty()) {
            Some(name) => name.to_owned(),
            None => self.account.chars().take(8).collect(),
        }
    }

    fn urn(&self) -> String {
        format!("urn:mosaic:{}", self.account)
    }
}

/// The first line of a post, or when it was made.
fn title(post: &Post) -> String {
    let line = post.text.as_deref().unwrap_or_default().lines().map(str::trim);
    let Some(line) = line.into_iter().find(|line| !line.is_empty()) else {
        return format!("Post of {}", post.created_at);
    };
    if line.chars().count() <= TITLE_CHARS_MAX {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_CHARS_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

/// What a post says, with what it quotes and the names of its files.
fn body(post: &Post) -> String {
    let mut parts = vec![post.text.clone().unwrap_or_default()];
    if let Some(quote) = &post.quote {
        parts.push(format!("> urn:mosaic:{}", quote.id));
    }
    parts.extend(post.attachments.iter().map(|file| {
        let alt = file.alt.as_deref().map(|alt| format!(": {alt}")).unwrap_or_default();
        format!("[{}{alt}]", file.name)
    }));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// Leaves out what XML 1.0 cannot hold.
fn fit_for_xml(text: &str) -> String {
    let fits = |c: &char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    text.chars().filter(fits).filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

/// An address that may stand in a link: anything else would run or read something.
fn web(link: &str) -> Option<&str> {
    let scheme = link.starts_with("https://") || link.starts_with("http://");
    let plain = |c: char| c.is_ascii_graphic() && !"<>\"\\^`{|}".contains(c);
    (scheme && link.chars().all(plain)).then_some(link)
}
