//! `config`: the settings, and the file that holds them.

use std::fs;
use std::path::Path;

use clap::Subcommand;
use mosaic_node::api::types::{ErrorKind, ErrorRecord, Record, Setting};
use mosaic_node::client::Client;
use mosaic_node::config::{self, Draft, KEYS, Key, Settings};
use mosaic_node::home;

use crate::context::Context;
use crate::error::Failure;
use crate::input;

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print what a setting is; code 13 if it is nothing
    Get {
        /// Its name, for example node.lan
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Change a setting in the file; its comments stay
    Set {
        /// Its name, for example node.lan
        #[arg(value_name = "KEY")]
        key: String,
        /// What it shall be; a list has commas
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Remove a setting from the file; its comments stay
    Unset {
        /// Its name; what is in the file and is no setting goes too
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// List all settings
    List {
        /// Also say where each comes from: default, file, environment or flag
        #[arg(long)]
        origin: bool,
    },
    /// Change the file in $VISUAL or $EDITOR
    Edit,
    /// Print where the file is
    Path,
    /// Print the JSON Schema of the file
    Schema,
}

impl Config {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Get { key } => get(&key, context),
            Self::Set { key, value } => set(&key, &value, context).await,
            Self::Unset { key } => unset(&key, context).await,
            Self::List { origin } => list(origin, context),
            Self::Edit => edit(context).await,
            Self::Path => {
                let path = context.paths.config.display().to_string();
                context.output.object("config_path", &[("path", &path)])
            }
            Self::Schema => schema(context),
        }
    }
}

fn find(name: &str) -> Result<&'static Key, Failure> {
    Key::find(name).map_err(|reason| Failure::usage(reason, "mosaic config list"))
}

fn load(context: &Context<'_>) -> Result<Settings, Failure> {
    Ok(Settings::load(&context.layers()).map_err(ErrorRecord::from)?)
}

fn get(name: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    let key = find(name)?;
    let settings = load(context)?;
    let Some((value, _)) = settings.find(key) else {
        let message = format!("{name} is not set, and has no default");
        return Err(ErrorRecord::new(ErrorKind::NotFound, message)
            .with_hint(format!("mosaic config set {name} VALUE"))
            .into());
    };
    if context.output.is_json() {
        return context.output.record(&Record::Setting(Setting::of(&settings, key)));
    }
    context.output.value(&value.to_string())
}

fn list(origin: bool, context: &mut Context<'_>) -> Result<(), Failure> {
    let settings = load(context)?;
    for key in KEYS {
        let mut setting = Setting::of(&settings, key);
        setting.origin = setting.origin.filter(|_| origin);
        context.output.record(&Record::Setting(setting))?;
    }
    context.output.flush()
}

async fn set(name: &str, text: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    let key = find(name)?;
    let wrong = |reason: String| Failure::usage(format!("{name}: {reason}"), "mosaic config list");
    let value = key.kind.parse(text).map_err(wrong)?.ok_or_else(|| {
        Failure::usage(format!("{name}: there is no value"), format!("mosaic config unset {name}"))
    })?;
    let draft = read(context)?.with(key, &value).map_err(wrong)?;
    write(draft.text(), context)?;
    told(&[key], context).await
}

async fn unset(name: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    let path = context.paths.config.clone();
    let text = config::read_text(&path).map_err(ErrorRecord::from)?;
    // what is no setting, or has no value of it, can go as well: that mends the file
    let less = config::without(&text, name).map_err(|fault| {
        let message = format!("{}: {fault}", path.display());
        Failure::usage(message, "mosaic config edit")
    })?;
    let Some(less) = less else {
        let key = find(name)?;
        read(context)?;
        return told(&[key], context).await;
    };
    write(&less, context)?;
    let key = Key::find(name).ok();
    told(key.as_slice(), context).await
}

async fn edit(context: &mut Context<'_>) -> Result<(), Failure> {
    input::person(context.globals.no_input, "mosaic config set KEY VALUE")?;
    let path = context.paths.config.clone();
    // one that is wrong is edited as it is: this is the way to mend it
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) => config::template(),
    };
    let before_values = Draft::parse(before.clone()).map(|draft| draft.values().to_vec());
    let text = input::edit(context, &before, ".toml")?;
    if text == before {
        return Ok(());
    }
    let draft = Draft::parse(text).map_err(|fault| {
        Failure::usage(format!("nothing was changed: {fault}"), "mosaic config edit")
    })?;
    write(draft.text(), context)?;
    let before_values = before_values.unwrap_or_default();
    let changed: Vec<&Key> = KEYS
        .iter()
        .filter(|key| {
            let of = |values: &[(&'static Key, config::Value)]| {
                values.iter().find(|(found, _)| found.name == key.name).map(|(_, v)| v.clone())
            };
            of(&before_values) != of(draft.values())
        })
        .collect();
    told(&changed, context).await
}

fn schema(context: &mut Context<'_>) -> Result<(), Failure> {
    let schema = config::schema();
    if context.output.is_json() {
        let line = format!("{{\"type\":\"config_schema\",\"schema\":{schema}}}\n");
        return context.output.bytes(line.as_bytes());
    }
    context.output.bytes(format!("{schema:#}\n").as_bytes())
}

fn read(context: &Context<'_>) -> Result<Draft, Failure> {
    Ok(config::read(&context.paths.config).map_err(ErrorRecord::from)?)
}

fn write(text: &str, context: &Context<'_>) -> Result<(), Failure> {
    let path = &context.paths.config;
    if text.len() > config::CONFIG_BYTES_MAX {
        let message = format!("the file would be over {} bytes", config::CONFIG_BYTES_MAX);
        return Err(Failure::usage(message, "mosaic config edit"));
    }
    home::private_folder(path.parent().unwrap_or(Path::new("."))).map_err(ErrorRecord::from)?;
    Ok(home::replace(path, text.as_bytes()).map_err(ErrorRecord::from)?)
}

/// Says what has to be done for a running node to notice.
async fn told(keys: &[&Key], context: &mut Context<'_>) -> Result<(), Failure> {
    if keys.is_empty() || Client::connect(&context.socket()).await.is_err() {
        return Ok(());
    }
    let next = if keys.iter().all(|key| key.live) { "reload" } else { "restart" };
    context.output.talk(&format!("The running node takes it with: mosaic node {next}"));
    Ok(())
}
