//! The configuration file: what a node does that its command line does not say.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use crate::error::NodeError;
use crate::home::read_bounded;

/// Bytes of a configuration file.
const CONFIG_BYTES_MAX: usize = 64 * 1024;

/// The settings of `config.toml`. Unknown keys are an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the node meets others.
    pub node: NodeConfig,
}

/// The `[node]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// UDP addresses to listen on; none means a free port of the loopback interface.
    pub listen: Vec<SocketAddr>,
    /// Whether to leave the loopback interface and to be found on the local network.
    pub lan: bool,
    /// A relay server to use; none is ever used unasked.
    pub relay: Option<String>,
}

impl Config {
    /// Reads the file; a missing one means the defaults.
    ///
    /// # Errors
    /// [`NodeError::Config`] with line and reason.
    pub fn load(path: &Path) -> Result<Self, NodeError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = read_bounded(path, CONFIG_BYTES_MAX)?;
        let wrong = |reason: String| NodeError::Config { path: path.to_owned(), reason };
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_optional_and_strict() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        std::fs::write(&path, "[node]\nlisten = [\"127.0.0.1:4747\"]\nlan = true\n").unwrap();
        assert!(Config::load(&path).unwrap().node.lan);
        std::fs::write(&path, "[node]\nlane = true\n").unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(error.contains("lane"), "{error}");
    }
}
