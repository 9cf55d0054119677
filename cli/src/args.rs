//! The command tree and the flags that every command has.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::parser::ValueSource;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::error::Early;
use crate::quantity;

/// What stands in short help instead of a list of thirty commands. A test holds that every
/// command is in it.
const TEMPLATE: &str = "\
{about}

Usage: {usage}

Start     init  identity  device  profile
Write     post  audience  wall  hub  dm  draft  import  export
Read      feed  catchup  search  watch
People    follow  unfollow  block  unblock  mute  unmute
Copies    sub  sync  status  node
Inside    config  store  doc  doctor  privacy  api  bench  demo
Shell     completion  man  version  help

Options:
{options}

More: mosaic help COMMAND, mosaic help exit-codes, mosaic --help{after-help}
";

/// Walls and messages that live on your own devices: offline first, no server.
#[derive(Debug, Parser)]
#[command(name = "mosaic", version, about, styles = STYLES, help_template = TEMPLATE)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// Which command. Optional, so that the bare program can answer with help: a flag that
    /// reads the environment would otherwise defeat that.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Flags of every command; they may stand before or after it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Print JSON Lines: one object a line, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Run a jq program on each record; implies --json, strings are printed bare
    #[arg(long, global = true, value_name = "PROGRAM")]
    #[arg(hide_short_help = true)]
    pub(crate) jq: Option<String>,
    /// Folder that holds everything [env: MOSAIC_HOME]
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub(crate) home: Option<PathBuf>,
    /// Socket of the node to talk to; fail if it does not answer
    #[arg(long, global = true, value_name = "SOCK", hide_short_help = true)]
    pub(crate) node: Option<PathBuf>,
    /// Never ask; fail with code 2 and name the flag that was missing
    #[arg(long, global = true, env = "MOSAIC_NO_INPUT", hide_env = true)]
    #[arg(hide_short_help = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_input: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", hide_short_help = true)]
    pub(crate) quiet: bool,
    /// Say more: -v what happens, -vv details, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, hide_short_help = true)]
    pub(crate) verbose: u8,
    /// Colour: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_short_help = true, hide_default_value = true, hide_possible_values = true)]
    pub(crate) color: ColorChoice,
    /// Use this value of a setting; repeat for more
    #[arg(long, global = true, value_name = "KEY=VALUE", hide_short_help = true)]
    pub(crate) set: Vec<String>,
    /// Do not show long output through a pager
    #[arg(long, global = true, env = "MOSAIC_NO_PAGER", hide_env = true)]
    #[arg(hide_short_help = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_pager: bool,
    /// File whose first line is the passphrase of the keys, or - for stdin
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Give up after so long, for example 30s or 5m, with code 124
    #[arg(long, global = true, value_name = "TIME", value_parser = quantity::duration)]
    #[arg(hide_short_help = true)]
    pub(crate) timeout: Option<Duration>,
    /// What prints the help of this command, for hints.
    #[arg(skip)]
    pub(crate) help: String,
}

/// Returns the whole tree, with the list of commands at the end of the long help.
pub(crate) fn tree() -> clap::Command {
    let mut tree = Cli::command();
    let mut list = String::from("Commands:\n");
    for sub in tree.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        list.push_str(&format!("  {:<11} {about}\n", sub.get_name()));
    }
    tree = tree.after_long_help(list);
    tree
}

/// Parses the command line.
///
/// # Errors
/// What to print instead of running a command: help, version, or a usage error.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Early> {
    let args: Vec<OsString> = args.into_iter().collect();
    let json = args.iter().take_while(|arg| *arg != "--").any(asks_for_json);
    let named = named(&args);
    let help = format!("{} --help", called(&named));
    let early = |error| Early::Clap(error, json, help.clone());
    let matches = tree().try_get_matches_from(args).map_err(early)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(early)?;
    // Were the parser to read them, it would show their flags in every usage line.
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let globals = &mut cli.globals;
    globals.help = called(&[&["help".to_owned()], named.as_slice()].concat());
    globals.json |= globals.jq.is_some() || matches!(cli.command, Some(Command::Api(_)));
    globals.home = globals.home.take().or_else(|| set("MOSAIC_HOME").map(PathBuf::from));
    globals.node = globals.node.take().or_else(|| set("MOSAIC_NODE").map(PathBuf::from));
    let file = || set("MOSAIC_PASSPHRASE_FILE").map(PathBuf::from);
    globals.passphrase_file = globals.passphrase_file.take().or_else(file);
    globals.json |= set("MOSAIC_JSON").is_some_and(|value| is_on(&value));
    globals.quiet |= globals.verbose == 0 && set("MOSAIC_QUIET").is_some_and(|value| is_on(&value));
    let default = matches.value_source("color") == Some(ValueSource::DefaultValue);
    if let Some(color) = set("MOSAIC_COLOR").filter(|_| default) {
        globals.color = value_of(&color, "MOSAIC_COLOR", ColorChoice::from_str, json)?;
    }
    if let Some(limit) = set("MOSAIC_TIMEOUT").filter(|_| globals.timeout.is_none()) {
        globals.timeout = Some(value_of(&limit, "MOSAIC_TIMEOUT", quantity::duration, json)?);
    }
    Ok(cli)
}

/// Returns the command that these words name.
fn named(args: &[OsString]) -> Vec<String> {
    let tree = tree();
    let mut command = &tree;
    let mut names = Vec::new();
    for word in args.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(sub) = command.find_subcommand(word) {
            command = sub;
            names.push(sub.get_name().to_owned());
        }
    }
    names
}

/// Returns a call of this program with these words.
fn called(words: &[String]) -> String {
    words.iter().fold(String::from("mosaic"), |call, word| format!("{call} {word}"))
}

fn asks_for_json(arg: &OsString) -> bool {
    arg == "--json" || arg == "--jq" || arg.to_string_lossy().starts_with("--jq=")
}

/// Whether a variable that stands for a flag says yes.
fn is_on(value: &OsStr) -> bool {
    !["0", "false", "no", "off", "n", "f"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// Reads the value of a variable that stands for a flag.
fn value_of<T>(
    value: &OsStr,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
    json: bool,
) -> Result<T, Early> {
    let text = value.to_string_lossy();
    parse(&text).map_err(|why| {
        let message = format!("invalid value '{text}' of {name}: {why}\n");
        let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, message);
        Early::Clap(error, json, "mosaic help environment".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Cli, Early> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_tree_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn each_command_and_flag_has_a_description() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{path} has no description");
            assert!(!about.contains('\n'), "{path}: the description is more than a line");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path}: {} has no help", arg.get_id());
                assert_ne!(arg.get_long(), Some("passphrase"), "secrets do not belong in ps");
            }
            for sub in command.get_subcommands() {
                walk(sub, &path);
            }
        }
        walk(&tree(), "");
    }

    #[test]
    fn short_help_fits_a_small_terminal() {
        fn walk(command: &mut clap::Command) {
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= 24, "{} lines\n{help}", help.lines().count());
            let subs = command.get_subcommands_mut();
            subs.filter(|sub| sub.get_name() != "help").for_each(walk);
        }
        let mut tree = tree();
        tree.build();
        walk(&mut tree);
    }

    #[test]
    fn help_says_who_is_let_keep_what_is_private_and_how_to_end_it() {
        let mut tree = tree();
        tree.build();
        for path in ["node connect", "node forget", "sync", "sync run", "hub join"] {
            let mut command = &mut tree;
            for name in path.split(' ') {
                command = command.find_subcommand_mut(name).unwrap();
            }
            let help = command.render_long_help().to_string();
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("keep what is private"), "{path}: {help}");
            assert!(words.contains("node forget"), "{path}: {help}");
        }
        let readme = include_str!("../../README.md");
        assert!(readme.contains("keep what is private") && readme.contains("`node forget`"));
    }

    #[test]
    fn short_help_names_every_command_and_no_other() {
        let mut tree = tree();
        let help = tree.render_help().to_string();
        for sub in tree.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = sub.get_name();
            assert!(help.split_whitespace().any(|word| word == name), "{name} is not in\n{help}");
        }
        let groups = help.lines().skip_while(|line| !line.starts_with("Start"));
        for line in groups.take_while(|line| !line.is_empty()) {
            for name in line.split_whitespace().skip(1) {
                assert!(name == "help" || tree.find_subcommand(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn global_flags_stand_before_or_after() {
        let before = parse_words("mosaic --json wall list").unwrap();
        let after = parse_words("mosaic wall list --json").unwrap();
        assert!(before.globals.json && after.globals.json);
    }

    #[test]
    fn a_bare_command_parses_to_none_even_with_flags() {
        assert!(parse_words("mosaic").unwrap().command.is_none());
        assert!(parse_words("mosaic --home /tmp/x").unwrap().command.is_none());
    }

    #[test]
    fn the_help_of_the_command_that_was_meant_is_named() {
        for (line, expected) in [
            ("mosaic wall list --limit many", "mosaic wall list --help"),
            ("mosaic --color pink post x", "mosaic post --help"),
            ("mosaic --color pink", "mosaic --help"),
        ] {
            let Err(Early::Clap(_, _, help)) = parse_words(line) else { panic!("parsed") };
            assert_eq!(help, expected, "{line}");
        }
    }

    #[test]
    fn a_command_that_runs_knows_its_help() {
        for (line, expected) in [
            ("mosaic post x", "mosaic help post"),
            ("mosaic --json wall comment beef x", "mosaic help wall comment"),
            ("mosaic", "mosaic help"),
        ] {
            let help = parse_words(line).unwrap().globals.help;
            assert_eq!(help, expected, "{line}");
            let Err(Early::Clap(shown, ..)) = parse_words(&help) else { panic!("parsed") };
            assert!(!shown.use_stderr(), "{help}: {shown}");
        }
    }

    #[test]
    fn typos_are_answered_with_a_suggestion() {
        let Err(Early::Clap(error, ..)) = parse_words("mosaic pst") else { panic!("parsed") };
        assert!(error.to_string().contains("'post'"), "{error}");
    }
}
