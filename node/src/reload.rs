//! A running node reads its settings again: what can be is in force at once, the rest is named.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::api::types::{ErrorKind, ErrorRecord};
use crate::app::App;
use crate::config::{Config, KEYS, Key, Settings};

/// Brings settings into force that belong to the process and not to the node: its log.
#[derive(Clone)]
pub struct Apply(Arc<ApplyFn>);

type ApplyFn = dyn Fn(&Config) -> Result<(), String> + Send + Sync;

impl Apply {
    /// Takes what to do; it says what is wrong with the settings if they cannot be used.
    pub fn new(apply: impl Fn(&Config) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(apply))
    }
}

impl fmt::Debug for Apply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Apply")
    }
}

/// A setting that is not what it was when the node started, or was reloaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed {
    pub key: &'static Key,
    /// Whether it is in force now; else the node has to be restarted.
    pub applied: bool,
}

/// Reads the settings again; returns them with what changed. Wrong ones change nothing.
///
/// # Errors
/// `no_node` without a running node; `usage` with place and reason.
pub(crate) fn reload(app: &App) -> Result<(Settings, Vec<Changed>), ErrorRecord> {
    let no_node = || ErrorRecord::new(ErrorKind::NoNode, "no node is running for this home");
    let info = app.node().ok_or_else(no_node)?;
    let new = app.load_settings()?;
    let mut in_force = info.settings.lock().unwrap_or_else(PoisonError::into_inner);
    let value = |settings: &Settings, key| settings.find(key).map(|(value, _)| value.clone());
    let changed: Vec<Changed> = KEYS
        .iter()
        .filter(|key| value(&in_force, key) != value(&new, key))
        .map(|key| Changed { key, applied: key.live })
        .collect();
    let mut next = in_force.clone();
    for change in changed.iter().filter(|change| change.applied) {
        next.adopt(change.key, &new);
    }
    if let Some(Apply(apply)) = &info.apply {
        apply(&Config::from(&next)).map_err(|reason| ErrorRecord::new(ErrorKind::Usage, reason))?;
    }
    *in_force = next;
    for change in &changed {
        let key = change.key.name;
        match change.applied {
            true => tracing::info!(key, "a setting changed"),
            false => tracing::warn!(key, "a setting changed; it needs a restart"),
        }
    }
    Ok((new, changed))
}
