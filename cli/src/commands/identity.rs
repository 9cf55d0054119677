//! `identity`: who we are, whom we know.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use mosaic_node::api::types::{
    ErrorKind, ErrorRecord, IdentityList, IdentityRotate, IdentityShow, Record,
};
use mosaic_node::keys::{self, KeyState};
use mosaic_node::words::Words;
use mosaic_node::{App, NodeError, Unlock, home, kept};
use zeroize::Zeroizing;

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::{input, paths};

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Show your account, or somebody's
    Show {
        /// Account id or @petname; default: you
        #[arg(value_name = "WHO")]
        who: Option<String>,
    },
    /// List the accounts known here, yours first
    List,
    /// Show the recovery words, on a terminal or in a new file, while they are on this device
    Recovery {
        /// Write them to a new file that only you can read
        #[arg(short, long, value_name = "FILE", conflicts_with = "forget")]
        output: Option<PathBuf>,
        /// Take them off this device: you have them on paper
        #[arg(long)]
        forget: bool,
        /// Type 'kept', instead of being asked
        #[arg(long, value_name = "WORD", requires = "forget")]
        confirm: Option<String>,
    },
    /// Put the keys of this home under a passphrase, change it, or remove it
    Passphrase {
        /// File whose first line is the new one, or - for the next line of stdin
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new_passphrase_file: Option<PathBuf>,
        /// Leave the keys without a passphrase
        #[arg(long)]
        remove: bool,
    },
    /// Replace the recovery words by new ones; the old ones are worth nothing then
    Rotate {
        /// The words in force, from a file or - for stdin, if they are not on this device
        #[arg(long, value_name = "FILE")]
        words: Option<PathBuf>,
        /// Type your name, or the start of your account id, instead of being asked
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
}

impl Identity {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Show { who } => context.show(&IdentityShow { who }).await,
            Self::List => context.list(&IdentityList {}).await,
            Self::Recovery { forget: true, confirm, .. } => forget(confirm, context).await,
            Self::Recovery { output, .. } => recovery(output, context).await,
            Self::Passphrase { new_passphrase_file, remove } => {
                passphrase(new_passphrase_file, remove, context).await
            }
            Self::Rotate { words, confirm } => rotate(words, confirm, context).await,
        }
    }
}

/// What takes the words off a device.
const KEPT: &str = "kept";

/// Shows the words to a person, or writes them to a file of his; never to a pipe.
async fn recovery(output: Option<PathBuf>, context: &mut Context<'_>) -> Result<(), Failure> {
    const TO_A_FILE: &str = "mosaic identity recovery --output FILE";
    match &output {
        Some(path) if path == Path::new("-") => {
            let message = "recovery words are not written to a pipe: name a file";
            return Err(Failure::usage(message, TO_A_FILE));
        }
        Some(path) if path.symlink_metadata().is_ok() => {
            return Err(ErrorRecord::from(NodeError::Exists { path: path.clone() })
                .with_hint(TO_A_FILE)
                .into());
        }
        None if !context.output.is_terminal() => {
            let message = "recovery words are shown on a terminal only, or written to a new file";
            return Err(Failure::usage(message, TO_A_FILE));
        }
        _ => {}
    }
    let words = words(context).await?;
    match output {
        Some(path) => {
            let path = paths::absolute(&path)?;
            let text = Zeroizing::new(format!("{FILE_HEAD}{}\n", *words.to_text()));
            home::write_new(&path, text.as_bytes()).map_err(ErrorRecord::from)?;
        }
        None => context.output.bytes(table(&words).as_bytes())?,
    }
    context.output.talk(
        "They are also still on this device. Once you have them on paper: mosaic identity recovery \
         --forget",
    );
    Ok(())
}

const FILE_HEAD: &str = "\
# Mosaic recovery words. Whoever has them can be you: keep them on paper, then delete this file.
";

/// The words, numbered, four in a row.
fn table(words: &Words) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(512));
    for (at, word) in (1..).zip(words.list()) {
        text.push_str(&format!("{at:>2} {word:<10}"));
        text.push_str(if at % 4 == 0 { "\n" } else { "  " });
    }
    text
}

/// The words, if they are still here; else why not.
async fn words(context: &mut Context<'_>) -> Result<Words, Failure> {
    let unlock = match kept::is_kept(&context.paths.home) {
        true => context.opened_keys().await?,
        false => None,
    };
    let found = kept::words(&context.paths.home, unlock.as_ref()).map_err(ErrorRecord::from)?;
    if let Some(words) = found {
        return Ok(words);
    }
    let records = context.records(&IdentityShow { who: None }).await?;
    let recovery = records.iter().find_map(|record| match record {
        Record::Identity(identity) => identity.recovery.as_deref(),
        _ => None,
    });
    if recovery == Some("none") {
        let message = "this account began without recovery words, and its id commits to that: \
                       it lives as long as one of its devices does";
        return Err(Failure::hinted(ErrorKind::NotFound, message, "mosaic device invite"));
    }
    let message = "the recovery words are not on this device: they are on the first one until \
                   somebody has them on paper; who has them can replace them";
    Err(Failure::hinted(ErrorKind::NotFound, message, "mosaic identity rotate --words FILE"))
}

async fn forget(confirm: Option<String>, context: &mut Context<'_>) -> Result<(), Failure> {
    const FORGET: &str = "mosaic identity recovery --forget";
    words(context).await?;
    let confirm = match confirm {
        Some(word) => word,
        None => {
            let question = "Type 'kept' if you have the words on paper:";
            let no_input = context.globals.no_input;
            let flag = ("--confirm kept", FORGET);
            input::confirmation(context.output, no_input, question, flag).await?
        }
    };
    if confirm != KEPT {
        let message = "the words stay on this device: that was not 'kept'";
        return Err(Failure::usage(message, format!("{FORGET} --confirm kept")));
    }
    kept::forget(&context.paths.home).map_err(ErrorRecord::from)?;
    context.output.talk("The recovery words are not on this device any more.");
    Ok(())
}

/// Seals the key file anew. A running node has read it already, and would find another one.
async fn passphrase(
    file: Option<PathBuf>,
    remove: bool,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let home = context.paths.home.clone();
    if keys::state(&home).map_err(ErrorRecord::from)? == KeyState::Missing {
        return Err(ErrorRecord::from(NodeError::NoIdentity { home }).into());
    }
    let app = match context.open(context.options()).await {
        Err(Failure::Error(error)) if home::node_process(&context.paths.home).is_some() => {
            return Err(error.with_hint("mosaic node stop").into());
        }
        app => app?,
    };
    let resealed = reseal(&app, file, remove, context).await;
    app.close().await;
    let was_sealed = resealed?;
    if context.output.is_json() {
        let state = if remove { "clear" } else { "sealed" };
        return context.output.object("keys", &[("state", state)]);
    }
    context.output.talk(match (was_sealed, remove) {
        (false, true) => "The keys have no passphrase.",
        (true, true) => "The keys have no passphrase any more.",
        (false, false) => {
            "The keys are under the passphrase. If it is forgotten, only the recovery words bring you back."
        },
        (true, false) => "The keys are under the new passphrase.",
    });
    if !remove && kept::is_kept(&context.paths.home) {
        context.output.talk(
            "So are the recovery words, while they are on this device. Have them on paper: mosaic \
             identity recovery",
        );
    }
    Ok(())
}

/// Returns whether the keys were sealed before.
async fn reseal(
    app: &Arc<App>,
    file: Option<PathBuf>,
    remove: bool,
    context: &mut Context<'_>,
) -> Result<bool, Failure> {
    let new = match remove {
        true => None,
        false => Some(Unlock::new(context.new_passphrase(file.as_deref()).await?)),
    };
    let app = app.clone();
    crate::apart(move || Ok(app.reseal_keys(new.as_ref())?)).await
}

async fn rotate(
    file: Option<PathBuf>,
    confirm: Option<String>,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let no_input = context.globals.no_input;
    let words = match &file {
        Some(file) => Some(input::words(context.output, no_input, file).await?.to_string()),
        None => None,
    };
    let confirm = match confirm {
        Some(name) => name,
        None => {
            let question = "The old words will be worth nothing. Type your name to go on:";
            let flag = ("--confirm NAME", "mosaic identity rotate");
            input::confirmation(context.output, no_input, question, flag).await?
        }
    };
    let say = |_: &Record| Some("Keep the new words: mosaic identity recovery".to_owned());
    context.answer(&IdentityRotate { words, confirm }, Print::Nothing, &say).await
}
