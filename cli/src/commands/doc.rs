//! `doc`: documents, their heads, changes and values.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use mosaic_engine::change::text::TEXT_KEY;
use mosaic_node::api::types::{
    DocCat, DocChanges, DocEdit, DocHeads, DocHistory, DocList, DocPacks, ErrorKind, Record,
};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::{input, sanitize};

#[derive(Debug, Subcommand)]
pub(crate) enum Doc {
    /// List the documents that are held
    List {
        /// Only in this account's space: id or @petname
        #[arg(value_name = "WHO")]
        who: Option<String>,
        /// Only this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<Kind>,
    },
    /// Print the known heads: equal on replicas that agree
    Heads {
        /// Document ids; default: all public ones of an account
        #[arg(value_name = "DOC")]
        docs: Vec<String>,
        /// Which account: id or @petname; default: you
        #[arg(long, value_name = "WHO", conflicts_with = "docs")]
        who: Option<String>,
    },
    /// List the packs of full pages, which any iroh-blobs client can fetch by hash
    Packs {
        /// Document ids; default: all public ones of an account
        #[arg(value_name = "DOC")]
        docs: Vec<String>,
        /// Which account: id or @petname; default: you
        #[arg(long, value_name = "WHO", conflicts_with = "docs")]
        who: Option<String>,
    },
    /// List the changes of a document
    Changes {
        /// Document id
        #[arg(value_name = "DOC")]
        doc: String,
        /// Only what came after this change in its chain
        #[arg(long, value_name = "CHANGE")]
        since: Option<String>,
        /// Print the stored bytes, which any Automerge can load; hex under --json
        #[arg(long)]
        raw: bool,
    },
    /// Print a document's values, or a text
    Cat {
        /// Document id, or the post whose text it is
        #[arg(value_name = "DOC")]
        doc: String,
    },
    /// Edit one of your texts: what other devices write meanwhile stays
    Edit {
        /// Document id, or the post whose text it is
        #[arg(value_name = "DOC")]
        doc: String,
        /// Read the new text from a file, or with - from stdin; default: an editor
        #[arg(short = 'F', long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show what each change did
    History {
        /// Document id
        #[arg(value_name = "DOC")]
        doc: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// Devices and guests
    Account,
    /// Profiles
    Profile,
    /// Posts
    Wall,
    /// Comments and reactions of visitors
    Guest,
    /// Operations of hubs
    Hub,
    /// What members wrote into channels
    Channel,
    /// Sealed, for your own devices
    Private,
    /// Long texts
    Text,
}

impl Doc {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::List { who, kind } => {
                let kind = kind.map(|kind| kind.name().to_owned());
                context.show(&DocList { who, kind }).await
            }
            Self::Heads { docs, who } => context.show(&DocHeads { docs, who }).await,
            Self::Packs { docs, who } => context.show(&DocPacks { docs, who }).await,
            Self::Changes { doc, since, raw } => {
                let request = DocChanges { doc, since, raw };
                if raw && !context.output.is_json() {
                    return raw_changes(&request, context).await;
                }
                context.show(&request).await
            }
            Self::Cat { doc } => cat(doc, context).await,
            Self::Edit { doc, file } => edit(doc, file.as_deref(), context).await,
            Self::History { doc } => context.show(&DocHistory { doc }).await,
        }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Profile => "profile",
            Self::Wall => "wall",
            Self::Guest => "guest",
            Self::Hub => "hub",
            Self::Channel => "channel",
            Self::Private => "private",
            Self::Text => "text",
        }
    }
}

/// Prints the values of a document; of a text, the text and nothing else.
async fn cat(doc: String, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = DocCat { doc };
    if context.output.is_json() {
        return context.show(&request).await;
    }
    let terminal = context.output.is_terminal();
    for record in context.records(&request).await? {
        let text = match &record {
            Record::DocumentValue(value) if value.kind == "text" => value.value.get(TEXT_KEY),
            _ => None,
        };
        let Some(text) = text.and_then(|text| text.as_str()) else {
            context.output.record(&record)?;
            continue;
        };
        for line in text.lines() {
            let line = if terminal { sanitize::row(line) } else { line.to_owned() };
            context.output.bytes(format!("{line}\n").as_bytes())?;
        }
    }
    Ok(())
}

/// Edits a text: from a file as it is, in an editor from where it was when it was opened.
async fn edit(doc: String, file: Option<&Path>, context: &mut Context<'_>) -> Result<(), Failure> {
    let request = match file {
        Some(path) => {
            let text = input::long_text(path, &context.globals.help).await?;
            DocEdit { doc, text, heads: Vec::new() }
        }
        None => {
            if context.globals.no_input || !io::stdin().is_terminal() {
                let help = context.globals.help.clone();
                return Err(Failure::usage("an editor needs a terminal: give --file", help));
            }
            let (before, heads) = text_of(&doc, context).await?;
            let text = input::edit_long(context, &format!("{before}\n")).await?;
            DocEdit { doc, text, heads }
        }
    };
    let say = |record: &Record| match record {
        Record::TextEdited(edited) => Some(format!(
            "Edited: {} and {}.",
            counted(edited.inserted, "inserted"),
            counted(edited.deleted, "deleted")
        )),
        _ => None,
    };
    context.answer(&request, Print::Nothing, &say).await
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} character{plural} {what}")
}

/// A text, and the heads at which it was read.
async fn text_of(doc: &str, context: &mut Context<'_>) -> Result<(String, Vec<String>), Failure> {
    let records = context.records(&DocCat { doc: doc.to_owned() }).await?;
    for record in records {
        let Record::DocumentValue(value) = record else { continue };
        if let Some(text) = value.value.get(TEXT_KEY).and_then(|text| text.as_str()) {
            return Ok((text.to_owned(), value.heads));
        }
    }
    let help = context.globals.help.clone();
    Err(Failure::usage(format!("{doc} is not a text"), help))
}

async fn raw_changes(request: &DocChanges, context: &mut Context<'_>) -> Result<(), Failure> {
    for record in context.records(request).await? {
        let Record::Change(change) = record else { continue };
        let bytes = change.raw.as_deref().and_then(unhex).ok_or_else(|| {
            let message = format!("change {} came without its bytes", change.id);
            Failure::new(ErrorKind::Corrupt, message)
        })?;
        context.output.bytes(&bytes)?;
    }
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_comes_back() {
        assert_eq!(unhex("00ff7a"), Some(vec![0, 255, 122]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex("éé"), None);
    }
}
