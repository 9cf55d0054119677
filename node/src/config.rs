//! The settings: what a node does that its command line does not say.
//!
//! ```text
//! defaults  <  config.toml  <  MOSAIC_NODE_LAN=true  <  --set node.lan=true
//! ```
//!
//! Every setting stands in [`KEYS`]: its name, what it may be, whether a running node takes a
//! change of it. Unknown names and wrong values are refused whole, with line and suggestion.

mod file;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::NodeError;
use crate::home::read_bounded;

pub use file::{Draft, Fault, schema, template, without};
pub use value::{Kind, Value};

/// Bytes of a configuration file.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// The one setting that runs a program.
pub(crate) const PASSPHRASE_COMMAND: &str = "keys.passphrase_command";
/// How alike a misspelled name must be to be suggested, from 0 to 1.
const ALIKE_MIN: f64 = 0.7;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Its name: table and key, for example `node.lan`.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its default, as text; empty for none.
    pub default: &'static str,
    /// Whether `node reload` brings a change into force.
    pub live: bool,
    /// One line of help.
    pub about: &'static str,
}

/// Every setting there is, in order of name.
pub const KEYS: &[Key] = &[
    Key {
        name: PASSPHRASE_COMMAND,
        kind: Kind::Command,
        default: "",
        live: false,
        about: "Program that prints the passphrase of the keys; it is run without a shell",
    },
    Key {
        name: "log.days",
        kind: Kind::Number { min: 1, max: 365 },
        default: "7",
        live: false,
        about: "Log files that are kept, one a day",
    },
    Key {
        name: "log.filter",
        kind: Kind::Filter,
        default: "",
        live: true,
        about: "What a node logs, for example info,mosaic_node=debug",
    },
    Key {
        name: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        default: "text",
        live: false,
        about: "How a node logs: text or json",
    },
    Key {
        name: "node.lan",
        kind: Kind::Flag,
        default: "false",
        live: false,
        about: "Leave the loopback interface, and be found on the local network",
    },
    Key {
        name: "node.listen",
        kind: Kind::Addresses,
        default: "",
        live: false,
        about: "UDP addresses to listen on; none means a free port of the loopback interface",
    },
    Key {
        name: "node.relay",
        kind: Kind::Url,
        default: "",
        live: false,
        about: "Relay server to use; none is ever used unasked",
    },
];

impl Key {
    /// Finds a setting by name.
    ///
    /// # Errors
    /// A sentence with the most similar name.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
            let alike = similar(name, KEYS.iter().map(|key| key.name));
            match alike {
                Some(alike) => format!("no setting '{name}'; did you mean '{alike}'?"),
                None => format!("no setting '{name}'"),
            }
        })
    }

    /// Returns the name of its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MOSAIC_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Returns the known name that is most like a misspelled one.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// Where a value comes from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Environment,
    /// `--set`.
    Flag,
}

impl Origin {
    /// Stable name, as in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// Where settings are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The file; a missing one means the defaults.
    pub file: PathBuf,
    /// Variables of the environment, by name.
    pub environment: Vec<(String, String)>,
    /// `key=value`, as the command line had it.
    pub flags: Vec<String>,
}

/// All settings in force, each with where it comes from; absent means that there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<&'static str, (Value, Origin)>);

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`NodeError::Config`] says where: the line of the file, the variable, or the flag.
    pub fn load(layers: &Layers) -> Result<Self, NodeError> {
        let mut settings = Self::defaults()?;
        let wrong = |place: &Path, reason: String| NodeError::config(place, reason);
        for (key, value) in read(&layers.file)?.values() {
            settings.0.insert(key.name, (value.clone(), Origin::File));
        }
        for key in KEYS {
            let variable = key.variable();
            let found = layers.environment.iter().find(|(name, _)| *name == variable);
            if let Some((_, text)) = found {
                let value = key.kind.parse(text);
                let value = value.map_err(|reason| wrong(Path::new(&variable), reason))?;
                settings.set(key, value, Origin::Environment);
            }
        }
        for flag in &layers.flags {
            let place = PathBuf::from(format!("--set {flag}"));
            let (name, text) = flag
                .split_once('=')
                .ok_or_else(|| wrong(&place, "it is not of the form KEY=VALUE".to_owned()))?;
            let key = Key::find(name.trim()).map_err(|reason| wrong(&place, reason))?;
            let value = key.kind.parse(text).map_err(|reason| wrong(&place, reason))?;
            settings.set(key, value, Origin::Flag);
        }
        Ok(settings)
    }

    fn defaults() -> Result<Self, NodeError> {
        let mut settings = Self::default();
        for key in KEYS {
            let value = key.kind.parse(key.default);
            let value = value.map_err(|reason| NodeError::config(Path::new(key.name), reason))?;
            settings.set(key, value, Origin::Default);
        }
        Ok(settings)
    }

    fn set(&mut self, key: &Key, value: Option<Value>, origin: Origin) {
        // an empty text takes back what a lower layer says
        match value {
            Some(value) => self.0.insert(key.name, (value, origin)),
            None => self.0.remove(key.name),
        };
    }

    /// Returns a value and where it comes from.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<(&Value, Origin)> {
        self.0.get(key.name).map(|(value, origin)| (value, *origin))
    }

    /// Takes over the value that `other` has.
    pub(crate) fn adopt(&mut self, key: &Key, other: &Self) {
        match other.0.get(key.name) {
            Some(found) => self.0.insert(key.name, found.clone()),
            None => self.0.remove(key.name),
        };
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some((Value::Flag(true), _)))
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some((Value::Number(number), _)) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some((Value::Text(text), _)) => Some(text.clone()),
            _ => None,
        }
    }

    fn words(&self, name: &str) -> Option<Vec<String>> {
        self.text(name).and_then(|text| shlex::split(&text)).filter(|words| !words.is_empty())
    }

    fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        match self.0.get(name) {
            Some((Value::List(list), _)) => list.iter().filter_map(|a| a.parse().ok()).collect(),
            _ => Vec::new(),
        }
    }
}

/// Settings as a node uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How the node meets others.
    pub node: NodeConfig,
    /// What it logs.
    pub log: LogConfig,
    /// How the keys are opened.
    pub keys: KeysConfig,
}

/// The `[keys]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysConfig {
    /// A program and its arguments; the first line that it prints is the passphrase.
    pub passphrase_command: Option<Vec<String>>,
}

/// The `[node]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// UDP addresses to listen on; none means a free port of the loopback interface.
    pub listen: Vec<SocketAddr>,
    /// Whether to leave the loopback interface and to be found on the local network.
    pub lan: bool,
    /// A relay server to use; none is ever used unasked.
    pub relay: Option<String>,
}

/// The `[log]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Filter, as in `MOSAIC_LOG`.
    pub filter: Option<String>,
    /// Whether lines are JSON.
    pub json: bool,
    /// Files that are kept, one a day.
    pub days: usize,
}

impl From<&Settings> for Config {
    fn from(settings: &Settings) -> Self {
        let days = settings.number("log.days").and_then(|days| usize::try_from(days).ok());
        Self {
            node: NodeConfig {
                listen: settings.addresses("node.listen"),
                lan: settings.flag("node.lan"),
                relay: settings.text("node.relay"),
            },
            log: LogConfig {
                filter: settings.text("log.filter"),
                json: settings.text("log.format").as_deref() == Some("json"),
                days: days.unwrap_or(1),
            },
            keys: KeysConfig { passphrase_command: settings.words(PASSPHRASE_COMMAND) },
        }
    }
}

/// Reads a configuration file; a missing one is an empty one.
///
/// # Errors
/// [`NodeError::Config`] with line and reason.
pub fn read(path: &Path) -> Result<Draft, NodeError> {
    Draft::parse(read_text(path)?).map_err(|fault| NodeError::fault(path, fault))
}

/// Reads the text of a configuration file, right or not; a missing one is an empty one.
///
/// # Errors
/// [`NodeError::Config`] if it is too long or no text.
pub fn read_text(path: &Path) -> Result<String, NodeError> {
    if !path.exists() {
        return Ok(String::new());
    }
    let bytes = read_bounded(path, CONFIG_BYTES_MAX).map_err(|error| match error {
        NodeError::Damaged { path, reason } => NodeError::config(&path, reason),
        other => other,
    })?;
    String::from_utf8(bytes).map_err(|error| NodeError::config(path, error.to_string()))
}

#[cfg(test)]
mod tests;
