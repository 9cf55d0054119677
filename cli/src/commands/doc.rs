//! `doc`: documents, their heads, changes and values.

use clap::{Subcommand, ValueEnum};
use mosaic_node::api::types::{
    DocCat, DocChanges, DocHeads, DocHistory, DocList, DocPacks, ErrorKind, Record,
};

use crate::context::Context;
use crate::error::Failure;

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
    /// Print a document's values
    Cat {
        /// Document id
        #[arg(value_name = "DOC")]
        doc: String,
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
    /// Sealed, for your own devices
    Private,
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
            Self::Cat { doc } => context.show(&DocCat { doc }).await,
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
            Self::Private => "private",
        }
    }
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
