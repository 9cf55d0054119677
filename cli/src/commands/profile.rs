//! `profile`: public personal data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mosaic_node::api::types::{ProfilePicture, ProfileSet, ProfileShow, Record};

use crate::context::{Context, Print};
use crate::error::Failure;
use crate::input::{self, TextSource};

#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// Show your profile, or somebody's
    Show {
        /// Account id or @petname; default: you
        #[arg(value_name = "WHO")]
        who: Option<String>,
        /// Also show the values that lost against a concurrent one
        #[arg(long)]
        conflicts: bool,
    },
    /// Write a profile's picture to a file
    Avatar {
        /// Account id or @petname; default: you
        #[arg(value_name = "WHO")]
        who: Option<String>,
        /// File to write, which must not be there yet, or folder to write it to
        #[arg(short, long, value_name = "PATH", default_value = ".")]
        output: PathBuf,
    },
    /// Change your profile
    Set(Set),
    /// Write a few lines about you, in $VISUAL or $EDITOR
    Edit {
        /// The text.
        #[command(flatten)]
        text: TextSource,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Set {
    /// Name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A few lines about you
    #[arg(long, value_name = "TEXT")]
    bio: Option<String>,
    /// Picture, up to 1 MiB: JPEG, PNG, WebP or GIF
    #[arg(long, value_name = "FILE")]
    avatar: Option<PathBuf>,
    /// Leave in the picture what it says about who took it where (Exif, XMP, ...)
    #[arg(long, requires = "avatar")]
    keep_metadata: bool,
    /// A link; repeat for more; replaces all links
    #[arg(long, value_name = "URL")]
    link: Vec<String>,
    /// A free field; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    field: Vec<(String, String)>,
    /// A theme token; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    theme: Vec<(String, String)>,
    /// Show everybody that you are in this hub; repeat for more
    #[arg(long = "hub", value_name = "HUB")]
    show_hubs: Vec<String>,
    /// Do not show a hub any more; repeat for more
    #[arg(long = "no-hub", value_name = "HUB")]
    hide_hubs: Vec<String>,
    /// Remove name, bio, avatar, links, fields.KEY or theme.KEY; repeat for more
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Profile {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Show { who, conflicts } => context.show(&ProfileShow { who, conflicts }).await,
            Self::Avatar { who, output } => {
                let path = input::absolute_text(&output)?;
                let request = ProfilePicture { who, path };
                context.answer(&request, Print::Value, &|_| None).await
            }
            Self::Edit { text } => {
                let editor = text.wants_editor(context.globals.no_input, false);
                let before = if editor { bio(context).await? } else { String::new() };
                let bio = text.read(context, false, &before).await?;
                let request = ProfileSet { bio, ..ProfileSet::default() };
                let say = |_: &Record| Some("Profile changed.".to_owned());
                context.answer(&request, Print::Nothing, &say).await
            }
            Self::Set(set) => {
                let request = set.request(&context.globals.help)?;
                let say = |_: &Record| Some("Profile changed.".to_owned());
                context.answer(&request, Print::Nothing, &say).await
            }
        }
    }
}

impl Set {
    fn request(self, help: &str) -> Result<ProfileSet, Failure> {
        let picture = |path: PathBuf| input::attach_file(&path, self.keep_metadata, help);
        let avatar = self.avatar.map(picture).transpose()?;
        Ok(ProfileSet {
            name: self.name,
            bio: self.bio,
            avatar,
            links: (!self.link.is_empty()).then_some(self.link),
            fields: self.field.into_iter().collect::<BTreeMap<_, _>>(),
            theme: self.theme.into_iter().collect::<BTreeMap<_, _>>(),
            unset: self.unset,
            show_hubs: self.show_hubs,
            hide_hubs: self.hide_hubs,
        })
    }
}

/// Returns the lines that an editor starts with.
async fn bio(context: &mut Context<'_>) -> Result<String, Failure> {
    let records = context.records(&ProfileShow::default()).await?;
    let bio = records.into_iter().find_map(|record| match record {
        Record::Profile(profile) => profile.bio,
        _ => None,
    });
    Ok(bio.unwrap_or_default())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not KEY=VALUE")),
    }
}
