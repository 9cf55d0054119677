//! The commands: one file each.

mod api;
mod audience;
mod bench;
mod catchup;
mod completion;
mod config;
mod demo;
mod device;
mod dm;
mod doc;
mod doctor;
mod draft;
mod export;
mod feed;
mod hub;
mod identity;
mod import;
mod init;
mod man;
mod node;
mod part;
mod people;
mod post;
mod privacy;
mod profile;
mod search;
mod status;
mod store;
mod sub;
mod sync;
mod topic;
mod version;
mod wall;
mod watch;

use std::time::Duration;

use clap::Subcommand;
use mosaic_node::api::types::{ErrorKind, ErrorRecord};

use crate::Stop;
use crate::allocator;
use crate::args::{self, Cli};
use crate::context::Context;
use crate::error::Failure;
use crate::log;
use crate::output::{self, Output};

pub(crate) use version::COMMIT;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make your identity on this device
    Init(init::Init),
    /// Show who you are and whom you know
    #[command(subcommand, disable_help_subcommand = true)]
    Identity(identity::Identity),
    /// Link, name and revoke the devices of your account
    #[command(subcommand, disable_help_subcommand = true)]
    Device(device::Device),
    /// Show or change a profile
    #[command(subcommand, disable_help_subcommand = true)]
    Profile(profile::Profile),
    /// Post to your wall
    Post(post::Post),
    /// Read and write walls: posts, comments, reactions
    #[command(subcommand, disable_help_subcommand = true)]
    Wall(wall::Wall),
    /// Keep posts that are not made yet, or go out later
    #[command(subcommand, disable_help_subcommand = true)]
    Draft(draft::Draft),
    /// Found, join, read and moderate hubs: communities with channels
    // A line less than usual: all of it fits a small terminal.
    #[command(
        subcommand,
        disable_help_subcommand = true,
        help_template = "{about}\n\n{usage-heading} {usage}\n{all-args}{after-help}"
    )]
    Hub(hub::Hub),
    /// Write and read direct messages, sealed to those they are for
    #[command(subcommand, disable_help_subcommand = true)]
    Dm(dm::Dm),
    /// Choose who reads what you post to some alone
    #[command(subcommand, disable_help_subcommand = true)]
    Audience(audience::Audience),
    /// Say who can read something, who has it, and what others see of it
    #[command(subcommand, disable_help_subcommand = true)]
    Privacy(privacy::Privacy),
    /// Read the walls you follow, newest first
    Feed(feed::Feed),
    /// List what you have not read: posts, replies, mentions, reactions
    Catchup(catchup::Catchup),
    /// Search posts and comments that are here, newest first
    Search(search::Search),
    /// Bring in what you wrote elsewhere, or your whole account
    #[command(subcommand, disable_help_subcommand = true)]
    Import(import::Import),
    /// Take a wall out, as a feed or a page, or your whole account
    #[command(subcommand, disable_help_subcommand = true)]
    Export(export::Export),
    /// Follow somebody, or list whom you follow
    Follow(people::Follow),
    /// Stop following somebody
    Unfollow(people::Who),
    /// Block somebody: nothing of theirs is shown, nothing new is kept
    ///
    /// What of theirs is in the store already stays there, unseen, as do the signed heads of what
    /// comes later: a block that ends finds everything again, and two of your devices, one of which
    /// has not heard of the block yet, still agree on what there is. Nobody is told.
    Block(people::Block),
    /// End a block
    Unblock(people::Who),
    /// Mute somebody: kept, but not in your feed
    Mute(people::Mute),
    /// End a mute
    Unmute(people::Who),
    /// Choose whose walls are kept here, and how much of them
    #[command(subcommand, disable_help_subcommand = true)]
    Sub(sub::Sub),
    /// Sync with your peers now, or see what is missing where
    Sync(sync::Sync),
    /// Show everything on one page
    Status(status::Status),
    /// Follow events as they happen
    Watch(watch::Watch),
    /// Run the node that serves this home
    #[command(subcommand, disable_help_subcommand = true)]
    Node(node::Node),
    /// Show and change the settings
    #[command(subcommand, disable_help_subcommand = true)]
    Config(config::Config),
    /// Check and measure the store
    #[command(subcommand, disable_help_subcommand = true)]
    Store(store::Store),
    /// Look into documents, changes and heads
    #[command(subcommand, disable_help_subcommand = true)]
    Doc(doc::Doc),
    /// Call an operation of the local API as it is, in JSON
    Api(api::Api),
    /// Look for what may be wrong, and say how to mend it
    Doctor(doctor::Doctor),
    /// Measure merge and sync on this machine
    #[command(subcommand, disable_help_subcommand = true)]
    Bench(bench::Bench),
    /// Play it through: two devices, a hub and a friend write apart, meet and agree
    Demo(demo::Demo),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Write the manual pages to a folder
    Man(man::Man),
    /// Show the versions of program, API and store
    Version(version::Version),
    /// What the exit codes mean
    #[command(hide = true, long_about = topic::EXIT_CODES, help_template = topic::TEMPLATE)]
    ExitCodes,
    /// What --json prints
    #[command(hide = true, long_about = topic::JSON, help_template = topic::TEMPLATE)]
    Json,
    /// Which environment variables are read
    #[command(hide = true, long_about = topic::ENVIRONMENT, help_template = topic::TEMPLATE)]
    Environment,
    /// What names people, posts, devices and nodes
    #[command(hide = true, long_about = topic::ADDRESSES, help_template = topic::TEMPLATE)]
    Addresses,
    /// What works without a network, and what happens when two meet
    #[command(hide = true, long_about = topic::OFFLINE, help_template = topic::TEMPLATE)]
    Offline,
}

impl Command {
    /// How much later than `--timeout` this program ends it: where the node keeps to the time,
    /// it can say what was done until then.
    fn grace(&self) -> Duration {
        let waits = match self {
            Self::Sync(_) => true,
            Self::Post(post) => post.waits(),
            Self::Wall(wall) => wall.waits(),
            Self::Hub(hub) => hub.waits(),
            Self::Dm(dm) => dm.waits(),
            _ => false,
        };
        if waits { Duration::from_secs(1) } else { Duration::ZERO }
    }
}

/// Runs a command.
///
/// # Errors
/// What it failed with.
pub(crate) fn run(parsed: Cli, output: &mut Output) -> Result<(), Failure> {
    let Cli { globals, command } = parsed;
    let Some(command) = command else { return bare(output) };
    match command {
        Command::Completion(command) => return command.run(output),
        Command::Man(command) => return command.run(output),
        Command::Version(command) => return command.run(output),
        Command::Api(command) if command.is_document() => return api::Api::print(output),
        Command::ExitCodes => return output.bytes(topic::EXIT_CODES.as_bytes()),
        Command::Json => return output.bytes(topic::JSON.as_bytes()),
        Command::Environment => return output.bytes(topic::ENVIRONMENT.as_bytes()),
        Command::Addresses => return output.bytes(topic::ADDRESSES.as_bytes()),
        Command::Offline => return output.bytes(topic::OFFLINE.as_bytes()),
        _ => {}
    }
    let is_node = matches!(command, Command::Node(node::Node::Run(_)));
    if is_node {
        allocator::settle();
    }
    let limit = globals.timeout.map(|limit| limit + command.grace());
    let stop = Stop { limit, on_interrupt: !is_node };
    if !is_node {
        log::start(&globals);
    }
    let mut context = Context::new(globals, output)?;
    context.check_settings()?;
    let outcome =
        crate::drive(stop, &mut context, async |context| dispatch(command, context).await);
    if outcome.is_err() {
        context.keep_written();
    }
    outcome
}

async fn dispatch(command: Command, context: &mut Context<'_>) -> Result<(), Failure> {
    context.read_ahead().await?;
    match command {
        Command::Init(command) => command.run(context).await,
        Command::Identity(command) => command.run(context).await,
        Command::Device(command) => command.run(context).await,
        Command::Profile(command) => command.run(context).await,
        Command::Post(command) => command.run(context).await,
        Command::Wall(command) => command.run(context).await,
        Command::Draft(command) => command.run(context).await,
        Command::Hub(command) => command.run(context).await,
        Command::Dm(command) => command.run(context).await,
        Command::Audience(command) => command.run(context).await,
        Command::Privacy(command) => command.run(context).await,
        Command::Feed(command) => command.run(context).await,
        Command::Catchup(command) => command.run(context).await,
        Command::Search(command) => command.run(context).await,
        Command::Import(command) => command.run(context).await,
        Command::Export(command) => command.run(context).await,
        Command::Follow(command) => command.run(context).await,
        Command::Unfollow(who) => who.unfollow(context).await,
        Command::Block(command) => command.run(context).await,
        Command::Unblock(who) => who.unblock(context).await,
        Command::Mute(command) => command.run(context).await,
        Command::Unmute(who) => who.unmute(context).await,
        Command::Sub(command) => command.run(context).await,
        Command::Sync(command) => command.run(context).await,
        Command::Status(command) => command.run(context).await,
        Command::Watch(command) => command.run(context).await,
        Command::Node(command) => command.run(context).await,
        Command::Config(command) => command.run(context).await,
        Command::Store(command) => command.run(context).await,
        Command::Doc(command) => command.run(context).await,
        Command::Api(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Demo(command) => command.run(context).await,
        Command::Bench(command) => command.run(context).await,
        // These ran before a context was made.
        Command::Completion(_)
        | Command::Man(_)
        | Command::Version(_)
        | Command::ExitCodes
        | Command::Json
        | Command::Environment
        | Command::Addresses
        | Command::Offline => Ok(()),
    }
}

/// Answers a call without a command: short help on stderr, code 2.
fn bare(output: &mut Output) -> Result<(), Failure> {
    let record = ErrorRecord::new(ErrorKind::Usage, "no command was given");
    if output.is_json() {
        return Err(record.with_hint("mosaic --help").into());
    }
    output::short_help(&mut args::tree());
    Err(Failure::Told(ErrorKind::Usage))
}
